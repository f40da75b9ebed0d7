"""What the chat document shows: every frame has the fields that it shows, of their types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.documents.snippets import snippets
from tests.support.chat_server import ChatServer
from tests.support.chatting import say
from tests.support.clients import open_ws, receive

DOCUMENT = "003_b00b2b8cdee7bc14.txt"


def documented(heading: str) -> dict[str, Any]:
    (found,) = [one.code for one in snippets(DOCUMENT) if one.heading == heading and one.language == "json"]
    return json.loads(found)


def has_all_of(told: Any, shown: Any) -> bool:
    """Whether everything that is shown is there, of its type."""
    if isinstance(shown, dict):
        return isinstance(told, dict) and all(
            name in told and has_all_of(told[name], value) for name, value in shown.items()
        )
    if isinstance(shown, list):
        return isinstance(told, list) and all(has_all_of(one, shown[0]) for one in told)
    return isinstance(told, type(shown))


def test_all_frames_of_an_exchange_are_as_documented(tmp_path: Path) -> None:
    with ChatServer(tmp_path / "log.db") as server, open_ws(server.chat()) as ws:
        say(ws, **documented("Authentication"))
        failed = receive(ws)
        say(ws, **{**documented("Authentication"), "token": server.token("ann")})
        known = receive(ws)
        frames: list[dict[str, Any]] = []
        message = documented("Send Message")
        say(ws, **message)
        while not frames or frames[-1]["type"] != "complete":
            frames.append(receive(ws))
        say(ws, **{**message, "message": ""})
        error = receive(ws)
    print("", *(json.dumps(frame) for frame in [failed, known, *frames, error]), sep="\n")
    by_type = {frame["type"]: frame for frame in [failed, known, *frames, error]}
    for heading in (
        "Authentication Success",
        "Authentication Error",
        "Progress Updates",
        "Streaming Tokens",
        "Complete Response",
        "Error",
    ):
        shown = documented(heading)
        assert has_all_of(by_type[shown["type"]], shown), heading
    assert by_type["complete"]["session_id"] == message["session_id"]
    assert by_type["error"]["code"] == "EMPTY_MESSAGE"


def test_no_frame_of_the_document_is_left_out() -> None:
    shown = [one for one in snippets(DOCUMENT) if one.language == "json"]
    types = [json.loads(one.code)["type"] for one in shown]
    known = {"auth", "message", "auth_success", "auth_error", "progress", "token", "complete", "error"}
    assert set(types) == known


@pytest.mark.parametrize("path", ["/ws/test", "/api/v1/chat"])
def test_the_documented_addresses_are_there(tmp_path: Path, path: str) -> None:
    with ChatServer(tmp_path / "log.db") as server:
        assert server.http.get(path).status_code in {200, 401}
