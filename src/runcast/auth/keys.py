"""API keys: made, listed and revoked here; shown once."""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Callable

import msgspec

from runcast.auth.grants import EVERYTHING, Grants
from runcast.auth.principal import Principal
from runcast.auth.secrets import digest, new_id, new_secret
from runcast.auth.store import AuthStore, count_change
from runcast.errors import InvalidInput, Unauthenticated

PREFIX = "rck"
MAX_NAME_CHARS = 100
LONGEST_S = 100 * 365 * 86_400.0
_CONFIGURED = "configured-"
_NOBODYS = digest("the key of nobody")
_UNKNOWN = "This is no API key of this server; look whether it was copied whole."
_COLUMNS = "id, name, grants, created, expires, revoked"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. Times are Unix seconds."""

    id: str
    name: str
    grants: Grants
    created_s: float
    expires_s: float | None = None
    revoked_s: float | None = None


class ApiKeys:
    """The keys of a store, and those that the settings give (`RUNCAST_API_KEYS`), which may do everything."""

    def __init__(
        self, store: AuthStore, now_s: Callable[[], float], configured: tuple[str, ...] = ()
    ) -> None:
        self._store = store
        self._now_s = now_s
        self._configured = {_name_of(shown): shown for shown in map(digest, configured)}

    def create(self, name: str, grants: Grants, expires_s: float | None = None) -> tuple[ApiKey, str]:
        """A new key and its text, which cannot be had again.

        Raises:
            InvalidInput: the name is empty or too long, or the key would have expired already.
        """
        if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
            raise InvalidInput(f"name: 1 to {MAX_NAME_CHARS} printable characters.", field="name")
        now_s = self._now_s()
        if expires_s is not None and not now_s < expires_s < now_s + LONGEST_S:
            raise InvalidInput("expires: a time in the future, within 100 years.", field="expires")
        key = ApiKey(id=new_id(), name=name, grants=grants, created_s=now_s, expires_s=expires_s)
        text = f"{PREFIX}_{key.id}_{new_secret()}"
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, NULL)",
                (key.id, name, digest(text), msgspec.json.encode(grants).decode(), now_s, expires_s),
            )
        return key, text

    def list(self) -> list[ApiKey]:
        """All keys, the newest first; revoked ones too."""
        with self._store.reading() as connection:
            rows = connection.execute(f"SELECT {_COLUMNS} FROM keys ORDER BY created DESC, id").fetchall()
        return [_key(row) for row in rows]

    def revoke(self, key_id: str) -> bool:
        """Let a key count no longer, at once; False if there is none that counted."""
        with self._store.transaction() as connection:
            revoked = connection.execute(
                "UPDATE keys SET revoked = ? WHERE id = ? AND revoked IS NULL", (self._now_s(), key_id)
            )
            if revoked.rowcount:
                count_change(connection)
            return bool(revoked.rowcount)

    def principal(self, text: str) -> Principal:
        """Who shows the key `text`.

        The work is the same for every text that is none, whatever it resembles: one look for its id, and one
        comparison of hashes, which takes as long wherever they differ.

        Raises:
            Unauthenticated: nobody: it is unknown, revoked or expired.
        """
        configured = self.configured(text)
        if configured is not None:
            return configured
        shown = digest(text)
        parts = text.split("_", 2)  # the prefix, the id, which is no secret, and the secret
        with self._store.reading() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS}, hash FROM keys WHERE id = ?", (parts[1] if len(parts) == 3 else "",)
            ).fetchone()
        known = _NOBODYS if row is None else row[-1]
        if not hmac.compare_digest(known, shown) or row is None:
            raise Unauthenticated(_UNKNOWN)
        return self._checked(_key(row))

    def configured(self, text: str) -> Principal | None:
        """Who shows `text`, if it is a key that the settings give. All of those are compared, whichever it is."""
        shown = digest(text)
        fits = [name for name, known in self._configured.items() if hmac.compare_digest(known, shown)]
        return _configured(fits[0]) if fits else None

    def current(self, key_id: str) -> Principal:
        """Who shows the key of this id, which was checked before, as it is now.

        Raises:
            Unauthenticated: it was revoked, or has expired.
        """
        if key_id in self._configured:
            return _configured(key_id)
        with self._store.reading() as connection:
            row = connection.execute(f"SELECT {_COLUMNS} FROM keys WHERE id = ?", (key_id,)).fetchone()
        if row is None:
            raise Unauthenticated("This API key is no more; ask for another one.")
        return self._checked(_key(row))

    def change(self, key_id: str, grants: Grants) -> bool:
        """Give a key other grants; connections that are open follow. False if none of this id counts."""
        with self._store.transaction() as connection:
            changed = connection.execute(
                "UPDATE keys SET grants = ? WHERE id = ? AND revoked IS NULL",
                (msgspec.json.encode(grants).decode(), key_id),
            )
            if changed.rowcount:
                count_change(connection)
            return bool(changed.rowcount)

    def _checked(self, key: ApiKey) -> Principal:
        if key.revoked_s is not None:
            raise Unauthenticated("This API key was revoked; ask for another one.")
        principal = Principal(
            sub=f"key-{key.id}",
            via="key",
            credential=f"key:{key.id}",
            grants=key.grants,
            expires_s=key.expires_s,
            name=key.name,
        )
        if principal.is_expired(self._now_s()):
            raise Unauthenticated("This API key has expired; ask for another one.")
        return principal


def _name_of(shown: bytes) -> str:
    """What a configured key is called: another one at its place has another name."""
    return f"{_CONFIGURED}{shown.hex()[:16]}"


def _configured(name: str) -> Principal:
    return Principal(sub=name, via="key", credential=f"key:{name}", grants=EVERYTHING)


def _key(row: sqlite3.Row | tuple[object, ...]) -> ApiKey:
    key_id, name, grants, created, expires, revoked, *_ = row
    return msgspec.convert(
        {
            "id": key_id,
            "name": name,
            "grants": msgspec.json.decode(str(grants)),
            "created_s": created,
            "expires_s": expires,
            "revoked_s": revoked,
        },
        ApiKey,
    )
