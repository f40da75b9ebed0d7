"""The benchmarks run: every section, in a few seconds. What they measure here is nobody's business."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.needs("cc")
@pytest.mark.timeout(180)
def test_every_section_runs_and_leaves_its_figures(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--dir", str(tmp_path), "--json", str(figures)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for title in ("Latency", "Saturation", "Idle connections", "Appends", "Catch-up"):
        assert title in done.stdout
    assert json.loads(figures.read_text())
