"""All that runs agents in one process, put together: model, knowledge base, workflows, plans, chats, tasks, their host."""

from __future__ import annotations

from typing import Self

import msgspec

from runcast.live.bus import Bus
from runcast.runners.chat.service import Chats
from runcast.runners.host import RunnerHost
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.knowledge.place import knowledge_file
from runcast.runners.llm import make_model
from runcast.runners.model import LanguageModel
from runcast.runners.plans.service import Plans
from runcast.runners.tasks.service import Tasks
from runcast.runners.threads import WorkThreads
from runcast.runners.workflows.service import Workflows


class Runners(msgspec.Struct, frozen=True):
    """The services that routes ask, and the `host` whose `run` makes this process a runner."""

    model: LanguageModel
    knowledge: KnowledgeBase
    workflows: Workflows
    plans: Plans
    chats: Chats
    tasks: Tasks
    host: RunnerHost

    @classmethod
    def over(cls, bus: Bus) -> Self:
        """As the settings of `bus` say. Nothing is opened, connected to or begun.

        Raises:
            ConfigError: the model's configuration is incomplete or cannot be.
        """
        settings = msgspec.structs.replace(bus.settings, log=bus.log.url)
        knowledge = KnowledgeBase(knowledge_file(settings))
        model = make_model(settings, knowledge)
        threads = WorkThreads(settings.runner_threads)
        workflows = Workflows(bus, model, knowledge, threads=threads)
        plans = Plans(bus, model, knowledge, threads=threads)
        chats = Chats(bus, model, knowledge)
        tasks = Tasks(bus)
        limits = {
            workflows.kind: settings.max_workflows,
            plans.runner.kind: settings.max_plans,
            chats.kind: settings.max_answers,
            tasks.kind: tasks.most_at_once,
        }
        host = RunnerHost(bus, [workflows, plans.runner, chats, tasks], limits)
        return cls(model, knowledge, workflows, plans, chats, tasks, host)

    async def close(self) -> None:
        """Let go of what was opened. Idempotent."""
        self.chats.close()
        await self.tasks.close()
        await self.model.close()
        self.knowledge.close()
