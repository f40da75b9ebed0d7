"""The system kind: what happens to the server as a whole, in `system:events`; what its nodes are at, in `system:nodes`.

Agents that were registered, documents that were taken in, approvals that people are asked for, nodes that come and go,
and the system's own status. It never ends. What is asked of people is told here, too, and answered in the stream of
its workflow.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, cast

import msgspec

from runcast.core.event import MAX_ID_CHARS, Event, format_time
from runcast.errors import InvalidEvent, TooLarge
from runcast.kinds.base import RESERVED, Fold, Kind, Publish, encode_data, move_reserved
from runcast.kinds.system_nodes import NODE_RULES, NODES_STATE

EVENTS: Final = "system:events"
"""The stream."""

MAX_AGENTS: Final = 1_000
MAX_TEXT_CHARS: Final = 4_096
MAX_CAPABILITIES: Final = 100
MAX_OBJECT_BYTES: Final = 8_192
"""Of JSON, in an agent's metadata: the state holds those of all agents."""

READY: Final = "ready"
"""The status of a system that nobody has started and that has nothing to do: it takes workflows all the same."""
RUNNING: Final = "running"
STOPPED: Final = "stopped"

AGENT_REGISTERED: Final = "agent_registered"
AGENT_DEREGISTERED: Final = "agent_deregistered"
APPROVAL_REQUESTED: Final = "approval_requested"
APPROVAL_RESOLVED: Final = "approval_resolved"
STATUS_CHANGE: Final = "system_status_change"

_ENVELOPE: Final = (*RESERVED, "event_id", "timestamp")


class Agent(msgspec.Struct, kw_only=True):
    """An agent that somebody has registered. `registered` is in microseconds since the Unix epoch."""

    agent_id: str
    agent_type: str
    name: str | None = None
    capabilities: list[str] = []
    metadata: dict[str, Any] = {}
    registered: int = 0


class SystemState(msgspec.Struct):
    """What is registered, and the last word about the status."""

    status: str = READY
    agents: dict[str, Agent] = {}


class _Head(msgspec.Struct, gc=False):
    type: str
    timestamp: str
    event_id: str
    seq: int
    cursor: str


_encode_head = msgspec.json.Encoder().encode


def encode_frame(event: Event, cursor: str) -> bytes:
    """The flat frame of a system event as compact JSON; the stored data is joined on as it is."""
    head = _encode_head(_Head(event.type, format_time(event.time), event.id, event.seq, cursor))
    return head if len(event.data) <= 2 else head[:-1] + b"," + event.data[1:]


# --- the rules ---------------------------------------------------------------------------------


def normalise(publish: Publish) -> dict[str, Any]:
    """The fields to be stored. What clients read of the known types is there; other types pass as they are.

    Raises:
        InvalidEvent: a field of a known type is missing, or has a wrong type; the message names it.
    """
    fields = move_reserved(publish.data, _ENVELOPE)
    for name, settle in _RULES.get(publish.type, {}).items():
        fields[name] = settle(name, fields.get(name))
    return fields


def _required(name: str, value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_ID_CHARS or not value.isprintable():
        raise InvalidEvent(f"{name}: a string of 1 to {MAX_ID_CHARS} printable characters.", field=name)
    return value


def _text(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        raise InvalidEvent(f"{name}: a string of at most {MAX_TEXT_CHARS} characters.", field=name)
    return value


def _words(name: str, value: object) -> str:
    return _text(name, value) or ""


def _type(name: str, value: object) -> str:
    return _text(name, value) or "unknown"


def _truth(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidEvent(f"{name}: true or false is expected.", field=name)
    return value


def _texts(name: str, value: object) -> list[str]:
    if value is None:
        return []
    texts = cast("list[object]", value) if isinstance(value, list) else None
    if texts is None or len(texts) > MAX_CAPABILITIES or not all(isinstance(text, str) for text in texts):
        raise InvalidEvent(f"{name}: a list of at most {MAX_CAPABILITIES} strings.", field=name)
    return [_words(name, text) for text in texts]


def _object(name: str, value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidEvent(f"{name}: a JSON object is expected.", field=name)
    given = cast("dict[str, Any]", value)
    size = len(encode_data(given, sys.maxsize))
    if size > MAX_OBJECT_BYTES:
        raise TooLarge(f"{name}: {size} bytes of JSON; the limit is {MAX_OBJECT_BYTES}.", field=name)
    return given


_RULES: Final[Mapping[str, Mapping[str, Callable[[str, object], Any]]]] = {
    AGENT_REGISTERED: {
        "agent_id": _required,
        "agent_type": _type,
        "name": _text,
        "capabilities": _texts,
        "metadata": _object,
    },
    AGENT_DEREGISTERED: {"agent_id": _required, "reason": _text},
    APPROVAL_REQUESTED: {"approval_id": _required, "workflow_id": _text},
    APPROVAL_RESOLVED: {
        "approval_id": _required,
        "workflow_id": _text,
        "approved": _truth,
        "by": _text,
        "comment": _text,
    },
    STATUS_CHANGE: {"status": _required, "previous": _text, "reason": _text},
    **NODE_RULES,
}


# --- the fold ----------------------------------------------------------------------------------


class _AgentId(msgspec.Struct):
    agent_id: str


class _Status(msgspec.Struct):
    status: str


def step(state: SystemState, event: Event) -> None:
    """Take one event into the state, in place. One that breaks the rules changes nothing: whoever stored it had none."""
    take = _STEPS.get(event.type)
    if take is not None:
        with suppress(msgspec.ValidationError):
            take(state, event)


def _register(state: SystemState, event: Event) -> None:
    agent = msgspec.json.decode(event.data, type=Agent)
    agent.registered = event.time
    state.agents.pop(agent.agent_id, None)  # whoever registers again is the newest
    state.agents[agent.agent_id] = agent
    while len(state.agents) > MAX_AGENTS:
        del state.agents[next(iter(state.agents))]


def _deregister(state: SystemState, event: Event) -> None:
    state.agents.pop(msgspec.json.decode(event.data, type=_AgentId).agent_id, None)


def _change(state: SystemState, event: Event) -> None:
    state.status = msgspec.json.decode(event.data, type=_Status).status


_STEPS: Final[Mapping[str, Callable[[SystemState, Event], None]]] = {
    AGENT_REGISTERED: _register,
    AGENT_DEREGISTERED: _deregister,
    STATUS_CHANGE: _change,
}

SYSTEM_STATE: Final = Fold("state", 2, SystemState, step, as_json=True)

SYSTEM: Final = Kind(
    name="system",
    watch_from="now",
    normalise=normalise,
    folds={"state": SYSTEM_STATE, "nodes": NODES_STATE},
)
