"""The command line. This module imports nothing: a hook runs at every step of an agent, and must not wait."""

from __future__ import annotations

import sys


def main() -> None:
    """Run a command; an error of ours is one line on stderr and exit code 1."""
    words = sys.argv[1:]
    if words[:1] == ["hook"] and len(words) > 1 and not {"-h", "--help"} & {*words}:
        from runcast.cli import hook

        hook.main()
    else:
        from runcast.cli import commands

        commands.run()
