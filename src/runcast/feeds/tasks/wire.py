"""The frames of the task feed: flat, `{"step", "task_id", "message", "percent", "timestamp", "error", "tool", …}`.

A client made from the document reads these of every message that is no heartbeat, and one of them stops for ever at
the first that does not decode: so `connected`, `timeout`, `error`, `gap`, `reset` and `end` have all of them, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from runcast.auth.principal import Principal
from runcast.core.event import Event, check_id, check_type, format_time, parse_time, stream_name
from runcast.core.subscription import End, Missing, Notice, Reset
from runcast.errors import InvalidEvent, InvalidInput, RuncastError
from runcast.kinds.base import Publish
from runcast.kinds.task import NAME, PROCESSING, encode_frame
from runcast.live.codec import Message, Piece

WELCOME: Final = "Connected to agent progress stream"
SILENT: Final = "No message from the task for {seconds:g} s; it may still be at work. Connect again to go on."

_ENVELOPE: Final = ("step", "task_id", "event_id", "timestamp", "seq", "cursor")
_ANY_TIME_US: Final = 2**62  # `accept` knows the clock and refuses the future; here only the form is checked


class TaskFrames:
    """The codec of the feed, and what else is said in its words; without an id, for readers that know which task."""

    key = piece_key = NAME

    def __init__(self, task_id: str = "") -> None:
        self._named = {"task_id": task_id} if task_id else {}

    def piece(self, event: Event, cursor: str) -> bytes:
        """The event's flat frame."""
        return encode_frame(event, cursor)

    def messages(self, pieces: Sequence[Piece], now_us: int) -> list[Message]:
        """One for each piece."""
        del now_us
        return [Message(piece.data, piece.cursor) for piece in pieces]

    def notice(self, notice: Notice, now_us: int) -> list[Message]:
        """`reset` or `gap`; of the end tells the terminal frame."""
        match notice:
            case Reset(reason=reason, cursor=cursor):
                return [self.control("reset", reason, now_us, {"cursor": str(cursor)})]
            case Missing(first=first, last=last, cursor=cursor):
                fields = {"first_seq": first, "last_seq": last, "cursor": str(cursor)}
                return [self.control("gap", "Some earlier messages are not kept any more.", now_us, fields)]
            case End():
                return []

    def connected(self, now_us: int) -> Message:
        """The first frame that a client gets."""
        return self.control("connected", WELCOME, now_us)

    def timeout(self, percent: int, seconds: float, now_us: int) -> Message:
        """The task has told nothing for so long; that does not say that it has failed."""
        told = {"percent": percent, "error": True}
        return self.control("timeout", SILENT.format(seconds=seconds), now_us, told)

    def over(self, percent: int, now_us: int) -> Message:
        """The run was sealed without a terminal event."""
        return self.control("end", "The task's stream was ended.", now_us, {"percent": percent})

    def heartbeat(self, now_us: int, fields: Mapping[str, Any] | None = None) -> Message:
        """What every client passes over."""
        frame = {"heartbeat": True, "timestamp": format_time(now_us), **(fields or {})}
        return Message(msgspec.json.encode(frame), "", "heartbeat")

    def authenticated(self, principal: Principal, now_us: int) -> Message:
        """The answer to an `auth` message on a connection that reads already: a heartbeat that says so."""
        expires_s = principal.expires_s
        expires = None if expires_s is None else format_time(round(expires_s * 1e6))
        return self.heartbeat(now_us, {"authenticated": True, "sub": principal.sub, "expires": expires})

    def error(self, error: RuncastError, now_us: int) -> Message:
        """What is wrong, in a sentence; `code` for programs, `field` where there is one."""
        fields: dict[str, Any] = {"error": True, "code": error.code, "retryable": error.retryable}
        if isinstance(error, InvalidInput) and error.field:
            fields["field"] = error.field
        return self.control("error", str(error), now_us, fields)

    def control(
        self, step: str, message: str, now_us: int, fields: Mapping[str, Any] | None = None
    ) -> Message:
        """A frame that is no event: without a place in the stream."""
        frame = {
            "step": step,
            **self._named,
            "message": message,
            "percent": 0,
            "error": False,
            "tool": None,
            **(fields or {}),
            "timestamp": format_time(now_us),
        }
        return Message(msgspec.json.encode(frame), str(frame.get("cursor", "")), step)


def from_frame(task_id: str, frame: Mapping[str, Any]) -> Publish:
    """Read a documented message that somebody sends to a task, ready for the bus.

    Without a `step` it is `processing`; `event_id`, `timestamp` and `task_id` may be absent or null; `seq` and `cursor`
    are the log's to give, and left out.

    Raises:
        InvalidEvent: one of these is malformed, or names another task.
        InvalidStreamName: no task can be called `task_id`.
    """
    stream = stream_name(NAME, task_id)
    if frame.get("task_id") not in {None, task_id}:
        raise InvalidEvent("task_id: not the task that this is sent to.", field="task_id")
    step, event_id, timestamp = (_string(name, frame.get(name)) for name in ("step", "event_id", "timestamp"))
    return Publish(
        stream=stream,
        type=check_type(PROCESSING if step is None else step, "step"),
        data={name: value for name, value in frame.items() if name not in _ENVELOPE},
        id=None if event_id is None else check_id(event_id, "event_id"),
        time=None if timestamp is None else parse_time(timestamp, _ANY_TIME_US, "timestamp"),
    )


def _string(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InvalidEvent(f"{name}: a string or null is expected.", field=name)
