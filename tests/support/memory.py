"""How much memory a server takes while something is done to it."""

from __future__ import annotations

import threading
from typing import Self

import psutil

MIB = 1024 * 1024
EVERY_S = 0.01


class Memory:
    """Watches the resident memory of a process, its children included; use as a context."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.start_bytes = self.peak_bytes = self._now()

    @property
    def grown_mib(self) -> float:
        """How far the peak is above the start."""
        return (self.peak_bytes - self.start_bytes) / MIB

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.peak_bytes = max(self.peak_bytes, self._now())

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.peak_bytes = max(self.peak_bytes, self._now())

    def _now(self) -> int:
        there = [self._process, *self._process.children(recursive=True)]
        return sum(process.memory_info().rss for process in there)
