"""`RunPlace` straight on a log: services in an event loop of their own thread, and the runner if nobody else is it."""

from __future__ import annotations

import asyncio
import getpass
import os
import threading
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, get_args

import msgspec

from runcast.cli.access import log_place
from runcast.cli.log_tail import native_value
from runcast.cli.run_place import Hear, Kind, Listed
from runcast.client.values import Item, What
from runcast.config import Settings
from runcast.core.event import START, cursor_of
from runcast.errors import ConfigError, Conflict, Discontinued, StreamGap, StreamNotFound
from runcast.kinds.known import KINDS
from runcast.kinds.plan_document import plan_line
from runcast.kinds.plan_fold import PLAN_STATE
from runcast.kinds.plan_state import DONE, PlanStatus
from runcast.kinds.workflow_fields import STATUSES
from runcast.kinds.workflow_state import approval_document, to_document
from runcast.kinds.workflow_summary import WORKFLOW_SUMMARY
from runcast.live.bus import Bus
from runcast.log.open import open_configured
from runcast.runners.loading import load_modules

if TYPE_CHECKING:
    from runcast.runners.assembly import Runners
    from runcast.transport.run_list import RunList

PAGE_SIZE: Final = 100
ANSWER_WITHIN_S: Final = 2.0
"""For the runner of a plan, which may be in no process at all."""

T = TypeVar("T")


def open_log_runs(name: str | None, load: Sequence[str], *, must_exist: bool) -> LogRuns:
    """The runs of the log called `name`, or of the configured one; see `open_runs`."""
    settings = Settings.from_env(os.environ, log=name)
    path = log_place(settings)
    if path is None:
        raise ConfigError("log: one in memory belongs to its own process. Use its server: --url http://…")
    if must_exist and not path.exists():
        raise ConfigError(
            f"log: there is none at {path} yet. Run something first, or name another with --log or --url."
        )
    load_modules([*settings.load, *load])
    return LogRuns(settings)


