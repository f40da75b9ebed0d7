"""The state of a conversation: who may take part, what was said, what is to be answered. A fold over its stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

from runcast.core.event import Event, format_time
from runcast.kinds.base import Fold

MAX_TURNS: Final = 200
MAX_KEPT_CHARS: Final = 262_144
"""What is said longer ago is in the stream only."""
MAX_MEMBERS: Final = 100
MAX_PENDING: Final = 64
MAX_STEPS: Final = 20
"""Of an answer on its way; of a responder that tells more, the last ones are kept."""
MAX_TITLE_CHARS: Final = 80


class Person(msgspec.Struct, frozen=True):
    """Somebody who takes part; `id` is the `sub` of their token."""

    id: str
    name: str | None = None
    email: str | None = None


M = TypeVar("M")
"""What is known of a member."""


def shown(person: Person) -> dict[str, str | None]:
    """Somebody as all who take part see them: without their address."""
    return {"id": person.id, "name": person.name}


class Attachment(msgspec.Struct, frozen=True):
    """A file that came with a message; `id` is the sender's word for it, `size` in bytes."""

    attachment_id: str
    id: str
    name: str
    mime: str
    size: int


class Turn(msgspec.Struct, omit_defaults=True):
    """What one side has said. Answers have no `user`; `status` is `complete`, `cancelled` or `failed`."""

    message_id: str
    text: str
    time: int
    user: Person | None = None
    in_reply_to: str | None = None
    status: str = "complete"
    error: str | None = None
    edited: bool = False
    attachments: list[Attachment] = []
    customer_id: str | None = None
    metadata: dict[str, Any] | None = None


class Step(msgspec.Struct, frozen=True):
    """What the work on an answer has come to, and whose work it is, once that is known."""

    step: str
    message: str
    agent: str | None = None


class Asked(msgspec.Struct):
    """A message that is to be answered. `attempt` is 0 until somebody has begun."""

    question_id: str
    answer_id: str
    cancelled: bool = False
    attempt: int = 0
    text: str = ""
    """What was told of the answer so far."""
    steps: list[Step] = []
    """Of the attempt that is under way, in their order."""


class TakingPart(msgspec.Struct, Generic[M]):
    """Who may take part in a conversation: who began it, and who was invited, by their ids."""

    owner: Person | None = None
    members: dict[str, M] = {}

    def admits(self, person_id: str) -> bool:
        """Whether somebody may take part."""
        return self.owns(person_id) or person_id in self.members

    def owns(self, person_id: str) -> bool:
        """Whether it is theirs."""
        return self.owner is not None and self.owner.id == person_id


class ChatState(TakingPart[Person]):
    """Everything that is known of one conversation. Times are in microseconds since the Unix epoch."""

    title: str = ""
    created_at: int = 0
    updated_at: int = 0
    turns: list[Turn] = []
    kept_chars: int = 0
    left_out: int = 0
    """Turns that are not kept any more."""
    pending: list[Asked] = []
    reads: dict[str, str] = {}
    """By person, the message up to which they have read."""

    @property
    def is_known(self) -> bool:
        """Whether somebody has begun it."""
        return self.owner is not None

    @property
    def is_ending(self) -> bool:
        """Whether all that is to be answered was cancelled."""
        return bool(self.pending) and all(asked.cancelled for asked in self.pending)

    def turn(self, message_id: str) -> Turn | None:
        """What was said under this id, if it is kept."""
        return next((turn for turn in reversed(self.turns) if turn.message_id == message_id), None)


Fields = dict[str, Any]


def step(state: ChatState, event: Event) -> None:
    """Take one event into `state`, in place."""
    take = _TAKES.get(event.type)
    if take is not None:
        take(state, msgspec.json.decode(event.data), event.time)
        state.updated_at = max(state.updated_at, event.time)


def _created(state: ChatState, fields: Fields, time: int) -> None:
    if state.owner is None:  # the first one counts
        state.owner = _person(fields["owner"])
        state.title = fields.get("title") or ""
        state.created_at = time


def _member_added(state: ChatState, fields: Fields, time: int) -> None:
    del time
    person = _person(fields["user"])
    if len(state.members) < MAX_MEMBERS or person.id in state.members:
        state.members[person.id] = person


def _member_removed(state: ChatState, fields: Fields, time: int) -> None:
    del time
    state.members.pop(fields["user"]["id"], None)


def _message(state: ChatState, fields: Fields, time: int) -> None:
    if state.owner is None or state.turn(fields["message_id"]) is not None:
        return
    attachments = [msgspec.convert(one, Attachment) for one in fields["attachments"]]
    text = fields["message"]
    turn = Turn(
        fields["message_id"],
        text,
        time,
        _person(fields["user"]),
        attachments=attachments,
        customer_id=fields.get("customer_id"),
    )
    _keep(state, turn)
    if not state.title:
        state.title = " ".join(text.split())[:MAX_TITLE_CHARS]
    if fields["answer_id"]:
        _ask(state, fields["message_id"], fields["answer_id"])


def _retry(state: ChatState, fields: Fields, time: int) -> None:
    del time
    if state.turn(fields["message_id"]) is not None and state.turn(fields["answer_id"]) is None:
        _ask(state, fields["message_id"], fields["answer_id"])


def _ask(state: ChatState, question_id: str, answer_id: str) -> None:
    if len(state.pending) < MAX_PENDING:
        state.pending.append(Asked(question_id, answer_id))


