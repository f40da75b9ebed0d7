"""From the threads of one run into its parts in the loop: what a context asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from runcast.errors import InvalidInput
from runcast.kinds.base import Publish
from runcast.kinds.workflow_fields import FIELDS
from runcast.runners.knowledge.values import Passage
from runcast.runners.model import Message
from runcast.runners.workflows.agents import Agents
from runcast.runners.workflows.approvals import Questions
from runcast.runners.workflows.context import Agent, AgentOutput, Approval, Facts
from runcast.runners.workflows.estimate import Estimate
from runcast.runners.workflows.failure import WorkflowError
from runcast.runners.workflows.portal import Portal
from runcast.runners.workflows.publisher import Publisher

RESERVED = frozenset(FIELDS) - {"agent_output"} | {
    "connected",
    "ping",
    "pong",
    "error",
    "reset",
    "gap",
    "end",
}
"""Types that the runner itself publishes, or that a socket sends of its own."""


class Knowledge(Protocol):
    """Something to search in; blocking, and safe to use from several threads."""

    def search(self, query: str, limit: int = ...) -> Sequence[Passage]:
        """The best passages, at most `limit`."""
        ...


class Bridge:
    """The `Host` of a run's contexts. Its methods are called in threads."""

    def __init__(
        self,
        facts: Facts,
        portal: Portal,
        *,
        agents: Agents,
        questions: Questions,
        publisher: Publisher,
        estimate: Estimate,
        knowledge: Knowledge,
    ) -> None:
        self.facts = facts
        self._portal = portal
        self._agents = agents
        self._questions = questions
        self._publisher = publisher
        self._estimate = estimate
        self._knowledge = knowledge

    def begin(self) -> None:
        """Say that the workflow runs: the first act in its thread, as nothing does before."""
        attempt = self.facts.attempt
        self._portal.call(lambda: self._publisher.tell("workflow_status", status="running", attempt=attempt))

    def check(self) -> None:
        """See `Host`."""
        self._portal.check()

    def run_agents(self, agents: Sequence[Agent]) -> list[AgentOutput]:
        """See `Host`."""
        return self._portal.call(lambda: self._agents.run_step(self, agents))

    def begin_agent(self, agent_id: str, agent_type: str) -> None:
        """See `Host`."""
        self._portal.call(lambda: self._agents.begin(agent_id, agent_type))

    def ask(self, agent_id: str, messages: Sequence[Message], max_tokens: int | None) -> str:
        """See `Host`."""
        return self._portal.call(lambda: self._agents.ask(agent_id, messages, max_tokens))

    def search(self, query: str, limit: int) -> Sequence[Passage]:
        """See `Host`."""
        return self._knowledge.search(query, limit)

    def tell(self, event_type: str, fields: dict[str, Any], event_id: str | None) -> None:
        """See `Host`."""
        if event_type in RESERVED:
            raise WorkflowError(f"type: {event_type} is published by the runner itself; choose another one.")
        event = Publish(stream=self._publisher.stream, type=event_type, data=fields, id=event_id)
        self._portal.call(lambda: self._publisher.publish(event))

    def progress(self, percent: float, message: str) -> None:
        """See `Host`."""
        if isinstance(percent, bool) or not 0 <= percent <= 100:
            raise InvalidInput("percent: a number from 0 to 100.", field="percent")

        async def tell() -> None:
            self._estimate.at_least(percent)
            fields = self._agents.progress(message)
            fields["percent"] = percent
            await self._publisher.tell("workflow_progress", **fields)

        self._portal.call(tell)

    def expect(self, steps: int) -> None:
        """See `Host`."""
        if isinstance(steps, bool) or steps < 1:
            raise InvalidInput("steps: an integer from 1 up.", field="steps")
        self._estimate.expected = steps

    def tell_synthesis(self) -> None:
        """See `Host`."""
        count = len(self._agents.completed)
        self._portal.call(
            lambda: self._publisher.tell("synthesis_started", "synthesis_started", agent_count=count)
        )

    def approve(self, number: int, question: str, details: dict[str, Any]) -> Approval:
        """See `Host`."""
        return self._portal.call(lambda: self._questions.ask(number, question, details))
