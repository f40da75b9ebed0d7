"""The workflow and the plan step that the storms run: loaded by the server (`--load benchmarks.flows`)."""

from __future__ import annotations

import json
import time

from runcast import Context, StepContext, plan_step, workflow
from runcast.runners.workflows.context import AgentContext


@workflow("storm")
def storm(ctx: Context) -> str:
    """One agent that tells an event at fixed times, from `begin` (monotonic) on; each carries when it was `sent`."""
    plan = json.loads(ctx.task)

    def work(agent: AgentContext) -> str:
        for number in range(plan["events"]):
            time.sleep(max(0.0, plan["begin"] + number / plan["rate"] - time.monotonic()))
            agent.publish("tick", text="x" * plan["size"], sent=time.monotonic())
        return "done"

    return ctx.agent("worker", work).content


@plan_step("tick")
def tick(ctx: StepContext) -> dict[str, object]:
    """A step that takes as long as it is told."""
    time.sleep(ctx.params["seconds"])
    return {"text": "x" * 200}
