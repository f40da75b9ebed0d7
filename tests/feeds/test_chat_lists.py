"""A list of conversations is told when one of them changes, wherever and by whomever; and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, ask, calm, known, say, until
from tests.support.clients import open_ws, receive
from tests.support.server import wait_until
from websockets.sync.client import ClientConnection


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChatServer]:
    with ChatServer(tmp_path / "log.db", responder=Script("Yes.", waits_after=0)) as server:
        yield server


def changes(ws: ClientConnection) -> list[tuple[str, str]]:
    return [(frame["session_id"], frame["change"]) for frame in calm(ws)]


def member(server: ChatServer, method: str, path: str = "", **body: Any) -> None:
    answer = server.as_("ann", method, f"/api/v1/chat/s/members{path}", **({"json": body} if body else {}))
    assert answer.status_code in {200, 201}, answer.text


def test_who_wants_a_list_is_told_of_what_they_take_part_in(server: ChatServer) -> None:
    with (
        open_ws(server.chat("ann")) as ann,
        open_ws(server.chat("ben", sessions=1)) as ben,
        open_ws(server.chat("ben")) as plain,
        open_ws(server.chat("eve", sessions=1)) as eve,
    ):
        for ws in (ann, ben, plain, eve):
            known(ws)
        ask(ann, session_id="s")
        assert changes(ben) == []
        member(server, "POST", user_id="ben")
        until(ann, "member_added")
        assert changes(ben) == [("s", "member_added")]
        ask(ann, session_id="s")
        assert changes(ben) == [("s", "message"), ("s", "complete")]
        member(server, "DELETE", "/ben")
        until(ann, "member_removed")
        ask(ann, session_id="s")
        assert changes(ben) == [("s", "member_removed")]
        assert calm(plain) == calm(eve) == []


def test_what_one_begins_elsewhere_is_told_and_what_was_there_before_is_followed(server: ChatServer) -> None:
    with open_ws(server.chat("ann")) as phone:
        known(phone)
        ask(phone, session_id="old")
        with open_ws(server.chat("ann", sessions="1")) as ws:
            known(ws)
            ask(phone, session_id="old")
            ask(phone, session_id="new")
            expected = [(name, what) for name in ("old", "new") for what in ("message", "complete")]
            expected.insert(2, ("new", "session_created"))
            assert changes(ws) == expected


def test_two_processes_tell_each_other(tmp_path: Path) -> None:
    log = tmp_path / "log.db"
    with (
        ChatServer(log, responder=Script("Yes.", waits_after=0)) as here,
        ChatServer(log, runs=False) as there,
        open_ws(here.chat("ann")) as phone,
        open_ws(there.chat("ann", sessions="1")) as ws,
    ):
        known(phone)
        known(ws)
        ask(phone, session_id="s")
        assert until(ws, "session_changed")[-1]["change"] == "session_created"


def test_with_another_person_s_token_the_list_is_another(server: ChatServer) -> None:
    with open_ws(server.chat("ann", sessions="1")) as ws, open_ws(server.chat("ann")) as phone:
        known(ws)
        known(phone)
        say(ws, type="auth", token=server.token("ben"))
        known(ws)
        ask(phone, session_id="s")
        assert calm(ws) == []


def test_the_last_one_who_leaves_leaves_nothing_behind(server: ChatServer) -> None:
    async def taps() -> int:
        return len(server.bus.hub.taps.get("chat:*", ()))

    with open_ws(server.chat("ann")) as ws:
        known(ws)
        ask(ws, session_id="s")
        before = server.run(taps())
        with open_ws(server.chat("ann", sessions="1")) as listing:
            known(listing)
            assert server.run(taps()) == before + 1
        wait_until(lambda: server.run(taps()) == before)


def test_it_is_wanted_or_not(server: ChatServer) -> None:
    with open_ws(server.chat("ann", sessions="all")) as ws:
        told = receive(ws)
        assert (told["type"], told["code"]) == ("auth_error", "invalid_input")
