"""Going back: scrolling to the first event, a hundred thousand of them, time travel, a server that was away."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.support.process import ServeProcess
from tests.support.server import ThreadServer, flats
from tests.web.conftest import OpenPage, events_shown, publish_many, stamp

pytestmark = pytest.mark.needs("chromium")

ROWS = "#rows > .row"
START = 1_767_225_600
MOST_NODES = 6_000
"""Elements in the whole document, however long the session is."""

SCROLL_TO_TOP = """() => new Promise((done) => {
    const feed = document.getElementById("feed");
    const seen = new Set();
    let most = 0;
    const step = () => {
        for (const row of document.querySelectorAll("#rows > .row")) seen.add(row.dataset.key.split("\\n")[1]);
        most = Math.max(most, document.getElementsByTagName("*").length);
        if (document.getElementById("feed-top").textContent.startsWith("The beginning") && feed.scrollTop < 1) {
            done({ seen: seen.size, most });
        } else {
            feed.scrollTop -= 700;
            requestAnimationFrame(step);
        }
    };
    step();
})"""

SCROLL_FOR_A_WHILE = """(frames) => new Promise((done) => {
    const feed = document.getElementById("feed");
    const times = [];
    let most = 0;
    let before = performance.now();
    const step = (now) => {
        times.push(now - before);
        before = now;
        most = Math.max(most, document.getElementsByTagName("*").length);
        if (times.length > frames) {
            times.sort((a, b) => a - b);
            done({ median: times[frames >> 1], p99: times[Math.floor(frames * 0.99)], worst: times.at(-1), most });
        } else {
            feed.scrollTop -= 500;
            requestAnimationFrame(step);
        }
    };
    requestAnimationFrame(step);
})"""


def test_back_to_the_first_of_five_thousand(
    server: ThreadServer, long_session: str, open_page: OpenPage
) -> None:
    page = open_page(server.url("/", session=long_session))
    expect(page.locator(ROWS).last).to_be_visible()
    told = page.evaluate(SCROLL_TO_TOP)
    assert told["seen"] == 5_000  # every one of them has been in sight or near
    assert told["most"] < MOST_NODES
    assert events_shown(page)[0] == "e0"
    page.keyboard.press("G")
    expect(page.locator(f"{ROWS}[data-key$=e4999]")).to_be_in_viewport()
    page.keyboard.press("g")
    expect(page.locator(f"{ROWS}[data-key$=e0]")).to_be_in_viewport()


def test_a_hundred_thousand_events(
    open_page: OpenPage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with ThreadServer(tmp_path / "log.db") as server:
        publish_many(server, "huge", 100_000)
        page = open_page(server.url("/", session="huge"))
        expect(page.locator(f"{ROWS}[data-key$=e99999]")).to_be_visible()
        told = page.evaluate(SCROLL_FOR_A_WHILE, 120)
        heap = page.evaluate("performance.memory?.usedJSHeapSize ?? 0") / 2**20
        with capsys.disabled():  # a figure to look at, not to depend on
            print(
                f"\n100,000 events: {told['most']} elements, {heap:.0f} MiB of JavaScript; frames in ms: {told}"
            )
        assert told["most"] < MOST_NODES
        jump(page, START + 50_000)
        expect(page.locator(f"{ROWS}[data-key$=e50000]")).to_be_in_viewport()
        page.goto("about:blank")  # before its server goes


def jump(page: Page, time: float) -> None:
    page.keyboard.press("t")
    local = page.evaluate(
        "(t) => new Date(t - new Date(t).getTimezoneOffset() * 60000).toISOString()", time * 1000
    )
    page.get_by_label("Time", exact=True).fill(local[:19])
    page.keyboard.press("Enter")
    expect(page.locator("#player")).to_be_visible()


def test_time_travel(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    calls = [
        {
            "event_id": f"c{n}",
            "event_type": "tool_call",
            "tool_name": "Bash",
            "status": "started",
            "timestamp": stamp(START + n),
        }
        for n in range(0, 40, 4)
    ]
    results = [
        {
            "event_id": f"c{n}:result",
            "event_type": "tool_result",
            "parent_event_id": f"c{n}",
            "tool_name": "Bash",
            "status": "completed",
            "timestamp": stamp(START + n + 2),
        }
        for n in range(0, 40, 4)
    ]
    server.post(session, *sorted(calls + results, key=lambda event: event["timestamp"]))
    page = open_page(server.url("/", session=session, at=stamp(START + 21)))
    expect(page.locator(ROWS)).to_have_count(6)  # what came later is not shown
    expect(page.locator(f"{ROWS}[data-key$=c16]")).to_have_class(re.compile(r"\bdone\b"))
    running = page.locator(f"{ROWS}[data-key$=c20]")
    expect(running).to_have_class(re.compile(r"\brunning\b"))  # as it was then
    expect(running.locator(".took")).to_have_text("1\u202fs")
    expect(page.locator("#status")).to_contain_text("In the past")
    server.post(session, {"event_id": "new", "event_type": "message", "output_summary": "meanwhile"})
    expect(page.locator("#player")).to_contain_text("1 new meanwhile")
    page.get_by_role("button", name="Next event").click()
    expect(running).to_have_class(re.compile(r"\bdone\b"))
    page.get_by_label("Skip idle time").uncheck()
    page.get_by_label("Speed").select_option("10")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(f"{ROWS}[data-key$=c36]")).to_have_class(re.compile(r"\bdone\b"))
    page.get_by_role("button", name="Back to live").click()
    expect(page.locator(ROWS).last).to_contain_text("meanwhile")
    expect(page.locator("#status")).to_contain_text("Live")
    assert "at=" not in page.url


def test_play_to_the_present_is_live(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    server.post(
        session,
        *({"event_id": f"e{n}", "event_type": "note", "timestamp": stamp(START + n)} for n in range(20)),
    )
    page = open_page(server.url("/", session=session, at=stamp(START + 5)))
    expect(page.locator(ROWS)).to_have_count(6)
    page.get_by_label("Speed").select_option("60")
    page.keyboard.press("p")
    expect(page.locator("#status")).to_contain_text("Live")
    assert events_shown(page) == [f"e{n}" for n in range(20)]


def test_the_chart_leads_to_its_time(server: ThreadServer, long_session: str, open_page: OpenPage) -> None:
    page = open_page(server.url("/", session=long_session))
    chart = page.get_by_role("img", name="Cost over time")
    expect(chart).to_have_attribute("aria-label", re.compile("100 errors"))
    box = chart.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 40)
    expect(page.locator("#player")).to_be_visible()
    shown = re.search(r"at=([^&]+)", page.url)
    assert shown
    middle = events_shown(page)[-1]
    assert 2_300 < int(middle[1:]) < 2_700
    page.get_by_label("Moment").fill("100")
    expect(page.locator(f"{ROWS}.k-result, {ROWS}").last).to_be_visible()
    page.wait_for_function(f"() => !location.search.includes('{shown[1]}')")
    page.get_by_role("button", name="Show what follows").click()
    expect(page.locator("#player")).to_be_hidden()
    page.go_back()
    expect(page.locator("#status")).to_contain_text("Live")


def test_a_server_that_was_away(open_page: OpenPage, tmp_path: Path) -> None:
    with ServeProcess(tmp_path / "log.db") as server:
        server.post("s", *flats(range(5)))
        page = open_page(server.url("/", session="s"), forgive="ERR_CONNECTION_REFUSED")
        expect(page.locator(ROWS)).to_have_count(5)
        expect(page.locator("#status .pill")).to_have_attribute("data-phase", "live")
        server.kill()
        expect(page.locator("#status")).to_contain_text(re.compile("Reconnecting"))
        server.start()
        server.post("s", *flats(range(5, 47)))
        if page.get_by_role("button", name="Try now").is_visible():
            page.keyboard.press("Escape")
        expect(page.locator("#toasts")).to_contain_text("42 events caught up, nothing missed", timeout=15_000)
        server.post("s", *flats(range(47, 50)))
        expect(page.locator(f"{ROWS}[data-key$=e49]")).to_be_visible()
        ids = page.evaluate(SCROLLED_IDS)
        assert sorted(ids, key=lambda one: int(one[1:])) == [f"e{n}" for n in range(50)]


SCROLLED_IDS = """async () => {
    const feed = document.getElementById("feed");
    const seen = new Map();
    for (feed.scrollTop = 0; ; feed.scrollTop += 200) {
        await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
        for (const row of document.querySelectorAll("#rows > .row[aria-posinset]")) {
            seen.set(row.getAttribute("aria-posinset"), row.dataset.key.split("\\n")[1]);
        }
        if (feed.scrollTop + feed.clientHeight >= feed.scrollHeight - 1) return [...seen.values()];
    }
}"""


def test_a_cleared_session_is_told(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    server.post(session, *flats(range(3)))
    page = open_page(server.url("/", session=session))
    expect(page.locator(ROWS)).to_have_count(3)
    expect(page.locator("#status .pill")).to_have_attribute("data-phase", "live")
    assert server.http.delete(f"/api/v1/streams/session:{session}").status_code == 200
    server.post(session, json.loads('{"event_id": "after", "event_type": "note", "output_summary": "anew"}'))
    expect(page.locator("#toasts")).to_contain_text("begun anew")
    expect(page.locator(ROWS)).to_have_count(1)
    expect(page.locator(ROWS)).to_contain_text("anew")


def late_subagent(main: int) -> list[dict[str, Any]]:
    """A session as an import may leave it: all of the main agent, a second apart, then what its subagent did long before."""
    steps: list[dict[str, Any]] = [
        {"event_id": f"m{n}", "event_type": "note", "agent_id": "claude-code", "timestamp": stamp(START + n)}
        for n in range(main)
    ]
    steps[10] = {
        "event_id": "task",
        "event_type": "tool_call",
        "tool_name": "Task",
        "status": "started",
        "agent_id": "claude-code",
        "timestamp": stamp(START + 10),
    }
    agent = {"agent_id": "sub", "agent_type": "Explore", "source": "transcript"}
    begins = {
        "event_id": "agent:sub",
        "event_type": "delegation",
        "parent_event_id": "task",
        "cost_tokens": 1,
    }
    return [
        *steps,
        {**agent, **begins, "timestamp": stamp(START + 11)},
        *(
            {**agent, "event_id": f"s{n}", "event_type": "note", "timestamp": stamp(START + 12 + n)}
            for n in range(6)
        ),
    ]


def test_time_travel_goes_by_time_not_by_place(
    server: ThreadServer, session: str, open_page: OpenPage
) -> None:
    server.post(session, *late_subagent(40))
    page = open_page(server.url("/", session=session, at=stamp(START + 15)))
    # 16 of the main agent until then, and its subagent's four under their call
    expect(page.locator(f"{ROWS}[data-depth='1']")).to_have_count(4)
    assert events_shown(page) == [
        *(f"m{n}" for n in range(10)),
        "task",
        *(f"s{n}" for n in range(4)),
        *(f"m{n}" for n in range(11, 16)),
    ]
    expect(page.locator(".figure", has_text="events by then")).to_contain_text("21")
    page.keyboard.press(".")
    expect(page.locator(f"{ROWS}[data-depth='1']")).to_have_count(5)


def test_playing_loses_nothing_on_the_way_to_the_present(
    server: ThreadServer, session: str, open_page: OpenPage
) -> None:
    events = late_subagent(320)
    for first in range(0, len(events), 200):
        server.post(session, *events[first : first + 200])
    page = open_page(server.url("/", session=session, at=stamp(START + 15)))
    expect(page.locator(f"{ROWS}[data-depth='1']")).to_have_count(4)  # they stand 300 events further on
    page.get_by_label("Speed").select_option("10")
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.locator(f"{ROWS}[data-depth='1']")).to_have_count(6)
    expect(page.locator("#status")).to_contain_text("In the past")  # the end of the log is not the present
    expect(page.locator(f"{ROWS}[data-key$=m30]")).to_be_visible()
    page.get_by_role("button", name="Back to live").click()
    expect(page.locator(f"{ROWS}[data-key$=m319]")).to_be_in_viewport()
    expect(page.locator("#status .pill")).to_have_attribute("data-phase", "live")
    server.post(session, {"event_id": "new", "event_type": "note", "output_summary": "live"})
    expect(page.locator(f"{ROWS}[data-key$=new]")).to_be_visible()
    ids = page.evaluate(SCROLLED_IDS)
    numbers = [int(one[1:]) for one in ids if re.fullmatch(r"m\d+", one)]
    assert numbers == [n for n in range(320) if n != 10]  # without a hole, up to what is new
    assert "new" in ids


def test_a_session_with_a_late_afterthought(server: ThreadServer, session: str, open_page: OpenPage) -> None:
    events = [
        {"event_id": f"e{n}", "event_type": "note", "timestamp": stamp(START + n * 30), "cost_tokens": 10}
        for n in range(120)
    ]
    late = {"event_id": "late", "event_type": "note", "timestamp": stamp(START + 281 * 86_400)}
    server.post(session, *events, late)
    page = open_page(server.url("/", session=session))
    expect(page.locator(".figure", has_text="active")).to_contain_text("59m")
    expect(page.locator(".chart-legend")).to_contain_text("1.2k output tokens in 59m")
    expect(page.locator(".chart-break")).to_have_count(1)
    bars = page.locator(".chart-bar")
    assert bars.count() > 60
    first, last = bars.first.bounding_box(), bars.last.bounding_box()
    assert first is not None
    assert last is not None
    assert last["x"] - first["x"] > 700  # not in two pixels
