"""The page on a server that asks who one is: a key is exchanged for a cookie, and the page goes on as everywhere."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect
from tests.support.server import ThreadServer, flat
from tests.web.conftest import OpenPage

pytestmark = pytest.mark.needs("chromium")

KEY = "a-key-of-the-tests"


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[ThreadServer]:
    with ThreadServer(tmp_path / "log.db", api_keys=(KEY,)) as server:
        server.http.headers["Authorization"] = f"Bearer {KEY}"
        yield server


def test_signing_in_and_out(locked: ThreadServer, open_page: OpenPage) -> None:
    locked.post("first", flat(1, input_summary="seen by who signed in"))
    page = open_page(locked.url("/"), forgive="401")
    dialog = page.get_by_role("dialog", name="This server asks who you are")
    expect(dialog).to_be_visible()
    dialog.get_by_label("Key or token").fill("not it")
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog.get_by_role("alert")).to_contain_text("API key")
    dialog.get_by_label("Key or token").fill(KEY)
    dialog.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("seen by who signed in")).to_be_visible()
    assert page.evaluate("document.cookie") == ""  # out of the reach of scripts
    locked.post("first", flat(2, input_summary="and live"))
    expect(page.get_by_text("and live")).to_be_visible()
    page.reload()
    expect(page.get_by_text("and live")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(dialog).to_be_visible()


def test_a_link_on_another_site_signs_nobody_in(locked: ThreadServer, open_page: OpenPage) -> None:
    """A page could have put a ticket of its own there, and would see what its visitor does under its name."""
    ticket = locked.http.post("/api/v1/auth/tickets").json()["ticket"]
    link = locked.url("/", ticket=ticket)
    page = open_page("about:blank", forgive="40")
    page.route(
        "http://evil.example/**",
        lambda route: route.fulfill(content_type="text/html", body=f'<a href="{link}">free tokens</a>'),
    )
    page.goto("http://evil.example/")
    page.get_by_role("link", name="free tokens").click()
    expect(page.get_by_role("heading", name="Forbidden")).to_be_visible()
    expect(page.get_by_text("a link on another site cannot sign you in")).to_be_visible()
    assert page.context.cookies() == []
    page.get_by_role("link", name="start page").click()
    expect(page.get_by_role("dialog", name="This server asks who you are")).to_be_visible()
    page.goto(link)  # pasted into the address bar
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    (cookie,) = page.context.cookies()
    assert (cookie.get("name"), cookie.get("httpOnly"), cookie.get("sameSite")) == ("runcast", True, "Strict")
