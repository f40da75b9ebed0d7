"""What hooks of Claude Code become: one event each, with the ids that other sources derive too."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast.errors import InvalidEvent, InvalidStreamName
from runcast.kinds.base import Publish, accept
from runcast.kinds.session import MAX_SUMMARY_CHARS, SESSION
from runcast.sources.claude_code.hooks import EXTRA_MAX_FIELDS, FIELD_MAX_CHARS, decode_hook, publishes_of
from runcast.sources.claude_code.transcript import Transcript
from runcast.sources.naming import session_stream

NOW = 1_780_000_000_000_000
LINE = b'{"type": "user", "uuid": "u", "timestamp": "2026-01-01T00:00:00Z", "message": {"content": "Hi"}}'
EVENT_MAX_BYTES = 256 * 1024


def hook(event: str, **fields: Any) -> dict[str, Any]:
    return {
        "session_id": "8c35adc1-0000-4000-8000-000000000000",
        "transcript_path": "/home/me/.claude/projects/p/8c35adc1.jsonl",
        "cwd": "/home/me/p",
        "permission_mode": "default",
        "hook_event_name": event,
        **fields,
    }


def tell(event: str, *, now: int = NOW, **fields: Any) -> Publish:
    return tell_all(hook(event, **fields), now)


def tell_all(told_by: dict[str, Any], now: int = NOW) -> Publish:
    (told,) = publishes_of(told_by, now)
    stored = accept(SESSION, told, now, EVENT_MAX_BYTES)
    assert (stored.id, stored.time) == (told.id, now)
    return told


def test_a_call_and_its_result() -> None:
    tool = {"tool_name": "Bash", "tool_use_id": "toolu_1", "tool_input": {"command": "make test"}}
    call = tell("PreToolUse", **tool)
    result = tell("PostToolUse", **tool, tool_response={"stdout": "ok", "stderr": ""}, duration_ms=1500)
    assert (call.stream, call.type, call.id) == (f"session:{hook('')['session_id']}", "tool_call", "toolu_1")
    assert call.data == {
        "agent_id": "claude-code",
        "source": "hook",
        "cwd": "/home/me/p",
        "tool_name": "Bash",
        "input_summary": "make test",
        "tool_input": {"command": "make test"},
        "status": "started",
        "permission_mode": "default",
    }
    assert (result.type, result.id) == ("tool_result", "toolu_1:result")
    assert result.data["parent_event_id"] == "toolu_1"
    assert result.data["execution_duration_seconds"] == 1.5
    assert (result.data["status"], result.data["output_summary"]) == ("completed", "ok")


@pytest.mark.parametrize("event", ["PostToolUse", "PostToolUseFailure"])
def test_a_call_that_failed(event: str) -> None:
    told = tell(event, tool_name="Bash", tool_use_id="toolu_1", error="exit code 2", is_interrupt=False)
    assert (told.type, told.id, told.data["status"]) == ("error", "toolu_1:result", "error")
    assert told.data["output_summary"] == "exit code 2"
    assert told.data["is_interrupt"] is False


def test_a_subagent() -> None:
    agent: dict[str, Any] = {"agent_id": "a7be2f0", "agent_type": "Explore"}
    begun = tell("SubagentStart", **agent)
    call = tell(
        "PreToolUse", **agent, tool_name="Read", tool_use_id="toolu_2", tool_input={"file_path": "/a"}
    )
    ended = tell("SubagentStop", **agent, last_assistant_message="Found it.")
    assert (begun.type, begun.id, begun.data["agent_id"]) == ("delegation", "agent:a7be2f0", "a7be2f0")
    assert (call.data["agent_id"], call.data["agent_type"]) == ("a7be2f0", "Explore")
    assert (ended.type, ended.data["parent_event_id"]) == ("completion", "agent:a7be2f0")
    assert ended.data["output_summary"] == "Found it."


def test_a_session_from_start_to_end() -> None:
    start = tell("SessionStart", source="resume", model="claude-opus", session_title="Mend it")
    stop = tell("Stop", stop_hook_active=False, last_assistant_message="Done.")
    failure = tell("StopFailure", error="rate_limit")
    end = tell("SessionEnd", reason="logout")
    assert start.type == "start"
    assert start.data["source"] == "hook"
    assert (start.data["start_source"], start.data["model"], start.data["title"]) == (
        "resume",
        "claude-opus",
        "Mend it",
    )
    assert (stop.type, stop.data["output_summary"]) == ("stop", "Done.")
    assert (failure.type, failure.data["output_summary"]) == ("error", "rate_limit")
    assert (end.type, end.data["reason"]) == ("end", "logout")


def test_questions_to_the_user() -> None:
    asked = tell("PermissionRequest", tool_name="Bash", tool_input={"command": "rm -r x"})
    denied = tell("PermissionDenied", tool_name="Bash", tool_use_id="toolu_3", reason="no")
    noted = tell("Notification", message="Waiting", notification_type="idle_prompt", title="Claude")
    assert (asked.type, asked.data["status"], asked.data["input_summary"]) == (
        "permission_request",
        "waiting",
        "rm -r x",
    )
    assert (denied.data["parent_event_id"], denied.data["output_summary"]) == ("toolu_3", "no")
    assert (noted.data["output_summary"], noted.data["notification_type"]) == ("Waiting", "idle_prompt")


def test_a_prompt_is_known_by_its_id_if_it_has_one() -> None:
    named = [tell("UserPromptSubmit", prompt="go on", prompt_id="p1", now=now) for now in (NOW, NOW + 1)]
    unnamed = [tell("UserPromptSubmit", prompt="go on", now=now) for now in (NOW, NOW, NOW + 1)]
    assert {told.id for told in named} == {"prompt:p1"}
    assert named[0].data["input_summary"] == "go on"
    assert unnamed[0].id == unnamed[1].id != unnamed[2].id


def test_an_event_without_an_id_is_the_same_one_only_at_the_same_time() -> None:
    first, again, later, other = (
        tell("Notification", message=message, now=now)
        for message, now in (("a", NOW), ("a", NOW), ("a", NOW + 1), ("b", NOW))
    )
    assert first.id == again.id
    assert len({first.id, later.id, other.id}) == 3


def test_an_event_of_a_future_version_is_kept() -> None:
    told = tell("WorktreeCreate2Done", name="feature", type="x", depth=2, deep={"a": [1]}, huge=["x" * 2_000])
    assert told.type == "worktree_create2_done"
    assert told.data["output_summary"] == "feature"
    assert (told.data["hook_type"], told.data["depth"], told.data["deep"]) == ("x", 2, {"a": [1]})
    assert "huge" not in told.data


def test_what_is_large_is_cut_and_the_event_is_kept() -> None:
    extras: dict[str, Any] = {f"extra_{number}": "\x01" * 5_000 for number in range(50)}
    told = tell(
        "PostToolUse",
        tool_name="Bash",
        tool_use_id="toolu_1",
        tool_response={"stdout": "\x01" * 10_000_000},
        **extras,
    )
    assert len(told.data["output_summary"]) == MAX_SUMMARY_CHARS
    kept = [name for name in told.data if name.startswith("extra_")]
    assert len(kept) < 50
    assert len(kept) <= EXTRA_MAX_FIELDS
    assert len(told.data["extra_0"]) == FIELD_MAX_CHARS


@pytest.mark.parametrize(
    "odd",
    [
        {"tool_use_id": 7},
        {"tool_use_id": "x" * 500},
        {"tool_use_id": "a\nb"},
        {"tool_name": {"a": 1}},
        {"duration_ms": -1},
        {"duration_ms": float("inf")},
        {"duration_ms": "12"},
        {"tool_input": "text", "tool_response": 3},
        {"tool_input": [1], "tool_response": [None, {"type": "image"}]},
        {"model": {"id": "x"}, "agent_id": "", "cwd": None},
        {"error": {"message": "x"}},
    ],
)
@pytest.mark.parametrize(
    "event", ["PreToolUse", "PostToolUse", "PostToolUseFailure", "UserPromptSubmit", "New"]
)
def test_fields_of_other_types_than_expected_do_no_harm(event: str, odd: dict[str, Any]) -> None:
    tell(event, **odd)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(), children, max_size=3),
    max_leaves=8,
)


@given(
    event=st.sampled_from(["PreToolUse", "PostToolUse", "Stop", "SessionStart", "Other"])
    | st.text(min_size=1),
    fields=st.dictionaries(
        st.sampled_from(
            ["tool_input", "tool_response", "error", "tool_use_id", "source", "data", "status", "seq"]
        )
        | st.text(),
        json_values,
        max_size=6,
    ),
)
def test_any_object_with_a_session_and_a_name_is_an_event(event: str, fields: dict[str, Any]) -> None:
    tell_all({**fields, **hook(event)})


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"{", b"[]", b"null", b'{"a": NaN}', b"[" * 100_000])
def test_garbage_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidEvent):
        decode_hook(body)


def test_half_a_pair_where_a_text_was_cut_is_mended() -> None:
    body = json.dumps(hook("Notification", message="cut \ud83d")).encode()
    (told,) = publishes_of(decode_hook(body), NOW)
    assert told.data["output_summary"] == "cut ?"


@pytest.mark.parametrize(
    "fields", [{"hook_event_name": None}, {"hook_event_name": ""}, {"hook_event_name": 3}]
)
def test_what_does_not_say_what_happened_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidEvent):
        publishes_of(hook("", **fields), NOW)


@pytest.mark.parametrize("session_id", [None, "", "..", 5])
def test_what_does_not_say_in_which_session_is_refused(session_id: object) -> None:
    with pytest.raises(InvalidStreamName):
        publishes_of(hook("Stop", session_id=session_id), NOW)


@pytest.mark.parametrize("session_id", ["a/b", "../x", "a" * 300, "é"])
def test_a_session_that_no_stream_can_be_called_after_is_made_to_fit(session_id: str) -> None:
    told = tell("Stop", session_id=session_id)
    assert told.stream == session_stream(session_id)
    (read,) = Transcript(session_id).feed(LINE)
    assert read.stream == told.stream, "the transcript is in the same stream"


def test_what_nests_too_deep_is_left_out() -> None:
    def nested(depth: int) -> Any:
        return [nested(depth - 1)] if depth else []

    told = tell("PreToolUse", tool_name="X", tool_input={"a": nested(80)}, extra=nested(80), other=nested(50))
    assert "tool_input" not in told.data
    assert "extra" not in told.data
    assert told.data["other"] == nested(50)
    assert told.data["input_summary"].startswith('{"a":[[[')
