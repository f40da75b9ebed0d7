"""Where a transcript's events go: into a bus of this process, or over HTTP to a server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, Protocol, cast

import msgspec

from runcast.client.blocking import Client
from runcast.core.event import Event
from runcast.core.filters import EventSubscriptionFilter
from runcast.errors import StreamNotFound
from runcast.kinds.base import Publish
from runcast.live.bus import Bus
from runcast.sources.claude_code.state import remember
from runcast.sources.claude_code.told import SOURCE

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
            InvalidInput: one of them can never be stored.
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
        appended = await self._bus.publish_all(events)
        repeated = {(one.stream, one.id) for one in appended if one.duplicate}
        late = [event for event in events if (event.stream, event.id) in repeated and _pays(event)]
        for stream in {event.stream for event in late}:
            await self._look(stream)
        return [event for event in late if event.id in self._calls[event.stream].unpaid]

    async def _look(self, stream: str) -> None:
        calls = self._calls.get(stream) or _Calls()
        remember(self._calls, stream, calls, MAX_STREAMS)
        while True:
            page = await self._bus.read(stream, calls.cursor)
            calls.take((event.id, event.type, _fields_of(event)) for event in page.events)
            calls.cursor = page.cursor
            if page.complete or not (page.events or page.reset or page.gap):
                return


class ClientPublisher:
    """Publishes to a server. The client must be used by nobody else meanwhile who sets its patience."""

    def __init__(self, client: Client) -> None:
        self.identity = ""
        self._client = client
        self._calls: dict[str, _Calls] = {}

    async def publish(self, events: Sequence[Publish]) -> list[Publish]:
        """See `Publisher.publish`. Events of several streams are several requests."""
        late: list[Publish] = []
        for stream, group in groupby(events, lambda event: event.stream):
            batch = list(group)
            receipt = await asyncio.to_thread(self._client.publish, stream, map(_native, batch))
            paying = [event for event in batch if _pays(event)]
            if receipt.duplicates and paying:
                await asyncio.to_thread(self._look, stream)
                late += [event for event in paying if event.id in self._calls[stream].unpaid]
        return late

    def _look(self, stream: str) -> None:
        calls = self._calls.get(stream) or _Calls()
        remember(self._calls, stream, calls, MAX_STREAMS)
        wanted = EventSubscriptionFilter(event_types=[_CALL])
        complete = False
        while not complete:
            try:
                page = self._client.events(stream, after=calls.cursor, wanted=wanted)
            except StreamNotFound:  # cleared meanwhile
                return
            calls.take((event["id"], event["type"], event["data"]) for event in page.events)
            complete = page.complete or page.cursor == calls.cursor
            calls.cursor = page.cursor


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


def _fields_of(event: Event) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", msgspec.json.decode(event.data)) if event.type == _CALL else {}


def _native(event: Publish) -> dict[str, Any]:
    native: dict[str, Any] = {"type": event.type, "data": event.data, "id": event.id, "time": event.time}
    return {name: value for name, value in native.items() if value is not None}
