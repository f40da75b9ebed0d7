"""How finely divided a body may be, before it is decoded."""

from __future__ import annotations

import gzip
import json
import random

import msgspec
import pytest
from tests.support.server import ThreadServer

from runcast.errors import TooLarge
from runcast.transport.body import MAX_VALUES, check_values

MANY = MAX_VALUES + 1


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
    with pytest.raises(TooLarge, match=str(MAX_VALUES)):
        check_values([body])


@pytest.mark.parametrize("text", ["[" * MANY, '\\"[{:' * MANY, '"[' * MANY, "\\" * MANY + "[" * MANY])
@pytest.mark.parametrize("shift", range(4))
def test_signs_within_texts_do_not_count(text: str, shift: int) -> None:
    check_values([b" " * shift + json.dumps([text, {"a": text}]).encode()])


@pytest.mark.parametrize("cut", [1, 7, 65_536])
def test_what_counts_is_what_a_decoder_finds(cut: int) -> None:
    rng = random.Random(7)
    words = ["a", "[", '"', "\\", "{:", "\\u005b", "\n", "é", '\\"', "<", "<<", ",,"]
    values = ["".join(rng.choices(words, k=rng.randrange(60))) for _ in range(500)]
    few = msgspec.json.encode([{"a": value, "b": [value]} for value in values])  # 2,001 values
    filler = b"[" + b",".join([b"1"] * (MAX_VALUES - 2_002)) + b"]"
    cut_up = [few[start : start + cut] for start in range(0, len(few), cut)]
    check_values([*cut_up, filler])
    with pytest.raises(TooLarge):
        check_values([*cut_up, filler, b",,,"])


def test_a_text_that_is_full_of_signs_is_published(server: ThreadServer, session: str) -> None:
    text = "[{,\\" * 500_000
    answer = server.http.post(
        f"/api/sessions/{session}/events", json=[{"event_type": "a", "output_summary": text}] * 2
    )
    assert answer.status_code == 200


def test_too_many_values_are_refused_by_the_server_too(server: ThreadServer, session: str) -> None:
    body = b'{"event_type": "a", "x": [' + b",".join([b"1"] * MANY) + b"]}"
    for path, headers in (
        (f"/api/sessions/{session}/events", {}),
        (f"/api/v1/streams/session:{session}/events", {}),
        ("/ingest/claude-code", {}),
        ("/v1/logs", {"Content-Encoding": "gzip"}),
    ):
        answer = server.http.post(
            path,
            content=gzip.compress(body) if headers else body,
            headers={"Content-Type": "application/json", **headers},
        )
        assert answer.status_code == 413, path
        assert str(MAX_VALUES) in answer.text
