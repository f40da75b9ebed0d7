"""Every block of the README does what it says, in its order, against one server."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import httpx2
import pytest
from tests.support.process import RUNCAST, ServeProcess, clean_env, free_port
from tests.support.server import WAIT_S, wait_until
from tests.support.transcript import transcript_path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    found = [text for kind, text in BLOCK.findall(README) if kind == language]
    assert found
    return found


AGENTS, TELEMETRY, PUBLISH, TAIL, WATCH_SSE, SHOW, WORKFLOW = blocks("sh")
WATCH, BUS = blocks("python")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A newcomer's home, with one of Claude Code's transcripts in it."""
    project = tmp_path / "home" / ".claude" / "projects" / "demo"
    project.mkdir(parents=True)
    original = transcript_path("short.jsonl")
    (project / original.name).write_bytes(original.read_bytes())
    return tmp_path / "home"


def test_running_a_workflow_without_a_server_or_a_model(home: Path) -> None:
    (home / "README.md").write_text("# Promises\n\nA watcher that comes back goes on exactly where it was.\n")
    own = env(HOME=str(home), XDG_DATA_HOME="")
    done = subprocess.run(
        ["sh", "-ec", WORKFLOW],
        check=False,
        capture_output=True,
        text=True,
        cwd=home,
        env=own,
        timeout=WAIT_S,
    )
    assert done.returncode == 0, done.stderr
    assert "goes on exactly where it was" in done.stdout


@pytest.fixture
def server(tmp_path: Path) -> Generator[ServeProcess]:
    with ServeProcess(tmp_path / "log.db") as server:
        yield server


def env(**more: str) -> dict[str, str]:
    path = f"{Path(RUNCAST[0]).parent}{os.pathsep}{os.environ['PATH']}"
    return {**clean_env(), "PATH": path, **more}


def sh(server: ServeProcess, text: str, *limits: str) -> str:
    command = [*limits, "sh", "-c", text.replace("http://localhost:8000", server.url())]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=WAIT_S, env=env()
    ).stdout


def publish(server: ServeProcess) -> None:
    assert '"count":1' in sh(server, PUBLISH)


def test_no_block_is_of_a_kind_that_no_test_runs() -> None:
    assert {kind for kind, _ in BLOCK.findall(README)} == {"console", "sh", "python"}


def test_pointing_it_at_ones_own_agent(home: Path) -> None:
    lines = [line.partition("#")[0].strip() for line in AGENTS.splitlines()]
    assert lines.pop() == "runcast serve"
    port = free_port()
    own = env(HOME=str(home), XDG_DATA_HOME="", RUNCAST_PORT=str(port))
    for line in lines:
        subprocess.run(["sh", "-c", line], check=True, env=own, capture_output=True, timeout=WAIT_S)
    assert "runcast" in (home / ".claude" / "settings.json").read_text()
    with ServeProcess("", port=port, command=[*RUNCAST, "serve"], env=own) as server:
        (session,) = httpx2.get(server.url("/api/sessions")).json()["sessions"]
        assert session["summary"]["title"] == "mix phx.server doesnt seem to start"
        assert "<title>Runcast" in httpx2.get(server.url("/")).text


def test_pointing_telemetry_at_it(server: ServeProcess) -> None:
    said = sh(server, TELEMETRY + "env")
    (endpoint,) = re.findall(r"^OTEL_EXPORTER_OTLP_ENDPOINT=(.*)$", said, re.MULTILINE)
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/json\n" in said
    answer = httpx2.post(f"{endpoint}/v1/logs", json={"resourceLogs": []})
    assert answer.status_code == 200


def test_publishing_and_watching(server: ServeProcess) -> None:
    publish(server)
    assert '"tool_name":"Edit"' in sh(server, WATCH_SSE, "timeout", "2")
    assert "Edit" in sh(server, TAIL, "timeout", "--signal=INT", "4")
    assert "Edit" in sh(server, SHOW)


def test_watching_in_python(server: ServeProcess) -> None:
    publish(server)
    program = WATCH.replace("ws://localhost:8000", server.ws(""))
    watcher = subprocess.Popen([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, text=True)
    try:
        assert watcher.stdout is not None
        assert watcher.stdout.readline().split() == ["1", "tool_call", "Edit", "125"]
        publish(server)
        assert watcher.stdout.readline().split() == ["2", "tool_call", "Edit", "125"]
    finally:
        watcher.kill()
        watcher.communicate()


def test_python_without_a_server(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUS],
        check=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=clean_env(),
    )
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [["1", "step"], ["2", "done"]]


def test_make_demo_and_runcast_demo_are_one() -> None:
    assert [line for text in blocks("console") for line in text.splitlines()] == [
        "$ make demo",
        "$ pip install .",
        "$ runcast demo",
    ]
    recipe = re.search(r"^demo:.*\n\t(.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe is not None
    assert "runcast demo" in recipe[1]


@pytest.mark.timeout(240)
def test_installing_it_and_seeing_the_demo_in_an_empty_directory(tmp_path: Path) -> None:
    """As a newcomer does: a wheel, an environment of its own, the command, the page."""
    uv = str(Path(sys.executable).with_name("uv"))
    place = tmp_path / "empty"
    place.mkdir()

    def run(*command: str) -> None:
        subprocess.run(command, check=True, cwd=place, capture_output=True, timeout=200, env=clean_env())

    run(uv, "build", "--quiet", "--wheel", "--out-dir", str(tmp_path / "dist"), str(ROOT))
    run(uv, "venv", "--quiet", "--python", sys.executable, str(place / "venv"))
    (wheel,) = (tmp_path / "dist").glob("runcast-*.whl")
    run(uv, "pip", "install", "--quiet", "--python", str(place / "venv"), str(wheel))
    port = free_port()
    demo = [str(place / "venv" / "bin" / "runcast"), "demo", "--port", str(port)]
    with ServeProcess("", port=port, command=demo, env={"HOME": str(place)}) as server:
        assert "<title>Runcast" in httpx2.get(server.url("/")).text
        assert httpx2.get(server.url("/examples/websocket/activity-feed.html")).status_code == 200
        wait_until(
            lambda: httpx2.get(server.url("/api/events")).json()["count"] > 3, "the agent's first events"
        )
        assert server.terminate(signal.SIGINT) == 0
