"""A restart: clients are told to come back, what was acknowledged is there, and the exit code is 0."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from tests.support.clients import RawClient, ids_of, open_sse, open_ws, receive, rest_of, take
from tests.support.process import ServeProcess, free_port
from tests.support.server import PROTOCOLS, flat, flats, in_background

from runcast.log.sqlite import SqliteLog

MakeProcess = Callable[..., ServeProcess]


@pytest.fixture(params=["fast", "portable"])
def make_process(request: pytest.FixtureRequest, tmp_path: Path) -> MakeProcess:
    """`runcast serve`, or the app as uvicorn runs it for a user who knows only uvicorn."""
    log = tmp_path / "log.db"

    def make(**env: str) -> ServeProcess:
        env = {"RUNCAST_LOG": str(log), "RUNCAST_DRAIN_S": "0.5", **env}
        if request.param == "fast":
            return ServeProcess(log, env=env)
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "--factory", "runcast.app:create_app"]
        command += ["--port", str(port), "--ws", PROTOCOLS["portable"], "--log-level", "error"]
        command += ["--timeout-graceful-shutdown", "2"]
        return ServeProcess(log, port=port, env=env, command=command)

    return make


def has_ended_well(server: ServeProcess, number: int = signal.SIGTERM) -> bool:
    """Uvicorn by itself raises the signal again when it is done."""
    code = server.terminate(number)
    return code == 0 or (server.command[0] == sys.executable and code == -number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clients_are_told_to_reconnect(make_process: MakeProcess, number: int) -> None:
    with make_process() as server, ExitStack() as stack:
        clients = [stack.enter_context(open_ws(server.session("a"))) for _ in range(3)]
        clients.append(stack.enter_context(open_ws(server.ws("/ws/events"))))
        server.post("a", flat(0))
        for ws in clients:
            assert ids_of(take(ws, 1)) == ["e0"]
        assert has_ended_well(server, number)
        assert [rest_of(ws)[1] for ws in clients] == [1012] * 4
    assert server.complaints == ""


def test_an_event_stream_ends(make_process: MakeProcess) -> None:
    with make_process() as server:
        server.post("a", flat(0))
        url = server.url("/api/v1/streams/session:a/sse", after="start")
        with open_sse(url) as (_, messages):
            assert next(message for message in messages if "data" in message).json["id"] == "e0"
            with in_background(lambda: assert_true(has_ended_well(server))):
                assert [message for message in messages if "data" in message] == []
    assert server.complaints == ""


def test_many_clients_are_told_too_and_all_before_the_end(make_process: MakeProcess) -> None:
    with make_process() as server, ExitStack() as stack:
        clients = [stack.enter_context(RawClient(server.session("a", after="start"))) for _ in range(120)]
        server.post("a", flat(0))
        for client in clients:
            assert ids_of(client.take(1)) == ["e0"]
        with in_background(lambda: assert_true(has_ended_well(server))):
            for client in clients:
                assert list(client.messages()) == []
        assert [client.close_code for client in clients] == [1012] * 120


def test_a_client_that_takes_nothing_does_not_hold_it_up(make_process: MakeProcess) -> None:
    with make_process() as server, RawClient(server.session("a"), receive_buffer=4_096):
        for start in range(0, 600, 50):
            server.post("a", *flats(range(start, start + 50), noise="x" * 16_000))
        assert has_ended_well(server)


def test_everything_acknowledged_is_in_the_log(make_process: MakeProcess, tmp_path: Path) -> None:
    acknowledged: list[str] = []

    def write(server: ServeProcess, name: str) -> None:
        with httpx2.Client(base_url=server.url(), timeout=20) as client:
            for number in range(100_000):
                event = flat(number, event_id=f"{name}-{number}")
                try:
                    answer = client.post("/api/sessions/a/events", json=event)
                except httpx2.TransportError:
                    return
                if answer.status_code != 200:
                    return
                acknowledged.append(f"{name}-{number}")

    with make_process() as server:
        with open_ws(server.session("a", after="start")) as ws, ExitStack() as stack:
            for name in ("x", "y", "z"):
                stack.enter_context(in_background(lambda name=name: write(server, name)))
            seen = take_some(ws)
            assert has_ended_well(server)
        log = SqliteLog(tmp_path / "log.db")
        stored, after = [], None
        while not (page := log.read("session:a", after)).complete or page.events:
            stored += [event.id for event in page.events]
            after = page.cursor
        log.close()
    assert len(set(stored)) == len(stored)
    assert set(acknowledged) <= set(stored)
    assert stored[: len(seen)] == seen


def take_some(ws) -> list[str]:
    """The ids of more than two hundred events."""
    got: list[str] = []
    while len(got) < 200:
        got += ids_of([receive(ws)])
    return got


def assert_true(value: bool) -> None:
    assert value
