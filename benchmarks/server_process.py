"""Start, watch and stop the servers that are measured, each on its own core."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
RUNCAST = "runcast"
NAIVE = "naive"
APPS = (NAIVE, RUNCAST)

_START_S = 30.0
_STOP_S = 15.0
_ENVIRONMENT = {
    # As many clients of one stream as a benchmark wants; the default is lower. Nothing else is tuned.
    "RUNCAST_MAX_CLIENTS_PER_STREAM": "20000",
    "RUNCAST_MAX_CONNECTIONS": "20000",
}


class ServerError(Exception):
    """A server did not start; the message holds the end of its output."""


@dataclass
class Server:
    """A running server."""

    app: str
    port: int
    log: Path
    output: Path
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        """The server's process; it may have children."""
        return self.process.pid

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.port}"

    def stop(self) -> None:
        """End it, by SIGTERM, and after 15 s by SIGKILL."""
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_words(self) -> str:
        """The end of what it wrote to stdout and stderr."""
        return self.output.read_text(errors="replace")[-2000:].strip()


def installed(app: str) -> bool:
    """Whether the server can be started from this environment."""
    try:
        return app == NAIVE or importlib.util.find_spec("runcast.cli") is not None
    except ModuleNotFoundError:
        return False


def start(
    app: str, log: Path, core: int | None, environment: Mapping[str, str], url: str | None = None
) -> Server:
    """Start a server pinned to `core`, its log in the file `log`, with `environment` added; wait until it is healthy.

    With `url` its log is there; `log` names then only what lies beside it.

    Raises:
        ServerError: it ended, or did not answer within 30 s.
    """
    port = _free_port()
    output = log.with_name(f"{log.stem}-{app}-{port}.out")
    with output.open("wb") as sink:
        process = subprocess.Popen(
            _command(app, port, url or str(log)),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_ENVIRONMENT, **environment},
            cwd=Path(__file__).parent.parent,
        )
    if core is not None:
        os.sched_setaffinity(process.pid, {core})  # before it has threads: they inherit it
    server = Server(app, port, log, output, process)
    try:
        _wait_until_healthy(server)
    except BaseException:
        server.stop()
        raise
    return server


def _command(app: str, port: int, log: str) -> list[str]:
    at = ["--host", HOST, "--port", str(port)]
    if app == NAIVE:
        quiet = ["--no-access-log", "--log-level", "warning"]
        return [sys.executable, "-m", "uvicorn", "benchmarks.naive_app:app", *at, *quiet]
    script = Path(sys.executable).with_name("runcast")
    program = [str(script)] if script.exists() else [sys.executable, "-m", "runcast.cli"]
    return [*program, "serve", *at, "--log", log]


def _wait_until_healthy(server: Server) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise ServerError(f"{server.app} ended at its start:\n{server.last_words()}")
        try:
            with urllib.request.urlopen(f"{server.url}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise ServerError(f"{server.app} did not answer within {_START_S:.0f} s:\n{server.last_words()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
