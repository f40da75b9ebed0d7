"""What several commands take, and what they say when it cannot be used."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from runcast.errors import ConfigError, RuncastError

if TYPE_CHECKING:
    from runcast.config import Settings


WRITABLE = (
    "Make the file and its folder writable for this user (reading needs files beside it, too), "
    "or name another log with --log."
)
"""What to do about a log that may not be written."""


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


def settings_of(**options: Any) -> Settings:
    """The settings by the environment and by a command's options, which come first.

    Raises:
        UsageError: an option has a value that it cannot have; names it.
        ConfigError: a variable has.
    """
    from runcast.config import Settings

    check_options(**options)
    return Settings.from_env(os.environ, **options)


def check_options(**options: Any) -> None:
    """See whether options that are settings can be what is given; None is not given.

    Raises:
        UsageError: one cannot; names it.
    """
    from runcast.config import checked

    for field, value in options.items():
        if value is not None:
            try:
                checked(field, value, f"--{field.replace('_', '-')}")
            except ConfigError as error:
                raise UsageError(str(error)) from None
