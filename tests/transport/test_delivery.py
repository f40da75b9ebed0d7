"""What subscribers get over a real WebSocket: every event once and in order, from where they asked for."""

from __future__ import annotations

import random
import threading
from datetime import datetime
from itertools import pairwise

import pytest
from tests.support.clients import (
    RawClient,
    events_of,
    ids_of,
    open_ws,
    ping_pong,
    receive,
    take,
    take_at_least,
)
from tests.support.fixtures import LEGACY, MakeServer
from tests.support.server import ThreadServer, flat, flats, hold_up_places, in_background, wait_until


@pytest.fixture(scope="module", params=["fast", "portable", LEGACY])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["deflate", None], ids=["deflated", "plain"])
def compression(request: pytest.FixtureRequest) -> str | None:
    return request.param


def numbered(count: int, start: int = 0) -> list[str]:
    return [f"e{number}" for number in range(start, start + count)]


def test_live_events_arrive_as_batches_in_order(
    server: ThreadServer, session: str, compression: str | None
) -> None:
    with open_ws(server.session(session), compression=compression) as ws:
        for start in range(0, 360, 120):
            server.post(session, *flats(range(start, start + 120)))
        frames = take(ws, 360)
    assert ids_of(frames) == numbered(360)
    assert [event["seq"] for event in events_of(frames)] == list(range(1, 361))
    assert all(frame["type"] == "batch" and frame["count"] == len(frame["events"]) for frame in frames)
    assert max(frame["count"] for frame in frames) == 50  # the documented default


def test_a_replay_from_the_start_goes_on_live(
    server: ThreadServer, session: str, compression: str | None
) -> None:
    server.post(session, *flats(range(700)))
    with open_ws(server.session(session, after="start"), compression=compression) as ws:
        assert ids_of(take(ws, 700)) == numbered(700)
        server.post(session, flat(700))
        assert ids_of(take(ws, 1)) == ["e700"]


def test_a_client_goes_on_after_its_cursor(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(300)))
    with open_ws(server.session(session, after="start")) as ws:
        seen = events_of(take(ws, 300))
    for known in (0, 99, 255, 256, 299):
        with open_ws(server.session(session, after=seen[known]["cursor"])) as ws:
            server.post(session, flat(300))
            assert ids_of(take(ws, 300 - known)) == numbered(300 - known, known + 1)


def test_by_default_a_client_gets_what_is_new(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(5)))
    for wish in ({}, {"after": "now"}):
        with open_ws(server.session(session, **wish)) as ws:
            assert ping_pong(ws) == []
    with open_ws(server.session(session)) as ws:
        server.post(session, flat(5))
        assert ids_of(take(ws, 1)) == ["e5"]


def test_whatever_is_published_after_the_handshake_is_for_the_client(
    make_server: MakeServer, session: str
) -> None:
    server = make_server()
    gate = hold_up_places(server)
    answered = threading.Event()

    def connect_and_publish() -> None:
        with open_ws(server.session(session)) as ws:
            answered.set()
            server.post(session, flat(0))
            assert ids_of(take(ws, 1)) == ["e0"]

    with in_background(connect_and_publish):
        wait_until(lambda: server.bus.live_statistics().connections == 1)
        answered.wait(0.3)  # it must not be told so soon; if it were, the event would be missed
        server.call(gate.set)


def test_a_session_may_be_watched_before_it_exists(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as now, open_ws(server.session(session, after="start")) as start:
        server.post(session, *flats(range(3)))
        assert ids_of(take(now, 3)) == ids_of(take(start, 3)) == numbered(3)


def test_all_sessions_arrive_in_commit_order_and_can_be_resumed(server: ThreadServer, session: str) -> None:
    with open_ws(server.ws("/ws/events")) as ws:
        for number in range(20):
            server.post(f"{session}-{number % 3}", flat(number))
        live = events_of(take(ws, 20))
    assert [event["event_id"] for event in live] == numbered(20)
    assert [event["session_id"] for event in live] == [f"{session}-{number % 3}" for number in range(20)]
    with open_ws(server.ws("/ws/events", after=live[4]["cursor"])) as ws:
        assert events_of(take(ws, 15)) == live[5:]


def test_batch_size_1_sends_each_event_by_itself(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(10)))
    with open_ws(server.session(session, after="start", batch_size=1)) as ws:
        server.post(session, *flats(range(10, 20)))
        frames = take(ws, 20)
    assert [frame["count"] for frame in frames] == [1] * 20
    assert ids_of(frames) == numbered(20)


