"""Real servers for tests, each in a thread of this process."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

import httpx2
import uvicorn
import uvloop

from runcast.app import create_app
from runcast.config import Settings
from runcast.core.scope import Scope
from runcast.kinds.session import SESSION
from runcast.live.bus import Bus
from runcast.live.hub import Place
from runcast.log.open import open_configured
from runcast.transport.uvicorn_http import BoundedHttpToolsProtocol
from runcast.transport.uvicorn_ws import FrameProtocol

T = TypeVar("T")

PROTOCOLS: dict[str, Any] = {
    "fast": FrameProtocol,
    "portable": "websockets-sansio",
    "legacy": "websockets",  # uvicorn's older one, which a user may have chosen
    "none": "none",
}
WAIT_S = 20.0
"""How long anything may take that a test waits for; only ever reached by a test that fails."""

POLL_S = 0.005
SERVER_THREAD = "test-server-"


def wait_until(condition: Callable[[], T], what: str = "the condition", timeout_s: float = WAIT_S) -> T:
    """Wait for a condition that another thread or process brings about; returns what it returned."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come true within {timeout_s} s")
        threading.Event().wait(POLL_S)
    return found


@contextmanager
def in_background(work: Callable[[], None]) -> Generator[None]:
    """Let `work` run in a thread meanwhile; what it raises is raised at the end."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        yield
        done.result(WAIT_S)


class Server:
    """What all servers offer to a test: addresses, and a client for HTTP."""

    port: int

    def url(self, path: str = "", **query: Any) -> str:
        return f"http://127.0.0.1:{self.port}{path}{_query(query)}"

    def ws(self, path: str, **query: Any) -> str:
        return f"ws://127.0.0.1:{self.port}{path}{_query(query)}"

    def session(self, session_id: str, **query: Any) -> str:
        """The documented URL of a session's socket."""
        return self.ws(f"/ws/events/{session_id}", **query)

    @property
    def http(self) -> httpx2.Client:
        if not hasattr(self, "_http"):
            self._http = httpx2.Client(base_url=self.url(), timeout=WAIT_S)
        return self._http

    def get(self, path: str, **query: Any) -> Any:
        """The JSON that a path answers, which must be 200."""
        response = self.http.get(path, params=query)
        assert response.status_code == 200, response.text
        return response.json()

    def post(self, session_id: str, *events: dict[str, Any]) -> dict[str, Any]:
        """Post documented events to a session; returns the receipt."""
        response = self.http.post(f"/api/sessions/{session_id}/events", json=list(events))
        assert response.status_code == 200, response.text
        return response.json()

    def is_healthy(self) -> bool:
        with suppress(httpx2.TransportError):
            return self.http.get("/health").status_code == 200
        return False

    def close_http(self) -> None:
        if hasattr(self, "_http"):
            self._http.close()
            del self._http


