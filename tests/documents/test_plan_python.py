"""The Python of the plan document, run as it stands."""

from __future__ import annotations

import asyncio
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest
import yaml
from fastapi import FastAPI, WebSocketDisconnect
from tests.documents.snippets import snippet, snippets
from tests.feeds.plans import BareSocket, until, watch
from tests.support.clients import open_ws, receive, rest_of
from tests.support.process import clean_env, free_port
from tests.support.server import AppServer, Server, wait_until

from runcast import StreamEvent, StreamingExecutionWrapper, StreamingManager, create_streaming_router
from runcast.config import Settings
from runcast.kinds.plan import PLAN
from runcast.live.bus import Bus
from runcast.log.sqlite import SqliteLog

DOCUMENT = "002_28ca743a70fc0955.txt"

STUB = """
import sys, types, runcast

sys.modules["framework"] = types.ModuleType("framework")
sys.modules["framework.streaming_manager"] = stub = types.ModuleType("framework.streaming_manager")
stub.StreamingManager = runcast.StreamingManager
stub.StreamingExecutionWrapper = runcast.StreamingExecutionWrapper
sys.modules["framework.streaming_endpoint"] = stub = types.ModuleType("framework.streaming_endpoint")
stub.create_streaming_router = runcast.create_streaming_router
"""


@pytest.fixture
def framework(monkeypatch: pytest.MonkeyPatch) -> None:
    """The document's package, in the place of which ours stands."""
    stub, endpoint = ModuleType("framework.streaming_manager"), ModuleType("framework.streaming_endpoint")
    stub.StreamingManager = StreamingManager  # pyright: ignore[reportAttributeAccessIssue]
    stub.StreamingExecutionWrapper = StreamingExecutionWrapper  # pyright: ignore[reportAttributeAccessIssue]
    endpoint.create_streaming_router = create_streaming_router  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "framework", ModuleType("framework"))
    monkeypatch.setitem(sys.modules, "framework.streaming_manager", stub)
    monkeypatch.setitem(sys.modules, "framework.streaming_endpoint", endpoint)


def run_here(code: str, **names: Any) -> dict[str, Any]:
    exec(compile(code, "snippet", "exec"), names)
    return names


async def await_here(code: str, **names: Any) -> dict[str, Any]:
    """Run a snippet that awaits where it stands, as within a function; returns its names."""
    body = "".join(f"    {line}\n" for line in code.splitlines())
    there = run_here(f"async def snippet():\n{body}\n    return locals()\n", **names)
    return await there["snippet"]()


def made() -> StreamingManager:
    return run_here(snippet("1. Create Streaming Manager", "python", DOCUMENT))["manager"]


def test_a_manager_is_created(framework: None) -> None:
    manager = made()
    assert isinstance(manager, StreamingManager)
    assert manager.ping_interval == 30
    asyncio.run(manager.close())


def test_the_websocket_handler_of_one_s_own_app(framework: None) -> None:
    app, manager = FastAPI(), made()
    run_here(
        snippet("2. Register Client (in WebSocket handler)", "python", DOCUMENT),
        app=app,
        manager=manager,
        WebSocketDisconnect=WebSocketDisconnect,
    )
    with AppServer(app) as server:
        with open_ws(server.ws("/ws/client_1")) as ws:
            assert receive(ws)["plan_id"] == "system"
            server.run(manager.stream_step_started("plan_123", "step_1", {"action": "search"}))
            server.run(manager.stream_step_started("plan_124", "step_1", {"action": "search"}))
            server.run(manager.stream_step_started("plan_123", "step_2", {"action": "read"}))
            assert [(receive(ws)["plan_id"], receive(ws)["step_id"])] == [("plan_123", "step_2")]
            assert manager.clients["client_1"].subscribed_plans == {"plan_123"}
            with open_ws(server.ws("/ws/client_1")) as again:  # the first one's handler unregisters by the id
                assert receive(again)["plan_id"] == "system"
                frames, code, reason = rest_of(ws)
                assert (frames[-1]["data"]["code"], code, reason) == ("replaced", 1008, "replaced")
                assert [receive(again)["step_id"] for _ in range(2)] == ["step_1", "step_2"]
                server.run(manager.stream_step_started("plan_123", "step_3", {}))
                assert receive(again)["step_id"] == "step_3"
                assert manager.get_client_count() == 1
        wait_until(lambda: manager.get_client_count() == 0)
        server.run(manager.close())


async def test_events_are_streamed(framework: None) -> None:
    manager, socket = made(), BareSocket()
    await manager.register_client("c1", socket, ["plan_123"])
    await await_here(snippet("3. Stream Events", "python", DOCUMENT), manager=manager)
    told = [(frame["event_type"], frame["step_id"], frame["data"]) for frame in socket.frames[1:]]
    assert told[:2] == [
        (
            "plan_started",
            None,
            {"query": "Research query", "total_steps": 5, "research_type": "comprehensive"},
        ),
        ("step_progress", "step_1", {"progress": 0.5, "message": "Processing data..."}),
    ]
    event_type, step_id, data = told[2]
    assert (event_type, step_id, data["quality_score"]) == ("step_completed", "step_1", 0.95)
    assert data["data"] == {"findings": ["Ellipsis"]}  # the document's three dots are a value of Python
    await manager.close()