def test_batch_size_1000_may_send_a_thousand_at_once(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session, batch_size=1000)) as ws:
        server.post(session, *flats(range(1000)))
        frames = take(ws, 1000)
    assert ids_of(frames) == numbered(1000)
    assert [frame["count"] for frame in frames] == [1000]


def test_every_batch_size_gets_the_same_events(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(130)))
    for size in (1, 2, 49, 50, 51, 1000):
        with open_ws(server.session(session, after="start", batch_size=size)) as ws:
            frames = take(ws, 130)
        assert ids_of(frames) == numbered(130)
        assert max(frame["count"] for frame in frames) <= size


@pytest.mark.parametrize("interval_ms", [0, 1])
def test_small_poll_intervals_lose_nothing(server: ThreadServer, session: str, interval_ms: int) -> None:
    server.post(session, *flats(range(60)))
    with open_ws(server.session(session, after="start", poll_interval=interval_ms, batch_size=7)) as ws:
        for number in range(60, 120):
            server.post(session, flat(number))
        assert ids_of(take(ws, 120)) == numbered(120)


def test_a_poll_interval_of_a_minute_sends_one_message_and_keeps_the_rest(
    server: ThreadServer, session: str
) -> None:
    with (
        open_ws(server.session(session, poll_interval=60_000, batch_size=3)) as slow,
        open_ws(server.session(session)) as quick,
    ):
        server.post(session, flat(0))
        assert ids_of([receive(slow)]) == ["e0"]
        server.post(session, *flats(range(1, 10)))
        assert ids_of(take(quick, 10)) == numbered(10)
        assert ping_pong(slow) == []


def test_it_is_one_message_even_if_much_came_at_once(server: ThreadServer, session: str) -> None:
    with (
        open_ws(server.session(session, poll_interval=60_000, batch_size=1000)) as slow,
        open_ws(server.session(session)) as quick,
    ):
        server.post(session, *flats(range(9), noise="x" * 100_000))
        take(quick, 9)
        assert len(ping_pong(slow)) == 1


def test_a_poll_interval_keeps_messages_apart(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(6)))
    with open_ws(server.session(session, after="start", poll_interval=120, batch_size=4)) as ws:
        server.post(session, *flats(range(6, 30)))
        frames = take(ws, 30)
    assert ids_of(frames) == numbered(30)
    assert max(frame["count"] for frame in frames) <= 4
    times = [datetime.fromisoformat(frame["timestamp"]) for frame in frames]
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    assert min(gaps) > 0.1  # by the server's clock, of the moment when each was made


def test_clients_of_one_pace_but_other_batch_sizes_are_told_apart(server: ThreadServer, session: str) -> None:
    wish = {"format": "event", "poll_interval": 60_000}
    with (
        open_ws(server.session(session, batch_size=50, **wish)) as many,
        open_ws(server.session(session, batch_size=2, **wish)) as few,
    ):
        for ws in (many, few):
            assert ping_pong(ws) == []
        server.post(session, *flats(range(10)))
        assert ids_of(take(many, 10)) == numbered(10)
        assert ids_of(ping_pong(few)) == numbered(2)


def test_clients_that_join_while_much_is_published_miss_nothing(
    make_server: MakeServer, session: str
) -> None:
    server = make_server()
    total = 1_500

    def publish() -> None:
        for start in range(0, total, 5):
            server.post(session, *flats(range(start, start + 5)))

    with in_background(publish), open_ws(server.session(session, after="start")) as first:
        frames = [receive(first)]
        for size in (1, 10, 200):
            with open_ws(server.session(session, after="start", batch_size=size)) as late:
                assert ids_of(take_at_least(late, 400))[:400] == numbered(400)
        frames += take(first, total - len(events_of(frames)))
    assert ids_of(frames) == numbered(total)


def test_a_client_that_reconnects_again_and_again_gets_each_event_once(
    make_server: MakeServer, session: str
) -> None:
    server, total, chance = make_server(), 600, random.Random(7)

    def publish() -> None:
        for number in range(0, total, 3):
            server.post(session, *flats(range(number, number + 3)))

    got: list[str] = []
    cursor = "start"
    with in_background(publish):
        while len(got) < total:
            size = chance.choice((1, 7, 50))
            with RawClient(server.session(session, after=cursor, batch_size=size)) as ws:
                for frame in ws.take(min(chance.randrange(1, 90), total - len(got))):
                    got += ids_of([frame])
                    cursor = frame["events"][-1]["cursor"]
    assert got == numbered(total)
