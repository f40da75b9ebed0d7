"""Runs what is to be run: finds open runs, claims them by leases, takes over those whose runner has died.

Any number of processes may do this on one log. Each run belongs to one of them at a time: whoever has the lease of
its stream. A process that ends gives its leases back; those of one that was killed end by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from itertools import count

from runcast.errors import NEVER, LogError, NoFirehose, StaleToken
from runcast.live.bus import Bus
from runcast.live.follower import follow
from runcast.log.base import Lease, StreamInfo
from runcast.log.renewing import RenewsMany
from runcast.log.rules import lease_name
from runcast.runners.claim import RENEW_AGAIN_S, RENEWALS_PER_LEASE, Claim, Slot
from runcast.runners.lane import Ending, Lane, Runner

__all__ = ["Claim", "Ending", "Runner", "RunnerHost", "lease_name"]

logger = logging.getLogger("runcast.runners")

LIST_SIZE = 200
LOOK_BREATH_S = 0.001
"""After each look at a stream of long ago: live traffic goes first."""
PROBE_S = 0.25
PROBES = 4
"""So many streams of others are tried per look, whatever their number: if one is free, the rest is tried, too."""
RENEWALS_AT_ONCE = 2
"""Each takes one of the bus's few threads for the time of a commit: those who read want some, too."""
RENEWED_SINGLY = 8
RENEWED_TOGETHER = 500
"""More leases than `RENEWED_SINGLY` are renewed together, so many in one commit."""
RETRY_S = 1.0
LONGEST_RETRY_S = 30.0


