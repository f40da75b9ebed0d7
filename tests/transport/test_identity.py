"""People and keys over HTTP: registering, logging in, refreshing, logging out, and how guessing is slowed down."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from tests.support.locked import LOGIN, MASTER, PERSON, LockedServer


@pytest.fixture
def server(tmp_path: Path) -> Generator[LockedServer]:
    with LockedServer(tmp_path) as server:
        yield server


def test_registering_logging_in_and_refreshing(server: LockedServer) -> None:
    registered = server.http.post("/api/v1/auth/register", json=PERSON)
    assert registered.status_code == 201
    login = server.http.post("/api/v1/auth/login", json=LOGIN)
    session = login.json()
    assert session["user"]["name"] == "Ann"
    me = server.as_(session["access_token"], "GET", "/api/v1/auth/me").json()
    assert (me["email"], me["grants"]) == ("ann@example.org", {"read": [], "write": [], "admin": False})
    refreshed = server.http.post("/api/v1/auth/refresh", json={"refresh_token": session["refresh_token"]})
    assert refreshed.status_code == 200
    again = server.http.post("/api/v1/auth/refresh", json={"refresh_token": session["refresh_token"]})
    assert again.status_code == 401
    stolen = refreshed.json()["access_token"]  # one of the two who have shown it is a thief
    assert server.as_(stolen, "GET", "/api/v1/auth/me").status_code == 401


def test_attempts_are_limited(tmp_path: Path) -> None:
    with LockedServer(tmp_path, login_rate=2) as server:
        body = {"email": "a@b", "password": "wrong password"}
        said = [server.http.post("/api/v1/auth/login", json=body).status_code for _ in range(3)]
        assert said == [401, 401, 429]


def test_nobody_registers_where_that_is_off(tmp_path: Path) -> None:
    with LockedServer(tmp_path, registration=False) as server:
        answer = server.http.post("/api/v1/auth/register", json=PERSON)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_keys_are_managed_by_administrators(server: LockedServer) -> None:
    wanted = {"name": "ci", "grants": {"write": ["session:*"]}, "expires_in_s": 3600}
    made = server.as_(MASTER, "POST", "/api/v1/keys", json=wanted)
    assert made.status_code == 201
    key = made.json()
    assert server.as_(key["key"], "GET", "/api/v1/auth/me").json()["name"] == "ci"
    assert server.as_(key["key"], "GET", "/api/v1/keys").status_code == 403
    (listed,) = server.as_(MASTER, "GET", "/api/v1/keys").json()["keys"]
    assert "key" not in listed
    other = {"grants": {"read": ["*"]}}
    assert server.as_(MASTER, "PATCH", f"/api/v1/keys/{key['id']}", json=other).status_code == 200
    assert server.as_(MASTER, "DELETE", f"/api/v1/keys/{key['id']}").status_code == 200
    assert server.as_(MASTER, "DELETE", f"/api/v1/keys/{key['id']}").json()["code"] == "key_not_found"
    assert server.as_(key["key"], "GET", "/api/v1/auth/me").status_code == 401


@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b'{"name": "x"}', "grants"),
        (b'{"name": "x", "grants": {"read": ["x"]}}', "grants.read"),
        (b'{"name": "", "grants": {}}', "name"),
        (b'{"name": "x", "grants": {}, "expires_in_s": -1}', "expires"),
    ],
)
def test_a_key_that_cannot_be_is_refused_in_words(server: LockedServer, body: bytes, word: str) -> None:
    headers = {"Authorization": f"Bearer {MASTER}", "Content-Type": "application/json"}
    answer = server.http.post("/api/v1/keys", content=body, headers=headers)
    assert answer.status_code == 400
    assert word in answer.json()["detail"]


def test_a_login_ends_as_a_whole(server: LockedServer) -> None:
    session = server.http.post("/api/v1/auth/register", json=PERSON).json()
    again = server.http.post("/api/v1/auth/refresh", json={"refresh_token": session["refresh_token"]}).json()
    assert server.as_(again["access_token"], "POST", "/api/v1/auth/logout").status_code == 200
    for token in (session["access_token"], again["access_token"]):
        assert server.as_(token, "GET", "/api/v1/auth/me").status_code == 401
    refresh = {"refresh_token": again["refresh_token"]}
    assert server.http.post("/api/v1/auth/refresh", json=refresh).status_code == 401
    other = server.http.post("/api/v1/auth/login", json=LOGIN).json()
    assert server.elsewhere.users.disable(other["user"]["id"])
    assert server.as_(other["access_token"], "GET", "/api/v1/auth/me").status_code == 401
    assert server.as_(MASTER, "POST", "/api/v1/auth/logout").status_code == 400  # keys are revoked


def log_in(server: LockedServer, address: str, **body: str) -> Any:
    """An attempt that comes from `address`, as a proxy on this machine says."""
    return server.http.post(
        "/api/v1/auth/login", json={**LOGIN, **body}, headers={"X-Forwarded-For": address}
    )


def test_many_addresses_guess_no_faster_than_one(tmp_path: Path) -> None:
    with LockedServer(tmp_path, login_failure_rate=3) as server:
        session = server.http.post("/api/v1/auth/register", json=PERSON).json()
        assert log_in(server, "192.0.2.1").status_code == 200  # the owner, at home
        for email in (PERSON["email"].upper(), "nobody@example.org"):
            said = [
                log_in(server, f"198.51.100.{number}", email=email, password=f"password {number}")
                for number in range(5)
            ]
            assert [one.status_code for one in said] == [401, 401, 401, 429, 429]
            assert said[-1].json()["code"] == "too_many"
            assert "20 minutes" in said[-1].json()["detail"]
            assert 1_100 < int(said[-1].headers["retry-after"]) <= 1_200
        assert log_in(server, "203.0.113.1").status_code == 429  # the right one, and it is not said
        assert log_in(server, "192.0.2.1").status_code == 200  # her owner is not locked out
        assert [log_in(server, "192.0.2.1", password="no").status_code for _ in range(4)] == [401] * 3 + [429]
        assert log_in(server, "203.0.113.1", email="other@example.org").status_code == 401
        body = {"refresh_token": session["refresh_token"]}
        assert server.http.post("/api/v1/auth/refresh", json=body).status_code == 200


def test_an_address_that_tries_too_often_hears_how_long_to_wait(tmp_path: Path) -> None:
    with LockedServer(tmp_path, login_rate=1) as server:
        assert log_in(server, "2001:db8::1").status_code == 401
        refused = log_in(server, "2001:db8::2")  # of the same network
        assert refused.status_code == 429
        assert refused.json()["detail"].endswith("in 60 seconds.")
        assert 50 < int(refused.headers["retry-after"]) <= 60
        assert log_in(server, "2001:db8:0:1::1").status_code == 401
