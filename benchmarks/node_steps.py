"""One rate of events on several nodes: clients and a publisher at each, and what became of every event."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.bench import Bench, Stream
from benchmarks.loadgen import LoadReport
from benchmarks.process_stats import MemorySampler, Stopwatch, rss_bytes
from benchmarks.publisher import Load, PublisherReport
from benchmarks.redis_nodes import Nodes
from benchmarks.server_process import Server

REST_S = 1.5
"""Between the last handshake and the first event; then the memory of idle connections is taken."""
GRACE_S = 2.0
"""A publisher that is later than this by its timetable is stopped."""
SAMPLE_S = 0.25


@dataclass(frozen=True)
class Side:
    """One node: what its clients received, what was posted to it, what it took. Memory in bytes of RSS."""

    load: LoadReport
    published: PublisherReport
    cpu_s: float
    before_bytes: int
    idle_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class Step:
    """CPU is that of the time in which events were posted, but for the warm-up; `busy` is the whole machine's."""

    rate: int
    sides: list[Side]
    redis_cpu_s: float
    redis_bytes: int
    load_cpu_s: float
    busy_cpu_s: float
    wall_s: float

    @property
    def published_per_s(self) -> float:
        """At all nodes together."""
        return sum(side.published.per_s for side in self.sides)

    @property
    def expected(self) -> list[int]:
        """Of each stream, how many events were acknowledged, whichever node took them."""
        by_node = [side.published.acknowledged_by_path for side in self.sides]
        return [sum(of_stream) for of_stream in zip(*by_node, strict=True)]


class Seat:
    """A node with its clients; they are connected when it is made."""

    def __init__(self, bench: Bench, stack: ExitStack, server: Server, streams: Sequence[Stream]) -> None:
        self._bench = bench
        self._stack = stack
        self._server = server
        self._streams = streams
        self._before = rss_bytes(server.pid)
        options = bench.options
        self.clients = stack.enter_context(
            bench.load_generator(
                server,
                [stream.path() for stream in streams],
                options.node_clients,
                timeout_s=options.warmup_s + options.node_seconds + options.node_drain_s + 60,
                check_order=True,
            )
        )
        self.clients.wait_ready()

    def publish(self, rate: float, tag: int) -> None:
        """Begin; every stream is to get the same number of events."""
        options = self._bench.options
        self._idle = rss_bytes(self._server.pid)
        self._memory = self._stack.enter_context(MemorySampler(self._server.pid, SAMPLE_S))
        a_turn = options.node_events_per_post * len(self._streams)
        turns = max(1, round(rate * (options.warmup_s + options.node_seconds) / a_turn))
        load = Load(
            rate=rate,
            events=turns * a_turn,
            events_per_post=options.node_events_per_post,
            connections=options.node_connections,
            tag=tag,
        )
        self.publisher = self._stack.enter_context(self._bench.publisher(self._server, self._streams, load))

    def measure(self) -> None:
        """From here on."""
        self.clients.reset()
        self._watch = Stopwatch(self._server.pid, self.publisher.pid, self.clients.pid)

    def finish(self, deadline: float) -> None:
        """Wait for the publisher, until a time of the monotonic clock; what it cost is settled then."""
        self.published = self.publisher.finish(max(0.1, deadline - time.monotonic()))
        self._cpu_s = self._watch.cpu_s(self._server.pid)
        self.load_cpu_s = (
            self._watch.cpu_s(self.clients.pid)
            + self.published.cpu_s
            - self._watch.cpu_at_start(self.publisher.pid)
        )

    def side(self, deadline: float) -> Side:
        """What there is to say, once the clients have everything, or the time is up."""
        load = self.clients.finish(max(0.1, deadline - time.monotonic()))
        return Side(load, self.published, self._cpu_s, self._before, self._idle, self._memory.peak_bytes)


def play(bench: Bench, nodes: Nodes, rate: int) -> Step:
    """Post `rate` events a second to fresh streams, an equal part of them to each node."""
    options = bench.options
    streams = [bench.new_stream() for _ in range(options.node_streams)]
    with ExitStack() as stack:
        seats = [Seat(bench, stack, server, streams) for server in nodes.servers]
        time.sleep(REST_S)
        for tag, seat in enumerate(seats, start=1):
            seat.publish(rate / len(seats), tag)
        time.sleep(options.warmup_s)
        redis = nodes.redis.process.pid
        watch = Stopwatch(redis)
        for seat in seats:
            seat.measure()
        deadline = time.monotonic() + options.node_seconds + GRACE_S
        for seat in seats:
            seat.finish(deadline)
        wall_s, redis_cpu_s, busy_cpu_s = watch.wall_s(), watch.cpu_s(redis), watch.busy_s()
        by_node = [seat.published.acknowledged_by_path for seat in seats]
        for seat in seats:
            seat.clients.expect(*(sum(of_stream) for of_stream in zip(*by_node, strict=True)))
        deadline = time.monotonic() + options.node_drain_s
        sides = [seat.side(deadline) for seat in seats]
        load_cpu_s = sum(seat.load_cpu_s for seat in seats)
        return Step(rate, sides, redis_cpu_s, rss_bytes(redis), load_cpu_s, busy_cpu_s, wall_s)
