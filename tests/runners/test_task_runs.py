"""Running tasks in processes of our own and in threads: attempts, retries, deaths, and who may tell of them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runners import task_program
from tests.support.clients import open_ws, receive
from tests.support.server import wait_until
from tests.support.task_server import TaskServer

from runcast.errors import InvalidInput
from runcast.kinds.task import TASK
from runcast.live.bus import Bus
from runcast.log.sqlite import SqliteLog
from runcast.runners.tasks import registry
from runcast.runners.tasks.attempt import read_story
from runcast.runners.tasks.executor import Turn
from runcast.runners.tasks.processes import Processes
from runcast.runners.tasks.service import Tasks
from runcast.runners.tasks.work_lease import WorkLease, has_died, new_owner

PROGRAM = task_program.__name__


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TaskServer]:
    with TaskServer(tmp_path_factory.mktemp("log") / "log.db", load=(PROGRAM,), runner_lease_s=1.0) as server:
        yield server


def steps(frames: list[dict[str, Any]]) -> list[str]:
    return [frame["step"] for frame in frames]


def run(server: TaskServer, task_type: str, **fields: Any) -> list[dict[str, Any]]:
    """All that a task tells, without `connected`."""
    return server.story(server.begin(task_type, **fields)["task_id"])[1:]


def test_a_task_is_run_and_told_step_by_step(server: TaskServer) -> None:
    frames = run(server, "steps", count=2)
    assert steps(frames) == ["queued", "started", "step_0", "step_1", "completed"]
    assert [frame["percent"] for frame in frames] == [0, 0, 1, 11, 100]
    assert {frame.get("attempt") for frame in frames[1:]} == {1}
    assert frames[-1]["result"] == {"count": 2, "attempt": 1}
    document = server.get(f"/api/v1/tasks/{frames[0]['task_id']}")
    assert (document["status"], document["type"], document["executor"]) == (
        *("completed", "steps"),
        "processes",
    )
    assert (document["attempt"], document["max_attempts"], document["result"]) == (1, 3, frames[-1]["result"])


def test_in_memory_it_runs_in_threads() -> None:
    with TaskServer("memory:", load=(PROGRAM,)) as server:
        frames = run(server, "steps", count=1)
        assert steps(frames) == ["queued", "started", "step_0", "completed"]
        assert frames[0]["executor"] == "threads"


def test_failed_is_told_only_when_no_attempt_is_left(server: TaskServer) -> None:
    frames = run(server, "flaky", good=9)
    one = ["started", "processing"]
    assert steps(frames) == ["queued", *one, "retrying", *one, "retrying", *one, "failed"]
    assert [frame["attempt"] for frame in frames[1:]] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert (frames[-1]["percent"], frames[-1]["error"]) == (40, True)
    assert frames[-1]["message"] == "Failed: ValueError."  # and not what it says
    assert frames[3]["error"] is False


def test_a_retry_that_succeeds(server: TaskServer) -> None:
    frames = run(server, "flaky", good=2)
    assert steps(frames)[-4:] == ["retrying", "started", "processing", "completed"]
    assert server.get(f"/api/v1/tasks/{frames[0]['task_id']}")["attempt"] == 2


def test_what_would_fail_again_is_not_tried_again(server: TaskServer) -> None:
    frames = run(server, "refuses")
    assert steps(frames) == ["queued", "started", "failed"]
    assert frames[-1]["message"] == "Failed: There is no such account."


@pytest.mark.parametrize(
    ("name", "word"), [("unwritable", "JSON"), ("ends_itself", "when the task's function ends")]
)
def test_a_task_that_does_what_it_must_not(server: TaskServer, name: str, word: str) -> None:
    frames = run(server, name)
    assert steps(frames) == ["queued", "started", "failed"]
    assert word in frames[-1]["message"]


@pytest.mark.parametrize("percent", ["150", "nan", "inf", "-1"])
def test_a_percent_that_cannot_be_is_the_tasks_failure(server: TaskServer, percent: str) -> None:
    frames = run(server, "beyond", percent=percent)
    assert steps(frames) == ["queued", "started", "processing", "failed"]
    assert (frames[-1]["message"], frames[-1]["percent"]) == ("Failed: percent: a number from 0 to 100.", 50)


@pytest.mark.parametrize("word", ["queued", "started", "retrying", "task_command"])
def test_a_tasks_own_step_is_not_taken_for_its_runners(server: TaskServer, word: str) -> None:
    frames = run(server, "speaks_for_others", step=word)
    assert steps(frames) == ["queued", "started", "failed"]
    assert f"step: {word} is the word of those who run the task" in frames[-1]["message"]


@pytest.mark.parametrize("change", ["end", "clear"])
def test_who_works_at_a_stream_that_is_ended_or_cleared_stops(
    server: TaskServer, tmp_path: Path, change: str
) -> None:
    task_id = server.begin("goes_on", folder=str(tmp_path))["task_id"]
    wait_until(lambda: server.get(f"/api/v1/tasks/{task_id}")["percent"] == 60)
    stream = f"/api/v1/streams/task:{task_id}"

    def where() -> tuple[str, int]:
        info = server.run(server.bus.info(f"task:{task_id}"))
        return info.epoch, info.head

    answer = server.http.post(f"{stream}/end") if change == "end" else server.http.delete(stream)
    assert answer.is_success
    ended = where()
    wait_until((tmp_path / "stopped").exists)
    assert steps(run(server, "steps", count=1))[-1] == "completed"  # all that it told before has come
    server.run(server.service.executor.hand_over(Turn(task_id, "", 1)))  # what a queue still has of it
    assert where() == ended  # no other run was begun
    server.begin("steps", task_id=task_id, count=1)
    assert server.story(task_id)[-1]["step"] == "completed"


def test_a_task_that_kills_its_processes_fails_in_the_end(server: TaskServer) -> None:
    frames = run(server, "dies")
    assert steps(frames) == ["queued", *["started", "dying"] * 2, "failed"]
    assert [frame["attempt"] for frame in frames[1:]] == [1, 1, 2, 2, 2]
    assert "has died" in frames[-1]["message"]
    assert steps(run(server, "leaves")) == ["queued", "started", "failed"]


def test_a_killed_process_costs_an_attempt_and_no_more(server: TaskServer, tmp_path: Path) -> None:
    task_id = server.begin("waits", folder=str(tmp_path))["task_id"]
    with open_ws(server.task(task_id)) as ws:
        frames = [receive(ws)]
        while frames[-1].get("step") != "waiting":
            frames.append(receive(ws))
        (tmp_path / "go").touch()
        os.kill(frames[-1]["pid"], signal.SIGKILL)
        while frames[-1].get("step") != "completed":
            frames.append(receive(ws))
    assert steps(frames) == ["connected", "queued", *["started", "waiting"] * 2, "completed"]
    assert frames[-1]["attempt"] == 2


def test_processes_are_used_again_and_no_more_than_allowed(server: TaskServer) -> None:
    ids = [server.begin("steps", count=1)["task_id"] for _ in range(8)]
    stories = [server.story(task_id) for task_id in ids]
    workers = {
        frame["worker"].rpartition(":")[0] for story in stories for frame in story if "worker" in frame
    }
    assert len(workers) <= server.bus.settings.task_processes


def test_two_processes_never_work_at_one_task(server: TaskServer, tmp_path: Path) -> None:
    """A task that is handed over once more, while it is at work, is left alone."""
    task_id = server.begin("waits", folder=str(tmp_path))["task_id"]
    wait_until(lambda: server.get(f"/api/v1/tasks/{task_id}")["step"] == "waiting")
    server.run(server.service.executor.hand_over(Turn(task_id, "", 2)))  # waits for the lease, and gives up
    (tmp_path / "never").touch()
    assert steps(server.story(task_id)[1:]) == ["queued", "started", "waiting", "completed"]


def test_a_task_of_one_id_is_begun_once_at_a_time(server: TaskServer, tmp_path: Path) -> None:
    server.begin("waits", folder=str(tmp_path), task_id="mine")
    again = server.http.post("/api/v1/tasks", json={"type": "steps", "task_id": "mine"})
    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    (tmp_path / "never").touch()
    server.story("mine")
    server.begin("steps", task_id="mine")
    assert "step_0" in steps(server.story("mine"))


def test_of_two_nodes_that_begin_one_id_one_does(tmp_path: Path) -> None:
    """Each looks, and sees that it is free, before the other one has begun it; then the same after a first run."""

    async def both(one: Tasks, two: Tasks, task_id: str) -> list[str]:
        answers = await asyncio.gather(
            one.start("steps", {"count": 1, "who": "one"}, task_id=task_id),
            two.start("echoes", {"who": "two"}, task_id=task_id),
            return_exceptions=True,
        )
        assert sorted(type(answer).__name__ for answer in answers) == ["Conflict", "str"]
        return ["steps" if answers[0] == task_id else "echoes", "one" if answers[0] == task_id else "two"]

    async def race() -> None:
        async with (
            Bus(SqliteLog(tmp_path / "log.db"), [TASK]) as one,
            Bus(SqliteLog(tmp_path / "log.db"), [TASK]) as two,
        ):
            nodes = Tasks(one), Tasks(two)
            for number in range(10):
                for _ in range(2):
                    winner = await both(*nodes, f"r{number}")
                    story = read_story(one.log, f"task:r{number}")
                    assert [story.state.type, story.params["who"]] == winner
                    await one.publish(f"task:r{number}", "completed")

    asyncio.run(race())


def test_of_two_that_begin_it_past_the_door_the_first_counts_in_all(server: TaskServer) -> None:
    queued = [{"task_type": name, "params": {"who": name}} for name in ("echoes", "steps")]
    events = [{"type": "queued", "data": data} for data in queued]
    answer = server.http.post("/api/v1/streams/task:twice/events", json=events)
    assert answer.status_code == 200, answer.text
    assert server.story("twice")[-1]["result"] == {"who": "echoes"}


def test_what_was_begun_past_the_door_is_checked_all_the_same(server: TaskServer) -> None:
    """Whoever may write to a task's stream may begin it there."""
    data = {"task_type": "scam_analysis", "params": {"text": 5}, "max_attempts": 9_999}
    event = {"type": "queued", "data": data}
    assert server.http.post("/api/v1/streams/task:past/events", json=event).status_code == 200
    frames = server.story("past")
    assert steps(frames) == ["connected", "queued", "started", "failed"]
    assert "text: a text of 1 to" in frames[-1]["message"]
    assert server.get("/api/v1/tasks/past")["max_attempts"] == 10
    server.http.post(
        "/api/v1/streams/task:odd/events", json={"type": "queued", "data": {"task_type": "unheard"}}
    )
    assert server.story("odd")[-1]["message"] == "There is no task unheard here."


