"""A client that takes less than it is sent: it costs a bounded little, delays nobody, and loses nothing."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import pytest
from tests.support.clients import RawClient, events_of, ids_of, open_ws, ping_pong, take
from tests.support.fixtures import LEGACY, MakeServer
from tests.support.server import ThreadServer, flats, wait_until

TOTAL = 160
EVENT_BYTES = 16_000
POSTED = 20
SMALL = 4_096
"""Of the kernel's buffers on both sides: so much less than all of it that a client must become blocked."""


@pytest.fixture(scope="module", params=["fast", "portable", LEGACY])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub look for stalled clients more often than it needs to."""
    monkeypatch.setattr("runcast.live.hub.PRESSURE_CHECK_S", 0.1)


@pytest.fixture
def stalled(
    request: pytest.FixtureRequest, make_server: MakeServer, session: str
) -> Iterator[tuple[ThreadServer, RawClient]]:
    """A server with one client that has stopped reading and is blocked, and a quick one beside it."""
    server = make_server(send_buffer=SMALL)
    deflate = getattr(request, "param", False)
    with RawClient(server.session(session), receive_buffer=SMALL, deflate=deflate) as slow:
        with open_ws(server.session(session), max_size=None) as quick:
            publish_much(server, session)
            assert ids_of(take(quick, TOTAL)) == all_ids()
        wait_until(lambda: server.bus.live_statistics().blocked == 1, "the slow client is blocked")
        yield server, slow


def publish_much(server: ThreadServer, session: str, total: int = TOTAL) -> None:
    """More than deflating can make small."""
    for start in range(0, total, POSTED):
        server.post(session, *noisy(start))


def noisy(start: int) -> list[dict[str, Any]]:
    """As many large events as are posted at once."""
    noise = random.Random(start).randbytes(EVENT_BYTES // 2 * POSTED).hex()
    events = flats(range(start, start + POSTED))
    return [{**event, "noise": noise[at * EVENT_BYTES :][:EVENT_BYTES]} for at, event in enumerate(events)]


def all_ids(total: int = TOTAL) -> list[str]:
    return [f"e{number}" for number in range(total)]


def buffered(server: ThreadServer) -> list[int]:
    return server.call(lambda: [one.sink.buffered_bytes() for one in server.bus.hub.connections])


@pytest.mark.parametrize("stalled", [False, True], indirect=True, ids=["plain", "deflated"])
def test_it_gets_everything_in_order_when_it_reads_on(stalled: tuple[ThreadServer, RawClient]) -> None:
    server, slow = stalled
    assert ids_of(slow.take(TOTAL)) == all_ids()
    wait_until(lambda: server.bus.live_statistics().blocked == 0, "nobody is blocked")


def test_it_is_live_again_after_it_has_read_on(stalled: tuple[ThreadServer, RawClient], session: str) -> None:
    server, slow = stalled
    assert len(events_of(slow.take(TOTAL))) == TOTAL
    server.post(session, *flats(range(TOTAL, TOTAL + 3)))
    assert ids_of(slow.take(3)) == [f"e{number}" for number in range(TOTAL, TOTAL + 3)]


def test_what_waits_for_it_is_bounded(stalled: tuple[ThreadServer, RawClient]) -> None:
    server, _ = stalled
    largest_write = POSTED * (EVENT_BYTES + 500)  # one flush: what was posted at once
    assert sum(buffered(server)) <= server.bus.settings.client_buffer_bytes + largest_write


def test_others_are_not_delayed_by_it(stalled: tuple[ThreadServer, RawClient], session: str) -> None:
    server, _ = stalled
    with open_ws(server.session(session)) as quick:
        for number in range(TOTAL, TOTAL + 20):
            server.post(session, *flats([number]))
            assert ids_of(take(quick, 1)) == [f"e{number}"]
        assert ping_pong(quick) == []


def test_one_that_watches_all_sessions_gets_everything_too(make_server: MakeServer, session: str) -> None:
    server = make_server(send_buffer=SMALL)
    with RawClient(server.ws("/ws/events"), receive_buffer=SMALL) as slow:
        for start in range(0, TOTAL, POSTED):
            server.post(f"{session}-{start % 3}", *noisy(start))
        wait_until(lambda: server.bus.live_statistics().blocked == 1, "the slow client is blocked")
        assert ids_of(slow.take(TOTAL)) == all_ids()
        server.post(session, *flats([TOTAL]))
        assert ids_of(slow.take(1)) == [f"e{TOTAL}"]


def test_what_waits_for_all_clients_together_is_bounded(make_server: MakeServer, session: str) -> None:
    server = make_server(send_buffer=SMALL, total_buffer_bytes=1024 * 1024)
    with ExitStack() as stack:
        for _ in range(8):
            stack.enter_context(RawClient(server.session(session), receive_buffer=SMALL))
        publish_much(server, session)
        wait_until(lambda: server.bus.live_statistics().blocked == 8, "all are blocked")
        one_write = POSTED * (EVENT_BYTES + 500)
        assert sum(buffered(server)) <= 1024 * 1024 + 8 * one_write
        assert server.call(server.bus.hub.buffer_limit_bytes) == 1024 * 1024 // 9


def test_a_client_that_takes_nothing_is_closed(make_server: MakeServer, session: str) -> None:
    server = make_server(send_buffer=SMALL, stalled_after_s=0.2)
    with RawClient(server.session(session), receive_buffer=SMALL) as slow:
        publish_much(server, session)
        wait_until(lambda: not server.bus.live_statistics().connections, "it is let go")
        got = events_of(list(slow.messages()))
    assert "runcast_connections_stalled_total 1.0" in server.http.get("/metrics").text
    assert [event["event_id"] for event in got] == all_ids()[: len(got)]
    if server.protocol == "fast":
        assert slow.close_code == 1013
    # and it loses nothing: it comes again with its cursor, to a server with more patience
    with open_ws(make_server().session(session, after=got[-1]["cursor"])) as again:
        assert ids_of(take(again, TOTAL - len(got))) == all_ids()[len(got) :]


def test_a_client_that_takes_a_little_now_and_then_is_kept(make_server: MakeServer, session: str) -> None:
    server = make_server(send_buffer=SMALL, stalled_after_s=1.5)
    with RawClient(server.session(session), receive_buffer=SMALL) as slow:
        publish_much(server, session)
        wait_until(lambda: server.bus.live_statistics().blocked == 1)
        messages = slow.messages()
        got = []
        for _ in range(3):
            (before,) = buffered(server)
            while buffered(server) == [before]:  # it reads until the server notices
                got.append(next(messages))
            assert server.bus.live_statistics().connections == 1
        got += slow.take(TOTAL - len(events_of(got)))
    assert ids_of(got) == all_ids()


def test_batches_stay_in_order_across_the_way_from_live_to_the_log_and_back(
    make_server: MakeServer, session: str
) -> None:
    server = make_server(send_buffer=SMALL)
    with RawClient(server.session(session), receive_buffer=SMALL) as slow:
        seqs: list[int] = []
        for start in range(0, TOTAL, 2 * POSTED):
            server.post(session, *noisy(start), *noisy(start + POSTED))
            seqs += [event["seq"] for event in events_of(slow.take(POSTED))]
        seqs += [event["seq"] for event in events_of(slow.take(TOTAL - len(seqs)))]
    assert len(seqs) == TOTAL
    assert all(after == before + 1 for before, after in pairwise(seqs))
