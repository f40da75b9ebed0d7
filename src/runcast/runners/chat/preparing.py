"""Importing what an answer takes before the first question: it takes a second or two, and memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from runcast.errors import LogError, RuncastError
from runcast.kinds.chat import NAME
from runcast.live.bus import Bus
from runcast.runners.chat import orchestrator
from runcast.runners.chat.responder import Responder
from runcast.runners.model import LanguageModel

logger = logging.getLogger("runcast.chat")


@runtime_checkable
class Prepares(Protocol):
    """A model that takes a while before it can be asked for the first time."""

    def prepare(self) -> None:
        """Do what takes a while; blocking. Idempotent. What is missing is told when the model is asked."""
        ...


class Preparation:
    """When somebody chats here, or has done so before this process began; on a server without chats, never.

    Args:
        bus: whose log says whether somebody has.
        model: asked for answers.
        find: gives the responder.
    """

    def __init__(self, bus: Bus, model: LanguageModel, find: Callable[[], Responder]) -> None:
        self._bus = bus
        self._model = model
        self._find = find
        self._is_wanted = asyncio.Event()

    def want(self) -> None:
        """Somebody is about to ask. Idempotent."""
        self._is_wanted.set()

    async def run(self) -> None:
        """Wait until it is wanted, and prepare, in a thread: let it run beside a server. Cancellation-safe."""
        if not await self._was_used():
            await self._is_wanted.wait()
        await asyncio.to_thread(_prepare, self._model, self._find())

    async def _was_used(self) -> bool:
        try:
            return bool(await self._bus.recent(NAME, limit=1))
        except LogError:  # others will tell
            return False


def _prepare(model: LanguageModel, responder: Responder) -> None:
    try:
        if responder is orchestrator.orchestrate:
            orchestrator.prepare()
        if isinstance(model, Prepares):
            model.prepare()
    except RuncastError as error:  # an extra is not installed: said to whoever asks
        logger.info("answers cannot be prepared: %s", error)
