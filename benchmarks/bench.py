"""What every section needs: options, compiled tools, a folder on a disk, servers, fresh streams."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks import server_process
from benchmarks.loadgen import LoadGenerator
from benchmarks.native_tools import NativeTools
from benchmarks.options import Options
from benchmarks.publisher import Load, Publisher
from benchmarks.report import Column, Table
from benchmarks.server_process import Server


@dataclass(frozen=True)
class Stream:
    """One session's stream."""

    session: str

    @property
    def name(self) -> str:
        """As the native routes name it."""
        return f"session:{self.session}"

    def path(self, query: str = "") -> str:
        """Its WebSocket."""
        return f"/ws/events/{self.session}" + (f"?{query}" if query else "")


class Bench:
    """One run of the benchmarks; use as a context. Servers are fresh for each use, in a quick run shared."""

    def __init__(self, options: Options, tools: NativeTools, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.unfinished: Table | None = None
        self._tools = tools
        self._numbers = itertools.count(1)
        self._shared: dict[str, Server] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def say(self, words: str) -> None:
        """Progress, on stderr."""
        print(f"... {words}", file=sys.stderr, flush=True)

    def table(self, title: str, columns: list[Column]) -> Table:
        """Begin a section's table; should the section fail, its rows so far are printed from here."""
        self.unfinished = Table(title, columns)
        return self.unfinished

    def new_stream(self) -> Stream:
        """A stream that nothing was published to."""
        return Stream(f"bench-{next(self._numbers)}")

    @contextmanager
    def server(self, app: str) -> Iterator[Server]:
        """A server on a log of its own; in a quick run the one that was started first."""
        if not self.options.quick:
            with self.fresh_server(app) as server:
                yield server
            return
        if app not in self._shared:
            self._shared[app] = self._stack.enter_context(self.fresh_server(app))
        yield self._shared[app]

    @contextmanager
    def fresh_server(
        self,
        app: str,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        url: str | None = None,
        is_pinned: bool = True,
    ) -> Iterator[Server]:
        """A server on a new log, or on `log`, which is then left in place; or on the log that is elsewhere, at `url`.

        One that is not pinned to the servers' core shares with this process the cores that it may run on.
        """
        path = log or self.folder / f"log-{next(self._numbers)}.db"
        core = self.options.server_core if is_pinned else None
        server = server_process.start(app, path, core, environment or {}, url)
        try:
            yield server
        finally:
            server.stop()
            if log is None:
                remove_log(path)

    def load_generator(
        self,
        server: Server,
        path: str | Sequence[str],
        clients: int,
        *,
        timeout_s: float,
        expect: int = 0,
        slow: int = 0,
        check_order: bool = False,
        progress: Path | None = None,
    ) -> LoadGenerator:
        """Start clients of one path, or spread evenly over several, all at once."""
        return LoadGenerator(
            self._tools.loadgen,
            server,
            [path] if isinstance(path, str) else path,
            clients,
            timeout_s=timeout_s,
            expect=expect,
            slow=slow,
            check_order=check_order,
            progress=progress,
        )

    def publisher(self, server: Server, stream: Stream | Sequence[Stream], load: Load) -> Publisher:
        """Start to publish to a stream, or to several by turns."""
        streams = [stream] if isinstance(stream, Stream) else stream
        return Publisher(self._tools.publisher, server, [one.name for one in streams], load)

    def progress_file(self) -> Path:
        """A new file by which the load generator tells the publisher how far the clients are."""
        return self.folder / f"progress-{next(self._numbers)}"


def remove_log(path: Path) -> None:
    """Remove a log and what SQLite keeps beside it."""
    for one in path.parent.glob(f"{path.name}*"):
        one.unlink()
