"""Who has fallen silent: a state machine without a clock, looked at after each own report that was stored.

Silence is counted in own reports, not in time: while the log is away nobody can report, and nobody is missed.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from runcast.kinds.system_nodes import Node, NodesState

PATIENCE: Final = 3
"""So many of its reports may be missing before a node counts as lost."""


class Roll:
    """One node's view of the others.

    Args:
        own_id: the node that looks; it never misses itself.
        interval_s: between two of its reports. Others may have another one, and tell it.
    """

    def __init__(self, own_id: str, interval_s: float) -> None:
        self._own_id = own_id
        self._interval_s = interval_s
        self._silent: dict[tuple[str, int], tuple[int, int]] = {}

    def call(self, state: NodesState) -> list[Node]:
        """Compare with the last look; returns those that have been silent for too long.

        One that is returned is returned again by the next look, unless that says that it is gone.
        """
        before, self._silent = self._silent, {}
        missing: list[Node] = []
        for node in state.up():
            if node.node_id == self._own_id:
                continue
            key = (node.node_id, node.incarnation)
            heard, looks = before.get(key, (-1, 0))
            looks = looks + 1 if heard == node.heard else 0
            self._silent[key] = (node.heard, looks)
            if looks >= self._patience(node):
                missing.append(node)
        return missing

    def _patience(self, node: Node) -> int:
        return max(PATIENCE, ceil(PATIENCE * node.interval_s / self._interval_s))
