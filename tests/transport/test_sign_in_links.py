"""Tickets in addresses, and the cookies they become: who may use one up in somebody's browser, and what it is called."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.support.locked import MASTER, LockedServer

APP = "https://app.example"
ENCRYPTED = {"X-Forwarded-Proto": "https"}
"""What a proxy on this machine says of a request that came encrypted."""


@pytest.fixture
def server(tmp_path: Path) -> Generator[LockedServer]:
    with LockedServer(tmp_path, allowed_origins=(APP,)) as server:
        yield server


def ticket(server: LockedServer) -> str:
    return server.as_(MASTER, "POST", "/api/v1/auth/tickets").json()["ticket"]


def follow(server: LockedServer, shown: str, path: str = "/api/v1/auth/me", **headers: str) -> Any:
    """What a browser gets that asks with a ticket; it keeps no cookie."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = server.http.get(path, params={"ticket": shown}, headers=told)
    server.http.cookies.clear()
    return answer


@pytest.mark.parametrize("path", ["/", "/api/v1/auth/me", "/api/sessions", "/health"])
def test_a_link_of_another_site_signs_nobody_in(server: LockedServer, path: str) -> None:
    shown = ticket(server)
    refused = follow(server, shown, path, Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "another site" in refused.json()["detail"]
    assert "set-cookie" not in refused.headers
    assert follow(server, shown, path).status_code == 200  # it was not used up


def test_who_follows_such_a_link_is_told_on_a_page(server: LockedServer) -> None:
    page = follow(server, ticket(server), "/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate")
    assert page.status_code == 403
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "a link on another site cannot sign you in" in page.text
    assert '<a href="/">' in page.text
    used = follow(server, "made-up<script>", "/", Sec_Fetch_Site="none", Sec_Fetch_Mode="navigate")
    assert used.status_code == 401
    assert used.headers["www-authenticate"] == "Bearer"
    assert "<script" not in used.text


@pytest.mark.parametrize("site", ["none", "same-origin", "same-site"])
def test_who_types_an_address_or_comes_from_our_own_pages_is_signed_in(
    server: LockedServer, site: str
) -> None:
    answer = follow(server, ticket(server), Sec_Fetch_Site=site)
    assert answer.status_code == 200
    assert "set-cookie" in answer.headers


def test_a_page_of_an_allowed_origin_may_use_its_ticket(server: LockedServer) -> None:
    assert follow(server, ticket(server), Sec_Fetch_Site="cross-site", Origin=APP).status_code == 200
    evil = follow(server, ticket(server), Sec_Fetch_Site="cross-site", Origin="https://evil.example")
    assert evil.status_code == 403


def test_other_credentials_are_no_matter_of_where_a_link_stands(server: LockedServer) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = server.http.get("/api/v1/auth/me", params={"api_key": MASTER}, headers=headers)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


def test_an_encrypted_connection_s_cookie_belongs_to_this_host(server: LockedServer) -> None:
    answer = follow(server, ticket(server), **ENCRYPTED)
    named, *attributes = answer.headers["set-cookie"].split("; ")
    name, _, value = named.partition("=")
    assert name == "__Host-runcast"
    assert {"Secure", "Path=/", "HttpOnly", "SameSite=Strict"} <= set(attributes)
    assert not any(one.startswith("Domain") for one in attributes)

    def me(cookie: str, **headers: str) -> int:
        return server.http.get("/api/v1/auth/me", headers={"Cookie": cookie, **headers}).status_code

    assert me(f'odd="; {name}={value}; b', **ENCRYPTED) == 200
    assert me(f"runcast={value}", **ENCRYPTED) == 401  # a neighbour of the domain could have set this one
    assert me(f"{name}={value}") == 401
    out = server.http.post("/api/v1/auth/logout", headers={"Cookie": f"{name}={value}", **ENCRYPTED})
    assert out.json() == {"logged_out": True}
    gone = out.headers["set-cookie"]
    assert gone.startswith("__Host-runcast=;")
    assert "Max-Age=0" in gone
    assert "Secure" in gone  # without it, no browser would take this
    assert me(f"{name}={value}", **ENCRYPTED) == 401


def test_without_encryption_it_has_its_plain_name(server: LockedServer) -> None:
    answer = server.http.get("/api/v1/auth/me", params={"ticket": ticket(server)})
    assert answer.headers["set-cookie"].startswith("runcast=")
    assert "Secure" not in answer.headers["set-cookie"]
    assert server.http.get("/api/v1/auth/me").json()["via"] == "cookie"  # the client has read it back
    told = server.as_(MASTER, "POST", "/api/v1/auth/tickets").json()["cookie"]
    assert told == "runcast"
    assert server.http.post("/api/v1/auth/logout").status_code == 200
    assert "runcast" not in server.http.cookies
