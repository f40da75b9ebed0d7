"""Plans as other parts of a program use them: start one, give it commands, look at it; and the runner of this process."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final, Literal, cast

import msgspec

from runcast.core.event import ANY_TAG, Cursor, Event, stream_name
from runcast.errors import Conflict, InvalidInput, StreamGap, StreamNotFound, StreamReset
from runcast.kinds.base import Publish
from runcast.kinds.plan import PLAN
from runcast.kinds.plan_commands import COMMAND_EVENT, check, command_data, read_command
from runcast.kinds.plan_definition import RESEARCH, PlanDefinition, StepDefinition, parse_plan
from runcast.kinds.plan_document import plan_document
from runcast.kinds.plan_fold import PLAN_STATE
from runcast.kinds.plan_state import MAX_PENDING, Command, PlanState
from runcast.live.bus import Bus
from runcast.log.base import Appended
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.model import LanguageModel
from runcast.runners.plans.context import Resources
from runcast.runners.plans.doing import Functions
from runcast.runners.plans.registry import ACTIONS, load_entry_points
from runcast.runners.plans.research import research
from runcast.runners.plans.runner import PlanRunner
from runcast.runners.plans.shared import Shared, Slots, Threads
from runcast.runners.threads import WorkThreads

ANSWER_WITHIN_S: Final = 5.0
REFUSED: Final = "command_refused"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a command.

    `done`: the runner has carried it out, and `event` is the type of the event that says so. `refused`: it makes no
    sense now, for the `reason`. `waiting`: it is stored, and no runner has answered yet; one will when there is one.
    """

    command_id: str
    command: str
    status: Literal["done", "refused", "waiting"]
    reason: str | None = None
    event: str | None = None
    seq: int | None = None

    @property
    def is_done(self) -> bool:
        """Whether it was carried out."""
        return self.status == "done"


