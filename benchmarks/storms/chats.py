"""Many conversations at once: how late tokens come, what that costs, how quickly an answer begins and is cancelled."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench
from benchmarks.chatters import Chatters, Heard
from benchmarks.process_stats import MemorySampler, Stopwatch, rss_bytes
from benchmarks.report import Column, Table, count, cpu, cpu_figures, millis, number, text
from benchmarks.server_process import RUNCAST, Server
from runcast.auth.principal import Principal
from runcast.auth.setup import make_authenticator
from runcast.auth.store import AuthStore
from runcast.config import Settings
from runcast.log.place import auth_file

COLUMNS = [
    Column("mode", text("mode"), left=True),
    Column("chats", count("chats")),
    Column("wanted/s", count("wanted_per_s")),
    Column("tokens/s", count("tokens_per_s")),
    Column("all at once", count("tokens_per_s_of_all")),
    Column("appends/s", count("appends_per_s")),
    Column("frames/s", count("frames_per_s")),
    Column("MB/s", number("megabytes_per_s")),
    Column("p50 ms", millis("p50_ms")),
    Column("p99", millis("p99_ms")),
    Column("max", millis("max_ms")),
    Column("RSS +MB", number("growth_megabytes")),
    Column("µs/append", count("cpu_us_per_append")),
    Column("server CPU", cpu("server")),
]
ENVIRONMENT = {
    "RUNCAST_LOAD": "benchmarks.talk",
    "RUNCAST_CHAT_RATE": "100000",
    "RUNCAST_MAX_CONNECTIONS_PER_PRINCIPAL": "100000",
}
TURNS = 100
LIFETIME_S = 3_600.0
ASK_OVER_S = 5.0


def run(bench: Bench) -> Table:
    """Rows: with and without `partial_response`. Tokens are timed from when the model gives them to the client's read.

    Rates are over the whole time, in the first seconds of which the conversations begin one after the other; `all at
    once` counts from when all had begun until the first one came to its end.
    """
    options = bench.options
    table = bench.table(
        f"{options.chats} conversations at once, {options.chat_rate:.0f} tokens/s each for {options.chat_s:.0f} s, "
        "one watcher each",
        COLUMNS,
    )
    for mode, query in (("partial=0", "partial=0"), ("partial_response", "partial=1")):
        bench.say(f"chats, {mode}")
        with bench.fresh_server(RUNCAST, environment=ENVIRONMENT) as server:
            paths = _paths(server, options.chats, query)
            if mode == "partial=0":
                table.notes += _single(bench, server, paths[0])
            table.rows.append(_play(bench, server, mode, paths, table.notes))
    return table


def _play(bench: Bench, server: Server, mode: str, paths: Sequence[str], notes: list[str]) -> dict[str, Any]:
    options = bench.options
    idle_bytes = rss_bytes(server.pid)
    chatters = Chatters(server.port, paths, core=options.load_core)
    chatters.wait_ready()
    each_kb = (rss_bytes(server.pid) - idle_bytes) / len(paths) / 1000
    notes.append(
        f"{mode}: {len(paths)} idle connections, known and in no conversation: {each_kb:.1f} kB each."
    )
    tokens = round(options.chat_rate * options.chat_s)
    plan = json.dumps({"tokens": tokens, "rate": options.chat_rate})
    events = _events(server.log)
    watch = Stopwatch(server.pid)
    with MemorySampler(server.pid) as memory:
        heard = chatters.ask(plan, ASK_OVER_S, options.chat_s + ASK_OVER_S + options.drain_s)
    wall_s, cpu_s = watch.wall_s(), watch.cpu_s(server.pid)
    chatters.leave()
    if heard.errors or heard.completed != len(paths):
        first = f", first error: {heard.errors[0]}" if heard.errors else ""
        notes.append(f"{mode}: {heard.completed} of {len(paths)} answers came to their end{first}.")
    if len(heard.latencies_ms) != tokens * len(paths):
        notes.append(f"{mode}: {len(heard.latencies_ms):,} of {tokens * len(paths):,} tokens came.")
    latencies = sorted(heard.latencies_ms) or [0.0]
    appends = _events(server.log) - events
    all_s = heard.all_until_s - heard.all_from_s
    return {
        "mode": mode,
        "chats": len(paths),
        "wanted_per_s": len(paths) * options.chat_rate,
        "tokens_per_s": len(latencies) / wall_s,
        "tokens_per_s_of_all": heard.tokens_of_all / all_s if all_s > 0 else 0.0,
        "appends_per_s": appends / wall_s,
        "cpu_us_per_append": cpu_s / max(appends, 1) * 1e6,
        "frames_per_s": heard.frames / wall_s,
        "megabytes_per_s": heard.byte_count / wall_s / 1e6,
        "p50_ms": _quantile(latencies, 0.5),
        "p99_ms": _quantile(latencies, 0.99),
        "max_ms": latencies[-1],
        "growth_megabytes": memory.growth_bytes / 1e6,
        "idle_connection_kb": each_kb,
        **cpu_figures("server", cpu_s, wall_s),
    }


def _single(bench: Bench, server: Server, path: str) -> list[str]:
    """One person alone: the first token, and cancelling."""
    chatters = Chatters(server.port, [path], core=bench.options.load_core)
    chatters.wait_ready()
    turns = 5 if bench.options.quick else TURNS
    asked = chatters.take_turns(json.dumps({"tokens": 1, "rate": 50}), turns, cancel=False)
    cancelled = chatters.take_turns(json.dumps({"tokens": 1000, "rate": 50}), turns, cancel=True)
    chatters.leave()
    return [
        _said("First token of a model that needs no time, from the question", asked.whole_first_ms),
        _said("… of it from the model to the client", asked.first_ms),
        _said("From cancel to complete, at the client", cancelled.cancel_ms),
        *_errors(asked, cancelled),
        f"Load of the machine: {os.getloadavg()[0]:.1f}.",
    ]


def _said(what: str, times_ms: Sequence[float]) -> str:
    ordered = sorted(times_ms) or [0.0]
    return (
        f"{what}: p50 {_quantile(ordered, 0.5):.1f} ms, p99 {_quantile(ordered, 0.99):.1f} ms, "
        f"max {ordered[-1]:.1f} ms ({len(times_ms)} times)."
    )


def _errors(*all_heard: Heard) -> list[str]:
    return [f"Errors: {error}" for heard in all_heard for error in heard.errors[:1]]


def _paths(server: Server, number_of: int, query: str) -> list[str]:
    """As many people, each with a token that the server made."""
    store = AuthStore(auth_file(server.log))
    authenticator = make_authenticator(Settings(locked=True), store)
    tokens = [
        authenticator.tokens.make(
            Principal(sub=f"person-{one}", via="token", credential=f"token:{one}"), LIFETIME_S
        )
        for one in range(number_of)
    ]
    store.close()
    return [f"/ws/chat?token={token}&{query}" for token in tokens]


def _events(log: Path) -> int:
    """How many events the log has."""
    time.sleep(0.1)
    connection = sqlite3.connect(f"file:{log}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT max(position) FROM events").fetchone()[0] or 0
    finally:
        connection.close()


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
