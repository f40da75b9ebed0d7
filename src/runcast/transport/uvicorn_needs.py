"""The internals of uvicorn's protocols, and of the websockets library, that ours lean on."""

from __future__ import annotations

from typing import Final

HTTP: Final = frozenset(
    [
        "_should_upgrade",
        "_unset_keepalive_if_required",
        "app_state",
        "connection_lost",
        "connection_made",
        "cycle",
        "data_received",
        "flow",
        "handle_websocket_upgrade",
        "headers",
        "loop",
        "on_body",
        "on_header",
        "on_headers_complete",
        "on_message_begin",
        "on_message_complete",
        "on_response_complete",
        "on_url",
        "parser",
        "pipeline",
        "transport",
    ]
)

WEBSOCKET: Final = frozenset(
    [
        "app_state",
        "close_sent",
        "close_timeout",
        "close_timer",
        "config",
        "conn",
        "connection_lost",
        "curr_msg_data_type",
        "data_received",
        "disconnected",
        "frames",
        "handle_bytes",
        "handle_close",
        "handle_connect",
        "handle_cont",
        "handle_parser_exception",
        "handle_ping",
        "handle_pong",
        "handle_text",
        "handshake_complete",
        "handshake_initiated",
        "keepalive_timeout",
        "loop",
        "pause_writing",
        "pending_ping_payload",
        "ping_timer",
        "pong_timer",
        "queue",
        "read_paused",
        "receive",
        "resume_writing",
        "schedule_ping",
        "send_keepalive_ping",
        "send_receive_event_to_app",
        "shutdown",
        "stop_keepalive",
        "transport",
        "writable",
    ]
)

WEBSOCKETS_LIBRARY: Final = frozenset(["close_sent", "current_size", "parser_exc", "reader"])
