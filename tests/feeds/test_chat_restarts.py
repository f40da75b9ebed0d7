"""What becomes of an answer when its server is restarted, or killed, in the middle of it: with real processes.

The ordinary run has the same in `test_chat_draining` and `test_chat_processes`, and `tests/documents` the clients.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import openai_server as scenes
from tests.support.chat_nodes import ChatNode
from tests.support.chatting import QUESTION, known, say, text_of, until
from tests.support.clients import open_ws, rest_of
from tests.support.openai_server import OpenAIServer

pytestmark = pytest.mark.soak

SHORT = {"RUNCAST_DRAIN_S": "0.5"}


@pytest.fixture
def model() -> Iterator[OpenAIServer]:
    with OpenAIServer() as model:
        yield model


def test_a_restart_waits_for_an_answer_and_takes_no_further_question(
    model: OpenAIServer, tmp_path: Path
) -> None:
    gate = threading.Event()
    model.play(scenes.answer("132", " kW", ".", gate=gate))
    with ChatNode(tmp_path, model) as node, open_ws(node.chat()) as ws, open_ws(node.chat("ben")) as idle:
        known(ws)
        known(idle)
        say(ws, type="message", message=QUESTION, session_id="s")
        frames = until(ws, "token")
        node.ask_to_stop()
        assert rest_of(idle)[1] == 1012  # who waits for nothing is told at once
        say(ws, type="message", message="And the torque?", session_id="s")
        refused = until(ws, "error")[-1]
        assert (refused["code"], refused["retryable"]) == ("BUSY", True)
        gate.set()
        frames += until(ws, "complete", "error")
        assert (text_of(frames), frames[-1]["response"]) == ("132 kW.", "132 kW.")
        assert rest_of(ws)[1] == 1012
        assert node.ended() == 0
    assert len(model.requests) == 1, [one["messages"][1:] for one in model.requests]


def test_an_answer_that_takes_longer_ends_with_a_clear_error_before_the_connection(
    model: OpenAIServer, tmp_path: Path
) -> None:
    model.play(scenes.silence("132"))
    with ChatNode(tmp_path, model, env=SHORT) as node:
        with open_ws(node.chat()) as ws:
            known(ws)
            say(ws, type="message", message=QUESTION, session_id="s")
            until(ws, "token")
            node.ask_to_stop()
            frames, code, _ = rest_of(ws)
        assert [(one["type"], one["code"]) for one in frames] == [("error", "PROCESSING_ERROR")]
        assert "stopped" in frames[0]["error"]
        assert code == 1012
        assert node.ended() == 0
        model.play(scenes.answer("132 kW."))
        node.start()
        with open_ws(node.chat()) as ws:
            known(ws)
            say(ws, type="retry", session_id="s", message_id=frames[0]["message_id"])
            assert until(ws, "complete", "error")[-1]["response"] == "132 kW."


def test_a_question_of_which_nothing_was_told_is_answered_by_another_node(
    model: OpenAIServer, tmp_path: Path
) -> None:
    model.play(scenes.silence(), scenes.answer("132 kW."))
    with ChatNode(tmp_path, model, env=SHORT) as one:
        with open_ws(one.chat()) as ws:
            known(ws)
            say(ws, type="message", message=QUESTION, session_id="s")
            seen = until(ws, "progress")
            while seen[-1]["step"] != "generating":
                seen += until(ws, "progress")
        with ChatNode(tmp_path, model) as other, open_ws(other.chat()) as ws:
            known(ws)
            say(ws, type="resume", session_id="s", after=seen[-1]["cursor"])
            one.ask_to_stop()
            frames = until(ws, "complete", "error")
            assert (text_of(frames), frames[-1]["response"]) == ("132 kW.", "132 kW.")
            begun = [
                [one["attempt"] for one in told if one.get("step") == "starting"] for told in (seen, frames)
            ]
            assert begun[1] == [begun[0][-1] + 1]
            assert one.ended() == 0


def test_killed_in_mid_answer_the_next_server_says_so_at_once_and_answers_again(
    model: OpenAIServer, tmp_path: Path
) -> None:
    model.play(scenes.silence("132"))
    with ChatNode(tmp_path, model) as node:
        with open_ws(node.chat()) as ws:
            known(ws)
            say(ws, type="message", message=QUESTION, session_id="s")
            seen = until(ws, "token")
            node.kill()
            assert rest_of(ws)[1] == 1006  # it is not left waiting
        node.start()
        with open_ws(node.chat()) as ws:
            known(ws)
            say(ws, type="resume", session_id="s", after=seen[-1]["cursor"])
            last = until(ws, "complete", "error")[-1]
            assert (last["type"], last["code"]) == ("error", "PROCESSING_ERROR")
            assert "stopped" in last["error"]
            model.play(scenes.answer("132 kW."))
            say(ws, type="retry", session_id="s", message_id=last["in_reply_to"])
            assert until(ws, "complete", "error")[-1]["response"] == "132 kW."
