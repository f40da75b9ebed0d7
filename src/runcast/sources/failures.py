"""A small file of what went wrong in processes that may print nothing: the hooks'. Bounded, newest last."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

NAME = "hook-errors.log"
MAX_BYTES = 32 * 1024
"""A longer file is cut to its newest half."""
MAX_REASON_CHARS = 500


def note_failure(folder: Path, reason: str) -> bool:
    """Write down `reason` with the time; whether that was possible."""
    path = folder / NAME
    line = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {' '.join(reason.split())[:MAX_REASON_CHARS]}\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > MAX_BYTES:
            kept = path.read_bytes()[-MAX_BYTES // 2 :].partition(b"\n")[2]
            path.write_bytes(kept)
        with path.open("ab") as file:
            file.write(line.encode("utf-8", "replace"))
    except OSError:
        return False
    return True


def read_failures(folder: Path, most: int) -> list[str]:
    """The newest lines, at most `most`, oldest first; none if there is no file."""
    with suppress(OSError):
        return (folder / NAME).read_text(encoding="utf-8", errors="replace").splitlines()[-most:]
    return []