# --- the parts ----------------------------------------------------------------------------------


def test_a_dead_process_is_known_by_its_name() -> None:
    assert not has_died(new_owner())
    place, pid, nonce = new_owner().rsplit(":", 2)
    child = os.posix_spawn("/bin/true", ["true"], {})
    wait_until(lambda: has_died(f"{place}:{child}:{nonce}"))  # nobody has taken note of it yet
    os.waitpid(child, 0)
    assert has_died(f"{place}:{child}:{nonce}")
    assert not has_died(f"elsewhere:{child}:{nonce}")
    assert not has_died(f"{place}:1:{nonce}")
    assert not has_died("anything")
    assert int(pid) == os.getpid()


def test_a_work_lease_keeps_others_out_until_it_is_left(server: TaskServer) -> None:
    log = server.bus.log
    held = WorkLease.take(log, "task:leased", 0.3)
    assert held is not None
    with held:
        assert WorkLease.take(log, "task:leased", 0.01) is None
        assert not held.is_lost.wait(0.6)  # it is renewed
    free = WorkLease.take(log, "task:leased", 0.3)
    assert free is not None
    with free:
        log.release(free.lease)
        other = log.acquire(free.lease.name, "another", 5.0)
        assert free.is_lost.wait(5)
    assert other is not None
    log.release(other)


@pytest.mark.parametrize("name", ["", "a b", "x" * 101])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^name"):
        registry.task(name)


def test_a_coroutine_is_no_task() -> None:
    async def wrong(ctx: object) -> None:
        del ctx

    with pytest.raises(InvalidInput, match="plain function"):
        registry.task("wrong")(wrong)
    with pytest.raises(InvalidInput, match="max_attempts"):
        registry.task("wrong", max_attempts=11)


def test_the_servers_end_lets_idle_processes_end(tmp_path: Path) -> None:
    with TaskServer(tmp_path / "log.db", load=(PROGRAM,)) as server:
        frames = run(server, "steps")
        assert isinstance(server.service.executor, Processes)
        pid = int(frames[1]["worker"].split(":")[-2])
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
