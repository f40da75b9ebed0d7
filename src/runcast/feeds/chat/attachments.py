"""Attachments: files in a folder beside the log, by conversation, with what is known of each beside it."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from runcast.errors import InvalidInput, StreamNotFound, TooLarge
from runcast.feeds.chat.quota import OWNER_CHARS, PREFIX, Quota, owner_mark
from runcast.kinds.chat_state import Attachment
from runcast.log.open import is_redis
from runcast.log.place import data_folder, log_file

INCOMING: Final = "incoming"
"""Where those are that no message has named yet."""
FORGOTTEN_S: Final = 86_400.0
"""After so long, one that no message has named is removed."""
OWNER: Final = "session"
"""In a conversation's folder: its id."""
UNSAID: Final = "new"
"""Beside an attachment of a conversation: the message that names it is not stored yet, as far as is known."""
DIGEST_CHARS: Final = 40
_ID: Final = re.compile(r"att_[0-9a-f]{24}")
_MIME: Final = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,60}/[a-z0-9][a-z0-9!#$&^_.+-]{0,60}")
_FOLDER_MODE: Final = 0o700


class Attachments:
    """The files. Blocking, for any thread; several processes may use one folder.

    A file's place is made of random bits and of a hash of its conversation's id: nothing that a client gives is ever
    part of a path.

    Args:
        folder: None keeps them in a temporary folder, for this process: for a log in memory.
        limit_bytes: all attachments of one conversation.
        quota: all attachments in all.
    """

    def __init__(self, folder: Path | None, limit_bytes: int, quota: Quota) -> None:
        self._given = folder
        self._limit_bytes = limit_bytes
        self._quota = quota
        self._made: Path | None = None

    def receive(
        self, person_id: str, client_id: str, name: str, mime: str, content: bytes | memoryview
    ) -> Attachment:
        """Keep a file of somebody's that a message is to name. Returned means on disk.

        Raises:
            TooLarge: they have too much of it in all.
            NoRoom: there is too much of it in all, or too little room on the disk.
            OSError: it cannot be stored.
        """
        mark, size = owner_mark(person_id), len(content)
        attachment_id = f"{PREFIX}{mark}{secrets.token_hex(8)}"
        attachment = Attachment(attachment_id, client_id, _clean_name(name), _clean_mime(mime), size)
        folder = self._folder() / INCOMING
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        self._quota.take(self._folder(), mark, size)
        try:
            _write(folder / attachment_id, content)
            _write(folder / f"{attachment_id}.json", msgspec.json.encode(attachment))
        except OSError:
            self._quota.give(mark, size)
            for part in _kept_of(attachment_id):
                (folder / part).unlink(missing_ok=True)
            raise
        return attachment

    def bind(self, session_id: str, attachments: list[Attachment]) -> None:
        """Let received files belong to a conversation; again it does nothing. `settle` or `unbind` them then.

        Raises:
            InvalidInput: one is not there (any more).
            TooLarge: the conversation would have too much of it.
        """
        folder = self._of(session_id)
        size = sum(one.size for one in attachments)
        if _size_of(folder) + size > self._limit_bytes:
            raise TooLarge(
                f"attachments: a conversation may have {self._limit_bytes} bytes of them, and has no room for {size} "
                "more.",
                field="attachments",
            )
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        (folder / OWNER).write_text(session_id, encoding="utf-8")
        for one in attachments:
            (folder / f"{one.attachment_id}.{UNSAID}").touch()
            for name in _kept_of(one.attachment_id):
                try:
                    (self._folder() / INCOMING / name).rename(folder / name)
                except FileNotFoundError:
                    if not (folder / name).exists():
                        raise InvalidInput(
                            f"attachments: {one.id[:60]} is not there any more; send it again.",
                            field="attachments",
                        ) from None

    def settle(self, session_id: str, attachment_ids: Iterable[str]) -> None:
        """The message that names them is stored. Idempotent."""
        for attachment_id in attachment_ids:
            (self._of(session_id) / f"{attachment_id}.{UNSAID}").unlink(missing_ok=True)

    def unbind(self, session_id: str, attachments: list[Attachment]) -> None:
        """The message that names them is not stored after all: let them wait for another one. Idempotent."""
        folder = self._of(session_id)
        for one in attachments:
            mark = folder / f"{one.attachment_id}.{UNSAID}"
            if mark.exists():
                for name in _kept_of(one.attachment_id):
                    if (folder / name).exists():
                        (folder / name).rename(self._folder() / INCOMING / name)
                mark.unlink(missing_ok=True)

    def doubtful(self) -> dict[str, list[str]]:
        """By conversation, the ids of those of which it is unknown for a day whether a message names them."""
        found: dict[str, list[str]] = {}
        for session_id in self.conversations():
            old = [path for path in self._of(session_id).glob(f"*.{UNSAID}") if _is_old(path)]
            if old:
                found[session_id] = [path.stem for path in old]
        return found

    def open(self, session_id: str, attachment_id: str) -> tuple[Attachment, Path]:
        """A file of a conversation, and where it is.

        Raises:
            StreamNotFound: there is none of this id.
        """
        path = self._of(session_id) / attachment_id
        if _ID.fullmatch(attachment_id) is None or not path.is_file():
            raise StreamNotFound("There is no such attachment in this conversation.")
        known = path.with_name(f"{attachment_id}.json").read_bytes()
        return msgspec.json.decode(known, type=Attachment), path

    def remove(self, session_id: str, attachment_ids: Iterable[str]) -> None:
        """Forget files of a conversation, or received ones. Idempotent."""
        for attachment_id in attachment_ids:
            for folder in (self._of(session_id), self._folder() / INCOMING):
                path = folder / attachment_id
                if path.exists():
                    self._quota.give(_mark_of(attachment_id), path.stat().st_size)
                for name in _files_of(attachment_id):
                    (folder / name).unlink(missing_ok=True)

    def remove_all(self, session_id: str) -> None:
        """Forget all files of a conversation. Idempotent."""
        shutil.rmtree(self._of(session_id), ignore_errors=True)
        self._quota.forget()

    def conversations(self) -> list[str]:
        """The ids of those that have files."""
        folder = self._folder() if self._given is None or self._given.is_dir() else None
        owners = [path / OWNER for path in folder.iterdir()] if folder else []
        return [path.read_text("utf-8") for path in owners if path.is_file()]

    def sweep(self) -> None:
        """Remove what no message has named for a day, and count anew what is there."""
        if self._given is not None and not self._given.is_dir():
            return
        incoming = self._folder() / INCOMING
        for path in incoming.iterdir() if incoming.is_dir() else ():
            if _is_old(path):
                path.unlink(missing_ok=True)
        self._quota.forget()

    def _of(self, session_id: str) -> Path:
        return self._folder() / hashlib.sha256(session_id.encode()).hexdigest()[:DIGEST_CHARS]

    def _folder(self) -> Path:
        if self._made is None:
            if self._given is None:
                self._made = Path(tempfile.mkdtemp(prefix="runcast-attachments-"))
            else:
                self._given.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
                self._made = self._given
        return self._made


def attachments_folder(given: str, log_url: str) -> Path | None:
    """Where the attachments are: where the settings say, or beside the log; None for a log in memory.

    Those of a log on Redis are in the user's data, and so on this node only, unless the settings name a shared folder.
    """
    if given:
        return Path(given).expanduser()
    if is_redis(log_url):
        return data_folder() / "chat.attachments"
    log = log_file(log_url)
    return None if log is None else log.with_name(f"{log.name}.attachments")


def _kept_of(attachment_id: str) -> tuple[str, ...]:
    return (attachment_id, f"{attachment_id}.json")


def _files_of(attachment_id: str) -> tuple[str, ...]:
    return (*_kept_of(attachment_id), f"{attachment_id}.{UNSAID}")


def _mark_of(attachment_id: str) -> str:
    return attachment_id.removeprefix(PREFIX)[:OWNER_CHARS]


def _is_old(path: Path) -> bool:
    try:
        return path.stat().st_mtime < time.time() - FORGOTTEN_S
    except FileNotFoundError:  # somebody else was faster
        return False


def _write(path: Path, content: bytes | memoryview) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _size_of(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    return sum(path.stat().st_size for path in folder.iterdir() if _ID.fullmatch(path.name))


def _clean_name(name: str) -> str:
    """The last part of a path, as it may stand in a header."""
    last = re.split(r"[/\\]", name)[-1].strip(". ")
    return last or "attachment"


def _clean_mime(mime: str) -> str:
    found = mime.partition(";")[0].strip().lower()
    return found if _MIME.fullmatch(found) else "application/octet-stream"
