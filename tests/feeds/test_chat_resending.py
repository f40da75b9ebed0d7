"""A client that cannot know whether it was heard says it again, under an id of its own: it is said once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, attachment, calm, known, say, text_of, until
from tests.support.clients import open_ws, receive
from tests.support.server import wait_until

SAID = {"type": "message", "id": "mine-1", "message": "Count", "session_id": "s"}


@pytest.fixture
def script() -> Script:
    return Script("one ", "two ", "three")


@pytest.fixture
def server(tmp_path: Path, script: Script) -> Iterator[ChatServer]:
    with ChatServer(tmp_path / "log.db", responder=script) as server:
        yield server


def turns(server: ChatServer, sub: str = "ann") -> list[dict[str, Any]]:
    return server.as_(sub, "GET", "/api/v1/chat/s").json()["messages"]


def test_after_a_lost_connection_it_is_told_what_became_of_the_first(
    server: ChatServer, script: Script
) -> None:
    with open_ws(server.chat("ann", partial=0)) as ws:
        known(ws)
        say(ws, **SAID)
        until(ws, "token")
    with open_ws(server.chat("ann", partial=0)) as ws:
        known(ws)
        say(ws, **SAID)
        frames = until(ws, "token")
        assert [frame["type"] for frame in frames[:2]] == ["resumed", "message"]
        assert (frames[1]["id"], frames[1]["message"]) == ("mine-1", "Count")
        script.go.set()
        frames += until(ws, "complete", "error")
        assert text_of(frames) == frames[-1]["response"] == "one two three"
        assert frames[1]["answer_id"] == frames[-1]["message_id"]
        say(ws, **SAID)  # heard for the third time, when all is over
        assert calm(ws) == []
    with open_ws(server.chat("ann", partial=0)) as ws:
        known(ws)
        say(ws, **SAID)
        assert until(ws, "complete")[-1]["response"] == "one two three"
    assert len(script.questions) == 1
    assert [turn["role"] for turn in turns(server)] == ["user", "assistant"]


def test_who_resumes_first_is_told_nothing_twice(server: ChatServer, script: Script) -> None:
    with open_ws(server.chat("ann", partial=0)) as ws:
        known(ws)
        say(ws, **SAID)
        first = until(ws, "message")
        until(ws, "token")
    with open_ws(server.chat("ann", partial=0)) as ws:
        known(ws)
        say(ws, type="resume", session_id="s", after="start")
        say(ws, **SAID)
        script.go.set()
        frames = until(ws, "complete")
        assert [frame["message_id"] for frame in frames if frame["type"] == "message"] == [
            first[-1]["message_id"]
        ]
        assert text_of(frames) == "one two three"


def test_said_twice_on_one_connection_at_once_it_is_said_once(server: ChatServer, script: Script) -> None:
    with open_ws(server.chat("ann", partial=0)) as ws:
        known(ws)
        for _ in range(3):
            say(ws, **SAID)
        script.go.set()
        frames = until(ws, "complete") + calm(ws)
        assert [frame["type"] for frame in frames].count("message") == 1
        assert len(script.questions) == 1


def test_another_id_another_person_and_another_conversation_are_another_message(
    server: ChatServer, script: Script
) -> None:
    script.go.set()
    with open_ws(server.chat("ann", partial=0)) as ann, open_ws(server.chat("ben", partial=0)) as ben:
        known(ann)
        known(ben)
        for more in ({}, {"id": "mine-2"}, {"session_id": "t"}):
            say(ann, **{**SAID, **more})
            until(ann, "complete")
        server.as_("ann", "POST", "/api/v1/chat/s/members", json={"user_id": "ben"})
        say(ben, **SAID)
        until(ben, "complete")
    assert len(script.questions) == 4


def test_eve_learns_nothing_by_somebody_s_id(server: ChatServer, script: Script) -> None:
    script.go.set()
    with open_ws(server.chat("ann")) as ann, open_ws(server.chat("eve")) as eve:
        known(ann)
        known(eve)
        say(ann, **SAID)
        until(ann, "complete")
        say(eve, **SAID)
        assert receive(eve)["code"] == "FORBIDDEN"


def test_a_resent_message_needs_its_attachments_no_more(server: ChatServer, script: Script) -> None:
    script.go.set()
    said = {**SAID, "message": "", "attachments": ["a1"]}
    with open_ws(server.chat("ann")) as ws:
        known(ws)
        ws.send(attachment(b"x", id="a1", name="a.txt", mime="text/plain"))
        until(ws, "attachment")
        say(ws, **said)
        until(ws, "complete")
    with open_ws(server.chat("ann")) as ws:
        known(ws)
        say(ws, **said)
        assert until(ws, "message")[-1]["attachments"][0]["id"] == "a1"
        until(ws, "complete")


def test_a_wish_for_another_answer_is_one_wish(server: ChatServer, script: Script) -> None:
    script.go.set()
    with open_ws(server.chat("ann", partial=0)) as ws:
        known(ws)
        say(ws, **SAID)
        first = until(ws, "complete")[-1]
        for _ in range(2):
            say(ws, type="retry", session_id="s", id="again-1", message_id=first["message_id"])
        second = until(ws, "complete")[-1]
        assert second["in_reply_to"] == first["in_reply_to"]
        assert calm(ws) == []
    with open_ws(server.chat("ann", partial=0)) as ws:
        known(ws)
        say(ws, type="retry", session_id="s", id="again-1", message_id=first["message_id"])
        assert until(ws, "complete")[-1]["message_id"] == second["message_id"]
    assert len(script.questions) == 2


def test_the_twin_answers_a_second_time_what_it_answered_first(server: ChatServer, script: Script) -> None:
    script.go.set()
    body = {"message": "Count", "session_id": "s", "id": "mine-1"}
    answers = [server.as_("ann", "POST", "/api/v1/chat", json=body).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert len(script.questions) == 1


def test_resending_is_not_refused_for_the_answers_that_are_waited_for(tmp_path: Path) -> None:
    script = Script()
    with ChatServer(tmp_path / "log.db", responder=script, max_answers_per_person=1) as server:
        for _ in range(3):
            with open_ws(server.chat("ann")) as ws:
                known(ws)
                say(ws, **SAID)
                assert until(ws, "token", "error")[-1]["type"] == "token"
        script.go.set()
        wait_until(lambda: not server.run(server.chats.is_open("chat:s")))
        with open_ws(server.chat("ann")) as ws:
            known(ws)
            say(ws, **{**SAID, "id": "mine-2"})
            assert until(ws, "complete", "error")[-1]["type"] == "complete"


@pytest.mark.parametrize("wrong", [7, "x" * 257, ["a"]])
def test_an_id_is_a_short_text(server: ChatServer, wrong: object) -> None:
    with open_ws(server.chat("ann")) as ws:
        known(ws)
        say(ws, **{**SAID, "id": wrong})
        told = receive(ws)
        assert (told["code"], told["field"]) == ("INVALID_MESSAGE", "id")
