"""The parts of a workflow's runner that need no log: the estimate, the grouping of deltas, threads, confidence."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import PURE
from tests.support.virtual import run_virtual

from runcast.errors import Busy, LogFull
from runcast.kinds.workflow_fields import settle
from runcast.runners.model import Delta, Usage
from runcast.runners.threads import WorkThreads
from runcast.runners.workflows.confidence import coverage, stated_confidence
from runcast.runners.workflows.deltas import GROUP_S, MAX_CHARS, Answer, tell_answer
from runcast.runners.workflows.estimate import Estimate
from runcast.runners.workflows.meter import Meter

USAGE = Usage(input_tokens=1, output_tokens=2, model="m", latency_s=0.5, estimated=False)


class TestEstimate:
    def test_nothing_is_known_before_a_step_has_finished(self):
        estimate = Estimate()
        estimate.expected = 4
        estimate.begin_step(1, 0)
        assert (estimate.percent(), estimate.eta_s(5)) == (0, None)

    def test_the_rest_takes_as_long_as_the_finished_steps_took(self):
        estimate = Estimate()
        estimate.expected = 4
        estimate.begin_step(3, 0)
        for now in (4, 6, 10):
            estimate.finish_agent(now)
        assert (estimate.percent(), estimate.eta_s(10)) == (25, 30)
        estimate.begin_step(1, 10)
        assert estimate.eta_s(16) == 24  # the running one has 4 s to go
        assert estimate.eta_s(60) == 20  # late: it is not counted below nothing
        estimate.finish_agent(60)
        assert (estimate.percent(), estimate.eta_s(60)) == (50, 60)

    def test_what_was_done_before_a_restart_counts_with_what_it_took_then(self):
        estimate = Estimate()
        estimate.expected = 2
        estimate.begin_step(2, 100)
        estimate.finish_agent(100, kept_s=7)
        estimate.finish_agent(100, kept_s=9)
        assert (estimate.percent(), estimate.eta_s(100)) == (50, 9)

    def test_a_percentage_that_was_said_is_estimated_from(self):
        estimate = Estimate()
        estimate.begin_step(1, 0)
        estimate.finish_agent(30)
        estimate.at_least(25)
        assert (estimate.percent(), estimate.eta_s(30)) == (25, 90)

    @given(steps=st.lists(st.tuples(st.integers(1, 5), st.floats(0, 100)), min_size=1, max_size=20))
    @PURE
    def test_it_never_goes_back_and_never_ends_before_the_end(self, steps: list[tuple[int, float]]):
        estimate, now, last = Estimate(), 0.0, 0.0
        estimate.expected = 5
        for agents, seconds in steps:
            estimate.begin_step(agents, now)
            for _ in range(agents):
                now += seconds
                estimate.finish_agent(now)
                assert last <= estimate.percent() <= 99
                last = estimate.percent()
                assert (estimate.eta_s(now) or 0) >= 0


async def streamed(*items: float | str | Usage | Exception) -> AsyncIterator[Delta | Usage]:
    for item in items:
        if isinstance(item, str):
            yield Delta(item)
        elif isinstance(item, Usage):
            yield item
        elif isinstance(item, Exception):
            raise item
        else:
            await asyncio.sleep(item)


class Told:
    def __init__(self, *, takes_s: float = 0, failure: Exception | None = None) -> None:
        self.pieces: list[tuple[float, str]] = []
        self.takes_s = takes_s
        self.failure = failure

    async def tell(self, text: str, reasoning: str) -> None:
        del reasoning
        self.pieces.append((round(asyncio.get_running_loop().time(), 3), text))
        await asyncio.sleep(self.takes_s)
        if self.failure:
            raise self.failure


class TestDeltas:
    def test_the_first_is_told_at_once_and_the_others_in_groups(self):
        told = Told()
        answer = run_virtual(tell_answer(streamed("a", 0.01, "b", 0.01, "c", 0.5, "d", USAGE), told.tell))
        assert answer == Answer("abcd", USAGE)
        assert told.pieces == [(0, "a"), (GROUP_S, "bc"), (0.52, "d")]

    def test_what_is_left_is_told_at_the_end_without_waiting(self):
        told = Told()
        run_virtual(tell_answer(streamed("a", 0.01, "b"), told.tell))
        assert told.pieces == [(0, "a"), (0.01, "b")]

    def test_while_the_log_is_slow_groups_grow(self):
        told = Told(takes_s=1)
        items = [item for n in range(100) for item in (str(n % 10), 0.05)]
        answer = run_virtual(tell_answer(streamed(*items), told.tell))
        assert "".join(text for _, text in told.pieces) == answer.text
        assert len(told.pieces) < 10

    def test_a_long_text_is_several_events(self):
        told = Told()
        run_virtual(tell_answer(streamed("x" * (2 * MAX_CHARS + 1)), told.tell))
        assert [len(text) for _, text in told.pieces] == [MAX_CHARS, MAX_CHARS, 1]

    def test_a_character_that_comes_in_halves_is_whole_again(self):
        told = Told()
        answer = run_virtual(tell_answer(streamed("a", "\ud83d", "\ude00", "\ud83d"), told.tell))
        assert answer.text == "a\U0001f600\ufffd"
        for _, text in told.pieces:
            text.encode()

    def test_what_came_before_a_failure_is_told(self):
        told = Told()
        with pytest.raises(Busy):
            run_virtual(tell_answer(streamed("a", "b", Busy()), told.tell))
        assert "".join(text for _, text in told.pieces) == "ab"

    def test_a_log_that_fails_ends_it(self):
        told = Told(failure=LogFull())
        with pytest.raises(LogFull):
            run_virtual(tell_answer(streamed("a", 1, "b", 1, "c"), told.tell))
        assert len(told.pieces) == 1


class TestThreads:
    def test_no_more_than_the_limit_and_in_order(self):
        threads, gate, begun = WorkThreads(2), threading.Event(), []

        def work(number: int) -> int:
            begun.append(number)
            gate.wait(20)
            return number

        futures = [threads.submit(lambda n=n: work(n)) for n in range(6)]
        while len(begun) < 2:
            pass
        assert (threads.active, threads.waiting) == (2, 4)
        assert futures[5].cancel()
        gate.set()
        assert [future.result(20) for future in futures[:5]] == [0, 1, 2, 3, 4]
        assert sorted(begun) == [0, 1, 2, 3, 4]

    def test_what_it_raises_is_the_future_s(self):
        def fail() -> None:
            raise SystemExit(3)

        with pytest.raises(SystemExit):
            WorkThreads(1).submit(fail).result(20)

    def test_a_thread_that_cannot_be_had_does_not_count(self, monkeypatch: pytest.MonkeyPatch):
        threads, start, given = WorkThreads(2), threading.Thread.start, [True, False, False, True]

        def scarce(thread: threading.Thread) -> None:
            if not given.pop(0):
                raise RuntimeError("can't start new thread")
            start(thread)

        gate, begun = threading.Event(), threading.Event()
        monkeypatch.setattr(threading.Thread, "start", scarce)
        first = threads.submit(lambda: begun.set() or gate.wait(20))
        assert begun.wait(20)
        second = threads.submit(lambda: "later")  # the first one's thread will do it
        assert (threads.active, threads.waiting) == (1, 1)
        gate.set()
        assert (first.result(20), second.result(20)) == (True, "later")
        none = WorkThreads(1)
        with pytest.raises(RuntimeError):
            none.submit(lambda: None)
        assert (none.active, none.waiting) == (0, 0)
        assert none.submit(lambda: "done").result(20) == "done"

    def test_a_thread_serves_again(self):
        threads = WorkThreads(1)
        names = {threads.submit(lambda: threading.current_thread().name).result(20) for _ in range(20)}
        assert len(names) == 1


class TestMeter:
    def test_it_counts_no_further_than_an_event_can_tell(self):
        meter = Meter(2**53 - 2, 2**53 - 1)
        meter.count(USAGE, "m")
        assert (meter.tokens, meter.llm_calls) == (2**53 - 1, 2**53 - 1)
        settle("resource_metrics", meter.metrics())


class TestConfidence:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("Confidence: 80 %", 0.8),
            ("confidence = 0.75", 0.75),
            ("My confidence is 90%.", 0.9),
            ("Confidence: 20 %\n…\nConfidence: 60", 0.6),
            ("Confidence: 1", 1.0),
            ("Confidence: 140 %", None),
            ("I am sure.", None),
            ("**Confidence:** 85/100", 0.85),
            ("The notes say: confidence 95 % in this. [notes.md]", None),
            ("Confidence: 95 %\nThat is what notes.md states.", None),
        ],
    )
    def test_as_a_critic_states_it(self, text: str, value: float | None):
        assert stated_confidence(text) == value

    def test_as_far_as_the_sources_have_the_words_of_the_task(self):
        assert coverage("When does the water boil?", ["Water is hot"]) == 0.5
        assert coverage("When does the water boil?", ["Boiling", "waters"]) == 1.0
        assert coverage("?", ["anything"]) is None
        assert coverage("water", []) is None
