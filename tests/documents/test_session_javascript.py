"""The JavaScript of the session document, run as it stands by node against a live server."""

from __future__ import annotations

from pathlib import Path

from tests.documents.snippets import Running, at, javascript, snippet, snippets
from tests.support.server import ThreadServer, flat, wait_until

SESSION = "session-123"


def connected(server: ThreadServer, count: int = 1) -> None:
    wait_until(lambda: server.bus.live_statistics().connections == count)


def test_the_quick_start_client_logs_what_comes(server: ThreadServer, tmp_path: Path) -> None:
    names = f'const host = "localhost", port = {server.port}, sessionId = "{SESSION}";\n'
    with javascript(tmp_path, names + snippet("Connect to WebSocket", "javascript")) as client:
        client.until("Connected to event stream")
        connected(server)
        server.post(SESSION, flat(0))
        client.until("Received event batch: {")
        server.drain(0)
        client.until("Disconnected from event stream")
    assert "  type: 'batch'," in client.lines


def test_the_filter_of_the_example_holds(server: ThreadServer, tmp_path: Path) -> None:
    log = 'ws.addEventListener("message", (e) => JSON.parse(e.data).events.forEach((x) => console.log(x.event_id)));'
    with javascript(tmp_path, at(server, snippet("Example with Filter", "javascript")) + log) as client:
        connected(server)
        usual = {"status": "completed", "cost_tokens": 100}
        server.post(
            SESSION,
            flat(0, **usual),
            flat(1, **{**usual, "cost_tokens": 99}),
            flat(2, **{**usual, "event_type": "start"}),
            flat(3, **{**usual, "status": "running"}),
            flat(4, **{**usual, "event_type": "error", "status": "error"}),
        )
        client.until("e0", "e4")
    assert client.lines == ["e0", "e4"]


def feed(server: ThreadServer, folder: Path) -> Running:
    """The activity feed and what else the document does with its socket, together in one program."""
    names = """
        const updateActivityFeed = (evt) => console.log("feed", evt.event_id);
        const addToActivityFeed = (evt) => console.log("added", evt.event_id);
        const reconnect = () => console.log("reconnecting");
        const realSetInterval = setInterval;
        globalThis.setInterval = (act) => realSetInterval(act, 20);
    """
    parts = [
        snippet("Real-Time Activity Feed", "javascript"),
        snippet("Activity Feed Updates", "javascript"),
        snippet("Client Configuration", "javascript"),
        snippet("Connection Errors", "javascript"),
        snippet("Disconnect Handling", "javascript"),
        snippet("5. Implement Heartbeat/Keepalive", "javascript"),
    ]
    log = 'ws.addEventListener("message", (e) => console.log(JSON.parse(e.data).type));'
    return javascript(folder, names + at(server, "\n".join(parts)) + log)


def test_the_activity_feed_shows_events_while_its_heartbeat_is_answered(
    server: ThreadServer, tmp_path: Path
) -> None:
    with feed(server, tmp_path) as client:
        client.until("pong", "pong")
        server.post(SESSION, flat(0), flat(1))
        client.until("feed e0", "feed e1", "added e0", "added e1", "batch", "pong")
        server.drain(0)
        client.until("Connection closed normally")


def test_a_lost_connection_is_told_from_one_that_was_closed(server: ThreadServer, tmp_path: Path) -> None:
    with feed(server, tmp_path) as client:
        client.until("pong")
        for connection in server.websockets():
            server.call(connection.transport.abort)
        client.until("Connection lost, reconnecting...", "reconnecting")


def test_the_document_s_reconnection_reconnects(server: ThreadServer, tmp_path: Path) -> None:
    names = f'let ws; const wsUrl = "ws://localhost:{server.port}/ws/events/{SESSION}";\n'
    after = '\nreconnect(); const look = setInterval(() => ws?.readyState === 1 && (console.log("open"), clearInterval(look)), 20);'
    with javascript(tmp_path, names + snippet("2. Handle Reconnections", "javascript") + after) as client:
        client.until("open")
        connected(server)


def test_no_javascript_of_the_document_is_left_out() -> None:
    assert {one.heading for one in snippets() if one.language == "javascript"} == {
        "Connect to WebSocket",
        "Example with Filter",
        "Real-Time Activity Feed",
        "Client Configuration",
        "Connection Errors",
        "Disconnect Handling",
        "2. Handle Reconnections",
        "5. Implement Heartbeat/Keepalive",
        "Activity Feed Updates",
    }
