"""Known scams and when domains were first seen: a small SQLite file of the user's own."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import msgspec

from runcast.config import Settings
from runcast.errors import ConfigError
from runcast.log.place import data_folder, log_file

KINDS: Final = ("phone", "domain", "url", "email")
WAIT_S: Final = 5.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS scams (
  kind TEXT NOT NULL, value TEXT NOT NULL, category TEXT NOT NULL, reports INTEGER NOT NULL DEFAULT 1,
  source TEXT NOT NULL DEFAULT '', added INTEGER NOT NULL, PRIMARY KEY (kind, value)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS domain_ages (domain TEXT PRIMARY KEY, registered TEXT NOT NULL) WITHOUT ROWID;
"""


class Report(msgspec.Struct, frozen=True):
    """What is known of one number, domain, URL or e-mail address."""

    kind: str
    value: str
    category: str
    reports: int = 1
    source: str = ""


class ScamDatabase:
    """The file at `path`, made if it is not there. Blocking; a connection per call, so any thread may use it.

    Raises:
        ConfigError: the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as connection, connection:
                connection.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(f"scam_database: {path} cannot be used ({error}).") from error

    @classmethod
    def of(cls, settings: Settings, log_url: str) -> ScamDatabase:
        """Where the settings say, else beside the log."""
        if settings.scam_database:
            return cls(Path(settings.scam_database).expanduser())
        try:
            log = log_file(log_url)
        except ConfigError:  # a log that is no file
            log = None
        return cls((log or data_folder() / "log.db").with_suffix(".scams"))

    def add(self, reports: Iterable[Report]) -> int:
        """Take reports in; of one that is there already the numbers add up. Returns how many were given."""
        rows = [
            (one.kind, one.value.lower(), one.category, one.reports, one.source, int(time.time()))
            for one in reports
        ]
        with closing(self._connect()) as connection, connection:
            connection.executemany(
                "INSERT INTO scams VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                "reports = reports + excluded.reports, category = excluded.category",
                rows,
            )
        return len(rows)

    def set_age(self, domain: str, registered: date) -> None:
        """Say when a domain was registered."""
        with closing(self._connect()) as connection, connection:
            connection.execute(
                "INSERT OR REPLACE INTO domain_ages VALUES (?, ?)", (domain.lower(), registered.isoformat())
            )

    def find(self, kind: str, value: str) -> Report | None:
        """What is known of this one."""
        with closing(self._connect()) as connection:
            row = connection.execute(
                "SELECT kind, value, category, reports, source FROM scams WHERE kind = ? AND value = ?",
                (kind, value.lower()),
            ).fetchone()
        return Report(*row) if row else None

    def age_days(self, domain: str) -> int | None:
        """How many days ago a domain was registered, if that is known here."""
        with closing(self._connect()) as connection:
            row = connection.execute(
                "SELECT registered FROM domain_ages WHERE domain = ?", (domain,)
            ).fetchone()
        return None if row is None else (datetime.now(UTC).date() - date.fromisoformat(row[0])).days

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=WAIT_S)
