"""Clients that have nothing to do with an attack, and how they fare: one publisher and one subscriber."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Self

from tests.abuse.target import Target
from tests.support.clients import open_ws

PER_SECOND = 200
"""Events that are published."""
LATE_S = 0.1
"""A publisher that has fallen further behind begins anew; up to then its lateness counts."""
PATH = "/api/sessions/others/events"
CONTEXT = multiprocessing.get_context("spawn")


class Others:
    """A publisher and a subscriber in processes of their own, which wait until they are told to `begin`.

    Use it as a context.

    A latency is the time from when an event was due to be published until it was received: so that what cannot
    even be sent because the server does not answer counts as late, too.
    """

    def __init__(self, server: Target) -> None:
        self._go, self._stop = CONTEXT.Event(), CONTEXT.Event()
        self._pipe, theirs = CONTEXT.Pipe()
        self._watcher = CONTEXT.Process(
            target=watch, args=(server.session("others"), server.identity, theirs), daemon=True
        )
        self._publisher = CONTEXT.Process(
            target=publish, args=(server.port, server.identity, self._go, self._stop), daemon=True
        )

    def __enter__(self) -> Self:
        self._watcher.start()
        self._publisher.start()
        return self

    def begin(self) -> None:
        """Connect, and publish from now on."""
        self._pipe.send("begin")
        assert self._pipe.recv() == "there"
        self._go.set()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Go. Idempotent."""
        if self._stop.is_set():
            return
        self._stop.set()
        self._go.set()
        self._publisher.join(10)
        self._pipe.send("end")
        self._watcher.join(10)

    def latencies_s(self, meanwhile: Callable[[], object]) -> list[float]:
        """How long events took while something went on."""
        self._taken()
        meanwhile()
        return self._taken()

    def _taken(self) -> list[float]:
        self._pipe.send("tell")
        return self._pipe.recv()


def watch(url: str, identity: dict[str, str], commands: Connection) -> None:
    """Receives events; answers each command with the latencies since the last one."""
    latencies: list[float] = []

    def receive() -> None:
        with open_ws(url, additional_headers=identity) as ws:
            commands.send("there")
            for message in ws:
                now, events = time.monotonic(), json.loads(message).get("events", [])
                latencies.extend([now - float(event["due"]) for event in events])

    if commands.recv() != "begin":
        return
    threading.Thread(target=receive, daemon=True).start()
    while commands.recv() == "tell":
        taken, latencies[:] = latencies[:], []
        commands.send(taken)


def publish(port: int, identity: dict[str, str], go: threading.Event, stop: threading.Event) -> None:
    """Publishes at an even rate, and each event as soon as the one before is acknowledged."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    go.wait()
    due = time.monotonic()
    while not stop.is_set():
        time.sleep(max(0.0, due - time.monotonic()))
        body = json.dumps({"event_type": "a", "due": due})
        client.request("POST", PATH, body, {"Content-Type": "application/json", **identity})
        answer = client.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        now = time.monotonic()
        due = due + 1 / PER_SECOND if now < due + LATE_S else now
    client.close()


def p99_ms(latencies_s: list[float]) -> float:
    """0.99 of them took no longer."""
    return sorted(latencies_s)[int(len(latencies_s) * 0.99)] * 1e3
