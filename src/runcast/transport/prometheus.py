"""Numbers for Prometheus, read when they are asked for: nothing is counted on the hot path for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runcast.live.bus import Bus
from runcast.live.figures import Figure
from runcast.log.health import TellsHealth

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class BusCollector(Collector):
    """All metrics of one bus."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def collect(self) -> Iterable[Metric]:
        """The current values."""
        yield from self._log()
        yield from self._health()
        yield from self._live()
        yield from _families(figure for figures in self._bus.figures for figure in figures())

    def _log(self) -> Iterable[Metric]:
        log = self._bus.log.statistics()
        yield _counter("runcast_log_events_appended", "Events stored by this process.", log.appended_events)
        yield _counter(
            "runcast_log_events_duplicate", "Events that were there already.", log.duplicate_events
        )
        yield _counter(
            "runcast_log_events_foreign", "Events seen that other processes stored.", log.foreign_events
        )
        yield _counter("runcast_log_commits", "Transactions of this process.", log.commits)
        yield _gauge("runcast_log_queue_events", "Events that wait for the log.", log.queued_events)
        yield _gauge("runcast_log_queue_bytes", "Bytes that wait for the log.", log.queued_bytes)

    def _health(self) -> Iterable[Metric]:
        log = self._bus.log
        if not isinstance(log, TellsHealth):
            return
        health = log.health()
        yield _counter(
            "runcast_log_retries", "Calls to the log's server that were tried again.", health.retries
        )
        yield _counter(
            "runcast_log_unavailable", "Calls that were given up, as it did not answer.", health.unavailable
        )
        yield _counter("runcast_log_probes", "Tries whether its wake-ups arrive.", health.probes)
        yield _counter(
            "runcast_log_reopened", "Subscriptions found deaf or broken, and opened anew.", health.reopened
        )
        yield _counter(
            "runcast_log_takeovers",
            "Times that another server, or a restarted one, was noticed.",
            health.takeovers,
        )
        yield _counter(
            "runcast_log_streams_lost",
            "Streams of which it has lost events that were told.",
            health.streams_lost,
        )

    def _live(self) -> Iterable[Metric]:
        bus, traffic, live = self._bus, self._bus.traffic(), self._bus.live_statistics()
        failures = bus.processors.failures
        yield _counter(
            "runcast_events_delivered", "Events written to clients, for each client.", traffic.events
        )
        yield _counter("runcast_bytes_delivered", "Bytes written to clients.", traffic.bytes)
        yield _gauge("runcast_connections", "Clients of this process.", live.connections)
        yield _gauge(
            "runcast_connections_blocked", "Clients that take less than they are sent.", live.blocked
        )
        yield _counter(
            "runcast_connections_stalled", "Clients that were closed since they took nothing.", live.stalled
        )
        yield _gauge(
            "runcast_readers_catching_up", "Readers that wait for their next page.", live.catching_up
        )
        yield _gauge("runcast_topics", "Streams and firehoses with clients here.", live.topics)
        yield _counter("runcast_processor_drops", "Events that a processor dropped.", bus.processors.dropped)
        yield _by_label(
            "runcast_processor_failures", "Events that a processor failed on.", "processor", failures
        )
        yield _by_label(
            "runcast_refusals", "What clients were refused, by the error's code.", "code", bus.refused
        )


def metrics_text(bus: Bus) -> bytes:
    """The exposition in Prometheus' text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(BusCollector(bus))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _families(figures: Iterable[Figure]) -> Iterable[Metric]:
    """Those of one name belong together."""
    found: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for figure in figures:
        make = CounterMetricFamily if figure.is_counter else GaugeMetricFamily
        family = found.setdefault(figure.name, make(figure.name, figure.text, labels=list(figure.labels)))
        family.add_metric(list(figure.labels.values()), figure.value)
    return found.values()


def _by_label(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for value, count in counts.items():
        family.add_metric([value], count)
    return family
