"""Both logs do what every log must."""

from pathlib import Path
from tempfile import TemporaryDirectory

from runcast.log.memory import MemoryLog
from runcast.log.sqlite import SqliteLog
from runcast.log.suite import LogSuite, VirtualClock


class TestMemoryLog(LogSuite):
    def make_log(self, clock: VirtualClock) -> MemoryLog:
        return MemoryLog(clock=clock)


class TestSqliteLog(LogSuite):
    def make_log(self, clock: VirtualClock) -> SqliteLog:
        self.folder = TemporaryDirectory()
        return self.make_other(clock)

    def make_other(self, clock: VirtualClock) -> SqliteLog:
        return SqliteLog(Path(self.folder.name) / "log.db", clock=clock)

    def teardown_method(self) -> None:
        super().teardown_method()
        self.folder.cleanup()
