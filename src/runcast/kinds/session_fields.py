"""What the folds of a session read of its events: the fields that count, made safe, and sums of tokens."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Final, TypeVar, cast

import msgspec

from runcast.core.event import Event

MAX_KEYS: Final = 200
"""Entries of one table. Tools, models, agents and types are open sets: the rest is counted under `OTHER`."""
OTHER: Final = "other"
MAX_KEY_CHARS: Final = 200
ERROR_STATUSES: Final = frozenset({"error", "timeout", "failed"})
API_REQUEST: Final = "api_request"
"""Tells of one request to the model (OpenTelemetry). Its tokens may be told by a transcript as well."""
UPDATE: Final = "update"
"""Tells anew of an event that was told before: a row of another database that was changed."""
ALERTS: Final = frozenset({"cost_alert", "bottleneck"})
"""What is raised about a session, and is nothing that its agent did."""

MAX_COUNT: Final = 2**53 - 1  # what JavaScript reads exactly; a sum stays there instead of overflowing
MAX_SUM: Final = sys.float_info.max
V = TypeVar("V")
_NULL: Final = msgspec.Raw(b"null")


class Fields(msgspec.Struct, gc=False):
    """The fields of an event's data that count; a decoder skips all others.

    Typed as anything: a log may hold events that an older version, or another program, let pass.
    """

    agent_id: object = None
    tool_name: object = None
    status: object = None
    model: object = None
    parent_event_id: object = None
    execution_duration_seconds: object = None
    cost_tokens: object = None
    cost_usd: object = None
    usage: object = None
    output_summary: msgspec.Raw = _NULL

    @property
    def has_output(self) -> bool:
        """Whether the event tells a result."""
        return bytes(self.output_summary) not in {b"null", b'""'}


class Tokens(msgspec.Struct, gc=False):
    """Sums of `cost_tokens`, and of the counts in `usage` where a publisher gives them."""

    cost_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0

    def add(self, spent: Tokens) -> None:
        """Add `spent`, each count by itself."""
        self.cost_tokens += spent.cost_tokens
        self.input_tokens += spent.input_tokens
        self.output_tokens += spent.output_tokens
        self.cache_read_input_tokens += spent.cache_read_input_tokens
        self.cache_creation_input_tokens += spent.cache_creation_input_tokens
        cached = self.cache_read_input_tokens + self.cache_creation_input_tokens
        if self.cost_tokens + self.input_tokens + self.output_tokens + cached > MAX_COUNT:
            self._bound()  # one of them may be too large

    def _bound(self) -> None:
        for name in self.__struct_fields__:
            setattr(self, name, min(getattr(self, name), MAX_COUNT))

    @property
    def weight(self) -> tuple[int, int]:
        """What tells the larger of two accounts of the same requests."""
        beside = self.input_tokens + self.cache_read_input_tokens + self.cache_creation_input_tokens
        return max(self.cost_tokens, self.output_tokens), beside


_decode = msgspec.json.Decoder(Fields).decode
_NO_USAGE: Final[dict[str, object]] = {}


def fields_of(event: Event) -> Fields:
    """The fields that count; as if there were none if the data is not what it should be."""
    try:
        return _decode(event.data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Fields()


def is_error(event: Event, status: str | None) -> bool:
    """Whether an event tells of a failure: by its type, or by its status."""
    return event.type == "error" or status in ERROR_STATUSES


def tokens_of(fields: Fields) -> Tokens | None:
    """What an event cost; None if nothing."""
    cost, usage = fields.cost_tokens, fields.usage
    if not cost and usage is None:
        return None
    told = cast("dict[str, object]", usage) if isinstance(usage, dict) else _NO_USAGE
    return Tokens(
        _whole(cost),
        _whole(told.get("input_tokens")),
        _whole(told.get("output_tokens")),
        _whole(told.get("cache_read_input_tokens")),
        _whole(told.get("cache_creation_input_tokens")),
    )


def key(value: object) -> str | None:
    """A name to count under, cut to `MAX_KEY_CHARS`; None where there is none."""
    return value[:MAX_KEY_CHARS] if isinstance(value, str) and value else None


def entry(table: dict[str, V], name: str, new: Callable[[], V]) -> V:
    """What is counted under `name`, begun if it is not there."""
    found = table.get(name)
    if found is None:
        found = table.setdefault(slot(table, name), new())
    return found


def slot(table: dict[str, V], name: str) -> str:
    """Where `name` is counted: by itself while there is room, the last place being kept for the rest."""
    return name if name in table or len(table) < MAX_KEYS - 1 else OTHER


def amount(value: object) -> float:
    """A number of seconds or dollars; 0 if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if 0 <= value <= MAX_SUM and math.isfinite(value) else 0.0


def _whole(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return 0
    return min(value, MAX_COUNT)
