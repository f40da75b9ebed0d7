"""A task's socket: the documented frames, from the start of its run, to its end, whoever comes when."""

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
from tests.support.swift import check
from tests.support.task_server import TaskServer

from runcast.core.scope import Scope

_ids = count(1)

STORY: Frames = [
    {"step": "entity_extraction", "message": "Extracting entities from text...", "percent": 10},
    {"step": "scam_db", "tool": "scam_database", "message": "Checking scam database...", "percent": 35},
    {"step": "reasoning", "message": "Analyzing", "percent": 80},
    {"step": "completed", "message": "Analysis complete!", "percent": 100},
]


@pytest.fixture(scope="module", params=["fast", "portable"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskServer]:
    log = tmp_path_factory.mktemp("log") / "log.db"
    with TaskServer(log, protocol=request.param, runs=False) as server:
        yield server


@pytest.fixture
def hasty(tmp_path: Path) -> Iterator[TaskServer]:
    """One that has little patience with silent tasks."""
    with TaskServer(tmp_path / "log.db", runs=False, task_heartbeat_s=0.1, task_timeout_s=0.5) as server:
        yield server


@pytest.fixture
def task() -> str:
    return f"task-{next(_ids)}"


def steps(frames: Frames) -> list[str]:
    return [frame["step"] for frame in frames]


def is_watched(server: TaskServer, task: str, clients: int = 1) -> bool:
    topic = server.call(lambda: server.bus.hub.topic(Scope.of_stream(f"task:{task}")))
    return (len(topic.subscribers) if topic else 0) == clients


def rest_raw(url: str) -> tuple[list[str], int]:
    """All messages as texts, and the close code."""
    texts: list[str] = []
    with open_ws(url) as ws:
        try:
            while True:
                texts.append(str(ws.recv(timeout=20)))
        except Exception:
            assert ws.close_code is not None
            return texts, ws.close_code


# --- the documented lifecycle -------------------------------------------------------------------


def test_connected_comes_first_then_the_story_then_the_end(server: TaskServer, task: str) -> None:
    with open_ws(server.task(task)) as ws:
        connected = receive(ws)
        assert connected["step"] == "connected"
        assert connected["message"] == "Connected to agent progress stream"
        assert (connected["percent"], connected["error"]) == (0, False)
        server.publish(task, *STORY)
        frames, code, _ = rest_of(ws)
    assert code == 1000
    assert steps(frames) == steps(STORY)
    for frame, published in zip(frames, STORY, strict=True):
        assert frame.items() >= {**published, "error": False, "task_id": task}.items()
    assert [frame["seq"] for frame in frames] == [1, 2, 3, 4]


def test_a_client_that_comes_late_gets_the_whole_story_and_the_end(server: TaskServer, task: str) -> None:
    server.publish(task, *STORY)
    assert steps(server.story(task)) == ["connected", *steps(STORY)]
    assert steps(server.story(task)) == ["connected", *steps(STORY)]


def test_a_client_in_the_midst_gets_what_was_and_what_comes(server: TaskServer, task: str) -> None:
    server.publish(task, *STORY[:2])
    with open_ws(server.task(task)) as ws:
        assert steps(take_until(ws, lambda frames: len(frames) == 3)) == ["connected", *steps(STORY[:2])]
        server.publish(task, *STORY[2:])
        frames, code, _ = rest_of(ws)
    assert (steps(frames), code) == (steps(STORY[2:]), 1000)


def test_failed_ends_it_too(server: TaskServer, task: str) -> None:
    server.publish(task, {"step": "failed", "message": "Analysis failed: Tool timeout", "percent": 0})
    frames = server.story(task)
    assert steps(frames) == ["connected", "failed"]
    assert frames[1]["error"] is True


def test_every_frame_decodes_as_the_swift_client_does(hasty: TaskServer, task: str) -> None:
    hasty.publish(task, {"step": "scam_db", "percent": 35.7, "extra": {"error": "yes", "percent": "40"}})
    with RawClient(hasty.task(task)) as ws:
        ws.send_text("nonsense")
        ws.send_text('{"type": "ping"}')
        for frame in ws.messages():
            check(json.dumps(frame))
    texts, code = rest_raw(hasty.task(task))
    kinds = [check(text) for text in texts]
    assert code == 1013
    assert {"connected", "scam_db", "timeout"} == {one.step for one in kinds if one.step}
    assert any(one.heartbeat for one in kinds)


@pytest.mark.parametrize("task_id", ["..", "a/b", "a%00b", "x" * 201, "a%20b"])
def test_an_id_that_cannot_be_is_told_in_the_feeds_words(server: TaskServer, task_id: str) -> None:
    texts, code = rest_raw(server.ws(f"/ws/agent-progress/{task_id}"))
    frame = check(texts[0])
    assert (len(texts), frame.step, frame.error, code) == (1, "error", True, 1008)
    assert "task id: 1 to 200 characters" in str(frame.message)


# --- cursors ------------------------------------------------------------------------------------


def test_after_a_cursor_comes_the_rest(server: TaskServer, task: str) -> None:
    server.publish(task, *STORY)
    seen = server.story(task)
    assert steps(server.story(task, after=seen[2]["cursor"])) == ["connected", "reasoning", "completed"]
    assert steps(server.story(task, after=seen[4]["cursor"])) == ["connected"]
    assert steps(server.story(task, after="now")) == ["connected"]


def test_a_cursor_that_cannot_be_is_told(server: TaskServer, task: str) -> None:
    texts, code = rest_raw(server.task(task, after="yesterday"))
    assert ("after: " in str(check(texts[0]).message), code) == (True, 1008)


# --- runs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first", [{"step": "processing", "percent": 0, "message": "again"}, STORY[0], {"step": "started"}]
)
def test_an_id_that_is_used_again_begins_a_new_story(
    server: TaskServer, task: str, first: dict[str, Any]
) -> None:
    server.publish(task, *STORY)
    server.publish(task, first)
    with open_ws(server.task(task)) as ws:
        assert steps([receive(ws), receive(ws)]) == ["connected", first["step"]]
        server.publish(task, STORY[3])
        assert steps(rest_of(ws)[0]) == ["completed"]
    assert steps(server.story(task)) == ["connected", first["step"], "completed"]
    assert server.get(f"/api/v1/tasks/{task}")["status"] == "completed"


