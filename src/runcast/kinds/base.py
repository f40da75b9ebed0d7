"""What a kind of stream is: which events begin and end its runs, its rules for events, and its folds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar, cast

import msgspec

from runcast.core.event import Edge, Event, NewEvent, check_id, check_time, check_type, parse_time
from runcast.errors import InvalidEvent, TooLarge

MAX_NESTING = 64
RESERVED = ("type", "seq", "cursor", "stream")
"""Names that mean something on every wire; a publisher's fields of these names are moved under `data`."""

S = TypeVar("S")


class Publish(msgspec.Struct, kw_only=True):
    """One event as its publisher gave it, before the kind's rules: what processors see and may change.

    `data` is any mapping that JSON can hold. `id` is None unless the publisher gave one; `time` an RFC 3339
    text, microseconds since the Unix epoch, or None for now.
    """

    stream: str
    type: str
    data: dict[str, Any] = {}
    id: str | None = None
    time: str | int | None = None


class Fold(Generic[S]):
    """A pure function over a stream's events, and how its state is kept.

    `version` changes whenever `step` or the state does: older snapshots are then left alone. `keep_every`: where
    snapshots are kept in the background, one is stored when so many events came since the last. `as_json`: the state
    holds what publishers gave, such as integers of any length, which MessagePack cannot.
    """

    def __init__(
        self,
        name: str,
        version: int,
        state: type[S],
        step: Callable[[S, Event], None],
        *,
        keep_every: int = 64,
        as_json: bool = False,
    ) -> None:
        self.name = name
        self.version = version
        self.keep_every = keep_every
        self.initial = state
        self.step = step
        """Takes one event into the state, in place."""
        self._encode = msgspec.json.encode if as_json else msgspec.msgpack.encode
        self._decode = (msgspec.json.Decoder(state) if as_json else msgspec.msgpack.Decoder(state)).decode

    def dump(self, state: S) -> bytes:
        """The state as bytes for a snapshot."""
        return self._encode(state)

    def load(self, stored: bytes) -> S:
        """The state from a snapshot's bytes."""
        return self._decode(stored)


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """The vocabulary and rules of one kind of stream. Users may make their own and give them to the bus.

    `starts` and `terminals` are event types that begin and end a run. `watch_from` is where a watcher begins who
    does not say: `start` of the current run, or `now`. `normalise` returns the fields
    to be stored and leaves the publisher's as they are; it raises `InvalidEvent` naming the field. `refers` names
    other streams of which something is told to whoever reads what comes of an event: a publisher must be allowed
    to read those. `begins` tells of an event by its type and its normalised fields that it begins a run, too: for
    publishers who have no word for that. `sign` writes a known publisher's name where an event says who it is from.
    """

    name: str
    starts: frozenset[str] = frozenset()
    terminals: frozenset[str] = frozenset()
    watch_from: Literal["start", "now"] = "start"
    normalise: Callable[[Publish], dict[str, Any]] = lambda publish: move_reserved(publish.data)
    folds: Mapping[str, Fold[Any]] = {}
    refers: Callable[[Publish], Sequence[str]] | None = None
    sign: Callable[[Publish, str], None] | None = None
    begins: Callable[[str, Mapping[str, Any]], bool] | None = None

    def edge(self, event_type: str, fields: Mapping[str, Any] | None = None) -> Edge:
        """What an event of this type does to its run, and with these normalised fields, if they are given."""
        if event_type in self.terminals:
            return Edge.TERMINAL
        if event_type in self.starts:
            return Edge.START
        begins = self.begins is not None and fields is not None and self.begins(event_type, fields)
        return Edge.START if begins else Edge.NONE


def accept(kind: Kind, publish: Publish, now_us: int, max_bytes: int) -> NewEvent:
    """The one door's keeper: check and settle an event, and encode its data once, for ever.

    Raises:
        InvalidEvent: a field breaks a rule; the message names it.
        TooLarge: the data is over `max_bytes` of JSON.
    """
    check_type(publish.type)
    if not isinstance(cast("object", publish.data), dict):
        raise InvalidEvent("data: a JSON object is expected.", field="data")
    event_id = "" if publish.id is None else check_id(publish.id)
    fields = kind.normalise(publish)
    data = encode_data(fields, max_bytes)
    return NewEvent(
        stream=publish.stream,
        type=publish.type,
        data=data,
        time=_time(publish.time, now_us),
        id=event_id,
        edge=kind.edge(publish.type, fields),
    )


def encode_data(fields: Mapping[str, Any], max_bytes: int) -> bytes:
    """Compact JSON of `fields`: no newline, nesting of at most 64, null in the place of NaN and infinities.

    Raises:
        InvalidEvent: something is not JSON.
        TooLarge: it is over `max_bytes`.
    """
    try:
        data = msgspec.json.encode(fields)
    except (ArithmeticError, TypeError, ValueError, RecursionError) as error:
        # ValueError covers a lone surrogate, ArithmeticError a date out of range
        raise InvalidEvent(
            f"data: not representable as JSON ({type(error).__name__}).", field="data"
        ) from None
    if len(data) > max_bytes:
        raise TooLarge(f"data: {len(data)} bytes of JSON; the limit is {max_bytes}.", field="data")
    if data.count(b"{") + data.count(b"[") > MAX_NESTING:
        # Looked at as others will decode it: what was given may nest in ways of its own (structs, tuples).
        check_nesting(msgspec.json.decode(data), MAX_NESTING)
    return data


def check_nesting(value: object, deepest: int) -> None:
    """Refuse decoded JSON with more than `deepest` levels of lists and objects inside one another.

    Raises:
        InvalidEvent: there are more.
    """
    level: list[object] = [value]
    for _ in range(deepest):
        level = [child for node in level for child in _children(node) if isinstance(child, dict | list)]
        if not level:
            return
    raise InvalidEvent(f"data: nested deeper than {deepest} levels.", field="data")


def move_reserved(fields: Mapping[str, Any], reserved: tuple[str, ...] = RESERVED) -> dict[str, Any]:
    """A copy of `fields` with those of reserved names moved under `data`.

    Raises:
        InvalidEvent: there is something else under `data` already.
    """
    moved = {name: fields[name] for name in reserved if name in fields}
    if not moved:
        return dict(fields)
    inner = fields.get("data", {})
    if not isinstance(inner, dict) or moved.keys() & inner.keys():
        names = ", ".join(moved)
        raise InvalidEvent(
            f"data: the names {', '.join(reserved)} are reserved (here: {names}).", field="data"
        )
    return {**{k: v for k, v in fields.items() if k not in moved}, "data": {**inner, **moved}}


def _children(node: object) -> list[object]:
    if isinstance(node, dict):
        return list(node.values())  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(node, list):
        return list(node)  # pyright: ignore[reportUnknownArgumentType]
    return []


def _time(given: str | int | None, now_us: int) -> int:
    if given is None:
        return now_us
    if isinstance(given, str):
        return parse_time(given, now_us)
    return check_time(given, now_us)
