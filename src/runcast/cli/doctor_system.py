"""The doctor's look at everything but the log: versions, settings, the port, and Claude Code."""

from __future__ import annotations

import os
import platform
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from difflib import get_close_matches
from pathlib import Path

from runcast import __version__
from runcast.auth.redact import HIDDEN, redact
from runcast.cli.access import TOKEN_VARIABLE, URL_VARIABLE
from runcast.cli.doctor_findings import Finding, fail, ok, warn
from runcast.cli.output import plural
from runcast.client.blocking import Client
from runcast.config import Settings, env_names
from runcast.errors import ConfigError, RuncastError, ServerError, Unreachable
from runcast.log.place import log_file

ASK_S = 2.0
OLDEST_SQLITE = (3, 31)
SOUND_SQLITE = (3, 51, 3)
"""The first without the WAL-reset bug, see `runcast.log.sqlite.checkpoint`."""
SECRET_WORDS = ("KEY", "SECRET", "TOKEN", "PASSWORD")


def look_at_versions() -> Iterator[Finding]:
    """Runcast, Python, SQLite."""
    yield ok("runcast", f"{__version__} on Python {platform.python_version()}, {platform.system()}")
    version, found = sqlite3.sqlite_version, sqlite3.sqlite_version_info
    if found < OLDEST_SQLITE:
        yield fail("sqlite", f"{version} is too old", "Use a Python with SQLite 3.31 or newer.")
    elif found < SOUND_SQLITE:
        # Our own writers hold the write lock at a checkpoint, which the bug needs to be free.
        yield ok(
            "sqlite",
            f"{version}; it has the WAL-reset bug (until 3.51.2), which Runcast's own writing avoids",
        )
    else:
        yield ok("sqlite", version)


def look_at_settings(
    environ: Mapping[str, str], log: str | None, port: int | None
) -> tuple[Settings, list[Finding]]:
    """The settings to look at everything else with, and what there is to say of the environment."""
    findings = [*_settings_that_are_set(environ), *_settings_that_are_none(environ)]
    try:
        return Settings.from_env(environ, log=log, port=port), findings or [
            ok("settings", "all as by default")
        ]
    except ConfigError as error:
        advice = "Correct it; the rest is looked at with default settings."
        return Settings(log=log or environ.get("RUNCAST_LOG", "")), [
            *findings,
            fail("settings", str(error), advice),
        ]


