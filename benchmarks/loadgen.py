"""The load generator: many WebSocket clients in one C program (native/loadgen.c)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from benchmarks.child import Child, ToolError
from benchmarks.server_process import HOST, Server

LINGER_S = 0.1  # it looks for surplus events for so long after the last expected one
_REPORT_S = 10.0


class Latency(msgspec.Struct):
    """Quantiles in microseconds."""

    count: int
    mean: float
    p50: int
    p95: int
    p99: int
    p999: int
    max: int


class Ready(msgspec.Struct):
    """All connections have been tried; `seconds` is how long that took."""

    connected: int
    failed: int
    seconds: float


class CaughtUp(msgspec.Struct):
    """Each client has received an event that was sent after the start; `seconds` from there."""

    seconds: float


class PathStand(msgspec.Struct):
    """What the clients of one path received; `events` is the sum. The rest as in `Group`."""

    clients: int
    events: int
    events_per_client: tuple[int, int]
    last_seq: tuple[int, int]
    order_hash: str
    same_order: bool


class Group(msgspec.Struct):
    """What a group of clients received. Pairs are the least and the largest of all clients.

    `gaps`, `missing`, `duplicates` and the seqs are known with `check_order` only. `same_order`: all clients of
    a path got the very same events in one order, which `order_hash` identifies if there is one path. `eventless`
    counts messages without an event; `sample` is the first of them.
    """

    latency: Latency
    latency_by_tag: dict[str, Latency]
    measured: int
    span_s: float
    per_s: float
    bytes: int
    messages: int
    eventless: int
    ahead: int
    gaps: int
    missing: int
    duplicates: int
    sample: str
    events_per_client: tuple[int, int]
    first_seq: tuple[int, int]
    last_seq: tuple[int, int]
    order_hash: str
    same_order: bool
    by_path: list[PathStand]
    catch_up: Latency

    def order_faults(self) -> list[str]:
        """What is wrong with the order, in words; empty when nothing is."""
        least, most = self.events_per_client
        faults = {
            f"{self.gaps} gaps ({self.missing} events missing)": self.gaps,
            f"{self.duplicates} duplicates": self.duplicates,
            "clients received different events": least == most and not self.same_order,
        }
        return [words for words, wrong in faults.items() if wrong]


class LoadReport(Group):
    """All figures of a run. `reason`: complete, closed, timeout or stopped.

    `active_s` is from the start (before the first connect) or the last reset to the last delivery, `wall_s`
    to the end of the run.
    """

    reason: str
    clients: int
    connected: int
    complete: int
    failed_connects: int
    failed_upgrades: int
    broken: int
    pings: int
    closed: dict[str, int]
    refusal: str
    active_s: float
    cpu_user_s: float
    cpu_system_s: float
    wall_s: float
    slow: Group | None = None

    @property
    def cpu_s(self) -> float:
        """User and system CPU of the load generator since the last reset."""
        return self.cpu_user_s + self.cpu_system_s

    def faults(self) -> list[str]:
        """What went wrong besides lateness, in words; empty when nothing did."""
        found = self.order_faults()
        failed = self.failed_connects + self.failed_upgrades
        if failed:
            found.append(f"{failed} clients did not connect {self.refusal[:80]}".strip())
        if self.closed:
            found.append("closed: " + ", ".join(f"{n} with {code}" for code, n in self.closed.items()))
        if self.broken:
            found.append(f"{self.broken} protocol errors")
        if self.eventless:
            found.append(f"{self.eventless} messages without events, the first: {self.sample[:80]}")
        return found


class LoadGenerator:
    """A running load generator; use as a context, so that it never outlives its round.

    Clients are spread evenly over `paths`.
    """

    def __init__(
        self,
        program: Path,
        server: Server,
        paths: Sequence[str],
        clients: int,
        *,
        timeout_s: float,
        ramp_per_s: float = 0,
        expect: int = 0,
        slow: int = 0,
        check_order: bool = False,
        progress: Path | None = None,
    ) -> None:
        command = [str(program), "--host", HOST, "--port", str(server.port)]
        command += [part for path in paths for part in ("--path", path)]
        command += ["--clients", str(clients), "--timeout", str(timeout_s), "--ramp", str(ramp_per_s)]
        command += ["--expect", str(expect), "--slow", str(slow), "--linger-ms", str(LINGER_S * 1000)]
        command += ["--check-order"] if check_order else []
        command += ["--progress", str(progress)] if progress else []
        self._child = Child(command)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.close()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    def wait_ready(self, timeout_s: float = 60) -> Ready:
        """Wait until every connection has been tried.

        Raises:
            ToolError: that took too long, or no client could connect.
        """
        line = self._child.wait_for("ready", timeout_s)
        if line is None:
            raise ToolError(f"the clients were not connected within {timeout_s:.0f} s")
        ready = msgspec.json.decode(line, type=Ready)
        if not ready.connected:
            raise ToolError("no client could connect")
        return ready

    def wait_caught_up(self, timeout_s: float) -> CaughtUp | None:
        """Wait until each client has an event that was sent after the start; None when time is up."""
        line = self._child.wait_for("caught_up", timeout_s)
        return msgspec.json.decode(line, type=CaughtUp) if line else None

    def expect(self, *events: int) -> None:
        """End when each client has received so many events in all; one number, or one for each path."""
        self._child.tell(f"expect {' '.join(map(str, events))}")

    def resume(self) -> None:
        """Let the slow clients read on."""
        self._child.tell("resume")

    def reset(self) -> None:
        """Measure from here on."""
        self._child.tell("reset")

    def report(self) -> LoadReport:
        """The figures so far."""
        self._child.tell("report")
        return self._decode(self._child.wait_for("report", _REPORT_S))

    def finish(self, timeout_s: float) -> LoadReport:
        """Wait for the end, but no longer than `timeout_s`; then stop it. Returns the last figures."""
        line = self._child.wait_for("done", timeout_s)
        if line is None:
            self._child.terminate()
            line = self._child.wait_for("done", _REPORT_S)
        return self._decode(line)

    def _decode(self, line: bytes | None) -> LoadReport:
        if line is None:
            raise ToolError("the load generator does not answer")
        return msgspec.json.decode(line, type=LoadReport)