class LogRuns:
    """See `RunPlace`. Leaving it gives the run back, so that another process may take it over at once.

    Raises:
        LogError: the log cannot be opened.
    """

    def __init__(self, settings: Settings) -> None:
        self._bus = Bus(open_configured(settings), KINDS, settings)
        self._bus.processors.load_entry_points()
        self.where = self._bus.log.url
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="runcast-runs", daemon=True)
        self._tasks: list[asyncio.Task[None]] = []
        self._has_runners = False

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        if self._has_runners:
            self._runners.knowledge.close()

    @cached_property
    def _runners(self) -> Runners:
        """The services; made when they are needed, for they want a model that is well configured."""
        from runcast.runners.assembly import Runners

        self._has_runners = True
        return Runners.over(self._bus)

    def start(self, kind: Kind, wanted: Mapping[str, Any]) -> str:
        """See `RunPlace`."""
        runners, by = self._runners, _user()
        if kind == "plan":
            return self._call(runners.plans.start(wanted, by=by))
        given = {name: value for name, value in wanted.items() if value is not None}
        return self._call(runners.workflows.start(given.pop("task"), **given, by=by))

    def attend(self, stream: str, hear: Hear) -> None:
        """See `RunPlace`. Other runs of the log are left alone."""
        self._call(self._begin(self._run(stream, hear), hear))

    @contextmanager
    def follow(self, stream: str, hear: Hear) -> Generator[None]:
        """See `RunPlace`."""
        task = self._call(self._begin(self._follow(stream, hear), hear))
        try:
            yield
        finally:
            self._loop.call_soon_threadsafe(task.cancel)

    def head(self, stream: str) -> int:
        """See `RunPlace`."""
        info = self._call(self._bus.info(stream))
        if not info.epoch:
            raise StreamNotFound(f"There is no {stream.replace(':', ' ', 1)} in {self.where}.")
        return info.head

    def document(self, kind: Kind, run_id: str) -> dict[str, Any]:
        """See `RunPlace`."""
        if kind == "plan":
            return self._call(self._runners.plans.document(run_id))
        return to_document(self._call(self._runners.workflows.state(run_id)), run_id)

    def listed(self, kind: Kind, status: str, limit: int) -> Listed:
        """See `RunPlace`."""
        from runcast.transport.run_list import RunList

        if kind == "plan":
            plans = RunList[Any](self._bus, kind, PLAN_STATE, get_args(PlanStatus))
            return self._pages(plans, status, limit, plan_line)
        workflows = RunList[Any](self._bus, kind, WORKFLOW_SUMMARY, STATUSES)
        return self._pages(workflows, status, limit, _workflow_line)

    def cancel(self, workflow_id: str, reason: str | None) -> dict[str, Any]:
        """See `RunPlace`."""
        found = self.document("workflow", workflow_id)
        if found["status"] in {"completed", "failed"}:
            raise Conflict(f"The workflow {workflow_id} is {found['status']} already.")
        self._call(self._runners.workflows.cancel(workflow_id, by=_user(), reason=reason))
        return self.document("workflow", workflow_id)

    def approve(self, approval_id: str, approved: bool, comment: str | None) -> dict[str, Any]:
        """See `RunPlace`."""
        return self._call(self._approve(approval_id, approved, comment))

    def command(self, plan_id: str, command: str, **arguments: Any) -> dict[str, Any]:
        """See `RunPlace`."""
        outcome = self._call(
            self._runners.plans.command(plan_id, command, by=_user(), timeout_s=ANSWER_WITHIN_S, **arguments)
        )
        if outcome.status == "refused":
            raise Conflict(outcome.reason)
        return {"plan_id": plan_id, **msgspec.to_builtins(outcome)}

    # In the loop

    async def _approve(self, approval_id: str, approved: bool, comment: str | None) -> dict[str, Any]:
        from runcast.runners.workflows.approvals import workflow_of

        answer = await self._runners.workflows.resolve_approval(approval_id, approved, _user(), comment)
        return approval_document(answer, workflow_of(approval_id))

    async def _begin(self, work: Coroutine[Any, Any, None], hear: Hear) -> asyncio.Task[None]:
        task = asyncio.ensure_future(_guarded(work, hear))
        self._tasks.append(task)
        return task

    async def _run(self, stream: str, hear: Hear) -> None:
        from runcast.cli.run_only import Only
        from runcast.runners.host import RunnerHost

        kind, _, run_id = stream.partition(":")
        if unknown := await self._unknown(kind, run_id):
            hear(
                f"Only watching: this process does not know {unknown}. Name its module with --load to run it."
            )
            return
        runner = self._runners.plans.runner if kind == "plan" else self._runners.workflows
        await RunnerHost(self._bus, [Only(runner, stream)]).run()

    async def _unknown(self, kind: str, run_id: str) -> str:
        """The function that a run needs and that is not here; empty if there is none. To try would make it fail."""
        if kind == "workflow":
            name = (await self._runners.workflows.state(run_id)).workflow
            return "" if name is None or name in self._runners.workflows.names else f"the workflow {name}"
        state, actions = await self._runners.plans.state(run_id), self._runners.plans.functions.actions
        skipped = {one.step_id for one in state.pending.values() if one.command == "skip_step"}
        steps = (step for name, step in state.steps.items() if name not in skipped)
        to_do = (step.definition.action for step in steps if step.status not in DONE)
        return next((f"the action {action}" for action in to_do if action not in actions), "")

    async def _follow(self, stream: str, hear: Hear) -> None:
        after = START
        while True:
            try:
                async for event in self._bus.subscribe(stream, after=after):
                    after = str(cursor_of(event))
                    hear(Item(What.EVENT, stream, native_value(event, after), after))
                return
            except Discontinued as break_:
                after = str(break_.cursor)
                what = What.GAP if isinstance(break_, StreamGap) else What.RESET
                hear(Item(what, stream, {"reason": str(break_)}, after))

    def _pages(
        self, runs: RunList[Any], status: str, limit: int, describe: Callable[[str, Any], dict[str, Any]]
    ) -> Listed:
        found: list[Any] = []
        pages = page = 1
        total = 0
        while page <= pages and len(found) < limit:
            query = {"page": [str(page)], "page_size": [str(PAGE_SIZE)], "status_filter": [status]}
            answer = self._call(runs.page(query, lambda _: True))
            found += answer.runs
            total, pages, page = answer.total, -(-answer.total // PAGE_SIZE), page + 1
        return Listed(
            [describe(run.info.stream.partition(":")[2], run.state) for run in found[:limit]], total
        )

    async def _close(self) -> None:
        """Let all that was begun come to its end: a runner gives back what it has."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._bus.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def _workflow_line(workflow_id: str, state: Any) -> dict[str, Any]:
    return to_document(state, workflow_id)


async def _guarded(work: Coroutine[Any, Any, None], hear: Hear) -> None:
    try:
        await work
    except Exception as error:  # noqa: BLE001 - a task's root: whoever follows is told
        hear(error)


def _user() -> str:
    """Who gives commands here, by the name that the system has for them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, as in some containers
        return "somebody"
