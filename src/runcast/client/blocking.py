"""The blocking client: publish, read and watch from any thread of a program that has no event loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeVar

import httpx2
import msgspec
import uuid_utils

from runcast.client.addresses import address, checked_url, is_firehose, is_local, session_path, stream_path
from runcast.client.backoff import delays
from runcast.client.ndjson import NdjsonPublisher, OnBad, Tally
from runcast.client.problems import error_of, unreachable
from runcast.client.tail import Tail, open_tail
from runcast.client.values import EventPage, Receipt
from runcast.core.event import check_kind
from runcast.core.filters import EVERYTHING, EventSubscriptionFilter
from runcast.errors import InvalidEvent, RuncastError, ServerError

NDJSON = "application/x-ndjson"
PAGE_OF_STREAMS = 1_000

T = TypeVar("T")
_encode_lines = msgspec.json.Encoder().encode_lines


class Client:
    """One server, over HTTP. Safe to share between threads; close it, or use it in a `with`.

    Every method raises `Unreachable` if nobody answers, and otherwise what the server says, as the exception of
    `runcast.errors` that its code names.

    Args:
        url: where the server is, for example `http://localhost:8000`.
        token: an API key or a token, for a server that asks who one is.
        timeout_s: how long one answer may take.
        patience_s: for how long to go on trying when nobody answers or the server asks to try again later.
            Events without an id get one then, so that a repetition stores nothing twice.

    Raises:
        ConfigError: `url` is no http address.
    """

    def __init__(
        self, url: str, *, token: str | None = None, timeout_s: float = 30.0, patience_s: float = 0.0
    ) -> None:
        self.url = checked_url(url)
        self.patience_s = patience_s
        # A proxy of the environment is not for this machine; one that forwards would be refused, too.
        outside = not is_local(self.url)
        limits = httpx2.Limits(max_connections=None)  # a tail takes one for each stream
        self.http = httpx2.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            timeout=timeout_s,
            limits=limits,
            trust_env=outside,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self.http.close()

    # --- publishing --------------------------------------------------------------------------

    def publish(self, stream: str, events: Iterable[Mapping[str, Any]]) -> Receipt:
        """Publish events in order, all or none: `{"type", "data"?, "id"?, "time"?}` each.

        Returned means that they are on the server's disk. One request takes 1,000 events and 8 MiB, as the
        server is set by default; `publish_ndjson` divides what is more.

        Raises:
            InvalidEvent, InvalidStreamName, TooLarge: nothing was stored, and trying again will not help.
            Unreachable: the events may be stored or not; with ids, publishing them again is harmless.
        """
        path = stream_path(stream)
        given = list(events)
        if self.patience_s > 0:
            given = [
                event if event.get("id") else {**event, "id": str(uuid_utils.uuid7())} for event in given
            ]
        try:
            body = _encode_lines(given)
        except (ArithmeticError, TypeError, ValueError, RecursionError) as error:
            raise InvalidEvent(f"data: not representable as JSON ({error}).", field="data") from None
        return self._ask("POST", f"{path}/events", Receipt, content=body)

    def publish_ndjson(self, stream: str, chunks: Iterable[bytes], *, on_bad: OnBad | None = None) -> Tally:
        """Publish NDJSON, an event per line, in batches; `chunks` may be cut anywhere, as an open file's lines are.

        What was published before a failure stays. Events with ids may be published again: they are counted as
        duplicates, and stored once.

        Args:
            stream: where to.
            chunks: the text in pieces.
            on_bad: is given the number and the fault of each line that cannot be published. Without it the
                first one raises, when all lines before it are stored.

        Raises:
            InvalidEvent: by its number, a line that cannot be published.
        """
        publisher = NdjsonPublisher(lambda events: self.publish(stream, events), on_bad)
        for chunk in chunks:
            publisher.feed(chunk)
        return publisher.finish()

    # --- reading -----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """What the server says of itself, such as `version`, `log` and `uptime_seconds`."""
        return self._ask("GET", "/api/status", dict[str, Any])

    def streams(self, kind: str = "") -> Iterator[dict[str, Any]]:
        """The streams there are (of `kind`), by name, each with `stream`, `head`, `ended`, `updated` and more."""
        query: dict[str, str] = {"kind": check_kind(kind)} if kind else {}
        after: str | None = ""
        while after is not None:
            page = self._ask(
                "GET",
                "/api/v1/streams",
                _StreamsPage,
                params={**query, "after": after, "limit": str(PAGE_OF_STREAMS)},
            )
            yield from page.streams
            after = page.next

    def info(self, stream: str) -> dict[str, Any]:
        """One stream, as `streams` tells of it.

        Raises:
            StreamNotFound: there is none.
        """
        return self._ask("GET", stream_path(stream), dict[str, Any])

    def events(
        self,
        stream: str,
        *,
        after: str | None = None,
        before: str | None = None,
        at: str | None = None,
        limit: int = 256,
        wanted: EventSubscriptionFilter = EVERYTHING,
    ) -> EventPage:
        """A page of history, oldest first: after a cursor (the start by default), before one, or from a time on.

        `before="now"` is the newest page; a page's own `before` is the one before it. `at` is RFC 3339.
        `stream` may be a firehose: `kind:*`, or `*`.

        Raises:
            StreamNotFound: there is no such stream.
            InvalidCursor: the cursor is none.
        """
        query = {"after": after, "before": before, "at": at, "filter": wanted.fingerprint or None}
        params = {name: value for name, value in query.items() if value is not None}
        path, scope = address(stream)
        return self._ask("GET", f"{path}/events", EventPage, params={**scope, **params, "limit": str(limit)})

    def session(self, session_id: str) -> dict[str, Any]:
        """What a session adds up to: its `totals`, and more beside them.

        Raises:
            StreamNotFound: there is none.
        """
        return self._ask("GET", session_path(session_id), dict[str, Any])

    def bottlenecks(self, session_id: str) -> dict[str, Any]:
        """Where a session's time goes: `tools`, its `slowest` calls, and those that are `running`.

        Raises:
            StreamNotFound: there is none.
        """
        return self._ask("GET", f"{session_path(session_id)}/bottlenecks", dict[str, Any])

    def tail(
        self,
        streams: str | Sequence[str],
        *,
        after: str = "now",
        wanted: EventSubscriptionFilter = EVERYTHING,
    ) -> Tail:
        """Watch streams (or firehoses: `kind:*`, `*`) from the start, from now, or after a cursor.

        The connections are made anew whenever they break, and go on exactly after what was handed out: nothing
        is missing, and nothing comes twice. Close the tail, or use it in a `with`.

        Raises:
            Unreachable: nobody answers at first. Later on it goes on trying.
            InvalidCursor: at the first item, like whatever else the server refuses for good.
        """
        names = [streams] if isinstance(streams, str) else list(dict.fromkeys(streams))
        begin = {name: self._begin(name) if after == "now" else after for name in names}
        return open_tail(self.http, self.url, begin, wanted)

    def _begin(self, name: str) -> str:
        """Now, as a cursor: the word alone would lose what comes between two connections."""
        path, scope = address(name)
        if not is_firehose(name):
            return self._ask("GET", path, _Place, missing=_Place(cursor="start")).cursor
        page = self._ask("GET", f"{path}/events", EventPage, params={**scope, "after": "now", "limit": "1"})
        return page.cursor

    # --- asking ------------------------------------------------------------------------------

    def request(
        self, method: str, path: str, body: Any = None, *, params: Mapping[str, str] | None = None
    ) -> Any:
        """Make one request with a JSON `body`, if there is one, and return what it is answered as JSON. It is not repeated.

        Raises:
            Unreachable: there is no answer; what was asked for may have been done.
            RuncastError: the one that the server says.
        """
        try:
            response = self.http.request(method, path, params=params, json=body)
        except httpx2.TransportError as error:
            raise unreachable(self.url, error) from error
        if not response.is_success:
            raise error_of(response)
        return response.json()

    def _ask(
        self,
        method: str,
        path: str,
        wanted: type[T],
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        missing: T | None = None,
    ) -> T:
        headers = {"content-type": NDJSON} if content is not None else None

        def ask() -> httpx2.Response:
            try:
                response = self.http.request(method, path, params=params, content=content, headers=headers)
            except httpx2.TransportError as error:
                raise unreachable(self.url, error) from error
            if response.is_success or (response.status_code == 404 and missing is not None):
                return response
            raise error_of(response)

        response = self._patiently(ask)
        if missing is not None and response.status_code == 404:
            return missing
        return _decoded(response, wanted, self.url)

    def _patiently(self, ask: Callable[[], T]) -> T:
        give_up = time.monotonic() + self.patience_s
        for pause in delays():
            try:
                return ask()
            except RuncastError as error:
                if not error.retryable or time.monotonic() + pause > give_up:
                    raise
            time.sleep(pause)
        raise AssertionError("there is always another pause")


class _StreamsPage(msgspec.Struct):
    streams: list[dict[str, Any]]
    next: str | None = None


class _Place(msgspec.Struct):
    cursor: str


def _decoded(response: httpx2.Response, wanted: type[T], url: str) -> T:
    try:
        return msgspec.json.decode(response.content, type=wanted)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ServerError(f"{url} does not answer as a Runcast server does. Is the address right?") from None
