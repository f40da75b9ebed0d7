"""The log on Redis or Valkey, for any number of nodes."""

from __future__ import annotations

import atexit
import os
import secrets
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from runcast.core.event import Cursor, NewEvent, new_epoch
from runcast.errors import LogTooNew, StreamNotFound
from runcast.log.base import (
    PAGE_MAX_EVENTS,
    Appended,
    Lease,
    LogStatistics,
    Page,
    Snapshot,
    StreamInfo,
)
from runcast.log.pages import NEWEST
from runcast.log.redis import reads, tables
from runcast.log.redis.address import read_address
from runcast.log.redis.announce import Announcer, Stretch
from runcast.log.redis.listen import Listener
from runcast.log.redis.losses import Losses
from runcast.log.redis.options import read_options
from runcast.log.redis.queue import Job
from runcast.log.redis.rows import decode_changed
from runcast.log.redis.server import Argument, Server
from runcast.log.redis.writer import Writer
from runcast.log.rules import STREAMS_MAX, check_keep, check_limit, ttl_us
from runcast.log.watchers import Callback

FORMAT = 1


class RedisLog:
    """An `EventLog` on the Redis that `url` names; see `docs/redis.md` for what Redis itself can lose.

    Threads begin when they are first needed: a process that only reads has none.

    Args:
        url: as in `runcast.log.open`; its query may have options, too.
        clock: the time in microseconds since the Unix epoch; Redis' own if not given.
        options: by name, those of `runcast.log.redis.options.Options`.

    Raises:
        ConfigError: the URL or an option cannot be used.
        LogUnavailable: Redis does not answer.
        LogTooNew, LogError: the log cannot be used; says why.
    """

    blocking = True

    def __init__(self, url: str, *, clock: Callable[[], int] | None = None, **options: Any) -> None:
        address, in_url = read_address(url)
        self.url = address.url
        self._clock = clock or (lambda: 0)
        self._server = Server(address, read_options(options | in_url))
        found = self._server.open(new_epoch("*", secrets.randbits(40)), FORMAT)
        if found > FORMAT:
            raise LogTooNew
        self.epoch = self._server.epoch
        self._begin()
        _open_logs.add(self)

    def _begin(self) -> None:
        self._announcer = Announcer(_Single(self._server), Losses(self._server))
        self._listener = Listener(self._server, self._announcer)
        self._writer = Writer(self._server, self._announcer, self._clock, self)

    # --- writing -----------------------------------------------------------------------------

    def append(self, events: Sequence[NewEvent], *, lease: Lease | None = None) -> list[Appended]:
        return self.append_soon(events, lease=lease).result()

    def append_soon(
        self, events: Sequence[NewEvent], *, lease: Lease | None = None
    ) -> Future[list[Appended]]:
        return self._writer.submit(Job(tuple(events), lease))  # the caller may change its list

    def end(self, stream: str) -> StreamInfo:
        return self._change("end", stream)

    def clear(self, stream: str) -> StreamInfo:
        return self._change("clear", stream, new_epoch(stream, secrets.randbits(40)))

    def trim(self, stream: str, *, keep: int) -> StreamInfo:
        return self._change("trim", stream, check_keep(keep))

    def sweep(self, *, idle_since: int, limit: int = 1_000) -> int:
        swept = 0
        for partition in range(self._server.partitions):
            if swept < limit:
                swept += self._server.call(
                    "sweep", partition, self._clock(), self._server.wake_command, idle_since, limit - swept
                )
        if swept:
            self._announcer.catch_up()
        return swept

    def _change(self, change: str, stream: str, value: Argument = "") -> StreamInfo:
        answer = self._server.call(
            "change",
            self._server.partition_of(stream),
            self._clock(),
            self._server.wake_command,
            0,
            change,
            stream,
            value,
        )
        if answer is None:
            raise StreamNotFound(f"There is no stream {stream}.")
        self._announcer.catch_up()
        changed = decode_changed(answer)
        return changed.stream.info(changed.position)

    # --- reading -----------------------------------------------------------------------------

    def read(
        self,
        stream: str,
        after: Cursor | None = None,
        *,
        limit: int = PAGE_MAX_EVENTS,
        until: int | None = None,
    ) -> Page:
        check_limit(limit)
        return reads.read(self._server, stream, after, limit, NEWEST if until is None else until)

    def read_all(
        self,
        kind: str | None = None,
        after: Cursor | None = None,
        *,
        limit: int = PAGE_MAX_EVENTS,
        until: int | None = None,
    ) -> Page:
        check_limit(limit)
        return reads.read_all(self._server, kind, after, limit, NEWEST if until is None else until)

    def info(self, stream: str) -> StreamInfo:
        return reads.info(self._server, stream)

    def head(self) -> Cursor:
        return reads.head(self._server)

    def streams(self, kind: str | None = None, after: str = "", limit: int = 100) -> list[StreamInfo]:
        return reads.streams(self._server, kind, after, check_limit(limit, STREAMS_MAX))

    def recent(
        self, kind: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[StreamInfo]:
        before = NEWEST if before is None else before
        return reads.recent(self._server, kind, before, check_limit(limit, STREAMS_MAX))

    # --- the rest ----------------------------------------------------------------------------

    def watch(self, callback: Callback) -> Callable[[], None]:
        stop = self._announcer.watch(callback)
        self._listener.start()
        return stop

    def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        return tables.acquire(self._server, name, owner, ttl_us(ttl_s), self._clock())

    def release(self, lease: Lease) -> None:
        tables.release(self._server, lease, self._clock())

    def load_snapshot(self, stream: str, fold: str, version: int) -> Snapshot | None:
        return tables.load(self._server, [stream], fold, version).get(stream)

    def save_snapshot(self, stream: str, fold: str, version: int, snapshot: Snapshot) -> None:
        tables.save(self._server, fold, version, {stream: snapshot})

    def load_snapshots(self, streams: Sequence[str], fold: str, version: int) -> dict[str, Snapshot]:
        return tables.load(self._server, streams, fold, version)

    def save_snapshots(self, fold: str, version: int, snapshots: Mapping[str, Snapshot]) -> None:
        tables.save(self._server, fold, version, snapshots)

    def statistics(self) -> LogStatistics:
        return self._writer.statistics()

    def close(self) -> None:
        self._writer.close()
        self._listener.close()
        self._server.close()
        _open_logs.discard(self)

    # --- forks and the end of the process ----------------------------------------------------

    def after_fork_in_child(self) -> None:
        """Begin anew: the parent's threads are not here, and what it had queued is its own business."""
        self._server.begin_anew()
        self._begin()


class _Single:
    """The firehose of a log with one partition."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def newest(self) -> tuple[int, int]:
        facts = reads.read_firehose(self._server, 0, "", reads.LARGEST).facts
        return facts.position, facts.generation

    def after(self, position: int) -> Stretch:
        page = reads.read_firehose(self._server, 0, "", position, changes=True, wait_s=0)
        facts = page.facts
        return Stretch(page.records(), facts.reach, bool(facts.more), facts.generation)


_open_logs: weakref.WeakSet[RedisLog] = weakref.WeakSet()


def _close_all() -> None:
    for log in list(_open_logs):
        log.close()


def _begin_all_anew() -> None:
    for log in list(_open_logs):
        log.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # where there are forks
    os.register_at_fork(after_in_child=_begin_all_anew)
atexit.register(_close_all)
