"""A log that takes nothing any more: whoever waits for an answer is told, and not left waiting."""

from __future__ import annotations

from pathlib import Path

from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, known, say, until
from tests.support.clients import open_ws, receive
from tests.support.server import wait_until


def lose(log: Path) -> None:
    """The log's file is gone, as after a hasty clean-up: nothing can be stored in it any more."""
    for name in ("", "-wal", "-shm"):
        Path(f"{log}{name}").unlink(missing_ok=True)


def test_an_answer_that_cannot_be_stored_is_said_to_have_failed(tmp_path: Path) -> None:
    script = Script("one ", "two ", "three")
    log = tmp_path / "log.db"
    with (
        ChatServer(log, responder=script) as server,
        open_ws(server.chat("ann", partial=0)) as ann,
        open_ws(server.chat("ann", partial=0)) as late,
    ):
        known(ann)
        known(late)
        say(ann, type="message", message="Count", session_id="s")
        answer_id = until(ann, "token")[-1]["message_id"]
        say(late, type="resume", session_id="s", after="start")
        until(late, "token")
        lose(log)
        script.go.set()
        for ws in (ann, late):
            told = until(ws, "complete", "error")[-1]
            assert (told["type"], told["code"], told["session_id"]) == ("error", "PROCESSING_ERROR", "s")
            assert (told["message_id"], told["retryable"]) == (answer_id, True)
            assert "could not be stored" in told["error"]
            assert "seq" not in told  # it is no part of the conversation
        say(ann, type="message", message="And now?", session_id="s")
        told = receive(ann)
        assert (told["type"], told["code"]) == ("error", "PROCESSING_ERROR")
        wait_until(script.closed.is_set)
        server.errors.forgive()
