"""`runcast serve`, and commands like it, as processes of their own."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.support.server import WAIT_S, Server, wait_until

RUNCAST = [str(Path(sys.executable).with_name("runcast"))]


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
        with suppress(ProcessLookupError):
            self.kill()

    @property
    def process(self) -> subprocess.Popen[str]:
        assert self._process is not None, "not started"
        return self._process

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = start_process(self.command, self.env)
        wait_until(self._is_up, "the server's health")

    def kill(self) -> None:
        """SIGKILL, as a crash would be; its workers with it."""
        self.close_http()
        os.killpg(self.process.pid, signal.SIGKILL)
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


def start_process(command: list[str], env: dict[str, str]) -> subprocess.Popen[str]:
    """A process that leads a group of its own, by which all that it starts can be ended with it."""
    return subprocess.Popen(
        command, env=env, text=True, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


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
    ours = (
        "RUNCAST_",
        "WEBSOCKET_PING_INTERVAL",
        "MAX_WEBSOCKET_CLIENTS",
        "OPENROUTER_API_KEY",
        "REDIS_URL",
        "CELERY_",
    )
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def free_port() -> int:
    """A port that is free now, and that the system gives to no outgoing connection meanwhile."""
    while True:
        port = random.randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
