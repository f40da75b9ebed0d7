"""Adding many files at once: folders with all in them, many documents to a transaction, and what is gone is removed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from runcast.errors import InvalidInput, UnreadableDocument
from runcast.runners.knowledge.base import KnowledgeBase, Ready
from runcast.runners.knowledge.reader import DocumentReader
from runcast.runners.knowledge.sources import Source, source_of, sources_in
from runcast.runners.knowledge.values import Ingested

BATCH_DOCUMENTS: Final = 64
BATCH_BYTES: Final = 4 * 1024 * 1024
"""Documents that are stored in one transaction, by number and by size."""


class Progress(msgspec.Struct):
    """How far it is: of `total` files, `done` are, with `bytes` in them."""

    total: int = 0
    done: int = 0
    bytes: int = 0
    name: str = ""
    """The file that comes next, or has just been done."""


class Failure(msgspec.Struct, frozen=True):
    """A file that was not added, and why."""

    name: str
    reason: str


class Report(msgspec.Struct):
    """What became of all files."""

    added: list[Ingested] = []
    unchanged: list[Ingested] = []
    removed: list[str] = []
    failed: list[Failure] = []


OnProgress = Callable[[Progress], None]


def add_paths(
    knowledge: KnowledgeBase,
    paths: Iterable[str | Path],
    on_progress: OnProgress = lambda progress: None,
    on_stored: Callable[[list[Ingested]], None] = lambda stored: None,
) -> Report:
    """Add files and folders. A file that cannot be read stops nothing; it is told in the report.

    Documents of an added folder whose files are gone are removed. When this is interrupted, what was stored so far
    is stored; adding the same again goes on from there.

    Args:
        knowledge: where to.
        paths: of files and folders.
        on_progress: called for each file, also for those that are unchanged.
        on_stored: called with what is on disk now, as it gets there.

    Raises:
        UnreadableDocument: a path is none; then nothing is added.
    """
    given = [Path(path).expanduser() for path in paths]
    for path in given:
        if not path.exists():
            raise UnreadableDocument(f"{path}: there is no such file or folder.", field="path")
    report = Report()
    found = list(find(given, report))
    progress = Progress(total=len(found))
    waiting: list[Ready] = []
    with DocumentReader() as reader:
        for source in found:
            progress.name = source.name
            on_progress(progress)
            ready = _prepare(knowledge, source, reader, report)
            if ready is not None:
                waiting.append(ready)
            if len(waiting) >= BATCH_DOCUMENTS or sum(one.bytes for one in waiting) >= BATCH_BYTES:
                _store(knowledge, waiting, report, on_stored)
            progress.done += 1
            progress.bytes += source.bytes
    _store(knowledge, waiting, report, on_stored)
    on_progress(progress)
    _remove_vanished(knowledge, given, found, report)
    return report


def find(given: Iterable[Path], report: Report) -> Iterator[Source]:
    """The files of paths and folders, each once; those that cannot be had go into the report."""
    seen: set[str] = set()
    for path in given:
        for source in sources_in(path) if path.is_dir() else [_one(path)]:
            if isinstance(source, InvalidInput):
                report.failed.append(Failure(str(path), str(source)))
            elif source.path not in seen:
                seen.add(source.path)
                yield source


def _one(path: Path) -> Source | InvalidInput:
    try:
        return source_of(path)
    except InvalidInput as error:
        return error


def _prepare(
    knowledge: KnowledgeBase, source: Source, reader: DocumentReader, report: Report
) -> Ready | None:
    try:
        ready = knowledge.prepare(source, reader=reader)
    except InvalidInput as error:
        report.failed.append(Failure(source.name, str(error)))
        return None
    if isinstance(ready, Ingested):
        report.unchanged.append(ready)
        return None
    return ready


def _store(
    knowledge: KnowledgeBase,
    waiting: list[Ready],
    report: Report,
    on_stored: Callable[[list[Ingested]], None],
) -> None:
    if waiting:
        stored = knowledge.store(waiting)
        waiting.clear()
        report.added.extend(stored)
        on_stored(stored)


def _remove_vanished(
    knowledge: KnowledgeBase, given: list[Path], found: list[Source], report: Report
) -> None:
    """Forget documents of an added folder whose files are there no longer; one that could not be read stays."""
    folders = [os.path.join(os.path.abspath(path), "") for path in given if path.is_dir()]  # noqa: PTH100, PTH118
    there = {source.path for source in found}
    for document in knowledge.documents() if folders else []:
        path = document.path
        if path and path not in there and path.startswith(tuple(folders)) and not os.path.lexists(path):
            report.removed.append(document.name)
    knowledge.remove_all(report.removed)
