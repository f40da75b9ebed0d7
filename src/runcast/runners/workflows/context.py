"""What a workflow and its agents get: how they run agents, ask the model, search, tell and ask people.

These objects are used in threads. Each call may raise `Cancelled`, which is not to be caught: the run is over here.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from runcast.kinds.workflow_state import MAX_APPROVALS
from runcast.runners.knowledge.values import Passage
from runcast.runners.model import Message
from runcast.runners.workflows.failure import AgentFailed, WorkflowError

MAX_AGENTS = 200
"""Of one run: as many as its fold keeps."""
MAX_TYPE_CHARS = 100
_current = threading.local()


class AgentResult(NamedTuple):
    """What an agent may return in place of a text: the text, and how sure it is (0 to 1)."""

    content: str
    confidence: float | None = None


class AgentOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What came of an agent. `error` is the sentence for one that has failed, if the workflow goes on all the same."""

    agent_id: str
    agent_type: str
    content: str
    confidence: float | None = None
    tokens: int = 0
    llm_calls: int = 0
    seconds: float = 0.0
    model: str | None = None
    error: str | None = None


class Approval(NamedTuple):
    """A person's answer. It is true where it was a yes."""

    approved: bool
    by: str | None = None
    comment: str | None = None

    def __bool__(self) -> bool:
        return self.approved


class Parent(NamedTuple):
    """The workflow that this one follows up on, and what came of it."""

    workflow_id: str
    task: str
    synthesis: str
    confidence: float


class Facts(NamedTuple):
    """What is fixed about a run."""

    workflow_id: str
    task: str
    max_steps: int | None
    parent: Parent | None
    attempt: int


AgentWork = Callable[["AgentContext"], "str | AgentResult | None"]
"""The code of an agent: plain, synchronous, in a thread of its own. It is run anew if it did not come to its end."""


class Agent(NamedTuple):
    """An agent to be run; without an id it gets one from its type: `research_001`."""

    agent_type: str
    work: AgentWork
    agent_id: str | None = None


class Host(Protocol):
    """What a context asks of the run, from its threads."""

    facts: Facts

    def check(self) -> None:
        """Raise `Cancelled` if the run is over."""
        ...

    def run_agents(self, agents: Sequence[Agent]) -> list[AgentOutput]:
        """Run them at once, and wait for all."""
        ...

    def begin_agent(self, agent_id: str, agent_type: str) -> None:
        """An agent has got its thread."""
        ...

    def ask(self, agent_id: str, messages: Sequence[Message], max_tokens: int | None) -> str:
        """An answer of the model."""
        ...

    def search(self, query: str, limit: int) -> Sequence[Passage]:
        """Passages of the knowledge base."""
        ...

    def tell(self, event_type: str, fields: dict[str, Any], event_id: str | None) -> None:
        """Publish an event; returned means stored."""
        ...

    def progress(self, percent: float, message: str) -> None:
        """Say how far it is."""
        ...

    def expect(self, steps: int) -> None:
        """Say how many steps there will be."""
        ...

    def tell_synthesis(self) -> None:
        """Say that the synthesis begins."""
        ...

    def approve(self, number: int, question: str, details: dict[str, Any]) -> Approval:
        """Ask a person, and wait."""
        ...


class _Common:
    """What a workflow and an agent both can do."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.workflow_id = host.facts.workflow_id
        self.task = host.facts.task
        self.max_steps = host.facts.max_steps
        self.parent = host.facts.parent
        self.attempt = host.facts.attempt

    def check(self) -> None:
        """Raise `Cancelled` if the run was cancelled. Long computations should call it now and then."""
        self._host.check()

    def search(self, query: str, limit: int = 5) -> Sequence[Passage]:
        """The best passages of the knowledge base for `query`, at most `limit`; none if nothing fits."""
        self.check()
        return self._host.search(query, limit)

    def progress(self, percent: float, message: str = "") -> None:
        """Say how far the workflow is, from 0 to 100. Published as `workflow_progress` with an estimate."""
        self._host.progress(percent, message)


class AgentContext(_Common):
    """What an agent gets."""

    def __init__(self, host: Host, agent_id: str, agent_type: str) -> None:
        super().__init__(host)
        self.agent_id = agent_id
        self.agent_type = agent_type

    def llm(
        self,
        prompt: str | Sequence[Message],
        *,
        system: str | None = None,
        max_tokens: int | None = None,
    ) -> str:
        """Ask the model and return its whole answer; those who watch see it as it comes (`agent_output`).

        Raises:
            ModelError: it did not answer, or not to the end.
        """
        return self._host.ask(self.agent_id, _messages(prompt, system), max_tokens)

    def output(self, content: str, *, confidence: float | None = None) -> None:
        """Show a piece of this agent's output that does not come from the model."""
        fields = {"agent_id": self.agent_id, "content": content, "confidence": confidence}
        self._host.tell("agent_output", fields, None)

    def publish(self, event_type: str, **fields: Any) -> None:
        """Publish an event of your own type to the workflow's stream, with this agent's id; returned means stored.

        Raises:
            WorkflowError: the type is one of the runner's own.
            InvalidEvent, TooLarge: the event cannot be stored.
        """
        self._host.tell(event_type, {"agent_id": self.agent_id, **fields}, None)


