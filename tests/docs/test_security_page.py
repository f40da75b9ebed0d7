"""The table of threats names tests that there are, in every row."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()


def rows() -> list[list[str]]:
    """The cells of each threat."""
    table = PAGE.partition("## Threats")[2]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_there_is_a_table() -> None:
    assert len(rows()) > 15
    assert {len(row) for row in rows()} == {4}


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[1][:50])
def test_every_row_is_shown_by_tests_that_there_are(row: list[str]) -> None:
    named = re.findall(r"`([^`]+)`", row[3])
    assert named
    for name in named:
        place = ROOT / name
        files = sorted(place.rglob("test_*.py")) if place.is_dir() else [place]
        assert files, f"{name} has no tests"
        assert any(re.search(r"^(async )?def test_", file.read_text(), re.MULTILINE) for file in files), name
