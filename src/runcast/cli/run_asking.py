"""Answering questions by keys: which question is asked, what has been typed, and when an answer is complete. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from runcast.cli.run_watching import Question

MAX_COMMENT_CHARS: Final = 1_000
_ENTER: Final = "\r\n"
_ERASE: Final = "\x7f\x08"
_ESCAPE: Final = "\x1b"


class Answer(NamedTuple):
    """What was said to a question."""

    question: Question
    approved: bool
    comment: str | None


class Asking:
    """Takes keys: y or n, then a comment that may be empty, ended by Enter; Esc goes back to y or n."""

    def __init__(self) -> None:
        self.question: Question | None = None
        self.approved: bool | None = None
        self.comment = ""
        self._answered: set[str] = set()

    def offer(self, questions: Sequence[Question]) -> None:
        """These wait for an answer now; one that does not any more is not asked any more."""
        waiting = [one for one in questions if one.ask not in self._answered]
        if self.question is None or self.question.ask not in {one.ask for one in waiting}:
            self.question = waiting[0] if waiting else None
            self.approved, self.comment = None, ""

    def type(self, keys: str) -> Answer | None:
        """Take what was typed; the answer, once it is complete. What is typed beyond that is dropped."""
        if _is_sequence(keys):
            return None  # an arrow, a function key: nothing here
        for key in keys:
            if self.question is None:
                return None
            if self.approved is None:
                self.approved = {"y": True, "n": False}.get(key.lower())
            elif key in _ENTER:
                return self._complete(self.question, approved=self.approved)
            elif key in _ERASE:
                self.comment = self.comment[:-1]
            elif key == _ESCAPE:
                self.approved, self.comment = None, ""
            elif key.isprintable() and len(self.comment) < MAX_COMMENT_CHARS:
                self.comment += key
        return None

    def ask_again(self, question: Question) -> None:
        """The answer could not be given."""
        self._answered.discard(question.ask)

    def _complete(self, question: Question, *, approved: bool) -> Answer:
        self._answered.add(question.ask)
        answer = Answer(question, approved, self.comment.strip() or None)
        self.question, self.approved, self.comment = None, None, ""
        return answer


def _is_sequence(keys: str) -> bool:
    return len(keys) > 1 and keys.startswith(_ESCAPE)
