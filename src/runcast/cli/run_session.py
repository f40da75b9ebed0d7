"""Accompanying one run until its end: its events, the keys and signals of whoever watches, and what they bring about."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, Final

from runcast.cli.keys import Keys
from runcast.cli.run_asking import Answer, Asking
from runcast.cli.run_place import RunPlace
from runcast.cli.run_views import Run, View
from runcast.cli.run_watching import Question
from runcast.client.values import Item, What
from runcast.errors import Conflict, RuncastError

TICK_S: Final = 0.05
COMPLETED, FAILED, INTERRUPTED, TERMINATED = 0, 1, 130, 143
_LEAVING: Final = ("SIGTERM", "SIGHUP")


class Session:
    """One run, watched here.

    Args:
        place: where it is.
        run: what is known of it so far.
        view: how it is shown.
        asking: what is asked of whoever sits at the terminal.
        cancels: whether the first Ctrl-C cancels the run; otherwise it leaves.
        option: what other commands need to work at the same place.
        again: the command that attaches to it again.
    """

    def __init__(
        self,
        place: RunPlace,
        run: Run,
        view: View,
        asking: Asking,
        *,
        cancels: bool,
        option: str,
        again: str,
    ) -> None:
        self._place = place
        self._run = run
        self._view = view
        self._asking = asking
        self._cancels = cancels
        self._option = option
        self._again = again
        self._heard: SimpleQueue[Item | Exception | str] = SimpleQueue()
        self._interrupts = 0
        self._terminated = False
        self._is_cancelling = False
        self._has_ended = False
        self._told: set[str] = set()

    def accompany(self) -> int:
        """Until the run is over, or is left; returns the exit code.

        Raises:
            RuncastError: it cannot be followed any more.
        """
        stream = f"{self._run.kind}:{self._run.run_id}"
        with self._signals(), Keys() as keys, self._view as view:
            view.begin(self._run, self._place.where)
            self._place.attend(stream, self._heard.put)
            with self._place.follow(stream, self._heard.put):
                is_left = self._watch(keys)
            if is_left:
                self._say_left()
            view.end()
        return self._exit_code(is_left=is_left)

    def _watch(self, keys: Keys) -> bool:
        """Whether it was left before its end."""
        while True:
            self._take_all()
            if self._run.is_over:
                return False
            if self._has_ended:  # sealed or removed: nothing will come any more
                return True
            questions = self._run.questions()
            self._asking.offer(questions if keys.are_there else [])
            self._tell(questions)
            answer = self._asking.type(keys.read())
            if answer is not None:
                self._begin(lambda given=answer: self._answer(given))
            if self._terminated or self._is_to_be_left():
                return True
            self._view.tick(self._hint(questions, keys))

    def _take_all(self) -> None:
        """Wait a moment for what comes, then take all that is there."""
        try:
            self._take(self._heard.get(timeout=TICK_S))
            while not self._run.is_over:
                self._take(self._heard.get_nowait())
        except Empty:
            pass

    def _take(self, heard: Item | Exception | str) -> None:
        if isinstance(heard, str):
            self._view.note(heard)
        elif isinstance(heard, Exception):
            raise heard
        elif heard.what is What.EVENT:
            self._run.take(heard.value)
            self._view.event(heard.value)
        elif heard.what is What.RESET:
            self._run.clear()
        elif heard.what is What.END:
            self._has_ended = True
        elif heard.what is What.LOST:
            self._view.note(f"{heard.value['reason']} Trying again.")
        elif heard.what is What.BACK:
            self._view.note("Connected again; nothing was missed.")

    def _tell(self, questions: list[Question]) -> None:
        for question in questions:
            if question.ask not in self._told:
                self._told.add(question.ask)
                self._view.asks(question, question.command() + self._option)

    def _is_to_be_left(self) -> bool:
        """What Ctrl-C means now; the first one begins to cancel."""
        if not self._interrupts or not self._cancels:
            return bool(self._interrupts)
        if not self._is_cancelling:
            self._is_cancelling = True
            self._view.note(f"Cancelling {self._run.run_id}. Ctrl-C again leaves it at once, as it is.")
            self._begin(self._cancel)
        return self._interrupts > 1

    def _cancel(self) -> None:
        try:
            self._run.cancel(self._place)
        except Conflict:
            pass  # it has come to its end meanwhile
        except RuncastError as error:
            self._heard.put(f"It could not be cancelled: {error}")

    def _answer(self, answer: Answer) -> None:
        try:
            answer.question.answer(self._place, answer.approved, answer.comment)
        except RuncastError as error:
            if not isinstance(error, Conflict):
                self._asking.ask_again(answer.question)
            self._heard.put(str(error))

    def _begin(self, act: Callable[[], object]) -> None:
        """Something that asks the place: the display goes on meanwhile."""
        threading.Thread(target=act, name="runcast-act", daemon=True).start()

    def _hint(self, questions: list[Question], keys: Keys) -> str:
        if self._is_cancelling:
            return "Cancelling; Ctrl-C again leaves it as it is"
        if questions and not keys.are_there:
            return f"Answer with: {questions[0].command()}{self._option}"
        if self._run.status == "paused":
            return f"Paused; it goes on after: runcast plan resume {self._run.run_id}{self._option}"
        return "Ctrl-C cancels it" if self._cancels else "Ctrl-C leaves it; it goes on"

    def _say_left(self) -> None:
        run = self._run
        if self._has_ended:
            words = f"The stream of {run.run_id} was ended from outside; the {run.kind} is {run.status}."
        elif self._is_cancelling:
            words = f"Left {run.run_id} before it had ended; whoever takes it over cancels it: {self._again}"
        else:
            words = f"Left {run.run_id}, {run.status}. To go on with it: {self._again}"
        self._view.note(words)

    def _exit_code(self, *, is_left: bool) -> int:
        if self._terminated and is_left:
            return TERMINATED
        if is_left:
            return INTERRUPTED if self._interrupts else FAILED
        if self._run.status == "completed":
            return COMPLETED
        return INTERRUPTED if self._is_cancelling and self._run.status == "cancelled" else FAILED

    @contextmanager
    def _signals(self) -> Generator[None]:
        """Signals are counted, and looked at in their turn. What is ignored stays so, as under nohup."""

        def interrupt(number: int, frame: FrameType | None) -> None:
            self._interrupts += 1

        def terminate(number: int, frame: FrameType | None) -> None:
            self._terminated = True

        wanted: dict[int, Any] = {signal.SIGINT: interrupt}
        wanted |= {getattr(signal, name): terminate for name in _LEAVING if hasattr(signal, name)}
        before: dict[int, Any] = {}
        for number, handler in wanted.items():
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
