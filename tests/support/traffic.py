"""Writers and readers that go on over crashes, as a careful publisher and a plain client would."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
from websockets.exceptions import WebSocketException

from runcast.log.sqlite import SqliteLog
from tests.support.clients import events_of, open_ws

Flat = dict[str, Any]
PATIENCE_S = 0.01
"""Between two tries while nobody answers."""


class Writer:
    """Posts events to a session, in the given portions, each again and again until it is acknowledged."""

    def __init__(self, url: str, session: str, portions: Iterable[Sequence[Flat]]) -> None:
        self.acknowledged: list[str] = []
        self.tries = 0
        self._url = f"{url}/api/sessions/{session}/events"
        self._portions = portions
        self._wait = threading.Event()

    def run(self) -> None:
        with httpx2.Client(timeout=20) as client:
            for portion in self._portions:
                while not self._is_stored(client, portion):
                    if self._wait.wait(PATIENCE_S):
                        return
                self.acknowledged += [event["event_id"] for event in portion]

    def stop(self) -> None:
        """Try no more; what is not acknowledged stays so."""
        self._wait.set()

    def _is_stored(self, client: httpx2.Client, portion: Sequence[Flat]) -> bool:
        self.tries += 1
        body: Any = portion[0] if len(portion) == 1 else list(portion)
        with suppress(httpx2.TransportError):
            answer = client.post(self._url, json=body)
            assert answer.status_code in {200, 429, 503}, answer.text
            return answer.status_code == 200
        return False


class Reader:
    """A plain `websockets` client that comes again with its cursor until it has what it wants."""

    def __init__(self, url: Callable[[str], str], is_done: Callable[[Reader], bool]) -> None:
        self.events: list[Flat] = []
        self.frames: list[str] = []
        self.connections = 0
        self._url = url
        self._is_done = is_done
        self._wait = threading.Event()

    @property
    def ids(self) -> list[str]:
        return [event["event_id"] for event in self.events]

    def run(self) -> None:
        cursor = "start"
        while not self._is_over():
            with suppress(OSError, WebSocketException), open_ws(self._url(cursor), close_timeout=1) as ws:
                self.connections += 1
                while not self._is_over():
                    with suppress(TimeoutError):
                        frame = json.loads(ws.recv(timeout=1))
                        self.frames.append(frame["type"])
                        self.events += events_of([frame])
                        cursor = self.events[-1]["cursor"] if self.events else cursor
            self._wait.wait(PATIENCE_S)

    def stop(self) -> None:
        """Come no more."""
        self._wait.set()

    def _is_over(self) -> bool:
        return self._wait.is_set() or self._is_done(self)


def in_portions(events: Sequence[Flat], sizes: Iterable[int]) -> list[Sequence[Flat]]:
    """Cut events into portions of the given sizes, until none is left."""
    portions: list[Sequence[Flat]] = []
    start = 0
    for size in sizes:
        if start >= len(events):
            break
        portions.append(events[start : start + size])
        start += size
    return portions


def stored(path: Path, session: str) -> list[tuple[int, str]]:
    """What a log has of a session after all servers are gone: the numbers and ids."""
    log = SqliteLog(path)
    try:
        found: list[tuple[int, str]] = []
        page = log.read(f"session:{session}")
        while page.events:
            found += [(event.seq, event.id) for event in page.events]
            page = log.read(f"session:{session}", page.cursor)
        return found
    finally:
        log.close()
