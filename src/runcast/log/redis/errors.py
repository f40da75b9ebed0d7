"""What errors of Redis mean to who uses the log."""

from __future__ import annotations

from redis import exceptions

from runcast.errors import LogError, LogFull, LogGone, LogReadOnly, LogUnavailable

FAILURES = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
"""All that a client may raise: redis-py's exception for a Cluster that cannot be reached is of another family."""

WAITED_OUT = (
    exceptions.ConnectionError,  # refused, reset, no master known to Sentinel, loading, too many clients
    exceptions.TimeoutError,
    exceptions.ReadOnlyError,  # a master that has become a replica
    exceptions.ClusterError,
    exceptions.RedisClusterException,
    exceptions.ClusterDownError,
    exceptions.MasterDownError,
    exceptions.TryAgainError,
    exceptions.SlotNotCoveredError,
    exceptions.MovedError,
    exceptions.AskError,
    OSError,
)
"""What may go by while a server restarts or another one takes over."""

_WAITED_OUT_WORDS = (
    "NOREPLICAS",
    "MISCONF",
    "BUSY",
    "LOADING",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "READONLY",
    "UNBLOCKED",
)
_REFUSED = (exceptions.AuthenticationError, exceptions.NoPermissionError)
NO_CLUSTER = ("cluster support disabled", "Cluster mode is not enabled")


def passes(error: Exception) -> bool:
    """Whether to try again may help."""
    if isinstance(error, _REFUSED) or any(words in str(error) for words in NO_CLUSTER):
        return False
    if isinstance(error, WAITED_OUT):
        return True
    words = str(error).removeprefix("-")
    return isinstance(error, exceptions.ResponseError) and words.startswith(_WAITED_OUT_WORDS)


def log_error(error: Exception) -> LogError:
    """The error as callers of the log get it."""
    words = str(error)
    if passes(error):
        return LogUnavailable(f"Redis does not answer as it should ({_short(error)}); try again in a moment.")
    if isinstance(error, exceptions.OutOfMemoryError) or words.startswith("OOM"):
        return LogFull("Redis has reached its maxmemory and takes nothing more.")
    if words.startswith("GONE"):
        return LogGone("The log was removed from Redis; nothing was stored. Restart whatever uses it.")
    if isinstance(error, exceptions.NoPermissionError):
        return LogReadOnly(f"Redis does not allow it: {words}")
    return LogError(f"Redis refuses: {_short(error)}")


def _short(error: Exception) -> str:
    return " ".join((str(error) or type(error).__name__).split())[:200]
