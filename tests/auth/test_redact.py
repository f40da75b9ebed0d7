"""What is hidden of what is logged, and what is not."""

import logging

import pytest

from runcast.auth.redact import Redaction, redact


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
        ("5 tokens were spent by ticket 7", "5 tokens were spent by ticket 7"),
    ],
)
def test_secrets_are_hidden(text: str, clean: str) -> None:
    assert redact(text) == clean


def test_a_record_keeps_the_arguments_that_its_formatter_wants() -> None:
    record = logging.LogRecord("a", 20, "", 0, "%s %d", ("/a?ticket=s3cret", 200), None)
    assert Redaction().filter(record)
    assert record.args == ("/a?ticket=(hidden)", 200)
