"""Spans by OpenTelemetry's conventions for generative AI, of any agent, as session events.

A span is told when it is over. Whatever has a duration becomes two events, its begin and its end, each at its own
time, so that a session reads the same whichever source told it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from runcast.kinds.base import Publish
from runcast.sources.claude_code.ids import EVENT_TYPE, call_id, result_id
from runcast.sources.naming import session_stream
from runcast.sources.otlp.decode import Span
from runcast.sources.otlp.fields import count_of, first_of, number_of, text_of

STATUS_ERROR: Final = 2
MIN_CALL_ID_CHARS: Final = 12
"""A shorter id of a tool call is a counter: it comes again in the same conversation, and is no event's id."""

_OPERATION: Final = "gen_ai.operation.name"
_SESSION: Final = ("gen_ai.conversation.id", "session.id")
_SAME_EVERYWHERE: Final = ("user.", "enduser.", "server.", "telemetry.")


def publishes(span: Span) -> list[Publish]:
    """The events that a span tells of; none if it does not follow the conventions.

    Raises:
        InvalidStreamName: no session can have that id.
    """
    operation = text_of(span.attributes.get(_OPERATION))
    if operation is None:
        return []
    named = first_of(span.attributes, *_SESSION) or first_of(span.resource, *_SESSION)
    told = _Told(span, operation, session_stream(text_of(named) or span.trace_id))
    return _OPERATIONS.get(operation, _other)(told)


class _Told:
    """One span on its way to events. What is taken of its attributes is left out of the rest."""

    def __init__(self, span: Span, operation: str, stream: str) -> None:
        self.operation = operation
        self.own_id = f"{span.trace_id}:{span.span_id}"
        self.start: int | None = span.start_ns // 1_000 or None
        self.end: int | None = (span.end_ns or span.start_ns) // 1_000 or None
        self.seconds = max(span.end_ns - span.start_ns, 0) / 1e9 if span.start_ns else 0.0
        self._left = dict(span.attributes)
        self._stream = stream
        error_type = self.text("error.type")
        self.failed = span.status == STATUS_ERROR or error_type is not None
        self.error = (span.status_message or error_type) if self.failed else None
        self.parent_id = f"{span.trace_id}:{span.parent_span_id}" if span.parent_span_id else None
        self.agent = self.text("gen_ai.agent.name")
        service = text_of(span.resource.get("service.name"))
        self._common = {
            "agent_id": self.text("gen_ai.agent.id") or self.agent or service or "unknown",
            "agent_type": self.agent,
            "model": text_of(first_of(self._left, "gen_ai.response.model", "gen_ai.request.model")),
            "request_id": self.text("gen_ai.response.id"),
            "trace_id": span.trace_id,
            "source": "otlp",
        }

    @property
    def outcome(self) -> str:
        """The status of what is over."""
        return "error" if self.failed else "completed"

    def take(self, *names: str) -> Any:
        """The first of these attributes that is there; none of them is told again."""
        found = first_of(self._left, *names)
        for name in names:
            self._left.pop(name, None)
        return found

    def text(self, *names: str) -> str | None:
        """As `take`, if it says something; lists and maps as JSON."""
        return text_of(self.take(*names))

    def rest(self) -> dict[str, Any] | None:
        """The attributes that nobody took."""
        dropped = (*_SESSION, _OPERATION)
        return {
            name: value
            for name, value in self._left.items()
            if name not in dropped and not name.startswith(_SAME_EVERYWHERE)
        } or None

    def event(self, event_type: str, event_id: str, time: int | None, **fields: Any) -> Publish:
        """One event with these fields and those that all have."""
        data = {**self._common, **fields}
        return Publish(
            stream=self._stream,
            type=event_type,
            id=event_id,
            time=time,
            data={name: value for name, value in data.items() if value is not None},
        )


def _inference(told: _Told) -> list[Publish]:
    """A model was asked. Failed requests are `api_error`, as those of Claude Code."""
    usage = _usage(told)
    event = told.event(
        "api_error" if told.failed else EVENT_TYPE["api"],
        told.own_id,
        told.end,
        status=told.outcome,
        output_summary=told.error,
        parent_event_id=told.parent_id,
        execution_duration_seconds=told.seconds,
        cost_tokens=usage["output_tokens"],
        usage=usage,
        cost_usd=number_of(told.take("gen_ai.usage.cost")) or None,
        attributes=told.rest(),
    )
    return [event]


def _usage(told: _Told) -> dict[str, int]:
    """The counts in our words. The conventions' input tokens include those of the cache; ours do not."""
    given = count_of(told.take("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"))
    read = count_of(told.take("gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"))
    written = count_of(
        told.take("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_creation_input_tokens")
    )
    return {
        "input_tokens": given - read - written if given >= read + written else given,
        "output_tokens": count_of(told.take("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")),
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
    }


def _execute_tool(told: _Told) -> list[Publish]:
    given_id = told.text("gen_ai.tool.call.id") or ""
    use_id = given_id if len(given_id) >= MIN_CALL_ID_CHARS else told.own_id
    tool = told.text("gen_ai.tool.name")
    given, result = told.text("gen_ai.tool.call.arguments"), told.text("gen_ai.tool.call.result")
    call = told.event(
        EVENT_TYPE["call"],
        call_id(use_id),
        told.start,
        tool_name=tool,
        input_summary=given,
        status="started",
        parent_event_id=told.parent_id,
    )
    ending = told.event(
        EVENT_TYPE["failed" if told.failed else "result"],
        result_id(use_id),
        told.end,
        tool_name=tool,
        output_summary=told.error or result,
        status=told.outcome,
        parent_event_id=call_id(use_id),
        execution_duration_seconds=told.seconds,
        attributes=told.rest(),
    )
    return [call, ending]


def _invoke_agent(told: _Told) -> list[Publish]:
    """An agent worked. Its tokens are those of its requests, which are told themselves: they do not count twice."""
    begin = told.event(
        EVENT_TYPE["agent"],
        told.own_id,
        told.start,
        status="started",
        title=told.agent,
        parent_event_id=told.parent_id,
    )
    ending = told.event(
        "completion",
        result_id(told.own_id),
        told.end,
        status=told.outcome,
        output_summary=told.error,
        parent_event_id=told.own_id,
        execution_duration_seconds=told.seconds,
        attributes=told.rest(),
    )
    return [begin, ending]


def _other(told: _Told) -> list[Publish]:
    """An operation without a place of its own here (create_agent, retrieval, …): one event, called as it is."""
    event = told.event(
        told.operation,
        told.own_id,
        told.end,
        status=told.outcome,
        output_summary=told.error,
        parent_event_id=told.parent_id,
        execution_duration_seconds=told.seconds,
        attributes=told.rest(),
    )
    return [event]


_OPERATIONS: Final[dict[str, Callable[[_Told], list[Publish]]]] = {
    "chat": _inference,
    "text_completion": _inference,
    "generate_content": _inference,
    "embeddings": _inference,
    "execute_tool": _execute_tool,
    "invoke_agent": _invoke_agent,
}
