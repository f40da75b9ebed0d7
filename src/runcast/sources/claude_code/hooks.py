"""What a hook of Claude Code tells, as events of its session.

A hook is one JSON object, given on stdin or posted. All have `session_id`, `cwd` and `hook_event_name`; the rest
depends on the event, and new events and fields appear with every version of Claude Code. So an event that is not
known here is kept under its own name, and fields that are not known are kept as they are while they are small.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any, Final, NamedTuple, cast

import msgspec

from runcast.core.event import MAX_ID_CHARS, MAX_TYPE_CHARS
from runcast.errors import InvalidEvent
from runcast.kinds.base import Publish
from runcast.kinds.session import MAX_SUMMARY_CHARS, cut_text
from runcast.sources.claude_code.ids import (
    EVENT_TYPE,
    MAIN_AGENT,
    agent_event_id,
    call_id,
    prompt_event_id,
    result_id,
)
from runcast.sources.claude_code.summaries import (
    is_small,
    small_input,
    summarise_input,
    summarise_output,
    to_json,
)
from runcast.sources.naming import session_stream

FIELD_MAX_CHARS: Final = 1_000
"""Any other text than a summary is cut to so much; an object or a list is kept if its JSON is not longer."""
EXTRA_MAX_FIELDS: Final = 24
"""So many fields that nobody here knows are kept."""

Hook = Mapping[str, Any]

_LONGEST_ID: Final = MAX_ID_CHARS - 20  # room for what is put around it
_WORD_BEGINS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_TEXTS: Final = ("message", "error", "last_assistant_message", "reason", "task_subject", "file_path", "name")
"""Of an event that is not known here, the fields that may say in words what happened."""

_OURS: Final = frozenset(
    {
        *("type", "seq", "cursor", "stream", "data", "event_id", "event_type", "timestamp"),
        *("agent_id", "tool_name", "input_summary", "output_summary", "status", "model", "parent_event_id"),
        *("execution_duration_seconds", "cost_tokens", "feature_id", "source", "usage", "title"),
    }
)
"""Names that mean something in a session's event: a field of a hook that is called so is kept as `hook_…`."""
_TOLD: Final = frozenset(
    {
        *("session_id", "hook_event_name", "cwd", "agent_id", "agent_type", "model"),
        *("transcript_path", "scratchpad_dir", "agent_transcript_path"),
        *(
            "tool_name",
            "tool_input",
            "tool_use_id",
            "tool_response",
            "duration_ms",
            "prompt",
            "session_title",
        ),
    }
)
"""Fields that are told by others, or say only where files of Claude Code's own lie."""


class _Told(NamedTuple):
    """An event without what all have in common. `id` is None if nothing in the hook names it."""

    type: str
    id: str | None
    fields: dict[str, Any]
    used: tuple[str, ...] = ()
    """More fields of the hook that are told by this."""


def decode_hook(body: bytes) -> dict[str, Any]:
    """Read a hook's JSON. Half of a UTF-16 pair, where a text was cut, becomes a question mark.

    Raises:
        InvalidEvent: it is no JSON object.
    """
    try:
        value = msgspec.json.decode(body)
    except (ValueError, RecursionError):  # DecodeError and UnicodeDecodeError are ValueErrors
        value = _decode_mended(body)
    if not isinstance(value, dict):
        raise InvalidEvent("body: a JSON object is expected.", field="body")
    return cast("dict[str, Any]", value)


def publishes_of(hook: Hook, now_us: int) -> list[Publish]:
    """The events that `hook` tells, at the time `now_us` in microseconds since the Unix epoch.

    A tool call, its result, a prompt and the start of a subagent have ids that other sources derive as well. Any
    other event gets its id from what it says and from `now_us`: delivered again with the same `now_us`, it is the
    same event; said again later, it is another one.

    Raises:
        InvalidEvent: it does not say what happened.
        InvalidStreamName: it does not say in which session.
    """
    name, session_id = hook.get("hook_event_name"), hook.get("session_id")
    if not isinstance(name, str) or not name:
        raise InvalidEvent("hook_event_name: missing.", field="hook_event_name")
    stream = session_stream(session_id if isinstance(session_id, str) else "")
    told = _BY_EVENT.get(name, _other)(hook)
    data = {key: value for key, value in {**_common(hook), **told.fields}.items() if value is not None}
    data |= _extras(hook, {*_TOLD, *told.used, *data})
    event_id = told.id or f"{told.type}:{now_us}:{zlib.crc32(to_json(data).encode()):08x}"
    return [Publish(stream=stream, type=told.type, data=data, id=event_id, time=now_us)]


