"""A Dockerfile, read as far as ours goes: one instruction per line, no escapes."""

from __future__ import annotations

import json
import re
import shlex
from typing import NamedTuple


class Step(NamedTuple):
    """An instruction with what follows it."""

    word: str
    rest: str


class Stage(NamedTuple):
    """What begins with a FROM: its image, its name, and its steps."""

    image: str
    name: str
    steps: list[Step]

    def all(self, word: str) -> list[str]:
        return [step.rest for step in self.steps if step.word == word]

    def one(self, word: str) -> str:
        (rest,) = self.all(word)
        return rest

    @property
    def environment(self) -> dict[str, str]:
        pairs = [pair.partition("=") for rest in self.all("ENV") for pair in shlex.split(rest)]
        return {name: value for name, _, value in pairs}

    @property
    def healthcheck(self) -> list[str]:
        """The command, in exec form."""
        return json.loads(self.one("HEALTHCHECK").partition(" CMD ")[2])


def read_dockerfile(text: str) -> list[Stage]:
    """Its stages, in order; fails at a line that is no instruction."""
    stages: list[Stage] = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Z]+) (.+)", line)
        assert match is not None, line
        assert not line.endswith("\\"), line
        word, rest = match[1], match[2]
        if word == "FROM":
            image, _, name = rest.partition(" AS ")
            stages.append(Stage(image, name, []))
        else:
            stages[-1].steps.append(Step(word, rest))
    return stages
