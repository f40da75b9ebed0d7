"""How commands speak: colours on a terminal only, and nothing from an event that a terminal could obey."""

from __future__ import annotations

import os
import re
import select
import shutil
import stat
import sys
import threading
from typing import Any, TextIO

import msgspec
from rich.console import Console

PLAIN_WIDTH = 160
"""Columns of a table that goes into a file or a pipe."""


def console(*, stderr: bool = False) -> Console:
    """A console on stdout (or stderr). Colours only on a terminal, and not if NO_COLOR is set."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or os.environ.get("COLUMNS") else PLAIN_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def columns() -> int:
    """How wide the terminal is."""
    return shutil.get_terminal_size().columns


def complain(message: str) -> None:
    """One line on stderr."""
    print(f"runcast: {clean(message)}", file=sys.stderr, flush=True)


def print_json(value: Any, out: TextIO | None = None) -> None:
    """One line of JSON on stdout (or `out`), at once.

    Control characters that JSON leaves as they are (C1, DEL) are written as escapes: a terminal may obey them.
    """
    text = msgspec.json.encode(value).decode()
    print(text.translate(_ESCAPED), file=out, flush=True)


def clean(text: str) -> str:
    """One line of printable characters: what an agent's tools print is not to be trusted.

    Escape sequences, such as those for colours and titles, are left out as a whole.
    """
    line = " ".join(_SEQUENCES.sub("", text).split())
    return line if line.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in line)


def clean_block(text: str) -> str:
    """As `clean`, but with its lines and their indentation, for a text that means something by them."""
    kept = _SEQUENCES.sub("", text.replace("\r\n", "\n").expandtabs(4))
    return "".join(c if c == "\n" or c.isprintable() else "\ufffd" for c in kept)


def plural(count: int, noun: str) -> str:
    """So many of something: 1 call, 2 calls, 1 batch, 2 batches."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}{'es' if noun.endswith('ch') else 's'}"


def leave_with_reader() -> None:
    """End the process as soon as whoever reads our stdout has gone, even if there is nothing to write.

    Writing fails then anyway; but `runcast tail … | head -1` would wait for one more event to find out.
    """
    try:
        number = sys.stdout.fileno()
    except OSError:
        return  # no file at all
    if not (hasattr(select, "poll") and stat.S_ISFIFO(os.fstat(number).st_mode)):
        return
    poll = select.poll()
    poll.register(number, 0)  # errors are always told

    def wait() -> None:
        if any(happened & select.POLLERR for _, happened in poll.poll()):
            os._exit(0)

    threading.Thread(target=wait, name="runcast-stdout", daemon=True).start()


_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, moves
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"  # OSC and its like
    r"|\x1b[ -/]*[0-~]"  # the short ones, and the beginning of one that does not end
)
_ESCAPED = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}
