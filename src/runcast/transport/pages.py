"""The live page at `/`: the files of `runcast/web`, served as they are under a strict Content-Security-Policy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http import HTTPStatus
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, NamedTuple

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from runcast.transport.route import RequestRoute

INDEX: Final = "index.html"
PLACE: Final = b"{{static}}"
"""Stands in the page for `/static/{release}`: a new release has new addresses, so files may be kept for ever."""

EARLY: Final = "js/theme.js"
"""The one script that is no module: it runs before anything is drawn."""

MODULES: Final = b"{{modules}}"
"""Stands in the page for links to all modules, so that a browser fetches them at once and not as it finds them."""

RELEASE_CHARS: Final = 12
KEEP: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"

_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
_SECURITY: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",  # an address names sessions
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class _File(NamedTuple):
    """One file as it is sent."""

    body: bytes
    media_type: str
    etag: str


def create_pages_router() -> APIRouter:
    """`/` and `/static/…`. The files are read once, here: a request can only name what was found then."""
    router = APIRouter(route_class=RequestRoute, include_in_schema=False)
    pages = _Pages(dict(_read(files("runcast").joinpath("web"))))
    router.api_route("/", methods=["GET", "HEAD"])(pages.index)
    router.api_route("/favicon.ico", methods=["GET", "HEAD"])(pages.icon)
    router.api_route("/static/{path:path}", methods=["GET", "HEAD"])(pages.static)
    return router


class _Pages:
    """The handlers over the files by their path."""

    def __init__(self, bodies: dict[str, bytes]) -> None:
        self._release = _release(bodies)
        place = f"/static/{self._release}".encode()
        bodies[INDEX] = bodies[INDEX].replace(MODULES, _preloads(bodies)).replace(PLACE, place)
        self._files = {path: _file(path, body) for path, body in bodies.items()}

    async def index(self, request: Request) -> Response:
        return _answer(request, self._files[INDEX], ASK_AGAIN)

    async def icon(self, request: Request) -> Response:
        return _answer(request, self._files["icon.svg"], ASK_AGAIN)

    async def static(self, request: Request) -> Response:
        path: str = request.path_params["path"]
        release, _, rest = path.partition("/")
        if release == self._release and rest in self._files:
            return _answer(request, self._files[rest], KEEP)
        if path in self._files:
            return _answer(request, self._files[path], ASK_AGAIN)
        raise HTTPException(HTTPStatus.NOT_FOUND)


def _read(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _read(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield f"{prefix}{entry.name}", entry.read_bytes()


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


def _file(path: str, body: bytes) -> _File:
    return _File(body, _TYPES[path.rpartition(".")[2]], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def _answer(request: Request, file: _File, caching: str) -> Response:
    headers = {**_SECURITY, "Cache-Control": caching, "ETag": file.etag}
    if _has(request.headers.get("if-none-match", ""), file.etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(file.body, headers=headers, media_type=file.media_type)


def _has(if_none_match: str, etag: str) -> bool:
    """Whether the client has it (RFC 9110 §13.1.2: weak comparison, `*` for any)."""
    told = (one.strip().removeprefix("W/") for one in if_none_match.split(","))
    return any(one in {etag, "*"} for one in told)
