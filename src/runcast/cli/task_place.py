"""Where `runcast task` works: through a server, or straight on the log. One protocol for both."""

from __future__ import annotations

import asyncio
import getpass
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

from runcast.cli.access import Where, log_place
from runcast.cli.usage import UsageError
from runcast.client.blocking import Client
from runcast.config import Settings
from runcast.errors import ConfigError, Conflict, StreamNotFound
from runcast.kinds.task import NAME, TASK, task_id_of, task_stream
from runcast.kinds.task_state import STATUSES, TASK_STATE, to_document
from runcast.live.bus import Bus
from runcast.log.open import open_configured
from runcast.log.place import is_redis
from runcast.runners.loading import load_modules
from runcast.runners.tasks.service import Tasks

PAGE_SIZE: Final = 100
T = TypeVar("T")


class TaskPlace(Protocol):
    """What commands do with tasks. Documents are as the server's JSON has them."""

    where: str
    """The server's or the log's address, for people."""

    def start(self, task_type: str, params: Mapping[str, Any], task_id: str | None) -> dict[str, Any]:
        """Begin a task; returned means stored."""
        ...

    def show(self, task_id: str) -> dict[str, Any]:
        """What a task has come to; raises `StreamNotFound`."""
        ...

    def listed(self, status: str, limit: int) -> tuple[list[dict[str, Any]], int]:
        """The latest tasks, and how many there are in all; `status` as `status_filter` has it, empty for all."""
        ...

    def cancel(self, task_id: str, reason: str | None) -> dict[str, Any]:
        """Cancel a task; returned means that the command is stored. Raises `StreamNotFound`, `Conflict`."""
        ...


def open_tasks(where: Where | None, *, load: Sequence[str] = ()) -> TaskPlace:
    """The place that the options and the environment name.

    Raises:
        UsageError: options do not go together.
        ConfigError: what is given cannot be used.
    """
    where = where or Where()
    client = where.client()
    if client is None:
        return LogTasks(where.log, load)
    if load:
        raise UsageError("--load: a server runs what it knows itself. Start it with --load.")
    return ServerTasks(client)


class ServerTasks:
    """See `TaskPlace`."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.where = client.url

    def start(self, task_type: str, params: Mapping[str, Any], task_id: str | None) -> dict[str, Any]:
        """See `TaskPlace`."""
        named = {} if task_id is None else {"task_id": task_id}
        return self._ask("POST", "", {**params, **named, "type": task_type})

    def show(self, task_id: str) -> dict[str, Any]:
        """See `TaskPlace`."""
        return self._ask("GET", f"/{quote(task_id, safe='')}")

    def listed(self, status: str, limit: int) -> tuple[list[dict[str, Any]], int]:
        """See `TaskPlace`."""
        query = {"page_size": str(limit), "status_filter": status}
        answer = self._ask("GET", "", params=query)
        return answer["tasks"], answer["total"]

    def cancel(self, task_id: str, reason: str | None) -> dict[str, Any]:
        """See `TaskPlace`."""
        return self._ask("POST", f"/{quote(task_id, safe='')}/cancel", {"reason": reason})

    def _ask(
        self, method: str, path: str, body: Any = None, params: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        with self._client as client:
            return client.request(method, f"/api/v1/tasks{path}", body, params=params)


class LogTasks:
    """See `TaskPlace`. Whoever sees to tasks on this log hears of what is stored: a server, or `runcast worker`."""

    def __init__(self, name: str | None, load: Sequence[str]) -> None:
        settings = Settings.from_env(os.environ, log=name)
        path = log_place(settings)
        if path is None:
            raise ConfigError("log: one in memory belongs to its own process. Use its server: --url http://…")
        on_redis = is_redis(settings.log)
        if not on_redis and not path.exists():
            raise ConfigError(f"log: there is none at {path} yet. Name another with --log or --url.")
        load_modules([*settings.load, *load])
        self._settings = settings
        self.where = "Redis" if on_redis else str(path)  # its URL may have a password

    def start(self, task_type: str, params: Mapping[str, Any], task_id: str | None) -> dict[str, Any]:
        """See `TaskPlace`."""

        async def begin(bus: Bus, tasks: Tasks) -> dict[str, Any]:
            return await _document(bus, await tasks.start(task_type, params, task_id=task_id, by=_user()))

        return self._do(begin)

    def show(self, task_id: str) -> dict[str, Any]:
        """See `TaskPlace`."""
        return self._do(lambda bus, _: _document(bus, task_id))

    def listed(self, status: str, limit: int) -> tuple[list[dict[str, Any]], int]:
        """See `TaskPlace`."""
        from runcast.transport.run_list import RunList

        async def read(bus: Bus, _: Tasks) -> tuple[list[dict[str, Any]], int]:
            runs = RunList[Any](bus, NAME, TASK_STATE, STATUSES)
            query = {"page_size": [str(limit)], "status_filter": [status]}
            page = await runs.page(query, lambda _: True)
            return [to_document(run.state, task_id_of(run.info.stream)) for run in page.runs], page.total

        return self._do(read)

    def cancel(self, task_id: str, reason: str | None) -> dict[str, Any]:
        """See `TaskPlace`."""

        async def tell(bus: Bus, tasks: Tasks) -> dict[str, Any]:
            is_told = await tasks.cancel(task_id, by=_user(), reason=reason)
            found = await _document(bus, task_id)
            if not is_told and found["status"] != "cancelled":
                raise Conflict(f"The task {task_id} is {found['status']} already.")
            return found

        return self._do(tell)

    def _do(self, act: Callable[[Bus, Tasks], Coroutine[Any, Any, T]]) -> T:
        async def do() -> T:
            async with Bus(open_configured(self._settings), [TASK], self._settings) as bus:
                tasks = Tasks(bus)
                try:
                    return await act(bus, tasks)
                finally:
                    await tasks.close()

        return asyncio.run(do())


async def _document(bus: Bus, task_id: str) -> dict[str, Any]:
    state = await bus.fold(task_stream(task_id), TASK_STATE)
    if not state.is_known:
        raise StreamNotFound(f"There is no task {task_id}.")
    return to_document(state, task_id)


def _user() -> str:
    """Who gives commands here, by the name that the system has for them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, as in some containers
        return "somebody"
