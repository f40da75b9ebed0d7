"""Watch what a coding agent's session costs, and say when it gets expensive.

    python cost-monitor.py SESSION [--budget 100000] [--event 5000] [--url ws://localhost:8000]

Prints a line for every event of at least `--event` output tokens and when `--budget` is passed. Begins with the
first event of the session; if the connection breaks, it goes on right after the last event it has seen.
"""

import argparse
import asyncio
import json
import random
import re
from urllib.parse import quote, urlencode

import websockets

FINAL_CLOSE_CODES = {1000, 1002, 1003, 1007, 1008, 1009, 1010}


class Costs:
    """Adds up tokens by tool and tells when a limit is passed."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.total = 0
        self.by_tool: dict[str, int] = {}

    def add(self, event: dict) -> None:
        tokens, tool = event["cost_tokens"], event["tool_name"] or event["event_type"]
        before, self.total = self.total, self.total + tokens
        self.by_tool[tool] = self.by_tool.get(tool, 0) + tokens
        if before < self.budget <= self.total:
            print(f"OVER BUDGET: {self.total:,} of {self.budget:,} tokens, {self.top()}", flush=True)

    def top(self) -> str:
        top = sorted(self.by_tool.items(), key=lambda entry: -entry[1])[:3]
        return "most for " + ", ".join(f"{tool} ({tokens:,})" for tool, tokens in top)


async def monitor(url: str, session: str, costs: Costs, event_limit: int) -> None:
    cursor, failures = "start", 0
    while True:
        query = urlencode({"after": cursor})
        try:
            async with websockets.connect(f"{url}/ws/events/{quote(session, safe='')}?{query}") as socket:
                failures = 0
                async for message in messages(socket, session if cursor == "start" else None):
                    frame = json.loads(message)
                    if frame["type"] == "error":
                        raise SystemExit(frame["message"])
                    if frame["type"] == "reset":  # the session was cleared and begins anew
                        costs.total, costs.by_tool = 0, {}
                    for event in frame["events"]:
                        costs.add(event)
                        if event["cost_tokens"] >= event_limit:
                            print(describe(event, costs.total), flush=True)
                    cursor = frame["events"][-1]["cursor"] if frame["events"] else frame.get("cursor", cursor)
        except websockets.ConnectionClosed as closed:
            if closed.rcvd and closed.rcvd.code in FINAL_CLOSE_CODES:
                raise SystemExit(f"closed: {closed.rcvd.reason or closed.rcvd.code}") from None
        except OSError as error:
            print(f"not connected: {error}", flush=True)
        failures += 1
        await asyncio.sleep(min(0.25 * 2**failures, 30) * random.uniform(0.5, 1))


async def messages(socket: websockets.ClientConnection, new: str | None):
    if new:
        try:
            yield await asyncio.wait_for(socket.recv(), 2)
        except TimeoutError:
            print(f"nothing of session {new} so far: waiting for its first event", flush=True)
    async for message in socket:
        yield message


def describe(event: dict, total: int) -> str:
    what = event["tool_name"] or event["event_type"]
    summary = (event["input_summary"] or event["output_summary"] or "").replace("\n", " ")[:60]
    return f"{event['timestamp'][11:19]}  {event['cost_tokens']:>8,} tokens  {what:<12} {summary}  (total {total:,})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Say when a session gets expensive.")
    parser.add_argument("session")
    parser.add_argument("--budget", type=int, default=100_000, help="output tokens of the whole session")
    parser.add_argument("--event", type=int, default=5_000, help="output tokens of one event")
    parser.add_argument("--url", default="ws://localhost:8000", help="http://… is as good")
    options = parser.parse_args()
    costs = Costs(options.budget)
    try:
        asyncio.run(monitor(re.sub("^http", "ws", options.url), options.session, costs, options.event))
    except KeyboardInterrupt:
        print(f"{costs.total:,} tokens; {costs.top()}" if costs.by_tool else "nothing was spent")


if __name__ == "__main__":
    main()
