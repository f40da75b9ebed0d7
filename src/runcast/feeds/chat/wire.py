"""The frames of the chat feed: flat, `{"type", …}`; and errors in its own words.

A client made from the document reads `type` of every message, and other fields only of those types that it knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from runcast.auth.principal import Principal
from runcast.core.event import Event, format_time
from runcast.core.filters import Predicate
from runcast.core.subscription import Reset
from runcast.errors import (
    Busy,
    Forbidden,
    InvalidInput,
    LogError,
    Restarting,
    RuncastError,
    StreamNotFound,
    TooLarge,
    TooMany,
    Unauthenticated,
)
from runcast.kinds.chat import COMMAND, NAME, encode_frame
from runcast.kinds.chat_state import Person
from runcast.live.codec import Message, Piece
from runcast.runners.chat.failure import EmptyMessage, Occupied
from runcast.transport.flat_frames import FlatFrames

JOINED_MAX_CHARS: Final = 65_536
"""Of the text of one frame that several tokens are joined in: with `partial_response` it is still far from 512 KiB."""
WELCOME: Final = "Authentication successful"
AUTH_REQUIRED: Final = "AUTH_REQUIRED"
_TOKEN: Final = b'{"type":"token",'

_CODES: Final[tuple[tuple[type[RuncastError], str], ...]] = (
    # the first that fits counts
    (EmptyMessage, "EMPTY_MESSAGE"),
    (TooLarge, "MESSAGE_TOO_LONG"),
    (InvalidInput, "INVALID_MESSAGE"),
    (StreamNotFound, "INVALID_MESSAGE"),
    (Unauthenticated, AUTH_REQUIRED),
    (Forbidden, "FORBIDDEN"),
    (Occupied, "BUSY"),
    (TooMany, "RATE_LIMITED"),
    (Restarting, "BUSY"),
    (Busy, "BUSY"),
    (LogError, "PROCESSING_ERROR"),
)


class PartialTexts(Protocol):
    """Who knows what was told of an answer so far."""

    def text(self, session_id: str, message_id: str, end: int) -> str | None:
        """The first `end` characters of an answer, if they are known."""
        ...


class _Token(msgspec.Struct):
    type: str
    session_id: str
    message_id: str
    token: str
    offset: int
    timestamp: str
    event_id: str
    seq: int
    cursor: str


class _PartialToken(_Token):
    partial_response: str = ""


_decode = msgspec.json.Decoder(_Token).decode
_encode = msgspec.json.Encoder().encode


class ChatFrames(FlatFrames):
    """The codec of conversations: tokens of one answer that come together are one frame.

    Args:
        partial: knows the texts for `partial_response`; None for clients that do without it.
    """

    def __init__(self, partial: PartialTexts | None = None) -> None:
        super().__init__(NAME, encode_frame)
        self.key = NAME if partial is None else f"{NAME}+partial"
        self._partial = partial

    @property
    def is_partial(self) -> bool:
        """Whether each token comes with the text so far."""
        return self._partial is not None

    def messages(self, pieces: Sequence[Piece], now_us: int) -> list[Message]:
        """One for each piece, but one for consecutive tokens of one answer."""
        del now_us
        if len(pieces) == 1 and (self._partial is None or not pieces[0].data.startswith(_TOKEN)):
            return [Message(pieces[0].data, pieces[0].cursor)]
        messages: list[Message] = []
        run: list[Piece] = []
        for piece in pieces:
            if piece.data.startswith(_TOKEN):
                run.append(piece)
                continue
            self._flush(run, messages)
            messages.append(Message(piece.data, piece.cursor))
        self._flush(run, messages)
        return messages

    def _flush(self, run: list[Piece], messages: list[Message]) -> None:
        if len(run) == 1 and self._partial is None:
            messages.append(Message(run[0].data, run[0].cursor))
        elif run:
            messages.extend(self._told(token) for token in _joined([_decode(piece.data) for piece in run]))
        run.clear()

    def _told(self, token: _Token) -> Message:
        if self._partial is None:
            return Message(_encode(token), token.cursor)
        end = token.offset + len(token.token)
        so_far = self._partial.text(token.session_id, token.message_id, end)
        fields = {name: getattr(token, name) for name in _Token.__struct_fields__}
        told = _PartialToken(**fields, partial_response=token.token if so_far is None else so_far)
        return Message(_encode(told), token.cursor)


def _joined(tokens: Sequence[_Token]) -> list[_Token]:
    """Consecutive tokens of one answer as one, which has the place of the last."""
    joined = [tokens[0]]
    texts = [tokens[0].token]
    size = len(tokens[0].token)
    for token in tokens[1:]:
        last = joined[-1]
        follows = token.message_id == last.message_id and token.offset == last.offset + size
        if follows and size + len(token.token) <= JOINED_MAX_CHARS:
            texts.append(token.token)
            size += len(token.token)
            token.offset, token.token = last.offset, last.token
            joined[-1] = token
        else:
            last.token = "".join(texts)
            joined.append(token)
            texts, size = [token.token], len(token.token)
    joined[-1].token = "".join(texts)
    return joined


class ToldEvents:
    """The filter of a conversation's clients: everything but commands to the runner."""

    fingerprint = "chat"

    def compile(self) -> Predicate | None:
        """See `EventFilter`."""
        return _is_told

    def matches_event(self, event: Mapping[str, Any]) -> bool:
        """See `EventFilter`."""
        return event.get("type") != COMMAND


def _is_told(event: Event) -> bool:
    return event.type != COMMAND


TOLD: Final = ToldEvents()


def auth_success(principal: Principal, person: Person) -> Message:
    """Somebody is known now."""
    expires_s = principal.expires_s
    return frame(
        "auth_success",
        message=WELCOME,
        user={"id": person.id, "email": person.email, "name": person.name},
        expires=None if expires_s is None else format_time(round(expires_s * 1e6)),
    )


def auth_error(error: RuncastError) -> Message:
    """Somebody is not known."""
    return frame("auth_error", message=str(error), code=error.code, retryable=error.retryable)


def error_frame(error: RuncastError, session_id: str | None = None) -> Message:
    """What was wrong with what a client said; `field` names the part at fault, where there is one."""
    fields: dict[str, Any] = {"error": str(error), "code": code_of(error), "retryable": error.retryable}
    if isinstance(error, InvalidInput) and error.field:
        fields["field"] = error.field
    if isinstance(error, TooMany):
        fields["retry_after_s"] = error.retry_after_s
    if session_id is not None:
        fields["session_id"] = session_id
    return frame("error", **fields)


def put_out_frame(session_id: str, notice: Reset | None) -> Message:
    """Somebody takes part in a conversation no longer; with a `notice` it is another one from now on."""
    if notice is None:
        return error_frame(Forbidden("You take part in this conversation no longer."), session_id)
    return frame("reset", session_id=session_id, reason=notice.reason, cursor=str(notice.cursor))


def code_of(error: RuncastError) -> str:
    """The documented code of an error."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), "PROCESSING_ERROR")


def frame(frame_type: str, **fields: Any) -> Message:
    """A frame that is no event: for one client alone, without a place in a stream."""
    content: Mapping[str, Any] = {"type": frame_type, **fields}
    return Message(_encode(content), "", frame_type)
