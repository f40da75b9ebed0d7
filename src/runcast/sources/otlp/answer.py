"""What an exporter hears: OTLP's responses and its errors, in the encoding of the request.

Each is a protobuf message of two fields, small enough to be written by hand: an error must be told in protobuf
also where the extra that reads it is missing.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import msgspec

from runcast.sources.otlp.decode import PROTOBUF

REJECTED: Final = {"logs": "rejectedLogRecords", "traces": "rejectedSpans", "metrics": "rejectedDataPoints"}
"""How each signal calls the number of what was not taken."""


class Code(IntEnum):
    """The codes of google.rpc.Status that we use."""

    INVALID_ARGUMENT = 3
    RESOURCE_EXHAUSTED = 8
    INTERNAL = 13
    UNAVAILABLE = 14


def success(content_type: str, signal: str = "logs", rejected: int = 0, message: str = "") -> bytes:
    """An Export…ServiceResponse. Its `partial_success` is there only where something was rejected."""
    if not rejected:
        return b"" if content_type == PROTOBUF else b"{}"
    if content_type == PROTOBUF:
        return _field(1, _numbered(rejected, message))
    told = {REJECTED[signal]: str(rejected), "errorMessage": message}  # int64 is a string in protobuf's JSON
    return msgspec.json.encode({"partialSuccess": told})


def failure(content_type: str, code: Code, message: str) -> bytes:
    """A google.rpc.Status (OTLP specification, "Failures")."""
    if content_type == PROTOBUF:
        return _numbered(int(code), message)
    return msgspec.json.encode({"code": int(code), "message": message})


def _numbered(number: int, text: str) -> bytes:
    """A message of the fields 1, a number, and 2, a string."""
    return b"\x08" + _varint(number) + _field(2, text.encode())


def _field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first (Protocol Buffers, "Base 128 Varints")."""
    digits = bytearray()
    while number > 0x7F:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(digits) + bytes([number])
