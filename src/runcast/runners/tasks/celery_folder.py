"""Celery's broker that is a folder, as kombu has it, in a worker that ends soon after it is told to.

Without an event loop Celery looks only between two waits of two seconds for messages whether it is to end.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

_filesystem: Any = import_module("kombu.transport.filesystem")

WAIT_S: Final = 0.25


class FolderTransport(_filesystem.Transport):
    """For `broker_transport`: `runcast.runners.tasks.celery_folder:FolderTransport`."""

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver a message; waits for `timeout` seconds at most, and never for long.

        Raises:
            TimeoutError: none has come.
        """
        kombus: Any = super()
        kombus.drain_events(connection, timeout=timeout and min(timeout, WAIT_S))
