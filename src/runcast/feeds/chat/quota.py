"""How much attachments take: in all, per person, and as far as the disk has room."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

from runcast.errors import RuncastError, TooLarge

BLOCK_BYTES: Final = 4_096
"""A file takes whole blocks, and another one for what is known of it: empty ones fill a disk, too."""
LEAST_FREE_BYTES: Final = 1024**3
LEAST_FREE_SHARE: Final = 0.05
"""So much of the disk stays free, or `LEAST_FREE_BYTES` if that is less."""
OWNER_CHARS: Final = 8
PREFIX: Final = "att_"


class NoRoom(RuncastError):
    """The server keeps no more attachments for now, whoever sends them."""

    code = "no_room"
    message = "This server has no room for attachments now; whoever runs it can make some."


def owner_mark(person_id: str) -> str:
    """What the ids of somebody's attachments begin with, after `PREFIX`: so they can be counted by their names."""
    return hashlib.sha256(person_id.encode(errors="replace")).hexdigest()[:OWNER_CHARS]


class Quota:
    """Counts what is in a folder of attachments. Blocking, for any thread.

    What other processes add there is known after the next `forget`, so several of them together may go over it a
    little; the look at the disk is exact.

    Args:
        total_bytes: all attachments, in whole blocks.
        person_bytes: those of one person.
    """

    def __init__(self, total_bytes: int, person_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._person_bytes = person_bytes
        self._lock = threading.Lock()
        self._taken: Counter[str] | None = None
        """By owner's mark; None until it is counted."""

    def take(self, folder: Path, mark: str, size: int) -> None:
        """Count a file that is about to be stored; `give` it back if it is not.

        Raises:
            TooLarge: its owner has too much already.
            NoRoom: there is too much in all, or too little room on the disk.
            OSError: the folder cannot be looked at.
        """
        needed = _room_of(size)
        disk = shutil.disk_usage(folder)
        if disk.free - needed < min(LEAST_FREE_BYTES, disk.total * LEAST_FREE_SHARE):
            raise NoRoom
        with self._lock:
            if self._taken is None:
                self._taken = _count(folder)
            if self._taken.total() + needed > self._total_bytes:
                raise NoRoom
            left = self._person_bytes - self._taken[mark]
            if needed > left:
                raise TooLarge(
                    f"attachments: yours may take {self._person_bytes} bytes in all, of which {max(left, 0)} are left, "
                    f"and this one takes {needed}; delete messages that have some.",
                    field="attachments",
                )
            self._taken[mark] += needed

    def give(self, mark: str, size: int) -> None:
        """A file is gone."""
        with self._lock:
            if self._taken is not None:
                self._taken[mark] = max(0, self._taken[mark] - _room_of(size))

    def forget(self) -> None:
        """Count anew when the next one comes: others have added or removed some."""
        with self._lock:
            self._taken = None


def _room_of(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES + BLOCK_BYTES


def _count(folder: Path) -> Counter[str]:
    taken: Counter[str] = Counter()
    begin, end = len(PREFIX), len(PREFIX) + OWNER_CHARS
    with os.scandir(folder) as inner:
        folders = [entry.path for entry in inner if entry.is_dir(follow_symlinks=False)]
    for path in folders:
        with suppress(FileNotFoundError), os.scandir(path) as files:  # removed meanwhile
            for file in files:
                if file.name.startswith(PREFIX) and "." not in file.name:
                    with suppress(FileNotFoundError):
                        size = file.stat(follow_symlinks=False).st_size
                        taken[file.name[begin:end]] += _room_of(size)
    return taken
