"""The workflow client among the examples, in a browser, served as its first lines say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.support.server import WAIT_S
from tests.support.workflow_server import WorkflowServer
from tests.web.conftest import OpenPage

from runcast.runners.workflows import research
from runcast.runners.workflows.registry import workflow

pytestmark = pytest.mark.needs("chromium")

PATH = "/examples/api_examples/websocket_client.html"


@pytest.fixture
def feed() -> Iterator[WorkflowServer]:
    with WorkflowServer() as server:
        yield server


@pytest.fixture
def as_research() -> Iterator[Any]:
    """Puts another workflow in the place of the built-in one, which is what the page starts."""
    yield workflow("research")
    workflow("research")(research.research)


def start(page: Page, task: str) -> None:
    page.get_by_label("What are the agents to find out?").fill(task)
    page.get_by_role("button", name="Start").click()


def test_a_workflow_is_started_watched_and_its_synthesis_shown(
    feed: WorkflowServer, open_page: OpenPage
) -> None:
    page = open_page(feed.url(PATH))
    start(page, "What causes the tides?")
    expect(page.get_by_role("status")).to_contain_text("completed")
    expect(page.get_by_role("region", name="Result")).to_contain_text("Moon")
    expect(page.locator("li.done b").first).to_have_text("research_001")
    assert page.locator("progress").evaluate("bar => bar.value") == 100
    (listed,) = feed.get("/api/v1/workflows")["workflows"]
    assert f"workflow={listed['workflow_id']}" in page.url
    page.reload()  # a late client gets the whole story
    expect(page.get_by_role("region", name="Result")).to_contain_text("Moon")
    expect(page.locator("li.done b").first).to_have_text("research_001")


def test_what_agents_write_is_shown_as_text(
    feed: WorkflowServer, open_page: OpenPage, as_research: Any
) -> None:
    as_research(lambda ctx: ctx.agent("hostile", lambda _: "<img src=x onerror=alert(1)>"))
    page = open_page(feed.url(PATH))
    start(page, "be hostile")
    expect(page.get_by_role("region", name="Result")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("img").count() == 0


def test_a_question_is_answered_on_the_page(
    feed: WorkflowServer, open_page: OpenPage, as_research: Any
) -> None:
    as_research(lambda ctx: "yes it was" if ctx.approve("Shall I?") else "no it was")
    page = open_page(feed.url(PATH))
    start(page, "ask")
    expect(page.get_by_role("region", name="Questions")).to_contain_text("Shall I?")
    page.get_by_role("button", name="Yes").click()
    expect(page.get_by_role("region", name="Result")).to_contain_text("yes it was")


def test_a_workflow_is_cancelled_on_the_page(
    feed: WorkflowServer, open_page: OpenPage, as_research: Any
) -> None:
    go_on = threading.Event()

    def wait(agent: Any) -> str:
        while not go_on.wait(0.01):
            agent.check()
        return "late"

    as_research(lambda ctx: ctx.agent("waiter", wait))
    page = open_page(feed.url(PATH))
    start(page, "wait")
    expect(page.get_by_role("listitem")).to_contain_text("waiter_001")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("status")).to_contain_text("cancelled", timeout=WAIT_S * 1000)
    expect(page.get_by_role("button", name="Start")).to_be_enabled()
    go_on.set()


def test_a_refusal_is_said(feed: WorkflowServer, open_page: OpenPage) -> None:
    page = open_page(feed.url(PATH), forgive="400")
    start(page, "   ")
    expect(page.get_by_role("status")).to_contain_text("task: a text of 1 to 10,000 characters")
    expect(page.get_by_role("button", name="Start")).to_be_enabled()


def test_an_unknown_workflow_is_said(feed: WorkflowServer, open_page: OpenPage) -> None:
    page = open_page(feed.url(PATH, workflow="wf_nothing"))
    expect(page.get_by_role("status")).to_have_text("There is no workflow wf_nothing.")
