"""The public keys of an identity provider, fetched from its JWKS URL (RFC 7517 §5) and kept."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx2
import msgspec
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from runcast.errors import ConfigError, IdentityUnavailable

FRESH_S = 600.0
"""Keys are looked at again after so long; until then, and while that fails, those we have count."""
RETRY_S = 10.0
"""The least time between two attempts: a token with a made-up key id must not make us ask each time."""
TIMEOUT_S = 5.0
MAX_BYTES = 256 * 1024
PUBLIC_TYPES = {"RSA", "EC", "OKP"}

_logger = logging.getLogger("runcast.auth")

Fetch = Callable[[str], Awaitable[bytes]]


class Jwks:
    """A cache of one key set. New keys are found when a token names one that is not known (rotation).

    Args:
        url: https, or http on this machine.
        now_s: a monotonic clock in seconds.
        fetch: what gets the document; by default HTTP.

    Raises:
        ConfigError: the URL is neither.
    """

    def __init__(self, url: str, now_s: Callable[[], float], fetch: Fetch | None = None) -> None:
        _check(url)
        self._url = url
        self._now_s = now_s
        self._fetch = fetch or fetch_over_http
        self._keys: KeySet | None = None
        self._fetched_s = self._tried_s = float("-inf")
        self._fetching = asyncio.Lock()

    async def keys(self, key_id: str | None) -> KeySet:
        """The key set, asked for anew if it is old or has no key of this id. Cancellation-safe.

        Raises:
            IdentityUnavailable: it was never to be had.
        """
        if self._is_due(key_id):
            async with self._fetching:
                if self._is_due(key_id):  # not while we waited
                    await self._refresh()
        if self._keys is None:
            raise IdentityUnavailable
        return self._keys

    def _is_due(self, key_id: str | None) -> bool:
        now_s = self._now_s()
        if now_s < self._tried_s + RETRY_S:
            return False
        known = self._keys is not None and (
            key_id is None or any(key.kid == key_id for key in self._keys.keys)
        )
        return not known or now_s >= self._fetched_s + FRESH_S

    async def _refresh(self) -> None:
        self._tried_s = self._now_s()
        try:
            keys = _public(KeySet.import_key_set(_decoded(await self._fetch(self._url))))
        except (httpx2.HTTPError, OSError, ValueError, TypeError, KeyError, JoseError) as error:
            _logger.warning(
                "the keys at %s cannot be had (%s); %s",
                _without_query(self._url),
                type(error).__name__,
                "those known go on counting" if self._keys else "no token can be checked yet",
            )
            return
        self._keys = keys
        self._fetched_s = self._now_s()


async def fetch_over_http(url: str) -> bytes:
    """Get a document of at most `MAX_BYTES`.

    Raises:
        httpx2.HTTPError: it cannot be had.
        ValueError: it is too long.
    """
    # Reading all certificates takes tens of milliseconds, in which the loop has others to serve.
    tls = await asyncio.to_thread(httpx2.create_ssl_context) if url.startswith("https:") else False
    async with (
        httpx2.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, verify=tls) as client,
        client.stream("GET", url) as answer,
    ):
        answer.raise_for_status()
        body = b""
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > MAX_BYTES:
                raise ValueError("too long")
        return body


def _decoded(body: bytes) -> Any:
    return msgspec.json.decode(body, type=dict[str, list[dict[str, Any]]])


def _public(keys: KeySet) -> KeySet:
    """Without symmetric keys: a token signed by HMAC must never be checked with something that is public."""
    return KeySet([key for key in keys.keys if key.key_type in PUBLIC_TYPES])


def _check(url: str) -> None:
    parts = urlsplit(url)
    local = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    if parts.scheme != "https" and not (parts.scheme == "http" and local):
        raise ConfigError("RUNCAST_JWKS_URL: https is needed, except on this machine.")


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"
