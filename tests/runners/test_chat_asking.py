"""Who waits for how much: what never can be answered is not waited for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, ask, known, say, until
from tests.support.clients import open_ws

from runcast.config import Settings
from runcast.errors import LogFull
from runcast.kinds.base import Publish
from runcast.kinds.chat import CHAT, RETRY
from runcast.kinds.chat_state import Person
from runcast.live.bus import Bus
from runcast.log.base import Appended
from runcast.log.memory import MemoryLog
from runcast.runners.chat.asking import Asking
from runcast.runners.chat.failure import Occupied
from runcast.runners.chat.limits import Limits
from runcast.runners.chat.states import States

ANN = Person("ann", "Ann")
STREAM = "chat:s"
MAX = 2


def test_a_retry_of_what_is_deleted_at_the_same_moment_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        ChatServer(
            tmp_path / "log.db", responder=Script("Yes.", waits_after=0), max_answers_per_person=1
        ) as server,
        open_ws(server.chat("ann")) as ws,
    ):
        known(ws)
        publish_all = server.bus.publish_all

        async def overtaken(events: Any, **more: Any) -> Any:
            if events[0].type == RETRY:
                fields = {"message_id": events[0].data["message_id"], "user": {"id": "ann"}}
                await publish_all([Publish(stream=STREAM, type="delete", data=fields)])
            return await publish_all(events, **more)

        monkeypatch.setattr(server.bus, "publish_all", overtaken)
        for _ in range(2):  # nor is anybody busy by it
            message = ask(ws, session_id="s")[0]
            say(ws, type="retry", session_id="s", message_id=message["message_id"])
            told = until(ws, "error")[-1]
            assert (told["code"], told["field"]) == ("INVALID_MESSAGE", "message_id")


def asking(look: Callable[[Bus, Asking], Awaitable[None]]) -> None:
    """Run `look` over a log in memory, where nobody answers."""

    async def run() -> None:
        settings = Settings(max_answers_per_person=MAX)
        async with Bus(MemoryLog(), [CHAT], settings) as bus:

            async def store(event: Publish) -> Appended:
                (appended,) = await bus.publish_all([event])
                return appended

            await look(bus, Asking(bus, States(bus), Limits(settings), store))

    asyncio.run(run())


async def begin(bus: Bus) -> None:
    await bus.publish(STREAM, "session_created", {"owner": {"id": "ann"}})


def message(number: int) -> Publish:
    fields = {
        "message_id": f"m{number}",
        "user": {"id": "ann"},
        "message": "x",
        "answer_id": f"a{number}",
    }
    return Publish(stream=STREAM, type="message", data=fields)


def test_so_many_answers_are_waited_for_and_no_more() -> None:
    async def look(bus: Bus, asking: Asking) -> None:
        await begin(bus)
        for number in range(MAX):
            await asking.check(await States(bus).read(STREAM), STREAM, ANN)
            await asking.store(ANN, f"a{number}", message(number))
        with pytest.raises(Occupied):
            await asking.check(await States(bus).read(STREAM), STREAM, ANN)
        await bus.publish(STREAM, "complete", {"message_id": "a0", "response": "Yes."})
        await asking.check(await States(bus).read(STREAM), STREAM, ANN)

    asking(look)


def test_what_asks_for_nothing_keeps_nobody_busy() -> None:
    async def look(bus: Bus, asking: Asking) -> None:
        await begin(bus)
        for number in range(3 * MAX):
            await asking.check(await States(bus).read(STREAM), STREAM, ANN)
            fields = {"message_id": "gone", "answer_id": f"a{number}"}
            await asking.store(ANN, f"a{number}", Publish(stream=STREAM, type=RETRY, data=fields))

    asking(look)


def test_what_is_being_stored_is_waited_for() -> None:
    async def look(bus: Bus, asking: Asking) -> None:
        await begin(bus)
        gate = asyncio.Event()

        async def before() -> None:
            await gate.wait()

        async with asyncio.TaskGroup() as group:
            for number in range(MAX):
                group.create_task(asking.store(ANN, f"a{number}", message(number), before))
            await asyncio.sleep(0)
            with pytest.raises(Occupied):
                await asking.check(await States(bus).read(STREAM), STREAM, ANN)
            gate.set()

    asking(look)


def test_what_was_not_stored_is_not_waited_for() -> None:
    async def look(bus: Bus, asking: Asking) -> None:
        await begin(bus)

        async def before() -> None:
            raise LogFull

        for number in range(3 * MAX):
            await asking.check(await States(bus).read(STREAM), STREAM, ANN)
            with pytest.raises(LogFull):
                await asking.store(ANN, f"a{number}", message(number), before)

    asking(look)
