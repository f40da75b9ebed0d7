"""The tools of the demo's agent in a folder that somebody else has prepared: they run nothing of it, and stay inside."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from runcast.kinds.base import Publish, accept
from runcast.kinds.session import SESSION
from runcast.runners.explorer_tools import COMMANDS, ToolError, Tools


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "a.py").write_text("one = 1\n")
    return root


def git(folder: Path, *words: str) -> None:
    names = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run(["git", *names, *words], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def trap(folder: Path) -> Path:
    """A repository whose own settings name programs, wherever there is a place for one; a run leaves this file."""
    mark = folder.parent / "ran"
    program = folder.parent / "program"
    program.write_text(f"#!/bin/sh\ntouch {mark}\ncat\n")
    program.chmod(0o755)
    git(folder, "init", "-q")
    git(folder, "add", "a.py")
    git(folder, "commit", "-qm", "First")
    (folder / "a.py").write_text("one = 2\n")
    git(folder, "commit", "-qam", "Second")
    (folder / ".gitattributes").write_text("* filter=trap diff=trap\n")
    for name in (
        *(
            "filter.trap.clean",
            "filter.trap.smudge",
            "diff.trap.textconv",
            "diff.trap.command",
            "diff.external",
        ),
        *("core.pager", "pager.log", "core.fsmonitor", "gpg.program", "core.editor", "core.sshCommand"),
        *("remote.origin.uploadpack", "core.askPass", "core.gitProxy"),
    ):
        git(folder, "config", name, str(program))
    for name, value in {
        "log.showSignature": "true",
        "format.pretty": "%G? %s",
        "core.hooksPath": str(folder.parent),
        "remote.origin.url": f"ext::{program}",
        "remote.origin.promisor": "true",
        "protocol.ext.allow": "always",
        "extensions.partialClone": "origin",
        "core.repositoryFormatVersion": "1",
    }.items():
        git(folder, "config", name, value)
    os.utime(folder / "a.py", (1, 1))  # so that git would have to look into it
    mark.unlink(missing_ok=True)
    return mark


def test_no_program_of_the_repository_is_run(folder: Path, trap: Path) -> None:
    for command in COMMANDS:
        Tools(folder).run(command)
    assert not trap.exists()
    assert Tools(folder).run("git log --oneline -20").endswith("First")
    assert Tools(folder).run("git log --format= --name-only -5").split() == ["a.py", "a.py"]


def test_nor_is_one_to_fetch_what_is_missing(folder: Path, trap: Path) -> None:
    for lost in (folder / ".git" / "objects").glob("??/*"):
        lost.unlink()
    for command in COMMANDS:
        if command.startswith("git"):
            with pytest.raises(ToolError):
                Tools(folder).run(command)
    assert not trap.exists()


def test_links_are_not_followed_wherever_they_lead(folder: Path) -> None:
    (folder / ".env").write_text("SECRET=1\n")
    (folder / ".secret").mkdir()
    (folder / ".secret" / "key.txt").write_text("SECRET=2\n")
    (folder / "settings.json").symlink_to(".env")
    (folder / "docs").symlink_to(".secret")
    (folder / "copy.py").symlink_to("a.py")
    for path in ("settings.json", "docs/key.txt", "copy.py"):
        with pytest.raises(ToolError, match="a link"):
            Tools(folder).read(path)
    assert list(Tools(folder).files()) == ["a.py"]


def test_links_in_a_circle_and_odd_paths_are_errors_of_the_tool(folder: Path) -> None:
    (folder / "round.md").symlink_to("about.md")
    (folder / "about.md").symlink_to("round.md")
    for path in ("round.md", "a\0b", "x" * 5_000, "a.py/b"):
        with pytest.raises(ToolError):
            Tools(folder).read(path)


def test_names_that_are_not_utf8_can_be_told(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/caf\xe9.py")).write_text("one\n")
    listed = Tools(folder).list("")
    assert listed.splitlines() == ["a.py", "caf\ufffd.py"]
    event = Publish(stream="session:s", type="tool_result", data={"output_summary": listed})
    accept(SESSION, event, 2**60, 2**20)
    assert "1  in all" in Tools(folder).count_lines("")
