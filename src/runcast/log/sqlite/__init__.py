"""The embedded log: one SQLite file, written by any number of processes of one machine.

`log` is its face. Writing is `jobs`, `writer`, `append`, `announce` and `checkpoint`, and `once` for a process that
ends right after; reading is `rows` and `reads`; upkeep is `sweep` and `tables`; the file itself is `files`, `format`,
`mounts` and `errors`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runcast.log.sqlite.log import SqliteLog

__all__ = ["SqliteLog"]


def __getattr__(name: str) -> Any:
    """Import the log when it is first asked for: who appends once (`once`) needs a part of it only (PEP 562)."""
    if name != "SqliteLog":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from runcast.log.sqlite.log import SqliteLog  # noqa: PLC0415 - the point of this function

    return SqliteLog
