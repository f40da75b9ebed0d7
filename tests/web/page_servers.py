"""Servers of one feed each, with its pages and its runner: a test can give them their own responder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from tests.support.chat_server import ChatServer
from tests.support.task_server import TaskServer

from runcast.auth.setup import make_authenticator
from runcast.auth.store import AuthStore
from runcast.config import Settings
from runcast.runners.chat.responder import Responder
from runcast.transport.gate import Gate
from runcast.transport.identity import create_identity_router
from runcast.transport.pages import create_pages_router
from runcast.transport.stream_socket import create_stream_socket

KEPT_S = 3_600
FAR_MS = 4_102_444_800_000


class TaskPages(TaskServer):
    """Tasks and their page, on an open server."""

    def __init__(self, log: str | Path = "memory:", **settings: Any) -> None:
        super().__init__(log, **settings)
        made = Settings(log=str(log), **settings)
        self.store = AuthStore(None)
        authenticator = make_authenticator(made, self.store)
        app: FastAPI = self.made.app
        app.router.routes.extend(
            [
                create_stream_socket(self.bus),
                *create_identity_router(authenticator, made).routes,
                *create_pages_router().routes,
            ]
        )
        app.add_middleware(
            Gate, authenticator=authenticator, holders=None, allowed_origins=(), refused=self.bus.refused
        )

    def stop(self) -> None:
        super().stop()
        self.store.close()


class ChatPages(ChatServer):
    """Conversations and their page."""

    def __init__(
        self, log: str | Path = "memory:", *, responder: Responder | None = None, **settings: Any
    ) -> None:
        super().__init__(log, responder=responder, **settings)

    def _app(self, settings: Settings) -> FastAPI:
        app = super()._app(settings)
        app.router.routes.extend(create_pages_router().routes)
        return app

    def signed_in(self, sub: str = "ann", **changes: Any) -> dict[str, Any]:
        """What a browser keeps of somebody's login on an open server."""
        kept = {"access": self.token(sub, lifetime_s=KEPT_S), "refresh": "", "until": FAR_MS, **changes}
        item = {"name": "runcast.chat", "value": json.dumps(kept)}
        return {"cookies": [], "origins": [{"origin": self.url(), "localStorage": [item]}]}
