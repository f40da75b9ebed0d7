"""The demo's agent: it explores a folder with real tools, and tells of every step like a coding agent.

No language model is behind it. It plans by fixed rules from what its tools have found, so its tokens are estimates
(a quarter of the characters it read and wrote), and every event that has some says so by `token_estimate`.
"""

from __future__ import annotations

import random
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, Final

import uuid_utils

from runcast.runners.explorer_tools import MAX_OUTPUT_CHARS, SKIPPED, ToolError, Tools

AGENT: Final = "explorer"
SUBAGENT_TYPE: Final = "tests"
THINK_S: Final = (0.4, 1.5)
"""Between two steps it waits as long as an agent's model would think, at least and at most."""
REST_S: Final = 4.0
"""Between two sessions."""
LEAST_STEPS: Final = 9
"""So many calls it makes before it delegates, if there is so much to look at."""

Publish = Callable[[str, dict[str, Any]], None]
"""Stores one native event in a stream."""
Pause = Callable[[float], bool]
"""Waits for so many seconds; True if the agent is to stop."""

GOALS: Final = (
    ("overview", "Get me an overview of this folder: what is it, how large, how is it tested?"),
    ("notes", "Which notes were left to be done here, and where do they pile up?"),
    ("imports", "What does the code here lean on most?"),
    ("history", "What was worked on lately, and in which files?"),
)
_BEFORE: Final = r"(?<![\w/:.~-])"
_MENTION: Final = re.compile(
    rf"{_BEFORE}(?:[\w-]+/)+[\w-]+\.(?:py|md|toml|txt|js|ts|rs|go|json|ya?ml|sh|cfg)\b"
    rf"|{_BEFORE}[\w-]+\.(?:py|md|toml|txt|json|ya?ml|cfg)\b"  # without a folder, x.js may be the name of a product
)
_PLACEHOLDERS: Final = SKIPPED | {"path", "your"}
_IMPORT: Final = re.compile(r":\d+: (?:from|import) ([\w.]+)")
_TEXTS: Final = frozenset(
    {
        ".py",
        ".md",
        ".toml",
        ".txt",
        ".js",
        ".ts",
        ".rs",
        ".go",
        ".json",
        ".yaml",
        ".yml",
        ".sh",
        ".cfg",
        ".html",
    }
)


class Stopped(Exception):
    """The agent was told to stop in the middle of a session."""


class Explorer:
    """Explores `root`, one session after another.

    Args:
        root: the folder; it is only read.
        publish: where the events go.
        pause: how it waits between its steps, and hears that it shall stop.
        seed: what its moods come from, such as how long it thinks; the same seed has the same ones.
    """

    def __init__(self, root: Path, publish: Publish, pause: Pause, *, seed: int = 0) -> None:
        self._tools = Tools(root)
        self._publish = publish
        self._pause = pause
        self._moods = random.Random(seed)  # noqa: S311 - chance, not secrecy

    def run(self, *, once: bool = False) -> None:
        """Go on until told to stop; with `once`, until the first session has ended."""
        number = 0
        try:
            while True:
                goal, prompt = GOALS[number % len(GOALS)]
                _Session(self._tools, self._publish, self._pause, self._moods).run(goal, prompt)
                number += 1
                if once or self._pause(REST_S):
                    return
        except Stopped:
            return


