"""From what somebody shows to who they are."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from runcast.auth.keys import PREFIX, ApiKeys
from runcast.auth.passes import Passes
from runcast.auth.principal import LOCAL, Principal
from runcast.auth.revocations import Revocations
from runcast.auth.store import AuthStore
from runcast.auth.tokens import Tokens
from runcast.auth.users import Users
from runcast.errors import Unauthenticated


class Authenticator:
    """All ways to say who one is, over one store.

    Args:
        store: where keys, users and passes are.
        tokens: what checks JSON Web Tokens.
        now_s: the wall clock, Unix time in seconds.
        configured_keys: API keys that the settings give; they may do everything.
        is_open: whoever reaches this server is this machine, and may do everything; what they show is ignored.
    """

    def __init__(
        self,
        store: AuthStore,
        tokens: Tokens,
        now_s: Callable[[], float],
        *,
        configured_keys: tuple[str, ...] = (),
        is_open: bool = False,
    ) -> None:
        self.is_open = is_open
        self._configured_keys = configured_keys
        self.store = store
        self.now_s = now_s
        self.tokens = tokens
        self.keys = ApiKeys(store, now_s, configured_keys)
        self.passes = Passes(store, now_s)
        self.users = Users(store, now_s)
        self.revocations = Revocations(store, now_s)

    def strict(self) -> Authenticator:
        """The same one for what asks everybody who they are, on an open server, too."""
        if not self.is_open:
            return self
        return Authenticator(self.store, self.tokens, self.now_s, configured_keys=self._configured_keys)

    async def by_secret(self, secret: str) -> Principal:
        """Who shows an API key or a token. Cancellation-safe.

        Raises:
            Unauthenticated: nobody that counts.
            IdentityUnavailable: it cannot be found out now.
        """
        if self.is_open:
            return LOCAL
        configured = self.keys.configured(secret)
        if configured is not None:
            return configured
        if secret.startswith(f"{PREFIX}_"):
            return self.keys.principal(secret)
        if secret.count(".") != 2:
            raise Unauthenticated(
                "This is neither an API key of this server (rck_…) nor a token; look whether it was copied whole."
            )
        principal = await self.tokens.principal(secret)
        self._check(principal)
        return principal

    def by_cookie(self, cookie: str) -> Principal:
        """Whose browser this is.

        Raises:
            Unauthenticated: the cookie counts no longer.
        """
        return self.current(self.passes.cookie(cookie))

    def redeem(self, ticket: str) -> tuple[Principal, str]:
        """Exchange a ticket, by its one use, for who it speaks for and a cookie.

        Raises:
            Unauthenticated: it does not count.
        """
        principal, cookie = self.passes.redeem(ticket)
        return self.current(principal), cookie

    def current(self, principal: Principal) -> Principal:
        """Who somebody is now that something was revoked or changed; for connections that are open.

        Raises:
            Unauthenticated: they count no longer.
        """
        if principal.via == "open":
            return principal
        self._check(principal)
        grants = principal.grants
        for credential in (principal.credential, principal.origin):
            name, _, key_id = credential.partition(":")
            if name == "key":
                grants = self.keys.current(key_id).grants
        if principal.via == "cookie" and not self.passes.exists(principal.credential.partition(":")[2]):
            raise Unauthenticated("This browser was logged out.")
        return msgspec.structs.replace(principal, grants=grants)

    def sweep(self) -> None:
        """Forget what has expired anyway."""
        self.passes.sweep()
        self.revocations.sweep()

    def _check(self, principal: Principal) -> None:
        if principal.is_expired(self.now_s()):
            raise Unauthenticated("What you logged in with has expired; log in again.")
        for credential in {principal.credential, principal.origin, f"user:{principal.sub}"}:
            if credential and self.revocations.is_revoked(credential):
                raise Unauthenticated("What you logged in with was revoked; log in again.")
