"""`WS /ws/agent-progress/{task_id}`: a task's messages from the start of its run, or from wherever one left off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from functools import partial

import msgspec
from starlette.types import Scope as ASGIScope

from runcast.core.closing import NORMAL, TRY_AGAIN_LATER
from runcast.core.event import Cursor, stream_name
from runcast.core.filters import EVERYTHING
from runcast.core.scope import Scope
from runcast.errors import InvalidInput, RuncastError
from runcast.feeds.tasks.pulse import Pulse, Pulses
from runcast.feeds.tasks.wire import TaskFrames
from runcast.kinds.task import NAME, TASK
from runcast.kinds.task_state import TASK_STATE
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.live.cohort import Wish
from runcast.live.hub import START
from runcast.live.subscriber import Subscriber
from runcast.transport.feed_socket import FeedClient, FeedSocket
from runcast.transport.params import text_param
from runcast.transport.websocket import WebSocketPeer

THE_END = "the task is over"
SILENT = "timeout"


class _Said(msgspec.Struct):
    type: str


_decode = msgspec.json.Decoder(_Said).decode


def task_socket(bus: Bus) -> FeedSocket:
    """The ASGI endpoint; the path names the `task_id`. Its times are `task_heartbeat_s` and `task_timeout_s`."""
    return FeedSocket(bus, partial(TaskClient, Pulses(bus)))


class TaskClient(FeedClient):
    """A watcher of one task, which need not be there yet.

    It gets a heartbeat every so often, and is let go when the task is over, or told nothing for too long: since the
    client came, or since the task's last message.
    """

    goodbye = THE_END

    def __init__(self, pulses: Pulses, bus: Bus, peer: WebSocketPeer, scope: ASGIScope) -> None:
        super().__init__(bus, peer, scope)
        self._task_id = self.path.get("task_id", "")
        self._frames = TaskFrames(self._task_id, ends=True)
        self._pulses = pulses
        self._pulse: Pulse | None = None
        self._is_over = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._came_at_s = self._beat_at_s = 0.0

    async def admit(self) -> None:
        """Subscribe to the task.

        Raises:
            InvalidStreamName: no task can be called so.
            InvalidInput: a parameter cannot be; names it.
            Unauthenticated, Forbidden, TooMany, LogError: see `FeedClient.subscribe`.
        """
        scope = self.holds = Scope.of_stream(stream_name(NAME, self._task_id))
        self.access.check_read(scope.stream)
        self._pulse = self._pulses.join(scope.stream, self._now_s)
        wish = Wish(
            self._frames,
            self.peer.framing,
            EVERYTHING,
            self.bus.settings.batch_size,
            ends_with=TASK.terminals,
        )
        reader = await self.subscribe(scope, wish, text_param(self.query, "after", START))
        state = await self.bus.fold(scope.stream, TASK_STATE)
        self._pulse.begin_with(state.percent)
        if state.is_over:
            self._is_over = await self._has_nothing_left(scope.stream, reader.machine.cursor)

    def greeting(self) -> Sequence[Message]:
        """`connected`."""
        return [self._frames.connected(self.bus.now_us())]

    def opened(self) -> None:
        """Greet; if everything was told before, that is all. Beat from now on."""
        super().opened()
        if self._is_over:
            self.peer.sink.close(NORMAL, THE_END)
        self._came_at_s = self._now_s()
        self._beat_at_s = self._came_at_s + self.bus.settings.task_heartbeat_s
        self._wait()

    def hear(self, text: str) -> Awaitable[None] | None:
        """Answer `ping` by a heartbeat, which every client passes over; raises `InvalidInput` for what is not known."""
        word = _word(text)
        if word == "ping":
            self.tell(self._frames.heartbeat(self.bus.now_us()))
        elif word != "pong":
            raise InvalidInput("message: what can be said here is ping, pong, auth.", field="message")
        return None

    def word(self, error: RuncastError) -> Message:
        """A frame of the step `error`."""
        return self._frames.error(error, self.bus.now_us())

    def renewed(self) -> Message:
        """A heartbeat that says so."""
        return self._frames.authenticated(self.access.known(), self.bus.now_us())

    def ended(self, subscriber: Subscriber) -> None:
        """The terminal frame is written, or the run was sealed: then a frame says so."""
        if subscriber.topic.over:
            percent = self._pulse.percent if self._pulse else 0
            self.tell(self._frames.over(percent, self.bus.now_us()))
        self.peer.sink.close(NORMAL, THE_END)

    def left(self) -> None:
        """Beat no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._pulse is not None and self.holds is not None:
            self._pulse = None
            self._pulses.leave(self.holds.stream)

    # time

    def _silent_at_s(self) -> float:
        heard_s = self._pulse.heard_at_s if self._pulse else None
        since_s = self._came_at_s if heard_s is None else max(heard_s, self._came_at_s)
        return since_s + self.bus.settings.task_timeout_s

    def _wait(self) -> None:
        self._timer = self._loop.call_at(min(self._beat_at_s, self._silent_at_s()), self._look)

    def _look(self) -> None:
        """A client to which enough is on its way is not told that nothing came."""
        now_s, beat_s = self._now_s(), self.bus.settings.task_heartbeat_s
        is_blocked = self.connection.is_blocked
        if now_s >= self._silent_at_s() and not is_blocked:
            percent = self._pulse.percent if self._pulse else 0
            silence_s = self.bus.settings.task_timeout_s
            self.tell(self._frames.timeout(percent, silence_s, self.bus.now_us()))
            self.peer.sink.close(TRY_AGAIN_LATER, SILENT)
            return
        if now_s >= self._beat_at_s:
            self._beat_at_s = now_s + beat_s
            if not is_blocked:
                self.tell(self._frames.heartbeat(self.bus.now_us()))
        if is_blocked:
            self._timer = self._loop.call_later(beat_s, self._look)
        else:
            self._wait()

    async def _has_nothing_left(self, stream: str, place: Cursor | None) -> bool:
        """Whether the task was over already where this client begins.

        Looked at when it is subscribed: whatever is published from then on reaches it.
        """
        if place is None or not place.epoch:
            return False
        while True:
            page = await self.bus.read(stream, place)
            if page.reset is not None or any(event.type in TASK.terminals for event in page.events):
                return False
            if page.complete:
                return True
            place = page.cursor


def _word(text: str) -> str:
    said = text.strip()
    if said.startswith("{"):
        try:
            return _decode(said).type
        except (ValueError, RecursionError):  # no JSON, or without a type: no word that is known
            return ""
    return said
