"""What the OpenAPI document says of each route: its parameters, its body and how it answers.

A test holds that no route is missing, and another that a server keeps to it.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

from runcast.core.event import MAX_ID_CHARS, MAX_TYPE_CHARS
from runcast.core.page import PAGE_MAX_EVENTS

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
PROTOBUF: Final = "application/x-protobuf"
SSE: Final = "text/event-stream"
PROMETHEUS: Final = "text/plain"

Schema: TypeAlias = dict[str, Any]


class Operation(NamedTuple):
    """One method of one path. `query` and `body` name entries of `QUERY` and `BODIES`."""

    query: tuple[str, ...] = ()
    body: str = ""
    media: str = JSON
    status: int = 200
    also: tuple[int, ...] = ()
    optional_body: bool = False


def _command(body: str, *, optional: bool = False) -> Operation:
    """A command to a plan: carried out, or waiting for its runner, or refused with a reason."""
    return Operation(body=body, also=(202, 404, 409), optional_body=optional)


_COMMAND: Final = _command("command", optional=True)
_PAGE: Final = ("after", "before", "at", "limit", "filter")

OPERATIONS: Final[dict[tuple[str, str], Operation]] = {
    ("POST", "/api/v1/streams/{stream}/events"): Operation(body="native"),
    ("GET", "/api/v1/streams"): Operation(("kind", "after_name", "limit_list")),
    ("GET", "/api/v1/streams/{stream}"): Operation(also=(404,)),
    ("DELETE", "/api/v1/streams/{stream}"): Operation(also=(404, 507)),
    ("GET", "/api/v1/streams/{stream}/events"): Operation(_PAGE, also=(404,)),
    ("POST", "/api/v1/streams/{stream}/end"): Operation(also=(404, 415, 507)),
    ("GET", "/api/v1/streams/{stream}/sse"): Operation(
        ("after", "codec", "filter"), media=SSE, also=(204, 404, 429)
    ),
    ("GET", "/api/v1/firehose/events"): Operation(("kind", *_PAGE), also=(404,)),
    ("GET", "/api/v1/firehose/sse"): Operation(("kind", "after", "filter"), media=SSE, also=(429,)),
    ("GET", "/api/sessions"): Operation(("order", "after_name", "limit_list")),
    ("GET", "/api/sessions/{session_id}"): Operation(also=(404,)),
    ("GET", "/api/sessions/{session_id}/events"): Operation(_PAGE, also=(404,)),
    ("POST", "/api/sessions/{session_id}/events"): Operation(body="documents"),
    ("GET", "/api/sessions/{session_id}/bottlenecks"): Operation(also=(404,)),
    ("GET", "/api/events"): Operation(_PAGE, also=(404,)),
    ("GET", "/api/websocket-metrics"): Operation(),
    ("POST", "/ingest/claude-code"): Operation(body="hook"),
    ("POST", "/v1/logs"): Operation(body="telemetry"),
    ("POST", "/v1/traces"): Operation(body="telemetry"),
    ("POST", "/v1/metrics"): Operation(body="telemetry"),
    ("GET", "/health"): Operation(),
    ("GET", "/api/status"): Operation(),
    ("GET", "/metrics"): Operation(media=PROMETHEUS),
    ("POST", "/api/v1/auth/register"): Operation(body="registration", status=201, also=(409, 429)),
    ("POST", "/api/v1/auth/login"): Operation(body="login", also=(429,)),
    ("POST", "/api/v1/auth/refresh"): Operation(body="refresh", also=(429,)),
    ("POST", "/api/v1/auth/logout"): Operation(also=(415,)),
    ("GET", "/api/v1/auth/me"): Operation(),
    ("POST", "/api/v1/auth/tickets"): Operation(also=(415,)),
    ("GET", "/api/v1/keys"): Operation(),
    ("POST", "/api/v1/keys"): Operation(body="new_key", status=201),
    ("PATCH", "/api/v1/keys/{key_id}"): Operation(body="grants", also=(404,)),
    ("DELETE", "/api/v1/keys/{key_id}"): Operation(also=(404,)),
    ("POST", "/api/v1/workflows"): Operation(body="workflow", status=202),
    ("GET", "/api/v1/workflows"): Operation(("status_filter", "page", "page_size")),
    ("GET", "/api/v1/workflows/{workflow_id}"): Operation(also=(404,)),
    ("POST", "/api/v1/workflows/{workflow_id}/cancel"): Operation(
        body="cancel", status=202, also=(404, 409), optional_body=True
    ),
    ("POST", "/api/v1/system/start"): Operation(also=(413, 415, 507)),
    ("GET", "/api/v1/system/status"): Operation(),
    ("GET", "/api/v1/nodes"): Operation(),
    ("POST", "/api/v1/agents"): Operation(body="agent", status=201, also=(429,)),
    ("GET", "/api/v1/agents"): Operation(),
    ("DELETE", "/api/v1/agents/{agent_id}"): Operation(also=(404, 507)),
    ("GET", "/api/v1/approvals"): Operation(),
    ("POST", "/api/v1/plans"): Operation(body="plan", status=202, also=(409,)),
    ("GET", "/api/v1/plans"): Operation(("status_filter", "page", "page_size")),
    ("GET", "/api/v1/plans/{plan_id}"): Operation(also=(404,)),
    **{
        ("POST", f"/api/v1/plans/{{plan_id}}/{command}"): _COMMAND
        for command in ("pause", "resume", "cancel")
    },
    **{
        ("POST", f"/api/v1/plans/{{plan_id}}/steps/{{step_id}}/{command}"): _COMMAND
        for command in ("retry", "skip")
    },
    ("DELETE", "/api/v1/plans/{plan_id}/steps/{step_id}"): _COMMAND,
    ("POST", "/api/v1/plans/{plan_id}/steps"): _command("step"),
    ("PUT", "/api/v1/plans/{plan_id}/order"): _command("order"),
    ("PUT", "/api/v1/plans/{plan_id}/steps/{step_id}/depends_on"): _command("depends_on"),
    ("POST", "/api/v1/plans/{plan_id}/review/{gate}"): _command("answer"),
    ("GET", "/api/v1/streaming/clients"): Operation(),
    ("GET", "/api/v1/streaming/plans/{plan_id}/subscribers"): Operation(),
    ("GET", "/api/v1/streaming/plans/{plan_id}/history"): Operation(_PAGE),
    ("GET", "/api/v1/knowledge/documents"): Operation(),
    ("POST", "/api/v1/knowledge/documents"): Operation(("name",), body="document", status=201, also=(200,)),
    ("DELETE", "/api/v1/knowledge/documents/{name}"): Operation(also=(404, 507)),
    ("GET", "/api/v1/knowledge/search"): Operation(("q", "limit_passages")),
    ("POST", "/api/v1/tasks"): Operation(body="task", status=202, also=(409,)),
    ("GET", "/api/v1/tasks"): Operation(("status_filter", "page", "page_size")),
    ("GET", "/api/v1/tasks/{task_id}"): Operation(also=(404,)),
    ("POST", "/api/v1/tasks/{task_id}/cancel"): Operation(
        body="cancel", status=202, also=(404, 409), optional_body=True
    ),
    ("POST", "/api/v1/chat"): Operation(body="question", also=(429, 502, 504)),
    ("GET", "/api/v1/chat"): Operation(("limit_sessions",)),
    ("GET", "/api/v1/chat/{session_id}"): Operation(also=(404,)),
    ("POST", "/api/v1/chat/{session_id}/members"): Operation(body="member", status=201, also=(404, 409)),
    ("DELETE", "/api/v1/chat/{session_id}/members/{user_id}"): Operation(also=(404, 409, 507)),
    ("GET", "/api/v1/chat/{session_id}/attachments/{attachment_id}"): Operation(
        media="application/octet-stream", also=(404,)
    ),
    ("POST", "/api/v1/approvals/{approval_id}"): Operation(body="answer", also=(404, 409)),
}


def text_schema(description: str, **more: Any) -> Schema:
    """A text, and what it is."""
    return {"type": "string", "description": description, **more}


def object_schema(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """An object with these properties."""
    return {"type": "object", "required": list(required), "properties": properties}


def _limit(most: int, default: int) -> Schema:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


QUERY: Final[dict[str, Schema]] = {
    "after": text_schema("`start`, `now`, or a cursor: the last event that was seen"),
    "after_name": text_schema("`next` of the page before"),
    "at": text_schema("a time by RFC 3339", examples=["2026-01-31T12:00:00Z"]),
    "before": text_schema("`now`, or the cursor of the event before which to look"),
    "codec": text_schema("how events are written", enum=["native", "feed"], default="native"),
    "filter": text_schema("which events are wanted, as JSON", examples=['{"event_types": ["error"]}']),
    "kind": text_schema("streams of this kind only"),
    "limit": _limit(PAGE_MAX_EVENTS, PAGE_MAX_EVENTS),
    "limit_list": _limit(1_000, 100),
    "limit_passages": _limit(50, 5),
    "limit_sessions": _limit(100, 50),
    "name": text_schema("the name of a document that is sent as it is"),
    "q": text_schema("a question, or some words"),
    "page": {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 1},
    "page_size": _limit(100, 20),
    "status_filter": text_schema("those of this status only; several by commas"),
    "order": text_schema("latest activity first, or by name", enum=["recent", "name"], default="recent"),
}
"""By the name here, but for those that share a name in a query; see `QUERY_NAMES`."""

QUERY_NAMES: Final = {
    "after_name": "after",
    "limit_list": "limit",
    "limit_passages": "limit",
    "limit_sessions": "limit",
}

PATH: Final[dict[str, Schema]] = {
    "agent_id": text_schema("the id of a registered agent", pattern=r"^[A-Za-z0-9._~@+-]{1,200}$"),
    "approval_id": text_schema("the id of what is asked"),
    "gate": text_schema("the id of the step whose quality gate asks"),
    "key_id": text_schema("the id of an API key"),
    "name": text_schema("the name of a document"),
    "plan_id": text_schema("the id of a plan", pattern=r"^[A-Za-z0-9._~@+-]{1,200}$"),
    "session_id": text_schema("the id of a session", pattern=r"^[A-Za-z0-9._~@+-]{1,200}$"),
    "workflow_id": text_schema("the id of a workflow", pattern=r"^[A-Za-z0-9._~@+-]{1,200}$"),
    "attachment_id": text_schema("the id of an attachment"),
    "step_id": text_schema("the id of a step"),
    "task_id": text_schema("the id of a task", pattern=r"^[A-Za-z0-9._~@+-]{1,200}$"),
    "user_id": text_schema("the sub of somebody"),
    "stream": text_schema("kind:id", pattern=r"^[a-z][a-z0-9_]{0,31}:[A-Za-z0-9._~@+-]{1,200}$"),
}

_NATIVE: Final = object_schema(
    ("type",),
    type=text_schema("what happened", minLength=1, maxLength=MAX_TYPE_CHARS),
    data={"type": "object", "description": "whatever belongs to it"},
    id=text_schema("makes a repetition harmless", minLength=1, maxLength=MAX_ID_CHARS),
    time=text_schema("RFC 3339; now by default", format="date-time"),
)
_DOCUMENT: Final = object_schema(
    ("event_type",),
    event_type=text_schema("what happened", minLength=1, maxLength=MAX_TYPE_CHARS),
    event_id=text_schema("makes a repetition harmless", minLength=1, maxLength=MAX_ID_CHARS),
    timestamp=text_schema("RFC 3339; now by default", format="date-time"),
    tool_name=text_schema("the tool that was called"),
    status=text_schema("how far it is", examples=["started", "completed", "error"]),
    cost_tokens={"type": "integer", "minimum": 0},
)
_GRANTS: Final = {
    "type": "object",
    "description": "patterns of streams by what may be done with them",
    "examples": [{"read": ["session:*"], "write": ["session:42"]}],
}
_STEP_IDS: Final = {"type": "array", "items": {"type": "string"}}
_SAID: Final = {
    "reason": {"type": ["string", "null"]},
    "command_id": {"type": ["string", "null"], "description": "makes a repetition harmless"},
}
_STEP: Final = object_schema(
    ("step_id",),
    step_id=text_schema("the id of the step", minLength=1),
    name={"type": "string", "maxLength": 500},
    description=text_schema("what is to be done", maxLength=10_000),
    depends_on=_STEP_IDS,
    action=text_schema("a registered action; research by default"),
    params={"type": "object"},
    max_attempts={"type": "integer", "minimum": 1, "maximum": 10, "default": 3},
    backoff_s={"type": "number", "minimum": 0, "maximum": 3_600, "default": 1.0},
    timeout_s={"type": ["number", "null"]},
    quality_gate={
        "type": ["object", "null"],
        "description": "min_score, on_fail (retry, review, fail), check",
    },
)


def _events(one: Schema) -> dict[str, Schema]:
    return {
        JSON: {"oneOf": [one, {"type": "array", "items": one, "minItems": 1}]},
        NDJSON: {"type": "string"},
    }


BODIES: Final[dict[str, dict[str, Schema]]] = {
    "native": _events(_NATIVE),
    "documents": _events(_DOCUMENT),
    "hook": {
        JSON: object_schema(
            ("hook_event_name", "session_id"), hook_event_name=text_schema(""), session_id=text_schema("")
        )
    },
    "telemetry": {JSON: {"type": "object"}, PROTOBUF: {"type": "string", "format": "binary"}},
    "registration": {
        JSON: object_schema(
            ("email", "password"),
            email=text_schema("", format="email"),
            password=text_schema(""),
            name=text_schema(""),
        )
    },
    "login": {JSON: object_schema(("email", "password"), email=text_schema(""), password=text_schema(""))},
    "refresh": {JSON: object_schema(("refresh_token",), refresh_token=text_schema(""))},
    "new_key": {
        JSON: object_schema(
            ("name", "grants"),
            name=text_schema(""),
            grants=_GRANTS,
            expires_in_s={"type": ["number", "null"]},
        )
    },
    "grants": {JSON: object_schema(("grants",), grants=_GRANTS)},
    "workflow": {
        JSON: object_schema(
            ("task",),
            task=text_schema("what the agents are to find out or do", minLength=1, maxLength=10_000),
            max_steps={"type": ["integer", "null"], "minimum": 1, "maximum": 50},
            parent_workflow_id={
                "type": ["string", "null"],
                "description": "the workflow that this follows up",
            },
            workflow={
                "type": ["string", "null"],
                "description": "a registered workflow; research by default",
            },
        )
    },
    "cancel": {JSON: object_schema((), reason={"type": ["string", "null"], "maxLength": 2_000})},
    "agent": {
        JSON: object_schema(
            ("agent_id", "agent_type"),
            agent_id=text_schema("", pattern=r"^[A-Za-z0-9._~@+-]{1,200}$"),
            agent_type=text_schema("what kind of work it does", minLength=1, maxLength=200),
            name={"type": ["string", "null"]},
            capabilities={"type": "array", "items": {"type": "string"}, "maxItems": 100},
            metadata={"type": "object"},
        )
    },
    "answer": {
        JSON: object_schema(
            ("approved",),
            approved={"type": "boolean"},
            comment={"type": ["string", "null"], "maxLength": 2_000},
        )
    },
    "plan": {
        JSON: object_schema(
            ("steps",),
            plan_id={"type": ["string", "null"], "description": "one's own name for it"},
            name={"type": "string", "maxLength": 500},
            query=text_schema("what it is about", maxLength=10_000),
            parallel_steps={"type": ["integer", "null"], "minimum": 1, "maximum": 64},
            metadata={"type": "object"},
            steps={"type": "array", "items": _STEP, "minItems": 1, "maxItems": 200},
        )
    },
    "step": {JSON: _STEP},
    "task": {
        JSON: object_schema(
            ("type",),
            type=text_schema("a registered task", minLength=1, examples=["scam_analysis"]),
            task_id={"type": ["string", "null"], "description": "one's own name for it"},
            text=text_schema("what scam_analysis looks at; each task has parameters of its own"),
        )
    },
    "question": {
        JSON: object_schema(
            ("message",),
            message=text_schema("what is asked", minLength=1),
            session_id={"type": ["string", "null"], "description": "the conversation; a new one by default"},
            customer_id={"type": ["string", "null"]},
            id={
                "type": ["string", "null"],
                "description": "one's own: sent again under it, nothing is asked anew",
            },
        )
    },
    "member": {
        JSON: object_schema(
            (),
            user_id=text_schema("the sub of whom to invite", minLength=1),
            email=text_schema("or the address with which they have registered here"),
            name={"type": ["string", "null"]},
        )
    },
    "command": {JSON: object_schema((), **_SAID)},
    "order": {JSON: object_schema(("order",), order=_STEP_IDS, **_SAID)},
    "depends_on": {JSON: object_schema(("depends_on",), depends_on=_STEP_IDS, **_SAID)},
    "document": {
        JSON: object_schema(
            ("name",),
            name=text_schema("what it is called; a document of that name is replaced"),
            content=text_schema("its text"),
            content_base64=text_schema("or its bytes, for a PDF"),
            media_type=text_schema("", examples=["text/markdown"]),
        ),
        "text/markdown": {"type": "string"},
        "text/html": {"type": "string"},
        "text/plain": {"type": "string"},
        "application/pdf": {"type": "string", "format": "binary"},
    },
}
"""By content type: the schema."""
