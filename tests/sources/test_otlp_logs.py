"""Claude Code's telemetry events as session events: each once, whoever else tells it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.otlp import (
    NOW_NS,
    NOW_US,
    SERVICE,
    claude_record,
    logs_request,
    to_json,
    to_protobuf,
)

from runcast.errors import InvalidEvent
from runcast.kinds.base import Publish, accept
from runcast.kinds.session import SESSION
from runcast.sources.claude_code.hooks import publishes_of
from runcast.sources.otlp.decode import JSON, PROTOBUF, LogRecord, read_logs
from runcast.sources.otlp.logs import publishes

NUMBERS: dict[str, Any] = {
    "input_tokens": 3,
    "output_tokens": "250",
    "cache_read_tokens": 9000,
    "cache_creation_tokens": 12,
    "cost_usd": 0.0125,
    "duration_ms": 2_345,
    "model": "claude-opus-4-6",
}
CALL = "toolu_01Mz4sF9bVYzWbC9Ec6qEX4w"


def told(record: Any, **request: Any) -> list[Publish]:
    """What a record tells, which is the same in both encodings and is taken by the session kind."""
    written = logs_request(record, **request)
    [read] = read_logs(to_json(written), JSON)
    assert [read] == list(read_logs(to_protobuf(written), PROTOBUF))
    assert isinstance(read, LogRecord)
    events = publishes(read)
    assert events == publishes(read), "the same ids each time"
    for event in events:
        accept(SESSION, event, NOW_US, 256 * 1024)
    return events


def one(record: Any, **request: Any) -> Publish:
    [event] = told(record, **request)
    return event


class TestTools:
    def test_a_result_tells_the_call_and_its_end(self):
        record = claude_record(
            "tool_result",
            tool_name="Bash",
            tool_use_id=CALL,
            success="true",
            duration_ms="1500",
            tool_input=json.dumps({"command": "ls"}),
            tool_result_size_bytes=12,
            prompt__id="p1",
        )
        call, result = told(record)
        assert (call.stream, call.id, call.type, call.time) == (
            "session:s1",
            CALL,
            "tool_call",
            NOW_US - 1_500_000,
        )
        assert call.data == {
            "agent_id": "claude-code",
            "source": "otlp",
            "prompt_id": "p1",
            "tool_name": "Bash",
            "input_summary": "ls",
            "status": "started",
        }
        assert (result.id, result.type, result.time) == (f"{CALL}:result", "tool_result", NOW_US)
        assert result.data == {
            "agent_id": "claude-code",
            "source": "otlp",
            "prompt_id": "p1",
            "tool_name": "Bash",
            "status": "completed",
            "parent_event_id": CALL,
            "execution_duration_seconds": 1.5,
            "attributes": {"tool_result_size_bytes": 12},
        }

    def test_a_failed_one_is_an_error_with_its_reason(self):
        record = claude_record(
            "tool_result", tool_use_id=CALL, success=False, duration_ms=3, error_type="ShellError"
        )
        _, result = told(record)
        assert (result.type, result.id) == ("error", f"{CALL}:result")
        assert (result.data["status"], result.data["output_summary"]) == ("error", "ShellError")

    def test_hook_and_telemetry_of_one_call_have_the_same_ids(self):
        common = {
            "session_id": "s1",
            "tool_name": "Bash",
            "tool_use_id": CALL,
            "tool_input": {"command": "ls"},
        }
        hooks = [
            {**common, "hook_event_name": "PreToolUse"},
            {**common, "hook_event_name": "PostToolUse", "tool_response": "a", "duration_ms": 1500},
            {"session_id": "s1", "hook_event_name": "UserPromptSubmit", "prompt": "hi", "prompt_id": "p1"},
        ]
        by_hook = {
            (event.stream, event.id, event.type) for hook in hooks for event in publishes_of(hook, NOW_US)
        }
        records = [
            claude_record(
                "tool_decision", tool_name="Bash", tool_use_id=CALL, decision="accept", source="config"
            ),
            claude_record(
                "tool_result", tool_name="Bash", tool_use_id=CALL, success="true", duration_ms=1500
            ),
            claude_record("user_prompt", prompt="hi", prompt__id="p1"),
        ]
        by_export = {(event.stream, event.id, event.type) for record in records for event in told(record)}
        assert by_hook < by_export
        assert by_export - by_hook == {("session:s1", f"{CALL}:decision", "tool_decision")}

    def test_an_accepted_call_runs_and_a_rejected_one_never_does(self):
        common = {"tool_name": "Edit", "tool_use_id": CALL}
        call, accepted = told(claude_record("tool_decision", **common, decision="accept", source="config"))
        assert (call.id, call.type, call.data["status"]) == (CALL, "tool_call", "started")
        assert (accepted.id, accepted.data["status"]) == (f"{CALL}:decision", "accepted")
        rejected = one(claude_record("tool_decision", **common, decision="reject", source="user_reject"))
        assert (rejected.type, rejected.data["status"]) == ("tool_decision", "rejected")
        assert (rejected.data["parent_event_id"], rejected.data["decision_source"]) == (CALL, "user_reject")

    def test_without_an_id_of_the_call_the_record_s_own_serves(self):
        call, result = told(claude_record("tool_result", tool_name="Bash", success="true", duration_ms=1))
        assert (call.id, result.id) == (f"otlp:7:{NOW_NS}", f"otlp:7:{NOW_NS}:result")

    def test_an_input_that_was_cut_is_kept_as_it_is(self):
        call, _ = told(claude_record("tool_result", tool_name="Bash", tool_use_id=CALL, tool_input='{"comm'))
        assert call.data["input_summary"] == '{"comm'


class TestRequests:
    def test_a_request_has_its_tokens_and_its_cost(self):
        event = one(
            claude_record("api_request", **NUMBERS, request_id="req_1", query_source="repl_main_thread")
        )
        assert (event.type, event.id, event.time) == ("api_request", "api_request:req_1", NOW_US)
        assert event.data == {
            "agent_id": "claude-code",
            "source": "otlp",
            "request_id": "req_1",
            "model": "claude-opus-4-6",
            "status": "completed",
            "execution_duration_seconds": 2.345,
            "cost_tokens": 250,
            "usage": {
                "input_tokens": 3,
                "output_tokens": 250,
                "cache_read_input_tokens": 9000,
                "cache_creation_input_tokens": 12,
            },
            "cost_usd": 0.0125,
            "attributes": {"query_source": "repl_main_thread"},
        }

    def test_a_subagent_s_request_is_its_own(self):
        event = one(claude_record("api_request", **NUMBERS, agent__name="Explore"))
        assert (event.data["agent_id"], event.data["agent_type"]) == ("Explore", "Explore")
        event = one(claude_record("api_request", **NUMBERS, agent__name="Explore", agent_id="a7be2f0"))
        assert (event.data["agent_id"], event.data["agent_type"]) == ("a7be2f0", "Explore")

    def test_numbers_that_are_none_count_nothing(self):
        odd = {
            "output_tokens": -5,
            "input_tokens": "many",
            "cost_usd": float("inf"),
            "cost_usd_micros": 1_500,
        }
        event = one(claude_record("api_request", **odd))
        assert (event.data["cost_tokens"], event.data["usage"]["input_tokens"]) == (0, 0)
        assert event.data["cost_usd"] == 0.0015

    @pytest.mark.parametrize("name", ["api_error", "api_refusal", "internal_error"])
    def test_a_failure_has_its_reason(self, name: str):
        event = one(
            claude_record(name, error="overloaded", status_code=529, duration_ms=10, request_id="req_2")
        )
        assert (event.type, event.data["status"]) == (name, "error")
        assert (event.data["output_summary"], event.data["attributes"]) == (
            "overloaded",
            {"status_code": 529},
        )


class TestOthers:
    def test_a_prompt_has_the_prompt_s_id_and_not_its_redaction(self):
        event = one(claude_record("user_prompt", prompt__id="p1", prompt="<REDACTED>", prompt_length=12))
        assert (event.type, event.id) == ("user_prompt", "prompt:p1")
        assert "input_summary" not in event.data
        assert event.data["attributes"] == {"prompt_length": 12}
        assert one(claude_record("user_prompt", prompt="do it")).data["input_summary"] == "do it"

    def test_an_answer_is_told_under_its_own_name(self):
        event = one(claude_record("assistant_response", response="Done.", response_length=5))
        assert (event.type, event.data["output_summary"]) == ("assistant_response", "Done.")

    def test_an_event_that_is_not_known_is_kept(self):
        event = one(claude_record("brand_new", success="false", duration_ms=20, extra=[1, {"a": True}]))
        assert (event.type, event.id, event.data["status"]) == ("brand_new", f"otlp:7:{NOW_NS}", "error")
        assert event.data["attributes"] == {"extra": [1, {"a": True}]}
        assert event.data["execution_duration_seconds"] == 0.02

    def test_what_says_who_the_user_is_is_left_out(self):
        event = one(claude_record("auth", user__email="a@example.org", organization__id="o", action="login"))
        assert event.data["attributes"] == {"action": "login"}

    def test_the_counter_begins_anew_with_a_resumed_session(self):
        first, second = (claude_record("compaction", trigger="auto") for _ in range(2))
        second["timeUnixNano"] = str(NOW_NS + 1)
        assert one(first).id != one(second).id
        for record in (first, second):  # nor is there always one
            record["attributes"] = [pair for pair in record["attributes"] if pair["key"] != "event.sequence"]
        assert one(first).id != one(second).id

    def test_the_name_may_stand_in_three_places(self):
        record = claude_record("compaction")
        del record["body"]
        assert one(record).type == "compaction"
        record["eventName"] = "claude_code.compaction"
        assert one(record, resource={}).type == "compaction"

    def test_the_time_may_stand_in_three_places(self):
        record = claude_record("compaction", event__timestamp="2026-09-21T14:13:20Z")
        assert one(record).time == NOW_US
        del record["timeUnixNano"]
        assert one(record).time == NOW_US
        del record["observedTimeUnixNano"]
        assert one(record).time == "2026-09-21T14:13:20Z"

    def test_another_agent_s_events_are_kept_by_their_whole_name(self):
        record = {
            "eventName": "codex.tool_result",
            "attributes": [{"key": "conversation.id", "value": {"stringValue": "c/1"}}],
        }
        event = one(record, resource={"service.name": "codex"})
        assert event.type == "codex.tool_result"
        assert event.stream.startswith("session:c-1~")
        assert event.data["agent_id"] == "codex"

    def test_an_application_s_other_logs_tell_nothing(self):
        plain = {"body": {"stringValue": "GET / 200"}, "severityText": "INFO"}
        assert told(plain, resource={"service.name": "web"}) == []
        assert told({**plain, "eventName": "request"}, resource={"service.name": "web"}) == []
        assert told(plain, resource=SERVICE) == []

    def test_one_of_claude_code_s_that_names_no_session_is_refused(self):
        with pytest.raises(InvalidEvent, match=r"session\.id: missing in api_request"):
            told(claude_record("api_request", session_id=None))
