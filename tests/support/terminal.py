"""A command at a terminal of its own, as a person has it: what is typed, what is shown, and signals by keys."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from contextlib import suppress
from typing import Self

from tests.support.server import WAIT_S

_SEQUENCES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[ -/]*[0-~]")
CTRL_C = "\x03"


class Terminal:
    """A process whose stdin, stdout and stderr are a terminal of `columns` by `rows`."""

    def __init__(
        self, command: list[str], env: dict[str, str], *, columns: int = 110, rows: int = 30
    ) -> None:
        self._file, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.raw = ""
        self._looked = 0
        own = {name: value for name, value in env.items() if name not in {"COLUMNS", "LINES", "NO_COLOR"}}
        self.process = subprocess.Popen(
            command,
            env={**own, "TERM": "xterm-256color"},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            preexec_fn=_own_terminal,  # noqa: PLW1509 - one system call, which takes no lock
        )
        self._modes = termios.tcgetattr(inner)
        self._inner = inner

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(WAIT_S)
        for file in (self._file, self._inner):
            os.close(file)

    @property
    def text(self) -> str:
        """All that was written, without what moves the cursor and colours."""
        return _SEQUENCES.sub("", self.raw)

    @property
    def is_as_before(self) -> bool:
        """Whether the terminal echoes and waits for lines again, as it was found."""
        return termios.tcgetattr(self._inner)[3] == self._modes[3]

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._file, keys.encode())

    def wait_for(self, words: str) -> str:
        """Read until `words` are written after what was waited for last; returns all text since then."""
        deadline = time.monotonic() + WAIT_S
        while words not in self.text[self._looked :]:
            assert time.monotonic() < deadline, f"no {words!r} in: {self.text[self._looked :]}"
            assert self._read(0.1) or self.process.poll() is None, f"no {words!r} in: {self.text}"
        end = self.text.index(words, self._looked) + len(words)
        before, self._looked = self.text[self._looked : end], end
        return before

    def end(self) -> int:
        """Read until it has ended; returns the exit code."""
        deadline = time.monotonic() + WAIT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on: {self.text}"
            self._read(0.1)
        while self._read(0):
            pass
        return self.process.returncode

    def _read(self, timeout_s: float) -> bool:
        if not select.select([self._file], [], [], timeout_s)[0]:
            return False
        try:
            got = os.read(self._file, 65_536)
        except OSError:  # nobody has the other end any more
            return False
        self.raw += got.decode(errors="replace")
        return bool(got)


def _own_terminal() -> None:
    """Make the terminal on stdin the controlling one of the new session, so that Ctrl-C reaches it."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
