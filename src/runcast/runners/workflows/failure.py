"""What goes wrong in a workflow, and what those who watch are told of it."""

from __future__ import annotations

import logging

from runcast.errors import RuncastError

logger = logging.getLogger("runcast.workflows")

MAX_SENTENCE_CHARS = 2_000


class WorkflowError(Exception):
    """Raise it in a workflow or an agent: its message is shown to those who watch.

    The text of any other exception is not, as it may hold anything: they are told its type, and the log of the
    process has the traceback.
    """


class AgentFailed(WorkflowError):
    """An agent has failed; raised in the workflow that waits for it. The message is what its watchers were told."""

    def __init__(self, agent_id: str, sentence: str) -> None:
        super().__init__(sentence)
        self.agent_id = agent_id


class Cancelled(BaseException):
    """The run goes on no further here: it was cancelled, belongs to another process now, or waits for a person.

    Raised by every call of the context from then on. Not an `Exception`, so that it passes by `except Exception`.
    """


def sentence_of(error: BaseException, who: str) -> str:
    """What is told of `error`, in a sentence; what is not told goes to the log."""
    if isinstance(error, WorkflowError | RuncastError) and str(error):
        return str(error)[:MAX_SENTENCE_CHARS].encode(errors="replace").decode()
    logger.error("%s failed", who, exc_info=error)
    return f"{who} failed: {type(error).__name__}."
