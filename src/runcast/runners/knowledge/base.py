"""The knowledge base: documents in chunks in one SQLite file, found by their words."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, Self

import msgspec

from runcast.errors import DocumentNotFound, InvalidInput
from runcast.runners.knowledge.chunks import chunks_of
from runcast.runners.knowledge.documents import check_name
from runcast.runners.knowledge.file import KnowledgeFile
from runcast.runners.knowledge.reader import DocumentReader
from runcast.runners.knowledge.search import search
from runcast.runners.knowledge.sources import Source, read_source, source_of
from runcast.runners.knowledge.values import Chunk, Document, Ingested, Parsed, Passage

MAX_RESULTS: Final = 50

_Column = Literal["name", "path"]

_DOCUMENTS: Final = "SELECT name, title, media_type, chunks, bytes, path, added, note FROM documents"
_KNOWN: Final = "SELECT id, name, media_type, note, bytes, sha256, chunks, mtime_ns FROM documents"


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A document that was read and waits to be stored."""

    name: str
    parsed: Parsed
    chunks: list[Chunk]
    bytes: int
    sha256: bytes
    path: str | None = None
    mtime_ns: int | None = None


class _Known(msgspec.Struct, frozen=True):
    """What is stored of a document."""

    id: int
    name: str
    media_type: str
    note: str
    bytes: int
    sha256: bytes
    chunks: int
    mtime_ns: int | None

    def unchanged(self) -> Ingested:
        return Ingested(
            document=self.name,
            media_type=self.media_type,
            chunks=self.chunks,
            bytes=self.bytes,
            unchanged=True,
            note=self.note,
        )


