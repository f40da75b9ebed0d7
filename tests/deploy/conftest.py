"""Two nodes on one log, and nginx in front of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.deploy.proxy import Nginx, Node

Nodes = tuple[Node, Node]


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nodes") / "log.db"


@pytest.fixture(scope="session")
def both(log: Path) -> Iterator[Nodes]:
    """Started once; most of the time of these tests would be that of starting nodes."""
    one, other = (
        Node(log, RUNCAST_MAX_UNAUTHENTICATED_PER_ADDRESS="3", RUNCAST_STALLED_AFTER_S="1") for _ in range(2)
    )
    try:
        start(one, other)
        yield one, other
    finally:
        for node in (one, other):
            node.close()


@pytest.fixture
def nodes(both: Nodes) -> Nodes:
    """Two that run, whatever an earlier test did to them."""
    start(*(node for node in both if not node.runs))
    return both


@pytest.fixture(scope="session")
def front(both: Nodes) -> Iterator[Nginx]:
    with Nginx([node.port for node in both]) as nginx:
        yield nginx


@pytest.fixture
def nginx(front: Nginx, nodes: Nodes) -> Nginx:
    """In front of both, which run."""
    del nodes
    return front


def start(*nodes: Node) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(Node.start, nodes))
