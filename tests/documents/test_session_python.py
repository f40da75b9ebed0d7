"""The Python of the session document, run as it stands against a live server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.documents.snippets import at, python, snippet, snippets
from tests.support.process import ServeProcess
from tests.support.server import Server, ThreadServer, flat, flats, wait_until
from tests.support.transcript import TOOL_HEAVY, session_events, transcript_path

from runcast import EventSubscriptionFilter

SESSION = "session-123"
IMPORTED = "from htmlgraph.api.websocket import EventSubscriptionFilter, WebSocketManager\n"

FILTERS = {
    "Event Type Filter": ({"event_type": "completion"}, {"event_type": "start"}),
    "Session Filtering": ({"session_id": SESSION}, {"session_id": "session-124"}),
    "Tool Filtering": ({"tool_name": "Bash"}, {"tool_name": "Write"}),
    "Cost Threshold Filtering": ({"cost_tokens": 1000}, {"cost_tokens": 999}),
    "Status Filtering": ({"status": "timeout"}, {"status": "completed"}),
    "Feature Filtering": ({"feature_id": "feat-456"}, {"feature_id": None}),
    "Error Tracking": ({"event_type": "error", "status": "error"}, {"event_type": "error"}),
    "1. Use Filters to Reduce Load": ({}, None),  # its last filter wants everything
    "Cost Monitoring Alerts": ({"cost_tokens": 10_000}, {"cost_tokens": 9_999}),
}


def connected(server: Server) -> int:
    return server.get("/api/status")["connected_clients"]


def quick_start_without_its_last_line() -> str:
    code = snippet("Python Client", "python")
    last = 'asyncio.run(stream_events("session-123"))\n'
    assert code.endswith(last)
    return code.removesuffix(last)


def test_the_quick_start_client_prints_what_is_posted(server: ThreadServer, tmp_path: Path) -> None:
    with python(tmp_path, at(server, snippet("Python Client", "python"))) as client:
        wait_until(lambda: connected(server) == 1)
        server.post(SESSION, flat(0))
        client.until("Event batch: 1 events", "  - tool_call: Edit")
        server.post(SESSION, flat(1, event_type="error", tool_name=None), flat(2, tool_name="Bash"))
        client.until("Event batch: 2 events", "  - error: None", "  - tool_call: Bash")


def test_the_quick_start_client_prints_a_transcript(server: ThreadServer, tmp_path: Path) -> None:
    events = session_events(transcript_path(TOOL_HEAVY))
    with python(tmp_path, at(server, snippet("Python Client", "python"))) as client:
        wait_until(lambda: connected(server) == 1)
        for event in events:
            server.post(SESSION, {**event, "session_id": SESSION})
        client.until(*(f"  - {event['event_type']}: {event.get('tool_name')}" for event in events))
    told = [line for line in client.lines if line.startswith("  - ")]
    assert len(told) == len(events)


def test_the_quick_start_client_reads_every_control_frame(server: ThreadServer, tmp_path: Path) -> None:
    with python(tmp_path, at(server, snippet("Python Client", "python"))) as client:
        wait_until(lambda: connected(server) == 1)
        server.post(SESSION, flat(0))
        client.until("  - tool_call: Edit")
        server.http.delete(f"/api/v1/streams/session:{SESSION}")
        client.until("Event batch: 0 events")
        server.post(SESSION, flat(1, tool_name="Read"))
        client.until("Event batch: 1 events", "  - tool_call: Read")


def test_monitoring_costs_alerts_over_its_threshold_only(server: ThreadServer, tmp_path: Path) -> None:
    before = IMPORTED + "def send_alert(text): print(text)\n"
    code = before + at(server, snippet("Cost Monitoring and Alerts", "python"))
    with python(tmp_path, code) as client:
        wait_until(lambda: connected(server) == 1)
        costs = (4_999, 5_000, 5_001, 1, 70_000)
        server.post(SESSION, *(flat(number, cost_tokens=cost) for number, cost in enumerate(costs)))
        client.until("High cost event: 5001 tokens", "High cost event: 70000 tokens")
    assert len(client.lines) == 2


def test_reconnecting_by_the_document_survives_a_restart(tmp_path: Path) -> None:
    code = quick_start_without_its_last_line() + snippet("Graceful Reconnection", "python")
    code += 'asyncio.run(reconnect_loop("session-123"))\n'
    with ServeProcess(tmp_path / "log.db") as server, python(tmp_path, at(server, code)) as client:
        wait_until(lambda: connected(server) == 1)
        server.post(SESSION, flat(0))
        client.until("  - tool_call: Edit")
        server.kill()
        client.until("Reconnecting in 2s (attempt 1)")
        server.start()
        wait_until(lambda: connected(server) == 1)
        server.post(SESSION, flat(1, tool_name="Bash"))
        client.until("  - tool_call: Edit", "Reconnecting in 2s (attempt 1)", "  - tool_call: Bash")


def run_here(code: str, **names: Any) -> dict[str, Any]:
    """Run what needs no server in this process; returns its names."""
    from runcast import WebSocketManager

    scope = {
        "EventSubscriptionFilter": EventSubscriptionFilter,
        "WebSocketManager": WebSocketManager,
        **names,
    }
    code = code.replace("from htmlgraph.api.websocket import", "from runcast import")
    exec(compile(code, "snippet", "exec"), scope)
    return scope


def test_every_filter_of_the_document_passes_what_it_says() -> None:
    for heading, (passing, failing) in FILTERS.items():
        wanted = run_here(snippet(heading, "python"))["filter"]
        assert isinstance(wanted, EventSubscriptionFilter)
        usual = {"event_type": "tool_call", "status": "recorded", "cost_tokens": 0, "session_id": SESSION}
        assert wanted.matches_event({**usual, **passing}), heading
        assert failing is None or not wanted.matches_event({**usual, **failing}), heading


def test_bottlenecks_are_found_by_the_document_s_handler(capsys: Any, server: ThreadServer) -> None:
    server.post(SESSION, flat(0, execution_duration_seconds=7.5))
    (event,) = server.get(f"/api/sessions/{SESSION}/events")["events"]
    run_here(snippet("Bottleneck Detection", "python"), event=event)
    assert capsys.readouterr().out == "Bottleneck: Edit took 7.5s\n"


def test_batches_are_processed_as_the_document_does(server: ThreadServer) -> None:
    server.post(SESSION, *flats(range(3)))
    batch = server.get(f"/api/sessions/{SESSION}/events")
    processed: list[dict[str, Any]] = []
    run_here(snippet("3. Process Batches Efficiently", "python"), batch=batch, process_event=processed.append)
    assert [event["event_id"] for event in processed] == ["e0", "e1", "e2"]


def test_the_manager_is_configured_and_asked_for_its_numbers(tmp_path: Path) -> None:
    made = snippet("Server Configuration", "python").replace("/path/to", str(tmp_path))
    program = f"""
