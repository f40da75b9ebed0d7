"""The demo's agent: it explores a folder with real tools, and tells of every step like a coding agent.

No language model is behind it. It plans by fixed rules from what its tools have found, so its tokens are estimates
(a quarter of the characters it read and wrote), and every event that has some says so by `token_estimate`.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, Final

import uuid_utils

from runcast.runners.explorer_tools import MAX_OUTPUT_CHARS, ToolError, Tools

AGENT: Final = "explorer"
SUBAGENT: Final = "explorer-tests"
THINK_S: Final = 0.6
"""Between two steps, so that people can follow."""
REST_S: Final = 4.0
"""Between two sessions."""

Publish = Callable[[str, dict[str, Any]], None]
"""Stores one native event in a stream."""
Pause = Callable[[float], bool]
"""Waits for so many seconds; True if the agent is to stop."""

GOALS: Final = (
    ("overview", "Get me an overview of this folder: what is it, how large, how is it tested?"),
    ("notes", "Which notes were left to be done here, and where do they pile up?"),
    ("imports", "What does the code here lean on most?"),
    ("history", "What was worked on lately, and what is not committed yet?"),
)
_MENTION = re.compile(r"(?<![\w/:.-])(?:[\w-]+/)*[\w-]+\.(?:py|md|toml|txt|js|ts|rs|go|json|ya?ml|sh|cfg)\b")
_IMPORT = re.compile(r":\d+: (?:from|import) ([\w.]+)")


class Stopped(Exception):
    """The agent was told to stop in the middle of a session."""


class Explorer:
    """Explores `root`, one session after another.

    Args:
        root: the folder; it is only read.
        publish: where the events go.
        pause: how it waits between its steps, and hears that it shall stop.
    """

    def __init__(self, root: Path, publish: Publish, pause: Pause) -> None:
        self._tools = Tools(root)
        self._publish = publish
        self._pause = pause

    def run(self, *, once: bool = False) -> None:
        """Go on until told to stop; with `once`, until the first session has ended."""
        number = 0
        try:
            while True:
                goal, prompt = GOALS[number % len(GOALS)]
                _Session(self._tools, self._publish, self._pause).run(goal, prompt)
                number += 1
                if once or self._pause(REST_S):
                    return
        except Stopped:
            return


class _Session:
    """One session: a prompt, steps, a subagent, an answer."""

    def __init__(self, tools: Tools, publish: Publish, pause: Pause) -> None:
        self._tools = tools
        self._publish = publish
        self._pause = pause
        self._stream = f"session:explore-{str(uuid_utils.uuid7())[-12:]}"
        self._agent = AGENT
        self._parent: str | None = None
        self._errors = 0
        self._steps = 0

    def run(self, goal: str, prompt: str) -> None:
        """The whole session."""
        begun = time.monotonic()
        self._tell("start", status="started", cwd=str(self._tools.root))
        self._tell("user_prompt", input_summary=prompt)
        self._say(f"I will look at what is in {self._tools.root.name or 'this folder'} first.")
        files = (self._call("List", "") or "").splitlines()
        answer = _PLANS[goal](self, files)
        tests = self._delegate_tests(files)
        self._tell(
            "completion",
            status="completed",
            output_summary=f"{answer} {tests}",
            execution_duration_seconds=round(time.monotonic() - begun, 3),
            **_estimate(answer + tests),
        )
        self._tell("end", status="completed", output_summary=f"{self._steps} steps, {self._errors} failed")

    # --- what it can want to know ------------------------------------------------------------

    def overview(self, files: list[str]) -> str:
        """Size, version, the readme, and what the readme points at."""
        lines = self._call("CountLines", "") or ""
        self._call("Run", "python --version")
        readme = next((path for path in files if path.lower().startswith("readme")), None)
        if readme is None:
            self._say("There is no readme. The largest folder may tell more.")
            return f"{_count(files, 'file')} without a readme; {_total(lines)}."
        text = self._call("Read", readme) or ""
        mentions = list(dict.fromkeys(_MENTION.findall(text)))
        missing = [path for path in mentions if path not in files]
        known = [path for path in mentions if path in files]
        self._say(f"{readme} names {_count(mentions, 'file')}. I will look at some of them.")
        for path in [*known[:3], *missing[:1]]:
            self._call("Read", path)
        gone = f" It names {missing[0]}, which is not there." if missing else ""
        return f"{_count(files, 'file')}; {_total(lines)}. {_title(text)}{gone}"

    def notes(self, files: list[str]) -> str:
        """Where notes pile up, and what stands around them."""
        found = self._call("FindTodos", "") or ""
        by_file = Counter(line.partition(":")[0] for line in found.splitlines() if ":" in line)
        if not by_file:
            self._call("Read", files[0] if files else "README.md")
            return "Nobody left a note to be done."
        self._say(f"{_count(list(by_file), 'file')} with notes. I will read where most of them are.")
        for path, _ in by_file.most_common(3):
            self._call("Read", path)
        path, count = by_file.most_common(1)[0]
        return (
            f"{_count(by_file.total(), 'note')} in {_count(list(by_file), 'file')}, most in {path} ({count})."
        )

    def imports(self, files: list[str]) -> str:
        """What is imported most, and the module of the folder's own among it."""
        found = self._call("Grep", r"^\s*(?:from|import) [\w.]+") or ""
        used = Counter(name.partition(".")[0] for name in _IMPORT.findall(found))
        if not used:
            self._call("CountLines", "")
            return "No import in the style of Python was found."
        self._say(f"{', '.join(name for name, _ in used.most_common(5))} are imported most.")
        own = Counter(path for name in _IMPORT.findall(found) for path in _homes(name, files))
        for path, _ in own.most_common(3):
            self._call("Read", path)
        if not own:  # as a person would: guess, and be wrong
            self._call("Read", f"{used.most_common(1)[0][0]}.py")
        name, count = used.most_common(1)[0]
        return f"{name} is imported most, {_count(count, 'time')} in what I have seen."

    def history(self, files: list[str]) -> str:
        """The newest commits, what is changed, and the changed files themselves."""
        log = self._call("Run", "git log --oneline -20")
        status = self._call("Run", "git status --short")
        if log is None:
            self._call("CountLines", "")
            return "There is no history here that git knows of."
        changed = [line[3:] for line in (status or "").splitlines() if len(line) > 3]
        self._say(f"{_count(changed, 'file')} changed and not committed.")
        for path in changed[:3]:
            self._call("Read", path)
        newest = log.splitlines()[0]
        return f"The newest commit is {newest!r}; {_count(changed, 'path')} not committed."

    # --- the subagent ------------------------------------------------------------------------

    def _delegate_tests(self, files: list[str]) -> str:
        tests = [path for path in files if _is_test(path)]
        self._say(f"A subagent shall look at {_count(tests, 'file')} of tests.")
        begun, run_id = time.monotonic(), f"agent:{SUBAGENT}:{self._stream[-12:]}"
        self._tell(
            "delegation",
            id=run_id,
            agent_id=SUBAGENT,
            agent_type="tests",
            status="started",
            input_summary="What is tested here, and how much of it?",
        )
        self._agent, self._parent = SUBAGENT, run_id
        report = self._look_at_tests(tests)
        self._tell(
            "completion",
            status="completed",
            output_summary=report,
            execution_duration_seconds=round(time.monotonic() - begun, 3),
            **_estimate(report),
        )
        self._agent, self._parent = AGENT, None
        return report

    def _look_at_tests(self, tests: list[str]) -> str:
        if not tests:
            self._call("List", "test")
            return "There are no tests."
        found = (
            self._call("Grep", r"^\s*(?:async )?def test_|\b(?:it|test)\(['\"]|^func Test|#\[test\]") or ""
        )
        by_file = Counter(line.partition(":")[0] for line in found.splitlines() if ":" in line)
        for path in [path for path, _ in by_file.most_common(2)] or tests[:1]:
            self._call("Read", path)
        return f"{_count(tests, 'file')} of tests; I saw {_count(by_file.total(), 'test')}."

    # --- telling -----------------------------------------------------------------------------

    def _call(self, tool: str, given: str) -> str | None:
        """Use a tool; its output, or None if it failed. Either is told."""
        self._think()
        self._steps += 1
        call_id = f"call_{uuid_utils.uuid7()!s}"
        told = {"tool_name": tool, "parent_event_id": self._parent}
        self._tell(
            "tool_call",
            id=call_id,
            status="started",
            input_summary=given or "all",
            **told,
            **_estimate(given),
        )
        begun = time.perf_counter()
        try:
            output, failed = self._tools.table[tool](given), False
        except ToolError as error:
            output, failed = str(error), True
        seconds = round(time.perf_counter() - begun, 6)
        self._errors += failed
        self._tell(
            "error" if failed else "tool_result",
            id=f"{call_id}:result",
            status="error" if failed else "completed",
            tool_name=tool,
            parent_event_id=call_id,
            output_summary=output[:MAX_OUTPUT_CHARS],
            execution_duration_seconds=seconds,
            **_estimate(output),
        )
        return None if failed else output

    def _say(self, text: str) -> None:
        self._think()
        self._tell("message", output_summary=text, **_estimate(text))

    def _think(self) -> None:
        if self._pause(THINK_S):
            raise Stopped

    def _tell(self, event_type: str, *, id: str | None = None, **data: Any) -> None:  # noqa: A002 - the event's own word
        data = {"agent_id": self._agent, "source": "explorer", **data}
        if self._parent is not None:
            data.setdefault("parent_event_id", self._parent)
        event = {"type": event_type, "id": id or str(uuid_utils.uuid7()), "data": data}
        self._publish(self._stream, event)


