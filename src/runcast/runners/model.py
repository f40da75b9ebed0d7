"""What asking a language model looks like, whichever it is: messages in, text and what it has cost out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

import msgspec

CHARS_PER_TOKEN = 4
"""About so many characters are a token: what is said where nobody has counted."""


class Message(msgspec.Struct, frozen=True):
    """One turn of the conversation that a model is given."""

    role: Literal["system", "user", "assistant"]
    content: str


class Delta(msgspec.Struct, frozen=True):
    """The next piece of an answer; `reasoning` is what the model thinks aloud on the way, where it shows that."""

    text: str
    reasoning: str = ""


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer has cost; the last thing that a stream gives, if it comes to its end.

    `model` is the one that has answered, which a router may have chosen. `latency_s` is the time to the first
    delta, in seconds, with the attempts that failed. `estimated`: nobody has counted the tokens. `truncated`: the
    answer is not complete, because it reached a limit of tokens.
    """

    input_tokens: int
    output_tokens: int
    model: str
    latency_s: float
    estimated: bool
    truncated: bool = False


class LanguageModel(Protocol):
    """Something that answers. Safe to use for many answers at once, within one event loop at a time."""

    name: str
    """Shown everywhere: `extractive`, or `provider/model`."""

    def stream(
        self, messages: Sequence[Message], *, max_tokens: int | None = None
    ) -> AsyncIterator[Delta | Usage]:
        """An answer, piece by piece as it comes, and its `Usage` at the end.

        Cancellation-safe: whoever stops iterating (by `aclosing`, or because the task is cancelled) ends the
        request. No text ever comes twice: attempts are repeated only before the first delta.

        Raises:
            ModelError: it has not answered, or not to the end (`ModelInterrupted`).
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Idempotent."""
        ...


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` is, where nobody has counted."""
    return -(-len(text) // CHARS_PER_TOKEN)
