"""Keys, tickets, cookies, refresh tokens, users and revocations over one store."""

import stat
from pathlib import Path

import pytest
from tests.auth.clock import Clock

from runcast.auth.grants import EVERYTHING, Grants
from runcast.auth.keys import ApiKeys
from runcast.auth.passes import COOKIE_S, REFRESH_S, TICKET_S, Passes
from runcast.auth.principal import Principal
from runcast.auth.revocations import Revocations
from runcast.auth.store import AuthStore
from runcast.auth.users import Users
from runcast.errors import ConfigError, InvalidInput, Unauthenticated

READER = Grants(read=("session:*",))
ALICE = Principal(sub="alice", via="token", credential="token:1", grants=READER)
PASSWORD = "correct horse battery"


def test_a_key_is_shown_once_and_kept_as_a_hash(store: AuthStore, clock: Clock, tmp_path: Path) -> None:
    keys = ApiKeys(store, clock)
    key, text = keys.create("ci", READER)
    assert keys.list() == [key]
    principal = keys.principal(text)
    assert (principal.grants, principal.name, principal.credential) == (READER, "ci", f"key:{key.id}")
    secret = text.rpartition("_")[2].encode()
    assert secret not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_a_wrong_key_is_nobodys(store: AuthStore, clock: Clock) -> None:
    keys = ApiKeys(store, clock)
    _, text = keys.create("ci", READER)
    for wrong in (text[:-1], text + "x", "rck_a_b", text.upper(), text.rpartition("_")[2], ""):
        with pytest.raises(Unauthenticated, match="no API key"):
            keys.principal(wrong)


def test_a_key_expires_and_is_revoked(store: AuthStore, clock: Clock) -> None:
    keys = ApiKeys(store, clock)
    _, brief = keys.create("brief", READER, expires_s=clock() + 10)
    key, revoked = keys.create("revoked", READER)
    before = store.changes()
    assert keys.revoke(key.id)
    assert not keys.revoke(key.id)
    assert not keys.revoke("unknown")
    assert store.changes() == before + 1
    with pytest.raises(Unauthenticated, match="revoked"):
        keys.principal(revoked)
    clock.advance(10)
    with pytest.raises(Unauthenticated, match="expired"):
        keys.principal(brief)


def test_a_keys_grants_change_while_it_is_used(store: AuthStore, clock: Clock) -> None:
    keys = ApiKeys(store, clock)
    key, _ = keys.create("ci", READER)
    before = store.changes()
    assert keys.change(key.id, EVERYTHING)
    assert store.changes() > before
    assert keys.current(key.id).grants == EVERYTHING


@pytest.mark.parametrize(("name", "seconds"), [("", 10), ("x" * 101, 10), ("a\nb", 10), ("fine", 0)])
def test_a_key_that_cannot_be(store: AuthStore, clock: Clock, name: str, seconds: float) -> None:
    with pytest.raises(InvalidInput):
        ApiKeys(store, clock).create(name, READER, expires_s=clock() + seconds)


def test_configured_keys_may_do_everything(store: AuthStore, clock: Clock) -> None:
    keys = ApiKeys(store, clock, ("the configured key",))
    assert keys.principal("the configured key").grants == EVERYTHING
    assert keys.list() == []
    with pytest.raises(Unauthenticated):
        keys.principal("another")


def test_a_ticket_counts_once_and_gives_a_cookie(store: AuthStore, clock: Clock) -> None:
    passes = Passes(store, clock)
    ticket = passes.ticket(ALICE)
    principal, cookie = passes.redeem(ticket)
    assert principal == ALICE
    with pytest.raises(Unauthenticated, match="used before"):
        passes.redeem(ticket)
    known = passes.cookie(cookie)
    assert (known.sub, known.via, known.origin, known.grants) == ("alice", "cookie", "token:1", READER)
    for wrong in (ticket, cookie + "x", ""):
        with pytest.raises(Unauthenticated):
            passes.cookie(wrong)


