"""`GET /ws/test`: the documented test page, one file with its script and style, under a policy that allows just these."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from runcast.transport.permission import Handler
from runcast.transport.static import ASK_AGAIN, answer_file, make_file, policy

FILE: Final = "test_page.html"
_INLINE: Final = re.compile(rb"<(script|style)[^>]*>(.*?)</\1>", re.DOTALL)


def test_page() -> Handler:
    """The handler. The file is read once, here."""
    body = files("runcast.feeds.chat").joinpath(FILE).read_bytes()
    file, content_policy = make_file(FILE, body), _policy(body)

    async def page(request: Request) -> Response:
        return answer_file(request, file, ASK_AGAIN, content_policy)

    return page


def _policy(body: bytes) -> str:
    hashes = {
        name: f"'sha256-{b64encode(sha256(text).digest()).decode()}'" for name, text in _INLINE.findall(body)
    }
    return policy({"script-src": hashes[b"script"], "style-src": hashes[b"style"]})
