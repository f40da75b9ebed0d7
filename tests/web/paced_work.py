"""Work that goes on when a test says so, by files in a folder: for this process, and for `runcast serve --load`."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from runcast.runners.plans.context import StepContext
from runcast.runners.plans.registry import plan_step
from runcast.runners.workflows.context import AgentContext, AgentResult, Context
from runcast.runners.workflows.failure import WorkflowError
from runcast.runners.workflows.registry import workflow

POLL_S = 0.01
HOSTILE = '<img src=x onerror="window.broken = true">'


@workflow("paced")
def paced(ctx: Context) -> Any:
    """One agent that speaks in two pieces, a person who is asked, a result. The task's last line is the folder."""
    folder = Path(ctx.task.splitlines()[-1])
    ctx.expect(2)
    ctx.agent("research", partial(_speak, folder=folder))
    answer = ctx.approve("Publish what was found?", {"found": "two pieces"})
    return ctx.synthesize(partial(_conclude, said=f"{answer.approved}, {answer.comment}"))


@plan_step("paced")
def paced_step(ctx: StepContext) -> dict[str, Any]:
    """Done when the file `path` is there; a file that begins with `fail` makes it fail."""
    path = Path(ctx.params["path"])
    ctx.progress(0.25, "waits for the test")
    while not path.exists():
        ctx.sleep(POLL_S)
    said = path.read_text()
    if said.startswith("fail"):
        path.unlink()
        raise WorkflowError(f"it was told to {said}")
    return {"content": f"**{ctx.step_id}** says {said} {HOSTILE}", "quality_score": 0.4}


def _speak(agent: AgentContext, folder: Path) -> AgentResult:
    agent.output("First **words**\n\n")
    _wait_for(folder / "speak", agent.check)
    agent.output(f"then {HOSTILE}")
    _wait_for(folder / "finish", agent.check)
    return AgentResult(f"First **words**\n\nthen {HOSTILE}", 0.8)


def _conclude(agent: AgentContext, said: str) -> AgentResult:
    text = f"# It is so\n\nThe answer was **{said}** [notes.md, Intro]. {HOSTILE}"
    agent.output(text)
    return AgentResult(text, 0.9)


def _wait_for(path: Path, check: Callable[[], None]) -> None:
    while not path.exists():
        check()
        time.sleep(POLL_S)
