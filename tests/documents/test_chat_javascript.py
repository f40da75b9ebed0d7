"""The JavaScript of the chat document, run as it stands against a live server, with a real token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.documents.snippets import at, javascript, snippet, snippets
from tests.support.chat_server import ChatServer
from tests.support.chatting import Script

DOCUMENT = "003_b00b2b8cdee7bc14.txt"
EXAMPLE = "JavaScript Client Example"
OPTIONS = "Authentication Options"

PAGE = """
const shown = { textContent: "" };
globalThis.document = { getElementById: (id) => { if (id !== "response") throw new Error(id); return shown; } };
"""
"""What of a browser the example uses."""
END = """
const completed = chat.onComplete;
chat.onComplete = (response, metadata) => {
  completed(response, metadata);
  console.log("shown is the response:", shown.textContent === response);
  chat.disconnect();
};
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ChatServer]:
    with ChatServer(tmp_path / "log.db") as server:
        yield server


def example(server: ChatServer, token: str) -> str:
    """The example with host, port and token replaced, in what it needs of a page."""
    code = at(server, snippet(EXAMPLE, "javascript", DOCUMENT))
    assert code.count("your_jwt_token") == 1
    return PAGE + code.replace("your_jwt_token", token) + END


def test_the_example_shows_an_answer(server: ChatServer, tmp_path: Path) -> None:
    with javascript(tmp_path, example(server, server.token("ann"))) as client:
        client.until(
            "Connected",
            "[starting] Processing your message...",
            "[rag_retrieval] Searching knowledge base...",
            "Agent: specs",
            "shown is the response: true",
            "Disconnected",
        )
        assert client.process.wait(20) == 0
    print("", *client.lines, sep="\n")
    assert "132 kW" in "\n".join(client.lines)


def test_a_slow_answer_is_shown_once_and_whole(tmp_path: Path) -> None:
    script = Script(*(f"{number} " for number in range(30)))
    script.go.set()
    with (
        ChatServer(tmp_path / "log.db", responder=script) as server,
        javascript(tmp_path, example(server, server.token("ann"))) as client,
    ):
        client.until("shown is the response: true")


def test_without_a_real_token_it_says_so(server: ChatServer, tmp_path: Path) -> None:
    code = example(server, "your.jwt.token") + "setTimeout(() => chat.disconnect(), 1500);"
    with javascript(tmp_path, code) as client:
        assert client.process.wait(20) == 0
    said = "\n".join(client.lines)
    assert "Error [undefined]: " in said  # of auth_error
    assert "Error [AUTH_REQUIRED]: " in said  # of the message that it sends all the same


@pytest.mark.parametrize("number", [0, 1])
def test_both_ways_to_say_who_one_is(server: ChatServer, tmp_path: Path, number: int) -> None:
    codes = [one.code for one in snippets(DOCUMENT) if one.language == "javascript"][:2]
    code = at(server, codes[number]).replace("your_jwt_token", server.token("ann"))
    log = "\nws.onmessage = (event) => { console.log(JSON.parse(event.data).type); ws.close(); };\n"
    with javascript(tmp_path, code + log) as client:
        client.until("auth_success")
        assert client.process.wait(20) == 0


def test_no_javascript_of_the_document_is_left_out() -> None:
    found = [one.heading for one in snippets(DOCUMENT) if one.language == "javascript"]
    assert found == [OPTIONS, OPTIONS, EXAMPLE]
