"""Chats over several processes on one log: one that dies, one that goes on."""

from __future__ import annotations

from pathlib import Path

from tests.support.chat_process import LEASE_S, ChatProcess
from tests.support.chat_server import ChatServer
from tests.support.chatting import Script, ask, known, say, text_of, until
from tests.support.clients import RawClient, open_ws
from tests.support.server import wait_until


def test_an_answer_goes_on_without_its_client_and_is_resumed_at_another_process(tmp_path: Path) -> None:
    log = tmp_path / "log.db"
    with ChatServer(log, runs=False) as here, ChatProcess(log, "slow") as there:
        token = here.token("ann")
        with open_ws(f"ws://127.0.0.1:{there.port}/ws/chat?token={token}&partial=0") as ws:
            known(ws)
            say(ws, type="message", message="60", session_id="s")
            seen = until(ws, "token")
            ws.socket.close()  # without a goodbye
        with open_ws(here.chat("ann", partial="0")) as ws:
            known(ws)
            say(ws, type="resume", session_id="s", after=seen[-1]["cursor"])
            rest = until(ws, "complete", "error")
    whole = "".join(f"{number} " for number in range(60))
    assert text_of(seen) + text_of(rest) == whole == rest[-1]["response"]


def test_an_answer_whose_process_was_killed_ends_with_a_clear_error(tmp_path: Path) -> None:
    log = tmp_path / "log.db"
    with ChatServer(log, runs=False) as here, open_ws(here.chat("ann")) as ws:
        known(ws)
        with ChatProcess(log, "slow") as there:
            say(ws, type="message", message="100000", session_id="s")
            until(ws, "token")
            there.kill()
        script = Script("Whole", waits_after=0)
        with ChatServer(log, responder=script, runner_lease_s=LEASE_S):
            last = until(ws, "complete", "error")[-1]
            assert (last["type"], last["code"]) == ("error", "PROCESSING_ERROR")
            assert "stopped" in last["error"]
            say(ws, type="retry", session_id="s", message_id=last["in_reply_to"])
            assert until(ws, "complete", "error")[-1]["response"] == "Whole"


def test_an_answer_that_had_not_begun_to_be_told_is_taken_up_again(tmp_path: Path) -> None:
    log = tmp_path / "log.db"
    script = Script("Here ", "I am", waits_after=0)
    with ChatServer(log, runs=False) as here, open_ws(here.chat("ann")) as ws:
        known(ws)
        with ChatProcess(log, "mute") as there:
            say(ws, type="message", message="Anybody?", session_id="s")
            assert until(ws, "progress")[-1]["attempt"] == 1
            there.kill()
        with ChatServer(log, responder=script, runner_lease_s=LEASE_S):
            frames = until(ws, "complete", "error")
    assert [frame["attempt"] for frame in frames if frame.get("step") == "starting"] == [2]
    assert (text_of(frames), frames[-1]["response"]) == ("Here I am", "Here I am")


def test_a_process_that_waits_takes_over_from_one_that_died(tmp_path: Path) -> None:
    log = tmp_path / "log.db"
    with ChatProcess(log, "mute") as there:
        script = Script("Mine", waits_after=0)
        with ChatServer(log, runs=False) as here, open_ws(here.chat("ann")) as ws:
            known(ws)
            say(ws, type="message", message="Anybody?", session_id="s")
            until(ws, "progress")
            with ChatServer(log, responder=script, runner_lease_s=LEASE_S) as other:
                say(ws, type="message", message="And this?", session_id="t")
                until(ws, "complete", "error", "progress")
                there.kill()
                assert until(ws, "complete")[-1]["response"] == "Mine"
                wait_until(lambda: not other.run(other.chats.is_open("chat:s")))


def test_cancel_reaches_the_process_that_answers(tmp_path: Path) -> None:
    log = tmp_path / "log.db"
    with ChatServer(log, runs=False) as here, ChatProcess(log, "slow"), open_ws(here.chat("ann")) as ws:
        known(ws)
        say(ws, type="message", message="100000", session_id="s")
        until(ws, "token")
        say(ws, type="cancel")
        assert until(ws, "complete")[-1]["cancelled"] is True


def test_cancel_of_what_waits_for_a_place_ends_it(tmp_path: Path) -> None:
    script = Script()
    with ChatServer(tmp_path / "log.db", responder=script, max_answers=1) as server:
        with open_ws(server.chat("ann")) as ann, open_ws(server.chat("ben")) as ben:
            known(ann)
            known(ben)
            say(ann, type="message", message="long")
            until(ann, "token")
            say(ben, type="message", message="waits")
            until(ben, "message")
            say(ben, type="cancel")
            assert until(ben, "complete")[-1]["cancelled"] is True
        script.go.set()


def test_two_who_begin_at_once_are_not_both_owners(tmp_path: Path) -> None:
    log = tmp_path / "log.db"
    with (
        ChatServer(log, responder=Script("Yes", waits_after=0)) as one,
        ChatServer(log, runs=False) as two,
        open_ws(one.chat("ann")) as ann,
        open_ws(two.chat("ben")) as ben,
    ):
        known(ann)
        known(ben)
        for number in range(10):
            for ws in (ann, ben):
                say(ws, type="message", message="Mine!", session_id=f"s{number}")
            ends = [until(ws, "complete", "error")[-1]["type"] for ws in (ann, ben)]
            assert sorted(ends) == ["complete", "error"]


def test_a_client_that_reads_nothing_holds_up_nobody(tmp_path: Path) -> None:
    script = Script(*(["x" * 1000] * 30), waits_after=0)
    with ChatServer(
        tmp_path / "log.db", responder=script, client_buffer_bytes=8192, send_buffer=4096
    ) as server:
        idle = RawClient(server.chat("ann", session_id="s"), receive_buffer=4096)
        with open_ws(server.chat("ann")) as ws:
            known(ws)
            for _ in range(3):
                assert ask(ws, session_id="s")[-1]["response"] == "x" * 30_000
        idle.socket.close()
