"""The live page at `/`: the files of `runcast/web`, served as they are under a strict Content-Security-Policy."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from importlib.resources import files
from typing import Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from runcast.transport.permission import PUBLIC, allowed
from runcast.transport.route import RequestRoute
from runcast.transport.static import ASK_AGAIN, KEEP, answer_file, make_file, policy, read_files

INDEX: Final = "index.html"
PLACE: Final = b"{{static}}"
"""Stands in the page for `/static/{release}`: a new release has new addresses, so files may be kept for ever."""

EARLY: Final = "js/theme.js"
"""The one script that is no module: it runs before anything is drawn."""

MODULES: Final = b"{{modules}}"
"""Stands in the page for links to all modules, so that a browser fetches them at once and not as it finds them."""

RELEASE_CHARS: Final = 12
_POLICY: Final = policy()


def create_pages_router() -> APIRouter:
    """`/` and `/static/…`. The files are read once, here: a request can only name what was found then."""
    router = APIRouter(route_class=RequestRoute, include_in_schema=False)
    pages = _Pages(dict(read_files(files("runcast").joinpath("web"))))
    router.api_route("/", methods=["GET", "HEAD"])(allowed(PUBLIC, pages.index))
    router.api_route("/favicon.ico", methods=["GET", "HEAD"])(allowed(PUBLIC, pages.icon))
    router.api_route("/static/{path:path}", methods=["GET", "HEAD"])(allowed(PUBLIC, pages.static))
    return router


class _Pages:
    """The handlers over the files by their path."""

    def __init__(self, bodies: dict[str, bytes]) -> None:
        self._release = _release(bodies)
        place = f"/static/{self._release}".encode()
        bodies[INDEX] = bodies[INDEX].replace(MODULES, _preloads(bodies)).replace(PLACE, place)
        self._files = {path: make_file(path, body) for path, body in bodies.items()}

    async def index(self, request: Request) -> Response:
        return answer_file(request, self._files[INDEX], ASK_AGAIN, _POLICY)

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


def _preloads(bodies: dict[str, bytes]) -> bytes:
    modules = sorted(path for path in bodies if path.endswith(".js") and path != EARLY)
    return b"\n    ".join(
        b'<link rel="modulepreload" href="%s/%s">' % (PLACE, path.encode()) for path in modules
    )


def _release(bodies: dict[str, bytes]) -> str:
    digest = hashlib.sha256()
    for path in sorted(bodies):
        digest.update(path.encode() + b"\0" + hashlib.sha256(bodies[path]).digest())
    return digest.hexdigest()[:RELEASE_CHARS]
