"""The pages: `/`, `/workflows`, `/plans`, `/tasks`, `/chat`. The files of `runcast/web`, under a strict Content-Security-Policy."""

from __future__ import annotations

import hashlib
import posixpath
import re
from http import HTTPStatus
from importlib.resources import files
from typing import Final, NamedTuple

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from runcast.transport.permission import PUBLIC, Handler, allowed
from runcast.transport.route import RequestRoute
from runcast.transport.static import ASK_AGAIN, KEEP, answer_file, make_file, policy, read_files

PAGES: Final = {"/": "index.html", "/docs": "docs.html"}
"""The file of each page that is like no other."""

RUNS: Final = "runs.html"
"""The file of all pages with a list at the left and what was chosen there beside it."""


class Runs(NamedTuple):
    """What a page of runs is about. Its style is `css/{name}.css`, its script `js/{name}/main.js`."""

    name: str
    title: str
    noun: str
    description: str

    @property
    def address(self) -> str:
        """Whoever looks at one run has an address below it, which is the same page."""
        return f"/{self.name}"

    def fill(self, page: bytes) -> bytes:
        """The file with its words in it."""
        words = {**self._asdict(), "Noun": self.noun.capitalize()}
        for name, word in words.items():
            page = page.replace(b"{{%s}}" % name.encode(), word.encode())
        return page


RUNS_PAGES: Final = (
    Runs("workflows", "Workflows", "workflow", "Start teams of agents and watch them work."),
    Runs("plans", "Plans", "plan", "Start plans of steps that depend on each other, and watch them run."),
    Runs("tasks", "Tasks", "task", "Start background tasks and watch them, step by step."),
    Runs("chat", "Chat", "conversation", "Talk with agents that know your documents."),
)

PLACE: Final = b"{{static}}"
"""Stands in a page for `/static/{release}`: a new release has new addresses, so files may be kept for ever."""

HEADER: Final = b"{{header}}"
"""Stands in a page for what all of them have at the top."""

MODULES: Final = b"{{modules}}"
"""Stands in a page for links to all its modules, so that a browser fetches them at once and not as it finds them."""

RELEASE_CHARS: Final = 12
_AT: Final = re.compile(rb" \{\{at:([^}]*)\}\}")
_ENTRY: Final = re.compile(rb'<script type="module" src="\{\{static\}\}/([^"]+)"')
_IMPORT: Final = re.compile(rb'^(?:import|export)\b[^"\']*?\bfrom "(\.[^"]+)"', re.MULTILINE)
_POLICY: Final = policy()


def create_pages_router() -> APIRouter:
    """The pages and `/static/…`. The files are read once, here: a request can only name what was found then."""
    router = APIRouter(route_class=RequestRoute, include_in_schema=False)
    pages = _Pages(dict(read_files(files("runcast").joinpath("web"))))
    for address in PAGES:
        router.api_route(address, methods=["GET", "HEAD"])(allowed(PUBLIC, pages.page(address)))
    for runs in RUNS_PAGES:
        page = allowed(PUBLIC, pages.page(runs.address))
        for address in (runs.address, f"{runs.address}/{{run}}"):
            router.api_route(address, methods=["GET", "HEAD"])(page)
    router.api_route("/favicon.ico", methods=["GET", "HEAD"])(allowed(PUBLIC, pages.icon))
    router.api_route("/static/{path:path}", methods=["GET", "HEAD"])(allowed(PUBLIC, pages.static))
    return router


class _Pages:
    """The handlers over the files by their path."""

    def __init__(self, bodies: dict[str, bytes]) -> None:
        self._release = _release(bodies)
        written = {address: bodies[path] for address, path in PAGES.items()}
        written.update({runs.address: runs.fill(bodies[RUNS]) for runs in RUNS_PAGES})
        self._pages = {
            address: make_file("page.html", self._finish(address, page, bodies))
            for address, page in written.items()
        }
        self._files = {path: make_file(path, body) for path, body in bodies.items() if _is_part(path)}

    def page(self, address: str) -> Handler:
        """The handler of one page."""
        file = self._pages[address]

        async def page(request: Request) -> Response:
            return answer_file(request, file, ASK_AGAIN, _POLICY)

        return page

    def _finish(self, address: str, page: bytes, bodies: dict[str, bytes]) -> bytes:
        """What stands in all pages: the header, with the page that this is; the modules; the addresses of files."""
        page = page.replace(HEADER, bodies["header.html"].rstrip())
        page = _AT.sub(lambda found: b' aria-current="page"' * (found[1] == address.encode()), page)
        page = page.replace(MODULES, _preloads(page, bodies))
        return page.replace(PLACE, f"/static/{self._release}".encode())

    async def icon(self, request: Request) -> Response:
        return answer_file(request, self._files["icon.svg"], ASK_AGAIN, _POLICY)

    async def static(self, request: Request) -> Response:
        path: str = request.path_params["path"]
        release, _, rest = path.partition("/")
        if release == self._release and rest in self._files:
            return answer_file(request, self._files[rest], KEEP, _POLICY)
        if path in self._files:
            return answer_file(request, self._files[path], ASK_AGAIN, _POLICY)
        raise HTTPException(HTTPStatus.NOT_FOUND)


def _is_part(path: str) -> bool:
    return not path.endswith(".html")  # a page has its own address


def _preloads(page: bytes, bodies: dict[str, bytes]) -> bytes:
    modules: set[str] = set()
    for entry in _ENTRY.findall(page):
        _collect(entry.decode(), bodies, modules)
    return b"\n    ".join(
        b'<link rel="modulepreload" href="%s/%s">' % (PLACE, path.encode()) for path in sorted(modules)
    )


def _collect(module: str, bodies: dict[str, bytes], found: set[str]) -> None:
    """Add a module, and all that it imports."""
    if module in found:
        return
    found.add(module)
    for named in _IMPORT.findall(bodies[module]):
        _collect(posixpath.normpath(posixpath.join(posixpath.dirname(module), named.decode())), bodies, found)


def _release(bodies: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path in sorted(bodies):
        digest.update(path.encode() + b"\0" + hashlib.sha256(bodies[path]).digest())
    return digest.hexdigest()[:RELEASE_CHARS]
