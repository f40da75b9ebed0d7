"""The JavaScript of the workflow document, run as it stands by node against a live server."""

from __future__ import annotations

from pathlib import Path

from tests.documents.snippets import at, javascript
from tests.documents.workflows import WORKFLOW, blocks, code
from tests.support.server import wait_until
from tests.support.workflow_sockets import FRAMES, SocketServer

SAID = 'const send = ws.send.bind(ws); ws.send = (text) => { console.log("said", text); send(text); };\n'


def test_the_browser_client_shows_agents_and_the_result_and_answers_pings(tmp_path: Path) -> None:
    with SocketServer(tmp_path / "log.db", ping_interval_s=0.02) as server:
        server.publish(WORKFLOW, *FRAMES[:5])
        with javascript(tmp_path, at(server, code("JavaScript - Browser", "javascript")) + SAID) as client:
            client.until("Agent: research_001", "said pong")
            server.publish(WORKFLOW, *FRAMES[5:])
            client.until("Result: It is.")
            assert client.process.wait(20) == 0
        wait_until(lambda: server.bus.live_statistics().connections == 0)


def test_a_key_in_the_query_is_harmless_on_an_open_server(tmp_path: Path) -> None:
    log = 'ws.onmessage = (event) => console.log(JSON.parse(event.data).type);\nws.onclose = (event) => console.log("closed", event.code);'
    with SocketServer(tmp_path / "log.db") as server:
        server.publish(WORKFLOW, *FRAMES)
        text = at(server, code("5. Query Parameter Authentication", "javascript"))
        with javascript(tmp_path, text + log) as client:
            client.until("connected", "agent_spawned", "workflow_complete", "closed 1000")


def test_no_javascript_of_the_document_is_left_out() -> None:
    assert {one.heading for one in blocks("javascript")} == {
        "JavaScript - Browser",
        "5. Query Parameter Authentication",
    }
