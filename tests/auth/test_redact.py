"""What is hidden of what is logged, and what is not."""

import io
import logging
from collections.abc import Generator

import pytest

from runcast.auth.redact import redact, redact_logs, redact_record


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("GET /a?token=s3cret&limit=1 HTTP/1.1", "GET /a?token=(hidden)&limit=1 HTTP/1.1"),
        ("GET /a?limit=1&api_key=s3cret", "GET /a?limit=1&api_key=(hidden)"),
        ("Authorization: Bearer s3cret", "Authorization: Bearer (hidden)"),
        ("(b'x-api-key', b's3cret')", "(b'x-api-key', b'(hidden)')"),
        ("Cookie: theme=dark; runcast=s3cret; b=1", "Cookie: theme=dark; runcast=(hidden); b=1"),
        (
            '< TEXT \'{"type": "auth", "token": "s3cret"}\'',
            '< TEXT \'{"type": "auth", "token": "(hidden)"}\'',
        ),
        ('{"email":"a@b","password":"s3cret"}', '{"email":"a@b","password":"(hidden)"}'),
        ("go to /login?next=%2F%3Ftoken%3Ds3cret%26a", "go to /login?next=%2F%3Ftoken%3D(hidden)%26a"),
        ("__Host-runcast=s3cret; Path=/", "__Host-runcast=(hidden); Path=/"),
        (f"told rck_0123456789abcdef_{'x' * 43}.", "told rck_0123456789abcdef_(hidden)."),
        (f"a token eyJ{'x' * 20}.eyJ{'y' * 20}.{'z' * 40} came", "a token eyJ(hidden) came"),
        ("5 tokens were spent by ticket 7", "5 tokens were spent by ticket 7"),
    ],
)
def test_secrets_are_hidden(text: str, clean: str) -> None:
    assert redact(text) == clean


@pytest.fixture
def redacted() -> Generator[None]:
    """As a process is in which an app was made; and as it was, afterwards."""
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(logging.LogRecord)
    redact_logs()
    yield
    logging.setLogRecordFactory(before)


@pytest.fixture
def printed(redacted: None) -> Generator[io.StringIO]:
    """What a user's own handler prints, which was added after the app was made."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)


URL = "https://id.example.org/keys?token=s3cret&kid=1"


class Address:
    """What a client logs is often no text yet."""

    def __str__(self) -> str:
        return URL


@pytest.mark.parametrize(
    "logger", ["httpcore2.connection", "httpx2", "uvicorn.error.child", "asyncio", "somebody.else"]
)
@pytest.mark.parametrize("address", [URL, Address()], ids=["text", "object"])
def test_no_logger_prints_secrets(printed: io.StringIO, logger: str, address: object) -> None:
    logging.getLogger(logger).debug('HTTP Request: %s %s "%s"', "GET", address, 200)
    clean = URL.replace("s3cret", "(hidden)")
    assert printed.getvalue() == f'{logger} HTTP Request: GET {clean} "200"\n'


def test_exceptions_print_none_either(printed: io.StringIO) -> None:
    def ask() -> None:
        raise OSError(f"401 for {URL}")

    try:
        ask()
    except OSError:
        logging.getLogger("httpcore2.http11").exception("failed", stack_info=True)
    told = printed.getvalue()
    assert "s3cret" not in told
    assert "OSError: 401 for https://id.example.org/keys?token=(hidden)&kid=1" in told


def test_what_has_no_secret_is_left_to_its_formatter(redacted: None) -> None:
    record = logging.getLogRecordFactory()(
        "a", 20, "", 0, "%(one)s of %(two)d", ({"one": "a", "two": 2},), None
    )
    assert (record.msg, record.args) == ("%(one)s of %(two)d", {"one": "a", "two": 2})


def test_arguments_that_do_not_fit_are_left_to_the_handler(redacted: None) -> None:
    record = logging.getLogRecordFactory()("a", 20, "", 0, "%d", ("no number",), None)
    assert (record.msg, record.args) == ("%d", ("no number",))


def test_records_are_redacted_once(redacted: None) -> None:
    factory = logging.getLogRecordFactory()
    redact_logs()
    assert logging.getLogRecordFactory() is factory


def test_a_record_keeps_the_arguments_that_its_formatter_wants() -> None:
    record = logging.LogRecord("a", 20, "", 0, "%s %d", ("/a?ticket=s3cret", 200), None)
    redact_record(record)
    assert record.args == ("/a?ticket=(hidden)", 200)
