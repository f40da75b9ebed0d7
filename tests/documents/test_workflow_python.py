"""The Python of the workflow document, run as it stands against a live server that runs workflows."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from tests.documents.snippets import at, snippets
from tests.documents.workflows import DOCUMENT, WORKFLOW, blocks, code, documented_frames, run_python, server
from tests.support.server import wait_until
from tests.support.workflow_server import WorkflowServer
from tests.support.workflow_sockets import FRAMES

from runcast.feeds.workflows.manager import ConnectionManager
from runcast.feeds.workflows.wire import from_frame

__all__ = ["server"]

QUESTION = 'asyncio.run(run_workflow_with_streaming("Explain quantum computing"))'


def test_the_basic_client_prints_the_synthesis_of_what_was_published(
    server: WorkflowServer, tmp_path: Path
) -> None:
    server.run(server.bus.publish_all([from_frame(WORKFLOW, frame) for frame in FRAMES[1:5]]))
    with run_python(tmp_path, at(server, code("Python - Basic Streaming", "python"))) as client:
        wait_until(lambda: server.bus.live_statistics().connections == 1)
        server.run(server.bus.publish_all([from_frame(WORKFLOW, frame) for frame in FRAMES[5:]]))
        client.until("Done! It is.")
        assert client.process.wait(20) == 0


def test_the_basic_client_gets_the_end_of_a_workflow_that_is_over(
    server: WorkflowServer, tmp_path: Path
) -> None:
    server.run(server.bus.publish_all([from_frame(WORKFLOW, frame) for frame in FRAMES]))
    with run_python(tmp_path, at(server, code("Python - Basic Streaming", "python"))) as client:
        client.until("Done! It is.")


def test_the_basic_client_reads_a_workflow_that_was_really_run(
    server: WorkflowServer, tmp_path: Path
) -> None:
    workflow_id = server.start_workflow("What causes the tides?")["workflow_id"]
    text = at(server, code("Python - Basic Streaming", "python")).replace(WORKFLOW, workflow_id)
    with run_python(tmp_path, text) as client:
        wait_until(lambda: any(line.startswith("Done! ") for line in client.lines))
        assert client.process.wait(20) == 0
    assert server.get(f"/api/v1/workflows/{workflow_id}")["status"] == "completed"


def test_the_combined_client_starts_a_workflow_and_streams_it(server: WorkflowServer, tmp_path: Path) -> None:
    with run_python(tmp_path, at(server, code("Combined REST + WebSocket", "python"))) as client:
        client.until("Event: connected", "Event: agent_spawned", "Event: workflow_complete")
        assert client.process.wait(20) == 0
    told = [line.removeprefix("Event: ") for line in client.lines if line.startswith("Event: ")]
    wanted = ["connected", "workflow_status", "agent_spawned", "synthesis_started", "workflow_complete"]
    rest = iter(told)
    assert all(any(one == want for one in rest) for want in wanted), told
    result = ast.literal_eval(client.lines[-1])
    (listed,) = server.get("/api/v1/workflows")["workflows"]
    assert result["workflow_id"] == listed["workflow_id"]
    assert (listed["task"], listed["max_steps"]) == ("Explain quantum computing", 10)


def test_the_frames_have_all_that_the_document_shows(server: WorkflowServer) -> None:
    shown = {frame["type"]: frame for frame in documented_frames()}
    assert len(shown) == 6
    workflow_id = server.start_workflow("What causes the tides?")["workflow_id"]
    failed = "wf_failed"
    server.run(server.bus.publish(f"workflow:{failed}", "workflow_error", {"error": "Error message"}))
    frames = server.story(workflow_id) + server.story(failed)
    for event_type, documented in shown.items():
        told = [frame for frame in frames if frame["type"] == event_type]
        assert told, event_type
        for frame in told:
            for name, value in documented.items():
                assert name in frame, f"{event_type} without {name}"
                assert isinstance(frame[name], type(value)) or isinstance(value, float)
                if isinstance(value, dict):
                    assert value.keys() <= frame[name].keys()


def test_the_status_goes_as_documented(server: WorkflowServer) -> None:
    workflow_id = server.start_workflow("What causes the tides?")["workflow_id"]
    frames = server.story(workflow_id)
    statuses = [frame["status"] for frame in frames if frame["type"] == "workflow_status"]
    assert statuses == ["pending", "running", "completed"]


def test_the_manager_has_the_documented_methods() -> None:
    (listed,) = [one.code for one in blocks("python") if "class ConnectionManager" in one.code]
    names = {}
    for name, parameters in re.findall(r"- (\w+)\(([^)]*)\)", listed):
        names[name] = [part.split("=")[0].strip() for part in parameters.split(",") if part.strip()]
    assert len(names) == 6
    for name, parameters in names.items():
        method = getattr(ConnectionManager, name)
        assert [*inspect.signature(method).parameters][1:] == parameters
        assert inspect.iscoroutinefunction(method) == (name != "get_connection_stats")


def test_no_python_of_the_document_is_left_out() -> None:
    theirs = {"ConnectionManager", "3. Async/Sync Event Bridge", "Integrating Into Your Application"}
    ours = {"Python - Basic Streaming", "Combined REST + WebSocket"}
    assert {one.heading for one in snippets(DOCUMENT) if one.language == "python"} == theirs | ours
