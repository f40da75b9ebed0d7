"""`runcast watch`: what Claude Code's transcripts tell, into the log, live."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from runcast.cli.access import Where, log_place
from runcast.cli.usage import seconds_of
from runcast.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from runcast.client.blocking import Client
    from runcast.sources.claude_code.positions import Positions
    from runcast.sources.claude_code.publishers import Publisher


def watch(
    path: Annotated[
        Path | None,
        Parameter(help="a folder of transcripts, or one of them [default: ~/.claude/projects]"),
    ] = None,
    /,
    *,
    where: Where | None = None,
    once: Annotated[bool, Parameter(help="read what is there, then end", negative="")] = False,
    since: Annotated[
        str | None,
        Parameter(
            allow_leading_hyphen=True, help="leave out files unchanged for longer than this: 7d, 12h, 30m"
        ),
    ] = None,
) -> None:
    """Follow the transcripts of Claude Code's sessions and of their subagents.

    Reads what is there, then every line as it is written. Stopped and started again it goes on where it was; what
    is told twice is stored once, also beside the hooks.
    """
    where = where or Where()
    since_s = None if since is None else seconds_of(since, "--since")
    plan = _Plan(_folder(path), once, since_s)
    with suppress(KeyboardInterrupt):
        asyncio.run(_watch(where, plan))


def default_folder() -> Path:
    """Where Claude Code keeps its transcripts: below `CLAUDE_CONFIG_DIR`, or ~/.claude."""
    own = os.environ.get("CLAUDE_CONFIG_DIR")
    return (Path(own) if own else Path.home() / ".claude") / "projects"


def _folder(path: Path | None) -> Path:
    if path is None and not default_folder().exists():
        raise ConfigError(
            f"path: there is no {default_folder()}: Claude Code has not run here. "
            "Name the folder of its transcripts: runcast watch PATH."
        )
    folder = (path or default_folder()).expanduser()
    if not folder.exists():
        raise ConfigError(f"path: there is no {folder}. Name a folder of transcripts, or a .jsonl file.")
    if folder.is_file() and folder.suffix != ".jsonl":
        raise ConfigError(f"path: {folder} is no transcript; those are .jsonl files.")
    if not os.access(folder, os.R_OK):
        raise ConfigError(f"path: {folder} may not be read by this user.")
    return folder.absolute()


async def _watch(where: Where, plan: _Plan) -> None:
    client = where.client()
    if client is None:
        await _into_log(where.log, plan)
    else:
        await _into_server(client, plan)


async def _into_log(name: str | None, plan: _Plan) -> None:
    from runcast.config import Settings
    from runcast.kinds.known import KINDS
    from runcast.live.bus import Bus
    from runcast.log.open import open_configured
    from runcast.sources.claude_code.positions import Positions, journal_of
    from runcast.sources.claude_code.publishers import BusPublisher
    from runcast.sources.spool import follow_spool

    settings = Settings.from_env(os.environ, log=name)
    file = log_place(settings)
    if file is None:
        raise ConfigError("log: one in memory belongs to its own process. Use its server: --url http://…")
    bus = Bus(open_configured(settings), KINDS, settings)
    try:
        bus.processors.load_entry_points()
        publisher = BusPublisher(bus)
        await bus.spawn(follow_spool(bus))  # what hooks could not store themselves
        await plan.follow(publisher, Positions(journal_of(file), publisher.identity), str(file))
    finally:
        await bus.close()


async def _into_server(client: Client, plan: _Plan) -> None:
    from runcast.log.place import data_folder
    from runcast.sources.claude_code.positions import Positions, journal_for
    from runcast.sources.claude_code.publishers import ClientPublisher

    with client:
        status = client.status()  # nobody there, or no Runcast: told before anything is read
        log = f"{status.get('log', '')} {status.get('log_epoch', '')}"  # a log begun anew has another epoch
        positions = Positions(journal_for(client.url, data_folder()), log)
        await plan.follow(ClientPublisher(client), positions, client.url)


@dataclass(frozen=True)
class _Plan:
    """What to follow, and for how long."""

    folder: Path
    once: bool
    since_s: float | None

    async def follow(self, publisher: Publisher, positions: Positions, into: str) -> None:
        from runcast.cli.watch_view import make_view
        from runcast.sources.claude_code.follow import Follower

        view = make_view(self.folder, into)
        follower = Follower(publisher, self.folder, positions, since_s=self.since_s, on_progress=view.update)
        with view:
            await _until_stopped(follower.run(once=self.once))
            view.end(follower.progress)


async def _until_stopped(work: Coroutine[Any, Any, object]) -> None:
    """Let `work` run to its end, or to the signal that ends the command; what it was at is saved then."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # on Windows Ctrl-C cancels us all the same
            loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task
