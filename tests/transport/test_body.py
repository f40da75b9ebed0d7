"""How finely divided a body may be, before it is decoded."""

from __future__ import annotations

import json
import random

import msgspec
import pytest

from runcast.errors import TooLarge
from runcast.transport.body import MAX_PARTS, check_parts

MANY = MAX_PARTS + 1


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b",".join([b"[]"] * MANY) + b"]",
        b"[" + b",".join([b"{}"] * MANY) + b"]",
        b"{}\n" * MANY,
        b'{"a": [' + b",".join([b"[]"] * MANY) + b"]}",
        b"{" + b",".join([b'"a":1'] * MANY) + b"}",
        b"[" + b",".join([rb'{"\\":"\""}'] * (MANY // 2 + 1)) + b"]",
        b"[" * MANY,
    ],
    ids=["lists", "objects", "lines", "one event", "fields", "escapes", "deep"],
)
def test_too_many_parts_are_refused(body: bytes) -> None:
    with pytest.raises(TooLarge, match=str(MAX_PARTS)):
        check_parts(body)


@pytest.mark.parametrize("text", ["[" * MANY, '\\"[{:' * MANY, '"[' * MANY, "\\" * MANY + "[" * MANY])
@pytest.mark.parametrize("shift", range(4))
def test_signs_within_texts_do_not_count(text: str, shift: int) -> None:
    check_parts(b" " * shift + json.dumps([text, {"a": text}]).encode())


def test_what_counts_is_what_a_decoder_finds() -> None:
    rng = random.Random(7)
    words = ["a", "[", '"', "\\", "{:", "\\u005b", "\n", "é", '\\"', "<", "<<"]
    values = ["".join(rng.choices(words, k=rng.randrange(60))) for _ in range(60_000)]
    body = msgspec.json.encode([{"a": value, "b": [value]} for value in values])
    check_parts(body)  # 240,001 parts; the signs within texts are many more
    with pytest.raises(TooLarge):
        check_parts(msgspec.json.encode([[{"a": value}, {"b": [value]}] for value in values]))  # 360,001