def _decode_mended(body: bytes) -> object:
    import json  # noqa: PLC0415 - rarely needed, and a hook has no time to spare

    try:
        text = json.dumps(json.loads(body.decode("utf-8", "replace")), ensure_ascii=False)
        return msgspec.json.decode(text.encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        raise InvalidEvent("body: not valid JSON.", field="body") from None


# --- what all have in common ---------------------------------------------------------------------


def _common(hook: Hook) -> dict[str, Any]:
    model = hook.get("model")
    return {
        "agent_id": _text(hook, "agent_id") or MAIN_AGENT,
        "source": "hook",
        "cwd": _text(hook, "cwd"),
        "agent_type": _text(hook, "agent_type"),
        "model": model if isinstance(model, str) else None,
        "tool_name": _text(hook, "tool_name"),
    }


def _extras(hook: Hook, known: set[str]) -> dict[str, Any]:
    """The small fields that are told nowhere else, at most `EXTRA_MAX_FIELDS` of them."""
    extras: dict[str, Any] = {}
    for name in hook:
        value = None if name in known or len(name) > MAX_TYPE_CHARS else _small(hook[name])
        if value is not None and len(extras) < EXTRA_MAX_FIELDS:
            extras[f"hook_{name}" if name in _OURS else name] = value
    return extras


def _small(value: object) -> object:
    if isinstance(value, str):
        return cut_text(value, FIELD_MAX_CHARS)
    if isinstance(value, dict | list) and not is_small(cast("object", value), FIELD_MAX_CHARS):
        return None
    return cast("object", value)


def _text(hook: Hook, *names: str) -> str | None:
    """The first of `names` that has a text."""
    return _cut_text(hook, names, FIELD_MAX_CHARS)


def _summary(hook: Hook, *names: str) -> str | None:
    return _cut_text(hook, names, MAX_SUMMARY_CHARS)


def _cut_text(hook: Hook, names: Iterable[str], limit: int) -> str | None:
    texts = (value for name in names if isinstance(value := hook.get(name), str) and value)
    return next((cut_text(text, limit) for text in texts), None)


def _name(hook: Hook, field: str) -> str | None:
    """An id that can be part of an event's id."""
    value = hook.get(field)
    return value if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable() else None


def _seconds(hook: Hook) -> float | None:
    value = hook.get("duration_ms")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value / 1000 if isfinite(value) and value >= 0 else None


# --- one function per event ----------------------------------------------------------------------


def _call(hook: Hook) -> _Told:
    tool_use_id = _name(hook, "tool_use_id")
    fields = {**_input(hook), "status": "started"}
    return _Told(EVENT_TYPE["call"], tool_use_id and call_id(tool_use_id), fields)


def _result(hook: Hook) -> _Told:
    if hook.get("error"):
        return _failure(hook)
    return _ended(hook, EVENT_TYPE["result"], "completed", summarise_output(hook.get("tool_response")))


def _failure(hook: Hook) -> _Told:
    error = hook.get("error")
    text = summarise_output(hook.get("tool_response") if error is None else error)
    return _ended(hook, EVENT_TYPE["failed"], "error", text)


def _ended(hook: Hook, event_type: str, status: str, output: str) -> _Told:
    tool_use_id = _name(hook, "tool_use_id")
    fields = {
        "status": status,
        "output_summary": output or None,
        "parent_event_id": tool_use_id and call_id(tool_use_id),
        "execution_duration_seconds": _seconds(hook),
    }
    return _Told(event_type, tool_use_id and result_id(tool_use_id), fields, ("error",))


def _prompt(hook: Hook) -> _Told:
    prompt_id = _name(hook, "prompt_id")
    event_id = prompt_id and prompt_event_id(prompt_id)
    return _Told(EVENT_TYPE["prompt"], event_id, {"input_summary": _summary(hook, "prompt")})


def _start(hook: Hook) -> _Told:
    fields = {
        "status": "started",
        "start_source": _text(hook, "source"),
        "title": _text(hook, "session_title"),
        "transcript_path": _text(hook, "transcript_path"),
    }
    return _Told(EVENT_TYPE["start"], None, fields, ("source",))


def _end(hook: Hook) -> _Told:
    return _Told(EVENT_TYPE["end"], None, {"status": "completed", "reason": _text(hook, "reason")})


def _stop(hook: Hook) -> _Told:
    fields = {"status": "completed", "output_summary": _summary(hook, "last_assistant_message")}
    return _Told("stop", None, fields, ("last_assistant_message",))


def _stop_failure(hook: Hook) -> _Told:
    fields = {
        "status": "error",
        "output_summary": _summary(hook, "error_details", "error", "last_assistant_message"),
    }
    return _Told(EVENT_TYPE["failed"], None, fields, ("last_assistant_message", "error_details"))


def _agent_start(hook: Hook) -> _Told:
    agent_id = _name(hook, "agent_id")
    fields = {"status": "started", "input_summary": _text(hook, "agent_type")}
    return _Told(EVENT_TYPE["agent"], agent_id and agent_event_id(agent_id), fields)


def _agent_stop(hook: Hook) -> _Told:
    agent_id = _name(hook, "agent_id")
    fields = {
        "status": "completed",
        "output_summary": _summary(hook, "last_assistant_message"),
        "parent_event_id": agent_id and agent_event_id(agent_id),
    }
    return _Told("completion", None, fields, ("last_assistant_message",))


def _notification(hook: Hook) -> _Told:
    fields = {"output_summary": _summary(hook, "message"), "notification_title": _text(hook, "title")}
    return _Told("notification", None, fields, ("message", "title"))


def _permission(event_type: str, status: str) -> Callable[[Hook], _Told]:
    def tell(hook: Hook) -> _Told:
        tool_use_id = _name(hook, "tool_use_id")
        fields = {
            **_input(hook),
            "status": status,
            "output_summary": _summary(hook, "reason"),
            "parent_event_id": tool_use_id and call_id(tool_use_id),
        }
        return _Told(event_type, None, fields, ("reason",))

    return tell


def _other(hook: Hook) -> _Told:
    name = "".join(filter(str.isprintable, hook["hook_event_name"])) or "hook"
    event_type = _WORD_BEGINS.sub("_", name).lower()[:MAX_TYPE_CHARS]
    return _Told(event_type, None, {**_input(hook), "output_summary": _summary(hook, *_TEXTS)})


def _input(hook: Hook) -> dict[str, Any]:
    tool_input = hook.get("tool_input")
    if tool_input is None:
        return {}
    if not isinstance(tool_input, Mapping):
        return {"input_summary": summarise_output(cast("object", tool_input))}
    given = cast("Mapping[str, Any]", tool_input)
    summary = summarise_input(_text(hook, "tool_name") or "", given)
    return {"input_summary": summary, "tool_input": small_input(given)}


_BY_EVENT: Final[Mapping[str, Callable[[Hook], _Told]]] = {
    "PreToolUse": _call,
    "PostToolUse": _result,
    "PostToolUseFailure": _failure,
    "PermissionRequest": _permission("permission_request", "waiting"),
    "PermissionDenied": _permission("permission_denied", "denied"),
    "UserPromptSubmit": _prompt,
    "SessionStart": _start,
    "SessionEnd": _end,
    "Stop": _stop,
    "StopFailure": _stop_failure,
    "SubagentStart": _agent_start,
    "SubagentStop": _agent_stop,
    "Notification": _notification,
}
