"""Attachments of messages that are refused, and how many there may be."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, ask, attachment, known, say, until
from tests.support.clients import open_ws, receive
from websockets.sync.client import ClientConnection

from runcast.errors import LogFull, TooLarge
from runcast.feeds.chat.attachments import FORGOTTEN_S, Attachments
from runcast.feeds.chat.quota import BLOCK_BYTES, NoRoom, Quota, owner_mark
from runcast.feeds.chat.routes import attachments_of
from runcast.feeds.chat.upkeep import sweep_attachments
from runcast.kinds.chat_state import Attachment

GIB = 1024**3
MANY = 10**15


def send(ws: ClientConnection, content: bytes = b"x", **head: Any) -> dict[str, Any]:
    ws.send(attachment(content, **{"id": "a1", "name": "plan.txt", "mime": "text/plain", **head}))
    return until(ws, "attachment", "error")[-1]


def served(server: ChatServer, session_id: str, kept: dict[str, Any]) -> int:
    path = f"/api/v1/chat/{session_id}/attachments/{kept['attachment_id']}"
    return server.as_("ann", "GET", path).status_code


# --- a message that is refused -----------------------------------------------------------------


def test_it_is_named_again_by_a_message_that_was_refused(tmp_path: Path) -> None:
    script = Script("So ", "on")
    with (
        ChatServer(tmp_path / "log.db", responder=script, max_answers_per_person=1) as server,
        open_ws(server.chat("ann")) as ws,
    ):
        known(ws)
        say(ws, type="message", message="x", session_id="s")
        until(ws, "token")
        kept = send(ws)
        for _ in range(2):  # the second time, it is there still
            say(ws, type="message", message="See this", session_id="s", attachments=["a1"])
            assert until(ws, "error")[-1]["code"] == "BUSY"
        assert served(server, "s", kept) == 404  # no message has named it
        script.go.set()
        until(ws, "complete")
        message = ask(ws, "See this", session_id="t", attachments=["a1"])[0]
        assert message["attachments"][0]["attachment_id"] == kept["attachment_id"]
        assert served(server, "t", kept) == 200


def test_who_sends_too_much_begins_no_conversations(tmp_path: Path) -> None:
    with (
        ChatServer(tmp_path / "log.db", responder=Script("Yes.", waits_after=0), chat_rate=1) as server,
        open_ws(server.chat("ann")) as ws,
    ):
        known(ws)
        ask(ws, session_id="s")
        say(ws, type="message", message="x", session_id="t")
        assert until(ws, "error")[-1]["code"] == "RATE_LIMITED"
        assert not server.run(server.bus.info("chat:t")).epoch


def test_what_cannot_be_stored_gives_its_attachment_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        ChatServer(tmp_path / "log.db", responder=Script("Yes.", waits_after=0)) as server,
        open_ws(server.chat("ann")) as ws,
    ):
        known(ws)
        ask(ws, session_id="s")
        kept = send(ws)
        store = server.bus.publish_all

        async def full(*_: Any, **__: Any) -> Any:
            raise LogFull

        monkeypatch.setattr(server.bus, "publish_all", full)
        say(ws, type="message", message="See this", session_id="s", attachments=["a1"])
        assert until(ws, "error")[-1]["code"] == "PROCESSING_ERROR"
        assert served(server, "s", kept) == 404
        monkeypatch.setattr(server.bus, "publish_all", store)
        ask(ws, "See this", session_id="s", attachments=["a1"])
        assert served(server, "s", kept) == 200
        assert not list(tmp_path.glob("log.db.attachments/**/*.new"))
        server.errors.forgive()


def test_what_no_message_names_is_removed_after_a_day(tmp_path: Path) -> None:
    with ChatServer(tmp_path / "log.db", responder=Script("Yes.", waits_after=0)) as server:
        attachments = attachments_of(server.bus)
        with open_ws(server.chat("ann")) as ws:
            known(ws)
            named = send(ws)
            ask(ws, "See this", session_id="s", attachments=["a1"])
        # as a process leaves it that is killed before the message is stored, or right after that
        unnamed = attachments.receive("ann", "a2", "x.txt", "text/plain", b"x")
        attachments.bind("s", [unnamed])
        (folder,) = {path.parent for path in tmp_path.glob("log.db.attachments/*/att_*.new")}
        (folder / f"{named['attachment_id']}.new").touch()
        server.run(sweep_attachments(server.bus, attachments))
        assert len(list(folder.glob("att_*"))) == 6  # not yet
        long_ago_s = time.time() - 2 * FORGOTTEN_S
        for mark in folder.glob("*.new"):
            os.utime(mark, (long_ago_s, long_ago_s))
        server.run(sweep_attachments(server.bus, attachments))
        assert sorted(path.name for path in folder.glob("att_*")) == [
            named["attachment_id"],
            f"{named['attachment_id']}.json",
        ]
        assert served(server, "s", named) == 200


# --- how many there may be ---------------------------------------------------------------------


def test_conversations_are_no_way_around_a_person_s_limit(tmp_path: Path) -> None:
    with (
        ChatServer(
            tmp_path / "log.db",
            responder=Script("Yes.", waits_after=0),
            attachments_person_max_bytes=5 * BLOCK_BYTES,
        ) as server,
        open_ws(server.chat("ann")) as ann,
        open_ws(server.chat("ben")) as ben,
    ):
        known(ann)
        known(ben)
        for session_id in ("s", "t"):
            assert send(ann)["type"] == "attachment"
            message = ask(ann, "x", session_id=session_id, attachments=["a1"])[0]
        told = send(ann)
        assert (told["code"], told["field"]) == ("MESSAGE_TOO_LONG", "attachments")
        assert send(ben)["type"] == "attachment"
        say(ann, type="delete", session_id="t", message_id=message["message_id"])
        until(ann, "delete")
        say(ann, type="ping")
        until(ann, "pong")
        assert send(ann)["type"] == "attachment"


def test_in_all_there_is_a_limit_too(tmp_path: Path) -> None:
    with (
        ChatServer(tmp_path / "log.db", attachments_total_max_bytes=3 * BLOCK_BYTES) as server,
        open_ws(server.chat("ann")) as ann,
        open_ws(server.chat("ben")) as ben,
    ):
        known(ann)
        known(ben)
        assert send(ann)["type"] == "attachment"
        told = send(ben)
        assert (told["type"], told["code"]) == ("error", "PROCESSING_ERROR")
        assert "no room" in told["error"]
        assert receive_pong(ben)


def receive_pong(ws: ClientConnection) -> bool:
    say(ws, type="ping")
    return receive(ws)["type"] == "pong"


class Disk(NamedTuple):
    total: int
    used: int
    free: int


@pytest.mark.parametrize(
    ("total", "free", "fits"),
    [
        (1000 * GIB, GIB + 2 * BLOCK_BYTES, True),
        (1000 * GIB, GIB - 1, False),
        (10 * GIB, GIB // 2 + 2 * BLOCK_BYTES, True),  # 5 % of a small one
        (10 * GIB, GIB // 2, False),
    ],
)
def test_the_disk_is_not_filled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, total: int, free: int, fits: bool
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Disk(total, total - free, free))
    quota = Quota(MANY, MANY)
    if fits:
        quota.take(tmp_path, owner_mark("ann"), 1)
    else:
        with pytest.raises(NoRoom):
            quota.take(tmp_path, owner_mark("ann"), 1)


@pytest.fixture
def full(tmp_path: Path) -> Attachments:
    """Ann has two blocks more."""
    return Attachments(tmp_path, MANY, Quota(MANY, 8 * BLOCK_BYTES))


def keep(attachments: Attachments, size: int = 1, person_id: str = "ann") -> Attachment:
    return attachments.receive(person_id, "a", "a.txt", "text/plain", b"x" * size)


def test_what_was_there_before_is_counted(tmp_path: Path, full: Attachments) -> None:
    kept = [keep(full, BLOCK_BYTES), keep(full, BLOCK_BYTES + 1)]
    full.bind("s", kept[:1])  # one waits for its message, and one has had it
    full.settle("s", [kept[0].attachment_id])
    again = Attachments(tmp_path, MANY, Quota(MANY, 8 * BLOCK_BYTES))
    with pytest.raises(TooLarge):
        keep(again, 3 * BLOCK_BYTES)
    keep(again, 2 * BLOCK_BYTES)
    with pytest.raises(TooLarge):
        keep(again, 0)
    keep(again, 0, "ben")


def test_what_is_gone_is_not_counted(full: Attachments) -> None:
    for _ in range(5):
        kept = keep(full, 7 * BLOCK_BYTES)
        full.remove("", [kept.attachment_id])
        full.remove("", [kept.attachment_id])
        kept = keep(full, 7 * BLOCK_BYTES)
        full.bind("s", [kept])
        full.remove_all("s")
    with pytest.raises(TooLarge):
        keep(full, 7 * BLOCK_BYTES + 1)


def test_what_could_not_be_written_is_not_counted_and_leaves_nothing(
    tmp_path: Path, full: Attachments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail)
        for _ in range(9):
            with pytest.raises(OSError, match="No space"):
                keep(full, 7 * BLOCK_BYTES)
    assert not list((tmp_path / "incoming").iterdir())
    keep(full, 7 * BLOCK_BYTES)
