"""JSON Web Tokens (RFC 7519): checked here, and made for our own users.

Which algorithm is allowed follows from where the key is, never from the token (RFC 8725 §3.1): HMAC only with
our own secret, RSA, EC and Ed25519 only with keys of the JWKS URL. `none` is never one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeyFlexible, OctKey
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from runcast.auth.grants import NOTHING, parse_grants
from runcast.auth.jwks import Jwks
from runcast.auth.principal import Principal
from runcast.auth.secrets import digest
from runcast.errors import ConfigError, InvalidInput, Unauthenticated

MAX_TOKEN_CHARS = 8_192
MIN_SECRET_BYTES = 32
MAX_CLAIM_CHARS = 256
LATEST_S = 253_402_300_799.0
"""The end of the year 9999."""
LEEWAY_S = 30.0
"""How much clocks may differ for `nbf` and `iat`; `exp` is taken at its word."""
_EDDSA = "EdDSA"


class _Algorithms(JWSRegistry):
    """What a token may be signed by, and nothing else. Header fields that we do not know are no matter (RFC 7515 §4)."""

    def __init__(self, *names: str) -> None:
        super().__init__(algorithms=names, strict_check_header=False)
        self.names = names

    def get_alg(self, name: str) -> Any:
        """RFC 9864 gives `EdDSA` the more exact name `Ed25519`; most providers still use the old one."""
        return self.algorithms[_EDDSA] if name == _EDDSA and name in self.names else super().get_alg(name)


HMAC = _Algorithms("HS256")
ASYMMETRIC = _Algorithms("RS256", "ES256", _EDDSA, "Ed25519")


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None


class Tokens:
    """Checks tokens, and makes those of our own users.

    Args:
        secret: for HS256, at least 32 bytes; None if there is none. What is called for it is called when it is
            first needed, and may raise `ConfigError`.
        jwks: the keys of an identity provider; None if there is none.
        issuer, audience: what `iss` and `aud` must be; None where anything goes.
        now_s: the wall clock, Unix time in seconds.

    Raises:
        ConfigError: the secret is too short.
    """

    def __init__(
        self,
        secret: str | Callable[[], str] | None,
        jwks: Jwks | None,
        now_s: Callable[[], float],
        *,
        issuer: str | None = None,
        audience: str | None = None,
    ) -> None:
        self._given = secret if callable(secret) else None
        self._imported = _import(secret) if isinstance(secret, str) else None
        self._jwks = jwks
        self._now_s = now_s
        self._issuer = issuer
        self._audience = audience

    async def principal(self, token: str) -> Principal:
        """Who a token speaks for. Cancellation-safe.

        Raises:
            Unauthenticated: it is malformed, wrongly signed, expired, or meant for somebody else.
            IdentityUnavailable: the identity provider's keys were never to be had.
        """
        header = _header(token)
        if header.alg in HMAC.names and self._secret is not None:
            return self._read(token, self._secret, HMAC)
        if header.alg in ASYMMETRIC.names and self._jwks is not None:
            return self._read(token, await self._jwks.keys(header.kid), ASYMMETRIC)
        names = [*(HMAC.names if self._secret else ()), *(ASYMMETRIC.names if self._jwks else ())]
        raise Unauthenticated(f"This token's alg is not accepted here, but {', '.join(names)}.")

    def make(self, principal: Principal, lifetime_s: float) -> str:
        """A token for `principal`, signed by our secret.

        Raises:
            ConfigError: there is none.
        """
        if self._secret is None:
            raise ConfigError("RUNCAST_JWT_SECRET: without it this server makes no tokens.")
        now_s = self._now_s()
        claims: dict[str, Any] = {
            "sub": principal.sub,
            "iat": int(now_s),
            "exp": int(now_s + lifetime_s),
            "jti": principal.credential.partition(":")[2],
            "grants": msgspec.to_builtins(principal.grants),
            "sid": principal.origin.partition(":")[2] or None,
            "email": principal.email,
            "name": principal.name,
            "iss": self._issuer,
            "aud": self._audience,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": HMAC.names[0]}, claims, self._secret, registry=HMAC)

    @property
    def _secret(self) -> OctKey | None:
        if self._imported is None and self._given is not None:
            self._imported = _import(self._given())
        return self._imported

    def _read(self, token: str, key: KeyFlexible, algorithms: _Algorithms) -> Principal:
        try:
            claims = jwt.decode(token, key, registry=algorithms).claims
        except (JoseError, ValueError, TypeError, RecursionError):
            raise Unauthenticated(
                "This token is not signed by a key of this server: it was changed, or is for another one."
            ) from None
        self._check(claims)
        return _principal(claims, token)

    def _check(self, claims: Mapping[str, Any]) -> None:
        now_s = self._now_s()
        expires = _time(claims, "exp")
        if expires is None:
            raise Unauthenticated(
                "This token has no exp, so it would count for ever, and that is not accepted."
            )
        if now_s >= expires:
            raise Unauthenticated("This token has expired; get a new one.")
        for name in ("nbf", "iat"):
            begins = _time(claims, name)
            if begins is not None and begins > now_s + LEEWAY_S:
                raise Unauthenticated(f"This token does not count yet: its {name} is in the future.")
        if self._issuer is not None and claims.get("iss") != self._issuer:
            raise Unauthenticated(
                "This token's iss is not the issuer that this server trusts (RUNCAST_JWT_ISSUER)."
            )
        if self._audience is not None and self._audience not in _audiences(claims):
            raise Unauthenticated("This token's aud does not name this server (RUNCAST_JWT_AUDIENCE).")


def _import(secret: str) -> OctKey:
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ConfigError(
            f"RUNCAST_JWT_SECRET: at least {MIN_SECRET_BYTES} bytes are needed (RFC 7518 §3.2), and this one "
            f"has {len(secret.encode())}."
        )
    return OctKey.import_key(secret)


def _header(token: str) -> _Header:
    """What an unchecked token says of itself: only used to choose where to look for its key."""
    if len(token) > MAX_TOKEN_CHARS:
        raise Unauthenticated(f"This token has {len(token)} characters; the limit is {MAX_TOKEN_CHARS}.")
    try:
        return msgspec.json.decode(urlsafe_b64decode(token.partition(".")[0].encode()), type=_Header)
    except (ValueError, TypeError, RecursionError):
        raise Unauthenticated(
            "This is no JSON Web Token: what it says of itself cannot be read. Look whether it was copied whole."
        ) from None


def _principal(claims: Mapping[str, Any], token: str) -> Principal:
    sub, login = _text(claims, "sub"), _text(claims, "sid")
    if not sub:
        raise Unauthenticated("This token has no sub, so it does not say whom it is for.")
    try:
        grants = parse_grants(claims["grants"]) if "grants" in claims else NOTHING
    except InvalidInput as error:
        raise Unauthenticated(f"This token's {error}") from None
    return Principal(
        sub=sub,
        via="token",
        credential=f"token:{_text(claims, 'jti') or digest(token).hex()}",
        origin=f"login:{login}" if login else "",
        grants=grants,
        expires_s=_time(claims, "exp"),
        email=_text(claims, "email"),
        name=_text(claims, "name"),
    )


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST_S:
        raise Unauthenticated(f"This token's {name} is no time.")
    return float(value)


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if not isinstance(value, str):
        return None
    if len(value) > MAX_CLAIM_CHARS or not value.isprintable():
        raise Unauthenticated(f"This token's {name} is none: at most {MAX_CLAIM_CHARS} printable characters.")
    return value


def _audiences(claims: Mapping[str, Any]) -> list[object]:
    audience = claims.get("aud")
    return list(audience) if isinstance(audience, list) else [audience]  # pyright: ignore[reportUnknownArgumentType]
