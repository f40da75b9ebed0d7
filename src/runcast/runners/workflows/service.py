"""Workflows for whoever starts, cancels and answers them, in any process of the log; and the runner of them all."""

from __future__ import annotations

import logging
import secrets

from runcast.config import Settings
from runcast.errors import ApprovalNotFound, InvalidInput, InvalidStreamName, StreamNotFound
from runcast.kinds.base import Publish
from runcast.kinds.workflow import COMMAND, CREATED, NAME, RESOLVED, WORKFLOW, workflow_id_of, workflow_stream
from runcast.kinds.workflow_fields import MAX_STEPS, MAX_TASK_CHARS
from runcast.kinds.workflow_state import WORKFLOW_STATE, Approval, WorkflowState
from runcast.live.bus import Bus
from runcast.runners.claim import Claim
from runcast.runners.model import LanguageModel
from runcast.runners.threads import WorkThreads
from runcast.runners.workflows import registry, research
from runcast.runners.workflows.approvals import LINGER_S, MAX_LINGERING, Patience, answer, workflow_of
from runcast.runners.workflows.bridge import Knowledge
from runcast.runners.workflows.run import Tools, WorkflowRun

logger = logging.getLogger("runcast.workflows")

SPARE_THREADS = 64
"""Beside those of workflows at work or shortly waiting: for functions that are late to leave when they are ended."""
MAX_UNKNOWN = 1_000
"""So many names of workflows that nobody here knows are remembered, to complain of each but once."""

registry.workflow(registry.DEFAULT)(research.research)


