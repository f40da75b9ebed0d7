"""Which files of a folder have grown: a look at all of them, and a much cheaper one at those in use."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

SUFFIX: Final = ".jsonl"
MAX_WARM: Final = 64
"""How many files, those changed last, are looked at often."""
MAX_PROJECTS: Final = 256
PROJECTS_EVERY: Final = 5
"""How many of the folder's own folders are looked at now and then, and at every how many-th glance."""
MAX_WARM_FOLDERS: Final = 12
"""Of how many of them the folders are looked at as well, for new files."""


class Found(msgspec.Struct, frozen=True, gc=False):
    """A file as it is now."""

    path: str
    size: int
    time_ns: int


class Tree:
    """The transcripts under a folder, or the one that `root` is. Blocking; no link to a folder is followed.

    It remembers how large each file was, and tells of a file when it is new or has changed.
    """

    def __init__(self, root: Path) -> None:
        self.root = os.fspath(root)
        self._seen: dict[str, tuple[int, int]] = {}
        self._warm: dict[str, None] = {}
        self._folders: dict[str, int] = {}
        self._projects: dict[str, int] = {}
        self._glances = 0

    @property
    def files(self) -> int:
        """How many transcripts there were at the last look."""
        return len(self._seen)

    def scan(self) -> list[Found]:
        """Look at everything; returns what is new or has changed."""
        self._projects = {folder: _folder_time(folder) for folder in self._project_folders()}
        before, self._seen = self._seen, {}
        changed = self._walk(self.root, before)
        self._warm = {path: None for path in self._warm if path in self._seen}
        return changed

    def glance(self) -> list[Found]:
        """Look at the files and folders in use; returns what is new or has changed there.

        Now and then it looks at the folder itself and at those in it, too: that is where a session begins.
        """
        self._glances += 1
        changed: list[Found] = []
        for path in self._warm:
            try:
                status = os.stat(path)  # noqa: PTH116 - many times a second
            except OSError:
                continue  # the next scan forgets it
            now = (status.st_size, status.st_mtime_ns)
            if self._seen.get(path) != now:
                self._seen[path] = now
                changed.append(Found(path, *now))
        changed += self._new_in(self._folders)
        if self._glances % PROJECTS_EVERY == 0:
            changed += self._new_in(self._projects)
        return changed

    def warm(self, paths: list[str]) -> None:
        """Look at these files often from now on, and at the folders where they and their subagents' stand."""
        for path in paths:
            self._warm.pop(path, None)
            self._warm[path] = None
        while len(self._warm) > MAX_WARM:
            del self._warm[next(iter(self._warm))]
        recent = list(self._warm)[-MAX_WARM_FOLDERS:]
        folders = {folder for path in recent for folder in self._folders_of(path)}
        self._folders = {folder: self._folders.get(folder, 0) for folder in folders}

    def _new_in(self, folders: dict[str, int]) -> list[Found]:
        changed: list[Found] = []
        for folder, time_ns in folders.items():
            now_ns = _folder_time(folder)
            if now_ns != time_ns:
                folders[folder] = now_ns
                changed += self._walk(folder, self._seen)
        return changed

    def _project_folders(self) -> list[str]:
        try:
            with os.scandir(self.root) as entries:
                inner = (entry.path for entry in entries if entry.is_dir(follow_symlinks=False))
                return [self.root, *islice(inner, MAX_PROJECTS)]
        except OSError:
            return [self.root]

    def _folders_of(self, path: str) -> Iterator[str]:
        own = path.removesuffix(SUFFIX)
        yield from (os.path.join(own, "subagents"), own)  # noqa: PTH118
        folder = os.path.dirname(path)  # noqa: PTH120
        while len(folder) >= len(self.root) > 0 and folder.startswith(self.root):
            yield folder
            folder = os.path.dirname(folder)  # noqa: PTH120

    def _walk(self, folder: str, before: dict[str, tuple[int, int]]) -> list[Found]:
        """All files below `folder` into what was seen; returns those that are not as they were `before`."""
        changed: list[Found] = []
        waiting = [folder]
        for path in _files(waiting) if folder != self.root or Path(folder).is_dir() else waiting:
            try:
                status = os.stat(path)  # noqa: PTH116 - thousands of times
            except OSError:
                continue  # gone meanwhile, or a link to nothing
            now = (status.st_size, status.st_mtime_ns)
            if before.get(path) == now:
                self._seen[path] = now
            elif stat.S_ISREG(status.st_mode) and _is_text(path):
                self._seen[path] = now
                changed.append(Found(path, *now))
        return changed


def _files(waiting: list[str]) -> Iterator[str]:
    """The transcripts, by their names, in the folders that wait and in those below them."""
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except OSError:
            continue  # gone, or not ours to read
        with entries:
            for entry in entries:
                if entry.name.endswith(SUFFIX) and not entry.is_dir(follow_symlinks=False):
                    yield entry.path
                elif entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _is_text(path: str) -> bool:
    """Whether a file's name could be written down."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _folder_time(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116
    except OSError:
        return 0
