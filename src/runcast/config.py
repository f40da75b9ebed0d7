"""Every setting: its unit, its default, and the environment variable that sets it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_type_hints

import msgspec
from msgspec import Meta

from runcast.errors import ConfigError

KIB = 1024
MIB = 1024 * 1024
GIB = 1024 * MIB

_ALIASES = {
    # names that the feeds' documents gave to settings of ours
    "ping_interval_s": "WEBSOCKET_PING_INTERVAL",
    "max_connections": "MAX_WEBSOCKET_CLIENTS",
    "redis_url": "REDIS_URL",
    "celery_broker_url": "CELERY_BROKER_URL",
    "celery_result_backend": "CELERY_RESULT_BACKEND",
}

Count = Annotated[int, Meta(ge=1)]
Amount = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Positive = Annotated[float, Meta(gt=0, le=1e9)]  # bounded: an infinite time is no time to compute with
NotNegative = Annotated[float, Meta(ge=0, le=1e9)]
Port = Annotated[int, Meta(ge=0, le=65_535)]


_ENDLESS = 2**53 - 1
_LISTS = frozenset({"allowed_origins", "api_keys", "load", "trusted_proxies"})


def _doc(text: str) -> Meta:
    return Meta(description=text)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of a server. Each is read from `RUNCAST_` and its name in capitals; lists by commas.

    `_bytes`, `_s`, `_ms` are units; what is counted otherwise says so. Make one in code by keywords, or from
    the environment by `from_env`.
    """

    log: Annotated[
        str,
        _doc("the log: sqlite:///path, a path, memory:, or redis://host; empty is log.db in the user's data"),
    ] = ""
    host: Annotated[str, _doc("the address to listen on")] = "127.0.0.1"
    port: Annotated[Port, _doc("the port to listen on; 0 takes a free one")] = 8000
    workers: Annotated[Count, _doc("processes that serve together on one log")] = 1
    allowed_origins: Annotated[
        tuple[str, ...], _doc("browser origins, beside the server's own, that may connect and post")
    ] = ()
    locked: Annotated[bool, _doc("ask everybody who they are, on this machine, too")] = False
    api_keys: Annotated[
        tuple[str, ...], _doc("keys that may do everything; `runcast token` makes others")
    ] = ()
    jwt_secret: Annotated[str, _doc("the secret of tokens signed by HS256, at least 32 bytes")] = ""
    jwks_url: Annotated[str, _doc("where an identity provider's keys are, for tokens signed by it")] = ""
    jwt_issuer: Annotated[str, _doc("what a token's iss must be; empty is any")] = ""
    jwt_audience: Annotated[str, _doc("what a token's aud must be; empty is any")] = ""
    trusted_proxies: Annotated[
        tuple[str, ...], _doc("addresses of proxies in front whose forwarding headers count, if it is locked")
    ] = ()
    registration: Annotated[bool, _doc("whether people may register; without further grants")] = True
    token_lifetime_s: Annotated[Positive, _doc("of the tokens that a login gives")] = 900.0
    unauthenticated_s: Annotated[Positive, _doc("so long a WebSocket may take to say who it is")] = 60.0
    max_unauthenticated: Annotated[
        Count, _doc("clients of one process that have yet to say who they are")
    ] = 1_000
    max_connections_per_principal: Annotated[
        Count, _doc("clients that one principal may have in a process")
    ] = 500
    max_unauthenticated_per_address: Annotated[
        Count, _doc("clients of one address (IPv6: of one /64) that have yet to say who they are")
    ] = 50
    login_rate: Annotated[Count, _doc("times per minute that one address may try to log in or register")] = 10
    login_failure_rate: Annotated[
        Count, _doc("times per hour that a wrong password may be tried for one account, from wherever")
    ] = 20

    load: Annotated[
        tuple[str, ...],
        _doc("Python modules to import at the start, for the workflows, steps and processors in them"),
    ] = ()
    llm_base_url: Annotated[
        str, _doc("an OpenAI-compatible API: OpenAI's own, OpenRouter, vLLM, Ollama, LM Studio")
    ] = ""
    llm_api_key: Annotated[str, _doc("the key of that API; a local one needs none")] = ""
    llm_model: Annotated[str, _doc("the model to ask there; without one, the built-in extractive model")] = ""
    llm_timeout_s: Annotated[Positive, _doc("so long a model may be silent")] = 60.0
    llm_attempts: Annotated[Count, _doc("times that a request to a model is tried, in all")] = 3
    knowledge: Annotated[
        str, _doc("the file of the knowledge base; empty is beside the log, or memory: for a log in memory")
    ] = ""
    runner_lease_s: Annotated[
        Positive, _doc("after so long without a sign of life, another process takes a run over")
    ] = 5.0
    runner_threads: Annotated[Count, _doc("threads of one process in which agents and steps work")] = 32
    max_workflows: Annotated[Count, _doc("workflows that one process runs at once; more wait")] = 64
    max_plans: Annotated[Count, _doc("plans that one process runs at once; more wait")] = 256
    plan_parallel_steps: Annotated[Count, _doc("steps of one plan at once, if it does not say")] = 4
    health_interval_s: Annotated[
        Positive, _doc("between two events about the health and the figures of a plan or workflow that runs")
    ] = 10.0

    max_answers: Annotated[Count, _doc("messages of chats that one process answers at once; more wait")] = (
        2_000
    )
    max_answers_per_person: Annotated[
        Count, _doc("messages of one person that one process answers, or lets wait; more are refused")
    ] = 32
    chat_rate: Annotated[Count, _doc("messages per minute that one person may send to chats")] = 60
    chat_message_max_bytes: Annotated[Count, Meta(le=40 * KIB), _doc("one message to a chat")] = 32 * KIB
    chat_context_tokens: Annotated[
        Count, _doc("tokens of a conversation that the model is given, about; what is older is left out")
    ] = 6_000
    chat_answer_timeout_s: Annotated[
        Positive, _doc("so long an answer of a chat may take; then it ends with an error")
    ] = 600.0
    attachments: Annotated[
        str,
        _doc("the folder of the chat's attachments, which all nodes share; empty is beside the log"),
    ] = ""
    attachment_max_bytes: Annotated[Count, _doc("one attachment of a chat")] = 10 * MIB
    attachments_max_bytes: Annotated[Count, _doc("all attachments of one conversation")] = 256 * MIB
    attachments_person_max_bytes: Annotated[
        Count, _doc("all attachments of one person, in whole blocks of 4 KiB and one more for each")
    ] = 1 * GIB
    attachments_total_max_bytes: Annotated[
        Count, _doc("all attachments, counted so; 1 GiB of the disk, or 5 % if that is less, stay free, too")
    ] = 10 * GIB

    task_heartbeat_s: Annotated[Positive, _doc("between two heartbeats to a client of a task")] = 15.0
    task_timeout_s: Annotated[
        Positive, _doc("a client of a task that tells nothing for so long is closed")
    ] = 60.0
    max_tasks: Annotated[Count, _doc("tasks that one process has in hand at once; more wait")] = 64
    task_processes: Annotated[
        Count, _doc("processes of one server in which tasks run, where there is no Celery")
    ] = 2
    redis_url: Annotated[
        str, _doc("a Redis on whose channels agent_progress:* tasks are heard, and told, too")
    ] = ""
    celery_broker_url: Annotated[
        str, _doc("Celery's broker, such as redis:// or filesystem://; empty runs tasks in own processes")
    ] = ""
    celery_result_backend: Annotated[str, _doc("where Celery keeps results; empty is nowhere")] = ""
    scam_database: Annotated[
        str, _doc("the file of known scams for the analysis of texts; empty is beside the log")
    ] = ""

    htmlgraph_db: Annotated[str, _doc("an HtmlGraph database whose events are followed; empty is none")] = ""

    event_max_bytes: Annotated[Count, _doc("one event")] = 256 * KIB
    request_max_bytes: Annotated[Count, _doc("the body of one HTTP request")] = 8 * MIB
    request_head_max_bytes: Annotated[Count, _doc("address and headers of one HTTP request")] = 64 * KIB
    request_address_max_bytes: Annotated[
        Count, _doc("the address of one HTTP request, its query included")
    ] = 16 * KIB
    request_max_headers: Annotated[Count, _doc("headers of one HTTP request")] = 100
    request_head_timeout_s: Annotated[Positive, _doc("in which address and headers must be complete")] = 10.0
    request_body_timeout_s: Annotated[
        Positive, _doc("in which the rest of a body must come, or 256 KiB of it")
    ] = 30.0
    batch_max_events: Annotated[Count, _doc("events published by one request")] = 1_000
    max_subscriptions: Annotated[Count, _doc("streams that one WebSocket may be subscribed to")] = 128
    inbound_max_bytes: Annotated[Count, _doc("one WebSocket message from a client")] = 64 * KIB
    inbound_rate: Annotated[Count, _doc("messages per second from one client")] = 50
    inbound_burst: Annotated[Count, _doc("messages at once from one client")] = 100
    inbound_frame_rate: Annotated[
        Count,
        _doc("WebSocket frames per second from one client, pings and fragments among them; twice at once"),
    ] = 500
    append_queue_bytes: Annotated[Count, _doc("events that wait for the log")] = 64 * MIB

    batch_size: Annotated[Count, Meta(le=1_000), _doc("events per message, if the client asks for none")] = 50
    batch_window_ms: Annotated[NotNegative, _doc("how long events may wait for more under load")] = 50.0
    client_buffer_bytes: Annotated[
        Count, _doc("what may wait for one client before it reads from the log")
    ] = 256 * KIB
    total_buffer_bytes: Annotated[
        Count, _doc("about what may wait for all clients of one process: each new one gets an equal share")
    ] = 256 * MIB
    stalled_after_s: Annotated[Positive, _doc("a client that takes nothing for so long is closed")] = 60.0
    catch_up_readers: Annotated[Count, _doc("readers that catch up from the log at the same time")] = 4
    page_cache_bytes: Annotated[Count, _doc("encoded pages that readers at the same place share")] = 16 * MIB

    max_connections: Annotated[Count, _doc("clients of one process")] = 20_000
    max_idle_connections: Annotated[
        Count, _doc("HTTP connections of one process without a request; of more, the longest idle is closed")
    ] = 1_000
    max_clients_per_stream: Annotated[Count, _doc("clients of one stream in one process")] = 1_000
    ping_interval_s: Annotated[Positive, _doc("between two pings in the words of a feed")] = 30.0
    ws_ping_interval_s: Annotated[Positive, _doc("between two pings of the WebSocket protocol")] = 20.0
    ws_ping_timeout_s: Annotated[Positive, _doc("how long a pong may take")] = 20.0
    sse_comment_interval_s: Annotated[Positive, _doc("between SSE comments that keep a connection open")] = (
        15.0
    )
    drain_s: Annotated[NotNegative, _doc("over which clients are told to reconnect at a restart")] = 3.0

    presence: Annotated[
        str,
        _doc(
            "whether a process tells the others of its log that it is there: auto (on Redis, or with several workers), on, off"
        ),
    ] = "auto"
    node_report_s: Annotated[
        Positive,
        _doc("between two reports of a node; one that is silent for three of them is told to be lost"),
    ] = 10.0

    session_token_budget: Annotated[
        Amount, _doc("tokens of one session at which an alert is raised, and at 80 % of them; 0 for none")
    ] = 0
    bottleneck_factor: Annotated[
        NotNegative, _doc("times its tool's p95 that a call may take before an alert is raised; 0 for none")
    ] = 3.0
    snapshot_interval_s: Annotated[Positive, _doc("between two looks for summaries to bring up to date")] = (
        2.0
    )

    retention_days: Annotated[Positive, _doc("days that an ended or idle stream is kept")] = 30.0
    sweep_interval_s: Annotated[Positive, _doc("between two looks of the janitor")] = 600.0
    foreign_poll_ms: Annotated[Positive, _doc("between two looks for commits of other processes")] = 8.0

    def __post_init__(self) -> None:
        if "*" in self.allowed_origins:
            raise ConfigError(
                "RUNCAST_ALLOWED_ORIGINS: * is no origin; list them, such as https://app.example.org."
            )
        if self.presence not in {"auto", "on", "off"}:
            raise ConfigError("RUNCAST_PRESENCE: auto, on or off.")
        if any(character.isspace() for key in self.api_keys for character in key):
            raise ConfigError("RUNCAST_API_KEYS: a key has no spaces in it; several are divided by commas.")

    @property
    def is_locked(self) -> bool:
        """Whether everybody is asked who they are: it was said so, or there is something to be asked for."""
        return self.locked or bool(self.api_keys or self.jwt_secret or self.jwks_url)

    @classmethod
    def from_env(cls, environ: Mapping[str, str], **given: Any) -> Settings:
        """Settings by the environment; what is `given` (and not None) comes first.

        Raises:
            ConfigError: a value does not fit; the message names the variable and what is expected.
        """
        raw: dict[str, Any] = {}
        for field in cls.__struct_fields__:
            for name in env_names(field):
                if environ.get(name):
                    raw[field] = _from_text(field, name, environ[name])
                    break
        for field, value in given.items():
            if value is not None:
                raw[field] = checked(field, value)
        try:
            return msgspec.convert(raw, cls, strict=False)
        except msgspec.ValidationError as error:
            raise ConfigError(f"settings: {error}.") from None


