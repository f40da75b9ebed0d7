"""All commands alike: help, bad use, a server that is not there, and how a process ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.support.commands import Run
from tests.support.process import clean_env, free_port, run_runcast, start_process
from tests.support.server import WAIT_S

COMMANDS = [
    "serve",
    "demo",
    "watch",
    "publish",
    "tail",
    "streams",
    "show",
    "hook",
    "install-hooks",
    "doctor",
]
OURS = ["demo", "publish", "tail", "streams", "show", "doctor"]


def test_alone_it_lists_all_commands() -> None:
    ended = run_runcast()
    assert ended.returncode == 0
    listed = [line.split()[1] for line in ended.stdout.splitlines() if line.startswith("│ ")]
    assert listed[: len(COMMANDS)] == COMMANDS
    assert run_runcast("--help").stdout == ended.stdout


def test_the_version() -> None:
    from runcast import __version__

    assert run_runcast("--version").stdout == f"{__version__}\n"


def test_listing_the_commands_imports_none_of_them() -> None:
    program = (
        "import sys; from runcast.cli.commands import make_app; make_app('')(['--help'], result_action='return_value'); "
        "print(sorted(name for name in sys.modules if name.startswith(('runcast.cli.', 'fastapi', 'httpx2'))))"
    )
    process = start_process([sys.executable, "-c", program], clean_env())
    output, _ = process.communicate(timeout=WAIT_S)
    assert output.splitlines()[-1] == "['runcast.cli.commands', 'runcast.cli.output', 'runcast.cli.usage']"


@pytest.mark.parametrize("command", OURS)
def test_each_explains_itself_with_examples(run: Run, command: str) -> None:
    ended = run(command, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert f"    runcast {command}" in ended.out
    assert "For example:" in ended.out
    assert "\x1b" not in ended.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tial"], ["'tial'", "Did you mean tail?", "runcast --help"]),
        (["xyzzy"], ["'xyzzy'", "runcast --help"]),
        (["tail", "--foo"], ["--foo", "runcast tail --help"]),
        (["tail"], ["STREAMS", "session:*"]),
        (["tail", "a:b", "--limit", "many"], ["--limit", "runcast tail --help"]),
        (["tail", "a:b", "--limit", "0"], ["--limit"]),
        (["tail", "a:b", "a:c", "--after", "0123456789abcdef-1-0000"], ["--after"]),
        (["tail", "a:b", "--type", "x", "--filter", '{"event_types": ["y"]}'], ["--type"]),
        (["publish"], ["STREAM", "runcast publish --help"]),
        (["publish", "a:b", "x", "--data", "{"], ["--data"]),
        (["publish", "a:b", "x", "--data", "[1]"], ["--data", "object"]),
        (["publish", "a:b", "x", "--file", "y"], ["--file"]),
        (["publish", "a:b", "--id", "7"], ["TYPE"]),
        (["show"], ["STREAM", "runcast show --help"]),
        (["show", "a:b", "--last", "1000"], ["--last"]),
        (["streams", "--url", "http://localhost:1", "--log", "x"], ["--url", "--log"]),
        (["doctor", "extra"], ["runcast doctor --help"]),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(run: Run, arguments: list[str], words: list[str]) -> None:
    line = run(*arguments).complaint(code=2)
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["publish", "nonsense", "x"], ["kind:id"]),
        (["tail", "nonsense"], ["kind:id"]),
        (["tail", "a:b", "--after", "nonsense"], ["after"]),
        (["tail", "a:b", "--filter", "{"], ["filter"]),
        (["tail", "a:b", "--filter", '{"colour": []}'], ["colour"]),
        (["streams"], ["log.db"]),
        (["streams", "--kind", "NO"], []),
        (["show", "session:none"], ["log.db"]),
        (["streams", "--log", "memory:"], ["--url"]),
        (["streams", "--log", "pigeon:coop"], ["pigeon"]),
        (["streams", "--url", "localhost:8000"], ["http://localhost:8000"]),
        (["demo", "--path", "/nonexistent"], ["/nonexistent"]),
        (["demo", "--port", "70000"], ["port", "65535"]),
    ],
)
def test_what_cannot_be_done_is_one_line(run: Run, arguments: list[str], words: list[str]) -> None:
    line = run(*arguments).complaint(code=1)
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    "arguments",
    [
        ["publish", "a:b", "x"],
        ["publish", "a:b", "--file", "-"],
        ["tail", "a:*"],
        ["tail", "a:b"],
        ["streams"],
        ["show", "a:b"],
    ],
)
def test_a_server_that_is_not_there_is_one_line(run: Run, arguments: list[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    line = run(*arguments, "--url", url).complaint(code=1)
    assert line == f"Nobody answers at {url}. Start a server there with `runcast serve`."
    assert run(*arguments, env={"RUNCAST_URL": url}).complaint(code=1) == line


def test_processes_say_the_same(tmp_path: Path) -> None:
    unknown = run_runcast("tial")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith("runcast: There is no command 'tial'.")
    refused = run_runcast("publish", "nonsense", "x", env={"RUNCAST_LOG": str(tmp_path / "log.db")})
    assert (refused.returncode, refused.stdout) == (1, "")
    assert len(refused.stderr.splitlines()) == 1
