"""The chat kind: what is settled on the way in, the frames, the state of a conversation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast.core.event import Event
from runcast.errors import InvalidEvent
from runcast.kinds.base import Publish, accept
from runcast.kinds.chat import CHAT, to_frame
from runcast.kinds.chat_fields import FIELDS, MAX_ANSWER_CHARS
from runcast.kinds.chat_index import CHAT_INDEX, CHATTER, MAX_SESSIONS, index_stream, joined
from runcast.kinds.chat_state import MAX_KEPT_CHARS, MAX_TURNS, ChatState, to_document
from runcast.kinds.chat_state import step as step_state
from runcast.kinds.chat_summary import ChatSummary
from runcast.kinds.chat_summary import step as step_summary

NOW_US = 1_700_000_000_000_000
STREAM = "chat:s"
ANN = {"id": "ann", "name": "Ann", "email": None}
BEN = {"id": "ben", "name": "Ben", "email": None}


def event(event_type: str, seq: int = 1, **data: Any) -> Event:
    """As the log would keep it."""
    new = accept(CHAT, Publish(stream=STREAM, type=event_type, data=data), NOW_US, 256 * 1024)
    return Event(STREAM, "0" * 16, seq, seq, f"e{seq}", event_type, NOW_US + seq, new.data)


def data(event_type: str, **fields: Any) -> Mapping[str, Any]:
    return msgspec.json.decode(event(event_type, **fields).data)


def told(*events: tuple[str, dict[str, Any]], state: ChatState | None = None) -> ChatState:
    state = state or ChatState()
    for seq, (event_type, fields) in enumerate(events, 1):
        step_state(state, event(event_type, seq, **fields))
    return state


CREATED = ("session_created", {"owner": ANN})


def said(message_id: str = "m1", text: str = "Hello?", **more: Any) -> tuple[str, dict[str, Any]]:
    return "message", {
        "message_id": message_id,
        "user": ANN,
        "message": text,
        "answer_id": f"a_{message_id}",
        **more,
    }


# --- on the way in -----------------------------------------------------------------------------


def test_what_documented_clients_read_is_always_there() -> None:
    complete = data("complete")
    assert (complete["response"], complete["cancelled"]) == ("", False)
    assert complete["metadata"]["agent"]
    assert complete["metadata"]["context"] == {"sources": []}
    assert complete["metadata"]["confidence"] is None
    assert data("error")["error"]
    assert data("error")["code"] == "PROCESSING_ERROR"
    assert data("token") == {"message_id": "answer", "token": "", "offset": 0}
    assert data("progress") == {"message_id": None, "step": "starting", "message": ""}


def test_what_somebody_adds_is_kept() -> None:
    metadata = {"agent": "mine", "confidence": 0.5, "context": {"sources": ["a"], "page": 3}, "mood": "good"}
    complete = data("complete", metadata=metadata, extra=1)
    assert (complete["metadata"], complete["extra"]) == (metadata, 1)


@pytest.mark.parametrize(
    ("event_type", "fields", "field"),
    [
        ("message", {}, "message_id"),
        ("message", {"message_id": "m"}, "user"),
        ("message", {"message_id": "m", "user": {"id": ""}}, "user.id"),
        ("message", {"message_id": "m", "user": ANN, "message": 7}, "message"),
        ("message", {"message_id": "m", "user": ANN, "attachments": [1]}, "attachments"),
        ("message", {"message_id": "m", "user": ANN, "attachments": [{}] * 11}, "attachments"),
        ("token", {"offset": -1}, "offset"),
        ("token", {"offset": True}, "offset"),
        ("complete", {"metadata": []}, "metadata"),
        ("complete", {"metadata": {"context": []}}, "metadata.context"),
        ("complete", {"metadata": {"confidence": 2}}, "metadata.confidence"),
        ("complete", {"metadata": {"context": {"sources": "a"}}}, "metadata.context.sources"),
        ("complete", {"cancelled": "yes"}, "cancelled"),
        ("message", {"session_id": "another"}, "session_id"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(event_type: str, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        event(event_type, **fields)
    assert raised.value.field == field


def test_the_envelope_in_data_is_dropped_if_it_agrees() -> None:
    assert "session_id" not in data("typing", session_id="s", other=1)


def test_long_answers_are_cut_with_a_mark() -> None:
    response = data("complete", response="x" * (MAX_ANSWER_CHARS + 1))["response"]
    assert len(response) == MAX_ANSWER_CHARS
    assert "cut" in response[-40:]


def test_a_frame_is_flat() -> None:
    frame = to_frame(event("token", 7, message_id="a", token="Hi", offset=3))
    assert list(frame) == [
        "type",
        "session_id",
        "message_id",
        "token",
        "offset",
        "timestamp",
        "event_id",
        "seq",
        "cursor",
    ]
    assert (frame["session_id"], frame["token"], frame["seq"]) == ("s", "Hi", 7)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = sorted({name for rules in FIELDS.values() for name in rules})


@given(
    st.lists(
        st.tuples(st.sampled_from([*FIELDS, "other"]), st.dictionaries(st.sampled_from(NAMES), JSON)),
        max_size=8,
    )
)
def test_whatever_passes_the_door_the_folds_take(events: list[tuple[str, dict[str, Any]]]) -> None:
    state, summary = told(CREATED), ChatSummary()
    for event_type, fields in events:
        try:
            one = event(event_type, **fields)
        except InvalidEvent:
            continue
        step_state(state, one)
        step_summary(summary, one)
    msgspec.json.encode(to_document(state, "s"))


# --- the state ---------------------------------------------------------------------------------


def test_the_first_owner_counts() -> None:
    state = told(CREATED, ("session_created", {"owner": BEN}))
    assert state.owns("ann")
    assert not state.admits("ben")


def test_members_come_and_go() -> None:
    state = told(CREATED, ("member_added", {"user": BEN}))
    assert state.admits("ben")
    told(("member_removed", {"user": BEN}), state=state)
    assert not state.admits("ben")


def test_a_question_waits_until_its_answer_has_ended() -> None:
    state = told(CREATED, said(), ("progress", {"message_id": "a_m1", "attempt": 1}))
    told(("token", {"message_id": "a_m1", "token": "Hel", "offset": 0}), state=state)
    told(("token", {"message_id": "a_m1", "token": "lo", "offset": 3}), state=state)
    (asked,) = state.pending
    assert (asked.question_id, asked.attempt, asked.text) == ("m1", 1, "Hello")
    told(("complete", {"message_id": "a_m1", "response": "Hello!"}), state=state)
    assert state.pending == []
    assert [(turn.text, turn.in_reply_to) for turn in state.turns] == [("Hello?", None), ("Hello!", "m1")]


def test_an_attempt_that_begins_again_takes_the_place_of_what_was_told() -> None:
    state = told(CREATED, said())
    for token, offset in (("Hello", 0), ("Hi", 0), ("!", 2), ("lost", 9)):
        told(("token", {"message_id": "a_m1", "token": token, "offset": offset}), state=state)
    assert state.pending[0].text == "Hi!"


def test_a_failed_answer_keeps_what_was_told() -> None:
    state = told(CREATED, said(), ("token", {"message_id": "a_m1", "token": "So", "offset": 0}))
    told(("error", {"message_id": "a_m1", "error": "Broken."}), state=state)
    turn = state.turns[-1]
    assert (turn.text, turn.status, turn.error, state.pending) == ("So", "failed", "Broken.", [])


@pytest.mark.parametrize(
    ("named", "left"), [(None, []), ("a_m1", ["m2"]), ("m2", ["m1"]), ("x", ["m1", "m2"])]
)
def test_cancel(named: str | None, left: list[str]) -> None:
    state = told(CREATED, said("m1"), said("m2"))
    told(("chat_command", {"command": "cancel", "message_id": named}), state=state)
    assert [asked.question_id for asked in state.pending if not asked.cancelled] == left
    assert state.is_ending == (not left)


def test_edit_delete_retry() -> None:
    state = told(CREATED, said(), ("edit", {"message_id": "m1", "message": "Hi?", "user": ANN}))
    assert (state.turns[0].text, state.turns[0].edited) == ("Hi?", True)
    told(("complete", {"message_id": "a_m1", "response": "Hi"}), state=state)
    told(("retry", {"message_id": "m1", "answer_id": "again"}), state=state)
    assert [asked.answer_id for asked in state.pending] == ["again"]
    told(("delete", {"message_id": "m1", "user": ANN}), state=state)
    assert [turn.message_id for turn in state.turns] == ["a_m1"]
    assert state.is_ending


def test_the_same_message_counts_once_and_one_of_nobody_s_conversation_does_not() -> None:
    assert len(told(CREATED, said(), said()).pending) == 1
    assert told(said()).pending == []


def test_what_is_kept_is_bounded() -> None:
    state = told(CREATED)
    for number in range(MAX_TURNS + 50):
        told(said(f"m{number}", answer_id=None), state=state)
    assert (len(state.turns), state.left_out) == (MAX_TURNS, 50)
    for number in range(20):
        told(said(f"l{number}", "x" * 30_000, answer_id=None), state=state)
    assert state.kept_chars == sum(len(turn.text) for turn in state.turns) <= MAX_KEPT_CHARS


def test_a_snapshot_is_the_state() -> None:
    fold = CHAT.folds["chat_state"]
    state = told(
        CREATED, said(), ("member_added", {"user": BEN}), ("read", {"user": BEN, "message_id": "m1"})
    )
    assert fold.load(fold.dump(state)) == state


# --- the summary and the index -----------------------------------------------------------------


def test_a_summary_says_what_it_is_about() -> None:
    summary = ChatSummary()
    for seq, one in enumerate((CREATED, ("member_added", {"user": BEN}), said(text="  What\n is it? ")), 1):
        step_summary(summary, event(one[0], seq, **one[1]))
    assert (summary.title, summary.messages, summary.admits("ben")) == ("What is it?", 1, True)


def test_the_index_knows_the_latest() -> None:
    state = CHAT_INDEX.initial()
    for number in range(MAX_SESSIONS + 5):
        publish = joined("ann", f"s{number}")
        new = accept(CHATTER, publish, NOW_US, 1024)
        CHAT_INDEX.step(state, Event(new.stream, "0" * 16, 1, 1, new.id, new.type, NOW_US, new.data))
    assert len(state.sessions) == MAX_SESSIONS
    assert "s0" not in state.sessions


def test_any_name_of_a_person_has_a_stream() -> None:
    assert index_stream("../☃ \0") != index_stream("../☃")
