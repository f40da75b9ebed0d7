"""Lists of runs, by page and by status: from the snapshots of a light fold, so that no stream is read as a whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from runcast.errors import InvalidInput
from runcast.kinds.base import Fold
from runcast.live.bus import Bus
from runcast.live.folds import newest_states
from runcast.log.base import StreamInfo
from runcast.transport.listing import CHUNK, MOST_CHUNKS
from runcast.transport.params import Query, integer_param, text_param

MAX_LISTED = 10_000
"""So many of the runs that were busy last are looked at; a list ends there."""
MAX_PAGES = 256
"""So many pages of events a list reads, for runs that have had news since their last snapshots; and one of each new run."""
MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 20


class HasStatus(Protocol):
    """What the state of a run must have to be listed."""

    @property
    def status(self) -> str:
        """One of the words that the list can be filtered by."""
        ...


S = TypeVar("S", bound=HasStatus)


class Run(NamedTuple, Generic[S]):
    """One run: where its stream stands, and its state."""

    info: StreamInfo
    state: S


class RunPage(NamedTuple, Generic[S]):
    """A page of a list, and how many there are on all pages."""

    runs: list[Run[S]]
    total: int
    page: int
    page_size: int


class RunList(Generic[S]):
    """The runs of a kind, by a light fold of it. `statuses` are those that a run may have."""

    def __init__(self, bus: Bus, kind: str, fold: Fold[S], statuses: Sequence[str]) -> None:
        self._bus = bus
        self._kind = kind
        self._fold = fold
        self._statuses = statuses

    async def newest(
        self, statuses: Collection[str], may_read: Callable[[str], bool] = lambda _: True
    ) -> list[Run[S]]:
        """The runs that have one of `statuses`, the latest begun first.

        Raises:
            LogError: the log could not be read.
        """
        runs = await self._states(await self._infos(may_read))
        return [run for run in runs if run.state.status in statuses]

    async def page(self, query: Query, may_read: Callable[[str], bool]) -> RunPage[S]:
        """The page that `?page=`, `?page_size=` and `?status_filter=` ask for, the latest begun first.

        Raises:
            InvalidInput: a parameter cannot be; names it.
            LogError: the log could not be read.
        """
        page = integer_param(query, "page", 1, 1, MAX_LISTED)
        size = integer_param(query, "page_size", DEFAULT_PAGE_SIZE, 1, MAX_PAGE_SIZE)
        wanted = self._wanted(query)
        first = (page - 1) * size
        if wanted:
            runs = await self.newest(wanted, may_read)
            return RunPage(runs[first : first + size], len(runs), page, size)
        infos = await self._infos(may_read)
        return RunPage(await self._states(infos[first : first + size]), len(infos), page, size)

    async def _infos(self, may_read: Callable[[str], bool]) -> list[StreamInfo]:
        found: list[StreamInfo] = []
        before: int | None = None
        for _ in range(MOST_CHUNKS):
            chunk = await self._bus.recent(self._kind, before, CHUNK)
            found += [info for info in chunk if info.head and may_read(info.stream)]
            if len(chunk) < CHUNK or len(found) >= MAX_LISTED:
                break
            before = chunk[-1].latest
        return sorted(found[:MAX_LISTED], key=lambda info: info.created, reverse=True)

    async def _states(self, infos: Sequence[StreamInfo]) -> list[Run[S]]:
        states = await newest_states(self._bus, infos, self._fold, max_pages=MAX_PAGES, unknown_too=True)
        return [Run(info, state.value) for info, state in zip(infos, states, strict=True)]

    def _wanted(self, query: Query) -> frozenset[str]:
        """By commas; empty for all."""
        text = text_param(query, "status_filter", "").lower()
        wanted = frozenset(word for part in text.split(",") if (word := part.strip()))
        if not wanted <= set(self._statuses):
            raise InvalidInput(
                f"status_filter: {', '.join(self._statuses)}, or several by commas.", field="status_filter"
            )
        return wanted


def page_document(page: RunPage[Any], name: str, describe: Callable[[Run[Any]], Any]) -> dict[str, Any]:
    """The JSON of a page: the runs under `name`, and where in the list it is."""
    return {
        name: [describe(run) for run in page.runs],
        "total": page.total,
        "page": page.page,
        "page_size": page.page_size,
        "pages": -(-page.total // page.page_size),
    }
