"""Whoever guesses learns nothing from the work that a refusal takes: it is counted here, as times would waver."""

import hmac
from collections import Counter
from collections.abc import Callable, Generator
from typing import Any

import pytest
from argon2 import PasswordHasher, extract_parameters
from tests.auth.clock import Clock

from runcast.auth import keys, passwords
from runcast.auth.grants import Grants
from runcast.auth.keys import ApiKeys
from runcast.auth.passes import Passes
from runcast.auth.store import AuthStore
from runcast.auth.users import Users
from runcast.errors import Unauthenticated

PASSWORD = "correct horse battery"


@pytest.fixture
def work(store: AuthStore, monkeypatch: pytest.MonkeyPatch) -> Generator[Counter[str]]:
    """What was done: statements, comparisons, digests, and password hashes by their cost."""
    done = Counter[str]()
    hasher = PasswordHasher()

    class Hasher:
        hash = staticmethod(hasher.hash)

        def verify(self, kept: str, password: str) -> bool:
            cost = extract_parameters(kept)
            done[f"argon2 {cost.memory_cost} {cost.time_cost} {cost.parallelism}"] += 1
            return hasher.verify(kept, password)

    def counted(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def count(*args: Any) -> Any:
            done[name] += 1
            return act(*args)

        return count

    def traced(statement: str) -> None:
        done[statement.partition("WHERE")[0]] += 1

    monkeypatch.setattr(passwords, "_hasher", Hasher())
    monkeypatch.setattr(keys, "digest", counted("digest", keys.digest))
    monkeypatch.setattr(hmac, "compare_digest", counted("compare", hmac.compare_digest))
    with store.reading() as connection:
        connection.set_trace_callback(traced)
    yield done
    with store.reading() as connection:
        connection.set_trace_callback(None)


def refusals(
    work: Counter[str], ask: Callable[[str], object], shown: list[str]
) -> list[tuple[str, Counter[str]]]:
    """What each gets to read, and what it took."""
    found: list[tuple[str, Counter[str]]] = []
    for text in shown:
        work.clear()
        with pytest.raises(Unauthenticated) as refused:
            ask(text)
        found.append((str(refused.value), Counter(work)))
    return found


def test_an_account_that_is_there_takes_no_other_work(
    store: AuthStore, clock: Clock, work: Counter[str]
) -> None:
    users = Users(store, clock)
    users.register("ann@example.org", PASSWORD)
    gone = users.register("gone@example.org", PASSWORD)
    users.disable(gone.id)
    emails = ["ann@example.org", "nobody@example.org", "gone@example.org", ""]
    first, *others = refusals(work, lambda email: users.log_in(email, "wrong password"), emails)
    assert [one for one in others if one != first] == []
    assert sum(count for name, count in first[1].items() if name.startswith("argon2")) == 1
    work.clear()
    users.log_in("ann@example.org", PASSWORD)
    assert work == first[1]  # nor does the right password


def test_a_key_that_is_there_takes_no_other_work(store: AuthStore, clock: Clock, work: Counter[str]) -> None:
    known = ApiKeys(store, clock, ("a configured key", "another configured key"))
    key, text = known.create("ci", Grants(("*",)))
    shown = [
        f"rck_{key.id}_{'x' * 43}",  # the id is right
        text[:-1] + "-",  # nearly all of it is
        f"rck_{'0' * 16}_{'x' * 43}",
        "rck_",
        "",
        "a configured ke",
    ]
    first, *others = refusals(work, known.principal, shown)
    assert [one for one in others if one != first] == []
    assert first[1]["compare"] == 3  # with both configured keys, and once more
    work.clear()
    known.principal(text)
    assert work == first[1]
    work.clear()
    known.principal("a configured key")
    one = Counter(work)
    work.clear()
    known.principal("another configured key")
    assert (work["compare"], work) == (2, one)


def test_passes_are_found_by_their_hash(store: AuthStore, clock: Clock, work: Counter[str]) -> None:
    passes = Passes(store, clock)
    first, *others = refusals(work, passes.cookie, ["made up", "x" * 43, ""])
    assert [one for one in others if one != first] == []
    with store.reading() as connection:
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM passes WHERE hash = ?", (b"",)
        ).fetchall()
    assert "USING INDEX" in plan[0][3] or "PRIMARY KEY" in plan[0][3]
