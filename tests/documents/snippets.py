"""The code in a document of `../shared/seeds`, taken out when the tests run, and the processes that run it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import NamedTuple, Self

import pytest
from tests.support.process import clean_env
from tests.support.server import Server, wait_until

SEEDS = Path(__file__).resolve().parents[3] / "shared" / "seeds"
SESSIONS = "000_81629db61392e423.txt"
_PART = re.compile(r"^#+ ([^\n]*)$|^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)

STUB = """
import sys, types, runcast

stub = types.ModuleType("htmlgraph.api.websocket")
stub.WebSocketManager = runcast.WebSocketManager
stub.EventSubscriptionFilter = runcast.EventSubscriptionFilter
for name in ("htmlgraph", "htmlgraph.api"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["htmlgraph.api.websocket"] = stub
"""


class Snippet(NamedTuple):
    heading: str
    language: str
    code: str


def snippets(document: str = SESSIONS) -> list[Snippet]:
    """All fenced blocks with the headings above them; skips the test where the document is not."""
    path = SEEDS / document
    if not path.exists():
        pytest.skip("needs ../shared/seeds")
    found: list[Snippet] = []
    heading = ""
    for part in _PART.finditer(path.read_text(encoding="utf-8")):
        if part[1]:
            heading = part[1]
        else:
            found.append(Snippet(heading, part[2], part[3]))
    return found


def snippet(heading: str, language: str, document: str = SESSIONS) -> str:
    """The one block of this language under a heading."""
    (found,) = [one.code for one in snippets(document) if (one.heading, one.language) == (heading, language)]
    return found


def at(server: Server, code: str) -> str:
    """The code with host and port replaced, and nothing else."""
    return code.replace("localhost:8000", f"localhost:{server.port}")


class Running:
    """A process of which the lines are read as they come."""

    def __init__(self, *command: str) -> None:
        env = {**clean_env(), "PYTHONUNBUFFERED": "1", "NO_PROXY": "*"}
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=1
        )
        self._reader = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self._reader.join()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def has(self, *wanted: str) -> bool:
        """Whether these lines came, in this order, maybe with others between them."""
        lines = iter(list(self.lines))
        return all(any(line == want for line in lines) for want in wanted)

    def until(self, *wanted: str) -> None:
        wait_until(lambda: self.has(*wanted) or self._has_died(), f"{wanted} among {self.lines}")
        assert self.has(*wanted), "\n".join(self.lines)

    def _has_died(self) -> bool:
        return self.process.poll() is not None and not self._reader.is_alive()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


def python(folder: Path, code: str) -> Running:
    """The code as a program, with the document's package in the place of which ours stands."""
    script = folder / "snippet.py"
    script.write_text(STUB + code, encoding="utf-8")
    return Running(sys.executable, str(script))


def javascript(folder: Path, code: str) -> Running:
    """The code as a program for node, with the WebSocket of browsers."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node on this machine")
    major = int(subprocess.check_output([node, "--version"], text=True).lstrip("v").split(".")[0])
    if major < 20:
        pytest.skip("node here has no WebSocket")
    script = folder / "snippet.js"
    script.write_text(code, encoding="utf-8")
    options = ["--experimental-websocket", "--no-warnings"] if major < 22 else ["--no-warnings"]
    return Running(node, *options, str(script))


def shell(code: str) -> str:
    """What a line of shell prints."""
    if shutil.which("curl") is None:
        pytest.skip("no curl on this machine")
    ended = subprocess.run(
        ["/bin/sh", "-c", code],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        env={**os.environ, "NO_PROXY": "*"},
    )
    return ended.stdout
