"""People with a password: registered, logged in, looked up."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable

import msgspec

from runcast.auth.grants import NOTHING, Grants
from runcast.auth.passwords import MAX_CHARS, check_password, hash_password, verify_password
from runcast.auth.secrets import new_id
from runcast.auth.store import AuthStore, count_change
from runcast.errors import InvalidInput, Unauthenticated

MAX_EMAIL_CHARS = 254
"""RFC 5321 §4.5.3.1.3, less the brackets."""
MAX_NAME_CHARS = 100
_EMAIL = re.compile(r"[^@\s\x00-\x20\x7f]+@[^@\s\x00-\x20\x7f]+")


class User(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with an account."""

    id: str
    email: str
    name: str
    grants: Grants = NOTHING
    created_s: float = 0.0


class Users:
    """The users of a store. Registering and logging in hash a password: call them in a thread."""

    def __init__(self, store: AuthStore, now_s: Callable[[], float]) -> None:
        self._store = store
        self._now_s = now_s

    def register(self, email: str, password: str, name: str = "", grants: Grants = NOTHING) -> User:
        """Make an account.

        Raises:
            InvalidInput: the address is none or is taken, or the password or name does not fit.
        """
        _check_email(email)
        check_password(password)
        if len(name) > MAX_NAME_CHARS or (name and not name.isprintable()):
            raise InvalidInput(f"name: at most {MAX_NAME_CHARS} printable characters.", field="name")
        user = User(id=new_id(), email=email, name=name, grants=grants, created_s=self._now_s())
        kept = hash_password(password)
        row = (user.id, email, name, kept, msgspec.json.encode(grants).decode(), user.created_s)
        try:
            with self._store.transaction() as connection:
                connection.execute("INSERT INTO users VALUES (?, ?, ?, ?, ?, ?, NULL)", row)
        except sqlite3.IntegrityError:
            raise InvalidInput(
                "email: there is an account of this address already; log in instead.", field="email"
            ) from None
        return user

    def log_in(self, email: str, password: str) -> User:
        """The user whose password this is.

        Raises:
            Unauthenticated: there is none; which of the two was wrong is not said.
        """
        with self._store.reading() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS}, hash FROM users WHERE email = ? AND disabled IS NULL", (email,)
            ).fetchone()
        if not verify_password(row and row[-1], password[:MAX_CHARS]):
            raise Unauthenticated("The e-mail address or the password is wrong.")
        return _user(row)

    def find(self, user_id: str) -> User | None:
        """A user who may still log in."""
        with self._store.reading() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM users WHERE id = ? AND disabled IS NULL", (user_id,)
            ).fetchone()
        return row and _user(row)

    def find_by_email(self, email: str) -> User | None:
        """The user of an address, in whichever case it is written, who may still log in."""
        with self._store.reading() as connection:
            row = connection.execute(
                f"SELECT {_COLUMNS} FROM users WHERE email = ? AND disabled IS NULL", (email,)
            ).fetchone()
        return row and _user(row)

    def disable(self, user_id: str) -> bool:
        """Let somebody in no longer; what they have open ends as well."""
        with self._store.transaction() as connection:
            done = connection.execute(
                "UPDATE users SET disabled = ? WHERE id = ? AND disabled IS NULL", (self._now_s(), user_id)
            )
            if done.rowcount:
                row = (f"user:{user_id}", self._now_s(), None)
                connection.execute("INSERT OR IGNORE INTO revocations VALUES (?, ?, ?)", row)
                count_change(connection)
            return bool(done.rowcount)


_COLUMNS = "id, email, name, grants, created"


def _check_email(email: str) -> None:
    if len(email) > MAX_EMAIL_CHARS or _EMAIL.fullmatch(email) is None:
        raise InvalidInput(
            f"email: an address such as ann@example.org is expected, of at most {MAX_EMAIL_CHARS} characters.",
            field="email",
        )


def _user(row: tuple[str, str, str, str, float]) -> User:
    user_id, email, name, grants, created_s, *_ = row
    return User(
        id=user_id,
        email=email,
        name=name,
        grants=msgspec.json.decode(grants, type=Grants),
        created_s=created_s,
    )
