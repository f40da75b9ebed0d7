"""Reading documents that may be hostile: HTML, PDF and much Markdown in a process of its own, with limits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import Final, Self

import msgspec

from runcast.errors import InvalidInput, KnowledgeError, TooLarge, UnreadableDocument
from runcast.runners.knowledge.documents import kind_of, parse
from runcast.runners.knowledge.exchange import NO_MEMORY, Answer, Order, receive, send
from runcast.runners.knowledge.markdown import MEDIA_TYPE as MARKDOWN
from runcast.runners.knowledge.text import MEDIA_TYPE as TEXT
from runcast.runners.knowledge.values import MAX_FILE_BYTES, Parsed

_CHILD: Final = (sys.executable, "-P", "-m", "runcast.runners.knowledge.child")
_KEPT: Final = ("PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "TEMP")
"""Of the environment: no secrets go where foreign documents are read."""
_ERRORS: Final = {error.code: error for error in (InvalidInput, TooLarge, UnreadableDocument)}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What reading one document may take: seconds of processor time, seconds, bytes of memory.

    Markdown of up to `markdown_bytes`, and plain text, are read in this process: their readers take time by their
    length only.
    """

    cpu_s: float = 30.0
    wall_s: float = 120.0
    memory_bytes: int = 1024 * 1024 * 1024
    markdown_bytes: int = 64 * 1024


class DocumentReader:
    """Reads documents, one after another: for one thread. Its process begins when it is first needed."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End its process. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def read(self, name: str, data: bytes, media_type: str = "") -> Parsed:
        """Read a document as `parse` does.

        Raises:
            UnreadableDocument: also if it takes more than the limits; the sentence names the one.
            TooLarge, InvalidInput: as `parse`.
            KnowledgeError: no process can be started.
        """
        kind = kind_of(name, data, media_type)
        if kind == TEXT or (kind == MARKDOWN and len(data) <= self._limits.markdown_bytes):
            return parse(name, data, kind)
        if len(data) > MAX_FILE_BYTES:
            return parse(name, data, kind)  # says so
        try:
            answer = self._ask(name, data, kind)
        except BaseException:
            self.close()
            raise
        if answer.parsed is None:
            raise self._error(name, answer)
        return answer.parsed

    def _ask(self, name: str, data: bytes, kind: str) -> Answer:
        limits, process = self._limits, self._started()
        assert process.stdin
        assert process.stdout
        order = Order(name=name, media_type=kind, cpu_s=limits.cpu_s, memory_bytes=limits.memory_bytes)
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(limits.wall_s, end)
        timer.daemon = True
        timer.start()
        try:
            send(process.stdin, msgspec.msgpack.encode(order))
            send(process.stdin, data)
            message = receive(process.stdout)
        except OSError:
            message = None
        finally:
            timer.cancel()
        if message is None:
            raise UnreadableDocument(f"{name}: {self._ended(process, late.is_set())}.", field="content")
        return msgspec.msgpack.decode(message, type=Answer)

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            environ = {key: value for key, value in os.environ.items() if key in _KEPT}
            try:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    _CHILD,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    env=environ,
                    start_new_session=True,  # Ctrl-C is for us, who end it
                )
            except OSError as error:
                raise KnowledgeError(
                    f"The knowledge base cannot start a process to read documents in ({error.strerror})."
                ) from None
        return self._process

    def _ended(self, process: subprocess.Popen[bytes], was_late: bool) -> str:
        """Why there is no answer."""
        limits = self._limits
        code = process.wait()
        if was_late:
            return f"reading it took over {limits.wall_s:g} s, which is the limit"
        if code == -getattr(signal, "SIGXCPU", 0):
            return f"reading it takes over {limits.cpu_s:g} s of processor time, which is the limit"
        return f"its reader has ended ({code}) without an answer; perhaps it is damaged"

    def _error(self, name: str, answer: Answer) -> InvalidInput:
        if answer.code == NO_MEMORY:
            self.close()  # what is left of that would be counted to the next one
            megabytes = self._limits.memory_bytes // 1024**2
            return UnreadableDocument(
                f"{name}: reading it takes over {megabytes} MiB of memory, which is the limit.",
                field="content",
            )
        return _ERRORS.get(answer.code, UnreadableDocument)(answer.sentence, field=answer.field)
