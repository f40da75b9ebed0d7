"""A folder as Celery's broker: what comes is delivered, and a worker soon sees that it is to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runcast.config import Settings
from runcast.runners.tasks.celery_app import make_celery
from runcast.runners.tasks.celery_folder import WAIT_S


def test_it_never_waits_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Celery would wait for two seconds, and then look whether it is to end."""
    app = make_celery(Settings(celery_broker_url=f"filesystem://{tmp_path}"))
    waited: list[float | None] = []
    with app.connection_for_read() as connection:
        base: Any = type(connection.transport).__mro__[1]
        monkeypatch.setattr(base, "drain_events", lambda _, __, timeout=None: waited.append(timeout))
        for timeout in (2.0, 0.1, None):
            connection.drain_events(timeout=timeout)
    assert waited == [WAIT_S, 0.1, None]
    assert app.conf.worker_timer_precision < 0.5  # so long, at most, its timer takes to end
