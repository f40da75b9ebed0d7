"""Connections that last, and whom they act for: they end when what that rests on does.

A revocation, by whichever process, reaches them within `POLL_S` and a little; an expiry, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from runcast.auth.authenticator import Authenticator
from runcast.auth.grants import Grants
from runcast.auth.principal import Principal
from runcast.core.scope import Scope
from runcast.errors import Forbidden, Restarting, RuncastError, TooMany, Unauthenticated

POLL_S = 1.0

_logger = logging.getLogger("runcast.auth")

OnEnd = Callable[[RuncastError], None]


class _Hold:
    """One connection: what it reads, and how to end it."""

    __slots__ = ("on_end", "scope")

    def __init__(self, scope: Scope, on_end: OnEnd) -> None:
        self.scope = scope
        self.on_end = on_end


class Holders:
    """All lasting connections of this process by whom they act for. Belongs to one event loop.

    Args:
        authenticator: who somebody is now.
        most: connections of one principal.
    """

    def __init__(self, authenticator: Authenticator, most: int) -> None:
        self.authenticator = authenticator
        self._most = most
        self._held: dict[Principal, set[_Hold]] = {}
        self._count: dict[str, int] = {}
        self._seen = authenticator.store.changes()

    def hold(self, principal: Principal, scope: Scope, on_end: OnEnd) -> Callable[[], None]:
        """Count a connection in; call what this returns when it is gone. See `Access.hold`.

        Raises:
            TooMany: the principal has too many.
        """
        if self._count.get(principal.sub, 0) >= self._most:
            raise TooMany(f"You have {self._most} connections open here; close one first.")
        hold = _Hold(scope, on_end)
        self._held.setdefault(principal, set()).add(hold)
        self._count[principal.sub] = self._count.get(principal.sub, 0) + 1
        return lambda: self._release(principal, hold)

    async def run(self) -> None:
        """Look for revocations and expiries, until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                seen = await asyncio.to_thread(self.authenticator.store.changes)
            except Exception:  # a root: a store that cannot be read now must not end the server
                _logger.exception("whether something was revoked cannot be found out")
                continue
            changed, self._seen = seen != self._seen, seen
            self.check(changed=changed)

    def check(self, *, changed: bool) -> None:
        """End what counts no longer; look at grants, too, if something has `changed`."""
        now_s = self.authenticator.now_s()
        for principal in list(self._held):
            if principal.is_expired(now_s):
                self._end(principal, Unauthenticated("What you logged in with has expired; log in again."))
            elif changed:
                self._check_grants(principal)

    def _check_grants(self, principal: Principal) -> None:
        try:
            grants = self.authenticator.current(principal).grants
        except Unauthenticated as error:
            self._end(principal, error)
            return
        for hold in list(self._held.get(principal, ())):
            try:
                check_same(principal, grants, hold.scope)
            except RuncastError as error:
                hold.on_end(error)

    def _end(self, principal: Principal, error: RuncastError) -> None:
        for hold in list(self._held.get(principal, ())):
            hold.on_end(error)

    def _release(self, principal: Principal, hold: _Hold) -> None:
        holds = self._held.get(principal)
        if holds is None or hold not in holds:
            return
        holds.discard(hold)
        if not holds:
            del self._held[principal]
        self._count[principal.sub] -= 1
        if not self._count[principal.sub]:
            del self._count[principal.sub]


def check_same(principal: Principal, grants: Grants, scope: Scope) -> None:
    """Let a connection of `principal` that reads `scope` go on under other `grants`, if they show the same of it.

    Raises:
        Forbidden: they show nothing.
        Restarting: they show another part; the client comes back, and gets that.
    """
    if not grants.may_watch(scope):
        raise Forbidden(f"You may no longer read {scope}.")
    if grants.fingerprint(scope) != principal.grants.fingerprint(scope):
        raise Restarting("What you may read has changed; reconnect and go on from your cursor.")
