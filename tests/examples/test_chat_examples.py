"""The chat's examples do what they say."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tests.support.chat_server import ChatServer
from tests.support.process import clean_env

from runcast.runners.chat.responder import forget

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "chat"


@pytest.fixture
def poet() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("example_responder", EXAMPLES / "responder.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    forget(module.answer)


def ask(server: ChatServer, token: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        str(EXAMPLES / "chat_client.py"),
        *("--url", server.ws("/ws/chat"), "--token", token, "What is the engine power?"),
    ]
    return subprocess.run(
        command, env={**clean_env(), "NO_PROXY": "*"}, capture_output=True, text=True, timeout=30, check=False
    )


def test_the_client_prints_the_answer(tmp_path: Path) -> None:
    with ChatServer(tmp_path / "log.db") as server:
        done = ask(server, server.token("ann"))
        assert done.returncode == 0, done.stderr
        assert "132 kW" in done.stdout
        assert "Agent: specs. Sources: specs.md" in done.stdout
        assert ask(server, "made.up.token").returncode == 1


@pytest.mark.usefixtures("poet")
def test_the_responder_answers_in_the_place_of_the_agents(tmp_path: Path) -> None:
    with ChatServer(tmp_path / "log.db") as server:
        done = ask(server, server.token("ann"))
        assert "[generating] Looking for rhymes..." in done.stdout
        assert "Agent: poet. Sources: specs.md" in done.stdout
