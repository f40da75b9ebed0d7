"""Runs Autobahn's fuzzing client against our WebSocket protocol: `make autobahn ARGS="--cases 1.* 2.*"`.

The suite needs Python 2.7. `wstest` is taken from the PATH, or installed into `.autobahn` by the pip of `python2.7` (or
of what PYTHON27 names). Without either, this says so and fails: our own tests of the same cases are in `tests/rfc6455`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.echo import Echo
from tests.support.server import AppServer

FOLDER = Path(__file__).resolve().parents[1] / ".autobahn"
LIBRARY = FOLDER / "lib"
START = f"import site; site.addsitedir({str(LIBRARY)!r}); from autobahntestsuite.wstest import run; run()"
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "12.*", "13.*"]
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}
AGENT = "runcast"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="+", default=CASES)
    cases = parser.parse_args().cases
    suite = find_suite()
    if suite is None:
        print("autobahn: needs wstest, or Python 2.7 to install it (PYTHON27 says where).", file=sys.stderr)
        return 1
    FOLDER.mkdir(exist_ok=True)
    with AppServer(Echo()) as server:
        spec = FOLDER / "fuzzingclient.json"
        spec.write_text(json.dumps(specification(server.ws("/"), cases)))
        run = [*suite, "-m", "fuzzingclient", "-s", str(spec)]
        subprocess.run(run, check=True, cwd=FOLDER)
    return report(FOLDER / "reports" / "index.json")


def find_suite() -> list[str] | None:
    """The command that is the suite; installed if it can be."""
    there = shutil.which("wstest")
    if there:
        return [there]
    python = os.environ.get("PYTHON27", "python2.7")
    if not _works([python, "--version"]):
        return None
    if not (LIBRARY / "autobahntestsuite").exists():
        install = [python, "-m", "pip", "install", "--quiet", "--target", str(LIBRARY), "autobahntestsuite"]
        subprocess.run(install, check=True)
    return [python, "-c", START]


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def specification(url: str, cases: list[str]) -> dict[str, Any]:
    return {
        "outdir": str(FOLDER / "reports"),
        "servers": [{"agent": AGENT, "url": url}],
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }


def report(path: Path) -> int:
    """Print what is not as it should be, and a closing line; returns how many cases failed, at most 1."""
    results: dict[str, dict[str, Any]] = json.loads(path.read_text())[AGENT]
    bad = {
        case: found
        for case, found in results.items()
        if found["behavior"] not in GOOD or found["behaviorClose"] not in GOOD
    }
    for case, found in sorted(bad.items()):
        print(f"{case}: {found['behavior']}, closing {found['behaviorClose']}")
    print(f"{len(results)} cases, {len(bad)} not as RFC 6455 has it; {path.with_suffix('.html')}")
    return min(len(bad), 1)


if __name__ == "__main__":
    sys.exit(main())
