"""Tokens that count no longer although they have not expired."""

from __future__ import annotations

from collections.abc import Callable

from runcast.auth.store import AuthStore, count_change


class Revocations:
    """The revocations of a store. `now_s` is the wall clock, Unix time in seconds."""

    def __init__(self, store: AuthStore, now_s: Callable[[], float]) -> None:
        self._store = store
        self._now_s = now_s

    def revoke(self, credential: str, expires_s: float | None = None) -> None:
        """Let `credential` count no longer; forgotten after `expires_s`, when it would not anyway. Idempotent."""
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT OR IGNORE INTO revocations VALUES (?, ?, ?)", (credential, self._now_s(), expires_s)
            )
            count_change(connection)

    def is_revoked(self, credential: str) -> bool:
        """Whether it counts no longer."""
        with self._store.reading() as connection:
            found = connection.execute("SELECT 1 FROM revocations WHERE credential = ?", (credential,))
            return found.fetchone() is not None

    def sweep(self) -> int:
        """Forget those whose credentials have expired; returns how many."""
        with self._store.transaction() as connection:
            return connection.execute("DELETE FROM revocations WHERE expires < ?", (self._now_s(),)).rowcount
