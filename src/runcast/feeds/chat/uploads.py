"""What one client has sent as binary messages, until a message names it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from runcast.errors import InvalidInput, RuncastError
from runcast.feeds.chat.attachments import Attachments
from runcast.feeds.chat.said import Head
from runcast.kinds.chat_state import Attachment

logger = logging.getLogger("runcast.chat")

MAX_UPLOADS: Final = 10
"""Attachments that were sent and not named by a message yet."""


class Uploads:
    """Attachments by their sender's ids. Belongs to the event loop."""

    def __init__(self, attachments: Attachments) -> None:
        self._attachments = attachments
        self._kept: dict[str, Attachment] = {}

    def __bool__(self) -> bool:
        return bool(self._kept)

    def check(self, client_id: str) -> None:
        """Look whether there is room for one more; raises `InvalidInput`."""
        if len(self._kept) >= MAX_UPLOADS and client_id not in self._kept:
            raise InvalidInput(
                f"attachments: {MAX_UPLOADS} were sent and not named by a message yet.", field="attachments"
            )

    async def receive(self, person_id: str, head: Head, content: memoryview) -> Attachment:
        """Keep it for somebody; one that was sent before under the same id is forgotten.

        Raises:
            RuncastError: it cannot be stored.
        """
        receive = self._attachments.receive
        try:
            kept = await asyncio.to_thread(receive, person_id, head.id, head.name, head.mime, content)
        except OSError:
            logger.exception("an attachment cannot be stored")
            raise RuncastError("The attachment could not be stored; try again later.") from None
        before = self._kept.get(head.id)
        self._kept[head.id] = kept
        if before is not None:
            await asyncio.to_thread(self._attachments.remove, "", [before.attachment_id])
        return kept

    def named(self, client_ids: Sequence[str]) -> list[Attachment]:
        """Those that a message names.

        Raises:
            InvalidInput: one was not sent.
        """
        return [self._find(client_id) for client_id in client_ids]

    async def bind(self, session_id: str, named: list[Attachment]) -> None:
        """Let them belong to a conversation; raises as `Attachments.bind`. `settle` or `unbind` them then."""
        if named:
            await asyncio.to_thread(self._attachments.bind, session_id, named)

    async def unbind(self, session_id: str, named: list[Attachment]) -> None:
        """The message that names them was refused: another one may. Idempotent."""
        if named:
            await asyncio.to_thread(self._attachments.unbind, session_id, named)

    async def settle(self, session_id: str, named: list[Attachment]) -> None:
        """The message that names them is stored."""
        for one in named:
            self._kept.pop(one.id, None)
        if named:
            ids = [one.attachment_id for one in named]
            await asyncio.to_thread(self._attachments.settle, session_id, ids)

    def forget(self) -> None:
        """The client has gone: remove what no message names. Does not wait."""
        kept, self._kept = [one.attachment_id for one in self._kept.values()], {}
        if kept:
            asyncio.get_running_loop().run_in_executor(None, self._attachments.remove, "", kept)

    def _find(self, client_id: str) -> Attachment:
        found = self._kept.get(client_id)
        if found is None:
            raise InvalidInput(
                f"attachments: nothing called {client_id[:60]!r} was sent on this connection, in a binary message.",
                field="attachments",
            )
        return found
