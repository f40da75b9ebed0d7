"""The page of the chat: signing in, streamed answers, reloads, stopping, files, people; on an open and a locked server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, WebSocketRoute, expect
from tests.support.chatting import Script
from tests.web.conftest import PHONE, OpenPage
from tests.web.paced_work import HOSTILE
from tests.web.page_servers import ChatPages
from tests.web.test_access import axe, check

from runcast.errors import ModelError
from runcast.runners.chat.responder import Metadata, Piece, Progress, Question

__all__ = ["axe"]

pytestmark = pytest.mark.needs("chromium")

ANSWER = ".turn.answer"
MINE = ".turn.mine"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc000000301"
    "0100c9fe92ef0000000049454e44ae426082"
)
KEY = "a-key-of-the-tests"
PASSWORD = "correct horse battery staple"


Serve = Callable[..., ChatPages]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers that outlive the pages of the test, if it is asked for before `open_page`."""
    with ExitStack() as stack:

        def serve_(log: str | Path = "memory:", **settings: Any) -> ChatPages:
            return stack.enter_context(ChatPages(log, **settings))

        yield serve_


class Answering:
    """A responder that answers by what it is asked: `fail …`, or what it was asked, at once."""

    async def __call__(self, question: Question) -> AsyncIterator[Piece]:
        yield Progress("agent_routing", "Routing to appropriate agent...")
        yield Metadata(agent="specs", confidence=0.8, sources=["specs.md"], more={"routing_confidence": 0.9})
        if question.text.startswith("fail"):
            yield "Half of "
            raise ModelError("The model has gone away.")
        yield f"**You said** {question.text}"


def write(page: Page) -> Locator:
    return page.get_by_role("textbox", name="Message", exact=True)


def ask(page: Page, text: str) -> None:
    write(page).fill(text)
    write(page).press("Enter")


def chat_id(page: Page) -> str:
    page.wait_for_url("**/chat/c_*")
    return page.url.rpartition("/")[2]


def test_from_registering_to_an_answer_with_sources(serve: Serve, open_page: OpenPage) -> None:
    server = serve()
    page = open_page(server.url("/chat"), forgive="401")
    page.get_by_role("button", name="Sign in", exact=True).last.click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    page.get_by_role("button", name="Register", exact=True).click()
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("E-mail").fill("ada@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    expect(page.locator("#account")).to_contain_text("Ada")
    expect(page.get_by_role("link", name="Chat", exact=True)).to_have_attribute("aria-current", "page")
    page.get_by_role("button", name="What is the engine power?").click()
    answer = page.locator(ANSWER)
    expect(answer).to_contain_text("132 kW", timeout=30_000)
    expect(answer.locator(".turn-who")).to_contain_text("Specs")
    expect(answer.locator(".routing")).to_contain_text("sure")
    expect(answer.locator(".sources")).to_contain_text("specs.md")
    expect(answer.locator(".answer-line")).to_contain_text("%")
    expect(page.locator(f"[data-run='{chat_id(page)}']")).to_contain_text("What is the engine power?")
    told = page.locator(".turns").inner_text()
    page.reload()
    expect(page.locator(ANSWER)).to_contain_text("132 kW")
    assert page.locator(".turns").inner_text() == told
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("dialog")).to_contain_text("Sign in to chat")
    page.get_by_label("E-mail").fill("ada@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    expect(page.locator("#runs")).to_contain_text("What is the engine power?")


def test_a_reload_in_mid_answer_and_a_lost_connection(serve: Serve, open_page: OpenPage) -> None:
    looking = Progress("rag_retrieval", "Looking it up")
    script = Script(looking, "first ", f"two {HOSTILE} ", "**three**", waits_after=2)
    server = serve(responder=script)
    page = open_page(server.url("/chat"), storage_state=server.signed_in())
    ask(page, f"Count {HOSTILE}")
    expect(page.locator(ANSWER)).to_contain_text("first")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.reload()
    expect(page.locator(ANSWER)).to_contain_text("first")
    expect(page.locator(f"{ANSWER}.pending .doing")).to_contain_text("Looking it up")
    for socket in server.websockets():
        server.call(socket.transport.abort)
    script.go.set()  # what is told before the page is back, it reads then
    expect(page.locator("#toasts")).to_contain_text("Resumed")
    expect(page.locator(f"{ANSWER} strong")).to_have_text("three")
    text = page.locator(ANSWER).inner_text()
    assert (text.count("first"), text.count(f"two {HOSTILE}")) == (1, 1)
    expect(page.get_by_role("button", name="Stop")).to_be_hidden()
    expect(page.locator(MINE)).to_contain_text(HOSTILE)
    assert page.locator(".turns img").count() == 0
    assert page.evaluate("window.broken") is None


def test_stop_and_try_again(serve: Serve, open_page: OpenPage) -> None:
    script = Script("one ", "two")
    server = serve(responder=script)
    page = open_page(server.url("/chat"), storage_state=server.signed_in())
    ask(page, "Count")
    expect(page.locator(ANSWER)).to_contain_text("one")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(ANSWER)).to_contain_text("Stopped here.")
    script.go.set()
    page.locator(ANSWER).hover()
    page.locator(ANSWER).get_by_role("button", name="Try again").click()
    expect(page.locator(ANSWER)).to_have_count(2)
    expect(page.locator(ANSWER).last).to_contain_text("one two")
    expect(page.locator(f"{ANSWER} .quote").last).to_have_text("Count")


