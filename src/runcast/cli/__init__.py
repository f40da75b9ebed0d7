"""The command line: `runcast serve` and what will come beside it."""

from __future__ import annotations

import sys

from cyclopts import App

from runcast import __version__
from runcast.cli.serve import serve
from runcast.errors import RuncastError

app = App(name="runcast", help="The live layer for AI agents.", version=__version__)
app.command(serve)


def main() -> None:
    """Run a command; an error of ours is one line on stderr and exit code 1."""
    try:
        app()
    except RuncastError as error:
        print(f"runcast: {error}", file=sys.stderr)
        sys.exit(1)
