"""The chat on Redis: two servers of one conversation, one of which answers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, ask, attachment, calm, known, say, text_of, until
from tests.support.clients import open_ws
from tests.support.redis_server import RedisServer

from runcast.log.passing import PassesOn

pytestmark = pytest.mark.needs("redis-server")

SECRET = "a secret of more than 32 bytes for tests"


@pytest.fixture
def script() -> Script:
    return Script("one ", "two ", "three")


@pytest.fixture
def servers(tmp_path: Path, script: Script) -> Iterator[tuple[ChatServer, ChatServer]]:
    """The second one answers."""
    shared: dict[str, Any] = {"jwt_secret": SECRET, "attachments": str(tmp_path / "shared")}
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        here = stack.enter_context(ChatServer(redis.url, runs=False, **shared))
        there = stack.enter_context(ChatServer(redis.url, responder=script, **shared))
        yield here, there


def test_asked_at_one_watched_and_cancelled_at_the_other(
    servers: tuple[ChatServer, ChatServer], script: Script
) -> None:
    here, there = servers
    with open_ws(here.chat("ann", partial=0)) as asker, open_ws(there.chat("ann")) as watcher:
        known(asker)
        known(watcher)
        for ends in ("cancel", "complete"):
            say(asker, type="message", message="Count", session_id=ends)
            seen = until(asker, "token")
            say(watcher, type="resume", session_id=ends, after="start")
            watched = until(watcher, "token")
            if ends == "cancel":
                say(asker, type="cancel", session_id=ends)
            else:
                script.go.set()
            seen += until(asker, "complete", "error")
            watched += until(watcher, "complete", "error")
            last = seen[-1]
            assert (last["cancelled"], last["response"]) == (ends == "cancel", text_of(seen))
            assert watched[-1] == last
            assert text_of(watched) == text_of(seen)


def test_what_is_sent_again_at_the_other_and_its_attachment_are_the_same(
    servers: tuple[ChatServer, ChatServer], script: Script
) -> None:
    script.go.set()
    said = {"message": "See", "session_id": "s", "id": "mine", "attachments": ["a1"]}
    with open_ws(servers[0].chat("ann")) as ws:
        known(ws)
        ws.send(attachment(b"content", id="a1", name="plan.txt", mime="text/plain"))
        kept = until(ws, "attachment")[-1]
        first = ask(ws, said.pop("message"), **said)[-1]
    with open_ws(servers[1].chat("ann")) as ws:
        known(ws)
        assert ask(ws, "See", **said)[-1] == first
    path = f"/api/v1/chat/s/attachments/{kept['attachment_id']}"
    assert servers[1].as_("ann", "GET", path).content == b"content"
    assert len(script.questions) == 1


def test_typing_is_seen_at_the_other_and_not_stored(
    servers: tuple[ChatServer, ChatServer], script: Script
) -> None:
    script.go.set()
    here, there = servers
    with open_ws(here.chat("ann")) as ann, open_ws(there.chat("ben")) as ben:
        known(ann)
        known(ben)
        ask(ann, "Hello", session_id="s")
        head = here.run(here.bus.info("chat:s")).head
        here.as_("ann", "POST", "/api/v1/chat/s/members", json={"user_id": "ben"})
        say(ben, type="resume", session_id="s")
        until(ben, "resumed")
        calm(ben)
        for is_typing in (True, False):
            say(ann, type="typing", session_id="s", typing=is_typing)
            told = until(ben, "typing")[-1]
            assert (told["session_id"], told["user"]["id"], told["typing"]) == ("s", "ann", is_typing)
        say(ben, type="typing", session_id="s")
        assert until(ann, "typing")[-1]["user"]["id"] == "ben"
        assert here.run(here.bus.info("chat:s")).head == head + 1  # the invitation


def test_what_is_passed_on_by_others_harms_nobody(
    servers: tuple[ChatServer, ChatServer], script: Script
) -> None:
    script.go.set()
    here, there = servers
    log = here.bus.log
    assert isinstance(log, PassesOn)
    with open_ws(there.chat("ann")) as ann:
        known(ann)
        ask(ann, "Hello", session_id="s")
        for text in ("", "{}", "[1]", "\x00", '{"process":1}', "x" * 100_000):
            here.call(log.pass_on, text)
        here.call(
            log.pass_on, '{"process":"p","stream":"chat:s","but":"ben","frame":{"type":"typing","n":1}}'
        )
        assert until(ann, "typing")[-1]["n"] == 1
