"""Chance for pauses and orders that should differ from process to process; nothing here is secret.

The operating system's, not the `random` module's own state: a program that seeds that one (tests, training, simulations)
would have all its processes wait in step, and one that counts on its sequence would find it changed by ours.
"""

from random import SystemRandom
from typing import Final

CHANCE: Final = SystemRandom()
