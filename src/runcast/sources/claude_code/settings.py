"""Hooks of ours in Claude Code's settings: put in and taken out, with everything else left as it is.

The edits are pure functions of the settings. `SettingsFile` reads and writes the file around them: at once and
whole, in the indentation that it has, with a copy of what was there before.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import SplitResult, urlsplit

from runcast.errors import ConfigError

# Claude Code skips a settings file as a whole if it has the name of one event in it that this version does not know.
# So the newest events are left alone: whoever wants them adds our command by hand.
OLD_EVENTS: Final = (
    "SessionStart",
    "UserPromptSubmit",
    "PreToolUse",
    "PostToolUse",
    "Notification",
    "PreCompact",
    "SubagentStop",
    "Stop",
    "SessionEnd",
)
"""Every version knows these."""
EVENTS: Final = (
    *OLD_EVENTS[:4],
    "PostToolUseFailure",
    "PermissionRequest",
    *OLD_EVENTS[4:6],
    "SubagentStart",
    *OLD_EVENTS[6:],
)
"""Versions from 2.1 on know these."""
WITHOUT_HTTP: Final = ("SessionStart",)
"""Events that Claude Code does not post."""
TIMEOUT_S: Final = 5
"""After so long Claude Code goes on without the hook."""
ENDPOINT: Final = "/ingest/claude-code"
SUFFIX: Final = ".before-runcast"
"""What the copy's name ends with."""

Settings = dict[str, Any]
_COMMAND: Final = ["hook", "claude-code"]


def command_hook(program: Path) -> dict[str, Any]:
    """The hook that runs `program`, an absolute path: hooks run with a PATH of their own."""
    command = f"{shlex.quote(program.as_posix())} {' '.join(_COMMAND)}"
    return {"type": "command", "command": command, "timeout": TIMEOUT_S}


def http_hook(server: str) -> dict[str, Any]:
    """The hook that is posted to the server at `server`, for example `http://localhost:8000`.

    Raises:
        ConfigError: it is no HTTP address.
    """
    parts = _split(server)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError(f"http: {server} is not the address of a server, such as http://localhost:8000.")
    url = server.rstrip("/").removesuffix(ENDPOINT) + ENDPOINT
    return {"type": "http", "url": url, "timeout": TIMEOUT_S}


def is_ours(hook: object) -> bool:
    """Whether an entry of the settings is a hook that was put there by us, from whichever place."""
    if not isinstance(hook, Mapping):
        return False
    entry = cast("Mapping[str, object]", hook)
    command, url = entry.get("command"), entry.get("url")
    if isinstance(url, str):
        return _split(url).path.endswith(ENDPOINT)
    return isinstance(command, str) and _is_our_command(command)


def installed(settings: Settings, hook: Mapping[str, Any], events: Iterable[str]) -> Settings:
    """`settings` with `hook` for each of `events`, and no other hook of ours.

    Where it stands already, nothing is moved.

    Raises:
        ConfigError: the hooks are not what Claude Code would read.
    """
    changed = _checked_copy(settings)
    wanted = list(events)
    hooks: dict[str, Any] = changed.setdefault("hooks", {})
    for event in [*hooks, *(event for event in wanted if event not in hooks)]:
        groups: list[Any] = hooks.get(event, [])
        ours = [entry for entry in _entries(groups) if is_ours(entry)]
        if event not in wanted:
            _remove_ours(hooks, event)
        elif ours != [hook]:
            _remove_ours(hooks, event)
            hooks.setdefault(event, []).append({"hooks": [dict(hook)]})
    return changed


def uninstalled(settings: Settings) -> Settings:
    """`settings` without any hook of ours, and without what is empty only for want of it.

    Raises:
        ConfigError: the hooks are not what Claude Code would read.
    """
    changed = _checked_copy(settings)
    hooks = changed.get("hooks", {})
    before = bool(hooks)
    for event in list(hooks):
        _remove_ours(hooks, event)
    if before and not hooks:
        del changed["hooks"]
    return changed


def events_of_ours(settings: Settings) -> list[str]:
    """The events for which a hook of ours is installed.

    Raises:
        ConfigError: the hooks are not what Claude Code would read.
    """
    hooks: dict[str, list[Any]] = _checked_copy(settings).get("hooks", {})
    return [event for event, groups in hooks.items() if any(map(is_ours, _entries(groups)))]


