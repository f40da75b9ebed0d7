"""`WS /api/v1/streaming/ws/{client_id}`: any number of plans over one connection, and commands to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.types import Scope as ASGIScope

from runcast.core.event import START, format_time
from runcast.core.filters import EVERYTHING
from runcast.core.scope import Scope
from runcast.errors import InvalidInput, RuncastError
from runcast.feeds.plans.actions import Action, id_in, read_action
from runcast.feeds.plans.clients import Clients, PlanClient, check_client_id, owner_of
from runcast.feeds.plans.commands import GiveCommand
from runcast.feeds.plans.events import KIND, plan_stream
from runcast.feeds.plans.wire import SYSTEM, control, error_message
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.live.subscriber import Subscriber
from runcast.transport.feed_socket import FeedClient, FeedSocket
from runcast.transport.params import text_param
from runcast.transport.websocket import WebSocketPeer


def create_plan_socket(clients: Clients, give_command: GiveCommand | None) -> FeedSocket:
    """The ASGI endpoint, for a route with `{client_id}` in it. Without `give_command` it only shows."""

    def make(bus: Bus, peer: WebSocketPeer, scope: ASGIScope) -> FeedClient:
        return SocketClient(bus, peer, scope, clients, give_command)

    return FeedSocket(clients.bus, make)


class SocketClient(FeedClient):
    """One connection. It ends when the client goes, not when a plan does."""

    holds = Scope.firehose(KIND)

    def __init__(
        self,
        bus: Bus,
        peer: WebSocketPeer,
        scope: ASGIScope,
        clients: Clients,
        give_command: GiveCommand | None,
    ) -> None:
        super().__init__(bus, peer, scope)
        self._clients = clients
        self._give_command = give_command
        self._client: PlanClient | None = None

    @property
    def client(self) -> PlanClient:
        """What others see of it; there from `admit` on."""
        assert self._client is not None
        return self._client

    async def admit(self) -> None:
        """Subscribe to the plans that the address names."""
        principal = self.access.known()
        self._client = PlanClient(
            self._clients,
            client_id=check_client_id(self.path.get("client_id")),
            owner=owner_of(principal),
            connection=self.connection,
            framing=self.peer.framing,
            visible=lambda wanted: self.access.visible(wanted, EVERYTHING),
            dismiss=self.refused,
        )
        after = text_param(self.query, "after", START) or START
        for plan_id in filter(None, self.query.get("plan_id", ())):
            await self._client.watch(plan_id, after)

    async def begin(self) -> None:
        """As every feed's client; then it takes the place of one with the same id."""
        await super().begin()
        self._clients.enter(self.client)
        self.client.begin_pings()

    def greeting(self) -> Sequence[Message]:
        """The documented welcome."""
        return (self.client.greeting(),)

    def ended(self, subscriber: Subscriber) -> None:
        """A run was told to its end: the plan may be run again."""
        self.client.watching.ended(subscriber)

    def left(self) -> None:
        """The client has gone; its plans go on."""
        if self._client is not None:
            self._client.leave()

    def word(self, error: RuncastError) -> Message:
        """An `error` frame that concerns the connection."""
        return error_message(error, self.bus.now_us())

    def renewed(self) -> Message:
        """The answer to an `auth` message."""
        principal = self.access.known()
        expires_s = principal.expires_s
        expires = None if expires_s is None else format_time(round(expires_s * 1e6))
        return control("authenticated", self.bus.now_us(), {"sub": principal.sub, "expires": expires})

    def hear(self, text: str) -> Awaitable[None] | None:
        """Do what the client asks for; whatever goes wrong with that, the connection goes on.

        One thing after the other: while a command waits for its answer, what is said next waits for that.
        """
        try:
            action = read_action(text)
        except InvalidInput as error:
            self._refuse(error, SYSTEM, id_in(text))
            return None
        match action.action:
            case "ping":
                self._pong(action)
                return None
            case "subscribe":
                return self._answering(action, self._subscribe)
            case "unsubscribe":
                return self._answering(action, self._unsubscribe)
            case _:
                return self._answering(action, self._command)

    async def _answering(self, action: Action, act: Callable[[Action], Awaitable[None]]) -> None:
        try:
            await act(action)
        except RuncastError as error:
            plan_id = SYSTEM if isinstance(error, InvalidInput) else action.plan_id or SYSTEM
            self._refuse(error, plan_id, action.answered())

    def _refuse(self, error: RuncastError, plan_id: str, answers: dict[str, Any]) -> None:
        self.bus.refused[error.code] += 1
        self.tell(error_message(error, self.bus.now_us(), plan_id, answers))

    def _pong(self, action: Action) -> None:
        self.client.heard()
        data: dict[str, Any] = {} if action.id is None else {"id": action.id}
        if action.timestamp is not None:
            data["timestamp"] = action.timestamp
        self.tell(control("pong", self.bus.now_us(), data))

    async def _subscribe(self, action: Action) -> None:
        await self.client.watch(action.plan(), action.place())
        self._acknowledge(action)

    async def _unsubscribe(self, action: Action) -> None:
        self.client.watching.unsubscribe(action.plan())
        self._acknowledge(action)

    async def _command(self, action: Action) -> None:
        """Ask the plan's runner; it answers by an event of the plan, and one who gave an `id` is told here, too."""
        plan_id = action.plan()
        self.access.check_write([plan_stream(plan_id)])
        if self._give_command is None:
            raise InvalidInput(
                f"action: {action.action} is not for this server; it runs no plans.", field="action"
            )
        outcome = await self._give_command(
            plan_id, action.action, by=self.access.known().sub, step_id=action.step_id, reason=action.reason
        )
        self._acknowledge(action, outcome)

    def _acknowledge(self, action: Action, outcome: dict[str, Any] | None = None) -> None:
        """Who gave no `id` waits for no answer: a simple client gets the documented frames alone."""
        if action.id is not None:
            data = {**action.answered(), **(outcome or {})}
            self.tell(control("ack", self.bus.now_us(), data, action.plan_id or SYSTEM))
