"""Names that sources give: the stream of a session whatever its id looks like, and digests as ids."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from runcast.core.event import stream_name

MAX_SESSION_CHARS: Final = 180
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._~@+-]")


def session_stream(session_id: str) -> str:
    """The stream of a session. An id that no stream can have is made to fit, the same way each time.

    Raises:
        InvalidStreamName: it is empty, or nothing but dots.
    """
    fitted = _UNFIT.sub("-", session_id)[:MAX_SESSION_CHARS]
    if fitted != session_id:
        fitted = f"{fitted}~{digest_of(session_id)[:8]}"
    return stream_name("session", fitted)


def digest_of(value: object) -> str:
    """16 hex digits that name a value of plain types: the same in every process."""
    import hashlib  # noqa: PLC0415 - it takes 2 ms, which a hook has not

    return hashlib.blake2b(msgspec.json.encode(value, order="deterministic"), digest_size=8).hexdigest()