class RunnerHost:
    """Lets `runners` run what is open in the log, each kind as many at once as `limits` says by its name.

    Args:
        bus: whose log, kinds and settings count (`runner_lease_s`).
        runners: one per kind; the kinds must be known to the bus.
        limits: runs at once in this process; by default `max_workflows`, `max_plans` and `max_answers` of the
            settings.
    """

    def __init__(self, bus: Bus, runners: Sequence[Runner], limits: Mapping[str, int] | None = None) -> None:
        settings = bus.settings
        limits = limits or {
            "workflow": settings.max_workflows,
            "plan": settings.max_plans,
            "chat": settings.max_answers,
        }
        self._bus = bus
        self._ttl_s = settings.runner_lease_s
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._numbers = count(1)
        self._lanes = [
            Lane(runner, bus.kinds[runner.kind], limits.get(runner.kind, settings.max_workflows))
            for runner in runners
        ]

    @property
    def claimed(self) -> list[str]:
        """The streams that this process runs now."""
        return [stream for lane in self._lanes for stream in lane.claims]

    async def run(self) -> None:
        """Find, claim and run, until cancelled; then all runs are cancelled and their leases given back.

        Ends by itself when the log is closed or may only be read. A run that fails harms no other.
        """
        try:
            async with asyncio.TaskGroup() as group:
                for lane in self._lanes:
                    for work in (self._follow, self._look_back, self._probe):
                        group.create_task(work(lane))
                    group.create_task(self._admit(lane, group))
                    group.create_task(self._admit_urgent(lane, group))
                group.create_task(self._renew())
        except* NEVER as errors:
            why = errors.exceptions[0]
            level = logging.WARNING if isinstance(why, NoFirehose) else logging.INFO
            logger.log(level, "nothing is run any more: %s", why)

    # Finding

    async def _follow(self, lane: Lane) -> None:
        with follow(self._bus, lane.scope) as follower, _changes_heard(self._bus, lane):
            while True:
                try:
                    if not lane.is_following.is_set():
                        follower.position = (await self._bus.head()).offset
                        lane.is_following.set()
                    for event in await follower.read():
                        lane.hear(event)
                except LogError as error:
                    await self._wait(f"events of {lane.scope}", error)

    async def _look_back(self, lane: Lane) -> None:
        """Find what was left open before this process began: the newest first, but what is found in order."""
        await lane.is_following.wait()
        before: int | None = None
        while True:
            try:
                infos = await self._bus.recent(lane.runner.kind, before, LIST_SIZE)
                open_ones = [info for info in infos if not (info.ended or lane.knows(info.stream))]
                names = [info.stream for info in sorted(open_ones, key=_age)]
                lane.offer([name for name in names if await self._is_open(lane, name)])
            except LogError as error:
                await self._wait("open runs", error)
                continue
            if len(infos) < LIST_SIZE:
                return
            before = infos[-1].latest

    async def _is_open(self, lane: Lane, stream: str) -> bool:
        await asyncio.sleep(LOOK_BREATH_S)
        try:
            return await lane.runner.is_open(stream)
        except LogError:
            raise
        except Exception:  # a fold is anybody's code: what it fails at must not keep back other runs
            logger.exception("it cannot be told whether %s is open; it is left alone", stream)
            return False

    async def _probe(self, lane: Lane) -> None:
        """Look whether runs of others have come free."""
        while True:
            await asyncio.sleep(min(PROBE_S, self._ttl_s / RENEWALS_PER_LEASE))
            for stream in list(lane.held)[:PROBES]:
                if lane.slots.locked():
                    break  # it could not be run here
                try:
                    lease = await self._acquire(stream)
                except LogError as error:
                    await self._wait("runs of others", error)
                    break
                if lease is not None:
                    await self._release(lease)
                    lane.try_held()
                    break
                if lane.held.pop(stream, 0) is None:
                    lane.held[stream] = None  # behind the others

    # Claiming

    async def _admit(self, lane: Lane, group: asyncio.TaskGroup) -> None:
        while True:
            await lane.has_ready.wait()
            slot = Slot(lane.slots)
            await slot.take()
            stream = lane.take_ready()
            if stream is None:
                slot.give()
            else:
                group.create_task(self._try(lane, stream, slot))

    async def _admit_urgent(self, lane: Lane, group: asyncio.TaskGroup) -> None:
        """Let runs end without a place that were told to end while they waited for one."""
        while True:
            await lane.has_urgent.wait()
            stream = lane.take_urgent()
            if stream is not None and await self._is_ending(lane, stream) and stream in lane.ready:
                lane.take(stream)
                group.create_task(self._try(lane, stream, Slot(lane.slots)))

    async def _is_ending(self, lane: Lane, stream: str) -> bool:
        if not isinstance(lane.runner, Ending):
            return False
        try:
            return await lane.runner.is_ending(stream)
        except LogError as error:
            await self._wait(stream, error)
        except Exception:  # a fold is anybody's code: what it fails at must not keep back other runs
            logger.exception("it cannot be told whether %s is to be ended; it waits for its place", stream)
        return False

    async def _try(self, lane: Lane, stream: str, slot: Slot) -> None:
        """Run it if it is open and nobody else does; a task's root."""
        is_held, again_s = False, 0.0
        try:
            is_held = not await self._run_if_open(lane, stream, slot)
            if not is_held and await self._is_still_open(lane, stream):
                again_s = RETRY_S  # another run of it began while the last one came to its end
            lane.failures.pop(stream, None)
        except NEVER:
            raise
        except LogError as error:
            again_s = _pause_s(lane, stream)
            logger.warning("%s waits %.0f s: %s", stream, again_s, error)
        except Exception:  # a task's root
            again_s = _pause_s(lane, stream)
            logger.exception("running %s failed; it is begun again in %.0f s", stream, again_s)
        finally:
            slot.give()
            lane.put_back(stream, held=is_held)
        if again_s:
            await asyncio.sleep(again_s)
            lane.offer([stream])

    async def _run_if_open(self, lane: Lane, stream: str, slot: Slot) -> bool:
        """Run it to its end; False if it is another's, or has become so."""
        if not await self._is_still_open(lane, stream):
            return True
        async with self._claim(lane, stream, slot) as claim:
            if claim is None:
                return False
            info = await self._bus.info(stream)
            claim.epoch = info.epoch
            # Whoever seals or clears it from now on takes our lease; and it was not over before it was ours.
            if not info.ended and await lane.runner.is_open(stream):
                await _run(lane.runner, claim)
            return claim.is_gone or not claim.lost.is_set()

    async def _is_still_open(self, lane: Lane, stream: str) -> bool:
        """Whether it is to be run: a sealed run is not, as whatever was published would begin another one."""
        return await lane.runner.is_open(stream) and not (await self._bus.info(stream)).ended

    @asynccontextmanager
    async def _claim(self, lane: Lane, stream: str, slot: Slot) -> AsyncGenerator[Claim | None]:
        """The claim of a stream, given back at the end; None while another one has it."""
        asked_s = asyncio.get_running_loop().time()
        lease = await self._acquire(stream)
        if lease is None:
            yield None
            return
        claim = Claim(self._bus, stream, lease, slot, ttl_s=self._ttl_s, asked_s=asked_s)
        lane.claims[stream] = claim
        try:
            yield claim
        finally:
            del lane.claims[stream]
            await self._give_back(claim)

    async def _acquire(self, stream: str) -> Lease | None:
        # Each claim has an owner's name of its own: agents of an earlier one of ours may still be at work.
        owner = f"{self._owner}:{next(self._numbers)}"
        return await self._bus.call(self._bus.log.acquire, lease_name(stream), owner, self._ttl_s)

    async def _release(self, lease: Lease) -> None:
        try:
            await self._bus.call(self._bus.log.release, lease)
        except LogError as error:
            logger.warning("a lease ends by itself: %s", error)

    async def _give_back(self, claim: Claim) -> None:
        try:
            await claim.release()
        except LogError as error:
            logger.warning("the lease of %s ends by itself: %s", claim.stream, error)

    async def _renew(self) -> None:
        """Renew the leases of all claims, the one that ends first first."""
        loop = asyncio.get_running_loop()
        while True:
            claims = [claim for lane in self._lanes for claim in lane.claims.values()]
            held = sorted((claim for claim in claims if not claim.lost.is_set()), key=_end)
            due = [claim for claim in held if claim.renew_at_s <= loop.time()]
            if len(due) > RENEWED_SINGLY and isinstance(self._bus.log, RenewsMany):
                await self._renew_together(self._bus.log, due[:RENEWED_TOGETHER])
                continue
            if due:
                await asyncio.gather(*(self._renew_one(claim) for claim in due[:RENEWALS_AT_ONCE]))
                continue
            next_s = min((claim.renew_at_s - loop.time() for claim in held), default=self._ttl_s)
            await asyncio.sleep(min(max(next_s, 0.0), self._ttl_s / RENEWALS_PER_LEASE))

    async def _renew_together(self, log: RenewsMany, claims: Sequence[Claim]) -> None:
        """In one commit: one after the other, a thousand would take longer than leases last."""
        asked_s = asyncio.get_running_loop().time()
        for claim in claims:
            claim.renew_at_s = asked_s + min(RENEW_AGAIN_S, self._ttl_s / RENEWALS_PER_LEASE)
        try:
            held = await self._bus.call(log.renew, [claim.lease for claim in claims], self._ttl_s)
        except LogError as error:
            logger.warning("the leases of %d streams could not be renewed: %s", len(claims), error)
            return
        for claim, is_held in zip(claims, held, strict=True):
            if is_held:
                claim.renewed(asked_s)
            else:
                claim.lose()

    async def _renew_one(self, claim: Claim) -> None:
        try:
            await claim.renew()
        except LogError as error:
            logger.warning("the lease of %s could not be renewed: %s", claim.stream, error)

    # Waiting

    async def _wait(self, what: str, error: LogError) -> None:
        if isinstance(error, NEVER):
            raise error
        logger.warning("%s: the log cannot be used: %s", what, error)
        await asyncio.sleep(RETRY_S)


@contextmanager
def _changes_heard(bus: Bus, lane: Lane) -> Generator[None]:
    """Tell the lane of streams that are sealed or cleared: at once, and not only by the lease that is taken."""
    taps = bus.hub.taps.setdefault(str(lane.scope), set())
    taps.add(lane.hear_changes)
    try:
        yield
    finally:
        taps.discard(lane.hear_changes)


def _pause_s(lane: Lane, stream: str) -> float:
    failures = lane.failures[stream] = lane.failures.get(stream, 0) + 1
    return min(RETRY_S * 2 ** min(failures - 1, 10), LONGEST_RETRY_S)


def _end(claim: Claim) -> float:
    return claim.ends_at_s


def _age(info: StreamInfo) -> int:
    return info.created


async def _run(runner: Runner, claim: Claim) -> None:
    """Run until the end, or until the claim is lost, which is no failure."""
    work = asyncio.ensure_future(runner.run(claim))
    claim.when_lost(work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        current = asyncio.current_task()
        if not claim.lost.is_set() or (current is not None and current.cancelling()):
            raise
        why = "its stream was ended or cleared" if claim.is_gone else "its lease was lost"
        logger.warning("%s is not run here any more: %s", claim.stream, why)
    except StaleToken:
        claim.lose()
