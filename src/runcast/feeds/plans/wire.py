"""The plan feed's frames: one event each, and control frames of the same shape.

Documented clients read `event_type`, `plan_id` and `data` of every message without checking: so each control frame has
all six documented fields, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import uuid_utils

from runcast.core.event import Event, format_time
from runcast.core.subscription import End, Missing, Notice, Reset
from runcast.errors import InvalidInput, RuncastError
from runcast.kinds.plan import encode_frame
from runcast.live.codec import Message, Piece

SYSTEM: Final = "system"
"""The `plan_id` of what concerns no plan."""
WELCOME: Final = "Connected to the plan stream"


class PlanCodec:
    """A frame for each event of one plan; notices name it."""

    key = "plan"
    piece_key = "plan"

    def __init__(self, plan_id: str = SYSTEM) -> None:
        self._plan_id = plan_id  # not in the key: cohorts are within one stream

    def piece(self, event: Event, cursor: str) -> bytes:
        """See `kinds.plan.encode_frame`."""
        return encode_frame(event, cursor)

    def messages(self, pieces: Sequence[Piece], now_us: int) -> list[Message]:
        """One for each piece."""
        del now_us
        return [Message(piece.data, piece.cursor) for piece in pieces]

    def notice(self, notice: Notice, now_us: int) -> list[Message]:
        """A control frame: `reset`, `gap` or `end`, with the `cursor` to go on from in its data."""
        cursor = str(notice.cursor)
        match notice:
            case Reset(reason=reason):
                return [control("reset", now_us, {"reason": reason, "cursor": cursor}, self._plan_id, cursor)]
            case Missing(first=first, last=last):
                lost = {"first_seq": first, "last_seq": last, "cursor": cursor}
                return [control("gap", now_us, lost, self._plan_id, cursor)]
            case End():
                return [control("end", now_us, {"cursor": cursor}, self._plan_id, cursor)]


def control(
    event_type: str, now_us: int, data: dict[str, Any], plan_id: str = SYSTEM, cursor: str = ""
) -> Message:
    """A frame that tells of no event, in the documented shape."""
    frame = {
        "event_type": event_type,
        "plan_id": plan_id,
        "step_id": None,
        "data": data,
        "timestamp": format_time(now_us),
        "event_id": str(uuid_utils.uuid7()),
    }
    return Message(msgspec.json.encode(frame), cursor, event_type)


def welcome_message(now_us: int, client_id: str, ping_interval_s: float) -> Message:
    """The first frame that a client gets."""
    data = {"message": WELCOME, "client_id": client_id, "ping_interval": ping_interval_s}
    return control("ping", now_us, data)


def error_message(
    error: RuncastError, now_us: int, plan_id: str = SYSTEM, answers: dict[str, Any] | None = None
) -> Message:
    """What is wrong, in a sentence; `code` for programs, `field` where there is one; and what it `answers`."""
    data: dict[str, Any] = {"code": error.code, "message": str(error), "retryable": error.retryable}
    if isinstance(error, InvalidInput) and error.field:
        data["field"] = error.field
    return control("error", now_us, {**data, **(answers or {})}, plan_id)
