"""Request bodies: bounded, and decoded into events to publish."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from starlette.requests import ClientDisconnect, Request

from runcast.errors import InvalidEvent, InvalidInput, TooLarge
from runcast.kinds.base import Publish

NDJSON = "application/x-ndjson"
_KEYS = {"type", "data", "id", "time"}


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is over `max_bytes`; the rest is not read.
        InvalidInput: the client broke off; nobody hears of it any more.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > max_bytes:
                raise TooLarge(f"body: over the limit of {max_bytes} bytes.", field="body")
            parts.append(part)
    except ClientDisconnect:
        raise InvalidInput("body: the request broke off.", field="body") from None
    return b"".join(parts)


def decode_mappings(body: bytes, content_type: str) -> list[dict[str, Any]]:
    """One JSON object, an array of them, or NDJSON, if the content type says so.

    Raises:
        InvalidInput: it is none of that, or empty.
    """
    values = _decode(body, content_type)
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise InvalidEvent(f"body[{index}]: a JSON object is expected.", field=f"body[{index}]")
    if not values:
        raise InvalidInput("body: at least one event is expected.", field="body")
    return cast("list[dict[str, Any]]", values)


def native_publish(stream: str, value: dict[str, Any], index: int) -> Publish:
    """An event in the native form `{"type", "data"?, "id"?, "time"?}`.

    Raises:
        InvalidEvent: a key is unknown, missing, or of the wrong type.
    """
    unknown = value.keys() - _KEYS
    if unknown:
        name = sorted(unknown)[0][:60]
        raise InvalidEvent(f"body[{index}].{name}: unknown; known are type, data, id and time.", field=name)
    try:
        return msgspec.convert({**value, "stream": stream}, Publish)
    except msgspec.ValidationError as error:
        raise InvalidEvent(f"body[{index}]: {error}.", field=f"body[{index}]") from None


def _decode(body: bytes, content_type: str) -> list[object]:
    try:
        if content_type.startswith(NDJSON):
            return list(msgspec.json.Decoder().decode_lines(body))
        value = msgspec.json.decode(body)
    except UnicodeDecodeError:
        raise InvalidInput("body: not valid UTF-8.", field="body") from None
    except RecursionError:
        raise InvalidInput("body: nested too deeply.", field="body") from None
    except msgspec.DecodeError as error:
        raise InvalidInput(f"body: not valid JSON: {error}.", field="body") from None
    return value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]
