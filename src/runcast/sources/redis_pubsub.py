"""Redis channels `agent_progress:{task_id}`: what any program publishes there become events of the task.

Redis keeps nothing of a channel. So that each message is taken in once, though several nodes could, one of them holds
a lease and listens. What is published while nobody listens (no server, a connection that broke, the seconds until
another node notices that the holder was killed) is lost to us; docs/tasks.md says so.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from runcast.core.event import parse_time
from runcast.errors import ConfigError, InvalidEvent, InvalidInput, LogClosed, LogError, StaleToken
from runcast.kinds.base import Publish
from runcast.kinds.task import COMMAND, from_frame
from runcast.live.figures import Figure, counter, gauge
from runcast.log.base import Appended, Lease
from runcast.sources.redis_echo import CHANNEL, not_a_url

if TYPE_CHECKING:
    from runcast.live.bus import Bus

logger = logging.getLogger("runcast.redis_pubsub")

CONNECT_S: Final = 5.0
PROBE_S: Final = 1.5
DEAF_S: Final = 6.0
"""A subscription that has not heard a probe for so long is opened anew."""
RETRY_S: Final = 0.1
LONGEST_RETRY_S: Final = 2.0
AGAIN_S: Final = 1.0
LONGEST_AGAIN_S: Final = 60.0
"""Pauses after what nobody has expected."""
MAX_PENDING: Final = 1_000
"""Messages that may wait for the log before more are read."""
WARN_EVERY_S: Final = 10.0
_OF_RUNNERS: Final = frozenset({"task_type", "params", "executor", "max_attempts", "worker", "due_at"})
"""By these a task is begun here, and an attempt known. Redis asks nobody who they are, so they are not taken from it."""


class _Deaf(Exception):
    """The subscription hears nothing any more, though it is connected."""


class _Handover(Exception):
    """Another node has the lease."""


async def follow_redis(bus: Bus) -> None:
    """Take in what is published on the channels of the Redis that the settings name, if any, until cancelled.

    What nobody has expected is logged, and it is begun again after a pause.

    Raises:
        ConfigError: the URL cannot be, or redis is not installed.
    """
    url, pause_s = bus.settings.redis_url, AGAIN_S
    check_url(url)
    while url:
        began_s = time.monotonic()
        try:
            await RedisSource(bus, url).run()
            return
        except Exception:  # a task's root: a flaw that one message shows must not cost all others
            if time.monotonic() - began_s > LONGEST_AGAIN_S:
                pause_s = AGAIN_S
            logger.exception("listening to Redis has failed; it is begun again in %g s", pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_AGAIN_S)


def check_url(url: str) -> None:
    """Whether a Redis could be heard there; nothing is connected to. An empty one is well: there is none.

    Raises:
        ConfigError: it is no URL, or redis is not installed.
    """
    if url:
        try:
            _client(url, None).connection_pool.make_connection()  # its options are read there
        except TypeError:
            raise not_a_url() from None


class RedisSource:
    """Listens on all channels of tasks while it holds the lease. One per process and Redis.

    `counts` says how many messages were `heard`, and of these `taken`, `repeated` (our own publishers' echoes, mostly), `refused` and `lost`
    (the log could not take them), and how often it was `connected` and found `deaf`.
    """

    OUTCOMES: Final = ("taken", "repeated", "refused", "lost")

    def __init__(self, bus: Bus, url: str) -> None:
        self.counts: Counter[str] = Counter()
        self.is_listening = asyncio.Event()
        self._bus = bus
        self._url = url
        self._ttl_s = bus.settings.runner_lease_s
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._name = f"source:redis:{hashlib.sha256(url.encode()).hexdigest()[:16]}"
        self._pending = 0
        self._is_stale = False
        self._settled = asyncio.Event()
        self._warned_s = -WARN_EVERY_S

    async def run(self) -> None:
        """Wait for the lease, listen while it is held, until cancelled; then it is given back."""
        asyncio_redis()  # what is missing is said at once
        self._bus.figures.append(self.figures)
        try:
            await self._run()
        finally:
            self._bus.figures.remove(self.figures)

    def figures(self) -> Iterable[Figure]:
        """For `/metrics`."""
        yield gauge(
            "runcast_task_channel_listening",
            "1 on the one node that listens to Redis' channels of tasks.",
            self.is_listening.is_set(),
        )
        yield counter(
            "runcast_task_channel_heard", "Messages heard on Redis' channels.", self.counts["heard"]
        )
        for outcome in self.OUTCOMES:
            yield counter(
                "runcast_task_channel_messages",
                "What became of them: repeated are echoes of what was there already, lost what the log did not take.",
                self.counts[outcome],
                {"outcome": outcome},
            )
        for event in ("connected", "deaf"):
            yield counter(
                "runcast_task_channel_connections",
                "Times that it was connected to Redis, and found deaf.",
                self.counts[event],
                {"event": event},
            )

    async def _run(self) -> None:
        while True:
            try:
                lease = await self._acquire()
                if lease is None:
                    await asyncio.sleep(self._ttl_s / 3)
                    continue
                await self._hold(lease)
            except LogClosed:
                return
            except LogError as error:
                self._warn("the log cannot be used: %s", error)
                await asyncio.sleep(LONGEST_RETRY_S)

    async def _acquire(self) -> Lease | None:
        return await self._bus.call(self._bus.log.acquire, self._name, self._owner, self._ttl_s)

    async def _hold(self, lease: Lease) -> None:
        self._is_stale = False
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._renew(lease))
                group.create_task(self._listen(lease))
        except* _Handover:
            logger.info("another node listens to Redis now")
        finally:
            self.is_listening.clear()
            try:
                await self._bus.call(self._bus.log.release, lease)
            except LogError as error:
                logger.debug("the lease of Redis ends by itself: %s", error)

    async def _renew(self, lease: Lease) -> None:
        until_s = time.monotonic() + self._ttl_s
        while True:
            await asyncio.sleep(self._ttl_s / 3)
            asked_s = time.monotonic()
            try:
                renewed = await self._acquire()
            except LogError as error:
                self._warn("the lease could not be renewed: %s", error)
                if time.monotonic() > until_s:
                    raise _Handover from None
                continue
            if renewed is None or renewed.token != lease.token:
                raise _Handover
            until_s = asked_s + self._ttl_s

    # listening

    async def _listen(self, lease: Lease) -> None:
        pause_s = RETRY_S
        while True:
            began_s = time.monotonic()
            try:
                await self._connection(lease)
            except* (_Deaf, TimeoutError):
                self.counts["deaf"] += 1
                self._warn("the subscription hears nothing; it is opened anew")
            except* (asyncio_redis().RedisError, OSError) as errors:
                self._warn("Redis cannot be heard: %s", errors.exceptions[0])
            self.is_listening.clear()
            if time.monotonic() - began_s > DEAF_S:
                pause_s = RETRY_S
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_RETRY_S)

    async def _connection(self, lease: Lease) -> None:
        """Listen over one connection until it breaks, or is deaf."""
        client = _client(self._url, None)
        asking = _client(self._url, CONNECT_S)
        probe = f"runcast:probe:{secrets.token_hex(8)}"
        try:
            pubsub: Any = client.pubsub()
            async with asyncio.timeout(CONNECT_S):
                await pubsub.psubscribe(f"{CHANNEL}*", probe)
            self.counts["connected"] += 1
            heard = _Heard()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hear(pubsub, lease, probe, heard))
                group.create_task(_probe(asking, probe, heard))
        finally:
            for one in (client, asking):
                await one.aclose()

    async def _hear(self, pubsub: Any, lease: Lease, probe: str, heard: _Heard) -> None:
        while True:
            message = await pubsub.get_message(ignore_subscribe_messages=False, timeout=None)
            if message is None:
                continue
            channel = message["channel"]
            if message["type"] == "psubscribe":
                if channel == probe.encode():  # the second of the two
                    self.is_listening.set()
            elif channel == probe.encode():
                heard.at_s = time.monotonic()
            else:
                self._take(channel, message["data"], lease)
                await self._breathe()

    def _take(self, channel: bytes, payload: bytes, lease: Lease) -> None:
        """Let one message be stored; what cannot be an event is counted and left."""
        loop = asyncio.get_running_loop()
        self.counts["heard"] += 1
        try:
            publish = self._read(channel, payload)
            if publish is not None:
                future = self._bus.publish_soon([publish], lease=lease)
                self._pending += 1
                future.add_done_callback(lambda done: _call(loop, self._note, done))
        except InvalidInput as error:
            self.counts["refused"] += 1
            self._warn("a message on %s is refused: %s", channel[:100].decode(errors="replace"), error)
        except LogError as error:
            self._lose(error)

    def _note(self, done: Future[list[Appended]]) -> None:
        """What became of a message."""
        self._pending -= 1
        self._settled.set()
        error = done.exception()
        if error is None:
            repeated = any(one.duplicate for one in done.result())
            self.counts["repeated" if repeated else "taken"] += 1
        else:
            self._lose(error)

    def _lose(self, error: BaseException) -> None:
        if isinstance(error, StaleToken):
            self._is_stale = True  # whoever has the lease now has heard it, too
        else:
            self.counts["lost"] += 1
            self._warn("a message is lost: %s", error)

    async def _breathe(self) -> None:
        """Wait while too many messages are on their way to the log; raises `_Handover` if they are not ours to store."""
        while self._pending > MAX_PENDING:
            self._settled.clear()
            await self._settled.wait()
        if self._is_stale:
            raise _Handover

    def _read(self, channel: bytes, payload: bytes) -> Publish | None:
        """The event that a message is; None for a heartbeat. Raises `InvalidInput`."""
        limit = (
            2 * self._bus.settings.event_max_bytes
        )  # as its publisher spells it; what is stored has half of that
        if len(payload) > limit:
            raise InvalidEvent(f"message: {len(payload)} bytes; the limit is {limit}.", field="message")
        try:
            decoded: Any = msgspec.json.decode(payload)
            task_id = channel.decode().removeprefix(CHANNEL)
        except (ValueError, RecursionError):  # both decoders' errors are ValueErrors
            raise InvalidEvent("message: not JSON.", field="message") from None
        if not isinstance(decoded, dict):
            raise InvalidEvent("message: a JSON object is expected.", field="message")
        fields = cast("dict[str, Any]", decoded)
        if fields.get("heartbeat") is True:
            return None
        if fields.get("step") == COMMAND:
            raise InvalidEvent(f"step: {COMMAND} is not taken from here; see docs/tasks.md.", field="step")
        fields = {name: value for name, value in fields.items() if name not in _OF_RUNNERS}
        fields["timestamp"] = _sane_time(fields.get("timestamp"), self._bus.now_us())
        return from_frame(task_id, fields)

    def _warn(self, message: str, *details: object) -> None:
        now_s = time.monotonic()
        if now_s - self._warned_s >= WARN_EVERY_S:
            self._warned_s = now_s
            logger.warning(message, *details)
        else:
            logger.debug(message, *details)


class _Heard:
    """When the subscription was last known to hear."""

    def __init__(self) -> None:
        self.at_s = time.monotonic()


def _call(loop: asyncio.AbstractEventLoop, act: Callable[[Any], object], argument: object) -> None:
    """Call it in the loop, unless that was closed: from a thread of the log."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(act, argument)


async def _probe(client: Any, channel: str, heard: _Heard) -> None:
    """Publish to the subscription itself, and see whether it arrives: only that shows that it still does."""
    while True:
        async with asyncio.timeout(DEAF_S):
            await client.publish(channel, b"")
        await asyncio.sleep(PROBE_S)
        if time.monotonic() - heard.at_s > DEAF_S:
            raise _Deaf


def _sane_time(given: object, now_us: int) -> str | None:
    """A timestamp as it is if it can be; else none: a foreign clock must not cost the message."""
    if not isinstance(given, str):
        return None
    try:
        parse_time(given, now_us)
    except InvalidEvent:
        return None
    return given


def asyncio_redis() -> Any:
    """The library.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import redis.asyncio  # noqa: PLC0415 - not always installed
    except ImportError:
        raise ConfigError("redis_url: Redis needs an extra: pip install 'runcast[redis]'.") from None
    return redis.asyncio


def _client(url: str, timeout_s: float | None) -> Any:
    """A client that raises what goes wrong, at once; raises `ConfigError` for what is no URL."""
    redis = asyncio_redis()
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    try:
        return redis.Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=timeout_s,
            socket_keepalive=True,
            retry=Retry(NoBackoff(), 0),
            decode_responses=False,
        )
    except ValueError:
        raise not_a_url() from None