class Plans:
    """Everything about plans of a log. For the event loop of `bus`.

    Any number of processes may have one on the same log, with `runner` in a `RunnerHost` or without: commands are events,
    and whoever holds the plan obeys. `model` and `knowledge` are for the steps that this process runs.

    Args:
        functions: where actions and gates are found; by default those registered by decorators and entry points.
        threads: where steps are done; by default `runner_threads` threads.
    """

    def __init__(
        self,
        bus: Bus,
        model: LanguageModel | None = None,
        knowledge: KnowledgeBase | None = None,
        *,
        functions: Functions | None = None,
        threads: Threads | None = None,
    ) -> None:
        settings = bus.settings
        self.bus = bus
        self.functions = functions or _registered()
        bus.kinds.setdefault(PLAN.name, PLAN)
        self.runner = PlanRunner(
            Shared(
                bus,
                threads or WorkThreads(settings.runner_threads, "runcast-step"),
                Slots(settings.runner_threads),
                Resources(model, knowledge),
                self.functions,
            )
        )

    async def start(
        self, plan: PlanDefinition | Mapping[str, Any], *, by: str | None = None, plan_id: str | None = None
    ) -> str:
        """Start a plan, and return its id; returned means stored. A runner takes it up, here or in another process.

        Args:
            plan: what `parse_plan` reads, or has read. Actions that this process does not know are refused.
            by: who starts it.
            plan_id: comes before the definition's own; without either, a new one is made. One of a plan that is over
                begins another run of it.

        Raises:
            InvalidInput, TooLarge: names the step and the field.
            Conflict: there is a plan of this id, and it is not over.
            LogError: nothing was stored.
        """
        read = parse_plan(_builtins(plan))
        self._check_known(read.steps, "steps[{index}]")
        wanted = plan_id or read.plan_id or f"plan_{secrets.token_hex(6)}"
        stream = stream_name(PLAN.name, wanted)
        event_id = await self._next_run(stream)
        (appended,) = await self.bus.publish_all([_begins(stream, read, by, event_id)]) or [None]
        if appended is None or appended.duplicate:
            raise Conflict(f'The plan "{wanted}" was started by somebody else at the same moment.')
        return wanted

    async def command(
        self,
        plan_id: str,
        command: str,
        *,
        by: str | None = None,
        command_id: str | None = None,
        timeout_s: float = ANSWER_WITHIN_S,
        **arguments: Any,
    ) -> Outcome:
        """Give a plan a command, and wait for the runner's answer, at most `timeout_s` seconds.

        Commands and their arguments: `pause`, `resume`, `cancel` (each with a `reason`, if you like),
        `retry_step`, `skip_step`, `remove_step` (`step_id`), `add_step` (`step`, a definition), `reorder` (`order`, step ids),
        `set_depends_on` (`step_id`, `depends_on`), `review` (`gate`, `approved`, `comment`).

        A repetition with the same `command_id` is one command. When cancelled, it may have been given or not.

        Raises:
            InvalidInput: the command or an argument cannot be; names it.
            StreamNotFound: there is no such plan.
            Conflict: the `command_id` was another command's.
            LogError: the log could not be used.
        """
        wanted = read_command(
            arguments.pop("step_id", None),
            {
                "command": command,
                "command_id": command_id or f"cmd_{secrets.token_hex(6)}",
                "by": by,
                **arguments,
            },
        )
        state = await self.state(plan_id)
        if wanted.step is not None:
            self._check_known([wanted.step], "step")
        refused = check(state, wanted)
        if refused is None and len(state.pending) >= MAX_PENDING and wanted.command_id not in state.pending:
            refused = f"{MAX_PENDING} commands wait for an answer already; try again in a moment."
        if refused is not None:
            return _outcome(wanted, "refused", reason=refused)
        return await self._give(stream_name(PLAN.name, plan_id), wanted, timeout_s)

    async def state(self, plan_id: str) -> PlanState:
        """The fold of a plan's current run. Cancellation-safe.

        Raises:
            InvalidStreamName: no plan can be called so.
            StreamNotFound: there is no such plan.
        """
        state = await self.bus.fold(stream_name(PLAN.name, plan_id), PLAN_STATE)
        if not state.events:
            raise StreamNotFound(f'There is no plan "{plan_id}".')
        return state

    async def document(self, plan_id: str) -> dict[str, Any]:
        """The plan as clients read it; see `plan_document`. Raises as `state`. Cancellation-safe."""
        return plan_document(plan_id, await self.state(plan_id))

    async def _next_run(self, stream: str) -> str:
        """The event id that the start of this stream's next run has: of two starts at once, the second is a repetition."""
        info = await self.bus.info(stream)
        if info.epoch:
            state = await self.bus.fold(stream, PLAN_STATE)
            if state.events and not (state.is_over or info.ended):
                raise Conflict(
                    f'There is a plan "{stream.partition(":")[2]}" already, and it is {state.status}.'
                )
        return f"start:{info.epoch}"

    def _check_known(self, steps: Sequence[StepDefinition], place: str) -> None:
        """Refuse steps whose actions or gates this process does not know."""
        for index, step in enumerate(steps):
            where = place.format(index=index)
            _check_one_of(f"{where}.action", "action", step.action, self.functions.actions)
            gate = step.quality_gate
            if gate is not None and gate.check is not None:
                _check_one_of(f"{where}.quality_gate.check", "gate", gate.check, self.functions.gates)

    async def _check_same(self, stream: str, given: Appended, command: Command) -> None:
        """A repetition must be one: an id that was used for something else would be answered with its answer."""
        before = Cursor(given.epoch, given.seq - 1, ANY_TAG)
        page = await self.bus.read(stream, before if given.seq > 1 else None, limit=1)
        stored = next((event for event in page.events if event.seq == given.seq), None)
        if stored is None or stored.type != COMMAND_EVENT or _asked(stored) != _wanted(command):
            raise Conflict(
                f"command_id: {command.command_id} was given to something else already; use another one."
            )

    async def _give(self, stream: str, command: Command, timeout_s: float) -> Outcome:
        data = {"step_id": command.step_id, "data": command_data(command)}
        given = await self.bus.publish(stream, COMMAND_EVENT, data, id=f"command:{command.command_id}")
        if given is None:
            return _outcome(command, "refused", reason="A processor of this server dropped the command.")
        if given.duplicate:
            await self._check_same(stream, given, command)
        try:
            async with asyncio.timeout(timeout_s):
                answer = await _find_answer(self.bus, stream, str(given.cursor), command.command_id)
        except TimeoutError:
            return _outcome(command, "waiting")
        if answer is None:
            return _outcome(command, "refused", reason="The plan was removed.")
        if answer.type == REFUSED:
            return _outcome(command, "refused", reason=_data(answer).get("reason"), answer=answer)
        return _outcome(command, "done", answer=answer)


