"""The JavaScript of the plan document, run as it stands by node against a live server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.documents.snippets import Running, at, javascript, snippet, snippets
from tests.feeds.plans import publish
from tests.support.server import ThreadServer

DOCUMENT = "002_28ca743a70fc0955.txt"
PLAN = "plan_456"

PAGE = """
const updateProgressBar = (progress) => console.log("bar", progress);
const showStepResult = (result) => console.log("result", JSON.stringify(result));
// The document sends right after it has made the socket. A page does so on a click, when it is open long since;
// before, `send` throws.
globalThis.WebSocket = class extends WebSocket {
    send(data) {
        if (this.readyState === 0) this.addEventListener("open", () => super.send(data));
        else super.send(data);
    }
};
"""
LOG = """
ws.addEventListener("message", (event) => console.log("got", JSON.parse(event.data).event_type));
ws.addEventListener("close", (event) => console.log("closed", event.code, event.reason));
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThreadServer]:
    with ThreadServer(tmp_path / "log.db") as server:
        yield server


def client(server: ThreadServer, folder: Path) -> Running:
    return javascript(
        folder, PAGE + at(server, snippet("6. Client-Side (JavaScript)", "javascript", DOCUMENT)) + LOG
    )


def step(event_type: str, **data: object) -> dict[str, object]:
    return {"type": event_type, "data": {"step_id": "step_1", "data": data}}


def test_the_client_shows_what_happens(server: ThreadServer, tmp_path: Path) -> None:
    with client(server, tmp_path) as running:
        running.until("got ping")
        publish(server, PLAN, {"type": "plan_started", "data": {"data": {"query": "q", "total_steps": 1}}})
        running.until("Plan started: { query: 'q', total_steps: 1 }")
        publish(server, PLAN, step("step_started"), step("STEP_PROGRESS", progress=0.25))
        running.until("bar 0.25")
        publish(server, PLAN, step("step_completed", status="success"))
        running.until('result {"status":"success"}')
        server.drain(0)
        running.until("closed 1012 the server restarts; reconnect and go on from your cursor")
    told = [line for line in running.lines if line.startswith("got ")]
    assert told == [
        "got ping",
        "got plan_started",
        "got step_started",
        "got step_progress",
        "got step_completed",
    ]


def test_a_late_client_is_told_everything_once(server: ThreadServer, tmp_path: Path) -> None:
    """It subscribes by its address, and to the same plan again by its message."""
    publish(server, PLAN, {"type": "plan_started", "data": {"data": {"query": "q"}}})
    publish(server, PLAN, *(step("step_progress", progress=number / 8) for number in range(9)))
    with client(server, tmp_path) as running:
        running.until("Plan started: { query: 'q' }", "bar 0", "bar 1")
        publish(server, PLAN, step("step_completed", status="success"), {"type": "plan_completed"})
        running.until('result {"status":"success"}', "got plan_completed")
    assert [line for line in running.lines if line.startswith("bar")] == [
        f"bar {number / 8:g}" for number in range(9)
    ]


def test_the_client_survives_every_control_frame(server: ThreadServer, tmp_path: Path) -> None:
    with client(server, tmp_path) as running:
        running.until("got ping")
        for query in ("one", "two"):
            publish(server, PLAN, {"type": "plan_started", "data": {"data": {"query": query}}})
            publish(server, PLAN, {"type": "plan_completed"})
        running.until("Plan started: { query: 'one' }", "got end", "Plan started: { query: 'two' }")
        server.http.delete(f"/api/v1/streams/plan:{PLAN}")
        running.until("got reset")
        publish(server, PLAN, step("step_progress", progress=0.5))
        running.until("bar 0.5")


def test_no_javascript_of_the_document_is_left_out() -> None:
    headings = [one.heading for one in snippets(DOCUMENT) if one.language == "javascript"]
    assert headings == ["6. Client-Side (JavaScript)"]
