"""A model's answer told as it comes: the first piece at once, then what came in a moment together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec

from runcast.errors import LogError, RuncastError
from runcast.runners.model import Delta, Usage

GROUP_S = 0.06
"""After an event, so long is waited for more text before the next one."""
MAX_CHARS = 16_384
"""Of one event."""

Tell = Callable[[str, str], Awaitable[Any]]
"""Publishes a piece of text and of reasoning; returned means stored. Raises `LogError`."""


class Answer(msgspec.Struct):
    """A whole answer, and what it has cost (None if the model did not say)."""

    text: str
    usage: Usage | None


async def tell_answer(stream: AsyncIterator[Delta | Usage], tell: Tell) -> Answer:
    """Read `stream` to its end and tell it meanwhile; returned means that all of it is stored.

    While the log is slow, more text goes into one event. What came before the model failed is told, too.

    Raises:
        RuncastError: the model failed, or the log did.
    """
    teller, texts = _Teller(tell), list[str]()
    usage: Usage | None = None
    failure: RuncastError | None = None
    async with asyncio.TaskGroup() as group:
        group.create_task(teller.run())
        try:
            async for item in stream:
                if isinstance(item, Usage):
                    usage = item
                else:
                    texts.append(item.text)
                    teller.feed(item)
        except RuncastError as error:
            failure = error
        finally:
            await _close(stream)
        teller.close()
    if teller.failure or failure:
        raise teller.failure or failure or RuncastError
    return Answer(mended("".join(texts)), usage)


class _Teller:
    """Tells what it was fed, in order, in groups."""

    def __init__(self, tell: Tell) -> None:
        self.failure: LogError | None = None
        self._tell = tell
        self._text = self._reasoning = ""
        self._news = asyncio.Event()
        self._closing = asyncio.Event()

    def feed(self, delta: Delta) -> None:
        """Tell this, too.

        Raises:
            LogError: what came before could not be told.
        """
        if self.failure:
            raise self.failure
        self._text += delta.text
        self._reasoning += delta.reasoning
        if self._text or self._reasoning:
            self._news.set()

    def close(self) -> None:
        """Nothing more comes."""
        self._closing.set()
        self._news.set()

    async def run(self) -> None:
        """Tell everything until it is closed."""
        try:
            while not self._closing.is_set():
                await self._news.wait()
                self._news.clear()
                if self._text or self._reasoning:
                    await self._tell(*self._take())
                with suppress(TimeoutError):
                    async with asyncio.timeout(GROUP_S):
                        await self._closing.wait()
                if self._text or self._reasoning:
                    self._news.set()
            while self._text or self._reasoning:
                await self._tell(*self._take())
        except LogError as error:
            self.failure = error

    def _take(self) -> tuple[str, str]:
        text, reasoning = self._text[:MAX_CHARS], self._reasoning[:MAX_CHARS]
        self._text, self._reasoning = self._text[MAX_CHARS:], self._reasoning[MAX_CHARS:]
        return mended(text), mended(reasoning)


def mended(text: str) -> str:
    """`text` as it can be stored: halves of a character that came in two pieces are joined, lone ones replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


async def _close(stream: AsyncIterator[Delta | Usage]) -> None:
    """End the request of a model that was not read to its end."""
    close = getattr(stream, "aclose", None)
    if close is not None:
        await close()
