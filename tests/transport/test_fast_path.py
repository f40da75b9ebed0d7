"""What only the fast path can do, since it reaches uvicorn's transport."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.clients import RawClient, ids_of
from tests.support.fixtures import MakeServer
from tests.support.server import flat, flats, wait_until
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from runcast.transport import uvicorn_ws
from runcast.transport.uvicorn_ws import FrameProtocol, unsupported

SMALL = 4_096
LONG = "x" * 16_000


@pytest.fixture(scope="module")
def protocol() -> str:
    return "fast"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub look for stalled clients more often than it needs to."""
    monkeypatch.setattr("runcast.live.hub.PRESSURE_CHECK_S", 0.1)


def test_a_client_that_takes_not_even_its_goodbye_is_cut_off(make_server: MakeServer, session: str) -> None:
    server = make_server(stalled_after_s=0.2, send_buffer=SMALL)
    with RawClient(server.session(session), receive_buffer=SMALL):
        (protocol,) = server.connections("FrameProtocol")
        protocol.close_timeout = 0.2
        server.post(session, *flats(range(100), noise=LONG))
        wait_until(lambda: not server.connections("FrameProtocol"), "the socket is gone")


def test_pings_are_suspended_while_bytes_wait(
    make_server: MakeServer, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_server(ping_s=0.25, send_buffer=SMALL)
    deferred: list[FrameProtocol] = []
    schedule = FrameProtocol.schedule_ping

    def count(protocol: FrameProtocol) -> None:
        if protocol.transport.get_write_buffer_size():
            deferred.append(protocol)
        schedule(protocol)

    monkeypatch.setattr(FrameProtocol, "schedule_ping", count)
    with RawClient(server.session(session), receive_buffer=SMALL) as slow:
        server.post(session, *flats(range(100), noise=LONG))
        wait_until(lambda: len(deferred) >= 4, "several pings are put off")
        assert server.bus.live_statistics().connections == 1
        assert ids_of(slow.take(100)) == [f"e{number}" for number in range(100)]
        slow.read_pings(2)  # and now, that nothing waits, it is asked again and answers


def test_one_deflated_frame_serves_all_whose_window_is_large_enough(
    make_server: MakeServer, session: str
) -> None:
    server = make_server()
    offers = [
        ClientPerMessageDeflateFactory(),
        ClientPerMessageDeflateFactory(server_max_window_bits=12),
        ClientPerMessageDeflateFactory(server_no_context_takeover=True),
        ClientPerMessageDeflateFactory(client_max_window_bits=9),
        ClientPerMessageDeflateFactory(server_max_window_bits=9),  # too small: it gets plain frames
    ]
    clients = [RawClient(server.session(session), factory=offer) for offer in offers]
    try:
        sinks: list[Any] = server.call(lambda: [one.sink for one in server.bus.hub.connections])
        assert sorted(sink.deflate for sink in sinks) == [False, True, True, True, True]
        server.post(session, *flats(range(50), noise=LONG))
        server.post(session, flat(50))
        for client in clients:
            assert ids_of(client.take(51)) == [f"e{number}" for number in range(51)]
        (topic,) = server.bus.topics()
        assert len(topic._cohorts) == 2  # one of deflated frames, one of plain ones
    finally:
        for client in clients:
            client.socket.close()


def test_an_address_that_is_too_long_is_refused_at_once(make_server: MakeServer, session: str) -> None:
    server = make_server()
    with RawClient(server.session(session, filter="x" * 9_000)) as ws:
        assert ws.response is not None
        assert ws.response.status_code == 414  # uvicorn by itself would leave it waiting
    wait_until(lambda: not server.websockets(), "its socket is gone")


def test_a_uvicorn_without_what_is_needed_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert unsupported() == ""
    monkeypatch.setattr(uvicorn_ws, "_NEEDED", frozenset({"queue", "no_such_thing", "another"}))
    assert unsupported() == "another, no_such_thing"
