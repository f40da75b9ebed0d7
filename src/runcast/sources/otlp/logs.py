"""Log records that tell of a session: Claude Code's events, each as the session event it is.

What a hook or a transcript tells, too, has their id (`sources.claude_code.ids`). Everything else gets one from the
record itself, so that an export which is repeated adds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from runcast.errors import InvalidEvent
from runcast.kinds.base import Publish
from runcast.sources.claude_code.ids import EVENT_TYPE, MAIN_AGENT, call_id, prompt_event_id, result_id
from runcast.sources.claude_code.summaries import summarise_input
from runcast.sources.naming import digest_of, session_stream
from runcast.sources.otlp.decode import LogRecord
from runcast.sources.otlp.fields import count_of, first_of, flag_of, number_of, text_of

PREFIX: Final = "claude_code."
SERVICE: Final = "claude-code"
REDACTED: Final = "<REDACTED>"

_SESSION: Final = ("session.id", "gen_ai.conversation.id", "conversation.id")
_AGENT: Final = ("agent_id", "agent.id", "agent.name")
_SAME_EVERYWHERE: Final = ("user.", "organization.", "identity.", "terminal.", "event.")
"""Who, where and which terminal: the same in every record, and nothing that a watcher of the session needs."""


def publishes(record: LogRecord) -> list[Publish]:
    """The events that a record tells of; none if it tells of no session.

    Raises:
        InvalidEvent: it is one of Claude Code's, and does not say of which session.
        InvalidStreamName: no session can have that id.
    """
    name, ours = _name(record)
    session_id = text_of(first_of(record.attributes, *_SESSION) or record.resource.get("session.id"))
    if not name or (session_id is None and not ours):
        return []
    if session_id is None:
        raise InvalidEvent(f"session.id: missing in {name}.", field="session.id")
    told = _Told(record, name, session_stream(session_id), _agent(record, ours))
    return _EVENTS.get(name, _other)(told) if ours else _other(told)


def _name(record: LogRecord) -> tuple[str, bool]:
    """What an event is called, without Claude Code's prefix, and whether it is Claude Code's."""
    attribute = record.attributes.get("event.name")
    names = [name for name in (record.event_name, attribute, record.body) if isinstance(name, str) and name]
    for name in names:
        if name.startswith(PREFIX):
            return name.removeprefix(PREFIX), True
    named = record.event_name or (attribute if isinstance(attribute, str) else "")
    return named, bool(named) and record.resource.get("service.name") == SERVICE


def _agent(record: LogRecord, ours: bool) -> str:
    """Who did it. A subagent of Claude Code may be known by its type only."""
    named = text_of(first_of(record.attributes, "agent_id", "agent.id", "gen_ai.agent.id", "agent.name"))
    return named or (MAIN_AGENT if ours else text_of(record.resource.get("service.name")) or "unknown")


class _Told:
    """One record on its way to events. What is taken of its attributes is left out of the rest."""

    def __init__(self, record: LogRecord, name: str, stream: str, agent_id: str) -> None:
        self.name = name
        self._stream = stream
        self._left = {key: value for key, value in record.attributes.items() if key not in _AGENT}
        sequence = self._left.get("event.sequence")
        stamp = self._left.get("event.timestamp")
        self.time: str | int | None = (record.time_ns or record.observed_ns) // 1_000 or text_of(stamp)
        self.own_id = (
            # the counter begins anew when a session is resumed, so it takes the time as well
            f"otlp:{sequence}:{record.time_ns or stamp}"
            if sequence is not None and (record.time_ns or stamp)
            else f"otlp:{digest_of([name, record.body, record.attributes, record.time_ns])}"
        )
        self.prompt_id, self.request_id = self.text("prompt.id"), self.text("request_id")
        self._common = {
            "agent_id": agent_id,
            "agent_type": text_of(record.attributes.get("agent.name")),
            "model": self.text("model"),
            "prompt_id": self.prompt_id,
            "request_id": self.request_id,
            "source": "otlp",
        }

    def take(self, *names: str) -> Any:
        """The first of these attributes that is there; none of them is told again."""
        found = first_of(self._left, *names)
        for name in names:
            self._left.pop(name, None)
        return found

    def text(self, *names: str) -> str | None:
        """As `take`, if it is a text that says something."""
        found = text_of(self.take(*names))
        return None if found == REDACTED else found

    def seconds(self) -> float:
        """`duration_ms`, in seconds."""
        return number_of(self.take("duration_ms")) / 1_000

    def event(
        self, event_type: str, event_id: str, *, time: str | int | None = None, **fields: Any
    ) -> Publish:
        """One event with these fields and those that all have. It has the attributes that nobody took."""
        data = {**self._common, **fields}
        return Publish(
            stream=self._stream,
            type=event_type,
            id=event_id,
            time=self.time if time is None else time,
            data={name: value for name, value in data.items() if value is not None},
        )

    def rest(self) -> dict[str, Any] | None:
        """The attributes that nobody took."""
        return {
            name: value
            for name, value in self._left.items()
            if name not in _SESSION and not name.startswith(_SAME_EVERYWHERE)
        } or None


def _user_prompt(told: _Told) -> list[Publish]:
    prompt = told.text("prompt")
    event_id = prompt_event_id(told.prompt_id) if told.prompt_id else told.own_id
    return [told.event(EVENT_TYPE["prompt"], event_id, input_summary=prompt, attributes=told.rest())]


def _assistant_response(told: _Told) -> list[Publish]:
    response = told.text("response")
    return [told.event(told.name, told.own_id, output_summary=response, attributes=told.rest())]


def _tool_result(told: _Told) -> list[Publish]:
    """The call and its end: whoever told of the call before, by this id, was first."""
    use_id = told.text("tool_use_id") or told.own_id
    tool, seconds = told.text("tool_name", "name"), told.seconds()
    given = _summary(tool, told.text("tool_input", "tool_parameters"))
    failed = flag_of(told.take("success")) is False
    error = told.text("error", "error_type")
    call = told.event(
        EVENT_TYPE["call"],
        call_id(use_id),
        time=told.time - round(seconds * 1e6) if isinstance(told.time, int) else None,
        tool_name=tool,
        input_summary=given,
        status="started",
    )
    result = told.event(
        EVENT_TYPE["failed" if failed else "result"],
        result_id(use_id),
        tool_name=tool,
        output_summary=error if failed else None,
        status="error" if failed else "completed",
        parent_event_id=call_id(use_id),
        execution_duration_seconds=seconds,
        attributes=told.rest(),
    )
    return [call, result]


def _tool_decision(told: _Told) -> list[Publish]:
    """What was decided, and by whom. An accepted call runs from now on; a rejected one never does."""
    use_id, tool = told.text("tool_use_id"), told.text("tool_name")
    decision, given = told.text("decision"), _summary(tool, told.text("tool_parameters"))
    event_id = f"{use_id}:decision" if use_id else told.own_id
    event = told.event(
        told.name,
        event_id,
        tool_name=tool,
        input_summary=given,
        status={"accept": "accepted", "reject": "rejected"}.get(decision or "", decision),
        parent_event_id=use_id,
        decision_source=told.text("source"),
        attributes=told.rest(),
    )
    if use_id is None or decision != "accept":
        return [event]
    call = told.event(
        EVENT_TYPE["call"], call_id(use_id), tool_name=tool, input_summary=given, status="started"
    )
    return [call, event]


def _summary(tool: str | None, given: str | None) -> str | None:
    """What a call is about, as hooks and transcripts say it. Exporters give the input as a text of JSON."""
    try:
        value = msgspec.json.decode(given or "", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):  # cut, or no JSON
        return given
    return summarise_input(tool or "", value)


def _api_request(told: _Told) -> list[Publish]:
    usage = {
        "input_tokens": count_of(told.take("input_tokens")),
        "output_tokens": count_of(told.take("output_tokens")),
        "cache_read_input_tokens": count_of(told.take("cache_read_tokens")),
        "cache_creation_input_tokens": count_of(told.take("cache_creation_tokens")),
    }
    micros = number_of(told.take("cost_usd_micros"))
    event = told.event(
        EVENT_TYPE["api"],
        f"api_request:{told.request_id}" if told.request_id else told.own_id,
        status="completed",
        execution_duration_seconds=told.seconds(),
        cost_tokens=usage["output_tokens"],
        usage=usage,
        cost_usd=number_of(told.take("cost_usd")) or micros / 1e6,
        attributes=told.rest(),
    )
    return [event]


def _failure(told: _Told) -> list[Publish]:
    """A request or the agent itself failed."""
    event = told.event(
        told.name,
        told.own_id,
        output_summary=told.text("error", "error_name", "category"),
        status="error",
        execution_duration_seconds=told.seconds(),
        attributes=told.rest(),
    )
    return [event]


def _other(told: _Told) -> list[Publish]:
    """An event that is not known here: kept as it is."""
    done = flag_of(told.take("success"))
    event = told.event(
        told.name,
        told.own_id,
        status=None if done is None else "completed" if done else "error",
        execution_duration_seconds=told.seconds(),
        attributes=told.rest(),
    )
    return [event]


_EVENTS: Final[dict[str, Callable[[_Told], list[Publish]]]] = {
    "user_prompt": _user_prompt,
    "assistant_response": _assistant_response,
    "tool_result": _tool_result,
    "tool_decision": _tool_decision,
    "api_request": _api_request,
    "api_error": _failure,
    "api_refusal": _failure,
    "internal_error": _failure,
}
