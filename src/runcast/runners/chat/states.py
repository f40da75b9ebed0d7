"""The states of conversations as this process knows them: each is read on from where it was read to before."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from runcast.kinds.chat_state import CHAT_STATE, ChatState
from runcast.live.bus import Bus
from runcast.live.folds import Folding, read_foldings

REMEMBERED: Final = 2_000
"""Those that were asked for last; of the others the log has snapshots."""


class States:
    """`read` is a fold that costs one read of what is new. Belongs to the event loop.

    What it returns is of that moment and must not be changed or kept over an await: it moves on with the stream.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._known: OrderedDict[str, Folding[ChatState]] = OrderedDict()

    async def read(self, stream: str) -> ChatState:
        """The state after all that is committed. Cancellation-safe.

        Raises:
            LogError: the stream could not be read.
            InvalidStreamName: there can be none of this name.
        """
        return (await self.folding(stream)).state

    async def folding(self, stream: str) -> Folding[ChatState]:
        """As `read`, with the place in the stream up to which the state is known."""
        while True:
            folding = self._known.get(stream) or await self._begin(stream)
            if await self._read_on(stream, folding):
                return folding
            self._known.pop(stream, None)

    async def _begin(self, stream: str) -> Folding[ChatState]:
        while True:
            foldings = await read_foldings(self._bus, stream, [CHAT_STATE])
            if foldings is not None:
                break  # else it was cleared meanwhile
        folding: Folding[ChatState] = foldings[0]
        if folding.epoch:  # who asks for what is not there is not remembered
            folding = self._known.setdefault(stream, folding)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return folding

    async def _read_on(self, stream: str, folding: Folding[ChatState]) -> bool:
        """False if another run began."""
        if stream in self._known:
            self._known.move_to_end(stream)
        while True:
            page = await self._bus.read(stream, folding.cursor)
            if page.reset is not None or (folding.epoch and page.epoch != folding.epoch):
                return False
            folding.take(page)
            if page.complete:
                return True
