"""`runcast worker`: a process that works at tasks, with Celery or without."""

from __future__ import annotations

import os
import signal
from typing import Annotated

from cyclopts import Parameter

from runcast.cli.access import log_place
from runcast.cli.usage import settings_of
from runcast.config import Settings
from runcast.errors import ConfigError
from runcast.runners.loading import load_modules


def worker(
    *,
    log: Annotated[
        str | None, Parameter(help="the server's log [default: log.db in your data directory]")
    ] = None,
    broker: Annotated[
        str | None,
        Parameter(help="Celery's broker, as the server has it: redis://…, filesystem://… [default: none]"),
    ] = None,
    concurrency: Annotated[
        int | None, Parameter(help="processes that work at tasks at once [default: 2]")
    ] = None,
    load: Annotated[
        list[str] | None, Parameter(help="import this Python module first, for the tasks in it; repeatable")
    ] = None,
) -> None:
    """Work at tasks until interrupted: as a worker of Celery where a broker is named, else by processes of our own.

    Each option can also be set in the environment: RUNCAST_LOG, CELERY_BROKER_URL, RUNCAST_TASK_PROCESSES, RUNCAST_LOAD.
    """
    from msgspec.structs import replace

    from runcast.log.place import for_others
    from runcast.runners.tasks.processes import environment
    from runcast.sources.redis_pubsub import check_url

    settings = settings_of(
        log=log,
        celery_broker_url=broker,
        task_processes=concurrency,
        load=tuple(load) if load else None,
    )
    if settings.log == "memory:":
        raise ConfigError("log: a log in memory belongs to one process; use the file that the server uses.")
    check_url(settings.redis_url)
    log_place(settings)
    load_modules(settings.load)
    url = _open(settings)
    settings = replace(settings, log=for_others(settings.log, url))
    os.environ.update(environment(settings, settings.log))  # the processes read the same settings
    if settings.celery_broker_url:
        _run_celery(settings, url)
    else:
        _run_processes(settings, url)


def _open(settings: Settings) -> str:
    """The log's address, to be shown; what is wrong with it is told here, in one line."""
    from runcast.log.open import open_configured

    opened = open_configured(settings)
    opened.close()
    return opened.url


def _run_celery(settings: Settings, url: str) -> None:
    from runcast.runners.tasks import builtin, registry
    from runcast.runners.tasks.celery_app import QUEUE, make_celery

    builtin.register()
    registry.load_entry_points()
    app = make_celery(settings)
    _announce("Celery", settings.task_processes, url)
    app.worker_main(
        [
            "--quiet",
            "worker",
            f"--queues={QUEUE}",
            f"--concurrency={settings.task_processes}",
            "--loglevel=warning",
            "--without-gossip",
            "--without-mingle",
        ]
    )


def _run_processes(settings: Settings, url: str) -> None:
    import asyncio

    from runcast.runners.tasks.alone import run_tasks

    _announce("processes", settings.task_processes, url)
    asyncio.run(run_tasks(settings, (signal.SIGTERM, signal.SIGINT)))


def _announce(how: str, processes: int, url: str) -> None:
    print(f"Runcast works at tasks by {how}, {processes} at once  log {url}", flush=True)
