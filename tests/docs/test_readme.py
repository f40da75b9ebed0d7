"""Every block of the README does what it says, in its order, against one server."""

import re
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from tests.support.process import ServeProcess, clean_env

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    found = [text for kind, text in BLOCK.findall(README) if kind == language]
    assert found
    return found


@pytest.fixture
def server(tmp_path: Path) -> Generator[ServeProcess]:
    with ServeProcess(tmp_path / "log.db") as server:
        yield server


def sh(server: ServeProcess, text: str, *limits: str) -> str:
    command = [*limits, "sh", "-c", text.replace("http://localhost:8000", server.url())]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=20).stdout


def test_no_block_is_of_a_kind_that_no_test_runs() -> None:
    assert {kind for kind, _ in BLOCK.findall(README)} == {"console", "text", "sh", "python"}


def test_publishing_and_watching_as_the_readme_says(server: ServeProcess) -> None:
    publish, watch_sse = blocks("sh")
    watch, _ = blocks("python")
    assert '"first_seq":1' in sh(server, publish)
    assert '"tool_name":"Edit"' in sh(server, watch_sse, "timeout", "2")
    program = watch.replace("ws://localhost:8000", server.ws(""))
    watcher = subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert watcher.stdout is not None
        assert watcher.stdout.readline().split() == ["1", "tool_call", "Edit", "125"]
        sh(server, publish)
        assert watcher.stdout.readline().split() == ["2", "tool_call", "Edit", "125"]
    finally:
        watcher.kill()
        watcher.communicate()


def test_python_without_a_server_as_the_readme_says(tmp_path: Path) -> None:
    _, program = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        cwd=tmp_path,
        env=clean_env(),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ['1 step {"tool":"grep"}', "2 done {}"]


def test_the_line_that_serve_prints_is_the_one_in_the_readme(server: ServeProcess) -> None:
    (line,) = blocks("text")
    shape = re.escape(line.strip()).replace("8000", r"\d+").replace("…", ".*")
    assert server.terminate() == 0
    assert re.fullmatch(shape, server.output.strip())
    assert server.complaints == ""


def test_the_command_that_starts_it_is_a_target() -> None:
    (line,) = blocks("console")
    assert line.strip() == "$ make serve"
    assert "\nserve:" in (ROOT / "Makefile").read_text()
