"""What somebody sends, told from what they send once more: by an id of the sender's own. Pure."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

import msgspec

NUMBER_CHARS: Final = 16


class Sending(msgspec.Struct, frozen=True):
    """The ids of one message, or of one wish to have it answered anew.

    With an id of the sender's, a second sending has the same ids: in the log the two are one event.
    """

    message_id: str
    answer_id: str
    event_id: str | None
    """None if it cannot be told from another one."""


def sending(person_id: str, client_id: str | None) -> Sending:
    """The ids for what somebody sends under an id of their own, which is nobody else's in any conversation."""
    if client_id is None:
        number = secrets.token_hex(NUMBER_CHARS // 2)
    else:
        number = hashlib.sha256(f"{person_id}\0{client_id}".encode(errors="replace")).hexdigest()[
            :NUMBER_CHARS
        ]
    return Sending(f"msg_{number}", f"ans_{number}", None if client_id is None else f"sent:{number}")
