"""The nodes of a shared log: who is there, what each is at, who has left and who was lost. All of it is `system:nodes`.

Who joins, leaves or is lost is told in `system:events`, too, by events of the same ids; the load is told here only, so
that this stream may be kept short and that one need not be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec

from runcast.core.event import MAX_ID_CHARS, Event
from runcast.errors import InvalidEvent
from runcast.kinds.base import Fold
from runcast.kinds.rules import Rule, count, number, text
from runcast.kinds.stored import MAX_COUNT

NODES: Final = "system:nodes"
"""The stream."""

JOINED: Final = "node_joined"
LOAD: Final = "node_load"
LEFT: Final = "node_left"
LOST: Final = "node_lost"

UP: Final = "up"
GONE: Final = {LEFT: "left", LOST: "lost"}

MAX_GONE: Final = 50
"""So many that are gone are remembered."""
MAX_UP: Final = 1_000
MAX_TEXT_CHARS: Final = 200


class NodeLoad(msgspec.Struct, kw_only=True):
    """What a node is at. Rates are since its last report; 100 % of CPU are one core; `runs` are by their kinds."""

    connections: int = 0
    subscriptions: int = 0
    deliveries_per_s: float = 0.0
    delivered_bytes_per_s: float = 0.0
    published_per_s: float = 0.0
    cpu_percent: float = 0.0
    memory_mb: float = 0.0
    runs: dict[str, int] = {}


class Node(msgspec.Struct, kw_only=True):
    """One process that serves.

    Times are in microseconds since the Unix epoch, by the clocks of who told them; `started_at` is RFC 3339, as it was told.
    `incarnation` counts how often it has joined: again after it was lost, and was there after all. `heard` is the seq
    of its last report. `gone` is 0 while it is up; `by` is who has noticed that it was lost.
    """

    node_id: str
    host: str = ""
    pid: int = 0
    version: str = ""
    started_at: str = ""
    incarnation: int = 1
    interval_s: float = 0.0
    status: str = UP
    joined: int = 0
    seen: int = 0
    heard: int = 0
    gone: int = 0
    reason: str = ""
    by: str = ""
    load: NodeLoad = msgspec.field(default_factory=NodeLoad)


class NodesState(msgspec.Struct):
    """All nodes that are up, and those that went last, by their ids."""

    nodes: dict[str, Node] = {}

    def up(self) -> list[Node]:
        """Those that are there, as far as was told."""
        return [node for node in self.nodes.values() if node.status == UP]


# --- the rules ---------------------------------------------------------------------------------


def _node_id(name: str, value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ID_CHARS or not value.isprintable():
        raise InvalidEvent(f"{name}: a string of 1 to {MAX_ID_CHARS} printable characters.", field=name)
    return value


def _load(name: str, value: object) -> Any:
    try:
        return msgspec.to_builtins(msgspec.convert({} if value is None else value, NodeLoad))
    except msgspec.ValidationError as error:
        raise InvalidEvent(f"{name}: {error}.", field=name) from None


_words: Final = text(MAX_TEXT_CHARS)
_incarnation: Final = count(1, MAX_COUNT, 1)
_WHO: Final[Mapping[str, Rule]] = {
    "node_id": _node_id,
    "host": _words,
    "pid": count(0, MAX_COUNT),
    "version": _words,
    "started_at": _words,
    "incarnation": _incarnation,
    "interval_s": number(0, MAX_COUNT, 0.0),
    "load": _load,
}
_GONE: Final[Mapping[str, Rule]] = {
    "node_id": _node_id,
    "incarnation": _incarnation,
    "reason": _words,
    "by": _words,
}

NODE_RULES: Final[Mapping[str, Mapping[str, Rule]]] = {
    JOINED: _WHO,
    LOAD: _WHO,
    LEFT: _GONE,
    LOST: _GONE,
}
"""What each field of a type of event must be."""


# --- the fold ----------------------------------------------------------------------------------


def step(state: NodesState, event: Event) -> None:
    """Take one event into the state, in place. One that breaks the rules changes nothing: whoever stored it had none."""
    with suppress(msgspec.ValidationError):
        if event.type in {JOINED, LOAD}:
            _hear(state, msgspec.json.decode(event.data, type=Node), event)
        elif event.type in GONE:
            _go(state, msgspec.json.decode(event.data, type=Node), event)


def _hear(state: NodesState, told: Node, event: Event) -> None:
    known = state.nodes.get(told.node_id)
    if known is not None and (known.incarnation, known.status != UP) > (told.incarnation, False):
        return  # an earlier one, or one that is not yet aware that it counts as gone
    told.status, told.gone, told.reason, told.by = UP, 0, "", ""
    is_known = known is not None and known.incarnation == told.incarnation
    told.joined = known.joined if known is not None and is_known else event.time
    told.seen, told.heard = event.time, event.seq
    state.nodes.pop(told.node_id, None)
    state.nodes[told.node_id] = told
    _forget_oldest(state, lambda node: node.status == UP, MAX_UP)


def _go(state: NodesState, told: Node, event: Event) -> None:
    known = state.nodes.get(told.node_id)
    if known is None or known.status != UP or told.incarnation < known.incarnation:
        return
    known.status, known.gone = GONE[event.type], event.time
    known.reason, known.by = told.reason, told.by
    state.nodes[known.node_id] = state.nodes.pop(known.node_id)
    _forget_oldest(state, lambda node: node.status != UP, MAX_GONE)


def _forget_oldest(state: NodesState, concerned: Callable[[Node], bool], limit: int) -> None:
    """Each stands in the order in which it was heard of last."""
    found = [node.node_id for node in state.nodes.values() if concerned(node)]
    for node_id in found[: max(0, len(found) - limit)]:
        del state.nodes[node_id]


NODES_STATE: Final = Fold("nodes", 1, NodesState, step, as_json=True)
