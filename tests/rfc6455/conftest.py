from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from tests.support.echo import Echo
from tests.support.server import AppServer
from tests.support.wire import Wire

Connect = Callable[..., Wire]


@pytest.fixture(scope="module")
def echo() -> Iterator[AppServer]:
    with AppServer(Echo()) as server:
        yield server


@pytest.fixture
def connect(echo: AppServer) -> Iterator[Connect]:
    """Makes a client of the echo; the test closes none of them."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(Wire(echo.ws("/"), **options))


@pytest.fixture
def wire(connect: Connect) -> Wire:
    return connect()