def test_a_ticket_and_a_cookie_expire(store: AuthStore, clock: Clock) -> None:
    passes = Passes(store, clock)
    late, ticket = passes.ticket(ALICE), passes.ticket(ALICE)
    _, cookie = passes.redeem(ticket)
    clock.advance(TICKET_S)
    with pytest.raises(Unauthenticated):
        passes.redeem(late)
    clock.advance(COOKIE_S)
    with pytest.raises(Unauthenticated, match="log in again"):
        passes.cookie(cookie)
    assert passes.sweep() == 3


def test_a_refresh_token_rotates_and_theft_is_noticed(store: AuthStore, clock: Clock) -> None:
    passes = Passes(store, clock)
    first = passes.refresh_token(ALICE)
    principal, second = passes.refresh(first)
    assert principal == ALICE
    _, third = passes.refresh(second)
    with pytest.raises(Unauthenticated, match="used before"):
        passes.refresh(first)  # whoever shows it has it from somewhere else
    with pytest.raises(Unauthenticated):
        passes.refresh(third)
    fresh = passes.refresh_token(ALICE)
    clock.advance(REFRESH_S)
    with pytest.raises(Unauthenticated):
        passes.refresh(fresh)


def test_users_register_and_log_in(store: AuthStore, clock: Clock) -> None:
    users = Users(store, clock)
    user = users.register("Ann@example.org", PASSWORD, "Ann", READER)
    assert users.log_in("ann@EXAMPLE.org", PASSWORD) == user
    assert users.find(user.id) == user
    with pytest.raises(InvalidInput, match="already"):
        users.register("ANN@example.org", PASSWORD)
    with pytest.raises(Unauthenticated) as wrong:
        users.log_in("ann@example.org", PASSWORD + "!")
    with pytest.raises(Unauthenticated) as nobody:
        users.log_in("bob@example.org", PASSWORD)
    assert str(wrong.value) == str(nobody.value)
    assert users.disable(user.id)
    with pytest.raises(Unauthenticated):
        users.log_in("ann@example.org", PASSWORD)
    assert users.find(user.id) is None


@pytest.mark.parametrize(
    ("email", "password", "name", "field"),
    [
        ("nobody", PASSWORD, "", "email"),
        ("a@b c", PASSWORD, "", "email"),
        ("a@" + "b" * 255, PASSWORD, "", "email"),
        ("a@b", "short", "", "password"),
        ("a@b", "x" * 1_001, "", "password"),
        ("a@b", PASSWORD, "x" * 101, "name"),
        ("a@b", PASSWORD, "a\0b", "name"),
    ],
)
def test_an_account_that_cannot_be(
    store: AuthStore, clock: Clock, email: str, password: str, name: str, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        Users(store, clock).register(email, password, name)
    assert refused.value.field == field


def test_a_revocation_is_seen_by_another_process(store: AuthStore, clock: Clock) -> None:
    assert store.path is not None
    other = AuthStore(store.path)
    try:
        before = other.changes()
        Revocations(store, clock).revoke("token:7", clock() + 60)
        assert other.changes() == before + 1
        elsewhere = Revocations(other, clock)
        assert elsewhere.is_revoked("token:7")
        assert not elsewhere.is_revoked("token:8")
        clock.advance(61)
        assert elsewhere.sweep() == 1
    finally:
        other.close()


def test_the_secret_of_our_own_tokens_is_made_once(store: AuthStore) -> None:
    secret = store.own_secret()
    assert len(secret) >= 40
    assert store.path is not None
    other = AuthStore(store.path)
    assert other.own_secret() == secret
    other.close()


def test_the_file_is_for_its_user_only(store: AuthStore) -> None:
    assert store.path is not None
    assert not store.path.exists()  # before it is needed
    store.changes()
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_a_file_of_a_newer_version_is_refused(store: AuthStore) -> None:
    assert store.path is not None
    with store.transaction() as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="newer version"):
        AuthStore(store.path).changes()


def test_a_file_that_cannot_be_is_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ConfigError, match="keys and users"):
        AuthStore(tmp_path / "file" / "auth.db").changes()
