"""A process that is about to end: its answers come to their ends, and what is left is another process's."""

from __future__ import annotations

from pathlib import Path

from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, known, say, text_of, until
from tests.support.clients import open_ws
from tests.support.server import in_background


def drain(server: ChatServer, over_s: float) -> None:
    """What a signal does, but for closing connections."""

    async def begin() -> None:
        server.chats.draining.begin(over_s)

    server.run(begin())


def ended(server: ChatServer) -> None:
    """Until nothing is on its way."""
    server.run(server.chats.draining.end())


def test_what_is_on_its_way_comes_to_its_end_and_nothing_else_begins(tmp_path: Path) -> None:
    here, there = Script("one ", "two"), Script("three", waits_after=0)
    log = tmp_path / "log.db"
    with ChatServer(log, responder=here) as server, open_ws(server.chat("ann")) as ws:
        known(ws)
        say(ws, type="message", message="first", session_id="s")
        say(ws, type="message", message="second", session_id="s")
        until(ws, "token")
        drain(server, 10)
        for frame in (
            {"type": "message", "message": "third"},
            {"type": "retry", "message_id": here.questions[0].message_id},
        ):
            say(ws, session_id="s", **frame)
            refused = until(ws, "error")[-1]
            assert (refused["code"], refused["retryable"]) == ("BUSY", True)
        assert server.as_("ann", "POST", "/api/v1/chat", json={"message": "x"}).status_code == 503
        with in_background(lambda: ended(server)):
            here.go.set()
            assert until(ws, "complete", "error")[-1]["response"] == "one two"
        assert len(here.questions) == 1
        with ChatServer(log, responder=there):  # the second question is another's
            assert until(ws, "complete", "error")[-1]["response"] == "three"


def test_what_takes_too_long_is_said_to_have_broken_off(tmp_path: Path) -> None:
    script = Script("one ", "two")
    with ChatServer(tmp_path / "log.db", responder=script) as server, open_ws(server.chat("ann")) as ws:
        known(ws)
        say(ws, type="message", message="x", session_id="s")
        until(ws, "token")
        drain(server, 0.1)
        ended(server)
        last = until(ws, "complete", "error")[-1]
        assert (last["type"], last["code"], "stopped" in last["error"]) == ("error", "PROCESSING_ERROR", True)
        assert script.closed.wait(5)


def test_of_what_nothing_was_told_nothing_is_said_and_another_process_answers(tmp_path: Path) -> None:
    silent, whole = Script("", "never"), Script("All of ", "it", waits_after=0)
    log = tmp_path / "log.db"
    with ChatServer(log, responder=silent) as server, open_ws(server.chat("ann")) as ws:
        known(ws)
        say(ws, type="message", message="x", session_id="s")
        assert until(ws, "progress")[-1]["attempt"] == 1
        drain(server, 0.05)
        ended(server)
        with ChatServer(log, responder=whole):
            frames = until(ws, "complete", "error")
    assert [frame["attempt"] for frame in frames if frame.get("step") == "starting"] == [2]
    assert (text_of(frames), frames[-1]["response"]) == ("All of it", "All of it")


def test_without_answers_nothing_is_waited_for(tmp_path: Path) -> None:
    with ChatServer(tmp_path / "log.db") as server:
        drain(server, 600)
        ended(server)
