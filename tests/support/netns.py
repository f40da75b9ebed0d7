"""A network namespace with two links to the test: one of them can be cut, and the other one still works."""

from __future__ import annotations

import random
import secrets
import subprocess
from typing import Self

NOBODY = "02:00:00:00:00:01"
"""An address of Ethernet that nobody has here: what is sent there arrives nowhere, and nobody is told."""


class Namespace:
    """Takes root. Its addresses are of those that are kept for tests of networks (RFC 2544).

    `near` is this side of the link that can be cut, `far` is inside; `host` is where the inside can be reached over the other.
    """

    def __init__(self) -> None:
        token, net = secrets.token_hex(3), random.randrange(256)
        self.near, self.far = f"198.18.{net}.1", f"198.18.{net}.2"
        self._client, self.host = f"198.19.{net}.1", f"198.19.{net}.2"
        self.name = f"runcast-{token}"
        self._here, self._inside = f"rc{token}h", f"rc{token}n"

    def __enter__(self) -> Self:
        _ip("netns", "add", self.name)
        try:
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        _ip("netns", "delete", self.name)  # and its links with it

    @property
    def command(self) -> list[str]:
        """What a command begins with that is to run inside."""
        return ["ip", "netns", "exec", self.name]

    def cut(self) -> None:
        """Nothing passes, in neither direction; both sides only see that no answer comes."""
        _ip("neighbour", "replace", self.far, "lladdr", NOBODY, "dev", self._here, "nud", "permanent")
        self._ip("neighbour", "replace", self.near, "lladdr", NOBODY, "dev", self._inside, "nud", "permanent")

    def mend(self) -> None:
        """All passes again."""
        _ip("neighbour", "delete", self.far, "dev", self._here)
        self._ip("neighbour", "delete", self.near, "dev", self._inside)

    def _connect(self) -> None:
        peer = ("peer", "name", self._inside, "netns", self.name)
        _ip("link", "add", self._here, "type", "veth", *peer)
        for near, far in ((self.near, self.far), (self._client, self.host)):
            _ip("address", "add", f"{near}/30", "dev", self._here)
            self._ip("address", "add", f"{far}/30", "dev", self._inside)
        _ip("link", "set", self._here, "up")
        self._ip("link", "set", self._inside, "up")
        self._ip("link", "set", "lo", "up")

    def _ip(self, *words: str) -> None:
        _ip("-n", self.name, *words)


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
