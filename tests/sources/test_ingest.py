"""`POST /ingest/claude-code`: http hooks, answered by an empty object after the commit."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.server import AppServer

from runcast.app import create_app
from runcast.config import Settings
from runcast.feeds.sessions.ingest import create_ingest_router
from runcast.kinds.session import SESSION
from runcast.live.bus import Bus
from runcast.log.open import open_log

HOOK: dict[str, Any] = {
    "session_id": "s1",
    "cwd": "/home/me",
    "hook_event_name": "PreToolUse",
    "tool_name": "Bash",
    "tool_input": {"command": "ls"},
    "tool_use_id": "toolu_1",
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[AppServer]:
    bus = Bus(
        open_log(tmp_path / "log.db"), [SESSION], Settings(request_max_bytes=4 * 1024 * 1024, drain_s=0.0)
    )
    app = create_app(bus=bus)
    app.router.routes[:0] = create_ingest_router(bus).routes
    with AppServer(app) as server:
        yield server
        server.run(bus.close())


def post(server: AppServer, body: bytes | dict[str, Any]) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    return server.http.post("/ingest/claude-code", content=content, headers=headers)


def test_a_hook_is_an_event_of_its_session(server: AppServer) -> None:
    answer = post(server, HOOK)
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert post(server, HOOK).content == b"{}"
    big = {**HOOK, "hook_event_name": "PostToolUse", "tool_response": {"stdout": "x" * 3_000_000}}
    assert post(server, big).status_code == 200
    (call, result) = server.get("/api/sessions/s1/events")["events"]
    assert (call["event_id"], call["event_type"], call["input_summary"]) == ("toolu_1", "tool_call", "ls")
    assert (result["event_id"], result["event_type"], result["source"]) == (
        "toolu_1:result",
        "tool_result",
        "hook",
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"{", "body"),
        (b"[]", "body"),
        (b"x" * 5_000_000, "body"),
        (b"{}", "hook_event_name"),
        (json.dumps({**HOOK, "session_id": ".."}).encode(), "stream"),
    ],
)
def test_what_is_no_hook_is_a_problem(body: bytes, field: str, server: AppServer) -> None:
    answer = post(server, body)
    assert answer.status_code in {400, 413, 422}
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field
    assert server.is_healthy()
