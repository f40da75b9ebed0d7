"""Who takes part no longer hears nothing more: removed, also while they join, or when others begin it anew."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, ask, calm, known, say, until
from tests.support.clients import open_ws, receive

from runcast.core.event import Cursor, Event
from runcast.core.page import Change, Control, Record
from runcast.core.subscription import Reset
from runcast.feeds.chat.client import ChatClient
from runcast.feeds.chat.rooms import Rooms
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.log.memory import MemoryLog

SESSION = "s"
STREAM = f"chat:{SESSION}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChatServer]:
    with ChatServer(tmp_path / "log.db", responder=Script("Yes.", waits_after=0)) as server:
        yield server


def test_who_had_a_conversation_hears_nothing_of_the_next_one_of_its_name(server: ChatServer) -> None:
    with open_ws(server.chat("ann", partial=0)) as ann, open_ws(server.chat("ben", partial=0)) as ben:
        known(ann)
        known(ben)
        ask(ann, session_id=SESSION)
        assert server.http.delete(f"/api/v1/streams/{STREAM}").status_code == 200
        ask(ben, "Ben's secret", session_id=SESSION)
        heard = calm(ann)
        assert [(frame["type"], frame["session_id"]) for frame in heard] == [("reset", SESSION)]
        assert server.as_("ann", "GET", f"/api/v1/chat/{SESSION}").status_code == 403
        say(ann, type="message", message="Mine?", session_id=SESSION)
        assert receive(ann)["code"] == "FORBIDDEN"


def test_whose_conversation_was_cleared_begins_it_anew(server: ChatServer) -> None:
    with open_ws(server.chat("ann", partial=0)) as ann:
        known(ann)
        ask(ann, session_id=SESSION)
        server.run(server.bus.clear(STREAM))
        assert until(ann, "reset")[-1]["session_id"] == SESSION
        frames = ask(ann, "Again", session_id=SESSION)
        assert [frame["type"] for frame in frames if frame["type"] in {"message", "complete"}] == [
            "message",
            "complete",
        ]


def test_who_had_a_sealed_conversation_hears_nothing_of_the_next_one(server: ChatServer) -> None:
    with open_ws(server.chat("ann", partial=0)) as ann, open_ws(server.chat("ben", partial=0)) as ben:
        known(ann)
        known(ben)
        ask(ann, session_id=SESSION)
        server.run(server.bus.end(STREAM))
        assert until(ann, "end")
        ask(ben, "Ben's secret", session_id=SESSION)
        assert calm(ann) == []


class Held:
    """Holds those who join up between the look whether they may and the first that they are told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()
        subscribe = ChatClient.subscribe

        async def held(client: ChatClient, *given: Any) -> Any:
            self.reached.set()
            while not self.go.is_set():
                await asyncio.sleep(0.005)
            return await subscribe(client, *given)

        monkeypatch.setattr(ChatClient, "subscribe", held)


def test_who_is_removed_while_joining_hears_nothing(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_ws(server.chat("ann", partial=0)) as ann, open_ws(server.chat("ben", partial=0)) as ben:
        known(ann)
        known(ben)
        ask(ann, session_id=SESSION)
        members = f"/api/v1/chat/{SESSION}/members"
        server.as_("ann", "POST", members, json={"user_id": "ben"})
        held = Held(monkeypatch)
        say(ben, type="resume", session_id=SESSION)
        assert held.reached.wait(10)
        server.as_("ann", "DELETE", f"{members}/ben")
        until(ann, "member_removed")
        held.go.set()
        assert [frame.get("code") for frame in until(ben, "error")] == [None, "FORBIDDEN"]
        ask(ann, "Not for Ben", session_id=SESSION)
        assert calm(ben) == []


def test_who_is_removed_and_invited_again_while_joining_has_joined(
    server: ChatServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_ws(server.chat("ann", partial=0)) as ann, open_ws(server.chat("ben", partial=0)) as ben:
        known(ann)
        known(ben)
        ask(ann, session_id=SESSION)
        members = f"/api/v1/chat/{SESSION}/members"
        server.as_("ann", "POST", members, json={"user_id": "ben"})
        held = Held(monkeypatch)
        say(ben, type="resume", session_id=SESSION)
        assert held.reached.wait(10)
        server.as_("ann", "DELETE", f"{members}/ben")
        server.as_("ann", "POST", members, json={"user_id": "ben"})
        until(ann, "member_removed")
        until(ann, "member_added")
        held.go.set()
        assert receive(ben)["type"] == "resumed"
        assert calm(ben) == []  # joined
        ask(ann, "For Ben", session_id=SESSION)
        assert until(ben, "message")[-1]["message"] == "For Ben"


# --- the rooms themselves ----------------------------------------------------------------------


class Visitor:
    """A guest who notes what it is told, and leaves when it is put out."""

    def __init__(self, rooms: Rooms, person_id: str) -> None:
        self.rooms = rooms
        self.person_id = person_id
        self.told: list[Message] = []
        self.notices: list[Reset | None] = []

    def tell(self, *messages: Message) -> None:
        self.told += messages

    def put_out(self, stream: str, notice: Reset | None) -> None:
        self.notices.append(notice)
        self.rooms.leave(stream, self)


def removal(epoch: str, seq: int, person_id: str = "ben") -> Event:
    data = b'{"user":{"id":"%s"}}' % person_id.encode()
    return Event(STREAM, epoch, seq, seq, f"e{seq}", "member_removed", 0, data)


def begin(epoch: str) -> Event:
    return Event(STREAM, epoch, 1, 100, "created", "session_created", 0, b"{}")


def cleared(epoch: str) -> Control:
    return Control(STREAM, epoch, 99, Change.CLEAR)


@pytest.mark.parametrize(
    ("record", "stays"),
    [
        (removal("a", 6), False),
        (removal("a", 5), True),  # from before the state that admits them
        (removal("a", 6, "eve"), True),
        (cleared("b"), False),
        (cleared("a"), True),  # the clear that this run began with
        (begin("b"), False),
        (begin("a"), True),
        (removal("b", 7), True),  # of an earlier run
        (Control(STREAM, "a", 99, Change.TRIM), True),
    ],
)
@pytest.mark.parametrize("is_late", [False, True])
def test_what_ends_a_stay(record: Record, stays: bool, is_late: bool) -> None:
    async def look() -> None:
        async with Bus(MemoryLog()) as bus:
            rooms = Rooms(bus)
            ben = Visitor(rooms, "ben")
            rooms.enter(STREAM, ben, partial=False)
            place = Cursor("a", 5)
            if is_late:  # heard while the state was read
                bus.hub.announce([record])
                assert rooms.admit(STREAM, ben, place) is stays
            else:
                assert rooms.admit(STREAM, ben, place)
                bus.hub.announce([record])
                assert rooms.has(STREAM, ben) is stays
                assert len(ben.notices) == (not stays)

    asyncio.run(look())


def test_who_is_not_admitted_yet_is_told_of_nobody_s_typing() -> None:
    async def look() -> None:
        async with Bus(MemoryLog()) as bus:
            rooms = Rooms(bus)
            eve = Visitor(rooms, "eve")
            rooms.enter(STREAM, eve, partial=False)
            await rooms.tell_others(STREAM, Message(b"{}", ""), but="ann")
            assert eve.told == []
            assert rooms.admit(STREAM, eve, Cursor("a", 1))
            await rooms.tell_others(STREAM, Message(b"{}", ""), but="ann")
            assert len(eve.told) == 1

    asyncio.run(look())
