"""Reading attributes as exporters write them: numbers as texts, flags as words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec


def text_of(value: object) -> str | None:
    """A text that says something; lists and maps as JSON."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def number_of(value: object) -> float:
    """A finite number of at least 0; 0 for anything else."""
    try:
        number = float(value) if isinstance(value, str | int | float) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0


def count_of(value: object) -> int:
    """A whole number of at least 0; 0 for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return max(value, 0)
    return int(number_of(value))


def flag_of(value: object) -> bool | None:
    """True or false, as such or as a word; None for anything else."""
    return {"true": True, "false": False}.get(str(value).lower())


def first_of(attributes: Mapping[str, Any], *names: str) -> Any:
    """The first of these attributes that is there, or None."""
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)
