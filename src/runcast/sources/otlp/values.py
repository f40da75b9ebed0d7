"""The values of OTLP's JSON: attributes, numbers, times and ids (OTLP specification, "JSON Protobuf Encoding").

Each function raises `Unreadable` for what the encoding does not allow.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final, cast

MAX_VALUE_DEPTH: Final = 16
"""How deep an attribute's lists and maps may nest."""

_INT64: Final = 2**63
_NANOSECONDS: Final = 2**64
_UNKNOWN: Final = {"": "", "0" * 16: "", "0" * 32: ""}


class Unreadable(Exception):
    """One record breaks a rule of the encoding; `str(error)` says which."""


def known_id(text: str) -> str:
    """A hex id in lower case; empty for the one that means none (W3C Trace Context §3.2.2)."""
    text = text.lower()
    return _UNKNOWN.get(text, text)


def attributes_of(value: object) -> dict[str, Any]:
    """A list of keys and values as a mapping; the last of a name counts."""
    return _pairs(value, "attributes", 0)


def _pairs(value: object, name: str, depth: int) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, list):
        raise Unreadable(f"{name}: a list is expected")
    found: dict[str, Any] = {}
    for pair in cast("list[object]", value):
        if not isinstance(pair, dict):
            raise Unreadable(f"{name}: objects with key and value are expected")
        item = cast("dict[str, Any]", pair)
        key = item.get("key")
        if not isinstance(key, str):
            raise Unreadable(f"{name}.key: a string is expected")
        found[key] = value_of(item.get("value"), depth + 1)
    return found


def value_of(value: object, depth: int = 0) -> Any:
    """An AnyValue: one of its seven kinds, None if it is empty."""
    if value is None:
        return None
    if depth > MAX_VALUE_DEPTH:
        raise Unreadable(f"value: nested deeper than {MAX_VALUE_DEPTH} levels")
    if not isinstance(value, dict):
        raise Unreadable("value: an object such as {stringValue} is expected")
    for kind, inner in cast("dict[str, Any]", value).items():
        read = _VALUES.get(kind)
        if read is not None and inner is not None:
            return read(inner, depth)
    return None


def _string_value(value: object, _: int) -> str:
    if not isinstance(value, str):
        raise Unreadable("stringValue: a string is expected")
    return value


def _bool_value(value: object, _: int) -> bool:
    if not isinstance(value, bool):
        raise Unreadable("boolValue: true or false is expected")
    return value


def _int_value(value: object, _: int) -> int:
    return integer_of(value, "intValue")


def _double_value(value: object, _: int) -> float:
    try:
        return float(cast("Any", value))  # NaN and the infinities are strings in protobuf's JSON
    except (TypeError, ValueError, OverflowError):
        raise Unreadable("doubleValue: a number is expected") from None


def _bytes_value(value: object, _: int) -> str:
    try:
        return base64.b64encode(base64.b64decode(text_of(value), validate=True)).decode()
    except (binascii.Error, ValueError):
        raise Unreadable("bytesValue: base64 is expected") from None


def _array_value(value: object, depth: int) -> list[Any]:
    items = _inside(value, "arrayValue")
    return [value_of(item, depth + 1) for item in items]


def _map_value(value: object, depth: int) -> dict[str, Any]:
    return _pairs(_inside(value, "kvlistValue"), "kvlistValue", depth)


_VALUES: Final[dict[str, Callable[[object, int], Any]]] = {
    "stringValue": _string_value,
    "boolValue": _bool_value,
    "intValue": _int_value,
    "doubleValue": _double_value,
    "bytesValue": _bytes_value,
    "arrayValue": _array_value,
    "kvlistValue": _map_value,
}


def _inside(value: object, name: str) -> list[object]:
    values = cast("dict[str, Any]", value).get("values", []) if isinstance(value, dict) else None
    if not isinstance(values, list):
        raise Unreadable(f"{name}.values: a list is expected")
    return cast("list[object]", values)


def text_of(value: object) -> str:
    """A string, empty if there is none."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable("a string is expected where there is none")
    return value


def integer_of(value: object, name: str, least: int = -_INT64, most: int = _INT64 - 1) -> int:
    """A 64-bit number: JSON has them as strings or as numbers."""
    try:
        number = int(value) if isinstance(value, str | int) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if isinstance(value, float) and value.is_integer():
        number = int(value)
    if number is None or not least <= number <= most:
        raise Unreadable(f"{name}: a 64-bit integer is expected")
    return number


def time_of(value: object, name: str) -> int:
    """Nanoseconds since the Unix epoch, 0 if there are none."""
    return 0 if value is None else integer_of(value, name, 0, _NANOSECONDS - 1)


def id_of(value: object, digits: int, name: str) -> str:
    """A hex id of so many digits in lower case, empty if there is none."""
    text = text_of(value)
    if text and (len(text) != digits or any(digit not in "0123456789abcdefABCDEF" for digit in text)):
        raise Unreadable(f"{name}: {digits} hex digits are expected")
    return known_id(text)
