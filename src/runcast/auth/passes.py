"""What somebody was given to come back with: a ticket for a URL, a cookie for a browser, a refresh token.

A ticket may stand in a URL, which others may read in a log: so it counts once and for a minute, and its first use
exchanges it for a cookie. A refresh token counts once, too, and gives the next one: one that is shown twice was
stolen, and all that came of the same login is revoked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from runcast.auth.principal import Principal
from runcast.auth.secrets import digest, new_id, new_secret
from runcast.auth.store import AuthStore, count_change
from runcast.errors import Forbidden, Unauthenticated

TICKET_S = 60.0
COOKIE_S = 12 * 3_600.0
REFRESH_S = 30 * 86_400.0

PassKind = Literal["ticket", "cookie", "refresh"]

_UNKNOWN: Final[dict[PassKind, str]] = {
    "ticket": f"This ticket is unknown or has expired: it counts for {TICKET_S:g} seconds. Get another one by "
    "POST /api/v1/auth/tickets, or sign in at the start page.",
    "refresh": "This refresh token is unknown or has expired; log in again.",
}
_USED: Final[dict[PassKind, str]] = {
    "ticket": "This ticket was used before, and each counts once. Get another one by POST /api/v1/auth/tickets, or "
    "sign in at the start page.",
    "refresh": "This refresh token was used before, so its whole login is revoked: somebody else may have it. "
    "Log in again.",
}

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Principal).decode


class Passes:
    """The passes of a store. `now_s` is the wall clock, Unix time in seconds."""

    def __init__(self, store: AuthStore, now_s: Callable[[], float]) -> None:
        self._store = store
        self._now_s = now_s

    def ticket(self, principal: Principal) -> str:
        """A ticket for `principal`, for one use within `TICKET_S`.

        Raises:
            Forbidden: a cookie makes no further ones: it would outlive its own revocation.
        """
        if principal.via == "cookie":
            raise Forbidden("A browser that is signed in needs no ticket; its cookie is enough.")
        with self._store.transaction() as connection:
            return self._issue(connection, "ticket", principal, TICKET_S)

    def redeem(self, ticket: str) -> tuple[Principal, str]:
        """Use a ticket up: who it is for, and the cookie that goes on counting.

        Raises:
            Unauthenticated: it is unknown, too old, or was used.
        """
        with self._store.reading() as connection:
            if _find(connection, "ticket", ticket) is None:  # made up: not worth a transaction
                raise Unauthenticated(_UNKNOWN["ticket"])
        with self._store.transaction() as connection:
            principal, _ = self._use(connection, "ticket", ticket)
            return principal, self._issue(connection, "cookie", principal, COOKIE_S)

    def cookie(self, cookie: str) -> Principal:
        """Who a cookie is for.

        Raises:
            Unauthenticated: it is unknown, expired or revoked.
        """
        with self._store.reading() as connection:
            row = _find(connection, "cookie", cookie)
        if row is None or self._now_s() >= row[2]:
            raise Unauthenticated("This browser's login has expired; log in again.")
        pass_id, principal, expires_s, *_ = row
        return msgspec.structs.replace(
            principal,
            via="cookie",
            credential=f"cookie:{pass_id}",
            origin=principal.origin or principal.credential,
            expires_s=min(expires_s, principal.expires_s or expires_s),
        )

    def exists(self, pass_id: str) -> bool:
        """Whether a cookie of this id counts still."""
        with self._store.reading() as connection:
            row = connection.execute("SELECT expires FROM passes WHERE id = ?", (pass_id,)).fetchone()
        return row is not None and self._now_s() < row[0]

    def refresh_token(self, principal: Principal) -> str:
        """A refresh token for a login that has just been made; the login is its `origin`, `login:…`."""
        family = principal.origin.partition(":")[2]
        with self._store.transaction() as connection:
            return self._issue(connection, "refresh", principal, REFRESH_S, family)

    def refresh(self, token: str) -> tuple[Principal, str]:
        """Use a refresh token up: who it is for, and the next one.

        Raises:
            Unauthenticated: it is unknown, expired, or was used before; then all of its login is revoked.
        """
        try:
            with self._store.transaction() as connection:
                principal, family = self._use(connection, "refresh", token)
                return principal, self._issue(connection, "refresh", principal, REFRESH_S, family)
        except _Reused as reused:
            self.end_login(reused.family)
            raise

    def end_login(self, family: str) -> None:
        """Let nothing count any longer that came of one login: its refresh tokens, and the tokens they gave."""
        with self._store.transaction() as connection:
            connection.execute("DELETE FROM passes WHERE family = ?", (family,))
            forgotten_s = self._now_s() + REFRESH_S
            row = (f"login:{family}", self._now_s(), forgotten_s)
            connection.execute("INSERT OR IGNORE INTO revocations VALUES (?, ?, ?)", row)
            count_change(connection)

    def revoke(self, pass_id: str) -> bool:
        """Let a cookie, or all refresh tokens of a login, count no longer."""
        with self._store.transaction() as connection:
            gone = connection.execute("DELETE FROM passes WHERE id = ? OR family = ?", (pass_id, pass_id))
            if gone.rowcount:
                count_change(connection)
            return bool(gone.rowcount)

    def sweep(self) -> int:
        """Forget what has expired; returns how many."""
        with self._store.transaction() as connection:
            return connection.execute("DELETE FROM passes WHERE expires < ?", (self._now_s(),)).rowcount

    def _issue(
        self,
        connection: sqlite3.Connection,
        kind: PassKind,
        principal: Principal,
        lifetime_s: float,
        family: str = "",
    ) -> str:
        text, pass_id = new_secret(), new_id()
        expires_s = self._now_s() + lifetime_s
        row = (digest(text), kind, pass_id, family or pass_id, _encode(principal).decode(), expires_s)
        connection.execute("INSERT INTO passes VALUES (?, ?, ?, ?, ?, ?, NULL)", row)
        return text

    def _use(self, connection: sqlite3.Connection, kind: PassKind, text: str) -> tuple[Principal, str]:
        row = _find(connection, kind, text)
        if row is None or self._now_s() >= row[2]:
            raise Unauthenticated(_UNKNOWN[kind])
        _, principal, _, family, used = row
        if used is not None:
            raise _Reused(kind, family)
        connection.execute("UPDATE passes SET used = ? WHERE hash = ?", (self._now_s(), digest(text)))
        return principal, family


class _Reused(Unauthenticated):
    def __init__(self, kind: PassKind, family: str) -> None:
        super().__init__(_USED[kind])
        self.family = family


def _find(
    connection: sqlite3.Connection, kind: PassKind, text: str
) -> tuple[str, Principal, float, str, float | None] | None:
    row = connection.execute(
        "SELECT id, principal, expires, family, used FROM passes WHERE hash = ? AND kind = ?",
        (digest(text), kind),
    ).fetchone()
    return row and (row[0], _decode(row[1]), row[2], row[3], row[4])
