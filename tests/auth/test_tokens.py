"""Which tokens count, and which attacks on them do not."""

import base64
import hashlib
import hmac
import json
import warnings
from typing import Any

import pytest
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from tests.auth.clock import Clock

from runcast.auth.grants import Grants
from runcast.auth.jwks import FRESH_S, RETRY_S, Jwks
from runcast.auth.principal import Principal
from runcast.auth.tokens import Tokens
from runcast.errors import ConfigError, IdentityUnavailable, Unauthenticated

pytestmark = pytest.mark.anyio

SECRET = "a secret of more than 32 bytes for tests"
URL = "https://id.example.org/jwks.json"


def signed(claims: dict[str, Any], key: Any, algorithm: str, **header: str) -> str:
    registry = JWSRegistry(algorithms=[algorithm])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # EdDSA is an old name of Ed25519 (RFC 9864)
        return jwt.encode({"alg": algorithm, **header}, claims, key, registry=registry)


def by_secret(claims: dict[str, Any], secret: str = SECRET) -> str:
    return signed(claims, OctKey.import_key(secret), "HS256")


def claims(clock: Clock, **more: Any) -> dict[str, Any]:
    return {"sub": "alice", "exp": clock() + 60, **more}


class Provider:
    """An identity provider: its keys, and whether it can be reached."""

    def __init__(self) -> None:
        self.keys = [
            RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"}),
            ECKey.generate_key("P-256", {"kid": "ec"}),
            OKPKey.generate_key("Ed25519", {"kid": "ed"}),
        ]
        self.asked = 0
        self.down = False
        self.body: bytes | None = None

    async def fetch(self, url: str) -> bytes:
        assert url == URL
        self.asked += 1
        if self.down:
            raise OSError("unreachable")
        return self.body or json.dumps(KeySet(list(self.keys)).as_dict(private=False)).encode()


@pytest.fixture(scope="module")
def made() -> Provider:
    return Provider()  # RSA keys take a while


@pytest.fixture
def provider(made: Provider) -> Provider:
    made.asked, made.down, made.body = 0, False, None
    made.keys = made.keys[:3]
    return made


async def test_a_token_by_secret(clock: Clock) -> None:
    tokens = Tokens(SECRET, None, clock)
    grants = {"read": ["session:*"], "write": ["task:42"]}
    token = by_secret(claims(clock, email="a@b", name="Al", jti="7", grants=grants))
    assert await tokens.principal(token) == Principal(
        sub="alice",
        via="token",
        credential="token:7",
        grants=Grants(("session:*",), ("task:42",)),
        expires_s=clock() + 60,
        email="a@b",
        name="Al",
    )


async def test_our_own_tokens(clock: Clock) -> None:
    tokens = Tokens(SECRET, None, clock, issuer="runcast", audience="us")
    alice = Principal(sub="alice", via="token", credential="token:9", grants=Grants(("*",)), email="a@b")
    known = await tokens.principal(tokens.make(alice, 60))
    assert known == Principal(
        sub="alice",
        via="token",
        credential="token:9",
        grants=Grants(("*",)),
        email="a@b",
        expires_s=clock() + 60,
    )
    with pytest.raises(ConfigError):
        Tokens(None, None, clock).make(alice, 60)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"exp": 1}, "expired"),
        ({"exp": None}, "no exp"),
        ({"exp": "soon"}, "exp is no time"),
        ({"exp": True}, "exp is no time"),
        ({"exp": 1e300}, "exp is no time"),
        ({"nbf": 2e9}, "does not count yet"),
        ({"iat": 2e9}, "does not count yet"),
        ({"sub": ""}, "no sub"),
        ({"sub": 7}, "no sub"),
        ({"grants": {"read": ["nothing"]}}, "grants.read"),
        ({"iss": "somebody"}, "iss is not the issuer"),
        ({"aud": ["them"]}, "aud does not name"),
    ],
)
async def test_claims_that_do_not_count(clock: Clock, change: dict[str, Any], sentence: str) -> None:
    tokens = Tokens(SECRET, None, clock, issuer="us", audience="app")
    fine = claims(clock, iss="us", aud=["app", "other"])
    assert (await tokens.principal(by_secret(fine))).sub == "alice"
    changed = {name: value for name, value in {**fine, **change}.items() if value is not None}
    with pytest.raises(Unauthenticated, match=sentence):
        await tokens.principal(by_secret(changed))


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unsigned(header: dict[str, Any], body: dict[str, Any]) -> str:
    return f"{base64url(json.dumps(header).encode())}.{base64url(json.dumps(body).encode())}."


