"""A workflow's socket: frames as the document shows them, from the start, to the end, whoever comes when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from tests.support.clients import Frames, RawClient, open_ws, receive, rest_of, take_until
from tests.support.server import wait_until
from tests.support.workflow_sockets import FRAMES, SocketServer

_ids = count(1)


@pytest.fixture(scope="module", params=["fast", "portable"])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def server(protocol: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SocketServer]:
    with SocketServer(tmp_path_factory.mktemp("log") / "log.db", protocol=protocol) as server:
        yield server


@pytest.fixture
def workflow() -> str:
    return f"wf_{next(_ids):012x}"


def types(frames: Frames) -> list[str]:
    return [frame["type"] for frame in frames]


ALL = [frame["type"] for frame in FRAMES]


def subscribers(server: SocketServer, workflow: str) -> int:
    return server.http.get(f"/api/v1/streams/workflow:{workflow}").json()["live_subscribers"]


def test_whoever_comes_late_reads_it_once(
    server: SocketServer, workflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = [{"type": "agent_output", "agent_id": "a", "content": f"{n}"} for n in range(600)]
    server.publish(workflow, *FRAMES[:3], *outputs, FRAMES[-1])
    with open_ws(server.workflow(workflow)) as ws:
        first = rest_of(ws)[0][1]
    with open_ws(server.workflow(workflow, after=first["cursor"])) as ws:
        rest_of(ws)  # the fold has its snapshot, as after every run
    pages: list[int] = []
    read = server.bus.log.read

    def counted(stream: str, *args: Any, **more: Any) -> Any:
        page = read(stream, *args, **more)
        pages.append(len(page.events))
        return page

    monkeypatch.setattr(server.bus.log, "read", counted)
    with open_ws(server.workflow(workflow, after=first["cursor"])) as ws:
        frames, code, _ = rest_of(ws)
    assert (code, len(frames)) == (1000, 1 + 603)
    assert 603 <= sum(pages) < 2 * 603


# --- frames -------------------------------------------------------------------------------------


def test_the_frames_are_the_documented_ones(server: SocketServer, workflow: str) -> None:
    server.publish(workflow, *FRAMES)
    with open_ws(server.workflow(workflow)) as ws:
        frames, code, _ = rest_of(ws)
    assert code == 1000
    connected = frames[0]
    assert (connected["type"], connected["workflow_id"]) == ("connected", workflow)
    assert connected["message"] == "Connected to workflow stream"
    assert types(frames[1:]) == ALL
    for place, (frame, published) in enumerate(zip(frames[1:], FRAMES, strict=True), 1):
        assert frame["workflow_id"] == workflow
        assert frame["timestamp"].endswith("Z")
        assert frame["seq"] == place
        assert frame["cursor"]
        for name, value in published.items():
            assert frame[name] == value
    spawned = frames[4]
    assert {"agent_id", "agent_type", "spawn_time"} <= spawned.keys()


def test_a_live_client_gets_each_event_as_it_comes(server: SocketServer, workflow: str) -> None:
    server.publish(workflow, FRAMES[0])
    with open_ws(server.workflow(workflow)) as ws:
        assert types([receive(ws), receive(ws)]) == ["connected", "workflow_created"]
        for frame in FRAMES[1:]:
            server.publish(workflow, frame)
            assert receive(ws)["type"] == frame["type"]
        assert rest_of(ws)[:2] == ([], 1000)


def test_all_of_many_watchers_get_the_same(server: SocketServer, workflow: str) -> None:
    server.publish(workflow, FRAMES[0])
    with ExitStack() as stack:
        watchers = [stack.enter_context(open_ws(server.workflow(workflow))) for _ in range(12)]
        wait_until(lambda: subscribers(server, workflow) == 12)
        watchers[0].close()  # who leaves takes nothing from the others
        server.publish(workflow, *FRAMES[1:])
        for ws in watchers[1:]:
            frames, code, _ = rest_of(ws)
            assert (types(frames), code) == (["connected", *ALL], 1000)


# --- late, again, and after the end -------------------------------------------------------------


def test_a_client_goes_on_where_it_left_off(server: SocketServer, workflow: str) -> None:
    server.publish(workflow, *FRAMES)
    with open_ws(server.workflow(workflow)) as ws:
        seen = take_until(ws, lambda frames: len(frames) == 5)
    with open_ws(server.workflow(workflow, after=seen[-1]["cursor"])) as ws:
        frames, code, _ = rest_of(ws)
    assert (types(seen[1:]) + types(frames[1:]), code) == (ALL, 1000)


@pytest.mark.parametrize("from_now", [False, True])
def test_with_nothing_left_it_is_closed_at_once(server: SocketServer, workflow: str, from_now: bool) -> None:
    server.publish(workflow, *FRAMES)
    with open_ws(server.workflow(workflow)) as ws:
        last = rest_of(ws)[0][-1]["cursor"]
    with open_ws(server.workflow(workflow, after="now" if from_now else last)) as ws:
        frames, code, _ = rest_of(ws)
    assert (types(frames), code) == (["connected"], 1000)


def test_events_after_the_end_keep_nobody(server: SocketServer, workflow: str) -> None:
    late = {"type": "resource_metrics", "tokens": 1}
    server.publish(workflow, *FRAMES, late, late)
    with open_ws(server.workflow(workflow)) as ws:
        frames, code, _ = rest_of(ws)
    assert (types(frames)[: 1 + len(ALL)], code) == (["connected", *ALL], 1000)
    with open_ws(server.workflow(workflow, after="now")) as ws:
        assert rest_of(ws)[1] == 1000


def test_a_run_after_the_end_is_another_one(server: SocketServer, workflow: str) -> None:
    server.publish(workflow, *FRAMES)
    server.publish(workflow, *FRAMES[:3])
    with open_ws(server.workflow(workflow)) as ws:
        frames = take_until(ws, lambda frames: len(frames) == 4)
        assert types(frames) == ["connected", *ALL[:3]]
        server.publish(workflow, {"type": "workflow_error", "error": "no"})
        (error,), code, _ = rest_of(ws)
    assert (error["error"], error["status"], code) == ("no", "failed", 1000)


def test_a_workflow_of_others_events_alone_has_a_socket(server: SocketServer, workflow: str) -> None:
    answer = server.http.post(
        f"/api/v1/streams/workflow:{workflow}/events",
        json=[{"type": "agent_spawned", "data": {"agent_id": "a"}}, {"type": "workflow_complete"}],
    )
    assert answer.status_code == 200
    with open_ws(server.workflow(workflow)) as ws:
        frames, code, _ = rest_of(ws)
    assert (types(frames), code) == (["connected", "agent_spawned", "workflow_complete"], 1000)
    assert isinstance(frames[-1]["synthesis"]["content"], str)  # as the documented client reads it


def test_a_run_that_is_sealed_ends_without_a_terminal_frame(server: SocketServer, workflow: str) -> None:
    server.publish(workflow, *FRAMES[:3])
    with open_ws(server.workflow(workflow)) as ws:
        take_until(ws, lambda frames: len(frames) == 4)
        assert server.http.post(f"/api/v1/streams/workflow:{workflow}/end").status_code == 200
        frames, code, _ = rest_of(ws)
    assert (types(frames), code) == (["end"], 1000)


def test_a_cleared_workflow_is_told_by_reset(server: SocketServer, workflow: str) -> None:
    server.publish(workflow, *FRAMES[:3])
    with open_ws(server.workflow(workflow)) as ws:
        take_until(ws, lambda frames: len(frames) == 4)
        server.http.delete(f"/api/v1/streams/workflow:{workflow}")
        reset = receive(ws)
        assert (reset["type"], reset["workflow_id"]) == ("reset", workflow)
        server.publish(workflow, FRAMES[0])
        assert receive(ws)["type"] == "workflow_created"


def test_sse_tells_the_same_frames(server: SocketServer, workflow: str) -> None:
    server.publish(workflow, *FRAMES[:3])
    path = f"/api/v1/streams/workflow:{workflow}/sse"
    with server.http.stream("GET", path, params={"codec": "feed"}) as answer:
        data = (line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: "))
        told = [json.loads(next(data)) for _ in range(3)]
    assert types(told) == ALL[:3]
    assert told[0]["workflow_id"] == workflow


# --- what a client wants ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"event_types": "agent_spawned,synthesis_started"}, ["agent_spawned", "synthesis_started"]),
        ({"event_types": ""}, []),
        ({"agent_id": "research_001"}, ["agent_spawned", "agent_output", "agent_output", "agent_completed"]),
        ({"agent_id": "nobody"}, []),
        ({"min_confidence": "0.8"}, ["agent_output", "agent_completed"]),
        ({"min_confidence": "0.9", "event_types": "agent_output"}, ["agent_output"]),
    ],
)
def test_the_server_filters_and_the_end_always_comes(
    server: SocketServer, workflow: str, query: dict[str, str], wanted: list[str]
) -> None:
    server.publish(workflow, FRAMES[0])
    with open_ws(server.workflow(workflow, **query)) as live:
        wait_until(lambda: subscribers(server, workflow) == 1)
        server.publish(workflow, *FRAMES[1:])
        told, code, _ = rest_of(live)
    with open_ws(server.workflow(workflow, **query)) as late:
        again, late_code, _ = rest_of(late)
    assert types(told) == types(again) == ["connected", *wanted, "workflow_complete"]
    assert code == late_code == 1000


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"min_confidence": "much"}, "min_confidence"),
        ({"min_confidence": "1.5"}, "min_confidence"),
        ({"min_confidence": "nan"}, "min_confidence"),
        ({"event_types": ",".join(f"t{number}" for number in range(101))}, "event_types"),
        ({"agent_id": "x" * 201}, "agent_id"),
        ({"after": "yesterday"}, "after"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(
    server: SocketServer, workflow: str, query: dict[str, str], field: str
) -> None:
    server.publish(workflow, *FRAMES)
    with open_ws(server.workflow(workflow, **query)) as ws:
        (error,), code, _ = rest_of(ws)
    assert (error["type"], error["field"], code) == ("error", field, 1008)


def test_a_cursor_of_another_workflow_is_refused(server: SocketServer, workflow: str) -> None:
    server.publish(workflow, *FRAMES[:2])
    server.publish(workflow + "b", *FRAMES[:2])
    with open_ws(server.workflow(workflow)) as ws:
        cursor = take_until(ws, lambda frames: len(frames) == 3)[-1]["cursor"]
    with open_ws(server.workflow(workflow + "b", after=cursor)) as ws:
        (error,), code, _ = rest_of(ws)
    assert (error["code"], code) == ("invalid_cursor", 1008)


@pytest.mark.parametrize("name", ["wf_unknown", "..", "a/b", "%00", "x" * 201])
def test_an_unknown_workflow_is_told_so_and_closed(server: SocketServer, name: str) -> None:
    with open_ws(server.workflow(name)) as ws:
        (error,), code, _ = rest_of(ws)
    assert (error["type"], code) == ("error", 1008)
    assert error["code"] in {"stream_not_found", "invalid_stream_name"}
    assert error["message"]


# --- what a client says -------------------------------------------------------------------------


def said(ws: Any, text: str) -> dict[str, Any]:
    ws.send(text)
    return receive(ws)


def test_plain_words_are_answered(server: SocketServer, workflow: str) -> None:
    server.publish(workflow, *FRAMES[:3])
    with open_ws(server.workflow(workflow, after="now")) as ws:
        assert receive(ws)["type"] == "connected"
        ws.send("pong")  # the answer to a ping; nothing comes of it
        assert said(ws, "ping")["type"] == "pong"
        assert said(ws, '{"type": "ping"}')["type"] == "pong"
        status = said(ws, "status")
        assert (status["type"], status["workflow_id"]) == ("workflow_status", workflow)
        assert status["status"] == "running"
        assert status["timestamp"]


@pytest.mark.parametrize("text", ["hello", "{", "[]", '{"type": 1}', "stats", "[" * 5_000, ""])
def test_other_words_are_refused_and_nothing_else_happens(
    server: SocketServer, workflow: str, text: str
) -> None:
    server.publish(workflow, *FRAMES[:3])
    with open_ws(server.workflow(workflow, after="now")) as ws:
        assert receive(ws)["type"] == "connected"
        error = said(ws, text)
        assert (error["type"], error["code"], error["field"]) == ("error", "invalid_input", "message")
        assert "status" in error["message"]
        server.publish(workflow, FRAMES[3])
        assert receive(ws)["type"] == "agent_spawned"


def test_binary_is_refused(server: SocketServer, workflow: str) -> None:
    server.publish(workflow, *FRAMES[:3])
    with open_ws(server.workflow(workflow, after="now")) as ws:
        assert receive(ws)["type"] == "connected"
        ws.send(b"ping")
        assert receive(ws)["field"] == "message"
        assert said(ws, "ping")["type"] == "pong"


# --- pings --------------------------------------------------------------------------------------


def test_pings_come_and_no_answer_closes_nothing(protocol: str, workflow: str) -> None:
    with SocketServer(protocol=protocol, ping_interval_s=0.02) as server:
        server.publish(workflow, FRAMES[0])
        with open_ws(server.workflow(workflow)) as ws:
            frames = take_until(ws, lambda frames: types(frames).count("ping") == 5)
            assert types(frames[:2]) == ["connected", "workflow_created"]
            assert frames[-1]["workflow_id"] == workflow
            server.publish(workflow, FRAMES[-1])
            assert types(rest_of(ws)[0])[-1] == "workflow_complete"
        wait_until(lambda: server.bus.live_statistics().connections == 0)


def test_a_client_that_reads_nothing_is_not_pinged_full(workflow: str, tmp_path: Path) -> None:
    with SocketServer(tmp_path / "log.db", ping_interval_s=0.005, send_buffer=4_096) as server:
        server.publish(workflow, FRAMES[0])
        with RawClient(server.workflow(workflow), receive_buffer=2_048) as ws:
            text = "x" * 20_000
            for _ in range(100):
                server.publish(workflow, {"type": "agent_output", "agent_id": "a", "content": text})
            wait_until(lambda: server.bus.live_statistics().blocked == 1)
            server.publish(workflow, FRAMES[-1])
            outputs = [frame for frame in ws.messages() if frame["type"] != "ping"]
        assert types(outputs)[2:] == ["agent_output"] * 100 + ["workflow_complete"]
