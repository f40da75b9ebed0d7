"""What hypothesis draws in more than one test: names, events, JSON."""

import string

from hypothesis import settings
from hypothesis import strategies as st

from runcast.core.event import DAY_US, Event, new_epoch

PURE = settings(max_examples=40, deadline=None)
"""For pure tests: enough examples to find a slip, few enough to stay fast."""

NOW_US = 1_770_000_000_000_000
EPOCH = new_epoch("session:s", 7)

# Alphabets are spelt out: by Unicode categories, hypothesis would first build a table for two seconds.
PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " äßłΩж中文字🙂é"
printable = st.sampled_from(PRINTABLE)
texts = st.text(st.sampled_from(PRINTABLE + "\0\n\r\t\x7f\x9f\u2028\ufeff\uffff\U0010ffff"), max_size=30)
stream_ids = st.text(string.ascii_letters + string.digits + "._~@+-", min_size=1, max_size=200).filter(
    lambda name: name not in {".", ".."}
)
kinds = st.builds(
    str.__add__,
    st.sampled_from(string.ascii_lowercase),
    st.text(string.ascii_lowercase + string.digits + "_", max_size=31),
)
times_us = st.integers(0, NOW_US + DAY_US)

scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


def make_event(
    data: bytes = b"{}",
    *,
    type: str = "tool_call",  # noqa: A002 - as the field is called
    seq: int = 1,
    id: str = "",  # noqa: A002
    time: int = NOW_US,
    stream: str = "session:s",
    position: int | None = None,
    epoch: str = EPOCH,
) -> Event:
    """A stored event of which a test says only what it is about."""
    return Event(stream, epoch, seq, position or seq, id or f"e{seq}", type, time, data)
