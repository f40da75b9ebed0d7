"""An answer's text into its stream as it comes: the first piece at once, then what came in a moment together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from math import ceil
from typing import Any, Final

from runcast.client.backoff import delays
from runcast.core.event import Event
from runcast.errors import InvalidInput, LogClosed, LogError, StaleToken
from runcast.kinds.base import Publish
from runcast.kinds.chat import TOKEN
from runcast.kinds.chat_fields import MAX_ANSWER_CHARS

LEAST_S: Final = 0.04
MOST_S: Final = 0.1
"""What is waited for more text between two events, at least and at most."""
BEAT_S: Final = 0.01
"""Answers are told on common beats: what is told together is stored in one commit, and a commit costs more than an event."""
PER_LATENCY: Final = 5.0
"""Times as long as storing one takes: then it is at most a fifth of what the log does for this answer."""
PER_LATENCY_OVERLOADED: Final = 3.0
OVERLOADED_MOST_S: Final = 0.5
"""A process that has more to do than it can is told of it by the time that storing takes: it gathers for longer than
`MOST_S` then, so many times as long, rather than let all answers wait in line."""
SMOOTHING: Final = 0.1
GROUP_CHARS: Final = 16_384
PATIENCE_S: Final = 30.0
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0

PublishSoon = Callable[[Publish], "Future[Any]"]


class Pace:
    """How long groups are, for all answers of a process: the longer storing one takes, the longer is gathered."""

    def __init__(self) -> None:
        self.latency_s = 0.0
        """From handing an event to the log to hearing of it, smoothed."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._beats: dict[int, list[Callable[[], None]]] = {}

    @property
    def group_s(self) -> float:
        """The time between two events of one answer."""
        most_s = max(MOST_S, min(OVERLOADED_MOST_S, PER_LATENCY_OVERLOADED * self.latency_s))
        return min(most_s, max(LEAST_S, PER_LATENCY * self.latency_s))

    def note(self, latency_s: float) -> None:
        """One was stored."""
        self.latency_s += SMOOTHING * (latency_s - self.latency_s)

    def call_at(self, time_s: float, act: Callable[[], None]) -> None:
        """Call `act` on the first beat that is not before `time_s`, on the running loop's clock."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # another one than before: what was to be told in that one is not
            self._loop = loop
            self._beats.clear()
        beat = ceil(time_s / BEAT_S)
        waiting = self._beats.get(beat)
        if waiting is None:
            waiting = self._beats[beat] = []
            loop.call_at(beat * BEAT_S, self._strike, beat)
        waiting.append(act)

    def _strike(self, beat: int) -> None:
        loop = asyncio.get_running_loop()
        for act in self._beats.pop(beat):
            loop.call_soon(act)  # so that none keeps another one from being told


class Teller:
    """Tells one answer. Belongs to the event loop; at most one event of it is on its way to the log.

    While the log is slow more text goes into one event, and nothing is lost: what cannot be stored for now is tried
    again with what came meanwhile. Call `hear` with the stream's events: that is how it knows what is stored.

    Args:
        publish_soon: into the answer's stream, under its lease.
        fail: called once when the text cannot be told any more.
    """

    def __init__(
        self,
        stream: str,
        answer_id: str,
        publish_soon: PublishSoon,
        pace: Pace,
        fail: Callable[[LogError | InvalidInput], None],
    ) -> None:
        self._chars = 0
        """All that was fed, of which `_parts` were not joined to `_text` yet: adding to a long text copies it."""
        self._text = ""
        self._parts: list[str] = []
        self._stream = stream
        self._answer_id = answer_id
        self._publish_soon = publish_soon
        self._pace = pace
        self._fail = fail
        self._loop = asyncio.get_running_loop()
        self._half = ""
        self._told = 0
        """Characters that are stored, or on their way."""
        self._stored = 0
        self._sent_s = -MOST_S
        self._is_on_its_way = False
        self._is_closed = False
        self._is_due = False
        """A beat is waited for."""
        self._pauses = delays(FIRST_PAUSE_S, LONGEST_PAUSE_S)
        self._failing_since_s: float | None = None

    @property
    def is_full(self) -> bool:
        """Whether an answer may be no longer."""
        return self._chars >= MAX_ANSWER_CHARS

    @property
    def text(self) -> str:
        """All that was fed."""
        if self._parts:
            self._text = "".join((self._text, *self._parts))
            self._parts.clear()
        return self._text

    def feed(self, text: str) -> None:
        """Tell this, too."""
        if self._half or not text.isascii():
            text, self._half = _whole(self._half + text)
        if self._chars + len(text) > MAX_ANSWER_CHARS:
            text = text[: MAX_ANSWER_CHARS - self._chars]
        if not text:
            return
        self._parts.append(text)
        self._chars += len(text)
        if not self._is_due and not self._is_on_its_way and not self._is_closed:
            self._send_later(self._sent_s + self._pace.group_s)

    def hear(self, event: Event) -> None:
        """Something was stored in the stream: maybe what is on its way."""
        if event.type == TOKEN and self._is_on_its_way:
            self._pace.note(self._loop.time() - self._sent_s)
            self._is_on_its_way = False
            self._stored, self._failing_since_s = self._told, None
            if self._chars > self._told and not self._is_closed:
                self._send_later(self._sent_s + self._pace.group_s)

    def close(self) -> str:
        """Tell nothing more; returns all that was fed. Idempotent."""
        self._is_closed = True
        return self.text

    def rest(self) -> list[Publish]:
        """What was fed and not handed to the log, as events to be published with the end of the answer."""
        begin, self._told = self._told, self._chars
        return [self._event(begin, self._told)] if self._told > begin else []

    def _send_later(self, at_s: float) -> None:
        if at_s <= self._loop.time():
            self._send()
        else:
            self._is_due = True
            self._pace.call_at(at_s, self._send_if_open)

    def _send_if_open(self) -> None:
        self._is_due = False
        if not self._is_closed:
            self._send()

    def _send(self) -> None:
        begin, end = self._told, min(self._chars, self._told + GROUP_CHARS)
        self._sent_s = self._loop.time()
        self._told, self._is_on_its_way = end, True
        try:
            stored = self._publish_soon(self._event(begin, end))
        except LogError as error:
            self._failed(error)
        except InvalidInput as error:  # nor will it be stored another time
            self._fail(error)
        else:
            stored.add_done_callback(self._done)

    def _event(self, begin: int, end: int) -> Publish:
        fields = {"message_id": self._answer_id, "token": self.text[begin:end], "offset": begin}
        return Publish(stream=self._stream, type=TOKEN, data=fields)

    def _done(self, stored: Future[Any]) -> None:
        """In a thread of the log's. That it is stored is heard otherwise: waking the loop for each would cost more."""
        error = None if stored.cancelled() else stored.exception()
        if isinstance(error, LogError):
            self._loop.call_soon_threadsafe(self._failed, error)

    def _failed(self, error: LogError) -> None:
        """Nothing of it was stored: again with what comes meanwhile, for as long as that may help."""
        now_s = self._loop.time()
        self._told, self._is_on_its_way = self._stored, False
        self._failing_since_s = self._failing_since_s or now_s
        is_final = not error.retryable or isinstance(error, LogClosed | StaleToken)
        if is_final or now_s - self._failing_since_s > PATIENCE_S:
            self._fail(error)
        elif not self._is_closed:
            self._send_later(now_s + next(self._pauses))


def _whole(text: str) -> tuple[str, str]:
    """`text` as it can be stored, and the first half of a character whose second may come with the next piece."""
    if not text:
        return "", ""
    half = text[-1] if "\ud800" <= text[-1] <= "\udbff" else ""
    text = text[: len(text) - len(half)]
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text, half
