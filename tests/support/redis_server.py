"""Real servers of Redis for tests, on free ports: one, one behind Sentinel, and a Cluster of three masters."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from redis import Redis

from tests.support.process import free_port
from tests.support.server import wait_until


class RedisServer:
    """A `redis-server`, in a folder of its own. Ends with its `with`.

    Args:
        options: of its configuration, such as `appendonly="yes"`.
        program: `redis-server`, or `redis-sentinel`.
    """

    def __init__(self, program: str = "redis-server", *, port: int | None = None, **options: str) -> None:
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="runcast-redis-"))
        self.config = {"save": "", "appendonly": "no", "enable-debug-command": "yes"} | {
            name.replace("_", "-"): value for name, value in options.items()
        }
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Redis | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()
        with suppress(ProcessLookupError):
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def client(self) -> Redis:
        """A client for what a test looks at or breaks."""
        if self._client is None:
            self._client = Redis(port=self.port, protocol=2, socket_timeout=10)
        return self._client

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    def start(self) -> None:
        """Start it, and wait until it answers."""
        file = self.folder / "redis.conf"
        if not file.exists():
            lines = ["bind 127.0.0.1", f"port {self.port}", f"dir {self.folder}", "daemonize no"]
            lines += [f"{name} {value or chr(34) * 2}" for name, value in self._settings()]
            file.write_text("\n".join(lines) + "\n")
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [self._program, str(file)], stdout=out, stderr=out, start_new_session=True
            )
        wait_until(self.answers, f"an answer of {self._program}; see {self.folder}/out")

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "out").read_text()
        with suppress(Exception):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        """SIGKILL, as a crash would be."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGCONT)
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def stop(self) -> None:
        """It answers nobody any more, and keeps its connections."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def _settings(self) -> list[tuple[str, Any]]:
        return [
            (name, value)
            for name, value in self.config.items()
            if self._program == "redis-server" or "sentinel" in name
        ]
