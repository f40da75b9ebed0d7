"""What a tool was given and what it answered, in words: the same from a hook as from a transcript."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

import msgspec

from runcast.errors import InvalidEvent
from runcast.kinds.base import check_nesting
from runcast.kinds.session import cut_text

TOOL_INPUT_BYTES: Final = 4 * 1024
"""An input of at most so much JSON is kept whole beside its summary."""
MAX_DEPTH: Final = 60
"""Nor is anything kept whole whose lists and objects nest deeper: an event has room for little more."""

Input = Mapping[str, Any]


def summarise_input(tool_name: str, tool_input: Input) -> str:
    """What a call is about: a command, a path, a pattern, an address, else the input as compact JSON.

    Cut like every summary of a session. A command keeps its line breaks.
    """
    summarise = _BY_TOOL.get(tool_name)
    return cut_text((summarise(tool_input) if summarise else "") or to_json(tool_input))


def summarise_output(answer: object) -> str:
    """The text of a tool's answer, cut like every summary of a session.

    `answer` is what a transcript's `tool_result` holds (a text, or a list of blocks) or what a hook gets as
    `tool_response` (also the tool's own object, of which the part that a person would read is taken).
    """
    return cut_text(_text_of(answer))


def small_input(tool_input: Input) -> dict[str, Any] | None:
    """The whole input, to be kept as `tool_input`, if it is small; None otherwise."""
    return dict(tool_input) if tool_input and is_small(tool_input, TOOL_INPUT_BYTES) else None


def is_small(value: object, most_chars: int) -> bool:
    """Whether a value of JSON can be kept whole: it is not longer than that, and not nested too deep."""
    text = to_json(value)
    if len(text) > most_chars:
        return False
    try:
        if text.count("{") + text.count("[") > MAX_DEPTH:
            check_nesting(value, MAX_DEPTH)
    except InvalidEvent:
        return False
    return True


def to_json(value: object) -> str:
    """Compact JSON for people; what JSON cannot hold is written as Python would, what nests too deep is named."""
    try:
        return msgspec.json.encode(value, enc_hook=repr).decode()
    except RecursionError:
        return "[nested too deep]"


# --- inputs --------------------------------------------------------------------------------------


def _get(tool_input: Input, *names: str) -> str:
    """The first of `names` that has a text."""
    for name in names:
        value = tool_input.get(name)
        if isinstance(value, str) and value:
            return value
    return ""


def _field(*names: str) -> Callable[[Input], str]:
    return lambda tool_input: _get(tool_input, *names)


def _read(tool_input: Input) -> str:
    path = _get(tool_input, "file_path", "path")
    first, count = tool_input.get("offset"), tool_input.get("limit")
    if not path or not isinstance(first or count, int):
        return path
    begin = first if isinstance(first, int) else 1
    return f"{path}:{begin}-{begin + count - 1}" if isinstance(count, int) else f"{path}:{begin}-"


def _write(tool_input: Input) -> str:
    path, content = _get(tool_input, "file_path", "path"), tool_input.get("content")
    return f"{path} ({_count(content)})" if path and isinstance(content, str) else path


def _edit(tool_input: Input) -> str:
    path = _get(tool_input, "file_path", "path", "notebook_path")
    old, new = tool_input.get("old_string"), tool_input.get("new_string")
    if path and isinstance(old, str) and isinstance(new, str):
        return f"{path} (-{_count(old)}, +{_count(new)})"
    edits = tool_input.get("edits")
    return f"{path} ({len(cast('list[Any]', edits))} edits)" if path and isinstance(edits, list) else path


def _search(tool_input: Input) -> str:
    pattern, path = _get(tool_input, "pattern"), _get(tool_input, "path", "glob")
    return f"{pattern} in {path}" if pattern and path else pattern


def _count(text: str) -> str:
    lines = text.count("\n") + (not text.endswith("\n")) if text else 0
    return "1 line" if lines == 1 else f"{lines} lines"


_BY_TOOL: Final[dict[str, Callable[[Input], str]]] = {
    "Bash": _field("command"),
    "BashOutput": _field("bash_id"),
    "Read": _read,
    "Write": _write,
    "Edit": _edit,
    "MultiEdit": _edit,
    "NotebookEdit": _edit,
    "Grep": _search,
    "Glob": _search,
    "LS": _field("path"),
    "WebFetch": _field("url"),
    "WebSearch": _field("query"),
    "Task": _field("description", "prompt"),
    "Agent": _field("description", "prompt"),
    "TaskCreate": _field("subject", "description"),
    "TaskOutput": _field("task_id"),
    "Skill": _field("skill", "command"),
    "SlashCommand": _field("command"),
    "ToolSearch": _field("query"),
    "ExitPlanMode": _field("plan"),
}

# --- outputs -------------------------------------------------------------------------------------

_TEXTS: Final = ("stdout", "stderr", "text", "result", "output", "message", "error")
"""The fields of a tool's own object that hold what it said, in the order in which they are shown."""


def _text_of(answer: object) -> str:
    if answer is None:
        return ""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list):
        return "\n".join(filter(None, map(_block, cast("list[object]", answer))))
    if isinstance(answer, Mapping):
        return _object(cast("Mapping[str, object]", answer))
    return to_json(answer)


def _block(block: object) -> str:
    """One block of an answer; what is no text is named, for example `[image]`."""
    if not isinstance(block, Mapping):
        return _text_of(block)
    fields = cast("Mapping[str, object]", block)
    if isinstance(text := fields.get("text"), str):
        return text
    if isinstance(name := fields.get("tool_name"), str):
        return name
    return f"[{fields['type']}]" if isinstance(fields.get("type"), str) else to_json(fields)


def _object(answer: Mapping[str, object]) -> str:
    if isinstance(file := answer.get("file"), Mapping):
        return _text_of(cast("Mapping[str, object]", file).get("content"))
    for name in ("content", "filenames"):
        if isinstance(found := answer.get(name), str | list) and found:
            return _text_of(cast("object", found))
    told = [text for name in _TEXTS if isinstance(text := answer.get(name), str) and text]
    return "\n".join(told) if told or _TEXTS[0] in answer else to_json(answer)
