"""A run as a terminal shows it while it goes on: what is made of its state at one moment. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from runcast.cli.output import clean, plural
from runcast.cli.run_asking import Asking
from runcast.cli.run_watching import PlanWatching, WorkflowWatching
from runcast.cli.run_words import ASCII_MARKS, STATES, elapsed_of, progress_words, seconds_of
from runcast.kinds.plan_state import StepState
from runcast.kinds.workflow_state import Agent, Progress

BAR_COLUMNS: Final = 30
OTHER_LINES: Final = 9
"""Of the screen, for what is above and below the rows."""
FEWEST_ROWS: Final = 4
DETAIL_LINES: Final = 6
_FIRST: Final = ("review", "running", "retrying", "failed")
"""Rows in these states are shown, if not all can be."""


class Row(NamedTuple):
    """One agent or step."""

    name: str
    state: str
    taken: str
    about: str
    extra: str = ""


class Screen:
    """A run at the moment `now_s` (seconds of the wall clock), as large as the terminal allows."""

    def __init__(self, run: WorkflowWatching | PlanWatching, asking: Asking, hint: str, now_s: float) -> None:
        self._run = run
        self._asking = asking
        self._hint = hint
        self._now_s = now_s

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        parts = list(self._parts(max(console.size.height - OTHER_LINES, FEWEST_ROWS), options.ascii_only))
        yield Group(*parts)

    def _parts(self, most_rows: int, ascii_only: bool) -> Iterator[RenderableType]:
        run, now_s = self._run, self._now_s
        workflow = isinstance(run, WorkflowWatching)
        rows = list(agent_rows(run, now_s) if isinstance(run, WorkflowWatching) else step_rows(run, now_s))
        head = _head(run, now_s)
        yield _marked(head, ascii_only)
        if rows:
            yield _table(rows, most_rows, "agent" if workflow else "step", ascii_only)
        progress = (
            workflow_progress(run, now_s) if isinstance(run, WorkflowWatching) else plan_progress(run, now_s)
        )
        if progress is not None and not run.is_over:
            yield _bar(progress)
        yield from question_parts(self._asking)
        if self._hint and not run.is_over:
            yield Text(self._hint, "dim", no_wrap=True, overflow="ellipsis")


def agent_rows(run: WorkflowWatching, now_s: float) -> Iterator[Row]:
    """The agents of a workflow, in the order in which they began."""
    for agent in run.state.agents.values():
        running = agent.status == "running"
        since_s = now_s - run.began_s.get(agent.agent_id, now_s)
        taken = elapsed_of(since_s) if running else seconds_of(agent.seconds or None)
        confidence = "" if agent.confidence is None else f"{agent.confidence:.0%} sure"
        yield Row(agent.agent_id, agent.status, taken, _said(run, agent), confidence)


def step_rows(run: PlanWatching, now_s: float) -> Iterator[Row]:
    """The steps of a plan, in their order."""
    for step_id, step in run.state.steps.items():
        yield Row(step_id, step.status, _taken(step, now_s), _about(run, step_id, step), _extra(step))


def workflow_progress(run: WorkflowWatching, now_s: float) -> Progress | None:
    """How far a workflow is by now, if it says."""
    told = run.state.progress
    if told is None:
        return None
    eta_s = None if told.eta_seconds is None else max(told.eta_seconds - (now_s - run.progress_s), 0.0)
    return Progress(told.percent, eta_s, told.message)


def plan_progress(run: PlanWatching, now_s: float) -> Progress | None:
    """How far a plan is: its steps, those at work with the part they are at; the rest by what that has taken."""
    steps = run.state.steps.values()
    if not steps:
        return None
    parts = [1.0 if step.status in {"completed", "skipped"} else step.progress for step in steps]
    done = sum(parts) / len(parts)
    elapsed_s = now_s - (run.state.begun_at or 0) / 1e6
    waits = run.status != "running" or not run.state.in_status("running", "retrying", "waiting")
    eta_s = None if done <= 0 or waits else elapsed_s * (1 - done) / done
    finished = sum(step.status in {"completed", "skipped"} for step in steps)
    return Progress(done * 100, eta_s, f"{finished} of {plural(len(parts), 'step')} done")


def question_parts(asking: Asking) -> Iterator[RenderableType]:
    """What is asked, and what has been typed of the answer."""
    question = asking.question
    if question is None:
        return
    yield Text(f"? {clean(question.text)}", "bold magenta")
    lines = [clean(line) for line in question.details.splitlines() if line.strip()]
    for line in lines[:DETAIL_LINES]:
        yield Text(f"    {line}", "dim", no_wrap=True, overflow="ellipsis")
    if len(lines) > DETAIL_LINES:
        yield Text("    …", "dim")
    if asking.approved is None:
        yield Text.assemble(("  y", "bold"), " approve   ", ("n", "bold"), " refuse")
        return
    word, style = ("approve", "bold green") if asking.approved else ("refuse", "bold red")
    yield Text.assemble(
        ("  " + word, style),
        ", with a comment (Enter: as it is, Esc: back): ",
        (asking.comment + "_", "bold"),
    )


def _head(run: WorkflowWatching | PlanWatching, now_s: float) -> Text:
    if isinstance(run, WorkflowWatching):
        state = run.state
        title, kind, began_us, ended_us = (
            state.task,
            f"workflow {state.workflow or ''}",
            state.created_at,
            state.completed_at,
        )
        attempt = state.attempt
    else:
        plan = run.state
        title, kind, began_us, ended_us = plan.name or plan.query, "plan", plan.begun_at, plan.ended_at
        attempt = 1
    text = Text(no_wrap=True, overflow="ellipsis")
    mark, style = STATES.get(run.status, ("·", "default"))
    text.append(f"{mark} {run.status}", style)
    if began_us:
        until_s = ended_us / 1e6 if ended_us else now_s
        text.append(f"  {elapsed_of(until_s - began_us / 1e6)}", "dim")
    if attempt > 1:
        text.append(f"  attempt {attempt}", "yellow")
    text.append(f"  {kind.strip()}  ", "dim")
    text.append(clean(title), "bold")
    return text


def _table(rows: Sequence[Row], most: int, what: str, ascii_only: bool) -> RenderableType:
    shown, left_out = _selected(rows, most)
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for column in (
        {"no_wrap": True, "max_width": 28},
        {"no_wrap": True},
        {"justify": "right", "no_wrap": True},
        {"no_wrap": True},
    ):
        table.add_column(overflow="ellipsis", **column)  # pyright: ignore[reportArgumentType]
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    for row in shown:
        mark, style = STATES.get(row.state, ("·", "default"))
        table.add_row(
            Text(f"  {clean(row.name)}"),
            _marked(Text(f"{mark} {row.state}", style), ascii_only),
            Text(row.taken, "dim"),
            Text(row.extra, "dim"),
            Text(
                clean(row.about), "red" if row.state == "failed" else "dim" if row.state != "running" else ""
            ),
        )
    if not left_out:
        return table
    counts = ", ".join(f"{count} {state}" for state, count in left_out.items())
    return Group(table, Text(f"  and {plural(sum(left_out.values()), f'more {what}')}: {counts}", "dim"))


def _selected(rows: Sequence[Row], most: int) -> tuple[list[Row], dict[str, int]]:
    """The rows that have room, in their order: those where something happens first. The others, counted by state."""
    if len(rows) <= most:
        return list(rows), {}
    ranked = sorted(
        range(len(rows)), key=lambda at: (_rank(rows[at].state), -at if rows[at].state == "completed" else at)
    )
    kept = set(ranked[: most - 1])
    left_out: dict[str, int] = {}
    for at, row in enumerate(rows):
        if at not in kept:
            left_out[row.state] = left_out.get(row.state, 0) + 1
    return [rows[at] for at in sorted(kept)], left_out


def _rank(state: str) -> int:
    return _FIRST.index(state) if state in _FIRST else len(_FIRST)


def _bar(progress: Progress) -> RenderableType:
    bar = Table.grid(padding=(0, 2, 0, 0))
    bar.add_column(width=BAR_COLUMNS + 2)
    bar.add_column(no_wrap=True, overflow="ellipsis")
    words = progress_words(progress.percent, progress.eta_seconds, clean(progress.message))
    bar.add_row(ProgressBar(100, progress.percent, BAR_COLUMNS), Text(words))
    return bar


def _said(run: WorkflowWatching, agent: Agent) -> str:
    """The end of what an agent is saying, or the beginning of what it has said."""
    if agent.status == "failed":
        return agent.error or ""
    if agent.status == "running":
        return _end(run.said.get(agent.agent_id, ""))
    return clean(agent.content[:300])


def _about(run: PlanWatching, step_id: str, step: StepState) -> str:
    match step.status:
        case "running":
            said = _end(run.said.get(step_id, ""))
            return said or step.message or step.definition.title
        case "failed" | "retrying":
            return step.error or ""
        case "review" | "skipped":
            return step.reason or ""
        case "waiting":
            waits = [name for name in step.definition.depends_on if not run.state.is_done([name])]
            return f"waits for {', '.join(waits)}" if waits else step.definition.title
        case _:
            return step.definition.title


def _extra(step: StepState) -> str:
    parts: list[str] = []
    if step.status == "running" and step.progress:
        parts.append(f"{step.progress:.0%}")
    if step.attempt > 1:
        parts.append(f"attempt {step.attempt}")
    if step.quality_score is not None:
        parts.append(f"quality {step.quality_score:.2f}")
    return " ".join(parts)


def _taken(step: StepState, now_s: float) -> str:
    if step.status == "running" and step.begun_at:
        return elapsed_of(now_s - step.begun_at / 1e6)
    return seconds_of(step.seconds)


def _end(text: str) -> str:
    """The last words of a text that grows, in one line; as many as are worth reading."""
    line = clean(text)
    return line if len(line) <= 80 else f"…{line[-80:]}"


def _marked(text: Text, ascii_only: bool) -> Text:
    """The text with marks that the terminal can show."""
    if ascii_only:
        text.plain = text.plain.translate(ASCII_MARKS)
    return text
