"""Running the agents of one run: each in a thread of the pool, told from its beginning to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from runcast.errors import InvalidInput
from runcast.kinds.session import cut_text
from runcast.kinds.workflow_fields import MAX_TEXT_CHARS
from runcast.kinds.workflow_state import Agent as Known
from runcast.runners.model import LanguageModel, Message
from runcast.runners.threads import WorkThreads
from runcast.runners.workflows.context import Agent, AgentContext, AgentOutput, AgentResult, Host, run_as
from runcast.runners.workflows.deltas import tell_answer
from runcast.runners.workflows.estimate import Estimate
from runcast.runners.workflows.failure import Cancelled, WorkflowError, sentence_of
from runcast.runners.workflows.meter import Meter
from runcast.runners.workflows.publisher import Publisher


class _Active:
    """An agent that has begun."""

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.meter = Meter()


class _Outcome(NamedTuple):
    """How an agent's thread came to its end. Not raised: an asyncio future cannot hold any exception."""

    result: AgentResult | None
    error: BaseException | None


class Agents:
    """The agents of one run. In the loop; those that completed before are not run again."""

    def __init__(
        self,
        known: dict[str, Known],
        *,
        publisher: Publisher,
        model: LanguageModel,
        threads: WorkThreads,
        run_meter: Meter,
        estimate: Estimate,
        since_s: Callable[[], float],
    ) -> None:
        self.completed: dict[str, AgentOutput] = {
            one.agent_id: output_of(one) for one in known.values() if one.status == "completed"
        }
        self.at_work: dict[str, _Active] = {}
        self._publisher = publisher
        self._model = model
        self._threads = threads
        self._run_meter = run_meter
        self._estimate = estimate
        self._since_s = since_s

    async def run_step(self, host: Host, agents: Sequence[Agent]) -> list[AgentOutput]:
        """Run these at once, and wait for all of them; one that failed has an `error`.

        Raises:
            ExceptionGroup: with a LogError: what happened cannot be told, so it cannot go on here.
        """
        named = [(agent.agent_id or "", agent) for agent in agents]
        fresh = [(agent_id, agent) for agent_id, agent in named if agent_id not in self.completed]
        self._estimate.begin_step(len(agents), _now_s())
        for agent_id, _ in named:
            if agent_id in self.completed:
                self._estimate.finish_agent(_now_s(), self.completed[agent_id].seconds)
        async with asyncio.TaskGroup() as group:
            tasks = {
                agent_id: group.create_task(self._run(host, agent, agent_id)) for agent_id, agent in fresh
            }
        done = {agent_id: task.result() for agent_id, task in tasks.items()}
        return [done.get(agent_id) or self.completed[agent_id] for agent_id, _ in named]

    async def ask(self, agent_id: str, messages: Sequence[Message], max_tokens: int | None) -> str:
        """The model's whole answer, told as it comes.

        Raises:
            ModelError: it did not answer to the end.
            LogError: the answer cannot be told.
        """

        async def tell(text: str, reasoning: str) -> None:
            fields: dict[str, Any] = {"agent_id": agent_id, "content": text, "confidence": None}
            if reasoning:
                fields["reasoning"] = reasoning
            await self._publisher.tell("agent_output", **fields)

        answer = await tell_answer(self._model.stream(messages, max_tokens=max_tokens), tell)
        active = self.at_work.get(agent_id)
        for meter in (self._run_meter, *([active.meter] if active else [])):
            meter.count(answer.usage, self._model.name)
        return answer.text

    def progress(self, message: str = "") -> dict[str, Any]:
        """The fields of a `workflow_progress`."""
        percent, eta_s = self._estimate.percent(), self._estimate.eta_s(_now_s())
        return {"percent": percent, "eta_seconds": eta_s, "message": message}

    async def _run(self, host: Host, agent: Agent, agent_id: str) -> AgentOutput:
        outcome = await asyncio.wrap_future(self._threads.submit(lambda: self._work(host, agent, agent_id)))
        active = self.at_work.pop(agent_id, None) or _Active(self._since_s())
        if isinstance(outcome.error, Cancelled):
            raise asyncio.CancelledError
        self._estimate.finish_agent(_now_s())
        if outcome.result is None:
            error = outcome.error or WorkflowError(f"agent {agent_id} ended without a result.")
            return await self._failed(agent, agent_id, sentence_of(error, f"agent {agent_id}"))
        try:
            return await self._completed(agent, agent_id, outcome.result, active)
        except InvalidInput as error:
            return await self._failed(
                agent, agent_id, f"agent {agent_id}: its output cannot be stored: {error}"
            )

    def _work(self, host: Host, agent: Agent, agent_id: str) -> _Outcome:
        """All of an agent, in its thread."""
        try:
            host.begin_agent(agent_id, agent.agent_type)
            return _Outcome(run_as(AgentContext(host, agent_id, agent.agent_type), agent.work), None)
        except BaseException as error:  # noqa: BLE001 - a thread's root: SystemExit must not reach the loop
            return _Outcome(None, error)

    async def begin(self, agent_id: str, agent_type: str) -> None:
        """An agent has got its thread."""
        active = self.at_work[agent_id] = _Active(self._since_s())
        spawned: dict[str, Any] = {"agent_type": agent_type, "spawn_time": active.began_s, "confidence": None}
        await self._publisher.tell("agent_spawned", agent_id=agent_id, **spawned)

    async def _completed(
        self, agent: Agent, agent_id: str, result: AgentResult, active: _Active
    ) -> AgentOutput:
        meter = active.meter
        output = AgentOutput(
            agent_id=agent_id,
            agent_type=agent.agent_type,
            content=cut_text(result.content, MAX_TEXT_CHARS),  # what comes after is to see what a replay sees
            confidence=result.confidence,
            tokens=meter.tokens,
            llm_calls=meter.llm_calls,
            seconds=round(self._since_s() - active.began_s, 3),
            model=meter.model,
        )
        fields = {name: getattr(output, name) for name in _TOLD}
        events = [self._publisher.event("agent_completed", **fields)]
        if self._estimate.expected:
            events.append(self._publisher.event("workflow_progress", **self.progress(f"{agent_id} is done.")))
        await self._publisher.publish(*events)
        self.completed[agent_id] = output
        return output

    async def _failed(self, agent: Agent, agent_id: str, sentence: str) -> AgentOutput:
        await self._publisher.tell("agent_failed", agent_id=agent_id, error=sentence)
        return AgentOutput(agent_id=agent_id, agent_type=agent.agent_type, content="", error=sentence)


_TOLD = ("agent_id", "content", "confidence", "tokens", "llm_calls", "seconds", "model")


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def output_of(known: Known) -> AgentOutput:
    """What an agent returned that completed before."""
    return AgentOutput(
        agent_id=known.agent_id,
        agent_type=known.agent_type,
        content=known.content,
        confidence=known.result_confidence,
        tokens=known.tokens,
        llm_calls=known.llm_calls,
        seconds=known.seconds,
        model=known.model,
    )
