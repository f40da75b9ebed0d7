"""What the tests of the task document share: its snippets, a server, and the document's names for what is ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.documents.snippets import Snippet, snippets
from tests.support.task_server import TaskServer

DOCUMENT = "004_49cb91a5be95bd51.txt"
CLIENT_TASK, PUBLISHER_TASK = "task-id-123", "task-123"
"""The tasks that the document's clients watch, and that its publishers tell of."""

MODULE = """
import sys, types
from runcast.sources.progress import ProgressPublisher

for name in ("app", "app.agents", "app.agents.mcp_agent"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["app.agents.mcp_agent"].ProgressPublisher = ProgressPublisher
"""

STEPS = [
    {"step": "entity_extraction", "message": "Extracting entities from text...", "percent": 10},
    {"step": "scam_db", "tool": "scam_database", "message": "Checking...", "percent": 35},
    {"step": "completed", "message": "Analysis complete!", "percent": 100},
]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TaskServer]:
    with TaskServer(tmp_path / "log.db", runs=False) as server:
        yield server


def block(heading: str, language: str) -> str:
    """The one block of this language under a heading of the document."""
    (found,) = [one.code for one in blocks(language) if one.heading == heading]
    return found


def blocks(language: str) -> list[Snippet]:
    return [one for one in snippets(DOCUMENT) if one.language == language]


def without_types(typescript: str) -> str:
    """TypeScript as JavaScript, as a compiler would leave it: the few annotations of the document are taken out."""
    code = re.sub(r"\bprivate (\w+): [^=;]+(?= =)", r"\1", typescript)
    code = re.sub(r"\((\w+): string, (\w+): \([^)]*\) => void\)", r"(\1, \2)", code)
    assert not re.search(r"\bprivate\b|: (string|WebSocket|ProgressMessage)\b", code)
    return code
