"""Connections that last, and whom they act for: they end when what that rests on does.

A revocation, by whichever process, reaches them within `POLL_S` and a little; an expiry, too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

from runcast.auth.authenticator import Authenticator
from runcast.auth.grants import Grants
from runcast.auth.principal import Principal
from runcast.core.scope import Scope
from runcast.errors import Forbidden, Restarting, RuncastError, TooMany, Unauthenticated

POLL_S = 1.0
SWEEP_S = 600.0

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
        most_unknown: connections of those who have not said yet who they are.
        spawn: begins the watch with the first connection, so that it runs wherever the app is mounted.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        most: int,
        most_unknown: int,
        spawn: Callable[[Coroutine[Any, Any, None]], Awaitable[None]],
    ) -> None:
        self.authenticator = authenticator
        self._most = most
        self._most_unknown = most_unknown
        self._spawn = spawn
        self._held: dict[Principal, set[_Hold]] = {}
        self._count: dict[str, int] = {}
        self._unknown = 0
        self._seen: int | None = None
        self._is_watching = False

    @contextmanager
    def unknown(self) -> Generator[None]:
        """Count somebody in who is yet to say who they are.

        Raises:
            TooMany: there are too many of those.
        """
        if self._unknown >= self._most_unknown:
            raise TooMany(
                "Too many clients have yet to say who they are; show a key or a token when you connect."
            )
        self._unknown += 1
        try:
            yield
        finally:
            self._unknown -= 1

    async def hold(self, principal: Principal, scope: Scope, on_end: OnEnd) -> Callable[[], None]:
        """Count a connection in; call what this returns when it is gone. See `Access.hold`.

        Looked at once more: what was shown may have been revoked since the connection came.

        Raises:
            Unauthenticated, Forbidden, Restarting: it counts no longer, or shows another part now.
            TooMany: the principal has too many.
        """
        if not self._is_watching:
            self._is_watching = True
            await self._spawn(self._watch())
        hold = self._add(principal, scope, on_end)
        try:
            now = await asyncio.to_thread(self.authenticator.current, principal)
            check_same(principal, now.grants, scope)
        except BaseException:
            self._release(principal, hold)
            raise
        return lambda: self._release(principal, hold)

    async def _watch(self) -> None:
        """Look for revocations and expiries, until cancelled."""
        try:
            swept_s = self.authenticator.now_s()
            while True:
                await asyncio.sleep(POLL_S)
                await self._look()
                if self.authenticator.now_s() > swept_s + SWEEP_S:
                    swept_s = self.authenticator.now_s()
                    await asyncio.to_thread(self.authenticator.sweep)
        finally:
            self._is_watching = False

    async def _look(self) -> None:
        """One look. What cannot be found out now is looked at again."""
        try:
            seen = await asyncio.to_thread(self.authenticator.store.changes)
        except Exception:  # a root: a store that cannot be read now must not end the watch
            _logger.exception("whether something was revoked cannot be found out")
            return
        if self.check(changed=seen != self._seen):
            self._seen = seen

    def check(self, *, changed: bool) -> bool:
        """End what counts no longer; look at grants, too, if something has `changed`. False if that failed."""
        now_s, complete = self.authenticator.now_s(), True
        for principal in list(self._held):
            try:
                if principal.is_expired(now_s):
                    self._end(
                        principal, Unauthenticated("What you logged in with has expired; log in again.")
                    )
                elif changed:
                    self._check_grants(principal)
            except Exception:  # a root: one of them must not keep the others from being looked at
                _logger.exception("whether %s may go on cannot be found out", principal.credential)
                complete = False
        return complete

    def _add(self, principal: Principal, scope: Scope, on_end: OnEnd) -> _Hold:
        key = _key(principal)
        if self._count.get(key, 0) >= self._most:
            raise TooMany(f"You have {self._most} connections open here; close one first.")
        hold = _Hold(scope, on_end)
        self._held.setdefault(principal, set()).add(hold)
        self._count[key] = self._count.get(key, 0) + 1
        return hold

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
        key = _key(principal)
        self._count[key] -= 1
        if not self._count[key]:
            del self._count[key]


def _key(principal: Principal) -> str:
    """Whose connections are counted together: a name in a token is not that of a key."""
    return f"{principal.via}:{principal.sub}"


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
