"""What is measured, how much of it, and where."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.server_process import APPS


@dataclass(frozen=True)
class Options:
    """All knobs of a run; `_s` are seconds. Each can be set by `--set name=value`."""

    apps: tuple[str, ...] = APPS
    clients: tuple[int, ...] = (1, 100, 1000)
    quick: bool = False
    server_core: int = 0
    load_core: int = 1

    rate: int = 1000
    """Events per second of the latency section, …"""
    events_per_post: int = 1
    """… in posts of so many …"""
    connections: int = 64
    """… over so many connections: as many posts can be under way."""
    seconds: float = 10.0
    warmup_s: float = 2.0
    """Published before anything is measured."""
    settle_s: float = 0.5
    """Rest between the last handshake and the first event."""
    drain_s: float = 15.0
    """How long clients may take for what is left when the publisher has finished."""

    saturation_s: float = 5.0
    saturation_events_per_post: int = 100
    saturation_connections: int = 8
    window: int = 0
    """Saturation: how far the publisher may be ahead of the clients, in events; 0 is no limit."""

    idle_clients: int = 4000
    idle_s: float = 3.0

    append_sizes: tuple[int, ...] = (1, 10, 100, 1000)
    append_s: float = 3.0
    append_publishers: int = 64
    """Of single events, at once: commits are as large as the log groups them."""

    catch_up_events: int = 200_000

    slow_events: int = 200_000
    slow_clients: int = 50
    slow_rest_s: float = 30.0
    slow_events_per_post: int = 20

    storm_clients: int = 2000
    storm_back: int = 10_000
    storm_rate: int = 500
    storm_limit_s: float = 180.0

    two_clients: int = 20
    two_rate: int = 200
    two_seconds: float = 10.0

    nodes: int = 3
    """Servers on one Redis; …"""
    node_clients: int = 1_000
    """… so many clients at each, …"""
    node_streams: int = 50
    """… spread over so many streams, …"""
    node_rate: int = 2_000
    """… and so many events per second, posted at all of them together."""
    node_events_per_post: int = 10
    node_connections: int = 16
    """Of the publisher of each."""
    node_aof: str = "everysec"
    """Redis' `appendfsync`: everysec, always or no; off is no append-only file at all."""
    node_seconds: float = 6.0
    node_drain_s: float = 10.0
    node_idle_s: float = 2.0
    node_late_ms: float = 500.0
    """A rate is held if the slowest node's p99 is below this, too."""
    node_steps: int = 3
    """So many rates are tried at most, each twice the one before if that was held, else half of it."""

    redis_batches: tuple[int, ...] = (1, 64, 256)
    redis_turns: int = 6
    """Of each side, one after the other."""
    redis_turn_s: float = 1.0

    workflows: int = 50
    watchers: int = 20
    """Of each workflow; one of them reads nothing."""
    workflow_rate: float = 10.0
    """Events per second of each."""
    workflow_s: float = 15.0
    workflow_event_bytes: int = 200

    chats: int = 1_000
    chat_rate: float = 50.0
    """Tokens per second of each."""
    chat_s: float = 20.0

    plans: int = 200
    plan_steps: int = 20
    plan_parallel: int = 4
    plan_step_s: float = 0.05
    """How long a step sleeps."""

    tasks: int = 20
    task_rate: int = 200
    """Messages per second on Redis, of all tasks together."""
    task_s: float = 10.0

    def shortened(self) -> Options:
        """The same in a few seconds: shows that everything works, measures nothing."""
        return replace(
            self,
            quick=True,
            clients=(1, 10),
            rate=500,
            seconds=0.5,
            warmup_s=0.2,
            settle_s=0.1,
            drain_s=5.0,
            saturation_s=0.5,
            saturation_events_per_post=10,
            idle_clients=100,
            idle_s=0.3,
            append_sizes=(1, 100),
            append_s=0.3,
            catch_up_events=5_000,
            slow_events=10_000,
            slow_clients=5,
            slow_rest_s=2.0,
            storm_clients=50,
            storm_back=1_000,
            storm_rate=200,
            storm_limit_s=30.0,
            two_clients=3,
            nodes=2,
            node_clients=20,
            node_streams=4,
            node_rate=100,
            node_seconds=1.0,
            node_drain_s=5.0,
            node_idle_s=0.2,
            node_steps=1,
            redis_turns=2,
            redis_turn_s=0.05,
            workflows=3,
            watchers=3,
            workflow_s=1.0,
            chats=5,
            chat_s=1.0,
            plans=5,
            plan_steps=4,
            tasks=3,
            task_s=1.0,
            two_rate=100,
            two_seconds=1.0,
        )

    def with_value(self, name: str, text: str) -> Options:
        """A copy with one knob set from text.

        Raises:
            ValueError: there is no such knob, or the text does not fit it.
        """
        if name not in self.__dataclass_fields__:
            raise ValueError(f"no option {name!r}; there are: {', '.join(self.__dataclass_fields__)}")
        current: object = getattr(self, name)
        return replace(self, **{name: _parsed(current, text)})


def _parsed(current: object, text: str) -> object:
    if isinstance(current, str):
        return text
    if isinstance(current, bool):
        return text.lower() in {"1", "true", "yes"}
    if isinstance(current, tuple):
        parts = [part.strip() for part in text.split(",") if part.strip()]
        whole = not parts or parts[0].isdigit()
        return tuple(int(part) if whole else part for part in parts)
    return int(text) if isinstance(current, int) else float(text)
