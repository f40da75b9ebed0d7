"""Whether the server is well, in numbers and words."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.clients import RawClient, open_ws, take
from tests.support.fixtures import MakeServer
from tests.support.server import ThreadServer, flat, flats, wait_until


@pytest.fixture(scope="module")
def protocol() -> str:
    return "fast"


def metrics(server: ThreadServer) -> dict[str, float]:
    answer = server.http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {sample.name: sample.value for family in families for sample in family.samples}


def test_a_healthy_server_says_so(server: ThreadServer) -> None:
    assert server.get("/health") == {"status": "ok"}


def test_its_status_names_the_log_and_counts_clients(make_server: MakeServer, tmp_path: Path) -> None:
    server = make_server(tmp_path / "status.db")
    before = server.get("/api/status")
    known = {"status", "version", "uptime_seconds", "log", "log_epoch", "position", "connected_clients"}
    assert set(before) == known
    assert (before["log"], before["position"]) == (f"sqlite:///{tmp_path / 'status.db'}", 0)
    with open_ws(server.session("a")) as ws:
        server.post("a", flat(0))
        take(ws, 1)
        after = server.get("/api/status")
    assert (after["position"] > 0, after["connected_clients"]) == (True, 1)
    assert after["uptime_seconds"] >= before["uptime_seconds"]


def test_prometheus_reads_what_was_stored_and_delivered(make_server: MakeServer) -> None:
    server = make_server()
    with open_ws(server.session("a")) as first, open_ws(server.session("a")) as second:
        server.post("a", *flats(range(10)), flat(0))
        take(first, 10)
        take(second, 10)
        numbers = metrics(server)
    assert numbers["runcast_log_events_appended_total"] == 10
    assert numbers["runcast_log_events_duplicate_total"] == 1
    assert numbers["runcast_log_events_foreign_total"] == 0
    assert numbers["runcast_log_commits_total"] >= 1
    assert numbers["runcast_events_delivered_total"] == 20
    assert numbers["runcast_bytes_delivered_total"] > 0
    assert (numbers["runcast_connections"], numbers["runcast_topics"]) == (2, 1)
    assert (numbers["runcast_log_queue_events"], numbers["runcast_log_queue_bytes"]) == (0, 0)
    assert numbers["runcast_connections_blocked"] == numbers["runcast_readers_catching_up"] == 0


def test_a_blocked_client_is_seen_in_the_numbers(make_server: MakeServer) -> None:
    server = make_server(send_buffer=4_096)
    with RawClient(server.session("a"), receive_buffer=4_096):
        server.post("a", *flats(range(60), noise="x" * 16_000))
        wait_until(lambda: metrics(server)["runcast_connections_blocked"] == 1)


def test_a_log_that_was_closed_makes_the_server_unwell(make_server: MakeServer) -> None:
    server = make_server()
    server.bus.log.close()
    answer = server.http.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "failing")
    assert server.http.get("/api/status").status_code == 503


def test_a_log_that_was_damaged_makes_the_server_unwell(make_server: MakeServer, tmp_path: Path) -> None:
    path = tmp_path / "damaged.db"
    server = make_server(path)
    server.post("a", *flats(range(200)))
    for part in (path, path.with_name("damaged.db-wal")):
        size = part.stat().st_size
        with part.open("r+b") as file:
            file.write(b"\xa5" * size)
    answer = server.http.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "failing")
    assert str(path) in answer.json()["detail"]
    read = server.http.get("/api/sessions/a/events")
    assert (read.status_code, read.json()["code"]) == (500, "log_corrupt")
    server.errors.forgive()


def test_the_api_is_described_without_a_page_from_elsewhere(server: ThreadServer) -> None:
    described = server.get("/openapi.json")
    assert "/api/v1/streams/{stream}/events" in described["paths"]
    assert "/api/sessions/{session_id}/events" in described["paths"]
