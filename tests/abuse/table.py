"""Prints what each attack gets and what it costs: `python -m tests.abuse.table` (some minutes; `-k WORD` for a part).

Beside each attack, one publisher (100 events per second) and one subscriber go on in processes of their own. Their p99
from publishing to receiving is compared with that of the seconds right before and after it. The attacker is niced: on
another machine it would not take the server's processors, either.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import httpx2
from tests.abuse.attacks import ATTACKS, TOO_LATE, Attack
from tests.support.clients import open_ws
from tests.support.memory import Memory
from tests.support.process import ServeProcess
from tests.support.server import Server

EVERY_S = 0.01
QUIET_S = 2.0
ATTACKED_S = 4.0
PER_SECOND = 200
"""So often an attack is begun, unless it takes longer."""
NICE = 10
CONTEXT = multiprocessing.get_context("spawn")


def watch(url: str, commands: Connection) -> None:
    """Receives events in a process of its own; answers each command with the latencies since the last one."""
    latencies: list[float] = []

    def receive() -> None:
        with open_ws(url) as ws:
            commands.send("there")
            for message in ws:
                now, events = time.monotonic(), json.loads(message).get("events", [])
                latencies.extend([now - float(event["published"]) for event in events])

    threading.Thread(target=receive, daemon=True).start()
    while commands.recv() == "tell":
        taken, latencies[:] = latencies[:], []
        commands.send(taken)


def publish(url: str, stop: object) -> None:
    """Publishes an event every 10 ms in a process of its own."""
    with httpx2.Client(timeout=60) as http:
        due = time.monotonic()
        while not stop.is_set():  # pyright: ignore[reportAttributeAccessIssue]
            now = time.monotonic()
            http.post(url, json={"event_type": "a", "published": now})
            due = max(due + EVERY_S, now)
            time.sleep(max(0.0, due - time.monotonic()))


class Others:
    """A publisher and a subscriber who have nothing to do with the attack."""

    def __init__(self, server: Server) -> None:
        self._stop = CONTEXT.Event()
        self._pipe, theirs = CONTEXT.Pipe()
        self._processes = [
            CONTEXT.Process(target=watch, args=(server.session("others"), theirs), daemon=True),
            CONTEXT.Process(
                target=publish, args=(server.url("/api/sessions/others/events"), self._stop), daemon=True
            ),
        ]
        self._processes[0].start()
        assert self._pipe.recv() == "there"
        self._processes[1].start()

    def latencies_s(self, meanwhile: Callable[[], None]) -> list[float]:
        """From publishing to receiving, while something goes on."""
        self._taken()
        meanwhile()
        return self._taken()

    def close(self) -> None:
        self._stop.set()
        self._processes[1].join(10)
        self._pipe.send("end")
        self._processes[0].join(10)

    def _taken(self) -> list[float]:
        self._pipe.send("tell")
        return self._pipe.recv()


def measure(server: ServeProcess, others: Others, attack: Attack) -> str:
    """One row: the attack, over and over for some seconds, between two times of quiet."""
    quiet = others.latencies_s(lambda: time.sleep(QUIET_S))
    answers: list[str] = []

    def go_on() -> None:
        began = time.monotonic()
        while (now := time.monotonic() - began) < ATTACKED_S:
            answers.append(attack.run(server))
            time.sleep(max(0.0, len(answers) / PER_SECOND - now))

    with Memory(server.process.pid) as memory:
        attacked = others.latencies_s(go_on)
    quiet += others.latencies_s(lambda: time.sleep(QUIET_S))
    answer = " | ".join(sorted(set(answers)))
    right = "" if answer == attack.answer else " (!)"
    return (
        f"{attack.name:36} {len(answers):5} {answer + right:38} {memory.grown_mib:8.1f} "
        f"{p99(quiet) * 1e3:6.1f} {p99(attacked) * 1e3:8.1f} {p99(attacked) / p99(quiet):6.2f}"
    )


def p99(latencies: list[float]) -> float:
    """0.99 of them took no longer."""
    return sorted(latencies)[int(len(latencies) * 0.99)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-k", metavar="WORD", default="", help="only attacks with this in their name")
    wanted = parser.parse_args().k
    print(
        f"{'attack':36} {'runs':>5} {'answer':38} {'RSS +MiB':>8} {'p99 ms':>6} {'attacked':>8} {'ratio':>6}"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        ServeProcess(Path(folder) / "log.db", env=TOO_LATE) as server,
    ):
        others = Others(server)
        os.nice(NICE)
        for attack in ATTACKS:
            if wanted in attack.name:
                print(measure(server, others, attack), flush=True)
        others.close()


if __name__ == "__main__":
    main()
