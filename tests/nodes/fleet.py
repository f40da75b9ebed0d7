"""Three real nodes (`runcast serve`) on one log, of which some die and come back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

from tests.support.process import RUNCAST, ServeProcess, free_port
from tests.support.server import Server

KEY = "the-key-of-the-fleet"
AS_OWNER = {"Authorization": f"Bearer {KEY}"}
LOCKED = {"RUNCAST_API_KEYS": KEY}
COUNT = 3


class Node(ServeProcess):
    """One of them. What it says goes to a file: a pipe that nobody reads would hold it up.

    Args:
        host: where it listens; it can be reached there from the test.
        inside: what its command begins with, such as `ip netns exec …`.
    """

    def __init__(
        self,
        log: str,
        folder: Path,
        *,
        host: str = "127.0.0.1",
        inside: Sequence[str] = (),
        env: dict[str, str] | None = None,
    ) -> None:
        port = free_port()
        serve = [*RUNCAST, "serve", "--host", host, "--port", str(port), "--log", log]
        self.host = host
        self.said = folder / f"node-{port}.log"
        super().__init__(
            log,
            port=port,
            env=LOCKED | {"XDG_DATA_HOME": str(folder)} | (env or {}),
            command=["/bin/sh", "-c", f'exec "$@" 2>>"{self.said}"', "sh", *inside, *serve],
        )

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def url(self, path: str = "", **query: Any) -> str:
        return super().url(path, **query).replace("127.0.0.1", self.host)

    def ws(self, path: str, **query: Any) -> str:
        return super().ws(path, **query).replace("127.0.0.1", self.host)

    def _collect(self) -> int:
        code = super()._collect()
        self.complaints = self.said.read_text()
        return code

    def die(self) -> None:
        """SIGKILL, without waiting for what it had to say."""
        self.close_http()
        os.killpg(self.process.pid, 9)

    def close(self) -> None:
        """End it, however it is. Idempotent."""
        self.close_http()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self.kill()


class Fleet:
    """All nodes; ends with its `with`.

    Args:
        nodes: those that are to run.
    """

    def __init__(self, *nodes: Node) -> None:
        self.nodes = nodes

    def __enter__(self) -> Self:
        try:
            with ThreadPoolExecutor(len(self.nodes)) as pool:
                list(pool.map(Node.start, self.nodes))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for node in self.nodes:
            node.close()

    def address(self, turn: int) -> Node:
        """Where a client goes that has tried so many times."""
        return self.nodes[turn % len(self.nodes)]

    @property
    def alive(self) -> Server:
        """A node that answers."""
        return next(node for node in self.nodes if node.runs)


def fleet(folder: Path, *logs: str, **env: str) -> Fleet:
    """Three nodes, each on its own URL of the log, or all on the same."""
    urls = logs if len(logs) == COUNT else logs * COUNT
    return Fleet(*(Node(url, folder, env=env) for url in urls))
