"""`runcast plan`: files, a live display, commands, and plans whose process was killed."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_workflow import ROOT, WORK, done, kill_after, start
from tests.support.commands import Run
from tests.support.process import RUNCAST, ServeProcess, clean_env
from tests.support.server import WAIT_S, wait_until
from tests.support.terminal import CTRL_C, Terminal

STEPS = """\
plan_id: nightly
name: The nightly one
query: {folder}
steps:
  - {{id: first, action: note}}
  - {{id: second, action: gate, depends_on: first}}
  - {{id: third, action: note, depends_on: [second]}}
"""


@pytest.fixture
def env(log: Path) -> dict[str, str]:
    return {**clean_env(), "RUNCAST_LOG": str(log), "RUNCAST_RUNNER_LEASE_S": "1", "PYTHONPATH": str(ROOT)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A plan whose second step waits for the file `go`."""
    return written(tmp_path, STEPS)


def written(folder: Path, text: str) -> Path:
    file = folder / "plan.yaml"
    file.write_text(text.format(folder=folder))
    return file


def only(run: Run) -> dict[str, Any]:
    (found,) = run("plan", "list", "--json").json
    return found


def end(process: subprocess.Popen[str]) -> str:
    """Its output; it has completed."""
    output, complaints = process.communicate(timeout=WAIT_S)
    assert (process.returncode, complaints) == (0, "")
    return output


def test_the_example_runs_without_anything_else(run: Run) -> None:
    assert run("knowledge", "add", str(ROOT / "docs"), str(ROOT / "README.md")).code == 0
    ended = run("plan", "run", str(ROOT / "examples" / "plans" / "research.yaml"))
    assert (ended.code, ended.err) == (0, "")
    assert "quality_check       report: quality " in ended.out
    assert ".md" in ended.out.partition("plan_completed")[2]
    found = only(run)
    assert (found["status"], found["steps_by_status"]) == ("completed", {"completed": 5})
    shown = run("plan", "show", found["plan_id"]).out
    steps = [line.split()[:2] for line in shown.splitlines() if " research " in line]
    assert steps[:2] == [["storage", "completed"], ["delivery", "completed"]]
    assert "status         completed" in run("plan", "show", found["plan_id"], "report").out


def test_at_a_terminal_it_is_shown_live(env: dict[str, str], file: Path, tmp_path: Path) -> None:
    with Terminal([*RUNCAST, "plan", "run", str(file), *WORK], env, columns=120) as terminal:
        terminal.wait_for("● running")
        terminal.wait_for("first   ✓ completed")
        terminal.wait_for("at the gate")
        terminal.wait_for("waits for second")
        terminal.wait_for("1 of 3 steps done")
        (tmp_path / "go").touch()
        assert terminal.end() == 0
        assert terminal.is_as_before
    assert "This is done." in terminal.text.rstrip().splitlines()[-1]
    assert done(tmp_path) == ["first", "second", "third"]


def test_a_review_is_answered_by_keys(env: dict[str, str], tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "query: {folder}\nsteps:\n  - id: draft\n    action: note\n    quality_gate: {{min_score: 0.9, on_fail: review}}\n",
    )
    with Terminal([*RUNCAST, "plan", "run", str(file), *WORK], env) as terminal:
        terminal.wait_for("? draft: The quality is 0.40; 0.90 is asked for.")
        terminal.wait_for("This is **done**.")
        terminal.type("ngo on, I say\r")
        assert terminal.end() == 1
    assert "It was rejected in its review: go on, I say" in terminal.text
    with Terminal([*RUNCAST, "plan", "run", str(file), *WORK], env) as terminal:
        terminal.wait_for("y approve   n refuse")
        terminal.type("y\r")
        assert terminal.end() == 0


def test_ctrl_c_cancels_it(env: dict[str, str], file: Path, run: Run) -> None:
    with Terminal([*RUNCAST, "plan", "run", str(file), *WORK], env) as terminal:
        terminal.wait_for("at the gate")
        terminal.type(CTRL_C)
        assert terminal.end() == 130
        assert terminal.is_as_before
    assert "The plan was cancelled: interrupted at the terminal" in terminal.text
    assert only(run)["status"] == "cancelled"


def kill_in_the_midst(env: dict[str, str], file: Path, folder: Path) -> None:
    kill_after(start(env, "plan", "run", str(file), *WORK), "step_started        second")
    (folder / "go").touch()


def test_one_whose_process_was_killed_is_gone_on_with(
    env: dict[str, str], file: Path, tmp_path: Path, run: Run
) -> None:
    kill_in_the_midst(env, file, tmp_path)
    refused = run("plan", "run", str(file), *WORK).complaint(code=1)
    assert refused.endswith(
        "is running. To see it: runcast plan attach nightly --load tests.support.run_work"
    )
    output = end(start(env, "plan", "attach", "nightly", *WORK))
    assert "step_completed      third: completed in " in output
    assert done(tmp_path) == ["first", "second", "third"]


def test_a_server_takes_over_one_whose_process_was_killed(
    env: dict[str, str], file: Path, tmp_path: Path, log: Path
) -> None:
    kill_in_the_midst(env, file, tmp_path)
    with ServeProcess(log, *WORK, env=env) as server:
        output = end(start(env, "plan", "attach", "nightly", "--url", server.url()))
        assert "step_completed      third: completed in " in output
        assert done(tmp_path) == ["first", "second", "third"]
        (tmp_path / "done").unlink()
        output = end(start(env, "plan", "run", str(file), "--json", "--url", server.url()))
        assert output.splitlines()[-1].startswith('{"type":"result","plan_id":"nightly","status":"completed"')


