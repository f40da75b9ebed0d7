"""Fixtures for tests that talk to a server in this process; a folder's conftest imports what it wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import ThreadServer

MakeServer = Callable[..., ThreadServer]

LEGACY = pytest.param(
    "legacy",
    marks=[
        pytest.mark.filterwarnings("ignore::DeprecationWarning"),
        pytest.mark.filterwarnings("ignore:.*implementation is deprecated"),
    ],
)

_sessions = count(1)


@pytest.fixture(scope="module", params=["fast", "portable"])
def protocol(request: pytest.FixtureRequest) -> str:
    """Which way WebSockets take; a module that wants others parametrises this anew."""
    return request.param


@pytest.fixture(scope="module")
def server(protocol: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadServer]:
    """A server with default settings on a file, shared by a module: each test has a session of its own."""
    with ThreadServer(tmp_path_factory.mktemp("log") / "log.db", protocol=protocol) as server:
        yield server


@pytest.fixture
def make_server(protocol: str, tmp_path: Path) -> Iterator[MakeServer]:
    """Makes a server with settings of the test's own; it ends with the test."""
    with ExitStack() as stack:

        def make(log: str | Path = tmp_path / "log.db", **settings: Any) -> ThreadServer:
            return stack.enter_context(ThreadServer(log, **{"protocol": protocol, **settings}))

        yield make


@pytest.fixture
def session() -> str:
    """The id of a session that no other test uses."""
    return f"s{next(_sessions)}"
