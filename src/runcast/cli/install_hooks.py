"""`runcast install-hooks`: registers our hook in Claude Code's settings, or takes it out again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from runcast.errors import ConfigError
from runcast.sources.claude_code.settings import (
    EVENTS,
    OLD_EVENTS,
    WITHOUT_HTTP,
    Settings,
    SettingsChanged,
    SettingsFile,
    command_hook,
    events_of_ours,
    http_hook,
    installed,
    uninstalled,
)

_VERSION_S = 10.0
_NEEDED = (2, 1)
"""Versions of Claude Code from this one on know all of `EVENTS`."""


def install_hooks(
    *,
    user: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="in ~/.claude/settings.json, for all projects [default]"
        ),
    ] = False,
    project: Annotated[
        bool, Parameter(negative="", show_default=False, help="in ./.claude/settings.json, for this project")
    ] = False,
    settings: Annotated[Path | None, Parameter(help="in another settings file")] = None,
    http: Annotated[
        str | None, Parameter(help="post to the server at this address instead of running a command")
    ] = None,
    uninstall: Annotated[
        bool, Parameter(negative="", show_default=False, help="take our hooks out again")
    ] = False,
    dry_run: Annotated[
        bool, Parameter(negative="", show_default=False, help="only say what would be changed")
    ] = False,
) -> None:
    """Let Claude Code tell Runcast what it does: tool calls and results, prompts, subagents, and more.

    Other hooks and settings stay as they are. Sessions that run already go on without it until they are begun anew.
    """
    path = _path(user=user, project=project, given=settings)
    wanted = None if uninstall else _wanted(http)  # which may take long: the file is read after it
    try:
        file, changed = _change(path, wanted, dry_run=dry_run)
    except SettingsChanged:  # the second time it is for whoever asked to decide
        file, changed = _change(path, wanted, dry_run=dry_run)
    if changed == file.settings:
        print(f"Nothing to change in {file.path}.")
        return
    _tell(file, changed, _again(user=user, project=project, given=settings), dry_run=dry_run)


def _change(
    path: Path, wanted: tuple[dict[str, Any], list[str]] | None, *, dry_run: bool
) -> tuple[SettingsFile, Settings]:
    """The file as it was, and what it says now; without `wanted` our hooks are taken out."""
    file = SettingsFile(path)
    changed = uninstalled(file.settings) if wanted is None else installed(file.settings, *wanted)
    if changed != file.settings and not dry_run:
        file.write(changed)
    return file, changed


def _path(*, user: bool, project: bool, given: Path | None) -> Path:
    if user + project + (given is not None) > 1:
        raise ConfigError("settings: choose one of --user, --project and --settings.")
    if given is not None:
        return given.expanduser()
    if project:
        return Path(".claude") / "settings.json"
    folder = os.environ.get("CLAUDE_CONFIG_DIR")  # Claude Code's own variable
    return (Path(folder) if folder else Path("~/.claude")).expanduser() / "settings.json"


def _again(*, user: bool, project: bool, given: Path | None) -> str:
    """The options that name the same file another time."""
    if given is not None:
        return f" --settings {given}"
    return " --project" if project else " --user" if user else ""


def _wanted(http: str | None) -> tuple[dict[str, Any], list[str]]:
    """The hook, and the events that it is for."""
    if http is not None:
        return http_hook(http), [event for event in EVENTS if event not in WITHOUT_HTTP]
    version = _claude_version()
    events = EVENTS if version is None or version >= _NEEDED else OLD_EVENTS
    return command_hook(_program()), list(events)


def _program() -> Path:
    """The absolute path of the `runcast` that is running, or that would be.

    Raises:
        ConfigError: there is none.
    """
    name = "runcast.exe" if os.name == "nt" else "runcast"
    for candidate in (Path(sys.argv[0]), Path(sys.executable).with_name(name)):
        if candidate.name == name and candidate.is_file():
            return candidate.absolute()
    found = shutil.which("runcast")
    if found is None:
        raise ConfigError(f"runcast: no such program beside {sys.executable} or in PATH.")
    return Path(found).absolute()


def _claude_version() -> tuple[int, ...] | None:
    """What `claude --version` says; None if it is not here or says nothing of the kind."""
    program = shutil.which("claude")
    if program is None:
        return None
    try:
        said = subprocess.run(  # noqa: S603 - a fixed argument
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_S,
            check=False,
            stdin=subprocess.DEVNULL,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.match(r"(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else None


def _tell(file: SettingsFile, changed: Settings, same_file: str, *, dry_run: bool) -> None:
    before, after = events_of_ours(file.settings), events_of_ours(changed)
    would = "would be " if dry_run else ""
    print(f"{file.path}: {would}changed.")
    if after:
        print(f"  Hooks of Runcast for: {', '.join(after)}")
        print(f"  To undo: runcast install-hooks --uninstall{same_file}")
    else:
        print(f"  Hooks of Runcast {would}removed: {', '.join(before)}")
    if file.copy.exists():
        print(f"  What was there before is kept in {file.copy}")
    if after and os.environ.get("RUNCAST_LOG"):
        print(
            "  RUNCAST_LOG is set here: start Claude Code with the same, or its events go to the default log."
        )
