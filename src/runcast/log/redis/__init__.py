"""The log on Redis or Valkey, for any number of nodes: one server, one behind Sentinel, or a Cluster.

`log` is its face. `address` reads URLs, `options` is what may be set, `opening` says why a server cannot be used,
`server` calls scripts and waits out failures, `scripts` has the scripts (`*.lua`, each after `common.lua`, where the keys
are listed), `errors` says what Redis' errors mean. Writing is `jobs`, `writer`, `store` and `commit`; reading is `reads` and
`rows`; leases and snapshots are `tables`. `firehose` and `partitions` are the order of everything. Telling of it is
`announce`, `listen` (which finds a deaf subscription), `subscription` and `losses` (what a failover has lost);
`persistence` says what a server is set to lose.

The shape:

- **Partitions.** A log is made of partitions, each in one hash slot: `{name:0}:…`. Outside of a Cluster there is one.
  All that a commit does to a partition is one script: it numbers events, knows repeated ids, opens and closes runs,
  checks the fencing token, adds to the streams and to the firehose, and publishes a wake-up. So all of it happens
  or none, and neither a process nor a server that dies in between can lose or double an event in the firehose.
- **Positions.** With one partition, they count its commits' events as in the other logs. In a Cluster a writer
  first reserves positions from the one counter in partition 0, and each partition takes only what lies after its last one.
  Readers join the partitions' firehoses in the order of positions. A position that was reserved and not used
  (its writer died) is passed over once all partitions were forbidden to use it any more (`partitions`).
- **Once.** A commit has its writer's name and number, and each partition remembers its last answer to each writer. So a
  commit is repeated after a lost connection, without an event being stored twice.
- **Ids** that publishers give are known for the newest `id_window` of them in each stream, at least.
- **Another server.** A script sees that the server is not the one that wrote last (a failover, a restart): it goes on a
  million positions further, so that none is given twice, and counts the log's `generation` up. Whoever has told events then
  looks whether they are still there (`losses`).
- **Wake-ups** carry a position and nothing else. What is told was read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runcast.errors import ConfigError

if TYPE_CHECKING:
    from runcast.log.redis.log import RedisLog

__all__ = ["RedisLog"]


def __getattr__(name: str) -> Any:
    """Import the log when it is first asked for: its extra may not be installed (PEP 562)."""
    if name != "RedisLog":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from runcast.log.redis.log import RedisLog  # noqa: PLC0415 - the point of this function
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise ConfigError("log: a log on Redis needs: pip install 'runcast[redis]'") from error
    return RedisLog
