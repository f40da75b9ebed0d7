"""The tasks that come with Runcast, registered when a process that runs or begins tasks is set up."""

from __future__ import annotations

from runcast.runners.tasks import registry
from runcast.runners.tasks.scam.task import SCAM_ANALYSIS, analyse, check


def register() -> None:
    """Register them, unless the user has others of their names. Idempotent."""
    if registry.find(SCAM_ANALYSIS) is None:
        registry.task(SCAM_ANALYSIS, max_attempts=3, check=check)(analyse)