class KnowledgeBase:
    """Documents to look things up in. Blocking, for any thread; several processes may use one file.

    The file is made when the first document is added. Every method raises `KnowledgeError` if it cannot be used.

    Args:
        path: the file; None keeps everything in memory, for this process.
    """

    def __init__(self, path: str | Path | None, *, now_s: Callable[[], float] = time.time) -> None:
        self._file = KnowledgeFile(None if path is None else Path(path))
        self._now_s = now_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def path(self) -> Path | None:
        """The file; None for one in memory."""
        return self._file.path

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._file.close()

    # Adding and removing

    def add(self, source: str | Path | bytes, name: str | None = None, media_type: str = "") -> Ingested:
        """Add a document, or replace the one of this name (or of this file). Returned means on disk.

        A file whose time and size are as they were is not read; what has not changed is not stored again.

        Args:
            source: the path of a file, or the document itself.
            name: what it is called in citations; by default the file's name, with as much of its folder as makes it
                different from others.
            media_type: text/markdown, text/plain, text/html or application/pdf; by default as its name says.

        Raises:
            UnreadableDocument: it cannot be read, is encrypted, damaged, or no text, or reading it takes over 30 s of
                processor time, 2 minutes, or 1 GiB of memory.
            TooLarge: it is over 32 MiB.
            InvalidInput: its name or type cannot be.
        """
        if isinstance(source, bytes):
            if name is None:
                raise InvalidInput("name: content needs a name, such as notes.md.", field="name")
            return self._add_bytes(check_name(name), source, media_type)
        return self.add_source(source_of(Path(source), name), media_type)

    def add_source(self, source: Source, media_type: str = "") -> Ingested:
        """Add a file that was found; see `add`."""
        prepared = self.prepare(source, media_type)
        return prepared if isinstance(prepared, Ingested) else self.store([prepared])[0]

    def prepare(
        self, source: Source, media_type: str = "", reader: DocumentReader | None = None
    ) -> Ready | Ingested:
        """Read a file, if it has changed, to be stored with others by `store`. Raises as `add`.

        `reader` is for who reads many: one that goes on from one to the next.
        """
        known = self._known("path", source.path)
        if known and (known.mtime_ns, known.bytes) == (source.mtime_ns, source.bytes):
            return known.unchanged()
        data = read_source(source)
        sha256 = hashlib.sha256(data).digest()
        name = known.name if known else source.name
        if known and known.sha256 == sha256:
            self._touch(known, source)
            return known.unchanged()
        ready = _ready(name, data, sha256, media_type, reader)
        return msgspec.structs.replace(ready, path=source.path, mtime_ns=source.mtime_ns)

    def store(self, batch: Sequence[Ready]) -> list[Ingested]:
        """Store documents that were read, all or none."""
        with self._file.writing() as connection:
            return [self._store(connection, ready) for ready in batch]

    def remove(self, name: str) -> None:
        """Forget a document.

        Raises:
            DocumentNotFound: there is none of this name.
        """
        if not self.remove_all([name]):
            raise DocumentNotFound(f"There is no document {name[:200]!r} in the knowledge base.")

    def remove_all(self, names: Iterable[str]) -> int:
        """Forget documents; returns how many of them were there."""
        if not self._exists():
            return 0
        with self._file.writing() as connection:
            return sum(_forget(connection, "name", name) for name in names)

    # Looking

    def search(self, query: str, limit: int = 5) -> list[Passage]:
        """The passages that fit a question best, the best first; empty if nothing does.

        Words are compared without case, diacritics and English endings; any text may be asked, its signs mean nothing.

        Args:
            query: a question, or some words.
            limit: how many at most, from 1 to 50.
        """
        with self._file.reading() as connection:
            return search(connection, query, max(1, min(limit, MAX_RESULTS))) if connection else []

    def documents(self) -> list[Document]:
        """All documents, by name."""
        with self._file.reading() as connection:
            rows = connection.execute(f"{_DOCUMENTS} ORDER BY name").fetchall() if connection else []
        return [
            Document(
                name=name,
                title=title,
                media_type=kind,
                chunks=chunks,
                bytes=size,
                path=path,
                added_s=added,
                note=note,
            )
            for name, title, kind, chunks, size, path, added, note in rows
        ]

    def is_empty(self) -> bool:
        """Whether there is no document."""
        with self._file.reading() as connection:
            return not (connection and connection.execute("SELECT 1 FROM documents LIMIT 1").fetchone())

    def count(self) -> int:
        """How many documents there are; quicker than `documents`."""
        with self._file.reading() as connection:
            return connection.execute("SELECT count(*) FROM documents").fetchone()[0] if connection else 0

    # --- storing -----------------------------------------------------------------------------

    def _add_bytes(self, name: str, data: bytes, media_type: str) -> Ingested:
        sha256 = hashlib.sha256(data).digest()
        known = self._known("name", name)
        if known and known.sha256 == sha256 and known.mtime_ns is None:
            return known.unchanged()
        return self.store([_ready(name, data, sha256, media_type)])[0]

    def _known(self, column: _Column, value: str) -> _Known | None:
        with self._file.reading() as connection:
            return _find(connection, column, value) if connection else None

    def _touch(self, known: _Known, source: Source) -> None:
        with self._file.writing() as connection:
            connection.execute(
                "UPDATE documents SET mtime_ns = ?, bytes = ? WHERE id = ?",
                (source.mtime_ns, source.bytes, known.id),
            )

    def _store(self, connection: sqlite3.Connection, ready: Ready) -> Ingested:
        name = _free_name(connection, ready)
        _forget(connection, "path" if ready.path else "name", ready.path or name)
        values = (
            name,
            ready.parsed.title,
            ready.parsed.media_type,
            ready.parsed.note,
            ready.bytes,
            ready.sha256,
            len(ready.chunks),
            ready.path,
            ready.mtime_ns,
            self._now_s(),
        )
        cursor = connection.execute(
            "INSERT INTO documents (name, title, media_type, note, bytes, sha256, chunks, path, mtime_ns, added) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            values,
        )
        connection.executemany(
            "INSERT INTO chunks (document, number, heading, text) VALUES (?, ?, ?, ?)",
            [(cursor.lastrowid, number, one.heading, one.text) for number, one in enumerate(ready.chunks, 1)],
        )
        return Ingested(
            document=name,
            media_type=ready.parsed.media_type,
            chunks=len(ready.chunks),
            bytes=ready.bytes,
            unchanged=False,
            note=ready.parsed.note,
        )

    def _exists(self) -> bool:
        return self.path is None or self.path.exists()


def _ready(
    name: str, data: bytes, sha256: bytes, media_type: str, reader: DocumentReader | None = None
) -> Ready:
    if reader is not None:
        parsed = reader.read(name, data, media_type)
    else:
        with DocumentReader() as own:
            parsed = own.read(name, data, media_type)
    return Ready(name=name, parsed=parsed, chunks=chunks_of(parsed), bytes=len(data), sha256=sha256)


def _free_name(connection: sqlite3.Connection, ready: Ready) -> str:
    """The name, with more of the file's folders before it for as long as another file has it."""
    name = ready.name
    if ready.path is None:
        return name
    folders = list(Path(ready.path).parts)
    taken = "SELECT 1 FROM documents WHERE name = ? AND path IS NOT ?"
    for start in range(len(folders) - 1 - name.count("/"), -1, -1):
        if connection.execute(taken, (name, ready.path)).fetchone() is None:
            return name
        name = str(Path(*folders[start:]).as_posix())
    return name


def _find(connection: sqlite3.Connection, column: _Column, value: str) -> _Known | None:
    row = connection.execute(f"{_KNOWN} WHERE {column} = ?", (value,)).fetchone()
    return _Known(*row) if row else None


def _forget(connection: sqlite3.Connection, column: _Column, value: str) -> int:
    known = _find(connection, column, value)
    if known is None:
        return 0
    connection.execute("DELETE FROM chunks WHERE document = ?", (known.id,))
    connection.execute("DELETE FROM documents WHERE id = ?", (known.id,))
    return 1