class Workflows:
    """The workflows of a log.

    `start`, `cancel`, `resolve_approval` and `state` may be used in any process; `run` is for a `RunnerHost`.

    Args:
        bus: gets to know the workflow kind, if it does not.
        model: asked by agents.
        knowledge: searched by agents.
        settings: the bus's, if not given.
        threads: where agents work; by default `runner_threads` threads of their own.
        linger_s: so long a function waits for an answer where it asked, before it is left; see `Context.approve`.
    """

    kind = NAME
    wakes = frozenset({RESOLVED})
    settles: frozenset[str] = frozenset()

    def __init__(
        self,
        bus: Bus,
        model: LanguageModel,
        knowledge: Knowledge,
        settings: Settings | None = None,
        *,
        threads: WorkThreads | None = None,
        linger_s: float = LINGER_S,
    ) -> None:
        settings = settings or bus.settings
        bus.kinds.setdefault(NAME, WORKFLOW)
        self._bus = bus
        self._tools = Tools(
            model,
            knowledge,
            agents=threads or WorkThreads(settings.runner_threads, "runcast-agent"),
            bodies=WorkThreads(settings.max_workflows + MAX_LINGERING + SPARE_THREADS, "runcast-workflow"),
            patience=Patience(linger_s),
        )
        self._runs: dict[str, WorkflowRun] = {}
        self._unknown: set[str] = set()
        registry.load_entry_points()

    # For everybody

    @property
    def names(self) -> list[str]:
        """What can be started here."""
        return registry.names()

    @property
    def active_workflows(self) -> int:
        """How many run in this process now."""
        return len(self._runs)

    @property
    def active_agents(self) -> int:
        """How many of their agents are at work in this process now."""
        return sum(run.agents_at_work for run in self._runs.values())

    async def start(
        self,
        task: str,
        *,
        workflow: str = registry.DEFAULT,
        max_steps: int | None = None,
        parent_workflow_id: str | None = None,
        by: str | None = None,
    ) -> str:
        """Begin a workflow and return its id; returned means stored. Some process with a runner will run it.

        Raises:
            InvalidInput: `task`, `workflow`, `max_steps` or `parent_workflow_id` cannot be; names it.
            LogError: nothing was stored.
        """
        _check(task, max_steps)
        if registry.find(workflow) is None:
            raise InvalidInput(
                f"workflow: there is no {workflow} here; there are: {', '.join(self.names)}.",
                field="workflow",
            )
        if parent_workflow_id is not None:
            await self._check_parent(parent_workflow_id)
        workflow_id = f"wf_{secrets.token_hex(8)}"
        stream = workflow_stream(workflow_id)
        created = {
            "task": task,
            "workflow": workflow,
            "max_steps": max_steps,
            "parent_workflow_id": parent_workflow_id,
            "by": by,
        }
        status = {"status": "pending", "attempt": 1}
        await self._bus.publish_all(
            [
                Publish(stream=stream, type=CREATED, data=created),
                Publish(stream=stream, type="workflow_status", data=status),
            ]
        )
        return workflow_id

    async def state(self, workflow_id: str) -> WorkflowState:
        """What a workflow has come to.

        Raises:
            StreamNotFound: there is none of that id.
            InvalidStreamName: there can be none.
        """
        state = await self._bus.fold(workflow_stream(workflow_id), WORKFLOW_STATE)
        if not state.is_known:
            raise StreamNotFound(f"There is no workflow {workflow_id}.")
        return state

    async def cancel(self, workflow_id: str, by: str | None = None, reason: str | None = None) -> bool:
        """Tell its runner to cancel it; returned means that the command is stored. False if it is over already.

        A workflow that nobody here runs (of which only others' events are known) is told so, too; it is theirs
        to heed it.

        Raises:
            StreamNotFound: there is none of that id.
            LogError: nothing was stored.
        """
        state = await self.state(workflow_id)
        if state.is_over:
            return False
        if not state.cancel:
            command = {"command": "cancel", "by": by, "reason": reason}
            await self._bus.publish(workflow_stream(workflow_id), COMMAND, command)
        return True

    async def resolve_approval(
        self, approval_id: str, approved: bool, by: str | None = None, comment: str | None = None
    ) -> Approval:
        """Answer a question of a workflow of ours; see `approvals.answer`."""
        stream = workflow_stream(workflow_of(approval_id))
        try:
            return await answer(self._bus, stream, approval_id, approved=approved, by=by, comment=comment)
        except InvalidStreamName:
            raise ApprovalNotFound(f"There is no approval {approval_id[:200]}.") from None

    # The runner

    async def is_open(self, stream: str) -> bool:
        """See `Runner`. One that waits for a person is not: an answer, or a command to cancel it, opens it again.

        One whose function is not known here is left to those who know it, but can be ended.
        """
        state = await self._bus.fold(stream, WORKFLOW_STATE)
        if not state.is_open or state.is_waiting:
            return False
        if state.cancel or registry.find(state.workflow or "") is not None:
            return True
        if state.workflow not in self._unknown:
            if len(self._unknown) >= MAX_UNKNOWN:
                self._unknown.clear()
            self._unknown.add(state.workflow or "")
            logger.warning("%s waits for a process that knows the workflow %s", stream, state.workflow)
        return False

    async def is_ending(self, stream: str) -> bool:
        """See `Ending`."""
        state = await self._bus.fold(stream, WORKFLOW_STATE)
        return state.is_open and state.cancel

    async def run(self, claim: Claim) -> None:
        """See `Runner`."""
        run = WorkflowRun(self._bus, claim, self._tools, registry.find)
        workflow_id = workflow_id_of(claim.stream)
        self._runs[workflow_id] = run
        try:
            await run.run()
        finally:
            del self._runs[workflow_id]

    async def _check_parent(self, parent_workflow_id: str) -> None:
        try:
            state = await self._bus.fold(workflow_stream(parent_workflow_id), WORKFLOW_STATE)
        except InvalidStreamName:
            state = WorkflowState()
        if state.synthesis is None:
            said = "has no result" if state.is_known else "is not known"
            raise InvalidInput(
                f"parent_workflow_id: this workflow {said}; name one that was completed.",
                field="parent_workflow_id",
            )


def _check(task: str, max_steps: int | None) -> None:
    if not 1 <= len(task) <= MAX_TASK_CHARS or not task.strip():
        raise InvalidInput(f"task: 1 to {MAX_TASK_CHARS} characters, not only spaces.", field="task")
    if max_steps is not None and not 1 <= max_steps <= MAX_STEPS:
        raise InvalidInput(f"max_steps: 1 to {MAX_STEPS}, or null.", field="max_steps")
