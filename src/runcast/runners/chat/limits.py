"""What can be said in a chat, and how much of it by one person."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from runcast.auth.allowance import Allowance
from runcast.config import Settings
from runcast.errors import InvalidInput, TooLarge, TooMany
from runcast.kinds.chat_fields import MAX_ATTACHMENTS, MAX_NAME_CHARS
from runcast.kinds.chat_state import Attachment, ChatState, Person
from runcast.runners.chat.failure import EmptyMessage, Occupied

MAX_WAITING: Final = 8
"""Questions of one conversation that may wait for their answers."""
MINUTE_S: Final = 60.0


class Limits:
    """Counts by person, in this process. Belongs to the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._allowance = Allowance(settings.chat_rate, MINUTE_S)

    def check(self, text: str, customer_id: str | None, attachments: Sequence[Attachment]) -> None:
        """Look whether something can be said, apart from where.

        Raises:
            EmptyMessage, InvalidInput, TooLarge: it cannot; names the field.
        """
        if not text.strip() and not attachments:
            raise EmptyMessage(field="message")
        size, limit = len(text.encode(errors="replace")), self._settings.chat_message_max_bytes
        if size > limit:
            raise TooLarge(f"message: {size} bytes; the limit is {limit}.", field="message")
        if customer_id is not None and not 1 <= len(customer_id) <= MAX_NAME_CHARS:
            raise InvalidInput(
                f"customer_id: 1 to {MAX_NAME_CHARS} characters, or null.", field="customer_id"
            )
        if len(attachments) > MAX_ATTACHMENTS:
            raise InvalidInput(f"attachments: at most {MAX_ATTACHMENTS}.", field="attachments")

    def count(self, person: Person) -> None:
        """Count something that somebody has sent; raises `TooMany`."""
        wait_s = self._allowance.take(person.id, asyncio.get_running_loop().time())
        if wait_s:
            raise TooMany(
                f"More than {self._settings.chat_rate} messages in a minute; try again in {wait_s:.0f} s.",
                retry_after_s=wait_s,
            )

    def check_load(self, state: ChatState, waits: int) -> None:
        """Look whether one more may be asked in a conversation by somebody who waits for so many answers already.

        Raises:
            Occupied: no more.
        """
        if len(state.pending) >= MAX_WAITING or self.is_full(waits):
            raise Occupied

    def is_full(self, waits: int) -> bool:
        """Whether somebody may wait for no more answers than so many."""
        return waits >= self._settings.max_answers_per_person
