"""An event as one line for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.text import Text

from runcast.cli.output import clean, columns, console
from runcast.cli.run_words import TYPE_STYLES, words_of

STYLES: Final = {
    "error": "bold red",
    "cost_alert": "bold yellow",
    "bottleneck": "bold yellow",
    "tool_call": "cyan",
    "tool_result": "blue",
    "message": "default",
    "user_prompt": "bold green",
    "thinking": "dim",
    "delegation": "magenta",
    "start": "green",
    "end": "green",
    "completion": "green",
}
SHOWN: Final = ("tool_name", "status", "agent_id", "execution_duration_seconds", "cost_tokens")
"""Fields of a session's event that have a place of their own in the line."""
SUMMARIES: Final = ("output_summary", "input_summary")
PLAIN_CHARS: Final = 500
"""The longest line that goes into a file or a pipe; `--json` has all of every event."""
BLANK: Final = (None, "", 0, 0.0, "unknown", "recorded", "completed", "started")


class LinePrinter:
    """Prints native events, a line each: as wide as the terminal, and bounded elsewhere."""

    def __init__(self, *, with_stream: bool, out: Console | None = None) -> None:
        self._with_stream = with_stream
        self._out = out or console()

    def print(self, event: Mapping[str, Any]) -> None:
        """Print one."""
        line = line_of(event, with_stream=self._with_stream)
        line.truncate(columns() if self._out.is_terminal else PLAIN_CHARS, overflow="ellipsis")
        self._out.print(line, soft_wrap=True)
        self._out.file.flush()


def line_of(event: Mapping[str, Any], *, with_stream: bool) -> Text:
    """One event: time, stream, type, tool, what it is about, and what it took."""
    data: Mapping[str, Any] = event.get("data") or {}
    line = Text(no_wrap=True)
    line.append(f"{_clock(str(event['time']))}  ", "dim")
    if with_stream:
        line.append(f"{clean(str(event['stream']))}  ", "dim cyan")
    event_type = clean(str(event["type"]))
    failed = data.get("status") in {"error", "failed", "timeout"}
    words = words_of(event)
    if words is not None:
        line.append(
            f"{event_type:<18}", STYLES["error"] if failed else TYPE_STYLES.get(event_type, "default")
        )
        line.append(f"  {words}" if words else "")
        line.rstrip()
        return line
    line.append(f"{event_type:<12}", STYLES["error"] if failed else STYLES.get(event_type, "default"))
    for text, style in _details(data):
        line.append("  ")
        line.append(text, style)
    return line


def _details(data: Mapping[str, Any]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name, style in (("tool_name", "bold"), ("status", "yellow")):
        if data.get(name) not in BLANK:
            found.append((clean(str(data[name])), style))
    seconds, tokens = data.get("execution_duration_seconds"), data.get("cost_tokens")
    if isinstance(seconds, int | float) and seconds:
        found.append((duration(seconds), "dim"))
    if isinstance(tokens, int) and tokens:
        found.append((f"{tokens:,} tokens", "dim"))
    about = _about(data)
    return [*found, (about, "default")] if about else found


def _about(data: Mapping[str, Any]) -> str:
    """What the event is about: its summary, or whatever other fields it has."""
    for name in SUMMARIES:
        if isinstance(data.get(name), str) and data[name]:
            return clean(data[name])
    skipped = {*SHOWN, *SUMMARIES, "model", "parent_event_id", "feature_id"}
    rest = {name: value for name, value in data.items() if name not in skipped and value not in BLANK}
    return clean(" ".join(f"{name}={_value(value)}" for name, value in rest.items()))


def _value(value: object) -> str:
    """A text as it is, and anything else as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def duration(seconds: float) -> str:
    """A time that was taken: 3 ms, 4.20 s, 2 m 05 s."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 else "<1 ms"
    if seconds < 59.995:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} m" if hours else f"{minutes} m {rest:02d} s"


def ago(time: str, now: datetime | None = None) -> str:
    """How long ago a time by RFC 3339 was."""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(time)).total_seconds()
    if seconds < 1:
        return "now"
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{int(seconds)} s ago"


def _clock(time: str) -> str:
    """The local time of day, to the millisecond; of another day than today, with its date instead."""
    local = datetime.fromisoformat(time).astimezone()
    if local.date() == datetime.now().astimezone().date():
        return local.strftime("%H:%M:%S.%f")[:-3]
    return local.strftime("%Y-%m-%d %H:%M:%S")
