"""How large messages are: never over 512 KiB, however much there is to tell, deflated or not."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.clients import RawClient, events_of, ids_of, open_ws, take
from tests.support.server import ThreadServer, flats

KIB = 1024
LIMIT = 512 * KIB


@pytest.fixture(params=[False, True], ids=["plain", "deflated"])
def deflate(request: pytest.FixtureRequest) -> bool:
    return request.param


def big(numbers: range, size: int = 100_000) -> list[dict[str, Any]]:
    return flats(numbers, noise="0123456789" * (size // 10))


def ids(count: int) -> list[str]:
    return [f"e{number}" for number in range(count)]


def take_sizes(client: RawClient, count: int) -> tuple[list[str], list[int]]:
    """The ids of the next events, and how many bytes each message had that brought them."""
    got: list[str] = []
    sizes: list[int] = []
    while len(got) < count:
        ((message, size),) = client.sizes(1)
        got += ids_of([message])
        sizes.append(size)
    return got, sizes


def test_big_events_are_spread_over_messages_that_every_client_takes(
    server: ThreadServer, session: str, deflate: bool
) -> None:
    url = server.session(session, after="start", batch_size=1000)
    with RawClient(url, deflate=deflate) as live:
        server.post(session, *big(range(40)))
        with RawClient(url, deflate=deflate) as replay:
            for client in (live, replay):
                got, sizes = take_sizes(client, 40)
                assert got == ids(40)
                assert max(sizes) <= LIMIT
                assert len(sizes) >= 40 * 100_000 / LIMIT


def test_so_they_are_on_the_socket_of_all_sessions(server: ThreadServer, session: str, deflate: bool) -> None:
    with RawClient(server.ws("/ws/events", batch_size=1000), deflate=deflate) as client:
        server.post(session, *big(range(40)))
        got, sizes = take_sizes(client, 40)
    assert got == ids(40)
    assert max(sizes) <= LIMIT


def test_the_largest_event_comes_through_to_a_client_with_the_library_s_own_limit(
    server: ThreadServer, session: str
) -> None:
    largest = 256 * KIB - 300
    server.post(session, *big(range(3), largest), *big(range(3, 6), 1_000))
    with open_ws(server.session(session, after="start")) as ws:  # the library's limit is 1 MiB
        frames = take(ws, 6)
    assert ids_of(frames) == ids(6)
    assert [len(event["noise"]) for event in events_of(frames)][:3] == [largest // 10 * 10] * 3


def test_a_thousand_small_events_fit_one_message_and_larger_ones_do_not(
    server: ThreadServer, session: str
) -> None:
    with RawClient(server.session(session, batch_size=1000)) as client:
        server.post(session, *big(range(1_000), 1_000))
        got, sizes = take_sizes(client, 1_000)
    assert got == ids(1_000)
    assert max(sizes) <= LIMIT
    assert len(sizes) > 1


def test_twins_read_the_same_whether_deflated_or_not(server: ThreadServer, session: str) -> None:
    url = server.session(session)
    with RawClient(url) as plain, RawClient(url, deflate=True) as deflated, open_ws(url) as usual:
        server.post(session, *big(range(20), 5_000), *flats(range(20, 60), text="æ€𐍈"))
        server.post(session, *flats(range(60, 61)))  # so small that it is not deflated for anybody
        seen = [plain.take(61), deflated.take(61), take(usual, 61)]
    assert ids_of(seen[0]) == ids(61)
    assert events_of(seen[0]) == events_of(seen[1]) == events_of(seen[2])


def test_single_events_are_the_documented_frames(server: ThreadServer, session: str, deflate: bool) -> None:
    with RawClient(server.session(session, format="event", after="start"), deflate=deflate) as client:
        server.post(session, *big(range(12)))
        messages = [message for message, _ in client.sizes(12)]
    assert [message["type"] for message in messages] == ["event"] * 12
    assert [message["event_id"] for message in messages] == ids(12)
