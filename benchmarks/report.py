"""Tables that can be read in 100 columns, and the same figures as JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

WIDTH = 100
MISSING = "–"

Row = Mapping[str, Any]
Cell = Callable[[Row], str]


@dataclass(frozen=True)
class Column:
    """One column: its title, and how a row's cell reads."""

    title: str
    cell: Cell
    left: bool = False


@dataclass
class Table:
    """A section's outcome. Rows are raw figures; notes say in words what a figure alone does not."""

    title: str
    columns: list[Column]
    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    notes: list[str] = field(default_factory=list[str])

    def render(self) -> str:
        """The table as text."""
        cells = [[column.title for column in self.columns]]
        cells += [[column.cell(row) for column in self.columns] for row in self.rows]
        widths = [max(len(line[i]) for line in cells) for i in range(len(self.columns))]
        lines = [self.title, "-" * min(WIDTH, len(self.title))]
        lines += [_joined(line, widths, self.columns) for line in cells]
        for note in self.notes:
            lines += textwrap.wrap(note, WIDTH, initial_indent="  * ", subsequent_indent="    ")
        return "\n".join(lines)

    def data(self) -> dict[str, Any]:
        """The same for JSON."""
        return {"title": self.title, "rows": self.rows, "notes": self.notes}


def text(key: str) -> Cell:
    """The value as it is."""
    return lambda row: MISSING if row.get(key) is None else str(row[key])


def count(key: str) -> Cell:
    """A whole number with separators."""
    return lambda row: MISSING if row.get(key) is None else f"{row[key]:,.0f}"


def number(key: str, digits: int = 1) -> Cell:
    """A number with some digits behind the point."""
    return lambda row: MISSING if row.get(key) is None else f"{row[key]:,.{digits}f}"


def millis(key: str) -> Cell:
    """Milliseconds: two digits behind the point below 100, else one."""

    def cell(row: Row) -> str:
        value = row.get(key)
        return MISSING if value is None else f"{value:,.{2 if value < 100 else 1}f}"

    return cell


def cpu(prefix: str) -> Cell:
    """`{prefix}_cpu_s` and `{prefix}_cpu_percent` in one cell."""

    def cell(row: Row) -> str:
        if row.get(f"{prefix}_cpu_s") is None:
            return MISSING
        return f"{row[f'{prefix}_cpu_s']:.1f} s {row[f'{prefix}_cpu_percent']:3.0f}%"

    return cell


def times(key: str) -> Cell:
    """A ratio: 12×, 1.5×, 0.04×."""

    def cell(row: Row) -> str:
        value = row.get(key)
        if value is None:
            return MISSING
        digits = 0 if value >= 10 else 1 if value >= 1 else 2
        return f"{value:.{digits}f}×"

    return cell


def cpu_figures(prefix: str, cpu_s: float, wall_s: float) -> dict[str, float]:
    """What `cpu` shows."""
    percent = 100 * cpu_s / wall_s if wall_s > 0 else 0.0
    return {f"{prefix}_cpu_s": round(cpu_s, 3), f"{prefix}_cpu_percent": round(percent, 1)}


def facts(title: str, pairs: Mapping[str, str]) -> str:
    """Named facts, one a line, wrapped."""
    width = max(map(len, pairs)) + 2
    lines = [title, "-" * len(title)]
    for name, value in pairs.items():
        indent = " " * width
        lines += textwrap.wrap(value, WIDTH, initial_indent=f"{name:<{width}}", subsequent_indent=indent)
    return "\n".join(lines)


def _joined(line: list[str], widths: list[int], columns: list[Column]) -> str:
    padded = [
        value.ljust(width) if column.left else value.rjust(width)
        for value, width, column in zip(line, widths, columns, strict=True)
    ]
    return "  ".join(padded).rstrip()
