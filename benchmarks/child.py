"""A C program under way: JSON lines come out of it, commands go in."""

from __future__ import annotations

import queue
import subprocess
import threading
import time
from pathlib import Path

import msgspec


class ToolError(Exception):
    """The load generator or the publisher failed or did not answer in time; the message says which."""


class _Kind(msgspec.Struct):
    event: str


class Child:
    """A running program whose stdout is JSON lines, each with a member `event`."""

    def __init__(self, command: list[str]) -> None:
        self.name = Path(command[0]).name
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The program's process."""
        return self.process.pid

    def tell(self, command: str) -> None:
        """Send one line."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(command.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended by itself; its last line says how

    def terminate(self) -> None:
        """Ask it, by SIGTERM, to finish and to report."""
        self.process.terminate()

    def wait_for(self, event: str, timeout_s: float) -> bytes | None:
        """The next line of that kind; other lines before it are dropped. None when the time is up.

        Raises:
            ToolError: the program ended without such a line.
        """
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            try:
                line = self._lines.get(timeout=left)
            except queue.Empty:
                return None
            if line is None:
                raise ToolError(f"{self.name} ended (status {self.process.wait()}) without a {event!r} line")
            if msgspec.json.decode(line, type=_Kind).event == event:
                return line
        return None

    def close(self) -> None:
        """End it at once, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)
