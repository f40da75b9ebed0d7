"""Streams that are cleared, ended, trimmed and begun anew under their readers, and cursors that do not fit."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from tests.support.clients import events_of, ids_of, open_ws, ping_pong, receive, rest_of, take
from tests.support.server import ThreadServer, flat, flats

from runcast.core.event import Cursor


def clear(server: ThreadServer, session: str) -> dict[str, Any]:
    return server.http.delete(f"/api/v1/streams/session:{session}").json()


def end(server: ThreadServer, session: str) -> dict[str, Any]:
    return server.http.post(f"/api/v1/streams/session:{session}/end").json()


def trim(server: ThreadServer, session: str, keep: int) -> None:
    server.run(server.bus.trim(f"session:{session}", keep=keep))


def cursor_of(receipt: dict[str, Any], seq: int) -> str:
    """A cursor as it was given for an event of which only the number counts (its id is `e` and one less)."""
    full = server_cursor(receipt)
    return str(Cursor(full.epoch, seq, full.tag if seq == full.offset else 0))


def server_cursor(receipt: dict[str, Any]) -> Cursor:
    epoch, offset, tag = receipt["cursor"].split("-")
    return Cursor(epoch, int(offset), int(tag, 16))


def test_clearing_is_a_reset_and_then_the_new_events(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        server.post(session, *flats(range(3)))
        take(ws, 3)
        info = clear(server, session)
        reset = receive(ws)
        server.post(session, *flats(range(3, 5)))
        assert ids_of(take(ws, 2)) == ["e3", "e4"]
    assert (reset["type"], reset["count"], reset["events"]) == ("reset", 0, [])
    assert reset["cursor"] == str(Cursor(info["epoch"], 0))
    assert reset["reason"]


def test_what_was_cleared_does_not_come_back_to_anybody(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(300)))
    with open_ws(server.session(session, after="start")) as ws:
        take(ws, 300)
    clear(server, session)
    with open_ws(server.session(session, after="start")) as ws:
        assert ping_pong(ws) == []
        server.post(session, flat(300))
        assert [(event["event_id"], event["seq"]) for event in events_of(take(ws, 1))] == [("e300", 1)]


def test_the_end_is_told_and_the_socket_closed_with_1000(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        server.post(session, *flats(range(3)))
        take(ws, 3)
        info = end(server, session)
        frames, code, reason = rest_of(ws)
    (last,) = frames
    assert (last["type"], last["count"], last["events"]) == ("end", 0, [])
    assert last["cursor"] == info["cursor"]
    assert (code, reason) == (1000, "the session has ended")


def test_a_late_client_gets_the_whole_story_and_its_end(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(300)))
    end(server, session)
    with open_ws(server.session(session, after="start")) as ws:
        frames, code, _ = rest_of(ws)
    assert ids_of(frames) == [f"e{number}" for number in range(300)]
    assert (frames[-1]["type"], code) == ("end", 1000)


def test_a_session_that_goes_on_after_its_end_begins_a_new_run(server: ThreadServer, session: str) -> None:
    old = server.post(session, *flats(range(3)))
    end(server, session)
    new = server.post(session, flat(3))
    assert (new["first_seq"], new["epoch"] != old["epoch"]) == (1, True)
    with open_ws(server.session(session, after="start")) as ws:
        assert ids_of(take(ws, 1)) == ["e3"]
    with open_ws(server.session(session, after=cursor_of(old, 3))) as ws:  # who read the old run sees its end
        frames, code, _ = rest_of(ws)
    assert ([frame["type"] for frame in frames], code) == (["end"], 1000)


def test_the_end_of_one_session_is_nothing_to_who_watches_all(server: ThreadServer, session: str) -> None:
    with open_ws(server.ws("/ws/events")) as ws:
        server.post(session, flat(0))
        take(ws, 1)
        end(server, session)
        clear(server, session)
        server.post(session, flat(1))
        assert ids_of(take(ws, 1)) == ["e1"]


def test_a_live_reader_hears_nothing_of_a_trim_behind_it(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        server.post(session, *flats(range(10)))
        take(ws, 10)
        trim(server, session, keep=2)
        server.post(session, flat(10))
        frames = [receive(ws)]
    assert ids_of(frames) == ["e10"]


def test_a_reader_before_a_trim_is_told_what_it_missed(server: ThreadServer, session: str) -> None:
    receipt = server.post(session, *flats(range(10)))
    trim(server, session, keep=4)
    with open_ws(server.session(session, after=cursor_of(receipt, 2))) as ws:
        gap, batch = receive(ws), receive(ws)
    assert (gap["type"], gap["count"], gap["events"]) == ("gap", 0, [])
    assert (gap["first_seq"], gap["last_seq"]) == (3, 6)
    assert gap["cursor"].split("-")[:2] == [receipt["epoch"], "6"]
    assert [event["seq"] for event in batch["events"]] == [7, 8, 9, 10]


def test_a_replay_of_a_trimmed_session_says_what_is_gone(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(10)))
    trim(server, session, keep=4)
    with open_ws(server.session(session, after="start")) as ws:
        gap, batch = receive(ws), receive(ws)
    assert (gap["first_seq"], gap["last_seq"]) == (1, 6)
    assert len(batch["events"]) == 4


@pytest.mark.parametrize("wrong", ["future", "cleared", "another id"])
def test_a_cursor_that_fits_nothing_begins_anew_with_a_word(
    server: ThreadServer, session: str, wrong: str
) -> None:
    receipt = server.post(session, *flats(range(5)))
    cursor = server_cursor(receipt)
    match wrong:
        case "future":
            after = Cursor(cursor.epoch, 99, cursor.tag)
        case "cleared":
            after = cursor
            clear(server, session)
            server.post(session, *flats(range(5)))
        case _:
            after = Cursor(cursor.epoch, 5, cursor.tag ^ 1)
    with open_ws(server.session(session, after=str(after))) as ws:
        reset, batch = receive(ws), receive(ws)
        server.post(session, flat(5))
        assert ids_of([batch, *take(ws, 1)]) == [f"e{number}" for number in range(6)]
    assert (reset["type"], reset["count"], reset["events"]) == ("reset", 0, [])
    assert reset["reason"].startswith("after:")


def test_a_cursor_of_another_session_is_an_error(server: ThreadServer, session: str) -> None:
    receipt = server.post(f"{session}-other", flat(0))
    server.post(session, flat(0))
    for url in (
        server.session(session, after=receipt["cursor"]),
        server.ws("/ws/events", after=receipt["cursor"]),
    ):
        with open_ws(url) as ws:
            (error,), code, reason = rest_of(ws)
        assert (error["type"], error["code"], error["field"]) == ("error", "invalid_cursor", "after")
        assert (code, reason) == (1008, "invalid_cursor")


def test_a_cursor_of_the_firehose_is_none_of_a_session(server: ThreadServer, session: str) -> None:
    with open_ws(server.ws("/ws/events")) as ws:
        server.post(session, flat(0))
        (event,) = events_of(take(ws, 1))
    with open_ws(server.session(session, after=event["cursor"])) as ws:
        (error,), code, _ = rest_of(ws)
    assert (error["code"], code) == ("invalid_cursor", 1008)


def test_a_firehose_cursor_from_the_future_begins_anew(server: ThreadServer, session: str) -> None:
    with open_ws(server.ws("/ws/events")) as ws:
        server.post(session, flat(0))
        (event,) = events_of(take(ws, 1))
    epoch, offset, tag = event["cursor"].split("-")
    with open_ws(server.ws("/ws/events", after=f"{epoch}-{int(offset) + 1_000_000}-{tag}")) as ws:
        assert receive(ws)["type"] == "reset"


def test_a_change_reaches_readers_of_every_wish_between_the_same_events(
    server: ThreadServer, session: str
) -> None:
    wishes: list[dict[str, Any]] = [
        {},
        {"batch_size": 1},
        {"batch_size": 1, "poll_interval": 1},
        {"filter": {"event_types": ["tool_call"]}},
        {"format": "event"},
    ]
    with ExitStack() as stack:
        clients = [stack.enter_context(open_ws(server.session(session, **wish))) for wish in wishes]
        server.post(session, *flats(range(20)))
        clear(server, session)
        server.post(session, *flats(range(20, 40)))
        end(server, session)
        for ws in clients:
            frames, code, _ = rest_of(ws)
            types = [frame["type"] for frame in frames]
            reset = types.index("reset")
            assert ids_of(frames[:reset]) == [f"e{number}" for number in range(20)]
            assert ids_of(frames[reset + 1 : -1]) == [f"e{number}" for number in range(20, 40)]
            assert (types[-1], code) == ("end", 1000)
