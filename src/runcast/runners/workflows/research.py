"""The built-in workflow `research`: agents read sources in parallel, one draws conclusions, one doubts, one answers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from runcast.runners.extractive import NAME as EXTRACTIVE
from runcast.runners.knowledge.fit import fitting
from runcast.runners.knowledge.values import Passage
from runcast.runners.material import write_passage, write_passages, write_sources
from runcast.runners.model import Message
from runcast.runners.workflows.confidence import coverage, mean, stated_confidence
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


def research(ctx: Context) -> AgentOutput:
    """Answer `ctx.task` by several agents: research (in parallel), analysis, critic, synthesis.

    `max_steps` bounds the number of agents: 1 is the synthesis alone, 2 adds one that reads, 3 the analysis, 4 the
    critic, and more than that more that read. Each passage of the knowledge base is read by one of them, so there may be
    fewer; without any source, they say what the model knows. The built-in model knows nothing and has no opinions: with
    it, one says that there is no source, and nobody analyses or criticises. `ctx.parent` is given to all agents.
    """
    most, with_analysis, with_critic = _plan(ctx.max_steps)
    passages = _search(ctx, PASSAGES_EACH * max(most, 1))
    readers = min(most, len(passages) or 1)
    ctx.expect(1 + (0 if readers == 0 else 1 + with_analysis + with_critic))
    outputs = _have_read(ctx, [passages[number::readers] for number in range(readers)])
    if any(output.model != EXTRACTIVE for output in outputs):
        if not passages and most > readers:
            ctx.expect(3 + with_analysis + with_critic)
            outputs += _have_read(ctx, [()] * (most - readers), VIEWS[readers:])
        if with_analysis:
            outputs.append(ctx.agent("analysis", partial(_analyse, found=list(outputs))))
        if with_critic:
            outputs.append(ctx.agent("critic", partial(_doubt, found=list(outputs))))
    elif readers:
        ctx.expect(2)
    return ctx.synthesize(partial(_answer, found=outputs, passages=() if outputs else passages))


def _plan(max_steps: int | None) -> tuple[int, bool, bool]:
    """How many agents read at most, and whether there are an analysis and a critic."""
    if max_steps is None:
        return RESEARCHERS, True, True
    readers = min(max(max_steps - 3, 1), MOST_RESEARCHERS) if max_steps > 1 else 0
    return readers, max_steps > 2, max_steps > 3


def _search(ctx: Context, limit: int) -> list[Passage]:
    """What fits the task; a follow-up may be put in words that say nothing without the earlier task."""
    queries = [ctx.task, *([f"{ctx.task}\n{ctx.parent.task}"] if ctx.parent else [])]
    found = {
        (passage.source, passage.number): passage
        for query in queries
        for passage in fitting(query, ctx.search(query, limit))
    }
    return list(found.values())[:limit]


def _have_read(
    ctx: Context, shares: Sequence[Sequence[Passage]], views: Sequence[str] = VIEWS
) -> list[AgentOutput]:
    """What agents make of their shares of the sources; those that fail are left out, unless all do."""
    agents = [
        Agent("research", partial(_read, view=view, passages=one))
        for view, one in zip(views, shares, strict=False)
    ]
    found = ctx.parallel(agents, keep_going=True)
    if found and all(output.error for output in found):
        raise WorkflowError(f"No agent could read anything: {found[0].error}")
    return [output for output in found if output.error is None]


def _read(agent: AgentContext, view: str, passages: Sequence[Passage]) -> AgentResult:
    content = agent.llm(
        f"{_asked(agent)}\n\nYour part of it: {view}\n\n{write_passages(passages)}{_earlier(agent.parent)}",
        system=f"You are a research agent. {_RULES}",
    )
    return AgentResult(content, coverage(agent.task, (passage.text for passage in passages)))


def _analyse(agent: AgentContext, found: Sequence[AgentOutput]) -> AgentResult:
    content = agent.llm(
        f"{_asked(agent)}\n\nWhat the researchers found:\n\n{_material(found)}{_earlier(agent.parent)}",
        system=f"You are an analyst. Order the findings, resolve contradictions, draw conclusions. {_RULES}",
    )
    return AgentResult(content, _confidence(found))


def _doubt(agent: AgentContext, found: Sequence[AgentOutput]) -> AgentResult:
    """The critic says how sure it is; a model that does not is taken by what the readers' sources support."""
    content = agent.llm(
        f"{_asked(agent)}\n\nFindings and analysis:\n\n{_material(found)}\n\n"
        "Name claims that nothing supports, and what is missing. End with a line: Confidence: 0 to 100 %.",
        system=f"You are a critic who trusts nothing without a source. {_RULES}",
    )
    said = stated_confidence(content)
    return AgentResult(content, _confidence(found) if said is None else said)


def _answer(agent: AgentContext, found: Sequence[AgentOutput], passages: Sequence[Passage]) -> AgentResult:
    """The answer out of what the others found; without others, out of the passages themselves."""
    material = _material(found) if found else write_sources(write_passages(passages))
    messages = [
        Message("system", f"You write the final answer out of what others found. {_RULES}"),
        Message("user", f"{_asked(agent)}\n\n{material}{_earlier(agent.parent)}"),
    ]
    confidence = _confidence(found) if found else coverage(agent.task, (one.text for one in passages))
    return AgentResult(agent.llm(messages), confidence)


def _confidence(found: Sequence[AgentOutput]) -> float | None:
    """What the readers' sources support; the others have nothing but these to go by."""
    return mean(output.confidence for output in found if output.agent_type == "research")


def _asked(agent: AgentContext) -> str:
    return f"Task: {agent.task.strip()}"


def _material(outputs: Sequence[AgentOutput]) -> str:
    """Their outputs as passages: so nobody takes what is said around them for a finding."""
    each = MAX_MATERIAL_CHARS // max(len(outputs), 1)
    return "\n\n".join(write_passage(output.agent_id, output.content[:each]) for output in outputs)


def _earlier(parent: Parent | None) -> str:
    if parent is None:
        return ""
    result = write_passage("the earlier result", parent.synthesis[:MAX_MATERIAL_CHARS])
    return f"\n\nThis follows up on an earlier task: {parent.task}\nIts result:\n\n{result}"
