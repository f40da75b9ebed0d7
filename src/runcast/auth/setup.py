"""From the settings to an authenticator."""

from __future__ import annotations

import time
from collections.abc import Callable

from runcast.auth.authenticator import Authenticator
from runcast.auth.jwks import Jwks
from runcast.auth.store import AuthStore
from runcast.auth.tokens import Tokens
from runcast.config import Settings


def make_authenticator(
    settings: Settings, store: AuthStore, now_s: Callable[[], float] = time.time
) -> Authenticator:
    """Who somebody is, as the settings have it.

    Tokens of our own users are signed by the settings' secret, or else by one that the store keeps. An open server's
    store makes that one when somebody first needs a token, as for the chat.

    Raises:
        ConfigError: a setting cannot be, or the store cannot be opened.
    """
    locked = settings.is_locked
    secret = settings.jwt_secret or (store.own_secret() if locked else store.own_secret)
    tokens = Tokens(
        secret,
        Jwks(settings.jwks_url, time.monotonic) if settings.jwks_url else None,
        now_s,
        issuer=settings.jwt_issuer or None,
        audience=settings.jwt_audience or None,
    )
    return Authenticator(store, tokens, now_s, configured_keys=settings.api_keys, is_open=not locked)