def test_what_comes_late_of_a_run_that_is_over_begins_none(server: TaskServer, task: str) -> None:
    server.publish(task, *STORY)
    server.publish(task, STORY[1], {"step": "failed", "message": "late"})
    assert steps(server.story(task)) == ["connected", *steps(STORY)]
    assert server.get(f"/api/v1/tasks/{task}")["status"] == "completed"


def test_the_documented_snippets_own_end_is_one_run(server: TaskServer, task: str) -> None:
    """It publishes `failed` after `completed`; run again, it begins anew."""
    failed = {"step": "failed", "message": "Analysis failed: Connection timeout", "percent": 0, "error": True}
    server.publish(task, *STORY, failed)
    server.publish(task, *STORY, failed)
    assert steps(server.story(task)) == ["connected", *steps(STORY)]
    assert server.get(f"/api/v1/streams/task:{task}")["head"] == 5


def test_a_run_that_is_sealed_without_an_end_is_told(server: TaskServer, task: str) -> None:
    server.publish(task, *STORY[:2])
    with open_ws(server.task(task)) as ws:
        take_until(ws, lambda frames: len(frames) == 3)
        assert server.http.post(f"/api/v1/streams/task:{task}/end").status_code == 200
        frames, code, _ = rest_of(ws)
    assert (steps(frames), frames[0]["percent"], code) == (["end"], 35, 1000)


def test_a_cleared_stream_is_a_reset(server: TaskServer, task: str) -> None:
    server.publish(task, *STORY[:2])
    with open_ws(server.task(task)) as ws:
        take_until(ws, lambda frames: len(frames) == 3)
        assert server.http.delete(f"/api/v1/streams/task:{task}").status_code == 200
        server.publish(task, STORY[3])
        frames, code, _ = rest_of(ws)
    assert (steps(frames), code) == (["reset", "completed"], 1000)
    assert all(check(json.dumps(frame)).step for frame in frames)


def test_what_is_not_kept_any_more_is_told(server: TaskServer, task: str) -> None:
    server.publish(task, *STORY[:3])
    first = server.get(f"/api/v1/streams/task:{task}/events?after=start")["events"][0]
    server.run(server.bus.trim(f"task:{task}", keep=1))
    server.publish(task, STORY[3])
    frames = server.story(task, after=first["cursor"])
    assert steps(frames) == ["connected", "gap", "reasoning", "completed"]
    assert (frames[1]["first_seq"], frames[1]["last_seq"]) == (2, 2)
    assert all(check(json.dumps(frame)).step for frame in frames)


