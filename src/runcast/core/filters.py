"""Which events a subscriber wants: one value, the same for replay and for live."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, cast

import msgspec

from runcast.core.event import Event
from runcast.errors import InvalidFilter

MAX_LIST_ENTRIES = 100
MAX_ENTRY_CHARS = 200

Predicate = Callable[[Event], bool]

_LISTS = ("event_types", "tool_names", "statuses", "feature_ids")
_KEYS = ("event_types", "session_id", "tool_names", "cost_threshold_tokens", "statuses", "feature_ids")


class EventFilter(Protocol):
    """Whatever chooses events: two with the same `fingerprint` choose the same."""

    @property
    def fingerprint(self) -> str:
        """Empty where every event passes."""
        ...

    def compile(self) -> Predicate | None:
        """A fast test for stored events, or None where every event passes."""
        ...

    def matches_event(self, event: Mapping[str, Any]) -> bool:
        """Whether a flat session event passes."""
        ...


class _Facets(msgspec.Struct, gc=False):
    """The fields of an event's data that a filter looks at; a decoder skips all others."""

    tool_name: object = None
    cost_tokens: object = 0
    status: object = None
    feature_id: object = None


_decode_facets = msgspec.json.Decoder(_Facets).decode


class EventSubscriptionFilter:
    """AND across fields, OR within a list.

    A field that is None does not constrain; an empty list matches nothing. An event passes
    `cost_threshold_tokens` when its `cost_tokens` (0 if it has none) is at least that. A value: equal filters
    are interchangeable and hash alike, and no attribute changes after creation.

    Raises:
        InvalidFilter: a list has over 100 entries or one that is no string of at most 200 characters, or the
            threshold is no integer of at least 0.
    """

    __slots__ = (
        "_fingerprint",
        "cost_threshold_tokens",
        "event_types",
        "feature_ids",
        "session_id",
        "statuses",
        "tool_names",
    )

    _fingerprint: str
    event_types: frozenset[str] | None
    session_id: str | None
    tool_names: frozenset[str] | None
    cost_threshold_tokens: int | None
    statuses: frozenset[str] | None
    feature_ids: frozenset[str] | None

    def __init__(  # noqa: PLR0917 - the documented signature, in the documented order
        self,
        event_types: Iterable[str] | None = None,
        session_id: str | None = None,
        tool_names: Iterable[str] | None = None,
        cost_threshold_tokens: int | None = None,
        statuses: Iterable[str] | None = None,
        feature_ids: Iterable[str] | None = None,
    ) -> None:
        put = object.__setattr__
        put(self, "event_types", _strings("event_types", event_types))
        put(self, "session_id", _string("session_id", session_id))
        put(self, "tool_names", _strings("tool_names", tool_names))
        put(self, "cost_threshold_tokens", _threshold(cost_threshold_tokens))
        put(self, "statuses", _strings("statuses", statuses))
        put(self, "feature_ids", _strings("feature_ids", feature_ids))
        put(self, "_fingerprint", self._make_fingerprint())

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a filter is a value: make a new one instead of changing {name}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EventSubscriptionFilter) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self._fingerprint)

    def __reduce__(self) -> tuple[type[EventSubscriptionFilter], tuple[object, ...]]:
        return EventSubscriptionFilter, tuple(getattr(self, key) for key in _KEYS)  # for copy and pickle

    def __repr__(self) -> str:
        return f"EventSubscriptionFilter({self._fingerprint})"

    @property
    def fingerprint(self) -> str:
        """Canonical text of this filter: the same for two clients that want the same, empty for all events."""
        return self._fingerprint

    def matches_event(self, event: Mapping[str, Any]) -> bool:
        """Whether a flat event, as a session's clients get it (`event_type`, `tool_name`, …), passes."""
        return (
            _among(self.event_types, event.get("event_type"))
            and (self.session_id is None or event.get("session_id") == self.session_id)
            and _among(self.tool_names, event.get("tool_name"))
            and _among(self.statuses, event.get("status"))
            and _among(self.feature_ids, event.get("feature_id"))
            and _costs(self.cost_threshold_tokens, event.get("cost_tokens"))
        )

    def compile(self) -> Predicate | None:
        """A fast test for stored events, or None where every event passes."""
        if not self._fingerprint:
            return None
        by_envelope = self._compile_envelope()
        if not (
            _set(self.tool_names)
            or _set(self.statuses)
            or _set(self.feature_ids)
            or self.cost_threshold_tokens
        ):
            return by_envelope
        return lambda event: by_envelope(event) and self._matches_facets(_decode_facets(event.data))

    def _compile_envelope(self) -> Predicate:
        types, session_id = self.event_types, self.session_id
        stream = None if session_id is None else f"session:{session_id}"
        return lambda event: (
            (types is None or event.type in types) and (stream is None or event.stream == stream)
        )

    def _matches_facets(self, facets: _Facets) -> bool:
        return (
            _among(self.tool_names, facets.tool_name)
            and _among(self.statuses, facets.status)
            and _among(self.feature_ids, facets.feature_id)
            and _costs(self.cost_threshold_tokens, facets.cost_tokens)
        )

    def _make_fingerprint(self) -> str:
        fields: dict[str, frozenset[str] | str | int | None] = {key: getattr(self, key) for key in _KEYS}
        canonical = {key: _canonical(value) for key, value in fields.items() if value is not None}
        try:
            return msgspec.json.encode(canonical).decode() if canonical else ""
        except UnicodeEncodeError:  # half a surrogate pair: no event has such a text
            raise InvalidFilter("filter: a string that is not valid Unicode.", field="filter") from None


