"""Secrets taken out of what is logged, whoever logs it: a server that debugs prints what it is sent."""

from __future__ import annotations

import logging
import re
from typing import Final

HIDDEN: Final = "(hidden)"
LOGGERS: Final = (
    "uvicorn.error",
    "uvicorn.access",
    "uvicorn.asgi",
    "websockets.server",
    "httpx2",
    "httpcore2",
)
"""Of those who print requests, frames or addresses when they are asked to be talkative."""

_NAMES = "token|api_key|ticket|password|refresh_token|access_token"
_PATTERNS: Final = (
    re.compile(rf"\b((?:{_NAMES})=)[^&\s'\"]+", re.IGNORECASE),  # in an address
    re.compile(
        rf"((?:\\?[\"'])(?:{_NAMES})(?:\\?[\"'])\s*:\s*(?:\\?[\"']))[^\"'\\]+", re.IGNORECASE
    ),  # in JSON
    re.compile(r"(\bbearer\s+)[^\s'\",]+", re.IGNORECASE),
    re.compile(r"(\bx-api-key['\"]?\s*[:,]\s*b?['\"]?)[^\s'\",)]+", re.IGNORECASE),
    re.compile(r"(\bruncast=)[^;\s'\"]+", re.IGNORECASE),  # our cookie
)


def redact(text: str) -> str:
    """`text` with secrets replaced by a mark."""
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


class Redaction(logging.Filter):
    """Redacts what a logger is told to print."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without its secrets."""
        if isinstance(record.args, tuple):  # some formatters want each of them
            record.args = tuple(redact(one) if isinstance(one, str) else one for one in record.args)
        told = record.getMessage()
        clean = redact(told)
        if clean != told:
            record.msg, record.args = clean, ()
        return True


def redact_logs() -> None:
    """Redact what this process's servers and clients log from now on. Idempotent."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, Redaction) for one in logger.filters):
            logger.addFilter(Redaction())
