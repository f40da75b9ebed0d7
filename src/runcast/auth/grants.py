"""What somebody may read and write: patterns over stream names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import msgspec

from runcast.core.event import Event, split_stream
from runcast.core.scope import Scope
from runcast.errors import InvalidInput

MAX_PATTERNS = 100
ALL = "*"


class Grants(msgspec.Struct, frozen=True):
    """Patterns of streams that may be read and written; `admin` may also manage keys and users.

    A pattern is a stream's name (`task:42`), a kind (`session:*`), names that begin alike (`session:web-*`), or
    `*` for all. Make it with `parse_grants` from what people wrote.
    """

    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    admin: bool = False

    def may_read(self, stream: str) -> bool:
        """Whether events of `stream` may be seen."""
        return _matches(self.read, stream)

    def may_write(self, stream: str) -> bool:
        """Whether events may be published to `stream`, and commands given to what runs there."""
        return _matches(self.write, stream)

    def may_watch(self, scope: Scope) -> bool:
        """Whether anything of `scope` may be seen: of a firehose perhaps only some streams."""
        if scope.stream:
            return self.may_read(scope.stream)
        prefix = f"{scope.kind}:" if scope.kind else ""
        return any(pattern == ALL or pattern.startswith(prefix) for pattern in self.read)

    def predicate(self, scope: Scope) -> Callable[[Event], bool] | None:
        """What passes of `scope`: None where everything does."""
        whole = {ALL, f"{scope.kind}:*"} if scope.kind else {ALL}
        if scope.stream or not whole.isdisjoint(self.read):
            return None
        exact, prefixes = _split(self.read)
        return lambda event: event.stream in exact or event.stream.startswith(prefixes)

    def fingerprint(self, scope: Scope) -> str:
        """The same for two readers of `scope` that may see the same of it; empty where that is everything."""
        return "" if self.predicate(scope) is None else "\n".join(sorted(set(self.read)))


EVERYTHING = Grants((ALL,), (ALL,), admin=True)
NOTHING = Grants()


def parse_grants(value: object, name: str = "grants") -> Grants:
    """Grants as people and tokens write them: `{"read": ["session:*"], "write": ["task:42"], "admin": false}`.

    Raises:
        InvalidInput: a key or a pattern is none; the message names it.
    """
    if not isinstance(value, dict):
        raise InvalidInput(f"{name}: an object with read, write and admin is expected.", field=name)
    given = cast("Mapping[str, Any]", value)
    unknown = given.keys() - {"read", "write", "admin"}
    if unknown:
        key = min(map(str, unknown))[:60]
        raise InvalidInput(f"{name}.{key}: unknown; known are read, write and admin.", field=f"{name}.{key}")
    admin = given.get("admin", False)
    if not isinstance(admin, bool):
        raise InvalidInput(f"{name}.admin: true or false is expected.", field=f"{name}.admin")
    read = _patterns(f"{name}.read", given.get("read", ()))
    return Grants(read, _patterns(f"{name}.write", given.get("write", ())), admin)


def _patterns(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        raise InvalidInput(f"{name}: a list of patterns is expected.", field=name)
    patterns = cast("Iterable[object]", value)
    checked = tuple(_pattern(name, pattern) for pattern in patterns)
    if len(checked) > MAX_PATTERNS:
        raise InvalidInput(f"{name}: {len(checked)} patterns; the limit is {MAX_PATTERNS}.", field=name)
    return checked


def _pattern(name: str, pattern: object) -> str:
    """Check one: a stream's name of which the end may be `*`, or `*` alone."""
    if not isinstance(pattern, str):
        raise InvalidInput(f"{name}: a pattern is a string such as session:*.", field=name)
    if pattern == ALL:
        return pattern
    try:
        split_stream(pattern[:-1] + "x" if pattern.endswith(ALL) else pattern)
    except InvalidInput:
        raise InvalidInput(
            f"{name}: {pattern[:80]!r} is no pattern; write kind:id, kind:beginning*, kind:* or *.",
            field=name,
        ) from None
    return pattern


def _matches(patterns: tuple[str, ...], stream: str) -> bool:
    return any(
        stream.startswith(pattern[:-1]) if pattern.endswith(ALL) else stream == pattern
        for pattern in patterns
    )


def _split(patterns: tuple[str, ...]) -> tuple[frozenset[str], tuple[str, ...]]:
    exact = frozenset(pattern for pattern in patterns if not pattern.endswith(ALL))
    return exact, tuple(pattern[:-1] for pattern in patterns if pattern.endswith(ALL))
