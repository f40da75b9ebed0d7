"""How often one client's typing is told to the others."""

from __future__ import annotations

from typing import Final

TYPING_S: Final = 1.0
"""Between two times that others are told that somebody is typing."""


class TypingPace:
    """That somebody types is told at most once in `TYPING_S` of a conversation; that they stopped, once after that."""

    def __init__(self) -> None:
        self._told_s: dict[str, float] = {}
        self._typing: set[str] = set()

    def take(self, stream: str, is_typing: bool, now_s: float) -> bool:
        """Whether the others are to be told; `now_s` is of a clock that only goes on."""
        if not is_typing:
            is_change = stream in self._typing
            self._typing.discard(stream)
            return is_change
        if now_s - self._told_s.get(stream, -TYPING_S) < TYPING_S:
            return False
        self._told_s = {one: told_s for one, told_s in self._told_s.items() if now_s - told_s < TYPING_S}
        self._told_s[stream] = now_s
        self._typing.add(stream)
        return True

    def leave(self, stream: str) -> None:
        """They are told of it no longer; the pace is kept, or leaving would be a way around it."""
        self._typing.discard(stream)
