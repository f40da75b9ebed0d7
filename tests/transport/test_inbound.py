"""What a client may send over its socket, and what it hears when it sends something else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.support.clients import RawClient, ids_of, open_ws, ping_pong, receive, rest_of, take
from tests.support.fixtures import LEGACY, MakeServer
from tests.support.server import ThreadServer, flat, hold_up_places, wait_until
from websockets.frames import Opcode

KIB = 1024


@pytest.fixture(scope="module", params=["fast", "portable", LEGACY])
def protocol(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def others(server: ThreadServer, session: str) -> Iterator[None]:
    """Somebody else on the same session, who must not notice anything."""
    with open_ws(server.session(session)) as other:
        yield
        server.post(session, flat(99))
        assert ids_of(take(other, 1)) == ["e99"]
        assert ping_pong(other) == []


def test_a_ping_is_answered_in_a_shape_that_simple_clients_can_read(
    server: ThreadServer, session: str
) -> None:
    with open_ws(server.session(session)) as ws:
        ws.send('{"type": "ping"}')
        pong = receive(ws)
    assert (pong["type"], pong["count"], pong["events"]) == ("pong", 0, [])


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "message"),
        ("{", "message"),
        ("nonsense", "message"),
        ("[" * 60_000, "type"),
        ('{"type": "ping"} {}', "message"),
        ("[]", "type"),
        ("null", "type"),
        ('{"type": "subscribe"}', "type"),
        ('{"type": ["ping"]}', "type"),
        ('{"ping": true}', "type"),
    ],
)
@pytest.mark.usefixtures("others")
def test_a_wrong_message_is_answered_by_an_error_and_nothing_else_happens(
    server: ThreadServer, session: str, text: str, field: str
) -> None:
    with open_ws(server.session(session)) as ws:
        ws.send(text)
        error = receive(ws)
        assert ping_pong(ws) == []
    assert (error["type"], error["count"], error["events"]) == ("error", 0, [])
    assert (error["code"], error["field"], error["retryable"]) == ("invalid_input", field, False)
    assert "Traceback" not in error["message"]


@pytest.mark.usefixtures("others")
def test_binary_where_text_is_due_is_answered_by_an_error(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        ws.send(b'{"type": "ping"}')
        error = receive(ws)
        assert ping_pong(ws) == []
    assert error["field"] == "message"
    assert "binary" in error["message"]


@pytest.mark.usefixtures("others")
def test_a_text_of_invalid_utf8_closes_with_1007(server: ThreadServer, session: str) -> None:
    with RawClient(server.session(session)) as ws:
        ws.send_frame(Opcode.TEXT, b'{"type": "\xff\xfe"}')
        assert list(ws.messages()) == []
    assert ws.close_code == 1007
    if server.protocol != "fast":
        server.errors.forgive()  # uvicorn's own implementations log a traceback


@pytest.mark.parametrize("size", [64 * KIB + 1, 70_000, 1_500_000])
@pytest.mark.usefixtures("others")
def test_a_message_over_64_kib_is_refused_in_words_and_closed_with_1009(
    server: ThreadServer, session: str, size: int
) -> None:
    with open_ws(server.session(session)) as ws:
        ws.send("x" * size)
        frames, code, reason = rest_of(ws)
    (error,) = frames
    assert (error["type"], error["code"], error["field"]) == ("error", "too_large", "message")
    assert str(64 * KIB) in error["message"]
    assert (code, reason) == (1009, "too_large")


def test_the_limit_is_in_bytes_not_in_characters(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        ws.send("€" * 30_000)
        frames, code, _ = rest_of(ws)
    assert code == 1009
    assert "90000" in frames[0]["message"]


def test_a_message_of_exactly_64_kib_is_read(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        ws.send('{"type": "ping"}'.ljust(64 * KIB))
        assert receive(ws)["type"] == "pong"


@pytest.mark.usefixtures("others")
def test_a_message_over_the_library_s_limit_is_closed_with_1009(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        ws.send("x" * 3_000_000)
        _, code, _ = rest_of(ws)
    assert code == 1009


def test_a_message_in_fragments_is_one_message(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        ws.send(iter(['{"type"', ": ", '"ping"}']))
        assert receive(ws)["type"] == "pong"


@pytest.mark.usefixtures("others")
def test_more_messages_than_allowed_end_with_1008(server: ThreadServer, session: str) -> None:
    limits = server.bus.settings
    with RawClient(server.session(session)) as ws:
        for _ in range(limits.inbound_burst + limits.inbound_rate):
            ws.send_frame(Opcode.TEXT, b'{"type": "ping"}')
        *pongs, error = ws.messages()
    assert all(frame["type"] == "pong" for frame in pongs)
    assert len(pongs) >= limits.inbound_burst
    assert (error["code"], error["retryable"]) == ("too_many", True)
    assert str(limits.inbound_rate) in error["message"]
    assert ws.close_code == 1008


def test_a_client_that_breaks_the_protocol_harms_only_itself(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as other:
        with RawClient(server.session(session)) as ws:
            ws.socket.sendall(b"\xff\xff\xff\xff\xff\xff")  # reserved bits and an opcode that does not exist
            assert list(ws.messages()) == []
            assert ws.close_code == 1002
        server.post(session, flat(0))
        assert ids_of(take(other, 1)) == ["e0"]


def test_a_connection_that_breaks_off_is_forgotten(make_server: MakeServer, session: str) -> None:
    server = make_server()
    with open_ws(server.session(session)) as polite:
        with RawClient(server.session(session)):
            assert server.get("/api/status")["connected_clients"] == 2
        wait_until(lambda: server.get("/api/status")["connected_clients"] == 1)
        polite.close()
    wait_until(lambda: server.get("/api/status")["connected_clients"] == 0)
    assert server.bus.topics() == []


def test_a_client_that_leaves_while_it_is_let_in_is_forgotten(make_server: MakeServer, session: str) -> None:
    server = make_server()
    gate = hold_up_places(server)
    with RawClient(server.session(session), wait=False):
        wait_until(lambda: server.bus.live_statistics().connections == 1)
    wait_until(lambda: not server.websockets(), "its socket is gone")
    server.call(gate.set)
    wait_until(lambda: server.bus.live_statistics().connections == 0)
    assert server.bus.topics() == []


def test_a_client_s_ping_frame_is_answered(server: ThreadServer, session: str) -> None:
    with open_ws(server.session(session)) as ws:
        assert ws.ping().wait(20)
