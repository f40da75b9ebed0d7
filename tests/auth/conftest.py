from collections.abc import Generator
from pathlib import Path

import pytest
from tests.auth.clock import Clock

from runcast.auth.store import AuthStore


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path) -> Generator[AuthStore]:
    store = AuthStore(tmp_path / "auth.db")
    yield store
    store.close()
