"""`WS /api/v1/streaming/ws/{client_id}` on a real server, over both transports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.feeds.plans import (
    FIELDS,
    act,
    ids,
    meanwhile,
    progress,
    progresses,
    publish,
    take,
    watch,
)
from tests.support.clients import RawClient, open_ws, receive, rest_of
from tests.support.server import ThreadServer, in_background, wait_until

_plans = count(1)


@pytest.fixture(scope="module")
def server(protocol: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadServer]:
    folder = tmp_path_factory.mktemp("log")
    with ThreadServer(folder / "log.db", protocol=protocol, max_subscriptions=5) as server:
        yield server


@pytest.fixture
def plan() -> str:
    """The id of a plan that no other test uses."""
    return f"plan_{next(_plans)}"


def started(**data: Any) -> dict[str, Any]:
    return {"type": "plan_started", "data": {"step_id": None, "data": data}}


def error_of(frame: dict[str, Any]) -> tuple[str, str | None]:
    assert frame.keys() == FIELDS
    assert frame["event_type"] == "error"
    assert frame["data"]["message"]
    return frame["data"]["code"], frame["data"].get("field")


# --- watching ----------------------------------------------------------------------------------


def test_the_first_frame_is_a_ping_of_the_system_and_the_only_one(server: ThreadServer) -> None:
    with open_ws(server.ws("/api/v1/streaming/ws/fresh")) as ws:
        welcome = receive(ws)
        assert welcome.keys() == FIELDS
        assert (welcome["event_type"], welcome["plan_id"], welcome["step_id"]) == ("ping", "system", None)
        assert meanwhile(ws) == []


@pytest.mark.parametrize("way", ["query", "action"])
def test_subscribing_replays_the_run_and_goes_on_live(server: ThreadServer, plan: str, way: str) -> None:
    publish(server, plan, *progresses(300))
    with watch(server, **({"plan_id": plan} if way == "query" else {})) as ws:
        if way == "action":
            act(ws, "subscribe", plan)
        frames = take(ws, 300)
        publish(server, plan, *progresses(5, 300))
        frames += take(ws, 5)
    assert [frame["seq"] for frame in frames] == list(range(1, 306))
    assert frames[7] == {
        "event_type": "step_progress",
        "plan_id": plan,
        "step_id": "s1",
        "data": {"progress": 0.5, "message": "7"},
        "timestamp": frames[7]["timestamp"],
        "event_id": "e7",
        "seq": 8,
        "cursor": frames[7]["cursor"],
    }


def test_nothing_is_missed_or_overtaken_while_others_publish(server: ThreadServer, plan: str) -> None:
    def storm() -> None:
        for number in range(150):
            publish(server, plan, *progresses(4, 4 * number))

    with in_background(storm):
        for number in range(12):
            with watch(server, f"s{number}", plan_id=plan) as ws:
                assert [frame["seq"] for frame in take(ws, 120)] == list(range(1, 121))
    with watch(server, plan_id=plan) as ws:
        assert [frame["seq"] for frame in take(ws, 600)] == list(range(1, 601))


def test_going_on_after_a_cursor_or_from_now(server: ThreadServer, plan: str) -> None:
    publish(server, plan, *progresses(4))
    with watch(server, plan_id=plan) as ws:
        cursor = take(ws, 4)[1]["cursor"]
    with watch(server, plan_id=plan, after=cursor) as ws:
        assert ids(take(ws, 2)) == ["e2", "e3"]
    with watch(server) as ws:
        act(ws, "subscribe", plan, after=cursor)
        assert ids(take(ws, 2)) == ["e2", "e3"]
    with watch(server, plan_id=plan, after="now") as ws:
        publish(server, plan, progress(4))
        assert ids(take(ws, 1)) == ["e4"]


def test_one_connection_watches_several_plans_and_each_for_itself(server: ThreadServer) -> None:
    names = [f"plan_{next(_plans)}" for _ in range(3)]
    with watch(server, plan_id=names[0]) as ws:
        act(ws, "subscribe", names[1])
        meanwhile(ws)
        for number, name in enumerate(names):
            publish(server, name, progress(number))
        assert [(frame["plan_id"], frame["event_id"]) for frame in take(ws, 2)] == [
            (names[0], "e0"),
            (names[1], "e1"),
        ]
        act(ws, "unsubscribe", names[0])
        act(ws, "unsubscribe", names[2])
        meanwhile(ws)
        publish(server, names[0], progress(3))
        publish(server, names[1], progress(4))
        assert ids(take(ws, 1)) == ["e4"]


def test_subscribing_again_does_nothing(server: ThreadServer, plan: str) -> None:
    publish(server, plan, *progresses(3))
    with watch(server, plan_id=plan) as ws:
        assert ids(take(ws, 3)) == ["e0", "e1", "e2"]
        act(ws, "subscribe", plan)
        act(ws, "subscribe", plan, after="start")
        assert meanwhile(ws) == []
        act(ws, "unsubscribe", plan)
        act(ws, "subscribe", plan)
        assert ids(take(ws, 3)) == ["e0", "e1", "e2"]


def test_the_socket_outlives_a_plan_and_watches_its_next_run(server: ThreadServer, plan: str) -> None:
    with watch(server, plan_id=plan) as ws:
        for number in range(3):
            publish(server, plan, started(query=f"{number}"), {"type": "plan_completed"})
        frames = take(ws, 8)
        assert meanwhile(ws) == []
        with watch(server, "late", plan_id=plan) as late:
            assert [frame["data"] for frame in take(late, 2)] == [{"query": "2"}, {}]
    run = ["plan_started", "plan_completed"]
    assert [frame["event_type"] for frame in frames] == [*run, "end", *run, "end", *run]
    assert frames[2].keys() == FIELDS
    assert frames[2]["plan_id"] == plan


def test_a_plan_that_does_not_exist_yet_can_be_waited_for(server: ThreadServer, plan: str) -> None:
    with watch(server, plan_id=plan) as ws:
        assert meanwhile(ws) == []
        publish(server, plan, started(), progress(1))
        assert [frame["event_type"] for frame in take(ws, 2)] == ["plan_started", "step_progress"]


def test_what_is_lost_is_said(server: ThreadServer, plan: str) -> None:
    publish(server, plan, *progresses(10))
    with watch(server, plan_id=plan) as ws:
        cursor = take(ws, 10)[2]["cursor"]
        server.run(server.bus.trim(f"plan:{plan}", keep=4))
        with watch(server, "behind", plan_id=plan, after=cursor) as behind:
            gap, *rest = take(behind, 5)
            assert gap.keys() == FIELDS
            assert (gap["event_type"], gap["plan_id"]) == ("gap", plan)
            assert (gap["data"]["first_seq"], gap["data"]["last_seq"]) == (4, 6)
            assert ids(rest) == ["e6", "e7", "e8", "e9"]
        assert server.http.delete(f"/api/v1/streams/plan:{plan}").status_code == 200
        (reset,) = take(ws, 1)
        assert reset.keys() == FIELDS
        assert (reset["event_type"], reset["plan_id"]) == ("reset", plan)
        publish(server, plan, progress(11))
        assert ids(take(ws, 1)) == ["e11"]


def test_names_in_capitals_are_told_in_lower_case(server: ThreadServer, plan: str) -> None:
    publish(server, plan, {"type": "PLAN_STARTED"}, {"type": "STEP_STARTED", "data": {"step_id": "s"}})
    with watch(server, plan_id=plan) as ws:
        assert [frame["event_type"] for frame in take(ws, 2)] == ["plan_started", "step_started"]


# --- what a client says ------------------------------------------------------------------------


def test_a_ping_is_answered(server: ThreadServer) -> None:
    with watch(server) as ws:
        act(ws, "ping")
        pong = receive(ws)
        assert pong.keys() == FIELDS
        assert (pong["event_type"], pong["plan_id"], pong["data"]) == ("pong", "system", {})
        act(ws, "ping", id=7, timestamp="2026-01-31T12:00:00Z")
        assert receive(ws)["data"] == {"id": 7, "timestamp": "2026-01-31T12:00:00Z"}


def test_who_gives_an_id_gets_an_answer(server: ThreadServer, plan: str) -> None:
    publish(server, plan, progress(1))
    with watch(server) as ws:
        act(ws, "subscribe", plan, id="a")
        ack, event = take(ws, 2)
        assert ack.keys() == FIELDS
        assert (ack["event_type"], ack["plan_id"]) == ("ack", plan)
        assert ack["data"] == {"action": "subscribe", "id": "a"}
        assert event["event_id"] == "e1"
        act(ws, "unsubscribe", plan, id="b")
        assert receive(ws)["data"] == {"action": "unsubscribe", "id": "b"}
        act(ws, "subscribe", "a/b", id="c")
        refused = receive(ws)
        assert (refused["data"]["id"], refused["data"]["action"]) == ("c", "subscribe")


@pytest.mark.parametrize(
    ("said", "code", "field"),
    [
        ("{", "invalid_input", "message"),
        ("[]", "invalid_input", "message"),
        ("7", "invalid_input", "message"),
        ("{}", "invalid_input", "action"),
        ('{"action": 7}', "invalid_input", "action"),
        ('{"action": "explode"}', "invalid_input", "action"),
        ('{"action": "subscribe"}', "invalid_input", "plan_id"),
        ('{"action": "subscribe", "plan_id": 7}', "invalid_input", "plan_id"),
        ('{"action": "subscribe", "plan_id": ""}', "invalid_stream_name", "plan_id"),
        ('{"action": "subscribe", "plan_id": ".."}', "invalid_stream_name", "plan_id"),
        ('{"action": "subscribe", "plan_id": "a/b"}', "invalid_stream_name", "plan_id"),
        ('{"action": "subscribe", "plan_id": "a\\u0000"}', "invalid_stream_name", "plan_id"),
        ('{"action": "subscribe", "plan_id": "p", "after": "yesterday"}', "invalid_cursor", "after"),
        ('{"action": "unsubscribe", "plan_id": "a b"}', "invalid_stream_name", "plan_id"),
        ('{"action": "retry_step", "plan_id": "p"}', "invalid_input", "step_id"),
        ('{"action": "ping", "id": [1]}', "invalid_input", "id"),
        pytest.param("[" * 30_000, "invalid_input", "message", id="nested"),
        pytest.param('{"action": "ping", "id": "%s"}' % ("x" * 201), "invalid_input", "id", id="long-id"),
        pytest.param(b"\x00\x01", "invalid_input", "message", id="binary"),
    ],
)
def test_what_is_not_understood_is_told_and_closes_nothing(
    server: ThreadServer, plan: str, said: str | bytes, code: str, field: str
) -> None:
    with watch(server, plan_id=plan) as ws:
        ws.send(said)
        assert error_of(receive(ws)) == (code, field)
        publish(server, plan, progress(1))
        assert ids(take(ws, 1)) == ["e1"]


def test_the_error_of_what_is_not_understood_repeats_its_id(server: ThreadServer) -> None:
    with watch(server) as ws:
        for said in ({"action": "explode"}, {"plan_id": "p"}, {"action": "subscribe", "plan_id": 7}):
            ws.send(json.dumps({**said, "id": "x1"}))
            assert receive(ws)["data"]["id"] == "x1"


def test_a_cursor_of_another_plan_is_refused(server: ThreadServer, plan: str) -> None:
    other = f"plan_{next(_plans)}"
    publish(server, other, progress(1))
    with watch(server, plan_id=other) as ws:
        cursor = take(ws, 1)[0]["cursor"]
        act(ws, "subscribe", plan, after=cursor)
        assert error_of(receive(ws)) == ("invalid_cursor", "after")


def test_a_message_too_large_closes_only_its_own_connection(server: ThreadServer, plan: str) -> None:
    with watch(server, "other", plan_id=plan) as other:
        with watch(server) as ws:
            ws.send(json.dumps({"action": "ping", "filler": "x" * 1_000_000}))
            frames, code, reason = rest_of(ws)
        assert (error_of(frames[0])[0], code, reason) == ("too_large", 1009, "too_large")
        publish(server, plan, progress(1))
        assert ids(take(other, 1)) == ["e1"]


def test_there_are_so_many_subscriptions_and_no_more(server: ThreadServer) -> None:
    with watch(server) as ws:
        for number in range(5):
            act(ws, "subscribe", f"many-{number}")
        act(ws, "subscribe", "many-5")
        refused = receive(ws)
        assert error_of(refused) == ("too_many", None)
        assert refused["plan_id"] == "many-5"
        act(ws, "unsubscribe", "many-0")
        act(ws, "subscribe", "many-5")
        assert meanwhile(ws) == []
    many = "&".join(f"plan_id=x{number}" for number in range(6))
    with open_ws(server.ws("/api/v1/streaming/ws/c1") + "?" + many) as ws:
        frames, code, _ = rest_of(ws)
    assert (len(frames), error_of(frames[0]), code) == (1, ("too_many", None), 1008)


# --- who it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("..%2F..", "client_id"),
        ("a/b", "client_id"),
        ("a%00b", "client_id"),
        ("x" * 201, "client_id"),
        ("c1?plan_id=a%2Fb", "plan_id"),
        ("c1?plan_id=..", "plan_id"),
        ("c1?plan_id=p&after=yesterday", "after"),
    ],
)
def test_an_address_that_cannot_be_is_refused_in_words(server: ThreadServer, path: str, field: str) -> None:
    with open_ws(server.ws("/api/v1/streaming/ws/") + path) as ws:
        frames, code, reason = rest_of(ws)
    assert (len(frames), code) == (1, 1008)
    assert error_of(frames[0]) == (reason, field)


def test_an_empty_plan_is_none(server: ThreadServer) -> None:
    with watch(server, plan_id="") as ws:
        assert meanwhile(ws) == []


def test_a_second_connection_of_a_client_replaces_the_first(server: ThreadServer, plan: str) -> None:
    with watch(server, "twin", plan_id=plan) as first:
        meanwhile(first)
        with watch(server, "twin", plan_id=plan) as second:
            frames, code, reason = rest_of(first)
            assert (error_of(frames[-1])[0], code, reason) == ("replaced", 1008, "replaced")
            publish(server, plan, progress(1))
            assert ids(take(second, 1)) == ["e1"]
            assert server.get(f"/api/v1/streaming/plans/{plan}/subscribers")["subscriber_count"] == 1
    wait_until(lambda: server.get(f"/api/v1/streaming/plans/{plan}/subscribers")["subscriber_count"] == 0)


def test_a_connection_that_is_refused_replaces_nobody(server: ThreadServer, plan: str) -> None:
    with watch(server, "steady", plan_id=plan) as ws:
        with open_ws(server.ws("/api/v1/streaming/ws/steady", plan_id="a/b")) as refused:
            assert rest_of(refused)[1] == 1008
        publish(server, plan, progress(1))
        assert ids(take(ws, 1)) == ["e1"]


def test_pings_come_at_the_interval(protocol: str) -> None:
    with (
        ThreadServer(protocol=protocol, ping_interval_s=0.05) as server,
        watch(server, plan_id="p") as ws,
    ):
        frames = take(ws, 3)
        assert [frame["event_type"] for frame in frames] == ["ping"] * 3
        assert all(frame.keys() == FIELDS and frame["plan_id"] == "system" for frame in frames)
        (described,) = server.get("/api/v1/streaming/clients")["connections"]
        assert described["last_ping"] is not None


def test_a_client_that_reads_late_misses_nothing(protocol: str, tmp_path: Path) -> None:
    with ThreadServer(
        tmp_path / "log.db", protocol=protocol, client_buffer_bytes=20_000, send_buffer=8_192
    ) as server:
        url = server.ws("/api/v1/streaming/ws/slow", plan_id="p")
        with RawClient(url, receive_buffer=4_096) as slow, watch(server, "quick", plan_id="p") as quick:
            for number in range(300):
                event = progress(number)
                event["data"]["data"]["filler"] = "x" * 2_000
                publish(server, "p", event)
            assert len(take(quick, 300)) == 300
            wait_until(lambda: server.bus.live_statistics().blocked == 1)
            seqs: list[int] = []
            for frame in slow.messages():
                if "seq" in frame:
                    seqs.append(frame["seq"])
                if len(seqs) == 300:
                    break
            assert seqs == list(range(1, 301))


def test_a_restart_is_told_to_everybody(protocol: str) -> None:
    with ThreadServer(protocol=protocol) as server, watch(server, plan_id="p") as ws:
        server.drain(0)
        assert rest_of(ws)[1] == 1012
