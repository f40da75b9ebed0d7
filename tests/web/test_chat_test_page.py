"""The chat's test page in a browser: from registering to a streamed answer with its sources, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from tests.support.chat_server import ChatServer
from tests.support.chatting import Script
from tests.web.conftest import PHONE, OpenPage
from tests.web.test_access import axe, check

__all__ = ["axe"]

pytestmark = pytest.mark.needs("chromium")

PASSWORD = "correct horse battery"


@pytest.fixture
def chat(tmp_path: Path) -> Iterator[ChatServer]:
    with ChatServer(tmp_path / "log.db") as server:
        yield server


def account(page: Page, action: str, password: str = PASSWORD) -> None:
    page.get_by_label("E-mail").fill("ann@example.org")
    page.get_by_label("Password").fill(password)
    page.get_by_label("Name (to register)").fill("Ann")
    page.get_by_role("button", name=action, exact=True).click()


def test_from_registering_to_an_answer_with_its_sources(chat: ChatServer, open_page: OpenPage) -> None:
    page = open_page(chat.url("/ws/test"))
    status = page.get_by_role("status")
    expect(status).to_have_text("connected, not authenticated")
    account(page, "Register")
    expect(status).to_have_text("authenticated")
    expect(page.locator("#user")).to_contain_text("as Ann")
    page.get_by_role("button", name="Send").click()
    expect(page.locator("#response")).to_contain_text("132 kW")
    expect(page.locator("#metadata")).to_contain_text("Agent: specs")
    expect(page.locator("#metadata")).to_contain_text("Sources: specs.md")
    expect(page.locator("#step")).to_have_text("Complete.")
    assert PASSWORD not in page.locator("#log").inner_text()


@pytest.mark.needs("npm")
def test_accessible(chat: ChatServer, open_page: OpenPage, axe: str) -> None:
    for scheme in ("dark", "light"):
        page = open_page(chat.url("/ws/test"), color_scheme=scheme)
        page.get_by_role("button", name="Send").click()
        expect(page.get_by_role("alert")).not_to_be_empty()
        check(page, axe)


def test_logging_in_again_and_a_wrong_password(chat: ChatServer, open_page: OpenPage) -> None:
    person = {"email": "ann@example.org", "password": PASSWORD, "name": "Ann"}
    chat.http.post("/api/v1/auth/register", json=person)
    page = open_page(chat.url("/ws/test"), forgive="401")
    account(page, "Log in", "not my password")
    expect(page.get_by_role("alert")).to_contain_text("password is wrong")
    account(page, "Log in")
    expect(page.get_by_role("status")).to_have_text("authenticated")
    expect(page.get_by_role("alert")).to_be_empty()


def test_tokens_and_progress_are_shown_as_they_come_and_cancelling(
    tmp_path: Path, open_page: OpenPage
) -> None:
    script = Script("<b>So ", "on")
    with ChatServer(tmp_path / "log.db", responder=script) as chat:
        page = open_page(chat.url("/ws/test"), viewport=PHONE)
        page.get_by_label("Token", exact=True).fill(chat.token("ann"))
        page.get_by_role("button", name="Authenticate").click()
        expect(page.get_by_role("status")).to_have_text("authenticated")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#response")).to_have_text("<b>So ")
        expect(page.locator("#progress li[data-state=now]")).to_have_text("starting")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#step")).to_have_text("Cancelled.")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_lost_connection_comes_back_and_the_answer_goes_on(tmp_path: Path, open_page: OpenPage) -> None:
    script = Script("one ", "two ", "three")
    with ChatServer(tmp_path / "log.db", responder=script) as chat:
        page = open_page(chat.url("/ws/test"))
        page.get_by_label("Token", exact=True).fill(chat.token("ann"))
        page.get_by_role("button", name="Authenticate").click()
        expect(page.get_by_role("status")).to_have_text("authenticated")
        page.get_by_role("button", name="Send").click()
        expect(page.locator("#response")).to_have_text("one ")
        for socket in chat.websockets():
            chat.call(socket.transport.abort)
        expect(page.get_by_role("status")).to_contain_text("reconnecting")
        expect(page.get_by_role("status")).to_have_text("authenticated")
        script.go.set()
        expect(page.locator("#step")).to_have_text("Complete.")
        expect(page.locator("#response")).to_have_text("one two three")
        assert '"resumed"' in page.locator("#log").inner_text()


def test_a_message_without_a_name_and_a_made_up_token_say_what_is_wrong(
    chat: ChatServer, open_page: OpenPage
) -> None:
    page = open_page(chat.url("/ws/test"))
    expect(page.get_by_role("status")).to_have_text("connected, not authenticated")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).to_contain_text("[AUTH_REQUIRED]")
    page.get_by_label("Token", exact=True).fill("made.up.token")
    page.get_by_role("button", name="Authenticate").click()
    expect(page.get_by_role("alert")).to_contain_text("[AUTH_ERROR]")
    page.get_by_role("button", name="Disconnect").click()
    expect(page.get_by_role("status")).to_contain_text("disconnected")
