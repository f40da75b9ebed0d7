"""The contract of leases, which fence off a runner that was thought dead, and of the folds' snapshots."""

# ruff: noqa: D102 - the name of a test is its sentence

from __future__ import annotations

from runcast.core.event import Edge
from runcast.errors import InvalidInput, StaleToken
from runcast.log.base import Snapshot
from runcast.log.conformance.support import Support, new, numbers, raises, read_all_events, several


class TablesSuite(Support):
    """One owner at a time, and what the last one knew."""

    # --- leases ------------------------------------------------------------------------------

    def test_a_lease_has_one_owner(self) -> None:
        lease = self.log.acquire("runner", "me", 10)
        assert lease is not None
        assert (lease.name, lease.owner, lease.expires) == ("runner", "me", self.clock.now + 10_000_000)
        assert self.log.acquire("runner", "you", 10) is None
        assert self.log.acquire("another", "you", 10) is not None
        with raises(InvalidInput):
            self.log.acquire("runner", "me", 0)

    def test_its_owner_renews_it(self) -> None:
        first = self.log.acquire("runner", "me", 10)
        self.clock.advance(8)
        second = self.log.acquire("runner", "me", 10)
        self.clock.advance(8)
        assert first
        assert second
        assert (second.token, second.expires) == (first.token, first.expires + 8_000_000)
        assert self.log.acquire("runner", "you", 10) is None

    def test_an_expired_lease_goes_to_another_with_a_larger_token(self) -> None:
        first = self.log.acquire("runner", "me", 10)
        self.clock.advance(10)
        second = self.log.acquire("runner", "you", 10)
        assert first
        assert second
        assert second.token > first.token
        assert self.log.acquire("runner", "me", 10) is None

    def test_a_released_lease_is_free(self) -> None:
        first = self.log.acquire("runner", "me", 10)
        assert first
        self.log.release(first)
        self.log.release(first)
        second = self.log.acquire("runner", "you", 10)
        assert second
        assert second.token > first.token
        self.log.release(first)
        assert self.log.acquire("runner", "me", 10) is None

    def test_a_lease_does_not_grow_when_the_clock_jumps_back(self) -> None:
        assert self.log.acquire("runner", "me", 10)
        self.clock.advance(-3600)
        assert self.log.acquire("runner", "you", 10)

    def test_only_the_newest_token_may_append(self) -> None:
        mine = self.log.acquire("runner", "me", 10)
        assert mine
        self.log.append([new(1)], lease=mine)
        self.clock.advance(11)
        self.log.append([new(2)], lease=mine)
        yours = self.log.acquire("runner", "you", 10)
        assert yours
        with raises(StaleToken):
            self.log.append([new(3), new(4, stream="chat:b")], lease=mine)
        self.log.append([new(5)], lease=yours)
        assert numbers(read_all_events(self.log)) == [1, 2, 5]

    def test_a_stale_token_harms_no_other_batch(self) -> None:
        mine = self.log.acquire("runner", "me", 10)
        assert mine
        self.clock.advance(11)
        self.log.acquire("runner", "you", 10)
        futures = [self.log.append_soon([new(n)], lease=mine if n % 3 == 0 else None) for n in range(1, 31)]
        for number, future in enumerate(futures, start=1):
            assert (future.exception() is None) == (number % 3 != 0)
        assert numbers(read_all_events(self.log)) == [n for n in range(1, 31) if n % 3]

    def test_a_lease_that_was_given_back_may_not_append(self) -> None:
        lease = self.log.acquire("runner", "me", 10)
        assert lease
        self.log.release(lease)
        with raises(StaleToken):
            self.log.append([new(1)], lease=lease)

    # --- snapshots ---------------------------------------------------------------------------

    def test_a_snapshot_is_kept_by_stream_and_fold(self) -> None:
        self.log.append(several(5))
        snapshot = self._snapshot(3, b'{"state":"\xc3\xa9"}')
        assert self.log.load_snapshot("session:a", "status", 1) is None
        self.log.save_snapshot("session:a", "status", 1, snapshot)
        assert self.log.load_snapshot("session:a", "status", 1) == snapshot
        assert self.log.load_snapshot("session:a", "cost", 1) is None
        assert self.log.load_snapshot("session:b", "status", 1) is None
        assert self.log.load_snapshot("session:a", "status", 2) is None

    def test_the_newest_snapshot_stays(self) -> None:
        self.log.append(several(5))
        for seq in (2, 4, 3):
            self.log.save_snapshot("session:a", "status", 1, self._snapshot(seq, b"%d" % seq))
        assert self.log.load_snapshot("session:a", "status", 1) == self._snapshot(4, b"4")

    def test_a_snapshot_of_a_later_run_replaces_one_of_an_earlier(self) -> None:
        self.log.append([new(1), new(2), new(3, edge=Edge.TERMINAL)])
        old = self._snapshot(3, b"old")
        self.log.save_snapshot("session:a", "status", 1, old)
        self.log.append([new(4, edge=Edge.START)])
        young = self._snapshot(1, b"young")
        self.log.save_snapshot("session:a", "status", 1, young)
        self.log.save_snapshot("session:a", "status", 1, old)
        assert self.log.load_snapshot("session:a", "status", 1) == young

    def test_a_snapshot_of_another_version_replaces(self) -> None:
        self.log.append(several(5))
        self.log.save_snapshot("session:a", "status", 1, self._snapshot(5, b"one"))
        self.log.save_snapshot("session:a", "status", 2, self._snapshot(2, b"two"))
        assert self.log.load_snapshot("session:a", "status", 1) is None
        assert self.log.load_snapshot("session:a", "status", 2) == self._snapshot(2, b"two")

    def test_many_snapshots_at_once(self) -> None:
        names = [f"session:{number}" for number in range(5)]
        for name in names:
            self.log.append(several(3, stream=name))
        states = {
            name: Snapshot(self.log.info(name).epoch, 3, 7, b"\x00\xff" + name.encode()) for name in names[:4]
        }
        self.log.save_snapshots("status", 2, states)
        assert self.log.load_snapshots([*reversed(names), "session:none"], "status", 2) == states
        assert self.log.load_snapshots(names[1:2], "status", 2) == {names[1]: states[names[1]]}
        assert self.log.load_snapshot(names[0], "status", 2) == states[names[0]]
        assert self.log.load_snapshots(names, "status", 1) == {}
        assert self.log.load_snapshots(names, "cost", 2) == {}
        assert self.log.load_snapshots([], "status", 2) == {}
        self.log.save_snapshots("status", 2, {})

    def test_of_many_snapshots_each_is_kept_or_not_by_itself(self) -> None:
        self.log.append([*several(5), *several(5, stream="session:b"), *several(5, stream="session:c")])
        epochs = {info.stream[-1]: info.epoch for info in self.log.streams()}
        self.log.save_snapshot("session:a", "status", 1, Snapshot(epochs["a"], 4, 0, b"newer"))
        self.log.clear("session:c")
        states = {f"session:{name}": Snapshot(epochs[name], 3, 0, b"three") for name in "abc"}
        self.log.save_snapshots("status", 1, states | {"session:none": states["session:b"]})
        found = self.log.load_snapshots([*states, "session:none"], "status", 1)
        assert {name: one.state for name, one in found.items()} == {
            "session:a": b"newer",
            "session:b": b"three",
        }

    def test_what_is_cleared_does_not_come_back_as_a_snapshot(self) -> None:
        self.log.append(several(5))
        snapshot = self._snapshot(5, b"secret")
        self.log.save_snapshot("session:a", "status", 1, snapshot)
        self.log.clear("session:a")
        assert self.log.load_snapshot("session:a", "status", 1) is None
        self.log.save_snapshot("session:a", "status", 1, snapshot)
        assert self.log.load_snapshot("session:a", "status", 1) is None

    def test_a_trimmed_stream_keeps_its_snapshots(self) -> None:
        self.log.append(several(5))
        snapshot = self._snapshot(3, b"3")
        self.log.save_snapshot("session:a", "status", 1, snapshot)
        self.log.trim("session:a", keep=1)
        assert self.log.load_snapshot("session:a", "status", 1) == snapshot

    def _snapshot(self, seq: int, state: bytes) -> Snapshot:
        return Snapshot(self.log.info("session:a").epoch, seq, 0x1234, state)
