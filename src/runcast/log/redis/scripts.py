"""The scripts that run in Redis, by name. Each is `common.lua` and its own file."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import msgspec

_FOLDER = Path(__file__).parent


class Script(msgspec.Struct, frozen=True):
    """The text of a script, and the name by which Redis knows it once it was sent."""

    name: str
    text: str
    sha: str


@cache
def script(name: str) -> Script:
    """The script of `name.lua`."""
    text = (_FOLDER / "common.lua").read_text("utf-8") + (_FOLDER / f"{name}.lua").read_text("utf-8")
    return Script(name, text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
