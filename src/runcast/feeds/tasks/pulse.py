"""When a task was last heard of, and how far it was: shared by all who watch it in this process."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from runcast.core.event import Event
from runcast.core.page import Record
from runcast.live.bus import Bus


class _Told(msgspec.Struct, gc=False):
    percent: int = 0


_decode = msgspec.json.Decoder(_Told).decode


class Pulse:
    """One task's last sign of life. `heard_at_s` is on the loop's clock; None until something was heard here."""

    __slots__ = ("_now_s", "heard_at_s", "percent", "watchers")

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.heard_at_s: float | None = None
        self.percent: int = 0
        """As it was last told."""
        self.watchers = 0
        self._now_s = now_s

    def hear(self, records: list[Record]) -> None:
        """Take what was announced."""
        event = next((record for record in reversed(records) if isinstance(record, Event)), None)
        if event is not None:
            self.heard_at_s = self._now_s()
            self.percent = _decode(event.data).percent

    def begin_with(self, percent: int) -> None:
        """How far the log says that it is, unless something newer was heard."""
        if self.heard_at_s is None:
            self.percent = percent


class Pulses:
    """The pulses of all tasks that somebody here watches. Belongs to the event loop."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._pulses: dict[str, Pulse] = {}

    def join(self, stream: str, now_s: Callable[[], float]) -> Pulse:
        """The pulse of a task, felt from now on; `leave` it."""
        pulse = self._pulses.get(stream)
        if pulse is None:
            pulse = self._pulses[stream] = Pulse(now_s)
            self._bus.hub.taps.setdefault(stream, set()).add(pulse.hear)
        pulse.watchers += 1
        return pulse

    def leave(self, stream: str) -> None:
        """One watcher less; the last one takes the pulse with it."""
        pulse = self._pulses[stream]
        pulse.watchers -= 1
        if pulse.watchers:
            return
        del self._pulses[stream]
        taps = self._bus.hub.taps
        taps[stream].discard(pulse.hear)
        if not taps[stream]:
            del taps[stream]
