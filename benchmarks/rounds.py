"""One round: a server, some clients, a publisher, and what it cost each of them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from benchmarks.bench import Bench, Stream
from benchmarks.loadgen import LINGER_S, LoadReport
from benchmarks.process_stats import Stopwatch
from benchmarks.publisher import Load, PublisherReport
from benchmarks.report import cpu_figures
from benchmarks.server_process import Server

KEEPS_UP = 0.97  # of the rate that was asked for
_GRACE_S = 2.0  # a publisher that is later than this by its timetable is stopped


@dataclass(frozen=True)
class Round:
    """What happened after the warm-up. `expected`: events that each client should have in the end."""

    clients: int
    expected: int
    load: LoadReport
    published: PublisherReport
    server_cpu_s: float
    publisher_cpu_s: float
    wall_s: float

    def cpu(self) -> dict[str, float]:
        """Both sides' CPU: the server's, and that of load generator and publisher together."""
        load_s = self.load.cpu_s + self.publisher_cpu_s
        return cpu_figures("server", self.server_cpu_s, self.wall_s) | cpu_figures(
            "load", load_s, self.wall_s
        )

    def keeps_up(self) -> bool:
        """Whether everything was published in time and delivered."""
        in_time = self.published.per_s >= KEEPS_UP * self.published.target_per_s
        return in_time and self.load.complete == self.clients

    def notes(self) -> list[str]:
        """What a reader of the figures must know."""
        found = self.published.faults() + self.load.faults()
        if self.published.per_s < KEEPS_UP * self.published.target_per_s:
            rate, target = self.published.per_s, self.published.target_per_s
            found.append(f"falls behind: {rate:,.0f} of {target:,.0f} events/s published")
        if self.load.complete < self.clients:
            least, most = self.load.events_per_client
            found.append(
                f"{self.clients - self.load.complete} clients did not get all {self.expected:,} events in "
                f"time (they got {least:,} to {most:,})"
            )
        return found


def play(
    bench: Bench, server: Server, stream: Stream, clients: int, load: Load, *, warmup_s: float, limit_s: float
) -> Round:
    """Publish `load` to `clients`; the first `warmup_s` are not measured.

    The publisher is stopped `limit_s` after the warm-up, the clients the options' `drain_s` after that.
    """
    options = bench.options
    timeout_s = warmup_s + limit_s + options.drain_s + 90
    with bench.load_generator(
        server, stream.path(), clients, timeout_s=timeout_s, progress=load.progress
    ) as generator:
        generator.wait_ready()
        time.sleep(options.settle_s)
        with bench.publisher(server, stream, load) as publisher:
            time.sleep(warmup_s)
            generator.reset()
            watch = Stopwatch(server.pid, publisher.pid)
            published = publisher.finish(limit_s + _GRACE_S)
        generator.expect(published.possible)
        report = generator.finish(options.drain_s)
        return Round(
            clients=clients,
            expected=published.possible,
            load=report,
            published=published,
            server_cpu_s=watch.cpu_s(server.pid),
            publisher_cpu_s=published.cpu_s - watch.cpu_at_start(publisher.pid),
            wall_s=watch.wall_s() - LINGER_S,
        )
