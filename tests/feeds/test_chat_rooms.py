"""Conversations of several people: whose they are, who takes part, what the others see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, ask, calm, known, say, until
from tests.support.clients import open_ws, receive
from websockets.exceptions import ConnectionClosed

SESSION = "python-session-1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChatServer]:
    with ChatServer(tmp_path / "log.db", responder=Script("Yes.", waits_after=0)) as server:
        yield server


def invite(server: ChatServer, sub: str, by: str = "ann") -> None:
    answer = server.as_(by, "POST", f"/api/v1/chat/{SESSION}/members", json={"user_id": sub})
    assert answer.status_code == 201, answer.text


def test_the_first_one_owns_a_conversation_and_others_see_nothing_of_it(server: ChatServer) -> None:
    with open_ws(server.chat("ann")) as ann, open_ws(server.chat("eve")) as eve:
        known(ann)
        known(eve)
        cursor = ask(ann, session_id=SESSION)[-1]["cursor"]
        message_id = server.as_("ann", "GET", f"/api/v1/chat/{SESSION}").json()["messages"][0]["message_id"]
        for frame in (
            {"type": "message", "message": "Let me in"},
            {"type": "resume"},
            {"type": "resume", "after": cursor},
            {"type": "resume", "after": "start"},
            {"type": "typing"},
            {"type": "cancel"},
            {"type": "read", "message_id": message_id},
            {"type": "edit", "message_id": message_id, "message": "I am eve"},
            {"type": "delete", "message_id": message_id},
            {"type": "retry", "message_id": message_id},
        ):
            say(eve, session_id=SESSION, **frame)
            assert receive(eve)["code"] == "FORBIDDEN", frame
        ask(ann, session_id=SESSION)
        assert calm(eve) == []
    for method, path in (
        ("GET", ""),
        ("POST", "/members"),
        ("DELETE", "/members/ann"),
        ("GET", "/attachments/att_" + "0" * 24),
    ):
        body = {"json": {"user_id": "eve"}} if method == "POST" else {}
        answer = server.as_("eve", method, f"/api/v1/chat/{SESSION}{path}", **body)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert server.as_("eve", "GET", "/api/v1/chat").json()["sessions"] == []


def test_with_the_session_in_the_address_it_is_refused_in_words(server: ChatServer) -> None:
    with open_ws(server.chat("ann")) as ann:
        known(ann)
        ask(ann, session_id=SESSION)
    with open_ws(server.chat("eve", session_id=SESSION)) as eve:
        assert receive(eve)["code"] == "forbidden"


def test_members_see_the_same_stream(server: ChatServer) -> None:
    with open_ws(server.chat("ann", partial="0")) as ann, open_ws(server.chat("ben", partial="0")) as ben:
        known(ann)
        known(ben)
        ask(ann, session_id=SESSION)
        invite(server, "ben")
        assert until(ann, "member_added")[-1]["user"]["id"] == "ben"
        say(ben, type="resume", session_id=SESSION)
        assert receive(ben)["type"] == "resumed"
        frames = ask(ann, session_id=SESSION)
        assert until(ben, "complete") == frames
        asked = ask(ben, session_id=SESSION)
        assert until(ann, "complete") == asked
        assert asked[0]["user"] == {"id": "ben", "name": "Ben", "email": None}


def test_typing_is_told_to_the_others_and_not_stored(server: ChatServer) -> None:
    with open_ws(server.chat("ann")) as ann, open_ws(server.chat("ben")) as ben:
        known(ann)
        known(ben)
        ask(ann, session_id=SESSION)
        invite(server, "ben")
        until(ann, "member_added")
        say(ben, type="resume", session_id=SESSION)
        until(ben, "resumed")
        calm(ben)  # told of it from now on
        head = server.run(server.bus.info(f"chat:{SESSION}")).head
        for _ in range(20):
            say(ann, type="typing", session_id=SESSION)
        say(ann, type="typing", typing=False)
        assert calm(ann) == []
        told = calm(ben)
        assert [(one["type"], one["typing"], one["user"]["id"]) for one in told] == [
            ("typing", True, "ann"),
            ("typing", False, "ann"),
        ]
        assert server.run(server.bus.info(f"chat:{SESSION}")).head == head


def test_endless_typing_ends(server: ChatServer) -> None:
    with open_ws(server.chat("ann")) as ws:
        known(ws)
        ask(ws, session_id=SESSION)
        with suppress(ConnectionClosed):  # they are stopped in the midst of it, or right after
            for _ in range(300):
                say(ws, type="typing", session_id=SESSION)
        assert until(ws, "error")[-1]["code"] == "RATE_LIMITED"


def test_read_edit_and_delete(server: ChatServer) -> None:
    with open_ws(server.chat("ann")) as ann, open_ws(server.chat("ben")) as ben:
        known(ann)
        known(ben)
        question = ask(ann, "Helo?", session_id=SESSION)[1]
        assert question["type"] == "progress" or question["type"] == "message"
        invite(server, "ben")
        until(ann, "member_added")
        message_id = server.as_("ben", "GET", f"/api/v1/chat/{SESSION}").json()["messages"][0]["message_id"]
        for _ in range(2):  # repeating it changes nothing
            say(ben, type="read", session_id=SESSION, message_id=message_id)
        read = until(ann, "read")[-1]
        assert (read["user"]["id"], read["message_id"]) == ("ben", message_id)
        say(ben, type="edit", session_id=SESSION, message_id=message_id, message="Mine")
        assert until(ben, "error")[-1]["code"] == "FORBIDDEN"
        say(ann, type="edit", session_id=SESSION, message_id=message_id, message="Hello?")
        assert [frame["type"] for frame in until(ann, "edit")] == ["edit"]
        document = server.as_("ben", "GET", f"/api/v1/chat/{SESSION}").json()
        assert (document["messages"][0]["message"], document["messages"][0]["edited"]) == ("Hello?", True)
        assert document["reads"] == {"ben": message_id}
        say(ben, type="delete", session_id=SESSION, message_id=message_id)
        assert until(ben, "error")[-1]["code"] == "FORBIDDEN"
        say(ann, type="delete", session_id=SESSION, message_id=message_id)
        until(ann, "delete")
        document = server.as_("ben", "GET", f"/api/v1/chat/{SESSION}").json()
        assert [one["role"] for one in document["messages"]] == ["assistant"]


def test_somebody_is_invited_by_the_address_they_registered_with(server: ChatServer) -> None:
    person = {"email": "ben@example.org", "password": "correct horse battery", "name": "Ben"}
    ben = server.http.post("/api/v1/auth/register", json=person).json()
    members = f"/api/v1/chat/{SESSION}/members"
    with open_ws(server.chat("ann")) as ann, open_ws(server.ws("/ws/chat", token=ben["access_token"])) as ws:
        known(ann)
        known(ws)
        ask(ann, session_id=SESSION)
        answer = server.as_("ann", "POST", members, json={"email": "nobody@example.org"})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
        assert answer.json()["field"] == "email"
        answer = server.as_("ann", "POST", members, json={"email": " Ben@Example.org"})
        assert [one["id"] for one in answer.json()["members"]] == [ben["user"]["id"]]
        assert until(ann, "member_added")[-1]["user"]["name"] == "Ben"
        say(ws, type="resume", session_id=SESSION)
        assert receive(ws)["type"] == "resumed"
    # who may not invite learns nothing of who has registered
    assert server.as_("eve", "POST", members, json={"email": "nobody@example.org"}).status_code == 403


def test_addresses_cannot_be_tried_out(tmp_path: Path) -> None:
    with ChatServer(tmp_path / "log.db", responder=Script("Yes.", waits_after=0), chat_rate=5) as server:
        with open_ws(server.chat("ann")) as ann:
            known(ann)
            ask(ann, session_id=SESSION)
        path = f"/api/v1/chat/{SESSION}/members"
        told = [
            server.as_("ann", "POST", path, json={"email": f"p{number}@example.org"}).status_code
            for number in range(6)
        ]
        assert told == [400] * 4 + [429] * 2


def test_who_is_removed_hears_no_more(server: ChatServer) -> None:
    with open_ws(server.chat("ann")) as ann, open_ws(server.chat("ben")) as ben:
        known(ann)
        known(ben)
        ask(ann, session_id=SESSION)
        invite(server, "ben")
        say(ben, type="resume", session_id=SESSION)
        until(ben, "resumed")
        answer = server.as_("ann", "DELETE", f"/api/v1/chat/{SESSION}/members/ben")
        assert answer.json()["members"] == []
        assert until(ben, "error")[-1]["code"] == "FORBIDDEN"
        ask(ann, "Is he gone?", session_id=SESSION)
        assert calm(ben) == []
        say(ben, type="message", session_id=SESSION, message="Am I?")
        assert receive(ben)["code"] == "FORBIDDEN"


def test_everybody_can_leave_but_the_owner(server: ChatServer) -> None:
    with open_ws(server.chat("ann")) as ann:
        known(ann)
        ask(ann, session_id=SESSION)
    invite(server, "ben")
    assert server.as_("ben", "DELETE", f"/api/v1/chat/{SESSION}/members/ben").json()["left"] is True
    assert server.as_("ann", "DELETE", f"/api/v1/chat/{SESSION}/members/ann").status_code == 400
    assert (
        server.as_("ben", "POST", f"/api/v1/chat/{SESSION}/members", json={"user_id": "eve"}).status_code
        == 403
    )


def test_a_message_for_people_is_not_answered(server: ChatServer) -> None:
    with open_ws(server.chat("ann")) as ann:
        known(ann)
        say(ann, type="message", message="Just us", session_id=SESSION, reply=False)
        message = until(ann, "message")[-1]
        assert message["answer_id"] is None
        assert calm(ann) == []
        say(ann, type="retry", session_id=SESSION, message_id=message["message_id"])
        assert until(ann, "complete")[-1]["in_reply_to"] == message["message_id"]


def test_a_retry_is_another_answer(server: ChatServer) -> None:
    with open_ws(server.chat("ann")) as ann:
        known(ann)
        first = ask(ann, session_id=SESSION)[-1]
        say(ann, type="retry", session_id=SESSION, message_id=first["message_id"])
        second = until(ann, "complete")[-1]
        assert second["message_id"] != first["message_id"]
        assert second["in_reply_to"] == first["in_reply_to"]


def test_an_api_key_is_nobody_s_double(tmp_path: Path) -> None:
    with ChatServer(tmp_path / "log.db", jwt_secret="a secret of more than 32 bytes for tests") as server:
        from runcast.auth.grants import Grants

        _, key = server.authenticator.keys.create("ann", Grants(), None)
        with open_ws(server.chat("ann")) as ann, open_ws(server.ws("/ws/chat", token=key)) as program:
            known(ann)
            assert known(program)["user"]["id"].startswith("key:")
            ask(ann, session_id=SESSION)
            say(program, type="resume", session_id=SESSION)
            assert receive(program)["code"] == "FORBIDDEN"
