"""Progress that a foreign program publishes on Redis: how late a documented client reads it, by the kind of log."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import redis
from tests.support.redis_server import RedisServer

from benchmarks.bench import Bench
from benchmarks.process_stats import Stopwatch
from benchmarks.report import Column, Table, count, cpu, cpu_figures, millis, number, text
from benchmarks.server_process import RUNCAST, Server
from benchmarks.task_watchers import TaskWatchers, Told

COLUMNS = [
    Column("way", text("way"), left=True),
    Column("tasks", count("tasks")),
    Column("wanted/s", count("wanted_per_s")),
    Column("msg/s", number("messages_per_s")),
    Column("lost", count("lost")),
    Column("p50 ms", millis("p50_ms")),
    Column("p99", millis("p99_ms")),
    Column("max", millis("max_ms")),
    Column("heard p99", millis("heard_p99_ms")),
    Column("heard max", millis("heard_max_ms")),
    Column("server CPU", cpu("server")),
]
CHANNEL = "agent_progress:"
WARM_UP = 20
LISTENS_S = 15.0
LIMIT_MS = 50.0


def run(bench: Bench) -> Table:
    """Rows: a node with its log in SQLite, one with it on Redis; beside each, what Redis alone takes to a subscriber."""
    options = bench.options
    table = bench.table(
        f"PUBLISH to client: {options.task_rate} messages/s over {options.tasks} tasks for {options.task_s:.0f} s, "
        "one documented client each",
        COLUMNS,
    )
    with RedisServer(appendonly="yes", appendfsync="everysec") as server:
        for way in ("SQLite log", "Redis log"):
            bench.say(f"tasks, {way}")
            url = server.url if way == "Redis log" else None
            with bench.fresh_server(RUNCAST, environment={"REDIS_URL": server.url}, url=url) as node:
                table.rows += _measure(bench, node, way, server.url)
    table.notes.append(
        "From right before PUBLISH (redis-py) to the frame, read by `websockets` and decoded by json, in Python on the "
        "load core, all clients in one process. Heard: the part of it until the node has read the message. Redis alone: the same messages at a subscriber (redis-py) in that "
        "process, a run of its own. Redis has AOF everysec."
    )
    for row in table.rows:
        if row["p99_ms"] >= LIMIT_MS:
            table.notes.append(f"{row['way']}: p99 is over the {LIMIT_MS:.0f} ms that the feed promises.")
    return table


def _measure(bench: Bench, node: Server, way: str, redis_url: str) -> list[dict[str, Any]]:
    """The node's clients, and once, without any, the plain subscriber."""
    rows = [_play(bench, node, way, redis_url, subscribe=False)]
    if way == "SQLite log":
        rows.insert(0, _play(bench, node, "Redis alone", redis_url, subscribe=True))
    return rows


def _play(bench: Bench, node: Server, way: str, redis_url: str, *, subscribe: bool) -> dict[str, Any]:
    options = bench.options
    prefix = f"{way.split(maxsplit=1)[0].lower()}-{time.time_ns()}"
    names = [f"{prefix}-{number}" for number in range(options.tasks)]
    urls = [f"ws://127.0.0.1:{node.port}/ws/agent-progress/{name}" for name in names]
    client = redis.Redis.from_url(redis_url)
    _wait_until_heard(client, node, prefix)
    watchers = TaskWatchers(urls, redis_url, options.load_core, subscribe=subscribe)
    watchers.wait_ready()
    _publish(client, names, WARM_UP, options.task_rate)
    watch = Stopwatch(node.pid)
    messages = round(options.task_rate * options.task_s)
    sent = _publish(client, names, messages, options.task_rate)
    wall_s, cpu_s = watch.wall_s(), watch.cpu_s(node.pid)
    for name in names:
        _tell(client, name, "completed", 100)
    client.close()
    told = watchers.told(options.drain_s)
    times = sorted((told.redis_ms if subscribe else told.latencies_ms)[WARM_UP:]) or [0.0]
    return {
        "way": way,
        "tasks": len(names),
        "wanted_per_s": options.task_rate,
        "messages_per_s": sent / wall_s,
        "lost": _lost(told, sent + WARM_UP, subscribe=subscribe),
        "p50_ms": _quantile(times, 0.5),
        "p99_ms": _quantile(times, 0.99),
        "max_ms": times[-1],
        **({} if subscribe else _heard(sorted(told.heard_ms[WARM_UP:]))),
        **cpu_figures("server", cpu_s, wall_s),
    }


def _heard(times: Sequence[float]) -> dict[str, float]:
    times = times or [0.0]
    return {"heard_p99_ms": _quantile(times, 0.99), "heard_max_ms": times[-1]}


def _publish(client: Any, names: Sequence[str], messages: int, rate: float) -> int:
    """So many, at an even pace, to one task after the other."""
    began_s = time.monotonic()
    for index in range(messages):
        pause_s = began_s + index / rate - time.monotonic()
        if pause_s > 0:
            time.sleep(pause_s)
        _tell(client, names[index % len(names)], "reasoning", 40)
    return messages


def _tell(client: Any, name: str, step: str, percent: int) -> None:
    told = {
        "step": step,
        "tool": None,
        "message": f"{time.monotonic():.6f}",
        "sent_s": time.time(),
        "percent": percent,
        "error": False,
    }
    client.publish(CHANNEL + name, json.dumps(told))


def _wait_until_heard(client: Any, node: Server, prefix: str) -> None:
    """Until the node listens: its first subscription comes a moment after its start."""
    ends_s = time.monotonic() + LISTENS_S
    while client.publish(f"{CHANNEL}{prefix}-probe", b"{}") < 1:
        if time.monotonic() > ends_s:
            raise RuntimeError(f"the node does not listen to Redis:\n{node.last_words()}")
        time.sleep(0.05)


def _lost(told: Told, sent: int, *, subscribe: bool) -> int:
    return sent - len(told.redis_ms if subscribe else told.latencies_ms)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
