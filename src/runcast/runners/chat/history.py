"""What a model is told of a conversation: as many of its newest turns as a budget of tokens allows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from runcast.kinds.chat_state import ChatState, Turn
from runcast.runners.model import Message, estimate_tokens

OVERHEAD_TOKENS: Final = 4
"""Of one message, for its role."""


def history_before(state: ChatState, question_id: str, budget_tokens: int) -> list[Message]:
    """What was said before a question, oldest first, without answers that failed.

    Where several people talk, each message says whose it is. A first turn that is too long for the budget is cut at its
    beginning; an answer is not left without its question.
    """
    before: list[Turn] = []
    for turn in state.turns:
        if turn.message_id == question_id:
            break
        before.append(turn)
    people = {turn.user.id for turn in before if turn.user}
    if state.owner is not None:
        people.add(state.owner.id)
    messages: list[Message] = []
    left = budget_tokens
    for turn in reversed(before):
        if turn.status == "failed" or not turn.text.strip():
            continue
        message = _message(turn, is_room=len(people) > 1)
        left -= estimate_tokens(message.content) + OVERHEAD_TOKENS
        if left < 0:
            break
        messages.append(message)
    messages.reverse()
    return list(_from_user_on(messages))


def _message(turn: Turn, *, is_room: bool) -> Message:
    if turn.user is None:
        return Message("assistant", turn.text)
    return Message("user", f"{turn.user.name or turn.user.id}: {turn.text}" if is_room else turn.text)


def _from_user_on(messages: Sequence[Message]) -> Sequence[Message]:
    first = next((index for index, one in enumerate(messages) if one.role == "user"), len(messages))
    return messages[first:]
