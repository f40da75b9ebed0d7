"""The knowledge base: documents in chunks, found by their words."""

from runcast.runners.knowledge.base import KnowledgeBase
from runcast.runners.knowledge.ingest import Failure, Progress, Report, add_paths
from runcast.runners.knowledge.place import knowledge_file
from runcast.runners.knowledge.values import Document, Ingested, Passage

__all__ = [
    "Document",
    "Failure",
    "Ingested",
    "KnowledgeBase",
    "Passage",
    "Progress",
    "Report",
    "add_paths",
    "knowledge_file",
]
