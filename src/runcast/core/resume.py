"""Where reading begins for a cursor: the one rule that every log obeys.

A reader either goes on exactly after what it has seen, or is told in words what it has missed.
"""

from __future__ import annotations

import msgspec

from runcast.core.event import ANY_TAG, Cursor


class Run(msgspec.Struct, frozen=True, gc=False):
    """One incarnation of a stream, as far as reading it is concerned.

    `oldest` is the first seq that is kept, `head` the last one there is; `oldest == head + 1` if none is kept.
    """

    epoch: str
    oldest: int
    head: int


class Start(msgspec.Struct, frozen=True, gc=False):
    """Read `run` after the offset `after`; first tell the reader of `reset` or of the `missing` offsets."""

    run: Run
    after: int
    reset: str | None = None
    missing: tuple[int, int] | None = None


def resume(cursor: Cursor | None, named: Run | None, current: Run, tag: int | None) -> Start:
    """Decide where to read on.

    Args:
        cursor: what the reader has seen; None, or one of no epoch (given for a stream that did not exist
            then), reads the current run from its start.
        named: the run that the cursor's epoch names, if that is still kept.
        current: the run that a new reader gets.
        tag: the tag of the event at the cursor's offset in `named`, if that event is kept.
    """
    if cursor is None or not cursor.epoch:
        return _from_start(current)
    if named is None:
        return _from_start(
            current, "after: the stream was cleared or begun anew since this cursor was given."
        )
    if cursor.offset > named.head:
        return _from_start(
            current,
            f"after: the cursor is ahead of the stream ({cursor.offset} > {named.head}); events were lost.",
        )
    if tag is not None and cursor.tag not in {tag, ANY_TAG}:
        return _from_start(
            current, f"after: the event {cursor.offset} is not the one that this cursor has seen."
        )
    if cursor.offset < named.oldest - 1:
        return Start(named, named.oldest - 1, missing=(cursor.offset + 1, named.oldest - 1))
    return Start(named, cursor.offset)


def _from_start(run: Run, reset: str | None = None) -> Start:
    missing = (1, run.oldest - 1) if run.oldest > 1 else None
    return Start(run, run.oldest - 1, reset, missing)