# --- heartbeats and the timeout -----------------------------------------------------------------


def test_heartbeats_come_and_are_nothing_else(hasty: TaskServer, task: str) -> None:
    with open_ws(hasty.task(task)) as ws:
        assert receive(ws)["step"] == "connected"
        beat = receive(ws)
    assert (set(beat), beat["heartbeat"]) == ({"heartbeat", "timestamp"}, True)


def test_a_silent_task_is_a_timeout_and_no_failure(hasty: TaskServer, task: str) -> None:
    hasty.publish(task, STORY[1])
    with open_ws(hasty.task(task)) as ws:
        frames, code, reason = rest_of(ws)
    timeout = frames[-1]
    assert (timeout["step"], timeout["error"], timeout["percent"]) == ("timeout", True, 35)
    assert (code, reason) == (1013, "timeout")
    assert sum(1 for frame in frames if frame.get("heartbeat")) >= 3
    assert hasty.get(f"/api/v1/tasks/{task}")["status"] == "running"


def test_a_task_that_nobody_tells_of_times_out_too(hasty: TaskServer, task: str) -> None:
    with open_ws(hasty.task(task)) as ws:
        frames, code, _ = rest_of(ws)
    assert (frames[-1]["step"], frames[-1]["percent"], code) == ("timeout", 0, 1013)


def test_only_the_tasks_own_messages_count_as_life(hasty: TaskServer, task: str) -> None:
    """Neither heartbeats, nor what the client says, nor other tasks."""
    with open_ws(hasty.task(task)) as ws:
        for _ in range(4):
            ws.send("ping")
            hasty.publish(f"{task}-other", STORY[0])
        frames, code, _ = rest_of(ws)
    assert (frames[-1]["step"], code) == ("timeout", 1013)


def test_a_message_puts_the_timeout_off(hasty: TaskServer, task: str) -> None:
    with open_ws(hasty.task(task)) as ws:
        for number in range(8):  # together longer than the timeout, each well within it
            hasty.publish(task, {"step": "reasoning", "percent": number})
            take_until(ws, lambda frames: sum(1 for one in frames if one.get("heartbeat")) == 1)
        hasty.publish(task, STORY[3])
        frames, code, _ = rest_of(ws)
    assert (frames[-1]["step"], code) == ("completed", 1000)


def test_many_watch_one_task(server: TaskServer, task: str) -> None:
    with ExitStack() as stack:
        sockets = [stack.enter_context(open_ws(server.task(task))) for _ in range(20)]
        for ws in sockets:
            assert receive(ws)["step"] == "connected"
        wait_until(lambda: is_watched(server, task, 20))
        server.publish(task, *STORY)
        stories = [rest_of(ws) for ws in sockets]
    assert all((steps(frames), code) == (steps(STORY), 1000) for frames, code, _ in stories)
    assert server.call(lambda: not server.bus.hub.taps.get(f"task:{task}"))


# --- what a client may say ----------------------------------------------------------------------


def test_what_a_client_says_harms_nothing(server: TaskServer, task: str) -> None:
    with RawClient(server.task(task)) as ws:
        assert next(ws.messages())["step"] == "connected"
        for said in ("hello", "{", '{"type": 5}', "[" * 5_000):
            ws.send_text(said)
            error = next(ws.messages())
            assert (error["step"], error["error"], error["field"]) == ("error", True, "message")
        for said in ("ping", ' {"type": "ping"} '):
            ws.send_text(said)
            assert next(ws.messages())["heartbeat"] is True
        ws.send_text("pong")
        server.publish(task, STORY[3])
        assert next(ws.messages())["step"] == "completed"


def test_a_gone_client_is_noticed_at_once(server: TaskServer, task: str) -> None:
    """Not on the next send: there may be none for a minute."""
    with open_ws(server.task(task)) as ws:
        receive(ws)
        wait_until(lambda: is_watched(server, task))
    wait_until(lambda: is_watched(server, task, 0))


def test_two_tasks_do_not_hear_each_other(server: TaskServer, task: str) -> None:
    server.publish(f"{task}-b", *STORY)
    server.publish(task, STORY[0])
    server.publish(task, STORY[3])
    frames = server.story(task)
    assert steps(frames) == ["connected", "entity_extraction", "completed"]
    assert {frame["task_id"] for frame in frames} == {task}