def _progress(state: ChatState, fields: Fields, time: int) -> None:
    del time
    asked = _asked(state, fields.get("message_id"))
    attempt = fields.get("attempt")
    if asked is None:
        return
    if isinstance(attempt, int):
        asked.attempt = max(asked.attempt, attempt)
        asked.steps.clear()  # what was begun before has come to nothing
    agent = fields.get("agent")
    asked.steps.append(Step(fields["step"], fields["message"], agent if isinstance(agent, str) else None))
    del asked.steps[:-MAX_STEPS]


def _token(state: ChatState, fields: Fields, time: int) -> None:
    del time
    asked = _asked(state, fields["message_id"])
    if asked is not None and fields["offset"] <= len(asked.text):
        asked.text = asked.text[: fields["offset"]] + fields["token"]


def _complete(state: ChatState, fields: Fields, time: int) -> None:
    asked = _settled(state, fields["message_id"])
    if asked is None:
        return
    status = "cancelled" if fields["cancelled"] else "complete"
    _answer(state, asked, Turn(asked.answer_id, fields["response"], time, status=status), fields["metadata"])


def _error(state: ChatState, fields: Fields, time: int) -> None:
    asked = _settled(state, fields.get("message_id"))
    if asked is not None:
        turn = Turn(asked.answer_id, asked.text, time, status="failed", error=fields["error"])
        _answer(state, asked, turn, None)


def _answer(state: ChatState, asked: Asked, turn: Turn, metadata: dict[str, Any] | None) -> None:
    turn.in_reply_to = asked.question_id
    turn.metadata = metadata
    _keep(state, turn)


def _edit(state: ChatState, fields: Fields, time: int) -> None:
    del time
    turn = state.turn(fields["message_id"])
    if turn is not None:
        state.kept_chars += len(fields["message"]) - len(turn.text)
        turn.text, turn.edited = fields["message"], True


def _delete(state: ChatState, fields: Fields, time: int) -> None:
    del time
    turn = state.turn(fields["message_id"])
    if turn is not None:
        state.turns.remove(turn)
        state.kept_chars -= len(turn.text)
    for asked in state.pending:
        if fields["message_id"] in {asked.question_id, asked.answer_id}:
            asked.cancelled = True


def _read(state: ChatState, fields: Fields, time: int) -> None:
    del time
    if state.admits(fields["user"]["id"]):
        state.reads[fields["user"]["id"]] = fields["message_id"]


def _command(state: ChatState, fields: Fields, time: int) -> None:
    del time
    if fields["command"] == "cancel":
        for asked in state.pending:
            if fields["message_id"] in {None, asked.question_id, asked.answer_id}:
                asked.cancelled = True


_TAKES: Final[dict[str, Callable[[ChatState, Fields, int], None]]] = {
    "session_created": _created,
    "member_added": _member_added,
    "member_removed": _member_removed,
    "message": _message,
    "retry": _retry,
    "progress": _progress,
    "token": _token,
    "complete": _complete,
    "error": _error,
    "edit": _edit,
    "delete": _delete,
    "read": _read,
    "chat_command": _command,
}


def _asked(state: ChatState, answer_id: str | None) -> Asked | None:
    return next((asked for asked in state.pending if asked.answer_id == answer_id), None)


def _settled(state: ChatState, answer_id: str | None) -> Asked | None:
    asked = _asked(state, answer_id)
    if asked is not None:
        state.pending.remove(asked)
    return asked


def _keep(state: ChatState, turn: Turn) -> None:
    state.turns.append(turn)
    state.kept_chars += len(turn.text)
    while len(state.turns) > MAX_TURNS or (state.kept_chars > MAX_KEPT_CHARS and len(state.turns) > 1):
        state.kept_chars -= len(state.turns.pop(0).text)
        state.left_out += 1


def _person(fields: Fields) -> Person:
    return Person(fields["id"], fields.get("name"), fields.get("email"))


def to_document(state: ChatState, session_id: str) -> dict[str, Any]:
    """What a member is told that asks for the conversation."""
    return {
        "session_id": session_id,
        "title": state.title,
        "owner": state.owner and shown(state.owner),
        "members": [shown(person) for person in state.members.values()],
        "created_at": format_time(state.created_at),
        "updated_at": format_time(state.updated_at),
        "messages": [turn_document(turn) for turn in state.turns],
        "left_out": state.left_out,
        "answering": [
            {
                "message_id": asked.answer_id,
                "in_reply_to": asked.question_id,
                "text": asked.text,
                "cancelled": asked.cancelled,
                "steps": msgspec.to_builtins(asked.steps),
            }
            for asked in state.pending
        ],
        "reads": dict(state.reads),
    }


def turn_document(turn: Turn) -> dict[str, Any]:
    """One message or answer."""
    return {
        "message_id": turn.message_id,
        "role": "assistant" if turn.user is None else "user",
        "message": turn.text,
        "user": turn.user and shown(turn.user),
        "timestamp": format_time(turn.time),
        "in_reply_to": turn.in_reply_to,
        "status": turn.status,
        "error": turn.error,
        "edited": turn.edited,
        "attachments": msgspec.to_builtins(turn.attachments),
        "metadata": turn.metadata,
    }


CHAT_STATE: Final = Fold("chat_state", 1, ChatState, step, keep_every=512)
"""`step` from an empty `ChatState` on."""
