"""Whether every client of every node got every event of its stream, once and in order. Pure: it looks at reports."""

from __future__ import annotations

from benchmarks.loadgen import LoadReport
from benchmarks.node_steps import Step


def due(step: Step, load: LoadReport) -> int:
    """How many deliveries a node's clients should get."""
    return sum(path.clients * events for path, events in zip(load.by_path, step.expected, strict=True))


def absent(step: Step) -> int:
    """How many deliveries were not made, or not in time."""
    return sum(
        max(0, due(step, side.load) - sum(path.events for path in side.load.by_path) + side.load.duplicates)
        for side in step.sides
    )


def broken(step: Step) -> list[str]:
    """What no lateness explains, in words: events that were doubled or left out, or came in different orders."""
    found: list[str] = []
    for place, side in enumerate(step.sides, start=1):
        found += [f"node {place}: {fault}" for fault in side.load.order_faults()]
    if not found and not absent(step):
        orders = {tuple(path.order_hash for path in side.load.by_path) for side in step.sides}
        if not all(path.same_order for side in step.sides for path in side.load.by_path) or len(orders) > 1:
            found.append("clients of one stream have received different orders")
    return found


def faults(step: Step) -> list[str]:
    """All that went wrong besides lateness, in words."""
    found = broken(step)
    if missing := absent(step):
        found.append(f"{missing:,} deliveries lost, or not made in time")
    for place, side in enumerate(step.sides, start=1):
        others = set(side.load.faults()) - set(side.load.order_faults())
        found += [f"node {place}: {fault}" for fault in (*side.published.faults(), *sorted(others))]
    return found