def _registered() -> Functions:
    """What decorators and installed packages have registered, and "research", unless somebody has one of their own."""
    if RESEARCH not in ACTIONS:
        ACTIONS.add(RESEARCH, research)
    load_entry_points()
    return Functions()


async def _find_answer(bus: Bus, stream: str, after: str, command_id: str) -> Event | None:
    """The first event that answers a command; None if the stream ends without."""
    while True:
        try:
            events = cast("AsyncGenerator[Event]", bus.subscribe(stream, after=after))
            async with aclosing(events) as following:
                async for event in following:
                    if event.type != COMMAND_EVENT and _data(event).get("command_id") == command_id:
                        return event
            return None
        except StreamReset:
            return None
        except StreamGap as gap:
            after = gap.cursor


def _data(event: Event) -> dict[str, Any]:
    stored = msgspec.json.decode(event.data)
    data = stored.get("data")
    return cast("dict[str, Any]", data) if isinstance(data, dict) else {}


def _outcome(
    command: Command,
    status: Literal["done", "refused", "waiting"],
    *,
    reason: str | None = None,
    answer: Event | None = None,
) -> Outcome:
    return Outcome(
        command_id=command.command_id,
        command=command.command,
        status=status,
        reason=reason,
        event=answer.type if answer else None,
        seq=answer.seq if answer else None,
    )


def _check_one_of(place: str, what: str, name: str, known: Iterable[str]) -> None:
    names = sorted(known)
    if name not in names:
        there = ", ".join(names) or "none"
        raise InvalidInput(f'{place}: there is no {what} "{name}"; there are: {there}.', field=place)


def _wanted(command: Command) -> dict[str, Any]:
    """What a command says, whoever gives it."""
    told = msgspec.json.decode(msgspec.json.encode(command_data(command)))
    return {"step_id": command.step_id, **{name: value for name, value in told.items() if name != "by"}}


def _asked(event: Event) -> dict[str, Any]:
    stored = msgspec.json.decode(event.data)
    data = {name: value for name, value in _data(event).items() if name != "by"}
    return {"step_id": stored.get("step_id"), **data}


def _builtins(plan: PlanDefinition | Mapping[str, Any]) -> object:
    return msgspec.to_builtins(plan) if isinstance(plan, PlanDefinition) else plan


def _begins(stream: str, plan: PlanDefinition, by: str | None, event_id: str) -> Publish:
    """The event that starts it; with the documented `query` and `total_steps`."""
    data: dict[str, Any] = {
        "query": plan.query or plan.name,
        "name": plan.name or plan.query[:200],
        "total_steps": len(plan.steps),
        "managed": True,
        "by": by,
        "parallel_steps": plan.parallel_steps,
        "metadata": plan.metadata,
        "steps": [{**msgspec.to_builtins(step), "name": step.title} for step in plan.steps],
    }
    return Publish(stream=stream, type="plan_started", data={"step_id": None, "data": data}, id=event_id)