class Context(_Common):
    """What a workflow gets. Called in an agent's thread, `llm` and `publish` are that agent's."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._thread = threading.get_ident()
        self._of_type: Counter[str] = Counter()
        self._ids: set[str] = set()
        self._asked = self._told = 0

    def agent(self, agent_type: str, work: AgentWork, *, agent_id: str | None = None) -> AgentOutput:
        """Run an agent and wait for it. If it completed before the function was called again, its output is returned.

        That is the same output, as it was stored: a content of more than 32,768 characters is cut, with a mark,
        whether it comes from the agent or from the log.

        Raises:
            AgentFailed: it failed; the message is what its watchers were told.
        """
        (output,) = self.parallel([Agent(agent_type, work, agent_id)])
        return output

    def parallel(
        self,
        agents: Iterable[Agent],
        *,
        keep_going: bool = False,
    ) -> list[AgentOutput]:
        """Run several agents at once and wait for all; their outputs in the order in which they were given.

        With `keep_going`, those that failed are there with their `error` and no content.

        Raises:
            AgentFailed: one of them failed (the first one in order), and `keep_going` was not said.
        """
        self._in_own_thread("parallel")
        named = [self._name(agent) for agent in agents]
        if not named:
            return []
        outputs = self._host.run_agents(named)
        for output in outputs:
            if output.error is not None and not keep_going:
                raise AgentFailed(output.agent_id, output.error)
        return outputs

    def synthesize(self, work: AgentWork) -> AgentOutput:
        """Run the agent that makes one result of the others'; tells `synthesis_started` before.

        Raises:
            AgentFailed: it failed.
        """
        self._in_own_thread("synthesize")
        self._host.tell_synthesis()
        return self.agent("synthesis", work)

    def llm(
        self,
        prompt: str | Sequence[Message],
        *,
        system: str | None = None,
        max_tokens: int | None = None,
    ) -> str:
        """Ask the model, as an agent of the type `assistant`: its answer is kept like any agent's output.

        Raises:
            AgentFailed: the model did not answer.
            ModelError: the same, in an agent's thread.
        """
        agent = current_agent()
        if agent is not None:
            return agent.llm(prompt, system=system, max_tokens=max_tokens)
        return self.agent("assistant", lambda a: a.llm(prompt, system=system, max_tokens=max_tokens)).content

    def expect(self, steps: int) -> None:
        """Say how many steps there will be: calls of `agent`, `parallel`, `llm` and `synthesize`.

        From then on, progress is told by itself, with an estimate from what the finished ones took.
        """
        self._host.expect(steps)

    def approve(self, question: str, details: dict[str, Any] | None = None) -> Approval:
        """Ask a person and wait, for days if need be, over restarts; the first answer counts.

        An answer that comes within half a minute is returned at once. While nobody has answered for longer, the
        function is left: by `Cancelled`, so its `finally` blocks run. When the answer is there, it is called again
        from its top, here or in another process; agents that completed return what they returned then, questions
        that were answered their answers. What takes time or has effects therefore belongs into agents.

        Questions belong to the workflow, not to its agents: an agent's thread would wait with it.

        Raises:
            WorkflowError: it has asked too often.
        """
        self._in_own_thread("approve")
        if self._asked >= MAX_APPROVALS:
            raise WorkflowError(f"A workflow can ask {MAX_APPROVALS} questions at most.")
        self._asked += 1
        return self._host.approve(self._asked, question, details or {})

    def publish(self, event_type: str, **fields: Any) -> None:
        """Publish an event of your own type to the workflow's stream; returned means stored.

        The same call after a restart is the same event, so it is there once.

        Raises:
            WorkflowError: the type is one of the runner's own.
            InvalidEvent, TooLarge: the event cannot be stored.
        """
        agent = current_agent()
        if agent is not None:
            agent.publish(event_type, **fields)
            return
        self._told += 1
        self._host.tell(event_type, fields, f"told:{self._told}:{event_type}"[:200])

    def _name(self, agent: Agent) -> Agent:
        kind = agent.agent_type
        if not kind or len(kind) > MAX_TYPE_CHARS or not kind.isprintable():
            raise WorkflowError(f"An agent's type is 1 to {MAX_TYPE_CHARS} printable characters.")
        self._of_type[kind] += 1
        agent_id = agent.agent_id or f"{kind}_{self._of_type[kind]:03d}"
        if agent_id in self._ids:
            raise WorkflowError(f"Two agents cannot have the same id: {agent_id}.")
        if len(self._ids) >= MAX_AGENTS:
            raise WorkflowError(f"A workflow can have {MAX_AGENTS} agents at most.")
        self._ids.add(agent_id)
        return agent._replace(agent_id=agent_id)

    def _in_own_thread(self, call: str) -> None:
        self.check()
        if threading.get_ident() != self._thread:
            raise WorkflowError(f"ctx.{call} belongs to the workflow itself: an agent cannot call it.")


def current_agent() -> AgentContext | None:
    """The agent whose thread this is."""
    return getattr(_current, "agent", None)


def run_as(agent: AgentContext, work: AgentWork) -> AgentResult:
    """Do an agent's work in this thread.

    Raises:
        WorkflowError: what it returned is no output.
        Exception: whatever it raises.
    """
    _current.agent = agent
    try:
        returned: object = work(agent)
    finally:
        _current.agent = None
    return result_of(returned, f"agent {agent.agent_id}")


def result_of(returned: object, who: str) -> AgentResult:
    """What a workflow or an agent returned, as a text and how sure it is.

    Raises:
        WorkflowError: it is nothing of the kind.
    """
    match returned:
        case None:
            return AgentResult("")
        case str():
            return AgentResult(returned)
        case AgentOutput() | AgentResult():
            confidence = returned.confidence
            if confidence is not None and not 0 <= confidence <= 1:
                raise WorkflowError(f"{who}: a confidence is from 0 to 1.")
            return AgentResult(returned.content, confidence)
        case _:
            said = type(returned).__name__
            raise WorkflowError(f"{who}: a text or an AgentResult is expected, not {said}.")


def _messages(prompt: str | Sequence[Message], system: str | None) -> list[Message]:
    asked = [Message("user", prompt)] if isinstance(prompt, str) else list(prompt)
    return [Message("system", system), *asked] if system else asked
