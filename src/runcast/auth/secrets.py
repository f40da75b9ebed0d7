"""Random texts that are shown once and kept as hashes."""

from __future__ import annotations

import hashlib
import secrets

_BYTES = 32


def new_secret() -> str:
    """256 random bits, URL-safe."""
    return secrets.token_urlsafe(_BYTES)


def new_id() -> str:
    """64 random bits that name something; no secret."""
    return secrets.token_hex(8)


def digest(secret: str) -> bytes:
    """What is kept of a secret. It has 256 random bits, so a fast hash is enough."""
    return hashlib.sha256(secret.encode()).digest()
