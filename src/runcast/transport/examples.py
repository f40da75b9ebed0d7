"""The examples at `/examples/…`, so that the pages among them have an origin from which they may connect.

Each is one file to read and to copy, scripts and styles included; so its policy allows just these, by their hashes.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from runcast.transport.permission import PUBLIC, allowed
from runcast.transport.route import RequestRoute
from runcast.transport.static import ASK_AGAIN, answer_file, make_file, policy, read_files

PLACES: Final = (Path(__file__).parents[1] / "examples", Path(__file__).parents[3] / "examples")
"""In an installed package, or in a checkout."""

_INLINE: Final = re.compile(rb"<(script|style)[^>]*>(.*?)</\1>", re.DOTALL)


def create_examples_router() -> APIRouter:
    """`/examples/…`. The files are read once, here: a request can only name what was found then."""
    router = APIRouter(route_class=RequestRoute, include_in_schema=False)
    examples = _Examples()
    router.api_route("/examples/{path:path}", methods=["GET", "HEAD"])(allowed(PUBLIC, examples.example))
    return router


class _Examples:
    """The handler over the files by their path."""

    def __init__(self) -> None:
        place = next((place for place in PLACES if place.is_dir()), None)
        found = {} if place is None else dict(read_files(place))
        self._files = {path: (make_file(path, body), _policy(body)) for path, body in found.items()}

    async def example(self, request: Request) -> Response:
        path: str = request.path_params["path"]
        if path not in self._files:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        file, content_policy = self._files[path]
        return answer_file(request, file, ASK_AGAIN, content_policy)


def _policy(body: bytes) -> str:
    return policy({"script-src": _hashes(body, b"script"), "style-src": _hashes(body, b"style")})


def _hashes(body: bytes, element: bytes) -> str:
    """The sources that a policy allows for the contents of these elements (CSP Level 3 §2.3.1)."""
    texts = [text for name, text in _INLINE.findall(body) if name == element]
    return " ".join(f"'sha256-{b64encode(sha256(text).digest()).decode()}'" for text in texts) or "'none'"