def env_names(field: str) -> list[str]:
    """The environment variables that set `field`; the first that is set counts."""
    alias = _ALIASES.get(field)
    return [f"RUNCAST_{field.upper()}", *([alias] if alias else [])]


_HINTS = get_type_hints(Settings, include_extras=True)


def describe(field: str) -> str:
    """What a setting is for, in a few words."""
    notes = [
        meta.description for meta in _HINTS[field].__metadata__ if isinstance(meta, Meta) and meta.description
    ]
    return notes[-1] if notes else ""


def expected(field: str) -> str:
    """What a setting may be, in words: an integer from 0 to 65535."""
    kind, *notes = get_args(_HINTS[field])
    metas = [note for note in notes if isinstance(note, Meta)]
    word = {int: "an integer", float: "a number", bool: "true or false"}.get(kind, "a text")
    least = max((meta.ge for meta in metas if meta.ge is not None), default=None)
    above = max((meta.gt for meta in metas if meta.gt is not None), default=None)
    most = min((meta.le for meta in metas if meta.le is not None), default=None)
    most = None if most is None or most >= _ENDLESS else most
    upper = "" if most is None else f" to {most:.0f}"
    if above is not None:
        return f"{word} above {above:.0f}{upper and f' and up{upper}'}"
    if least is not None:
        return f"{word} from {least:.0f}{upper}" if upper else f"{word}, {least:.0f} or more"
    return word


def checked(field: str, value: Any, name: str = "") -> Any:
    """`value` as the setting has it; a text is read as one in the environment.

    Raises:
        ConfigError: it cannot be; says it of `name`, by default of the setting.
    """
    if field not in _HINTS:
        return value
    try:
        return msgspec.convert(value, _HINTS[field], strict=False)
    except msgspec.ValidationError:
        raise ConfigError(f"{name or field}: {expected(field)}.") from None


def _from_text(field: str, name: str, text: str) -> Any:
    value = tuple(part.strip() for part in text.split(",") if part.strip()) if field in _LISTS else text
    return checked(field, value, name)
