"""What somebody does who is nobody, or somebody else, or would like to be more."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from typing import Any
from urllib.parse import quote

import httpx2
from tests.abuse.raw import WAIT_S
from tests.abuse.target import Locked
from tests.abuse.tokens import by_hmac, token, unsigned
from tests.support.wire import CLOSE, TEXT, Wire, frame

from runcast.auth.secrets import new_id, new_secret

ATTEMPTS = 30
CONNECTIONS = 60
"""More than one principal may have."""
EVENT = {"event_type": "a", "event_id": "evil"}
WAYS = ("/api/sessions", "/api/v1/streams/session:private/events", "/metrics", "/api/v1/keys")


def no_auth(server: Locked) -> str:
    """Nothing is shown."""
    answers = {_ask(server, "GET", way) for way in WAYS}
    answers |= {_ask(server, "POST", "/api/sessions/private/events", json=EVENT)}
    answers |= {_ask(server, "DELETE", "/api/v1/streams/session:private")}
    return _all({*answers, _watch(server), _watch(server, say='{"type": "ping"}')})


def nothing_said(server: Locked) -> str:
    """A socket on which nobody says who it is."""
    return _watch(server)


def wrong_keys(server: Locked) -> str:
    wrong = [
        f"rck_{new_id()}_{new_secret()}",
        f"configured-{new_secret()}",
        new_secret(),
        server.key[:-1] + "~",
    ]
    return _shown_everywhere(server, wrong)


def wrong_signature(server: Locked) -> str:
    return _shown_everywhere(server, [server.token(secret=new_secret())])


def expired_token(server: Locked) -> str:
    return _shown_everywhere(server, [server.token(lifetime_s=-1)])


def endless_token(server: Locked) -> str:
    """One that counts for ever."""
    return _shown_everywhere(server, [server.secret(by_hmac({"sub": "a"}, server.jwt_secret.encode()))])


def alg_none(server: Locked) -> str:
    claims = _claims()
    return _shown_everywhere(server, [unsigned(claims, alg) for alg in ("none", "None", "NONE", "")])


def key_confusion(server: Locked) -> str:
    """HS256, signed by the RSA public key that everybody can have (RFC 8725 §2.1)."""
    public = server.rsa.as_pem(private=False)
    documents = [public, public.strip(), json.dumps(server.rsa.as_dict(private=False)).encode()]
    return _shown_everywhere(server, [by_hmac(_claims(), document, kid="rsa") for document in documents])


def key_in_the_token(server: Locked) -> str:
    """A token that brings its own key, or says where it is (RFC 8725 §3.10)."""
    secret = new_secret().encode()
    here = f"http://127.0.0.1:{server.jwks.port}/evil.json"
    brought = {"jwk": {"kty": "oct", "k": "AAAA"}, "jku": here, "x5u": here}
    return _shown_everywhere(server, [by_hmac(_claims(), secret, **brought, kid="../../dev/null")])


def made_up_key_ids(server: Locked) -> str:
    """Each of them could make the server ask the identity provider."""
    before = server.jwks.asked
    made_up = [token(_claims(), lambda _: b"x" * 256, alg="RS256", kid=new_id()) for _ in range(ATTEMPTS)]
    answers = {_ask(server, "GET", "/api/sessions", bearer=server.secret(one)) for one in made_up}
    return (
        f"{_all(answers)}, asked once at most" if server.jwks.asked <= before + 1 else "asked again and again"
    )


def giant_token(server: Locked) -> str:
    claims = {**_claims(), "noise": "x" * 20_000}
    return _ask(
        server, "GET", "/api/sessions", bearer=server.secret(by_hmac(claims, server.jwt_secret.encode()))
    )


def anothers_stream(server: Locked) -> str:
    """Somebody with a token of their own, at what is somebody else's."""
    own = server.token(read=("session:own",))
    answers = {
        _ask(server, "GET", f"/api/v1/streams/session:{name}/events", bearer=own) for name in _guesses()
    }
    answers |= {_ask(server, "POST", "/api/sessions/own/events", bearer=own, json=EVENT)}
    answers |= {_ask(server, "DELETE", "/api/v1/streams/session:own", bearer=own)}
    answers |= {_ask(server, "GET", "/metrics", bearer=own)}
    return _all({*answers, _watch(server, token=own)})


def more_grants(server: Locked) -> str:
    """Somebody who may read would like to make a key."""
    grants = {"read": ["*"], "write": ["*"], "admin": True}
    own = server.token()
    return _ask(server, "POST", "/api/v1/keys", bearer=own, json={"name": "mine", "grants": grants})


