"""What a look at one thing has found."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class State(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It works, but something should be done, or known."""
    FAIL = "fail"
    """It does not work."""


class Finding(msgspec.Struct, frozen=True):
    """One line: what was looked at, how it is, and what to do (empty if nothing)."""

    name: str
    state: State
    says: str
    advice: str = ""


def ok(name: str, says: str) -> Finding:
    """All is well."""
    return Finding(name, State.OK, says)


def warn(name: str, says: str, advice: str) -> Finding:
    """It works, but."""
    return Finding(name, State.WARN, says, advice)


def fail(name: str, says: str, advice: str) -> Finding:
    """It does not work."""
    return Finding(name, State.FAIL, says, advice)
