"""Questions to people: asked once, answered from any process.

A short while an answer is waited for without a place among those at work, but with the function's thread and the
claim; then these are given up, too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from runcast.errors import ApprovalNotFound, Conflict
from runcast.kinds.workflow import ANSWER_ID, RESOLVED
from runcast.kinds.workflow_fields import MAX_SENTENCE_CHARS
from runcast.kinds.workflow_state import WORKFLOW_STATE, WorkflowState
from runcast.kinds.workflow_state import Approval as Known
from runcast.live.bus import Bus
from runcast.runners.claim import Claim
from runcast.runners.workflows.context import Approval
from runcast.runners.workflows.publisher import Publisher

LINGER_S = 30.0
"""An answer that comes so soon finds the function where it asked."""
MAX_LINGERING = 64
"""So many workflows of a process at most wait with a thread and a claim; the others give them up at once."""


class Patience:
    """How long the workflows of a process wait for answers before they are parked. In the loop."""

    def __init__(self, linger_s: float = LINGER_S, most: int = MAX_LINGERING) -> None:
        self._linger_s = linger_s
        self._most = most
        self._lingering = 0

    async def wait(self, answer: asyncio.Future[Approval]) -> None:
        """Wait until the answer is there, or for as long as it may be waited for. Cancellation-safe."""
        if self._lingering >= self._most:
            return
        self._lingering += 1
        try:
            await asyncio.wait([answer], timeout=self._linger_s)
        finally:
            self._lingering -= 1


Park = Callable[[str], Awaitable[bool]]
"""Ends the run here until the question is answered; false if that cannot be. Called when it was waited for in vain."""


def approval_id(workflow_id: str, number: int) -> str:
    """The id of a workflow's so-many-th question: the same one after a restart."""
    return f"{workflow_id}.{number}"


def workflow_of(approval: str) -> str:
    """The workflow whose question this is; empty if it is no such id."""
    return approval.rpartition(".")[0]


def answer_event_id(approval: str) -> str:
    """The id of the event that answers it: whichever answer is stored first is the only one."""
    return f"{ANSWER_ID}{approval}"


async def answer(
    bus: Bus, stream: str, approval: str, *, approved: bool, by: str | None, comment: str | None
) -> Known:
    """Answer what the workflow of `stream` asks; returns the answer as it is stored, with the question.

    The first answer counts, from whichever process it comes. When it is cancelled, it may be stored or not.

    Raises:
        InvalidStreamName: `stream` can be none.
        ApprovalNotFound: nothing was asked there under this id.
        Conflict: somebody has answered already, or the workflow is over: nobody waits for an answer.
        LogError: nothing was stored.
    """
    _check_waiting(await bus.fold(stream, WORKFLOW_STATE), approval)
    fields = {"approval_id": approval, "approved": approved, "by": by, "comment": comment}
    appended = await bus.publish(stream, RESOLVED, fields, id=answer_event_id(approval))
    state = await bus.fold(stream, WORKFLOW_STATE)
    if appended is None or appended.duplicate:  # somebody was quicker
        _check_waiting(state, approval)
    return state.approvals[approval]


def _check_waiting(state: WorkflowState, approval_id: str) -> None:
    approval = state.approvals.get(approval_id)
    if approval is None:
        raise ApprovalNotFound(f"There is no approval {approval_id[:200]}.")
    if approval.approved is not None:
        said = "approved" if approval.approved else "refused"
        raise Conflict(f"That was {said} already, by {approval.by or 'somebody'}.")
    if state.is_over:
        raise Conflict(f"The workflow that asks is {state.status}; nobody waits for an answer.")


class Questions:
    """The questions of one run, and the answers that were heard."""

    def __init__(
        self,
        workflow_id: str,
        known: dict[str, Known],
        claim: Claim,
        publisher: Publisher,
        *,
        patience: Patience,
        park: Park,
    ) -> None:
        self._workflow_id = workflow_id
        self._claim = claim
        self._publisher = publisher
        self._patience = patience
        self._park = park
        self._asked = set(known)
        self._waiting: dict[str, asyncio.Future[Approval]] = {}
        self._answers = {
            one.approval_id: Approval(one.approved, one.by, one.comment)
            for one in known.values()
            if one.approved is not None
        }

    def hear(self, fields: dict[str, Any]) -> None:
        """Take an answer; the first one counts."""
        asked, approved = fields.get("approval_id"), fields.get("approved")
        if not isinstance(asked, str) or not isinstance(approved, bool):
            return
        answer = self._answers.setdefault(asked, Approval(approved, fields.get("by"), fields.get("comment")))
        waiting = self._waiting.get(asked)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def ask(self, number: int, question: str, details: dict[str, Any]) -> Approval:
        """The answer to the so-many-th question, asked if it was not yet.

        Raises:
            LogError: it cannot be asked.
            InvalidEvent, TooLarge: as it is, it cannot be asked.
        """
        asked = approval_id(self._workflow_id, number)
        if asked not in self._asked:
            fields = {"approval_id": asked, "question": question[:MAX_SENTENCE_CHARS], "details": details}
            await self._publisher.tell("approval_requested", f"approval_requested:{asked}", **fields)
            self._asked.add(asked)
        if asked not in self._answers:
            waiting = self._waiting[asked] = asyncio.get_running_loop().create_future()
            async with self._claim.resting():
                await self._patience.wait(waiting)
                if not waiting.done():
                    await self._park(asked)
                await waiting
        return self._answers[asked]
