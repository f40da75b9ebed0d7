"""`/api/v1/plans`, and commands over the WebSocket, with a runner that really runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from tests.feeds.plans import (
    act,
    meanwhile,
    publish,
    take,
    watch,
)
from tests.support.clients import receive, take_until
from tests.support.locked import MASTER, LockedServer
from tests.support.server import AppServer, ThreadServer, wait_until
from websockets.sync.client import ClientConnection

from runcast.feeds.plans.routes import create_plans_router
from runcast.kinds.plan import PLAN
from runcast.live.bus import Bus
from runcast.log.memory import MemoryLog
from runcast.runners.plans.registry import ACTIONS
from runcast.runners.plans.service import Plans


class Stage:
    """Steps that wait until the test lets them go on."""

    def __init__(self, server: ThreadServer) -> None:
        self.server = server
        self.free: dict[str, threading.Event] = {}
        self._executed: list[tuple[str, str]] = []
        ACTIONS.add("work", self.work)
        ACTIONS.add("held", self.hold)
        ACTIONS.add("broken", self.fail)

    def work(self, ctx: Any) -> dict[str, Any]:
        self._executed.append((ctx.plan_id, ctx.step_id))
        return {"by": ctx.step_id, "quality_score": 0.5}

    def hold(self, ctx: Any) -> dict[str, Any]:
        while not self.free.setdefault(ctx.step_id, threading.Event()).wait(0.01):
            ctx.check()
        return self.work(ctx)

    def fail(self, ctx: Any) -> None:
        raise RuntimeError("broken")

    def executed(self, plan_id: str) -> list[str]:
        return [step_id for plan, step_id in self._executed if plan == plan_id]

    def release(self, step_id: str) -> None:
        self.free.setdefault(step_id, threading.Event()).set()

    def start(self, *steps: dict[str, Any], **plan: Any) -> str:
        answer = self.server.http.post("/api/v1/plans", json={"steps": list(steps), **plan})
        assert answer.status_code == 202, answer.text
        return answer.json()["plan_id"]

    def show(self, plan_id: str) -> dict[str, Any]:
        return self.server.get(f"/api/v1/plans/{plan_id}")

    def until(self, plan_id: str, status: str) -> dict[str, Any]:
        wait_until(lambda: self.show(plan_id)["status"] == status, f"{status}: {self.show(plan_id)}")
        return self.show(plan_id)

    def step(self, plan_id: str, step_id: str) -> dict[str, Any]:
        (found,) = [one for one in self.show(plan_id)["steps"] if one["step_id"] == step_id]
        return found

    def until_step(self, plan_id: str, step_id: str, status: str) -> None:
        wait_until(lambda: self.step(plan_id, step_id)["status"] == status, f"{step_id} {status}")

    def do(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """A command that is carried out."""
        answer = self.ask(method, path, body)
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "done"
        return answer.json()

    def refused(self, method: str, path: str, body: object = None, status: int = 409) -> dict[str, Any]:
        answer = self.ask(method, path, body)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        return answer.json()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        more: dict[str, Any] = {} if body is None else {"json": body}
        return self.server.http.request(
            method, f"/api/v1/plans/{path}", headers={"Content-Type": "application/json"}, **more
        )


def types_until(ws: ClientConnection, last: str) -> list[str]:
    """The types of the next frames, up to the first of this type."""
    frames = take_until(ws, lambda frames: bool(frames) and frames[-1]["event_type"] == last)
    return [frame["event_type"] for frame in frames]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadServer]:
    with ThreadServer(tmp_path_factory.mktemp("log") / "log.db") as server:
        yield server


@pytest.fixture
def stage(server: ThreadServer) -> Iterator[Stage]:
    stage = Stage(server)
    yield stage
    for event in stage.free.values():
        event.set()
    assert all("broken" in text for text in server.errors.forgive())  # what a step has raised is logged


HELD = {"step_id": "a", "action": "held"}


# --- starting and looking ----------------------------------------------------------------------


def test_a_plan_is_started_run_and_shown(stage: Stage) -> None:
    steps = [{"step_id": "a", "action": "work"}, {"step_id": "b", "action": "work", "depends_on": ["a"]}]
    answer = stage.server.http.post("/api/v1/plans", json={"query": "Which one?", "steps": steps})
    assert answer.status_code == 202
    begun = answer.json()
    assert begun["query"] == "Which one?"
    assert [step["step_id"] for step in begun["steps"]] == ["a", "b"]
    over = stage.until(begun["plan_id"], "completed")
    assert stage.executed(begun["plan_id"]) == ["a", "b"]
    assert over["steps"][1]["result"] == {"by": "b", "quality_score": 0.5}
    with watch(stage.server, plan_id=begun["plan_id"]) as ws:
        types = types_until(ws, "plan_completed")
    documented = [name for name in types if not name.endswith("_update") and name != "step_progress"]
    assert documented == [
        "plan_started",
        "step_started",
        "step_completed",
        "step_started",
        "step_completed",
        "plan_completed",
    ]


def test_plans_are_listed_by_page_and_status(tmp_path: Path) -> None:
    with ThreadServer(tmp_path / "log.db") as server:
        _check_lists(Stage(server))


def _check_lists(stage: Stage) -> None:
    done = [stage.start({"action": "work"}, plan_id=f"done-{number}") for number in range(3)]
    for plan_id in done:
        stage.until(plan_id, "completed")
    held = stage.start(HELD, plan_id="held")
    page = stage.server.get("/api/v1/plans", page_size="2")
    assert (page["total"], page["pages"], [one["plan_id"] for one in page["plans"]]) == (
        4,
        2,
        ["held", "done-2"],
    )
    running = stage.server.get("/api/v1/plans", status_filter="running")
    assert [one["plan_id"] for one in running["plans"]] == [held]
    assert running["plans"][0]["status"] == "running"
    answer = stage.server.http.get("/api/v1/plans?status_filter=asleep")
    assert (answer.status_code, answer.json()["field"]) == (400, "status_filter")
    stage.release("a")


def test_a_plan_that_somebody_else_runs_is_shown_and_takes_no_commands(stage: Stage) -> None:
    publish(stage.server, "theirs", {"type": "plan_started", "data": {"data": {"query": "q"}}})
    shown = stage.show("theirs")
    assert (shown["status"], shown["managed"], shown["query"]) == ("running", False, "q")
    assert "run by somebody else" in stage.refused("POST", "theirs/pause")["detail"]


def test_what_is_not_there_is_not_found(stage: Stage) -> None:
    for method, path in (("GET", "none"), ("POST", "none/pause"), ("DELETE", "none/steps/a")):
        answer = stage.ask(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "stream_not_found")


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        ({}, "steps"),
        ({"steps": []}, "steps"),
        ({"steps": [{"action": "work"}], "color": "red"}, "color"),
        ({"steps": [{"action": "work"}], "plan_id": "a/b"}, "plan_id"),
        ({"steps": [{"action": "work"}], "plan_id": 7}, "plan_id"),
        ({"steps": [{"action": "unheard-of"}]}, "steps[0].action"),
        ({"steps": [{"action": "work", "max_attempts": 99}]}, "steps[0].max_attempts"),
        ({"steps": [{"action": "work", "depends_on": ["z"]}]}, "steps[0].depends_on"),
        ({"steps": [{"action": "work"}], "parallel_steps": "many"}, "parallel_steps"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_with_its_field(
    stage: Stage, plan: dict[str, Any], field: str
) -> None:
    before = stage.server.get("/api/v1/plans")["total"]
    answer = stage.server.http.post("/api/v1/plans", json=plan)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert stage.server.get("/api/v1/plans")["total"] == before


def test_a_plan_too_large_and_a_body_that_is_none(stage: Stage) -> None:
    many = {"steps": [{"action": "work"} for _ in range(201)]}
    answer = stage.server.http.post("/api/v1/plans", json=many)
    assert (answer.status_code, answer.json()["field"]) == (413, "steps")
    for content in ("", "{", "[]", '"x"'):
        answer = stage.server.http.post(
            "/api/v1/plans", content=content, headers={"Content-Type": "application/json"}
        )
        assert (answer.status_code, answer.json()["field"]) == (400, "body")


def test_an_id_is_taken_until_its_plan_is_over(stage: Stage) -> None:
    stage.start(HELD, plan_id="mine")
    answer = stage.server.http.post("/api/v1/plans", json={"plan_id": "mine", "steps": [{"action": "work"}]})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    stage.release("a")
    stage.until("mine", "completed")
    with watch(stage.server, plan_id="mine") as ws:
        assert types_until(ws, "plan_completed")[0] == "plan_started"
        stage.start({"step_id": "again", "action": "work"}, plan_id="mine")
        assert types_until(ws, "plan_completed")[:2] == ["end", "plan_started"]


# --- commands over HTTP ------------------------------------------------------------------------


def test_pausing_and_resuming(stage: Stage) -> None:
    plan = stage.start(HELD, {"step_id": "b", "action": "work", "depends_on": ["a"]})
    stage.until_step(plan, "a", "running")
    told = stage.do("POST", f"{plan}/pause", {"reason": "lunch"})
    assert (told["plan_id"], told["command"], told["event"]) == (plan, "pause", "plan_paused")
    assert "paused already" in stage.refused("POST", f"{plan}/pause")["detail"]
    assert stage.refused("POST", f"{plan}/pause")["code"] == "command_refused"
    stage.release("a")
    stage.until_step(plan, "a", "completed")
    assert stage.step(plan, "b")["status"] == "waiting"
    stage.do("POST", f"{plan}/resume")
    stage.until(plan, "completed")
    assert "completed" in stage.refused("POST", f"{plan}/resume")["detail"]


def test_cancelling(stage: Stage) -> None:
    plan = stage.start(HELD)
    stage.until_step(plan, "a", "running")
    stage.do("POST", f"{plan}/cancel")
    assert stage.show(plan)["status"] == "cancelled"


def test_retrying_and_skipping_a_step(stage: Stage) -> None:
    broken = {"step_id": "a", "action": "broken", "max_attempts": 1}
    plan = stage.start(broken, {"step_id": "b", "action": "work", "depends_on": ["a"]})
    stage.until(plan, "failed")
    assert stage.do("POST", f"{plan}/steps/a/retry")["command"] == "retry_step"
    wait_until(lambda: stage.step(plan, "a")["attempt"] == 2)
    stage.until(plan, "failed")
    stage.do("POST", f"{plan}/steps/a/skip", {"reason": "not needed"})
    stage.until(plan, "completed")
    assert stage.step(plan, "a")["status"] == "skipped"
    assert stage.executed(plan) == ["b"]
    assert "no step" in stage.refused("POST", f"{stage.start(HELD)}/steps/z/skip")["detail"]


def test_editing_a_plan_that_runs(stage: Stage) -> None:
    plan = stage.start(HELD, {"step_id": "b", "action": "work", "depends_on": ["a"]}, parallel_steps=1)
    stage.until_step(plan, "a", "running")
    stage.do("POST", f"{plan}/steps", {"step_id": "c", "action": "work", "depends_on": ["a"]})
    stage.do("POST", f"{plan}/steps", {"step_id": "d", "action": "work"})
    stage.do("PUT", f"{plan}/order", {"order": ["d", "c", "b"]})
    stage.do("PUT", f"{plan}/steps/d/depends_on", {"depends_on": ["a", "b"]})
    assert [one["step_id"] for one in stage.show(plan)["steps"]] == ["d", "c", "b", "a"]
    assert "depends on it" in stage.refused("DELETE", f"{plan}/steps/b")["detail"]
    stage.do("PUT", f"{plan}/steps/d/depends_on", {"depends_on": ["a"]})
    stage.do("DELETE", f"{plan}/steps/b")
    stage.release("a")
    stage.until(plan, "completed")
    assert stage.executed(plan) == ["a", "d", "c"]


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "pause", {"reason": 7}, "reason"),
        ("POST", "pause", {"reason": "x" * 3_000}, "reason"),
        ("POST", "pause", {"mood": "bad"}, "mood"),
        ("POST", "steps", {"step_id": "c", "color": "red"}, "color"),
        ("POST", "steps", {"step_id": "..", "action": "work"}, "step.step_id"),
        ("PUT", "order", {"order": "a, b"}, "order"),
        ("PUT", "order", {}, "order"),
        ("PUT", "steps/a/depends_on", {"depends_on": [7]}, "depends_on"),
        ("POST", "review/a", {}, "approved"),
        ("POST", "review/a", {"approved": "yes"}, "approved"),
        ("POST", "review/a", {"approved": True, "comment": 7}, "comment"),
    ],
)
def test_a_command_that_cannot_be_is_refused_with_its_field(
    stage: Stage, method: str, path: str, body: object, field: str
) -> None:
    plan = stage.start(HELD)
    assert stage.refused(method, f"{plan}/{path}", body, status=400)["field"] == field


@pytest.mark.parametrize(("approved", "status"), [(True, "completed"), (False, "failed")])
def test_a_review_is_answered(stage: Stage, approved: bool, status: str) -> None:
    gate = {"min_score": 0.9, "on_fail": "review"}
    plan = stage.start({"step_id": "a", "action": "work", "quality_gate": gate})
    wait_until(lambda: stage.show(plan)["reviews"])
    assert stage.show(plan)["reviews"][0]["gate"] == "a"
    assert "No gate" in stage.refused("POST", f"{plan}/review/z", {"approved": True})["detail"]
    stage.do("POST", f"{plan}/review/a", {"approved": approved, "comment": "I have looked"})
    stage.until(plan, status)


def test_a_command_that_nobody_answers_in_time_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus(MemoryLog(), [PLAN])
    plans = Plans(bus)  # and no runner
    monkeypatch.setattr(plans, "command", partial(plans.command, timeout_s=0.05))
    app = FastAPI()
    app.include_router(create_plans_router(plans))
    with AppServer(app) as server:
        started = server.http.post("/api/v1/plans", json={"plan_id": "p", "steps": [{}]})
        assert started.status_code == 202
        answer = server.http.post("/api/v1/plans/p/pause", json={})
        assert (answer.status_code, answer.json()["status"]) == (202, "waiting")
        assert server.get("/api/v1/plans/p")["pending_commands"][0]["command"] == "pause"
        wrong = server.http.post("/api/v1/plans", json={"steps": 7})
        assert (wrong.status_code, wrong.json()["field"]) == (400, "steps")
        server.run(bus.close())


# --- commands over the WebSocket ---------------------------------------------------------------


def test_commands_over_the_socket(stage: Stage) -> None:
    plan = stage.start(HELD, {"step_id": "b", "action": "broken", "max_attempts": 1})
    stage.until_step(plan, "b", "failed")
    with watch(stage.server) as ws:
        act(ws, "subscribe", plan, after="now")
        act(ws, "pause", plan, id=1, reason="lunch")
        frames = [frame for frame in take(ws, 3) if not frame["event_type"].endswith("_update")]
        assert {frame["event_type"] for frame in frames} == {"plan_command", "plan_paused", "ack"}
        (ack,) = [frame for frame in frames if frame["event_type"] == "ack"]
        assert (ack["plan_id"], ack["data"]["id"], ack["data"]["status"]) == (plan, 1, "done")
        act(ws, "unsubscribe", plan)
        act(ws, "pause", plan, id=2)
        refused = receive(ws)
        assert (refused["event_type"], refused["plan_id"]) == ("error", plan)
        assert refused["data"]["code"] == "command_refused"
        assert refused["data"]["message"] == "The plan is paused already."
        act(ws, "resume", plan)
        act(ws, "retry_step", plan, step_id="b")
        act(ws, "skip_step", plan, step_id="b")
        assert meanwhile(ws) == []  # without an id there is no answer but the plan's events
        act(ws, "pause", "none", id=3)
        assert receive(ws)["data"]["code"] == "stream_not_found"
        act(ws, "cancel", plan)
    stage.until(plan, "cancelled")


# --- who may -----------------------------------------------------------------------------------


def test_starting_and_commanding_take_the_right_to_write(tmp_path: Path) -> None:
    with LockedServer(tmp_path) as server:
        _, reader = server.key(read=("plan:*",))
        _, writer = server.key(read=("plan:mine",), write=("plan:mine",))
        plan = {"steps": [{"step_id": "a"}]}
        mine = {**plan, "plan_id": "mine"}
        assert server.as_("", "POST", "/api/v1/plans", json=plan).status_code == 401
        assert server.as_(reader, "POST", "/api/v1/plans", json=mine).status_code == 403
        assert server.as_(writer, "POST", "/api/v1/plans", json=plan).status_code == 403
        assert server.as_(writer, "POST", "/api/v1/plans", json=mine).status_code == 202
        assert server.as_(MASTER, "POST", "/api/v1/plans", json=plan).status_code == 202
        assert server.as_(reader, "POST", "/api/v1/plans/mine/cancel", json={}).status_code == 403
        assert server.as_(writer, "GET", "/api/v1/plans").json()["total"] == 1
        assert server.as_(reader, "GET", "/api/v1/plans").json()["total"] == 2
        shown = server.as_(reader, "GET", "/api/v1/plans/mine").json()
        assert shown["by"].startswith("key-")
        _, other = server.key(read=("session:*",))
        assert server.as_(other, "GET", "/api/v1/plans").status_code == 403
        assert server.as_(other, "GET", "/api/v1/plans/mine").status_code == 403
