"""The parts of answering: whom a question is for, what the model is told, how text is grouped."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any

import msgspec
import pytest
from tests.support.virtual import run_virtual

from runcast.core.event import Event
from runcast.errors import Busy, InvalidInput, LogError, ModelBusy, ModelUnavailable, StaleToken, TooLarge
from runcast.kinds.base import Publish
from runcast.kinds.chat_fields import MAX_ANSWER_CHARS
from runcast.kinds.chat_state import ChatState, Person, Turn
from runcast.runners.chat.agents import AGENTS, classify, confidence_of, read_choice
from runcast.runners.chat.failure import FLAW, ResponderError, sentence_of
from runcast.runners.chat.history import history_before
from runcast.runners.chat.library import Library
from runcast.runners.chat.responder import Piece, Question, forget, registered, responder
from runcast.runners.chat.telling import LEAST_S, MOST_S, Pace, Teller
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.model import Message

ANN, BEN = Person("ann", "Ann"), Person("ben", "Ben")


# --- whom a question is for --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "agent"),
    [
        ("What is the engine power?", "specs"),
        ("How big is the boot?", "specs"),
        ("How fast does it accelerate?", "specs"),
        ("When is the next service due?", "maintenance"),
        ("I want to book an appointment", "maintenance"),
        ("Which oil do I need to refill?", "maintenance"),
        ("The engine makes a strange noise", "troubleshooting"),
        ("My car won't start", "troubleshooting"),
        ("A warning light is on", "troubleshooting"),
        ("The brakes squeal when I stop", "troubleshooting"),
    ],
)
def test_questions_go_to_whom_they_are_for(question: str, agent: str) -> None:
    choice = classify(question)
    assert choice.agent.name == agent
    assert 0.5 <= choice.confidence <= 1


def test_only_the_beginning_of_a_long_question_is_looked_at() -> None:
    long = "q " * 16_000
    assert classify(f"{long} the service is due").confidence < 0.5
    assert classify(f"The service is due {long}").agent.name == "maintenance"


def test_a_word_counts_once() -> None:
    assert classify("oil " * 100 + "engine power torque").agent.name == "specs"


def test_a_question_that_says_nothing_goes_where_the_last_one_went() -> None:
    before = [Message("user", "When is the service due?"), Message("assistant", "In May.")]
    assert classify("And then?", before).agent.name == "maintenance"
    unsure = classify("Hm?")
    assert (unsure.agent.name, unsure.confidence < 0.5) == ("specs", True)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("maintenance", "maintenance"),
        ("The Specs agent.", "specs"),
        ("", None),
        ("specs or maintenance", None),
    ],
)
def test_a_model_s_opinion_is_one_name_or_none(said: str, name: str | None) -> None:
    found = read_choice(said)
    assert (found.name if found else None) == name


def test_confidence_is_low_where_nothing_was_found() -> None:
    assert confidence_of(classify("What is the engine power?"), []) == 0.25


def test_the_shipped_documentation_answers_until_there_is_a_document() -> None:
    own = KnowledgeBase(None)
    library = Library(own)

    async def search(question: str) -> list[str]:
        return [passage.source for passage in await library.search(question, 3)]

    assert asyncio.run(search("What is the engine power?"))[0] == "specs.md"
    assert asyncio.run(search("How do I make an appointment?"))[0] == "maintenance.md"
    assert asyncio.run(search("The brakes squeal"))[0] == "troubleshooting.md"
    own.add(b"# Boat\n\nThe engine power of the boat is 9 kW.\n", "boat.md")
    assert asyncio.run(search("What is the engine power?")) == ["boat.md"]
    library.close()


def test_every_agent_has_its_own_words() -> None:
    stems = [stem for agent in AGENTS for stem in agent.stems]
    assert len(stems) == len(set(stems))


# --- what the model is told --------------------------------------------------------------------


def turns(*said: tuple[Person | None, str]) -> ChatState:
    state = ChatState(owner=ANN)
    for number, (user, text) in enumerate(said):
        state.turns.append(Turn(f"m{number}", text, number, user))
    return state


def test_history_is_what_was_said_before_the_question() -> None:
    state = turns((ANN, "one"), (None, "two"), (ANN, "three"), (None, "four"), (ANN, "five"))
    said = [(one.role, one.content) for one in history_before(state, "m2", 1_000)]
    assert said == [("user", "one"), ("assistant", "two")]


def test_the_newest_fit_the_budget_and_begin_with_a_person() -> None:
    state = turns((ANN, "a" * 400), (None, "b" * 400), (ANN, "c" * 40), (None, "d" * 40), (ANN, "?"))
    assert [one.content[0] for one in history_before(state, "m4", 140)] == ["c", "d"]  # not b, without its a
    assert [one.content[0] for one in history_before(state, "m4", 1_000)] == list("abcd")
    assert history_before(state, "m4", 1) == []


def test_in_a_room_it_is_said_whose_it_is_and_what_failed_is_left_out() -> None:
    state = turns((ANN, "one"), (BEN, "two"), (None, "three"), (ANN, "?"))
    state.turns[2].status = "failed"
    assert [one.content for one in history_before(state, "m3", 1_000)] == ["Ann: one", "Ben: two"]


# --- what is told of failures ------------------------------------------------------------------


def test_failures_are_told_without_what_is_nobody_s_business() -> None:
    assert sentence_of(ValueError("secret")) == FLAW
    assert "RUNCAST" not in sentence_of(ModelUnavailable("set RUNCAST_LLM_API_KEY=sk-123"))
    assert "moment" in sentence_of(ModelBusy("api.example.org is busy"))
    assert sentence_of(ResponderError("Ask about cars.")) == "Ask about cars."


def test_a_responder_is_an_async_generator() -> None:
    with pytest.raises(InvalidInput):

        @responder  # pyright: ignore[reportArgumentType]
        async def wrong(question: Any) -> str:
            return "no generator"

    @responder
    async def right(question: Question) -> AsyncIterator[Piece]:
        yield "yes"

    assert registered() is right
    forget(right)
    assert registered() is not right


# --- grouping ----------------------------------------------------------------------------------


class Log:
    """Stores what it is given after `latency_s`, and lets the teller hear of it."""

    def __init__(self) -> None:
        self.events: list[tuple[float, dict[str, Any]]] = []
        self.latency_s = 0.002
        self.error: LogError | None = None
        self.largest = MAX_ANSWER_CHARS
        self.failed: list[LogError | InvalidInput] = []
        self.pace = Pace()

    def teller(self) -> Teller:
        self.loop = asyncio.get_running_loop()
        self.told = Teller("chat:s", "a", self.publish_soon, self.pace, self.failed.append)
        return self.told

    def publish_soon(self, event: Publish) -> Future[Any]:
        if len(event.data["token"]) > self.largest:
            raise TooLarge
        future: Future[Any] = Future()
        self.loop.call_later(self.latency_s, self._store, event, future)
        return future

    def _store(self, event: Publish, future: Future[Any]) -> None:
        if self.error is not None:
            future.set_exception(self.error)
            return
        self.events.append((self.loop.time(), event.data))
        future.set_result([])
        data = msgspec.json.encode(event.data)
        self.told.hear(Event("chat:s", "", 1, 1, "e", event.type, 0, data))

    @property
    def text(self) -> str:
        return "".join(fields["token"] for _, fields in self.events)


def test_the_first_piece_goes_at_once_and_the_others_in_groups() -> None:
    log = Log()

    async def run() -> None:
        teller = log.teller()
        for number in range(50):  # at 50 tokens per second
            teller.feed(f"{number} ")
            await asyncio.sleep(0.02)
        await asyncio.sleep(1)

    run_virtual(run())
    times = [time_s for time_s, _ in log.events]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert times[0] == log.latency_s
    assert all(LEAST_S - 0.001 <= gap <= LEAST_S + 0.021 for gap in gaps)
    assert log.text == "".join(f"{number} " for number in range(50))
    offsets = [fields["offset"] for _, fields in log.events]
    assert offsets == [log.text.index(fields["token"]) for _, fields in log.events]


def test_while_the_log_is_slow_groups_are_longer() -> None:
    log = Log()
    log.latency_s = 0.03

    async def run() -> None:
        teller = log.teller()
        for _ in range(500):
            teller.feed("x")
            await asyncio.sleep(0.01)
        await asyncio.sleep(1)

    run_virtual(run())
    times = [time_s for time_s, _ in log.events]
    assert times[-1] - times[-2] == pytest.approx(MOST_S, abs=0.02)
    assert len(log.text) == 500


def test_what_could_not_be_stored_comes_again_with_what_came_meanwhile() -> None:
    log = Log()

    async def run() -> None:
        teller = log.teller()
        teller.feed("one ")
        await asyncio.sleep(0.1)
        log.error = Busy()
        teller.feed("two ")
        await asyncio.sleep(0.05)
        teller.feed("three")
        log.error = None
        await asyncio.sleep(5)
        assert teller.close() == "one two three"
        assert teller.rest() == []

    run_virtual(run())
    assert log.text == "one two three"
    assert log.failed == []


@pytest.mark.parametrize("error", [StaleToken(), LogError()])
def test_a_log_that_never_will_is_given_up(error: LogError) -> None:
    log = Log()
    log.error = error

    async def run() -> None:
        log.teller().feed("one")
        await asyncio.sleep(1)

    run_virtual(run())
    assert log.failed == [error]


def test_what_is_too_large_to_be_told_is_given_up_at_once() -> None:
    log = Log()
    log.largest = 10

    async def run() -> None:
        teller = log.teller()
        teller.feed("x" * 10)
        await asyncio.sleep(1)
        teller.feed("y" * 11)
        await asyncio.sleep(1)
        assert [type(error) for error in log.failed] == [TooLarge]

    run_virtual(run())
    assert log.text == "x" * 10


def test_a_busy_log_is_not_waited_for_ever() -> None:
    log = Log()
    log.error = Busy()

    async def run() -> None:
        log.teller().feed("one")
        await asyncio.sleep(60)

    run_virtual(run())
    assert len(log.failed) == 1


def test_the_rest_goes_with_the_end() -> None:
    log = Log()

    async def run() -> None:
        teller = log.teller()
        teller.feed("one ")
        teller.feed("two")
        assert teller.close() == "one two"
        (rest,) = teller.rest()
        assert (rest.data["token"], rest.data["offset"]) == ("two", 4)

    run_virtual(run())


def test_halves_of_a_character_are_joined_and_lone_ones_replaced() -> None:
    log = Log()

    async def run() -> None:
        teller = log.teller()
        for piece in ("a\ud83d", "\ude00b", "\udc00", "c", "\ud83d"):
            teller.feed(piece)
            await asyncio.sleep(0.2)

    run_virtual(run())
    assert log.text == "a😀b\ufffdc"
    assert [fields["offset"] for _, fields in log.events] == [0, 1, 3, 4]


def test_an_answer_has_a_longest() -> None:
    log = Log()

    async def run() -> None:
        teller = log.teller()
        for _ in range(5):
            teller.feed("x" * 10_000)
        assert teller.is_full
        assert len(teller.close()) == MAX_ANSWER_CHARS

    run_virtual(run())


@pytest.mark.parametrize(
    ("latency_s", "group_s"), [(0.0, 0.04), (0.01, 0.05), (0.02, 0.1), (0.03, 0.1), (0.05, 0.15), (9.0, 0.5)]
)
def test_more_is_gathered_the_longer_storing_takes(latency_s: float, group_s: float) -> None:
    """Between 40 and 100 ms, but for a process that has more to do than it can."""
    pace = Pace()
    for _ in range(200):
        pace.note(latency_s)
    assert pace.group_s == pytest.approx(group_s)
