"""The Python of the chat document, run as it stands against a live server, with a real token."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.documents.snippets import Running, at, python, snippet, snippets
from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, known, say, text_of, until
from tests.support.clients import open_ws
from tests.support.server import wait_until

DOCUMENT = "003_b00b2b8cdee7bc14.txt"
EXAMPLE = "Python Client Example"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChatServer]:
    with ChatServer(tmp_path / "log.db") as server:
        yield server


def run(server: ChatServer, folder: Path, token: str) -> Running:
    """The example with host, port and token replaced, and nothing else."""
    folder.mkdir(exist_ok=True)
    code = at(server, snippet(EXAMPLE, "python", DOCUMENT))
    assert code.count("your_jwt_token") == 1
    return python(folder, code.replace("your_jwt_token", token))


def test_the_example_is_answered(server: ChatServer, tmp_path: Path) -> None:
    with run(server, tmp_path / "ann", server.token("ann")) as client:
        client.until("Authenticated!", "[starting] Processing your message...", "Complete!", "Agent: specs")
        assert client.process.wait(20) == 0
    said = "\n".join(client.lines)
    print(f"\n{said}")
    assert "[rag_retrieval] Searching knowledge base..." in said
    assert said.count("132 kW") == 2  # as tokens, and as the whole response


def test_without_a_token_it_says_so(server: ChatServer, tmp_path: Path) -> None:
    with run(server, tmp_path / "nobody", "your.jwt.token") as client:
        client.until("Authentication failed")
        assert client.process.wait(20) == 0


def test_two_people_who_run_it_at_once_read_only_their_own(tmp_path: Path) -> None:
    script = Script("Private ", "matter", waits_after=1)
    with ChatServer(tmp_path / "log.db", responder=script) as server, contextlib.ExitStack() as stack:
        ann = stack.enter_context(run(server, tmp_path / "ann", server.token("ann")))
        ben = stack.enter_context(run(server, tmp_path / "ben", server.token("ben")))
        both = (ann, ben)
        server_said = "The conversation python-session-1 is somebody else's; its owner can invite you."

        def ended() -> list[Running]:
            return [one for one in both if one.process.poll() is not None]

        (refused,) = wait_until(ended)
        (answered,) = [one for one in both if one is not refused]
        refused.until(f"Error: {server_said}")
        assert "Private" not in "\n".join(refused.lines)
        script.go.set()
        answered.until("Response: Private matter")
        assert answered.process.wait(20) == 0
        assert len(script.questions) == 1


def test_the_answer_of_a_client_that_was_killed_goes_on_and_is_read_at_another_process(
    tmp_path: Path,
) -> None:
    script = Script("Part one, ", "part two.")
    log = tmp_path / "log.db"
    with ChatServer(log, responder=script) as server, ChatServer(log, runs=False) as other:
        with run(server, tmp_path / "ann", server.token("ann")) as client:
            client.until("[starting] Processing your message...")
            wait_until(lambda: _told(other))
            client.process.kill()
            client.process.wait()
        told = _told(other)
        with open_ws(other.chat("ann", partial="0")) as ws:
            known(ws)
            say(ws, type="resume", session_id="python-session-1", after="start")
            frames = until(ws, "token")
            script.go.set()
            frames += until(ws, "complete", "error")
        assert told == "Part one, "
        assert text_of(frames) == frames[-1]["response"] == "Part one, part two."
        stored = other.as_("ann", "GET", "/api/v1/chat/python-session-1").json()["messages"][-1]
        assert stored["message"] == frames[-1]["response"]


def _told(server: ChatServer) -> str:
    answering = server.as_("ann", "GET", "/api/v1/chat/python-session-1").json().get("answering")
    return answering[0]["text"] if answering else ""


def test_no_python_of_the_document_is_left_out() -> None:
    assert [one.heading for one in snippets(DOCUMENT) if one.language == "python"] == [EXAMPLE]
