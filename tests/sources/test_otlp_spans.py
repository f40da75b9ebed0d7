"""Spans by the conventions for generative AI as session events, whatever agent made them."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.otlp import (
    NOW_US,
    TRACE,
    gen_ai_span,
    spans_request,
    to_json,
    to_protobuf,
)

from runcast.kinds.base import Publish, accept
from runcast.kinds.session import SESSION
from runcast.sources.otlp.decode import JSON, PROTOBUF, Span, read_spans
from runcast.sources.otlp.spans import publishes

SPAN = "eee19b7ec3c1b174"
PARENT = "00f067aa0ba902b7"
OWN = f"{TRACE}:{SPAN}"
END_US = NOW_US + 2_000_000
CONVERSATION = {"gen_ai.conversation.id": "conv_1"}


def told(span: Any, resource: Any = None) -> list[Publish]:
    """What a span tells, which is the same in both encodings and is taken by the session kind."""
    request = spans_request(span, resource=resource)
    [read] = read_spans(to_json(request), JSON)
    assert [read] == list(read_spans(to_protobuf(request), PROTOBUF))
    assert isinstance(read, Span)
    events = publishes(read)
    for event in events:
        accept(SESSION, event, END_US, 256 * 1024)
    return events


@pytest.mark.parametrize("operation", ["chat", "text_completion", "generate_content", "embeddings"])
def test_a_request_to_a_model_has_its_tokens(operation: str) -> None:
    attributes = {
        **CONVERSATION,
        "gen_ai.request.model": "gpt-4",
        "gen_ai.response.model": "gpt-4-0613",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.cache_creation.input_tokens": 10,
        "gen_ai.agent.name": "planner",
        "server.address": "api.example",
    }
    [event] = told(gen_ai_span(operation, parentSpanId=PARENT, attributes=attributes))
    assert (event.stream, event.type, event.id, event.time) == ("session:conv_1", "api_request", OWN, END_US)
    assert event.data == {
        "agent_id": "planner",
        "agent_type": "planner",
        "model": "gpt-4-0613",
        "request_id": "chatcmpl-1",
        "trace_id": TRACE,
        "source": "otlp",
        "status": "completed",
        "parent_event_id": f"{TRACE}:{PARENT}",
        "execution_duration_seconds": 2.0,
        "cost_tokens": 20,
        "usage": {
            "input_tokens": 30,  # the conventions count the cache in
            "output_tokens": 20,
            "cache_read_input_tokens": 60,
            "cache_creation_input_tokens": 10,
        },
        "attributes": {"gen_ai.request.model": "gpt-4", "gen_ai.response.model": "gpt-4-0613"},
    }


def test_older_names_of_the_counts_are_read_and_counts_without_the_cache() -> None:
    attributes = {"gen_ai.usage.prompt_tokens": 5, "gen_ai.usage.completion_tokens": 6}
    [event] = told(gen_ai_span("chat", attributes=attributes))
    assert (event.data["usage"]["input_tokens"], event.data["cost_tokens"]) == (5, 6)
    [event] = told(
        gen_ai_span(
            "chat", attributes={"gen_ai.usage.input_tokens": 5, "gen_ai.usage.cache_read.input_tokens": 90}
        )
    )
    assert event.data["usage"]["input_tokens"] == 5


def test_a_tool_is_called_and_ends() -> None:
    attributes = {
        **CONVERSATION,
        "gen_ai.tool.name": "get_weather",
        "gen_ai.tool.call.id": "call_VSPygqKTWdrhaFErNvMV18Yl",
        "gen_ai.tool.call.arguments": {"location": "Paris"},
        "gen_ai.tool.call.result": "rainy",
    }
    call, result = told(gen_ai_span("execute_tool", parentSpanId=PARENT, attributes=attributes))
    assert (call.type, call.id, call.time) == ("tool_call", "call_VSPygqKTWdrhaFErNvMV18Yl", NOW_US)
    assert (call.data["tool_name"], call.data["status"]) == ("get_weather", "started")
    assert (call.data["input_summary"], call.data["parent_event_id"]) == (
        '{"location":"Paris"}',
        f"{TRACE}:{PARENT}",
    )
    assert (result.type, result.id, result.time) == ("tool_result", f"{call.id}:result", END_US)
    assert (result.data["output_summary"], result.data["parent_event_id"]) == ("rainy", call.id)
    assert result.data["execution_duration_seconds"] == 2.0


@pytest.mark.parametrize("given", [{}, {"gen_ai.tool.call.id": "call_0"}])
def test_an_id_that_comes_again_in_a_conversation_is_no_id(given: Any) -> None:
    call, result = told(gen_ai_span("execute_tool", attributes={**given, "gen_ai.tool.name": "t"}))
    assert (call.id, result.id) == (OWN, f"{OWN}:result")


def test_failures_are_errors() -> None:
    failed: dict[str, Any] = {
        "status": {"code": 2, "message": "no route"},
        "attributes": {"error.type": "timeout"},
    }
    _, result = told(gen_ai_span("execute_tool", **failed))
    assert (result.type, result.data["status"], result.data["output_summary"]) == (
        "error",
        "error",
        "no route",
    )
    [event] = told(gen_ai_span("chat", attributes={"error.type": "timeout"}))
    assert (event.type, event.data["status"], event.data["output_summary"]) == (
        "api_error",
        "error",
        "timeout",
    )


def test_an_agent_s_work_begins_and_ends_and_its_tokens_count_once() -> None:
    attributes = {
        **CONVERSATION,
        "gen_ai.agent.id": "a1",
        "gen_ai.agent.name": "Math",
        "gen_ai.usage.output_tokens": 9,
    }
    begin, ending = told(gen_ai_span("invoke_agent", attributes=attributes))
    assert (begin.type, begin.id, begin.time, begin.data["title"]) == ("delegation", OWN, NOW_US, "Math")
    assert (ending.type, ending.data["parent_event_id"], ending.time) == ("completion", OWN, END_US)
    assert (begin.data["agent_id"], begin.data["agent_type"]) == ("a1", "Math")
    assert "cost_tokens" not in begin.data | ending.data
    assert ending.data["attributes"] == {"gen_ai.usage.output_tokens": 9}


@pytest.mark.parametrize("operation", ["create_agent", "retrieval", "something_new"])
def test_another_operation_is_kept_as_it_is(operation: str) -> None:
    [event] = told(gen_ai_span(operation, attributes={"gen_ai.data_source.id": "d"}))
    assert (event.type, event.id, event.data["attributes"]) == (
        operation,
        OWN,
        {"gen_ai.data_source.id": "d"},
    )
    assert event.data["agent_id"] == "my-agent"


def test_the_session_is_the_conversation_else_the_session_else_the_trace() -> None:
    def stream(attributes: Any, resource: Any = None) -> str:
        return told(gen_ai_span("chat", attributes=attributes), resource)[0].stream

    assert stream({**CONVERSATION, "session.id": "s"}) == "session:conv_1"
    assert stream({"session.id": "s"}) == "session:s"
    assert stream({}, {"session.id": "r"}) == "session:r"
    assert stream({}) == f"session:{TRACE}"
    fitted = stream({"gen_ai.conversation.id": "thread/ä " + "x" * 300})
    assert fitted.startswith("session:thread---xxx")
    assert fitted != stream({"gen_ai.conversation.id": "thread/ö " + "x" * 300})


def test_other_spans_tell_nothing() -> None:
    assert told(gen_ai_span(None, attributes={"http.request.method": "GET"})) == []
    # Claude Code's own: its log records tell the same, and what it costs as well
    assert told(gen_ai_span(None, attributes={"gen_ai.request.model": "m", "span.type": "llm_request"})) == []
