"""Tasks on Celery: the app, the task by which its workers make attempts, and handing tasks to them.

With `celery_task` the one place that imports celery.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from runcast.config import Settings
from runcast.errors import ConfigError
from runcast.log.open import open_configured
from runcast.log.place import log_file
from runcast.runners.tasks.attempt import Workplace, make_attempt
from runcast.runners.tasks.executor import NotTaken, Turn

QUEUE: Final = "runcast"
RUN: Final = "runcast.run"
POOL: Final = "runcast.runners.tasks.celery_pool:TaskPool"
CONNECT_S: Final = 4.0
LOST_S: Final = 0.5
"""So long a process of a pool may be gone before its task is given back."""
FILESYSTEM: Final = "filesystem"
FOLDER: Final = "runcast.runners.tasks.celery_folder:FolderTransport"
POLL_S: Final = 0.1
"""Between two looks into a queue that is a folder."""


def make_celery(settings: Settings) -> Any:
    """The Celery app that the settings describe, with the task `runcast.run`. Connects to nothing.

    A task is acknowledged when its attempt has ended, and given back if its process dies. `filesystem:///folder` keeps
    the queue in a folder; `filesystem://` in one beside the log.

    Raises:
        ConfigError: Celery is not installed, or no broker is configured.
    """
    try:
        celery: Any = import_module("celery")
    except ImportError:
        raise ConfigError(
            "celery_broker_url: Celery needs an extra: pip install 'runcast[celery]'."
        ) from None
    if not settings.celery_broker_url:
        raise ConfigError(
            "celery_broker_url: no broker is named. Set CELERY_BROKER_URL to the server's one, such as "
            "redis://localhost:6379/0, or filesystem:// for one machine without Redis."
        )
    _check_transport(urlsplit(settings.celery_broker_url).scheme)
    app = celery.Celery("runcast", set_as_current=False)
    app.conf.update({**_conf(settings), **_filesystem(settings)})
    app.task(name=RUN, bind=False, ignore_result=True)(_run)
    return app


def _check_transport(scheme: str) -> None:
    transport: Any = import_module("kombu.transport")
    try:
        transport.get_transport_cls(scheme or None)
    except (KeyError, ImportError):
        raise ConfigError(
            f"celery_broker_url: Celery has no broker {scheme}:// here; redis://, amqp:// and filesystem:// are some."
        ) from None


def _conf(settings: Settings) -> dict[str, Any]:
    return {
        "broker_url": settings.celery_broker_url,
        "result_backend": settings.celery_result_backend or None,
        "task_ignore_result": not settings.celery_result_backend,
        "task_default_queue": QUEUE,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "worker_lost_wait": LOST_S,
        "worker_hijack_root_logger": False,
        "worker_pool": POOL,
        "broker_connection_retry_on_startup": True,
        "broker_connection_timeout": CONNECT_S,
        "task_serializer": "json",
        "accept_content": ["json"],
    }


class CeleryExecutor:
    """Hands tasks to Celery's workers. See `Executor`."""

    name = "celery"

    def __init__(self, settings: Settings) -> None:
        self.most_at_once = settings.max_tasks
        self._app = make_celery(settings)
        # Its connections belong to a thread, and one is enough to fill a queue.
        self._thread = ThreadPoolExecutor(1, "runcast-celery")

    async def hand_over(self, turn: Turn) -> bool:
        """Put it into the queue; raises `NotTaken` if the broker does not take it."""
        await self._call(self._send, turn)
        return False

    async def waiting(self) -> int | None:
        """How many the broker holds for whoever is free; None if it cannot be asked."""
        try:
            return await self._call(self._count)
        except NotTaken:
            return None

    async def stop(self, turn: Turn, worker: str) -> None:
        """Let the workers end the process that is at it, wherever; what waits in a queue finds the task over."""
        del worker
        with suppress(NotTaken):  # it is fenced off in any case
            await self._call(self._revoke, turn)

    async def give_back(self, turn: Turn, begun_us: int) -> bool:
        """See `Executor`. Redis holds what was handed out until its `visibility_timeout`; other brokers do it themselves."""
        with suppress(NotTaken):
            return await self._call(self._restore, _message_id(turn), begun_us / 1e6)
        return False

    async def close(self) -> None:
        """Let go of the connections."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _call(self, act: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, act, *args)

    def _send(self, turn: Turn) -> None:
        try:
            args = [turn.task_id, turn.attempt]
            self._app.send_task(RUN, args=args, task_id=_message_id(turn), retry=False)
        except _broker_errors() as error:
            raise NotTaken(f"the broker does not take it ({type(error).__name__})") from error

    def _restore(self, message_id: str, begun_s: float) -> bool:
        try:
            with self._app.connection_for_read() as connection:
                return _restore_to(connection.default_channel, message_id, begun_s)
        except _broker_errors() as error:
            raise NotTaken(f"the broker gives nothing back ({type(error).__name__})") from error

    def _revoke(self, turn: Turn) -> None:
        """An attempt may be made by the message of an earlier one, which the broker has given to another worker."""
        ids = {_message_id(turn._replace(attempt=number)) for number in range(1, turn.attempt + 1)}
        try:
            self._app.control.revoke(sorted(ids), terminate=True, signal="SIGKILL")
        except _broker_errors() as error:
            raise NotTaken(f"the broker does not pass it on ({type(error).__name__})") from error

    def _count(self) -> int:
        try:
            with self._app.connection_for_read() as connection:
                return connection.default_channel.queue_declare(QUEUE, passive=True).message_count
        except _broker_errors() as error:
            raise NotTaken(f"the broker cannot be asked ({type(error).__name__})") from error


def _message_id(turn: Turn) -> str:
    """Workers remember what was revoked for hours, while a task's id may be used again: so each run has its own."""
    return f"{turn.task_id}.{turn.run}.{turn.attempt}" if turn.run else turn.task_id