def _split(url: str) -> SplitResult:
    """The parts of an address; of what is none, all are empty."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _is_our_command(command: str) -> bool:
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    program = Path(words[-3].replace("\\", "/")).name if len(words) >= 3 else ""
    return words[-2:] == _COMMAND and program.removesuffix(".exe") == "runcast"


def _entries(groups: Sequence[Any]) -> list[Any]:
    return [entry for group in groups for entry in group.get("hooks", [])]


def _remove_ours(hooks: dict[str, Any], event: str) -> None:
    kept: list[Any] = []
    for group in hooks.get(event, []):
        entries: list[Any] = group.get("hooks", [])
        others = [entry for entry in entries if not is_ours(entry)]
        if len(others) != len(entries):
            group["hooks"] = others
        if others or not entries:
            kept.append(group)
    if kept or not hooks.get(event, True):
        hooks[event] = kept
    else:
        hooks.pop(event, None)


def _checked_copy(settings: Settings) -> Settings:
    changed = copy.deepcopy(settings)
    hooks = changed.get("hooks", {})
    _expect(isinstance(hooks, dict), "hooks", "an object")
    for event, groups in hooks.items():
        _expect(isinstance(groups, list), f"hooks.{event}", "a list")
        for group in groups:
            _expect(isinstance(group, dict), f"hooks.{event}", "a list of objects")
            _expect(isinstance(group.get("hooks", []), list), f"hooks.{event}.hooks", "a list")
    return changed


def _expect(is_so: bool, name: str, what: str) -> None:
    if not is_so:
        raise ConfigError(f"{name}: {what} is expected. Nothing was changed.")


# --- the file ------------------------------------------------------------------------------------


class SettingsChanged(ConfigError):
    """Somebody else has changed the file since it was read. It is left as they wrote it."""


class SettingsFile:
    """A file of Claude Code's settings. It need not be there yet; a link to it is followed.

    Raises:
        ConfigError: it cannot be read, or is no JSON object. It is not touched.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.copy = self.path.with_name(f"{self.path.name}{SUFFIX}")
        try:
            self._content = _content_of(self.path)
        except OSError as error:
            raise ConfigError(f"{path} cannot be read ({error.strerror}).") from None
        self.settings = _parse(self._content, self.path)

    def write(self, settings: Settings) -> None:
        """Replace the content. What was there before any hook of ours is kept in `copy`.

        If the settings are again what they were then, the file becomes exactly what it was, or is removed if it
        was not there.

        Raises:
            SettingsChanged: it is not any more as it was read.
            ConfigError: it cannot be written; it is as it was.
        """
        try:
            self._check_unchanged()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self._restore(settings):
                if self._content is not None and not events_of_ours(self.settings):
                    _replace(self.copy, self._content, self.path)
                self._put(_like(settings, self._content))
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be written ({error.strerror}). Nothing was changed."
            ) from None

    def _restore(self, settings: Settings) -> bool:
        """Make the file what it was before our hooks, if they were all that has changed since."""
        if not events_of_ours(self.settings) or events_of_ours(settings):
            return False
        if not self.copy.exists():
            if not settings:
                self.path.unlink()
            return not settings
        content = self.copy.read_bytes()
        same = json.dumps(_pruned(_parse(content, self.copy))) == json.dumps(_pruned(settings))
        if same:
            self._put(content)
            self.copy.unlink()
        return same

    def _put(self, content: bytes) -> None:
        _replace(self.path, content, self.path, self._check_unchanged)

    def _check_unchanged(self) -> None:
        if _content_of(self.path) != self._content:
            raise SettingsChanged(
                f"{self.path} was changed by another program at the same time, and is left as that wrote it."
            )


def _content_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _parse(content: bytes | None, path: Path) -> Settings:
    if content is None or not content.strip():
        return {}
    try:
        settings = json.loads(content.decode("utf-8-sig"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not valid JSON ({error}). Nothing was changed.") from None
    if not isinstance(settings, dict):
        raise ConfigError(f"{path}: a JSON object is expected. Nothing was changed.")
    return cast("Settings", settings)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object; one of them would be lost")
    return found


def _pruned(settings: Settings) -> Settings:
    """Without hooks that are none: taking ours out does not leave them."""
    hooks = {event: groups for event, groups in settings.get("hooks", {}).items() if groups}
    kept = {name: hooks if name == "hooks" else value for name, value in settings.items()}
    return {name: value for name, value in kept.items() if name != "hooks" or hooks}


def _like(settings: Settings, content: bytes | None) -> bytes:
    """JSON of `settings`, laid out as `content` is."""
    text = (content or b"").decode("utf-8", "replace")
    indented = re.search(r'[{\[]\r?\n([ \t]+)["{\[]', text)
    layout: dict[str, Any] = {"indent": indented[1] if indented else 2}
    if not indented and text.strip("\ufeff \t\r\n{}"):
        compact = re.search(r'":\S', text) is not None
        layout = {"separators": (",", ":") if compact else (", ", ": ")}
    written = json.dumps(settings, ensure_ascii=text.isascii() and "\\u" in text, **layout)
    written += "" if text and not text.endswith("\n") else "\n"
    written = written.replace("\n", "\r\n") if "\r\n" in text else written
    return (("\ufeff" if text.startswith("\ufeff") else "") + written).encode()


def _replace(path: Path, content: bytes, like: Path, check: Callable[[], None] | None = None) -> None:
    """Write a file at once and whole, with the mode of `like` if that is there, unless `check` raises just before."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if like.exists():
            unfinished.chmod(like.stat().st_mode & 0o7777)
        if check is not None:
            check()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
