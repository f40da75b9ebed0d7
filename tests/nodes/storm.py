"""Publishers and subscribers at all nodes while a fault happens; and the account of it."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
from tests.nodes.clients import (
    FIREHOSE,
    STREAMS,
    Heard,
    HttpPublisher,
    NativeSubscriber,
    Publisher,
    SessionSubscriber,
    SocketPublisher,
    Subscriber,
    identity,
    now,
)
from tests.nodes.fleet import AS_OWNER, Fleet
from tests.nodes.table import Line

WARM = 300
"""So many events are acknowledged before the fault, and come after it was overcome."""
WAIT_S = 60.0
POLL_S = 0.01
Fault = Callable[[], Awaitable[float | None]]
"""Lets something happen. What it returns is the moment from which the recovery counts; None: that of its return."""


class Storm:
    """Goes on within `storm`.

    Args:
        fleet: the nodes; each has a publisher, a subscriber of everything, and one of a session.
        streams: of sessions; those are published to.
        more: other publishers, and the streams of theirs.
        firehose: whether the log has one.
    """

    def __init__(
        self,
        fleet: Fleet,
        streams: Sequence[str] = STREAMS,
        more: Mapping[str, Publisher] | None = None,
        *,
        firehose: bool = True,
    ) -> None:
        self.fleet = fleet
        self.sessions = streams
        self.streams = (*streams, *(more or {}))
        count = len(fleet.nodes)
        kinds = (HttpPublisher, SocketPublisher)
        self.publishers: list[Publisher] = [kinds[n % 2](fleet, n, streams) for n in range(count)]
        self.publishers += (more or {}).values()
        self.has_firehose = firehose
        scopes = (*self.streams, *([FIREHOSE] if firehose else ()))
        self.subscribers: list[Subscriber] = [NativeSubscriber(fleet, turn, scopes) for turn in range(count)]
        self.subscribers += [SessionSubscriber(fleet, turn, streams[0]) for turn in range(count)]

    @property
    def heard(self) -> list[Heard]:
        return [one for subscriber in self.subscribers for one in subscriber.heard]

    @property
    def acknowledged(self) -> dict[str, str]:
        return {
            each: stream for one in self.publishers if one.keeps for each, stream in one.acknowledged.items()
        }

    async def through(self, fault: Fault, name: str, since: str) -> Line:
        """Let the fault happen in the midst of publishing, wait until all is well again, and count."""
        await self._warm()
        since_s = await fault() or now()
        back_s = await self.recovered(since_s)
        await self._warm()
        return await self.account(name, since, back_s)

    async def recovered(self, since_s: float) -> float:
        """Wait until every subscription has something of every publisher that was begun after now; seconds since."""
        news = [
            (one, by.number, by.begun + 1)
            for one in self.heard
            for by in self.publishers
            if by.is_heard_in(one.scope)
        ]
        await self.until(
            lambda: all(one.has_from(publisher, portion) for one, publisher, portion in news),
            lambda: str(
                [(one.who, one.scope, *mark) for one, *mark in news if not one.has_from(mark[0], mark[1])]
            ),
        )
        return now() - since_s

    async def acknowledged_more(self, count: int, *, after: Callable[[], object]) -> None:
        """Do something, and wait until so many more events are acknowledged."""
        after()
        enough = len(self.acknowledged) + count
        await self.until(lambda: len(self.acknowledged) >= enough)

    async def _warm(self) -> None:
        enough = {one.number: len(one.acknowledged) + WARM / len(self.publishers) for one in self.publishers}
        await self.until(lambda: all(len(one.acknowledged) >= enough[one.number] for one in self.publishers))

    async def until(self, condition: Callable[[], bool], why: Callable[[], str] = lambda: "") -> None:
        deadline = now() + WAIT_S
        while not condition():
            assert now() < deadline, f"it did not come true within {WAIT_S} s; {why()}"
            await asyncio.sleep(POLL_S)

    # --- the account -------------------------------------------------------------------------

    async def account(self, name: str, since: str, back_s: float) -> Line:
        """End the publishing, let everybody read to the end, and compare with what the log has."""
        for one in self.publishers:
            one.stop()
        acknowledged = await self._all_acknowledged()
        kept = {one: await self._read(f"/api/v1/streams/{one}/events", one) for one in self.streams}
        if self.has_firehose:
            everything = Counter(each for stream in self.sessions for each in kept[stream])
            kept[FIREHOSE] = await self._read("/api/v1/firehose/events", FIREHOSE, kind="session")
            assert Counter(one.split()[0] for one in kept[FIREHOSE]) == everything, "two accounts differ"
        for ids in kept.values():
            assert len(set(ids)) == len(ids), "an event is stored twice"
        await self._caught_up(kept)
        here = {each for stream in self.streams for each in kept[stream]}
        gone = {id(one): len(set(one.ids) - set(kept[one.scope])) for one in self.heard}
        for one in self.heard:
            assert one.scope == FIREHOSE or not gone[id(one)], f"{one.who} has what {one.scope} has lost"
        assert not any(one.gaps for one in self.heard), [one.gaps for one in self.heard]
        return Line(
            fault=name,
            events=len(acknowledged),
            dropped=len(acknowledged.keys() - here),
            lost=sum(len(set(kept[one.scope]) - set(one.ids)) for one in self.heard),
            doubled=sum(len(one.ids) - len(set(one.ids)) for one in self.heard),
            disordered=sum(_disordered(one.ids, kept[one.scope]) for one in self.heard),
            gone=sum(gone.values()),
            resets=sum(len(one.resets) for one in self.heard),
            back_s=back_s,
            since=since,
        )

    async def _all_acknowledged(self) -> dict[str, str]:
        """What is under way is acknowledged, too, before the log is read."""
        await self.until(lambda: all(one.is_done for one in self.publishers))
        return self.acknowledged

    async def _caught_up(self, kept: dict[str, list[str]]) -> None:
        """Everybody has all, or nobody hears anything more."""
        wanted = {scope: set(ids) for scope, ids in kept.items()}
        deadline = now() + WAIT_S / 6
        while now() < deadline and not all(wanted[one.scope] <= set(one.ids) for one in self.heard):
            await asyncio.sleep(POLL_S)

    async def _read(self, path: str, scope: str, **query: str) -> list[str]:
        """What there is of all events that the log has, as a node reads them."""
        ids: list[str] = []
        page: dict[str, Any] = {"cursor": "start", "complete": False}
        async with httpx2.AsyncClient(
            base_url=self.fleet.alive.url(), headers=AS_OWNER, timeout=WAIT_S
        ) as client:
            while not page["complete"]:
                answer = await client.get(path, params={**query, "after": page["cursor"], "limit": "256"})
                assert answer.status_code == 200, answer.text
                page = answer.json()
                ids += [identity(event, event["id"], scope) for event in page["events"]]
        return ids


@asynccontextmanager
async def storm(
    fleet: Fleet,
    streams: Sequence[str] = STREAMS,
    more: Mapping[str, Publisher] | None = None,
    *,
    firehose: bool = True,
) -> AsyncIterator[Storm]:
    """Publishers and subscribers that go on until the end of the `with`; see `Storm`."""
    here = Storm(fleet, streams, more, firehose=firehose)
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(one.run()) for one in here.subscribers]
        writers = [group.create_task(one.run()) for one in here.publishers]
        yield here
        for task in (*writers, *readers):
            task.cancel()


def _disordered(got: Sequence[str], kept: Sequence[str]) -> int:
    """How many of the events stand before one that the log has earlier."""
    places = {event_id: place for place, event_id in enumerate(kept)}
    order = [places[event_id] for event_id in got if event_id in places]
    return sum(one > other for one, other in itertools.pairwise(order))
