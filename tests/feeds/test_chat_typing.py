"""How often others hear that somebody types: no way around once a second."""

from __future__ import annotations

from pathlib import Path

from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, ask, calm, known, say, until
from tests.support.clients import open_ws

from runcast.feeds.chat.typing_pace import TypingPace


def test_only_what_changes_is_told_and_typing_once_a_second() -> None:
    pace = TypingPace()
    told = [
        (at_s, is_typing)
        for at_s, is_typing in [
            (0.0, False),  # of somebody who never typed
            (0.1, True),
            (0.2, True),
            (0.3, False),
            (0.4, False),
            (0.5, True),  # again within the second
            (0.6, False),
            (1.2, True),
            (1.3, False),
        ]
        if pace.take("chat:s", is_typing, at_s)
    ]
    assert told == [(0.1, True), (0.3, False), (1.2, True), (1.3, False)]
    assert pace.take("chat:t", True, 1.3)  # another conversation has a pace of its own


def test_leaving_is_no_way_around_it() -> None:
    pace = TypingPace()
    assert pace.take("chat:s", True, 0.0)
    pace.leave("chat:s")
    assert not pace.take("chat:s", True, 0.5)
    assert not pace.take("chat:s", False, 0.6)


def test_who_goes_on_saying_that_they_stopped_is_heard_once(tmp_path: Path) -> None:
    with (
        ChatServer(tmp_path / "log.db", responder=Script("Yes.", waits_after=0)) as server,
        open_ws(server.chat("ann")) as ann,
        open_ws(server.chat("ben")) as ben,
    ):
        known(ann)
        known(ben)
        ask(ann, session_id="s")
        server.as_("ann", "POST", "/api/v1/chat/s/members", json={"user_id": "ben"})
        say(ben, type="resume", session_id="s")
        until(ben, "resumed")
        calm(ben)  # told of it from now on
        for is_typing in (False, True, *[False] * 20):
            say(ann, type="typing", session_id="s", typing=is_typing)
        calm(ann)
        assert [frame["typing"] for frame in calm(ben)] == [True, False]
