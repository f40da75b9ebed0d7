"""What a server is set to lose, said in words."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from runcast.errors import LogError
from runcast.log.redis.log import RedisLog

NOTHING_KEPT = "Redis keeps nothing on its disk: a restart of it loses every event. Set `appendonly yes` (see docs/redis.md)."
SNAPSHOTS_ONLY = (
    "Redis stores snapshots only: when it crashes, all events since the last one are lost. "
    "Set `appendonly yes` (see docs/redis.md)."
)
EVICTS = (
    "Redis may evict streams when its memory is full (maxmemory-policy {policy}). "
    "Set `maxmemory-policy noeviction` (see docs/redis.md)."
)


def warnings(log: RedisLog) -> list[str]:
    """What whoever runs the server should know; nothing where it is set to keep what it acknowledges, or is silent.

    Raises:
        LogUnavailable: Redis does not answer.
    """
    found: list[str] = []
    for client, _ in log.server.patiently(log.server.groups):
        try:
            answers = log.server.patiently(lambda client=client: _ask(client))
        except LogError:  # CONFIG and INFO are not for everybody: hosted servers keep them for themselves
            continue
        found += [one for one in _judge(*answers) if one not in found]
    return found


def _ask(client: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    persistence = client.info("persistence")
    config: dict[Any, Any] = {}
    with suppress(RedisError):
        for name in ("save", "maxmemory", "maxmemory-policy"):
            config |= client.config_get(name)
    return persistence, {_text(name): _text(value) for name, value in config.items()}


def _judge(persistence: dict[str, Any], config: dict[str, str]) -> list[str]:
    found: list[str] = []
    if not persistence.get("aof_enabled"):
        if config.get("save"):
            found.append(SNAPSHOTS_ONLY)
        elif "save" in config:
            found.append(NOTHING_KEPT)
    policy = config.get("maxmemory-policy", "noeviction")
    if config.get("maxmemory", "0") != "0" and policy.startswith("allkeys"):
        found.append(EVICTS.format(policy=policy))
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
