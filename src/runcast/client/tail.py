"""Watching streams over SSE: a thread for each, one bounded box, and connections that are made anew."""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Self

import httpx2
import msgspec

from runcast.client.addresses import address
from runcast.client.backoff import delays
from runcast.client.problems import error_of, unreachable
from runcast.client.sse import SseMessage, SseParser
from runcast.client.values import Item, What
from runcast.core.filters import EventSubscriptionFilter
from runcast.errors import RuncastError, ServerError, Unreachable

BOX_ITEMS = 1_000
BOX_BYTES = 8 * 1024 * 1024
SILENCE_S = 60.0
"""A server comments every 15 s by default; one that is silent for so long is taken for gone."""
LEAVE_S = 0.5
"""`close` waits so long for its threads; one that is stuck in a connection ends later, and tells nobody."""


class Tail:
    """The items of one or more streams as they come. An iterator; it ends when all that is watched has ended.

    Items of one stream are in order. Close it, or use it in a `with`; `close` may be called from any thread.
    """

    def __init__(self, box: _Box, readers: list[_Reader]) -> None:
        self._box = box
        self._readers = readers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        item = self._box.take()
        if item is None:
            raise StopIteration
        return item

    def close(self) -> None:
        """Leave, within about half a second. Iterating ends then. Idempotent."""
        self._box.close()
        for reader in self._readers:
            reader.leave()
        give_up = time.monotonic() + LEAVE_S
        for reader in self._readers:
            reader.join(max(0.0, give_up - time.monotonic()))


def open_tail(
    http: httpx2.Client, url: str, after: Mapping[str, str], wanted: EventSubscriptionFilter
) -> Tail:
    """Begin to watch.

    Args:
        http: what to ask with.
        url: where the server is, for messages.
        after: for each stream or firehose the cursor to begin after, or `start`.
        wanted: what to let pass.

    Raises:
        InvalidStreamName: one of the names is none.
    """
    box = _Box(len(after))
    query = {"filter": wanted.fingerprint} if wanted.fingerprint else {}
    readers = [_Reader(http, url, name, query=query, after=cursor, box=box) for name, cursor in after.items()]
    for reader in readers:
        reader.start()
    return Tail(box, readers)


class _Box:
    """What was read and not yet taken, bounded in items and in bytes: a full one holds the readers up."""

    def __init__(self, readers: int) -> None:
        self._changed = threading.Condition()
        self._items: deque[tuple[Item | Exception, int]] = deque()
        self._bytes = 0
        self._readers = readers
        self.closed = False

    def put(self, item: Item | Exception, size_bytes: int = 0) -> bool:
        """Wait for room, then add; False if nobody takes anything any more."""
        with self._changed:
            self._changed.wait_for(self._has_room)
            if self.closed:
                return False
            self._items.append((item, size_bytes))
            self._bytes += size_bytes
            self._changed.notify_all()
            return True

    def take(self) -> Item | None:
        """The next one; None when no more will come. What a reader failed with is raised in its turn."""
        with self._changed:
            self._changed.wait_for(lambda: self._items or self.closed or not self._readers)
            if self.closed or not self._items:
                return None
            item, size_bytes = self._items.popleft()
            self._bytes -= size_bytes
            self._changed.notify_all()
        if isinstance(item, Exception):
            raise item
        return item

    def leave(self) -> None:
        """A reader has ended."""
        with self._changed:
            self._readers -= 1
            self._changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than until it is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self.closed, seconds)

    def close(self) -> None:
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return self.closed or (len(self._items) < BOX_ITEMS and self._bytes < BOX_BYTES)


