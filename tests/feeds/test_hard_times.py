"""A clock that jumps, a loop that stands still, a flood: late, or refused in words, and never lost."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.clients import events_of, ids_of, open_ws, ping_pong, receive, rest_of, take
from tests.support.fixtures import MakeServer
from tests.support.server import ThreadServer, flat, flats, wait_until

from runcast import Bus
from runcast.config import Settings
from runcast.errors import Busy, LogClosed, LogCorrupt, LogError, LogFull, LogReadOnly
from runcast.kinds.base import Publish
from runcast.kinds.session import SESSION
from runcast.log.open import open_log

HOUR_US = 3_600 * 1_000_000
NOON_US = 1_705_406_400 * 1_000_000  # 2024-01-16T12:00:00Z


@pytest.fixture(scope="module")
def protocol() -> str:
    return "fast"


class Clock:
    def __init__(self) -> None:
        self.us = NOON_US

    def __call__(self) -> int:
        self.us += 1_000
        return self.us


def publish_soon(server: ThreadServer, session: str, numbers: range) -> list[Callable[[], Any]]:
    """Publish from this thread, without the server's loop; the results can be waited for."""
    bus = server.bus
    return [
        bus.publish_soon([Publish(stream=f"session:{session}", type="note", id=f"e{number}")]).result
        for number in numbers
    ]


@pytest.fixture
def clocked(tmp_path: Path) -> tuple[ThreadServer, Clock]:
    clock = Clock()
    bus = Bus(open_log(tmp_path / "log.db", clock=clock), [SESSION], Settings(), now_us=clock)
    return ThreadServer(bus=bus), clock


def test_a_clock_that_jumps_back_an_hour_changes_no_order_and_loses_nothing(
    clocked: tuple[ThreadServer, Clock], session: str
) -> None:
    server, clock = clocked
    with server, open_ws(server.session(session)) as ws:
        server.post(session, *flats(range(5)))
        first = events_of(take(ws, 5))
        clock.us -= HOUR_US
        server.post(session, *flats(range(5, 10)))
        with open_ws(server.session(session)) as late:
            server.post(session, flat(10))
            assert ids_of(take(late, 1)) == ["e10"]
        second = events_of(take(ws, 6))
        with open_ws(server.session(session, after=first[2]["cursor"])) as again:
            assert ids_of(take(again, 8)) == [f"e{number}" for number in range(3, 11)]
        totals = server.get(f"/api/sessions/{session}")["totals"]
    assert [event["event_id"] for event in first + second] == [f"e{number}" for number in range(11)]
    assert [event["seq"] for event in first + second] == list(range(1, 12))
    assert first[0]["timestamp"].startswith("2024-01-16T12:00:00")
    assert second[0]["timestamp"].startswith("2024-01-16T11:00:00")  # told as it was
    assert totals["events"] == 11
    assert totals["first_time"] < NOON_US < totals["last_time"]


def test_a_clock_that_jumps_forward_keeps_what_is_there(
    clocked: tuple[ThreadServer, Clock], session: str
) -> None:
    server, clock = clocked
    with server, open_ws(server.session(session)) as ws:
        server.post(session, flat(0))
        clock.us += 24 * HOUR_US
        server.post(session, flat(1))
        clock.us -= 24 * HOUR_US
        server.post(session, flat(2))
        assert ids_of(take(ws, 3)) == ["e0", "e1", "e2"]
        assert ping_pong(ws) == []


@pytest.mark.parametrize(
    ("stands_still_s", "ping_s"), [(5.0, 20.0), (1.2, 0.4)], ids=["5s", "over-the-pings"]
)
@pytest.mark.parametrize("path", ["fast", "portable"])
def test_a_loop_that_stands_still_delivers_all_of_it_later_and_loses_nobody(
    make_server: MakeServer, session: str, path: str, stands_still_s: float, ping_s: float
) -> None:
    server = make_server(protocol=path, ping_s=ping_s)
    with ExitStack() as stack:
        clients = [stack.enter_context(open_ws(server.session(session))) for _ in range(10)]
        for ws in clients:
            assert ping_pong(ws) == []
        server.loop.call_soon_threadsafe(ping_and_stand_still, server, stands_still_s)
        for stored in publish_soon(server, session, range(1_000)):
            stored()  # the log does not wait for the loop
        for ws in clients:
            assert ids_of(take(ws, 1_000)) == [f"e{number}" for number in range(1_000)]
        for ws in clients:  # each is still there, and live
            assert ping_pong(ws) == []
        server.post(session, flat(1_000))
        for ws in clients:
            assert ids_of(take(ws, 1)) == ["e1000"]


def ping_and_stand_still(server: ThreadServer, seconds: float) -> None:
    """Nothing else happens in the server's loop meanwhile, and the answers to the pings lie unread."""
    for connection in server.websockets():
        connection.stop_keepalive()
        connection.send_keepalive_ping()
    time.sleep(seconds)


@pytest.fixture
def locked(make_server: MakeServer, tmp_path: Path) -> tuple[ThreadServer, sqlite3.Connection]:
    """A server with a small queue, and the lock on its file."""
    server = make_server(tmp_path / "log.db", append_queue_bytes=200_000)
    holder = sqlite3.connect(tmp_path / "log.db", isolation_level=None, check_same_thread=False)
    return server, holder