async def test_a_plan_is_executed_with_streaming(framework: None) -> None:
    class Agent:
        def execute_step(self, step: dict[str, Any], context: dict[str, Any]) -> dict[str, Any]:
            return {"status": "success", "quality_score": 0.9, "data": {"found": context["topic"]}}

    manager = made()
    names = await await_here(
        snippet("4. Execute Plan with Streaming", "python", DOCUMENT),
        agent=Agent(),
        manager=manager,
        research_plan={"plan_id": "plan_123", "steps": [{"step_id": f"step_{n}"} for n in (1, 2, 3)]},
        execution_context={"topic": "heat"},
    )
    assert names["result"]["status"] == "completed"
    assert names["result"]["results"]["step_2"]["data"] == {"found": "heat"}
    assert len(manager.get_event_history("plan_123")) == 17
    await manager.close()


async def test_a_handler_is_registered(framework: None) -> None:
    alerts: list[str] = []

    async def send_alert(text: str) -> None:
        alerts.append(text)

    manager = made()
    code = snippet("5. Register Event Handler", "python", DOCUMENT)
    run_here(code, manager=manager, StreamEvent=StreamEvent, send_alert=send_alert)
    for score in (0.9, 0.69, 0.7):
        await manager.stream_quality_check("plan_123", "step_1", {"quality_score": score})
    await manager.stream_quality_check("plan_123", "step_1", {"passed": True})
    await until(lambda: alerts == ["Low quality: 0.69"])
    await manager.close()


# --- deployment --------------------------------------------------------------------------------


class Deployed(Server):
    def __init__(self, port: int) -> None:
        self.port = port

    def is_up(self) -> bool:
        with suppress(httpx2.TransportError):
            return self.http.get("/api/v1/streaming/clients").status_code == 200
        return False


@contextmanager
def deployed(folder: Path, log: Path) -> Iterator[Deployed]:
    """`main.py` of the document, by the command and the environment of its compose file, on another port."""
    service = yaml.safe_load(snippet("Docker Compose", "yaml", DOCUMENT))["services"]["veritas-api"]
    (folder / "main.py").write_text(STUB + snippet("WebSocket Server Setup", "python", DOCUMENT))
    server = Deployed(free_port())
    command = re.sub(
        r"--port 8000", f"--port {server.port}", service["command"].replace("0.0.0.0", "127.0.0.1")
    )
    given = dict(one.split("=") for one in service["environment"])
    assert Settings.from_env(given).max_connections == 1000
    env = {**clean_env(), **given, "RUNCAST_LOG": str(log), "PYTHONPATH": str(folder)}
    process = subprocess.Popen(
        [sys.executable, "-m", *shlex.split(command)], env=env, cwd=folder, stderr=subprocess.PIPE
    )
    try:
        wait_until(lambda: server.is_up() or process.poll() is not None)
        yield server
    finally:
        process.terminate()
        _, said = process.communicate(timeout=20)
        server.close_http()
    assert b"Traceback" not in said, said.decode()


def test_the_server_of_the_document_over_a_log_that_others_write(tmp_path: Path) -> None:
    log = tmp_path / "log.db"

    async def work() -> None:
        """An agent in a process of its own (this one)."""
        bus = Bus(SqliteLog(log), [PLAN])
        manager = StreamingManager(bus=bus)
        await manager.stream_plan_started("plan_456", {"query": "q"})
        await manager.stream_step_progress("plan_456", "s", 0.25, "half of a half")
        await bus.close()

    with deployed(tmp_path, log) as server:
        asyncio.run(work())
        with watch(server, "client_123", plan_id="plan_456") as ws:
            assert [receive(ws)["event_type"] for _ in range(2)] == ["plan_started", "step_progress"]
            listed = server.get("/api/v1/streaming/clients")
            assert (listed["client_count"], listed["clients"]) == (1, ["client_123"])
            assert server.get("/api/v1/streaming/plans/plan_456/subscribers")["subscriber_count"] == 1
            assert server.get("/api/v1/streaming/plans/plan_456/history")["event_count"] == 2
    with deployed(tmp_path, log) as server, watch(server, plan_id="plan_456") as ws:  # and after a restart
        assert [receive(ws)["event_type"] for _ in range(2)] == ["plan_started", "step_progress"]


def test_the_proxy_of_the_document_is_in_front_of_the_socket() -> None:
    (location,) = re.findall(r"location (\S+) \{", snippet("NGINX Configuration", "nginx", DOCUMENT))
    manager = StreamingManager()
    paths = [getattr(route, "path", "") for route in create_streaming_router(manager).routes]
    assert [path for path in paths if path.startswith(location)] == [f"{location}{{client_id:path}}"]
    asyncio.run(manager.close())


def test_no_python_of_the_document_is_left_out() -> None:
    assert {one.heading for one in snippets(DOCUMENT) if one.language == "python"} == {
        "1. Create Streaming Manager",
        "2. Register Client (in WebSocket handler)",
        "3. Stream Events",
        "4. Execute Plan with Streaming",
        "5. Register Event Handler",
        "WebSocket Server Setup",
    }
