"""The chat document's clients, run as they stand, while their server is restarted or killed: they are not left waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.documents.snippets import Running, at, javascript, python, snippet
from tests.support import openai_server as scenes
from tests.support.chat_nodes import ChatNode
from tests.support.openai_server import OpenAIServer
from tests.support.server import wait_until

DOCUMENT = "003_b00b2b8cdee7bc14.txt"
PAGE = "globalThis.document = { getElementById: () => ({ textContent: '' }) };\n"
HANG_UP = (
    "\nconst ended = chat.onComplete; chat.onComplete = (...all) => { ended(...all); chat.disconnect(); };\n"
)
BROKEN = "The server stopped in the middle of this answer. Ask again for a whole one."


def run_python(node: ChatNode, folder: Path) -> Running:
    code = at(node, snippet("Python Client Example", "python", DOCUMENT))
    return python(folder, code.replace("your_jwt_token", node.token("ann")))


def run_javascript(node: ChatNode, folder: Path) -> Running:
    code = at(node, snippet("JavaScript Client Example", "javascript", DOCUMENT))
    return javascript(folder, PAGE + code.replace("your_jwt_token", node.token("ben")) + HANG_UP)


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer() as model:
        yield model


def both(stack: ExitStack, node: ChatNode, folder: Path) -> tuple[Running, Running]:
    """Both clients, in the midst of their answers."""
    (folder / "python").mkdir()
    one = stack.enter_context(run_python(node, folder / "python"))
    other = stack.enter_context(run_javascript(node, folder))
    for client, sub in ((one, "ann"), (other, "ben")):
        client.until("[rag_retrieval] Searching knowledge base...")
        wait_until(lambda sub=sub: told(node, sub), f"a token for {sub}")
    return one, other


def told(node: ChatNode, sub: str) -> str:
    """What somebody was told of an answer so far."""
    (session,) = node.as_(sub, "GET", "/api/v1/chat").json()["sessions"]
    answering = node.as_(sub, "GET", f"/api/v1/chat/{session['session_id']}").json()["answering"]
    return answering[0]["text"] if answering else ""


def test_a_restart_lets_them_have_their_answers(model: OpenAIServer, tmp_path: Path) -> None:
    gate = threading.Event()
    model.play(scenes.answer("132", " kW.", gate=gate))
    with ChatNode(tmp_path, model) as node, ExitStack() as stack:
        one, other = both(stack, node, tmp_path)
        node.ask_to_stop()
        gate.set()
        one.until("Complete!", "Response: 132 kW.", "Agent: specs")
        other.until("Complete: 132 kW.", "Disconnected")
        assert one.process.wait(20) == 0
        assert node.ended() == 0
    print("\n", one.lines, "\n", other.lines)


@pytest.mark.soak
def test_a_restart_that_cannot_wait_tells_them(model: OpenAIServer, tmp_path: Path) -> None:
    model.play(scenes.silence("132"))
    with ChatNode(tmp_path, model, env={"RUNCAST_DRAIN_S": "0.5"}) as node, ExitStack() as stack:
        one, other = both(stack, node, tmp_path)
        node.ask_to_stop()
        other.until(f"Error [PROCESSING_ERROR]: {BROKEN}", "Disconnected")
        assert one.process.wait(20) == 0
        assert node.ended() == 0
    assert f"132Error: {BROKEN}" in one.lines
    print("\n", one.lines, "\n", other.lines)


@pytest.mark.soak
def test_a_server_that_is_killed_ends_their_connections(model: OpenAIServer, tmp_path: Path) -> None:
    model.play(scenes.silence("132"))
    with ChatNode(tmp_path, model) as node, ExitStack() as stack:
        one, other = both(stack, node, tmp_path)
        node.kill()
        assert one.process.wait(20) == 1  # its library says that the connection is closed
        other.until("Disconnected")
        assert other.process.wait(20) == 0
    assert any("ConnectionClosedError" in line for line in one.lines)
