"""Tasks over HTTP: starting them, what they have come to, lists, and what cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runners import task_program
from tests.support.clients import RawClient, open_ws, rest_of
from tests.support.server import wait_until
from tests.support.task_server import TaskServer

TEXT = "URGENT: your account is suspended. Verify your account at http://paypa1-secure.top/login"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskServer]:
    log = tmp_path_factory.mktemp("log") / "log.db"
    with TaskServer(log, load=(task_program.__name__,)) as server:
        yield server


def post(server: TaskServer, **body: Any) -> Any:
    return server.http.post("/api/v1/tasks", json=body)


def test_a_text_is_analysed_as_the_document_tells_it(server: TaskServer) -> None:
    answer = post(server, type="scam_analysis", text=TEXT)
    assert answer.status_code == 202
    begun = answer.json()
    with open_ws(begun["ws_url"]) as ws:
        frames, code, _ = rest_of(ws)
    assert code == 1000
    told = [frame["step"] for frame in frames]
    wanted = [
        *("connected", "queued", "started", "entity_extraction", "tool_execution", "scam_db"),
        *("phone_validator", "exa_search", "domain_reputation", "reasoning", "completed"),
    ]
    assert list(dict.fromkeys(told)) == wanted
    percents = [frame["percent"] for frame in frames]
    assert percents == sorted(percents)
    assert "No web search is configured" in next(
        frame["message"] for frame in frames if frame["step"] == "exa_search"
    )
    document = server.get(f"/api/v1/tasks/{begun['task_id']}")
    assert (document["status"], document["result"]["verdict"]) == ("completed", "scam")
    assert document["result"]["model"] == "extractive"
    assert "looks like paypal" in document["result"]["explanation"] or "paypal" in str(
        document["result"]["findings"]
    )


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "type"),
        ({"type": ""}, "type"),
        ({"type": 5}, "type"),
        ({"type": "unheard"}, "type"),
        ({"type": "scam_analysis"}, "text"),
        ({"type": "scam_analysis", "text": " "}, "text"),
        ({"type": "scam_analysis", "text": "x" * 50_001}, "text"),
        ({"type": "scam_analysis", "text": "x", "region": "Europe"}, "region"),
        ({"type": "scam_analysis", "text": "x", "txet": "y"}, "txet"),
        ({"type": "steps", "task_id": "../x"}, "task_id"),
        ({"type": "steps", "task_id": "a/b"}, "task_id"),
        ({"type": "steps", "task_id": 7}, "task_id"),
    ],
)
def test_what_cannot_be_started_is_named(server: TaskServer, body: dict[str, Any], field: str) -> None:
    answer = post(server, **body)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["field"] == field


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'"x"', b"[" * 10_000, b'{"type": NaN}'])
def test_a_body_that_is_none_is_refused(server: TaskServer, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = server.http.post("/api/v1/tasks", content=body, headers=headers)
    assert (answer.status_code, answer.json()["field"]) == (400, "body")


def test_a_body_that_is_too_large_is_refused(server: TaskServer) -> None:
    assert post(server, type="steps", blob="x" * 300_000).status_code == 413


def test_of_a_task_that_there_is_not_nothing_is_told(server: TaskServer) -> None:
    answer = server.http.get("/api/v1/tasks/unheard")
    assert (answer.status_code, answer.json()["code"]) == (404, "stream_not_found")
    assert server.http.get("/api/v1/tasks/a%20b").status_code == 400


def test_a_task_of_which_only_native_events_exist_exists(server: TaskServer) -> None:
    event = {"type": "scam_db", "data": {"message": "Checking", "percent": 35, "tool": "scam_database"}}
    assert server.http.post("/api/v1/streams/task:native/events", json=event).status_code == 200
    document = server.get("/api/v1/tasks/native")
    assert (document["status"], document["step"], document["percent"]) == ("running", "scam_db", 35)
    bad = server.http.post(
        "/api/v1/streams/task:native/events", json={"type": "x", "data": {"percent": "40"}}
    )
    assert (bad.status_code, bad.json()["field"]) == (400, "percent")


def test_the_list_is_by_page_and_status(server: TaskServer) -> None:
    ids = [post(server, type="steps", count=1).json()["task_id"] for _ in range(3)]
    for task_id in ids:
        server.story(task_id)
    server.publish("going", {"step": "reasoning", "percent": 80})
    page = server.get("/api/v1/tasks", page_size=2)
    assert (len(page["tasks"]), page["page"], page["tasks"][0]["task_id"]) == (2, 1, "going")
    wait_until(
        lambda: (
            {task["task_id"] for task in server.get("/api/v1/tasks", status_filter="completed")["tasks"]}
            >= {*ids}
        )
    )
    assert server.http.get("/api/v1/tasks?status_filter=odd").json()["field"] == "status_filter"
    assert server.http.get("/api/v1/tasks?page=0").json()["field"] == "page"


def test_the_feeds_frames_come_by_sse_too(server: TaskServer) -> None:
    server.publish("sse", {"step": "completed", "message": "Done"})
    with server.http.stream("GET", "/api/v1/streams/task:sse/sse?codec=feed&after=start") as answer:
        lines = answer.iter_lines()
        data = next(line for line in lines if line.startswith("data:"))
    assert '"step":"completed"' in data
    assert '"percent":100' in data


def test_binary_and_too_long_messages_are_told_and_harm_nobody(server: TaskServer) -> None:
    with open_ws(server.task("other")) as other, RawClient(server.task("rude")) as rude:
        rude.send_text("x" * 70_000)
        told = list(rude.messages())
        assert (told[-1]["step"], told[-1]["code"], rude.close_code) == ("error", "too_large", 1009)
        with open_ws(server.task("rude")) as ws:
            ws.send(b"\x00\x01")
            ws.recv(timeout=10)
            assert "a text is expected" in str(ws.recv(timeout=10))
        server.publish("other", {"step": "completed"})
        assert rest_of(other)[1] == 1000


def test_the_log_is_where_the_scams_are(server: TaskServer) -> None:
    """The database of known scams lies beside the log."""
    post(server, type="scam_analysis", text="hello")
    log = Path(server.bus.settings.log)
    wait_until(log.with_suffix(".scams").exists)
