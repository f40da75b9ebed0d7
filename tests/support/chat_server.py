"""The chat feed, with its runner, in a FastAPI app of one's own: with accounts, on an open or a locked server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from runcast.auth.authenticator import Authenticator
from runcast.auth.grants import NOTHING, Grants
from runcast.auth.principal import Principal
from runcast.auth.secrets import new_id
from runcast.auth.setup import make_authenticator
from runcast.auth.store import AuthStore
from runcast.config import Settings
from runcast.errors import RuncastError
from runcast.feeds.chat.routes import SOCKET, chat_frames, create_chat_router
from runcast.kinds.chat import CHAT
from runcast.kinds.chat_index import CHATTER
from runcast.live.bus import Bus
from runcast.log.open import is_redis, open_configured
from runcast.log.place import auth_file, log_file
from runcast.runners.chat.responder import Responder
from runcast.runners.chat.service import Chats
from runcast.runners.extractive import ExtractiveModel
from runcast.runners.host import RunnerHost
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.llm import make_model
from runcast.transport.gate import Gate
from runcast.transport.holders import Holders
from runcast.transport.identity import create_identity_router
from runcast.transport.limits import LIMITS, ClientLimits
from runcast.transport.pages import create_pages_router
from runcast.transport.problem import answer_with
from runcast.transport.rest import create_streams_router
from tests.support.server import AppServer


class ChatServer(AppServer):
    """Everything that an app needs for chats.

    Args:
        log: the log's path, or memory.
        responder: who answers; by default the orchestrator over the shipped documentation.
        runs: whether this process answers itself.
        settings: those of the bus.
    """

    def __init__(
        self,
        log: str | Path = "memory:",
        *,
        protocol: str = "fast",
        responder: Responder | None = None,
        runs: bool = True,
        send_buffer: int | None = None,
        **settings: Any,
    ) -> None:
        made = Settings(log=str(log), **settings)
        self.bus = Bus(open_configured(made), [CHAT, CHATTER], made)
        self.knowledge = KnowledgeBase(None)
        model = self._model = (
            make_model(made, self.knowledge, {}) if made.llm_model else ExtractiveModel(self.knowledge)
        )
        self.chats = Chats(self.bus, model, self.knowledge, responder=responder)
        path = None if is_redis(made.log) else log_file(made.log)
        self.store = AuthStore(None if path is None else auth_file(path))
        self.authenticator: Authenticator = make_authenticator(made, self.store)
        self._runs = runs
        super().__init__(self._app(made), protocol=protocol, send_buffer=send_buffer)

    def token(
        self, sub: str = "ann", *, lifetime_s: float = 60.0, grants: Grants = NOTHING, **more: Any
    ) -> str:
        """What `runcast token` would print."""
        principal = Principal(
            sub=sub,
            via="token",
            credential=f"token:{new_id()}",
            grants=grants,
            **{"email": f"{sub}@example.org", "name": sub.capitalize(), **more},
        )
        return self.authenticator.tokens.make(principal, lifetime_s)

    def chat(self, sub: str | None = None, **query: Any) -> str:
        """The documented URL, with a token of somebody's."""
        return self.ws(SOCKET, **({"token": self.token(sub)} if sub else {}), **query)

    def as_(self, sub: str, method: str, path: str, **more: Any) -> Any:
        return self.http.request(method, path, headers={"Authorization": f"Bearer {self.token(sub)}"}, **more)

    def stop(self) -> None:
        super().stop()
        self.store.close()
        self.chats.close()

    def _app(self, settings: Settings) -> FastAPI:
        bus = self.bus

        @asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, Any]]:
            async with bus, asyncio.TaskGroup() as group:
                works = [RunnerHost(bus, [self.chats]).run()] if self._runs else []
                tasks = [group.create_task(work) for work in works]
                yield {LIMITS: ClientLimits(settings, bus.refused)}
                for task in tasks:
                    task.cancel()
                for task in tasks:
                    with suppress(asyncio.CancelledError):
                        await task
                await self._model.close()

        strict = Holders(self.authenticator.strict(), settings, bus.spawn)
        app = FastAPI(
            routes=[
                *create_streams_router(bus, {"chat": lambda _: chat_frames()}).routes,
                *create_chat_router(bus, self.chats, strict).routes,
                *create_pages_router().routes,
                *create_identity_router(self.authenticator, settings).routes,
            ],
            lifespan=lifespan,
        )
        app.add_exception_handler(RuncastError, answer_with(bus.refused))
        app.add_middleware(
            Gate,
            authenticator=self.authenticator,
            holders=None if self.authenticator.is_open else strict,
            allowed_origins=settings.allowed_origins,
            refused=bus.refused,
            asking=[SOCKET],
        )
        return app
