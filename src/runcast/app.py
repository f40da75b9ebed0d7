"""The whole server as an ASGI app: `uvicorn.run("runcast.app:create_app", factory=True)`, or mount it."""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute

from runcast import __version__
from runcast.auth.redact import redact_logs
from runcast.auth.setup import make_authenticator
from runcast.auth.store import AuthStore
from runcast.config import Settings
from runcast.errors import RuncastError
from runcast.feeds.chat.attachments import Attachments
from runcast.feeds.chat.routes import SOCKET as CHAT_SOCKET
from runcast.feeds.chat.routes import attachments_of, chat_frames, create_chat_router
from runcast.feeds.chat.upkeep import keep_attachments
from runcast.feeds.plans.manager import StreamingManager
from runcast.feeds.plans.routes import command_giver, create_plans_router
from runcast.feeds.plans.streaming_routes import create_streaming_router
from runcast.feeds.plans.wire import PlanCodec
from runcast.feeds.sessions.alerts import run_alerts
from runcast.feeds.sessions.ingest import create_ingest_router
from runcast.feeds.sessions.otlp import create_otlp_router
from runcast.feeds.sessions.routes import create_sessions_router
from runcast.feeds.sessions.wire import BatchCodec
from runcast.feeds.system.knowledge import create_knowledge_router
from runcast.feeds.system.presence import Presence
from runcast.feeds.system.routes import create_system_feed_router
from runcast.feeds.system.telling import tell_system
from runcast.feeds.system.wire import system_frames
from runcast.feeds.tasks.routes import SOCKETS as TASK_SOCKETS
from runcast.feeds.tasks.routes import create_tasks_router
from runcast.feeds.tasks.wire import TaskFrames
from runcast.feeds.workflows.routes import create_workflows_router
from runcast.feeds.workflows.wire import workflow_frames
from runcast.kinds.known import KINDS
from runcast.live.bus import Bus
from runcast.live.keeper import keep_snapshots
from runcast.log.open import open_configured
from runcast.log.place import auth_file, beside
from runcast.runners.assembly import Runners
from runcast.runners.loading import load_modules
from runcast.sources.htmlgraph.follow import follow as follow_htmlgraph
from runcast.sources.redis_pubsub import check_url, follow_redis
from runcast.sources.spool import follow_spool
from runcast.transport.examples import create_examples_router
from runcast.transport.firehose import create_firehose_router
from runcast.transport.gate import Gate
from runcast.transport.holders import Holders
from runcast.transport.identity import create_identity_router
from runcast.transport.limits import LIMITS, ClientLimits
from runcast.transport.openapi import complete_openapi
from runcast.transport.pages import create_pages_router
from runcast.transport.problem import answer_with, handle_http
from runcast.transport.rest import FeedCodecs, create_streams_router
from runcast.transport.stream_socket import create_stream_socket
from runcast.transport.system import create_system_router
from runcast.transport.websocket import DRAIN_S

logger = logging.getLogger("runcast.app")

CODECS: Final[FeedCodecs] = {
    "session": BatchCodec,
    "workflow": lambda _: workflow_frames(),
    "plan": lambda _: PlanCodec(),
    "chat": lambda _: chat_frames(),
    "task": lambda _: TaskFrames(),
    "system": lambda _: system_frames(),
}
"""What `?codec=feed` means for each kind, by the size of a batch."""
CORS: Final[dict[str, Any]] = {
    "allow_methods": ["GET", "POST", "PUT", "PATCH", "DELETE"],
    "allow_headers": ["Authorization", "Content-Type", "Last-Event-ID", "X-API-Key"],
}
SWITCH_INTERVAL_S = 0.0005
"""How long a thread may hold the interpreter while another waits: the log's threads must not wait for the loop's,
and the loop must not be interrupted so often that switching takes its time (measured: 0.2 ms and 1 ms are worse)."""
GC_THRESHOLDS = (20_000, 50, 100)
"""A connection is many objects that live long: looking through all of them often would stop the loop for long."""


def create_app(settings: Settings | None = None, *, bus: Bus | None = None) -> FastAPI:
    """All feeds over one bus; by default on the log and the settings of the environment.

    The app starts and closes its bus with its lifespan; a `bus` that is given is closed by its owner.

    Raises:
        ConfigError: a setting cannot be, or a module to load fails.
        LogError: the log cannot be opened.
    """
    settings = settings or (bus.settings if bus else Settings.from_env(os.environ))
    load_modules(settings.load)
    check_url(settings.redis_url)
    owned = bus is None
    bus = bus or Bus(open_configured(settings), KINDS, settings)
    for kind in KINDS:
        bus.kinds.setdefault(kind.name, kind)
    runners = Runners.over(bus)
    presence = Presence(bus, lambda: runners.host.claimed, __version__)
    redact_logs()
    authenticator = make_authenticator(settings, AuthStore(_auth_file(bus.log.url)))
    holders = None if authenticator.is_open else Holders(authenticator, settings, bus.spawn)
    attachments = attachments_of(bus)
    # A chat asks everybody who they are, on an open server, too.
    chatters = holders or Holders(authenticator.strict(), settings, bus.spawn)
    chat = create_chat_router(bus, runners.chats, chatters, attachments)
    app = FastAPI(
        title="Runcast",
        version=__version__,
        routes=[
            *_routes(bus, runners, presence, chat),
            *create_identity_router(authenticator, settings).routes,
        ],
        lifespan=_lifespan(bus, runners, presence, attachments, owned),
        docs_url=None,
        redoc_url=None,
    )
    app.add_exception_handler(RuncastError, answer_with(bus.refused))
    app.add_exception_handler(Exception, answer_with(bus.refused))  # a flaw of ours: told without its text
    app.add_exception_handler(HTTPException, handle_http)
    if settings.allowed_origins:
        app.add_middleware(CORSMiddleware, allow_origins=settings.allowed_origins, **CORS)
    app.add_middleware(
        Gate,
        authenticator=authenticator,
        holders=holders,
        allowed_origins=settings.allowed_origins,
        refused=bus.refused,
        asking=[CHAT_SOCKET],
        words={TASK_SOCKETS: lambda error: TaskFrames().error(error, bus.now_us()).payload},
    )
    app.state.bus = bus
    complete_openapi(app)
    return app


