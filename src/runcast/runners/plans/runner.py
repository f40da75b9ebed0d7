"""The runner of plans, as the host of runners knows it: what is open, and running it."""

from __future__ import annotations

import logging

from runcast.kinds.plan import PLAN
from runcast.kinds.plan_fold import PLAN_STATE
from runcast.kinds.plan_state import DONE, PlanState
from runcast.live.bus import Bus
from runcast.runners.claim import Claim
from runcast.runners.plans.run import PlanRun
from runcast.runners.plans.schedule import decide
from runcast.runners.plans.shared import Shared

logger = logging.getLogger("runcast.plans")


class PlanRunner:
    """Runs those plans of a log that were started with steps for us, and obeys the commands to them.

    One with a step to do whose action or gate is not known here is left to the processes that know it; it can be
    cancelled from here. A plan that waits for a person, paused or for a review, is not open: nobody holds it, it takes no place among
    `max_plans`, and a command opens it again, in whichever process.
    """

    kind = PLAN.name

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._bus: Bus = shared.bus

    async def is_open(self, stream: str) -> bool:
        """Whether something is to be done about it: a command to answer, a step to begin, one that somebody lost.

        Raises:
            LogError: the log could not be read.
        """
        state = await self._bus.fold(stream, PLAN_STATE)
        if not state.managed:
            return False
        unknown = self._unknown(state)
        if unknown and not _is_cancelled(state):
            if state.pending or not state.is_over:
                logger.warning("%s waits for a process that knows %s", stream, unknown)
            return False
        return bool(state.pending) or not (state.is_over or self._is_parked(state))

    async def is_ending(self, stream: str) -> bool:
        """Whether a command to cancel it waits: that needs no place among those that run.

        Raises:
            LogError: the log could not be read.
        """
        state = await self._bus.fold(stream, PLAN_STATE)
        return state.managed and _is_cancelled(state)

    async def run(self, claim: Claim) -> None:
        """Until the plan is over, or nothing is to be done without a command. See `PlanRun.run`."""
        await PlanRun(claim, self._shared).run()

    def _unknown(self, state: PlanState) -> str:
        """What is not known here and would be needed: an action, or a gate; empty if there is no such thing."""
        functions = self._shared.functions
        for step in state.steps.values():
            gate = step.definition.quality_gate
            if step.status in DONE:
                continue
            if step.definition.action not in functions.actions:
                return f"the action {step.definition.action}"
            if gate is not None and gate.check is not None and gate.check not in functions.gates:
                return f"the quality gate {gate.check}"
        return ""

    def _is_parked(self, state: PlanState) -> bool:
        return decide(state, self._bus.now_us(), {}, self._bus.settings.plan_parallel_steps).parked


def _is_cancelled(state: PlanState) -> bool:
    return any(command.command == "cancel" for command in state.pending.values())
