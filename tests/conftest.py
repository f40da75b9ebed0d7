"""What every test shares: the event loop's name, and what a test may want from the system."""

import os
import signal
import subprocess
from collections.abc import Generator
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

PREREQUISITES = Path(__file__).resolve().parent.parent / "scripts" / "system_prerequisites.sh"


def pytest_configure() -> None:
    """A worker of pytest-xdist ignores Ctrl-C, and so would all that it starts."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@cache
def system_has(name: str) -> bool:
    """Ask the same script that `make test` installs prerequisites with."""
    return subprocess.run([PREREQUISITES, "--has", name], check=False).returncode == 0


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test marked `needs("strace")` where the system has none."""
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            if not system_has(name):
                pytest.skip(f"needs {name}, which this system does not have")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return fail_in_ci((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return fail_in_ci((yield))


def fail_in_ci(report: Report) -> Report:
    """With CI=true no test is left out for want of a prerequisite: a skip that says "needs …" fails."""
    if os.environ.get("CI") == "true" and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if reason.startswith("needs "):
            report.outcome = "failed"
            report.longrepr = f"{report.nodeid}: {reason}"
    return report
