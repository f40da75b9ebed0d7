"""The page of tasks: start, watch, come late, reload; attempts, silence and failure as what they are."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.support.process import ServeProcess
from tests.support.server import Server
from tests.web.conftest import PHONE, OpenPage, stamp
from tests.web.paced_work import HOSTILE
from tests.web.page_servers import TaskPages
from tests.web.test_access import axe, check

from runcast.kinds.known import KINDS

__all__ = ["axe"]

pytestmark = pytest.mark.needs("chromium")

BADGE = "#run .headline .badge"
STEP = "#run .timeline-step"
TEXT = "FINAL NOTICE: pay with gift cards at http://parcel.example-delivery.top/pay or call +1 202 555 0143"


@pytest.fixture(scope="module")
def server() -> Iterator[TaskPages]:
    with TaskPages() as server:
        yield server


def tell(server: Server, task_id: str, *events: dict[str, Any]) -> None:
    answer = server.http.post(f"/api/v1/streams/task:{task_id}/events", json=list(events))
    assert answer.status_code == 200, answer.text


def said(step: str, message: str, percent: int = 0, *, ago_s: float = 0, **more: Any) -> dict[str, Any]:
    at = {"time": stamp(time.time() - ago_s)} if ago_s else {}
    return {"type": step, "data": {"message": message, "percent": percent, **more}, **at}


def steps_of(page: Page) -> list[str]:
    return page.locator(f"{STEP} .step-name").all_inner_texts()


def test_from_the_text_to_the_verdict(server: TaskPages, open_page: OpenPage) -> None:
    page = open_page(server.url("/tasks"))
    expect(page.get_by_role("link", name="Tasks", exact=True)).to_have_attribute("aria-current", "page")
    page.get_by_role("button", name="A parcel").click()
    expect(page.get_by_label("Text", exact=True)).to_have_value(re.compile("parcel"))
    page.get_by_label("Text", exact=True).fill(f"{TEXT} {HOSTILE}")
    page.get_by_label("Text", exact=True).press("Control+Enter")
    page.wait_for_url(re.compile("/tasks/[0-9a-f-]{36}"))
    expect(page.locator(BADGE)).to_have_text("Completed")
    verdict = page.locator(".result-part")
    expect(verdict.locator(".verdict")).to_contain_text("Risk")
    expect(verdict).to_contain_text("+12025550143")
    expect(verdict.locator(".findings")).to_contain_text("asks for a payment that cannot be taken back")
    assert "Entity extraction" in steps_of(page)
    expect(page.locator(".input-part")).to_contain_text(HOSTILE)
    expect(page.locator(f"[data-run='{page.url.rpartition('/')[2]}']")).to_contain_text("Completed")
    told = page.locator("#run").inner_text()
    page.reload()
    expect(page.locator(BADGE)).to_have_text("Completed")
    assert page.locator("#run").inner_text() == told
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_label("Text", exact=True)).to_have_value(f"{TEXT} {HOSTILE}")
    assert page.evaluate("window.broken") is None


def test_what_is_wrong_is_said_at_the_text(server: TaskPages, open_page: OpenPage) -> None:
    page = open_page(server.url("/tasks"), forgive="400 (Bad Request)")
    page.get_by_role("button", name="Analyse").click()
    expect(page.locator("#problem-text")).to_contain_text("Paste the text")
    expect(page.get_by_label("Text", exact=True)).to_be_focused()
    page.get_by_label("Text", exact=True).fill("x" * 50_001)
    expect(page.locator(".counter")).to_have_text("50,001 of 50,000")
    page.get_by_role("button", name="Analyse").click()
    expect(page.locator("#problem-text")).to_contain_text("50,000")


def test_a_task_of_another_program_step_by_step(server: TaskPages, open_page: OpenPage) -> None:
    page = open_page(server.url("/tasks/theirs"))
    expect(page.locator("#run")).to_contain_text("There is no task of this name yet")
    tell(server, "theirs", said("fetch", f"Fetching {HOSTILE}", 10, tool="s3"))
    expect(page.locator(f"{STEP}[data-step=fetch]")).to_contain_text(HOSTILE)
    expect(page.locator(".step-tool")).to_have_text("s3")
    tell(server, "theirs", said("fetch", "Fetched", 40, tool="s3", rows=12), said("load", "Loading", 45))
    expect(page.get_by_role("progressbar", name="Progress")).to_have_attribute("aria-valuenow", "45")
    expect(page.locator(f"{STEP}[data-step=fetch]")).to_contain_text("rows 12")
    expect(page.locator("[data-run=theirs]")).to_contain_text("45 %")
    tell(server, "theirs", said("completed", "All there", 100, result={"rows": 12, "note": "**bold**"}))
    expect(page.locator(BADGE)).to_have_text("Completed")
    expect(page.locator(".result-fields")).to_contain_text("**bold**")
    assert steps_of(page) == ["Fetch", "Load", "Completed"]
    assert page.evaluate("window.broken") is None


def test_a_name_that_is_used_again_begins_anew(server: TaskPages, open_page: OpenPage) -> None:
    tell(server, "again", said("started", "First"), said("completed", "Done", 100))
    page = open_page(server.url("/tasks/again"))
    expect(page.locator(BADGE)).to_have_text("Completed")
    tell(server, "again", said("started", "Second"))
    expect(page.locator(BADGE)).to_have_text("Running")
    expect(page.locator(STEP)).to_have_count(1)
    expect(page.locator(STEP)).to_contain_text("Second")


def test_attempts_and_failure(server: TaskPages, open_page: OpenPage) -> None:
    due_us = int((time.time() + 3_600) * 1e6)
    tell(
        server,
        "tried",
        said("queued", "Queued", params={"source": "s3"}, max_attempts=2),
        said("started", "Started", attempt=1, worker="one"),
        said("copy", "Copying", 30, attempt=1),
        said("retrying", "Attempt 1 failed: busy.", 30, attempt=1, due_at=due_us),
    )
    page = open_page(server.url("/tasks/tried"))
    expect(page.locator(BADGE)).to_have_text("Retrying")
    expect(page.locator(".notice")).to_contain_text("Attempt 1 failed: busy.")
    expect(page.locator(".progress-message")).to_contain_text("Next attempt in")
    tell(server, "tried", said("started", "Started", attempt=2, worker="two"))
    expect(page.locator(".notice")).to_be_hidden()
    tell(server, "tried", said("failed", "Failed: the disk is full.", 30, attempt=2, error=True))
    expect(page.locator(BADGE)).to_have_text("Failed")
    expect(page.locator(".result-part .problem")).to_contain_text("the disk is full")
    assert page.locator(".attempt-head:visible").all_inner_texts() == [
        "Attempt 1 of 2\none",
        "Attempt 2 of 2\ntwo",
    ]
    expect(page.locator(".input-part")).to_contain_text("s3")


def test_a_task_is_cancelled(server: TaskPages, open_page: OpenPage) -> None:
    """By a button, after a question; one of another program's has none."""
    tell(server, "celerys", said("started", "Started", executor="celery", task_type="own.analyse"))
    tell(server, "others", said("render", "Rendering", 30))
    page = open_page(server.url("/tasks/others"))
    expect(page.locator(BADGE)).to_have_text("Running")
    expect(page.locator("#run .acts button")).to_have_count(0)
    page.locator("[data-run=celerys]").click()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_label("Reason (optional)").fill("wrong text")
    page.get_by_role("button", name="Cancel the task").click()
    expect(page.locator("#run .acts")).to_have_text("Being cancelled…")
    tell(
        server,
        "celerys",
        said("failed", "Cancelled by local: wrong text", error=True, status="cancelled"),
    )
    expect(page.locator(BADGE)).to_have_text("Cancelled")
    expect(page.locator("[data-run=celerys]")).to_contain_text("Cancelled")
    page.reload()
    expect(page.locator(BADGE)).to_have_text("Cancelled")
    expect(page.locator(STEP)).to_have_count(3)


