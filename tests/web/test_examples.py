"""The pages among the examples, in a browser, served by the server as their first lines say."""

import pytest
from playwright.sync_api import expect
from tests.support.server import ThreadServer
from tests.web.conftest import OpenPage

pytestmark = pytest.mark.needs("chromium")

EVENTS = [
    {"event_type": "tool_call", "tool_name": "Edit", "cost_tokens": 1_234, "input_summary": "<b>a.py</b>"},
    {"event_type": "tool_result", "tool_name": "Edit", "execution_duration_seconds": 0.25},
    {"event_type": "tool_result", "tool_name": "Bash", "execution_duration_seconds": 3},
    {"event_type": "error", "tool_name": "Bash", "status": "error", "output_summary": "no such file"},
]


def post(server: ThreadServer, session: str) -> None:
    answer = server.http.post(f"/api/sessions/{session}/events", json=EVENTS)
    assert answer.status_code == 200, answer.text


def test_the_activity_feed_shows_what_happens(
    server: ThreadServer, open_page: OpenPage, session: str
) -> None:
    page = open_page(server.url("/examples/websocket/activity-feed.html", session=session))
    expect(page.get_by_role("status")).to_have_text("live, 0 events")
    post(server, session)
    rows = page.get_by_role("listitem")
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text("no such file")  # the newest on top
    expect(rows.last).to_contain_text("<b>a.py</b>")  # as text
    expect(rows.last).to_contain_text("1,234 tokens")


def test_the_time_of_an_activity_is_on_one_line(
    server: ThreadServer, open_page: OpenPage, session: str
) -> None:
    post(server, session)
    page = open_page(server.url("/examples/websocket/activity-feed.html", session=session, after="start"))
    time = page.locator("time").first
    expect(time).to_be_visible()
    time.evaluate("time => { time.textContent = '10:44:44 PM'; }")
    assert time.evaluate(
        "time => time.scrollWidth <= time.clientWidth && time.clientHeight < 2 * parseFloat(getComputedStyle(time).lineHeight)"
    )


def test_the_dashboard_adds_up(server: ThreadServer, open_page: OpenPage, session: str) -> None:
    post(server, session)
    page = open_page(server.url("/examples/websocket/performance-dashboard.html", session=session))
    expect(page.locator("#events")).to_have_text("4")
    expect(page.locator("#errors")).to_have_text("1")
    expect(page.locator("#tokens")).to_have_text("1,234")
    expect(page.locator("#tools tr").first).to_have_text("Bash13.0 s3.0 s3.0 s")
    post(server, session)
    expect(page.locator("#events")).to_have_text("8")


def test_what_is_no_example_is_not_found(server: ThreadServer) -> None:
    for path in ("/examples/", "/examples/websocket", "/examples/..%2fREADME.md", "/examples/x.html"):
        assert server.http.get(path).status_code == 404
    assert (
        server.http.get("/examples/websocket/cost-monitor.py")
        .headers["content-type"]
        .startswith("text/plain")
    )
