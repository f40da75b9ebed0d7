"""The page of plans, with the real runner: the editor, the graph, commands, reviews, reload, another server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect
from tests.support.server import Server, ThreadServer
from tests.web import paced_work
from tests.web.conftest import PHONE, OpenPage
from tests.web.test_access import axe, check

__all__ = ["axe"]

pytestmark = pytest.mark.needs("chromium")

BADGE = "#run .headline .badge"
STEP = ".step"


def step(step_id: str, folder: Path, *depends_on: str, **more: Any) -> dict[str, Any]:
    """A step that is done when `{folder}/{step_id}` is there."""
    return {
        "step_id": step_id,
        "action": "paced",
        "params": {"path": str(folder / step_id)},
        "depends_on": list(depends_on),
        **more,
    }


def diamond(folder: Path, **of_left: Any) -> dict[str, Any]:
    steps = [
        step("first", folder),
        step("left", folder, "first", **of_left),
        step("right", folder, "first"),
        step("last", folder, "left", "right"),
    ]
    return {"name": "A diamond", "steps": steps}


def start(server: Server, plan: dict[str, Any]) -> str:
    answer = server.http.post("/api/v1/plans", json=plan)
    assert answer.status_code == 202, answer.text
    return answer.json()["plan_id"]


def box(page: Page, step_id: str) -> Locator:
    return page.locator(f"#run .box[data-step='{step_id}']")


def word(page: Page, step_id: str) -> Locator:
    return box(page, step_id).locator(".box-word")


def do(folder: Path, *step_ids: str, says: str = "done") -> None:
    for step_id in step_ids:
        (folder / f".{step_id}").write_text(says)
        (folder / f".{step_id}").rename(folder / step_id)  # whole at once


def test_from_the_editor_to_the_end(server: ThreadServer, open_page: OpenPage, tmp_path: Path) -> None:
    assert paced_work.paced_step
    page = open_page(server.url("/plans"), forgive="400 (Bad Request)")
    expect(page.locator(".preview .box")).to_have_count(3)
    page.get_by_label("Begin with").select_option(label="Side by side, with a quality gate")
    expect(page.locator(".preview .box")).to_have_count(5)
    editor, problem, go = (
        page.locator("#plan-json"),
        page.locator("#plan-problem"),
        page.get_by_role("button", name="Start plan"),
    )
    editor.fill('{\n  "steps": [,]\n}')
    go.click()
    expect(problem).to_contain_text("(line 2, column 13)")
    editor.fill(json.dumps({"steps": [step("a", tmp_path), step("b", tmp_path, "nobody")]}, indent=1))
    go.click()
    expect(problem).to_have_text(re.compile(r"^Line \d+: steps\[1\]\.depends_on: .*nobody"))
    assert page.evaluate(
        "() => getSelection().toString() || document.activeElement.value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd)"
    ).split() == ["[", '"nobody"', "]"]
    editor.fill(json.dumps(diamond(tmp_path)))
    expect(page.locator(".preview-words")).to_contain_text("4 steps")
    go.click()
    page.wait_for_url("**/plans/plan_*")
    expect(word(page, "first")).to_have_text("Running")
    expect(word(page, "last")).to_have_text("Waiting")
    do(tmp_path, "first")
    expect(word(page, "left")).to_have_text("Running")
    expect(page.locator(".line.busy")).to_have_count(2)
    expect(page.locator(".line.done")).to_have_count(0)
    do(tmp_path, "left", "right", "last")
    expect(page.locator(BADGE)).to_have_text("Completed")
    expect(page.locator(".line.done")).to_have_count(4)
    box(page, "right").click()
    expect(page.locator(f"{STEP} .prose-block strong")).to_have_text("right")
    expect(page.locator(STEP)).to_contain_text(paced_work.HOSTILE)
    log = page.locator(".log li").all_inner_texts()
    page.reload()
    expect(page.locator(BADGE)).to_have_text("Completed")
    assert page.locator(".log li").all_inner_texts() == log
    assert page.locator(".step img").count() == 0
    assert page.evaluate("window.broken") is None


def test_commands(server: ThreadServer, open_page: OpenPage, tmp_path: Path) -> None:
    plan_id = start(server, diamond(tmp_path, max_attempts=1))
    page = open_page(server.url(f"/plans/{plan_id}"), forgive="409 (Conflict)")
    expect(word(page, "first")).to_have_text("Running")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(BADGE)).to_have_text("Paused")
    expect(page.locator("[data-run].session[aria-current]")).to_contain_text("Paused")
    do(tmp_path, "first")
    expect(word(page, "first")).to_have_text("Completed")
    expect(word(page, "left")).to_have_text("Ready")
    box(page, "left").click()
    page.locator(STEP).get_by_role("button", name="Remove").click()
    page.get_by_role("dialog").get_by_role("button", name="Remove it").click()
    expect(page.locator("#toasts")).to_contain_text('"last" depends on it')
    page.get_by_role("button", name="Resume").click()
    do(tmp_path, "left", says="fail for a test")
    expect(word(page, "left")).to_have_text("Failed")
    do(tmp_path, "right")
    expect(page.locator(BADGE)).to_have_text("Failed")
    expect(page.locator(STEP)).to_contain_text("told to fail for a test")
    page.locator(STEP).get_by_role("button", name="Retry").click()
    expect(box(page, "left")).to_contain_text("attempt 2")
    expect(page.locator(BADGE)).to_have_text("Running")
    do(tmp_path, "left")
    expect(word(page, "last")).to_have_text("Running")
    box(page, "last").click()
    page.locator(STEP).get_by_role("button", name="Skip").click()
    page.get_by_role("dialog").get_by_label("Reason").fill("not needed")
    page.get_by_role("dialog").get_by_role("button", name="Skip it").click()
    expect(word(page, "last")).to_have_text("Skipped")
    expect(page.locator(STEP)).to_contain_text("not needed")
    expect(page.locator(BADGE)).to_have_text("Completed")
    page.get_by_role("button", name="Run again").click()
    expect(page.locator("#plan-json")).to_have_value(re.compile('"A diamond"'))
    expect(page.locator(".preview .box")).to_have_count(4)


def test_a_review_and_a_step_that_is_added(server: ThreadServer, open_page: OpenPage, tmp_path: Path) -> None:
    do(tmp_path, "only", "more")
    gate = {"min_score": 0.9, "on_fail": "review"}
    plan_id = start(server, {"name": "Asks", "steps": [step("only", tmp_path, quality_gate=gate)]})
    page = open_page(server.url(f"/plans/{plan_id}"))
    expect(page.locator(BADGE)).to_have_text("Needs review")
    expect(page.locator(f"[data-run='{plan_id}']")).to_contain_text("Needs review")
    expect(page.locator(".review")).to_contain_text("scored 40 %")
    page.get_by_role("button", name="Add step").click()
    page.get_by_role("dialog").get_by_label("Step").fill(json.dumps(step("more", tmp_path, "only")))
    page.get_by_role("dialog").get_by_role("button", name="Add it").click()
    expect(word(page, "more")).to_have_text("Waiting")
    page.get_by_label("Comment on your decision").fill("good enough")
    page.get_by_role("button", name="Approve").click()
    expect(word(page, "more")).to_have_text("Completed")
    expect(page.locator(".log")).to_contain_text("approved: good enough")


def test_cancelled(server: ThreadServer, open_page: OpenPage, tmp_path: Path) -> None:
    page = open_page(server.url(f"/plans/{start(server, diamond(tmp_path))}"))
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel the plan").click()
    expect(page.locator(BADGE)).to_have_text("Cancelled")
    expect(word(page, "first")).to_have_text("Cancelled")
    expect(word(page, "last")).to_have_text("Not reached")


def test_a_plan_of_an_older_client(server: ThreadServer, open_page: OpenPage) -> None:
    """Somebody else runs it: nothing can be commanded, and steps appear as they are told of."""
    page = open_page(server.url("/plans/theirs"))
    expect(page.locator("#run")).to_contain_text("There is no plan of this name yet")
    for kind, name in (("PLAN_STARTED", None), ("STEP_STARTED", "s1"), ("STEP_PROGRESS", "s1")):
        data = {"step_id": name, "data": {"query": "Q", "total_steps": 1, "progress": 0.5, "message": "half"}}
        answer = server.http.post("/api/v1/streams/plan:theirs/events", json={"type": kind, "data": data})
        assert answer.status_code == 200, answer.text
    expect(box(page, "s1")).to_contain_text("50 %")
    expect(page.locator("#run .headline")).to_contain_text("run by another program")
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)


@pytest.mark.needs("npm")
@pytest.mark.parametrize(("scheme", "viewport"), [("light", None), ("dark", PHONE)])
def test_accessible(
    server: ThreadServer,
    open_page: OpenPage,
    axe: str,
    tmp_path: Path,
    scheme: str,
    viewport: dict[str, int] | None,
) -> None:
    """For whoever has a keyboard, and as axe-core sees it, on a phone too, where the list is another view."""
    options = {"color_scheme": scheme, **({"viewport": viewport} if viewport else {})}
    gate = {"min_score": 0.9, "on_fail": "review"}
    do(tmp_path, "first", "left")
    plan_id = start(server, diamond(tmp_path, quality_gate=gate))
    page = open_page(server.url("/plans"), **options)
    page.locator(f"[data-run='{plan_id}']").click()
    expect(page.locator(".review")).to_be_visible()
    check(page, axe)
    box(page, "first").focus()
    for key in ("ArrowDown", "ArrowRight", "ArrowLeft", "ArrowUp"):  # whichever way it is drawn
        page.keyboard.press(key)
    expect(page.locator("#run .box:focus")).to_have_count(1)
    expect(page.locator("#run .box[aria-pressed='true']")).to_be_focused()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    if viewport:
        page.get_by_role("button", name="Back to the list").click()
        expect(page.locator("#run")).to_be_hidden()
    page.get_by_role("link", name="New plan").click()
    expect(page.locator(".preview .box").first).to_be_visible()
    check(page, axe)
