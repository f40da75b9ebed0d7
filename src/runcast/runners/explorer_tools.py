"""The tools of the demo's agent: they look at a folder, change nothing, and stay inside.

All is bounded: how many files are looked at, how much of each is read, how long a command may take. Links are not
followed, hidden files and folders that tools fill are left out.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

MAX_FILES: Final = 2_000
MAX_FILE_BYTES: Final = 256 * 1024
MAX_OUTPUT_CHARS: Final = 4_000
MAX_HITS: Final = 60
COMMAND_S: Final = 5.0
SKIPPED: Final = frozenset(
    {"node_modules", "__pycache__", "venv", "env", "build", "dist", "target", "site-packages", "vendor"}
)

# A repository's own settings may name programs: for contents (filters, textconv, external diffs), for signatures, for
# hooks, pagers and monitors, and for fetching what is missing. So only what commits and trees say is asked for, in
# formats given here, and whatever else could begin a program is switched off. `git status` is not among the commands:
# it compares contents, and filters them for that.
_GIT: Final = (
    *("git", "--no-optional-locks", "--no-pager"),
    *("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}"),
    *("log", "--no-show-signature", "--no-ext-diff", "--no-textconv", "--no-color"),
)
_QUIET: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",  # what versions before 2.45 know: no way of fetching is allowed
    "LC_ALL": "C",
}
COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "git log --oneline -20": (*_GIT, "--oneline", "-20"),
    "git log --format= --name-only -5": (*_GIT, "--format=", "--name-only", "-5"),
    "python --version": (sys.executable, "--version"),
}
"""All that can be run, as it is told and as it is run."""


class ToolError(Exception):
    """A tool could not do what it was asked; the text is its output."""


class Tools:
    """The tools, over one folder.

    Each takes and returns text; how each is called is in `table`.

    Raises:
        ToolError: by every tool.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.table: dict[str, Callable[[str], str]] = {
            "List": self.list,
            "Read": self.read,
            "Grep": self.grep,
            "CountLines": self.count_lines,
            "FindTodos": self.find_todos,
            "Run": self.run,
        }

    def list(self, part: str) -> str:
        """The files whose path contains `part`, one per line; nothing if there is none."""
        return "\n".join(path for path in self.files() if part in path)

    def has(self, path: str) -> bool:
        """Whether something is at `path`, whatever it is."""
        return (self.root / path).exists()

    def read(self, path: str) -> str:
        """The text of a file."""
        return self._text(path)

    def grep(self, pattern: str) -> str:
        """Lines that match a regular expression, as `path:number: line`."""
        wanted = re.compile(pattern)
        hits: list[str] = []
        for path in self.files():
            for number, line in enumerate(self._lines(path), 1):
                if wanted.search(line):
                    hits.append(f"{path}:{number}: {line.strip()[:160]}")
            if len(hits) >= MAX_HITS:
                break
        return "\n".join(hits[:MAX_HITS]) or "No line matches."

    def count_lines(self, part: str) -> str:
        """Lines by kind of file, and in all, of the files whose path contains `part`."""
        counts: Counter[str] = Counter()
        for path in self.files():
            if part in path:
                counts[Path(path).suffix or Path(path).name] += sum(1 for _ in self._lines(path))
        kinds = [f"{count:>8,}  {kind}" for kind, count in counts.most_common(12)]
        return "\n".join([*kinds, f"{counts.total():>8,}  in all"])

    def find_todos(self, part: str) -> str:
        """Notes that somebody left to be done, in files whose path contains `part`."""
        marked = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b")
        hits = [
            f"{path}:{number}: {line.strip()[:160]}"
            for path in self.files()
            if part in path
            for number, line in enumerate(self._lines(path), 1)
            if marked.search(line)
        ]
        return "\n".join(hits[:MAX_HITS]) or "Nobody left such a note."

    def run(self, command: str) -> str:
        """What one of `COMMANDS` prints."""
        if command not in COMMANDS:
            raise ToolError(f"{command}: not one of the commands that may be run.")
        quiet = {**os.environ, **_QUIET}
        try:
            done = subprocess.run(  # noqa: S603 - a constant
                COMMANDS[command],
                cwd=self.root,
                env=quiet,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=COMMAND_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ToolError(f"{command}: {error}.") from error
        output = (done.stdout + done.stderr).decode("utf-8", "replace").strip("\n")
        if done.returncode:
            raise ToolError(f"{output or command} (exit code {done.returncode})")
        return output or "(nothing)"

    def files(self) -> Iterator[str]:
        """The paths of at most `MAX_FILES` files below the folder, in order of their names.

        What in a name is not UTF-8 is replaced, so that it can be told; such a file cannot be read.
        """
        count = 0
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(name for name in folders if name not in SKIPPED and not name.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                if name.startswith(".") or not _is_file(path):
                    continue
                count += 1
                if count > MAX_FILES:
                    return
                yield os.fsencode(path.relative_to(self.root).as_posix()).decode("utf-8", "replace")

    def _lines(self, path: str) -> Iterator[str]:
        """The lines of a file, none of one that cannot be read as text."""
        try:
            yield from self._text(path).splitlines()
        except ToolError:
            return

    def _text(self, path: str) -> str:
        try:
            data = self._bytes(path)
        except FileNotFoundError as error:
            raise ToolError(f"{path}: there is no such file here.") from error
        except (IsADirectoryError, RuntimeError, ValueError) as error:
            # RuntimeError: links in a circle, before Python 3.13; ValueError: a NUL in the path
            raise ToolError(f"{path}: not a file.") from error
        except OSError as error:
            raise ToolError(f"{path}: {error.strerror}.") from error
        if b"\0" in data:
            raise ToolError(f"{path}: not a text.")
        return data.decode("utf-8", "replace")

    def _bytes(self, path: str) -> bytes:
        if any(part.startswith(".") for part in Path(path).parts):
            raise ToolError(f"{path}: hidden, and none of my business.")
        place = self.root / path
        whole = place.resolve(strict=True)
        if not whole.is_relative_to(self.root):
            raise ToolError(f"{path}: outside of the folder.")
        if whole != place:
            raise ToolError(f"{path}: a link, which is not followed.")
        with open(whole, "rb", opener=_opener) as file:  # a Path has no opener
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ToolError(f"{path}: not a file.")
            return file.read(MAX_FILE_BYTES)


def _opener(path: str, flags: int) -> int:
    """Open without following a link or waiting for a pipe that came there a moment ago."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _is_file(path: Path) -> bool:
    """Whether it is a plain file, and neither a link nor a pipe."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:  # gone meanwhile
        return False
