"""Who sends much at once waits for its turn: everybody else goes on meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest
from tests.support.echo import Echo
from tests.support.server import AppServer, wait_until
from tests.support.wire import CONT, PING, PONG, TEXT, Wire, frame

from runcast.transport import turns
from runcast.transport.turns import Turns

pytestmark = pytest.mark.anyio


@pytest.fixture
def echo() -> Iterator[AppServer]:
    with AppServer(Echo()) as server:
        yield server


class Work:
    """Takes `steps` turns, each of which takes `step_s`; writes its name down each time."""

    def __init__(self, name: str, steps: int, done: list[str], all_turns: Turns, step_s: float = 0.0) -> None:
        self.name, self.steps, self.done, self.turns, self.step_s = name, steps, done, all_turns, step_s

    def __call__(self) -> None:
        until = time.perf_counter() + self.step_s
        while time.perf_counter() < until:
            pass
        self.done.append(self.name)
        self.steps -= 1
        if self.steps:
            self.turns.wait(self)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0)


async def test_those_who_wait_take_turns_in_order() -> None:
    done: list[str] = []
    all_turns = Turns()
    for name in "abc":
        all_turns.wait(Work(name, 2, done, all_turns))
    assert done == []
    await until(lambda: len(done) == 6)
    assert "".join(done) == "abcabc"


async def test_others_go_on_between_long_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "GIVE_WAY_S", 0.0)
    done: list[str] = []
    all_turns = Turns()
    for name in "ab":
        all_turns.wait(Work(name, 2, done, all_turns, step_s=2 * turns.TURN_S))
    seen = {0}

    def look() -> bool:
        seen.add(len(done))
        return len(done) == 4

    await until(look)
    assert seen == {0, 1, 2, 3, 4}, "one of them at a time"


async def test_one_that_fails_costs_the_others_nothing() -> None:
    done: list[str] = []
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
    all_turns = Turns()

    def fail() -> None:
        raise ZeroDivisionError

    all_turns.wait(fail)
    all_turns.wait(Work("a", 1, done, all_turns))
    await until(lambda: done == ["a"])
    assert [type(error) for error in told] == [ZeroDivisionError]


def test_many_frames_in_one_piece_are_answered_in_order(echo: AppServer) -> None:
    """More than are worked through at once, messages among them, fragments, and one longer than all of that."""
    pings = [b"%d" % number for number in range(400)]
    texts = [b"text %d" % number for number in range(200)]
    long = b"x" * 200_000
    pieces = [
        frame(PING, ping) + (frame(TEXT, texts[number // 2]) if number % 2 else b"")
        for number, ping in enumerate(pings)
    ]
    fragments = frame(TEXT, b"in ", fin=False) + frame(CONT, b"two")
    with Wire(echo.ws("/")) as wire:
        wire.send(*pieces, frame(TEXT, long), fragments)
        received = [wire.receive()]
        while received[-1] is not None and received[-1].payload != b"in two":
            received.append(wire.receive())
    assert [one.payload for one in received if one and one.opcode == PONG] == pings
    assert [one.payload for one in received if one and one.opcode == TEXT] == [*texts, long, b"in two"]


def test_a_client_that_breaks_off_with_much_unread_is_forgotten(echo: AppServer) -> None:
    with Wire(echo.ws("/")) as wire:
        wire.send(frame(PING, b"x") * 900)
    wait_until(lambda: not echo.websockets(), "it is forgotten")
