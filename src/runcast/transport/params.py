"""Query parameters, checked: an error names the parameter and what it may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs

from starlette.requests import Request

from runcast.core.filters import EVERYTHING, EventSubscriptionFilter, parse_filter
from runcast.errors import InvalidInput

MAX_PARAM_CHARS = 32_768

Query = Mapping[str, Sequence[str]]
"""As `urllib.parse.parse_qs` makes it; the last value of a repeated parameter counts."""


def query_of(request: Request) -> Query:
    """The query parameters, empty ones included."""
    return parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)


def text_param(query: Query, name: str, default: str) -> str:
    """A text.

    Raises:
        InvalidInput: it is over 32,768 characters.
    """
    value = query[name][-1] if query.get(name) else default
    if len(value) > MAX_PARAM_CHARS:
        raise InvalidInput(f"{name}: at most {MAX_PARAM_CHARS} characters.", field=name)
    return value


def integer_param(query: Query, name: str, default: int, least: int, most: int) -> int:
    """An integer.

    Raises:
        InvalidInput: it is none, or not from `least` to `most`.
    """
    text = text_param(query, name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= 18 and least <= int(text) <= most):
        raise InvalidInput(f"{name}: an integer from {least} to {most}.", field=name)
    return int(text)


def choice_param(query: Query, name: str, choices: Sequence[str]) -> str:
    """One of some words, the first by default.

    Raises:
        InvalidInput: it is none of them.
    """
    text = text_param(query, name, choices[0])
    if text not in choices:
        raise InvalidInput(f"{name}: one of {', '.join(choices)}.", field=name)
    return text


def filter_param(query: Query) -> EventSubscriptionFilter:
    """The filter of the request.

    Raises:
        InvalidFilter: it is not one.
    """
    text = text_param(query, "filter", "")
    return parse_filter(text) if text else EVERYTHING
