"""Connections that last, and whom they act for: they end when what that rests on does.

A revocation, by whichever process, reaches them within `POLL_S` and a little; an expiry, too.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

from runcast.auth.authenticator import Authenticator
from runcast.auth.grants import Grants
from runcast.auth.principal import Principal
from runcast.config import Settings
from runcast.core.scope import Scope
from runcast.errors import (
    Forbidden,
    IdentityUnavailable,
    Restarting,
    RuncastError,
    TooMany,
    Unauthenticated,
)

POLL_S = 1.0
SWEEP_S = 600.0

_logger = logging.getLogger("runcast.auth")

OnEnd = Callable[[RuncastError], None]

_SHOW_AT_ONCE = "show a key or a token when you connect, or try again in a moment."


class _Seat:
    """What is counted: one connection, held once, or for the moment of a renewal twice."""

    __slots__ = ("holds", "whose")

    def __init__(self, whose: str) -> None:
        self.whose = whose
        self.holds = 0


class Hold:
    """One connection as one principal: what it reads, and how to end it. Made by `Holders.hold`."""

    __slots__ = ("on_end", "principal", "scope", "seat")

    def __init__(self, principal: Principal, scope: Scope | None, on_end: OnEnd, seat: _Seat) -> None:
        self.principal = principal
        self.scope = scope
        self.on_end = on_end
        self.seat = seat


class Holders:
    """All lasting connections of this process by whom they act for. Belongs to one event loop.

    Args:
        authenticator: who somebody is now.
        limits: how many connections one principal may have, and how many there may be of those who have yet to say
            who they are.
        spawn: begins the watch with the first connection, so that it runs wherever the app is mounted.
    """

    def __init__(
        self,
        authenticator: Authenticator,
        limits: Settings,
        spawn: Callable[[Coroutine[Any, Any, None]], Awaitable[None]],
    ) -> None:
        self.authenticator = authenticator
        self._limits = limits
        self._spawn = spawn
        self._held: dict[Principal, set[Hold]] = {}
        self._count: Counter[str] = Counter()
        self._unknown: Counter[str] = Counter()
        self._seen: int | None = None
        self._is_watching = False

    @contextmanager
    def unknown(self, address: str) -> Generator[None]:
        """Count somebody in at `address` who is yet to say who they are.

        Raises:
            TooMany: there are too many of those, here or at all.
        """
        limits = self._limits
        if self._unknown[address] >= limits.max_unauthenticated_per_address:
            raise TooMany(
                f"{limits.max_unauthenticated_per_address} clients at your address have yet to say who they are; "
                f"{_SHOW_AT_ONCE}"
            )
        if self._unknown.total() >= limits.max_unauthenticated:
            raise TooMany(
                f"{limits.max_unauthenticated} clients of this server have yet to say who they are; {_SHOW_AT_ONCE}"
            )
        self._unknown[address] += 1
        try:
            yield
        finally:
            _count_down(self._unknown, address)

    async def hold(
        self, principal: Principal, scope: Scope | None, on_end: OnEnd, *, instead_of: Hold | None = None
    ) -> Hold:
        """Count a connection in; `release` it when it is gone. See `Access.hold`.

        Looked at once more: what was shown may have been revoked since the connection came. `instead_of` is what
        this connection was held by until now, and is until it is released: as long as both are of the same
        principal they count as one, so a renewal is never one too many, and never makes room for another.

        Raises:
            Unauthenticated, Forbidden, Restarting: it counts no longer, or shows another part now.
            TooMany: the principal has too many.
            IdentityUnavailable: it cannot be found out now.
        """
        if not self._is_watching:
            self._is_watching = True
            await self._spawn(self._watch())
        hold = self._add(principal, scope, on_end, instead_of)
        try:
            check_same(principal, (await self.now(principal)).grants, scope)
        except BaseException:
            self.release(hold)
            raise
        return hold

    def release(self, hold: Hold) -> None:
        """The connection is gone, or held by another one. Idempotent."""
        holds = self._held.get(hold.principal)
        if holds is None or hold not in holds:
            return
        holds.discard(hold)
        if not holds:
            del self._held[hold.principal]
        hold.seat.holds -= 1
        if not hold.seat.holds:
            _count_down(self._count, hold.seat.whose)

    async def now(self, principal: Principal) -> Principal:
        """Who somebody is now, with the grants they have now.

        Raises:
            Unauthenticated: they count no longer.
            IdentityUnavailable: it cannot be found out now.
        """
        try:
            return await asyncio.to_thread(self.authenticator.current, principal)
        except sqlite3.Error:
            _logger.exception("the file of keys and users cannot be used")
            raise IdentityUnavailable from None

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
                        principal,
                        Unauthenticated(
                            "What you logged in with has expired; log in again, or send a fresh token in time."
                        ),
                    )
                elif changed:
                    self._check_grants(principal)
            except Exception:  # a root: one of them must not keep the others from being looked at
                _logger.exception("whether %s may go on cannot be found out", principal.credential)
                complete = False
        return complete

    def _add(self, principal: Principal, scope: Scope | None, on_end: OnEnd, instead_of: Hold | None) -> Hold:
        hold = Hold(principal, scope, on_end, self._seat(_key(principal), instead_of))
        self._held.setdefault(principal, set()).add(hold)
        hold.seat.holds += 1
        return hold

    def _seat(self, whose: str, instead_of: Hold | None) -> _Seat:
        if instead_of is not None and instead_of.seat.whose == whose and instead_of.seat.holds:
            return instead_of.seat
        most = self._limits.max_connections_per_principal
        if self._count[whose] >= most:
            raise TooMany(
                f"You have {most} connections open here, the limit for one key or user; close one first."
            )
        self._count[whose] += 1
        return _Seat(whose)

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


def _key(principal: Principal) -> str:
    """Whose connections are counted together: a name in a token is not that of a key."""
    return f"{principal.via}:{principal.sub}"


def _count_down(counted: Counter[str], key: str) -> None:
    counted[key] -= 1
    if not counted[key]:
        del counted[key]


def check_same(principal: Principal, grants: Grants, scope: Scope | None) -> None:
    """Let a connection of `principal` that reads `scope` go on under other `grants`, if they show the same of it.

    One that reads no scope in particular (None) goes on if they allow the very same.

    Raises:
        Forbidden: they show nothing.
        Restarting: they show another part; the client comes back, and gets that.
    """
    if scope is None:
        if grants != principal.grants:
            raise Restarting("What you may do has changed; reconnect, and go on from your cursors.")
        return
    if not grants.may_watch(scope):
        raise Forbidden(f"You may no longer read {scope}: what is granted to you has changed.")
    if grants.fingerprint(scope) != principal.grants.fingerprint(scope):
        raise Restarting("What you may read has changed; reconnect and go on from your cursor.")
