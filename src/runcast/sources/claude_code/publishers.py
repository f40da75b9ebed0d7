"""Where a transcript's events go: into a bus of this process, or over HTTP to a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any, Final, Protocol, cast

import msgspec

from runcast.client.blocking import Client
from runcast.client.values import Receipt
from runcast.core.event import Event
from runcast.core.filters import EventSubscriptionFilter
from runcast.errors import InvalidInput, StreamNotFound
from runcast.kinds.base import Publish
from runcast.live.bus import Bus
from runcast.sources.claude_code.state import remember
from runcast.sources.claude_code.told import SOURCE, usage_event

MAX_STREAMS: Final = 64
"""Sessions of which is kept in mind which calls others have told; another one is read anew when it goes on."""

_CALL: Final = "tool_call"


class Publisher(Protocol):
    """Takes events, and knows which of them came too late to tell their cost."""

    identity: str
    """What stores the events: another one has to be told everything again. Empty if that cannot be known."""

    async def publish(self, events: Sequence[Publish]) -> list[Publish]:
        """Store events durably, in order; those whose id is there already are stored once.

        Returns those tool calls among them that somebody else had told before without a cost, so that the cost
        is still to be told. When it is cancelled, or raises, the events may be stored or not.

        Raises:
            InvalidInput: one of them can never be stored. If it was given alone, what it cost is stored all the
                same, as an event of its own.
            RuncastError: what went wrong; `retryable` says whether trying again may help.
        """
        ...


class BusPublisher:
    """Publishes through a bus, which has the session kind. Belongs to the bus's loop."""

    def __init__(self, bus: Bus) -> None:
        self.identity = bus.log_epoch()
        self._bus = bus
        self._calls: dict[str, _Calls] = {}

    async def publish(self, events: Sequence[Publish]) -> list[Publish]:
        """See `Publisher.publish`."""
        try:
            appended = await self._bus.publish_all(events)
        except InvalidInput:
            if cost := _cost_alone(events):
                with suppress(InvalidInput):
                    await self._bus.publish_all([cost])
            raise
        repeated = {(one.stream, one.id) for one in appended if one.duplicate}
        late = [event for event in events if (event.stream, event.id) in repeated and _pays(event)]
        unpaid: list[Publish] = []
        for stream, group in groupby(sorted(late, key=_stream_of), _stream_of):
            calls = await self._look(stream)
            unpaid += [event for event in group if event.id in calls.unpaid]
        return unpaid

    async def _look(self, stream: str) -> _Calls:
        calls = self._calls.get(stream) or _Calls()
        remember(self._calls, stream, calls, MAX_STREAMS)
        while True:
            page = await self._bus.read(stream, calls.cursor)
            calls.take((event.id, event.type, _fields_of(event)) for event in page.events)
            calls.cursor = page.cursor
            if page.complete or not (page.events or page.reset or page.gap):
                return calls


class ClientPublisher:
    """Publishes to a server. The client must be used by nobody else meanwhile who sets its patience."""

    def __init__(self, client: Client) -> None:
        self.identity = ""
        self._client = client
        self._calls: dict[str, _Calls] = {}

    async def publish(self, events: Sequence[Publish]) -> list[Publish]:
        """See `Publisher.publish`. Events of several streams are several requests."""
        late: list[Publish] = []
        for stream, group in groupby(events, _stream_of):
            batch = list(group)
            receipt = await asyncio.to_thread(self._send, stream, batch)
            paying = [event for event in batch if _pays(event)]
            if receipt.duplicates and paying:
                calls = await asyncio.to_thread(self._look, stream)
                late += [event for event in paying if event.id in calls.unpaid]
        return late

    def _send(self, stream: str, batch: Sequence[Publish]) -> Receipt:
        try:
            return self._client.publish(stream, map(_native, batch))
        except InvalidInput:
            if cost := _cost_alone(batch):
                with suppress(InvalidInput):
                    self._client.publish(stream, [_native(cost)])
            raise

    def _look(self, stream: str) -> _Calls:
        calls = self._calls.get(stream) or _Calls()
        remember(self._calls, stream, calls, MAX_STREAMS)
        wanted = EventSubscriptionFilter(event_types=[_CALL])
        complete = False
        while not complete:
            try:
                page = self._client.events(stream, after=calls.cursor, wanted=wanted)
            except StreamNotFound:  # cleared meanwhile
                break
            calls.take((event["id"], event["type"], event["data"]) for event in page.events)
            complete = page.complete or page.cursor == calls.cursor
            calls.cursor = page.cursor
        return calls


class _Calls:
    """The tool calls of one stream that others have told without their cost, as far as it was read."""

    def __init__(self) -> None:
        self.unpaid: set[str] = set()
        self.cursor: Any = None

    def take(self, events: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        for event_id, event_type, fields in events:
            paid = fields.get("cost_tokens") or fields.get("usage") or fields.get("source") == SOURCE
            if event_type == _CALL and not paid:
                self.unpaid.add(event_id)


def _pays(event: Publish) -> bool:
    return event.type == _CALL and "usage" in event.data


def _stream_of(event: Publish) -> str:
    return event.stream


def _cost_alone(events: Sequence[Publish]) -> Publish | None:
    """What the only one of `events` cost, as an event of its own: so that it counts though that one is refused."""
    return usage_event(events[0]) if len(events) == 1 else None


def _fields_of(event: Event) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", msgspec.json.decode(event.data)) if event.type == _CALL else {}


def _native(event: Publish) -> dict[str, Any]:
    native: dict[str, Any] = {"type": event.type, "data": event.data, "id": event.id, "time": event.time}
    return {name: value for name, value in native.items() if value is not None}
