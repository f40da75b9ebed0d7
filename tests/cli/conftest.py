"""What the tests of commands share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.commands import Ended, Run, run_here


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The configured log; it is not there yet."""
    return tmp_path / "log.db"


@pytest.fixture
def run(log: Path, tmp_path: Path) -> Run:
    """Runs a command in this process, with a home and a log of the test's own."""

    def run(*arguments: str, env: dict[str, str] | None = None, stdin: bytes = b"") -> Ended:
        own = {"RUNCAST_LOG": str(log), "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
        return run_here(*arguments, env={**own, **(env or {})}, stdin=stdin)

    return run
