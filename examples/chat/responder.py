"""A responder of one's own: `runcast serve --load responder`, in this file's folder.

It answers every conversation in the place of the built-in orchestrator. Nothing else is needed: the frames, resuming,
cancelling, rooms and the history are the feed's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from runcast.runners.chat.responder import Metadata, Piece, Progress, Question, responder
from runcast.runners.model import Delta


@responder
async def answer(question: Question) -> AsyncIterator[Piece]:
    """Look things up, then let the configured language model answer in verse."""
    yield Progress("rag_retrieval", "Searching knowledge base...")
    passages = await question.search(question.text, 3)
    yield Metadata(agent="poet", sources=[passage.source for passage in passages])
    found = "\n".join(passage.text for passage in passages)
    yield Progress("generating", "Looking for rhymes...")
    prompt = f"Question: {question.text}\n\n{found}"
    async for item in question.model.stream(question.messages("Answer in two lines that rhyme.", prompt)):
        if isinstance(item, Delta):
            yield item.text
