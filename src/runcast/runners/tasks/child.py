"""A process of `Processes`: `python -m runcast.runners.tasks.child`. It reads orders by line, and answers each by one.

First it says `ready`, or in one line why it cannot work. It ends when its stdin does. What tasks print goes to stderr: stdout is for the answers.
"""

from __future__ import annotations

import logging
import os
import sys
from io import FileIO
from typing import Final

import msgspec

from runcast.config import Settings
from runcast.errors import LogError, RuncastError
from runcast.log.open import open_configured
from runcast.runners.loading import load_modules
from runcast.runners.tasks import builtin, registry
from runcast.runners.tasks.attempt import Workplace, make_attempt
from runcast.runners.tasks.processes import READY, Order

logger = logging.getLogger("runcast.tasks")

MAX_TROUBLE_CHARS: Final = 1_000


def main() -> None:
    """Work until there is nothing more to read."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        place = _set_up()
    except Exception as error:  # noqa: BLE001 - the process' root: whoever began it says so, once for all of them
        why = str(error) if isinstance(error, RuncastError) else f"{type(error).__name__}: {error}"
        _say(answers, " ".join(why.split())[:MAX_TROUBLE_CHARS])
        sys.exit(1)
    _say(answers, READY)
    _work(place, answers)
    place.close()
    place.log.close()


def _set_up() -> Workplace:
    settings = Settings.from_env(os.environ)
    builtin.register()
    registry.load_entry_points()
    load_modules(settings.load)
    return Workplace(open_configured(settings), settings)


def _work(place: Workplace, answers: FileIO) -> None:
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        try:
            make_attempt(place, order.task_id, expected=order.attempt)
        except LogError as error:
            logger.warning("an attempt at task %s has ended early: %s", order.task_id, error)
        if not _say(answers, "done"):
            break  # nobody waits for it any more


def _say(answers: FileIO, line: str) -> bool:
    """False if nobody listens any more."""
    try:
        answers.write(line.encode(errors="replace") + b"\n")
    except BrokenPipeError:
        return False
    return True


if __name__ == "__main__":
    main()
