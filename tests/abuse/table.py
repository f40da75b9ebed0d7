"""Prints what each attack gets and what it costs: `make abuse`, a part of it by `make abuse ARGS="-k WORD"`.

Each attack is begun some times per second over and over (`--per-second`; the storm of connections, which is one in
itself, as often as it comes), for some seconds between two times of quiet that are as long, in some rounds. Meanwhile a
publisher and a subscriber go on with a stream of their own: 200 events per second, timed from when each was due. The
table has the medians of the rounds: the p99 while it was quiet, while it was attacked, and how the two compare.

The server has a processor of its own, the first; all clients have the others. The attacker runs there only when nobody
else wants to: what it costs itself is not the server's doing. Attacks on who somebody is go to a second server, that is
locked.

Before that, each attack is made once on servers that log all they can, every request and frame; and at the end everything
secret that was used is searched for in all logs, in what was answered, and in the metrics. (The figures are of servers
that log as they do by default: at that level, most of the time would go into logging.)
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from tests.abuse import leaks
from tests.abuse.attacks import ATTACKS, Attack
from tests.abuse.others import Others, p99_ms
from tests.abuse.target import Target, targets
from tests.support.memory import Memory

HEAD = f"{'attack':36} {'runs':>5} {'answer':38} {'RSS +MiB':>8} {'quiet ms':>8} {'attacked':>8} {'ratio':>6}"


class Bench:
    """A server that is attacked, and who else is there."""

    def __init__(self, server: Target, others: Others, options: argparse.Namespace) -> None:
        self._server = server
        self._others = others
        self._per_second: float = options.per_second
        self._seconds: float = options.seconds
        self._rounds: int = options.rounds

    def row(self, attack: Attack) -> str:
        """One row of the table."""
        quiet, attacked, ratios, answers = [], [], [], []
        quiet_before = self._quiet()
        with Memory(self._server.process.pid) as memory:
            for _ in range(self._rounds):
                during = self._others.latencies_s(lambda: answers.extend(self._over_and_over(attack)))
                quiet_after = self._quiet()
                quiet.append(p99_ms(quiet_before + quiet_after))
                attacked.append(p99_ms(during))
                ratios.append(attacked[-1] / quiet[-1])
                quiet_before = quiet_after
        told = " | ".join(sorted(set(answers)))
        told += "" if told == attack.answer else " (!)"
        return (
            f"{attack.name:36} {len(answers):5} {told:38} {memory.grown_mib:8.1f} "
            f"{median(quiet):8.1f} {median(attacked):8.1f} {median(ratios):6.2f}"
        )

    def _quiet(self) -> list[float]:
        return self._others.latencies_s(lambda: time.sleep(self._seconds))

    def _over_and_over(self, attack: Attack) -> Iterator[str]:
        began, runs = time.monotonic(), 0
        while (now := time.monotonic() - began) < self._seconds:
            runs += 1
            yield attack.run(self._server)
            time.sleep(max(0.0, runs / self._per_second - now))


@contextmanager
def processors(which: slice) -> Iterator[None]:
    """What is started here gets a part of the processors, if there are several and the system lets us choose."""
    there = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(there) > 1:
        os.sched_setaffinity(0, there[which])
    yield
    if len(there) > 1:
        os.sched_setaffinity(0, there)


def give_way() -> None:
    """From now on, run only when nobody else wants to."""
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    else:
        os.nice(19)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-k", metavar="WORD", default="", help="only attacks with this in their name")
    parser.add_argument(
        "--per-second", type=float, default=20, metavar="N", help="how often each is begun (20)"
    )
    parser.add_argument(
        "--seconds", type=float, default=4, metavar="S", help="of each time of attack or quiet (4)"
    )
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="of which the median is shown (3)")
    return parser.parse_args()


def attack_talkative(folder: Path, attacks: list[Attack]) -> str:
    """Each once, on servers that log all they can; returns what was searched for in what they told."""
    with targets(folder, talkative=True) as servers:
        for attack in attacks:
            answer = attack.run(servers[attack.needs_lock])
            assert answer == attack.answer, f"{attack.name}: {answer}"
        return leaks.search(*servers)


def print_table(folder: Path, attacks: list[Attack], chosen: argparse.Namespace) -> str:
    """All figures; returns what was searched for in what the servers told meanwhile."""
    print(HEAD)
    with ExitStack() as stack:
        with processors(slice(1)):
            servers = stack.enter_context(targets(folder, talkative=False))
        stack.enter_context(processors(slice(1, None)))
        others = [stack.enter_context(Others(server)) for server in servers]
        give_way()
        for needs_lock in (False, True):
            those = [attack for attack in attacks if attack.needs_lock == needs_lock]
            if those:
                others[needs_lock].begin()
            bench = Bench(servers[needs_lock], others[needs_lock], chosen)
            for attack in those:
                print(bench.row(attack), flush=True)
            others[needs_lock].stop()
        return leaks.search(*servers)


def main() -> None:
    chosen = options()
    attacks = [attack for attack in ATTACKS if chosen.k in attack.name]
    with tempfile.TemporaryDirectory() as folder:
        talkative = attack_talkative(Path(folder) / "talkative", attacks)
        quiet = print_table(Path(folder) / "quiet", attacks, chosen)
    print(quiet)
    print(talkative)


if __name__ == "__main__":
    main()
