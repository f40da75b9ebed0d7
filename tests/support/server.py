"""Real servers for tests: one in a thread of this process, or `runcast serve` as a process of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
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
from runcast.kinds.session import SESSION
from runcast.live.bus import Bus
from runcast.log.open import open_log
from runcast.transport.uvicorn_ws import FrameProtocol

T = TypeVar("T")

PROTOCOLS: dict[str, Any] = {
    "fast": FrameProtocol,
    "portable": "websockets-sansio",
    "legacy": "websockets",  # uvicorn's older one, which a user may have chosen
}
WAIT_S = 20.0
"""How long anything may take that a test waits for; only ever reached by a test that fails."""

POLL_S = 0.005


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


class ThreadServer(Server):
    """The whole app in uvicorn, in a thread of this process, so that a test can look and reach inside.

    What the server logs as an error fails the test when it ends, unless it is forgiven.

    Args:
        bus: an existing bus; otherwise one on `log` with `settings` is made.
        protocol: a key of `PROTOCOLS`.
        ping_s: between WebSocket pings, and how long a pong may take.
        send_buffer: the kernel's buffer for each connection; a small one fills soon.
    """

    def __init__(
        self,
        log: str | Path = "memory:",
        *,
        protocol: str = "fast",
        bus: Bus | None = None,
        ping_s: float = 20.0,
        send_buffer: int | None = None,
        **settings: Any,
    ) -> None:
        self.bus = bus or Bus(open_log(str(log)), [SESSION], Settings(**settings))
        self.protocol = protocol
        self.errors = _Errors()
        self.config = uvicorn.Config(
            create_app(bus=self.bus),
            ws=PROTOCOLS[protocol],
            ws_max_size=2 * 1024 * 1024,
            ws_ping_interval=ping_s,
            ws_ping_timeout=ping_s,
            timeout_graceful_shutdown=5,
            log_config=None,
            access_log=False,
        )
        self._server = _StartingServer(self.config)
        self._listener = socket.create_server(("127.0.0.1", 0))
        if send_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, name="test-server")

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
        """Shut down as a signal would, and wait for the end. Idempotent."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self.bus.hub.drain, self.bus.settings.drain_s)
        self._server.should_exit = True
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive(), "the server did not stop"

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
        await self.bus.close()


class ServeProcess(Server):
    """`runcast serve` (or another command that listens on `port`) as a process.

    Args:
        log: what `--log` gets.
        options: more of the command line.
        env: more of the environment; that of the test is handed on without any `RUNCAST_` in it.
    """

    def __init__(
        self,
        log: str | Path,
        *options: str,
        port: int | None = None,
        env: dict[str, str] | None = None,
        command: list[str] | None = None,
    ) -> None:
        self.port = port or free_port()
        self.command = command or [
            *RUNCAST,
            "serve",
            "--port",
            str(self.port),
            "--log",
            str(log),
            *options,
        ]
        self.env = {**clean_env(), **(env or {})}
        self.output = ""
        self.complaints = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close_http()
        if self.process.poll() is None:
            self.kill()

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "not started"
        return self._process

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(
            self.command, env=self.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        wait_until(self._is_up, "the server's health")

    def kill(self) -> None:
        """SIGKILL, as a crash would be."""
        self.close_http()
        self.process.kill()
        self._collect()

    def terminate(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop, and wait; returns the exit code."""
        self.process.send_signal(number)
        return self._collect()

    def _is_up(self) -> bool:
        if self.process.poll() is not None:
            self._collect()
            raise AssertionError(f"it ended with {self.process.returncode}: {self.complaints}")
        return self.is_healthy()

    def _collect(self) -> int:
        self.output, self.complaints = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode


RUNCAST = [str(Path(sys.executable).with_name("runcast"))]


def run_runcast(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A command that ends by itself."""
    return subprocess.run(
        [*RUNCAST, *arguments],
        env={**clean_env(), **(env or {})},
        text=True,
        capture_output=True,
        timeout=WAIT_S,
        check=False,
    )


def clean_env() -> dict[str, str]:
    """The environment without any setting of ours: a test says what it sets."""
    ours = ("RUNCAST_", "WEBSOCKET_PING_INTERVAL", "MAX_WEBSOCKET_CLIENTS")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def free_port() -> int:
    """A port that is free now, and that the system gives to no outgoing connection meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class _StartingServer(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()


class _Errors(logging.Handler):
    """Keeps what is logged as an error while a server runs."""

    LOGGERS = ("uvicorn.error", "runcast", "asyncio")

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
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
