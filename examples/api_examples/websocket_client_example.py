"""Start a workflow and watch its agents work, until their synthesis is there.

    python websocket_client_example.py                       # offers some tasks
    python websocket_client_example.py "Compare SSE and WebSocket" [--url http://localhost:8000] [--key KEY]

Needs `pip install websockets`. If the connection breaks, it goes on right after the last event it has seen; Ctrl-C
cancels the workflow. Exits with 1 if the workflow did not complete.
"""

import argparse
import asyncio
import json
import random
import sys
import urllib.error
import urllib.request

import websockets

TASKS = [
    "Explain how a durable log makes live streams resumable",
    "Compare WebSocket and server-sent events for a dashboard",
    "List what can go wrong when agents run in parallel",
]
FINAL_CLOSE_CODES = {1002, 1003, 1007, 1008, 1009, 1010}


class Server:
    """The server's REST routes that are needed here."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/")
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}

    def ask(self, method: str, path: str, body: dict | None = None) -> dict:
        data = None if method == "GET" else json.dumps(body or {}).encode()
        headers = {**self.headers, "Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                detail = json.load(error).get("detail", error.reason)
            raise SystemExit(f"{error.code}: {detail}") from None
        except OSError as error:
            raise SystemExit(f"{self.url} cannot be reached: {error}") from None

    async def frames(self, workflow_id: str):
        """The workflow's frames, each once; reconnects with its cursor."""
        address, cursor, failures = self.url.replace("http", "ws", 1), "start", 0
        while True:
            uri = f"{address}/api/v1/ws/workflows/{workflow_id}?after={cursor}"
            try:
                async with websockets.connect(uri, additional_headers=self.headers) as socket:
                    failures = 0
                    async for message in socket:
                        frame = json.loads(message)
                        cursor = frame.get("cursor", cursor)
                        if frame["type"] == "ping":
                            await socket.send("pong")
                        else:
                            yield frame
                    return
            except websockets.ConnectionClosed as closed:
                if closed.rcvd and closed.rcvd.code in FINAL_CLOSE_CODES:
                    raise SystemExit(f"closed: {closed.rcvd.reason}") from None
            except OSError as error:
                print(f"not connected: {error}", file=sys.stderr)
            failures += 1
            await asyncio.sleep(min(0.25 * 2**failures, 30) * random.uniform(0.5, 1))


async def watch(server: Server, workflow_id: str, interactive: bool) -> dict:
    """Show what happens; returns the frame with which it ended."""
    speaking = None
    async for frame in server.frames(workflow_id):
        agent = frame.get("agent_id")
        if speaking and (agent != speaking or frame["type"] != "agent_output"):
            print()
            speaking = None
        match frame["type"]:
            case "workflow_status":
                print(f"[{frame['status']}]", flush=True)
            case "agent_spawned":
                print(f"+ {agent} ({frame['agent_type']}) after {frame['spawn_time']:.1f} s", flush=True)
            case "agent_output":
                print(frame["content"] if speaking else f"  {agent}: {frame['content']}", end="", flush=True)
                speaking = agent
            case "agent_completed":
                print(f"- {agent}: {frame['tokens']} tokens, {percent(frame['confidence'])} sure", flush=True)
            case "workflow_progress":
                left = frame["eta_seconds"]
                print(
                    f"  {frame['percent']:.0f} %" + (f", about {left:.0f} s left" if left else ""), flush=True
                )
            case "approval_requested" if interactive:
                await asyncio.to_thread(answer, server, frame)
            case "workflow_complete" | "workflow_error":
                return frame
            case "error":
                raise SystemExit(frame["message"])
    raise SystemExit("the workflow's stream has ended without a result")


def answer(server: Server, frame: dict) -> None:
    said = input(f"? {frame['question']} [y/N] ").strip().lower()
    server.ask("POST", f"/api/v1/approvals/{frame['approval_id']}", {"approved": said in {"y", "yes"}})


def percent(confidence: float | None) -> str:
    return "not said how" if confidence is None else f"{confidence:.0%}"


def choose() -> str:
    for number, task in enumerate(TASKS, 1):
        print(f"{number}. {task}")
    said = input("Which one? A number, or a task of your own: ").strip()
    return TASKS[int(said) - 1] if said.isdecimal() and 0 < int(said) <= len(TASKS) else said


def main() -> None:
    parser = argparse.ArgumentParser(description="Start a workflow and watch its agents work.")
    parser.add_argument("task", nargs="?", help="what is to be done; without it, some are offered")
    parser.add_argument("--url", default="http://localhost:8000")
    parser.add_argument("--key", help="an API key or a token, if the server asks for one")
    options = parser.parse_args()
    server = Server(options.url, options.key)
    status = server.ask("POST", "/api/v1/system/start")
    print(f"{options.url} is {status['status']}, answering with {status['llm_provider']}")
    task = options.task or choose()
    workflow_id = server.ask("POST", "/api/v1/workflows", {"task": task, "max_steps": 10})["workflow_id"]
    print(f"{workflow_id}: {task}", flush=True)
    try:
        end = asyncio.run(watch(server, workflow_id, interactive=options.task is None))
    except KeyboardInterrupt:
        server.ask("POST", f"/api/v1/workflows/{workflow_id}/cancel")
        raise SystemExit(f"\n{workflow_id} is cancelled") from None
    if end["type"] == "workflow_error":
        raise SystemExit(f"{end['status']}: {end['error']}")
    synthesis = end["synthesis"]
    print(
        f"\n{synthesis['content']}\n\n{percent(synthesis['confidence'])} sure, {synthesis['agents_synthesized']} agents"
    )


if __name__ == "__main__":
    main()
