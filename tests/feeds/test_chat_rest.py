"""The chat over HTTP: the REST twin, lists, attachments, the test page."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, ask, attachment, known, say, until
from tests.support.clients import open_ws, receive, rest_of
from tests.support.server import in_background, wait_until
from websockets.sync.client import ClientConnection

from runcast.feeds.chat.routes import attachments_of
from runcast.feeds.chat.upkeep import sweep_attachments
from runcast.runners.chat.responder import Piece, Progress, Question

MIB = 1024 * 1024


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChatServer]:
    with ChatServer(tmp_path / "log.db") as server:
        yield server


def test_the_twin_answers_as_the_socket_does(server: ChatServer) -> None:
    answer = server.as_("ann", "POST", "/api/v1/chat", json={"message": "What is the engine power?"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert "132 kW" in told["response"]
    assert told["metadata"]["agent"] == "specs"
    assert told["metadata"]["context"]["sources"]
    again = {"message": "And the torque?", "session_id": told["session_id"], "customer_id": None}
    assert "270 Nm" in server.as_("ann", "POST", "/api/v1/chat", json=again).json()["response"]
    document = server.as_("ann", "GET", f"/api/v1/chat/{told['session_id']}").json()
    assert [one["role"] for one in document["messages"]] == ["user", "assistant"] * 2
    (listed,) = server.as_("ann", "GET", "/api/v1/chat").json()["sessions"]
    assert (listed["title"], listed["messages"]) == ("What is the engine power?", 4)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"message": ""}, 400, "empty_message"),
        ({}, 400, "empty_message"),
        ({"message": "x" * 33_000}, 413, "too_large"),
        ({"message": "x", "session_id": "a/b"}, 400, "invalid_stream_name"),
        ({"message": "x", "sesion_id": "a"}, 400, "invalid_input"),
        ({"message": 1}, 400, "invalid_input"),
    ],
)
def test_what_cannot_be_asked(server: ChatServer, body: dict[str, Any], status: int, code: str) -> None:
    answer = server.as_("ann", "POST", "/api/v1/chat", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


@pytest.mark.parametrize("path", ["", "/s", "/s/attachments/att_0"])
def test_an_open_server_asks_who_it_is_here_too(server: ChatServer, path: str) -> None:
    answer = server.http.get(f"/api/v1/chat{path}")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert server.http.post("/api/v1/chat", json={"message": "x"}).status_code == 401


def test_a_failed_answer_is_a_problem(tmp_path: Path) -> None:
    async def broken(question: Question) -> AsyncIterator[Piece]:
        yield ""
        raise ValueError("secret")

    with ChatServer(tmp_path / "log.db", responder=broken) as server:
        answer = server.as_("ann", "POST", "/api/v1/chat", json={"message": "x"})
        assert (answer.status_code, answer.json()["code"]) == (502, "processing_error")
        assert "secret" not in answer.text
        server.errors.forgive()


def test_an_answer_that_is_cancelled_says_so(tmp_path: Path) -> None:
    script = Script("So ", "on")
    with ChatServer(tmp_path / "log.db", responder=script) as server:

        def cancel() -> None:
            with open_ws(server.chat("ann")) as ws:
                known(ws)
                wait_until(lambda: script.questions)
                wait_until(lambda: server.as_("ann", "GET", "/api/v1/chat/s").json()["answering"][0]["text"])
                say(ws, type="cancel", session_id="s")

        with in_background(cancel):
            told = server.as_("ann", "POST", "/api/v1/chat", json={"message": "x", "session_id": "s"}).json()
        assert (told["cancelled"], told["response"]) == (True, "So ")


def test_who_comes_in_mid_answer_is_told_the_steps_so_far(tmp_path: Path) -> None:
    script = Script(
        Progress("agent_routing", "Routing"),
        Progress("generating", "Writing", "specs"),
        "So ",
        "on",
        waits_after=3,
    )
    with ChatServer(tmp_path / "log.db", responder=script) as server, open_ws(server.chat("ann")) as ws:
        known(ws)
        say(ws, type="message", message="x", session_id="s")
        until(ws, "token")
        (answering,) = server.as_("ann", "GET", "/api/v1/chat/s").json()["answering"]
        assert [(one["step"], one["agent"]) for one in answering["steps"]] == [
            ("starting", None),
            ("agent_routing", None),
            ("generating", "specs"),
        ]
        assert answering["steps"][1]["message"] == "Routing"
        script.go.set()
        until(ws, "complete")
        assert server.as_("ann", "GET", "/api/v1/chat/s").json()["answering"] == []


# --- attachments -------------------------------------------------------------------------------


def send(ws: ClientConnection, content: bytes, **head: Any) -> dict[str, Any]:
    ws.send(attachment(content, **{"id": "a1", "name": "plan.png", "mime": "image/png", **head}))
    return receive(ws)


def test_an_attachment_is_named_by_a_message_and_served_to_members(
    server: ChatServer, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 4096 * 10  # 10 MiB
    with open_ws(server.chat("ann"), max_size=None) as ws:
        known(ws)
        kept = send(ws, content)
        assert (kept["type"], kept["id"], kept["size"]) == ("attachment", "a1", 10 * MIB)
        frames = ask(ws, "See this", session_id="s", attachments=["a1"])
        (told,) = frames[0]["attachments"]
        assert told == {key: kept[key] for key in ("attachment_id", "id", "name", "mime", "size")}
    path = f"/api/v1/chat/s/attachments/{told['attachment_id']}"
    answer = server.as_("ann", "GET", path)
    assert hashlib.sha256(answer.content).digest() == hashlib.sha256(content).digest()
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["content-disposition"].startswith("inline")
    assert server.as_("eve", "GET", path).status_code == 403
    assert server.http.get(path).status_code == 401
    assert Path(f"{tmp_path}/log.db.attachments").stat().st_mode & 0o077 == 0


def test_what_could_be_a_page_is_a_download(server: ChatServer) -> None:
    with open_ws(server.chat("ann")) as ws:
        known(ws)
        kept = send(ws, b"<script>alert(1)</script>", name='../../x"\r\n.html', mime="text/html")
        assert kept["code"] == "INVALID_MESSAGE"  # control characters
        kept = send(ws, b"<script>alert(1)</script>", name='../../x".html', mime="text/html")
        assert kept["name"] == 'x".html'
        ask(ws, "", session_id="s", attachments=["a1"])
    answer = server.as_("ann", "GET", f"/api/v1/chat/s/attachments/{kept['attachment_id']}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith("attachment")


def test_one_byte_too_many_is_refused_and_eleven_mebibytes_end_the_connection(server: ChatServer) -> None:
    with open_ws(server.chat("ann"), max_size=None) as ws:
        known(ws)
        assert send(ws, b"x" * (10 * MIB + 1))["code"] == "MESSAGE_TOO_LONG"
        assert ask(ws)[-1]["type"] == "complete"
        ws.send(attachment(b"x" * (11 * MIB), id="a"))
        frames, code, _ = rest_of(ws)
        assert ([frame["code"] for frame in frames], code) == (["MESSAGE_TOO_LONG"], 1009)


def test_before_it_is_known_who_it_is_long_messages_are_not_taken(server: ChatServer) -> None:
    with open_ws(server.chat()) as ws:
        ws.send(attachment(b"x" * MIB, id="a"))
        _, code, _ = rest_of(ws)
        assert code == 1009


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0\0",
        b"\0\0\0\x05{}",
        b"\xff\xff\xff\xff{}",
        b"\0\0\0\x02{}content",
        b'\0\0\0\x08{"id":7}',
        b"\0\0\0\x02[]",
        b'\0\0\0\x09{"id":""}',
    ],
)
def test_what_is_no_attachment_is_answered(server: ChatServer, message: bytes) -> None:
    with open_ws(server.chat("ann")) as ws:
        known(ws)
        ws.send(message)
        assert receive(ws)["code"] == "INVALID_MESSAGE"
        assert ask(ws)[-1]["type"] == "complete"


def test_attachments_that_no_message_names_are_forgotten(server: ChatServer, tmp_path: Path) -> None:
    incoming = tmp_path / "log.db.attachments" / "incoming"
    with open_ws(server.chat("ann")) as ws:
        known(ws)
        for number in range(10):
            assert send(ws, b"x", id=f"a{number}")["type"] == "attachment"
        assert send(ws, b"x", id="a10")["code"] == "INVALID_MESSAGE"
        assert len(list(incoming.glob("att_*"))) == 20
    wait_until(lambda: not list(incoming.iterdir()))


def test_a_conversation_has_only_so_much_room(tmp_path: Path) -> None:
    with (
        ChatServer(tmp_path / "log.db", attachments_max_bytes=1000) as server,
        open_ws(server.chat("ann")) as ws,
    ):
        known(ws)
        send(ws, b"x" * 600)
        assert ask(ws, "1", session_id="s", attachments=["a1"])[-1]["type"] == "complete"
        send(ws, b"x" * 600)
        assert ask(ws, "2", session_id="s", attachments=["a1"])[-1]["code"] == "MESSAGE_TOO_LONG"


def test_deleting_a_message_deletes_its_attachments(server: ChatServer) -> None:
    with open_ws(server.chat("ann")) as ws:
        known(ws)
        kept = send(ws, b"x")
        message = ask(ws, "x", session_id="s", attachments=["a1"])[0]
        path = f"/api/v1/chat/s/attachments/{kept['attachment_id']}"
        assert server.as_("ann", "GET", path).status_code == 200
        say(ws, type="delete", session_id="s", message_id=message["message_id"])
        until(ws, "delete")
        wait_until(lambda: server.as_("ann", "GET", path).status_code == 404)


def test_attachments_go_with_their_conversation(server: ChatServer, tmp_path: Path) -> None:
    folder = tmp_path / "log.db.attachments"
    attachments = attachments_of(server.bus)
    with open_ws(server.chat("ann")) as ws:
        known(ws)
        for session_id in ("kept", "gone"):
            send(ws, b"x")
            ask(ws, "x", session_id=session_id, attachments=["a1"])
    assert sorted(attachments.conversations()) == ["gone", "kept"]
    server.run(sweep_attachments(server.bus, attachments))
    assert len(list(folder.glob("*/att_*"))) == 4
    server.run(server.bus.clear("chat:gone"))
    server.run(sweep_attachments(server.bus, attachments))
    assert attachments.conversations() == ["kept"]
    assert len(list(folder.glob("*/att_*"))) == 2


@pytest.mark.parametrize("name", ["%2e%2e", "..%2f..%2flog.db", "incoming", "att_" + "0" * 24 + ".json"])
def test_no_other_file_is_served(server: ChatServer, name: str) -> None:
    server.as_("ann", "POST", "/api/v1/chat", json={"message": "x", "session_id": "s"})
    assert server.as_("ann", "GET", f"/api/v1/chat/s/attachments/{name}").status_code in {404, 405}


# --- the test page -----------------------------------------------------------------------------


def test_the_test_page_has_a_strict_policy_that_fits_it(server: ChatServer) -> None:
    answer = server.http.get("/ws/test")
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    for element in ("script", "style"):
        (text,) = re.findall(rf"<{element}>(.*?)</{element}>", answer.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy
    assert "innerHTML" not in answer.text
    assert server.http.head("/ws/test").status_code == 200
