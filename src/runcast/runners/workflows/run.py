"""One run of a workflow in this process, from its claim to its terminal event."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from runcast.core.event import ANY_TAG, MICROSECONDS, Cursor, Event
from runcast.errors import InvalidInput, LogError
from runcast.kinds.base import Publish
from runcast.kinds.stored import fields_of, text
from runcast.kinds.workflow import COMMAND, RESOLVED, WORKFLOW, workflow_id_of, workflow_stream
from runcast.kinds.workflow_fields import MAX_ATTEMPTS
from runcast.kinds.workflow_state import WORKFLOW_STATE, WorkflowState
from runcast.live.bus import Bus
from runcast.live.folds import advance_all
from runcast.runners.claim import Claim
from runcast.runners.model import LanguageModel, estimate_tokens
from runcast.runners.threads import WorkThreads
from runcast.runners.workflows.agents import Agents
from runcast.runners.workflows.approvals import Patience, Questions
from runcast.runners.workflows.bridge import Bridge, Knowledge
from runcast.runners.workflows.context import AgentResult, Context, Facts, Parent, result_of
from runcast.runners.workflows.estimate import Estimate
from runcast.runners.workflows.failure import Cancelled, sentence_of
from runcast.runners.workflows.meter import Meter
from runcast.runners.workflows.portal import Portal
from runcast.runners.workflows.publisher import Publisher
from runcast.runners.workflows.registry import Workflow

logger = logging.getLogger("runcast.workflows")

LEAVE_S = 10.0
"""So long a function may take to leave, when it waits for a person; then it may be called again beside itself."""


class Tools(NamedTuple):
    """What all runs of a process share. `bodies` are the threads of the workflows themselves."""

    model: LanguageModel
    knowledge: Knowledge
    agents: WorkThreads
    bodies: WorkThreads
    patience: Patience


class Completed(NamedTuple):
    """The workflow returned."""

    result: AgentResult


class Failed(NamedTuple):
    """It cannot be completed; what is told of it."""

    sentence: str


class Stopped(NamedTuple):
    """Somebody has cancelled it."""

    by: str | None = None
    reason: str | None = None


class Parked(NamedTuple):
    """Nothing can be done here before a question is answered."""

    question: str


Outcome = Completed | Failed | Stopped | Parked


class WorkflowRun:
    """Runs `workflow` (None if there is none here: then it can only be ended) under a claim."""

    def __init__(self, bus: Bus, claim: Claim, tools: Tools, find: Callable[[str], Workflow | None]) -> None:
        self._bus = bus
        self._claim = claim
        self._tools = tools
        self._find = find
        self._publisher = Publisher(claim)
        self._estimate = Estimate()
        self._state = WorkflowState()
        self._meter = Meter()
        self._agents: Agents | None = None
        self._questions: Questions | None = None
        self._heard: list[Event] = []
        self._attempt = 0
        self._calls_told = 0
        self._outcome: asyncio.Future[Outcome | None] = asyncio.get_running_loop().create_future()

    @property
    def agents_at_work(self) -> int:
        """How many of its agents have a thread now."""
        return len(self._agents.at_work) if self._agents else 0

    async def run(self) -> None:
        """Bring it to its terminal event, or to where it waits for a person. Cancelled, it stops, to go on elsewhere.

        Raises:
            StaleToken: it belongs to another process now.
            LogError: what happened cannot be told; nothing was claimed to be complete.
        """
        with self._claim.listen(self._hear):
            self._state = await self._bus.fold(self._claim.stream, WORKFLOW_STATE)
            if self._state.is_over:
                return
            outcome = await self._until_outcome()
            if isinstance(outcome, Parked):
                await self._tell_metrics_once()
            elif outcome is not None:
                await self._end(outcome)
        await advance_all(self._bus, self._claim.stream, list(WORKFLOW.folds.values()), keep=True)

    # Until it has come to something

    async def _until_outcome(self) -> Outcome | None:
        """What has become of it; None if somebody else has ended it."""
        state = self._state
        if state.cancel:
            return Stopped(state.cancelled_by, state.cancel_reason)
        workflow = self._find(state.workflow or "")
        if workflow is None:
            return Failed(f"There is no workflow {state.workflow} here.")
        self._meter = Meter(state.resources.tokens, state.resources.llm_calls)
        self._calls_told = self._meter.llm_calls
        facts = await self._facts()
        await self._complete_outputs()
        async with asyncio.TaskGroup() as group:
            portal = Portal(group, self._give_up)
            bridge = self._bridge(facts, portal)
            metrics = group.create_task(self._tell_metrics())
            body = group.create_task(self._run_body(bridge, portal, workflow))
            try:
                await asyncio.wait([self._outcome])
                if _is_parked(self._outcome):
                    portal.close()
                    await asyncio.wait([body], timeout=LEAVE_S)  # it is to be left before it is called again
            finally:
                portal.close()
                metrics.cancel()
                body.cancel()
        return self._outcome.result()

    def _bridge(self, facts: Facts, portal: Portal) -> Bridge:
        state = self._state
        self._agents = Agents(
            state.agents,
            publisher=self._publisher,
            model=self._tools.model,
            threads=self._tools.agents,
            run_meter=self._meter,
            estimate=self._estimate,
            since_s=self._since_s,
        )
        self._questions = Questions(
            facts.workflow_id,
            state.approvals,
            self._claim,
            self._publisher,
            patience=self._tools.patience,
            park=self._park,
        )
        for event in self._heard:
            self._take(event)
        return Bridge(
            facts,
            portal,
            agents=self._agents,
            questions=self._questions,
            publisher=self._publisher,
            estimate=self._estimate,
            knowledge=self._tools.knowledge,
        )

    async def _facts(self) -> Facts:
        state, parent = self._state, None
        if state.parent_workflow_id:
            known = await self._bus.fold(workflow_stream(state.parent_workflow_id), WORKFLOW_STATE)
            if known.synthesis is not None:
                came = known.synthesis
                parent = Parent(state.parent_workflow_id, known.task, came.content, came.confidence)
        workflow_id = workflow_id_of(self._claim.stream)
        return Facts(workflow_id, state.task, state.max_steps, parent, min(state.attempt + 1, MAX_ATTEMPTS))

    async def _complete_outputs(self) -> None:
        """Read from the stream what agents returned, where the fold keeps only the beginning of it.

        Raises:
            LogError: the stream could not be read.
        """
        cut = [agent for agent in self._state.agents.values() if agent.is_cut and agent.status == "completed"]
        for agent in cut:
            after = Cursor(self._claim.epoch, agent.seq - 1, ANY_TAG)
            page = await self._bus.read(self._claim.stream, after, limit=1)
            event = next((event for event in page.events if event.seq == agent.seq), None)
            if event is None:
                logger.warning("%s: event %d is not kept any more", self._claim.stream, agent.seq)
            else:
                agent.content = text(fields_of(event), "content") or ""

    async def _run_body(self, bridge: Bridge, portal: Portal, workflow: Workflow) -> None:
        """The workflow itself, in a thread."""
        who = f"workflow {self._state.workflow}"

        def body() -> Outcome | None:
            try:
                bridge.begin()
                self._attempt = bridge.facts.attempt
                return Completed(result_of(workflow(Context(bridge)), who))
            except Cancelled:
                return None if portal.is_closed else Failed(f"{who} has stopped itself.")
            except BaseException as error:  # noqa: BLE001 - a thread's root: SystemExit must not reach the loop
                return Failed(sentence_of(error, who))

        outcome = await asyncio.wrap_future(self._tools.bodies.submit(body))
        if outcome is not None:
            self._decide(outcome)

    async def _tell_metrics(self) -> None:
        """Tell of what it uses while it works; not while it only waits for people, maybe for days."""
        while True:
            await asyncio.sleep(self._bus.settings.health_interval_s)
            try:
                await self._tell_metrics_once()
            except LogError as error:
                self._give_up(error)
                return

    async def _tell_metrics_once(self) -> None:
        if self.agents_at_work or self._meter.llm_calls != self._calls_told:
            self._calls_told = self._meter.llm_calls
            await self._publisher.tell("resource_metrics", **self._meter.metrics())

    async def _park(self, question: str) -> bool:
        """Leave the run until this is answered, if whoever is to open it again then will know of it."""
        state = await self._bus.fold(self._claim.stream, WORKFLOW_STATE)
        if state.waits_for != question:
            return False
        self._decide(Parked(question))
        return True

    def _hear(self, event: Event) -> None:
        """What others publish: commands, answers, an end."""
        if event.type in {COMMAND, RESOLVED} or event.type in WORKFLOW.terminals:
            if self._questions is None:
                self._heard.append(event)  # looked at when the run's parts are there
            self._take(event)

    def _take(self, event: Event) -> None:
        if event.type in WORKFLOW.terminals:
            self._decide(None)
            return
        fields: Any = msgspec.json.decode(event.data)
        if event.type == COMMAND and fields.get("command") == "cancel":
            self._decide(Stopped(fields.get("by"), fields.get("reason")))
        elif event.type == RESOLVED and self._questions is not None:
            self._questions.hear(fields)

    def _decide(self, outcome: Outcome | None) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)

    def _give_up(self, error: LogError) -> None:
        if not self._outcome.done():
            self._outcome.set_exception(error)
            self._outcome.exception()  # known of, also if nobody waits for it any more

    # The end

    async def _end(self, outcome: Outcome) -> None:
        """Tell what has become of it, all in one commit."""
        try:
            await self._publisher.publish(*self._last_events(outcome))
        except InvalidInput as error:
            sentence = f"What came of it cannot be stored: {error}"
            await self._publisher.publish(*self._last_events(Failed(sentence)))

    def _last_events(self, outcome: Outcome) -> Sequence[Publish]:
        event, attempt = self._publisher.event, self._attempt or max(self._state.attempt, 1)
        metrics = [event("resource_metrics", **self._meter.metrics())] if self._agents else []
        match outcome:
            case Completed(result):
                return [
                    *metrics,
                    event("workflow_progress", percent=100, eta_seconds=0, message="Done."),
                    event("workflow_status", status="completed", attempt=attempt),
                    event("workflow_complete", **self._completion(result)),
                ]
            case Failed(sentence):
                status, error = "failed", sentence
            case Stopped(by, reason):
                status, error = "cancelled", _cancelled(by, reason)
            case Parked():
                return []
        return [
            *metrics,
            event("workflow_status", status=status, attempt=attempt),
            event("workflow_error", error=error, status=status),
        ]

    def _completion(self, result: AgentResult) -> dict[str, Any]:
        outputs = list(self._agents.completed.values()) if self._agents else []
        known = [output.confidence for output in outputs if output.confidence is not None]
        confidence = result.confidence
        if confidence is None:
            confidence = round(sum(known) / len(known), 2) if known else 0.0
        synthesized = [output for output in outputs if output.agent_type != "synthesis"]
        return {
            "status": "completed",
            "synthesis": {
                "content": result.content,
                "confidence": confidence,
                "agents_synthesized": len(synthesized),
                "token_count": estimate_tokens(result.content),
            },
            "performance_metrics": {
                "total_duration": self._since_s(),
                "llm_calls": self._meter.llm_calls,
                "total_tokens": self._meter.tokens,
            },
            "model": self._tools.model.name,
        }

    def _since_s(self) -> float:
        """Seconds since the workflow was asked for."""
        return round(max(self._bus.now_us() - self._state.created_at, 0) / MICROSECONDS, 3)


def _is_parked(outcome: asyncio.Future[Outcome | None]) -> bool:
    return outcome.exception() is None and isinstance(outcome.result(), Parked)


def _cancelled(by: str | None, reason: str | None) -> str:
    said = f"Cancelled by {by}" if by else "Cancelled"
    return f"{said}: {reason}" if reason else f"{said}."
