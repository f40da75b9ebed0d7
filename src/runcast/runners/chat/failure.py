"""What can be wrong with what somebody says to a chat, and what is told when an answer fails."""

from __future__ import annotations

import logging

from runcast.errors import (
    InvalidInput,
    KnowledgeError,
    LogError,
    ModelBusy,
    ModelError,
    ModelInterrupted,
    ModelUnavailable,
    ModelUnreachable,
    RuncastError,
    TooMany,
)

logger = logging.getLogger("runcast.chat")

MAX_SENTENCE_CHARS = 2_000
FLAW = "The answer failed; whoever runs this server finds the reason in its log."
BROKEN = "The server stopped in the middle of this answer. Ask again for a whole one."
FORGOTTEN = "So much was said since this was asked that it is not answered any more; ask it again."
TOO_SLOW = "The answer took too long, and was given up."

_SENTENCES: tuple[tuple[type[RuncastError], str], ...] = (
    # the first that fits counts; addresses, models and keys are no matter of those who chat
    (ModelInterrupted, "The answer broke off in the middle; ask again for a whole one."),
    (ModelBusy, "The language model fails or has too much to do; try again in a moment."),
    (ModelUnreachable, "The language model cannot be reached; try again in a moment."),
    (ModelUnavailable, "The language model cannot be asked; whoever runs this server finds why in its log."),
    (ModelError, "The language model has not answered as it should; try again."),
    (KnowledgeError, "The knowledge base cannot be searched; whoever runs this server finds why in its log."),
    (LogError, "The answer could not be stored; try again in a moment."),
)


class EmptyMessage(InvalidInput):
    """A message without a text and without an attachment."""

    code = "empty_message"
    message = "message: it is empty; say something."


class Occupied(TooMany):
    """So much is being answered for this conversation or person that more has to wait for its end."""

    code = "occupied"
    message = "Answers to earlier messages are still on their way; wait for them, or cancel them."


class ResponderError(Exception):
    """Raise it in a responder: its message is told to those who wait for the answer.

    The text of any other exception is not, as it may hold anything; the log of the process has the traceback.
    """


def sentence_of(error: BaseException) -> str:
    """What is told of a failed answer; the reason goes to the log."""
    if isinstance(error, ResponderError) and str(error):
        return str(error)[:MAX_SENTENCE_CHARS].encode(errors="replace").decode()
    for kind, sentence in _SENTENCES:
        if isinstance(error, kind):
            logger.warning("an answer failed: %s", error)
            return sentence
    if isinstance(error, MissingExtra):
        logger.error("an answer failed: %s", error)
        return str(error)
    logger.error("an answer failed", exc_info=error)
    return FLAW


class MissingExtra(RuncastError):
    """What answers by default is not installed."""

    code = "missing_extra"
    message = (
        "Answering needs an extra: pip install 'runcast[chat]'. Or answer by code of your own: an async generator "
        "under @runcast.responder, in a module that RUNCAST_LOAD names."
    )