class Socket:
    async def send_text(self, data):
        came.set()

{made}
async def use(session_id):
    global came
    came = asyncio.Event()
    await manager.connect(Socket(), session_id, "client")
    await manager.broadcast_event(session_id, {{"event_type": "tool_call"}})
    await came.wait()
{indented(snippet("Get WebSocket Metrics", "python"))}
    await manager.close()

import asyncio
asyncio.run(use("session-123"))
print(manager.max_clients_per_session, manager.event_batch_size, manager.event_batch_window_ms)
"""
    with python(tmp_path, program) as client:
        client.until(
            "Connected clients: 1", "Events sent: 1", "Active sessions: 1", "Total events broadcast: 1"
        )
        client.until("10 50 50.0")
    assert client.lines[2].startswith("Bytes sent: ")
    assert (tmp_path / "htmlgraph.db").exists()


def test_troubles_are_met_by_changing_the_manager(tmp_path: Path) -> None:
    for heading, answer in (("High Memory Usage", "25.0 5"), ("High Latency", "25 200.0")):
        after = {
            "High Memory Usage": "print(manager.event_batch_window_ms, manager.max_clients_per_session)",
            "High Latency": "print(manager.event_batch_size, manager.poll_interval_ms, metrics)",
        }[heading]
        code = IMPORTED + f'session_id = "{SESSION}"\n' + snippet(heading, "python") + after
        with python(tmp_path, code) as client:
            client.until(answer + (" {}" if heading == "High Latency" else ""))


def test_memory_is_watched_as_the_document_does(capsys: Any) -> None:
    import tracemalloc

    run_here(snippet("4. Monitor Memory Usage", "python"))
    tracemalloc.stop()
    assert capsys.readouterr().out.startswith("Memory: ")


def test_no_python_of_the_document_is_left_out() -> None:
    run = {
        "Python Client",
        "Cost Monitoring and Alerts",
        "Graceful Reconnection",
        "Bottleneck Detection",
        "3. Process Batches Efficiently",
        "Server Configuration",
        "Get WebSocket Metrics",
        "High Memory Usage",
        "High Latency",
        "4. Monitor Memory Usage",
        *FILTERS,
    }
    not_python = {"Messages Not Being Received"}  # it is shell: see the tests of that
    cannot_run = {"Bottleneck Prediction"}  # `async for` outside a function, over a coroutine
    there = {one.heading for one in snippets() if one.language == "python"}
    assert there == run | not_python | cannot_run


def indented(code: str) -> str:
    return "".join(f"    {line}" for line in code.splitlines(keepends=True))