def signed_by_hmac(header: dict[str, Any], body: dict[str, Any], key: bytes) -> str:
    """By hand: the library refuses to take a public key for a secret."""
    text = unsigned(header, body)[:-1]
    return f"{text}.{base64url(hmac.digest(key, text.encode(), hashlib.sha256))}"


async def test_attacks_on_the_signature(clock: Clock, provider: Provider) -> None:
    tokens = Tokens(SECRET, Jwks(URL, clock, provider.fetch), clock)
    fine = by_secret(claims(clock))
    head, body, signature = fine.split(".")
    public = provider.keys[0].as_pem(private=False)
    attacks = [
        unsigned({"alg": "none"}, claims(clock)),
        unsigned({"alg": "None"}, claims(clock)),
        unsigned({"alg": "HS512"}, claims(clock)),
        by_secret(claims(clock), "another secret of more than 32 bytes"),
        signed_by_hmac({"alg": "HS256", "kid": "rsa"}, claims(clock), public),  # key confusion
        signed(claims(clock), OctKey.import_key(SECRET), "HS256", kid="rsa") + "x",
        f"{head}.{body}.",
        f"{head}.{body}.{signature[:-4]}AAAA",
        f"{head}.{body}x.{signature}",
        "a.b.c",
        "..",
        "",
        "é.é.é",
        fine + "." + fine,
        "e30.e30.e30",
        "a" * 10_000,
    ]
    for attack in attacks:
        with pytest.raises(Unauthenticated):
            await tokens.principal(attack)


async def test_keys_of_a_provider(clock: Clock, provider: Provider) -> None:
    tokens = Tokens(None, Jwks(URL, clock, provider.fetch), clock)
    for key, algorithm in zip(provider.keys, ("RS256", "ES256", "EdDSA"), strict=True):
        token = signed(claims(clock), key, algorithm, kid=str(key.kid))
        assert (await tokens.principal(token)).sub == "alice"
    assert provider.asked == 1
    with pytest.raises(Unauthenticated, match="not accepted"):
        await tokens.principal(by_secret(claims(clock)))
    stranger = ECKey.generate_key("P-256", {"kid": "ec"})
    with pytest.raises(Unauthenticated):
        await tokens.principal(signed(claims(clock), stranger, "ES256", kid="ec"))


async def test_rotation_and_an_outage(clock: Clock, provider: Provider) -> None:
    tokens = Tokens(None, Jwks(URL, clock, provider.fetch), clock)
    old, new = provider.keys[1], ECKey.generate_key("P-256", {"kid": "new"})

    def by_old() -> str:
        return signed(claims(clock), old, "ES256", kid="ec")

    assert await tokens.principal(by_old())
    provider.keys = [*provider.keys, new]
    clock.advance(RETRY_S)
    assert await tokens.principal(signed(claims(clock), new, "ES256", kid="new"))  # asked for, and there
    provider.down = True
    clock.advance(FRESH_S * 10)
    assert await tokens.principal(by_old())
    asked = provider.asked
    for _ in range(100):  # made-up key ids do not make us ask each time
        with pytest.raises(Unauthenticated):
            await tokens.principal(signed(claims(clock), new, "ES256", kid="made up"))
    assert provider.asked == asked


@pytest.mark.parametrize("body", [b"x", b"[]", b"{}", b'{"keys":[{}]}', b'{"keys":[{"kty":"RSA"}]}'])
async def test_a_provider_that_talks_nonsense(clock: Clock, provider: Provider, body: bytes) -> None:
    provider.body = body
    tokens = Tokens(None, Jwks(URL, clock, provider.fetch), clock)
    with pytest.raises((IdentityUnavailable, Unauthenticated)):
        await tokens.principal(signed(claims(clock), provider.keys[1], "ES256", kid="ec"))


async def test_a_symmetric_key_in_the_key_set_is_not_used(clock: Clock, provider: Provider) -> None:
    leaked = OctKey.import_key(SECRET, {"kid": "oct"})
    provider.body = json.dumps({"keys": [leaked.as_dict(private=True)]}).encode()
    tokens = Tokens(None, Jwks(URL, clock, provider.fetch), clock)
    with pytest.raises(Unauthenticated):
        await tokens.principal(signed(claims(clock), leaked, "HS256", kid="oct"))


@pytest.mark.parametrize("url", ["http://id.example.org/jwks", "file:///etc/passwd", "ftp://x", ""])
def test_keys_come_by_a_safe_way_only(clock: Clock, url: str) -> None:
    with pytest.raises(ConfigError, match="https"):
        Jwks(url, clock)


def test_a_short_secret_is_refused(clock: Clock) -> None:
    with pytest.raises(ConfigError, match="32 bytes"):
        Tokens("short", None, clock)
