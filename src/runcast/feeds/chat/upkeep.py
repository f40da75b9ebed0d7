"""Attachments go when their conversation has gone."""

from __future__ import annotations

import asyncio
import logging

from runcast.errors import LogClosed, LogError
from runcast.feeds.chat.attachments import Attachments
from runcast.kinds.chat import chat_stream
from runcast.kinds.chat_state import CHAT_STATE
from runcast.kinds.chat_summary import CHAT_SUMMARY
from runcast.live.bus import Bus

logger = logging.getLogger("runcast.chat")


async def keep_attachments(bus: Bus, attachments: Attachments) -> None:
    """Look every `sweep_interval_s` for files that nothing names any more, until cancelled.

    Ends by itself when the log is closed.
    """
    while True:
        try:
            await sweep_attachments(bus, attachments)
        except LogClosed:
            return
        except (LogError, OSError) as error:
            logger.warning("attachments are looked through later: %s", error)
        await asyncio.sleep(bus.settings.sweep_interval_s)


async def sweep_attachments(bus: Bus, attachments: Attachments) -> None:
    """One look: forget files of conversations that were removed or cleared, and those that no message has named for a day.

    Those are left of a process that was killed between keeping a file and storing the message that names it.

    Raises:
        LogError: the log could not be read. OSError: a file could not be removed.
    """
    await asyncio.to_thread(attachments.sweep)
    for session_id in await asyncio.to_thread(attachments.conversations):
        if (await bus.fold(chat_stream(session_id), CHAT_SUMMARY)).owner is None:
            await asyncio.to_thread(attachments.remove_all, session_id)
    for session_id, ids in (await asyncio.to_thread(attachments.doubtful)).items():
        state = await bus.fold(chat_stream(session_id), CHAT_STATE)
        named = {one.attachment_id for turn in state.turns for one in turn.attachments}
        unnamed = () if state.left_out else set(ids) - named  # of what is not kept, nobody knows
        await asyncio.to_thread(attachments.remove, session_id, unnamed)
        await asyncio.to_thread(attachments.settle, session_id, ids)
