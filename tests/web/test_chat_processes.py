"""The chat's page, `runcast serve` and a model that writes slowly, each in a process of its own: reloads and a kill."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.support.openai_server import WAIT_S, Exchange, OpenAIServer, Scene, chunk
from tests.support.process import ServeProcess
from tests.web.conftest import OpenPage
from tests.web.page_servers import FAR_MS

pytestmark = pytest.mark.needs("chromium")

WORDS = [f"w{number}" for number in range(200)]
HELD_AT = 100
PAUSE_S = 0.003
ANSWER = ".turn.answer"
ACCOUNT = {"email": "ada@example.org", "password": "correct horse battery staple", "name": "Ada"}


def slowly(go: threading.Event) -> Scene:
    """All words, one by one; in the middle it waits for the test."""

    async def play(exchange: Exchange) -> None:
        await exchange.begin_stream()
        for number, word in enumerate(WORDS):
            if number == HELD_AT:
                await asyncio.to_thread(go.wait, WAIT_S)
            await exchange.event(chunk(f"{word} "))
            await asyncio.sleep(PAUSE_S)
        await exchange.event(chunk(finish="stop"))
        await exchange.event(b"[DONE]")
        await exchange.end_stream()

    return play


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer() as model:
        yield model


@pytest.fixture
def served(model: OpenAIServer, tmp_path: Path) -> Iterator[ServeProcess]:
    env = {
        "RUNCAST_LLM_BASE_URL": model.url,
        "RUNCAST_LLM_MODEL": "test-model",
        "RUNCAST_RUNNER_LEASE_S": "0.5",
    }
    with ServeProcess(tmp_path / "log.db", env=env) as server:
        yield server


def registered(server: ServeProcess) -> dict[str, Any]:
    """A browser in which somebody has registered."""
    told = server.http.post("/api/v1/auth/register", json=ACCOUNT).json()
    kept = {"access": told["access_token"], "refresh": "", "until": FAR_MS}
    item = {"name": "runcast.chat", "value": json.dumps(kept)}
    return {"cookies": [], "origins": [{"origin": server.url(), "localStorage": [item]}]}


def ask(page: Page) -> None:
    """Ask, and wait until the answer has come to somewhere in its first half."""
    page.get_by_role("textbox", name="Message", exact=True).fill("What is the engine power?")
    page.keyboard.press("Enter")
    expect(page.locator(f"{ANSWER}.pending")).to_contain_text("w30 ", timeout=20_000)


def words(page: Page) -> list[str]:
    """Those of the last answer, in order."""
    return re.findall(r"\bw\d+\b", page.locator(f"{ANSWER} .answer-body").last.inner_text())


def test_an_answer_survives_reloads_and_says_so_if_its_server_was_killed(
    served: ServeProcess, model: OpenAIServer, open_page: OpenPage
) -> None:
    first, second, third = (threading.Event() for _ in range(3))
    model.play(slowly(first), slowly(second), slowly(third))
    page = open_page(served.url("/chat"), storage_state=registered(served), forgive="ERR_CONNECTION")
    ask(page)
    for _ in range(2):
        page.reload()
        expect(page.locator(f"{ANSWER}.pending .doing")).to_contain_text("Knowledge base")
        expect(page.locator(ANSWER)).to_contain_text("w30 ")
    first.set()
    expect(page.locator(f"{ANSWER} .sources")).to_be_visible()
    assert words(page) == WORDS

    ask(page)
    served.kill()
    second.set()
    expect(page.get_by_role("button", name="Try now")).to_be_visible()
    served.start()
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator(f"{ANSWER} .problem")).to_contain_text("stopped in the middle", timeout=15_000)
    told = words(page)
    assert 30 < len(told) <= HELD_AT
    assert told == WORDS[: len(told)]
    third.set()
    page.get_by_role("button", name="Try again").last.click()
    expect(page.locator(ANSWER)).to_have_count(3)
    expect(page.locator(f"{ANSWER}.pending")).to_have_count(0, timeout=20_000)
    assert words(page) == WORDS
