"""Transcripts as events: every kind of line, what things cost, and going on in the middle of a file."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from runcast.core.event import parse_time
from runcast.kinds.base import Publish
from runcast.sources.claude_code.state import MAX_AGENTS, MAX_CALLS, MAX_MESSAGES, Origin
from runcast.sources.claude_code.told import usage_event
from runcast.sources.claude_code.transcript import Transcript

T0 = "2026-02-11T21:41:44.800Z"
T1 = "2026-02-11T21:41:47.300Z"


def line(kind: str, **fields: Any) -> bytes:
    common = {"type": kind, "uuid": "u1", "timestamp": T0, "sessionId": "s1", "cwd": "/home/me"}
    return json.dumps({**common, **fields}).encode()


def said(*blocks: dict[str, Any], message: str = "m1", output: int = 5, **fields: Any) -> bytes:
    usage = {
        "input_tokens": 3,
        "output_tokens": output,
        "cache_read_input_tokens": 100,
        "service_tier": "standard",
    }
    return line(
        "assistant",
        requestId="r1",
        message={"id": message, "model": "claude-x", "content": list(blocks), "usage": usage},
        **fields,
    )


def asked(content: Any, **fields: Any) -> bytes:
    return line("user", message={"role": "user", "content": content}, **fields)


def call(tool: str = "Bash", use_id: str = "toolu_1", **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": use_id, "name": tool, "input": given}


def answer(content: Any = "done", use_id: str = "toolu_1", **fields: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": use_id, "content": content, **fields}


def feed(*lines: bytes, agent_id: str | None = None) -> list[Publish]:
    transcript = Transcript("s1", agent_id)
    return [event for line in lines for event in transcript.feed(line)]


def only(*lines: bytes, **options: Any) -> Publish:
    (event,) = feed(*lines, **options)
    return event


# --- one kind of line after the other --------------------------------------------------------------


def test_a_tool_call_has_its_own_id_and_says_what_it_is_about() -> None:
    event = only(said(call(command="ls -l", description="List")))
    assert (event.stream, event.type, event.id) == ("session:s1", "tool_call", "toolu_1")
    assert event.time == parse_time(T0, 2**62)
    assert event.data == {
        "agent_id": "claude-code",
        "source": "transcript",
        "parent_event_id": None,
        "model": "claude-x",
        "message_id": "m1",
        "request_id": "r1",
        "cwd": "/home/me",
        "tool_name": "Bash",
        "input_summary": "ls -l",
        "status": "started",
        "tool_input": {"command": "ls -l", "description": "List"},
        "cost_tokens": 5,
        "usage": {
            "input_tokens": 3,
            "output_tokens": 5,
            "cache_read_input_tokens": 100,
            "cache_creation_input_tokens": 0,
        },
    }


def test_a_large_input_is_only_summed_up() -> None:
    event = only(said(call("Write", file_path="/a.py", content="x = 1\n" * 2000)))
    assert event.data["input_summary"] == "/a.py (2000 lines)"
    assert "tool_input" not in event.data


def test_a_result_belongs_to_its_call_and_knows_how_long_it_took() -> None:
    event = feed(said(call(command="ls")), asked([answer("a\nb")], timestamp=T1))[1]
    assert (event.type, event.id) == ("tool_result", "toolu_1:result")
    assert event.data["parent_event_id"] == "toolu_1"
    assert event.data["tool_name"] == "Bash"
    assert event.data["status"] == "completed"
    assert event.data["output_summary"] == "a\nb"
    assert event.data["execution_duration_seconds"] == 2.5


def test_a_failed_result_is_an_error() -> None:
    event = feed(said(call(command="ls")), asked([answer("Exit code 2", is_error=True)]))[1]
    assert (event.type, event.id, event.data["status"]) == ("error", "toolu_1:result", "error")


def test_a_result_in_blocks_is_one_text() -> None:
    blocks = [
        {"type": "text", "text": "one"},
        {"type": "image", "source": {}},
        {"type": "text", "text": "two"},
    ]
    event = only(asked([answer(blocks)]))
    assert event.data["output_summary"] == "one\n[image]\ntwo"
    assert event.data["tool_name"] is None, "its call was never read"


def test_several_calls_in_one_line_are_told_apart_and_paid_once() -> None:
    first, second = feed(said(call(command="a"), call(command="b", use_id="toolu_2")))
    assert (first.id, second.id) == ("toolu_1", "toolu_2")
    assert "usage" in first.data
    assert "usage" not in second.data


def test_a_text_is_a_message_and_a_thought_is_one_even_if_it_is_withheld() -> None:
    message, thought = feed(
        said({"type": "text", "text": "Let me look."}), said({"type": "thinking", "thinking": ""}, uuid="u2")
    )
    assert (message.type, message.id, message.data["output_summary"]) == ("message", "u1:0", "Let me look.")
    assert (thought.type, thought.id, thought.data["output_summary"]) == ("thinking", "u2:0", None)


def test_a_blank_text_says_nothing_but_what_it_cost() -> None:
    event = only(said({"type": "text", "text": "\n\n"}))
    assert (event.type, event.id, event.data["cost_tokens"]) == ("usage", "u1:0:usage", 5)
    again = feed(said({"type": "text", "text": "\n\n"}), said({"type": "text", "text": "\n\n"}, uuid="u2"))
    assert len(again) == 1, "its cost is told"


def test_an_error_of_the_api_is_an_error_without_a_model() -> None:
    message = {"id": "x", "model": "<synthetic>", "content": [{"type": "text", "text": "API Error: 529"}]}
    event = only(line("assistant", message=message, isApiErrorMessage=True))
    assert (event.type, event.data["status"]) == ("error", "error")
    assert event.data["output_summary"] == "API Error: 529"
    assert "model" not in event.data


def test_a_prompt_is_the_parent_of_what_is_done_about_it() -> None:
    prompt, acted = feed(asked("Mend it"), said(call(command="ls"), uuid="u2"))
    assert (prompt.type, prompt.id, prompt.data["input_summary"]) == ("user_prompt", "u1:0", "Mend it")
    assert acted.data["parent_event_id"] == "u1:0"


def test_a_prompt_with_an_id_of_its_own_has_that_once() -> None:
    first, second, third = feed(
        asked("One", promptId="p1"),
        asked("More", uuid="u2", promptId="p1"),
        asked("Two", uuid="u3", promptId="p2"),
    )
    assert [event.id for event in (first, second, third)] == ["prompt:p1", "u2:0", "prompt:p2"]


def test_a_prompt_names_its_pictures() -> None:
    event = only(
        asked([{"type": "image", "source": {"data": "…"}}, {"type": "text", "text": "What is this?"}])
    )
    assert event.data["input_summary"] == "[image]\nWhat is this?"


@pytest.mark.parametrize(
    ("content", "fields", "expected"),
    [
        ("This session is being continued", {"isCompactSummary": True}, "context"),
        ("Caveat", {"isMeta": True}, "context"),
        ("<task-notification>\n<task-id>b</task-id>", {}, "context"),
        ([{"type": "text", "text": "[Request interrupted by user for tool use]"}], {}, "interrupted"),
        ("<local-command-stdout>ok</local-command-stdout>", {}, "local_command"),
        ("<command-name>/review</command-name>", {}, "user_prompt"),
    ],
)
def test_what_the_model_is_told_by_others_is_no_prompt(content: Any, fields: Any, expected: str) -> None:
    assert only(asked(content, **fields)).type == expected


def test_lines_of_the_system_are_called_by_their_subtype() -> None:
    compacted = only(
        line(
            "system",
            subtype="compact_boundary",
            content="Conversation compacted",
            compactMetadata={"trigger": "auto", "preTokens": 167731},
        )
    )
    assert compacted.type == "compact_boundary"
    assert compacted.data["output_summary"] == "Conversation compacted (auto, 167731 tokens before)"
    turn = only(line("system", subtype="turn_duration", durationMs=3500))
    assert (turn.type, turn.data["execution_duration_seconds"]) == ("turn_duration", 3.5)
    failed = only(line("system", subtype="api_error", level="error", error={"status": 529}))
    assert (failed.data["status"], failed.data["output_summary"]) == ("error", '{"status":529}')
    hooks = only(line("system", subtype="stop_hook_summary", hookErrors=["boom"]))
    assert (hooks.data["status"], hooks.data["output_summary"]) == ("error", "boom")


def test_what_was_written_meanwhile_is_told_and_what_says_nothing_is_not() -> None:
    queued = only(line("queue-operation", operation="enqueue", content="And the tests?"))
    assert (queued.type, queued.data["input_summary"]) == ("queued_prompt", "And the tests?")
    assert feed(line("queue-operation", operation="enqueue", content="<task-notification>x")) == []
    assert feed(line("queue-operation", operation="dequeue")) == []
    taken = only(line("attachment", attachment={"type": "queued_command", "prompt": "And the tests?"}))
    assert (taken.type, taken.data["input_summary"]) == ("user_prompt", "And the tests?")
    failed = only(line("attachment", attachment={"type": "hook_non_blocking_error", "stderr": "boom"}))
    assert (failed.type, failed.data["status"]) == ("hook_non_blocking_error", "error")
    assert feed(line("attachment", attachment={"type": "todo_reminder"})) == []


@pytest.mark.parametrize("kind", ["hook_progress", "bash_progress", "waiting_for_task", "new_progress"])
def test_progress_is_left_out(kind: str) -> None:
    assert feed(line("progress", data={"type": kind, "fullOutput": "x"}, parentToolUseID="toolu_1")) == []


@pytest.mark.parametrize(
    "dull",
    [
        b'{"type":"file-history-snapshot","messageId":"m","snapshot":{}}',
        b'{"type":"last-prompt","lastPrompt":"x","sessionId":"s1"}',
        b'{"type":"mode","mode":"normal","sessionId":"s1"}',
        b'{"type":"agent-name","agentName":"x","sessionId":"s1"}',
        b"",
        b"  ",
    ],
)
def test_settings_and_snapshots_are_left_out_and_are_no_garbage(dull: bytes) -> None:
    transcript = Transcript("s1")
    assert transcript.feed(dull) == []
    assert transcript.garbage == 0


def test_an_unknown_line_with_a_text_is_told() -> None:
    event = only(line("away-note", content="Back in five"))
    assert (event.type, event.id, event.data["output_summary"]) == ("away-note", "u1:0", "Back in five")
    assert feed(line("away-note", other=1)) == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"{",
        b"\x00\x00\x00",
        b'{"type":"user","message":{"content":"\xff"}}',
        b"[1]",
        b"7",
        b'{"no":"type"}',
        b'{"type":5}',
        line("user", sessionId="..", message={"content": "hi"}),
        b"[" * 100_000,
    ],
)
def test_garbage_is_counted_and_skipped(garbage: bytes) -> None:
    transcript = Transcript("s1")
    assert transcript.feed(garbage) == []
    assert transcript.garbage == 1
    assert [event.type for event in transcript.feed(asked("Go on"))] == ["user_prompt"]


def test_half_of_a_pair_becomes_a_question_mark_and_the_line_counts() -> None:
    event = only(said(call(command="echo")).replace(b"echo", b"echo \\ud83d"))
    assert event.data["input_summary"] == "echo ?"
    assert event.data["cost_tokens"] == 5


def test_a_line_of_megabytes_is_an_event_with_a_cut_text() -> None:
    event = only(asked([answer("x" * 2_000_000)]))
    assert len(event.data["output_summary"]) == 16_384
    assert event.data["output_summary"].endswith("[cut, 2000000 characters]")


def test_without_a_session_of_its_own_a_line_is_of_the_files() -> None:
    raw = json.loads(asked("hi"))
    del raw["sessionId"]
    assert Transcript("named-by-file").feed(json.dumps(raw).encode())[0].stream == "session:named-by-file"
    assert only(asked("hi", sessionId="other")).stream == "session:other"


@pytest.mark.parametrize(
    "damage", [{"timestamp": None}, {"timestamp": "yesterday"}, {"timestamp": "1960-01-01T00:00:00Z"}]
)
def test_a_line_without_a_time_has_that_of_the_line_before(damage: dict[str, Any]) -> None:
    _, event = feed(asked("hi"), asked("ho", uuid="u2", **damage))
    assert event.time == parse_time(T0, 2**62)


# --- titles ------------------------------------------------------------------------------------------


def test_a_title_waits_for_a_time_and_the_users_own_stays() -> None:
    title = b'{"type":"ai-title","aiTitle":"Mend the parser","sessionId":"s1"}'
    first, prompt = feed(title, asked("hi"))
    assert (first.type, first.data["title"], first.time) == ("title", "Mend the parser", prompt.time)
    own = b'{"type":"custom-title","customTitle":"Parser","sessionId":"s1"}'
    told = [
        event.data["title"]
        for event in feed(asked("hi"), title, title, own, title, own)
        if event.type == "title"
    ]
    assert told == ["Mend the parser", "Parser"]


def test_a_summary_at_the_top_may_be_of_another_session() -> None:
    summary = b'{"type":"summary","summary":"Something else","leafUuid":"x"}'
    assert [event.type for event in feed(summary, asked("hi"))] == ["user_prompt"]
    assert [event.type for event in feed(asked("hi"), summary)] == ["user_prompt", "title"]


# --- what things cost ----------------------------------------------------------------------------------


def test_each_line_tells_what_its_message_has_cost_more() -> None:
    events = feed(
        said({"type": "thinking", "thinking": "Hm"}, output=8),
        said(call(command="a"), output=8, uuid="u2"),
        said(call(command="b", use_id="toolu_2"), output=276, uuid="u3"),
    )
    assert [event.data.get("cost_tokens") for event in events] == [8, None, 268]
    assert [event.data.get("usage", {}).get("cache_read_input_tokens") for event in events] == [100, None, 0]


def test_results_between_the_lines_of_a_message_change_nothing() -> None:
    events = feed(said(call(), output=8), asked([answer()]), said(call(use_id="toolu_2"), output=20))
    assert [event.data.get("cost_tokens") for event in events] == [8, None, 12]


def test_a_count_that_falls_or_is_none_is_not_taken_back() -> None:
    events = feed(
        said(call(), output=8), said(call(use_id="toolu_2"), output=2), said(call(use_id="toolu_3"), output=9)
    )
    assert [event.data.get("cost_tokens") for event in events] == [8, None, 1]
    odd = json.loads(said(call()))
    odd["message"]["usage"] = {"output_tokens": "many", "input_tokens": -1, "cache_read_input_tokens": None}
    assert "usage" not in only(json.dumps(odd).encode()).data


def test_the_cost_of_a_call_that_was_told_before_is_an_event_of_its_own() -> None:
    event = usage_event(only(said(call(command="ls"))))
    assert event is not None
    assert (event.type, event.id, event.data["parent_event_id"]) == ("usage", "toolu_1:usage", "toolu_1")
    assert (event.data["cost_tokens"], event.data["tool_name"], event.data["model"]) == (
        5,
        "Bash",
        "claude-x",
    )
    assert usage_event(only(asked("hi"))) is None


# --- subagents -----------------------------------------------------------------------------------------

TASK = call("Task", description="Look around", prompt="Explore!", subagent_type="Explore")
PROGRESS = line(
    "progress",
    parentToolUseID="toolu_1",
    data={"type": "agent_progress", "agentId": "a7", "prompt": "Explore!", "message": {"type": "user"}},
)


def test_a_subagent_is_told_once_with_the_call_that_began_it() -> None:
    _, begun, result = feed(
        said(TASK),
        PROGRESS,
        PROGRESS,
        asked([answer()], toolUseResult={"agentId": "a7", "prompt": "Explore!"}),
    )
    assert (begun.type, begun.id) == ("delegation", "agent:a7")
    assert begun.data["agent_id"] == "a7"
    assert begun.data["parent_event_id"] == "toolu_1"
    assert begun.data["input_summary"] == "Explore!"
    assert begun.data["agent_type"] == "Explore"
    assert begun.data["description"] == "Look around"
    assert result.type == "tool_result"


def test_a_subagent_without_progress_is_told_with_its_result() -> None:
    _, begun, _ = feed(said(TASK), asked([answer()], timestamp=T1, toolUseResult={"agentId": "a7"}))
    assert (begun.id, begun.data["parent_event_id"]) == ("agent:a7", "toolu_1")
    assert begun.time == parse_time(T0, 2**62), "when it was called"


def test_a_subagents_file_begins_with_the_same_event() -> None:
    origin = Origin("toolu_1", "Explore", "Look around")
    transcript = Transcript("s1", "a7", origin=lambda prompt: origin if prompt == "Explore!" else None)
    (begun,) = transcript.feed(asked("Explore!", agentId="a7", isSidechain=True))
    (acted,) = transcript.feed(said(call("Read", "toolu_9", file_path="/a"), uuid="u2", agentId="a7"))
    (told,) = transcript.feed(asked("<system-reminder>", uuid="u3", agentId="a7"))
    assert (begun.type, begun.id, begun.data["parent_event_id"]) == ("delegation", "agent:a7", "toolu_1")
    assert begun.data["input_summary"] == "Explore!"
    assert (acted.data["agent_id"], acted.data["parent_event_id"]) == ("a7", "agent:a7")
    assert acted.data["agent_type"] == "Explore"
    assert told.type == "context"


def test_who_began_a_subagent_is_found_by_its_id_or_by_what_it_was_asked() -> None:
    main = Transcript("s1")
    main.feed(said(TASK))
    assert main.origin_of("a7", "Explore!") == Origin("toolu_1", "Explore", "Look around")
    assert main.origin_of("a7", "Something else") is None
    main.feed(PROGRESS)
    assert main.origin_of("a7", "") == Origin("toolu_1", "Explore", "Look around")


def test_lines_of_a_nameless_subagent_in_the_main_file_are_not_the_main_agents() -> None:
    prompt, acted = feed(asked("Do it", isSidechain=True), said(call(), isSidechain=True, uuid="u2"))
    assert prompt.type == "context"
    assert (acted.data["agent_id"], acted.data["parent_event_id"]) == ("subagent", None)


# --- its memory ----------------------------------------------------------------------------------------


def test_what_it_remembers_is_bounded() -> None:
    transcript = Transcript("s1")
    for n in range(1_000):
        transcript.feed(said(call("Task", f"toolu_{n}", prompt="x" * 10_000), message=f"m{n}"))
        transcript.feed(
            line(
                "progress", parentToolUseID=f"toolu_{n}", data={"type": "agent_progress", "agentId": f"a{n}"}
            )
        )
    state = transcript.state
    assert (len(state.told), len(state.calls), len(state.agents)) == (MAX_MESSAGES, MAX_CALLS, MAX_AGENTS)
    assert len(msgspec.json.encode(state)) < 64 * 1024
