"""`WS /api/v1/ws/workflows/{workflow_id}`: a workflow's events from its start, or from wherever one left off."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.types import Scope as ASGIScope

from runcast.core.closing import NORMAL
from runcast.core.event import Cursor, stream_name
from runcast.core.scope import Scope
from runcast.core.subscription import End
from runcast.errors import StreamNotFound
from runcast.feeds.workflows.filter import filter_of
from runcast.feeds.workflows.wire import connected_frame, status_frame, workflow_frames
from runcast.kinds.workflow import NAME, WORKFLOW
from runcast.kinds.workflow_state import WORKFLOW_STATE
from runcast.live.bus import Bus
from runcast.live.codec import Message
from runcast.live.cohort import Wish
from runcast.live.hub import START
from runcast.live.subscriber import Subscriber
from runcast.transport.feed_socket import FeedSocket
from runcast.transport.flat_socket import FlatClient
from runcast.transport.params import text_param
from runcast.transport.websocket import WebSocketPeer

THE_END = "the workflow is over"


def workflow_socket(bus: Bus) -> FeedSocket:
    """The ASGI endpoint; the path names the `workflow_id`."""
    return FeedSocket(bus, WorkflowClient)


class WorkflowClient(FlatClient):
    """A watcher of one workflow. It gets every event that its filter passes, and the terminal one in any case."""

    def __init__(self, bus: Bus, peer: WebSocketPeer, scope: ASGIScope) -> None:
        super().__init__(bus, peer, scope)
        self._workflow_id = self.path.get("workflow_id", "")
        self._is_over = False
        self.frames = workflow_frames(self._workflow_id)
        self.words = {"status": self._tell_status}

    async def admit(self) -> None:
        """Subscribe to the workflow.

        Raises:
            StreamNotFound: there is none of this id.
            InvalidInput: a parameter cannot be; names it.
            Unauthenticated, Forbidden, TooMany, LogError: see `FeedClient.subscribe`.
        """
        scope = self.holds = self._scope()
        self.access.check_read(scope.stream)
        wish = Wish(
            self.frames,
            self.peer.framing,
            filter_of(self.query),
            self.bus.settings.batch_size,
            ends_with=WORKFLOW.terminals,
        )
        if not (await self.bus.info(scope.stream)).epoch:
            raise StreamNotFound(f"There is no workflow {self._workflow_id}.")
        reader = await self.subscribe(scope, wish, text_param(self.query, "after", START))
        self._is_over = await self._has_nothing_left(scope.stream, reader.machine.cursor)

    def greeting(self) -> Sequence[Message]:
        """`connected`."""
        return [connected_frame(self.frames, self.bus.now_us())]

    def opened(self) -> None:
        """Greet; if everything was told before, that is all."""
        super().opened()
        if self._is_over:
            self.peer.sink.close(NORMAL, THE_END)

    def ended(self, subscriber: Subscriber) -> None:
        """The terminal frame is written, or the run was sealed: then nothing but `end` says so."""
        if subscriber.topic.over:
            place = subscriber.machine.cursor or Cursor("", 0)
            self.tell(self.frames.end(End(place), self.bus.now_us()))
        self.peer.sink.close(NORMAL, THE_END)

    def _scope(self) -> Scope:
        return Scope.of_stream(stream_name(NAME, self._workflow_id))

    async def _has_nothing_left(self, stream: str, place: Cursor | None) -> bool:
        """Whether the workflow was over already where this client begins.

        Looked at when it is subscribed: whatever is published from then on reaches it.
        """
        if place is None or not place.epoch:
            return False
        epoch = (await self.bus.info(stream)).epoch
        state = await self.bus.fold(stream, WORKFLOW_STATE)
        if place.epoch == epoch:
            return state.is_over and place.offset >= state.over_seq
        while True:  # an earlier run, of which the fold says nothing
            page = await self.bus.read(stream, place)
            if page.reset is not None or any(event.type in WORKFLOW.terminals for event in page.events):
                return False
            if page.complete:
                return True
            place = page.cursor

    async def _tell_status(self) -> None:
        state = await self.bus.fold(self._scope().stream, WORKFLOW_STATE)
        self.tell(status_frame(self.frames, state, self.bus.now_us()))