def test_a_flood_is_refused_with_503_and_nothing_acknowledged_is_lost(
    locked: tuple[ThreadServer, sqlite3.Connection], session: str
) -> None:
    server, holder = locked
    server.post(session, flat(0, event_id="first"))

    def post(number: int) -> httpx2.Response:
        event = flat(number, noise="x" * 10_000)
        return httpx2.post(server.url(f"/api/sessions/{session}/events"), json=event, timeout=20)

    with open_ws(server.session(session, after="start")) as ws, ThreadPoolExecutor(40) as pool:
        assert ids_of(take(ws, 1)) == ["first"]
        holder.execute("BEGIN IMMEDIATE")
        answers = [pool.submit(post, number) for number in range(40)]
        wait_until(lambda: any(answer.done() and answer.result().status_code == 503 for answer in answers))
        holder.execute("ROLLBACK")
        codes = {number: answer.result() for number, answer in enumerate(answers)}
        holder.close()
        refused = [number for number, answer in codes.items() if answer.status_code == 503]
        stored = [number for number, answer in codes.items() if answer.status_code == 200]
        assert sorted(refused + stored) == list(range(40))
        assert len(stored) >= 10  # what the queue had room for
        for number in refused:
            assert codes[number].headers["retry-after"] == "1"
            assert codes[number].json()["code"] == "busy"
        assert sorted(ids_of(take(ws, len(stored)))) == sorted(f"e{number}" for number in stored)
        for number in refused:  # they come again, as they were told to
            assert post(number).status_code == 200
        assert ids_of(take(ws, len(refused))) == [f"e{number}" for number in refused]
        assert ping_pong(ws) == []


def test_a_log_that_stays_locked_is_busy_and_the_server_lives(
    locked: tuple[ThreadServer, sqlite3.Connection], session: str
) -> None:
    server, holder = locked
    server.post(session, flat(0))
    holder.execute("BEGIN IMMEDIATE")
    answer = server.http.post(f"/api/sessions/{session}/events", json=flat(1))
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert answer.headers["retry-after"] == "1"
    assert [event["event_id"] for event in server.get(f"/api/sessions/{session}/events")["events"]] == ["e0"]
    holder.execute("ROLLBACK")
    holder.close()
    server.post(session, flat(1))
    with open_ws(server.session(session, after="start")) as ws:
        assert ids_of(take(ws, 2)) == ["e0", "e1"]


def test_a_log_that_cannot_be_read_for_a_while_makes_readers_wait(
    make_server: MakeServer, session: str
) -> None:
    server = make_server()
    server.post(session, *flats(range(3)))
    page, failures = server.bus.page, [3]

    async def page_with_troubles(*args: Any, **kwargs: Any) -> Any:
        if failures[0]:
            failures[0] -= 1
            raise Busy
        return await page(*args, **kwargs)

    server.bus.hub._catch_up._pages._read = page_with_troubles
    with open_ws(server.session(session, after="start")) as ws, open_ws(server.session(session)) as other:
        server.post(session, flat(3))
        assert ids_of(take(other, 1)) == ["e3"]
        assert ids_of(take(ws, 4)) == ["e0", "e1", "e2", "e3"]
    assert failures == [0]


def test_a_flaw_in_one_reader_ends_that_one_alone(make_server: MakeServer, session: str) -> None:
    server = make_server()
    server.post(session, *flats(range(3)))
    page, flaws = server.bus.page, [1]

    async def page_with_a_flaw(*args: Any, **kwargs: Any) -> Any:
        if flaws[0]:
            flaws[0] -= 1
            raise ZeroDivisionError
        return await page(*args, **kwargs)

    server.bus.hub._catch_up._pages._read = page_with_a_flaw
    with open_ws(server.session(session, after="start")) as ws:
        frames, code, reason = rest_of(ws)
    assert (frames, code, reason) == ([], 1011, "internal error")
    with open_ws(server.session(session, after="start")) as ws:
        assert ids_of([receive(ws)]) == ["e0", "e1", "e2"]
    assert any("ZeroDivisionError" in text for text in server.errors.forgive())


@pytest.mark.parametrize(
    ("error", "status", "retry"),
    [
        (Busy, 503, True),
        (LogClosed, 503, True),
        (LogFull, 507, True),
        (LogReadOnly, 500, False),
        (LogCorrupt, 500, False),
    ],
)
def test_whatever_fails_in_the_log_is_told_in_words(
    make_server: MakeServer, session: str, error: type[LogError], status: int, retry: bool
) -> None:
    server = make_server()

    def fail(*_: object, **__: object) -> Any:
        raise error

    server.bus.log.append_soon = fail
    answer = server.http.post(f"/api/sessions/{session}/events", json=flat(0))
    assert (answer.status_code, answer.json()["code"]) == (status, error.code)
    assert answer.json()["detail"] == error.message
    assert ("retry-after" in answer.headers) == retry
    server.bus.log.info = fail
    with open_ws(server.session(session)) as ws:
        (told,), code, reason = rest_of(ws)
    assert (told["code"], told["retryable"]) == (error.code, retry)
    assert (code, reason) == (1013, error.code)


def test_a_flaw_of_ours_is_a_problem_without_a_word_of_it(make_server: MakeServer, session: str) -> None:
    server = make_server()

    def flaw(*_: object, **__: object) -> Any:
        raise ZeroDivisionError("secret")

    server.bus.log.append_soon = flaw
    answer = server.http.post(f"/api/sessions/{session}/events", json=flat(0))
    assert (answer.status_code, answer.json()["code"]) == (500, "error")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "secret" not in answer.text
    wait_until(lambda: server.errors.texts, "whoever runs it finds it in the log")
    assert "secret" in server.errors.forgive()[0]
