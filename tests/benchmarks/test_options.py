"""What the command line of the benchmarks sets."""

from __future__ import annotations

import pytest
from benchmarks.__main__ import _options, _parser


@pytest.mark.parametrize(
    ("given", "clients", "at_each_node"), [("1,100,1000", (1, 100, 1000), 1000), ("20", (20,), 20)]
)
def test_numbers_of_clients(given: str, clients: tuple[int, ...], at_each_node: int) -> None:
    options = _options(_parser().parse_args(["latency", "--clients", given]))
    assert (options.clients, options.node_clients) == (clients, at_each_node)