def test_edit_delete_and_an_answer_that_fails(serve: Serve, open_page: OpenPage) -> None:
    server = serve(responder=Answering())
    page = open_page(server.url("/chat"), storage_state=server.signed_in())
    write(page).fill("fail now")
    write(page).press("Shift+Enter")
    write(page).press_sequentially("please")
    write(page).press("Enter")
    expect(page.locator(f"{MINE} .said")).to_have_text("fail now\nplease")
    expect(page.locator(f"{ANSWER} .problem")).not_to_be_empty()
    expect(page.locator(ANSWER)).to_contain_text("Half of")
    server.errors.forgive()
    page.locator(MINE).hover()
    page.locator(MINE).get_by_role("button", name="Edit").click()
    page.get_by_label("The message, to be changed").fill("work")
    page.get_by_role("button", name="Save and ask again").click()
    expect(page.locator(f"{ANSWER} strong")).to_have_text("You said")
    expect(page.locator(ANSWER).last).to_contain_text("work")
    expect(page.locator(MINE)).to_contain_text("edited")
    page.locator(ANSWER).first.hover()
    page.locator(ANSWER).first.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(ANSWER)).to_have_count(1)
    page.reload()
    expect(page.locator(MINE)).to_contain_text("work")
    expect(page.locator(ANSWER)).to_have_count(1)


def test_files(serve: Serve, open_page: OpenPage, tmp_path: Path) -> None:
    server = serve(tmp_path / "log.db", responder=Answering())
    page = open_page(server.url("/chat"), storage_state=server.signed_in())
    files: list[Any] = [
        {"name": "dot.png", "mimeType": "image/png", "buffer": PNG},
        {"name": f"{HOSTILE}.html", "mimeType": "text/html", "buffer": HOSTILE.encode()},
        {"name": "no.txt", "mimeType": "text/plain", "buffer": b"no"},
    ]
    page.locator("#files").set_input_files(files)
    page.get_by_role("button", name="Do not send no.txt").click()
    ask(page, "Look")
    expect(page.locator(f"{MINE} .file")).to_have_count(2)
    picture = page.locator(f"{MINE} img")
    expect(picture).to_be_visible()
    assert picture.evaluate("(one) => one.naturalWidth") == 1
    expect(page.locator(".tray")).to_be_hidden()
    with page.expect_download() as download:
        page.locator(f"{MINE} .file").last.click()
    assert download.value.path().read_bytes() == HOSTILE.encode()
    page.reload()
    expect(page.locator(f"{MINE} img")).to_be_visible()
    assert page.evaluate("window.broken") is None
    paste = "(node) => { const data = new DataTransfer(); data.items.add(new File(['x'], 'pasted.txt')); node.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })); }"
    write(page).evaluate(paste)
    expect(page.locator(".tray")).to_contain_text("pasted.txt")


def test_a_long_answer_is_followed_unless_somebody_reads_back(serve: Serve, open_page: OpenPage) -> None:
    lines = "\n\n".join(f"Line {number}" for number in range(60))
    rest = "```python\nprint(1)\n```\n\n[Here](https://example.org/a), [not here](javascript:alert(1))."
    script = Script(f"{lines}\n\n", rest)
    server = serve(responder=script)
    page = open_page(
        server.url("/chat"),
        storage_state=server.signed_in(),
        permissions=["clipboard-read", "clipboard-write"],
    )
    ask(page, "Tell me all")
    expect(page.get_by_text("Line 59", exact=True)).to_be_in_viewport()
    page.locator(".room-scroll").evaluate("(node) => node.scrollTo(0, 0)")
    expect(page.get_by_role("button", name="Jump to the newest")).to_be_visible()
    script.go.set()
    expect(page.locator(f"{ANSWER}.pending")).to_have_count(0)
    expect(page.get_by_text("Line 0", exact=True)).to_be_in_viewport()
    page.get_by_role("button", name="Jump to the newest").click()
    link = page.locator(f"{ANSWER} a")
    expect(link).to_be_in_viewport()
    assert [link.get_attribute(name) for name in ("href", "target")] == ["https://example.org/a", "_blank"]
    assert "noopener" in str(link.get_attribute("rel"))
    page.locator(".code-block").get_by_role("button", name="Copy").click()
    expect(page.locator(".code-block")).to_contain_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "print(1)"


