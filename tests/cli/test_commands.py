"""All commands alike: help, bad use, a server that is not there, and how a process ends."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.support.commands import Run
from tests.support.process import clean_env, free_port, run_runcast, start_process
from tests.support.server import WAIT_S

from runcast.cli.usage import WRITABLE

COMMANDS = [
    "serve",
    "demo",
    "watch",
    "workflow",
    "plan",
    "task",
    "publish",
    "tail",
    "streams",
    "show",
    "nodes",
    "worker",
    "knowledge",
    "hook",
    "install-hooks",
    "token",
    "doctor",
]
OURS = ["demo", "workflow", "plan", "task", "publish", "tail", "streams", "show", "nodes", "token", "doctor"]


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
        (["publish", "nonsense", "x"], ["kind:id"]),
        (["publish", "nonsense"], ["kind:id"]),
        (["publish", "a:b", "x", "--time", "noon"], ["--time", "RFC 3339"]),
        (["publish", "a:b", "x", "--id", ""], ["--id"]),
        (["publish", "session:b", "x", "--data", '{"cost_tokens": -1}'], ["cost_tokens"]),
        (["show", "nonsense"], ["kind:id"]),
        (["show", "a:b", "--last", "-1"], ["--last"]),
        (["streams", "--kind", "NO"], ["kind"]),
        (["tail", "nonsense"], ["kind:id"]),
        (["tail", "NO:*"], ["kind"]),
        (["tail", "a:b", "--after", "nonsense"], ["after"]),
        (["tail", "a:b", "--filter", "{"], ["filter"]),
        (["tail", "a:b", "--filter", '{"colour": []}'], ["colour"]),
        (["tail", "a:b", "--limit", "-1"], ["--limit"]),
        (["watch", "--since", "-1d"], ["--since", "'-1d' is no span of time", "7d"]),
        (["token", "create", "x", "--admin", "--expires", "-1d"], ["--expires", "'-1d'"]),
        (["demo", "--port", "70000"], ["--port: an integer from 0 to 65535."]),
        (["doctor", "--port", "-5"], ["--port: an integer from 0 to 65535."]),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(run: Run, arguments: list[str], words: list[str]) -> None:
    line = run(*arguments).complaint(code=2)
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["streams"], ["log.db"]),
        (["tail", "a:b"], ["there is none at", "log.db"]),
        (["publish", "a:b", "x", "--log", "/nonexistent/a/x.db"], ["no folder /nonexistent/a", "mkdir"]),
        (["tail", "a:b", "--log", "/nonexistent/a/x.db"], ["no folder /nonexistent/a"]),
        (["token", "list", "--log", "/nonexistent/a/x.db"], ["no folder /nonexistent/a"]),
        (["show", "session:none"], ["log.db"]),
        (["streams", "--log", "memory:"], ["--url"]),
        (["streams", "--log", "pigeon:coop"], ["pigeon"]),
        (["streams", "--url", "localhost:8000"], ["http://localhost:8000"]),
        (["demo", "--path", "/nonexistent"], ["/nonexistent"]),
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
    assert (refused.returncode, refused.stdout) == (2, "")
    assert len(refused.stderr.splitlines()) == 1


def test_the_folder_of_the_default_log_is_made(run: Run, tmp_path: Path) -> None:
    home = tmp_path / "new" / "data"
    assert run("publish", "a:b", "x", env={"RUNCAST_LOG": "", "XDG_DATA_HOME": str(home)}).code == 0
    assert (home / "runcast" / "log.db").exists()
    assert not Path("/nonexistent").exists()


def test_a_log_that_may_only_be_read_says_what_to_do(
    run: Run, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("publish", "a:b", "x")
    monkeypatch.setattr("runcast.log.sqlite.files._writable", lambda _: False)
    line = run("publish", "a:b", "y").complaint(code=1)
    assert "may only be read" in line
    assert line.endswith(f" {WRITABLE}")
    assert run("streams").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--port", "-5"], 2, "--port: an integer from 0 to 65535."),
        (["--workers", "0"], 2, "--workers: an integer, 1 or more."),
        (["--log", "/nonexistent/a/x.db"], 1, "log: there is no folder /nonexistent/a. Make it"),
        (["--host", "nosuchhost.invalid"], 1, "host: the name nosuchhost.invalid leads to no address"),
    ],
)
def test_a_server_that_cannot_be_is_one_line(arguments: list[str], code: int, words: str) -> None:
    ended = run_runcast("serve", *arguments)
    assert (ended.returncode, ended.stdout, len(ended.stderr.splitlines())) == (code, "", 1)
    assert words in ended.stderr
