"""The documented Python class of the session feed, over a bus."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runcast.core.closing import NORMAL
from runcast.core.event import stream_name
from runcast.core.filters import EVERYTHING, EventSubscriptionFilter
from runcast.core.scope import Scope
from runcast.errors import Refused, TooMany
from runcast.feeds.sessions.metrics import KIND, global_metrics, session_metrics
from runcast.feeds.sessions.wire import BatchCodec
from runcast.kinds.session import SESSION, from_document
from runcast.live.bus import Bus
from runcast.live.cohort import Wish
from runcast.live.hub import NOW
from runcast.live.subscriber import Subscriber
from runcast.sources.htmlgraph.database import is_htmlgraph
from runcast.sources.htmlgraph.follow import follow
from runcast.transport.framing import TEXTS
from runcast.transport.own_bus import own_bus
from runcast.transport.text_client import TextClient, TextSocket, accept, close
from runcast.transport.websocket import close_code

DEFAULT_POLL_INTERVAL_MS = 100.0


class WebSocketManager:
    """Connects WebSockets of one's own app to session streams, and publishes to them.

    Without `db_path` and `bus`, the log is `RUNCAST_LOG` or one in memory. It starts by itself in the loop that
    first awaits it. The attributes may be changed at any time; they hold for clients that connect afterwards.

    Args:
        db_path: the log's path or URL; or an HtmlGraph database, which is followed and never written: its new
            and changed rows go to `RUNCAST_LOG` or a log in memory (there without the rows it has already).
        max_clients_per_session: clients of one session that this manager has; one more is refused with 1008.
        event_batch_size: events per message, 1 to 1,000.
        event_batch_window_ms: how long events may wait for more under load; when idle they do not wait.
        poll_interval_ms: raised above 100, at most one message per interval is sent.
        bus: an existing bus instead of one of its own.
    """

    def __init__(
        self,
        db_path: str | os.PathLike[str] | None = None,
        max_clients_per_session: int = 10,
        event_batch_size: int = 50,
        event_batch_window_ms: float = 50.0,
        poll_interval_ms: float = DEFAULT_POLL_INTERVAL_MS,
        *,
        bus: Bus | None = None,
    ) -> None:
        self.max_clients_per_session = max_clients_per_session
        self.event_batch_size = event_batch_size
        self.event_batch_window_ms = event_batch_window_ms
        self.poll_interval_ms = poll_interval_ms
        self._followed = None if bus else _htmlgraph(db_path)
        self._bus = bus or own_bus([SESSION], None if self._followed else db_path)
        self._following: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None
        self._clients: dict[str, dict[str, TextClient]] = {}

    async def connect(
        self,
        websocket: TextSocket,
        session_id: str,
        client_id: str,
        filter: EventSubscriptionFilter | None = None,  # noqa: A002 - the documented name
    ) -> bool:
        """Send the session's events to `websocket` from now on; False if the session has too many clients.

        Accepts a WebSocket that is not accepted yet. A client of the same id is replaced.

        Raises:
            InvalidStreamName: `session_id` cannot be one.
            LogError: the log could not be read.
        """
        scope = Scope.of_stream(stream_name(KIND, session_id))
        await accept(websocket)
        await self._follow()
        await self.disconnect(session_id, client_id)
        try:
            await self._admit(websocket, scope, session_id, client_id, filter or EVERYTHING)
        except Refused as error:
            await close(websocket, close_code(error), error.code)
            return False
        return True

    async def disconnect(self, session_id: str, client_id: str) -> None:
        """Send nothing more to that client. Its WebSocket is not closed: it is yours. Idempotent."""
        client = self._clients.get(session_id, {}).get(client_id)
        if client is not None:
            client.leave()

    async def broadcast_event(self, session_id: str, event: Mapping[str, Any]) -> int:
        """Publish a documented event; returned means stored. Returns how many clients here it is for.

        Raises:
            InvalidEvent, TooLarge, LogError: nothing was stored.
        """
        publish = from_document(session_id, event)
        await self._follow()
        stored = await self._bus.publish_all([publish])
        topic = self._bus.hub.topic(Scope.of_stream(publish.stream))
        if topic is None or not stored:
            return 0
        document = {**SESSION.normalise(publish), "event_type": publish.type, "session_id": session_id}
        return sum(one.cohort.wish.filter.matches_event(document) for one in topic.subscribers)

    def get_session_metrics(self, session_id: str) -> dict[str, Any]:
        """One session's numbers; `{}` if nobody here watches it. Plain; inside a loop or outside."""
        return session_metrics(self._bus, session_id)

    def get_global_metrics(self) -> dict[str, Any]:
        """The numbers of all sessions. Plain; inside a loop or outside."""
        return global_metrics(self._bus)

    async def close(self) -> None:
        """Let all clients go and close the log."""
        for session_id, clients in list(self._clients.items()):
            for client_id in list(clients):
                await self.disconnect(session_id, client_id)
        await self._bus.close()

    async def _follow(self) -> None:
        """Follow the HtmlGraph database in the running loop, and wait until what it has already is through."""
        if self._followed is None:
            return
        loop = asyncio.get_running_loop()
        if self._following is None or self._following[0] is not loop:
            caught_up = asyncio.Event()
            self._following = loop, caught_up
            history = self._bus.log.blocking  # a log in memory need not hold a copy of the database
            await self._bus.spawn(follow(self._bus, self._followed, history=history, caught_up=caught_up))
        await self._following[1].wait()

    async def _admit(
        self,
        websocket: TextSocket,
        scope: Scope,
        session_id: str,
        client_id: str,
        wanted: EventSubscriptionFilter,
    ) -> None:
        if len(self._clients.get(session_id, {})) >= self.max_clients_per_session:
            raise TooMany(f"{scope} has its {self.max_clients_per_session} clients here; try again later.")

        def end(_: Subscriber) -> None:
            client.sink.close(NORMAL, "the session has ended")

        def forget() -> None:
            self._forget(client, session_id, client_id)

        client = TextClient(self._bus, websocket, end, forget)
        self._clients.setdefault(session_id, {})[client_id] = client
        try:
            await self._bus.hub.subscribe(client.connection, scope, self._wish(wanted), NOW)
            await client.begin()
        except BaseException:
            client.leave()
            raise

    def _wish(self, wanted: EventSubscriptionFilter) -> Wish:
        paced = self.poll_interval_ms > DEFAULT_POLL_INTERVAL_MS
        return Wish(
            BatchCodec(self.event_batch_size),
            TEXTS,
            wanted,
            self.event_batch_size,
            interval_s=self.poll_interval_ms / 1000 if paced else 0.0,
            window_s=self.event_batch_window_ms / 1000,
        )

    def _forget(self, client: TextClient, session_id: str, client_id: str) -> None:
        """Take `client` out; another one of the same id stays."""
        clients = self._clients.get(session_id, {})
        if clients.get(client_id) is client:
            del clients[client_id]
            if not clients:
                del self._clients[session_id]


def _htmlgraph(db_path: str | os.PathLike[str] | None) -> Path | None:
    """The path, if an HtmlGraph database is there."""
    if db_path is None:
        return None
    path = Path(os.fspath(db_path).removeprefix("sqlite:///")).expanduser()
    return path if is_htmlgraph(path) else None
