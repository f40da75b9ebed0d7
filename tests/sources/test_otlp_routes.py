"""OTLP/HTTP against a real server: what an exporter sends, and what it hears."""

from __future__ import annotations

import gzip
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from tests.support.otlp import claude_record, gen_ai_span, logs_request, spans_request, to_json, to_protobuf
from tests.support.server import WAIT_S, AppServer

from runcast.auth.setup import make_authenticator
from runcast.auth.store import AuthStore
from runcast.config import Settings
from runcast.errors import Busy, LogReadOnly
from runcast.feeds.sessions.otlp import THREADS, create_otlp_router
from runcast.feeds.sessions.routes import create_sessions_router
from runcast.kinds.session import SESSION
from runcast.live.bus import Bus
from runcast.log.memory import MemoryLog
from runcast.sources.otlp.decode import JSON, PROTOBUF
from runcast.transport.gate import Gate

LIMIT_BYTES = 64 * 1024
WRITERS = {JSON: to_json, PROTOBUF: to_protobuf}


class Receiver(AppServer):
    """An app of one's own that receives telemetry and shows sessions."""

    def __init__(self) -> None:
        self.bus = Bus(MemoryLog(), [SESSION], Settings(request_max_bytes=LIMIT_BYTES))
        app = FastAPI(routes=[*create_otlp_router(self.bus).routes, *create_sessions_router(self.bus).routes])
        app.add_middleware(
            Gate,
            authenticator=make_authenticator(self.bus.settings, AuthStore(None)),
            holders=None,
            allowed_origins=(),
            refused=self.bus.refused,
        )
        super().__init__(app)

    async def _serve(self) -> None:
        await super()._serve()
        await self.bus.close()

    def export(self, path: str, request: Any, content_type: str = JSON, **headers: str) -> Any:
        body = request if isinstance(request, bytes) else WRITERS[content_type](request)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(path, content=body, headers={"Content-Type": content_type, **names})

    def events(self, session_id: str) -> list[dict[str, Any]]:
        found = self.get(f"/api/sessions/{session_id}/events")["events"]
        return [{name: value for name, value in event.items() if name != "cursor"} for event in found]


@pytest.fixture
def server() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


def a_session(session_id: str) -> list[Any]:
    """What one prompt gives."""
    numbers: list[dict[str, Any]] = [
        claude_record("user_prompt", session_id, prompt="hi", prompt__id="p"),
        claude_record(
            "tool_decision", session_id, tool_use_id="toolu_1", tool_name="Bash", decision="accept"
        ),
        claude_record(
            "tool_result", session_id, tool_use_id="toolu_1", tool_name="Bash", success="true", duration_ms=5
        ),
        claude_record("api_request", session_id, output_tokens=7, cost_usd=0.5, request_id="req_1"),
    ]
    return numbers


def test_both_encodings_make_the_same_events(server: Receiver) -> None:
    for session_id, content_type in (("json", JSON), ("proto", PROTOBUF)):
        answer = server.export("/v1/logs", logs_request(*a_session(session_id)), content_type)
        assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
        assert answer.content == (b"{}" if content_type == JSON else b"")
    events = server.events("json")
    assert [event["event_id"] for event in events] == [
        "prompt:p",
        "toolu_1",
        "toolu_1:decision",
        "toolu_1:result",
        "api_request:req_1",
    ]
    assert events == [{**event, "session_id": "json"} for event in server.events("proto")]


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_a_repeated_export_adds_nothing(server: Receiver, content_type: str) -> None:
    logs = logs_request(*a_session("s"), claude_record("brand_new", "s"))
    spans = spans_request(gen_ai_span("chat", attributes={"session.id": "s"}))
    for _ in range(2):
        assert server.export("/v1/logs", logs, content_type).status_code == 200
        assert server.export("/v1/traces", spans, content_type).status_code == 200
        assert len(server.events("s")) == 7


