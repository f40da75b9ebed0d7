"""The reference task's parts: what is found in a text, and what speaks against it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from runcast.config import Settings
from runcast.errors import ConfigError, InvalidInput, ModelUnreachable
from runcast.runners.extractive import ExtractiveModel
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.tasks.context import TaskContext
from runcast.runners.tasks.scam import domains, phones, search
from runcast.runners.tasks.scam.database import Report, ScamDatabase
from runcast.runners.tasks.scam.domains import Finding, distance, registered_name
from runcast.runners.tasks.scam.entities import MAX_EACH, Phone, extract, host_of
from runcast.runners.tasks.scam.search import Hit
from runcast.runners.tasks.scam.task import analyse, check
from runcast.runners.tasks.scam.verdict import signs_in, weigh


def test_entities_are_found_once_each_and_in_order() -> None:
    found = extract(
        "Call +1 650 253 0000 or (650) 253-0000, write to Help@PayPal.com. See https://paypa1.top/a?b=1, "
        "www.example.org/x and evil-site.xyz."
    )
    assert found.phones == [Phone("+16502530000", True, "fixed_line_or_mobile", "US")]
    assert found.urls == ["https://paypa1.top/a?b=1", "www.example.org/x"]
    assert found.emails == ["help@paypal.com"]
    assert found.domains == ["paypa1.top", "example.org", "paypal.com", "evil-site.xyz"]
    assert found.count == 4


def test_a_number_is_read_by_its_region() -> None:
    assert extract("Ruf an: 030 123456", "DE").phones[0].number == "+4930123456"
    assert extract("Dates such as 2025-10-18 or prices of 1,000 are none").phones == []


def test_a_text_full_of_digits_is_not_looked_through_for_long() -> None:
    number = "+1 650 253 0000"
    assert extract("12 " * 16_661 + number).phones == []
    assert len(extract("on 2025-10-18 " * 500 + number).phones) == 1
    many = extract(", ".join(f"+1 650 253 {number:04}" for number in range(3_000)))
    assert len(many.phones) == MAX_EACH


@pytest.mark.parametrize(
    ("url", "host"), [("http://[bad", ""), ("www.A.com", "a.com"), ("http://u@h.org/x", "h.org")]
)
def test_a_url_has_a_host_or_none(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    ("domain", "reason"),
    [
        ("paypa1.com", "it looks like paypal"),
        ("paypall.com", "it looks like paypal"),
        ("gogole.com", "it looks like google"),
        ("p\u0430ypal.com", "it looks like paypal"),
        ("xn--pypal-4ve.com", "punycode: it is shown as p\u0430ypal.com"),
        ("p\u0430ypal.com", "letters of several scripts (cyrillic, latin)"),
        ("paypal.secure-login.com", "paypal stands in it, and it is not theirs"),
        ("lottery.xyz", "the ending .xyz is often abused"),
        ("192.168.0.1", "a numeric address instead of a name"),
        ("a-b-c-d-e.com", "many hyphens"),
    ],
)
def test_what_speaks_against_a_domain(domain: str, reason: str) -> None:
    assert reason in [finding.reason for finding in domains.judge(domain)]


@pytest.mark.parametrize("domain", ["paypal.com", "www.google.co.uk", "example.org", "github.io"])
def test_nothing_speaks_against_an_honest_one(domain: str) -> None:
    assert domains.judge(domain) == []


def test_a_young_domain_is_suspicious() -> None:
    assert domains.judge("example.org", 5) == [Finding("example.org", "registered 5 days ago", 30)]
    assert domains.judge("example.org", 500) == []


def test_names_and_distances() -> None:
    assert registered_name("www.example.co.uk") == registered_name("example.org") == "example"
    assert [distance("abc", other) for other in ("abc", "acb", "ab", "abcd", "xbc", "xyz")] == [
        0,
        1,
        1,
        1,
        1,
        3,
    ]


def test_what_speaks_against_a_number() -> None:
    assert phones.judge(Phone("+1", is_valid=False))
    assert phones.judge(Phone("+1", True, "premium_rate"))[0].weight > 40
    assert phones.judge(Phone("+1", True, "mobile")) == phones.judge(Phone("+1")) == []


def test_weights_add_up_as_doubts_do() -> None:
    assert (weigh([]).verdict, weigh([]).score) == ("no_signs", 0)
    assert weigh([Finding("a", "b", 50), Finding("a", "c", 50)]).score == 75
    assert weigh([Finding("a", "b", 30)]).verdict == "suspicious"
    assert len(signs_in("URGENT: verify your account, or pay by gift cards")) == 3
    assert signs_in("See you at the concert") == []


def test_the_database_knows_what_was_added(tmp_path: Path) -> None:
    database = ScamDatabase(tmp_path / "deep" / "x.scams")
    database.add([Report("phone", "+1900", "premium fraud", 3), Report("domain", "Evil.example", "phishing")])
    database.add([Report("phone", "+1900", "premium fraud", 2)])
    assert database.find("phone", "+1900") == Report("phone", "+1900", "premium fraud", 5)
    assert database.find("domain", "evil.EXAMPLE") is not None
    assert database.find("email", "x") is None
    database.set_age("evil.example", (datetime.now(UTC) - timedelta(days=7)).date())
    assert database.age_days("evil.example") == 7
    assert database.age_days("other.example") is None


def test_a_database_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no database at all, and long enough to be seen as none" * 50)
    with pytest.raises(ConfigError, match=r"^scam_database: "):
        ScamDatabase(tmp_path / "file")


@pytest.mark.parametrize(
    "params", [{}, {"text": 5}, {"text": "x", "region": "USA"}, {"text": "x", "more": 1}]
)
def test_parameters_that_cannot_be(params: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        check(params)


# --- the whole ----------------------------------------------------------------------------------


class Told:
    """What an analysis tells."""

    def __init__(self, folder: Path, text: str, model: Any = None) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.ctx = TaskContext(
            "t1",
            {"text": text},
            1,
            Settings(log=str(folder / "log.db"), scam_database=str(folder / "x.scams")),
            tell=lambda step, fields: self.events.append((step, fields)),
            is_lost=lambda: False,
            make_model=lambda: model or ExtractiveModel(KnowledgeBase(None)),
        )

    def of(self, step: str) -> str:
        return " ".join(fields["message"] for name, fields in self.events if name == step)


def test_a_known_scam_is_one(tmp_path: Path) -> None:
    ScamDatabase(tmp_path / "x.scams").add([Report("phone", "+16502530000", "tech support fraud", 12)])
    told = Told(tmp_path, "Call +1 650 253 0000")
    result = analyse(told.ctx)
    assert (result["verdict"], result["score"]) == ("scam", 90)
    assert "reported 12 times as tech support fraud" in result["explanation"]
    assert told.of("scam_db").endswith("1 of 1 are known scams")


def test_a_search_that_was_named_is_asked(tmp_path: Path) -> None:
    asked: list[str] = []

    def find(value: str) -> list[Hit]:
        asked.append(value)
        return [Hit("Scam!", "https://reports.example/1", is_report=True)]

    search.use_search(find)
    try:
        told = Told(tmp_path, "See https://example.org")
        result = analyse(told.ctx)
        search.use_search(lambda value: 1 / 0)  # pyright: ignore[reportArgumentType]
        broken = Told(tmp_path, "See https://example.org")
        analyse(broken.ctx)
    finally:
        search.use_search(None)
    assert (asked, result["verdict"]) == (["example.org"], "suspicious")
    assert told.of("exa_search").endswith("1 of them are reported on the web")
    assert "The web search failed" in broken.of("exa_search")


def test_a_model_that_does_not_answer_costs_the_explanation_only(tmp_path: Path) -> None:
    class Mute:
        name = "mute"

        async def stream(self, messages: Any, *, max_tokens: int | None = None) -> Any:
            del messages, max_tokens
            raise ModelUnreachable("Nobody answers at example.org.")
            yield

        async def close(self) -> None: ...

    told = Told(tmp_path, "URGENT: verify your account", Mute())
    result = analyse(told.ctx)
    assert (result["model"], result["verdict"]) == (None, "suspicious")
    assert "Nobody answers at example.org." in told.of("reasoning")