def test_the_keyboard_and_what_was_not_sent(serve: Serve, open_page: OpenPage) -> None:
    server = serve(responder=Answering())
    page = open_page(server.url("/chat"), storage_state=server.signed_in())
    expect(write(page)).to_be_focused()
    ask(page, "One")
    expect(page.locator(ANSWER)).to_contain_text("You said One")
    write(page).press("ArrowUp")
    expect(page.get_by_label("The message, to be changed")).to_be_focused()
    page.keyboard.press("Escape")
    expect(write(page)).to_be_focused()
    page.keyboard.type("Half a th")
    page.keyboard.press("Escape")
    page.keyboard.press("n")
    expect(page.locator(".welcome")).to_be_visible()
    expect(write(page)).to_have_value("")
    page.locator("#runs").get_by_text("One", exact=True).click()
    expect(write(page)).to_have_value("Half a th")


def test_two_people(serve: Serve, open_page: OpenPage) -> None:
    server = serve(responder=Answering())
    ann = open_page(server.url("/chat"), storage_state=server.signed_in("ann"))
    ask(ann, "Hello")
    expect(ann.locator(ANSWER)).to_contain_text("You said")
    address = ann.url
    bob = open_page(address, storage_state=server.signed_in("bob"), forgive="403")
    expect(bob.locator("#room")).to_contain_text("somebody else's")
    expect(bob.locator("#room")).to_contain_text("Your id is bob")
    ann.get_by_role("button", name="1 person").click()
    ann.get_by_label("Their e-mail, or id").fill("bob")
    ann.get_by_label("Name").fill("Bob")
    ann.get_by_role("button", name="Invite", exact=True).click()
    expect(ann.locator("#people-dialog")).to_contain_text("Bob")
    ann.keyboard.press("Escape")
    expect(bob.locator(ANSWER)).to_contain_text("You said")
    expect(bob.locator("#runs")).to_contain_text("Hello")
    expect(ann.locator(ANSWER)).to_contain_text("Read by Bob")
    write(bob).press_sequentially("Me")
    write(ann).press_sequentially("I")
    expect(ann.locator(".typing")).to_have_text("Bob is typing…")
    expect(bob.locator(".typing")).to_have_text("Ann is typing…")
    write(bob).press("Enter")
    expect(ann.locator(".turn.personal").last).to_contain_text("Me")
    expect(bob.locator("#announcer")).to_have_text("Answer: **You said** Me")
    expect(ann.locator(".typing")).to_have_text("")
    bob.get_by_role("button", name="2 people").click()
    bob.get_by_role("button", name="Leave").click()
    expect(ann.get_by_role("button", name="1 person")).to_be_visible()
    bob.wait_for_url("**/chat?new")


def test_a_server_that_asks_everybody_gives_a_cookie(
    serve: Serve, open_page: OpenPage, tmp_path: Path
) -> None:
    server = serve(tmp_path / "log.db", responder=Answering(), api_keys=(KEY,))
    page = open_page(server.url("/chat"), forgive="401")
    page.get_by_role("button", name="Register", exact=True).click()
    page.get_by_label("E-mail").fill("ada@example.org")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Password").press("Enter")
    ask(page, "Hello")
    expect(page.locator(ANSWER)).to_contain_text("You said")
    assert page.evaluate("localStorage.getItem('runcast.chat')") is None
    ben = {"email": "ben@example.org", "password": PASSWORD, "name": "Ben"}
    assert server.http.post("/api/v1/auth/register", json=ben).status_code == 201
    page.get_by_role("button", name="1 person").click()
    page.get_by_label("Their e-mail, or id").fill("ben@example.org")
    page.get_by_label("Their e-mail, or id").press("Enter")
    expect(page.locator("#people-dialog li").last).to_contain_text("Ben")
    page.reload()
    expect(page.locator(ANSWER)).to_contain_text("You said")


def test_a_login_is_renewed_and_one_that_counts_no_longer_is_asked_for_again(
    serve: Serve, open_page: OpenPage
) -> None:
    server = serve(responder=Answering())
    account = {"email": "ada@example.org", "password": PASSWORD, "name": "Ada"}
    begun = server.http.post("/api/v1/auth/register", json=account).json()
    old = {"access": "old", "until": 0}
    page = open_page(
        server.url("/chat"), storage_state=server.signed_in(refresh=begun["refresh_token"], **old)
    )
    ask(page, "Hello")
    expect(page.locator(ANSWER)).to_contain_text("You said")
    expect(page.locator("#account")).to_contain_text("Ada")
    page = open_page(server.url("/chat"), storage_state=server.signed_in(access="nonsense"), forgive="401")
    expect(page.get_by_role("dialog")).to_contain_text("Sign in to chat")


