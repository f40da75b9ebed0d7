"""One line of a transcript as a value: the fields that are read, and the text of what it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import msgspec

from runcast.core.event import parse_time
from runcast.errors import InvalidEvent

_ANY_TIME_US: Final = 2**62  # the future is refused where the clock is known
_NOTHING: Final = msgspec.Raw(b"null")

Block = Mapping[str, Any]


class Line(msgspec.Struct, rename="camel", gc=False):
    """A line's fields. What another version may write otherwise is `Any`, and looked at where it is used.

    `data` and `tool_use_result` may be large and are rarely needed: they stay undecoded.
    """

    type: str
    subtype: str | None = None
    uuid: str | None = None
    timestamp: str | None = None
    session_id: str | None = None
    agent_id: str | None = None
    cwd: str | None = None
    request_id: str | None = None
    prompt_id: str | None = None
    is_meta: bool | None = None
    is_compact_summary: bool | None = None
    is_sidechain: bool | None = None
    is_api_error_message: bool | None = None
    message: Any = None
    content: Any = None
    summary: Any = None
    operation: Any = None
    level: Any = None
    attachment: Any = None
    error: Any = None
    duration_ms: Any = None
    compact_metadata: Any = None
    hook_errors: Any = None
    custom_title: Any = None
    ai_title: Any = None
    pr_url: Any = None
    parent_tool_use_id: Any = msgspec.field(default=None, name="parentToolUseID")
    data: msgspec.Raw = _NOTHING
    tool_use_result: msgspec.Raw = _NOTHING

    @property
    def time_us(self) -> int | None:
        """When it was written, in microseconds since the Unix epoch; None if it does not say."""
        return _time_us(self.timestamp)

    @property
    def fields(self) -> Block:
        """The message of a user or assistant line."""
        return mapping(self.message)

    def blocks(self) -> list[Block]:
        """The blocks of the message; a message that is only a text is one block."""
        content = self.fields.get("content")
        if isinstance(content, str):
            return [{"type": "text", "text": content}]
        return [mapping(block) for block in cast("list[Any]", content)] if isinstance(content, list) else []


class _Dated(msgspec.Struct, gc=False):
    """What is needed of a line to know its place among others."""

    timestamp: str | None = None


class AgentProgress(msgspec.Struct, rename="camel", gc=False):
    """What a `progress` line tells of a subagent; the rest of it repeats the subagent's own file."""

    type: str = ""
    agent_id: str | None = None
    prompt: Any = None


class AgentResult(msgspec.Struct, rename="camel", gc=False):
    """What the result of a tool call tells of the subagent that did the work."""

    agent_id: str | None = None
    prompt: Any = None


_decode = msgspec.json.Decoder(Line).decode
_decode_dated = msgspec.json.Decoder(_Dated).decode
_decode_progress = msgspec.json.Decoder(AgentProgress).decode
_decode_result = msgspec.json.Decoder(AgentResult).decode


def read_line(line: bytes) -> Line | None:
    """The line's fields; None if it is not one of a transcript.

    Half of a UTF-16 pair, which strict JSON has no place for, is read as a question mark.
    """
    try:
        return _decode(line)
    except (msgspec.ValidationError, RecursionError):
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _read_mended(line) if b"\\u" in line else None


def time_of(line: bytes) -> int | None:
    """When a line was written, as `Line.time_us` has it, without reading the rest of it."""
    try:
        return _time_us(_decode_dated(line).timestamp)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _time_us(timestamp: str | None) -> int | None:
    try:
        return parse_time(timestamp, _ANY_TIME_US) if timestamp else None
    except InvalidEvent:
        return None


def _read_mended(line: bytes) -> Line | None:
    try:
        mended = json.dumps(json.loads(line), ensure_ascii=False).encode("utf-8", "replace")
        return _decode(mended)
    except (ValueError, RecursionError):  # DecodeError is a ValueError
        return None


def agent_progress(line: Line) -> AgentProgress | None:
    """What a `progress` line tells of a subagent, if it does."""
    try:
        found = _decode_progress(line.data)
    except msgspec.MsgspecError:
        return None
    return found if found.type == "agent_progress" and found.agent_id else None


def agent_result(line: Line) -> AgentResult | None:
    """The subagent whose answer a line with a tool's result brings, if it does."""
    try:
        found = _decode_result(line.tool_use_result)
    except msgspec.MsgspecError:
        return None
    return found if found.agent_id else None


def mapping(value: object) -> Block:
    """`value` if it is a JSON object, else an empty one."""
    return cast("Block", value) if isinstance(value, Mapping) else {}


def text(value: object) -> str | None:
    """`value` if it is a text with something in it."""
    return value if isinstance(value, str) and value.strip() else None


def user_text(blocks: list[Block]) -> str | None:
    """What a person wrote, in one text; a picture is named."""
    return text("\n".join(_parts(blocks)))


def _parts(blocks: list[Block]) -> Iterator[str]:
    for block in blocks:
        if block.get("type") == "text":
            yield str(block.get("text") or "")
        elif (kind := text(block.get("type"))) in {"image", "document"}:
            yield f"[{kind}]"
