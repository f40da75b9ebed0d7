"""A command that was not used as it can be."""

from __future__ import annotations

from runcast.errors import RuncastError


class UsageError(RuncastError):
    """Options or arguments do not go together, or cannot be read. Exit code 2."""

    code = "usage"
    message = "The command cannot be used like this."
