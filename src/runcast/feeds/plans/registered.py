"""WebSockets of somebody's own app as clients of the plan feed: taken in, replaced, let go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

from runcast.auth.principal import LOCAL
from runcast.core.closing import NORMAL
from runcast.core.event import format_time
from runcast.core.filters import EVERYTHING
from runcast.errors import Refused, RuncastError
from runcast.feeds.plans.clients import Clients, PlanClient, owner_of
from runcast.feeds.plans.wire import error_message
from runcast.live.subscriber import Subscriber
from runcast.transport.framing import TEXTS
from runcast.transport.text_client import TextClient, TextSocket
from runcast.transport.websocket import close_code

OWNER = owner_of(LOCAL)


@dataclass
class ClientConnection:
    """What is known of one client: a snapshot. Times are RFC 3339; `last_ping` is None before the first one.

    `websocket` is None for a client of the router's own WebSocket.
    """

    client_id: str
    websocket: TextSocket | None
    subscribed_plans: set[str] = field(default_factory=set[str])
    connected_at: str = ""
    last_ping: str | None = None


class _Own(NamedTuple):
    """What belongs to a WebSocket that was registered."""

    text: TextClient
    task: asyncio.Task[Any] | None


class Registered:
    """The clients that were registered in Python, among all `clients`. Belongs to the event loop."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._bus = clients.bus
        self._own: dict[PlanClient, _Own] = {}
        self._replaced: WeakKeyDictionary[asyncio.Task[Any], set[str]] = WeakKeyDictionary()

    def __contains__(self, client: PlanClient) -> bool:
        return client in self._own

    async def take_in(self, client_id: str, websocket: TextSocket, plans: Sequence[str]) -> PlanClient | None:
        """Greet a client and subscribe it; None if it is refused: it was told why, and closed.

        Raises:
            InvalidStreamName, LogError: as `PlanClient.watch`; nothing is left behind.
        """
        try:
            return await self._admit(client_id, websocket, plans)
        except Refused as error:
            await self._turn_away(websocket, error)
            return None

    def let_go(self, client: PlanClient) -> None:
        """Send nothing more. A WebSocket that was registered is not closed. Idempotent."""
        own = self._own.get(client)
        if own is not None:
            own.text.leave()
        else:
            client.leave()
            client.connection.sink.close(NORMAL, "unregistered")

    def unregister(self, client_id: str, websocket: TextSocket | None) -> None:
        """Let those of this id go, but for the successor of one that the same task, or `websocket`, was."""
        task = asyncio.current_task()
        was_replaced = websocket is None and self._was_replaced(task, client_id)
        for client in self._clients.of(client_id):
            own = self._own.get(client)
            if websocket is not None:
                is_meant = own is not None and own.text.websocket is websocket
            else:
                is_meant = not was_replaced or (own is not None and own.task is task)
            if is_meant:
                self.let_go(client)

    def forget(self) -> None:
        """Forget everybody: their event loop is gone."""
        if self._own:
            self._own.clear()
            self._clients.forget()

    def describe(self, client: PlanClient) -> ClientConnection:
        """A client as users see it."""
        own = self._own.get(client)
        return ClientConnection(
            client.client_id,
            own.text.websocket if own else None,
            set(client.watching.plans),
            format_time(client.connected_us),
            None if client.last_ping_us is None else format_time(client.last_ping_us),
        )

    async def _admit(self, client_id: str, websocket: TextSocket, plans: Sequence[str]) -> PlanClient:
        def ended(subscriber: Subscriber) -> None:
            client.watching.ended(subscriber)

        text = TextClient(self._bus, websocket, ended, lambda: self._gone(client))
        client = PlanClient(
            self._clients,
            client_id=client_id,
            owner=OWNER,
            connection=text.connection,
            framing=TEXTS,
            visible=lambda _: EVERYTHING,
            dismiss=lambda error: self._dismiss(client, text, error),
        )
        self._own[client] = _Own(text, asyncio.current_task())
        try:
            self._clients.enter(client)
            client.tell(client.greeting())
            for plan_id in plans:
                await client.watch(plan_id)
            client.begin_pings()
            await text.begin()
        except BaseException:
            text.leave()
            raise
        return client

    async def _turn_away(self, websocket: TextSocket, error: RuncastError) -> None:
        self._bus.refused[error.code] += 1
        closing = getattr(websocket, "close", None)
        try:
            await websocket.send_text(error_message(error, self._bus.now_us()).payload.decode())
            if closing is not None:
                await cast("Awaitable[None]", closing(close_code(error), error.code))
        except Exception:  # noqa: BLE001 - whatever a WebSocket of any make raises: it is gone, as was wanted
            return

    def _dismiss(self, client: PlanClient, text: TextClient, error: RuncastError) -> None:
        """Another one has its place. Its task will still say that it is gone, and must not take that one out."""
        own = self._own.pop(client, None)
        if own is not None and own.task is not None:
            self._replaced.setdefault(own.task, set()).add(client.client_id)
        client.tell(error_message(error, self._bus.now_us()))
        text.sink.close(close_code(error), error.code)
        text.connection.closed()

    def _was_replaced(self, task: asyncio.Task[Any] | None, client_id: str) -> bool:
        """Whether a client of this id that `task` had registered was replaced; asked once for each."""
        replaced = self._replaced.get(task, set[str]()) if task is not None else set[str]()
        was = client_id in replaced
        replaced.discard(client_id)
        return was

    def _gone(self, client: PlanClient) -> None:
        self._own.pop(client, None)
        client.leave()
