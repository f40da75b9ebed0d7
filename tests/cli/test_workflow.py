"""`runcast workflow`: on the log and through a server, as lines, as JSON and at a terminal."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import Run
from tests.support.process import RUNCAST, ServeProcess, clean_env, free_port, start_process
from tests.support.server import WAIT_S, wait_until
from tests.support.terminal import CTRL_C, Terminal

ROOT = Path(__file__).parents[2]
WORK = ["--load", "tests.support.run_work"]
RESULT = "# The result\n\n* answer: True, well done\n"


@pytest.fixture
def env(log: Path) -> dict[str, str]:
    return {**clean_env(), "RUNCAST_LOG": str(log), "RUNCAST_RUNNER_LEASE_S": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture(params=["log", "server"])
def place(request: pytest.FixtureRequest, log: Path, env: dict[str, str]) -> Iterator[list[str]]:
    """The options of a place where `tests.support.run_work` is known."""
    if request.param == "log":
        yield WORK
        return
    with ServeProcess(log, *WORK, env=env) as server:
        yield ["--url", server.url()]


def start(env: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return start_process([*RUNCAST, *arguments], env)


def kill_after(process: subprocess.Popen[str], words: str) -> None:
    """SIGKILL, when a line with these words was printed."""
    assert process.stdout is not None
    assert any(words in line for line in process.stdout)
    process.kill()
    process.communicate()


def done(folder: Path) -> list[str]:
    file = folder / "done"
    return file.read_text().splitlines() if file.exists() else []


def only(run: Run, *place: str) -> dict[str, Any]:
    """The one workflow there is, as a list has it."""
    options = place if place and place[0] == "--url" else ()
    (found,) = run("workflow", "list", "--json", *options).json
    return found


def test_the_built_in_one_runs_without_anything_else(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tides.md").write_text("# Tides\n\nTides are caused by the gravity of the Moon.\n")
    assert run("knowledge", "add", str(tmp_path / "tides.md")).code == 0
    ended = run("workflow", "run", "What causes tides?", "--max-steps", "3")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("Workflow wf_")
    assert "agent_spawned       research_001: research" in ended.out
    assert "synthesis_started   of " in ended.out
    assert ended.out.endswith("\nTides are caused by the gravity of the Moon. [tides.md, Tides]\n")
    assert run("workflow", "run", "What causes tides?", "--parent", only(run)["workflow_id"]).code == 0


def test_a_question_is_answered_by_another_command(
    run: Run, place: list[str], env: dict[str, str], tmp_path: Path
) -> None:
    process = start(env, "workflow", "run", str(tmp_path), "--workflow", "gated", *place)
    try:
        wait_until(lambda: done(tmp_path) == ["first"])
        (tmp_path / "go").touch()
        url = place if place[0] == "--url" else []
        wait_until(lambda: only(run, *place)["approvals"])
        shown = run("workflow", "show", only(run, *place)["workflow_id"], *url).out
        assert "? Publish it?\n" in shown
        asked = only(run, *place)["approvals"][0]["approval_id"]
        answered = run("workflow", "approve", asked, "--comment", "well done", *url)
        assert (answered.code, answered.out) == (0, f"{asked} is approved.\n")
        output, complaints = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, complaints
    assert f"Answer it with: runcast workflow approve {asked}" in output
    assert "approval_requested  " in output
    assert output.endswith(f"\n{RESULT}")
    assert "\x1b" not in output
    late = run("workflow", "approve", asked, "--reject", *url).complaint(code=1)
    assert late.startswith("That was approved already, by ")
    assert done(tmp_path) == ["first", "second"]


def test_json_is_events_and_the_result_and_nothing_else(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    command = [*RUNCAST, "workflow", "run", str(tmp_path), "--workflow", "gated", "--json", *WORK]
    process = start_process(command, env)
    try:
        assert process.stdout is not None
        lines: list[dict[str, Any]] = []
        for text in process.stdout:
            lines.append(json.loads(text))
            if lines[-1]["type"] == "approval_requested":
                asked = lines[-1]["data"]["approval_id"]
                answer = start(env, "workflow", "approve", asked, "--comment", "well done")
                assert answer.communicate(timeout=WAIT_S)[1] == ""
        _, complaints = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, complaints) == (0, "printed by the workflow\n")
    *events, result = lines
    assert [event["seq"] for event in events] == [*range(1, len(events) + 1)]
    assert (events[0]["type"], events[-1]["type"]) == ("workflow_created", "workflow_complete")
    assert (result["type"], result["status"]) == ("result", "completed")
    assert result["synthesis"]["content"] == RESULT


def test_at_a_terminal_it_is_shown_live_and_answered_by_keys(
    place: list[str], env: dict[str, str], tmp_path: Path
) -> None:
    command = [*RUNCAST, "workflow", "run", str(tmp_path), "--workflow", "gated", *place]
    with Terminal(command, env, columns=200) as terminal:
        terminal.wait_for("reader_001  ✓ completed")
        terminal.wait_for("writer_001  ● running")
        terminal.wait_for("a beginning of")
        assert "Ctrl-C cancels it" in terminal.text
        (tmp_path / "go").touch()
        terminal.wait_for("? Publish it?")
        terminal.wait_for("where: the front page")
        terminal.type("x")  # means nothing
        terminal.type("n")
        terminal.wait_for("refuse, with a comment")
        terminal.type("\x1b")
        terminal.wait_for("y approve   n refuse")
        terminal.type("ywell donk\x7fe\r")
        assert terminal.end() == 0
        assert terminal.is_as_before
    assert "• answer: True, well done" in terminal.text
    assert "\x1b[1;4mThe result" in terminal.raw
    assert "\x1b[31m" not in terminal.raw
    assert terminal.text.rstrip().splitlines()[-1].startswith("completed in ")


def test_ctrl_c_cancels_it(place: list[str], env: dict[str, str], run: Run, tmp_path: Path) -> None:
    command = [*RUNCAST, "workflow", "run", str(tmp_path), "--workflow", "gated", *place]
    with Terminal(command, env) as terminal:
        terminal.wait_for("a beginning of")
        terminal.type(CTRL_C)
        terminal.wait_for("Cancelling wf_")
        assert terminal.end() == 130
        assert terminal.is_as_before
        assert "The workflow was cancelled: Cancelled" in terminal.text
    assert only(run, *place)["status"] == "cancelled"


def test_ctrl_c_twice_leaves_it(log: Path, env: dict[str, str], tmp_path: Path) -> None:
    with ServeProcess(log, *WORK, env=env) as server:
        command = [*RUNCAST, "workflow", "run", str(tmp_path), "--workflow", "gated", "--url", server.url()]
        with Terminal(command, env, columns=200) as terminal:
            terminal.wait_for("a beginning of")
            server.process.send_signal(signal.SIGSTOP)  # it answers nothing any more
            terminal.type(CTRL_C)
            terminal.wait_for("Cancelling wf_")
            terminal.type(CTRL_C)
            words = terminal.wait_for("runcast workflow attach wf_")
            assert terminal.end() == 130
            assert terminal.is_as_before
        assert "Left wf_" in words


def test_one_whose_process_was_killed_goes_on_with_what_it_has(
    env: dict[str, str], tmp_path: Path, run: Run
) -> None:
    kill_after(start(env, "workflow", "run", str(tmp_path), "--workflow", "gated", *WORK), "writer_001")
    workflow_id = only(run)["workflow_id"]
    watching = start(env, "workflow", "attach", workflow_id)
    try:
        assert watching.stderr is not None
        assert "does not know the workflow gated. Name its module with --load" in watching.stderr.readline()
    finally:
        watching.terminate()
        watching.communicate(timeout=WAIT_S)
    assert watching.returncode == 143
    (tmp_path / "go").touch()
    with Terminal([*RUNCAST, "workflow", "attach", workflow_id, *WORK], env) as terminal:
        terminal.wait_for("attempt 2")
        terminal.wait_for("y approve   n refuse")
        terminal.type("n\r")
        assert terminal.end() == 0
    assert done(tmp_path) == ["first", "second"]
    assert "answer: False, None" in terminal.text


def test_it_ends_with_1_if_it_fails(run: Run) -> None:
    ended = run("workflow", "run", "x", "--workflow", "failing", *WORK)
    assert ended.code == 1
    assert ended.out.endswith("\nThe workflow has failed: The printer is on fire.\n")


def test_the_example_of_a_workflow_of_ones_own(env: dict[str, str]) -> None:
    own = {**env, "PYTHONPATH": str(ROOT / "examples" / "workflows")}
    command = [*RUNCAST, "workflow", "run", "A short text.", "--workflow", "review", "--load", "review"]
    with Terminal(command, own) as terminal:
        terminal.wait_for("? Shall the comments be summed up?")
        terminal.wait_for("reviewers: 3")
        terminal.type("n\rnot")
        assert terminal.end() == 0
    assert "The review ended without a summary." in terminal.text


def test_lists_and_documents(run: Run) -> None:
    assert run("workflow", "list").complaint(code=1).startswith("log: there is none at ")
    run("workflow", "run", "x", "--workflow", "failing", *WORK)
    found = only(run)
    listed = run("workflow", "list").out
    assert [found["workflow_id"], "failed", "0/0"] == listed.splitlines()[3].split()[:3]
    assert run("workflow", "list", "--status", "running,completed").out.startswith(
        "No workflows that are running"
    )
    shown = run("show", f"workflow:{found['workflow_id']}", "--last", "1").out
    assert "failed: The printer is on fire." in shown
    assert shown.splitlines()[-1].endswith("workflow_error      The printer is on fire.")
    assert run("workflow", "cancel", found["workflow_id"]).complaint(code=1).endswith(" is failed already.")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["run"], 2, "runcast workflow run --help"),
        (
            ["rnu", "x"],
            2,
            "There is no command 'workflow rnu'. Did you mean run? See `runcast workflow --help`.",
        ),
        (["run", "x", "--workflow", "nope"], 2, "workflow: there is no nope here; there are: "),
        (["run", " "], 2, "task: 1 to 10000 characters"),
        (["run", "x", "--max-steps", "51"], 2, "max_steps: 1 to 50"),
        (["run", "x", "--parent", "wf_none"], 2, "parent_workflow_id: this workflow is not known"),
        (["run", "x", "--load", "no_such_module"], 1, "load: there is no module no_such_module"),
        (["run", "x", "--load", "a", "--url", "http://localhost:1"], 2, "runcast serve --load MODULE"),
        (["run", "x", "--log", "memory:"], 1, "Use its server: --url"),
        (["show", "a/b"], 2, "workflow id: 1 to 200 characters"),
        (["list", "--limit", "0"], 2, "--limit: an integer from 1 to 1,000."),
    ],
)
def test_what_cannot_be_is_one_line(run: Run, arguments: list[str], code: int, words: str) -> None:
    assert words in run("workflow", *arguments).complaint(code=code)


def test_unknown_ones(run: Run, log: Path) -> None:
    run("publish", "a:b", "x")
    for action in ("show", "cancel", "attach"):
        assert run("workflow", action, "wf_none").complaint(code=1) == "There is no workflow wf_none."
    assert run("workflow", "approve", "wf_none.1").complaint(code=1) == "There is no approval wf_none.1."
    assert run("workflow", "list", "--status", "odd").complaint(code=2).startswith("--status: pending, ")


def test_a_server_that_is_not_there(run: Run) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    for arguments in (["run", "x"], ["list"], ["show", "wf_1"], ["attach", "wf_1"]):
        line = run("workflow", *arguments, "--url", url).complaint(code=1)
        assert line == f"Nobody answers at {url}. Start a server there with `runcast serve`."


def test_nothing_of_a_terminal_is_touched_in_the_background(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    shell = [
        "bash",
        "-c",
        f"{RUNCAST[0]} workflow run x --workflow failing {' '.join(WORK)} & wait $!; echo code $?",
    ]
    with Terminal(shell, env) as terminal:
        terminal.wait_for("code 1")
        assert terminal.end() == 0
