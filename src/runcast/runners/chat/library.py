"""What the chat looks things up in: the user's own knowledge base, or, while that is empty, the one that we ship."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from importlib.resources import files

from runcast.runners.knowledge import KnowledgeBase, Passage

SHIPPED = "knowledge"
"""The folder with the documentation of a car that does not exist."""


class Library:
    """Passages for questions. `own` is asked as soon as it has a document; the shipped one is read when first needed."""

    def __init__(self, own: KnowledgeBase) -> None:
        self._own = own
        self._lock = threading.Lock()
        self._shipped: KnowledgeBase | None = None

    async def search(self, query: str, limit: int = 5) -> Sequence[Passage]:
        """The best passages, the best first. Cancellation-safe.

        Raises:
            KnowledgeError: the knowledge base cannot be read.
        """
        return await asyncio.to_thread(self._search, query, limit)

    def close(self) -> None:
        """Let go of the shipped one; the other is its owner's. Idempotent."""
        with self._lock:
            if self._shipped is not None:
                self._shipped.close()
                self._shipped = None

    def _search(self, query: str, limit: int) -> Sequence[Passage]:
        base = self._own if not self._own.is_empty() else self._documentation()
        return base.search(query, limit)

    def _documentation(self) -> KnowledgeBase:
        with self._lock:
            if self._shipped is None:
                base = KnowledgeBase(None)
                for document in sorted(
                    files("runcast.runners.chat").joinpath(SHIPPED).iterdir(), key=lambda one: one.name
                ):
                    if document.name.endswith(".md"):
                        base.add(document.read_bytes(), document.name)
                self._shipped = base
            return self._shipped
