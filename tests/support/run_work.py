"""Workflows and steps for tests of commands: they go on when a file is there, and write down what they did."""

from __future__ import annotations

import time
from pathlib import Path

import runcast
from runcast.runners.workflows.context import Agent, AgentContext, AgentResult


def _file(folder: str, name: str) -> Path:
    return Path(folder) / name


def _note(folder: str, name: str) -> None:
    with _file(folder, "done").open("a") as file:
        file.write(f"{name}\n")


@runcast.workflow("gated")
def gated(ctx: runcast.Context) -> str:
    """Its task is the folder. Two agents; the second one goes on when `go` is there; then a question."""
    folder = ctx.task
    print("printed by the workflow")

    def first(agent: AgentContext) -> AgentResult:
        _note(folder, "first")
        return AgentResult("the **first** one", 0.8)

    def second(agent: AgentContext) -> AgentResult:
        agent.output("a beginning of ")
        while not _file(folder, "go").exists():
            agent.check()
            time.sleep(0.01)
        _note(folder, "second")
        return AgentResult("the second one", 0.6)

    ctx.agent("reader", first)
    ctx.parallel([Agent("writer", second)])
    answer = ctx.approve("Publish \x1b[31mit?", {"where": "the front page"})
    return f"# The result\n\n* answer: {answer.approved}, {answer.comment}\n"


@runcast.workflow("failing")
def failing(ctx: runcast.Context) -> str:
    """Fails with a sentence for people."""
    raise runcast.WorkflowError("The printer is on fire.")


@runcast.plan_step("note")
def note(ctx: runcast.StepContext) -> dict[str, object]:
    """Write down that it was done."""
    _note(ctx.query, ctx.step_id)
    return {"content": f"## {ctx.step_id}\n\nThis is **done**.", "quality_score": 0.4}


@runcast.plan_step("gate")
def gate(ctx: runcast.StepContext) -> str:
    """Go on when `go` is there."""
    ctx.progress(0.25, "at the gate")
    while not _file(ctx.query, "go").exists():
        ctx.sleep(0.01)
    _note(ctx.query, ctx.step_id)
    return "passed"


@runcast.plan_step("fail")
def fail(ctx: runcast.StepContext) -> str:
    """Fail with a sentence for people."""
    raise runcast.WorkflowError("The disk is full.")