class AppServer(Server):
    """Any ASGI app in uvicorn, in a thread of this process, so that a test can look and reach inside.

    What the server logs as an error fails the test when it ends, unless it is forgiven.

    Args:
        app: what is served.
        protocol: a key of `PROTOCOLS`.
        ping_s: between WebSocket pings, and how long a pong may take.
        send_buffer: the kernel's buffer for each connection; a small one fills soon.
    """

    def __init__(
        self, app: Any, *, protocol: str = "fast", ping_s: float = 20.0, send_buffer: int | None = None
    ) -> None:
        self.protocol = protocol
        self._server = _StartingServer(
            uvicorn.Config(
                app,
                http=BoundedHttpToolsProtocol,
                ws=PROTOCOLS[protocol],
                ws_max_size=2 * 1024 * 1024,
                ws_ping_interval=ping_s,
                ws_ping_timeout=ping_s,
                timeout_graceful_shutdown=5,
                log_config=None,
                access_log=False,
            )
        )
        self._listener = socket.create_server(("127.0.0.1", 0))
        if send_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name=f"{SERVER_THREAD}{self.port}", daemon=True)
        self.errors = _Errors(self._thread.name)

    def __enter__(self) -> Self:
        self.errors.listen()
        self._thread.start()
        assert self._server.up.wait(WAIT_S), "the server did not start"
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close_http()
        self.stop()
        self.errors.ignore_from_now()
        if kind is None:
            assert not self.errors.texts, "\n".join(self.errors.texts)

    def stop(self) -> None:
        """Shut down, and wait for the end. Idempotent."""
        self._server.should_exit = True
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the server did not stop"

    def websockets(self) -> list[Any]:
        """uvicorn's WebSocket connections."""
        there = list(self._server.server_state.connections)
        return [one for one in there if "HttpTools" not in type(one).__name__]

    def connections(self, protocol: str) -> list[Any]:
        """The connections that uvicorn has, of a class of this name."""
        there = list(self._server.server_state.connections)
        return [one for one in there if type(one).__name__ == protocol]

    def call(self, act: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call a plain function in the server's loop."""

        async def run() -> T:
            return act(*args, **kwargs)

        return self.run(run())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(WAIT_S)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self.loop = runner.get_loop()
            runner.run(self._serve())

    async def _serve(self) -> None:
        await self._server.serve(sockets=[self._listener])


class ThreadServer(AppServer):
    """The whole of Runcast, as `create_app` makes it.

    Args:
        bus: an existing bus; otherwise one on `log` is made.
        settings: those of `AppServer`, and those of the bus.
    """

    def __init__(
        self,
        log: str | Path = "memory:",
        *,
        bus: Bus | None = None,
        protocol: str = "fast",
        ping_s: float = 20.0,
        send_buffer: int | None = None,
        **settings: Any,
    ) -> None:
        self.bus = bus or _make_bus(Settings(log=str(log), **settings))
        app = create_app(bus=self.bus)
        super().__init__(app, protocol=protocol, ping_s=ping_s, send_buffer=send_buffer)

    def stop(self) -> None:
        """Shut down as after a signal: first the clients are told."""
        if self._thread.is_alive():
            self.drain(self.bus.settings.drain_s)
        super().stop()

    def drain(self, over_s: float) -> None:
        """Tell the clients of a restart, as a signal would."""
        self.call(lambda: self.bus.hub.drain(over_s))

    async def _serve(self) -> None:
        await super()._serve()
        await self.bus.close()


def _make_bus(settings: Settings) -> Bus:
    return Bus(open_configured(settings), [SESSION], settings)


def hold_up_places(server: ThreadServer) -> asyncio.Event:
    """Let whoever subscribes first to a scope wait until the event is set, in the server's loop."""
    look, gate = server.bus.place, server.call(asyncio.Event)

    async def look_later(scope: Scope) -> Place:
        await gate.wait()
        return await look(scope)

    server.bus.place = look_later
    return gate


class _StartingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class _Errors(logging.Handler):
    """Keeps what is logged as an error while a server runs, but for what another server's thread logs."""

    LOGGERS = ("uvicorn.error", "runcast", "asyncio")

    def __init__(self, thread_name: str) -> None:
        super().__init__(logging.ERROR)
        self._thread_name = thread_name
        self.texts: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        thread = record.threadName or ""
        if thread == self._thread_name or not thread.startswith(SERVER_THREAD):
            self.texts.append(self.format(record))

    def listen(self) -> None:
        for name in self.LOGGERS:
            logging.getLogger(name).addHandler(self)

    def ignore_from_now(self) -> None:
        for name in self.LOGGERS:
            logging.getLogger(name).removeHandler(self)

    def forgive(self) -> list[str]:
        """Take what was logged so far as expected; returns it."""
        texts, self.texts = self.texts, []
        return texts


def _query(query: dict[str, Any]) -> str:
    """Query parameters; what is not a text goes as JSON, as a filter does."""
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in query.items()}
    return "?" + urlencode(texts) if texts else ""


def flat(number: int, **fields: Any) -> dict[str, Any]:
    """A documented event with an id that says its number."""
    return {"event_id": f"e{number}", "event_type": "tool_call", "tool_name": "Edit", **fields}


def flats(numbers: Iterable[int], **fields: Any) -> list[dict[str, Any]]:
    return [flat(number, **fields) for number in numbers]
