"""Who a connection acts for."""

from __future__ import annotations

from typing import Literal

import msgspec

from runcast.auth.grants import EVERYTHING, NOTHING, Grants

Via = Literal["open", "key", "token", "cookie"]


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody, as what they have shown says.

    `credential` names that (never its secret), so that it can be revoked: `key:…`, `token:…`, `cookie:…`; `origin`
    is the credential it was derived from, if another. `expires_s` is Unix time in seconds, None for never.
    """

    sub: str
    via: Via
    credential: str = ""
    origin: str = ""
    grants: Grants = NOTHING
    expires_s: float | None = None
    email: str | None = None
    name: str | None = None

    def is_expired(self, now_s: float) -> bool:
        """Whether it counts no longer."""
        return self.expires_s is not None and now_s >= self.expires_s


LOCAL = Principal(sub="local", via="open", grants=EVERYTHING)
"""Whoever reaches an open server: this machine."""
