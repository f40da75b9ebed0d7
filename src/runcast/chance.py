"""Chance for pauses and orders that should differ from process to process; nothing here is secret.

Not the `random` module's own state: a program that seeds that one (tests, training, simulations) would have all its
processes wait in step, and one that counts on its sequence would find it changed by ours. Ours is begun by the operating
system, in a forked process anew.
"""

import os
from random import Random
from typing import Final

CHANCE: Final = Random()  # noqa: S311 - to ask the system each time takes 20 times as long, and deadlines are set often

if hasattr(os, "register_at_fork"):  # where there are forks
    os.register_at_fork(after_in_child=CHANCE.seed)
