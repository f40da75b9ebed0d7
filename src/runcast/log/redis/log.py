"""The log on Redis or Valkey, for any number of nodes."""

from __future__ import annotations

import atexit
import os
import secrets
import weakref
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import msgspec

from runcast.core.event import Cursor, NewEvent, new_epoch
from runcast.errors import LogError, LogTooNew, NoFirehose, StreamNotFound
from runcast.log.base import (
    PAGE_MAX_EVENTS,
    Appended,
    Lease,
    LogStatistics,
    Page,
    Snapshot,
    StreamInfo,
)
from runcast.log.health import LogHealth
from runcast.log.pages import NEWEST
from runcast.log.redis import reads, tables
from runcast.log.redis.address import read_address
from runcast.log.redis.announce import Announcer
from runcast.log.redis.errors import FAILURES, log_error
from runcast.log.redis.firehose import Apart, SingleFirehose
from runcast.log.redis.jobs import Job
from runcast.log.redis.listen import PASSED_ON, Listener
from runcast.log.redis.losses import Losses
from runcast.log.redis.opening import open_server
from runcast.log.redis.options import Options, read_options
from runcast.log.redis.partitions import Partitions
from runcast.log.redis.rows import decode_changed
from runcast.log.redis.server import Argument, Server
from runcast.log.redis.store import BY_CLOCK, Single, Spread
from runcast.log.redis.writer import Writer
from runcast.log.rules import STREAMS_MAX, check_keep, check_limit, ttl_us
from runcast.log.watchers import Callback

