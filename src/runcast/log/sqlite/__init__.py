"""The embedded log: one SQLite file, written by any number of processes of one machine.

`log` is its face. Writing is `queue`, `writer`, `append`, `announce` and `checkpoint`; reading is `rows` and
`reads`; upkeep is `sweep` and `tables`; the file itself is `files`, `format`, `mounts` and `errors`.
"""

from runcast.log.sqlite.log import SqliteLog

__all__ = ["SqliteLog"]
