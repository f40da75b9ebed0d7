"""What is known of a run from its events so far, as far as it is shown: the kind's own fold, and what streams in beside it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Protocol

import msgspec

from runcast.cli.run_place import Kind, RunPlace
from runcast.cli.run_words import fields_of
from runcast.core.event import Event, parse_time
from runcast.kinds.plan_document import plan_document
from runcast.kinds.plan_fold import PLAN_STATE
from runcast.kinds.plan_state import PlanState
from runcast.kinds.workflow_state import WORKFLOW_STATE, WorkflowState, to_document

INTERRUPTED: Final = "interrupted at the terminal"
KEPT_CHARS: Final = 600
"""Of the text that an agent or a step streams: its end."""
_ANY_TIME_US: Final = 2**62


class Question(NamedTuple):
    """What a person is asked. `ask` is the same for as long as it is the same question."""

    ask: str
    text: str
    details: str
    kind: Kind
    run_id: str
    gate: str = ""

    def answer(self, place: RunPlace, approved: bool, comment: str | None) -> None:
        """Answer it; raises `Conflict` if somebody was quicker."""
        if self.kind == "workflow":
            place.approve(self.ask, approved, comment)
        else:
            place.command(self.run_id, "review", gate=self.gate, approved=approved, comment=comment)

    def command(self) -> str:
        """The command that answers it."""
        named = self.ask if self.kind == "workflow" else f"{self.run_id} {self.gate}"
        return f"runcast {self.kind} {'approve' if self.kind == 'workflow' else 'review'} {named}"


class Watching(Protocol):
    """One run as it is watched."""

    kind: Kind
    run_id: str

    def take(self, event: Mapping[str, Any]) -> None:
        """Take the next native event."""
        ...

    def clear(self) -> None:
        """Forget everything: the stream is told from its start again."""
        ...

    @property
    def status(self) -> str:
        """What it is in: `running`, `completed` and so on."""
        ...

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        ...

    def questions(self) -> list[Question]:
        """What waits for a person, the oldest first."""
        ...

    def cancel(self, place: RunPlace) -> None:
        """Ask its runner to cancel it."""
        ...

    def document(self) -> dict[str, Any]:
        """What it has come to, as the server's JSON has it."""
        ...


class WorkflowWatching:
    """See `Watching`. `said` is what each agent has last streamed."""

    kind: Kind = "workflow"

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.state = WorkflowState()
        self.said: dict[str, str] = {}
        self.began_s: dict[str, float] = {}
        self.progress_s = 0.0

    def take(self, event: Mapping[str, Any]) -> None:
        """See `Watching`."""
        WORKFLOW_STATE.step(self.state, event_of(event))
        data = fields_of(event.get("data"))
        agent_id = str(data.get("agent_id") or "")
        match event["type"]:
            case "agent_output":
                self.said[agent_id] = _end(self.said.get(agent_id, "") + str(data.get("content") or ""))
            case "agent_spawned":
                self.said[agent_id] = ""
                self.began_s[agent_id] = _when_s(event)
            case "workflow_progress":
                self.progress_s = _when_s(event)
            case _:
                pass

    def clear(self) -> None:
        """See `Watching`."""
        self.__init__(self.run_id)

    @property
    def status(self) -> str:
        """See `Watching`."""
        return self.state.status or "pending"

    @property
    def is_over(self) -> bool:
        """See `Watching`."""
        return self.state.is_over

    def questions(self) -> list[Question]:
        """See `Watching`."""
        return [
            Question(one.approval_id, one.question, _details(one.details), "workflow", self.run_id)
            for one in self.state.pending_approvals
        ]

    def cancel(self, place: RunPlace) -> None:
        """See `Watching`."""
        place.cancel(self.run_id, INTERRUPTED)

    def document(self) -> dict[str, Any]:
        """See `Watching`."""
        return to_document(self.state, self.run_id)


