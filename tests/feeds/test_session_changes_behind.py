"""Streams that are cleared, trimmed or ended while a reader is far behind: it is told at the right place."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from tests.support.clients import Frames, RawClient, events_of, ids_of
from tests.support.fixtures import MakeServer
from tests.support.server import ThreadServer, flats, wait_until

SMALL = 4_096
POSTED = 120
NOISE = random.Random(5).randbytes(8_000).hex()


@pytest.fixture
def behind(make_server: MakeServer, session: str) -> Iterator[tuple[ThreadServer, RawClient]]:
    """A client that has stopped reading, with most of what was posted still to come."""
    server = make_server(send_buffer=SMALL)
    with RawClient(server.session(session), receive_buffer=SMALL) as client:
        for start in range(0, POSTED, 20):
            server.post(session, *flats(range(start, start + 20), noise=NOISE))
        wait_until(lambda: server.bus.live_statistics().blocked == 1, "it is blocked")
        yield server, client


def read_to(client: RawClient, last_type: str) -> Frames:
    frames: Frames = []
    for frame in client.messages():
        frames.append(frame)
        if frame["type"] == last_type:
            break
    return frames


def ids(first: int, last: int) -> list[str]:
    return [f"e{number}" for number in range(first, last)]


def test_a_clear_is_told_after_what_was_sent_and_before_what_is_new(
    behind: tuple[ThreadServer, RawClient], session: str
) -> None:
    server, client = behind
    assert server.http.delete(f"/api/v1/streams/session:{session}").status_code == 200
    server.post(session, *flats(range(POSTED, POSTED + 3)))
    before = read_to(client, "reset")
    got = ids_of(before)
    assert got == ids(0, len(got))
    assert len(got) < POSTED
    assert [frame["type"] for frame in before[:-1]] == ["batch"] * (len(before) - 1)
    after = events_of(client.take(3))
    assert [(event["event_id"], event["seq"]) for event in after] == [
        ("e120", 1),
        ("e121", 2),
        ("e122", 3),
    ]


def test_a_trim_is_told_as_exactly_what_is_missing(
    behind: tuple[ThreadServer, RawClient], session: str
) -> None:
    server, client = behind
    server.run(server.bus.trim(f"session:{session}", keep=5))
    before = read_to(client, "gap")
    got, gap = ids_of(before), before[-1]
    assert got == ids(0, len(got))
    assert (gap["first_seq"], gap["last_seq"]) == (len(got) + 1, POSTED - 5)
    assert ids_of(client.take(5)) == ids(POSTED - 5, POSTED)


def test_the_end_comes_after_everything(behind: tuple[ThreadServer, RawClient], session: str) -> None:
    server, client = behind
    assert server.http.post(f"/api/v1/streams/session:{session}/end").status_code == 200
    frames = list(client.messages())
    assert ids_of(frames) == ids(0, POSTED)
    assert (frames[-1]["type"], client.close_code) == ("end", 1000)


def test_a_new_run_is_not_mixed_into_the_old_one(
    behind: tuple[ThreadServer, RawClient], session: str
) -> None:
    server, client = behind
    server.http.post(f"/api/v1/streams/session:{session}/end")
    server.post(session, *flats(range(POSTED, POSTED + 3)))
    frames = list(client.messages())
    assert ids_of(frames) == ids(0, POSTED)
    assert (frames[-1]["type"], client.close_code) == ("end", 1000)
