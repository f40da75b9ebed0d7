"""The fault table: one line for each fault, of what it has cost."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

PROPERTY = "fault"
"""Under this name a test's report carries its line."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen of one fault.

    `events` were acknowledged, `dropped` of them Redis itself has lost. Of what it kept, `lost` did not come to some
    subscriber, `doubled` came twice, `disordered` in another place than the log has them. After `back_s` seconds, counted
    from `since`, every subscriber had news from every publisher. `resets` were told to subscribers of streams; those of
    firehoses have heard `gone` events that Redis has lost since.
    """

    fault: str
    events: int
    dropped: int
    lost: int
    doubled: int
    disordered: int
    resets: int
    gone: int
    back_s: float
    since: str


HEAD = (
    "fault",
    "events",
    "dropped by Redis",
    "lost",
    "doubled",
    "out of order",
    "resets",
    "gone",
    "back after",
    "of",
)


def rendered(lines: Iterable[Line]) -> list[str]:
    """The table as lines of text."""
    rows = [HEAD, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return ["  ".join(_fit(row, widths)).rstrip() for row in rows]


def _cells(line: Line) -> tuple[str, ...]:
    seen = (line.lost, line.doubled, line.disordered, line.resets, line.gone)
    counts = (line.events, line.dropped, *seen)
    return (line.fault, *map(str, counts), f"{line.back_s:.1f} s", line.since)


def _fit(row: tuple[str, ...], widths: list[int]) -> list[str]:
    ends = {0, len(HEAD) - 1}
    return [
        text.ljust(width) if column in ends else text.rjust(width)
        for column, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
