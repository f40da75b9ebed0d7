from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.server import ThreadServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ThreadServer]:
    with ThreadServer(tmp_path / "log.db") as server:
        yield server
