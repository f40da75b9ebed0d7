"""All attacks, each with the answer that it must get, and how much memory it may cost the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.abuse import http_attacks as http
from tests.abuse import identity_attacks as identity
from tests.abuse import ws_attacks as ws


class Attack(NamedTuple):
    """`answer` is what the attacker hears. `most_mib`: how far the server's memory may grow meanwhile."""

    run: Callable[[Any], str]
    answer: str
    most_mib: float = 16

    @property
    def name(self) -> str:
        """For people."""
        return f"{self._kind}: {self.run.__name__.replace('_', ' ')}"

    @property
    def needs_lock(self) -> bool:
        """Whether it is one on a server that asks everybody who they are."""
        return self._kind == "ID"

    @property
    def _kind(self) -> str:
        return _KINDS[self.run.__module__.rpartition(".")[2]]


_KINDS = {"http_attacks": "HTTP", "identity_attacks": "ID", "ws_attacks": "WS"}


NOBODY = "401 unauthenticated | unauthenticated 1008"

ATTACKS = [
    Attack(http.silent_connections, "closed"),
    Attack(http.slow_heads, "408 too_slow"),
    Attack(http.slow_empty_lines, "closed"),
    Attack(http.slow_bodies, "408 too_slow"),
    Attack(http.endless_header, "431 too_large"),
    Attack(http.many_headers, "431 too_large"),
    Attack(http.endless_address, "414 too_large"),
    Attack(http.endless_body, "413 too_large", 48),
    Attack(http.tiny_chunks, "431 too_large"),
    Attack(http.endless_trailer, "431 too_large"),
    Attack(http.claimed_body, "413 too_large", 48),
    Attack(http.pipelined_requests, "not taken any more"),
    Attack(http.pipelined_writes, "not taken any more"),
    Attack(http.not_http, "400 bad_request"),
    Attack(http.smuggled_lengths, "400 bad_request"),
    Attack(http.upgrade_to_something_else, "200"),
    Attack(http.rebound_host, "403 forbidden"),
    Attack(http.foreign_origin, "403 forbidden"),
    Attack(http.empty_arrays, "413 too_large", 64),
    Attack(http.empty_objects, "413 too_large", 64),
    Attack(http.empty_lines_of_objects, "413 too_large", 64),
    Attack(http.bushy_event, "413 too_large", 64),
    Attack(http.bushy_events, "413 too_large", 64),
    Attack(http.deep_event, "413 too_large", 64),
    Attack(http.packed_bomb, "413", 64),
    Attack(http.traversing_ids, "400 invalid_stream_name | 404 not_found"),
    Attack(http.filter_bombs, "400 invalid_filter | 414 too_large"),
    Attack(ws.frame_of_a_megabyte, "too_large 1009"),
    Attack(ws.claimed_frame, "too_large 1009"),
    Attack(ws.endless_fragments, "too_large 1009"),
    Attack(ws.endless_empty_fragments, "too_many 1008"),
    Attack(ws.packed_bomb, "too_large 1009"),
    Attack(ws.packed_bomb_in_fragments, "too_large 1009"),
    Attack(ws.invalid_utf8, "1007"),
    Attack(ws.reserved_bits, "1002"),
    Attack(ws.unmasked, "1002"),
    Attack(ws.invalid_close, "1002"),
    Attack(ws.ping_flood, "too_many 1008"),
    Attack(ws.ping_flood_unread, "too_many 1008"),
    Attack(ws.pong_flood, "too_many 1008"),
    Attack(ws.message_flood, "too_many 1008"),
    Attack(ws.tiny_message_flood, "too_many 1008"),
    Attack(ws.deep_message, "invalid_input"),
    Attack(ws.many_subscriptions, "too_many 1008"),
    Attack(ws.traversing_ids, "invalid_stream_name 1008"),
    Attack(ws.filter_bombs, "invalid_filter 1008"),
    Attack(ws.rebound_host, "forbidden"),
    Attack(ws.foreign_origin, "forbidden 1008"),
    Attack(ws.unread_events, "blocked, not queued for", 32),
    Attack(ws.connection_storm, "400 of 400 served", 48),
    Attack(identity.no_auth, NOBODY),
    Attack(identity.nothing_said, "unauthenticated 1008"),
    Attack(identity.wrong_keys, NOBODY),
    Attack(identity.wrong_signature, NOBODY),
    Attack(identity.expired_token, NOBODY),
    Attack(identity.endless_token, NOBODY),
    Attack(identity.alg_none, NOBODY),
    Attack(identity.key_confusion, NOBODY),
    Attack(identity.key_in_the_token, NOBODY),
    Attack(identity.made_up_key_ids, "401 unauthenticated, asked once at most"),
    Attack(identity.giant_token, "401 unauthenticated"),
    Attack(identity.anothers_stream, "403 forbidden | forbidden 1008"),
    Attack(identity.more_grants, "403 forbidden"),
    Attack(identity.guessed_passwords, "429 too_many", 160),
    Attack(identity.guessed_tickets, "401 unauthenticated"),
    Attack(identity.guessed_cookies, "401 unauthenticated"),
    Attack(identity.guessed_refresh_tokens, "429 too_many"),
    Attack(identity.replayed_ticket, "200, then 401 unauthenticated"),
    Attack(identity.foreign_page_with_cookie, "forbidden 1008"),
    Attack(identity.many_connections, "too_many 1008"),
]
