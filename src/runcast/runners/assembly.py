"""All that runs agents in one process, put together: the model, the knowledge base, workflows, plans, and their host."""

from __future__ import annotations

from typing import Self

import msgspec

from runcast.live.bus import Bus
from runcast.runners.host import RunnerHost
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.knowledge.place import knowledge_file
from runcast.runners.llm import make_model
from runcast.runners.model import LanguageModel
from runcast.runners.plans.service import Plans
from runcast.runners.threads import WorkThreads
from runcast.runners.workflows.service import Workflows


class Runners(msgspec.Struct, frozen=True):
    """The services that routes ask, and the `host` whose `run` makes this process a runner."""

    model: LanguageModel
    knowledge: KnowledgeBase
    workflows: Workflows
    plans: Plans
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
        return cls(model, knowledge, workflows, plans, RunnerHost(bus, [workflows, plans.runner]))
