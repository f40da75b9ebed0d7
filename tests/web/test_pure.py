"""The page's pure modules, by node's own test runner."""

import subprocess
from pathlib import Path

import pytest

PURE = Path(__file__).parent / "pure"


@pytest.mark.needs("node")
def test_the_pure_modules() -> None:
    files = sorted(str(path) for path in PURE.glob("*.test.mjs"))
    run = subprocess.run(["node", "--test", *files], capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
