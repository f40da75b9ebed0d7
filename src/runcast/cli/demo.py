"""`runcast demo`: a server on a log that is thrown away, and a small agent at work, so that there is something to see."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import tempfile
import threading
import webbrowser
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from runcast.cli.output import complain
from runcast.cli.serve import http_protocol, listen, protocol
from runcast.cli.usage import check_options
from runcast.config import Settings
from runcast.errors import ConfigError, RuncastError

if TYPE_CHECKING:
    from runcast.live.bus import Bus

PORT = 8000
DRAIN_S = 0.2
GRACE_S = 2
"""For responses that still run at the end."""
LEAVE_S = 10.0
"""How long a step of the agent may take that is under way when it is told to stop."""


def demo(
    *,
    port: Annotated[
        int | None, Parameter(help="port of the server; 0 takes a free one [default: 8000, or a free one]")
    ] = None,
    path: Annotated[Path, Parameter(help="the folder that the agent explores; it is only read")] = Path(),
    once: Annotated[bool, Parameter(negative=(), help="end after one session")] = False,
    open: Annotated[bool, Parameter(negative=(), help="open the page in a browser")] = False,  # noqa: A002
) -> int:
    """Watch a small agent at work on a folder, right away, until Ctrl-C.

    For example:

        runcast demo
        runcast demo --path ~/my-project --port 0 --open

    The agent is real: it lists, reads and searches files and runs git, changes
    nothing, and is planned by fixed rules. No language model is used, so its
    token counts are estimates: a quarter of the characters it reads and
    writes. Its events go to a log of their own, which is removed at the end.
    """
    check_options(port=port)
    root = path.expanduser()
    if not root.is_dir():
        raise ConfigError(f"path: {path} is no folder.")
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    with ExitStack() as stack:
        listener = stack.enter_context(take_port(port))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="runcast-demo-"))
        url = f"http://localhost:{listener.getsockname()[1]}"
        _announce(url, root)
        _run(
            Settings(log=str(Path(folder, "log.db")), drain_s=DRAIN_S),
            listener,
            root,
            stop,
            once=once,
            page=url if open else "",
        )
    return 0


def take_port(port: int | None) -> socket.socket:
    """Listen on `port`; without one on 8000, or on a free one if that is taken.

    Raises:
        ConfigError: the port that is asked for cannot be had.
    """
    if port is not None:
        return listen(Settings(port=port))
    try:
        return listen(Settings(port=PORT))
    except ConfigError:
        return listen(Settings(port=0))  # somebody is there already; any port does for a demo


def _announce(url: str, root: Path) -> None:
    print(f"Runcast on {url}  (a demo: its log is thrown away at the end; Ctrl-C ends it)")
    print(f"An agent explores {root.resolve()}, reading only. No language model: its tokens are estimates.")
    sys.stdout.flush()


def _run(
    settings: Settings, listener: socket.socket, root: Path, stop: threading.Event, *, once: bool, page: str
) -> None:
    """The agent in a thread, begun first, and the server in this one; both on one bus."""
    from runcast.kinds.known import KINDS
    from runcast.live.bus import Bus
    from runcast.log.open import open_configured

    bus = Bus(open_configured(settings), KINDS, settings)
    agent = threading.Thread(target=_explore, args=(bus, root, stop, once), name="runcast-explorer")
    agent.start()
    try:
        _serve(bus, listener, stop, agent, page)
    finally:
        stop.set()
        agent.join(LEAVE_S)
        asyncio.run(bus.close())


def _explore(bus: Bus, root: Path, stop: threading.Event, once: bool) -> None:
    from runcast.kinds.base import Publish
    from runcast.runners.explorer import Explorer

    def publish(stream: str, event: dict[str, Any]) -> None:
        bus.publish_soon([Publish(stream=stream, **event)]).result()

    try:
        Explorer(root, publish, stop.wait).run(once=once)
    except RuncastError as error:
        if not stop.is_set():
            complain(f"the agent has stopped: {error}")


def _serve(
    bus: Bus, listener: socket.socket, stop: threading.Event, agent: threading.Thread, page: str
) -> None:
    """Serve until a signal comes, or the agent has ended."""
    import uvicorn

    from runcast.app import create_app

    if stop.is_set():
        return
    config = uvicorn.Config(
        create_app(bus=bus),
        http=http_protocol(),
        ws=protocol(),
        timeout_graceful_shutdown=GRACE_S,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)

    def accompany() -> None:
        if page:
            webbrowser.open(page)
        agent.join()
        server.should_exit = True

    threading.Thread(target=accompany, name="runcast-demo", daemon=True).start()
    server.run(sockets=[listener])
