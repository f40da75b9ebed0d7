"""Who watches plans in this process: each client by its id, whether its WebSocket is ours or somebody's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ClassVar

from runcast.auth.principal import Principal
from runcast.core.event import START, check_id
from runcast.core.filters import EventFilter
from runcast.core.scope import Scope
from runcast.errors import InvalidInput, Refused, RuncastError
from runcast.feeds.plans.events import plan_stream
from runcast.feeds.plans.watching import NextRuns, Watching
from runcast.feeds.plans.wire import control, welcome_message
from runcast.live.bus import Bus
from runcast.live.codec import Framing, Message
from runcast.live.connection import Connection

MAX_CLIENT_ID_CHARS = 200


class Replaced(Refused):
    """Another connection with the same `client_id` has taken this one's place."""

    code: ClassVar[str] = "replaced"
    message: ClassVar[str] = "Another connection with this client_id has taken the place of this one."


class PlanClient:
    """One client: its subscriptions, when it came, and its pings. Everything belongs to the event loop.

    Args:
        clients: where it is counted.
        client_id: what it calls itself.
        owner: whom it acts for: only the same one's connection takes its place.
        connection: its connection to the hub.
        framing: what that takes.
        visible: what of a plan it may see; raises `Forbidden` where that is nothing.
        dismiss: tells it why, and closes.
    """

    def __init__(
        self,
        clients: Clients,
        *,
        client_id: str,
        owner: str,
        connection: Connection,
        framing: Framing,
        visible: Callable[[Scope], EventFilter],
        dismiss: Callable[[RuncastError], None],
    ) -> None:
        self.client_id = client_id
        self.owner = owner
        self.connection = connection
        self.watching = Watching(clients.bus, connection, framing, clients.next_runs)
        self.connected_us = clients.bus.now_us()
        self.last_ping_us: int | None = None
        self.dismiss = dismiss
        self._clients = clients
        self._visible = visible
        self._framing = framing
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def greeting(self) -> Message:
        """What it hears first."""
        clients = self._clients
        return welcome_message(clients.bus.now_us(), self.client_id, clients.ping_interval_s())

    async def watch(self, plan_id: str, after: str = START) -> bool:
        """See `Watching.subscribe`; also raises `Unauthenticated` and `Forbidden`."""
        scope = Scope.of_stream(plan_stream(plan_id))
        return await self.watching.subscribe(plan_id, self._visible(scope), after)

    def tell(self, *messages: Message) -> None:
        """Write messages that are for this client alone."""
        self.connection.sink.write(self._framing.frame(messages, 0))

    def begin_pings(self) -> None:
        """Send a `ping` frame after each interval from now on; none if that is 0."""
        interval_s = self._clients.ping_interval_s()
        if interval_s > 0 and not self.connection.is_closed:
            self._timer = self._loop.call_later(interval_s, self._ping)

    def heard(self) -> None:
        """It has given a sign of life."""
        self.last_ping_us = self._clients.bus.now_us()

    def leave(self) -> None:
        """Send it nothing more, and take it out. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()
        self.watching.leave()
        self._clients.remove(self)

    def _ping(self) -> None:
        """Say something, unless it does not even take what it was sent: then that must not grow."""
        if self.connection.is_closed:
            return
        self.begin_pings()
        if not self.connection.is_blocked and not self.connection.sink.buffered_bytes():
            self.heard()
            self.tell(control("ping", self._clients.bus.now_us(), {}))


class Clients:
    """All clients of one process over one bus, at most one of each id and owner. Belongs to one event loop.

    `ping_interval_s` is asked whenever it is needed, so it may change.
    """

    def __init__(self, bus: Bus, ping_interval_s: Callable[[], float]) -> None:
        self.bus = bus
        self.ping_interval_s = ping_interval_s
        self.next_runs = NextRuns(bus)
        self._clients: dict[tuple[str, str], PlanClient] = {}

    def __len__(self) -> int:
        return len(self._clients)

    def all(self) -> list[PlanClient]:
        """Everybody, in the order in which they came."""
        return list(self._clients.values())

    def of(self, client_id: str) -> list[PlanClient]:
        """Those of this id: of several owners there may be several."""
        return [one for one in self._clients.values() if one.client_id == client_id]

    def watchers(self, plan_id: str) -> list[PlanClient]:
        """Those who are subscribed to a plan."""
        return [one for one in self._clients.values() if plan_id in one.watching.plans]

    def enter(self, client: PlanClient) -> PlanClient | None:
        """Count a client in; one of the same id and owner is dismissed. Returns that one."""
        key = (client.owner, client.client_id)
        replaced = self._clients.pop(key, None)
        self._clients[key] = client
        if replaced is not None:
            replaced.leave()
            replaced.dismiss(Replaced())
        return replaced

    def remove(self, client: PlanClient) -> None:
        """Count a client out; another one that has taken its place stays. Idempotent."""
        key = (client.owner, client.client_id)
        if self._clients.get(key) is client:
            del self._clients[key]

    def forget(self) -> None:
        """Count everybody out: their event loop is gone."""
        self._clients.clear()


def owner_of(principal: Principal) -> str:
    """Whom a client of this principal acts for: a name in a token is not that of a key."""
    return f"{principal.via}:{principal.sub}"


def check_client_id(client_id: object) -> str:
    """Return `client_id` if a client may be called so.

    Raises:
        InvalidInput: it is no string of 1 to 200 printable characters, or `.` or `..`.
    """
    if isinstance(client_id, str) and client_id not in {".", ".."} and "/" not in client_id:
        try:
            return check_id(client_id, "client_id")
        except InvalidInput:
            pass
    raise InvalidInput(
        f"client_id: 1 to {MAX_CLIENT_ID_CHARS} printable characters, no /, and neither . nor ..",
        field="client_id",
    )
