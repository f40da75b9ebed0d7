"""The one door's keeper: what becomes of an event on its way into the log, and what is turned away."""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import NOW_US, PURE, json_values, make_event, texts

from runcast.core.event import DAY_US, Edge, NewEvent, format_time
from runcast.errors import InvalidEvent, TooLarge
from runcast.kinds.base import MAX_NESTING, RESERVED, Fold, Kind, Publish, accept, encode_data, move_reserved

PLAIN = Kind(name="mine", starts=frozenset({"begun"}), terminals=frozenset({"done", "failed"}))
LIMIT = 256 * 1024


def publish(data: Any = None, **fields: Any) -> Publish:
    return Publish(stream="mine:1", type=fields.pop("type", "x"), data={} if data is None else data, **fields)


def take(data: Any = None, **fields: Any) -> NewEvent:
    return accept(PLAIN, publish(data, **fields), NOW_US, LIMIT)


class TestEnvelope:
    def test_a_bare_event(self):
        assert take() == NewEvent("mine:1", "x", b"{}", NOW_US, "", Edge.NONE)

    @pytest.mark.parametrize(
        ("event_type", "edge"), [("begun", Edge.START), ("done", Edge.TERMINAL), ("other", Edge.NONE)]
    )
    def test_the_kind_knows_what_begins_and_ends_a_run(self, event_type: str, edge: Edge):
        assert take(type=event_type).edge is edge

    @pytest.mark.parametrize("event_type", ["", "x" * 101, "a\nb", None, 5])
    def test_a_type_that_cannot_be(self, event_type: Any):
        with pytest.raises(InvalidEvent, match=r"^type:"):
            take(type=event_type)

    @pytest.mark.parametrize("event_id", ["", "x" * 201, "a\nb", 5])
    def test_an_id_that_cannot_be(self, event_id: Any):
        with pytest.raises(InvalidEvent, match=r"^id:"):
            take(id=event_id)

    @pytest.mark.parametrize(
        ("time", "taken"),
        [(None, NOW_US), (0, 0), (NOW_US + DAY_US, NOW_US + DAY_US), (format_time(NOW_US), NOW_US)],
    )
    def test_times(self, time: Any, taken: int):
        assert take(time=time).time == taken

    @pytest.mark.parametrize(
        "time",
        [-1, NOW_US + DAY_US + 1, True, 1.5, math.nan, [], {}, "now", format_time(NOW_US + 2 * DAY_US)],
    )
    def test_a_time_that_cannot_be(self, time: Any):
        with pytest.raises(InvalidEvent, match=r"^time:") as caught:
            take(time=time)
        assert caught.value.field == "time"

    @pytest.mark.parametrize("data", [[], "text", 5, [1]])
    def test_data_is_an_object(self, data: Any):
        with pytest.raises(InvalidEvent, match=r"^data: a JSON object"):
            take(data)


class TestData:
    @PURE
    @given(st.dictionaries(texts, json_values, max_size=4))
    def test_what_is_stored_is_compact_json_of_one_line(self, data: dict[str, Any]):
        stored = encode_data(data, 10 * LIMIT)
        assert b"\n" not in stored
        assert b"NaN" not in stored or "NaN" in repr(data)
        decoded = msgspec.json.decode(stored)
        assert msgspec.json.encode(decoded) == stored  # settled: encoding again changes nothing
        assert decoded.keys() == data.keys()

    def test_what_json_cannot_say_is_null(self):
        assert encode_data({"a": math.nan, "b": math.inf, "c": -math.inf}, LIMIT) == (
            b'{"a":null,"b":null,"c":null}'
        )

    @pytest.mark.parametrize(
        "value",
        [object(), {1, object()}, "\ud800", {("a", "b"): 1}, {None: 1}, 1j, lambda: 1, type],
    )
    def test_what_is_no_json_is_refused(self, value: object):
        with pytest.raises(InvalidEvent, match=r"^data: not representable as JSON"):
            encode_data({"a": value}, LIMIT)

    def test_a_ring_is_refused(self):
        ring: list[Any] = []
        ring.append(ring)
        with pytest.raises(InvalidEvent):
            encode_data({"a": ring}, LIMIT)

    def test_python_values_with_a_json_form_are_taken(self):
        assert encode_data({"at": datetime(2026, 1, 1), "t": (1,)}, LIMIT) == (  # noqa: DTZ001
            b'{"at":"2026-01-01T00:00:00","t":[1]}'
        )

    def test_the_limit_is_in_bytes_of_json(self):
        assert len(encode_data({"a": "ä" * 10}, 28)) == 28
        with pytest.raises(TooLarge, match="28 bytes of JSON; the limit is 27") as caught:
            encode_data({"a": "ä" * 10}, 27)
        assert caught.value.field == "data"


def lists(depth: int, innermost: object) -> object:
    return [lists(depth - 1, innermost)] if depth else innermost


def dicts(depth: int, innermost: object) -> object:
    return {"a": dicts(depth - 1, innermost)} if depth else innermost


def tuples(depth: int, innermost: object) -> object:
    return (tuples(depth - 1, innermost),) if depth else innermost


class TestNesting:
    @pytest.mark.parametrize("nest", [lists, dicts, tuples])
    @pytest.mark.parametrize("innermost", [5, [], {}, "["])
    def test_so_deep_and_no_deeper(self, nest: Callable[[int, object], object], innermost: object):
        room = MAX_NESTING - 1 - isinstance(innermost, list | dict)  # data itself is the first level
        encode_data({"a": nest(room, innermost)}, LIMIT)
        with pytest.raises(InvalidEvent, match="deeper than 64 levels") as caught:
            encode_data({"a": nest(room + 1, innermost)}, LIMIT)
        assert caught.value.field == "data"

    @pytest.mark.parametrize("depth", [200, 500, 900])
    def test_much_deeper_is_no_worse(self, depth: int):
        with pytest.raises(InvalidEvent):
            encode_data({"a": lists(depth, 1)}, LIMIT)

    def test_wide_is_not_deep(self):
        encode_data({"a": [{"b": []} for _ in range(1_000)], "text": "{[" * 100}, LIMIT)


class TestReserved:
    @pytest.mark.parametrize("name", RESERVED)
    def test_a_reserved_name_is_moved_under_data(self, name: str):
        assert move_reserved({name: 1, "b": 2}) == {"b": 2, "data": {name: 1}}
        assert move_reserved({name: 1, "data": {"c": 3}}) == {"data": {"c": 3, name: 1}}

    @pytest.mark.parametrize("inner", [5, None, [], {"seq": 2}])
    def test_there_must_be_room_for_it(self, inner: object):
        with pytest.raises(InvalidEvent, match=r"reserved \(here: seq\)") as caught:
            move_reserved({"seq": 1, "data": inner})
        assert caught.value.field == "data"

    def test_otherwise_nothing_is_touched(self):
        given_fields = {"b": 1, "data": "text"}
        moved = move_reserved(given_fields)
        assert moved == given_fields
        assert moved is not given_fields

    def test_a_kind_without_rules_moves_them(self):
        event = take({"type": "y", "a": 1})
        assert (event.type, event.data) == ("x", b'{"a":1,"data":{"type":"y"}}')


class Count(msgspec.Struct):
    events: int = 0


def test_a_fold_keeps_its_state_as_bytes():
    def step(state: Count, _: object) -> None:
        state.events += 1

    fold = Fold("count", 1, Count, step)
    state = fold.initial()
    fold.step(state, make_event())
    assert fold.load(fold.dump(state)) == Count(1)
