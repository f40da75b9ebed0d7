"""User functions that see each event before it is stored, from the outside: what is posted and what arrives."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import msgspec
import pytest
from tests.support.clients import events_of, ids_of, open_ws, take
from tests.support.fixtures import MakeServer
from tests.support.server import ThreadServer, flat, flats

from runcast.kinds.base import Publish
from runcast.live import processors


@pytest.fixture(scope="module")
def protocol() -> str:
    return "fast"


@pytest.fixture
def server(make_server: MakeServer) -> ThreadServer:
    return make_server()


def enrich(publish: Publish) -> Publish:
    publish.data["team"] = "blue"
    return publish


def drop_noise(publish: Publish) -> Publish | None:
    return None if publish.type == "noise" else publish


def fail(publish: Publish) -> Publish:
    publish.data["half"] = "done"
    raise RuntimeError(f"cannot do {publish.type}")


def test_an_event_can_be_enriched(server: ThreadServer, session: str) -> None:
    server.bus.processors.add(enrich)
    with open_ws(server.session(session)) as ws:
        server.post(session, *flats(range(3)))
        assert [event["team"] for event in events_of(take(ws, 3))] == ["blue"] * 3


def test_an_event_can_be_replaced(server: ThreadServer, session: str) -> None:
    server.bus.processors.add(lambda publish: msgspec.structs.replace(publish, type="renamed"))
    server.post(session, flat(0))
    assert server.get(f"/api/sessions/{session}/events")["events"][0]["event_type"] == "renamed"


def test_an_event_can_be_dropped(server: ThreadServer, session: str) -> None:
    server.bus.processors.add(drop_noise)
    with open_ws(server.session(session)) as ws:
        receipt = server.post(session, flat(0), flat(1, event_type="noise"), flat(2))
        assert (receipt["count"], receipt["last_seq"]) == (2, 2)
        assert ids_of(take(ws, 2)) == ["e0", "e2"]
    nothing = server.post(session, flat(3, event_type="noise"))
    assert (nothing["count"], nothing["stream"]) == (0, f"session:{session}")
    assert "runcast_processor_drops_total 2.0" in server.http.get("/metrics").text


def test_one_that_raises_is_counted_and_logged_and_the_event_passes_unchanged(
    server: ThreadServer, session: str
) -> None:
    server.bus.processors.add(fail)
    server.bus.processors.add(enrich)
    server.post(session, flat(0))
    (event,) = server.get(f"/api/sessions/{session}/events")["events"]
    assert event["team"] == "blue"
    assert "half" not in event
    assert 'runcast_processor_failures_total{processor="fail"} 1.0' in server.http.get("/metrics").text
    (told,) = server.errors.forgive()
    assert "fail" in told


def test_what_is_no_event_counts_as_a_failure(server: ThreadServer, session: str) -> None:
    server.bus.processors.add(lambda publish: "nonsense")  # pyright: ignore[reportArgumentType]
    server.post(session, flat(0))
    assert server.bus.processors.failures.total() == 1
    server.errors.forgive()


def test_a_processor_cannot_smuggle_in_what_the_rules_forbid(server: ThreadServer, session: str) -> None:
    def spoil(publish: Publish) -> Publish:
        publish.data["cost_tokens"] = "40"
        return publish

    server.bus.processors.add(spoil)
    answer = server.http.post(f"/api/sessions/{session}/events", json=flat(0))
    assert (answer.status_code, answer.json()["field"]) == (400, "cost_tokens")


def test_processors_of_installed_packages_are_found(
    monkeypatch: pytest.MonkeyPatch, make_server: MakeServer, session: str
) -> None:
    point = EntryPoint("enrich", f"{__name__}:enrich", processors.ENTRY_POINT_GROUP)
    monkeypatch.setattr(point.__class__, "load", lambda _: enrich)
    monkeypatch.setattr(processors, "entry_points", lambda group: [point] if group == point.group else [])
    server = make_server()
    server.post(session, flat(0))
    assert server.get(f"/api/sessions/{session}/events")["events"][0]["team"] == "blue"
