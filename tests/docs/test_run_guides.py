"""The guides to workflows and plans: their code is run as it stands, by the commands that they name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from tests.docs.test_guides import BLOCK, DOCS, env, home, run
from tests.support.process import ServeProcess, free_port
from tests.support.server import wait_until

__all__ = ["home"]


def blocks(page: str, kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall((DOCS / page).read_text()) if found == kind]


@pytest.mark.timeout(90)
def test_the_guide_to_workflows(home: Path) -> None:
    own = env(home, free_port())
    first, model, over_http = blocks("workflows.md", "sh")
    (home / "docs").mkdir()
    (home / "README.md").write_text("# Guarantees\n\nA client that comes back gets every event, each once.\n")
    told = run(first.splitlines(), own, home)
    assert "gets every event" in told
    assert set(re.findall(r"RUNCAST_\w+", model)) <= {"RUNCAST_LLM_BASE_URL", "RUNCAST_LLM_MODEL"}
    (code,) = blocks("workflows.md", "python")
    (home / "flows.py").write_text(code)
    run_it = 'runcast workflow run "Which guarantees are there?" --workflow second-look --load flows --json'
    seen: list[str] = []
    with ServeProcess(home / "log.db", env={"RUNCAST_LOAD": "flows", "PYTHONPATH": str(home)}) as server:
        posted = run([over_http.replace("localhost:8000", f"localhost:{server.port}")], own, home)
        workflow_id = json.loads(posted)["workflow_id"]
        wait_until(lambda: server.get(f"/api/v1/workflows/{workflow_id}")["status"] == "completed")
        body = {"task": "Which guarantees are there?", "workflow": "second-look"}
        started = server.http.post("/api/v1/workflows", json=body).json()["workflow_id"]
        asked = wait_until(lambda: server.get("/api/v1/approvals")["approvals"])
        server.http.post(f"/api/v1/approvals/{asked[0]['approval_id']}", json={"approved": True})
        wait_until(lambda: server.get(f"/api/v1/workflows/{started}")["status"] == "completed")
        seen = [agent["agent_type"] for agent in server.get(f"/api/v1/workflows/{started}")["agents_spawned"]]
    assert sorted(seen) == ["doubts", "facts", "synthesis"]
    assert run_it.split()[:3] == ["runcast", "workflow", "run"]


@pytest.mark.timeout(90)
def test_the_guide_to_plans(home: Path) -> None:
    own = env(home, free_port())
    (plan,) = blocks("plans.md", "yaml")
    steps, app = blocks("plans.md", "python")
    (home / "plan.yaml").write_text(plan.replace("on_fail: review", "on_fail: retry").replace("0.5", "0"))
    (home / "steps.py").write_text(steps)
    (home / "app.py").write_text(app)
    (command,) = blocks("plans.md", "sh")
    assert "verdict" in run(command.splitlines(), own, home)
    words = {
        "name": "words",
        "steps": [
            {
                "step_id": "count",
                "description": "count them",
                "action": "count-words",
                "params": {"text": "one two"},
                "quality_gate": {"min_score": 0.5, "check": "has-words"},
            }
        ],
    }
    (home / "words.json").write_text(json.dumps(words))
    told = run(["runcast plan run words.json --load steps --json"], own, home)
    assert json.loads(told.splitlines()[-1])["status"] == "completed"
    run(["python -c 'import app; print(len(app.app.routes))'"], own, home)
