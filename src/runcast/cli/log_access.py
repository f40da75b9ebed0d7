"""`Access` straight on a log: no server is needed, and one that runs meanwhile sees what is published here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import httpx2
from msgspec.structs import replace

from runcast.cli.access import NODES_PATH, run_path, session_pages
from runcast.cli.log_tail import LogTail, native_value
from runcast.client.addresses import session_path
from runcast.client.problems import error_of
from runcast.client.values import Receipt
from runcast.config import Settings
from runcast.core.event import check_kind, cursor_of, format_time, split_stream
from runcast.core.filters import EventSubscriptionFilter
from runcast.core.scope import Scope
from runcast.errors import StreamNotFound
from runcast.kinds.known import KINDS
from runcast.live.bus import Bus
from runcast.live.history import page_before
from runcast.log.base import Appended, StreamInfo
from runcast.log.open import open_configured

PAGE_OF_STREAMS = 1_000


class LogAccess:
    """See the module. Close it, or use it in a `with`.

    Raises:
        LogError: the log cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        # Whoever has the file needs no key: what locks its servers is not asked for here.
        settings = replace(settings, locked=False, api_keys=(), jwt_secret="", jwks_url="")
        self._log = open_configured(settings)
        self._bus = Bus(self._log, KINDS, settings)
        self._bus.processors.load_entry_points()
        self.where = self._log.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run(self._bus.close())

    def publish(self, stream: str, events: Sequence[Mapping[str, Any]]) -> Receipt:
        """See `Access`."""
        from runcast.transport.body import native_publish

        split_stream(stream)
        accepted = [native_publish(stream, dict(event), index) for index, event in enumerate(events)]
        return _receipt(stream, self._bus.publish_soon(accepted).result())

    def streams(self, kind: str = "") -> Iterator[dict[str, Any]]:
        """See `Access`."""
        wanted = check_kind(kind) if kind else None
        after = ""
        while found := self._log.streams(wanted, after, PAGE_OF_STREAMS):
            yield from map(_describe, found)
            after = found[-1].stream

    def sessions(self) -> Iterator[dict[str, Any]]:
        """See `Access`."""
        return session_pages(self._ask)

    def info(self, stream: str) -> dict[str, Any]:
        """See `Access`."""
        return _describe(self._info(stream))

    def recent(self, stream: str, count: int) -> list[dict[str, Any]]:
        """See `Access`."""
        self._info(stream)
        page = asyncio.run(page_before(self._bus, Scope.of_stream(stream), None, count))
        return [native_value(event, str(cursor_of(event))) for event in page.events]

    def session(self, session_id: str) -> dict[str, Any]:
        """See `Access`."""
        return self._ask(session_path(session_id))

    def bottlenecks(self, session_id: str) -> dict[str, Any]:
        """See `Access`."""
        return self._ask(f"{session_path(session_id)}/bottlenecks")

    def run(self, kind: str, run_id: str) -> dict[str, Any]:
        """See `Access`."""
        return self._ask(run_path(kind, run_id))

    def nodes(self) -> dict[str, Any]:
        """See `Access`."""
        return self._ask(NODES_PATH)

    def _ask(self, path: str) -> dict[str, Any]:
        """What a server on this log would answer: the app itself is asked, without any server."""
        from runcast.app import create_app

        transport = httpx2.ASGITransport(create_app(bus=self._bus), raise_app_exceptions=False)

        async def ask() -> httpx2.Response:
            async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.get(path)

        response = asyncio.run(ask())
        if not response.is_success:
            raise error_of(response)
        return response.json()

    def tail(self, streams: Sequence[str], after: str, wanted: EventSubscriptionFilter) -> LogTail:
        """See `Access`."""
        return LogTail(self._log, streams, after, wanted)

    def _info(self, stream: str) -> StreamInfo:
        split_stream(stream)
        info = self._log.info(stream)
        if not info.epoch:
            raise StreamNotFound(f"There is no stream {stream} in {self.where}.")
        return info


def _describe(info: StreamInfo) -> dict[str, Any]:
    return {
        "stream": info.stream,
        "epoch": info.epoch,
        "head": info.head,
        "oldest": info.oldest,
        "ended": info.ended,
        "cursor": str(info.cursor),
        "created": format_time(info.created),
        "updated": format_time(info.updated),
    }


def _receipt(stream: str, appended: list[Appended]) -> Receipt:
    last = max(appended, key=lambda one: one.position, default=None)
    return Receipt(
        stream=stream,
        epoch=last.epoch if last else "",
        first_seq=min((one.seq for one in appended), default=0),
        last_seq=last.seq if last else 0,
        count=len(appended),
        duplicates=sum(one.duplicate for one in appended),
        cursor=str(last.cursor) if last else "",
    )
