"""Take the README's picture of the live page, from the real page on a real server: docs/images/live-page.png.

    python scripts/screenshot.py [--scheme light] [--out FILE]

Needs Debian's chromium; looks best with the fonts Inter and JetBrains Mono installed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.server import ThreadServer  # noqa: E402

SIZE: Any = {"width": 1400, "height": 900}
Event = dict[str, Any]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scheme", choices=["dark", "light"], default="dark")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "live-page.png")
    options = parser.parse_args()
    with ThreadServer() as server, sync_playwright() as playwright:
        for session, events in sessions():
            server.post(session, *events)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme=options.scheme, reduced_motion="reduce")
        page.goto(server.url("/", session="checkout-retries"))
        page.locator(".row.running").last.wait_for()
        page.locator(".chart-line").wait_for(state="attached")
        page.evaluate("document.fonts.ready")
        page.screenshot(path=options.out)
        browser.close()
    print(f"{options.out}: {options.out.stat().st_size / 1024:.0f} KiB")


class Story:
    """One session, told backwards from now: each event says how many seconds ago it was."""

    def __init__(self, model: str = "claude-opus-4-6") -> None:
        self.model = model
        self.events: list[Event] = []

    def add(self, ago: float, event_type: str, **fields: Any) -> Story:
        at = datetime.fromtimestamp(time.time() - ago, UTC).isoformat()
        number = len(self.events)
        event = {"event_id": f"n{number}", "agent_id": "claude-code", "model": self.model, **fields}
        self.events.append({**event, "event_type": event_type, "timestamp": at})
        return self

    def call(self, ago: float, tool: str, given: Event, took: float, says: str = "", **fields: Any) -> Story:
        """A call and its result; without `took` it runs still, and with `failed` it failed."""
        call_id, failed = f"toolu_{len(self.events)}", fields.pop("failed", False)
        self.add(
            ago,
            "tool_call",
            event_id=call_id,
            tool_name=tool,
            status="started",
            input_summary=json.dumps(given),
            **fields,
        )
        if not took:
            return self
        fields.pop("cost_tokens", None)
        return self.add(
            ago - took,
            "error" if failed else "tool_result",
            event_id=f"{call_id}:result",
            parent_event_id=call_id,
            tool_name=tool,
            status="error" if failed else "completed",
            execution_duration_seconds=took,
            output_summary=says,
            **fields,
        )


def sessions() -> Iterator[tuple[str, list[Event]]]:
    other = Story("claude-sonnet-4-5").add(
        9_000, "user_prompt", input_summary="Translate the onboarding mails to Portuguese"
    )
    yield (
        "onboarding-mails",
        other.call(8_900, "Write", {"file_path": "mails/pt/welcome.md"}, 0.4, cost_tokens=2_140).events,
    )
    docs = Story().add(2_700, "user_prompt", input_summary="Bring the API reference up to date")
    yield (
        "api-reference",
        docs.call(2_600, "Bash", {"command": "make docs"}, 21, "ok", cost_tokens=5_310).events,
    )
    flaky = Story().add(400, "user_prompt", input_summary="Find out why the nightly build is flaky")
    flaky.call(380, "Grep", {"pattern": "sleep\\(", "path": "tests"}, 0.3, cost_tokens=310)
    yield (
        "nightly-build",
        flaky.call(
            90, "Bash", {"command": "npm test"}, 60, "Exit code 1", failed=True, cost_tokens=1_840
        ).events,
    )
    yield "checkout-retries", checkout().events


def checkout() -> Story:
    story = Story()
    story.add(
        770,
        "user_prompt",
        input_summary="Payments fail when the provider times out. Make checkout retry safely, never charging twice.",
    )
    story.add(765, "message", output_summary="I'll read the checkout flow first.", cost_tokens=420)
    for number, path in enumerate(
        ["checkout/flow.py", "checkout/provider.py", "checkout/models.py", "checkout/errors.py"]
    ):
        story.call(
            755 - 8 * number, "Read", {"file_path": f"/shop/{path}"}, 0.2, "…", cost_tokens=160 + 60 * number
        )
    story.add(640, "thinking", output_summary="Charging twice is the danger: a timeout does not say whether the charge went through. So each attempt needs the same idempotency key.", cost_tokens=900)  # fmt: skip
    story.call(
        600, "WebSearch", {"query": "payment provider idempotency key retention"}, 2.8, "…", cost_tokens=140
    )
    story.call(540, "Edit", {"file_path": "/shop/checkout/provider.py"}, 0.4, "…", cost_tokens=1_240)
    story.call(470, "Edit", {"file_path": "/shop/checkout/flow.py"}, 0.3, "…", cost_tokens=980)
    story.call(420, "Bash", {"command": "pytest tests/checkout -q"}, 14.2, "Exit code 1\nFAILED test_retry.py::test_charges_once - assert 2 == 1", failed=True, cost_tokens=120)  # fmt: skip
    story.add(398, "message", output_summary="One test charges twice: the key is made anew on each attempt. I'll have a subagent look for every other place that makes one, and fix this one meanwhile.", cost_tokens=310)  # fmt: skip
    story.call(390, "Task", {"description": "Find every place that makes an idempotency key", "subagent_type": "Explore"}, 71, "3 places", cost_tokens=260)  # fmt: skip
    caller = "toolu_" + next(
        str(at) for at, event in enumerate(story.events) if event.get("tool_name") == "Task"
    )
    agent = {"agent_id": "a7be2f0", "agent_type": "Explore"}
    story.add(389, "delegation", parent_event_id=caller, **agent)
    story.call(
        386, "Grep", {"pattern": "idempotency_key", "path": "/shop"}, 0.4, "…", cost_tokens=80, **agent
    )
    story.call(370, "Read", {"file_path": "/shop/refunds/worker.py"}, 0.2, "…", cost_tokens=95, **agent)
    story.call(345, "Read", {"file_path": "/shop/subscriptions/renew.py"}, 0.2, "…", cost_tokens=130, **agent)
    story.call(300, "Edit", {"file_path": "/shop/checkout/flow.py"}, 0.4, "…", cost_tokens=640)
    story.add(
        270,
        "cost_alert",
        output_summary="80 % of this session's token budget is spent: 6,416 of 8,000.",
        percent=80,
    )
    story.call(240, "Bash", {"command": "pytest tests/checkout -q"}, 13.1, "41 passed", cost_tokens=90)
    story.add(205, "message", output_summary="All 41 pass, and a timeout now retries with the key of the first attempt. The whole suite is next.", cost_tokens=380)  # fmt: skip
    return story.call(48, "Bash", {"command": "pytest -q --maxfail=5"}, 0, cost_tokens=70)


if __name__ == "__main__":
    main()
