"""What the pages of workflows and plans share: they outlive their server, and a phone shows one thing at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.support.process import ServeProcess
from tests.support.server import ThreadServer
from tests.web.conftest import OpenPage
from tests.web.test_plans_page import BADGE, box, diamond, do, start, word
from tests.web.test_workflows_page import finish
from tests.web.test_workflows_page import start as start_workflow

pytestmark = pytest.mark.needs("chromium")

KEY = "a-key-of-the-tests"


def log_of(page: Page) -> list[str]:
    return page.locator(".log li").all_inner_texts()


def test_a_server_that_was_killed(open_page: OpenPage, tmp_path: Path) -> None:
    """Both pages come back by themselves and show each event once; what ran is tried again, what is done stays done."""
    env = {"PYTHONPATH": str(Path(__file__).parents[2]), "RUNCAST_RUNNER_LEASE_S": "1"}
    away = "ERR_CONNECTION_REFUSED"
    with ServeProcess(tmp_path / "log.db", "--load", "tests.web.paced_work", env=env) as server:
        plan = open_page(server.url(f"/plans/{start(server, diamond(tmp_path))}"), forgive=away)
        workflow = open_page(server.url(f"/workflows/{start_workflow(server, tmp_path)}"), forgive=away)
        do(tmp_path, "first")
        expect(word(plan, "right")).to_have_text("Running")
        expect(workflow.locator(".agent")).to_contain_text("First")
        server.kill()
        expect(plan.locator("#status")).to_contain_text("Reconnecting")
        server.start()
        expect(plan.locator("#toasts")).to_contain_text("nothing missed")
        expect(box(plan, "right")).to_contain_text("attempt 2")
        expect(workflow.locator("#run .headline-meta")).to_contain_text("attempt 2")
        assert workflow.locator(".agent .growing").inner_text().count("First") == 1
        do(tmp_path, "left", "right", "last")
        finish(workflow, tmp_path, "again")
        expect(plan.locator(BADGE)).to_have_text("Completed")
        assert sum("first completed" in line for line in log_of(plan)) == 1
        for page in (plan, workflow):
            before = log_of(page)
            page.reload()
            expect(page.locator(BADGE)).to_have_text("Completed")
            expect(page.locator(".log li")).to_have_count(len(before))
            assert log_of(page) == before


def test_signing_in(open_page: OpenPage, tmp_path: Path) -> None:
    with ThreadServer(tmp_path / "log.db", api_keys=(KEY,)) as server:
        page = open_page(server.url("/plans/p"), forgive="401")
        page.get_by_label("Key or token").fill(KEY)
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator("#run")).to_contain_text("There is no plan of this name yet")
        expect(page.locator("#status .pill")).to_have_attribute("data-phase", "live")
        page.reload()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
