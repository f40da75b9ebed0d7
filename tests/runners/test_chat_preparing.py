"""What the first answer needs is imported before it, but not where nobody chats."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import pytest

from runcast.errors import ModelUnavailable
from runcast.kinds.chat import CHAT
from runcast.kinds.chat_index import CHATTER
from runcast.kinds.chat_state import Person
from runcast.live.bus import Bus
from runcast.log.open import open_log
from runcast.runners.chat import orchestrator
from runcast.runners.chat.responder import Piece, Question
from runcast.runners.chat.service import Chats
from runcast.runners.extractive import ExtractiveModel
from runcast.runners.knowledge import KnowledgeBase


class Slow(ExtractiveModel):
    """A model that has to be prepared."""

    def __init__(self, *, missing: bool = False) -> None:
        super().__init__(KnowledgeBase(None))
        self.prepared = 0
        self._missing = missing

    def prepare(self) -> None:
        self.prepared += 1
        if self._missing:
            raise ModelUnavailable("pip install …")


async def mine(question: Question) -> AsyncIterator[Piece]:
    yield question.text


def chats_of(bus: Bus, model: Slow, **more: object) -> Chats:
    return Chats(bus, model, KnowledgeBase(None), **more)  # pyright: ignore[reportArgumentType]


async def test_where_nobody_chats_nothing_is_prepared_until_somebody_comes() -> None:
    model = Slow()
    async with Bus(open_log("memory:"), [CHAT, CHATTER]) as bus:
        chats = chats_of(bus, model)
        preparing = asyncio.create_task(chats.preparation.run())
        for _ in range(20):
            await asyncio.sleep(0)
        await bus.head()
        assert not model.prepared
        chats.preparation.want()
        await preparing
        assert model.prepared == 1


async def test_where_somebody_has_chatted_it_is_prepared_at_the_start() -> None:
    model = Slow()
    async with Bus(open_log("memory:"), [CHAT, CHATTER]) as bus:
        await chats_of(bus, Slow()).say("s", Person("ann"), "Hello")
        await chats_of(bus, model).preparation.run()
        assert model.prepared == 1
        assert orchestrator._compile.cache_info().currsize


async def test_an_extra_that_is_missing_is_said_to_who_asks_and_to_nobody_else() -> None:
    async with Bus(open_log("memory:"), [CHAT, CHATTER]) as bus:
        model = Slow(missing=True)
        chats = chats_of(bus, model)
        chats.preparation.want()
        await chats.preparation.run()
        assert model.prepared == 1


async def test_a_responder_of_one_s_own_needs_no_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    orchestrator._compile.cache_clear()
    monkeypatch.setitem(sys.modules, "langgraph.graph", None)
    async with Bus(open_log("memory:"), [CHAT, CHATTER]) as bus:
        model = Slow()
        chats = chats_of(bus, model, responder=mine)
        chats.preparation.want()
        await chats.preparation.run()
        assert model.prepared == 1
    orchestrator._compile.cache_clear()
