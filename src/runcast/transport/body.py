"""Request bodies: bounded, and decoded into events to publish."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from typing import Any, Final, cast

import msgspec
from starlette.requests import ClientDisconnect, Request

from runcast.errors import InvalidEvent, InvalidInput, TooLarge
from runcast.kinds.base import Publish
from runcast.transport.access import access_of

NDJSON = "application/x-ndjson"
_KEYS = {"type", "data", "id", "time"}

RECHECK_AFTER_S: Final = 0.1
"""A body that took so long to come is stored only if its sender still counts."""
MAX_VALUES: Final = 200_000
"""Values in one body: one event of 256 KiB may hold 131,072. Decoding so many takes the loop some 50 ms at most, while
8 MiB of `[]` took it 1.4 s."""
_SIGNS: Final = b"[{,"  # before each value but the first
_OTHERS: Final = bytes(set(range(256)) - set(_SIGNS))
_OPEN: Final = b"<"  # what stands for a text that is cut by the end of a window
_OPEN_ESCAPE: Final = b"<<"
_WINDOW_BYTES: Final = 64 * 1024
_TEXT: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?:(")|(\\?)\Z)', re.DOTALL)


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body.

    While a slow one comes, a key may be revoked or a token expire: then is looked once more whether the sender
    counts. What comes within `RECHECK_AFTER_S`, as nearly everything does, costs nothing more.

    Raises:
        Unauthenticated, IdentityUnavailable, Restarting: see `Access.recheck`.
        TooLarge: it is over `max_bytes`, and then the rest is not read; or see `check_values`.
        InvalidInput: the client broke off; nobody hears of it any more.
    """
    parts: list[bytes] = []
    now_s = asyncio.get_running_loop().time
    began_s = now_s()
    try:
        await _collect(request, max_bytes, parts)
    except ClientDisconnect:
        raise InvalidInput("body: the request broke off.", field="body") from None
    except TooLarge:
        parts.clear()  # the error's traceback would keep them
        raise
    if now_s() - began_s >= RECHECK_AFTER_S:
        await access_of(request.scope).recheck()
    return b"".join(parts)


async def _collect(request: Request, max_bytes: int, parts: list[bytes]) -> None:
    is_json = _is_plain_json(request)
    size = signs = checked = 0
    async for part in request.stream():
        size += len(part)
        if size > max_bytes:
            raise TooLarge(f"body: over the limit of {max_bytes} bytes.", field="body")
        parts.append(part)
        signs += _count_signs(part) if is_json else 0
        if signs > MAX_VALUES + 2 * checked:  # most of them may be within texts
            await asyncio.to_thread(check_values, parts)
            checked = signs
    if signs > max(checked, MAX_VALUES):
        await asyncio.to_thread(check_values, parts)


def check_values(parts: Iterable[bytes]) -> None:
    """Refuse JSON that is so finely divided that decoding it would keep everybody waiting. What is none may pass.

    Works through it in small steps: in a thread, others get their turn between them.

    Raises:
        TooLarge: there are over `MAX_VALUES`.
    """
    count, carried = 0, b""
    for part in parts:
        for start in range(0, len(part), _WINDOW_BYTES):
            rest = _TEXT.sub(_shorten, carried + part[start : start + _WINDOW_BYTES])
            carried = b""
            if rest.endswith((_OPEN, _OPEN_ESCAPE)):  # a text that goes on in the next window
                carried = b'"\\' if rest.endswith(_OPEN_ESCAPE) else b'"'
            count += _count_signs(rest)
            if count > MAX_VALUES:
                raise TooLarge(f"body: over {MAX_VALUES} values; send fewer events at once.", field="body")


def _is_plain_json(request: Request) -> bool:
    headers = request.headers
    return "json" in headers.get("content-type", "") and "content-encoding" not in headers


def _shorten(text: re.Match[bytes]) -> bytes:
    if text[1]:
        return b""
    return _OPEN_ESCAPE if text[2] else _OPEN


def _count_signs(body: bytes) -> int:
    return len(body.translate(None, _OTHERS))


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
