"""The graph of a plan's steps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import PURE

from runcast.kinds.plan_graph import blocked_by, dependents, find_cycle, layers, ready, unknown_dependency

NAMES = "abcdef"
graphs = st.fixed_dictionaries({name: st.frozensets(st.sampled_from(NAMES), max_size=3) for name in NAMES})
DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def test_a_diamond() -> None:
    assert find_cycle(DIAMOND) == []
    assert layers(DIAMOND) == [["a"], ["b", "c"], ["d"]]
    assert ready(DIAMOND, {"b", "c", "d"}, {"a"}) == ["b", "c"]
    assert dependents(DIAMOND, "a") == ["b", "c"]
    assert blocked_by(DIAMOND, ["b"]) == {"d"}
    assert blocked_by(DIAMOND, ["a"]) == {"b", "c", "d"}
    assert unknown_dependency(DIAMOND) is None
    assert unknown_dependency({"a": ("x",)}) == ("a", "x")
    assert layers({"a": ("x",)}) == [["a"]]


@PURE
@given(graphs)
def test_a_cycle_is_one_and_is_found_if_there_is_one(graph: dict[str, frozenset[str]]) -> None:
    cycle = find_cycle(graph)
    rows = layers(graph)
    assert bool(cycle) == (sum(map(len, rows)) < len(graph))  # steps in a circle are never ready
    for step, following in zip(cycle, cycle[1:] + cycle[:1], strict=True):
        assert following in graph[step]


def test_a_long_chain_is_no_trouble() -> None:
    chain = {f"s{number}": (f"s{number + 1}",) if number < 4_999 else () for number in range(5_000)}
    assert find_cycle(chain) == []
    assert len(find_cycle({**chain, "s4999": ("s0",)})) == 5_000
    assert len(blocked_by(chain, ["s4999"])) == 4_999
