"""No secret that was shown to the server stands in anything it prints, at the most talkative level there is."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.clients import RawClient
from tests.support.process import ServeProcess, free_port, run_runcast
from websockets.exceptions import InvalidState

from runcast.auth.secrets import new_secret

KEY = f"configured-{new_secret()}"
SECRET = new_secret()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def server(log: Path) -> Generator[ServeProcess]:
    """uvicorn as a user may run it: with its access log, and everything it would say while debugging."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "runcast.app:create_app", "--factory", "--port", str(port)]
    talkative = ["--log-level", "trace", "--access-log"]
    env = {"RUNCAST_LOG": str(log), "RUNCAST_API_KEYS": KEY, "RUNCAST_JWT_SECRET": SECRET}
    with ServeProcess(log, port=port, command=[*command, *talkative], env=env) as server:
        yield server


def made(*arguments: str, log: Path) -> str:
    done = run_runcast("token", *arguments, "--log", str(log), env={"RUNCAST_JWT_SECRET": SECRET})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def say(ws: RawClient, *texts: str) -> None:
    """Send, and wait for what is said to it; who was refused already is not heard any more."""
    with suppress(InvalidState):
        for text in texts:
            ws.send_text(text)
    next(ws.messages(), None)


def test_no_secret_is_printed(server: ServeProcess, log: Path) -> None:
    key = made("create", "ci", "--read", "*", log=log)
    token = made("print", "ann", "--read", "*", log=log)
    bearer = {"Authorization": f"Bearer {KEY}"}
    ticket = server.http.post("/api/v1/auth/tickets", headers=bearer).json()["ticket"]
    shown = [KEY, key, token, "wrong-" + new_secret(), ticket]
    for secret in shown[:4]:
        for way in ("token", "api_key"):
            server.http.get("/api/sessions", params={way: secret, "filter": "{"})
            server.http.get("/api/v1/streams/session:../events", params={way: secret})
            with RawClient(server.session("s", **{way: secret})) as ws:
                say(ws, '{"type": "nonsense"}')
        server.http.get("/api/sessions", headers={"Authorization": f"Bearer {secret}"})
        with RawClient(server.session("s")) as ws:
            say(ws, json.dumps({"type": "auth", "token": secret}), '{"type": "ping"}')
    server.http.get("/api/sessions", params={"ticket": ticket})
    cookie = server.http.cookies["runcast"]
    server.http.get("/api/sessions")
    person = {"email": "ann@example.org", "password": f"password-{new_secret()}"}
    session = server.http.post("/api/v1/auth/register", json=person).json()
    server.http.post("/api/v1/auth/login", json=person)
    server.http.post("/api/v1/auth/refresh", json={"refresh_token": session["refresh_token"]})
    metrics = server.http.get("/metrics", headers=bearer).text
    server.terminate()
    printed = server.output + server.complaints + metrics
    assert "GET /api/sessions" in printed  # it was talkative
    secrets = [*shown, SECRET, cookie, person["password"], session["access_token"], session["refresh_token"]]
    assert [secret for secret in secrets if secret in printed] == []
