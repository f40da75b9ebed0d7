"""The conversation: what the model says and does, what its tools answer, and what it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from runcast.kinds.base import Publish
from runcast.kinds.session import cut_text
from runcast.sources.claude_code import lines
from runcast.sources.claude_code.ids import (
    USAGE_FIELDS,
    call_id,
    line_id,
    prompt_event_id,
    result_id,
    usage_id,
)
from runcast.sources.claude_code.lines import Block, mapping, text
from runcast.sources.claude_code.state import (
    MAX_AGENTS,
    MAX_CALLS,
    MAX_MESSAGES,
    Call,
    Origin,
    checksum,
    remember,
)
from runcast.sources.claude_code.summaries import small_input, summarise_input, summarise_output
from runcast.sources.claude_code.told import Told

NOTICES: Final = ("<task-notification>", "<system-reminder>")
"""How a text begins that the agent's surroundings wrote, not a person."""

_OUTPUT: Final = USAGE_FIELDS.index("output_tokens")
_AGENT_TOOLS: Final = frozenset({"Task", "Agent"})
_LOCAL: Final = ("<local-command-", "<bash-")
_INTERRUPTED: Final = "[Request interrupted by user"


def assistant(told: Told) -> Iterator[Publish]:
    """What the model says, thinks and does; the line's first tool call, or first event, says what it cost."""
    message, blocks = told.line.fields, told.line.blocks()
    told.model = None if message.get("model") == "<synthetic>" else text(message.get("model"))
    told.message_id = text(message.get("id"))
    cost = _spend(told, told.message_id or told.line.uuid or "", mapping(message.get("usage")))
    events = [event for n, block in enumerate(blocks) if (event := _said(told, n, block))]
    payer = next((event for event in events if event.type == "tool_call"), None)
    payer = payer or (events[0] if events else None)
    if payer is not None:
        payer.data.update(cost)
    elif cost and told.line.uuid:
        events.append(told.event("usage", usage_id(line_id(told.line.uuid, 0)), cost))
    yield from events


def _said(told: Told, index: int, block: Block) -> Publish | None:
    kind, use_id = str(block.get("type")), text(block.get("id"))
    if kind.endswith("tool_use") and use_id:
        return _call(told, use_id, block)
    if kind.endswith("tool_result") and text(block.get("tool_use_id")):
        return _result(told, block)
    said = text(block.get("text") or block.get("thinking"))
    if told.line.uuid is None or (said is None and "thinking" not in kind):
        return None  # a thought may be withheld, and is still one; a blank text is none
    fields: dict[str, Any] = {"output_summary": cut_text(said) if said else None}
    if told.line.is_api_error_message:
        return told.event("error", line_id(told.line.uuid, index), {**fields, "status": "error"})
    told_as = "thinking" if "thinking" in kind else "message" if kind == "text" else kind
    return told.event(told_as, line_id(told.line.uuid, index), fields)


def _call(told: Told, use_id: str, block: Block) -> Publish:
    tool, given = str(block.get("name")), mapping(block.get("input"))
    call = Call(tool, told.time_us)
    if tool in _AGENT_TOOLS:
        call.prompt = checksum(str(given.get("prompt")))
        call.agent_type = text(given.get("subagent_type"))
        call.description = text(given.get("description"))
    remember(told.state.calls, use_id, call, MAX_CALLS)
    fields: dict[str, Any] = {
        "tool_name": tool,
        "input_summary": summarise_input(tool, given),
        "status": "started",
    }
    if whole := small_input(given):
        fields["tool_input"] = whole
    return told.event("tool_call", call_id(use_id), fields)


def _spend(told: Told, message_id: str, usage: Block) -> dict[str, Any]:
    """What this line's usage has more than was told of its message; nothing if it has no more."""
    now = [_whole(usage.get(name)) for name in USAGE_FIELDS]
    before = told.state.told.pop(message_id, None) or [0] * len(now)
    more = [max(0, new - old) for new, old in zip(now, before, strict=True)]
    remember(told.state.told, message_id, [*map(max, now, before)], MAX_MESSAGES)
    if not any(more):
        return {}
    return {"cost_tokens": more[_OUTPUT], "usage": dict(zip(USAGE_FIELDS, more, strict=True))}


def user(told: Told) -> Iterator[Publish]:
    """What tools answer, and what the model is asked or told besides."""
    blocks = told.line.blocks()
    result = lines.agent_result(told.line)
    for block in blocks:
        if block.get("type") == "tool_result" and text(block.get("tool_use_id")):
            if result is not None:
                yield from _agent(told, str(result.agent_id), str(block["tool_use_id"]), result.prompt)
            yield _result(told, block)
    wrote = lines.user_text(blocks)
    if wrote and told.line.uuid:
        yield from prompt_of(told, wrote, _first_text(blocks))


def _result(told: Told, block: Block) -> Publish:
    use_id = str(block["tool_use_id"])
    call = told.state.calls.pop(use_id, None)
    failed = bool(block.get("is_error"))
    fields: dict[str, Any] = {
        "tool_name": call.tool if call else None,
        "output_summary": summarise_output(block.get("content")),
        "status": "error" if failed else "completed",
        "parent_event_id": call_id(use_id),
    }
    if call and call.time_us is not None and told.time_us is not None:
        fields["execution_duration_seconds"] = max(0, told.time_us - call.time_us) / 1e6
    return told.event("error" if failed else "tool_result", result_id(use_id), fields)


def prompt_of(told: Told, wrote: str, index: int) -> Iterator[Publish]:
    """A text that the model got, by who wrote it: the user, a command of theirs, or the surroundings."""
    line, event_type = told.line, "user_prompt"
    if wrote.startswith(_INTERRUPTED):
        event_type = "interrupted"
    elif line.is_meta or line.is_compact_summary or told.is_subagent or wrote.startswith(NOTICES):
        event_type = "context"
    elif wrote.startswith(_LOCAL):
        event_type = "local_command"
    event_id = line_id(str(line.uuid), index)
    if event_type == "user_prompt":
        if line.prompt_id and line.prompt_id != told.state.prompt_id:
            told.state.prompt_id = line.prompt_id
            event_id = prompt_event_id(line.prompt_id)  # a hook may have told it
        told.state.prompt = event_id
    fields = {"input_summary": cut_text(wrote)}
    yield told.event(event_type, event_id, fields, parent=event_type != "user_prompt")


def progress(told: Told) -> Iterator[Publish]:
    """A subagent's beginning, by the first line that repeats what it does; all other progress is left out."""
    found = lines.agent_progress(told.line)
    parent = text(told.line.parent_tool_use_id)
    if found and parent:
        yield from _agent(told, str(found.agent_id), parent, found.prompt)


def _agent(told: Told, agent_id: str, use_id: str, prompt: object) -> Iterator[Publish]:
    """A subagent of this file's agent, told when it is first heard of."""
    if agent_id in told.state.agents:
        return
    call = told.state.calls.get(use_id)
    origin = Origin(call_id(use_id), *((call.agent_type, call.description) if call else ()))
    remember(told.state.agents, agent_id, origin, MAX_AGENTS)
    begun = told.delegation(agent_id, origin, text(prompt) or "")
    begun.time = call.time_us if call else told.time_us
    yield begun


def _first_text(blocks: list[Block]) -> int:
    return next((n for n, block in enumerate(blocks) if block.get("type") != "tool_result"), 0)


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
