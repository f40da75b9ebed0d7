"""Where `runcast knowledge` works: on the file beside a log, or through a server."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import msgspec

from runcast.cli.access import Where, log_place, open_access
from runcast.cli.knowledge import OnProgress
from runcast.cli.usage import settings_of
from runcast.client.blocking import Client
from runcast.errors import ConfigError, InvalidInput
from runcast.feeds.system.knowledge import INGESTED, REMOVED, describe, ingested_data
from runcast.kinds.system import EVENTS
from runcast.runners.knowledge import (
    Failure,
    Ingested,
    KnowledgeBase,
    Progress,
    Report,
    add_paths,
    knowledge_file,
)
from runcast.runners.knowledge.ingest import find
from runcast.runners.knowledge.sources import read_source

BATCH_EVENTS = 500
DOCUMENTS = "/api/v1/knowledge/documents"


class FilePlace:
    """The file itself. What is done is told on the log, so that whoever watches its server sees it."""

    def __init__(self, log: str | None) -> None:
        settings = settings_of(log=log)
        self._log = log
        path = knowledge_file(settings)
        if path is None or log_place(settings) is None:
            raise ConfigError(
                "log: one in memory belongs to its own process, and so does its knowledge. Use its server: --url http://…"
            )
        self._base = KnowledgeBase(path)
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._publish()
        finally:
            self._base.close()

    def add(self, paths: tuple[str, ...], on_progress: OnProgress) -> dict[str, Any]:
        """See `Place`."""

        def on_stored(stored: list[Ingested]) -> None:
            self._events.extend({"type": INGESTED, "data": ingested_data(one)} for one in stored)
            if len(self._events) >= BATCH_EVENTS:
                self._publish()

        report = add_paths(self._base, paths, on_progress, on_stored)
        self._events.extend({"type": REMOVED, "data": {"document": name}} for name in report.removed)
        return msgspec.to_builtins(report)

    def documents(self) -> list[dict[str, Any]]:
        """See `Place`."""
        return [describe(document) for document in self._base.documents()]

    def search(self, query: str, limit: int) -> list[dict[str, Any]]:
        """See `Place`."""
        return msgspec.to_builtins(self._base.search(query, limit))

    def remove(self, name: str) -> None:
        """See `Place`."""
        self._base.remove(name)
        self._events.append({"type": REMOVED, "data": {"document": name}})

    def _publish(self) -> None:
        events, self._events = self._events, []
        for start in range(0, len(events), BATCH_EVENTS) if events else ():
            with open_access(Where(log=self._log)) as access:
                access.publish(EVENTS, events[start : start + BATCH_EVENTS])


class ServerPlace:
    """A server, by a client, which is closed with it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def add(self, paths: tuple[str, ...], on_progress: OnProgress) -> dict[str, Any]:
        """See `Place`. A file that the server refuses stops nothing."""
        report = Report()
        sources = list(find([Path(path).expanduser() for path in paths], report))
        progress = Progress(total=len(sources))
        for source in sources:
            progress.name = source.name
            on_progress(progress)
            try:
                content = base64.b64encode(read_source(source)).decode()
                answer = self._client.request(
                    "POST", DOCUMENTS, {"name": source.name, "content_base64": content}
                )
                ingested = msgspec.convert(answer, Ingested)
                (report.unchanged if ingested.unchanged else report.added).append(ingested)
            except InvalidInput as error:
                report.failed.append(Failure(source.name, f"{source.name}: {error}"))
            progress.done += 1
        on_progress(progress)
        return msgspec.to_builtins(report)

    def documents(self) -> list[dict[str, Any]]:
        """See `Place`."""
        return self._client.request("GET", DOCUMENTS)["documents"]

    def search(self, query: str, limit: int) -> list[dict[str, Any]]:
        """See `Place`."""
        path = "/api/v1/knowledge/search"
        return self._client.request("GET", path, params={"q": query, "limit": str(limit)})["passages"]

    def remove(self, name: str) -> None:
        """See `Place`."""
        self._client.request("DELETE", f"{DOCUMENTS}/{quote(name)}")
