"""The chat on two nodes over Redis: asked at one, watched, stopped and gone on with at the other.

With processes of their own; `test_chat_redis` has the gist of it in the ordinary run.
"""

from __future__ import annotations

import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import openai_server as scenes
from tests.support.chat_nodes import LEASE_S, ChatNode
from tests.support.chatting import QUESTION, attachment, known, say, text_of, until
from tests.support.clients import open_ws
from tests.support.openai_server import OpenAIServer
from tests.support.redis_server import RedisServer

pytestmark = [pytest.mark.needs("redis-server"), pytest.mark.soak]

TIMES = 20
Nodes = tuple[ChatNode, ChatNode]


@pytest.fixture(scope="module")
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer() as model:
        yield model


@pytest.fixture(scope="module")
def nodes(model: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    folder = tmp_path_factory.mktemp("nodes")
    shared = {"RUNCAST_ATTACHMENTS": str(folder / "shared"), "RUNCAST_CHAT_RATE": "1000"}
    with RedisServer() as redis:
        one, other = (
            ChatNode(_made(folder / name), model, log=redis.url, env=shared) for name in ("one", "other")
        )
        with one, other:
            yield one, other


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_asked_at_one_and_watched_at_the_other(model: OpenAIServer, nodes: Nodes) -> None:
    gate = threading.Event()
    model.play(scenes.answer("132", " kW", ".", gate=gate))
    one, other = nodes
    with open_ws(one.chat(partial=0)) as asker, open_ws(other.chat()) as watcher:
        known(asker)
        known(watcher)
        say(asker, type="message", message=QUESTION, session_id="s")
        seen = until(asker, "token")
        say(watcher, type="resume", session_id="s", after="start")
        watched = until(watcher, "token")
        assert text_of(watched) == "132"
        gate.set()
        seen += until(asker, "complete", "error")
        watched += until(watcher, "complete", "error")
    assert text_of(seen) == text_of(watched) == watched[-1]["response"] == "132 kW."
    last = [frame for frame in watched if frame["type"] == "token"][-1]
    assert last["partial_response"] == "132 kW."  # though its beginning was told before this node listened
    turns = [node.as_("ann", "GET", "/api/v1/chat/s").json()["messages"] for node in nodes]
    assert turns[0] == turns[1]


def test_cancelled_at_the_other_node(model: OpenAIServer, nodes: Nodes) -> None:
    model.play(scenes.silence("The power", comments=True))
    one, other = nodes
    took: list[float] = []
    with open_ws(one.chat(partial=0)) as asker, open_ws(other.chat(partial=0)) as member:
        known(asker)
        known(member)
        for _ in range(TIMES):
            say(asker, type="message", message=QUESTION, session_id="c")
            until(asker, "token")
            if not took:
                say(member, type="resume", session_id="c")
                until(member, "resumed")
            began_s = time.monotonic()
            say(member, type="cancel", session_id="c")
            last = until(member, "complete", "error")[-1]
            took.append(time.monotonic() - began_s)
            assert (last["cancelled"], last["response"]) == (True, "The power")
            assert until(asker, "complete", "error")[-1] == last
    p50, most = statistics.median(took) * 1e3, max(took) * 1e3
    print(
        f"\n  cancel at the other node to complete there, over {TIMES}: p50 {p50:.1f} ms, max {most:.1f} ms"
    )
    assert p50 < 200


def test_an_attachment_sent_to_one_is_served_by_the_other(model: OpenAIServer, nodes: Nodes) -> None:
    model.play(scenes.answer("Nice."))
    one, other = nodes
    with open_ws(one.chat()) as ws:
        known(ws)
        ws.send(attachment(b"content", id="a1", name="plan.txt", mime="text/plain"))
        kept = until(ws, "attachment")[-1]
        say(ws, type="message", message="See this", session_id="a", attachments=["a1"])
        until(ws, "complete")
    path = f"/api/v1/chat/a/attachments/{kept['attachment_id']}"
    assert other.as_("ann", "GET", path).content == b"content"
    assert other.as_("eve", "GET", path).status_code == 403


def test_resent_at_the_other_node_a_message_is_the_same(model: OpenAIServer, nodes: Nodes) -> None:
    model.play(scenes.answer("132 kW."))
    said = {"type": "message", "id": "mine", "message": QUESTION, "session_id": "r"}
    ends = []
    for node in nodes:
        with open_ws(node.chat()) as ws:
            known(ws)
            say(ws, **said)
            ends.append(until(ws, "complete", "error")[-1])
    assert ends[0] == ends[1]


def test_a_node_is_killed_and_the_other_says_so_and_answers_again(model: OpenAIServer, nodes: Nodes) -> None:
    model.play(scenes.silence("132"))
    one, other = nodes
    with open_ws(one.chat()) as asker, open_ws(other.chat()) as watcher:
        known(asker)
        known(watcher)
        os.kill(other.process.pid, signal.SIGSTOP)  # so that the one that is killed answers
        say(asker, type="message", message=QUESTION, session_id="k")
        until(asker, "token")
        os.kill(other.process.pid, signal.SIGCONT)
        say(watcher, type="resume", session_id="k", after="start")
        until(watcher, "token")
        one.kill()
        last = until(watcher, "complete", "error")[-1]
        assert (last["type"], last["code"]) == ("error", "PROCESSING_ERROR")
        assert "stopped" in last["error"]
        model.play(scenes.answer("132 kW."))
        say(watcher, type="retry", session_id="k", message_id=last["in_reply_to"])
        assert until(watcher, "complete", "error")[-1]["response"] == "132 kW."


def test_redis_stands_still_in_mid_answer(model: OpenAIServer, tmp_path: Path) -> None:
    pieces = [f"{number} " for number in range(40)]
    with RedisServer() as redis, ChatNode(tmp_path, model, log=redis.url) as node:
        for still_s, ends in ((0.7, "complete"), (2.5 * LEASE_S, "error")):
            model.play(scenes.stutter(*pieces, pause_s=0.1))
            with open_ws(node.chat(partial=0)) as ws:
                known(ws)
                say(ws, type="message", message=QUESTION)
                frames = until(ws, "token")
                redis.stop()
                time.sleep(still_s)  # what is tried is a time
                redis.go_on()
                frames += until(ws, "complete", "error")
            assert frames[-1]["type"] == ends
            assert "".join(pieces).startswith(text_of(frames))  # nothing twice
            if ends == "complete":
                assert text_of(frames) == frames[-1]["response"] == "".join(pieces)
