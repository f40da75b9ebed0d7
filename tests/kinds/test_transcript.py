"""Real transcripts as session events: what the tests post is right by itself."""

from collections import Counter
from functools import cache
from typing import Any

import pytest
from tests.support.strategies import NOW_US, make_event
from tests.support.transcript import (
    LONG,
    SHORT,
    TOOL_HEAVY,
    USAGE,
    read_lines,
    session_events,
    transcript_path,
)

from runcast.kinds.base import accept
from runcast.kinds.session import SESSION, from_document
from runcast.kinds.session_totals import TOTALS, Tokens

NAMES = [LONG, TOOL_HEAVY, SHORT]

by_name = pytest.mark.parametrize("name", NAMES)


@cache
def events_of(name: str) -> list[dict[str, Any]]:
    return session_events(transcript_path(name))


@cache
def usage_of(name: str) -> tuple[Counter[str], Counter[str]]:
    """The sums as a transcript repeats them, and with the last word of each message counted once."""
    path = transcript_path(name)
    naive, last = Counter[str](), {}
    for file in [path, *path.with_suffix("").glob("subagents/*.jsonl")]:
        for line in read_lines(file):
            if line["type"] == "assistant":
                usage = {key: line["message"]["usage"][key] for key in USAGE}
                naive.update(usage)
                last[line["message"]["id"]] = usage
    right = Counter[str]()
    for usage in last.values():
        right.update(usage)
    return naive, right


@by_name
def test_each_message_is_paid_once(name: str):
    naive, right = usage_of(name)
    events = events_of(name)
    assert sum(event.get("cost_tokens", 0) for event in events) == right["output_tokens"]
    for key in USAGE:
        assert sum(event.get("usage", {}).get(key, 0) for event in events) == right[key]
    assert naive["cache_creation_input_tokens"] > 2 * right["cache_creation_input_tokens"]


def test_figures_of_the_real_data():
    naive, right = usage_of(LONG)
    assert right["output_tokens"] == 40_359
    assert (
        naive["output_tokens"] == 41_225
    )  # nearly right by chance: all lines but the last have a small number
    assert (naive["cache_read_input_tokens"], right["cache_read_input_tokens"]) == (29_271_041, 16_207_141)
    assert usage_of(SHORT) == (
        Counter({key: 5 * n for key, n in usage_of(SHORT)[1].items()}),
        usage_of(SHORT)[1],
    )


@by_name
def test_the_first_tool_call_of_a_message_pays_for_it(name: str):
    callers = {
        line["message"]["id"]
        for line in read_lines(transcript_path(name))
        if line["type"] == "assistant" and line["message"]["content"][0]["type"] == "tool_use"
    }
    main = [event for event in events_of(name) if event["agent_id"] == "claude-code"]
    assert sum("usage" in event for event in main if event["event_type"] == "tool_call") == len(callers)


@by_name
def test_ids_are_unique_and_the_same_each_time(name: str):
    ids = [event["event_id"] for event in events_of(name)]
    assert len(ids) == len(set(ids))
    assert session_events(transcript_path(name)) == events_of(name)


@by_name
def test_a_parent_comes_before_its_children(name: str):
    told: set[str | None] = {None}
    for event in events_of(name):
        assert event["parent_event_id"] in told
        told.add(event["event_id"])


@by_name
def test_every_result_belongs_to_a_call(name: str):
    calls = {e["event_id"]: e for e in events_of(name) if e["event_type"] == "tool_call"}
    results = [e for e in events_of(name) if e["event_id"].endswith(":result")]
    assert len(results) == len(calls)
    for result in results:
        call = calls[result["parent_event_id"]]
        assert result["tool_name"] == call["tool_name"]
        assert result["execution_duration_seconds"] >= 0
        assert (result["event_type"] == "error") == (result["status"] == "error")


def test_subagents_are_part_of_their_session():
    agents = Counter(event["agent_id"] for event in events_of(LONG))
    assert agents == {"claude-code": 462, "a7be2f0": 52, "acompact-f46190": 7}
    first = next(event for event in events_of(LONG) if event["agent_id"] == "a7be2f0")
    caller = next(event for event in events_of(LONG) if event["event_id"] == first["parent_event_id"])
    assert (caller["event_type"], caller["tool_name"]) == ("tool_call", "Task")


@by_name
def test_every_event_is_taken_and_they_add_up(name: str):
    totals = TOTALS.initial()
    for seq, document in enumerate(events_of(name), start=1):
        new = accept(SESSION, from_document(document["session_id"], document), NOW_US * 2, 256 * 1024)
        assert len(new.data) < 64 * 1024
        TOTALS.step(totals, make_event(new.data, type=new.type, id=new.id, seq=seq, time=new.time))
    right = usage_of(name)[1]
    assert totals.events == len(events_of(name))
    assert totals.tokens == Tokens(right["output_tokens"], *(right[key] for key in USAGE))
    assert totals.errors == sum(event["event_type"] == "error" for event in events_of(name))
    assert sum(tool.calls for tool in totals.tools.values()) == totals.by_type["tool_call"]