_PLANS: Final[dict[str, Callable[[_Session, list[str]], str]]] = {
    "overview": _Session.overview,
    "notes": _Session.notes,
    "imports": _Session.imports,
    "history": _Session.history,
}


def _estimate(text: str) -> dict[str, Any]:
    """About how many tokens a text is, said to be an estimate."""
    return {"cost_tokens": len(text) // 4, "token_estimate": True}


def _is_test(path: str) -> bool:
    parts = PurePosixPath(path)
    return "test" in parts.name.lower() or any(part in {"test", "tests", "spec"} for part in parts.parts[:-1])


def _homes(name: str, files: list[str]) -> list[str]:
    """The file of this folder that a module's dotted name means, if there is one."""
    path = name.replace(".", "/")
    return [file for file in files if file in {f"{path}.py", f"src/{path}.py"}]


def _count(things: list[str] | int, word: str) -> str:
    count = things if isinstance(things, int) else len(things)
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _total(lines: str) -> str:
    number = lines.rpartition("\n")[2].split()
    return f"{number[0] if number else 0} lines in all"


def _title(text: str) -> str:
    """The first line of a readme that says something."""
    for line in text.splitlines():
        words = line.strip("#*= -\t")
        if words and not words.startswith(("<", "[", "!")):
            return words[:200].rstrip(".") + "."
    return "The readme is empty."
