"""History over HTTP: after, before and at a place, of a session, of all sessions, and in the native form."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.clients import open_sse
from tests.support.fixtures import MakeServer
from tests.support.server import ThreadServer, flat, flats

BASE_S = 1_770_000_000


@pytest.fixture(scope="module")
def protocol() -> str:
    return "fast"


def ids(page: dict[str, Any]) -> list[str]:
    return [event.get("event_id") or event["id"] for event in page["events"]]


def all_back(server: ThreadServer, path: str, **query: Any) -> tuple[list[str], list[dict[str, Any]]]:
    """Every id there is, read backwards from now; and the pages."""
    pages = [server.get(path, before="now", **query)]
    while pages[-1]["before"]:
        pages.append(server.get(path, before=pages[-1]["before"], **query))
    return [event_id for page in reversed(pages) for event_id in ids(page)], pages


def test_a_session_is_paged_backwards(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(25)))
    for path in (f"/api/sessions/{session}/events", f"/api/v1/streams/session:{session}/events"):
        newest = server.get(path, before="now", limit=10)
        assert ids(newest) == [f"e{number}" for number in range(15, 25)]
        assert (newest["count"], newest["head"], newest["complete"]) == (10, 25, True)
        assert newest["before"] == newest["events"][0]["cursor"]
        assert newest["cursor"] == newest["events"][-1]["cursor"]
        everything, pages = all_back(server, path, limit=10)
        assert everything == [f"e{number}" for number in range(25)]
        assert [page["count"] for page in pages] == [10, 10, 5]
        forwards = server.get(path, after=pages[1]["cursor"])
        assert forwards["events"] == newest["events"]


def test_all_sessions_have_one_history(make_server: MakeServer) -> None:
    server = make_server()
    for number in range(30):
        server.post("ab"[number % 2], flat(number))
    server.http.post("/api/v1/streams/custom:x/events", json={"type": "note", "id": "other"})
    sessions = [f"e{number}" for number in range(30)]
    for path, query, wanted in (
        ("/api/events", {}, sessions),
        ("/api/v1/firehose/events", {"kind": "session"}, sessions),
        ("/api/v1/firehose/events", {}, [*sessions, "other"]),
        ("/api/v1/firehose/events", {"kind": "custom"}, ["other"]),
        ("/api/v1/firehose/events", {"kind": "plan"}, []),
    ):
        assert all_back(server, path, limit=7, **query)[0] == wanted
        page = server.get(path, limit=7, **query)
        assert ids(page) == wanted[:7]
        assert page["before"] is None
    page = server.get("/api/events", limit=7)
    assert [event["session_id"] for event in page["events"]] == list("abababa")
    assert set(page) == {"events", "count", "cursor", "before", "head", "complete", "ended", "reset", "gap"}
    more = server.get("/api/events", after=page["cursor"])
    assert (ids(more), more["complete"]) == (sessions[7:], True)


def test_the_history_of_all_sessions_goes_on_over_sse(make_server: MakeServer) -> None:
    server = make_server()
    server.post("a", flat(0))
    cursor = server.get("/api/events", before="now")["cursor"]
    server.post("b", flat(1))
    with open_sse(server.url("/api/v1/firehose/sse", kind="session", after=cursor)) as (_, messages):
        first = next(message for message in messages if "data" in message)
    assert '"id":"e1"' in first["data"]


def test_a_filter_takes_as_many_as_wanted_backwards(server: ThreadServer, session: str) -> None:
    server.post(session, *[flat(n, tool_name="Bash" if n % 50 == 0 else "Edit") for n in range(600)])
    path, only = f"/api/sessions/{session}/events", '{"tool_names":["Bash"]}'
    page = server.get(path, before="now", filter=only, limit=3)
    assert ids(page) == ["e450", "e500", "e550"]
    everything, _ = all_back(server, path, filter=only, limit=5)
    assert everything == [f"e{number}" for number in range(0, 600, 50)]
    forwards = server.get(path, filter=only, limit=100)
    assert (ids(forwards), forwards["complete"]) == (["e0", "e50"], False)


def test_history_from_a_time_on(server: ThreadServer, session: str) -> None:
    server.post(session, *[flat(n, timestamp=f"2026-02-02T02:{n:02}:00Z") for n in range(60)])
    path = f"/api/sessions/{session}/events"
    page = server.get(path, at="2026-02-02T02:30:00Z", limit=5)
    assert ids(page) == ["e30", "e31", "e32", "e33", "e34"]
    assert ids(server.get(path, before=page["before"], limit=2)) == ["e28", "e29"]
    assert ids(server.get(path, at="2026-02-02T03:30:01+01:00", limit=1)) == ["e31"]
    assert ids(server.get(path, at="2026-02-02 02:32:00", limit=1)) == ["e32"]
    early, late = server.get(path, at="2001-01-01", limit=1), server.get(path, at="2999-01-01T00:00:00Z")
    assert (ids(early), early["before"]) == (["e0"], None)
    assert (ids(late), late["complete"], late["before"]) == ([], True, "now")
    server.post(session, flat(60))
    assert ids(server.get(path, after=late["cursor"])) == ["e60"]


def test_the_trimmed_beginning_is_told_backwards_too(server: ThreadServer, session: str) -> None:
    server.post(session, *flats(range(10)))
    server.run(server.bus.trim(f"session:{session}", keep=4))
    _, pages = all_back(server, f"/api/sessions/{session}/events", limit=3)
    assert [page["gap"] for page in pages] == [None, {"first_seq": 1, "last_seq": 6}]


def test_after_a_clear_the_newest_page_is_given_with_a_reset(server: ThreadServer, session: str) -> None:
    receipt = server.post(session, *flats(range(10)))
    server.http.delete(f"/api/v1/streams/session:{session}")
    server.post(session, flat(10))
    page = server.get(f"/api/sessions/{session}/events", before=receipt["cursor"])
    assert page["reset"].startswith("before:")
    assert ids(page) == ["e10"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"after": "start", "before": "now"}, "before"),
        ({"after": "start", "at": "2026-01-01"}, "at"),
        ({"before": "now", "at": "2026-01-01"}, "at"),
        ({"before": "start"}, "before"),
        ({"before": ""}, "before"),
        ({"before": "xyz"}, "before"),
        ({"before": "0000000000000000-1-0000"}, "before"),
        ({"at": "yesterday"}, "at"),
        ({"at": "1969-01-01T00:00:00Z"}, "at"),
        ({"after": "xyz"}, "after"),
        ({"limit": "0"}, "limit"),
        ({"limit": "257"}, "limit"),
    ],
)
@pytest.mark.parametrize("path", ["/api/sessions/{}/events", "/api/events", "/api/v1/firehose/events"])
def test_what_cannot_be_is_named(
    server: ThreadServer, session: str, path: str, query: dict[str, str], field: str
) -> None:
    server.post(session, flat(0))
    answer = server.http.get(path.format(session), params=query)
    assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert answer.json()["detail"].startswith(f"{field}:")


def test_a_session_that_does_not_exist_has_no_history(server: ThreadServer, session: str) -> None:
    for query in ({"before": "now"}, {"at": "2026-01-01"}):
        answer = server.http.get(f"/api/sessions/{session}/events", params=query)
        assert (answer.status_code, answer.json()["code"]) == (404, "stream_not_found")


def test_a_kind_that_cannot_be_is_refused(server: ThreadServer) -> None:
    for path in ("/api/v1/firehose/events", "/api/v1/firehose/sse"):
        assert server.http.get(path, params={"kind": "No Kind"}).json()["field"] == "kind"
