"""Talk to the chat in a terminal: streams the answer, and goes on where it was when the connection breaks.

python chat_client.py --token "$(runcast token print me)" "What is the engine power?"
"""

from __future__ import annotations

import argparse
import asyncio
import json

import websockets


async def chat(url: str, token: str, question: str, session_id: str | None) -> None:
    """Ask, and print the answer as it comes."""
    cursor = None
    async for socket in websockets.connect(f"{url}?partial=0"):  # again, when it breaks
        try:
            await socket.send(json.dumps({"type": "auth", "token": token}))
            answer = json.loads(await socket.recv())
            if answer["type"] != "auth_success":
                raise SystemExit(answer["message"])
            if cursor is None:
                await say(socket, type="message", message=question, session_id=session_id)
            else:
                await say(socket, type="resume", session_id=session_id, after=cursor)
            async for text in socket:
                frame = json.loads(text)
                cursor = frame.get("cursor", cursor)
                session_id = frame.get("session_id", session_id)
                if show(frame):
                    return
        except websockets.ConnectionClosed as closed:
            if closed.rcvd and closed.rcvd.code == 1008:  # a client that comes back is refused again
                raise SystemExit(closed.rcvd.reason) from None


async def say(socket: websockets.ClientConnection, **frame: str | None) -> None:
    """Send a frame."""
    await socket.send(json.dumps(frame))


def show(frame: dict[str, object]) -> bool:
    """Print a frame; true for the last one of an answer."""
    match frame["type"]:
        case "progress":
            print(f"[{frame['step']}] {frame['message']}")
        case "token":
            print(frame["token"], end="", flush=True)
        case "complete":
            metadata = frame["metadata"]
            assert isinstance(metadata, dict)
            print(f"\n\nAgent: {metadata['agent']}. Sources: {', '.join(metadata['context']['sources'])}")
            return True
        case "error":
            print(f"\nError: {frame['error']}")
            return True
        case _:
            pass
    return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question")
    parser.add_argument("--token", required=True)
    parser.add_argument("--url", default="ws://localhost:8000/ws/chat")
    parser.add_argument("--session")
    given = parser.parse_args()
    asyncio.run(chat(given.url, given.token, given.question, given.session))
