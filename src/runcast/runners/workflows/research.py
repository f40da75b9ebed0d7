"""The built-in workflow `research`: agents read sources in parallel, one draws conclusions, one doubts, one answers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

from runcast.runners.knowledge.values import Passage
from runcast.runners.material import write_passages
from runcast.runners.model import Message
from runcast.runners.workflows.context import (
    Agent,
    AgentContext,
    AgentOutput,
    AgentResult,
    Context,
    Parent,
)
from runcast.runners.workflows.failure import WorkflowError

RESEARCHERS: Final = 3
"""If the caller does not limit the steps."""
MOST_RESEARCHERS: Final = 6
PASSAGES_EACH: Final = 4
MAX_MATERIAL_CHARS: Final = 12_000
"""What one prompt quotes of other agents' outputs."""

VIEWS: Final = (
    "Establish the facts: what is it, what holds, in which numbers.",
    "Explain how and why: causes, mechanisms, connections.",
    "Look at limits: exceptions, risks, disagreements, what is not known.",
    "Look at practice: examples, applications, what to do.",
    "Look at the background: history, origins, comparable cases.",
    "Look at consequences: what follows, for whom, and when.",
)
_RULES: Final = (
    "Answer in the language of the task. Use the sources where they help and name them in square brackets, "
    "such as [notes.md]. Say plainly what you do not know. Be brief."
)
_WORD: Final = re.compile(r"[^\W\d_]{4,}|\d+")
_SAID: Final = re.compile(r"confidence\D{0,20}?(\d{1,3}(?:\.\d+)?)\s*(%?)", re.IGNORECASE)


def research(ctx: Context) -> AgentOutput:
    """Answer `ctx.task` by several agents: research (in parallel), analysis, critic, synthesis.

    `max_steps` bounds the number of agents: 1 is the synthesis alone, 2 adds one that reads, 3 the analysis, 4 the
    critic, and more than that more that read. `ctx.parent` is given to all of them.
    """
    readers, with_analysis, with_critic = _plan(ctx.max_steps)
    ctx.expect(1 + (readers > 0) + with_analysis + with_critic)
    agents = [Agent("research", partial(_read, number=n, readers=readers)) for n in range(readers)]
    found = ctx.parallel(agents, keep_going=True)
    if found and all(output.error for output in found):
        raise WorkflowError(f"No agent could read anything: {found[0].error}")
    outputs = [output for output in found if output.error is None]
    if with_analysis:
        outputs.append(ctx.agent("analysis", partial(_analyse, found=list(outputs))))
    if with_critic:
        outputs.append(ctx.agent("critic", partial(_doubt, found=list(outputs))))
    return ctx.synthesize(partial(_answer, found=outputs))


def _plan(max_steps: int | None) -> tuple[int, bool, bool]:
    """How many agents read, and whether there are an analysis and a critic."""
    if max_steps is None:
        return RESEARCHERS, True, True
    readers = min(max(max_steps - 3, 1), MOST_RESEARCHERS) if max_steps > 1 else 0
    return readers, max_steps > 2, max_steps > 3


def _read(agent: AgentContext, number: int, readers: int) -> AgentResult:
    """One agent's part of the sources: of those that were found, every so-many-th one."""
    view = VIEWS[number % len(VIEWS)]
    passages = list(agent.search(agent.task, limit=PASSAGES_EACH * readers))[number::readers]
    prompt = f"Task: {agent.task}\n\nYour part of it: {view}\n\n{_quote(passages)}{_earlier(agent.parent)}"
    content = agent.llm(prompt, system=f"You are a research agent. {_RULES}")
    return AgentResult(content, coverage(agent.task, (passage.text for passage in passages)))


def _analyse(agent: AgentContext, found: Sequence[AgentOutput]) -> AgentResult:
    prompt = (
        f"Task: {agent.task}\n\nWhat the researchers found:\n\n{_material(found)}{_earlier(agent.parent)}"
    )
    content = agent.llm(
        prompt,
        system=f"You are an analyst. Order the findings, resolve contradictions, draw conclusions. {_RULES}",
    )
    return AgentResult(content, _mean(output.confidence for output in found))


def _doubt(agent: AgentContext, found: Sequence[AgentOutput]) -> AgentResult:
    """The critic says how sure it is; a model that does not is taken by what its material supports."""
    prompt = (
        f"Task: {agent.task}\n\nFindings and analysis:\n\n{_material(found)}\n\n"
        "Name claims that nothing supports, and what is missing. End with a line: Confidence: 0 to 100 %."
    )
    content = agent.llm(prompt, system=f"You are a critic who trusts nothing without a source. {_RULES}")
    said = stated_confidence(content)
    return AgentResult(content, _mean(output.confidence for output in found) if said is None else said)


def _answer(agent: AgentContext, found: Sequence[AgentOutput]) -> AgentResult:
    if found:
        material, confidence = _material(found), _mean(output.confidence for output in found)
    else:
        passages = agent.search(agent.task, limit=PASSAGES_EACH)
        material, confidence = _quote(passages), coverage(agent.task, (one.text for one in passages))
    messages = [
        Message("system", f"You write the final answer out of what others found. {_RULES}"),
        Message("user", f"Task: {agent.task}\n\n{material}{_earlier(agent.parent)}"),
    ]
    return AgentResult(agent.llm(messages), confidence)


def coverage(task: str, texts: Iterable[str]) -> float:
    """How many of the task's words the texts have, from 0 to 1: what the sources can answer for."""
    wanted = {word.casefold() for word in _WORD.findall(task)}
    if not wanted:
        return 0.0
    there = {word.casefold() for text in texts for word in _WORD.findall(text)}
    return round(len(wanted & there) / len(wanted), 2)


def stated_confidence(text: str) -> float | None:
    """The last confidence that a text states, from 0 to 1; None if it states none."""
    said = _SAID.findall(text)
    if not said:
        return None
    number, percent = float(said[-1][0]), said[-1][1]
    value = number / 100 if percent or number > 1 else number
    return round(value, 2) if value <= 1 else None


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known) / len(known), 2) if known else None


def _quote(passages: Sequence[Passage]) -> str:
    return write_passages(passages) if passages else "No sources were found."


def _material(outputs: Sequence[AgentOutput]) -> str:
    each = MAX_MATERIAL_CHARS // max(len(outputs), 1)
    return "\n\n".join(f"{output.agent_id}:\n{output.content[:each]}" for output in outputs)


def _earlier(parent: Parent | None) -> str:
    if parent is None:
        return ""
    return f"\n\nThis follows up on an earlier task: {parent.task}\nIts result:\n{parent.synthesis[:MAX_MATERIAL_CHARS]}"
