"""Reading the fields of stored events, for folds: a log may hold what an older version let pass."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from runcast.core.event import Event

MAX_COUNT: Final = 2**53 - 1
"""The largest integer that a JavaScript client reads exactly."""

Fields = dict[str, Any]


def fields_of(event: Event) -> Fields:
    """The fields of an event; none if it holds no object."""
    try:
        fields = msgspec.json.decode(event.data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return cast("Fields", fields) if isinstance(fields, dict) else {}


def text(fields: Fields, name: str) -> str | None:
    """A text that is not empty."""
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


def number(fields: Fields, name: str) -> float | None:
    """A number whose whole part a JavaScript client reads exactly."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= MAX_COUNT else None


def whole(fields: Fields, name: str) -> int | None:
    """An integer from 0 to `MAX_COUNT`."""
    value = fields.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MAX_COUNT else None


def inner(fields: Fields, name: str) -> Fields:
    """An object; an empty one if there is none."""
    value = fields.get(name)
    return cast("Fields", value) if isinstance(value, dict) else {}
