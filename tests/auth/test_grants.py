"""What a pattern lets through, for one stream and for a firehose."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast.auth.grants import EVERYTHING, NOTHING, Grants, parse_grants
from runcast.core.event import Event
from runcast.core.scope import Scope
from runcast.errors import InvalidInput


def event(stream: str) -> Event:
    return Event(stream=stream, epoch="0" * 16, seq=1, position=1, id="e", type="t", time=0, data=b"{}")


@pytest.mark.parametrize(
    ("pattern", "stream", "passes"),
    [
        ("*", "session:a", True),
        ("session:*", "session:a", True),
        ("session:*", "sessions:a", False),
        ("session:a", "session:a", True),
        ("session:a", "session:ab", False),
        ("session:a*", "session:ab", True),
        ("session:a*", "session:b", False),
        ("task:*", "session:a", False),
    ],
)
def test_a_pattern(pattern: str, stream: str, *, passes: bool) -> None:
    grants = Grants(read=(pattern,))
    assert grants.may_read(stream) is passes
    assert grants.may_write(stream) is False
    assert Grants(write=(pattern,)).may_write(stream) is passes


def test_nothing_is_granted_unless_it_is_said() -> None:
    assert not NOTHING.may_read("session:a")
    assert not NOTHING.may_watch(Scope.firehose())
    assert EVERYTHING.may_write("session:a")


@pytest.mark.parametrize(
    ("read", "kind", "may", "whole"),
    [
        (("*",), "session", True, True),
        (("session:*",), "session", True, True),
        (("session:*",), "", True, False),
        (("session:a", "task:*"), "session", True, False),
        (("task:*",), "session", False, False),
        ((), "", False, False),
    ],
)
def test_a_firehose(read: tuple[str, ...], kind: str, *, may: bool, whole: bool) -> None:
    grants, scope = Grants(read=read), Scope.firehose(kind)
    assert grants.may_watch(scope) is may
    assert (grants.predicate(scope) is None) is whole
    assert not (whole and grants.fingerprint(scope))


NAMES = st.from_regex(r"(session|task|s):[a-c]{1,3}", fullmatch=True)
PATTERNS = st.one_of(NAMES, NAMES.map(lambda name: name + "*"), st.sampled_from(["*", "session:*", "task:*"]))


@given(st.lists(PATTERNS, max_size=4), NAMES, st.sampled_from(["", "session", "task"]))
def test_a_firehose_shows_exactly_what_may_be_read(read: list[str], stream: str, kind: str) -> None:
    grants, scope = parse_grants({"read": read}), Scope.firehose(kind)
    if scope.covers(stream):
        passes = grants.predicate(scope)
        assert (passes is None or passes(event(stream))) == grants.may_read(stream)
        assert grants.may_watch(scope) or not grants.may_read(stream)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ([], "grants"),
        ({"reads": []}, "grants.reads"),
        ({"read": "session:*"}, "grants.read"),
        ({"read": [1]}, "grants.read"),
        ({"read": ["session"]}, "grants.read"),
        ({"read": ["*:a"]}, "grants.read"),
        ({"write": ["session:a*b"]}, "grants.write"),
        ({"write": ["session:../x"]}, "grants.write"),
        ({"write": ["Session:*"]}, "grants.write"),
        ({"write": ["session:a"] * 101}, "grants.write"),
        ({"admin": "yes"}, "grants.admin"),
    ],
)
def test_what_is_no_grant_is_named(value: Any, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_grants(value)
    assert refused.value.field == field
    assert field in str(refused.value)
