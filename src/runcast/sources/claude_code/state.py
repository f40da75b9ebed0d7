"""What a transcript remembers of the lines it has read: little, bounded, and kept between two runs."""

from __future__ import annotations

import zlib
from typing import Final, TypeVar

import msgspec

MAX_MESSAGES: Final = 32
MAX_CALLS: Final = 256
MAX_AGENTS: Final = 64
"""How much of a file's past is remembered. The lines of one message stand close together, a call is forgotten with
its result, and a subagent's file begins soon after its call."""

V = TypeVar("V")


class Origin(msgspec.Struct, omit_defaults=True, gc=False):
    """Where a subagent comes from: the tool call that began it, and what that said about it."""

    call: str | None = None
    agent_type: str | None = None
    description: str | None = None


class Call(msgspec.Struct, omit_defaults=True, gc=False):
    """A tool call without a result so far. `prompt` is the checksum of what a subagent is asked to do."""

    tool: str
    time_us: int | None = None
    prompt: int | None = None
    agent_type: str | None = None
    description: str | None = None


class State(msgspec.Struct, omit_defaults=True):
    """All that a transcript remembers of the lines it has read; bounded, and kept between two runs."""

    told: dict[str, list[int]] = {}
    """By message: how much of its usage was told, in the order of `USAGE_FIELDS`."""
    calls: dict[str, Call] = {}
    agents: dict[str, Origin] = {}
    """The subagents that are known to have begun."""
    prompt: str | None = None
    """The event of the newest prompt: the parent of what is done about it."""
    prompt_id: str | None = None
    """That prompt's id at Claude Code, which all lines of the same turn repeat."""
    begun: bool = False
    """Of a subagent: whether it was told that it began."""
    origin: Origin | None = None
    last_time: int | None = None
    title: str | None = None
    title_rank: int = 0
    title_due: bool = False


def remember(table: dict[str, V], key: str, value: V, limit: int) -> None:
    """Put `value` last, and forget the first of more than `limit`."""
    table.pop(key, None)
    table[key] = value
    while len(table) > limit:
        del table[next(iter(table))]


def checksum(words: str) -> int:
    """32 bits of a text."""
    return zlib.crc32(words.encode("utf-8", "replace"))
