"""What people are asked: the approvals that wait in workflows, and the answers to them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from runcast.auth.grants import Grants
from runcast.core.event import stream_name
from runcast.errors import ApprovalNotFound, InvalidStreamName
from runcast.feeds.system.telling import OPEN
from runcast.kinds.workflow import NAME, workflow_id_of
from runcast.kinds.workflow_fields import MAX_SENTENCE_CHARS, STATUSES
from runcast.kinds.workflow_state import WORKFLOW_STATE, approval_document
from runcast.kinds.workflow_summary import WORKFLOW_SUMMARY
from runcast.live.bus import Bus
from runcast.runners.workflows.approvals import answer, workflow_of
from runcast.transport.access import access_of
from runcast.transport.fields import read_fields
from runcast.transport.rest import json_response
from runcast.transport.run_list import RunList

MAX_BODY_BYTES: Final = 64 * 1024


class Approvals:
    """The handlers. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._list = RunList(bus, NAME, WORKFLOW_SUMMARY, STATUSES)

    async def index(self, request: Request) -> Response:
        """Those that wait, of workflows that may be read; the latest workflow first."""
        may_read = access_of(request.scope).grants.may_read
        documents: list[dict[str, Any]] = []
        for run in await self._list.newest(OPEN, may_read):
            if run.state.pending_approvals:  # the list's state is without the details
                state = await self._bus.fold(run.info.stream, WORKFLOW_STATE)
                workflow_id = workflow_id_of(run.info.stream)
                documents += [approval_document(one, workflow_id) for one in state.pending_approvals]
        return json_response({"approvals": documents, "total": len(documents)})

    async def resolve(self, request: Request) -> Response:
        """Answered when the answer is on disk. The first answer counts; another one is refused."""
        access = access_of(request.scope)
        approval_id: str = request.path_params["approval_id"]
        fields = await read_fields(request, MAX_BODY_BYTES)
        fields.only("approved", "comment")
        approved = fields.truth("approved")
        comment = fields.text_or_none("comment", MAX_SENTENCE_CHARS)
        by = access.known().sub
        stream = await self._find(approval_id, access.grants)
        access.check_write([stream])
        told = await answer(self._bus, stream, approval_id, approved=approved, by=by, comment=comment)
        return json_response(approval_document(told, workflow_id_of(stream)))

    async def _find(self, approval_id: str, grants: Grants) -> str:
        """The stream of the workflow that asks it: our own say it in their questions' ids.

        Raises:
            ApprovalNotFound: none that whoever answers may know of.
        """

        def may_know(stream: str) -> bool:
            return grants.may_read(stream) or grants.may_write(stream)

        with suppress(InvalidStreamName):
            stream = stream_name(NAME, workflow_of(approval_id))
            if may_know(stream) and approval_id in (await self._bus.fold(stream, WORKFLOW_STATE)).approvals:
                return stream
        for run in await self._list.newest(OPEN, may_know):
            if approval_id in run.state.approvals:
                return run.info.stream
        raise ApprovalNotFound(f"There is no approval {approval_id[:200]}.")
