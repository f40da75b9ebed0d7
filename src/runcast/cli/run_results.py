"""What a run has come to, for people: Markdown on a terminal, and the same text as it is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from rich.console import Console
from rich.text import Text

from runcast.cli.output import clean, clean_block
from runcast.cli.run_watching import PlanWatching, WorkflowWatching, text_of

_ENDS: Final = {"failed": "has failed", "cancelled": "was cancelled", "completed": "is completed"}


def print_text(out: Console, text: str) -> None:
    """A text of an agent's: rendered on a terminal, where its links are shown with their addresses."""
    if out.is_terminal:
        from rich.markdown import Markdown

        out.print(Markdown(clean_block(text), hyperlinks=False))
    else:
        out.print(clean_block(text).rstrip("\n"), soft_wrap=True)


def print_result(out: Console, run: WorkflowWatching | PlanWatching) -> None:
    """The synthesis of a workflow, or the results of those steps of a plan that no other one uses; then what failed."""
    for title, text in results_of(run):
        out.print()
        if title:
            out.print(Text(clean(title), "bold underline" if out.is_terminal else ""))
            out.print()
        print_text(out, text)
    if run.is_over and run.status != "completed":
        out.print()
        _print_end(out, run)


def results_of(run: WorkflowWatching | PlanWatching) -> Iterator[tuple[str, str]]:
    """The texts that came out, each with its title; the title is empty where there is only one."""
    if isinstance(run, WorkflowWatching):
        if run.state.synthesis is not None:
            yield "", run.state.synthesis.content
        return
    steps = run.state.steps
    used = {name for step in steps.values() for name in step.definition.depends_on}
    last = {step_id: step for step_id, step in steps.items() if step_id not in used}
    for step_id, step in last.items():
        text = text_of(run.results.get(step_id, step.result))
        if step.status == "completed" and text:
            yield step.definition.title if len(last) > 1 else "", text


def errors_of(run: WorkflowWatching | PlanWatching) -> Mapping[str, str]:
    """What went wrong, by agent or step."""
    if isinstance(run, WorkflowWatching):
        failed = {agent.agent_id: agent.error for agent in run.state.agents.values() if agent.error}
    else:
        failed = {name: step.error for name, step in run.state.steps.items() if step.status == "failed"}
    return {name: error or "It failed." for name, error in failed.items()}


def _print_end(out: Console, run: WorkflowWatching | PlanWatching) -> None:
    style = "yellow" if run.status == "cancelled" else "bold red"
    reason = clean(run.state.error or "")
    out.print(
        Text(
            f"The {run.kind} {_ENDS.get(run.status, run.status)}" + (f": {reason}" if reason else "."), style
        )
    )
    for name, error in errors_of(run).items():
        if clean(error) not in reason:
            out.print(Text(f"  {clean(name)}: {clean(error)}"))
    failed = next(iter(errors_of(run)), None)
    if isinstance(run, PlanWatching) and run.status == "failed" and failed is not None:
        out.print(Text(f"To try the step again: runcast plan retry {run.run_id} {failed}", "dim"))
