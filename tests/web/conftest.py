"""A real browser on a real server, and what every test of the page expects: no error, nothing refused by the CSP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from tests.support.fixtures import session
from tests.support.server import ThreadServer

__all__ = ["session"]

CHROMIUM = "/usr/bin/chromium"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 800}

WATCH_POLICY = """
window.refused = [];
addEventListener("securitypolicyviolation", (e) => window.refused.push(`${e.violatedDirective}: ${e.blockedURI}`));
"""

OpenPage = Callable[..., Page]


@pytest.fixture(
    scope="module"
)  # while it is there, a loop runs in this thread: other modules' tests may need their own
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadServer]:
    with ThreadServer(tmp_path_factory.mktemp("log") / "log.db") as server:
        yield server


class Watched:
    """What a page complained about."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens an address in a browser of its own; at the end, no page may have complained.

    `forgive`: part of a complaint that is expected, such as that of a server which is not there.
    """
    with ExitStack() as stack:
        watched: list[tuple[Page, Watched, str]] = []

        def open_(url: str, *, forgive: str = "", **options: Any) -> Page:
            context = browser.new_context(**{"viewport": DESKTOP, "reduced_motion": "reduce", **options})
            stack.callback(context.close)
            context.add_init_script(WATCH_POLICY)
            page = context.new_page()
            page.set_default_timeout(15_000)
            watched.append((page, Watched(page), forgive))
            page.goto(url)
            return page

        yield open_
        for page, watch, forgive in watched:
            assert not page.evaluate("window.refused ?? []")
            assert [one for one in watch.complaints if not forgive or forgive not in one] == []


@pytest.fixture(scope="module")
def long_session(server: ThreadServer) -> str:
    """A session of 5,000 events, each of them one row, a second apart."""
    return publish_many(server, "long", 5_000)


def publish_many(server: ThreadServer, session: str, count: int, start: float = 1_767_225_600) -> str:
    """Events `e0`, `e1`, …: now and then a prompt, an error, and else calls that tell all in one event."""
    for first in range(0, count, 1_000):
        lines = (json.dumps(_numbered(number, start)) for number in range(first, min(count, first + 1_000)))
        response = server.http.post(
            f"/api/sessions/{session}/events",
            content="\n".join(lines).encode(),
            headers={"Content-Type": "application/x-ndjson"},
        )
        assert response.status_code == 200, response.text
    return session


def _numbered(number: int, start: float) -> dict[str, Any]:
    fields: dict[str, Any] = {"event_id": f"e{number}", "timestamp": stamp(start + number)}
    match number % 50:
        case 0:
            return {**fields, "event_type": "user_prompt", "input_summary": f"Prompt {number}"}
        case 7:
            return {
                **fields,
                "event_type": "message",
                "output_summary": f"Message {number} " + "with words " * 40,
            }
        case 13:
            return {
                **fields,
                "event_type": "error",
                "status": "error",
                "tool_name": "Bash",
                "output_summary": f"Failure {number}",
            }
    return {
        **fields,
        "event_type": "tool_call",
        "tool_name": ("Read", "Edit", "Grep")[number % 3],
        "status": "completed",
        "input_summary": f"step {number}",
        "execution_duration_seconds": 0.5,
        "cost_tokens": number % 100,
    }


def stamp(seconds: float) -> str:
    """RFC 3339 of seconds since 1970."""
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def events_shown(page: Page) -> list[str]:
    """The ids of the events that are in the document, from top to bottom."""
    return page.evaluate(
        """() => [...document.querySelectorAll("#rows > .row[data-key]")]
            .map((row) => [Number(row.getAttribute("aria-posinset")), row.dataset.key.split("\\n")[1]])
            .sort(([a], [b]) => a - b).map(([, id]) => id)"""
    )
