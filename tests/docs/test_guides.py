"""Every shell block of the guides is run, and says or does what the guide says."""

import os
import re
import subprocess
from pathlib import Path

import httpx2
import pytest
from tests.support.process import RUNCAST, ServeProcess, clean_env, free_port
from tests.support.server import WAIT_S
from tests.support.transcript import transcript_path

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def shell_blocks(page: str) -> list[str]:
    return [text for kind, text in BLOCK.findall((DOCS / page).read_text()) if kind == "sh"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home in which Claude Code has run."""
    project = tmp_path / "home" / ".claude" / "projects" / "demo"
    project.mkdir(parents=True)
    original = transcript_path("short.jsonl")
    (project / original.name).write_bytes(original.read_bytes())
    return tmp_path / "home"


def env(home: Path, port: int) -> dict[str, str]:
    path = f"{Path(RUNCAST[0]).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **clean_env(),
        "PATH": path,
        "HOME": str(home),
        "XDG_DATA_HOME": "",
        "RUNCAST_PORT": str(port),
    }


def lines_of(block: str) -> list[str]:
    return [line.partition("#")[0].strip() for line in block.splitlines()]


def run(lines: list[str], environment: dict[str, str], cwd: Path) -> str:
    done = subprocess.run(
        ["sh", "-ec", "\n".join(lines)],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def exported(block: str) -> dict[str, str]:
    return dict(re.findall(r"(RUNCAST_\w+)=(\S+)", block))


def test_the_guide_to_sources(home: Path) -> None:
    hooks, transcripts, telemetry, htmlgraph = shell_blocks("sources.md")
    own = env(home, free_port())
    run(lines_of(hooks), own, home)
    assert (
        not (home / ".claude" / "settings.json").exists()
        or "runcast" not in (home / ".claude" / "settings.json").read_text()
    )  # the last line takes them out again
    once = [line for line in lines_of(transcripts) if "--once" in line]
    assert once
    run(once, own, home)
    assert "session:" in run(["runcast streams"], own, home)
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in telemetry
    assert htmlgraph.split()[:3] == ["runcast", "serve", "--htmlgraph-db"]


def test_a_team_behind_a_proxy(home: Path) -> None:
    team, _ = shell_blocks("security.md")
    port = free_port()
    own = {**env(home, port), **exported(team)}
    *lines, serve = [line for line in lines_of(team) if not line.startswith("export")]
    agents, readers = run(lines, own, home).split()
    with ServeProcess("", port=port, command=[*RUNCAST, *serve.split()[1:]], env=own) as server:
        url, event = server.url("/api/sessions/s/events"), {"event_type": "message"}
        forwarded = {
            "X-Forwarded-For": "203.0.113.9",
            "X-Forwarded-Proto": "https",
            "Host": "runcast.example",
        }
        assert httpx2.post(url, json=event, headers=forwarded).status_code == 401
        as_agent, as_reader = ({**forwarded, "Authorization": f"Bearer {key}"} for key in (agents, readers))
        assert httpx2.post(url, json=event, headers=as_agent).status_code == 200
        assert httpx2.post(url, json=event, headers=as_reader).status_code == 403
        assert httpx2.get(url, headers=as_reader).json()["count"] == 1
        ticket = httpx2.post(server.url("/api/v1/auth/tickets"), headers=as_reader).json()["ticket"]
        cookie = httpx2.get(url, params={"ticket": ticket}, headers=forwarded).headers["set-cookie"]
        assert "Secure" in cookie  # it was https up to the proxy


def test_a_public_site(home: Path) -> None:
    _, site = shell_blocks("security.md")
    port = free_port()
    own = {**env(home, port), **exported(site)}
    serve = lines_of(site)[-1].split()
    with ServeProcess("", port=port, command=[*RUNCAST, *serve[1:]], env=own) as server:
        assert httpx2.get(server.url("/api/sessions")).status_code == 401
        registering = httpx2.post(
            server.url("/api/v1/auth/register"), json={"email": "a@b", "password": "x" * 12}
        )
        assert registering.json()["code"] == "forbidden"
        preflight = httpx2.options(
            server.url("/api/sessions"),
            headers={
                "Origin": "https://app.example.org",
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "authorization",
            },
        )
        assert preflight.headers["access-control-allow-origin"] == "https://app.example.org"
        server.terminate()
        assert "locked" in server.output