def test_one_that_has_failed_goes_on_after_commands(env: dict[str, str], tmp_path: Path, run: Run) -> None:
    file = written(
        tmp_path,
        "query: {folder}\nsteps:\n  - {{id: bad, action: fail, max_attempts: 1}}\n"
        "  - {{id: last, action: note, depends_on: bad}}\n",
    )
    ended = run("plan", "run", str(file), *WORK)
    plan_id = only(run)["plan_id"]
    assert ended.code == 1
    assert ended.out.endswith(
        'The plan has failed: The step "bad" has failed: The disk is full.\n'
        f"To try the step again: runcast plan retry {plan_id} bad\n"
    )
    skipped = run("plan", "skip", plan_id, "bad", "--reason", "not needed")
    assert skipped.code == 0
    assert skipped.out.startswith(f"skip_step is stored, but nobody runs {plan_id} now.")
    output = end(start(env, "plan", "attach", plan_id, *WORK))
    assert "step_skipped        bad: by " in output
    assert output.endswith("This is **done**.\n")
    assert done(tmp_path) == ["last"]
    assert "is completed; nothing can be done" in run("plan", "cancel", plan_id).complaint(code=1)


def test_commands_through_a_server(
    env: dict[str, str], file: Path, tmp_path: Path, log: Path, run: Run
) -> None:
    with ServeProcess(log, *WORK, env=env) as server:
        url = ["--url", server.url()]
        process = start(env, "plan", "run", str(file), *url)
        try:
            wait_until(lambda: done(tmp_path) == ["first"])
            assert run("plan", "pause", "nightly", "--reason", "lunch", *url).out == "nightly: plan paused.\n"
            assert run("plan", "list", "--status", "paused", *url).out.splitlines()[3].split()[:3] == [
                "nightly",
                "paused",
                "1/3",
            ]
            assert run("plan", "pause", "nightly", *url).complaint(code=1) == "The plan is paused already."
            assert run("plan", "resume", "nightly", *url).out == "nightly: plan resumed.\n"
            assert 'no step "odd"' in run("plan", "retry", "nightly", "odd", *url).complaint(code=1)
            assert run("plan", "skip", "nightly", "third", *url).out == "nightly: step skipped (third).\n"
            assert 'No gate "first" waits' in run("plan", "review", "nightly", "first", *url).complaint(
                code=1
            )
            (given,) = run("plan", "cancel", "nightly", "--json", *url).json
            assert (given["status"], given["event"]) == ("done", "plan_cancelled")
            output, _ = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
            process.communicate()
    assert process.returncode == 1
    assert "plan_paused         by " in output
    shown = run("show", "plan:nightly", "--last", "1").out
    assert shown.splitlines()[-1].split("  ")[1].startswith("plan_cancelled")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: [", ":1: this is no YAML: "),
        ("a: b: c", ":1: this is no YAML: mapping values are not allowed here."),
        ("", ":1: a plan is a mapping with `steps:`"),
        ("- a", ":1: a plan is a mapping with `steps:`"),
        ("name: x", ":1: steps: a list of at least one step is expected."),
        ("steps:\n  - id: a\n    depends_on: [b]", ':3: steps[0].depends_on: there is no step "b".'),
        (
            "steps:\n  - id: a\n  - id: b\n    action: odd",
            ':4: steps[1].action: there is no action "odd"; there are: ',
        ),
        ("steps:\n  - id: a\n    id: b", ":3: steps[0].id is there twice."),
        ("steps:\n  - id: a\n    colour: red", ":3: steps[0].colour: there is no such field."),
        (
            "steps:\n  - id: a\n    quality_gate:\n      min_score: 7",
            ":4: steps[0].quality_gate.min_score: a number",
        ),
        ("steps: &a [*a]", ": it holds what JSON cannot: "),
        ("steps: !!python/object:os.system {}", ":1: this is no YAML: could not determine a constructor"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(
    run: Run, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    line = run("plan", "run", str(file)).complaint(code=2)
    assert line.startswith(f"{file}{words}")


def test_a_file_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    line = run("plan", "run", str(tmp_path / "none.yaml")).complaint(code=2)
    assert line == f"FILE: {tmp_path}/none.yaml cannot be read (No such file or directory)."
    (tmp_path / "odd").write_bytes(b"\xff")
    assert "is not valid UTF-8" in run("plan", "run", str(tmp_path / "odd")).complaint(code=2)


def test_what_yaml_makes_of_a_value_is_sent_as_json(run: Run, tmp_path: Path) -> None:
    file = written(
        tmp_path,
        "query: {folder}\nsteps:\n  - {{id: a, action: note, params: {{day: 2026-01-31, 7: yes, none: ~}}}}\n",
    )
    assert run("plan", "run", str(file), *WORK).code == 0
    (step,) = run("plan", "show", only(run)["plan_id"], "--json").json[0]["steps"]
    assert step["params"] == {"day": "2026-01-31", "7": True, "none": None}


def test_unknown_ones(run: Run) -> None:
    run("publish", "a:b", "x")
    for arguments in (["show"], ["attach"], ["pause"], ["cancel"]):
        assert run("plan", *arguments, "none").complaint(code=1) == 'There is no plan "none".'
    assert "plan id: 1 to 200" in run("plan", "retry", "a/b", "x").complaint(code=2)
    assert run("plan", "list", "--status", "odd").complaint(code=2).startswith("--status: ")
    assert run("plan", "list").out.startswith("No plans on sqlite:///")