def test_silence_is_not_called_a_failure(server: TaskPages, open_page: OpenPage) -> None:
    tell(server, "quiet", said("render", "Rendering", 55, ago_s=90))
    tell(server, "waits", said("queued", "Queued", executor="celery", ago_s=90))
    page = open_page(server.url("/tasks/quiet"))
    expect(page.locator(BADGE)).to_have_text("No word")
    expect(page.locator(".notice")).to_contain_text("The task may still live")
    expect(page.locator("[data-run=quiet]")).to_contain_text("No word")
    tell(server, "quiet", said("render", "Rendered", 90))
    expect(page.locator(BADGE)).to_have_text("Running")
    expect(page.locator(".notice")).to_be_hidden()
    page.locator("[data-run=waits]").click()
    expect(page.locator(".notice")).to_contain_text("is a worker running?")


@pytest.mark.skipif("task" not in {kind.name for kind in KINDS}, reason="`runcast serve` has no tasks yet")
def test_a_server_that_was_killed(open_page: OpenPage, tmp_path: Path) -> None:
    """The page comes back by itself and shows each message once."""
    with ServeProcess(tmp_path / "log.db") as server:
        tell(server, "t", said("a", "one", 10))
        page = open_page(server.url("/tasks/t"), forgive="ERR_CONNECTION_REFUSED")
        expect(page.locator(STEP)).to_contain_text("one")
        server.kill()
        expect(page.locator("#status")).to_contain_text("Reconnecting")
        server.start()
        tell(server, "t", said("a", "two", 20))
        expect(page.locator(STEP)).to_contain_text("two")
        expect(page.locator(f"{STEP} .step-messages li")).to_have_count(2)
        expect(page.locator("#toasts")).to_contain_text("nothing missed")


@pytest.mark.needs("npm")
@pytest.mark.parametrize(("scheme", "viewport"), [("dark", None), ("light", PHONE)])
def test_accessible(
    server: TaskPages, open_page: OpenPage, axe: str, scheme: str, viewport: dict[str, int] | None
) -> None:
    options = {"color_scheme": scheme, **({"viewport": viewport} if viewport else {})}
    tell(
        server,
        f"axe-{scheme}",
        said("a", "one", 10, tool="t", ago_s=90),
        said("b", "two", 20, error=True, ago_s=80),
    )
    page = open_page(server.url(f"/tasks/axe-{scheme}"), **options)
    expect(page.locator(".notice")).to_be_visible()
    check(page, axe)
    begun = server.http.post("/api/v1/tasks", json={"type": "scam_analysis", "text": TEXT}).json()
    page.goto(server.url(f"/tasks/{begun['task_id']}"))
    expect(page.locator(".verdict")).to_be_visible()
    check(page, axe)
    page.goto(server.url("/tasks?new"))
    expect(page.get_by_label("Text", exact=True)).to_be_focused()
    check(page, axe)


def test_a_phone_shows_one_thing_at_a_time(server: TaskPages, open_page: OpenPage) -> None:
    tell(server, "pocket", said("a_step", "x" * 200, 10))
    page = open_page(server.url("/tasks"), viewport=PHONE)
    expect(page.locator("#form")).to_be_hidden()
    page.locator("[data-run=pocket]").click()
    expect(page.locator(STEP)).to_be_visible()
    expect(page.locator("#runs")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_role("button", name="Back to the list").click()
    page.get_by_role("link", name="New task").click()
    expect(page.get_by_label("Text", exact=True)).to_be_focused()