class _Reader(threading.Thread):
    """Reads one stream into the box until its run ends, the box is closed, or the server refuses for good."""

    def __init__(
        self,
        http: httpx2.Client,
        url: str,
        name: str,
        *,
        query: dict[str, str],
        after: str,
        box: _Box,
    ) -> None:
        super().__init__(name=f"runcast-tail {name}", daemon=True)
        self._http = http
        self._url = url
        self._source = name
        path, scope = address(name)
        self._path = f"{path}/sse"
        self._query = {**scope, **query}
        self._after = after
        self._box = box
        self._was_there = self._is_there = False
        self._is_lost = False
        self._guard = threading.Lock()
        self._socket: socket.socket | None = None

    def run(self) -> None:
        """See the class."""
        try:
            self._follow()
        except Exception as error:  # noqa: BLE001 - a thread's root: whoever iterates is told
            self._box.put(error)
        finally:
            self._box.leave()

    def leave(self) -> None:
        """Wake the thread if it waits for the server."""
        with self._guard, suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def _follow(self) -> None:
        pauses = delays()
        while not self._box.closed:
            lost = Unreachable(f"{self._url} closed the connection.")
            self._is_there = False
            try:
                if self._read():
                    return
            except httpx2.TransportError as error:
                lost = unreachable(self._url, error)
            except RuncastError as error:
                if not error.retryable:
                    raise
                lost = error
            if self._box.closed:
                return
            if not self._was_there:
                raise lost
            if self._is_there:
                pauses = delays()
            self._tell_lost(str(lost))
            self._box.pause(next(pauses))

    def _read(self) -> bool:
        """Read one connection to its end; whether the run has ended with it."""
        timeout = httpx2.Timeout(self._http.timeout.connect, read=SILENCE_S)
        params = {**self._query, "after": self._after}
        headers = {"accept": "text/event-stream", "accept-encoding": "identity"}
        try:
            with self._http.stream(
                "GET",
                self._path,
                params=params,
                headers=headers,
                timeout=timeout,
                extensions={"trace": self._trace},
            ) as response:
                return self._take(response)
        finally:
            self._hold(None)

    def _take(self, response: httpx2.Response) -> bool:
        if response.status_code != 200:
            self._hold(None)  # the connection goes back to the pool, and will be another's
        if response.status_code == 204:  # "do not come back": ended, and nothing left
            self._put(What.END, {"type": "end", "cursor": self._after}, self._after)
            return True
        if response.status_code != 200:
            response.read()
            raise error_of(response)
        self._hold(response.extensions.get("network_stream"))
        return self._receive(response)

    def _receive(self, response: httpx2.Response) -> bool:
        self._was_there = self._is_there = True
        if self._is_lost:
            self._is_lost = False
            self._put(What.BACK, {"type": "back"}, self._after)
        parser = SseParser()
        for chunk in response.iter_raw():
            for message in parser.receive(chunk):
                if not self._hand_out(message):
                    return True
        return False

    def _hand_out(self, message: SseMessage) -> bool:
        """Put a message into the box; False if it was the last."""
        try:
            what = What.EVENT if message.event == "message" else What(message.event)
            value = msgspec.json.decode(message.data, type=dict[str, Any])
        except (ValueError, msgspec.DecodeError):
            raise ServerError(f"{self._url} sent what is no event of a Runcast server.") from None
        self._after = message.id or self._after
        return self._put(what, value, self._after, len(message.data)) and what is not What.END

    def _tell_lost(self, reason: str) -> None:
        if not self._is_lost:
            self._is_lost = True
            self._put(What.LOST, {"type": "lost", "reason": reason}, self._after)

    def _put(self, what: What, value: dict[str, Any], cursor: str, size_bytes: int = 0) -> bool:
        return self._box.put(Item(what, self._source, value, cursor), size_bytes)

    def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        """Hear of a new connection before it has answered: a server may never do so."""
        if name.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._hold(info.get("return_value"))

    def _hold(self, network: Any) -> None:
        """Keep the socket at hand, so that waiting for it can be ended from another thread."""
        with self._guard:
            self._socket = network.get_extra_info("socket") if network else None
        if self._box.closed:
            self.leave()
