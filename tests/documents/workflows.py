"""What the tests of the workflow document share: its snippets, and a server that really runs workflows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.documents.snippets import SEEDS, Running, Snippet, python, snippet, snippets
from tests.support.workflow_server import WorkflowServer

DOCUMENT = "001_8b0fe21155051036.txt"
WORKFLOW = "wf_abc123"
"""The workflow that the document's examples name."""

_JSON = re.compile(r"^[ ]+```json\n(.*?)^[ ]+```", re.MULTILINE | re.DOTALL)

HTTPX = """
import sys, httpx2
sys.modules["httpx"] = httpx2  # the maintained httpx, under the name that the document imports
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WorkflowServer]:
    with WorkflowServer(tmp_path / "log.db") as server:
        yield server


def code(heading: str, language: str) -> str:
    """The one block of this language under a heading of the document."""
    return snippet(heading, language, DOCUMENT)


def blocks(language: str) -> list[Snippet]:
    return [one for one in snippets(DOCUMENT) if one.language == language]


def documented_frames() -> list[dict[str, Any]]:
    """The frames that the document shows as JSON; they stand indented in a list."""
    snippets(DOCUMENT)  # skips where the document is not
    found = _JSON.findall((SEEDS / DOCUMENT).read_text(encoding="utf-8"))
    return [json.loads(block) for block in found]


def run_python(folder: Path, text: str) -> Running:
    return python(folder, HTTPX + text)
