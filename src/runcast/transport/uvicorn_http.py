"""uvicorn's HTTP protocol, bounded: a request's head and body have limits in bytes and in time.

Given to uvicorn by its `http=` setting. uvicorn by itself keeps a head of any length, and waits for the rest of a
request for ever. It leans on internals of uvicorn's protocol; `unsupported` says whether they are there.
"""

from __future__ import annotations

from asyncio import Transport
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final, cast

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from runcast.errors import InvalidInput, RuncastError, TooLarge
from runcast.transport.deadline import Deadline
from runcast.transport.limits import TooSlow, limits_in
from runcast.transport.problem import problem
from runcast.transport.turns import TURN_S
from runcast.transport.uvicorn_needs import HTTP as _NEEDED

SLICE_BYTES: Final = 2_048
"""So much is parsed at a time: what a client sends at once may be thousands of small requests."""
BODY_SLICE_BYTES: Final = 16_384
"""So much in the midst of a body."""
MAX_WAITING: Final = 8
"""Requests that wait for the answer to an earlier one of their connection; the rest stays unparsed."""
READ_BYTES: Final = 64 * 1024
"""After a read of so much, others have their turn: the loop itself would read on up to 32 times."""
BODY_STEP_BYTES: Final = 256 * 1024
"""So much of a body, or its end, must come within `request_body_timeout_s`, over and over."""
CHUNK_OVERHEAD: Final = 2
"""Bytes on the wire for a byte of a body, on the whole, beyond what a head may have: each chunk is work, however small."""
LINGER_S: Final = 2.0
"""How long a refused client may take to read why: closing at once could take the answer from it (RFC 9112 §9.6)."""
LINGER_BYTES: Final = 16 * 1024 * 1024
"""What is read from a refused client meanwhile, and thrown away."""

IDLE: Final = "idle"
"""Under this name connections are counted that were closed because too many did nothing."""


class BadRequest(InvalidInput):
    """What came is not HTTP."""

    code = "bad_request"
    message = "This is no valid HTTP request."


class _Flow(FlowControl):
    """uvicorn reads on whenever an app asks for the body of its request; here not while `is_full`."""

    is_full = False

    def resume_reading(self) -> None:
        if not self.is_full:
            super().resume_reading()


