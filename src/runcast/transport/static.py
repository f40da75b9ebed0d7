"""Files for browsers: with a type, an ETag, and the headers that keep a page from doing more than it should."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

KEEP: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"

TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "py": "text/plain; charset=utf-8",
    "svg": "image/svg+xml",
}
_HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",  # an address names sessions
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class File(NamedTuple):
    """One file as it is sent."""

    body: bytes
    media_type: str
    etag: str


def read_files(folder: Traversable | Path, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """All files of known types under `folder`, by their paths in it."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from read_files(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in TYPES:
            yield f"{prefix}{entry.name}", entry.read_bytes()


def make_file(path: str, body: bytes) -> File:
    """A file, typed by the end of its name."""
    return File(body, TYPES[path.rpartition(".")[2]], f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def policy(changes: Mapping[str, str] | None = None) -> str:
    """A Content-Security-Policy that lets a page use what is its own origin's and nothing else, with `changes`."""
    directives = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self'",
        "font-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        **(changes or {}),
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


def answer_file(request: Request, file: File, caching: str, content_policy: str) -> Response:
    """The response for a file; 304 if the browser has it."""
    headers = {
        **_HEADERS,
        "Content-Security-Policy": content_policy,
        "Cache-Control": caching,
        "ETag": file.etag,
    }
    if _has(request.headers.get("if-none-match", ""), file.etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(file.body, headers=headers, media_type=file.media_type)


def _has(if_none_match: str, etag: str) -> bool:
    """Whether the client has it (RFC 9110 §13.1.2: weak comparison, `*` for any)."""
    told = (one.strip().removeprefix("W/") for one in if_none_match.split(","))
    return any(one in {etag, "*"} for one in told)
