"""`runcast …` within this process: quicker than a process of its own, and the same but for signals and terminals."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from typing import Any
from unittest.mock import patch

import msgspec

from runcast.cli import commands
from tests.support.process import clean_env


class Ended(msgspec.Struct, frozen=True):
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> list[Any]:
        """Its output, a JSON value per line."""
        return [msgspec.json.decode(line) for line in self.out.splitlines()]

    def complaint(self, code: int) -> str:
        """The one line on stderr of a command that failed with `code`, and had nothing else to say."""
        assert (self.code, self.out) == (code, ""), self
        (line,) = self.err.splitlines()
        assert line.startswith("runcast: ")
        return line.removeprefix("runcast: ")


Run = Callable[..., Ended]


def run_here(*arguments: str, env: dict[str, str], stdin: bytes = b"") -> Ended:
    """Run a command that ends by itself."""
    out, err = io.StringIO(), io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(stdin))
    code: Any = 0
    with (
        patch.dict(os.environ, {**clean_env(), **env}, clear=True),
        patch.object(sys, "stdin", given),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            commands.run(arguments)
        except SystemExit as ending:
            code = ending.code or 0
    return Ended(code, out.getvalue(), err.getvalue())
