"""Keys as they are pressed, without waiting for Enter and without being shown; Ctrl-C stays what it is."""

from __future__ import annotations

import codecs
import os
import select
import sys
from contextlib import suppress
from typing import Any, Self

MOST_BYTES = 1_024
_NEVER = -1


class Keys:
    """The keys of the terminal that stdin is, while it is used in a `with`. Elsewhere there never are any."""

    def __init__(self) -> None:
        self._file = _NEVER
        self._before: list[Any] = []
        self._decoder = codecs.getincrementaldecoder("utf-8")("ignore")

    @property
    def are_there(self) -> bool:
        """Whether keys can come."""
        return self._file != _NEVER

    def __enter__(self) -> Self:
        # A command in the background must leave the terminal alone: touching it would stop the command.
        with suppress(ImportError, OSError, ValueError, AttributeError):
            import termios
            import tty

            number = sys.stdin.fileno()
            if os.isatty(number) and os.tcgetpgrp(number) == os.getpgrp():
                self._before = termios.tcgetattr(number)
                tty.setcbreak(number)
                self._file = number
        return self

    def __exit__(self, *_: object) -> None:
        if self.are_there:
            import termios

            number, self._file = self._file, _NEVER
            with suppress(termios.error, OSError):  # the terminal has gone
                termios.tcsetattr(number, termios.TCSADRAIN, self._before)

    def read(self) -> str:
        """What was pressed since the last time; empty if nothing was."""
        if not self.are_there or not select.select([self._file], [], [], 0)[0]:
            return ""
        try:
            pressed = os.read(self._file, MOST_BYTES)
        except OSError:
            pressed = b""
        if not pressed:
            self._file = _NEVER  # the terminal has gone
        return self._decoder.decode(pressed)
