"""Watching streams straight in the log: pages are read, and a commit by whoever wakes the reader."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, Self

import msgspec

from runcast.client.addresses import is_firehose
from runcast.client.values import Item, What
from runcast.core.event import Cursor, Event, format_time
from runcast.core.filters import EventSubscriptionFilter
from runcast.core.page import Page
from runcast.core.scope import Scope
from runcast.core.subscription import End, Notice, State, Subscription
from runcast.live.hub import NOW, START, read_cursor
from runcast.log.base import EventLog
from runcast.transport.native import NativeCodec


class LogTail:
    """The items of some streams or firehoses, as `runcast.client.tail.Tail` has them, from a log.

    Raises:
        InvalidStreamName, InvalidCursor: one of the names, or `after`, is none.
    """

    def __init__(
        self, log: EventLog, names: Sequence[str], after: str, wanted: EventSubscriptionFilter
    ) -> None:
        self._bell = threading.Event()
        self._followers: list[_Follower] = [
            _Follower(log, name, after, wanted) for name in dict.fromkeys(names)
        ]
        self._unwatch = log.watch(lambda _: self._bell.set())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._unwatch()

    def __iter__(self) -> Iterator[Item]:
        """Items as they come, until all that is watched has ended."""
        while self._followers:
            self._bell.clear()
            complete = True
            for follower in self._followers:
                page = follower.read()
                yield from follower.take(page)
                complete = complete and page.complete
            self._followers = [follower for follower in self._followers if not follower.has_ended]
            if complete and self._followers:
                self._bell.wait()


class _Follower:
    """One reader at its place."""

    def __init__(self, log: EventLog, name: str, after: str, wanted: EventSubscriptionFilter) -> None:
        self._log = log
        self._name = name
        self._scope = scope_of(name)
        self._passes = wanted.compile()
        self._machine = Subscription(self._begin(after))

    @property
    def has_ended(self) -> bool:
        return self._machine.state is State.ENDED

    def read(self) -> Page:
        """The next page."""
        cursor = self._machine.cursor
        if self._scope.stream:
            return self._log.read(self._scope.stream, cursor)
        return self._log.read_all(self._scope.kind or None, cursor)

    def take(self, page: Page) -> Iterator[Item]:
        """What the page tells."""
        for notice in self._machine.receive_page(page):
            yield self._notice(notice)
        for event in page.events:
            if self._passes is None or self._passes(event):
                cursor = str(self._scope.cursor(event, self._log.epoch))
                yield Item(What.EVENT, self._name, native_value(event, cursor), cursor)
        if self.has_ended:
            yield self._notice(End(page.cursor))

    def _begin(self, after: str) -> Cursor | None:
        if after == START:
            return None
        if after != NOW:
            return read_cursor(self._scope, after)
        return self._log.info(self._scope.stream).cursor if self._scope.stream else self._log.head()

    def _notice(self, notice: Notice) -> Item:
        (message,) = NativeCodec().notice(notice, 0)
        return Item(
            What(message.event or ""),
            self._name,
            msgspec.json.decode(message.payload),
            message.cursor or START,
        )


def scope_of(name: str) -> Scope:
    """What a name means: a stream, or a firehose (`kind:*`, `*`).

    Raises:
        InvalidStreamName: neither.
    """
    if not is_firehose(name):
        return Scope.of_stream(name)
    return Scope.firehose(name.removesuffix("*").removesuffix(":").removeprefix("*"))


def native_value(event: Event, cursor: str) -> dict[str, Any]:
    """A stored event as native JSON has it."""
    return {
        "stream": event.stream,
        "seq": event.seq,
        "id": event.id,
        "type": event.type,
        "time": format_time(event.time),
        "cursor": cursor,
        "data": msgspec.json.decode(event.data),
    }
