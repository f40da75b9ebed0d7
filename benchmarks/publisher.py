"""The publisher: posts stamped events, at a rate or as fast as answers come (native/publisher.c)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from benchmarks.child import Child, ToolError
from benchmarks.loadgen import Latency
from benchmarks.server_process import HOST, Server

_ANSWERS_S = 20.0


class PublisherReport(msgspec.Struct):
    """What was achieved. `ack` is post to answer, `lag` how late posts left by the timetable, in us."""

    sent: int
    acknowledged: int
    posts: int
    failed_posts: int
    unanswered: int
    seconds: float
    per_s: float
    target_per_s: float
    last_seq: int
    most_in_flight: int
    ack: Latency
    lag: Latency
    acknowledged_by_path: list[int]
    failure: str
    cpu_user_s: float
    cpu_system_s: float
    wall_s: float

    @property
    def cpu_s(self) -> float:
        """User and system CPU of the publisher."""
        return self.cpu_user_s + self.cpu_system_s

    @property
    def possible(self) -> int:
        """How many events a client may receive: the acknowledged ones, unless answers are still due."""
        return self.sent if self.unanswered else self.acknowledged

    def faults(self) -> list[str]:
        """Refused and unanswered posts, in words."""
        found: list[str] = []
        if self.failed_posts:
            found.append(f"{self.failed_posts} posts failed: {self.failure[:120]}")
        if self.unanswered:
            found.append(f"{self.unanswered} posts unanswered")
        return found


@dataclass(frozen=True)
class Load:
    """What to publish. `rate` in events per second, 0 for as fast as answers come over `connections`.

    `seconds` and `events` bound it, at least one of them. `tag` (0 to 9) tells publishers apart. With
    `window` and a `progress` file it stays at most so many events ahead of the load generator's clients.
    """

    rate: float = 0
    seconds: float = 0
    events: int = 0
    events_per_post: int = 1
    connections: int = 1
    tag: int = 0
    window: int = 0
    progress: Path | None = None

    def arguments(self) -> list[str]:
        """The program's arguments."""
        given = ["--rate", str(self.rate), "--seconds", str(self.seconds), "--events", str(self.events)]
        given += ["--events-per-post", str(self.events_per_post), "--connections", str(self.connections)]
        given += ["--tag", str(self.tag)]
        if self.window and self.progress:
            given += ["--window", str(self.window), "--progress", str(self.progress)]
        return given


class Publisher:
    """A running publisher; use as a context. With several streams, posts go to one after the other."""

    def __init__(self, program: Path, server: Server, streams: Sequence[str], load: Load) -> None:
        at = ["--host", HOST, "--port", str(server.port)]
        at += [part for name in streams for part in ("--path", f"/api/v1/streams/{name}/events")]
        self._child = Child([str(program), *at, *load.arguments()])

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

    def finish(self, timeout_s: float) -> PublisherReport:
        """Wait for the end; after `timeout_s` tell it to send no more and wait for the answers under way."""
        line = self._child.wait_for("done", timeout_s)
        return self.stop() if line is None else msgspec.json.decode(line, type=PublisherReport)

    def stop(self) -> PublisherReport:
        """Send no more; wait for the answers under way."""
        self._child.terminate()
        line = self._child.wait_for("done", _ANSWERS_S)
        if line is None:
            raise ToolError("the publisher does not end")
        return msgspec.json.decode(line, type=PublisherReport)
