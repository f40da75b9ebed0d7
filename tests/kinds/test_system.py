"""The system kind: what is stored, and what its fold makes of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runcast.core.event import Event
from runcast.errors import InvalidEvent
from runcast.kinds.base import Publish, accept
from runcast.kinds.system import EVENTS, MAX_AGENTS, SYSTEM, SYSTEM_STATE, SystemState, encode_frame

NOW = 1_767_225_600_000_000


def stored(event_type: str, **data: Any) -> Event:
    new = accept(SYSTEM, Publish(stream=EVENTS, type=event_type, data=data), NOW, 65_536)
    return Event(EVENTS, "e" * 16, 1, 1, "id", event_type, new.time, new.data)


def fold(*events: Event) -> SystemState:
    state = SystemState()
    for event in events:
        SYSTEM_STATE.step(state, event)
    return state


def test_what_clients_read_is_there() -> None:
    fields = msgspec.json.decode(stored("agent_registered", agent_id="a").data)
    assert fields == {
        "agent_id": "a",
        "agent_type": "unknown",
        "name": None,
        "capabilities": [],
        "metadata": {},
    }


@pytest.mark.parametrize(
    ("event_type", "data", "field"),
    [
        ("agent_registered", {}, "agent_id"),
        ("agent_registered", {"agent_id": ""}, "agent_id"),
        ("agent_registered", {"agent_id": "a", "capabilities": [1]}, "capabilities"),
        ("agent_registered", {"agent_id": "a", "metadata": "x"}, "metadata"),
        ("agent_deregistered", {"agent_id": 1}, "agent_id"),
        ("approval_requested", {"question": "?"}, "approval_id"),
        ("approval_resolved", {"approval_id": "a", "approved": "yes"}, "approved"),
        ("system_status_change", {}, "status"),
        ("system_status_change", {"status": "x", "reason": "y" * 5_000}, "reason"),
    ],
)
def test_what_cannot_be_is_refused(event_type: str, data: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        stored(event_type, **data)
    assert raised.value.field == field


def test_other_types_pass_as_they_are() -> None:
    assert msgspec.json.decode(stored("knowledge_ingested", name="x", chunks=3).data) == {
        "name": "x",
        "chunks": 3,
    }


def test_a_frame_is_flat_and_has_each_name_once() -> None:
    event = stored("note", text="x", type="mine", seq=7, timestamp="yesterday", event_id="mine")
    frame = encode_frame(event, "cursor").decode()
    for name in ("type", "seq", "timestamp", "event_id"):
        assert frame.partition('"data":')[0].count(f'"{name}":') == 1
    decoded = msgspec.json.decode(frame)
    assert (decoded["type"], decoded["seq"], decoded["text"], decoded["cursor"]) == ("note", 1, "x", "cursor")
    assert decoded["data"] == {"type": "mine", "seq": 7, "timestamp": "yesterday", "event_id": "mine"}
    assert msgspec.json.decode(encode_frame(stored("bare"), "c"))["type"] == "bare"


def test_agents_come_and_go() -> None:
    state = fold(
        stored("agent_registered", agent_id="a", agent_type="research"),
        stored("agent_registered", agent_id="b"),
        stored("agent_registered", agent_id="a", agent_type="critic"),
        stored("agent_deregistered", agent_id="b"),
        stored("agent_deregistered", agent_id="nobody"),
    )
    assert [(one.agent_id, one.agent_type) for one in state.agents.values()] == [("a", "critic")]
    assert state.agents["a"].registered == NOW


def test_there_are_never_more_than_the_newest() -> None:
    state = fold(*(stored("agent_registered", agent_id=f"a{number}") for number in range(MAX_AGENTS + 5)))
    assert len(state.agents) == MAX_AGENTS
    assert "a4" not in state.agents
    assert "a5" in state.agents


def test_the_last_word_about_the_status_counts() -> None:
    assert fold().status == "ready"
    assert fold(stored("system_status_change", status="running")).status == "running"


def test_what_others_have_stored_without_rules_changes_nothing() -> None:
    for event_type in ("agent_registered", "agent_deregistered", "system_status_change"):
        for data in (b"{}", b'{"agent_id":7,"status":[]}'):
            assert fold(Event(EVENTS, "e", 1, 1, "id", event_type, NOW, data)) == SystemState()


def test_a_state_survives_its_snapshot() -> None:
    state = fold(stored("agent_registered", agent_id="a", metadata={"deep": [1, {"x": None}]}))
    assert SYSTEM_STATE.load(SYSTEM_STATE.dump(state)) == state
