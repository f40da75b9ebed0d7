"""Who one is, over HTTP: registering, logging in, tickets, and API keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from runcast.auth.allowance import Allowance, Guesses, in_words
from runcast.auth.authenticator import Authenticator
from runcast.auth.grants import Grants, parse_grants
from runcast.auth.keys import LONGEST_S, ApiKey
from runcast.auth.principal import Principal
from runcast.auth.secrets import new_id
from runcast.auth.users import User
from runcast.config import Settings
from runcast.core.event import format_time
from runcast.errors import Forbidden, InvalidInput, KeyNotFound, TooMany
from runcast.transport.access import access_of
from runcast.transport.address import address_of
from runcast.transport.body import read_body
from runcast.transport.credentials import cookie_name, is_secure, set_cookie
from runcast.transport.permission import ADMIN, KNOWN, PUBLIC, allowed
from runcast.transport.rest import json_response
from runcast.transport.route import RequestRoute

MAX_BODY_BYTES = 16 * 1024
MINUTE_S = 60.0
TICKETS_PER_MINUTE = 60
HASHING = 2
"""So many passwords are hashed at the same time: each takes 64 MiB."""
WAITING = 64
"""So many wait for that at most: some three seconds."""

B = TypeVar("B", bound=msgspec.Struct)


class _Registration(msgspec.Struct, forbid_unknown_fields=True):
    email: str
    password: str
    name: str = ""


class _Login(msgspec.Struct, forbid_unknown_fields=True):
    email: str
    password: str


class _Refresh(msgspec.Struct, forbid_unknown_fields=True):
    refresh_token: str


class _NewKey(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    grants: dict[str, Any]
    expires_in_s: float | None = None


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    grants: dict[str, Any]


def create_identity_router(authenticator: Authenticator, settings: Settings) -> APIRouter:
    """The routes under `/api/v1/auth` and `/api/v1/keys`."""
    router = APIRouter(prefix="/api/v1", tags=["identity"], route_class=RequestRoute)
    people, keys = _People(authenticator, settings), _Keys(authenticator)
    router.post("/auth/register", summary="Make an account")(allowed(PUBLIC, people.register))
    router.post("/auth/login", summary="A token for an address and a password")(
        allowed(PUBLIC, people.log_in)
    )
    router.post("/auth/refresh", summary="The next token")(allowed(PUBLIC, people.refresh))
    router.post("/auth/logout", summary="Let this browser's cookie, or this token, count no longer")(
        allowed(KNOWN, people.log_out)
    )
    router.get("/auth/me", summary="Who I am and what I may do")(allowed(KNOWN, people.me))
    router.post("/auth/tickets", summary="A ticket for a URL, for one use within a minute")(
        allowed(KNOWN, people.ticket)
    )
    router.get("/keys", summary="All API keys, without their secrets")(allowed(ADMIN, keys.index))
    router.post("/keys", summary="Make an API key; it is shown this once")(allowed(ADMIN, keys.create))
    router.patch("/keys/{key_id}", summary="Give a key other grants")(allowed(ADMIN, keys.change))
    router.delete("/keys/{key_id}", summary="Revoke a key")(allowed(ADMIN, keys.revoke))
    return router


class _Rates:
    """How often something may be done in a minute, by whom."""

    def __init__(self, per_minute: int, what: str) -> None:
        self._allowance = Allowance(per_minute, MINUTE_S)
        self._limit = f"{per_minute} {what}"

    def take(self, whose: str) -> None:
        """Count one; raises `TooMany`."""
        wait_s = self._allowance.take(whose, _now_s())
        if wait_s:
            raise TooMany(
                f"More than {self._limit} in a minute; try again in {in_words(wait_s)}.", retry_after_s=wait_s
            )


class _Hashing:
    """Turns at hashing a password: few at a time, and few who wait, as whoever waits costs memory."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(HASHING)
        self._there = 0

    @asynccontextmanager
    async def turn(self) -> AsyncGenerator[None]:
        """Wait for a turn; raises `TooMany`."""
        if self._there >= HASHING + WAITING:
            raise TooMany("Too many people are logging in at this moment; try again in a few seconds.")
        self._there += 1
        try:
            async with self._turns:
                yield
        finally:
            self._there -= 1


