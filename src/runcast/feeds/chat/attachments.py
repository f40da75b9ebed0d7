"""Attachments: files in a folder beside the log, by conversation, with what is known of each beside it."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from runcast.errors import InvalidInput, StreamNotFound, TooLarge
from runcast.kinds.chat_state import Attachment
from runcast.log.open import is_redis
from runcast.log.place import data_folder, log_file

INCOMING: Final = "incoming"
"""Where those are that no message has named yet."""
FORGOTTEN_S: Final = 86_400.0
"""After so long, one that no message has named is removed."""
OWNER: Final = "session"
"""In a conversation's folder: its id."""
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
    """

    def __init__(self, folder: Path | None, limit_bytes: int) -> None:
        self._given = folder
        self._limit_bytes = limit_bytes
        self._made: Path | None = None

    def receive(self, client_id: str, name: str, mime: str, content: bytes | memoryview) -> Attachment:
        """Keep a file that a message is to name. Returned means on disk.

        Raises:
            OSError: it cannot be stored.
        """
        attachment = Attachment(
            f"att_{secrets.token_hex(12)}", client_id, _clean_name(name), _clean_mime(mime), len(content)
        )
        folder = self._folder() / INCOMING
        folder.mkdir(mode=_FOLDER_MODE, exist_ok=True)
        _write(folder / attachment.attachment_id, content)
        _write(folder / f"{attachment.attachment_id}.json", msgspec.json.encode(attachment))
        return attachment

    def bind(self, session_id: str, attachments: list[Attachment]) -> None:
        """Let received files belong to a conversation; again it does nothing.

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
            for name in (one.attachment_id, f"{one.attachment_id}.json"):
                try:
                    (self._folder() / INCOMING / name).rename(folder / name)
                except FileNotFoundError:
                    if not (folder / name).exists():
                        raise InvalidInput(
                            f"attachments: {one.id[:60]} is not there any more; send it again.",
                            field="attachments",
                        ) from None

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

    def remove(self, session_id: str, attachments: list[Attachment]) -> None:
        """Forget files of a conversation, or received ones. Idempotent."""
        for one in attachments:
            for folder in (self._of(session_id), self._folder() / INCOMING):
                for name in (one.attachment_id, f"{one.attachment_id}.json"):
                    (folder / name).unlink(missing_ok=True)

    def remove_all(self, session_id: str) -> None:
        """Forget all files of a conversation. Idempotent."""
        shutil.rmtree(self._of(session_id), ignore_errors=True)

    def conversations(self) -> list[str]:
        """The ids of those that have files."""
        folder = self._folder() if self._given is None or self._given.is_dir() else None
        owners = [path / OWNER for path in folder.iterdir()] if folder else []
        return [path.read_text("utf-8") for path in owners if path.is_file()]

    def sweep(self) -> None:
        """Remove what no message has named for a day."""
        if self._given is not None and not self._given.is_dir():
            return
        incoming = self._folder() / INCOMING
        for path in incoming.iterdir() if incoming.is_dir() else ():
            if path.stat().st_mtime < time.time() - FORGOTTEN_S:
                path.unlink(missing_ok=True)

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