class PlanWatching:
    """See `Watching`. `said` is what the model of each step has last streamed, `results` what they came to.

    A plan that has failed may be taken up again: up to the event `known` what it says of its end is history, and a
    command that waits for its answer may open it.
    """

    kind: Kind = "plan"

    def __init__(self, run_id: str, known: int = 0) -> None:
        self.run_id = run_id
        self._known = known
        self._seq = 0
        self.state = PlanState()
        self.said: dict[str, str] = {}
        self.results: dict[str, Any] = {}
        self._asked: dict[str, int] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        """See `Watching`."""
        PLAN_STATE.step(self.state, event_of(event))
        self._seq = event["seq"]
        stored = fields_of(event.get("data"))
        step_id, data = str(stored.get("step_id") or ""), fields_of(stored.get("data"))
        match event["type"]:
            case "step_started":
                self.said[step_id] = ""
            case "step_progress" if data.get("delta"):
                self.said[step_id] = _end(self.said.get(step_id, "") + str(data["delta"]))
            case "step_completed" if "result" in data:
                self.results[step_id] = data["result"]
            case "review_required":
                self.results[step_id] = data.get("result")
                self._asked[step_id] = event["seq"]
            case _:
                pass

    def clear(self) -> None:
        """See `Watching`."""
        self.__init__(self.run_id)

    @property
    def status(self) -> str:
        """See `Watching`."""
        return self.state.status

    @property
    def is_over(self) -> bool:
        """See `Watching`."""
        return self.state.is_over and not self.state.pending and self._seq >= self._known

    def questions(self) -> list[Question]:
        """See `Watching`."""
        if self.is_over:
            return []
        return [self._question(step_id) for step_id in self.state.in_status("review")]

    def cancel(self, place: RunPlace) -> None:
        """See `Watching`."""
        place.command(self.run_id, "cancel", reason=INTERRUPTED)

    def document(self) -> dict[str, Any]:
        """See `Watching`."""
        return plan_document(self.run_id, self.state)

    def _question(self, step_id: str) -> Question:
        step = self.state.steps[step_id]
        reason = step.reason or "A person has to look at its result."
        ask = f"{step_id}#{self._asked.get(step_id, 0)}"
        result = text_of(self.results.get(step_id))
        return Question(
            ask, f"{step.definition.title}: {reason}", result[:KEPT_CHARS], "plan", self.run_id, step_id
        )


def watching(kind: Kind, run_id: str, known: int = 0) -> WorkflowWatching | PlanWatching:
    """A run of which no event has come yet; it has had `known` events so far."""
    return WorkflowWatching(run_id) if kind == "workflow" else PlanWatching(run_id, known)


def text_of(result: Any) -> str:
    """A step's result as text: its `content`, if it has one."""
    content = fields_of(result).get("content")
    if isinstance(content, str):
        return content
    if isinstance(result, str):
        return result
    if result is None:
        return ""
    return msgspec.json.format(msgspec.json.encode(result), indent=2).decode()


def event_of(value: Mapping[str, Any]) -> Event:
    """A native event as folds take it."""
    return Event(
        stream=value["stream"],
        epoch="",
        seq=value["seq"],
        position=0,
        id=value["id"],
        type=value["type"],
        time=parse_time(value["time"], _ANY_TIME_US),
        data=msgspec.json.encode(value.get("data") or {}),
    )


def _when_s(value: Mapping[str, Any]) -> float:
    """When it happened, in seconds of the wall clock; not later than now."""
    return min(parse_time(value["time"], _ANY_TIME_US) / 1e6, time.time())


def _end(text: str) -> str:
    return text[-KEPT_CHARS:]


def _details(details: bytes) -> str:
    value = msgspec.json.decode(details)
    if not value:
        return ""
    return "\n".join(
        f"{name}: {one if isinstance(one, str) else msgspec.json.encode(one).decode()}"
        for name, one in value.items()
    )
