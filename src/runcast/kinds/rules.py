"""Rules for the fields of events: each settles one field, so that whoever reads it finds what it expects.

A rule is called with the field's name and its value, None if it is absent, and returns what is stored; it raises
`InvalidEvent`, which names the field and what is allowed. The functions here make such rules.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from runcast.errors import InvalidEvent
from runcast.kinds.session import cut_text

Rule = Callable[[str, Any], Any]


def settle(rules: Mapping[str, Rule] | None, data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that have rules, settled and in the rules' order, then whatever else was given; without rules, all.

    Raises:
        InvalidEvent: a field breaks its rule.
    """
    if rules is None:
        return dict(data)
    settled = {name: rule(name, data.get(name)) for name, rule in rules.items()}
    return {**settled, **{name: value for name, value in data.items() if name not in rules}}


def text(limit: int, default: str | None = "") -> Rule:
    """A string, cut with a mark after `limit` characters."""

    def rule(name: str, value: Any) -> str | None:
        if value is None:
            return default
        if isinstance(value, str):
            return cut_text(value, limit)
        raise InvalidEvent(f"{name}: a string is expected.", field=name)

    return rule


def name(limit: int, default: str | None = None, *, optional: bool = False) -> Rule:
    """A string of 1 to `limit` characters; without a default it must be given, unless null is as well."""

    def rule(name: str, value: Any) -> str | None:
        given = default if value is None else value
        if given is None and optional:
            return None
        if isinstance(given, str) and 1 <= len(given) <= limit:
            return given
        raise InvalidEvent(f"{name}: a string of 1 to {limit} characters.", field=name)

    return rule


def number(least: float, most: float, default: float | None) -> Rule:
    """A number between two others."""

    def rule(name: str, value: Any) -> float | None:
        if value is None:
            return default
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            return value
        upper = "" if most == sys.float_info.max else f" to {most:g}"
        raise InvalidEvent(f"{name}: a number from {least:g}{upper or ' up'}.", field=name)

    return rule


def count(least: int, most: int, default: int | None = 0) -> Rule:
    """An integer between two others; one that is written as a float is taken."""

    def rule(name: str, value: Any) -> int | None:
        if value is None:
            return default
        whole = int(value) if isinstance(value, float) and value.is_integer() else value
        if isinstance(whole, int) and not isinstance(whole, bool) and least <= whole <= most:
            return whole
        raise InvalidEvent(f"{name}: an integer from {least} to {most}.", field=name)

    return rule


def truth(default: bool | None = None) -> Rule:
    """True or false; without a default it must be given."""

    def rule(name: str, value: Any) -> bool:
        given = default if value is None else value
        if isinstance(given, bool):
            return given
        raise InvalidEvent(f"{name}: true or false is expected.", field=name)

    return rule


def one_of(values: tuple[str, ...], default: str | None = None) -> Rule:
    """One of these strings."""

    def rule(name: str, value: Any) -> str:
        given = default if value is None else value
        if given in values:
            return given
        raise InvalidEvent(f"{name}: {', '.join(values[:-1])} or {values[-1]}.", field=name)

    return rule
