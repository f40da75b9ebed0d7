"""Calling scripts in the partitions of a log, and waiting out a Redis that does not answer."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from redis.exceptions import NoScriptError, SlotNotCoveredError

from runcast.chance import CHANCE
from runcast.errors import LogClosed, LogError, LogUnavailable
from runcast.log.redis.address import Address
from runcast.log.redis.errors import FAILURES, log_error, passes
from runcast.log.redis.options import Options
from runcast.log.redis.scripts import Script, script
from runcast.log.rules import place_of_lease

T = TypeVar("T")
Argument = str | bytes | int
_Keys = tuple[int, str, str]

PARTITIONS = 8
"""How many a log in a Cluster has, if nothing else is said: so many masters can share its work."""
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.5
REPLICAS_WAIT_MS = 1_000


class Server:
    """The clients of one log. Any thread may call it.

    `partitions` and `firehose` are what the log was made with, known once it is open.
    """

    def __init__(self, address: Address, options: Options) -> None:
        self.address = address
        self.options = options
        self.partitions = 1
        self.firehose = True
        self.epoch = ""
        self.wake_command = "PUBLISH"
        self.retries = self.unavailable = 0
        """Calls that were tried again, and that were given up, as it did not answer."""
        self._client: Any = None
        self._connecting = threading.Lock()
        self._closed = threading.Event()

    @property
    def is_closed(self) -> bool:
        """Whether nothing may be called any more."""
        return self._closed.is_set()

    def client(self) -> Any:
        """The client, connected when it is first used."""
        client = self._client
        if client is None:
            with self._connecting:
                client = self._client = self._client or self.address.client(self.options.timeout_s)
        return client

    def root(self, partition: int) -> str:
        """What the names of a partition's keys begin with; its braces are the hash tag."""
        return f"{{{self.options.name}:{partition}}}:"

    def partition_of(self, name: str) -> int:
        """Where a stream is."""
        return zlib.crc32(name.encode()) % self.partitions if self.partitions > 1 else 0

    def partition_of_lease(self, name: str) -> int:
        """Where a lease is: those of a stream beside it."""
        return self.partition_of(place_of_lease(name))

    def call(self, name: str, partition: int, *arguments: Argument, wait_s: float | None = None) -> Any:
        """Run a script with the log's epoch and `arguments`; returns its answer.

        Raises:
            LogUnavailable: Redis did not answer in `wait_s` (of the options, if not given); it may have done it.
            LogError: or one of its children: it has refused.
        """
        return self.patiently(lambda: self.call_once(name, partition, *arguments), wait_s)

    def call_once(self, name: str, partition: int, *arguments: Argument) -> Any:
        """`call` without waiting for anything.

        Raises:
            RedisError, OSError: as they come.
        """
        return self._run(self.client(), script(name), self._keys(partition), (self.epoch, *arguments))

    def call_all(
        self, name: str, arguments: Mapping[int, Sequence[Argument]], *, replicated: bool = False
    ) -> dict[int, Any]:
        """Run a script in several partitions, in one round trip to each server; returns each one's answer, or error.

        `replicated`: as `call_replicated` does it.
        """
        call = self.call_replicated if replicated else self.call_once
        if len(arguments) == 1 or not self.address.is_cluster or (replicated and self.options.replicas):
            return {partition: _try(call, name, partition, own) for partition, own in arguments.items()}
        answers: dict[int, Any] = {}
        for node, partitions in self._by_node(arguments).items():
            found = self._call_node(node, name, {partition: arguments[partition] for partition in partitions})
            answers.update(zip(partitions, found, strict=True))
        for partition, answer in answers.items():
            if isinstance(answer, Exception):  # a new server, or the partition has moved: the client finds it
                answers[partition] = _try(call, name, partition, arguments[partition])
        return {partition: answers[partition] for partition in arguments}

    def groups(self) -> list[tuple[Any, list[int]]]:
        """The clients of single servers, each with the partitions that it has.

        Raises:
            RedisError, OSError: a Cluster's shape could not be found out.
        """
        everything = range(self.partitions)
        if not self.address.is_cluster:
            return [(self.client(), list(everything))]
        if self.wake_command == "PUBLISH":  # a Cluster hands it on to all of its servers
            return [(self._owner(0), list(everything))]
        by_node = self._by_node(everything)
        return [(self.client().get_redis_connection(node), own) for node, own in by_node.items()]

    def publish(self, partition: int, channel: str, text: str) -> None:
        """Publish as the scripts do.

        Raises:
            RedisError, OSError: it could not be.
        """
        self._owner(partition).execute_command(self.wake_command, channel, text)

    def _by_node(self, partitions: Iterable[int]) -> dict[Any, list[int]]:
        nodes: dict[Any, list[int]] = {}
        for partition in partitions:
            nodes.setdefault(self._node(partition), []).append(partition)
        return nodes

    def _node(self, partition: int) -> Any:
        """Who has a partition, as far as the client knows."""
        try:
            return self.client().get_node_from_key(self.root(partition))
        except (KeyError, IndexError) as error:
            raise SlotNotCoveredError(f"no server has partition {partition}") from error

    def _call_node(self, node: Any, name: str, arguments: Mapping[int, Sequence[Argument]]) -> list[Any]:
        try:
            with self.client().get_redis_connection(node).pipeline(transaction=False) as pipeline:
                for partition, own in arguments.items():
                    keys = self._keys(partition)
                    pipeline.execute_command("EVALSHA", script(name).sha, *keys, self.epoch, *own)
                return pipeline.execute(raise_on_error=False)
        except (*FAILURES, AttributeError) as error:  # redis-py knows of no node, or of none any more
            return [error] * len(arguments)

    def call_replicated(self, name: str, partition: int, *arguments: Argument) -> Any:
        """`call_once`, then wait until as many replicas as the options ask for have it.

        Raises:
            LogUnavailable: they have not, for a second.
            RedisError, OSError: as they come.
        """
        replicas = self.options.replicas
        if not replicas:
            return self.call_once(name, partition, *arguments)
        try:
            answer, acknowledged = self._run_and_wait(script(name), partition, arguments)
        except FAILURES:
            self._find_owner(partition)
            raise
        if acknowledged < replicas:
            raise LogUnavailable(
                f"{acknowledged} of {replicas} replicas have the events so far; try again in a moment."
            )
        return answer

    def _run_and_wait(self, which: Script, partition: int, arguments: Sequence[Argument]) -> tuple[Any, int]:
        """The answer, and how many replicas have it."""
        owner, keys = self._owner(partition), self._keys(partition)
        with owner.pipeline(transaction=False) as pipeline:
            pipeline.execute_command("EVALSHA", which.sha, *keys, self.epoch, *arguments)
            pipeline.execute_command("WAIT", self.options.replicas, REPLICAS_WAIT_MS)
            answer, acknowledged = pipeline.execute(raise_on_error=False)
        if isinstance(answer, NoScriptError):
            owner.execute_command("SCRIPT LOAD", which.text)
            return self._run_and_wait(which, partition, arguments)
        for each in (answer, acknowledged):
            if isinstance(each, Exception):
                raise each
        return answer, acknowledged

    def _find_owner(self, partition: int) -> None:
        """Let a Cluster's client find out who has a partition now: it hears of that by calls of its own only."""
        if self.address.is_cluster:
            with suppress(*FAILURES):
                self.client().execute_command("EXISTS", f"{self.root(partition)}g")

    def patiently(self, act: Callable[[], T], wait_s: float | None = None) -> T:
        """Try `act` again while what goes wrong may pass.

        Raises:
            LogUnavailable, LogError, LogClosed: as `call`.
        """
        deadline = time.monotonic() + (self.options.wait_s if wait_s is None else wait_s)
        pause_s = FIRST_PAUSE_S
        while True:
            if self.is_closed:
                raise LogClosed
            try:
                return act()
            except (*FAILURES, LogUnavailable) as error:
                may_pass = isinstance(error, LogUnavailable) or passes(error)
                if not may_pass or time.monotonic() + pause_s > deadline:
                    self._count(unavailable=may_pass)
                    raise (error if isinstance(error, LogUnavailable) else log_error(error)) from error
            self._count(retries=True)
            self._closed.wait(pause_s * CHANCE.uniform(0.5, 1.5))
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _count(self, *, retries: bool = False, unavailable: bool = False) -> None:
        with self._connecting:  # any thread may call, and this is seldom
            self.retries += retries
            self.unavailable += unavailable

    def open(self, new_epoch: str, log_format: int) -> int:
        """Make the log if it is not there, read what it was made with; returns its format.

        Raises:
            LogUnavailable, LogError: as `call`.
        """
        partitions = self.options.partitions or (PARTITIONS if self.address.is_cluster else 1)
        self.epoch = new_epoch
        found: Sequence[bytes] = self._create(
            0, new_epoch, log_format, partitions, int(self.options.firehose)
        )
        self.epoch, self.partitions = found[0].decode(), int(found[2])
        self.firehose = found[3] == b"1"
        for partition in range(1, self.partitions):
            self._create(partition, self.epoch, int(found[1]), self.partitions, int(self.firehose))
        self.wake_command = self._find_wake_command()
        return int(found[1])

    def _create(self, partition: int, *made_with: Argument) -> Sequence[bytes]:
        keys, create = self._keys(partition), script("create")
        return self.patiently(lambda: self._run(self.client(), create, keys, made_with))

    def close(self) -> None:
        """Close the connections; who waits is told that the log is closed. Idempotent."""
        self._closed.set()
        client, self._client = self._client, None
        if client is not None:
            self.address.close(client)

    def begin_anew(self) -> None:
        """After a fork: the parent's connections and locks are its own."""
        self._client = None
        self._connecting = threading.Lock()
        closed, self._closed = self._closed.is_set(), threading.Event()
        if closed:
            self._closed.set()

    def _run(self, client: Any, which: Script, keys: _Keys, arguments: Sequence[Argument]) -> Any:
        try:
            return client.execute_command("EVALSHA", which.sha, *keys, *arguments)
        except NoScriptError:  # a server that was restarted, or has just taken over
            return client.execute_command("EVAL", which.text, *keys, *arguments)

    def _keys(self, partition: int) -> _Keys:
        """How many keys a script is told of, and which: that of the partition, and one that never exists.

        While a slot moves to another server of a Cluster, its keys are in two places, and a script in either would take
        the others for missing. A call that names several keys, of which one is missing, is refused as long (TRYAGAIN).
        """
        root = self.root(partition)
        return 2, f"{root}g", f"{root}-"

    def _owner(self, partition: int) -> Any:
        """The client of the server that has a partition."""
        client = self.client()
        if not self.address.is_cluster:
            return client
        return client.get_redis_connection(self._node(partition))

    def _find_wake_command(self) -> str:
        """Sharded where the server has it: in a Cluster, others than the partition's own shard are spared then."""
        if not self.address.is_cluster:
            return "PUBLISH"
        try:
            self.patiently(lambda: self._owner(0).execute_command("SPUBLISH", self.root(0) + "probe", ""))
        except LogError:
            return "PUBLISH"
        return "SPUBLISH"


def _try(call: Callable[..., Any], name: str, partition: int, arguments: Sequence[Argument]) -> Any:
    try:
        return call(name, partition, *arguments)
    except (*FAILURES, LogUnavailable) as error:
        return error
