"""Who runs what: one process at a time, another one when it is gone, and no more at once than there is room for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.support.virtual import run_virtual

from runcast.config import Settings
from runcast.errors import StaleToken
from runcast.kinds.base import Kind, Publish
from runcast.live.bus import Bus
from runcast.log.base import Lease
from runcast.log.memory import MemoryLog
from runcast.log.sqlite import SqliteLog
from runcast.runners.host import Claim, RunnerHost, lease_name

JOB = Kind(name="job", starts=frozenset({"begun"}), terminals=frozenset({"done"}))
WAIT_S = 20.0


class Jobs:
    """Runs jobs: each waits until the test lets it end."""

    kind = "job"

    def __init__(self, bus: Bus, *, rests: bool = False) -> None:
        self.bus = bus
        self.rests = rests
        self.claims: dict[str, Claim] = {}
        self.runs = 0
        self.most = 0
        self.working = 0
        self.left: list[str] = []
        self.ending: set[str] = set()
        self.changed = asyncio.Event()
        self.let: dict[str, asyncio.Event] = {}

    async def is_open(self, stream: str) -> bool:
        types = [event.type for event in (await self.bus.read(stream)).events]
        return "begun" in types and "done" not in types

    async def is_ending(self, stream: str) -> bool:
        return any(event.type == "job_command" for event in (await self.bus.read(stream)).events)

    async def run(self, claim: Claim) -> None:
        self.claims[claim.stream] = claim
        self.runs += 1
        self.working += 1
        self.most = max(self.most, self.working)
        self._note()
        try:
            if not await self.is_ending(claim.stream):
                if self.rests:
                    async with claim.resting():
                        self.working -= 1
                        await self.end_of(claim.stream).wait()
                    self.working += 1
                    self.most = max(self.most, self.working)
                else:
                    await self.end_of(claim.stream).wait()
            await claim.publish(Publish(stream=claim.stream, type="done"))
        except asyncio.CancelledError:
            self.left.append(claim.stream)
            raise
        finally:
            self.working -= 1
            self._note()

    def end_of(self, stream: str) -> asyncio.Event:
        return self.let.setdefault(stream, asyncio.Event())

    def _note(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, condition: Callable[[], Any]) -> None:
        while not condition():
            await self.changed.wait()


@asynccontextmanager
async def hosted(bus: Bus, jobs: Jobs, limit: int = 50) -> AsyncGenerator[asyncio.Task[None]]:
    task = asyncio.create_task(RunnerHost(bus, [jobs], {"job": limit}).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


def play(
    test: Callable[[list[Bus]], Awaitable[None]], path: Path | None = None, buses: int = 1, **settings: Any
) -> None:
    async def run() -> None:
        wanted = Settings(**{"runner_lease_s": 1.5, **settings})
        opened = [Bus(SqliteLog(path) if path else MemoryLog(), [JOB], wanted) for _ in range(buses)]
        try:
            async with asyncio.timeout(WAIT_S):
                for bus in opened:
                    bus.start()
                await test(opened)
        finally:
            for bus in opened:
                await bus.close()

    asyncio.run(run())


async def begin(bus: Bus, *names: str) -> None:
    for name in names:
        await bus.publish(f"job:{name}", "begun")


async def until_done(bus: Bus, stream: str) -> None:
    async for event in bus.subscribe(stream):
        if event.type == "done":
            return


def test_what_begins_is_run_and_so_is_what_was_open_before():
    async def test(buses: list[Bus]) -> None:
        (bus,) = buses
        jobs = Jobs(bus)
        await begin(bus, "old", "over")
        await bus.publish("job:over", "done")
        async with hosted(bus, jobs):
            await jobs.until(lambda: "job:old" in jobs.claims)
            await begin(bus, "new")
            await jobs.until(lambda: "job:new" in jobs.claims)
            assert set(jobs.claims) == {"job:old", "job:new"}
            for name in jobs.claims:
                jobs.end_of(name).set()
                await until_done(bus, name)
        assert jobs.runs == 2

    play(test)


def test_streams_that_nobody_begun_here_are_left_alone():
    async def test(buses: list[Bus]) -> None:
        (bus,) = buses
        jobs = Jobs(bus)
        async with hosted(bus, jobs):
            await bus.publish("job:others", "step")
            await bus.publish("job:over", "done")
            await begin(bus, "mine")
            await jobs.until(lambda: jobs.claims)
        assert list(jobs.claims) == ["job:mine"]

    play(test)


def test_no_more_run_at_once_than_there_is_room_for():
    async def test(buses: list[Bus]) -> None:
        (bus,) = buses
        jobs = Jobs(bus)
        names = [f"n{n}" for n in range(12)]
        async with hosted(bus, jobs, limit=3):
            await begin(bus, names[0])
            await jobs.until(lambda: jobs.claims)
            await begin(bus, *names[1:])
            for done, name in enumerate(names):
                await jobs.until(lambda done=done: len(jobs.claims) >= min(done + 3, 12))
                jobs.end_of(f"job:{name}").set()
                await until_done(bus, f"job:{name}")
        assert jobs.most == 3
        assert list(jobs.claims) == [f"job:{name}" for name in names]  # in the order in which they began

    play(test)


def test_who_rests_makes_room():
    async def test(buses: list[Bus]) -> None:
        (bus,) = buses
        jobs = Jobs(bus, rests=True)
        names = [f"job:n{n}" for n in range(8)]
        async with hosted(bus, jobs, limit=1):
            await begin(bus, *(name.removeprefix("job:") for name in names))
            await jobs.until(lambda: len(jobs.claims) == 8)
            for name in reversed(names):
                jobs.end_of(name).set()
            for name in names:
                await until_done(bus, name)
        assert jobs.most == 1

    play(test)


def test_what_waits_for_a_place_can_be_ended_without_one():
    async def test(buses: list[Bus]) -> None:
        (bus,) = buses
        jobs = Jobs(bus)
        async with hosted(bus, jobs, limit=1):
            await begin(bus, "long")
            await jobs.until(lambda: jobs.claims)
            await begin(bus, "waits", "waits-too")
            await bus.publish("job:waits", "job_command", {"command": "cancel"})
            await until_done(bus, "job:waits")
            assert "job:waits-too" not in jobs.claims

    play(test)


def test_one_of_two_processes_runs_it_and_the_other_at_once_when_the_first_ends(tmp_path: Path):
    async def test(buses: list[Bus]) -> None:
        one, two = buses
        first, second = Jobs(one), Jobs(two)
        async with hosted(one, first) as host:
            await begin(one, *(f"n{n}" for n in range(20)))
            await first.until(lambda: len(first.claims) == 20)
            async with hosted(two, second):
                await begin(two, "mine")
                every = 21
                while len(first.claims) + len(second.claims) < every:
                    waits = [asyncio.ensure_future(jobs.changed.wait()) for jobs in (first, second)]
                    _, late = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    for one_wait in late:
                        one_wait.cancel()
                assert not set(first.claims) & set(second.claims)
                begun = asyncio.get_running_loop().time()
                host.cancel()
                await second.until(lambda: len(second.claims) >= 20)
                assert len(first.left) >= 20
                assert (
                    asyncio.get_running_loop().time() - begun < 100
                )  # far below: the lease would be 1,000 s
                stale = first.claims["job:n1"]
                with pytest.raises(StaleToken):
                    await stale.publish(Publish(stream=stale.stream, type="step"))
                with pytest.raises(StaleToken):  # the log refuses it, too
                    await one.publish(stale.stream, "step", lease=stale.lease)

    play(test, tmp_path / "log.db", buses=2, runner_lease_s=1000.0)


def test_a_lease_that_is_not_renewed_is_lost_and_its_run_begun_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async def test(buses: list[Bus]) -> None:
        one, two = buses
        first, second = Jobs(one), Jobs(two)

        async def hang(_: Claim) -> None:
            await asyncio.Event().wait()

        async with hosted(one, first):
            await begin(one, "a")
            await first.until(lambda: first.claims)
            with monkeypatch.context() as patch:
                patch.setattr(Claim, "renew", hang)
                async with hosted(two, second):
                    await second.until(lambda: second.claims)
                    await first.until(lambda: first.left)
                    assert first.claims["job:a"].lost.is_set()
                    second.end_of("job:a").set()
                    await until_done(two, "job:a")
        types = [event.type for event in (await one.read("job:a")).events]
        assert types == ["begun", "done"]

    play(test, tmp_path / "log.db", buses=2, runner_lease_s=0.6)


def test_a_lease_is_renewed_for_as_long_as_the_run_takes(tmp_path: Path):
    async def test(buses: list[Bus]) -> None:
        one, two = buses
        jobs = Jobs(one)
        async with hosted(one, jobs):
            await begin(one, "a")
            await jobs.until(lambda: jobs.claims)
            lease = jobs.claims["job:a"].lease
            loop = asyncio.get_running_loop()
            end_s = loop.time() + 2.0  # several times the lease
            while loop.time() < end_s:
                taken = await two.call(two.log.acquire, lease_name("job:a"), "another", 1.0)
                assert taken is None
                await asyncio.sleep(0.05)
            assert not jobs.claims["job:a"].lost.is_set()
            await one.publish("job:a", "step", lease=lease)

    play(test, tmp_path / "log.db", buses=2, runner_lease_s=0.6)


def test_a_runner_that_fails_is_begun_again_and_harms_no_other(caplog: pytest.LogCaptureFixture):
    class Failing(Jobs):
        async def run(self, claim: Claim) -> None:
            if claim.stream == "job:bad" and self.runs < 2:
                self.runs += 1
                self._note()
                raise ValueError("a slip")
            await super().run(claim)

    async def test(buses: list[Bus]) -> None:
        (bus,) = buses
        jobs = Failing(bus)
        async with hosted(bus, jobs):
            await begin(bus, "bad")
            await jobs.until(lambda: jobs.runs)
            await begin(bus, "good")
            await jobs.until(lambda: "job:good" in jobs.claims)
            await jobs.until(lambda: "job:bad" in jobs.claims)

    play(test)
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "begun again" in caplog.text


class CountingLog(MemoryLog):
    """Counts who asks for leases."""

    def __init__(self) -> None:
        super().__init__()
        self.acquired: list[str] = []

    def acquire(self, name: str, owner: str, ttl_s: float) -> Lease | None:
        self.acquired.append(name)
        return super().acquire(name, owner, ttl_s)


def test_runs_that_are_over_cost_no_lease():
    async def run() -> None:
        log = CountingLog()
        async with Bus(log, [JOB]) as bus, asyncio.timeout(WAIT_S):
            jobs = Jobs(bus)
            for n in range(500):
                await begin(bus, f"old{n}")
                await bus.publish(f"job:old{n}", "done")
            await bus.publish("job:others", "step")
            await begin(bus, "open")
            async with hosted(bus, jobs):
                await jobs.until(lambda: "job:open" in jobs.claims)
                await begin(bus, "new")
                await jobs.until(lambda: "job:new" in jobs.claims)
        assert log.acquired == [lease_name("job:open"), lease_name("job:new")]

    asyncio.run(run())


def test_a_claim_hears_what_others_publish_to_its_stream():
    async def test(buses: list[Bus]) -> None:
        (bus,) = buses
        jobs = Jobs(bus)
        async with hosted(bus, jobs):
            await begin(bus, "a", "b")
            await jobs.until(lambda: len(jobs.claims) == 2)
            heard: list[str] = []
            came = asyncio.Event()

            def listen(event: Any) -> None:
                heard.append(event.type)
                came.set()

            with jobs.claims["job:a"].listen(listen):
                await bus.publish("job:b", "other")
                await bus.publish("job:a", "job_command")
                await came.wait()
            assert heard == ["job_command"]

    play(test)


@pytest.mark.parametrize("change", ["end", "clear"])
@pytest.mark.parametrize("is_on_disk", [False, True])
def test_a_run_whose_stream_is_ended_or_cleared_stops_and_writes_no_more(
    tmp_path: Path, change: str, is_on_disk: bool, caplog: pytest.LogCaptureFixture
):
    async def test(buses: list[Bus]) -> None:
        (bus,) = buses
        jobs = Jobs(bus)
        async with hosted(bus, jobs):
            await begin(bus, "a", "b")
            await jobs.until(lambda: len(jobs.claims) == 2)
            claim = jobs.claims["job:a"]
            await bus.call(getattr(bus.log, change), "job:a")
            with pytest.raises(StaleToken):  # whether it has heard of it or not
                await bus.publish("job:a", "step", lease=claim.lease)
            await jobs.until(lambda: jobs.left)
            assert (jobs.left, claim.is_gone) == (["job:a"], True)
            jobs.end_of("job:b").set()
            await until_done(bus, "job:b")  # the others go on
            await begin(bus, "a")  # and so may the stream
            await jobs.until(lambda: jobs.claims["job:a"] is not claim)
            jobs.end_of("job:a").set()
            await until_done(bus, "job:a")
            assert [event.type for event in (await bus.read("job:a")).events] == ["begun", "done"]
        assert jobs.runs == 3

    play(test, tmp_path / "log.db" if is_on_disk else None, runner_lease_s=1000.0)
    assert "its stream was ended or cleared" in caplog.text


def test_a_sealed_run_that_has_no_end_is_nobody_s(tmp_path: Path):
    async def test(buses: list[Bus]) -> None:
        (bus,) = buses
        jobs = Jobs(bus)
        await begin(bus, "sealed")
        async with hosted(bus, jobs, limit=1):
            await jobs.until(lambda: "job:sealed" in jobs.claims)
            await bus.publish("job:sealed", "job_command")
            await bus.end("job:sealed")
            await begin(bus, "next")
            await jobs.until(lambda: "job:next" in jobs.claims)
            jobs.end_of("job:next").set()
            await until_done(bus, "job:next")
            assert (await bus.info("job:sealed")).ended
        assert jobs.runs == 2

    play(test, tmp_path / "log.db")


def test_a_sealed_run_costs_no_more_leases():
    async def run() -> None:
        log = CountingLog()
        async with Bus(log, [JOB]) as bus:
            jobs = Jobs(bus)
            async with hosted(bus, jobs):
                await begin(bus, "a")
                await jobs.until(lambda: jobs.claims)
                await bus.end("job:a")
                await jobs.until(lambda: jobs.left)
                before = len(log.acquired)
                await asyncio.sleep(100)
                assert len(log.acquired) == before

    run_virtual(run())


def test_what_fails_at_telling_whether_to_end_harms_no_other(caplog: pytest.LogCaptureFixture):
    class Unsure(Jobs):
        asked = 0

        async def is_ending(self, stream: str) -> bool:
            if stream != "job:bad":
                return await super().is_ending(stream)
            self.asked += 1
            self._note()
            raise ValueError("a slip")

    async def test(buses: list[Bus]) -> None:
        (bus,) = buses
        jobs = Unsure(bus)
        async with hosted(bus, jobs, limit=1) as host:
            await begin(bus, "long")
            await jobs.until(lambda: jobs.claims)
            await begin(bus, "bad", "good")
            await bus.publish("job:bad", "job_command")
            await jobs.until(lambda: jobs.asked)
            await bus.publish("job:good", "job_command")
            await until_done(bus, "job:good")
            assert not host.done()

    play(test)
    assert "it cannot be told whether job:bad is to be ended" in caplog.text


def virtual_us() -> int:
    return 1_770_000_000_000_000 + round(asyncio.get_running_loop().time() * 1_000_000)


class SlowLog(MemoryLog):
    """A log that renews leases one at a time, and slowly. Counts how many are under way."""

    renew: Any = None

    def __init__(self, takes_s: float) -> None:
        super().__init__(clock=virtual_us)
        self.takes_s = takes_s
        self.renewals = self.most = self.now = 0


def test_leases_are_not_lost_because_renewing_is_slow(monkeypatch: pytest.MonkeyPatch):
    renew = Claim.renew

    async def run() -> None:
        log = SlowLog(takes_s=0.2)

        async def slow_renew(claim: Claim) -> None:
            log.now += 1
            log.most = max(log.most, log.now)
            await asyncio.sleep(log.takes_s)
            log.now -= 1
            log.renewals += 1
            await renew(claim)

        monkeypatch.setattr(Claim, "renew", slow_renew)
        async with Bus(log, [JOB], Settings(runner_lease_s=15.0), now_us=virtual_us) as bus:
            jobs = Jobs(bus)
            async with hosted(bus, jobs, limit=90):
                await begin(bus, *(f"n{n}" for n in range(90)))  # a round of renewals takes 9 s
                await jobs.until(lambda: len(jobs.claims) == 90)
                await asyncio.sleep(600)
                assert jobs.left == []
                assert log.most == 2
                # as often as needed, not more: each at most every 5 s
                assert 90 * 600 / 15 < log.renewals <= 90 * 600 / 5

    run_virtual(run())


def test_failures_of_what_is_gone_are_forgotten():
    class Failing(Jobs):
        async def run(self, claim: Claim) -> None:
            self.runs += 1
            raise ValueError("a slip")

    async def run() -> None:
        async with Bus(MemoryLog(), [JOB]) as bus:
            jobs = Failing(bus)
            host = RunnerHost(bus, [jobs], {"job": 1})
            task = asyncio.create_task(host.run())
            names = [f"job:{n}" for n in range(50)]
            await begin(bus, *(name[4:] for name in names))
            (lane,) = host._lanes
            while len(lane.failures) < 50:
                await asyncio.sleep(0.1)
            await lane.slots.acquire()  # they wait for a place to be tried again
            while len(lane.ready) < 50 - 1:  # one was taken before
                await asyncio.sleep(0.1)
            for name in names[:25]:
                await bus.clear(name)
            for name in names[25:]:
                await bus.publish(name, "done")
            await asyncio.sleep(100)
            assert lane.failures == {}
            task.cancel()
            await asyncio.wait([task])

    run_virtual(run())


def test_when_the_log_is_closed_nothing_is_run_any_more():
    async def run() -> None:
        bus = Bus(MemoryLog(), [JOB])
        bus.start()
        host = asyncio.create_task(RunnerHost(bus, [Jobs(bus)], {"job": 1}).run())
        await asyncio.sleep(0)
        await bus.close()
        async with asyncio.timeout(WAIT_S):
            await host

    asyncio.run(run())
