"""`runcast token`: keys that servers of the log take, what is done to them, and tokens for trying things out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.commands import Run
from tests.support.process import ServeProcess

from runcast.log.place import auth_file

STREAM = "session:s"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeProcess]:
    with ServeProcess(tmp_path_factory.mktemp("log") / "log.db", "--locked") as server:
        yield server


@pytest.fixture
def its_log(server: ServeProcess) -> str:
    return server.command[server.command.index("--log") + 1]


def made(run: Run, *arguments: str) -> str:
    """What is printed on stdout: the key or token alone, so that it can go into a variable."""
    ended = run("token", *arguments)
    assert ended.code == 0, ended
    (text,) = ended.out.splitlines()
    return text


def key_id(run: Run, name: str, log: str) -> str:
    listed = run("token", "list", "--log", log).out.splitlines()
    return next(line.split()[0] for line in listed if f" {name} " in line)


def test_a_key_lets_in_as_far_as_it_goes_until_it_is_revoked(
    run: Run, server: ServeProcess, its_log: str
) -> None:
    place = ["--url", server.url()]
    refused = run("publish", STREAM, "t", *place).complaint(code=1)
    assert "redentials" in refused
    key = made(run, "create", "writer", "--write", "session:*", "--log", its_log)
    assert run("publish", STREAM, "t", *place, "--token", key).code == 0
    assert run("publish", STREAM, "t", *place, env={"RUNCAST_TOKEN": key}).code == 0
    assert run("show", STREAM, *place, "--token", key).code == 1, "it may write, and not read"
    assert run("publish", "job:1", "t", *place, "--token", key).code == 1
    revoked = run("token", "revoke", key_id(run, "writer", its_log), "--log", its_log)
    assert (revoked.code, revoked.out) == (0, "")
    assert revoked.err.endswith("is revoked.\n")
    assert "revoked" in run("publish", STREAM, "t", *place, "--token", key).complaint(code=1)


def test_a_printed_token_lets_in_without_being_kept(run: Run, server: ServeProcess, its_log: str) -> None:
    token = made(run, "print", "ann", "--read", "*", "--write", "*", "--log", its_log)
    place = ["--url", server.url(), "--token", token]
    assert run("publish", "session:t", "t", *place).code == 0
    assert (
        run("tail", "session:t", "--after", "start", "--limit", "1", "--json", *place).json[0]["type"] == "t"
    )
    assert " ann " not in run("token", "list", "--log", its_log).out


def test_keys_are_listed_with_what_they_may_and_whether_they_count(run: Run) -> None:
    empty = run("token", "list")
    assert (empty.code, empty.out) == (0, "")
    assert "runcast token create" in empty.err
    created = run("token", "create", "ci", "--read", "session:*", "--read", "job:*", "--expires", "30d")
    assert created.code == 0
    assert "shown once" in created.err
    made(run, "create", "boss", "--admin")
    listed = run("token", "list").out
    ci, boss = (next(line for line in listed.splitlines() if f" {name} " in line) for name in ("ci", "boss"))
    assert "session:* job:*" in " ".join(ci.split())
    assert " until " in ci
    assert "admin" in boss
    assert " counts " in boss
    assert created.out.strip().rpartition("_")[2] not in listed
    run("token", "revoke", boss.split()[0])
    assert " revoked " in next(line for line in run("token", "list").out.splitlines() if " boss " in line)


def test_keys_are_beside_the_log_and_for_this_user_only(run: Run, log: Path) -> None:
    made(run, "create", "ci", "--read", "*")
    assert auth_file(log).stat().st_mode & 0o077 == 0
    assert not log.exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["create"], 2, "give the key a name"),
        (["create", "x"], 2, "say what the key may do"),
        (["create", "x", "--read", "nonsense"], 2, "'nonsense' is no pattern"),
        (["create", "x", "--read", "*", "--expires", "soon"], 2, "--expires: 'soon' is no span of time"),
        (["revoke"], 2, "which key?"),
        (["revoke", "0123"], 1, "no such key"),
        (["destroy"], 2, "runcast token --help"),
        (["list", "--log", "memory:"], 1, "RUNCAST_API_KEYS"),
    ],
)
def test_what_cannot_be_is_one_line(run: Run, arguments: list[str], code: int, words: str) -> None:
    assert words in run("token", *arguments).complaint(code)
