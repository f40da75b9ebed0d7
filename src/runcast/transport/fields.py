"""The JSON object in a request's body, read field by field: what cannot be is an error that names field and limit."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from starlette.requests import Request

from runcast.errors import InvalidInput
from runcast.kinds.base import MAX_NESTING, check_nesting
from runcast.transport.body import read_body


class Fields:
    """The object's fields; null is as good as absent. Each reading raises `InvalidInput` for what it is not."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._given = given

    def only(self, *known: str) -> None:
        """Refuse other fields than these: a name misspelt would be without effect."""
        unknown = sorted(self._given.keys() - set(known))
        if unknown:
            name = unknown[0][:60]
            raise InvalidInput(f"{name}: unknown; known are {', '.join(known)}.", field=name)

    def text(self, name: str, least: int, most: int) -> str:
        """A text that must be there; blanks alone are none."""
        found = self.text_or_none(name, most)
        if found is None or len(found.strip()) < least:
            raise self._wrong(name, f"a text of {least} to {most:,} characters is expected")
        return found

    def text_or_none(self, name: str, most: int) -> str | None:
        """A text, or None if there is none."""
        value = self._given.get(name)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > most:
            raise self._wrong(name, f"a text of at most {most:,} characters is expected")
        return value

    def integer_or_none(self, name: str, least: int, most: int) -> int | None:
        """An integer, or None if there is none."""
        value = self._given.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._wrong(name, f"an integer from {least} to {most} is expected")
        return value

    def truth(self, name: str) -> bool:
        """True or false, which must be there."""
        value = self._given.get(name)
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false is expected")
        return value

    def as_given(self, *names: str) -> dict[str, Any]:
        """These of the fields that are there, for whoever checks them."""
        return {name: self._given[name] for name in names if self._given.get(name) is not None}

    def others(self, *names: str) -> dict[str, Any]:
        """All fields but these, and but those that are null, for whoever checks them."""
        return {name: value for name, value in self._given.items() if name not in names and value is not None}

    @staticmethod
    def _wrong(name: str, what: str) -> InvalidInput:
        return InvalidInput(f"{name}: {what}.", field=name)


async def read_fields(request: Request, max_bytes: int, *, optional: bool = False) -> Fields:
    """The body's JSON object; with `optional`, no body is an empty one.

    Raises:
        InvalidInput: it is none, or nested too deeply.
        TooLarge: it is over `max_bytes`.
    """
    body = await read_body(request, max_bytes)
    if optional and not body.strip():
        return Fields({})
    try:
        value = msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise InvalidInput("body: not valid UTF-8.", field="body") from None
    except RecursionError:
        raise InvalidInput("body: nested too deeply.", field="body") from None
    except msgspec.DecodeError as error:
        raise InvalidInput(f"body: not valid JSON: {error}.", field="body") from None
    if not isinstance(value, dict):
        raise InvalidInput("body: a JSON object is expected.", field="body")
    check_nesting(cast("object", value), MAX_NESTING)
    return Fields(cast("dict[str, Any]", value))
