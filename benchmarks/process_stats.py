"""CPU time and memory of a process and its children, from /proc."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def process_tree(pid: int) -> list[int]:
    """The process and all that descend from it; those that ended meanwhile are left out."""
    found = [pid]
    for task in _entries(Path(f"/proc/{pid}/task")):
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            found += process_tree(int(child))
    return found


def cpu_s(pid: int) -> float:
    """Seconds of CPU, user and system, that the process and its living children have used."""
    return sum(_cpu_of_one(one) for one in process_tree(pid))


def rss_bytes(pid: int) -> int:
    """Resident memory of the process and its children."""
    return sum(_rss_of_one(one) for one in process_tree(pid))


def busy_s() -> float:
    """Seconds of CPU that were used since the start of the machine, by anybody, on all cores."""
    user, nice, system, _idle, _waiting, *interrupts = map(int, _first_line("/proc/stat").split()[1:8])
    return (user + nice + system + sum(interrupts)) / _TICKS_PER_S


class MemorySampler:
    """Watches the resident memory of a process in a thread; use as a context.

    `peak_bytes` is the largest of all samples (one every `interval_s`), `start_bytes` the first.
    """

    def __init__(self, pid: int, interval_s: float = 0.05) -> None:
        self._pid = pid
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.start_bytes = rss_bytes(pid)
        self.peak_bytes = self.start_bytes

    @property
    def growth_bytes(self) -> int:
        """How far the peak is above the start."""
        return self.peak_bytes - self.start_bytes

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._interval_s):
            self.peak_bytes = max(self.peak_bytes, rss_bytes(self._pid))


class Stopwatch:
    """Wall time and the CPU time of some processes since it was made."""

    def __init__(self, *pids: int) -> None:
        self._began = time.monotonic()
        self._busy_s = busy_s()
        self._cpu = {pid: cpu_s(pid) for pid in pids}

    def wall_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    def busy_s(self) -> float:
        """CPU seconds of everything on this machine since the start."""
        return busy_s() - self._busy_s

    def cpu_s(self, pid: int) -> float:
        """CPU seconds of one of the processes since the start."""
        return cpu_s(pid) - self._cpu[pid]

    def cpu_at_start(self, pid: int) -> float:
        """What a process had used before, for one that reports its own total when it ends."""
        return self._cpu[pid]


def _first_line(path: str) -> str:
    with Path(path).open() as lines:
        return lines.readline()


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _cpu_of_one(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _rss_of_one(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    for line in status.splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