def parse_filter(text: str | bytes) -> EventSubscriptionFilter:
    """Read a filter from its JSON, such as `{"event_types": ["error"], "cost_threshold_tokens": 100}`.

    Raises:
        InvalidFilter: not a JSON object, an unknown key, or a value that cannot be.
    """
    try:
        mapping = msgspec.json.decode(text)
    except (ValueError, RecursionError):  # msgspec's DecodeError and UnicodeDecodeError are ValueErrors
        raise InvalidFilter("filter: not valid JSON.", field="filter") from None
    if not isinstance(mapping, dict):
        raise InvalidFilter("filter: a JSON object is expected.", field="filter")
    return filter_of(cast("dict[str, Any]", mapping))


def filter_of(wanted: Mapping[str, Any]) -> EventSubscriptionFilter:
    """The filter that a decoded JSON object describes.

    Raises:
        InvalidFilter: an unknown key, or a value that cannot be.
    """
    unknown = sorted(set(wanted) - set(_KEYS))
    if unknown:
        raise InvalidFilter(
            f"filter: unknown key {unknown[0][:60]!r}; known are {', '.join(_KEYS)}.", field="filter"
        )
    return EventSubscriptionFilter(**wanted)


def _canonical(value: frozenset[str] | str | int) -> list[str] | str | int:
    return sorted(value) if isinstance(value, frozenset) else value


def _set(value: frozenset[str] | None) -> bool:
    return value is not None


def _among(wanted: frozenset[str] | None, value: object) -> bool:
    return wanted is None or (isinstance(value, str) and value in wanted)


def _costs(threshold: int | None, tokens: object) -> bool:
    if threshold is None or threshold == 0:
        return True
    return isinstance(tokens, int | float) and tokens >= threshold


def _strings(key: str, value: object) -> frozenset[str] | None:
    if value is None:
        return None
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidFilter(f"filter.{key}: a list of strings is expected.", field=f"filter.{key}")
    entries = list(cast("Iterable[object]", value))
    if len(entries) > MAX_LIST_ENTRIES:
        raise InvalidFilter(f"filter.{key}: at most {MAX_LIST_ENTRIES} entries.", field=f"filter.{key}")
    return frozenset(_string(key, entry) or "" for entry in entries)


def _string(key: str, value: object) -> str | None:
    if value is None and key == "session_id":
        return None
    if not isinstance(value, str) or len(value) > MAX_ENTRY_CHARS:
        raise InvalidFilter(
            f"filter.{key}: strings of at most {MAX_ENTRY_CHARS} characters.", field=f"filter.{key}"
        )
    return value


def _threshold(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise InvalidFilter(
            "filter.cost_threshold_tokens: an integer of at least 0.", field="filter.cost_threshold_tokens"
        )
    return value


EVERYTHING = EventSubscriptionFilter()
