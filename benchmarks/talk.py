"""The responder that the chat's storm runs: loaded by the server (`RUNCAST_LOAD=benchmarks.talk`)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

from runcast.runners.chat.responder import Piece, Question, responder

PHASES = 20
"""All answers of one phase wake up together: a timer for every token of every answer would cost more than the rest."""


class _Ticker:
    """Wakes whoever waits, every `interval_s` seconds."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._loop = asyncio.get_running_loop()
        self._waiting: list[asyncio.Future[None]] = []
        self._at_s = self._loop.time() + interval_s
        self._loop.call_at(self._at_s, self._tick)

    def tick(self) -> asyncio.Future[None]:
        """Done at the next tick."""
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(waiter)
        return waiter

    def _tick(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._at_s += self._interval_s
        self._loop.call_at(self._at_s, self._tick)
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


_tickers: dict[tuple[float, int], _Ticker] = {}


@responder
async def talk(question: Question) -> AsyncIterator[Piece]:
    """As a model that gives `tokens` at `rate` per second; each carries when it was there (monotonic)."""
    plan = json.loads(question.text)
    interval_s = 1 / plan["rate"]
    phase = int(asyncio.get_running_loop().time() / interval_s * PHASES) % PHASES
    ticker = _tickers.get((interval_s, phase)) or _tickers.setdefault(
        (interval_s, phase), _Ticker(interval_s)
    )
    for number in range(plan["tokens"]):
        if number:
            await ticker.tick()
        yield f"<{time.monotonic():.4f}>"
