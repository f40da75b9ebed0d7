"""Connections and whom they act for, without any socket: renewals, limits, and what is looked at once more."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Coroutine
from typing import Any

import pytest
from tests.auth.clock import Clock

from runcast.auth.authenticator import Authenticator
from runcast.auth.grants import Grants
from runcast.auth.principal import Principal
from runcast.auth.store import AuthStore
from runcast.auth.tokens import Tokens
from runcast.config import Settings
from runcast.core.scope import Scope
from runcast.errors import IdentityUnavailable, Restarting, RuncastError, TooMany, Unauthenticated
from runcast.transport.access import OPEN, Access
from runcast.transport.holders import Holders

pytestmark = pytest.mark.anyio

SECRET = "a secret of more than 32 bytes for tests"
MINE = Scope.of_stream("session:mine")
READER = Grants(read=("session:mine",))


class Door:
    """Holders with a limit of one connection, over a store in memory and a clock that a test turns."""

    def __init__(self, **limits: int) -> None:
        self.clock = Clock()
        self.store = AuthStore(None)
        self.authenticator = Authenticator(self.store, Tokens(SECRET, None, self.clock), self.clock)
        given: dict[str, Any] = {"max_connections_per_principal": 1, **limits}
        settings = Settings(log="memory:", **given)
        self.holders = Holders(self.authenticator, settings, self._spawn)
        self.ended: list[str] = []

    async def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        work.close()  # a test looks by itself

    def token(self, number: int, sub: str = "ann") -> str:
        return self.authenticator.tokens.make(principal(number, sub), 60.0)

    async def access(self, number: int, sub: str = "ann") -> Access:
        access = Access(None, self.holders)
        await access.identify(self.token(number, sub))
        return access

    def end(self, error: RuncastError) -> None:
        self.ended.append(error.code)


def principal(number: int, sub: str = "ann") -> Principal:
    return Principal(sub=sub, via="token", credential=f"token:{number}", grants=READER)


async def test_a_renewal_takes_the_place_of_what_it_renews() -> None:
    door = Door()
    access = await door.access(1)
    old = await access.hold(MINE, door.end)
    for number in range(2, 5):
        new = await access.renew(door.token(number), MINE, door.end)
        with pytest.raises(TooMany):
            await (await door.access(9)).hold(MINE, door.end)  # before the old one is over
        old()
        with pytest.raises(TooMany):
            await (await door.access(9)).hold(MINE, door.end)  # and after
        old = new
    old()
    (await (await door.access(9)).hold(MINE, door.end))()


async def test_at_no_moment_of_a_renewal_there_is_room_for_another(monkeypatch: pytest.MonkeyPatch) -> None:
    door, looking, go_on = Door(), threading.Event(), threading.Event()
    access, other = await door.access(1), await door.access(9)
    old = await access.hold(MINE, door.end)
    current = door.authenticator.current

    def look_slowly(who: Principal) -> Principal:
        looking.set()
        assert go_on.wait(20)
        return current(who)

    monkeypatch.setattr(door.authenticator, "current", look_slowly)
    renewing = asyncio.create_task(access.renew(door.token(2), MINE, door.end))
    await asyncio.to_thread(looking.wait, 20)
    with pytest.raises(TooMany):
        await other.hold(MINE, door.end)
    go_on.set()
    new = await renewing
    old()
    with pytest.raises(TooMany):
        await other.hold(MINE, door.end)
    new()
    (await other.hold(MINE, door.end))()


async def test_a_renewal_that_fails_leaves_everything_as_it_was() -> None:
    door = Door()
    access = await door.access(1)
    release = await access.hold(MINE, door.end)
    door.authenticator.revocations.revoke("token:2")
    with pytest.raises(Unauthenticated):
        await access.renew(door.token(2), MINE, door.end)
    with pytest.raises(TooMany):
        await (await door.access(9)).hold(MINE, door.end)
    door.authenticator.revocations.revoke("token:1")
    assert door.holders.check(changed=True)
    assert door.ended == ["unauthenticated"]  # it rests on the old one
    release()
    release()  # is no release of another
    (await (await door.access(9)).hold(MINE, door.end))()


async def test_a_renewal_as_somebody_else_needs_a_place_of_theirs() -> None:
    door = Door()
    (ann, bob) = await door.access(1), await door.access(2, "bob")
    release, of_bob = await ann.hold(MINE, door.end), await bob.hold(MINE, door.end)
    with pytest.raises(TooMany):
        await ann.renew(door.token(3, "bob"), MINE, door.end)
    assert ann.known().sub == "ann"
    of_bob()
    renewed = await ann.renew(door.token(3, "bob"), MINE, door.end)
    with pytest.raises(TooMany):
        await bob.hold(MINE, door.end)
    release()
    (await (await door.access(4)).hold(MINE, door.end))()  # hers is free again
    renewed()


def test_who_is_yet_to_be_known_is_counted_by_address() -> None:
    holders = Door(max_unauthenticated=3, max_unauthenticated_per_address=2).holders
    with holders.unknown("a"), holders.unknown("a"):
        with pytest.raises(TooMany, match="at your address"):
            holders.unknown("a").__enter__()
        with holders.unknown("b"), pytest.raises(TooMany, match="of this server"):
            holders.unknown("c").__enter__()
    with holders.unknown("a"), holders.unknown("a"), holders.unknown("b"):
        pass


async def test_what_was_shown_is_looked_at_once_more() -> None:
    door = Door()
    key, text = door.authenticator.keys.create("ci", READER, door.clock() + 60)
    access = Access(await door.authenticator.by_secret(text), door.holders)
    await access.recheck()
    door.authenticator.keys.change(key.id, Grants(read=("*",)))
    with pytest.raises(Restarting, match="send it again"):
        await access.recheck()
    door.clock.advance(60)
    with pytest.raises(Unauthenticated, match="expired"):
        await access.recheck()
    token = await door.access(1)
    await token.recheck()
    door.authenticator.revocations.revoke("token:1")
    with pytest.raises(Unauthenticated, match="revoked"):
        await token.recheck()
    await OPEN.recheck()
    await Access(None, door.holders).recheck()


async def test_a_store_that_cannot_be_read_is_no_refusal_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door()
    access = await door.access(1)

    def broken(who: Principal) -> Principal:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(door.authenticator, "current", broken)
    with pytest.raises(IdentityUnavailable):
        await access.hold(MINE, door.end)
    with pytest.raises(IdentityUnavailable):
        await access.recheck()
