"""The conversations that somebody takes part in."""

from __future__ import annotations

from typing import Any, Final

from runcast.kinds.chat import chat_stream, session_id_of
from runcast.kinds.chat_index import CHAT_INDEX, index_stream
from runcast.kinds.chat_state import Person
from runcast.kinds.chat_summary import CHAT_SUMMARY, to_document
from runcast.live.bus import Bus
from runcast.live.folds import newest_states

LOOKED_AT: Final = 300
"""Of somebody's conversations, those joined last."""
PAGES: Final = 50


async def sessions_of(bus: Bus, person: Person, limit: int) -> list[dict[str, Any]]:
    """At most `limit` of them, the one first in which something was said last.

    Raises:
        LogError: the log could not be read.
    """
    index = await bus.fold(index_stream(person.id), CHAT_INDEX)
    names = list(index.sessions)[-LOOKED_AT:]
    infos = [await bus.info(chat_stream(name)) for name in reversed(names)]
    infos = sorted((info for info in infos if info.epoch), key=lambda info: info.updated, reverse=True)
    states = await newest_states(bus, infos, CHAT_SUMMARY, max_pages=PAGES)
    shown = [
        to_document(state.value, session_id_of(info.stream))
        for info, state in zip(infos, states, strict=True)
        if state.value.admits(person.id)
    ]
    return shown[:limit]
