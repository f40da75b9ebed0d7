"""What the events of workflows and plans say, in a few words; and the words and colours of states."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, Final, cast

from runcast.cli.output import clean, plural

Fields = Mapping[str, Any]

STATES: Final[Mapping[str, tuple[str, str]]] = {
    "pending": ("·", "dim"),
    "waiting": ("·", "dim"),
    "running": ("●", "cyan"),
    "retrying": ("↻", "yellow"),
    "paused": ("‖", "yellow"),
    "review": ("?", "bold magenta"),
    "completed": ("✓", "green"),
    "skipped": ("–", "dim"),
    "failed": ("✗", "bold red"),
    "cancelled": ("■", "yellow"),
    "stopped": ("■", "yellow"),
}
"""The mark and the style of each state of runs, agents and steps."""
ASCII_MARKS: Final = str.maketrans("·●↻‖✓–✗■…", ".*~=+-x#.")

TYPE_STYLES: Final[Mapping[str, str]] = {
    "agent_spawned": "cyan",
    "agent_completed": "green",
    "agent_failed": "bold red",
    "approval_requested": "bold magenta",
    "approval_resolved": "magenta",
    "workflow_complete": "bold green",
    "workflow_error": "bold red",
    "step_started": "cyan",
    "step_completed": "green",
    "step_failed": "bold red",
    "step_retrying": "yellow",
    "step_skipped": "yellow",
    "review_required": "bold magenta",
    "review_resolved": "magenta",
    "plan_paused": "yellow",
    "plan_cancelled": "bold yellow",
    "plan_completed": "bold green",
    "plan_failed": "bold red",
    "error": "bold red",
}


def style_of(state: str) -> str:
    """The style of a state."""
    return STATES.get(state, ("", "default"))[1]


def words_of(event: Fields) -> str | None:
    """What a native event says, as one line; None if it is of neither kind, or of a type that nobody knows."""
    kind = str(event.get("stream")).partition(":")[0]
    data = fields_of(event.get("data"))
    tell = _KINDS.get(kind, {}).get(event["type"])
    if tell is None:
        return None
    step = f"{data['step_id']}: " if kind == "plan" and data.get("step_id") else ""
    try:
        words = tell(fields_of(data.get("data")) if kind == "plan" else data)
    except (TypeError, ValueError):  # somebody else's event has other types in these fields
        return None
    return clean(f"{step}{words}").removesuffix(":")


def fields_of(value: object) -> Fields:
    """An object of JSON; an empty one if it is none."""
    return cast("Fields", value) if isinstance(value, dict) else {}


def seconds_of(value: object) -> str:
    """A time that was taken; empty if it is none."""
    from runcast.cli.lines import duration

    return (
        duration(value)
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
        else ""
    )


def elapsed_of(seconds: float) -> str:
    """A time that goes on: in tenths of a second, so that it can be read while it changes."""
    return f"{max(seconds, 0):.1f} s" if seconds < 60 else seconds_of(seconds)


def answer_words(fields: Fields) -> str:
    """How a question was answered, by whom, and with which comment."""
    said = "approved" if fields.get("approved") else "refused"
    by = f" by {fields['by']}" if fields.get("by") else ""
    comment = f": {fields['comment']}" if fields.get("comment") else ""
    return f"{said}{by}{comment}"


def progress_words(percent: float, eta_s: float | None, message: str) -> str:
    """How far it is, how long it still takes, and what it is at."""
    left = "" if eta_s is None or percent >= 100 else f", about {_about(eta_s)} left"
    return f"{percent:.0f} %{left}" + (f": {message}" if message else "")


def _about(seconds: float) -> str:
    """A time that nobody knows exactly: in whole seconds, and then in minutes."""
    whole = max(ceil(seconds), 1)
    return f"{whole} s" if whole < 100 else f"{round(whole / 60)} min"


def _join(*parts: object) -> str:
    return ", ".join(str(part) for part in parts if part)


def _text(name: str) -> Callable[[Fields], str]:
    return lambda data: str(data.get(name) or "")


def _agent(data: Fields, *parts: object) -> str:
    return f"{data.get('agent_id', '?')}: {_join(*parts)}"


def _confidence(data: Fields) -> str:
    value = data.get("confidence")
    return f"confidence {value:.2f}" if isinstance(value, int | float) else ""


def _tokens(value: object) -> str:
    return plural(value, "token") if isinstance(value, int) and value else ""


def _created(data: Fields) -> str:
    return f"{data.get('workflow', '?')}: {data.get('task', '')}"


def _agent_completed(data: Fields) -> str:
    return _agent(
        data,
        "completed in " + seconds_of(data.get("seconds")),
        _confidence(data),
        _tokens(data.get("tokens")),
    )


def _status(data: Fields) -> str:
    attempt = data.get("attempt")
    again = isinstance(attempt, int) and attempt > 1
    return f"{data.get('status', '?')}" + (f" (attempt {attempt}: taken over)" if again else "")


def _complete(data: Fields) -> str:
    figures, synthesis = fields_of(data.get("performance_metrics")), fields_of(data.get("synthesis"))
    agents, calls = synthesis.get("agents_synthesized"), figures.get("llm_calls")
    return _join(
        "completed in " + seconds_of(figures.get("total_duration")),
        plural(agents, "agent") if isinstance(agents, int) and agents else "",
        plural(calls, "model call") if isinstance(calls, int) and calls else "",
        _tokens(figures.get("total_tokens")),
        _confidence(synthesis),
        f"model {data['model']}" if data.get("model") else "",
    )


def _command(data: Fields) -> str:
    by = f" by {data['by']}" if data.get("by") else ""
    reason = f": {data['reason']}" if data.get("reason") else ""
    return f"{data.get('command', '?')}{by}{reason}"


def _workflow_progress(data: Fields) -> str:
    return progress_words(data.get("percent") or 0, data.get("eta_seconds"), str(data.get("message") or ""))


_WORKFLOW: Final[Mapping[str, Callable[[Fields], str]]] = {
    "workflow_created": _created,
    "workflow_status": _status,
    "agent_spawned": lambda data: _agent(data, data.get("agent_type")),
    "agent_output": lambda data: _agent(data, data.get("content")),
    "agent_completed": _agent_completed,
    "agent_failed": lambda data: _agent(data, data.get("error")),
    "synthesis_started": lambda data: f"of {plural(data.get('agent_count') or 0, 'agent')}",
    "workflow_progress": _workflow_progress,
    "resource_metrics": lambda data: _join(
        _tokens(data.get("tokens")),
        plural(data.get("llm_calls") or 0, "model call"),
        f"{data.get('memory_mb') or 0:.0f} MB",
    ),
    "approval_requested": lambda data: f"{data.get('approval_id')}: {data.get('question')}",
    "approval_resolved": lambda data: f"{data.get('approval_id')}: {answer_words(data)}",
    "workflow_command": _command,
    "workflow_complete": _complete,
    "workflow_error": _text("error"),
}


def _plan_started(data: Fields) -> str:
    return _join(
        str(data.get("name") or data.get("query") or ""), plural(data.get("total_steps") or 0, "step")
    )


def _attempt(data: Fields) -> str:
    attempt = data.get("attempt")
    return f"attempt {attempt}" if isinstance(attempt, int) and attempt > 1 else ""


def _step_completed(data: Fields) -> str:
    score, taken = data.get("quality_score"), seconds_of(data.get("seconds"))
    return _join(
        f"completed in {taken}" if taken else "completed",
        f"quality {score:.2f}" if isinstance(score, int | float) else "",
    )


def _step_progress(data: Fields) -> str:
    fraction = data.get("progress")
    share = f"{fraction:.0%}" if isinstance(fraction, int | float) else ""
    return f"{share}  {data.get('message') or ''}".rstrip()


def _step_failed(data: Fields) -> str:
    again = " It is tried again." if data.get("will_retry") else ""
    return f"{data.get('error', '')}{again}"


def _step_retrying(data: Fields) -> str:
    wait = data.get("delay_s")
    return _join(_attempt(data), f"in {seconds_of(wait)}" if wait else "at once")


def _quality(data: Fields) -> str:
    score, least = data.get("quality_score"), data.get("min_score")
    words = f"quality {score:.2f}" if isinstance(score, int | float) else "quality unknown"
    least_words = f", at least {least:.2f} wanted" if isinstance(least, int | float) else ""
    return f"{words}{least_words}: {'passed' if data.get('passed') else 'not passed'}"


def _metrics(data: Fields) -> str:
    return _join(
        f"{data.get('completed_steps', '?')} of {data.get('total_steps', '?')} steps completed",
        _tokens(data.get("tokens")),
    )


def _health(data: Fields) -> str:
    return _join(
        data.get("status"), f"{data.get('steps_running', 0)} running", f"{data.get('memory_mb', 0):.0f} MB"
    )


def _cancelled(data: Fields) -> str:
    by = f"by {data['by']}" if data.get("by") else ""
    return f"{by}: {data['reason']}" if data.get("reason") else by


def _by(data: Fields) -> str:
    return f"by {data['by']}" if data.get("by") else ""


_PLAN: Final[Mapping[str, Callable[[Fields], str]]] = {
    "plan_started": _plan_started,
    "plan_completed": lambda data: "",
    "plan_failed": _text("error"),
    "plan_paused": lambda data: _join(_by(data), data.get("message")),
    "plan_resumed": _by,
    "plan_cancelled": _cancelled,
    "step_started": lambda data: _join(data.get("name"), _attempt(data)),
    "step_completed": _step_completed,
    "step_failed": _step_failed,
    "step_progress": _step_progress,
    "step_retrying": _step_retrying,
    "step_skipped": _by,
    "step_added": _by,
    "step_removed": _by,
    "quality_check": _quality,
    "review_required": lambda data: str(data.get("reason") or "a person has to look at its result"),
    "review_resolved": answer_words,
    "metrics_update": _metrics,
    "health_update": _health,
    "plan_command": _command,
    "command_refused": lambda data: f"{data.get('command', '?')}: {data.get('reason', '')}",
    "error": _text("error"),
}

_KINDS: Final = {"workflow": _WORKFLOW, "plan": _PLAN}
