"""The lines beside the conversation: the system's, attachments, titles, and those of kinds unknown so far."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from runcast.core.event import MAX_TYPE_CHARS
from runcast.kinds.base import Publish
from runcast.kinds.session import cut_text
from runcast.sources.claude_code.conversation import NOTICES, prompt_of
from runcast.sources.claude_code.ids import line_id
from runcast.sources.claude_code.lines import Line, mapping, text
from runcast.sources.claude_code.state import checksum
from runcast.sources.claude_code.summaries import summarise_output
from runcast.sources.claude_code.told import Told

_TITLE_RANK: Final = {"summary": 1, "ai-title": 2, "custom-title": 3}


def system(told: Told) -> Iterator[Publish]:
    """A line of the system: its subtype is the event's type."""
    line = told.line
    if line.uuid is None:
        return
    fields: dict[str, Any] = {"output_summary": _system_text(line)}
    if isinstance(line.duration_ms, int | float) and line.duration_ms >= 0:
        fields["execution_duration_seconds"] = line.duration_ms / 1000
    if line.level == "error" or line.hook_errors:
        fields["status"] = "error"
    yield told.event(line.subtype or "system", line_id(line.uuid, 0), fields)


def queue_operation(told: Told) -> Iterator[Publish]:
    """What a person wrote while the agent was at work; what the agent writes to itself is left out."""
    wrote = text(told.line.content)
    if told.line.operation != "enqueue" or not wrote or wrote.startswith(NOTICES):
        return
    event_id = f"queued:{told.line.timestamp}:{checksum(wrote):08x}"
    yield told.event("queued_prompt", event_id, {"input_summary": cut_text(wrote)}, parent=False)


def attachment(told: Told) -> Iterator[Publish]:
    """A prompt that was queued reaches the agent so. Of other attachments only failures are told."""
    attached, uuid = mapping(told.line.attachment), told.line.uuid
    kind, wrote = str(attached.get("type")), text(attached.get("prompt"))
    if uuid and kind == "queued_command" and wrote:
        yield from prompt_of(told, wrote, 0)
    elif uuid and "error" in kind:
        said = text(attached.get("stderr")) or text(attached.get("content")) or summarise_output(attached)
        yield told.event(kind, line_id(uuid, 0), {"output_summary": cut_text(said), "status": "error"})


def titled(told: Told) -> Iterator[Publish]:
    """A title. One given by the user stays; a summary at the top of a file may be of another session."""
    line, state = told.line, told.state
    rank, title = _TITLE_RANK[line.type], text(line.custom_title or line.ai_title or line.summary)
    if title is None or rank < state.title_rank or title == state.title:
        return
    if line.type != "summary" or state.last_time is not None:
        state.title, state.title_rank, state.title_due = title, rank, True
    if state.title_due and told.time_us is not None:
        yield due_title(told)


def due_title(told: Told) -> Publish:
    """The newest title; it waits for a line with a time, because lines with titles have none."""
    told.state.title_due = False
    title = cut_text(told.state.title or "", 200)
    event_id = f"title:{told.state.title_rank}:{checksum(title):08x}"
    return told.event("title", event_id, {"title": title, "output_summary": title}, parent=False)


def pull_request(told: Told) -> Iterator[Publish]:
    """A pull request that came of the session."""
    if url := text(told.line.pr_url):
        yield told.event("pr_link", f"pr:{checksum(url):08x}", {"output_summary": cut_text(url)})


def unknown(told: Told) -> Iterator[Publish]:
    """A line of a kind that is not known here, if it has an id, a time and a text."""
    line = told.line
    said = text(line.content) or text(line.message) or text(line.summary)
    if said and line.uuid and line.timestamp and line.type.isprintable() and line.type:
        yield told.event(
            line.type[:MAX_TYPE_CHARS], line_id(line.uuid, 0), {"output_summary": cut_text(said)}
        )


def _system_text(line: Line) -> str | None:
    said = text(line.content)
    about = mapping(line.compact_metadata)
    if about.get("preTokens"):
        return f"{said or 'Compacted'} ({about.get('trigger')}, {about['preTokens']} tokens before)"
    if line.hook_errors:
        return summarise_output(line.hook_errors)
    if said is None and line.error is not None:
        return summarise_output(line.error)
    return cut_text(said) if said else None
