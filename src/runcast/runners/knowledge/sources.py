"""Files that can be added: one, or those of a folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from runcast.errors import InvalidInput, TooLarge, UnreadableDocument
from runcast.runners.knowledge.documents import SUFFIXES, check_name
from runcast.runners.knowledge.values import MAX_FILE_BYTES

SKIPPED: Final = frozenset({"node_modules", "__pycache__", "site-packages"})
"""Folders that hold nobody's documents; nor do those whose name begins with a dot."""


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A file, as it was when it was found. `path` is absolute; `name` is what the document is to be called."""

    path: str
    name: str
    bytes: int
    mtime_ns: int


def source_of(path: Path, name: str | None = None) -> Source:
    """One file.

    Raises:
        UnreadableDocument: there is none, or it is no file.
        InvalidInput: its name cannot be.
    """
    path = Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - links are left as they are named
    try:
        found = path.stat()
    except OSError as error:
        raise UnreadableDocument(f"{path}: cannot be read ({error.strerror}).", field="path") from None
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableDocument(f"{path}: this is no file.", field="path")
    return Source(
        path=str(path), name=check_name(name or path.name), bytes=found.st_size, mtime_ns=found.st_mtime_ns
    )


def sources_in(folder: Path) -> Iterator[Source | InvalidInput]:
    """The documents of a folder and those within it, by name; in the place of one that cannot be had, why.

    They are called by their path within the folder, with its own name before it.
    """
    folder = Path(os.path.abspath(folder.expanduser()))  # noqa: PTH100 - links are left as they are named
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not (name.startswith(".") or name in SKIPPED))
        for name in sorted(names):
            path = Path(root, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                try:
                    yield source_of(path, path.relative_to(folder.parent).as_posix())
                except InvalidInput as error:
                    yield error


def read_source(source: Source) -> bytes:
    """The content of a file.

    Raises:
        TooLarge: it is over 32 MiB.
        UnreadableDocument: it cannot be read, or not any more.
    """
    if source.bytes > MAX_FILE_BYTES:
        raise TooLarge(
            f"{source.path}: {source.bytes} bytes; the limit is {MAX_FILE_BYTES}.", field="content"
        )
    try:
        with Path(source.path).open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UnreadableDocument(f"{source.path}: cannot be read ({error.strerror}).", field="path") from None
