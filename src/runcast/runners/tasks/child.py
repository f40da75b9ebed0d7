"""A process of `Processes`: `python -m runcast.runners.tasks.child`. It reads orders by line, and answers each by one.

It ends when its stdin does. What tasks print goes to stderr: stdout is for the answers.
"""

from __future__ import annotations

import logging
import os
import sys

import msgspec

from runcast.config import Settings
from runcast.errors import LogError
from runcast.log.open import open_configured
from runcast.runners.loading import load_modules
from runcast.runners.tasks import builtin, registry
from runcast.runners.tasks.attempt import Workplace, make_attempt
from runcast.runners.tasks.processes import Order

logger = logging.getLogger("runcast.tasks")


def main() -> None:
    """Work until there is nothing more to read."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    settings = Settings.from_env(os.environ)
    builtin.register()
    registry.load_entry_points()
    load_modules(settings.load)
    place = Workplace(open_configured(settings), settings)
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        try:
            make_attempt(place, order.task_id, expected=order.attempt)
        except LogError as error:
            logger.warning("an attempt at task %s has ended early: %s", order.task_id, error)
        try:
            answers.write(b"done\n")
        except BrokenPipeError:
            break  # nobody waits for it any more
    place.close()
    place.log.close()


if __name__ == "__main__":
    main()
