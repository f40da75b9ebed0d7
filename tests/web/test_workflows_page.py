"""The page of workflows, with the real runner: start, watch, answer, cancel, follow up, reload, another server."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.support.server import Server, ThreadServer
from tests.web import paced_work
from tests.web.conftest import PHONE, OpenPage
from tests.web.test_access import axe, check

__all__ = ["axe"]

pytestmark = pytest.mark.needs("chromium")

RESULT = ".result-part"
BADGE = "#run .headline .badge"


def start(server: Server, folder: Path, **more: object) -> str:
    answer = server.http.post(
        "/api/v1/workflows", json={"task": f"Find out\n{folder}", "workflow": "paced", **more}
    )
    assert answer.status_code == 202, answer.text
    return answer.json()["workflow_id"]


def finish(page: Page, folder: Path, comment: str = "") -> None:
    """Let the agent end, and approve what it has found."""
    (folder / "speak").touch()
    (folder / "finish").touch()
    if comment:
        page.get_by_label("Comment on your answer").fill(comment)
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(f"{RESULT} .synthesis")).to_contain_text("It is so")


def test_from_the_form_to_the_result(server: ThreadServer, open_page: OpenPage, tmp_path: Path) -> None:
    assert paced_work.paced
    page = open_page(server.url("/workflows"))
    expect(page.get_by_role("link", name="Workflows", exact=True)).to_have_attribute("aria-current", "page")
    expect(page.locator(".form-note")).to_contain_text("extractive")
    page.get_by_label("Task").fill(f"Find out\n{tmp_path}")
    page.get_by_label("Workflow (optional)").fill("paced")
    page.get_by_role("button", name="Start workflow").click()
    page.wait_for_url("**/workflows/wf_*")
    card = page.locator(".agent")
    expect(card.locator(".growing strong")).to_have_text("words")
    expect(card).not_to_contain_text("then")
    (tmp_path / "speak").touch()
    expect(card.locator(".growing")).to_contain_text(f"then {paced_work.HOSTILE}")
    expect(page.locator(f"[data-run='{page.url.rpartition('/')[2]}']")).to_contain_text("Running")
    (tmp_path / "finish").touch()
    asked = page.locator(".approval")
    expect(asked).to_contain_text("Publish what was found?")
    expect(page.locator(BADGE)).to_have_text("Needs approval")
    asked.get_by_label("Comment on your answer").fill("well done")
    asked.get_by_role("button", name="Approve").click()
    expect(page.locator(BADGE)).to_have_text("Completed")
    expect(page.locator(f"{RESULT} .synthesis strong")).to_have_text("True, well done")
    expect(page.locator(f"{RESULT} .sources")).to_contain_text("notes.md")
    expect(page.locator(".approval")).to_contain_text("Approved")
    told = page.locator("#run").inner_text()
    page.reload()
    expect(page.locator(f"{RESULT} .synthesis strong")).to_have_text("True, well done")
    expect(page.locator(".agent")).to_have_count(2)
    assert page.locator("#run").inner_text() == told
    assert page.locator(f"{RESULT} img, .agent img").count() == 0
    assert page.evaluate("window.broken") is None


def test_cancelled_with_a_reason(server: ThreadServer, open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(server.url(f"/workflows/{start(server, tmp_path)}"))
    expect(page.locator(".agent")).to_contain_text("First")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("no time")
    page.get_by_role("dialog").get_by_role("button", name="Cancel the workflow").click()
    expect(page.locator(BADGE)).to_have_text("Cancelled")
    expect(page.locator(".log")).to_contain_text("no time")
    expect(page.locator(".agent .badge")).to_have_text("Cancelled")
    expect(page.get_by_role("button", name="Run again")).to_be_visible()


def test_following_up(server: ThreadServer, open_page: OpenPage, tmp_path: Path) -> None:
    first = start(server, tmp_path)
    page = open_page(server.url(f"/workflows/{first}"))
    finish(page, tmp_path)
    page.get_by_role("button", name="Follow up").click()
    expect(page.locator(".follow")).to_contain_text("Find out")
    expect(page.get_by_label("Task")).to_be_focused()
    page.get_by_label("Task").fill("And then?")
    page.get_by_label("Steps at most").fill("1")
    page.get_by_label("Task").press("Control+Enter")
    page.wait_for_url(re.compile(rf"/workflows/(?!{first})wf_"))
    expect(page.locator(BADGE)).to_have_text("Completed")
    page.locator("#run .headline").get_by_role("link", name=first).click()
    expect(page.locator(f"{RESULT} .synthesis")).to_contain_text("It is so")
    page.go_back()
    expect(page.locator("#run .run-name")).to_have_text("And then?")


def test_what_is_wrong_is_said_at_its_field(server: ThreadServer, open_page: OpenPage) -> None:
    page = open_page(server.url("/workflows"), forgive="400 (Bad Request)")
    page.get_by_role("button", name="Start workflow").click()
    expect(page.locator("#problem-task")).to_have_text("Say what is to be done.")
    expect(page.get_by_label("Task")).to_be_focused()
    page.get_by_label("Task").fill("x" * 10_001)
    expect(page.locator(".counter")).to_have_text("10,001 of 10,000")
    page.get_by_role("button", name="Start workflow").click()
    expect(page.locator("#problem-task")).to_contain_text("10,000")
    page.get_by_label("Task").fill("fine")
    page.get_by_label("Steps at most").fill("99")
    page.get_by_role("button", name="Start workflow").click()
    expect(page.locator("#problem-max_steps")).to_contain_text("50")
    expect(page.get_by_label("Steps at most")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Steps at most").fill("")
    page.get_by_label("Workflow (optional)").fill("nonsense")
    page.get_by_role("button", name="Start workflow").click()
    expect(page.locator("#problem-workflow")).to_contain_text("research")


def test_an_answer_from_elsewhere_is_seen_here(
    server: ThreadServer, open_page: OpenPage, tmp_path: Path
) -> None:
    workflow_id = start(server, tmp_path)
    one, other = (open_page(server.url(f"/workflows/{workflow_id}")) for _ in range(2))
    (tmp_path / "speak").touch()
    (tmp_path / "finish").touch()
    expect(one.locator(".approval")).to_contain_text("Publish what was found?")
    other.get_by_role("button", name="Reject").click()
    expect(one.locator(".approval")).to_contain_text("Rejected")
    expect(one.locator(f"{RESULT} .synthesis")).to_contain_text("False")


def test_a_workflow_that_somebody_else_publishes(server: ThreadServer, open_page: OpenPage) -> None:
    page = open_page(server.url("/workflows/theirs"))
    expect(page.locator("#run")).to_contain_text("There is no workflow of this name yet")
    events = [
        {"type": "workflow_status", "data": {"status": "running"}},
        {"type": "agent_spawned", "data": {"agent_id": "a_1", "agent_type": "scout", "spawn_time": 0}},
        {"type": "agent_output", "data": {"agent_id": "a_1", "content": "seen"}},
    ]
    assert server.http.post("/api/v1/streams/workflow:theirs/events", json=events).status_code == 200
    expect(page.locator(".agent")).to_contain_text("seen")
    expect(page.locator("[data-run='theirs']")).to_contain_text("Running")


@pytest.mark.needs("npm")
@pytest.mark.parametrize(("scheme", "viewport"), [("dark", None), ("light", PHONE)])
def test_accessible(
    server: ThreadServer,
    open_page: OpenPage,
    axe: str,
    tmp_path: Path,
    scheme: str,
    viewport: dict[str, int] | None,
) -> None:
    options = {"color_scheme": scheme, **({"viewport": viewport} if viewport else {})}
    page = open_page(server.url(f"/workflows/{start(server, tmp_path)}"), **options)
    expect(page.locator(".agent")).to_contain_text("First")
    (tmp_path / "speak").touch()
    (tmp_path / "finish").touch()
    expect(page.locator(".approval")).to_be_visible()
    check(page, axe)
    finish(page, tmp_path)
    page.goto(server.url("/workflows?new"))
    expect(page.get_by_label("Task")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Approvals")
    check(page, axe)


def test_a_phone_shows_one_thing_at_a_time(server: ThreadServer, open_page: OpenPage, tmp_path: Path) -> None:
    workflow_id = start(server, tmp_path)
    page = open_page(server.url("/workflows"), viewport=PHONE)
    expect(page.locator("#form")).to_be_hidden()
    page.locator(f"[data-run='{workflow_id}']").click()
    expect(page.locator(".agent")).to_contain_text("First")
    expect(page.locator("#runs")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.get_by_role("button", name="Back to the list").click()
    expect(page.locator("#runs")).to_be_visible()
    page.get_by_role("link", name="New workflow").click()
    expect(page.get_by_label("Task")).to_be_focused()
    page.go_back()
    expect(page.locator("#runs")).to_be_visible()
