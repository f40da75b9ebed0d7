"""What in a text can be checked: telephone numbers, addresses of pages and of people."""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

MAX_EACH: Final = 50
"""More of one sort are not looked at."""
MAX_TRIES: Final = 2_000
"""After so many runs of digits that are no telephone number no more are tried: 0.1 s, of a text that has been made for it."""
_URL: Final = re.compile(r"\b(?:https?://|www\.)[^\s<>\"'()\[\]{}|\\^`]+", re.IGNORECASE)
_EMAIL: Final = re.compile(r"\b[\w.+-]{1,64}@((?:[\w-]{1,63}\.){1,8}[\w-]{2,63})\b")
_DOMAIN: Final = re.compile(r"(?<![\w@.-])((?:[a-z0-9-]{1,63}\.){1,4}[a-z]{2,24})(?![\w@-])", re.IGNORECASE)
_PHONE: Final = re.compile(r"(?<![\w.])\+?\(?\d[\d\s()./-]{6,18}\d(?!\w)")
_ENDS: Final = ".,;:!?…\u201d\u2019"


class Phone(msgspec.Struct, frozen=True):
    """A telephone number, as E.164 where it could be read, and what it is said to be."""

    number: str
    is_valid: bool | None = None
    kind: str = "unknown"
    region: str | None = None


class Entities(msgspec.Struct, frozen=True):
    """What was found, each once and in order. `domains` are those of URLs and e-mail addresses, and bare ones."""

    phones: list[Phone]
    urls: list[str]
    emails: list[str]
    domains: list[str]

    @property
    def count(self) -> int:
        """How many there are of what a person would count."""
        return len(self.phones) + len(self.urls) + len(self.emails)


def extract(text: str, region: str = "US") -> Entities:
    """The entities of `text`; numbers without a country's code are read as those of `region`."""
    urls = _unique(match.group().rstrip(_ENDS) for match in _URL.finditer(text))
    emails = _unique(match.group().lower() for match in _EMAIL.finditer(text))
    rest = _EMAIL.sub(" ", _URL.sub(" ", text))
    bare = [match[1].lower() for match in _DOMAIN.finditer(rest)]
    hosts = [host for url in urls if (host := host_of(url))]
    mail_hosts = [email.rpartition("@")[2] for email in emails]
    return Entities(_phones(rest, region), urls, emails, _unique([*hosts, *mail_hosts, *bare]))


def host_of(url: str) -> str:
    """The host that a URL leads to, in lower case; empty if it has none that can be read."""
    try:
        return (urlsplit(url if "://" in url else f"http://{url}").hostname or "").removeprefix("www.")
    except ValueError:
        return ""


def has_phonenumbers() -> bool:
    """Whether numbers can be validated, or only found."""
    return _library() is not None


def _phones(text: str, region: str) -> list[Phone]:
    library = _library()
    if library is None:
        return [
            Phone(re.sub(r"[^\d+]", "", number))
            for number in _unique(m.group() for m in _PHONE.finditer(text))
        ]
    found: dict[str, Phone] = {}
    possible = library.Leniency.POSSIBLE
    for match in library.PhoneNumberMatcher(text, region, leniency=possible, max_tries=MAX_TRIES):
        number = library.format_number(match.number, library.PhoneNumberFormat.E164)
        found[number] = Phone(
            number,
            library.is_valid_number(match.number),
            _kind(library, match.number),
            library.region_code_for_number(match.number),
        )
        if len(found) == MAX_EACH:
            break
    return list(found.values())


def _kind(library: Any, number: Any) -> str:
    return library.PhoneNumberType.to_string(library.number_type(number)).lower()


def _library() -> Any:
    try:
        import phonenumbers  # noqa: PLC0415 - not always installed
    except ImportError:
        return None
    return phonenumbers


def _unique(texts: Any) -> list[str]:
    return list(dict.fromkeys(texts))[:MAX_EACH]
