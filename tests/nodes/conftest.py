"""Each test's line of the fault table, and the table at the end of the run."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from tests.nodes.table import PROPERTY, Line, rendered

FOOTNOTE = (
    "events: acknowledged. lost, doubled, out of order: of what Redis kept, over all subscriptions. gone: heard in a firehose,\n"
    "and lost by Redis since. back: when each subscription has heard what each publisher has begun since the moment named last."
)
BACK_S = 10.0
"""So soon everybody must have news again."""


@pytest.fixture
def settle(record_property: Callable[[str, object], None]) -> Callable[[Line], None]:
    """Puts a line into the table, and sees that nothing was lost, and that all was well in time."""

    def settle(line: Line, *, may_drop: bool = False) -> None:
        record_property(PROPERTY, msgspec.to_builtins(line))
        assert (line.lost, line.doubled, line.disordered) == (0, 0, 0), line
        assert may_drop or line.dropped == 0, line
        assert line.back_s < BACK_S, line

    return settle


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = [
        msgspec.convert(value, Line)
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == PROPERTY and report.when == "call"
    ]
    if lines:
        terminalreporter.section("faults")
        for text in (*rendered(lines), "", FOOTNOTE):
            terminalreporter.line(text)
