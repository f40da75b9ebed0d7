"""The tree of errors, as its docstring draws it."""

import re

import pytest

from runcast import errors
from runcast.errors import InvalidEvent, RuncastError

CLASSES = [
    found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, RuncastError)
]


def drawn() -> dict[str, str | None]:
    """The parent of each class by the drawing at the top of the module."""
    path: list[str] = []
    parents: dict[str, str | None] = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)([A-Z]\w+(?:, [A-Z]\w+)*)(?:  |$)", line)
        if match:
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            parents[match[2]] = path[depth - 1] if depth else None
    return parents


def test_the_drawing_is_the_tree():
    assert drawn() == {
        cls.__name__: None if cls is RuncastError else cls.__bases__[0].__name__ for cls in CLASSES
    }


def test_the_drawing_says_what_may_be_tried_again():
    for cls in CLASSES:
        if re.search(rf"{cls.__name__} .*\(retryable\)", errors.__doc__ or ""):
            assert cls.retryable


@pytest.mark.parametrize("cls", CLASSES)
def test_each_has_a_code_of_its_own_and_a_sentence(cls: type[RuncastError]):
    assert [other for other in CLASSES if other.code == cls.code] == [cls]
    assert cls.message.endswith(".")
    assert cls.__doc__


def test_the_sentence_may_be_replaced_by_a_better_one():
    assert str(InvalidEvent()) == InvalidEvent.message
    assert str(InvalidEvent("Better.")) == "Better."


def test_an_input_error_names_the_field():
    assert InvalidEvent("no", field="cost_tokens").field == "cost_tokens"
    assert InvalidEvent().field is None
