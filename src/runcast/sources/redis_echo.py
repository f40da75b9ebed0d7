"""Telling tasks on Redis channels `agent_progress:{task_id}`, for those who listen there as they always did."""

from __future__ import annotations

import os
from typing import Any, Final

import msgspec

from runcast.config import Settings
from runcast.core.event import NewEvent, format_time
from runcast.errors import ConfigError
from runcast.kinds.task import task_id_of
from runcast.sources.outbox import Outbox

CHANNEL: Final = "agent_progress:"
ECHO_TIMEOUT_S: Final = 1.0


class Echo:
    """Publishes events of tasks on their channels, by a thread, for those who listen there as they always did.

    Each message carries the event's id, so that what comes back to the log is known. A Redis that is away costs nothing
    but the message.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Any = None
        self._pid = 0
        self._outbox: Outbox[NewEvent] = Outbox("runcast-redis-echo", self._send, patience_s=0.0)

    @property
    def lost(self) -> int:
        """Messages that Redis has not taken."""
        return self._outbox.lost

    def tell(self, event: NewEvent) -> None:
        """Let it be published. Never waits, never raises."""
        self._outbox.put(event, event.size_bytes)

    def flush(self, timeout_s: float) -> bool:
        """Wait until all is published or given up; False if that takes longer."""
        return self._outbox.flush(timeout_s)

    def _send(self, events: list[NewEvent]) -> None:
        if self._client is None or self._pid != os.getpid():
            self._client, self._pid = _blocking_client(self._url), os.getpid()
        pipeline = self._client.pipeline(transaction=False)
        for event in events:
            pipeline.publish(CHANNEL + task_id_of(event.stream), _message(event))
        pipeline.execute()


_echoes: dict[str, Echo] = {}


def echo_for(settings: Settings) -> Echo | None:
    """The echo of this process on the Redis that the settings name; None if they name none.

    Raises:
        ConfigError: the URL cannot be, or redis is not installed.
    """
    url = settings.redis_url
    if not url:
        return None
    if url not in _echoes:
        _blocking_client(url).close()  # what is wrong with it is said at once
        _echoes[url] = Echo(url)
    return _echoes[url]


def _message(event: NewEvent) -> bytes:
    fields = msgspec.json.decode(event.data)
    return msgspec.json.encode(
        {"step": event.type, **fields, "timestamp": format_time(event.time), "event_id": event.id}
    )


def _blocking_client(url: str) -> Any:
    try:
        import redis  # noqa: PLC0415 - not always installed
        from redis.backoff import NoBackoff  # noqa: PLC0415
        from redis.retry import Retry  # noqa: PLC0415
    except ImportError:
        raise ConfigError("redis_url: Redis needs an extra: pip install 'runcast[redis]'.") from None
    client: Any = redis.Redis
    try:
        return client.from_url(
            url,
            socket_connect_timeout=ECHO_TIMEOUT_S,
            socket_timeout=ECHO_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError:
        raise not_a_url() from None


def not_a_url() -> ConfigError:
    """What is said of a `redis_url` that cannot be; nothing of it is shown, as there may be a password in it."""
    return ConfigError(
        "redis_url: not a URL of Redis: one server is expected, as redis://:password@host:6379/0, rediss://… or unix://…. "
        "redis+sentinel:// and redis+cluster:// are for a log, and not for REDIS_URL."
    )
