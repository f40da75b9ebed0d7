"""A server that is killed over and over while events are posted and read: none is lost, doubled or out of order."""

from __future__ import annotations

import random
from datetime import datetime
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from tests.support.process import ServeProcess
from tests.support.server import flats, in_background, wait_until
from tests.support.traffic import Reader, Writer, in_portions, stored
from tests.support.transcript import session_events, transcript_path

SESSION = "session-123"
KILLS = [
    pytest.param(5, 1, id="5"),
    pytest.param(20, 2, id="20", marks=[pytest.mark.soak, pytest.mark.timeout(300)]),
]


def kill_now_and_then(
    server: ServeProcess, writer: Writer, kills: int, total: int, chance: random.Random
) -> None:
    """SIGKILL at moments that chance decides: so many acknowledged events after the last start."""
    share = total // (kills + 1)
    for _ in range(kills):
        goal = len(writer.acknowledged) + chance.randrange(share // 4, share)
        wait_until(lambda goal=goal: len(writer.acknowledged) >= goal, "the writer gets on")
        server.kill()
        server.start()


@pytest.mark.parametrize(("kills", "seed"), KILLS)
def test_every_acknowledged_event_is_in_the_log_once_and_reaches_the_client_once(
    tmp_path: Path, kills: int, seed: int
) -> None:
    log, chance, total = tmp_path / "log.db", random.Random(seed), 700 * kills
    sizes = (chance.choice((1, 1, 1, 5, 5, 50)) for _ in repeat(None))
    portions = in_portions(flats(range(total)), sizes)
    with ServeProcess(log) as server:
        writer = Writer(server.url(), SESSION, portions)
        reader = Reader(
            lambda cursor: server.session(SESSION, after=cursor), lambda reader: len(reader.events) >= total
        )
        with in_background(writer.run), in_background(reader.run):
            kill_now_and_then(server, writer, kills, total, chance)
            wait_until(lambda: len(reader.events) >= total, "the client has all of it", timeout_s=120)
        assert server.terminate() == 0
    in_log = stored(log, SESSION)
    ids = [event_id for _, event_id in in_log]
    assert [seq for seq, _ in in_log] == list(range(1, total + 1))
    assert ids == writer.acknowledged == [event["event_id"] for portion in portions for event in portion]
    assert reader.ids == ids
    assert [event["seq"] for event in reader.events] == list(range(1, total + 1))
    assert set(reader.frames) == {"batch"}  # no gap and no reset
    assert reader.connections == kills + 1
    assert writer.tries > len(portions)  # some had to be posted again


def test_several_writers_and_watchers_of_all_sessions_survive_it_too(tmp_path: Path) -> None:
    log, chance, each = tmp_path / "log.db", random.Random(3), 500
    names = ["a", "b", "c"]
    with ServeProcess(log) as server:
        writers = {
            name: Writer(
                server.url(),
                name,
                in_portions(
                    [{**one, "event_id": f"{name}-{one['event_id']}"} for one in flats(range(each))],
                    repeat(5),
                ),
            )
            for name in names
        }
        total = each * len(names)
        everything = Reader(
            lambda cursor: server.ws("/ws/events", after=cursor), lambda reader: len(reader.events) >= total
        )
        with (
            in_background(writers["a"].run),
            in_background(writers["b"].run),
            in_background(writers["c"].run),
            in_background(everything.run),
        ):
            kill_now_and_then(server, writers["b"], 3, each, chance)
            wait_until(lambda: len(everything.events) >= total, "the client has all of it", timeout_s=60)
        assert server.terminate() == 0
    assert len(set(everything.ids)) == total
    for name in names:
        in_log = stored(log, name)
        assert [event_id for _, event_id in in_log] == writers[name].acknowledged
        seen = [event for event in everything.events if event["session_id"] == name]
        assert [(event["seq"], event["event_id"]) for event in seen] == in_log


def test_a_transcript_arrives_exactly_once_while_the_server_is_killed_and_restarted(tmp_path: Path) -> None:
    events = session_events(transcript_path())
    session, total = events[0]["session_id"], len(events)
    log, chance = tmp_path / "log.db", random.Random(4)
    portions = in_portions(events, chain([1] * 20, (chance.choice((1, 2, 5)) for _ in repeat(None))))
    with ServeProcess(log) as server:
        writer = Writer(server.url(), session, portions)
        reader = Reader(
            lambda cursor: server.session(session, after=cursor), lambda reader: len(reader.events) >= total
        )
        with in_background(writer.run), in_background(reader.run):
            kill_now_and_then(server, writer, 3, total, chance)
            wait_until(lambda: len(reader.events) >= total, "the client has all of it", timeout_s=60)
        assert server.get(f"/api/sessions/{session}")["totals"]["events"] == total
        assert server.terminate() == 0
    assert [event_id for _, event_id in stored(log, session)] == [event["event_id"] for event in events]
    for posted, received in zip(events, reader.events, strict=True):
        assert with_time(posted) == {name: with_time(received)[name] for name in posted}


def with_time(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "timestamp": datetime.fromisoformat(event["timestamp"])}
