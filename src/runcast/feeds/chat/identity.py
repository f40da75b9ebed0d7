"""Who takes part: a chat asks everybody, on a server that is otherwise open, too."""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.types import Scope as ASGIScope

from runcast.auth.principal import Principal
from runcast.errors import InvalidInput, Unauthenticated
from runcast.kinds.chat_state import Person
from runcast.transport.access import KEY, Access, access_of
from runcast.transport.address import address_of
from runcast.transport.credentials import SHOWN, Shown, take_credentials
from runcast.transport.holders import Holders
from runcast.transport.permission import Permission

CHATTING: Final = Permission("chat", lambda _access, _request: None)
"""Whoever says who they are: that is found out by the handler, as it is asked on an open server, too."""

_KEY = "key:"
NEEDED = (
    "A chat needs to know who you are: log in (POST /api/v1/auth/login) and show the token, or, while developing, "
    "the one that `runcast token` prints."
)


class Identity:
    """Finds out who somebody is.

    Args:
        holders: of connections; its authenticator must be a strict one.
    """

    def __init__(self, holders: Holders) -> None:
        self._holders = holders

    def shown(self, scope: ASGIScope) -> Shown | None:
        """What a request shows. It is taken out of the scope."""
        return scope.pop(SHOWN, None) or take_credentials(scope)

    def nobody(self, scope: ASGIScope) -> Access:
        """The access of somebody who is yet to say who they are; it is what `access_of` finds from now on."""
        access = scope[KEY] = Access(None, self._holders, address_of(scope))
        return access

    async def principal(self, shown: Shown) -> Principal:
        """Who shows this. Cancellation-safe.

        Raises:
            Unauthenticated, IdentityUnavailable: it does not count.
        """
        authenticator = self._holders.authenticator
        match shown.kind:
            case "secret":
                return await authenticator.by_secret(shown.secret)
            case "cookie":
                return await asyncio.to_thread(authenticator.by_cookie, shown.secret)
            case "ticket":
                principal, _ = await asyncio.to_thread(authenticator.redeem, shown.secret)
                return principal

    async def known(self, scope: ASGIScope) -> Principal:
        """Who sends an HTTP request.

        Raises:
            Unauthenticated, IdentityUnavailable: nobody that counts.
        """
        principal = access_of(scope).principal
        if principal is not None and principal.via != "open":
            return principal
        shown = self.shown(scope)
        if shown is None:
            raise Unauthenticated(NEEDED)
        return await self.principal(shown)

    async def registered(self, email: str) -> Person:
        """Who has registered here with this address.

        Raises:
            InvalidInput: nobody.
        """
        user = await asyncio.to_thread(self._holders.authenticator.users.find_by_email, email.strip())
        if user is None:
            raise InvalidInput(
                "email: nobody has registered here with this address; ask them to, or invite them by their user_id.",
                field="email",
            )
        return Person(user.id, user.name or None, user.email)


def person_of(principal: Principal) -> Person:
    """Somebody as conversations know them. An API key is never taken for a user of its name."""
    is_key = any(name.startswith(_KEY) for name in (principal.credential, principal.origin))
    person_id = f"{_KEY}{principal.sub}" if is_key else principal.sub
    if not is_key and person_id.startswith(_KEY):
        person_id = f"token:{person_id}"
    return Person(person_id, principal.name or principal.sub, principal.email)
