"""What whoever asks may do: the one thing that every handler is given, and every check goes through.

The gate (`transport/gate.py`) puts it into the ASGI scope. In an app without our gate there is none, and that app
decides who may come in: then everything is allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from starlette.types import Scope as ASGIScope

from runcast.auth.grants import NOTHING, Grants
from runcast.auth.principal import LOCAL, Principal
from runcast.auth.visible import Visible
from runcast.core.filters import EventSubscriptionFilter
from runcast.core.scope import Scope
from runcast.errors import Forbidden, Restarting, RuncastError, Unauthenticated
from runcast.kinds.base import Kind, Publish
from runcast.transport.holders import Hold, Holders, check_same

KEY: Final = "runcast.access"

OnEnd = Callable[[RuncastError], None]


class Access:
    """Somebody (or nobody yet) at the door of one request or connection."""

    __slots__ = ("_address", "_held", "_holders", "principal")

    def __init__(
        self, principal: Principal | None, holders: Holders | None = None, address: str = ""
    ) -> None:
        self.principal = principal
        self._holders = holders
        self._address = address
        self._held: Hold | None = None

    @property
    def grants(self) -> Grants:
        """What is granted; nothing to nobody."""
        return self.principal.grants if self.principal else NOTHING

    def known(self) -> Principal:
        """Who it is.

        Raises:
            Unauthenticated: that is not known.
        """
        if self.principal is None:
            raise Unauthenticated
        return self.principal

    def check_read(self, stream: str) -> None:
        """Let whoever asks see `stream`.

        Raises:
            Unauthenticated, Forbidden: they may not.
        """
        if not self.known().grants.may_read(stream):
            raise Forbidden(f"You may not read {stream}: no read grant of your key or token covers it.")

    def check_write(self, streams: Iterable[str]) -> None:
        """Let whoever asks publish to all of `streams`, or give commands there.

        Raises:
            Unauthenticated, Forbidden: they may not.
        """
        grants = self.known().grants
        for stream in streams:
            if not grants.may_write(stream):
                raise Forbidden(
                    f"You may not write to {stream}: no write grant of your key or token covers it."
                )

    def check_publish(self, kind: Kind, events: Sequence[Publish]) -> None:
        """Let whoever asks publish `events` of one kind to streams that they may write: for what these refer to.

        What an event says of who it is from, such as who answers a question, is what is known of them.

        Raises:
            Unauthenticated, Forbidden: they may not.
        """
        if kind.sign is not None and self.known().via != "open":
            for event in events:
                kind.sign(event, self.known().sub)
        if kind.refers is not None:
            for event in events:
                for stream in kind.refers(event):
                    self.check_read(stream)

    def check_observe(self) -> None:
        """Let whoever asks see what the server does for everybody: that takes reading everything.

        Raises:
            Unauthenticated, Forbidden: they may not.
        """
        self.known()
        if not self.may_observe():
            raise Forbidden(
                "This is for those who may read everything: your key or token needs a read grant of *."
            )

    def may_observe(self) -> bool:
        """Whether whoever asks may read everything."""
        firehose = Scope.firehose()
        return self.grants.may_watch(firehose) and self.grants.predicate(firehose) is None

    def check_admin(self) -> None:
        """Let whoever asks manage keys.

        Raises:
            Unauthenticated, Forbidden: they may not.
        """
        if not self.known().grants.admin:
            raise Forbidden("This is for administrators: your key or token needs the grant admin.")

    def visible(self, scope: Scope, wanted: EventSubscriptionFilter) -> Visible:
        """What of `scope` passes `wanted` and may be seen.

        Raises:
            Unauthenticated, Forbidden: nothing of it may be.
        """
        if not self.known().grants.may_watch(scope):
            raise Forbidden(f"You may not read {scope}: no read grant of your key or token covers it.")
        return Visible(wanted, self.grants, scope)

    def unknown(self) -> AbstractContextManager[None]:
        """Count somebody in who is yet to say who they are; raises `TooMany`."""
        return self._holders.unknown(self._address) if self._holders else nullcontext()

    async def recheck(self) -> None:
        """Look once more whether what was shown still counts, and as before: something has taken its time.

        Raises:
            Unauthenticated: it has expired, or was revoked.
            IdentityUnavailable: that cannot be found out now.
            Restarting: the grants have changed; whoever sends the request again is judged by those.
        """
        principal = self.principal
        if self._holders is None or principal is None or principal.via == "open":
            return
        if (await self._holders.now(principal)).grants != principal.grants:
            raise Restarting("What you may do has changed while your request was coming; send it again.")

    async def identify(self, secret: str) -> None:
        """Take a token or a key, shown on a connection of somebody who was not known.

        Raises:
            Unauthenticated, IdentityUnavailable: it does not count.
        """
        if self._holders is not None:
            self.principal = await self._holders.authenticator.by_secret(secret)

    async def renew(self, secret: str, scope: Scope | None, on_end: OnEnd) -> Callable[[], None]:
        """Take another token or key on a connection that reads `scope`: a new `hold`, before the old one is over.

        Call what this returns when the connection is gone, and what the old one has returned now: until then, two
        holds of the same principal count as one connection.

        Raises:
            Unauthenticated, IdentityUnavailable: it does not count.
            Forbidden, Restarting: it allows nothing of the scope, or another part of it.
            TooMany: whoever it is has too many connections.
        """
        if self._holders is None:
            return _nothing
        renewed = await self._holders.authenticator.by_secret(secret)
        check_same(self.known(), renewed.grants, scope)
        release = await self._hold(self._holders, renewed, scope, on_end)
        self.principal = renewed
        return release

    async def hold(self, scope: Scope | None, on_end: OnEnd) -> Callable[[], None]:
        """Go on reading `scope` for as long as that is allowed; returns what to call when it is over.

        Without a scope: for as long as all that is granted stays the same.

        `on_end` is called when it is not any more: what was shown has expired or was revoked, or the grants have
        changed.

        Raises:
            Unauthenticated, Forbidden, Restarting: it is allowed no longer, or to another extent.
            TooMany: whoever asks has too many connections.
        """
        principal = self.known()
        if self._holders is None or principal.via == "open":
            return _nothing
        return await self._hold(self._holders, principal, scope, on_end)

    async def _hold(
        self, holders: Holders, principal: Principal, scope: Scope | None, on_end: OnEnd
    ) -> Callable[[], None]:
        held = self._held = await holders.hold(principal, scope, on_end, instead_of=self._held)
        return lambda: holders.release(held)


def access_of(scope: ASGIScope) -> Access:
    """Who is at the door of this request."""
    return scope.get(KEY) or OPEN


OPEN: Final = Access(LOCAL)


def _nothing() -> None:
    pass
