"""`runcast serve`: the server."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

from cyclopts import Parameter

from runcast.cli.access import log_place
from runcast.cli.usage import settings_of
from runcast.config import Settings
from runcast.errors import ConfigError
from runcast.log.place import for_others
from runcast.runners.loading import load_modules

GRACE_S = 5
"""Beyond the drain, for responses that still run at a shutdown."""
BACKLOG = 2048
"""Connections that may wait to be accepted, as uvicorn has it."""


def serve(
    *,
    host: Annotated[str | None, Parameter(help="address to listen on [default: 127.0.0.1]")] = None,
    port: Annotated[
        int | None, Parameter(help="port to listen on; 0 takes a free one [default: 8000]")
    ] = None,
    log: Annotated[
        str | None,
        Parameter(
            help="sqlite:///path, a path, memory:, or redis://host [default: log.db in your data directory]"
        ),
    ] = None,
    workers: Annotated[int | None, Parameter(help="processes that serve together [default: 1]")] = None,
    locked: Annotated[
        bool | None, Parameter(help="ask everybody for a key or token, on this machine, too", negative="")
    ] = None,
    load: Annotated[
        list[str] | None,
        Parameter(
            help="import this Python module first, for the workflows, steps and processors in it; repeatable"
        ),
    ] = None,
    htmlgraph_db: Annotated[
        str | None, Parameter(help="follow the events of this HtmlGraph database, too")
    ] = None,
) -> None:
    """Serve streams over HTTP, WebSocket and SSE until interrupted.

    Each option can also be set in the environment, as RUNCAST_HOST, RUNCAST_PORT, RUNCAST_LOG, RUNCAST_WORKERS.
    """
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    settings = settings_of(
        host=host,
        port=port,
        log=log,
        workers=workers,
        locked=locked,
        load=tuple(load) if load else None,
        htmlgraph_db=htmlgraph_db,
    )
    _check(settings)
    load_modules(settings.load)  # what is wrong with one is told here, in one line
    listener = listen(settings)
    _run(settings, listener)


def _check(settings: Settings) -> None:
    from runcast.sources.redis_pubsub import check_url
    from runcast.transport.guard import is_loopback

    _check_resolves(settings.host)
    if not settings.is_locked and not is_loopback(settings.host):
        raise ConfigError(
            f"host: {settings.host} can be reached by others, and this server asks nobody who they are. Make a key by "
            "`runcast token create` and set RUNCAST_LOCKED=true, or set RUNCAST_API_KEYS, RUNCAST_JWT_SECRET or "
            "RUNCAST_JWKS_URL; or use --host 127.0.0.1."
        )
    if settings.workers > 1 and settings.log == "memory:":
        raise ConfigError(
            "workers: a log in memory belongs to one process; use a file (--log), or one worker."
        )
    check_url(settings.redis_url)
    log_place(settings)


def _check_resolves(host: str) -> None:
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        raise ConfigError(
            f"host: the name {host} leads to no address ({error.strerror}). "
            "Correct it, or use --host 127.0.0.1."
        ) from None


def listen(settings: Settings) -> socket.socket:
    """Take the port before anything else, so that a taken one is one clear line.

    It listens from here on: who reads our line may connect at once, and is served as soon as we are ready.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"port: cannot listen on {settings.host}:{settings.port} ({error.strerror}). "
            "Stop what uses it, or choose another with --port."
        ) from None
    listener.set_inheritable(True)
    return listener


def _run(settings: Settings, listener: socket.socket) -> None:
    import uvicorn
    from uvicorn.supervisors import Multiprocess

    from runcast.log.open import open_configured, persistence_warning

    log = open_configured(settings)  # what is wrong with it is told here, in one line
    url = log.url
    if warning := persistence_warning(log):
        print(f"runcast: {warning}", file=sys.stderr)
    log.close()
    _hand_down(settings, url)
    config = uvicorn.Config(
        "runcast.app:create_app",
        factory=True,
        workers=settings.workers,
        http=http_protocol(),
        ws=protocol(),
        ws_max_size=max(2 * settings.inbound_max_bytes, settings.attachment_max_bytes + 8 * 1024),
        ws_ping_interval=settings.ws_ping_interval_s,
        ws_ping_timeout=settings.ws_ping_timeout_s,
        timeout_graceful_shutdown=round(settings.drain_s + GRACE_S),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
    )
    _announce(listener, url, settings)
    if settings.workers > 1:
        Multiprocess(config, sockets=[listener]).run()
    else:
        uvicorn.Server(config).run(sockets=[listener])


def _hand_down(settings: Settings, url: str) -> None:
    """Workers read the same settings, from the environment."""
    os.environ["RUNCAST_LOG"] = for_others(settings.log, url)
    os.environ["RUNCAST_WORKERS"] = str(settings.workers)
    os.environ["RUNCAST_LOAD"] = ",".join(settings.load)
    os.environ["RUNCAST_LOCKED"] = str(settings.locked).lower()
    os.environ["RUNCAST_HTMLGRAPH_DB"] = settings.htmlgraph_db and str(Path(settings.htmlgraph_db).resolve())


def protocol() -> Any:
    """The fast path, or uvicorn's own protocol with a warning if this uvicorn is one we do not know."""
    try:
        from runcast.transport.uvicorn_ws import FrameProtocol, unsupported
    except ImportError as error:
        return _portable(str(error))
    missing = unsupported()
    if missing:
        return _portable(f"this uvicorn lacks {missing}")
    return FrameProtocol


def _portable(why: str) -> str:
    print(f"runcast: {why}; WebSockets take the slower, portable path.", file=sys.stderr)
    return "auto"


def http_protocol() -> Any:
    """The bounded protocol, or uvicorn's own with a warning if this uvicorn is one we do not know."""
    try:
        from runcast.transport.uvicorn_http import BoundedHttpToolsProtocol, unsupported
    except ImportError as error:
        return _unbounded(str(error))
    missing = unsupported()
    if missing:
        return _unbounded(f"this uvicorn lacks {missing}")
    return BoundedHttpToolsProtocol


def _unbounded(why: str) -> str:
    print(f"runcast: {why}; slow and endless HTTP requests are not cut off.", file=sys.stderr)
    return "auto"


def _announce(listener: socket.socket, url: str, settings: Settings) -> None:
    host, port = listener.getsockname()[:2]
    shown = "localhost" if host == "127.0.0.1" else f"[{host}]" if ":" in host else host
    door = "locked (keys and tokens)" if settings.is_locked else "open (this machine only)"
    print(f"Runcast on http://{shown}:{port}  log {url}  {door}", flush=True)


def _exit(number: int, frame: FrameType | None) -> None:
    """End cleanly on a signal while nothing is served: before, or after uvicorn's shutdown, which raises it again.

    Not by an exception: raised within a start-up or a callback, it could come out as a failure, or be lost.
    """
    sys.stdout.flush()
    os._exit(0)