FORMAT = 1
ENDS_AT_ONCE = 16
"""So many streams of a partition are removed by one step, at most, if positions have to be reserved for that."""


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
        settings = read_options(options | in_url)
        if settings.name != Options().name:
            self.url += f"?name={settings.name}"
        self._clock = clock or (lambda: 0)
        self.server = Server(address, settings)
        found = open_server(self.server, new_epoch("*", secrets.randbits(40)), FORMAT)
        if found > FORMAT:
            raise LogTooNew
        self.epoch = self.server.epoch
        self._begin()
        _open_logs.add(self)

    def _begin(self) -> None:
        server, name = self.server, secrets.token_hex(8)
        spread = server.partitions > 1
        self._partitions = Partitions(server) if spread and server.firehose else None
        firehose = self._partitions or (Apart(server) if spread else SingleFirehose(server))
        self._losses = Losses(server)
        self._announcer = Announcer(firehose, self._losses)
        self._listener = Listener(server, self._announcer)
        store = (
            Spread(server, self._partitions, self._clock, name)
            if spread
            else Single(server, self._clock, name)
        )
        self._writer = Writer(store, self._announcer, server.options, self)

    # --- writing -----------------------------------------------------------------------------

    def append(self, events: Sequence[NewEvent], *, lease: Lease | None = None) -> list[Appended]:
        return self._writer.do_now(Job(tuple(events), lease))

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
        for partition in range(self.server.partitions):
            if swept < limit:
                reserved = min(limit - swept, ENDS_AT_ONCE) if self._partitions else 0
                swept += self._call_reserved("sweep", partition, reserved, idle_since, limit - swept)
        if swept:
            self._announcer.catch_up()
        return swept

    @property
    def _next(self) -> int:
        """What stands for a position that is not reserved."""
        return BY_CLOCK if self.server.partitions > 1 else 0

    def _change(self, change: str, stream: str, value: Argument = "") -> StreamInfo:
        self._writer.catch_up()
        reserved = 1 if self._partitions else 0
        partition = self.server.partition_of(stream)
        name = secrets.token_hex(8)
        answer = self._call_reserved("change", partition, reserved, change, stream, value, name)
        if answer is None:
            raise StreamNotFound(f"There is no stream {stream}.")
        self._announcer.catch_up()
        changed = decode_changed(answer)
        return changed.stream.info(changed.position)

    def _call_reserved(self, script: str, partition: int, reserved: int, *arguments: Argument) -> Any:
        """Call a script that takes positions, `reserved` of them at most if the log has several partitions."""
        while True:
            now = self._clock()
            first = self._partitions.reserve(reserved, now) if self._partitions else self._next
            try:
                return self.server.call(
                    script, partition, now, self.server.wake_command, first, reserved, *arguments
                )
            except LogError as error:
                if "BEHIND" not in str(error):
                    raise

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
        return reads.read(self.server, stream, after, limit, NEWEST if until is None else until)

    def read_all(
        self,
        kind: str | None = None,
        after: Cursor | None = None,
        *,
        limit: int = PAGE_MAX_EVENTS,
        until: int | None = None,
    ) -> Page:
        check_limit(limit)
        until = NEWEST if until is None else until
        self._check_firehose()
        if self._partitions:
            return self._partitions.read_all(kind, after, limit, until)
        return reads.read_all(self.server, kind, after, limit, until)

    def info(self, stream: str) -> StreamInfo:
        settled = self._settled()
        return _as_of(settled, [reads.info(self.server, stream)])[0]

    def head(self) -> Cursor:
        self._check_firehose()
        return self._partitions.head() if self._partitions else reads.head(self.server)

    def streams(self, kind: str | None = None, after: str = "", limit: int = 100) -> list[StreamInfo]:
        check_limit(limit, STREAMS_MAX)
        settled = self._settled()
        return _as_of(settled, reads.streams(self.server, kind, after, limit))

    def recent(
        self, kind: str | None = None, before: int | None = None, limit: int = 100
    ) -> list[StreamInfo]:
        check_limit(limit, STREAMS_MAX)
        settled = self._settled()
        return _as_of(settled, reads.recent(self.server, kind, NEWEST if before is None else before, limit))

    def _check_firehose(self) -> None:
        if self.server.partitions > 1 and not self._partitions:
            raise NoFirehose

    def _settled(self) -> int:
        """Up to where nothing new can come any more; 0 if that need not, or cannot, be known now.

        It makes what is said of a stream more recent. That it is right does not hang on it: a stream's own
        partition knows its own last position.
        """
        with suppress(LogError):
            return self._partitions.newest(wait_s=0)[0] if self._partitions else 0
        return 0

    # --- the rest ----------------------------------------------------------------------------

    def watch(self, callback: Callback) -> Callable[[], None]:
        stop = self._announcer.watch(callback)
        self._listener.start()
        return stop

    def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        return tables.acquire(self.server, name, owner, ttl_us(ttl_s), self._clock())

    def renew(self, leases: Sequence[Lease], ttl_s: float) -> list[bool]:
        """See `RenewsMany`."""
        return tables.renew(self.server, leases, ttl_us(ttl_s), self._clock())

    def release(self, lease: Lease) -> None:
        tables.release(self.server, lease, self._clock())

    def load_snapshot(self, stream: str, fold: str, version: int) -> Snapshot | None:
        return tables.load(self.server, [stream], fold, version).get(stream)

    def save_snapshot(self, stream: str, fold: str, version: int, snapshot: Snapshot) -> None:
        tables.save(self.server, fold, version, {stream: snapshot})

    def load_snapshots(self, streams: Sequence[str], fold: str, version: int) -> dict[str, Snapshot]:
        return tables.load(self.server, streams, fold, version)

    def save_snapshots(self, fold: str, version: int, snapshots: Mapping[str, Snapshot]) -> None:
        tables.save(self.server, fold, version, snapshots)

    def pass_on(self, text: str) -> None:
        """See `PassesOn`."""
        try:
            self.server.publish(0, f"{self.server.root(0)}wake", PASSED_ON + text)
        except FAILURES as error:
            raise log_error(error) from error

    def listen(self, hear: Callable[[str], None]) -> None:
        """See `PassesOn`."""
        self._listener.listeners.append(hear)
        self._listener.start()

    def statistics(self) -> LogStatistics:
        return self._writer.statistics()

    def health(self) -> LogHealth:
        """See `TellsHealth`."""
        return LogHealth(
            retries=self.server.retries,
            unavailable=self.server.unavailable,
            probes=self._listener.probes,
            reopened=self._listener.reopened,
            takeovers=self._losses.looks,
            streams_lost=self._losses.streams_lost,
        )

    def close(self) -> None:
        self._writer.close()
        self._listener.close()
        self.server.close()
        _open_logs.discard(self)

    # --- forks and the end of the process ----------------------------------------------------

    def after_fork_in_child(self) -> None:
        """Begin anew: the parent's threads are not here, and what it had queued is its own business."""
        self.server.begin_anew()
        self._begin()


def _as_of(settled: int, infos: list[StreamInfo]) -> list[StreamInfo]:
    """Streams that were read when all up to `settled` was there already: so much do they stand for, at least."""
    if not settled:
        return infos
    return [msgspec.structs.replace(info, position=max(info.position, settled)) for info in infos]


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
