"""`WS /ws/chat`: who it is, with some tries to say so; then one who chats."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Send
from starlette.types import Scope as ASGIScope

from runcast.errors import InvalidInput, RuncastError, TooMany, Unauthenticated
from runcast.feeds.chat.client import AUTH_TRIES, ChatClient, ChatTools
from runcast.feeds.chat.identity import CHATTING, NEEDED, Identity
from runcast.feeds.chat.said import Said, read_text
from runcast.feeds.chat.wire import auth_error, error_frame
from runcast.live.bus import Bus
from runcast.transport.credentials import Shown
from runcast.transport.websocket import WebSocketPeer, close_code

MAX_BEFORE: int = 50
"""Messages of somebody who has yet to say who they are."""


class ChatSocket:
    """The ASGI endpoint. It asks by itself who somebody is, on an open server, too."""

    permission = CHATTING

    def __init__(self, bus: Bus, identity: Identity, tools: ChatTools) -> None:
        self._bus = bus
        self._identity = identity
        self._tools = tools

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Serve one client until it goes."""
        shown = self._identity.shown(scope)
        access = self._identity.nobody(scope)
        peer = WebSocketPeer(scope, receive, send, self._bus.hub.buffer_limit_bytes())
        client = ChatClient(self._bus, peer, scope, self._tools)
        try:
            with access.unknown():
                await self._identify(client, shown)
            await client.begin()
        except RuncastError as error:
            self._bus.refused[error.code] += 1
            await peer.refuse(auth_error(error).payload.decode(), close_code(error), error.code)
            return
        try:
            await peer.run(client.connection, client.receive, client.opened)
        finally:
            client.end()

    async def _identify(self, client: ChatClient, shown: Shown | None) -> None:
        """Let the client say who it is, at most `AUTH_TRIES` times within a minute.

        Raises:
            Unauthenticated: it has not, or has gone.
            TooMany: it says too much else.
        """
        within_s = self._bus.settings.unauthenticated_s
        try:
            async with asyncio.timeout(within_s):
                tries = 0
                if shown is not None:
                    tries += 1
                    if await self._try(client, shown, is_last=False):
                        return
                for _ in range(MAX_BEFORE):
                    secret = await self._secret(client, within_s)
                    if secret is None:
                        continue
                    tries += 1
                    if await self._try(client, Shown("secret", secret), is_last=tries >= AUTH_TRIES):
                        return
        except TimeoutError:
            raise Unauthenticated(f"Nobody has said within {within_s:g} s who this is.") from None
        raise TooMany("Too many messages of somebody who has not said who they are.")

    async def _try(self, client: ChatClient, shown: Shown, *, is_last: bool) -> bool:
        """Whether it counts; says why not."""
        try:
            client.access.principal = await self._identity.principal(shown)
        except RuncastError as error:
            if is_last:
                raise
            self._bus.refused[error.code] += 1
            await client.peer.say(auth_error(error).payload.decode())
            return False
        return True

    async def _secret(self, client: ChatClient, within_s: float) -> str | None:
        """What the next message shows; anything else is answered.

        Raises:
            Unauthenticated: the client has gone.
        """
        message = await client.peer.first_message(within_s)
        try:
            said = read_text(message) if isinstance(message, str) else Said("binary")
            if said.type != "auth":
                needed = Unauthenticated(NEEDED)
                self._bus.refused[needed.code] += 1
                await client.peer.say(error_frame(needed).payload.decode())
                return None
            if not isinstance(said.token, str):
                raise InvalidInput("token: a string is expected in an auth message.", field="token")
            return said.token
        except InvalidInput as error:
            self._bus.refused[error.code] += 1
            await client.peer.say(auth_error(error).payload.decode())
            return None
