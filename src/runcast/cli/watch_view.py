"""What `runcast watch` shows: a bar on a terminal while it catches up, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from runcast.cli.output import clean, complain, console, plural

if TYPE_CHECKING:
    from runcast.sources.claude_code.follow import Progress

REFRESH_S = 0.1
"""Between two changes of what a terminal shows."""


class View(Protocol):
    """Shows how far a follower is; used in a `with`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def update(self, progress: Progress) -> None:
        """Something has changed."""
        ...

    def end(self, progress: Progress) -> None:
        """Nothing will change any more."""
        ...


def make_view(folder: Path, into: str) -> View:
    """The view that fits where stdout goes."""
    return TerminalView(folder, into) if sys.stdout.isatty() else PlainView(folder, into)


class PlainView:
    """A line when it begins, when everything that was there is told, and when it ends."""

    def __init__(self, folder: Path, into: str) -> None:
        self._folder, self._into = folder, into
        self._began = time.monotonic()
        self._current = False
        self._waiting: str | None = None
        self._caught_up = 0

    def __enter__(self) -> Self:
        print(f"Watching {clean(str(self._folder))} into {clean(self._into)}", flush=True)
        return self

    def __exit__(self, *_: object) -> None:
        return

    def update(self, progress: Progress) -> None:
        """See `View`."""
        if progress.waiting != self._waiting:
            self._waiting = progress.waiting
            complain(f"{progress.waiting} Trying again." if progress.waiting else "Going on.")
        if progress.current and not self._current:
            self._current = True
            self._caught_up = progress.events
            print(f"Up to date: {_counts(progress, time.monotonic() - self._began)}", flush=True)

    def end(self, progress: Progress) -> None:
        """See `View`."""
        more = progress.events - self._caught_up
        if not self._current:
            print(f"Stopped: {_counts(progress, time.monotonic() - self._began)}", flush=True)
        elif more:
            print(f"Stopped, after {plural(more, 'more event')}", flush=True)


class TerminalView:
    """A bar while it catches up, then one line that stays up to date."""

    def __init__(self, folder: Path, into: str) -> None:
        from rich.live import Live
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        self._plain = PlainView(folder, into)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[counts]}"),
            TimeRemainingColumn(),
            console=console(),
        )
        self._bar = self._bars.add_task("Reading", total=None, counts="")
        self._live = Live(self._bars, console=self._bars.console, refresh_per_second=1 / REFRESH_S)
        self._began = self._shown_at = time.monotonic()
        self._current = False

    def __enter__(self) -> Self:
        self._plain.__enter__()
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def update(self, progress: Progress) -> None:
        """See `View`."""
        now = time.monotonic()
        if progress.current and not self._current:
            self._current = True
            self._live.transient = True
            self._live.console.print(f"Up to date: {_counts(progress, now - self._began)}")
        elif now - self._shown_at < REFRESH_S and not progress.waiting:
            return
        self._shown_at = now
        if self._current:
            self._live.update(_status(progress))
        else:
            self._bars.update(
                self._bar,
                total=max(progress.bytes_due, progress.bytes_done, 1),
                completed=progress.bytes_done,
                description=clean(progress.waiting or "Reading"),
                counts=_counts(progress, now - self._began),
            )

    def end(self, progress: Progress) -> None:
        """See `View`."""
        if self._current:
            return
        self._live.console.print(f"Stopped: {_counts(progress, time.monotonic() - self._began)}")


def _counts(progress: Progress, seconds: float) -> str:
    counts = [
        f"{plural(progress.files_done, 'file')} read",
        plural(progress.events, "event"),
        f"{progress.events / max(seconds, 0.001):,.0f} events/s",
    ]
    if progress.refused:
        counts.append(f"{progress.refused:,} refused")
    if progress.garbage:
        counts.append(f"{plural(progress.garbage, 'damaged line')}")
    return ", ".join(counts)


def _status(progress: Progress) -> str:
    if progress.waiting:
        return f"Waiting: {clean(progress.waiting)}"
    return (
        f"Following {plural(progress.files, 'file')}, {plural(progress.events, 'event')} so far; Ctrl-C ends"
    )
