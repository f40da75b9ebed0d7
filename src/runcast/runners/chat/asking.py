"""Storing what is to be answered, and knowing who waits for how much."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from runcast.kinds.base import Publish
from runcast.kinds.chat_state import ChatState, Person
from runcast.live.bus import Bus
from runcast.log.base import Appended
from runcast.runners.chat.limits import Limits
from runcast.runners.chat.load import Load
from runcast.runners.chat.states import States

Before = Callable[[], Awaitable[None]]
Store = Callable[[Publish], Awaitable[Appended]]


class Asking:
    """What is asked for in this process. Belongs to the event loop."""

    def __init__(self, bus: Bus, states: States, limits: Limits, store: Store) -> None:
        self._states = states
        self._limits = limits
        self._store = store
        self._load = Load(bus)
        self._storing: set[str] = set()
        """Answers of which the questions are being stored."""

    async def check(self, state: ChatState, stream: str, person: Person) -> None:
        """See `Limits.check_load`. Before somebody is refused for it, what they wait for is looked at once more.

        Raises:
            Occupied: no more may be asked. LogError: it could not be found out.
        """
        if self._limits.is_full(self._load.of(person.id)):
            for answer_id, asked_in in self._load.answers(person.id):
                if answer_id not in self._storing:
                    await self.is_wanted(asked_in, answer_id)
            state = await self._states.read(stream)
        self._limits.check_load(state, self._load.of(person.id))

    async def store(
        self, person: Person, answer_id: str | None, event: Publish, before: Before | None = None
    ) -> Appended:
        """Store what asks for an answer, and count that somebody waits for it; with None, nothing is counted.

        `before` is awaited right before it is stored. Raises what that and storing raise.
        """
        before = before or _at_once
        if answer_id is None or answer_id in self._storing:  # it is counted once
            await before()
            return await self._store(event)
        self._load.note(answer_id, person.id, event.stream)
        self._storing.add(answer_id)
        is_new = False
        try:
            await before()
            appended = await self._store(event)
            is_new = not appended.duplicate
        finally:
            self._storing.discard(answer_id)
            if not is_new:
                self._load.settle(answer_id)
        return appended

    async def is_wanted(self, stream: str, answer_id: str) -> bool:
        """Whether an answer is to come. If not, nobody waits for it any more.

        What asks for one counts for nothing if its question is gone by the time that it is stored.
        """
        state = await self._states.read(stream)
        is_wanted = any(asked.answer_id == answer_id for asked in state.pending)
        if not is_wanted:
            self._load.settle(answer_id)
        return is_wanted


async def _at_once() -> None:
    """Nothing is to be done first."""
