"""`runcast token`: API keys of the log's servers, and tokens for trying things out."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from runcast.cli.access import log_place
from runcast.cli.usage import UsageError, seconds_of
from runcast.errors import ConfigError, KeyNotFound

if TYPE_CHECKING:
    from runcast.auth.authenticator import Authenticator
    from runcast.auth.grants import Grants
    from runcast.auth.keys import ApiKey

HOUR_S = 3_600.0


def token(
    action: Literal["create", "list", "revoke", "print"] = "print",
    name: Annotated[
        str | None,
        Parameter(help="of the key to create, or the id of the one to revoke; who a printed token is for"),
    ] = None,
    /,
    *,
    read: Annotated[
        tuple[str, ...],
        Parameter(help="streams to read: kind:id, kind:*, or * (may be repeated)", negative=""),
    ] = (),
    write: Annotated[
        tuple[str, ...], Parameter(help="streams to write to (may be repeated)", negative="")
    ] = (),
    admin: Annotated[bool, Parameter(help="may manage keys", negative="")] = False,
    expires: Annotated[
        str | None, Parameter(allow_leading_hyphen=True, help="after a span of time: 30d, 12h")
    ] = None,
    log: Annotated[
        str | None, Parameter(help="the log whose servers it is for [default: the configured one]")
    ] = None,
) -> None:
    """Make, list and revoke API keys; print a token.

    For example:

        runcast token create ci --write 'session:*' --expires 90d
        runcast token list
        runcast token revoke 3f2a9c0d1e4b5a67
        runcast token print ann --read '*'

    A key is shown once, and kept as a hash beside the log. Revoked, it also ends what it has open, within seconds.
    A printed token counts for an hour, unless --expires says otherwise; it is for trying things out.
    """
    lifetime_s = None if expires is None else seconds_of(expires, "--expires")
    with _authenticator(log) as authenticator:
        match action:
            case "create":
                _create(authenticator, name, _grants(read, write, admin=admin), lifetime_s)
            case "list":
                _list(authenticator)
            case "revoke":
                _revoke(authenticator, name)
            case "print":
                _print(authenticator, name, _grants(read, write, admin=admin), lifetime_s)


@contextmanager
def _authenticator(log: str | None) -> Generator[Authenticator]:
    from msgspec.structs import replace

    from runcast.auth.setup import make_authenticator
    from runcast.auth.store import AuthStore
    from runcast.config import Settings
    from runcast.log.place import auth_file

    settings = replace(Settings.from_env(os.environ, log=log), locked=True)
    path = log_place(settings)
    if path is None:
        raise ConfigError("log: one in memory keeps no keys. Set RUNCAST_API_KEYS for its server instead.")
    store = AuthStore(auth_file(path))
    try:
        yield make_authenticator(settings, store)
    finally:
        store.close()


def _grants(read: tuple[str, ...], write: tuple[str, ...], *, admin: bool) -> Grants:
    from runcast.auth.grants import parse_grants

    return parse_grants({"read": read, "write": write, "admin": admin})


def _create(authenticator: Authenticator, name: str | None, grants: Grants, lifetime_s: float | None) -> None:
    from runcast.auth.grants import NOTHING

    if name is None:
        raise UsageError("create: give the key a name: runcast token create NAME --read 'session:*'.")
    if grants == NOTHING:
        raise UsageError("create: say what the key may do, by --read, --write or --admin.")
    expires_s = None if lifetime_s is None else time.time() + lifetime_s
    _, text = authenticator.keys.create(name, grants, expires_s)
    print(text)
    print("This is shown once. Use it as `Authorization: Bearer …`, or set RUNCAST_TOKEN.", file=sys.stderr)


def _list(authenticator: Authenticator) -> None:
    from rich.table import Table

    from runcast.cli.output import clean, console

    keys = authenticator.keys.list()
    if not keys:
        print("There are no keys; `runcast token create NAME --read 'session:*'` makes one.", file=sys.stderr)
        return
    table = Table("id", "name", "reads", "writes", "state", "created", box=None)
    for key in keys:
        reads, writes = " ".join(key.grants.read), " ".join(key.grants.write)
        admin = "admin " if key.grants.admin else ""
        table.add_row(
            key.id, clean(key.name), reads or "–", admin + writes or "–", _state(key), _day(key.created_s)
        )
    console().print(table)


def _revoke(authenticator: Authenticator, key_id: str | None) -> None:
    if key_id is None:
        raise UsageError("revoke: which key? `runcast token list` shows their ids.")
    if not authenticator.keys.revoke(key_id):
        raise KeyNotFound
    print(f"{key_id} is revoked.", file=sys.stderr)


def _print(authenticator: Authenticator, sub: str | None, grants: Grants, lifetime_s: float | None) -> None:
    from runcast.auth.principal import Principal
    from runcast.auth.secrets import new_id

    somebody = Principal(sub=sub or "developer", via="token", credential=f"token:{new_id()}", grants=grants)
    print(authenticator.tokens.make(somebody, lifetime_s or HOUR_S))


def _state(key: ApiKey) -> str:
    if key.revoked_s is not None:
        return "revoked"
    if key.expires_s is None:
        return "counts"
    return f"until {_day(key.expires_s)}" if key.expires_s > time.time() else "expired"


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