def _auth_file(url: str) -> Path | None:
    path = beside(url)
    return None if path is None else auth_file(path)


def _routes(bus: Bus, runners: Runners, presence: Presence, chat: APIRouter) -> list[BaseRoute]:
    """All routes, the busiest first. Given as a list: those of an included router are matched three times each."""
    return [
        *create_streams_router(bus, CODECS).routes,
        *create_sessions_router(bus).routes,
        *create_ingest_router(bus).routes,
        *create_otlp_router(bus).routes,
        *create_workflows_router(bus, runners.workflows).routes,
        *create_tasks_router(bus, runners.tasks).routes,
        *chat.routes,
        *create_plans_router(runners.plans).routes,
        *create_streaming_router(StreamingManager(bus=bus), give_command=command_giver(runners.plans)).routes,
        *create_system_feed_router(bus, runners.model, runners.knowledge, presence).routes,
        *create_knowledge_router(bus, runners.knowledge).routes,
        *create_firehose_router(bus).routes,
        create_stream_socket(bus),
        *create_system_router(bus, __version__).routes,
        *create_pages_router().routes,
        *create_examples_router().routes,
    ]


def _lifespan(bus: Bus, runners: Runners, presence: Presence, attachments: Attachments, owned: bool) -> Any:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[dict[str, Any]]:
        if owned:  # it is the whole server, so the process is its own
            _tune_interpreter()
        bus.processors.load_entry_points()
        hub = bus.start()
        drain_s, answers = bus.settings.drain_s, runners.chats.draining

        def drain() -> None:
            answers.begin(drain_s)
            hub.drain(drain_s)

        with _drain_on_signals(drain), _end_with_parent():
            async with _meanwhile(*_works(bus, runners, presence), keep_attachments(bus, attachments)):
                yield {DRAIN_S: drain_s, LIMITS: ClientLimits(bus.settings, bus.refused)}
                answers.begin(drain_s)  # if it was closed without a signal
                await answers.end()
        if owned:
            await bus.close()
        await runners.close()

    return lifespan


def _works(bus: Bus, runners: Runners, presence: Presence) -> list[Coroutine[Any, Any, None]]:
    """What goes on beside the requests."""
    works: list[Coroutine[Any, Any, None]] = [
        *(keep_snapshots(bus, kind.name) for kind in KINDS if kind.folds),
        run_alerts(bus),
        follow_spool(bus),
        runners.host.run(),
        runners.chats.preparation.run(),
        presence.run(),
        tell_system(bus, presence.leave),
        follow_redis(bus),
    ]
    if bus.settings.htmlgraph_db:
        works.append(follow_htmlgraph(bus, bus.settings.htmlgraph_db))
    return works


@asynccontextmanager
async def _meanwhile(*works: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Let `works` run beside the server, and cancel them when it ends. One that fails harms nothing else."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_guarded(work)) for work in works]
        yield
        for task in tasks:
            task.cancel()


async def _guarded(work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:  # a task's root
        logger.exception("something that goes on beside the server has failed, and is not begun again")


def _tune_interpreter() -> None:
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


@contextmanager
def _drain_on_signals(drain: Callable[[], None]) -> Generator[None]:
    """On SIGTERM or SIGINT tell the clients first, then let the server do what it does.

    A server that shuts down waits for its responses to end; those of SSE only do when they are told.
    """
    loop = asyncio.get_running_loop()
    previous: dict[int, Any] = {}

    def on_signal(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(drain)
        if callable(previous[number]):
            previous[number](number, frame)

    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            previous[number] = signal.signal(number, on_signal)
    except ValueError:
        pass  # not the main thread: whoever embeds the app closes it
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _end_with_parent() -> Generator[None]:
    """A worker whose supervisor was killed stops, too: nobody else would, and it holds the port."""
    parent = multiprocessing.parent_process()
    if parent is None or sys.platform == "win32":  # its loop has no readers of pipes
        yield
        return
    loop = asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_reader(parent.sentinel)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(parent.sentinel, stop)
    try:
        yield
    finally:
        loop.remove_reader(parent.sentinel)