def guessed_passwords(server: Locked) -> str:
    """Each from another address, if one were to believe what a header says."""
    answers = ""
    for number in range(ATTEMPTS):
        person = {"email": "ann@example.org", "password": server.secret(f"guess-{new_secret()}")}
        headers = {"X-Forwarded-For": f"10.0.0.{number}", "Forwarded": f"for=10.0.0.{number}"}
        answers = _ask(server, "POST", "/api/v1/auth/login", json=person, headers=headers)
    return answers


def guessed_tickets(server: Locked) -> str:
    guesses = [server.secret(new_secret()) for _ in range(ATTEMPTS)]
    return _all({_ask(server, "GET", "/api/sessions", params={"ticket": guess}) for guess in guesses})


def guessed_cookies(server: Locked) -> str:
    guesses = [server.secret(new_secret()) for _ in range(ATTEMPTS)]
    cookies = [{"Cookie": f"runcast={guess}"} for guess in guesses]
    return _all({_ask(server, "GET", "/api/sessions", headers=cookie) for cookie in cookies})


def guessed_refresh_tokens(server: Locked) -> str:
    answer = ""
    for _ in range(ATTEMPTS):
        shown = {"refresh_token": server.secret(new_secret())}
        answer = _ask(server, "POST", "/api/v1/auth/refresh", json=shown)
    return answer


def replayed_ticket(server: Locked) -> str:
    """A ticket found in somebody's log."""
    bearer = {"Authorization": f"Bearer {server.token()}"}
    issued = server.http.post(
        "/api/v1/auth/tickets", headers=bearer
    ).json()  # this answer has it, and no other
    ticket = server.secret(issued["ticket"])
    first = httpx2.get(server.url("/api/sessions"), params={"ticket": ticket}, timeout=WAIT_S)
    server.secret(first.cookies["runcast"])
    server.heard.append(first.content)
    again = _ask(server, "GET", "/api/sessions", params={"ticket": ticket})
    return f"{first.status_code}, then {again}"


def foreign_page_with_cookie(server: Locked) -> str:
    """A page of another origin, in a browser that would send its cookie."""
    more = f"Origin: https://evil.example\r\nCookie: runcast={server.secret(new_secret())}\r\n"
    with Wire(server.session("private"), more=more) as wire:
        return _told(server, wire)


def many_connections(server: Locked) -> str:
    """More than one principal may have, each to a stream of its own."""
    own = quote(server.token(sub=new_id()))
    with ExitStack() as stack:
        urls = [server.session(f"many-{number}", token=own) for number in range(CONNECTIONS)]
        wires = [stack.enter_context(Wire(url)) for url in urls]
        wires[-1].send(frame(TEXT, b'{"type": "ping"}'))
        return _told(server, wires[-1])


def _claims() -> dict[str, Any]:
    return {
        "sub": "admin",
        "exp": time.time() + 600,
        "grants": {"read": ["*"], "write": ["*"], "admin": True},
    }


def _guesses() -> list[str]:
    """Streams that are there and streams that are not: nobody can tell which."""
    return ["private", "others", *[new_id() for _ in range(ATTEMPTS)]]


def _shown_everywhere(server: Locked, shown: Iterable[str]) -> str:
    """In every place where something can be shown."""
    answers: set[str] = set()
    for one in map(server.secret, shown):
        answers.add(_ask(server, "GET", "/api/sessions", bearer=one))
        answers.add(_ask(server, "GET", "/api/sessions", headers={"X-API-Key": one}))
        answers.add(_ask(server, "GET", "/api/sessions", params={"token": one}))
        answers.add(_ask(server, "GET", "/api/sessions", params={"api_key": one}))
        answers.add(_watch(server, token=one))
        answers.add(_watch(server, say=json.dumps({"type": "auth", "token": one})))
    return _all(answers)


def _ask(server: Locked, method: str, path: str, *, bearer: str = "", **how: Any) -> str:
    if bearer:
        how["headers"] = {"Authorization": f"Bearer {bearer}"}
    answer = server.http.request(method, path, **how)
    server.heard.append(str(answer.headers).encode() + answer.content)
    return f"{answer.status_code} {answer.json().get('code')}"


def _watch(server: Locked, *, say: str = "", **query: str) -> str:
    with Wire(server.session("private", **query)) as wire:
        if say:
            wire.send(frame(TEXT, say.encode()))
        return _told(server, wire)


def _told(server: Locked, wire: Wire) -> str:
    said = ""
    with suppress(ConnectionError):
        while (received := wire.receive()) is not None:
            server.heard.append(received.payload)
            if received.opcode == CLOSE:
                return f"{said} {received.code}"
            if received.opcode == TEXT:
                said = json.loads(received.payload).get("code", said)
    return f"{said} cut off"


def _all(answers: Iterable[str]) -> str:
    return " | ".join(sorted(answers))
