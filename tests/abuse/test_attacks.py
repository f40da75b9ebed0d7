"""Each attack gets a clear answer, costs the server a bounded amount of memory, and nobody else anything."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from tests.abuse import leaks
from tests.abuse.attacks import ATTACKS, Attack
from tests.abuse.target import Locked, Target, targets
from tests.support.clients import ids_of, open_ws, ping_pong, take
from tests.support.memory import Memory
from tests.support.server import flat

Targets = tuple[Target, Locked]

_numbers = count()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Targets]:
    """Processes of their own: their memory is nobody else's. They log all that they can."""
    with targets(tmp_path_factory.mktemp("abuse"), talkative=True) as both:
        for server in both:
            server.post("others", *[flat(-1 - number, noise="x" * 1_000) for number in range(500)])  # warm
        yield both


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_and_harms_nobody(servers: Targets, attack: Attack) -> None:
    server = servers[attack.needs_lock]
    with open_ws(server.session("others"), additional_headers=server.identity) as other:
        with Memory(server.process.pid) as memory:
            assert attack.run(server) == attack.answer
        assert memory.grown_mib < attack.most_mib
        ids = [f"e{next(_numbers)}" for _ in range(20)]
        server.post("others", *[{"event_id": one, "event_type": "a"} for one in ids])
        assert ids_of(take(other, len(ids))) == ids
        assert ping_pong(other) == []


def test_nothing_secret_can_be_read_anywhere(servers: Targets) -> None:
    """After all of the above."""
    assert leaks.search(*servers).endswith("0 found")
