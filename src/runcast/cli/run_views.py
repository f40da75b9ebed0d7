"""How a run is shown while it goes on: a screen on a terminal, lines elsewhere, or events as JSON for scripts."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any, Final, Protocol, Self

from runcast.cli.lines import PLAIN_CHARS, LinePrinter
from runcast.cli.output import clean, console, print_json
from runcast.cli.run_asking import Asking
from runcast.cli.run_watching import PlanWatching, Question, WorkflowWatching

Run = WorkflowWatching | PlanWatching

REFRESH_S: Final = 0.1
"""Between two changes of what a terminal shows."""
PROGRESS_STEP: Final = 0.1
"""Lines tell the progress of a step when it is further by as much."""
DETAIL_LINES: Final = 6
"""Of what a question is about."""
_UNTOLD: Final = frozenset({"agent_output", "resource_metrics", "metrics_update", "health_update"})
"""Types that are no line of their own: text as it comes, and figures."""


class View(Protocol):
    """Shows one run; used in a `with`."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def begin(self, run: Run, where: str) -> None:
        """What is to be shown, and where it is."""
        ...

    def event(self, event: Mapping[str, Any]) -> None:
        """An event has come; `run` knows it already."""
        ...

    def asks(self, question: Question, command: str) -> None:
        """A person is asked, who can answer by this command."""
        ...

    def note(self, text: str) -> None:
        """Something is to be said that is no event."""
        ...

    def tick(self, hint: str) -> None:
        """Time has passed; `hint` says what can be done."""
        ...

    def end(self) -> None:
        """It is over, or left."""
        ...


def make_view(*, as_json: bool, asking: Asking) -> View:
    """The view that fits where stdout goes."""
    if as_json:
        return JsonView()
    return ScreenView(asking) if console().is_terminal else LinesView()


class JsonView:
    """Each event as a line of JSON, at the end the result; nothing else, whatever the code of a user prints."""

    def __init__(self) -> None:
        self._out = sys.stdout
        self._others = redirect_stdout(sys.stderr)
        self._run: Run | None = None

    def __enter__(self) -> Self:
        self._others.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._others.__exit__(None, None, None)

    def begin(self, run: Run, where: str) -> None:
        """See `View`."""
        self._run = run

    def event(self, event: Mapping[str, Any]) -> None:
        """See `View`."""
        print_json(event, self._out)

    def asks(self, question: Question, command: str) -> None:
        """See `View`. The event says it."""

    def note(self, text: str) -> None:
        """See `View`."""
        print(clean(text), file=sys.stderr, flush=True)

    def tick(self, hint: str) -> None:
        """See `View`."""

    def end(self) -> None:
        """See `View`."""
        if self._run is not None:
            print_json({"type": "result", **self._run.document()}, self._out)


class LinesView:
    """A line for each event that is worth one, and the result."""

    def __init__(self) -> None:
        self._out = console()
        self._printer = LinePrinter(with_stream=False, out=self._out)
        self._run: Run | None = None
        self._told: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def begin(self, run: Run, where: str) -> None:
        """See `View`."""
        self._run = run
        print(f"{run.kind.capitalize()} {run.run_id} on {clean(where)}", flush=True)

    def event(self, event: Mapping[str, Any]) -> None:
        """See `View`."""
        if event["type"] in _UNTOLD or (event["type"] == "step_progress" and not self._is_news(event)):
            return
        self._printer.print(event)

    def asks(self, question: Question, command: str) -> None:
        """See `View`."""
        lines = [line for line in map(clean, question.details.splitlines()) if line]
        for line in [*lines[:DETAIL_LINES], "…"] if len(lines) > DETAIL_LINES else lines:
            print(f"    {line[:PLAIN_CHARS]}")
        print(f"Answer it with: {command}  (or --reject)", flush=True)

    def note(self, text: str) -> None:
        """See `View`."""
        print(clean(text), file=sys.stderr, flush=True)

    def tick(self, hint: str) -> None:
        """See `View`."""

    def end(self) -> None:
        """See `View`."""
        from runcast.cli.run_results import print_result

        if self._run is not None:
            print_result(self._out, self._run)

    def _is_news(self, event: Mapping[str, Any]) -> bool:
        data = event["data"]["data"]
        step_id, fraction = str(event["data"]["step_id"]), float(data.get("progress") or 0.0)
        if "delta" in data or abs(fraction - self._told.get(step_id, 0.0)) < PROGRESS_STEP:
            return False
        self._told[step_id] = fraction
        return True


class ScreenView:
    """The state of the run, again and again in the same place; then the result below it."""

    def __init__(self, asking: Asking) -> None:
        from rich.live import Live

        self._asking = asking
        self._live = Live(console=console(), auto_refresh=False, vertical_overflow="crop")
        self._run: Run | None = None
        self._shown_s = 0.0
        self._hint: str = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin(self, run: Run, where: str) -> None:
        """See `View`."""
        self._run = run
        self._live.console.print(f"{run.kind.capitalize()} {run.run_id} on {clean(where)}", style="dim")
        self._live.start()

    def event(self, event: Mapping[str, Any]) -> None:
        """See `View`."""

    def asks(self, question: Question, command: str) -> None:
        """See `View`."""

    def note(self, text: str) -> None:
        """See `View`."""
        self._live.console.print(clean(text), style="yellow")

    def tick(self, hint: str) -> None:
        """See `View`."""
        now_s = time.monotonic()
        if now_s - self._shown_s >= REFRESH_S or hint != self._hint:
            self._shown_s, self._hint = now_s, hint
            self._show()

    def end(self) -> None:
        """See `View`."""
        from runcast.cli.run_results import print_result

        if self._run is None:
            return
        self._hint = ""
        self._show()
        self._live.stop()
        print_result(self._live.console, self._run)
        if isinstance(self._run, WorkflowWatching) and self._run.state.synthesis is not None:
            self._live.console.print(f"\n{_figures(self._run)}", style="dim")

    def _show(self) -> None:
        from runcast.cli.run_screen import Screen

        if self._run is not None:
            self._live.update(Screen(self._run, self._asking, self._hint, time.time()), refresh=True)


def _figures(run: WorkflowWatching) -> str:
    """What it took."""
    import msgspec

    from runcast.cli.run_words import words_of

    data = {
        "synthesis": msgspec.to_builtins(run.state.synthesis),
        "performance_metrics": msgspec.to_builtins(run.state.performance),
        "model": run.state.model,
    }
    return words_of({"stream": f"workflow:{run.run_id}", "type": "workflow_complete", "data": data}) or ""