class _Session:
    """One session: a prompt, steps, a subagent, an answer."""

    def __init__(self, tools: Tools, publish: Publish, pause: Pause, moods: random.Random) -> None:
        self._tools = tools
        self._publish = publish
        self._pause = pause
        self._moods = moods
        self._stream = f"session:explore-{str(uuid_utils.uuid7())[-12:]}"
        self._agent = AGENT
        self._parent: str | None = None
        self._errors = 0
        self._done: set[tuple[str, str]] = set()

    def run(self, goal: str, prompt: str) -> None:
        """The whole session."""
        begun = time.monotonic()
        self._tell("start", status="started", cwd=str(self._tools.root))
        prompt_id = str(uuid_utils.uuid7())
        self._tell("user_prompt", id=prompt_id, input_summary=prompt)
        self._parent = prompt_id
        self._say(f"I will look at what is in {self._tools.root.name or 'this folder'} first.")
        files = (self._call("List", "") or "").splitlines()
        answer = _PLANS[goal](self, files)
        self._look_further(files)
        tests = self._delegate_tests(files)
        self._tell(
            "completion",
            status="completed",
            output_summary=f"{answer} {tests}",
            execution_duration_seconds=round(time.monotonic() - begun, 3),
            **_estimate(answer + tests),
        )
        self._tell(
            "end", status="completed", output_summary=f"{len(self._done)} steps, {self._errors} failed"
        )

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
        mentions = _mentions(text)
        missing = [path for path in mentions if not self._tools.has(path)]
        known = [path for path in mentions if path in files]
        self._say(f"{readme} names {_count(mentions, 'file')}. I will look at some of them.")
        for path in known[:4]:
            self._call("Read", path)
        gone = ""
        if missing:
            gone = f" {readme} names {missing[0]}, which is not there."
            self._say(
                f"{readme} names {missing[0]}, which I have not seen. I will try to read it all the same."
            )
            self._call("Read", missing[0])
        return f"{_count(files, 'file')}; {_total(lines)}. {_title(text)}{gone}"

    def notes(self, files: list[str]) -> str:
        """Where notes pile up, and what stands around them."""
        found = self._call("FindTodos", "") or ""
        by_file = Counter(line.partition(":")[0] for line in found.splitlines() if ":" in line)
        if not by_file:
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
            return "No import in the style of Python was found."
        self._say(f"{', '.join(name for name, _ in used.most_common(5))} are imported most.")
        own = Counter(path for name in _IMPORT.findall(found) for path in _homes(name, files))
        for path, _ in own.most_common(3):
            self._call("Read", path)
        name, count = used.most_common(1)[0]
        self._call("Grep", rf"\b{re.escape(name)}\.\w+")
        return f"{name} is imported most, {_count(count, 'time')} in what I have seen."

    def history(self, files: list[str]) -> str:
        """The newest commits, what they have changed, and the changed files themselves."""
        log = self._call("Run", "git log --oneline -20")
        touched = self._call("Run", "git log --format= --name-only -5")
        if log is None:
            return "There is no history here that git knows of."
        changed = list(dict.fromkeys((touched or "").splitlines()))
        self._say(f"{_count(changed, 'file')} changed in the newest commits.")
        for path in [path for path in changed if path in files and _is_text(path)][:3]:
            self._call("Read", path)
        newest = log.splitlines()[0]
        return f"The newest commit is {newest!r}; {_count(changed, 'file')} changed of late."

    def _look_further(self, files: list[str]) -> None:
        """Go on with what it has not looked at, as far as there is something."""
        for tool, given in self._ideas(files):
            if len(self._done) >= LEAST_STEPS:
                return
            if (tool, given) not in self._done:
                self._call(tool, given)

    def _ideas(self, files: list[str]) -> Iterator[tuple[str, str]]:
        texts = [path for path in files if _is_text(path)]
        folders = Counter(path.partition("/")[0] for path in files if "/" in path)
        for path in self._moods.sample(texts, min(4, len(texts))):
            yield "Read", path
        for folder, _ in folders.most_common(3):
            yield "CountLines", f"{folder}/"
        if files:
            yield "Grep", r"^\s*(?:class|struct|interface) \w+"
            yield "FindTodos", ""
            yield "CountLines", ""
            yield "Grep", r"^\s*(?:raise|throw|panic)\b"

    # --- the subagent ------------------------------------------------------------------------

    def _delegate_tests(self, files: list[str]) -> str:
        """A call that lasts as long as a subagent works; what that does belongs to the subagent's beginning."""
        tests = [path for path in files if _is_test(path)]
        self._say(f"A subagent shall look at {_count(tests, 'file')} of tests.")
        prompt = "What is tested here, and how much of it?"
        call_id, begun = self._begin_call("Task", prompt), time.perf_counter()
        agent_id = f"{SUBAGENT_TYPE}-{str(uuid_utils.uuid7())[-8:]}"
        beginning, outside = f"agent:{agent_id}", (self._agent, self._parent)
        self._agent, self._parent = agent_id, call_id
        self._tell(
            "delegation", id=beginning, agent_type=SUBAGENT_TYPE, status="started", input_summary=prompt
        )
        self._parent = beginning
        report = self._look_at_tests(tests)
        self._say(report)
        self._agent, self._parent = outside
        self._end_call("Task", call_id, report, time.perf_counter() - begun)
        return report

    def _look_at_tests(self, tests: list[str]) -> str:
        self._call("List", "test")
        if not tests:
            return "There are no tests."
        self._call("CountLines", "test")
        found = (
            self._call("Grep", r"^\s*(?:async )?def test_|\b(?:it|test)\(['\"]|^func Test|#\[test\]") or ""
        )
        by_file = Counter(line.partition(":")[0] for line in found.splitlines() if ":" in line)
        for path in [path for path, _ in by_file.most_common(3)] or tests[:1]:
            self._call("Read", path)
        return f"{_count(tests, 'file')} of tests; I saw {_count(by_file.total(), 'test')}."

    # --- telling -----------------------------------------------------------------------------

    def _call(self, tool: str, given: str) -> str | None:
        """Use a tool; its output, or None if it failed. Either is told."""
        call_id = self._begin_call(tool, given)
        begun = time.perf_counter()
        try:
            output, failed = self._tools.table[tool](given), False
        except ToolError as error:
            output, failed = str(error), True
        self._end_call(tool, call_id, output, time.perf_counter() - begun, failed=failed)
        return None if failed else output

    def _begin_call(self, tool: str, given: str) -> str:
        """Tell that a tool is called; returns the event's id."""
        self._think()
        self._done.add((tool, given))
        call_id = f"call_{uuid_utils.uuid7()!s}"
        summary = given or "all"
        self._tell(
            "tool_call",
            id=call_id,
            status="started",
            tool_name=tool,
            input_summary=summary,
            **_estimate(given),
        )
        return call_id

    def _end_call(
        self, tool: str, call_id: str, output: str, seconds: float, *, failed: bool = False
    ) -> None:
        self._errors += failed
        self._tell(
            "error" if failed else "tool_result",
            id=f"{call_id}:result",
            status="error" if failed else "completed",
            tool_name=tool,
            parent_event_id=call_id,
            output_summary=output[:MAX_OUTPUT_CHARS] or "(nothing)",
            execution_duration_seconds=round(seconds, 6),
            **_estimate(output),
        )

    def _say(self, text: str) -> None:
        self._think()
        self._tell("message", output_summary=text, **_estimate(text))

    def _think(self) -> None:
        if self._pause(self._moods.uniform(*THINK_S)):
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


def _mentions(text: str) -> list[str]:
    """The files that a text names, each once, as far as that can be told from a name."""
    found = dict.fromkeys(_MENTION.findall(text))
    return [path for path in found if not _PLACEHOLDERS & {*PurePosixPath(path).parts}]


def _is_text(path: str) -> bool:
    return PurePosixPath(path).suffix in _TEXTS


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
