"""Tells in the system's stream what happens elsewhere: approvals that workflows ask for, and that the system runs.

Each event told has an id derived from the one that caused it: several processes may tell, and it is told once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, cast

import msgspec

from runcast.core.event import Event
from runcast.core.scope import Scope
from runcast.errors import NEVER, InvalidInput, LogError
from runcast.kinds.base import Publish
from runcast.kinds.system import (
    APPROVAL_REQUESTED,
    APPROVAL_RESOLVED,
    EVENTS,
    RUNNING,
    STATUS_CHANGE,
    STOPPED,
    SYSTEM_STATE,
)
from runcast.kinds.workflow import CREATED, NAME, workflow_id_of
from runcast.kinds.workflow_fields import STATUSES
from runcast.kinds.workflow_state import OVER, Approval, approval_document
from runcast.kinds.workflow_summary import WORKFLOW_SUMMARY
from runcast.live.bus import Bus
from runcast.live.follower import follow
from runcast.transport.run_list import RunList

logger = logging.getLogger("runcast.system")

WORKFLOWS: Final = Scope.firehose(NAME)
OPEN: Final = frozenset(STATUSES) - OVER
RETRY_S: Final = 1.0
PAUSE_S: Final = 0.02
"""Between two looks: live traffic goes first, and many events are taken together."""

IsLast = Callable[[], Awaitable[bool]]

_APPROVALS: Final = frozenset({APPROVAL_REQUESTED, APPROVAL_RESOLVED})


async def tell_system(bus: Bus, is_last: IsLast | None = None) -> None:
    """Tell until cancelled; then, if the system was said to run, that it has stopped.

    `is_last` says whether no other node goes on; if not given, none does. What happened while no process told is made up for. Ends by itself when the log is closed or may only be read.
    """
    try:
        while True:
            try:
                await _follow(bus)
            except NEVER:
                return
            except LogError as error:
                logger.warning("the system's events wait: %s", error)
            except Exception:  # a task's root: it may fare better from now on
                logger.exception("telling the system's events failed")
            await asyncio.sleep(RETRY_S)
    except asyncio.CancelledError:
        if is_last is None or await is_last():
            await _say_stopped(bus)
        raise


async def set_running(bus: Bus, reason: str, caused_by: str = "") -> bool:
    """Say that the system runs, unless that was the last word; returns whether it was said now.

    Raises:
        LogError: it is not known whether it was said.
    """
    return await _set_status(bus, RUNNING, reason, caused_by)


async def _follow(bus: Bus) -> None:
    with follow(bus, WORKFLOWS) as follower:
        follower.position = (await bus.head()).offset
        await _look_back(bus)
        while True:
            for event in await follower.read():
                if event.type in _APPROVALS:
                    await _tell(bus, event.type, event.stream, _fields_of(event))
                elif event.type == CREATED:
                    await set_running(bus, f"workflow {workflow_id_of(event.stream)} has begun", event.id)
            await asyncio.sleep(PAUSE_S)


async def _look_back(bus: Bus) -> None:
    """Tell the approvals of all workflows that are not over: what was told already is told no second time."""
    for run in await RunList(bus, NAME, WORKFLOW_SUMMARY, STATUSES).newest(OPEN):
        for approval in run.state.approvals.values():
            await _tell_of(bus, run.info.stream, approval)


async def _tell_of(bus: Bus, stream: str, approval: Approval) -> None:
    fields = approval_document(approval, workflow_id_of(stream))
    await _tell(bus, APPROVAL_REQUESTED, stream, fields)
    if approval.approved is not None:
        await _tell(bus, APPROVAL_RESOLVED, stream, fields)


_TOLD: Final = {APPROVAL_REQUESTED: (), APPROVAL_RESOLVED: ("approved",)}
"""Not what is asked: whoever reads the system's events need not be allowed to read the workflow."""


async def _tell(bus: Bus, event_type: str, stream: str, fields: dict[str, Any]) -> None:
    approval_id = fields.get("approval_id")
    data = {"approval_id": approval_id, "workflow_id": workflow_id_of(stream)}
    data |= {name: fields.get(name) for name in _TOLD[event_type]}
    event_id = _derived_id(stream, event_type, str(approval_id))
    await _publish(bus, Publish(stream=EVENTS, type=event_type, data=data, id=event_id))


async def _set_status(bus: Bus, status: str, reason: str, caused_by: str = "") -> bool:
    last = (await bus.fold(EVENTS, SYSTEM_STATE)).status
    if last == status:
        return False
    data = {"status": status, "previous": last, "reason": reason}
    event_id = _derived_id(status, caused_by) if caused_by else None
    return await _publish(bus, Publish(stream=EVENTS, type=STATUS_CHANGE, data=data, id=event_id))


async def _say_stopped(bus: Bus) -> None:
    try:
        if (await bus.fold(EVENTS, SYSTEM_STATE)).status == RUNNING:
            await _set_status(bus, STOPPED, "the server shuts down")
    except LogError as error:
        logger.info("nobody is told that the system has stopped: %s", error)


async def _publish(bus: Bus, publish: Publish) -> bool:
    try:
        return any(not one.duplicate for one in await bus.publish_all([publish]))
    except InvalidInput as error:  # what was stored elsewhere need not fit here, and processors may change it
        logger.warning("the system's events are without a %s: %s", publish.type, error)
        return False


def _derived_id(*causes: str) -> str:
    return "told:" + hashlib.sha256("\n".join(causes).encode()).hexdigest()[:32]


def _fields_of(event: Event) -> dict[str, Any]:
    fields = msgspec.json.decode(event.data)
    return cast("dict[str, Any]", fields) if isinstance(fields, dict) else {}
