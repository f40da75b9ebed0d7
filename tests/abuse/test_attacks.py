"""Each attack gets a clear answer, costs the server a bounded amount of memory, and nobody else anything."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from tests.abuse.attacks import ATTACKS, TOO_LATE, Attack
from tests.support.clients import ids_of, open_ws, ping_pong, take
from tests.support.memory import Memory
from tests.support.process import ServeProcess
from tests.support.server import flat

_numbers = count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    """A process of its own: its memory is nobody else's."""
    with ServeProcess(tmp_path_factory.mktemp("log") / "log.db", env=TOO_LATE) as server:
        server.post("others", *[flat(-1 - number, noise="x" * 1_000) for number in range(500)])  # warm
        yield server


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_and_harms_nobody(server: ServeProcess, attack: Attack) -> None:
    with open_ws(server.session("others")) as other:
        with Memory(server.process.pid) as memory:
            assert attack.run(server) == attack.answer
        assert memory.grown_mib < attack.most_mib
        ids = [f"e{next(_numbers)}" for _ in range(20)]
        server.post("others", *[{"event_id": one, "event_type": "a"} for one in ids])
        assert ids_of(take(other, len(ids))) == ids
        assert ping_pong(other) == []
