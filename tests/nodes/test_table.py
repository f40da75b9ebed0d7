"""The fault table's layout."""

from __future__ import annotations

from tests.nodes.table import HEAD, Line, rendered


def test_columns_stand_below_one_another() -> None:
    line = Line(
        fault="SIGKILL of a node",
        events=1234,
        dropped=1,
        lost=2,
        doubled=3,
        disordered=4,
        resets=5,
        gone=6,
        back_s=0.25,
        since="SIGKILL",
    )
    head, row = rendered([line])
    assert head.split("  ")[0] == HEAD[0]
    for name, cell in zip(HEAD[1:8], ["1234", "1", "2", "3", "4", "5", "6"], strict=True):
        assert row[: head.index(f" {name}") + len(name) + 1].endswith(f" {cell}")
    assert row.endswith("0.2 s  SIGKILL")
