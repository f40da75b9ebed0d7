"""The documented Python class of the plan feed, over a bus."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import Any, cast

from runcast.core.event import START
from runcast.errors import InvalidEvent, InvalidInput
from runcast.feeds.plans.clients import Clients, PlanClient, check_client_id
from runcast.feeds.plans.courtesy import MOST_CLIENTS, Courtesy, Party, caught_up, has_event
from runcast.feeds.plans.events import EventType, StreamEvent, plan_stream, to_publish, type_text
from runcast.feeds.plans.handlers import Handler, Handlers, is_handling
from runcast.feeds.plans.history import NEWEST, clear_plans, newest_events
from runcast.feeds.plans.registered import ClientConnection, Registered
from runcast.kinds.plan import PLAN
from runcast.live.bus import Bus
from runcast.log.base import Appended
from runcast.transport.own_bus import own_bus
from runcast.transport.text_client import TextSocket, accept

PING_INTERVAL_S = 30.0


class UnknownClient(InvalidInput, ValueError):
    """No client of this id is registered."""

    code = "unknown_client"
    message = "There is no such client."


class StreamingManager:
    """Tells WebSockets of one's own app what happens to plans, and publishes it.

    Without `bus`, the log is `RUNCAST_LOG`, or one in memory. It starts by itself in the loop that first awaits it; what
    is not awaitable here may be called anywhere.

    Args:
        ping_interval: seconds between two `ping` frames to a client; 0 sends none. 30 by default, or with a `bus` what
            its settings say (`ping_interval_s`). It may be changed at any time.
        bus: an existing bus instead of one of its own.
    """

    def __init__(self, ping_interval: float | None = None, *, bus: Bus | None = None) -> None:
        by_default = bus.settings.ping_interval_s if bus else PING_INTERVAL_S
        self.ping_interval = by_default if ping_interval is None else ping_interval
        self.bus = bus or own_bus([PLAN])
        self.bus.kinds.setdefault(PLAN.name, PLAN)
        self.connected = Clients(self.bus, lambda: self.ping_interval)
        self._owned = bus is None
        self._registered = Registered(self.connected)
        self._handlers = Handlers(self.bus)
        self._courtesy = Courtesy()
        self._loop: asyncio.AbstractEventLoop | None = None

    # clients

    @property
    def clients(self) -> dict[str, ClientConnection]:
        """Everybody by their id, as they are now."""
        return {client.client_id: self.describe(client) for client in self.connected.all()}

    def describe(self, client: PlanClient) -> ClientConnection:
        """One of them as it is now."""
        return self._registered.describe(client)

    async def register_client(
        self, client_id: str, websocket: TextSocket, subscribe_to: Iterable[str] | None = None
    ) -> bool:
        """Greet a client and send it what its plans have told so far, then what they tell.

        Accepts a WebSocket that is not accepted yet. One registered with the same id before is closed with 1008 and
        `replaced`. False if the client is refused: then it was told why, and closed.

        Raises:
            InvalidInput: the id, or a plan's, cannot be.
            LogError: the log could not be read.
        """
        check_client_id(client_id)
        plans = list(dict.fromkeys(subscribe_to or ()))
        for plan_id in plans:
            plan_stream(plan_id)
        await self._start()
        await accept(websocket)
        client = await self._registered.take_in(client_id, websocket, plans)
        if client is None:
            return False
        await self._courtesy.wait([(client, caught_up(client))])
        return True

    async def unregister_client(self, client_id: str, websocket: TextSocket | None = None) -> None:
        """Send nothing more to that client. Its WebSocket is not closed: it is yours. Idempotent.

        Whoever has been replaced does not take its successor out: that is known by `websocket`, or by the task that
        had registered it, which is the one that ends it in most apps.
        """
        self._registered.unregister(client_id, websocket)

    async def subscribe(self, client_id: str, plan_id: str, after: str = START) -> None:
        """Send a client the plan's events, from the start of its current run (or `now`, or a cursor), then live ones.

        Does nothing where that is done already.

        Raises:
            UnknownClient: nobody of this id is registered.
            InvalidInput: the plan or the place cannot be.
            TooMany: the client, or the plan, has all that it may have.
            LogError: the log could not be read.
        """
        await self._start()
        found = self.connected.of(client_id)
        if not found:
            raise UnknownClient(f"client_id: no client {client_id[:80]!r} is registered.", field="client_id")
        for client in found:
            await client.watch(plan_id, after)
        await self._courtesy.wait([(client, caught_up(client)) for client in found])

    async def unsubscribe(self, client_id: str, plan_id: str) -> None:
        """Send a client nothing more of a plan. Idempotent."""
        for client in self.connected.of(client_id):
            client.watching.unsubscribe(plan_id)

    # events

    async def stream_event(self, event: StreamEvent) -> None:
        """Publish an event; returned means stored. Clients and handlers here that take it at once have it by then.

        Raises:
            InvalidEvent, InvalidStreamName, TooLarge: it cannot be; nothing was stored.
            LogError: nothing was stored.
        """
        publish = to_publish(event)
        await self._start()
        appended = await self.bus.publish_all([publish])
        if appended and not appended[0].duplicate and not is_handling():
            await self._courtesy.wait(self._audience(event.plan_id, appended[0]))

    def stream_event_soon(self, event: StreamEvent) -> Future[list[Appended]]:
        """Like `stream_event`, from any thread and without waiting: the future has the outcome.

        Raises:
            InvalidEvent, InvalidStreamName, TooLarge, Busy: at once; nothing was stored.
        """
        return self.bus.publish_soon([to_publish(event)])

    async def stream_plan_started(self, plan_id: str, plan_data: Mapping[str, Any]) -> None:
        """Publish that a plan has begun: `query`, `total_steps` and whatever else there is. Raises as `stream_event`."""
        await self._stream(EventType.PLAN_STARTED, plan_id, plan_data)

    async def stream_plan_completed(self, plan_id: str, result: Mapping[str, Any] | None = None) -> None:
        """Publish that a plan has come to its end. Raises as `stream_event`."""
        await self._stream(EventType.PLAN_COMPLETED, plan_id, result)

    async def stream_plan_failed(self, plan_id: str, error: str | Exception | Mapping[str, Any]) -> None:
        """Publish that a plan has failed; a text or an exception becomes `{"error": …}`. Raises as `stream_event`."""
        await self._stream(EventType.PLAN_FAILED, plan_id, _failure(error))

    async def stream_step_started(
        self, plan_id: str, step_id: str, step_data: Mapping[str, Any] | None = None
    ) -> None:
        """Publish that a step has begun. Raises as `stream_event`."""
        await self._stream(EventType.STEP_STARTED, plan_id, step_data, step_id)

    async def stream_step_progress(
        self, plan_id: str, step_id: str, progress: float, message: str = ""
    ) -> None:
        """Publish how far a step is: a fraction from 0 to 1. Raises as `stream_event`."""
        data = {"progress": progress, "message": message}
        await self._stream(EventType.STEP_PROGRESS, plan_id, data, step_id)

    async def stream_step_completed(
        self, plan_id: str, step_id: str, result: Mapping[str, Any] | None = None
    ) -> None:
        """Publish what a step has brought. Raises as `stream_event`."""
        await self._stream(EventType.STEP_COMPLETED, plan_id, result, step_id)

    async def stream_step_failed(
        self, plan_id: str, step_id: str, error: str | Exception | Mapping[str, Any]
    ) -> None:
        """Publish that a step has failed; a text or an exception becomes `{"error": …}`. Raises as `stream_event`."""
        await self._stream(EventType.STEP_FAILED, plan_id, _failure(error), step_id)

    async def stream_quality_check(
        self, plan_id: str, step_id: str | None, quality_result: Mapping[str, Any]
    ) -> None:
        """Publish what a quality gate has found: `quality_score`, `passed`. Raises as `stream_event`."""
        await self._stream(EventType.QUALITY_CHECK, plan_id, quality_result, step_id)

    async def stream_metrics_update(self, plan_id: str, metrics: Mapping[str, Any]) -> None:
        """Publish figures of a plan. Raises as `stream_event`."""
        await self._stream(EventType.METRICS_UPDATE, plan_id, metrics)

    def register_handler(self, event_type: EventType | str, handler: Handler) -> None:
        """Call `handler` for each event of this type that is published from now on, by whoever on this log.

        It gets a `StreamEvent`, one after the other; it may be a coroutine function. A plain one is called in the
        event loop and must return soon. What it raises is logged and harms nobody; a slow one delays only itself.
        """
        self._handlers.add(type_text(event_type), handler)

    # asking

    def get_client_count(self) -> int:
        """How many clients there are."""
        return len(self.connected)

    def get_plan_subscriber_count(self, plan_id: str) -> int:
        """How many of them are subscribed to a plan."""
        return len(self.connected.watchers(plan_id))

    def get_event_history(self, plan_id: str, limit: int = NEWEST) -> list[StreamEvent]:
        """The last `limit` events of the plan's current run, the oldest first. Reads the log, so it blocks for that.

        Raises:
            InvalidStreamName: no plan can be called so.
            LogError: the log could not be read.
        """
        return newest_events(self.bus.log, plan_id, limit)

    def clear_history(self, plan_id: str | None = None) -> None:
        """Forget a plan's events; without a plan, those of all plans in the log. Who watches goes on with new ones.

        Raises:
            InvalidStreamName: no plan can be called so.
            LogError: the log could not do it.
        """
        clear_plans(self.bus.log, plan_id)

    async def close(self) -> None:
        """Let all clients go and, unless the bus is somebody else's, close the log. Idempotent."""
        for client in self.connected.all():
            self._registered.let_go(client)
        if self._owned:
            await self.bus.close()

    # how

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._registered.forget()
        await self._handlers.start()

    async def _stream(
        self,
        event_type: EventType,
        plan_id: str,
        data: Mapping[str, Any] | None,
        step_id: str | None = None,
    ) -> None:
        if data is not None and not isinstance(cast("object", data), Mapping):
            raise InvalidEvent("data: a mapping is expected.", field="data")
        await self.stream_event(StreamEvent(event_type, plan_id, step_id, dict(data or {})))

    def _audience(self, plan_id: str, appended: Appended) -> list[Party]:
        """Those here whom an event is for, and whether they have it."""
        ours = [client for client in self.connected.watchers(plan_id) if client in self._registered]
        parties: list[Party] = []
        if len(ours) <= MOST_CLIENTS:
            parties = [(client, has_event(client, plan_id, appended)) for client in ours]
        behind = self._handlers.behind(appended.position)
        return [*parties, *((handler, partial(handler.has, appended.position)) for handler in behind)]


def _failure(error: str | Exception | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(error, Mapping):
        return error
    return {"error": str(error) or type(error).__name__}
