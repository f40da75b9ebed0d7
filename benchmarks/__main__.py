"""Run the benchmarks: `python -m benchmarks [SECTION …]`."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NoReturn

from benchmarks import machine, native_tools, redis_log, server_process
from benchmarks.bench import Bench
from benchmarks.child import ToolError
from benchmarks.options import Options
from benchmarks.report import Table, facts
from benchmarks.sections import appends, catch_up, idle, latency, saturation
from benchmarks.server_process import ServerError
from benchmarks.storms import (
    chats,
    node_memory,
    nodes,
    plans,
    reconnect_storm,
    slow_client,
    tasks,
    two_servers,
    workflows,
)

BUILD = Path(__file__).parent / "build"

SECTIONS: dict[str, Callable[[Bench], Table]] = {
    "latency": latency.run,
    "saturation": saturation.run,
    "idle": idle.run,
    "appends": appends.run,
    "catch-up": catch_up.run,
}
STORMS: dict[str, Callable[[Bench], Table]] = {
    "slow-client": slow_client.run,
    "reconnect-storm": reconnect_storm.run,
    "two-servers": two_servers.run,
    "nodes": nodes.run,
    "node-memory": node_memory.run,
    "redis": redis_log.run,
    "workflows": workflows.run,
    "chats": chats.run,
    "plans": plans.run,
    "tasks": tasks.run,
}

GIVEN = {
    "clients": ("clients", "node_clients"),
    "apps": ("apps",),
    "seconds": ("seconds", "node_seconds"),
    "rate": ("rate", "node_rate"),
    "events_per_post": ("events_per_post", "node_events_per_post"),
    "nodes": ("nodes",),
    "streams": ("node_streams",),
}
"""The options of the command line, and what each of them sets."""


def main() -> int:
    """Run what was asked for and print it; 1 if a section failed."""
    arguments = _parser().parse_args()
    try:
        options = _options(arguments)
    except ValueError as error:
        _refuse(str(error))
    options = _pinned(_only_installed(options))
    signal.signal(signal.SIGTERM, _leave)
    _raise_file_limit()
    BUILD.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=arguments.dir or BUILD))
    try:
        tools = native_tools.build(folder / "bin")
        return _run(arguments, options, tools, folder)
    except native_tools.BuildError as error:
        _refuse(str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(
    arguments: argparse.Namespace, options: Options, tools: native_tools.NativeTools, folder: Path
) -> int:
    facts_of_run = machine.describe(folder) | _method(options)
    print(facts("Machine and method", facts_of_run), flush=True)
    if machine.lies_in_memory(folder):
        print(f"\nWARNING: {folder} is in memory: nothing here is durable. Choose a disk by --dir.")
    results: dict[str, Any] = {}
    failed = False
    with Bench(options, tools, folder) as bench:
        for name in arguments.sections or SECTIONS:
            began = time.monotonic()
            bench.unfinished = None
            try:
                table = (SECTIONS | STORMS)[name](bench)
            except (ToolError, ServerError, RuntimeError, OSError, ValueError) as error:
                failed = True
                table = bench.unfinished or Table(name, [])
                table.notes.append(f"FAILED: {error}")
            print(f"\n{table.render()}", flush=True)
            results[name] = table.data() | {"took_s": round(time.monotonic() - began, 1)}
    if arguments.json:
        document = {"machine": facts_of_run, "options": asdict(options), "sections": results}
        arguments.json.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return int(failed)


def _parser() -> argparse.ArgumentParser:
    names = [*SECTIONS, *STORMS]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure Runcast beside a naive FastAPI loop. Without sections: all but the storms.",
    )
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"any of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="show in a few seconds that everything works")
    parser.add_argument(
        "--clients", metavar="N,…", help="numbers of clients (1,100,1000); of `nodes`, at each: the last one"
    )
    parser.add_argument("--apps", metavar="A,…", help="which servers: naive, runcast (both)")
    parser.add_argument("--seconds", metavar="S", help="measured seconds of latency (10) and nodes (6)")
    parser.add_argument("--rate", metavar="N", help="events per second of latency (1000) and nodes (2000)")
    parser.add_argument("--events-per-post", metavar="N", help="events per post there (1; 10)")
    parser.add_argument("--nodes", metavar="N", help="servers on one Redis (3)")
    parser.add_argument("--streams", metavar="N", help="streams that their clients are spread over (50)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="see options.py")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="where the logs are; should be a real disk")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there, too")
    return parser


def _options(arguments: argparse.Namespace) -> Options:
    unknown = [name for name in arguments.sections if name not in SECTIONS | STORMS]
    if unknown:
        raise ValueError(f"no section {unknown[0]!r}; there are: {', '.join(SECTIONS | STORMS)}")
    options = Options().shortened() if arguments.quick else Options()
    for name, knobs in GIVEN.items():
        given = getattr(arguments, name)
        if given is not None:
            for knob in knobs:
                # `nodes` has one number of clients at each node: the last one that is named
                options = options.with_value(
                    knob, given.rpartition(",")[2] if knob == "node_clients" else given
                )
    for pair in arguments.set:
        name, _, value = pair.partition("=")
        options = options.with_value(name.replace("-", "_"), value)
    if not options.apps or set(options.apps) - set(server_process.APPS):
        raise ValueError(f"the servers are: {', '.join(server_process.APPS)}")
    return options


def _only_installed(options: Options) -> Options:
    missing = [app for app in options.apps if not server_process.installed(app)]
    if missing:
        print(f"WARNING: left out, since not installed here: {', '.join(missing)}\n")
    return replace(options, apps=tuple(app for app in options.apps if app not in missing))


def _pinned(options: Options) -> Options:
    """Keep this process and all that it starts on the load core; servers are moved to theirs."""
    allowed = os.sched_getaffinity(0)
    if options.server_core == options.load_core or {options.server_core, options.load_core} - allowed:
        print(f"WARNING: server and load share cores (usable: {sorted(allowed)}): figures are too low.\n")
        only = min(allowed)
        options = replace(options, server_core=only, load_core=only)
    os.sched_setaffinity(0, {options.load_core})
    return options


def _method(options: Options) -> dict[str, str]:
    return {
        "method": (
            f"servers on core {options.server_core}; load generator and publisher, both C programs and "
            f"each a process, on core {options.load_core}; loopback; events of about 500 bytes; latency from "
            "right before the post is written to the read that completes the client's message; CPU in "
            "seconds and in % of one core while measured, load CPU is both programs'"
        ),
        "naive": "benchmarks/naive_app.py: FastAPI, in memory, send_json to each client in a loop; uvicorn",
        "on Redis": (
            "nodes, node-memory, redis, tasks: a redis-server of its own, with an append-only file; in the first three "
            "nothing is pinned"
        ),
        "runcast": "`runcast serve` on a SQLite file with FULL durability, limits of clients raised",
        "run": "QUICK: shows that it works, measures nothing" if options.quick else "full",
    }


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _leave(number: int, frame: object) -> NoReturn:
    """On SIGTERM: unwind, so that servers and files do not stay."""
    raise SystemExit(128 + number)


def _refuse(words: str) -> NoReturn:
    print(f"benchmarks: {words}", file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    raise SystemExit(main())
