"""Numbers for `/metrics` that come from above the live layer: whoever has some appends a function to `Bus.figures`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec


class Figure(msgspec.Struct, frozen=True):
    """One number. Those of the same name have the same text, and labels of the same names."""

    name: str
    """As Prometheus has it, without `_total`."""
    text: str
    value: float
    labels: Mapping[str, str] = {}
    is_counter: bool = False


Figures = Callable[[], Iterable[Figure]]
"""Called for each look at the metrics, in the event loop; must return soon."""


def counter(name: str, text: str, value: float, labels: Mapping[str, Any] | None = None) -> Figure:
    """A number that only grows while the process runs."""
    return Figure(name, text, value, labels or {}, is_counter=True)


def gauge(name: str, text: str, value: float, labels: Mapping[str, Any] | None = None) -> Figure:
    """A number that goes up and down."""
    return Figure(name, text, value, labels or {})