class BoundedHttpToolsProtocol(HttpToolsProtocol):
    """One connection. `LIMITS` in the lifespan's state says what it allows."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limits = limits_in(self.app_state)
        self._held = b""  # read, and not parsed yet
        self._in_head = False
        self._in_body = False
        self._fed_bytes = 0  # of this request, about
        self._body_bytes = 0
        self._step_bytes = 0  # of the body, when its deadline was set
        self._surplus_bytes = 0  # that came after the answer
        self._parts: list[bytes] = []  # of the body, from what is being parsed
        self._deadline = Deadline(self.loop)
        self._refusal: tuple[RuncastError, HTTPStatus] | None = None
        self._is_leaving = False
        self._flow: _Flow

    # What the transport tells

    def connection_made(self, transport: Transport) -> None:
        super().connection_made(transport)
        self.flow = self._flow = _Flow(transport)
        self._limits.add_idle(self, self._close_idle)
        self._deadline.set(self._limits.settings.request_head_timeout_s, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_leaving = True
        self._forget()
        self._deadline.close()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, as far as a connection may have requests at a time."""
        self._unset_keepalive_if_required()
        if self._is_leaving:
            self._throw_away(len(data))
            return
        if self._held or len(data) > SLICE_BYTES:
            self._held += data
            self._parse_held()
        else:
            self._parse(data)
            self._hand_over()
            self._expect_more()
        if len(data) >= READ_BYTES:
            self._pause_for_others()

    # What the parser tells

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._fed_bytes = self._body_bytes = self._surplus_bytes = 0

    def on_headers_complete(self) -> None:
        self._check_head()
        super().on_headers_complete()
        self._in_head, self._in_body = False, True
        self._forget()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self._hand_over()
        self._in_body = False
        self._deadline.forget()
        super().on_message_complete()

    # What the app's side tells

    def on_response_complete(self) -> None:
        """The next request of the same piece gives way to everybody else's, and to the log's thread."""
        if self.pipeline:
            self._limits.turns.wait(self._go_on)
        else:
            self._go_on()

    def _go_on(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            return
        if self._is_leaving and not self.pipeline:
            if self._refusal is not None:
                self._answer(*self._refusal)
            else:
                self._leave()
        elif not self._is_leaving:
            if self._is_answered() and not self._in_head and not self._in_body:
                self._limits.add_idle(self, self._close_idle)
            if self._held and len(self.pipeline) < MAX_WAITING:
                self._parse_held()

    # Parsing

    def _parse_held(self) -> None:
        view, at = memoryview(self._held), 0
        until_s, is_late = perf_counter() + TURN_S, False
        while at < len(view) and not self._is_leaving and len(self.pipeline) < MAX_WAITING and not is_late:
            step = BODY_SLICE_BYTES if self._in_body else SLICE_BYTES
            self._parse(view[at : at + step])
            at += step
            is_late = perf_counter() > until_s
        self._hand_over()
        self._held = b"" if self._is_leaving else bytes(view[at:])
        if self._held:
            self._read_no_more()
            if is_late:
                self._limits.turns.wait(self._parse_on)
        else:
            if self._flow.is_full and not self._is_leaving:
                self._read_on()
            self._expect_more()

    def _parse_on(self) -> None:
        if self._held and not self.transport.is_closing() and len(self.pipeline) < MAX_WAITING:
            self._parse_held()

    def _read_no_more(self) -> None:
        """Until answers are complete that are due."""
        self.flow.pause_reading()
        self._flow.is_full = True

    def _read_on(self) -> None:
        self._flow.is_full = False
        if not self.pipeline:
            self.flow.resume_reading()

    def _hand_over(self) -> None:
        """Give the app what came of the body, in one piece: joining it with the rest takes time by its length."""
        if not self._parts:
            return
        body = b"".join(self._parts)
        self._parts.clear()
        if self.cycle is None or self._is_leaving:  # pyright: ignore[reportUnnecessaryComparison]
            return
        if self.cycle.response_complete:
            self._surplus_bytes += len(body)
        super().on_body(body)

    def _pause_for_others(self) -> None:
        if not self.flow.read_paused and not self.transport.is_closing():
            self.flow.pause_reading()
            self.loop.call_soon(self._resume_after_others)

    def _resume_after_others(self) -> None:
        if not self.transport.is_closing() and (self._is_leaving or not self._has_enough()):
            self.flow.resume_reading()

    def _has_enough(self) -> bool:
        """Whether the app has yet to ask for what came of the body; then reading goes on."""
        return not self._is_answered() and len(self.cycle.body) > HIGH_WATER_LIMIT

    def _parse(self, part: bytes | memoryview) -> None:
        try:
            self.parser.feed_data(part)  # pyright: ignore[reportOptionalMemberAccess] - until the connection is lost
        except httptools.HttpParserUpgrade:
            self._upgrade()
        except httptools.HttpParserError:
            self._refuse(*(self._refusal or (BadRequest(), HTTPStatus.BAD_REQUEST)))
        else:
            if self._in_head or self._in_body:
                self._check_unfinished(len(part))

    def _upgrade(self) -> None:
        """To a WebSocket, or to nothing that we know: then the request is answered, and is the last one.

        Nothing may come from a client before its handshake is answered (RFC 6455 §4.1).
        """
        self._forget()
        self._deadline.close()
        self._is_leaving = True
        if self._should_upgrade():
            self.handle_websocket_upgrade()
        elif self._is_answered():
            self._leave()
        else:
            self._read_no_more()

    def _check_head(self) -> None:
        """A whole head. What is raised within a callback of the parser ends the parsing."""
        settings = self._limits.settings
        if len(self.headers) > settings.request_max_headers:
            self._refusal = self._too_many_headers()
            raise self._refusal[0]
        size_bytes = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size_bytes > settings.request_head_max_bytes or len(self.url) > self._limits.address_max_bytes:
            self._refusal = self._head_too_large()
            raise self._refusal[0]

    def _check_unfinished(self, came_bytes: int) -> None:
        """The parser does not tell of a header without an end, nor of the heads of chunks."""
        self._fed_bytes += came_bytes
        settings = self._limits.settings
        excess_bytes = self._fed_bytes - CHUNK_OVERHEAD * self._body_bytes
        is_too_long = self._in_head and len(self.url) > self._limits.address_max_bytes
        if is_too_long or excess_bytes > settings.request_head_max_bytes + BODY_SLICE_BYTES:
            self._refuse(*self._head_too_large())
        elif len(self.headers) > settings.request_max_headers:
            self._refuse(*self._too_many_headers())
        elif self._surplus_bytes > settings.request_max_bytes:
            self._is_leaving = True
            self.transport.abort()

    def _too_many_headers(self) -> tuple[TooLarge, HTTPStatus]:
        most = self._limits.settings.request_max_headers
        error = TooLarge(f"headers: at most {most} of them.", field="headers")
        return error, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE

    def _head_too_large(self) -> tuple[TooLarge, HTTPStatus]:
        limit = self._limits.address_max_bytes
        if len(self.url) > limit:
            error = TooLarge(f"address: over the limit of {limit} bytes.", field="address")
            return error, HTTPStatus.REQUEST_URI_TOO_LONG
        limit = self._limits.settings.request_head_max_bytes
        error = TooLarge(f"headers: over the limit of {limit} bytes.", field="headers")
        return error, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE

    # Deadlines

    def _expect_more(self) -> None:
        """See to it that what was begun goes on."""
        if self._deadline.at_s is not None or self._is_leaving:
            return
        settings = self._limits.settings
        if self._in_body:
            self._step_bytes = self._body_bytes
            self._deadline.set(settings.request_body_timeout_s, self._body_is_late)
        elif self._in_head or self._is_answered():  # or empty lines, which begin nothing
            self._deadline.set(settings.request_head_timeout_s, self._head_is_late)

    def _head_is_late(self) -> None:
        if not self._is_answered():
            self._expect_more()  # it cannot be told before an earlier request is answered
        elif self._in_head:
            limit_s = self._limits.settings.request_head_timeout_s
            error = TooSlow(f"The head of a request must come within {limit_s:g} seconds.")
            self._refuse(error, HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()  # nothing was asked

    def _body_is_late(self) -> None:
        waits_for_us = self.flow.read_paused or self.cycle.waiting_for_100_continue
        if self._body_bytes - self._step_bytes >= BODY_STEP_BYTES or (
            waits_for_us and not self._is_answered()
        ):
            self._expect_more()
            return
        limit_s = self._limits.settings.request_body_timeout_s
        error = TooSlow(
            f"body: {BODY_STEP_BYTES} bytes of it, or its end, must come every {limit_s:g} seconds."
        )
        self._refuse(error, HTTPStatus.REQUEST_TIMEOUT)

    def _forget(self) -> None:
        self._deadline.forget()
        self._limits.idle.pop(self, None)

    # Refusals

    def _is_answered(self) -> bool:
        """Whether the last request that began has its whole answer; true before the first."""
        cycle: Any = self.cycle
        return cycle is None or cast("bool", cycle.response_complete)

    def _refuse(self, error: RuncastError, status: HTTPStatus) -> None:
        """Say why, if it can still be said, and take nothing more from this client."""
        self._limits.refused[error.code] += 1
        self._forget()
        self._is_leaving = True
        if not self._in_body:
            if self._is_answered():
                self._answer(error, status)
            else:
                self._refusal = error, status  # the earlier requests are answered first
                self._read_no_more()
        elif self._is_answered():
            self._leave()
        elif self.cycle.response_started or self.pipeline:
            self.transport.close()
        else:
            self.cycle.disconnected = True  # for the app, its client is gone
            self.cycle.message_event.set()
            self._answer(error, status)

    def _answer(self, error: RuncastError, status: HTTPStatus) -> None:
        self._refusal = None
        answer = problem(error, status)
        headers = [*self.server_state.default_headers, *answer.raw_headers, (b"connection", b"close")]
        lines = [b"%s: %s\r\n" % header for header in headers]
        first = f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode()
        self.transport.write(b"".join([first, *lines, b"\r\n", bytes(answer.body)]))
        self._leave()

    def _leave(self) -> None:
        """Close when the client has read the answer (RFC 9112 §9.6), or has had the time to."""
        self.url, self.headers = b"", []
        self._unset_keepalive_if_required()
        if not self.transport.can_write_eof():
            self.transport.close()
            return
        self.transport.write_eof()
        self._read_on()
        self._deadline.set(LINGER_S, self.transport.abort)

    def _throw_away(self, size_bytes: int) -> None:
        self._surplus_bytes += size_bytes
        if self._surplus_bytes > LINGER_BYTES:
            self.transport.abort()

    def _close_idle(self) -> None:
        self._limits.refused[IDLE] += 1
        self._forget()
        self.transport.close()


def unsupported() -> str:
    """Which part of uvicorn's protocol is missing in the installed version; empty if all is there."""
    made = HttpToolsProtocol.__init__.__code__.co_names
    return ", ".join(sorted(_NEEDED - vars(HttpToolsProtocol).keys() - set(made)))
