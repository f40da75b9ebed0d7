"""Accessibility, as axe-core sees it: in both themes, on a phone, in every state of the page."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.support.server import ThreadServer
from tests.web.conftest import PHONE, OpenPage, stamp

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.needs("npm")]

HERE = Path(__file__).parent
ROWS = "#rows > .row"
START = 1_767_225_600

RUN = """async () => {
    const { violations } = await axe.run(document, { resultTypes: ["violations"] });
    return violations.filter((one) => ["serious", "critical"].includes(one.impact))
        .map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 120) + " " + (node.any[0]?.message ?? "")).join("; ")}`);
}"""


@pytest.fixture(scope="module")
def axe(pytestconfig: pytest.Config) -> str:
    """axe-core's source, fetched once by npm, by the lock beside this file, into pytest's cache."""
    folder = cached(pytestconfig)
    source = folder / "node_modules" / "axe-core" / "axe.min.js"
    lock = HERE / "package-lock.json"
    if not source.exists() or (folder / lock.name).read_bytes() != lock.read_bytes():
        for name in ("package.json", lock.name):
            shutil.copy(HERE / name, folder / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(
            command, cwd=folder, env=os.environ, capture_output=True, text=True, timeout=50, check=False
        )
        if done.returncode:
            pytest.skip(f"needs axe-core, which npm could not fetch: {done.stderr[-300:]}")
    return source.read_text(encoding="utf-8")


def cached(config: pytest.Config) -> Path:
    assert config.cache is not None
    return config.cache.mkdir("axe-core")


def check(page: Page, axe: str) -> None:
    page.evaluate(axe)
    assert page.evaluate(RUN) == []


@pytest.fixture
def busy(server: ThreadServer, session: str) -> str:
    server.post(
        session,
        {"event_id": "p", "event_type": "user_prompt", "input_summary": "Do it", "timestamp": stamp(START)},
        {"event_id": "th", "event_type": "thinking", "output_summary": "Hm", "timestamp": stamp(START + 1)},
        {"event_id": "m", "event_type": "message", "output_summary": "Yes", "cost_tokens": 50, "timestamp": stamp(START + 2)},
        {"event_id": "t", "event_type": "tool_call", "tool_name": "Task", "status": "started", "timestamp": stamp(START + 3)},
        {"event_id": "d", "event_type": "delegation", "agent_id": "a", "parent_event_id": "t", "timestamp": stamp(START + 3)},
        *(
            {"event_id": f"s{n}", "event_type": "tool_call", "tool_name": "Grep", "agent_id": "a", "status": "completed",
             "execution_duration_seconds": 40, "timestamp": stamp(START + 4 + n)}
            for n in range(12)
        ),
        {"event_id": "x", "event_type": "error", "tool_name": "Bash", "status": "error", "output_summary": "no", "timestamp": stamp(START + 20)},
        {"event_id": "md", "event_type": "message", "output_summary": "## H\n\n- **b** `c`\n\n| a |\n|---|\n| b |\n\n<system-reminder>x</system-reminder>", "timestamp": stamp(START + 21 * 86_400)},
        {"event_id": "al", "event_type": "cost_alert", "output_summary": "80 %", "timestamp": stamp(START + 21)},
    )  # fmt: skip
    return session


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_feed(server: ThreadServer, busy: str, open_page: OpenPage, axe: str, scheme: str) -> None:
    page = open_page(
        server.url("/", session=busy, type="tool_call,error,cost_alert,message"), color_scheme=scheme
    )
    page.locator(f"{ROWS}.k-call").first.click()
    page.locator(f"{ROWS}[data-key$=md] .row-more").click()
    expect(page.locator(".detail")).to_have_count(2)
    check(page, axe)
    page.get_by_role("button", name="Tool", exact=True).click()
    check(page, axe)


def test_time_travel_and_help(server: ThreadServer, busy: str, open_page: OpenPage, axe: str) -> None:
    page = open_page(server.url("/", session=busy, at=stamp(START + 10)), color_scheme="light")
    expect(page.locator("#player")).to_be_visible()
    check(page, axe)
    page.keyboard.press("?")
    check(page, axe)


def test_a_phone(server: ThreadServer, busy: str, open_page: OpenPage, axe: str) -> None:
    page = open_page(server.url("/"), viewport=PHONE)
    expect(page.locator(f'[data-session="{busy}"]')).to_be_visible()
    check(page, axe)
    page.locator(f'[data-session="{busy}"]').click()
    expect(page.locator(ROWS).first).to_be_visible()
    check(page, axe)


def test_the_empty_page(open_page: OpenPage, axe: str) -> None:
    with ThreadServer() as server:
        page = open_page(server.url("/"), color_scheme="light")
        expect(page.locator("#empty")).to_be_visible()
        check(page, axe)


def test_signing_in(open_page: OpenPage, axe: str, tmp_path: Path) -> None:
    with ThreadServer(tmp_path / "log.db", api_keys=("a-key-of-the-tests",)) as server:
        for scheme in ("dark", "light"):
            page = open_page(server.url("/"), forgive="401", color_scheme=scheme)
            page.get_by_label("Key or token").fill("not it")
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("alert")).to_contain_text("API key")
            check(page, axe)
