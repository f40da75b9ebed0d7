"""The benchmark of many nodes: its load generator sees what is wrong with an order, its checks say so, and it runs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from benchmarks.loadgen import LoadGenerator, LoadReport
from benchmarks.node_checks import absent, broken, faults
from benchmarks.node_steps import Side, Step
from websockets.sync.server import ServerConnection, serve

from benchmarks import native_tools

ROOT = Path(__file__).resolve().parents[2]
TELLS = {
    "/right": [(1, 10), (2, 20), (3, 30)],
    "/other": [(1, 20), (2, 10), (3, 30)],  # the same events, in another order
    "/doubled": [(1, 10), (2, 20), (2, 20), (3, 30)],
    "/hole": [(1, 10), (3, 30)],
    "/short": [(1, 10), (2, 20)],
}
"""What a path's clients are sent, as seqs and stamps."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return native_tools.build(tmp_path_factory.mktemp("native")).loadgen


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    def tell(connection: ServerConnection) -> None:
        assert connection.request is not None
        for seq, stamp in TELLS[connection.request.path]:
            connection.send(f'{{"seq":{seq},"data":{{"sent_ns":{stamp}}}}}')
        for _ in connection:
            pass

    with serve(tell, "127.0.0.1", 0) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join()


def step(program: Path, port: int, *nodes: list[str], acknowledged: int = 3) -> Step:
    """As if so many events had been acknowledged of each stream; at each node two clients of every path."""
    with ExitStack() as stack:
        running = [
            stack.enter_context(
                LoadGenerator(
                    program,
                    SimpleNamespace(port=port),  # type: ignore[arg-type] - it asks for no more
                    paths,
                    2 * len(paths),
                    timeout_s=20,
                    check_order=True,
                )
            )
            for paths in nodes
        ]
        for paths, generator in zip(nodes, running, strict=True):
            assert generator.wait_ready().connected == 2 * len(paths)
            generator.expect(*(len(TELLS[path]) for path in paths))
        reports = [generator.finish(15) for generator in running]
    return Step(0, [_side(report, acknowledged) for report in reports], 0, 0, 0, 0, 1)


def _side(report: LoadReport, acknowledged: int) -> Side:
    published: Any = SimpleNamespace(
        acknowledged_by_path=[acknowledged] * len(report.by_path), faults=list[str]
    )
    return Side(report, published, 0, 0, 0, 0)


def expected_of_all(step: Step) -> Step:
    """The publishers' counts are each node's own; here the first one took all."""
    for side in step.sides[1:]:
        side.published.acknowledged_by_path = [0] * len(side.load.by_path)
    return step


@pytest.mark.needs("cc")
def test_clients_that_have_everything_are_told_apart_by_path_and_found_right(
    program: Path, port: int
) -> None:
    played = expected_of_all(step(program, port, ["/right", "/other"], ["/right", "/other"]))
    first, other = played.sides[0].load.by_path
    assert (first.clients, first.events, first.last_seq, first.same_order) == (2, 6, (3, 3), True)
    assert first.order_hash != other.order_hash
    assert (absent(played), broken(played), faults(played)) == (0, [], [])


@pytest.mark.needs("cc")
@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (["/right", "/doubled"], "node 1: 2 duplicates"),
        (["/right", "/hole"], "node 1: 2 gaps (2 events missing)"),
    ],
)
def test_an_event_that_is_doubled_or_left_out_is_found(
    program: Path, port: int, paths: list[str], words: str
) -> None:
    assert words in broken(step(program, port, paths))


@pytest.mark.needs("cc")
def test_nodes_whose_clients_see_different_orders_are_found(program: Path, port: int) -> None:
    played = expected_of_all(step(program, port, ["/right"], ["/other"]))
    assert broken(played) == ["clients of one stream have received different orders"]


@pytest.mark.needs("cc")
def test_events_that_do_not_come_are_counted_for_each_client(program: Path, port: int) -> None:
    played = step(program, port, ["/right", "/short"])
    assert absent(played) == 2
    assert faults(played) == ["2 deliveries lost, or not made in time"]


@pytest.mark.needs("cc", "redis-server")
@pytest.mark.timeout(120)
def test_it_runs(tmp_path: Path) -> None:
    done, figures = _run(tmp_path, "nodes", "redis")
    assert "each client got every event of its stream once and in order" in " ".join(done.split())
    assert [row["who"] for row in figures["nodes"]["rows"]] == ["node 1", "node 2", "Redis", "load"]
    assert {row["per_batch"] for row in figures["redis"]["rows"]} == {1, 64, 256}


@pytest.mark.soak
@pytest.mark.needs("cc", "redis-server")
@pytest.mark.timeout(120)
def test_the_memory_of_every_kind_of_socket_is_measured(tmp_path: Path) -> None:
    _, figures = _run(tmp_path, "node-memory")
    assert all(row["connections"] == 20 for row in figures["node-memory"]["rows"])


def _run(folder: Path, *sections: str) -> tuple[str, dict[str, Any]]:
    figures = folder / "figures.json"
    command = [sys.executable, "-m", "benchmarks", *sections, "--quick"]
    done = subprocess.run(
        [*command, "--dir", str(folder), "--json", str(figures)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, json.loads(figures.read_text())["sections"]
