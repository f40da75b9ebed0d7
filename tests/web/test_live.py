"""Watching: live events, filters, history, links, a phone, hostile output, the keyboard."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from tests.support.server import ThreadServer, flat
from tests.web.conftest import PHONE, OpenPage, events_shown, stamp

pytestmark = pytest.mark.needs("chromium")

ROWS = "#rows > .row"


def at_the_end(page: Page) -> bool:
    return page.evaluate(
        "() => { const f = document.getElementById('feed'); return f.scrollHeight - f.scrollTop - f.clientHeight < 40; }"
    )


def wait_for_live(page: Page) -> None:
    expect(page.locator("#status .pill")).to_have_attribute("data-phase", "live")


def test_events_appear_as_they_happen(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    server.post(session, {"event_id": "p", "event_type": "user_prompt", "input_summary": "Make it so"})
    page = open_page(server.url("/", session=session))
    expect(page.locator(ROWS)).to_have_count(1)
    wait_for_live(page)
    call = flat(1, tool_name="Bash", status="started", input_summary=json.dumps({"command": "make it"}))
    server.post(session, call)
    row = page.locator(f"{ROWS}.k-call")
    expect(row).to_contain_text("make it")
    expect(row).to_have_class(re.compile(r"\brunning\b"))
    server.post(
        session,
        {
            "event_id": "e1:result",
            "event_type": "tool_result",
            "tool_name": "Bash",
            "parent_event_id": "e1",
            "status": "completed",
            "execution_duration_seconds": 1.5,
            "output_summary": "done",
        },
    )
    expect(row).to_have_class(re.compile(r"\bdone\b"))
    expect(row.locator(".took")).to_have_text("1.5\u202fs")
    expect(page.locator(ROWS)).to_have_count(2)
    expect(page.locator(f'[data-session="{session}"]')).to_contain_text("3 events")


def test_a_subagent_stands_under_its_call(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    server.post(
        session,
        flat(1, tool_name="Task", status="started", agent_id="claude-code"),
        {"event_id": "agent:a", "event_type": "delegation", "agent_id": "a", "parent_event_id": "e1"},
        flat(2, tool_name="Grep", agent_id="a", status="completed"),
        flat(3, tool_name="Read", agent_id="claude-code", status="completed"),
        {"event_id": "al", "event_type": "cost_alert", "output_summary": "80 % spent"},
    )
    page = open_page(server.url("/", session=session))
    expect(page.locator(ROWS)).to_have_count(4)
    assert events_shown(page) == ["e1", "e2", "e3", "al"]
    expect(page.locator(f"{ROWS}[data-depth='1']")).to_contain_text("Grep")
    expect(page.locator(f"{ROWS}.k-alert")).to_contain_text("80 % spent")
    page.locator(".fold-steps").click()
    expect(page.locator(ROWS)).to_have_count(3)


@pytest.fixture
def empty_server() -> Iterator[ThreadServer]:
    with ThreadServer() as server:
        yield server


def test_the_empty_page_helps_until_the_first_event(empty_server: ThreadServer, open_page: OpenPage) -> None:
    page = open_page(empty_server.url("/"))
    expect(page.locator("#empty")).to_contain_text("runcast demo")
    expect(page.locator("#empty")).to_contain_text("runcast install-hooks")
    expect(page.locator("#empty")).to_contain_text(f"{empty_server.url()}/api/sessions/hello/events")
    empty_server.post("hello", {"event_type": "message", "output_summary": "Hello"})
    expect(page.locator("#empty")).to_be_hidden()
    expect(page.locator(ROWS)).to_contain_text("Hello")


def test_filters_hold_for_history_and_live(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    server.post(session, *(flat(n, tool_name=("Read", "Edit")[n % 2], cost_tokens=n * 100) for n in range(6)))
    page = open_page(server.url("/", session=session))
    expect(page.locator(ROWS)).to_have_count(6)
    page.get_by_role("button", name="Tool", exact=True).click()
    page.get_by_role("checkbox", name="Edit").check()
    expect(page.locator(".chip")).to_have_text("Tool: Edit")
    expect(page.locator(ROWS)).to_have_count(3)
    assert "tool=Edit" in page.url
    wait_for_live(page)
    server.post(
        session, flat(10, tool_name="Read", cost_tokens=900), flat(11, tool_name="Edit", cost_tokens=900)
    )
    expect(page.locator(ROWS)).to_have_count(4)
    page.get_by_role("button", name="Min. tokens").click()
    page.get_by_label("Least tokens").fill("400")
    page.keyboard.press("Enter")
    expect(page.locator(ROWS)).to_have_count(2)
    assert events_shown(page) == ["e5", "e11"]
    page.go_back()
    expect(page.locator(ROWS)).to_have_count(4)
    page.get_by_role("button", name="Remove filter Tool: Edit").click()
    expect(page.locator(ROWS)).to_have_count(8)


def test_the_agent_filter(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    server.post(session, *(flat(n, agent_id=("one", "two")[n % 2]) for n in range(6)))
    page = open_page(server.url("/", session=session, agent="two"))
    expect(page.locator(ROWS)).to_have_count(3)
    wait_for_live(page)
    server.post(session, flat(8, agent_id="one"), flat(9, agent_id="two"))
    expect(page.locator(ROWS)).to_have_count(4)
    assert events_shown(page) == ["e1", "e3", "e5", "e9"]


def test_what_passes_no_filter_says_so(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    server.post(session, flat(1))
    page = open_page(server.url("/", session=session, type="nothing"))
    expect(page.locator("#feed-note")).to_contain_text("No event passes the filter")


def test_pause_counts_and_goes_on_without_a_hole(
    server: ThreadServer, session: str, open_page: OpenPage
) -> None:
    server.post(session, flat(0))
    page = open_page(server.url("/", session=session))
    expect(page.locator(ROWS)).to_have_count(1)
    wait_for_live(page)
    page.keyboard.press("p")
    expect(page.locator("#status")).to_contain_text("Paused")
    server.post(session, *(flat(n) for n in range(1, 8)))
    page.get_by_role("button", name="Show 7 new events").click()
    expect(page.locator(ROWS)).to_have_count(8)
    expect(page.locator("#status")).to_contain_text("Live")
    wait_for_live(page)
    server.post(session, flat(9))
    expect(page.locator(ROWS)).to_have_count(9)


def test_scrolled_back_stays_where_it_is(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    server.post(session, *(flat(n) for n in range(100)))
    page = open_page(server.url("/", session=session))
    expect(page.locator(f"{ROWS}").last).to_be_visible()
    wait_for_live(page)
    page.wait_for_function("() => document.getElementById('feed').scrollTop > 500")
    page.evaluate("document.getElementById('feed').scrollTop = 300")
    page.wait_for_function("() => document.getElementById('feed').scrollTop < 400")
    expect(page.locator("#feed-note")).to_contain_text("To the newest")
    row = page.locator(f"{ROWS}[data-key$=e15]")
    top = row.bounding_box()
    assert top is not None
    server.post(session, *(flat(n) for n in range(100, 120)))
    expect(page.locator("#feed-note")).to_contain_text("20 new")
    assert row.bounding_box() == top
    page.locator("#feed-note button").click()
    page.wait_for_function("() => document.querySelector('#feed-note').textContent === ''")
    assert events_shown(page)[-1] == "e119"
    assert at_the_end(page)


def test_a_link_to_an_event(server: ThreadServer, long_session: str, open_page: OpenPage) -> None:
    page = open_page(server.url("/", session=long_session, at=stamp(1_767_225_600 + 2_013), event="e2013"))
    row = page.locator(f"{ROWS}.focused")
    expect(row).to_contain_text("Failure 2013")
    expect(row.locator(".detail")).to_contain_text("e2013")
    expect(row).to_be_in_viewport()
    shown = events_shown(page)
    assert "e2012" in shown
    assert "e2014" in shown


def test_a_link_without_a_time_is_looked_for(
    server: ThreadServer, long_session: str, open_page: OpenPage
) -> None:
    page = open_page(server.url("/", session=long_session, event="e3007"))
    expect(page.locator(f"{ROWS}.focused")).to_contain_text("Message 3007")


def test_a_copied_link_leads_back(server: ThreadServer, long_session: str, open_page: OpenPage) -> None:
    page = open_page(
        server.url("/", session=long_session, type="error"), permissions=["clipboard-write", "clipboard-read"]
    )
    page.locator(f"{ROWS}[data-key$=e4963]").click()
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#toasts")).to_contain_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    other = open_page(link)
    expect(other.locator(f"{ROWS}.focused")).to_contain_text("Failure 4963")
    page.get_by_role("button", name="Show in context").click()
    expect(page.locator(f"{ROWS}.focused")).to_contain_text("Failure 4963")
    assert "type=" not in page.url


HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>'


def test_hostile_output_is_only_text(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    turned = "\u202egnp.exe \x1b[31mred\x1b[0m \x07"
    server.post(
        session,
        {"event_id": "p", "event_type": "user_prompt", "input_summary": HOSTILE + turned},
        flat(
            1,
            tool_name=HOSTILE,
            agent_id=HOSTILE,
            status="started",
            input_summary=json.dumps({HOSTILE: HOSTILE}),
        ),
        {
            "event_id": "r",
            "event_type": HOSTILE[:90],
            "parent_event_id": "e1",
            "output_summary": HOSTILE + "A" * 1_000_000,
            HOSTILE: [HOSTILE, {"deep": "B" * 100_000}],
        },
    )
    page = open_page(server.url("/", session=session))
    expect(page.locator(ROWS)).to_have_count(3)
    for row in page.locator(ROWS).all():
        row.locator(".row-more").click()
    expect(page.locator(".detail")).to_have_count(3)
    page.get_by_role("button", name="Type", exact=True).click()
    expect(page.locator(".menu-panel:visible")).to_contain_text("<img")
    prompt = page.locator(f"{ROWS}.k-prompt .row-text")
    expect(prompt).to_contain_text("⟨U+202E⟩gnp.exe red ␇")
    assert page.evaluate("window.hit") is None
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_keyboard_is_enough(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    server.post(session, *(flat(n, input_summary=f"step {n}") for n in range(5)))
    page = open_page(server.url("/", session=session))
    expect(page.locator(ROWS)).to_have_count(5)
    focused = "() => document.activeElement.dataset.key?.split('\\n')[1] ?? document.activeElement.id"
    page.keyboard.press("j")
    first = page.evaluate(focused)
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) != first
    page.keyboard.press("k")
    assert page.evaluate(focused) == first
    page.keyboard.press("Enter")
    expect(page.locator(".detail")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator(".detail")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("pause")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("/")
    assert page.evaluate(focused) == "search"
    page.keyboard.type(session)
    expect(page.locator("[data-session]")).to_have_count(1)
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    expect(page.get_by_label("Time", exact=True)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Time", exact=True)).to_be_hidden()


def test_on_a_phone_list_and_feed_are_two_views(
    server: ThreadServer, session: str, open_page: OpenPage
) -> None:
    server.post(session, *(flat(n, input_summary="a long summary " * 30) for n in range(3)))
    page = open_page(server.url("/"), viewport=PHONE, has_touch=True)
    page.locator(f'[data-session="{session}"]').tap()
    expect(page.locator(ROWS)).to_have_count(3)
    expect(page.locator("#sessions")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.get_by_role("button", name="Back to sessions").tap()
    expect(page.locator("#sessions")).to_be_visible()
    page.go_back()
    expect(page.locator(ROWS)).to_have_count(3)


def test_all_activity_names_the_sessions(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    page = open_page(server.url("/", session="*"))
    wait_for_live(page)
    server.post(session, flat(1, input_summary="of this session"))
    expect(page.locator(ROWS).filter(has_text="of this session")).to_contain_text(session)


def test_the_theme_is_remembered(server: ThreadServer, open_page: OpenPage) -> None:
    page = open_page(server.url("/"), color_scheme="dark")
    ground = "() => getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.get_by_role("button", name="Switch to light theme").click()
    assert page.evaluate(ground) != dark
    page.reload()
    assert page.evaluate(ground) != dark
    page.get_by_role("button", name="Switch to dark theme").click()
    assert page.evaluate(ground) == dark


def test_a_session_that_is_yet_to_come(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    page = open_page(server.url("/", session=session), forgive="404")
    note = page.locator("#feed-note")
    expect(note).to_contain_text("Nothing was published to this session yet")
    expect(page.locator("#headline")).to_contain_text("nothing published yet")
    expect(page.locator("#status")).to_contain_text("Waiting for events")
    wait_for_live(page)
    server.post(session, flat(1))
    expect(page.locator(ROWS)).to_have_count(1)
    expect(note).to_have_text("")
    expect(page.locator("#status")).to_contain_text("Live")


def failed(number: int) -> list[dict[str, object]]:
    """A call that fails, and others between it and its result."""
    said = "Exit code 2\nno rule to make target"
    call = flat(
        number, tool_name="Bash", status="started", input_summary=json.dumps({"command": f"make {number}"})
    )
    return [
        call,
        *(flat(number + n, tool_name="Read", status="completed") for n in range(1, 4)),
        {"event_id": f"e{number}:result", "event_type": "error", "status": "error", "tool_name": "Bash",
         "parent_event_id": f"e{number}", "output_summary": said},
    ]  # fmt: skip


def test_what_failed_is_shown_with_the_failures(
    server: ThreadServer, session: str, open_page: OpenPage
) -> None:
    lost = {"event_id": "x", "event_type": "error", "status": "error", "tool_name": "Bash"}
    server.post(session, {**lost, "parent_event_id": "nowhere", "output_summary": "not found"})
    server.post(session, *(event for n in range(0, 50, 10) for event in failed(n)))
    page = open_page(server.url("/", session=session, status="error"))
    expect(page.locator(ROWS)).to_have_count(6)
    expect(page.locator(f"{ROWS}.k-call")).to_have_count(5)
    row = page.locator(f"{ROWS}[data-key$=e40]")
    expect(row).to_contain_text("make 40")
    expect(row.locator(".row-under")).to_have_text("Exit code 2: no rule to make target")
    assert (page.locator(f"{ROWS}[data-key$=x]").inner_text()).count("not found") == 1
    wait_for_live(page)
    server.post(session, *failed(60))
    expect(page.locator(f"{ROWS}[data-key$=e60]")).to_contain_text("make 60")


def test_between_filtered_events_other_things_may_have_happened(
    server: ThreadServer, session: str, open_page: OpenPage
) -> None:
    server.post(
        session,
        *(flat(n, tool_name=("Read", "Edit")[n % 2], timestamp=stamp(1e9 + n * 900)) for n in range(3)),
    )
    page = open_page(server.url("/", session=session))
    expect(page.locator(".between").first).to_have_text("15m 00s without activity")
    page.goto(server.url("/", session=session, tool="Read"))
    expect(page.locator(".between")).to_have_text("no matching events for 30m 00s")


def test_each_delegation_is_told_once(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    begins = {"event_type": "delegation", "agent_type": "Explore", "source": "transcript"}
    server.post(
        session,
        flat(1, tool_name="Task", status="started", agent_id="claude-code"),
        {**begins, "event_id": "agent:a", "agent_id": "a", "parent_event_id": "e1", "title": "Look around"},
        {**begins, "event_id": "d2", "agent_id": "b", "title": "Look again"},
        flat(2, agent_id="b", parent_event_id="d2"),
    )
    page = open_page(server.url("/", session=session, type="delegation"))
    expect(page.locator(ROWS)).to_have_count(2)
    expect(page.locator(ROWS).first).to_contain_text("Look around")
    page.goto(server.url("/", session=session))
    expect(page.locator(ROWS)).to_have_count(3)
    expect(page.locator(ROWS).filter(has_text="began earlier")).to_have_count(0)


SCROLLED_TO_BEGINNING = """() => {
    document.getElementById("feed").scrollTop = 0;
    return document.getElementById("feed-top").textContent === "The beginning of the session";
}"""


def test_the_call_of_a_subagent_is_looked_for(
    server: ThreadServer, session: str, open_page: OpenPage
) -> None:
    agent = {"agent_id": "a", "agent_type": "Explore", "source": "transcript"}
    server.post(
        session,
        flat(0, tool_name="Task", status="started", agent_id="claude-code"),
        {**agent, "event_id": "d", "event_type": "delegation", "parent_event_id": "e0"},
        *(flat(n, agent_id="claude-code") for n in range(1, 150)),
    )
    server.post(session, *(flat(n, agent_id="claude-code") for n in range(150, 400)), {**flat(400), **agent})
    page = open_page(server.url("/", session=session))
    expect(page.locator(f"{ROWS}[data-key$=e399]")).to_be_in_viewport()
    page.wait_for_function(SCROLLED_TO_BEGINNING)
    expect(page.locator(f"{ROWS}[data-key$=e0]")).to_contain_text("1 step")
    expect(page.locator(f"{ROWS}[data-depth='1']")).to_have_count(1)
    expect(page.locator(f"{ROWS}.k-group")).to_have_count(0)


def test_messages_are_read_as_they_are_meant(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    said = f"## Done\n\n**Four** of `x`:\n\n- one {HOSTILE}\n\n| a | b |\n|---|---|\n| c | d |\n\n```\n<b>code</b>\n```"
    server.post(
        session,
        {"event_id": "c", "event_type": "user_prompt", "input_summary": "<command-name>/model</command-name>"},
        {"event_id": "p", "event_type": "user_prompt", "input_summary": "Go on<system-reminder>Be brief.</system-reminder>"},
        {"event_id": "m", "event_type": "message", "output_summary": said},
    )  # fmt: skip
    page = open_page(server.url("/", session=session))
    expect(page.locator(f"{ROWS}[data-key$=c]")).to_contain_text("Command/model")
    expect(page.locator(f"{ROWS}[data-key$=p] .row-text")).to_have_text("Go on")
    row = page.locator(f"{ROWS}[data-key$=m]")
    expect(row.locator(".row-text")).to_contain_text("Done\nFour of x:")
    row.locator(".row-more").click()
    expect(row.locator(".prose-block strong")).to_have_text("Four")
    expect(row.locator(".prose-block td")).to_have_text(["c", "d"])
    expect(row.locator(".prose-block pre")).to_have_text("<b>code</b>")
    expect(row.locator(".prose-list")).to_contain_text("<img src=x")
    assert page.evaluate("window.hit") is None
    assert page.locator("main img, main script").count() == 0
    page.locator(f"{ROWS}[data-key$=p] .row-more").click()
    expect(page.get_by_text("Be brief.")).to_be_hidden()
    page.get_by_text("System reminder").click()
    expect(page.get_by_text("Be brief.")).to_be_visible()


def test_a_new_session_is_hinted_at_on_the_page_of_an_ended_one(
    server: ThreadServer, session: str, open_page: OpenPage
) -> None:
    server.post(session, flat(1), {"event_id": "z", "event_type": "end"})
    page = open_page(server.url("/", session=session))
    wait_for_live(page)
    hint = page.locator("#hint")
    expect(hint).to_be_hidden()
    other = f"{session}-next"
    server.post(other, {"event_type": "user_prompt", "input_summary": "And now this"})
    expect(hint).to_contain_text("A new session has begun: And now this")
    hint.get_by_role("button", name="Show it").click()
    expect(page.locator(ROWS)).to_contain_text("And now this")
    expect(hint).to_be_hidden()
    assert f"session={other}" in page.url


@pytest.mark.parametrize("width", [390, 1100])
def test_narrow_pages_keep_the_figures(
    server: ThreadServer, session: str, open_page: OpenPage, width: int
) -> None:
    server.post(session, *(flat(n, timestamp=stamp(1e9 + n * 60), cost_tokens=5) for n in range(4)))
    page = open_page(server.url("/", session=session), viewport={"width": width, "height": 800})
    for name in ("active", "tool calls", "errors", "output tokens"):
        expect(page.locator(".figure", has_text=name)).to_be_in_viewport()
    expect(page.locator(f"{ROWS} .row-time").first).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_session_that_ends_and_goes_on(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    server.post(session, flat(1))
    page = open_page(server.url("/", session=session))
    wait_for_live(page)
    assert server.http.post(f"/api/v1/streams/session:{session}/end").status_code == 200
    expect(page.locator("#status")).to_contain_text("The session has ended")
    server.post(session, flat(2))
    expect(page.locator(ROWS)).to_contain_text("Edit")
    wait_for_live(page)