def test_what_cannot_be_sent_stays_where_it_was_written(serve: Serve, open_page: OpenPage) -> None:
    server = serve(responder=Answering(), chat_message_max_bytes=100)
    page = open_page(server.url("/chat"), storage_state=server.signed_in())
    ask(page, "x" * 200)
    expect(page.locator("#toasts")).to_contain_text("100")
    expect(write(page)).to_have_value("x" * 200)
    expect(page.locator(".turn")).to_have_count(0)
    ask(page, "short")
    expect(page.locator(ANSWER)).to_contain_text("You said")


@pytest.mark.parametrize("is_taken", [False, True])
def test_a_connection_that_is_lost_while_sending_loses_and_doubles_nothing(
    serve: Serve, open_page: OpenPage, tmp_path: Path, *, is_taken: bool
) -> None:
    server = serve(tmp_path / "log.db", responder=Answering())
    page = open_page("about:blank", storage_state=server.signed_in(), forgive="404")
    sent: list[str] = []
    cut: list[str] = []

    def route(socket: WebSocketRoute) -> None:
        upstream = socket.connect_to_server()

        def to_server(message: str | bytes) -> None:
            if isinstance(message, str) and '"type":"message"' in message:
                sent.append(message)
            if sent and not cut and not is_taken:
                cut.append("before it came to the server")
                socket.close(code=1012, reason="restarting")
            else:
                upstream.send(message)

        def to_page(message: str | bytes) -> None:
            if sent and not cut and '"type":"message"' in str(message):
                cut.append("before the page heard of it")
                socket.close(code=1012, reason="restarting")
            else:
                socket.send(message)

        socket.on_message(to_server)
        upstream.on_message(to_page)

    page.route_web_socket("**/ws/chat**", route)
    page.goto(server.url("/chat"))
    page.locator("#files").set_input_files({"name": "no.txt", "mimeType": "text/plain", "buffer": b"no"})
    ask(page, "Hello")
    expect(page.locator(ANSWER)).to_contain_text("You said Hello")
    expect(page.locator(".sending")).to_have_count(0)
    expect(page.locator(f"{MINE} .file")).to_have_count(1)
    expect(page.locator(".turn")).to_have_count(2)
    expect(write(page)).to_have_value("")
    assert (len(cut), len(sent)) == (1, 2)


@pytest.mark.needs("npm")
@pytest.mark.parametrize(("scheme", "viewport"), [("dark", None), ("light", PHONE)])
def test_accessible(
    serve: Serve, open_page: OpenPage, axe: str, scheme: str, viewport: dict[str, int] | None
) -> None:
    options = {"color_scheme": scheme, **({"viewport": viewport} if viewport else {})}
    server = serve(responder=Answering())
    page = open_page(server.url("/chat?new"), forgive="401", **options)
    expect(page.get_by_role("dialog")).to_be_visible()
    check(page, axe)
    page = open_page(server.url("/chat?new"), storage_state=server.signed_in(), **options)
    expect(page.locator(".welcome")).to_be_visible()
    check(page, axe)
    ask(page, "Hello\n```js\nx\n```\n| a |\n|---|\n| b |\n\n> *so* https://example.org ~~not~~")
    expect(page.locator(ANSWER)).to_contain_text("specs.md")
    ask(page, "fail")
    expect(page.locator(f"{ANSWER} .problem")).to_be_visible()
    check(page, axe)
    server.errors.forgive()
    page.get_by_role("button", name="1 person").click()
    check(page, axe)


def test_a_phone_shows_one_thing_at_a_time(serve: Serve, open_page: OpenPage) -> None:
    server = serve(responder=Answering())
    page = open_page(server.url("/chat"), storage_state=server.signed_in(), viewport=PHONE, has_touch=True)
    expect(page.locator("#room")).to_be_hidden()
    page.get_by_role("link", name="New conversation").click()
    ask(page, "Hello " + "x" * 300)
    expect(page.locator(ANSWER)).to_contain_text("You said")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size({"width": 390, "height": 380})  # a keyboard has come up
    expect(write(page)).to_be_in_viewport()
    page.get_by_role("button", name="Back to the list").click()
    page.locator("#runs").get_by_text(re.compile("^Hello")).first.click()
    expect(page.locator(ANSWER)).to_contain_text("You said")
