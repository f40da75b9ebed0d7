"""The process of a `DocumentReader`: `python -m runcast.runners.knowledge.child`. It reads document after document.

It ends when its stdin does. It is held to a memory limit, and for each document to a limit of processor time: the kernel
ends it if it is over that.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress

import msgspec

from runcast.errors import InvalidInput
from runcast.runners.knowledge.documents import parse
from runcast.runners.knowledge.exchange import NO_MEMORY, Answer, Order, receive, send


def main() -> None:
    """Work until there is nothing more to read."""
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with suppress(AttributeError, OSError):
        os.nice(5)  # those who are served come first
    while (head := receive(source)) is not None:
        order = msgspec.msgpack.decode(head, type=Order)
        _limit(order)
        answer = _read(order, receive(source) or b"")
        with suppress(BrokenPipeError):
            send(answers, msgspec.msgpack.encode(answer))


def _read(order: Order, data: bytes) -> Answer:
    try:
        return Answer(parsed=parse(order.name, data, order.media_type))
    except InvalidInput as error:
        return Answer(code=error.code, sentence=str(error), field=error.field)
    except MemoryError:
        return Answer(code=NO_MEMORY)


def _limit(order: Order) -> None:
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ImportError:
        return
    used_s = time.process_time()
    for kind, most in (
        (resource.RLIMIT_CPU, int(used_s + order.cpu_s) + 1),
        (resource.RLIMIT_AS, order.memory_bytes),
    ):
        hard = resource.getrlimit(kind)[1]
        with suppress(OSError, ValueError):  # not every system has each
            resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


if __name__ == "__main__":
    main()
