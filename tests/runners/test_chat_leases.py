"""The leases of many answers: renewed together, and lost only to another owner."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runcast.config import Settings
from runcast.kinds.chat import CHAT
from runcast.kinds.chat_index import CHATTER
from runcast.kinds.chat_state import Person
from runcast.live.bus import Bus
from runcast.log.open import open_log
from runcast.log.renewing import RenewsMany
from runcast.runners.chat.responder import Piece, Question
from runcast.runners.chat.service import Chats
from runcast.runners.extractive import ExtractiveModel
from runcast.runners.host import RENEWED_SINGLY, RunnerHost
from runcast.runners.knowledge import KnowledgeBase

MANY = 3 * RENEWED_SINGLY


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_renewing_together_says_which_are_lost(tmp_path: Path, kind: str) -> None:
    now = [1_000_000]
    url = "memory:" if kind == "memory" else str(tmp_path / "log.db")
    log = open_log(url, clock=lambda: now[0])
    try:
        assert isinstance(log, RenewsMany)
        leases = [log.acquire(name, "me", 1.0) for name in ("a", "b", "c")]
        held = [lease for lease in leases if lease is not None]
        now[0] += 1_500_000  # they have ended, and one is another's now
        assert log.acquire("b", "another", 1.0) is not None
        assert log.renew(held, 2.0) == [True, False, True]
        now[0] += 1_500_000
        assert log.acquire("a", "another", 1.0) is None
        assert log.acquire("b", "another", 1.0) is not None
        assert log.renew([], 1.0) == []
    finally:
        log.close()


async def test_many_answers_keep_their_leases(tmp_path: Path) -> None:
    settings = Settings(log=str(tmp_path / "log.db"), runner_lease_s=0.3)
    go = asyncio.Event()

    async def answer(question: Question) -> AsyncIterator[Piece]:
        yield question.text
        await go.wait()

    async with Bus(open_log(settings.log), [CHAT, CHATTER], settings) as bus:
        knowledge = KnowledgeBase(None)
        chats = Chats(bus, ExtractiveModel(knowledge), knowledge, responder=answer)
        host = RunnerHost(bus, [chats])
        running = asyncio.create_task(host.run())
        said = [await chats.say(f"s{number}", Person(f"p{number}"), "x") for number in range(MANY)]
        async with asyncio.timeout(20):
            while len(host.claimed) < MANY:
                await asyncio.sleep(0.01)
            loop = asyncio.get_running_loop()
            until_s = loop.time() + 4 * settings.runner_lease_s
            while loop.time() < until_s:
                await asyncio.sleep(0.01)
                assert len(host.claimed) == MANY
            go.set()
            for number, one in enumerate(said):
                while (await chats.state(f"s{number}", Person(f"p{number}"))).pending:
                    await asyncio.sleep(0.01)
                turn = (await chats.state(f"s{number}", Person(f"p{number}"))).turns[-1]
                assert (turn.message_id, turn.status, turn.text) == (one.answer_id, "complete", "x")
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        knowledge.close()