def look_at_port(settings: Settings) -> Iterator[Finding]:
    """Whether a server could listen there, or who does."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    url = f"http://{host}:{settings.port}"
    try:
        with Client(url, token=os.environ.get(TOKEN_VARIABLE), timeout_s=ASK_S) as client:
            status = client.status()
    except Unreachable:
        yield _free(settings)
    except ServerError:
        yield warn(
            "port",
            f"another program answers at {url}",
            "End it, or choose another port: runcast serve --port 8001, or RUNCAST_PORT.",
        )
    except RuncastError as error:
        yield ok("port", f"a server answers at {url}: {error}")
    else:
        yield ok("port", f"Runcast {status.get('version', '?')} answers at {url}")
        yield from _same_log(settings, str(status.get("log", "")))


def look_at_fast_path() -> Iterator[Finding]:
    """Whether this uvicorn lets prepared frames through."""
    advice = "WebSockets work, but take the slower, portable path. Install the uvicorn that Runcast asks for."
    try:
        from runcast.transport.uvicorn_ws import unsupported
    except ImportError as error:
        yield warn("fast path", str(error), advice)
        return
    missing = unsupported()
    if missing:
        yield warn("fast path", f"this uvicorn lacks {missing}", advice)
    else:
        yield ok("fast path", "prepared frames go straight to the sockets")


def look_at_claude_code(settings: Settings) -> Iterator[Finding]:
    """Its transcripts, and our hook in its settings."""
    from runcast.cli.hook import last_failures
    from runcast.cli.watch import default_folder

    folder = default_folder()
    if folder.is_dir():
        yield ok("transcripts", f"{folder}; `runcast watch` follows them")
    else:
        yield ok("transcripts", f"none: Claude Code has not run here ({folder} is not there)")
    yield from _hooks(folder.parent)
    try:
        failures = last_failures(settings)
    except RuncastError:
        failures = []  # the log has no name that can be; told with the log
    if failures:
        yield warn("hook", f"it failed lately, last: {failures[-1]}", _hook_advice(failures[-1]))


def _hook_advice(failure: str) -> str:
    """What to do about what a hook could not do, by the words it has left."""
    if "JSON" in failure or "body:" in failure:
        return (
            "What called the hook sent something else than an event of Claude Code; the log is not to blame. "
            "If it was no trial by hand, update Claude Code."
        )
    if "stdin:" in failure:
        return "One event was too long, and is lost; nothing needs to be done."
    if "RUNCAST_LOG" in failure or "log:" in failure:
        return "Correct RUNCAST_LOG where Claude Code is started."
    if "is not known" in failure:
        return "Register the hook anew: runcast install-hooks."
    return "See that the log can be written; the event itself waits in the spool, if there was room."


def look_at_door(settings: Settings) -> Iterator[Finding]:
    """Whether a server of these settings asks who somebody is, and how many keys there are."""
    try:
        stored = _keys(settings)
    except RuncastError as error:
        yield warn("keys", str(error), "See that this user may read the file of the keys, beside the log.")
        return
    keys = plural(stored + len(settings.api_keys), "key")
    if not settings.is_locked:
        says = f"a server is open: it believes whoever is on this machine; {keys}"
        yield ok("keys", f"{says}, which RUNCAST_LOCKED=true lets count" if stored else says)
    elif stored or settings.api_keys or settings.jwt_secret or settings.jwks_url:
        tokens = ", and tokens" if settings.jwt_secret or settings.jwks_url else ""
        yield ok("keys", f"a server is locked: {keys}{tokens}")
    else:
        yield warn(
            "keys",
            "a server is locked, and there is no key",
            "Make one: runcast token create NAME --read '*' --write '*'.",
        )


def _keys(settings: Settings) -> int:
    """How many keys beside the log count now."""
    from runcast.auth.keys import ApiKeys
    from runcast.auth.store import AuthStore
    from runcast.log.place import auth_file, beside

    try:
        log = beside(settings.log)
    except RuncastError:
        return 0  # told with the log
    if log is None or not auth_file(log).exists():
        return 0
    with closing(AuthStore(auth_file(log))) as store:
        keys = ApiKeys(store, time.time).list()
    now_s = time.time()
    return sum(key.revoked_s is None and (key.expires_s is None or key.expires_s > now_s) for key in keys)


def _hooks(claude: Path) -> Iterator[Finding]:
    """Where our hook is installed: for the user, or for the project that we are in."""
    from runcast.sources.claude_code.settings import SettingsFile, events_of_ours

    here = Path(".claude")
    found = False
    for path in (claude / "settings.json", here / "settings.json", here / "settings.local.json"):
        try:
            events = events_of_ours(SettingsFile(path).settings)
        except ConfigError as error:
            yield warn(
                "hook", str(error), "Correct the file; Claude Code leaves out one that it cannot read."
            )
            continue
        if events:
            found = True
            yield ok("hook", f"installed for {plural(len(events), 'event')} in {path}")
    if not found:
        yield ok("hook", "not installed; `runcast install-hooks` lets Claude Code tell what it does")


def _settings_that_are_set(environ: Mapping[str, str]) -> Iterator[Finding]:
    for field in Settings.__struct_fields__:
        name = next((name for name in env_names(field) if environ.get(name)), None)
        if name is not None:
            secret = any(word in name for word in SECRET_WORDS)
            yield ok("settings", f"{field} = {HIDDEN if secret else redact(environ[name])}, from {name}")


def _settings_that_are_none(environ: Mapping[str, str]) -> Iterator[Finding]:
    known = {
        URL_VARIABLE,
        TOKEN_VARIABLE,
        *(name for field in Settings.__struct_fields__ for name in env_names(field)),
    }
    for name in sorted(environ):
        if name.startswith("RUNCAST_") and name not in known:
            meant = get_close_matches(name, known, 1)
            hint = f"Did you mean {meant[0]}?" if meant else "docs/settings.md lists them all."
            yield warn("settings", f"{name} is set, but no setting is called so", hint)


def _free(settings: Settings) -> Finding:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
        except OSError as error:
            return fail(
                "port",
                f"{settings.host}:{settings.port} cannot be listened on ({error.strerror}), and does not answer",
                "End what holds it, or choose another port: RUNCAST_PORT.",
            )
    return ok("port", f"{settings.host}:{settings.port} is free; no server runs there")


def _same_log(settings: Settings, url: str) -> Iterator[Finding]:
    try:
        path = log_file(settings.log)
        theirs = log_file(url)
    except RuncastError:
        return
    if path is not None and theirs is not None and path.absolute() != theirs.absolute():
        yield warn(
            "port",
            f"that server has another log: {theirs}",
            f"Commands without --url use {path.absolute()}; set RUNCAST_LOG alike for both.",
        )
