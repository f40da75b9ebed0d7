"""The frames of the task feed: flat, `{"step", "task_id", "message", "percent", "timestamp", "error", "tool", …}`.

A client made from the document reads these of every message that is no heartbeat, and one of them stops for ever at
the first that does not decode: so `connected`, `timeout`, `error`, `gap`, `reset` and `end` have all of them, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from runcast.auth.principal import Principal
from runcast.core.event import Event, format_time
from runcast.core.subscription import End, Missing, Notice, Reset
from runcast.errors import InvalidInput, RuncastError
from runcast.kinds.task import NAME, TASK, encode_frame
from runcast.live.codec import Message, Piece

WELCOME: Final = "Connected to agent progress stream"
SILENT: Final = "No message from the task for {seconds:g} s; it may still be at work. Connect again to go on."

_TERMINAL: Final = tuple(f'{{"step":"{step}",'.encode() for step in TASK.terminals)
"""How the frames of terminal events begin."""


class TaskFrames:
    """The codec of the feed, and what else is said in its words.

    Args:
        task_id: stands in each control frame; without it, for readers that know which task they read.
        ends: nothing is told after the terminal event, if something came after it.
    """

    piece_key = NAME

    def __init__(self, task_id: str = "", *, ends: bool = False) -> None:
        self.key = f"{NAME}-to-its-end" if ends else NAME
        self._named = {"task_id": task_id} if task_id else {}
        self._ends = ends

    def piece(self, event: Event, cursor: str) -> bytes:
        """The event's flat frame."""
        return encode_frame(event, cursor)

    def messages(self, pieces: Sequence[Piece], now_us: int) -> list[Message]:
        """One for each piece."""
        del now_us
        messages: list[Message] = []
        for piece in pieces:
            messages.append(Message(piece.data, piece.cursor))
            if self._ends and piece.data.startswith(_TERMINAL):
                break
        return messages

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
