"""The runner of one run: a command that runs something in its own process leaves all other runs of the log alone."""

from __future__ import annotations

from runcast.runners.claim import Claim
from runcast.runners.lane import Ending, Runner, Waking


class Only:
    """`runner`, for the run whose stream this is. See `Runner`, `Ending` and `Waking`."""

    def __init__(self, runner: Runner, stream: str) -> None:
        self._runner = runner
        self._stream = stream
        self.kind = runner.kind
        nothing: frozenset[str] = frozenset()
        self.wakes = runner.wakes if isinstance(runner, Waking) else nothing
        self.settles = runner.settles if isinstance(runner, Waking) else nothing

    async def is_open(self, stream: str) -> bool:
        """See `Runner`."""
        return stream == self._stream and await self._runner.is_open(stream)

    async def is_ending(self, stream: str) -> bool:
        """See `Ending`."""
        runner = self._runner
        return stream == self._stream and isinstance(runner, Ending) and await runner.is_ending(stream)

    async def run(self, claim: Claim) -> None:
        """See `Runner`."""
        await self._runner.run(claim)