def test_gzip_is_unpacked_up_to_the_limit(server: Receiver) -> None:
    body = gzip.compress(to_json(logs_request(*a_session("s"))))
    assert server.export("/v1/logs", body, content_encoding="gzip").status_code == 200
    assert len(server.events("s")) == 5
    bomb = gzip.compress(bytes(10 * LIMIT_BYTES))
    for content_type in (JSON, PROTOBUF):
        answer = server.export("/v1/logs", bomb, content_type, content_encoding="gzip")
        assert answer.status_code == 413
    assert server.export("/v1/logs", bytes(LIMIT_BYTES + 1)).status_code == 413
    answer = server.export("/v1/logs", b"abc", content_encoding="gzip")
    assert (answer.status_code, answer.json()["code"]) == (400, 3)


def test_too_many_records_are_refused_and_few_requests_are_read_at_once(server: Receiver) -> None:
    server.bus.settings = Settings()
    empty = b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[' + b"{}," * 1_000_000 + b"{}]}]}]}"

    def reading() -> set[threading.Thread]:
        return {one for one in threading.enumerate() if one.name.startswith("runcast-otlp")}

    def send() -> int:
        headers = {"Content-Type": JSON, "Content-Encoding": "gzip"}
        return httpx2.post(server.url("/v1/logs"), content=gzip.compress(empty), headers=headers).status_code

    before = reading()
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(send) for _ in range(4)]
        assert {answer.result(WAIT_S) for answer in answers} == {413}
    assert 1 <= len(reading() - before) <= THREADS
    assert server.bus.refused["too_large"] == 4


def test_flawed_records_are_rejected_alone_in_json(server: Receiver) -> None:
    flawed = [5, claude_record("api_request", session_id=None), {"attributes": 5}]
    too_large = claude_record("brand_new", "s", text="x" * 40_000)
    future = {**claude_record("brand_new", "s"), "timeUnixNano": str(2**63)}
    server.bus.settings = Settings(event_max_bytes=20_000, request_max_bytes=LIMIT_BYTES)
    answer = server.export("/v1/logs", logs_request(*flawed, too_large, *a_session("s"), future))
    assert answer.status_code == 200
    assert answer.json()["partialSuccess"] == {
        "rejectedLogRecords": "5",
        "errorMessage": "a record is not a JSON object",
    }
    assert len(server.events("s")) == 5
    assert server.bus.refused["otlp_rejected"] == 5


@pytest.mark.parametrize(
    ("path", "request_", "response", "field"),
    [
        (
            "/v1/logs",
            logs_request(claude_record("a"), claude_record("api_request", session_id=None)),
            ExportLogsServiceResponse(),
            "rejected_log_records",
        ),
        (
            "/v1/traces",
            spans_request(gen_ai_span("chat"), gen_ai_span("x" * 101)),
            ExportTraceServiceResponse(),
            "rejected_spans",
        ),
    ],
)
def test_flawed_records_are_rejected_alone_in_protobuf(
    server: Receiver, path: str, request_: Any, response: Message, field: str
) -> None:
    answer = server.export(path, request_, PROTOBUF)
    assert (answer.status_code, answer.headers["content-type"]) == (200, PROTOBUF)
    response.ParseFromString(answer.content)
    partial = response.partial_success  # pyright: ignore[reportAttributeAccessIssue]
    assert getattr(partial, field) == 1
    assert partial.error_message
    assert server.export(path, request_).json()["partialSuccess"]["errorMessage"] == partial.error_message


def test_spans_that_tell_nothing_are_counted(server: Receiver) -> None:
    answer = server.export(
        "/v1/traces", spans_request(gen_ai_span(None), gen_ai_span(None, "00f067aa0ba902b7"))
    )
    assert (answer.status_code, answer.content) == (200, b"{}")
    assert server.bus.refused["otlp_ignored"] == 2
    assert server.get("/api/sessions")["sessions"] == []


