"""The nodes of a log: what is stored of them, and what their fold makes of it."""

from __future__ import annotations

from itertools import count
from typing import Any

import msgspec
import pytest

from runcast.core.event import Event
from runcast.errors import InvalidEvent
from runcast.kinds.base import Publish, accept
from runcast.kinds.system import SYSTEM
from runcast.kinds.system_nodes import MAX_GONE, MAX_TEXT_CHARS, MAX_UP, NODES, NODES_STATE, Node, NodesState

NOW = 1_767_225_600_000_000


class Story:
    """Events of the nodes' stream, one after the other."""

    def __init__(self) -> None:
        self.state = NodesState()
        self._seqs = count(1)

    def tell(self, event_type: str, node_id: str, **data: Any) -> None:
        publish = Publish(stream=NODES, type=event_type, data={"node_id": node_id, **data})
        new = accept(SYSTEM, publish, NOW, 65_536)
        seq = next(self._seqs)
        NODES_STATE.step(
            self.state, Event(NODES, "e" * 16, seq, seq, str(seq), event_type, NOW + seq, new.data)
        )

    def status(self) -> dict[str, str]:
        return {node_id: node.status for node_id, node in self.state.nodes.items()}

    def node(self, node_id: str) -> Node:
        return self.state.nodes[node_id]


def test_a_node_joins_tells_its_load_and_leaves() -> None:
    story = Story()
    story.tell("node_joined", "a", host="h", pid=7, version="1.0", interval_s=10)
    story.tell("node_load", "a", host="h", pid=7, version="1.0", load={"connections": 3, "runs": {"plan": 2}})
    node = story.node("a")
    assert (node.host, node.pid, node.version, node.status) == ("h", 7, "1.0", "up")
    assert (node.joined, node.seen, node.heard) == (NOW + 1, NOW + 2, 2)
    assert (node.load.connections, node.load.runs) == (3, {"plan": 2})
    story.tell("node_left", "a", reason="drain")
    assert (node.status, node.reason, node.gone) == ("left", "drain", NOW + 3)
    assert story.state.up() == []


def test_one_whose_beginning_is_not_kept_is_known_by_its_next_report() -> None:
    story = Story()
    story.tell("node_load", "a", version="1.0", load={"connections": 1})
    assert story.status() == {"a": "up"}


def test_one_that_is_gone_comes_back_by_joining_again_only() -> None:
    story = Story()
    story.tell("node_joined", "a")
    story.tell("node_lost", "a", by="b")
    story.tell("node_load", "a", load={"connections": 1})  # it does not know yet
    story.tell("node_left", "a")
    assert (story.node("a").status, story.node("a").by) == ("lost", "b")
    story.tell("node_joined", "a", incarnation=2)
    assert (story.node("a").status, story.node("a").incarnation) == ("up", 2)
    story.tell("node_lost", "a", incarnation=1)  # somebody was late
    assert story.node("a").status == "up"


def test_who_is_not_known_cannot_go() -> None:
    story = Story()
    story.tell("node_lost", "a")
    assert story.status() == {}


def test_so_many_are_remembered_and_no_more() -> None:
    story = Story()
    for number in range(MAX_UP + 1):
        story.tell("node_joined", f"up-{number}")
    for number in range(MAX_GONE + 1):
        story.tell("node_joined", f"gone-{number}")
        story.tell("node_left", f"gone-{number}")
    gone = [node_id for node_id, status in story.status().items() if status == "left"]
    assert (len(story.state.up()), len(gone)) == (MAX_UP - 1, MAX_GONE)
    assert "gone-0" not in gone
    assert f"gone-{MAX_GONE}" in gone


def test_the_state_survives_as_a_snapshot() -> None:
    story = Story()
    story.tell("node_joined", "a", host="h")
    story.tell("node_load", "a", load={"cpu_percent": 12.5})
    assert NODES_STATE.load(NODES_STATE.dump(story.state)) == story.state


@pytest.mark.parametrize(
    ("event_type", "data", "field"),
    [
        ("node_joined", {"node_id": ""}, "node_id"),
        ("node_joined", {"node_id": "a\n"}, "node_id"),
        ("node_joined", {"pid": -1}, "pid"),
        ("node_joined", {"pid": True}, "pid"),
        ("node_joined", {"version": 1.0}, "version"),
        ("node_joined", {"interval_s": "10"}, "interval_s"),
        ("node_load", {"load": {"connections": "many"}}, "load"),
        ("node_load", {"load": []}, "load"),
        ("node_lost", {"incarnation": 2**53}, "incarnation"),
        ("node_left", {"reason": 1}, "reason"),
    ],
)
def test_what_cannot_be_is_refused(event_type: str, data: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        Story().tell(event_type, **{"node_id": "a", **data})
    assert raised.value.field == field


@pytest.mark.parametrize("data", [b"[]", b"{}", b'{"node_id":1}', b'{"node_id":"a","load":{"runs":[]}}'])
def test_what_was_stored_without_rules_changes_nothing(data: bytes) -> None:
    state = NodesState()
    for event_type in ("node_joined", "node_load", "node_left", "node_lost"):
        NODES_STATE.step(state, Event(NODES, "e" * 16, 1, 1, "id", event_type, NOW, data))
    assert state == NodesState()


def test_a_long_text_is_cut() -> None:
    story = Story()
    story.tell("node_joined", "a", version="v" * 10_000)
    assert len(story.node("a").version) <= MAX_TEXT_CHARS


def test_every_field_of_a_load_is_in_what_is_stored() -> None:
    publish = Publish(stream=NODES, type="node_load", data={"node_id": "a"})
    fields = msgspec.json.decode(accept(SYSTEM, publish, NOW, 65_536).data)
    assert fields["load"].keys() == msgspec.to_builtins(Node(node_id="a"))["load"].keys()
