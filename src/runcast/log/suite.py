"""What every log must do: the contract of `runcast.log.base`, sentence by sentence, as tests.

A log of your own is tested by pytest with a class of your own:

    from runcast.log.suite import LogSuite

    class TestMyLog(LogSuite):
        def make_log(self, clock):
            return MyLog(clock=clock)

A log that keeps its streams on several servers says `orders_batches = False`: then an append is atomic for each of its
streams, and its streams have no order between them; all else holds for it as for any log.

Put `pytest.register_assert_rewrite("runcast.log.conformance")` into a `conftest.py` for assertions that explain themselves.
This module does not import pytest, and any runner that calls `setup_method`, a `test_*` method and
`teardown_method` will do.
"""

from __future__ import annotations

from runcast.log.conformance.reading import ReadingSuite
from runcast.log.conformance.streams import StreamsSuite
from runcast.log.conformance.support import VirtualClock
from runcast.log.conformance.tables import TablesSuite
from runcast.log.conformance.watching import WatchingSuite
from runcast.log.conformance.writing import WritingSuite

__all__ = ["LogSuite", "VirtualClock"]


class LogSuite(WritingSuite, ReadingSuite, StreamsSuite, WatchingSuite, TablesSuite):
    """The whole contract. Override `make_log`, and `make_other` if several processes may share the log.

    Every test begins with an empty log of its own, and closes it.
    """
