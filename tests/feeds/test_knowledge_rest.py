"""The knowledge base over HTTP: documents go in and come out, for those who may, and the system's stream tells of it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send
from tests.support.pdf import pdf
from tests.support.server import AppServer

from runcast.auth.grants import Grants
from runcast.auth.principal import Principal
from runcast.config import Settings
from runcast.errors import RuncastError
from runcast.feeds.system.knowledge import STREAM, create_knowledge_router
from runcast.kinds.system import EVENTS
from runcast.live.bus import Bus
from runcast.log.memory import MemoryLog
from runcast.runners.knowledge import KnowledgeBase
from runcast.transport.access import KEY, Access
from runcast.transport.permission import permission_of
from runcast.transport.problem import answer_with

DOCUMENTS = "/api/v1/knowledge/documents"
SEARCH = "/api/v1/knowledge/search"
GRANTS = {"reader": Grants(read=(STREAM,)), "writer": Grants(write=(STREAM,))}


class KnowledgeServer(AppServer):
    """The routes alone, over a bus of their own; who asks says so in a header, and by default may do everything."""

    def __init__(self, knowledge: KnowledgeBase, **settings: Any) -> None:
        self.bus = Bus(MemoryLog(), settings=Settings(**settings))
        app = FastAPI(routes=create_knowledge_router(self.bus, knowledge).routes)
        app.add_exception_handler(RuncastError, answer_with(self.bus.refused))

        async def with_access(scope: Scope, receive: Receive, send: Send) -> None:
            who = dict(scope.get("headers", ())).get(b"x-who", b"").decode()
            if who:
                scope[KEY] = Access(Principal(sub=who, via="key", grants=GRANTS.get(who, Grants())))
            await app(scope, receive, send)

        super().__init__(with_access)

    async def _serve(self) -> None:
        await super()._serve()
        await self.bus.close()

    def add(self, name: str, content: str, **more: Any) -> httpx2.Response:
        return self.http.post(DOCUMENTS, json={"name": name, "content": content, **more})

    def events(self) -> list[tuple[str, bytes]]:
        return [(event.type, event.data) for event in self.run(self.bus.read(EVENTS)).events]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KnowledgeServer]:
    with (
        KnowledgeBase(tmp_path / "k") as knowledge,
        KnowledgeServer(knowledge, request_max_bytes=4_000) as server,
    ):
        yield server


def test_a_document_is_added_found_and_told(server: KnowledgeServer) -> None:
    answer = server.add("docs/car.md", "# Car\n\nThe battery holds 82 kWh.")
    assert answer.status_code == 201
    assert answer.json() == {
        "document": "docs/car.md",
        "media_type": "text/markdown",
        "chunks": 1,
        "bytes": 32,
        "unchanged": False,
        "note": "",
    }
    found = server.get(SEARCH, q="battery", limit="3")
    assert found == {
        "query": "battery",
        "passages": [
            {
                "text": "The battery holds 82 kWh.",
                "source": "docs/car.md",
                "heading": "Car",
                "number": 1,
                "score": 1.0,
            }
        ],
    }
    (document,) = server.get(DOCUMENTS)["documents"]
    assert {name: document[name] for name in ("name", "title", "chunks", "bytes")} == {
        "name": "docs/car.md",
        "title": "Car",
        "chunks": 1,
        "bytes": 32,
    }
    assert document["added"].endswith("Z")
    assert "path" not in document
    told = b'{"document":"docs/car.md","chunks":1,"bytes":32,"unchanged":false}'
    assert server.events() == [("knowledge_ingested", told)]


def test_the_same_document_again_is_unchanged_and_told_so(server: KnowledgeServer) -> None:
    server.add("a.md", "One.")
    again = server.add("a.md", "One.")
    assert (again.status_code, again.json()["unchanged"]) == (200, True)
    assert [b'"unchanged":true' in data for _, data in server.events()] == [False, True]


@pytest.mark.parametrize(
    ("content_type", "data", "media_type"),
    [
        ("application/pdf", pdf("Text of a page"), "application/pdf"),
        ("application/octet-stream", pdf("Text of a page"), "application/pdf"),
        ("text/html; charset=utf-8", b"<p>Text of a page", "text/html"),
        ("text/markdown", b"Text of a page", "text/markdown"),
        ("application/octet-stream", b"Text of a page", "text/plain"),
    ],
)
def test_a_file_as_it_is(server: KnowledgeServer, content_type: str, data: bytes, media_type: str) -> None:
    answer = server.http.post(
        DOCUMENTS, params={"name": "up load"}, content=data, headers={"content-type": content_type}
    )
    assert (answer.status_code, answer.json()["media_type"]) == (201, media_type), answer.text
    assert server.get(SEARCH, q="page")["passages"][0]["source"] == "up load"


def test_any_bytes_as_json(server: KnowledgeServer) -> None:
    content = base64.b64encode(pdf("A page")).decode()
    answer = server.http.post(DOCUMENTS, json={"name": "a.pdf", "content_base64": content})
    assert (answer.status_code, answer.json()["media_type"]) == (201, "application/pdf")
    assert server.add("x", "<p>hi there", media_type="text/html").json()["media_type"] == "text/html"


def test_removing(server: KnowledgeServer) -> None:
    server.add("docs/a b.md", "One.")
    gone = server.http.delete(f"{DOCUMENTS}/docs/a%20b.md")
    assert (gone.status_code, gone.json()) == (200, {"document": "docs/a b.md", "removed": True})
    assert server.get(DOCUMENTS) == {"documents": []}
    assert server.events()[-1] == ("knowledge_removed", b'{"document":"docs/a b.md"}')
    again = server.http.delete(f"{DOCUMENTS}/docs/a%20b.md")
    assert (again.status_code, again.json()["code"]) == (404, "document_not_found")
    assert len(server.events()) == 2


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"{", 400, "body"),
        (b"[]", 400, "body"),
        (b"\xff", 400, "body"),
        (b"[" * 2_000, 400, "body"),
        (b'{"name": "a"}', 400, "content"),
        (b'{"name": "a", "content": "x", "content_base64": "eA=="}', 400, "content"),
        (b'{"name": "a", "content_base64": "no!"}', 400, "content_base64"),
        (b'{"name": "a", "content_base64": "\xc3\xa4"}', 400, "content_base64"),
        (b'{"name": "", "content": "x"}', 400, "name"),
        (b'{"name": "a\\nb", "content": "x"}', 400, "name"),
        (b'{"name": "a", "content": 7}', 400, "body"),
        (b'{"name": "a", "content": "x", "more": 1}', 400, "body"),
        (b'{"name": "a", "content": "x", "media_type": "image/png"}', 400, "media_type"),
        (b'{"name": "a.pdf", "content": "%PDF-1.7 nonsense"}', 400, "content"),
        (b'{"name": "a", "content": "' + b"x" * 4_000 + b'"}', 413, "body"),
    ],
    ids=[*"abcdefghijklmn", "large"],
)
def test_what_cannot_be_added(server: KnowledgeServer, body: bytes, status: int, field: str) -> None:
    answer = server.http.post(DOCUMENTS, content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json().get("field")) == (status, field), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert server.get(DOCUMENTS) == {"documents": []}
    assert server.events() == []


@pytest.mark.parametrize("query", [{}, {"q": " "}, {"q": "a", "limit": "0"}, {"q": "a", "limit": "51"}])
def test_what_cannot_be_searched(server: KnowledgeServer, query: dict[str, str]) -> None:
    answer = server.http.get(SEARCH, params=query)
    assert (answer.status_code, answer.json()["field"]) == (400, "limit" if query.get("q") == "a" else "q")


@pytest.mark.parametrize(
    ("who", "reads", "writes"), [("reader", 200, 403), ("writer", 403, 201), ("stranger", 403, 403)]
)
def test_who_may_do_what(server: KnowledgeServer, who: str, reads: int, writes: int) -> None:
    headers = {"x-who": who}
    body = {"name": "a.md", "content": "One."}
    assert server.http.post(DOCUMENTS, json=body, headers=headers).status_code == writes
    assert server.http.get(DOCUMENTS, headers=headers).status_code == reads
    assert server.http.get(SEARCH, params={"q": "one"}, headers=headers).status_code == reads
    gone = server.http.delete(f"{DOCUMENTS}/a.md", headers=headers).status_code
    assert gone == (200 if writes == 201 else 403)


def test_every_route_states_a_permission() -> None:
    routes = create_knowledge_router(Bus(MemoryLog()), KnowledgeBase(None)).routes
    assert [permission_of(getattr(route, "endpoint", None)) is not None for route in routes] == [True] * 4


def test_a_file_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"no database, but some file" * 99)
    with KnowledgeBase(tmp_path / "k") as knowledge, KnowledgeServer(knowledge) as server:
        answer = server.add("a.md", "One.")
        assert (answer.status_code, answer.json()["code"]) == (500, "knowledge_error")
        assert server.events() == []
