"""Scopes: what belongs to them, and how their places are counted."""

import pytest
from tests.support.strategies import make_event

from runcast.core.event import Cursor, id_tag
from runcast.core.scope import Scope
from runcast.errors import InvalidStreamName

EVENT = make_event(seq=3, position=70, id="e")
LOG_EPOCH = "f" * 16


@pytest.mark.parametrize(
    ("scope", "covered", "name"),
    [
        (Scope.of_stream("session:s"), {"session:s"}, "session:s"),
        (Scope.firehose("session"), {"session:s", "session:t"}, "session:*"),
        (Scope.firehose(), {"session:s", "session:t", "sessions:s", "task:s"}, "*:*"),
    ],
)
def test_what_is_read_there(scope: Scope, covered: set[str], name: str):
    streams = {"session:s", "session:t", "sessions:s", "task:s"}
    assert {stream for stream in streams if scope.covers(stream)} == covered
    assert str(scope) == name


def test_a_stream_counts_by_seq_in_its_epoch():
    scope = Scope.of_stream("session:s")
    assert scope.offset(EVENT) == 3
    assert scope.cursor(EVENT, LOG_EPOCH) == Cursor(EVENT.epoch, 3, id_tag("e"))


def test_a_firehose_counts_by_position_in_the_log():
    scope = Scope.firehose("session")
    assert scope.offset(EVENT) == 70
    assert scope.cursor(EVENT, LOG_EPOCH) == Cursor(LOG_EPOCH, 70, id_tag("e"))


def test_equal_scopes_are_one_key():
    assert len({Scope.of_stream("session:s"), Scope.of_stream("session:s"), Scope.firehose("session")}) == 2


@pytest.mark.parametrize("name", ["session", "session:a/b", "session:*", ""])
def test_a_stream_must_have_a_stream_s_name(name: str):
    with pytest.raises(InvalidStreamName):
        Scope.of_stream(name)


def test_a_firehose_must_have_a_kind_s_name():
    with pytest.raises(InvalidStreamName):
        Scope.firehose("*")
