"""The API page: every route of the server, and a form that really asks it, with nothing from elsewhere."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.support.server import ThreadServer, flat
from tests.web.conftest import OpenPage

pytestmark = pytest.mark.needs("chromium")


def operation(method: str, path: str) -> str:
    """The id of a route's element."""
    return f"{method.lower()}{re.sub('[^A-Za-z0-9]+', '-', path).rstrip('-')}"


def opened(page: Page, method: str, path: str) -> Locator:
    node = page.locator(f"#{operation(method, path)}")
    node.locator("summary").click()
    return node


def test_every_route_of_the_document_is_shown(server: ThreadServer, open_page: OpenPage) -> None:
    page = open_page(server.url("/docs"))
    document = server.get("/openapi.json")
    routes = [(m, path) for path, methods in document["paths"].items() for m in methods]
    sockets = document["x-websockets"]
    expect(page.locator("details.op")).to_have_count(len(routes) + len(sockets))
    expect(page.locator("#lead")).to_contain_text(f"{len(routes) + len(sockets)} routes")
    for method, path in routes:
        assert page.locator(f"#{operation(method, path)}").count() == 1


def test_a_route_says_what_it_takes_and_how_it_answers(server: ThreadServer, open_page: OpenPage) -> None:
    page = open_page(server.url("/docs"))
    node = opened(page, "GET", "/api/sessions/{session_id}/events")
    expect(node.get_by_role("region", name="Parameters")).to_contain_text("session_id")
    expect(node.get_by_role("region", name="Parameters")).to_contain_text("1 to 256")
    expect(node.get_by_role("region", name="Answers")).to_contain_text("404")
    expect(node).to_contain_text("whoever may read the stream")


def test_a_request_is_sent_and_its_answer_shown(
    server: ThreadServer, open_page: OpenPage, session: str
) -> None:
    server.post(session, flat(0, input_summary="<img src=x onerror=alert(1)>"))
    page = open_page(server.url("/docs"))
    node = opened(page, "GET", "/api/sessions/{session_id}/events")
    node.get_by_role("button", name="Send").click()
    expect(node.locator(".answer")).to_have_text("Please fill in session_id.")
    node.get_by_label("session_id", exact=True).fill(session)
    expect(node.locator(".curl")).to_contain_text(f"/api/sessions/{session}/events")
    node.get_by_role("button", name="Send").click()
    expect(node.locator(".answer-line")).to_contain_text("200")
    expect(node.locator(".answer pre")).to_contain_text("<img src=x onerror=alert(1)>")  # as text


def test_a_body_begins_with_what_is_required(server: ThreadServer, open_page: OpenPage, session: str) -> None:
    page = open_page(server.url("/docs"))
    node = opened(page, "POST", "/api/sessions/{session_id}/events")
    node.get_by_label("session_id", exact=True).fill(session)
    expect(node.get_by_role("textbox", name="Body")).to_have_value(re.compile("event_type"))
    node.get_by_role("button", name="Send").click()
    expect(node.locator(".answer-line")).to_contain_text("200")
    (event,) = server.get(f"/api/sessions/{session}/events")["events"]
    assert event["event_type"] == "…"


@pytest.mark.parametrize("text", ["{", '{"event_type": 1}'])
def test_a_refusal_is_shown_with_its_reason(
    server: ThreadServer, open_page: OpenPage, session: str, text: str
) -> None:
    page = open_page(server.url("/docs"), forgive="400")
    node = opened(page, "POST", "/api/sessions/{session_id}/events")
    node.get_by_label("session_id", exact=True).fill(session)
    node.get_by_role("textbox", name="Body").fill(text)
    node.get_by_role("button", name="Send").click()
    expect(node.locator(".answer-line")).to_contain_text("400")
    expect(node.locator(".answer pre")).to_contain_text('"detail"')


def test_a_stream_is_shown_as_it_comes_until_it_is_stopped(
    server: ThreadServer, open_page: OpenPage, session: str
) -> None:
    server.post(session, flat(0))
    page = open_page(server.url("/docs"))
    node = opened(page, "GET", "/api/v1/streams/{stream}/sse")
    node.get_by_label("stream", exact=True).fill(f"session:{session}")
    node.get_by_label("after", exact=True).fill("start")
    node.get_by_role("button", name="Send").click()
    expect(node.locator(".answer pre")).to_contain_text("tool_call")
    server.post(session, flat(1, event_type="another"))
    expect(node.locator(".answer pre")).to_contain_text("another")
    node.get_by_role("button", name="Stop").click()
    expect(node.locator(".answer")).to_contain_text("Stopped.")
    expect(node.get_by_role("button", name="Send")).to_be_enabled()


def test_a_search_leaves_what_fits(server: ThreadServer, open_page: OpenPage) -> None:
    page = open_page(server.url("/docs"))
    expect(page.locator("details.op").first).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("sessions bottle")
    expect(page.locator("details.op:visible")).to_have_count(1)
    expect(page.locator("#contents a[href^='#get']")).to_have_count(1)
    page.get_by_label("Search routes").fill("no such thing")
    expect(page.locator("#contents")).to_have_text("Nothing fits.")


def test_an_address_opens_its_route(server: ThreadServer, open_page: OpenPage) -> None:
    page = open_page(server.url("/docs") + "#get-health")
    expect(page.locator("#get-health")).to_have_attribute("open", "")
    expect(page.locator("#get-health").get_by_role("button", name="Send")).to_be_visible()


def test_it_fits_a_phone(server: ThreadServer, open_page: OpenPage) -> None:
    page = open_page(server.url("/docs"), viewport={"width": 390, "height": 800})
    opened(page, "GET", "/api/sessions/{session_id}/events")
    assert page.evaluate("document.querySelector('.docs').scrollWidth <= innerWidth")
