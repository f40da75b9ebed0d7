"""All commands but the hook's: what `runcast --help` lists. Each is imported when it is called."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from io import TextIOWrapper

from cyclopts import App, CycloptsError, UnknownCommandError

from runcast import __version__
from runcast.cli.output import clean, complain
from runcast.cli.usage import WRITABLE, UsageError
from runcast.errors import InvalidInput, LogReadOnly, RuncastError

FAILED, MISUSED, INTERRUPTED = 1, 2, 130

_COMMANDS = {
    "serve": ("serve:serve", "Serve streams over HTTP, WebSocket and SSE."),
    "demo": ("demo:demo", "Watch a small agent at work on a folder, right away."),
    "watch": ("watch:watch", "Follow the transcripts of Claude Code's sessions."),
    "workflow": ("workflow:workflow", "Run a workflow of agents, and watch it live."),
    "plan": ("plan:plan", "Run a plan of steps, and watch it live."),
    "task": ("task:task", "Start background tasks, list and cancel them."),
    "publish": ("publish:publish", "Publish an event, or a file of them."),
    "tail": ("tail:tail", "Print events as they come."),
    "streams": ("streams:streams", "List the streams there are."),
    "show": ("show:show", "Show what a session, a workflow or a plan adds up to."),
    "nodes": ("nodes:nodes", "List the servers of a log, and what each is at."),
    "worker": ("worker:worker", "Work at tasks, with Celery or without."),
    "knowledge": ("knowledge:knowledge", "Add documents for agents to look things up in; search them."),
    "hook": ("hook:hook", "Take an agent's hook from stdin. Agents call this."),
    "install-hooks": ("install_hooks:install_hooks", "Let Claude Code call our hook."),
    "token": ("token:token", "Make, list and revoke API keys; print a token."),
    "doctor": ("doctor:doctor", "Look whether everything is well, and say what to do."),
}


def make_app(called: str = "") -> App:
    """All commands. The one that is `called` tells its help itself; those of the others need no import."""
    app = App(
        name="runcast",
        help="The live layer for AI agents: see what they do, from the first event or from where you left off.",
        version=__version__,
        help_format="plaintext",
    )
    for number, (name, (place, summary)) in enumerate(_COMMANDS.items()):
        help_text = None if name == called else summary
        app.command(f"runcast.cli.{place}", name=name, help=help_text, sort_key=number)
    return app


def run(arguments: Sequence[str] | None = None) -> None:
    """Run a command, by default the one that the process was started with, and end with its exit code.

    An error is one line on stderr: exit code 2 for one of usage, else 1. Ctrl-C is 130. A reader of our output that
    goes away is no error.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may not know every character
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        make_app("".join(words[:1]))(words, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except UnknownCommandError as error:
        chain = tuple(error.command_chain or ())
        _fail(_unknown(chain, words[len(chain)]), MISUSED)
    except CycloptsError as error:
        _fail(f"{' '.join(str(error).split())} {_help_for(error)}", MISUSED)
    except RuncastError as error:
        advice = f" {WRITABLE}" if isinstance(error, LogReadOnly) else ""
        # What cannot be, whenever it is tried, was wrongly asked for.
        _fail(f"{error}{advice}", MISUSED if isinstance(error, UsageError | InvalidInput) else FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to fail at exit
        sys.exit(0)
    except OSError as error:  # our output's disk is full, a file cannot be read, …
        _fail(str(error), FAILED)


def _fail(message: str, code: int) -> None:
    complain(message)
    sys.exit(code)


def _unknown(chain: Sequence[str], name: str) -> str:
    known = list(_COMMANDS)
    if chain:
        known = [one for one in make_app(chain[0])[chain[0]] if not one.startswith("-")]
    meant = get_close_matches(name, known, 1)
    command = " ".join(["runcast", *chain])
    hint = f"Did you mean {meant[0]}? " if meant else ""
    return f"There is no command {clean(' '.join([*chain, name]))[:60]!r}. {hint}See `{command} --help`."


def _help_for(error: CycloptsError) -> str:
    command = " ".join(["runcast", *(error.command_chain or ())])
    return f"See `{command} --help`."