class _People:
    """The handlers for people. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, authenticator: Authenticator, settings: Settings) -> None:
        self._authenticator = authenticator
        self._settings = settings
        self._attempts = _Rates(
            settings.login_rate, "attempts to log in or register from your network address"
        )
        self._guesses = Guesses(settings.login_failure_rate)
        self._tickets = _Rates(TICKETS_PER_MINUTE, "tickets for this key or token")
        self._hashing = _Hashing()

    async def register(self, request: Request) -> Response:
        self._count_attempt(request)
        if not self._settings.registration:
            raise Forbidden("Nobody can register here; ask whoever runs this server.")
        wanted = await _body(request, _Registration)
        users = self._authenticator.users
        async with self._hashing.turn():
            user = await asyncio.to_thread(users.register, wanted.email, wanted.password, wanted.name)
        return json_response(await self._session(_principal(user), user), HTTPStatus.CREATED)

    async def log_in(self, request: Request) -> Response:
        self._count_attempt(request)
        shown = await _body(request, _Login)
        address = address_of(request.scope)
        async with self._hashing.turn():
            guess = self._guesses.begin(shown.email, address, _now_s())
            user = await asyncio.to_thread(self._authenticator.users.log_in, shown.email, shown.password)
        self._guesses.succeeded(guess, shown.email, address)
        return json_response(await self._session(_principal(user), user))

    async def refresh(self, request: Request) -> Response:
        self._count_attempt(request)
        shown = await _body(request, _Refresh)
        principal, following = await asyncio.to_thread(
            self._authenticator.passes.refresh, shown.refresh_token
        )
        user = await asyncio.to_thread(self._authenticator.users.find, principal.sub)
        if user is None:
            raise Forbidden("This account is closed.")
        renewed = msgspec.structs.replace(_principal(user), origin=principal.origin)
        return json_response({**self._token(renewed), "refresh_token": following})

    async def log_out(self, request: Request) -> Response:
        principal = access_of(request.scope).known()
        await asyncio.to_thread(self._revoke, principal)
        answer = json_response({"logged_out": True})
        over = set_cookie("", secure=is_secure(request.scope), max_age_s=0)
        answer.raw_headers.append((b"set-cookie", over))
        return answer

    async def me(self, request: Request) -> Response:
        principal = access_of(request.scope).known()
        expires_s = principal.expires_s
        return json_response(
            {
                "sub": principal.sub,
                "via": principal.via,
                "email": principal.email,
                "name": principal.name,
                "grants": msgspec.to_builtins(principal.grants),
                "expires": None if expires_s is None else format_time(round(expires_s * 1e6)),
            }
        )

    async def ticket(self, request: Request) -> Response:
        principal = access_of(request.scope).known()
        self._tickets.take(principal.credential)
        ticket = await asyncio.to_thread(self._authenticator.passes.ticket, principal)
        return json_response({"ticket": ticket, "cookie": cookie_name(request.scope)})

    async def _session(self, principal: Principal, user: User) -> dict[str, Any]:
        refresh_token = await asyncio.to_thread(self._authenticator.passes.refresh_token, principal)
        person = {"id": user.id, "email": user.email, "name": user.name}
        return {**self._token(principal), "refresh_token": refresh_token, "user": person}

    def _token(self, principal: Principal) -> dict[str, Any]:
        lifetime_s = self._settings.token_lifetime_s
        fresh = msgspec.structs.replace(principal, credential=f"token:{new_id()}")
        token = self._authenticator.tokens.make(fresh, lifetime_s)
        return {"access_token": token, "token_type": "bearer", "expires_in": round(lifetime_s)}

    def _revoke(self, principal: Principal) -> None:
        name, _, login = principal.origin.partition(":")
        if principal.via == "cookie":
            self._authenticator.passes.revoke(principal.credential.partition(":")[2])
        elif principal.via == "token":
            self._authenticator.revocations.revoke(principal.credential, principal.expires_s)
            if name == "login":
                self._authenticator.passes.end_login(login)
        else:
            raise InvalidInput("An API key is revoked by DELETE /api/v1/keys/{id}, not logged out.")

    def _count_attempt(self, request: Request) -> None:
        self._attempts.take(address_of(request.scope))


class _Keys:
    """The handlers for API keys. Each raises `RuncastError`, which the app answers as a problem."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._keys = authenticator.keys
        self._now_s = authenticator.now_s

    async def index(self, request: Request) -> Response:
        del request
        return json_response({"keys": [_describe(key) for key in await asyncio.to_thread(self._keys.list)]})

    async def create(self, request: Request) -> Response:
        wanted = await _body(request, _NewKey)
        lifetime_s = wanted.expires_in_s
        if lifetime_s is not None and not 0 < lifetime_s < LONGEST_S:
            raise InvalidInput(
                "expires_in_s: seconds from now, above 0 and within 100 years.", field="expires_in_s"
            )
        expires_s = None if lifetime_s is None else self._now_s() + lifetime_s
        grants = parse_grants(wanted.grants)
        key, text = await asyncio.to_thread(self._keys.create, wanted.name, grants, expires_s)
        return json_response({**_describe(key), "key": text}, HTTPStatus.CREATED)

    async def change(self, request: Request) -> Response:
        grants: Grants = parse_grants((await _body(request, _Change)).grants)
        key_id: str = request.path_params["key_id"]
        if not await asyncio.to_thread(self._keys.change, key_id, grants):
            raise KeyNotFound
        return json_response({"id": key_id, "grants": msgspec.to_builtins(grants)})

    async def revoke(self, request: Request) -> Response:
        key_id: str = request.path_params["key_id"]
        if not await asyncio.to_thread(self._keys.revoke, key_id):
            raise KeyNotFound
        return json_response({"id": key_id, "revoked": True})


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _principal(user: User) -> Principal:
    """Somebody who has just logged in; `origin` names the login, so that it can be ended as a whole."""
    return Principal(
        sub=user.id,
        via="token",
        origin=f"login:{new_id()}",
        grants=user.grants,
        email=user.email,
        name=user.name or None,
    )


def _describe(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "grants": msgspec.to_builtins(key.grants),
        "created": _time(key.created_s),
        "expires": _time(key.expires_s),
        "revoked": _time(key.revoked_s),
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else format_time(round(seconds * 1e6))


async def _body(request: Request, wanted: type[B]) -> B:
    body = await read_body(request, MAX_BODY_BYTES)
    try:
        return msgspec.json.decode(body, type=wanted)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"body: {error}.", field="body") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidInput("body: not valid JSON.", field="body") from None
