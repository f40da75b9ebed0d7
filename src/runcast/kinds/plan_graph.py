"""The graph of a plan's steps: pure functions over which step depends on which."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

Dependencies = Mapping[str, Collection[str]]
"""The steps, in their order, each with those that it depends on."""


def unknown_dependency(steps: Dependencies) -> tuple[str, str] | None:
    """The first step that depends on one that is not there, and that one's name."""
    for step, needed in steps.items():
        for name in needed:
            if name not in steps:
                return step, name
    return None


def find_cycle(steps: Dependencies) -> list[str]:
    """Steps that depend on one another in a circle, each on the next and the last on the first; empty if none do.

    Dependencies that are no steps are passed over.
    """
    done: set[str] = set()
    for start in steps:
        path: dict[str, None] = {}  # the way from `start` to where we are, in order
        waiting = [(start, iter(steps[start]))]
        while waiting and start not in done:
            step, needed = waiting[-1]
            path[step] = None
            following = next((name for name in needed if name in steps and name not in done), None)
            if following is None:
                done.add(step)
                del path[step]
                waiting.pop()
            elif following in path:
                walked = list(path)
                return walked[walked.index(following) :]
            else:
                waiting.append((following, iter(steps[following])))
    return []


def describe_cycle(cycle: list[str]) -> str:
    """A circle as people write it: a → b → a."""
    return " → ".join([*cycle, cycle[0]])


def dependents(steps: Dependencies, step_id: str) -> list[str]:
    """The steps that depend on `step_id` themselves, in order."""
    return [step for step, needed in steps.items() if step_id in needed]


def blocked_by(steps: Dependencies, failed: Iterable[str]) -> set[str]:
    """All steps that cannot run while `failed` have not: those that depend on them, directly or through others."""
    found = list(failed)
    if not found:
        return set()
    waiting_for: dict[str, list[str]] = {}
    for step, needed in steps.items():
        for name in needed:
            waiting_for.setdefault(name, []).append(step)
    blocked: set[str] = set()
    while found:
        for step in waiting_for.get(found.pop(), ()):
            if step not in blocked:
                blocked.add(step)
                found.append(step)
    return blocked


def ready(steps: Dependencies, waiting: Collection[str], done: Collection[str]) -> list[str]:
    """Those of `waiting` all of whose dependencies are `done`, in the steps' order."""
    return [
        step for step, needed in steps.items() if step in waiting and all(name in done for name in needed)
    ]


def layers(steps: Dependencies) -> list[list[str]]:
    """The steps in rows for a drawing: each stands below all that it depends on. What is in a circle is left out."""
    rows: list[list[str]] = []
    done: set[str] = {name for needed in steps.values() for name in needed if name not in steps}
    left = list(steps)
    while row := ready(steps, left, done):
        rows.append(row)
        done.update(row)
        left = [step for step in left if step not in done]
    return rows
