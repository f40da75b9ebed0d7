"""How often something may be done, for each of many who do it; and how guessing passwords is slowed down."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final

from runcast.auth.secrets import digest
from runcast.errors import TooMany

REMEMBERED: Final = 10_000
HOUR_S: Final = 3_600.0


class Allowance:
    """`most` times at once, and as many again over `over_s`; for each key by itself. Pure: the caller has the clock.

    The `REMEMBERED` keys that were used last are remembered. One that is tried over and over stays among them, so
    to have it forgotten takes as many attempts with other keys in between.
    """

    def __init__(self, most: int, over_s: float) -> None:
        self._step_s = over_s / most
        self._over_s = over_s
        self._whole_at_s: OrderedDict[str, float] = OrderedDict()
        """When nothing of a key's allowance will be missing any more."""

    def take(self, key: str, now_s: float) -> float:
        """Count one, and return 0; or count nothing, and return in how many seconds there is one again."""
        whole_at_s = max(now_s, self._whole_at_s.pop(key, now_s))
        wait_s = whole_at_s + self._step_s - self._over_s - now_s
        self._whole_at_s[key] = whole_at_s if wait_s > 0 else whole_at_s + self._step_s
        if len(self._whole_at_s) > REMEMBERED:
            self._whole_at_s.popitem(last=False)
        return max(0.0, wait_s)

    def give_back(self, key: str) -> None:
        """Take one back that was counted."""
        if key in self._whole_at_s:
            self._whole_at_s[key] -= self._step_s


class Guesses:
    """Wrong passwords of one account, counted whoever tries them, so that many addresses guess no faster than one.

    An address from which somebody has logged in to the account has a count of its own: strangers who try cannot
    keep its owner out there. Elsewhere the owner waits, as long as it takes for the next attempt to be free, or
    goes on with a refresh token, which is not counted. Accounts that do not exist are counted alike, so that none
    of this tells whether one does. Each process counts by itself, and forgets when it ends.
    """

    def __init__(self, most_per_hour: int) -> None:
        self._failures = Allowance(most_per_hour, HOUR_S)
        self._trusted: OrderedDict[str, None] = OrderedDict()

    def begin(self, email: str, address: str, now_s: float) -> str:
        """Count an attempt as if it fails, before anything is looked at: many at once are no more than many.

        Returns what `succeeded` takes.

        Raises:
            TooMany: too many have failed.
        """
        account, place = _names(email, address)
        key = place if place in self._trusted else account
        wait_s = self._failures.take(key, now_s)
        if wait_s:
            raise TooMany(
                "Too many wrong passwords were tried for this account lately. Try again in "
                f"{in_words(wait_s)}, or from where you have logged in before.",
                retry_after_s=wait_s,
            )
        return key

    def succeeded(self, key: str, email: str, address: str) -> None:
        """It was the right password: nothing is counted, and this place is trusted from now on."""
        self._failures.give_back(key)
        _, place = _names(email, address)
        self._trusted[place] = None
        self._trusted.move_to_end(place)
        if len(self._trusted) > REMEMBERED:
            self._trusted.popitem(last=False)


def in_words(seconds: float) -> str:
    """A time to wait, for people."""
    whole = max(1, math.ceil(seconds))
    if whole < 100:
        return "1 second" if whole == 1 else f"{whole} seconds"
    return f"{math.ceil(whole / 60)} minutes"


def _names(email: str, address: str) -> tuple[str, str]:
    """An account, and an account at an address. What is sent as an e-mail address may be long, a hash is not."""
    account = digest(email.casefold()).hex()
    return account, f"{account} {address}"
