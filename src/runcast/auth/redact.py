"""Secrets taken out of what is logged, whoever logs it: a server that debugs prints what it is sent.

Done where records are made, so it reaches every logger, the children of other libraries' loggers among them, and every
handler, whoever adds it and when.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any, Final

HIDDEN: Final = "(hidden)"

_NAMES: Final = "token|api_key|ticket|password|refresh_token|access_token"
_PATTERNS: Final = (
    re.compile(rf"((?:\b|_)(?:{_NAMES})=)[^&\s'\"]+", re.IGNORECASE),  # in an address
    re.compile(r"(://)[^/?#@\s'\"]*(?=@)"),  # before a host
    re.compile(rf"((?:{_NAMES})%3D)[^&%\s'\"]+", re.IGNORECASE),  # in an address within an address
    re.compile(
        rf"((?:\\?[\"'])(?:{_NAMES})(?:\\?[\"'])\s*:\s*(?:\\?[\"']))[^\"'\\]+", re.IGNORECASE
    ),  # in JSON
    re.compile(r"(\bbearer\s+)[^\s'\",]+", re.IGNORECASE),
    re.compile(r"(\bx-api-key['\"]?\s*[:,]\s*b?['\"]?)[^\s'\",)]+", re.IGNORECASE),
    re.compile(r"(\bruncast=)[^;\s'\"]+", re.IGNORECASE),  # our cookie
    re.compile(r"(\brck_[0-9a-f]{16}_)[\w-]{20,}"),  # a key of ours, wherever it stands
    re.compile(r"(\beyJ)[\w-]{10,}\.eyJ[\w-]+\.[\w-]+"),  # a token, wherever it stands
)

_exceptions: Final = logging.Formatter()

RecordFactory = Callable[..., logging.LogRecord]


def redact(text: str) -> str:
    """`text` with secrets replaced by a mark."""
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{HIDDEN}", text)
    return text


def redact_record(record: logging.LogRecord) -> None:
    """Take the secrets out of a record: of its message, its arguments, its exception and its stack.

    One that has none is left as it is, so that each formatter does with it what it always does.
    """
    if isinstance(record.args, tuple):  # some formatters want each of them
        record.args = tuple(redact(one) if isinstance(one, str) else one for one in record.args)
    told = _told(record)
    clean = redact(told)
    if clean != told:
        record.msg, record.args = clean, ()
    if record.exc_info and record.exc_info[0] is not None and not record.exc_text:
        trace = _exceptions.formatException(record.exc_info)
        clean = redact(trace)
        if clean != trace:
            record.exc_text = clean  # formatters take this if it is there
    if record.stack_info:
        record.stack_info = redact(record.stack_info)


def _told(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001 - of whoever logs what does not fit: its handler tells that, as ever
        return ""


class RedactingFactory:
    """Makes log records as `make` does, without secrets."""

    def __init__(self, make: RecordFactory) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        """See `logging.setLogRecordFactory`."""
        record = self._make(*args, **kwargs)
        redact_record(record)
        return record


def redact_logs() -> None:
    """Redact what this process logs from now on. Idempotent."""
    make = logging.getLogRecordFactory()
    if not isinstance(make, RedactingFactory):
        logging.setLogRecordFactory(RedactingFactory(make))