@pytest.mark.parametrize("path", ["/v1/logs", "/v1/traces"])
@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_a_body_that_is_no_request_is_a_status(server: Receiver, path: str, content_type: str) -> None:
    answer = server.export(path, b"\xff\xff", content_type)
    assert (answer.status_code, answer.headers["content-type"]) == (400, content_type)
    if content_type == JSON:
        assert answer.json()["code"] == 3
        assert "JSON" in answer.json()["message"]
    else:
        assert answer.content.startswith(b"\x08\x03\x12")  # google.rpc.Status: code 3, then the message
        assert answer.content[4:].decode().startswith("body: not the protobuf message")


def test_a_type_that_is_not_otlp_is_refused(server: Receiver) -> None:
    answer = server.export("/v1/logs", b"{}", content_type="application/x-ndjson")
    assert (answer.status_code, answer.headers["content-type"]) == (415, JSON)
    assert "application/x-protobuf" in answer.json()["message"]
    assert server.export("/v1/logs", b"{}", content_type="application/json; charset=utf-8").status_code == 200


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_a_busy_log_is_to_be_tried_again(
    server: Receiver, content_type: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = logs_request(*a_session("s"))

    def refuse(*_: Any, **__: Any) -> Future[Any]:
        raise Busy

    with monkeypatch.context() as patch:
        patch.setattr(server.bus.log, "append_soon", refuse)
        answer = server.export("/v1/logs", request, content_type)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert server.export("/v1/logs", request, content_type).status_code == 200
    assert len(server.events("s")) == 5


def test_a_log_that_cannot_is_not_to_be_tried_again(
    server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: Future[Any] = Future()
    failed.set_exception(LogReadOnly())
    monkeypatch.setattr(server.bus.log, "append_soon", lambda *_, **__: failed)
    answer = server.export("/v1/logs", logs_request(*a_session("s")))
    assert (answer.status_code, answer.json()["code"]) == (500, 13)
    assert "retry-after" not in answer.headers


def test_without_the_extra_protobuf_is_refused_and_json_is_not(
    server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "runcast.sources.otlp.protobuf", raising=False)
    monkeypatch.setitem(sys.modules, "google.protobuf.message", None)
    answer = server.export("/v1/traces", b"", PROTOBUF)
    assert (answer.status_code, answer.headers["content-type"]) == (415, PROTOBUF)
    assert b"pip install 'runcast[otlp]'" in answer.content
    assert server.export("/v1/metrics", b"anything", PROTOBUF).content == b""
    assert server.export("/v1/traces", spans_request()).status_code == 200


@pytest.mark.parametrize("content_type", [JSON, PROTOBUF])
def test_metrics_are_accepted_and_not_kept(server: Receiver, content_type: str) -> None:
    answer = server.export("/v1/metrics", b'{"resourceMetrics": []}', content_type)
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    assert answer.content == (b"{}" if content_type == JSON else b"")
    assert server.get("/api/sessions")["sessions"] == []


def test_a_page_of_another_origin_cannot_export(server: Receiver) -> None:
    for content_type in (JSON, PROTOBUF):
        answer = server.export("/v1/metrics", b"", content_type, Origin="http://evil.example")
        assert answer.status_code == 403
    answer = server.export("/v1/metrics", b"x", content_type="text/plain")  # what it may send without asking
    assert answer.status_code == 415


def test_many_records_are_taken_in_order(server: Receiver) -> None:
    server.bus.settings = Settings()
    records = [
        {**claude_record("step", "s"), "timeUnixNano": str(1_790_000_000_000_000_000 + i)} for i in range(900)
    ]
    assert server.export("/v1/logs", logs_request(*records), PROTOBUF).status_code == 200
    assert server.get("/api/sessions/s")["events"] == 900
    page = server.events("s")
    assert [event["event_id"] for event in page] == [
        f"otlp:7:{1_790_000_000_000_000_000 + i}" for i in range(len(page))
    ]
