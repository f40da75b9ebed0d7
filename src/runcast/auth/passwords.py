"""Passwords, as argon2id hashes with the library's parameters (RFC 9106 §4, second recommendation)."""

from __future__ import annotations

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from runcast.errors import InvalidInput

MIN_CHARS = 10
MAX_CHARS = 1_000

_hasher = PasswordHasher()
_NOBODYS = _hasher.hash("the password of nobody")


def check_password(password: str) -> None:
    """Refuse one that is too short, or too long to be hashed in reasonable time.

    Raises:
        InvalidInput: it is.
    """
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise InvalidInput(
            f"password: {MIN_CHARS} to {MAX_CHARS} characters are needed, and this one has {len(password)}.",
            field="password",
        )


def hash_password(password: str) -> str:
    """What is kept of it. Takes some 50 ms and 64 MiB: call it in a thread, few at a time."""
    return _hasher.hash(password)


def verify_password(kept: str | None, password: str) -> bool:
    """Whether it is the one. Takes as long for a user who does not exist (`kept` is None)."""
    try:
        _hasher.verify(kept or _NOBODYS, password)
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None
