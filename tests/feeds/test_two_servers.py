"""Two servers on one file, with writers of one session on both and clients on both: one order everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients import ids_of, open_sse, open_ws, receive, take
from tests.support.process import ServeProcess
from tests.support.server import flat, flats, in_background
from tests.support.traffic import Reader, Writer, in_portions, stored

SESSION = "shared"


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[tuple[ServeProcess, ServeProcess]]:
    with ServeProcess(tmp_path / "log.db") as one, ServeProcess(tmp_path / "log.db") as other:
        yield one, other


def named(prefix: str, count: int) -> list[dict[str, Any]]:
    return [{**event, "event_id": f"{prefix}-{event['event_id']}"} for event in flats(range(count))]


def test_all_clients_see_one_order_and_nothing_is_missing_or_doubled(
    servers: tuple[ServeProcess, ServeProcess], tmp_path: Path
) -> None:
    each, sizes = 400, (1, 5, 50, 1)
    writers = [
        Writer(server.url(), SESSION, in_portions(named(f"{index}{part}", each), sizes * each))
        for index, server in enumerate(servers)
        for part in "xy"
    ]
    total = each * len(writers)
    readers = [
        Reader(lambda cursor, server=server: server.session(SESSION, after=cursor), has(total))
        for server in servers
        for _ in range(2)
    ]
    readers += [
        Reader(lambda cursor, server=server: server.ws("/ws/events", after=cursor), has(total))
        for server in servers
    ]
    with ExitStack() as stack:
        for one in (*readers, *writers):
            stack.enter_context(in_background(one.run))
    for server in servers:
        assert server.terminate() == 0
        assert server.complaints == ""
    in_log = stored(tmp_path / "log.db", SESSION)
    assert [seq for seq, _ in in_log] == list(range(1, total + 1))
    for reader in readers:
        assert [(event["seq"], event["event_id"]) for event in reader.events] == in_log
        assert (set(reader.frames), reader.connections) == ({"batch"}, 1)
    for writer in writers:
        own = set(writer.acknowledged)
        assert [event_id for _, event_id in in_log if event_id in own] == writer.acknowledged


def has(total: int):
    return lambda reader: len(reader.events) >= total


def test_what_one_acknowledged_the_other_knows(servers: tuple[ServeProcess, ServeProcess]) -> None:
    one, other = servers
    first = one.post(SESSION, *flats(range(3)))
    again = other.post(SESSION, *flats(range(2, 5)))
    assert (again["duplicates"], again["last_seq"], again["epoch"]) == (1, 5, first["epoch"])
    for server in servers:
        assert server.get(f"/api/sessions/{SESSION}")["totals"]["events"] == 5
        assert server.get("/health") == {"status": "ok"}


def test_a_client_goes_on_at_the_other_server(servers: tuple[ServeProcess, ServeProcess]) -> None:
    one, other = servers
    with open_ws(one.session(SESSION)) as ws:
        other.post(SESSION, *flats(range(10)))
        frames = take(ws, 10)
    cursor = frames[0]["events"][4]["cursor"]
    with open_ws(other.session(SESSION, after=cursor)) as ws:
        one.post(SESSION, flat(10))
        assert ids_of(take(ws, 6)) == [f"e{number}" for number in range(5, 11)]


def test_changes_at_one_reach_clients_of_the_other(servers: tuple[ServeProcess, ServeProcess]) -> None:
    one, other = servers
    with (
        open_ws(one.session(SESSION)) as ws,
        open_sse(one.url(f"/api/v1/streams/session:{SESSION}/sse", after="now")) as (_, messages),
    ):
        other.post(SESSION, flat(0))
        assert ids_of([receive(ws)]) == ["e0"]
        other.http.delete(f"/api/v1/streams/session:{SESSION}")
        other.post(SESSION, flat(1))
        assert receive(ws)["type"] == "reset"
        assert ids_of([receive(ws)]) == ["e1"]
        other.http.post(f"/api/v1/streams/session:{SESSION}/end")
        assert receive(ws)["type"] == "end"
        told = [message for message in messages if "data" in message]
    assert [message.get("event", "event") for message in told] == ["event", "reset", "event", "end"]


def test_one_server_goes_on_when_the_other_is_killed(
    servers: tuple[ServeProcess, ServeProcess], tmp_path: Path
) -> None:
    one, other = servers
    with open_ws(other.session(SESSION)) as ws:
        one.post(SESSION, *flats(range(5)))
        one.kill()
        other.post(SESSION, *flats(range(5, 10)))
        assert ids_of(take(ws, 10)) == [f"e{number}" for number in range(10)]
    assert other.terminate() == 0
    assert [event_id for _, event_id in stored(tmp_path / "log.db", SESSION)] == [f"e{n}" for n in range(10)]
