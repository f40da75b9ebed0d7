"""Schemathesis takes the server at its word: no server error, and no answer that the OpenAPI document does not have."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.process import ServeProcess, clean_env
from tests.support.server import flat

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
EXAMPLES = 15
RUN_S = 150
PROGRAM = Path(sys.executable).with_name("schemathesis")


@pytest.mark.timeout(RUN_S + 30)
def test_it_finds_nothing(tmp_path: Path) -> None:
    with ServeProcess(tmp_path / "log.db", env={"RUNCAST_LOGIN_RATE": "1000000"}) as server:
        server.post("s", *[flat(number) for number in range(10)])
        ended = subprocess.run(
            [
                *(PROGRAM, "run", server.url("/openapi.json")),
                *("--checks", CHECKS, "--max-examples", str(EXAMPLES), "--seed", "7"),
                *("--exclude-path-regex", "/sse$"),  # they do not end
                *("--phases", "examples,coverage,fuzzing", "--request-timeout", "10", "--no-color"),
            ],
            cwd=tmp_path,
            env={**clean_env(), "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path / "hypothesis")},
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        assert server.is_healthy()
    assert ended.returncode == 0, ended.stdout[-6_000:] + ended.stderr[-1_000:]