def _restore_to(channel: Any, message_id: str, begun_s: float) -> bool:
    """Put back into its queue what kombu's Redis transport holds for a consumer that has died."""
    if not hasattr(channel, "unacked_index_key"):  # another transport
        return False
    with channel.conn_or_acquire() as client:
        for tag, held in client.hscan_iter(channel.unacked_key):
            headers = msgspec.json.decode(held)[0].get("headers", {})
            handed_out_s = client.zscore(channel.unacked_index_key, tag)
            if headers.get("id") == message_id and handed_out_s is not None and handed_out_s <= begun_s:
                channel.qos.restore_by_tag(
                    tag.decode() if isinstance(tag, bytes) else tag, client, leftmost=True
                )
                return True
    return False


def _broker_errors() -> tuple[type[Exception], ...]:
    kombu: Any = import_module("kombu.exceptions")
    return (kombu.KombuError, kombu.OperationalError, OSError)


def _filesystem(settings: Settings) -> dict[str, Any]:
    parts = urlsplit(settings.celery_broker_url)
    if parts.scheme != FILESYSTEM:
        return {}
    folder = Path(parts.path) if parts.path.strip("/") else _beside_the_log(settings)
    for part in ("queue", "control"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    options = {
        "data_folder_in": str(folder / "queue"),
        "data_folder_out": str(folder / "queue"),
        "control_folder": str(folder / "control"),
        "store_processed": False,
        "polling_interval": POLL_S,
    }
    return {
        "broker_url": "filesystem://",
        "broker_transport": FOLDER,
        "broker_transport_options": options,
        "worker_timer_precision": POLL_S,  # its end waits for that
    }


def _beside_the_log(settings: Settings) -> Path:
    try:
        log = log_file(settings.log)
    except ConfigError:  # a log that is no file
        log = None
    if log is None:
        raise ConfigError("celery_broker_url: filesystem:// needs a folder, as filesystem:///var/lib/queue.")
    return log.with_name(f"{log.name}.queue")


# --- in the worker's processes -------------------------------------------------------------------

_places: dict[int, Workplace] = {}
"""By process: what one has opened is not for its children."""


def workplace() -> Workplace:
    """What this process works with, by the settings of the environment."""
    place = _places.get(os.getpid())
    if place is None:
        settings = Settings.from_env(os.environ)
        place = _places[os.getpid()] = Workplace(open_configured(settings), settings)
    return place


def _run(task_id: str, attempt: int = 0) -> None:
    """Make an attempt; what comes of it is in the task's stream."""
    place = workplace()
    try:
        make_attempt(place, task_id, expected=attempt)
    finally:
        place.flush()  # a process of a pool ends without a word
