"""Questions to people: asked once, waited for without a place among those at work, answered from any process."""

from __future__ import annotations

import asyncio
from typing import Any

from runcast.kinds.workflow_fields import MAX_SENTENCE_CHARS
from runcast.kinds.workflow_state import Approval as Known
from runcast.runners.claim import Claim
from runcast.runners.workflows.context import Approval
from runcast.runners.workflows.publisher import Publisher


def approval_id(workflow_id: str, number: int) -> str:
    """The id of a workflow's so-many-th question: the same one after a restart."""
    return f"{workflow_id}.{number}"


def workflow_of(approval: str) -> str:
    """The workflow whose question this is; empty if it is no such id."""
    return approval.rpartition(".")[0]


def answer_event_id(approval: str) -> str:
    """The id of the event that answers it: whichever answer is stored first is the only one."""
    return f"approval:{approval}"


class Questions:
    """The questions of one run, and the answers that were heard."""

    def __init__(self, workflow_id: str, known: dict[str, Known], claim: Claim, publisher: Publisher) -> None:
        self._workflow_id = workflow_id
        self._claim = claim
        self._publisher = publisher
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
                await waiting
        return self._answers[asked]
