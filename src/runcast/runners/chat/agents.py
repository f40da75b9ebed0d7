"""The agents of the built-in orchestrator, and which of them a question is for. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from runcast.runners.knowledge.values import Passage
from runcast.runners.material import write_passages
from runcast.runners.model import Message

LEAST_SURE: Final = 0.5
"""Of a choice that is less sure, the language model is asked, if there is one."""
UNSURE: Final = 0.34
MAX_LOOKED_AT_CHARS: Final = 2_000
"""Of a question, to find out whom it is for: that happens between the events of all others."""


class Agent(msgspec.Struct, frozen=True):
    """One that answers questions of a kind: how it is told to, and beginnings of words that speak for it."""

    name: str
    task: str
    stems: tuple[str, ...]


class Choice(msgspec.Struct, frozen=True):
    """Whom a question is for, and how sure that is, from 0 to 1."""

    agent: Agent
    confidence: float


SPECS: Final = Agent(
    "specs",
    "You answer technical questions: figures, dimensions, equipment, performance.",
    (
        *("power", "engine", "torque", "speed", "dimension", "weight", "length", "width", "height"),
        *("capacit", "batter", "range", "consum", "spec", "equip", "colou", "color", "price", "trim"),
        *("acceler", "motor", "kilowatt", "horsepower", "hp", "kw", "volume", "boot", "trunk", "seat"),
        *("tow", "charg", "fuel", "gear", "wheel", "feature", "feat", "big", "fast", "model"),
    ),
)
MAINTENANCE: Final = Agent(
    "maintenance",
    "You help with service and maintenance: intervals, appointments, fluids, what a workshop does and what a driver may do.",
    (
        *("maint", "servic", "appoint", "workshop", "oil", "fluid", "interval", "inspect", "filter"),
        *("replac", "rotat", "chang", "book", "schedul", "warrant", "wiper", "coolant", "refill", "wash"),
        *("clean", "check", "overdue", "due", "garage", "tyre", "tire", "pressure"),
    ),
)
TROUBLESHOOTING: Final = Agent(
    "troubleshooting",
    "You help to find out what is wrong: ask for what is missing, give steps in their order, and say when to stop driving.",
    (
        *("problem", "fault", "error", "warn", "light", "nois", "broken", "fail", "leak", "smok"),
        *("vibrat", "stall", "overheat", "wont", "cant", "doesnt", "isnt", "stuck", "dead", "flat"),
        *("diagnos", "symptom", "strange", "wrong", "stop", "start", "grind", "squeal", "blink", "fix"),
    ),
)
AGENTS: Final = (SPECS, MAINTENANCE, TROUBLESHOOTING)

_WORD: Final = re.compile(r"[a-z]+")
_STRONG: Final = frozenset(
    {"problem", "fault", "error", "warn", "wont", "doesnt", "nois", "smok", "leak", "appoint"}
)
"""They say by themselves what a question is about, whatever else is in it."""


def classify(text: str, before: Sequence[Message] = ()) -> Choice:
    """Whom a question is for by its words; by those of the last question before, if its own say nothing."""
    for asked in (text, *(one.content for one in list(before)[::-1] if one.role == "user")):
        words = _words(asked)
        scores = [_score(agent, words) for agent in AGENTS]
        total, best = sum(scores), max(scores)
        if total:
            return Choice(AGENTS[scores.index(best)], round(best / total, 2))
        if len(asked) > 200:
            break
    return Choice(SPECS, UNSURE)


def read_choice(answer: str) -> Agent | None:
    """The agent that a model has named, if it has."""
    found = [agent for agent in AGENTS if agent.name in answer.lower()]
    return found[0] if len(found) == 1 else None


def ask_for_choice(text: str) -> list[Message]:
    """What a model is asked to find out whom a question is for."""
    kinds = "\n".join(f"- {agent.name}: {agent.task}" for agent in AGENTS)
    system = f"Say which agent a question is for. Answer with its name alone.\n{kinds}"
    return [Message("system", system), Message("user", text[:MAX_LOOKED_AT_CHARS])]


def system_message(agent: Agent) -> str:
    """How an agent is told to answer."""
    return (
        f"You are the {agent.name} agent of a help desk. {agent.task} Answer from the passages that come with the "
        "question, in the language of the question, briefly. If they do not say it, say that you do not know."
    )


def with_passages(text: str, passages: Sequence[Passage]) -> str:
    """A question with what was found for it."""
    return f"Question: {text}\n\n{write_passages(passages)}" if passages else f"Question: {text}"


def confidence_of(choice: Choice, passages: Sequence[Passage]) -> float:
    """How well an answer is founded, from 0 to 1: by what was found, and by how sure the choice is."""
    best = max((passage.score for passage in passages), default=0.0)
    return round(min(1.0, 0.75 * min(best, 1.0) + 0.25 * choice.confidence), 2)


def _words(text: str) -> frozenset[str]:
    """The different words that it begins with."""
    begin = text[:MAX_LOOKED_AT_CHARS].lower()
    return frozenset(_WORD.findall(begin.replace("'", "").replace("’", "")))


def _score(agent: Agent, words: frozenset[str]) -> int:
    return sum((3 if stem in _STRONG else 1) for word in words for stem in agent.stems if _begins(word, stem))


def _begins(word: str, stem: str) -> bool:
    return word == stem if len(stem) <= 3 else word.startswith(stem)
