"""What several commands take, and what they say when it cannot be used."""

from __future__ import annotations

import re

from runcast.errors import RuncastError


class UsageError(RuncastError):
    """Options or arguments do not go together, or cannot be read. Exit code 2."""

    code = "usage"
    message = "The command cannot be used like this."


_SPAN = re.compile(r"([0-9]{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def seconds_of(text: str, option: str) -> float:
    """A span of time such as `7d`, in seconds.

    Raises:
        UsageError: it is none.
    """
    match = _SPAN.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"{option}: {text!r} is no span of time; examples are 7d, 12h, 30m.")
    return float(int(match[1]) * _SECONDS[match[2]])
