"""Storing jobs: in the one partition of a log, or spread over several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Protocol

import msgspec

from runcast.errors import LogError, StaleToken
from runcast.log.base import Appended, Lease, Record
from runcast.log.redis.commit import Batch, Commit, Stored
from runcast.log.redis.jobs import Job
from runcast.log.redis.partitions import Partitions
from runcast.log.redis.server import Argument, Server

BY_CLOCK = -1
"""Instead of a reserved position: partitions that share none take theirs by the clock."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of each job. `records` are all that came after the position `before`, up to `position`.

    `before` is -1 if others may have come in between.
    """

    results: Sequence[list[Appended] | LogError]
    records: list[Record]
    before: int
    position: int
    generation: int = 0


class Store(Protocol):
    """Stores the jobs of one commit. Called by one thread at a time."""

    def store(self, jobs: Sequence[Job], wait_s: float) -> Outcome:
        """Wait for Redis as long as `wait_s`.

        Raises:
            LogError: none of it is known to be stored.
        """
        ...


class Single:
    """A log of one partition: one script call stores everything, or nothing."""

    def __init__(self, server: Server, clock: Callable[[], int], writer: str) -> None:
        self._server = server
        self._clock = clock
        self._writer = writer
        self._number = 0

    def store(self, jobs: Sequence[Job], wait_s: float) -> Outcome:
        """See `Store`."""
        self._number += 1
        commit = Commit([Batch(job.events, job.lease) for job in jobs])
        arguments = append_arguments(self._server, self._clock(), self._writer, self._number, commit)
        answer = self._server.patiently(lambda: self._server.call_replicated("append", 0, *arguments), wait_s)
        stored = commit.read(answer)
        results = [StaleToken() if own is None else own for own in stored.appended]
        return Outcome(results, stored.records, stored.before, stored.position, stored.generation)


class Spread:
    """A log of several partitions: each takes its part of a commit by itself.

    Without `partitions`, they share no positions.
    """

    def __init__(
        self, server: Server, partitions: Partitions | None, clock: Callable[[], int], writer: str
    ) -> None:
        self._server = server
        self._partitions = partitions
        self._clock = clock
        self._writer = writer
        self._number = 0

    def store(self, jobs: Sequence[Job], wait_s: float) -> Outcome:
        """See `Store`. A job whose parts did not all succeed has failed; some of it may be stored."""
        self._number += 1
        parts = self._split(jobs)
        commits = {partition: Commit([batch for _, _, batch in own]) for partition, own in parts.items()}
        stored = self._store_all(commits, wait_s)
        results: list[Any] = [[None] * len(job.events) for job in jobs]
        for partition, own in parts.items():
            found = stored[partition]
            for place, (number, indexes, _) in enumerate(own):
                appended = found.appended[place] if isinstance(found, Stored) else found
                if isinstance(results[number], LogError):
                    continue
                if appended is None or isinstance(appended, LogError):
                    results[number] = appended or StaleToken()
                    continue
                for index, each in zip(indexes, appended, strict=True):
                    results[number][index] = each
        done = [one for one in stored.values() if isinstance(one, Stored)]
        records = sorted((record for one in done for record in one.records), key=attrgetter("position"))
        return Outcome(results, records, -1, max((one.position for one in done), default=0))

    def _split(self, jobs: Sequence[Job]) -> dict[int, list[tuple[int, list[int], Batch]]]:
        """For each partition: the number of a job, the indexes of those of its events that go there, and these."""
        parts: defaultdict[int, list[tuple[int, list[int], Batch]]] = defaultdict(list)
        for number, job in enumerate(jobs):
            of_job: defaultdict[int, list[int]] = defaultdict(list)
            for index, event in enumerate(job.events):
                of_job[self._server.partition_of(event.stream)].append(index)
            for partition, indexes in of_job.items():
                events = [job.events[index] for index in indexes]
                parts[partition].append((number, indexes, Batch(events, self._lease(job.lease, partition))))
        return parts

    def _lease(self, lease: Lease | None, partition: int) -> Lease | None:
        """A lease as its partition can check it; one that lies elsewhere is looked at before."""
        if lease is None or self._server.partition_of_lease(lease.name) == partition:
            return lease
        key = f"{self._server.root(self._server.partition_of_lease(lease.name))}l:{lease.name}"
        held = self._server.patiently(lambda: self._server.client().hmget(key, "token", "owner"))
        holds = held == [str(lease.token).encode(), lease.owner.encode()]
        return None if holds else lease  # the partition does not know it, and refuses

    def _store_all(self, commits: dict[int, Commit], wait_s: float) -> dict[int, Stored | LogError]:
        stored: dict[int, Stored | LogError] = {}

        def store_rest() -> None:
            rest = {partition: one for partition, one in commits.items() if partition not in stored}
            for partition, answer in self._call(rest).items():
                if isinstance(answer, bytes):
                    stored[partition] = commits[partition].read(answer)
                elif not str(answer).startswith("BEHIND"):
                    raise answer
            if len(stored) < len(commits):
                store_rest()

        try:
            self._server.patiently(store_rest, wait_s)
        except LogError as error:
            if not stored:
                raise
            stored |= {partition: error for partition in commits if partition not in stored}
        return stored

    def _call(self, commits: dict[int, Commit]) -> dict[int, Any]:
        now = self._clock()
        first = BY_CLOCK
        if self._partitions is not None:
            first = self._partitions.reserve(sum(one.positions for one in commits.values()), now)
        arguments: dict[int, Sequence[Argument]] = {}
        for partition, commit in commits.items():
            arguments[partition] = append_arguments(
                self._server, now, self._writer, self._number, commit, first, commit.positions
            )
            first += commit.positions if self._partitions else 0
        return self._server.call_all("append", arguments, replicated=True)


def append_arguments(
    server: Server, now: int, writer: str, number: int, commit: Commit, *reserved: int
) -> tuple[Argument, ...]:
    """What `append.lua` takes; `reserved` are the first position and how many, if any are."""
    options = server.options
    return (
        now,
        server.wake_command,
        writer,
        number,
        *(reserved or (0, 0)),
        options.id_window,
        options.max_events,
        commit.packed(),
    )
