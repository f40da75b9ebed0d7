"""What a domain's name says about it, by local rules: punycode, mixed scripts, look-alikes, endings, age."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import Final

import msgspec

YOUNG_DAYS: Final = 90
BRANDS: Final = [
    "amazon",
    "apple",
    "bankofamerica",
    "chase",
    "dhl",
    "dropbox",
    "ebay",
    "facebook",
    "fedex",
    "google",
    "icloud",
    "instagram",
    "linkedin",
    "microsoft",
    "netflix",
    "office365",
    "outlook",
    "paypal",
    "royalmail",
    "spotify",
    "steam",
    "telegram",
    "twitter",
    "ups",
    "usps",
    "venmo",
    "wellsfargo",
    "whatsapp",
    "zelle",
]
_ENDINGS: Final = frozenset(
    [
        "buzz",
        "cam",
        "cf",
        "click",
        "country",
        "ga",
        "gq",
        "icu",
        "link",
        "lol",
        "ml",
        "mom",
        "monster",
        "rest",
        "sbs",
        "tk",
        "top",
        "work",
        "xyz",
        "zip",
    ]
)
_COMMON_SECOND: Final = frozenset(["ac", "co", "com", "edu", "gov", "net", "org"])
_READ_AS: Final = tuple(
    str.maketrans(
        "01345$@\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0501\u051b\u0455", f"o{one}eassaaeopcyxidqs"
    )
    for one in "il"
)
"""Digits, signs and Cyrillic letters, as the Latin ones that they are read as."""
LEAST_LETTERS: Final = 6
"""Shorter names have honest neighbours."""
MAX_HYPHENS: Final = 3


class Finding(msgspec.Struct, frozen=True):
    """One thing that speaks against something; `weight` is from 0 to 100."""

    about: str
    reason: str
    weight: int


def judge(domain: str, age_days: int | None = None) -> list[Finding]:
    """All that speaks against a domain by its name, and by its age if that is known."""
    if _is_address(domain):
        return [Finding(domain, "a numeric address instead of a name", 35)]
    shown = _decode(domain)
    name, ending = registered_name(shown), shown.rpartition(".")[2]
    findings = [
        *_of_script(domain, shown),
        *_of_brand(domain, shown, name),
    ]
    if ending in _ENDINGS:
        findings.append(Finding(domain, f"the ending .{ending} is often abused", 15))
    if shown.count("-") > MAX_HYPHENS:
        findings.append(Finding(domain, "many hyphens", 10))
    if age_days is not None and age_days < YOUNG_DAYS:
        findings.append(Finding(domain, f"registered {age_days} days ago", 30))
    return findings


def registered_name(domain: str) -> str:
    """The part before the ending: `example` of `www.example.co.uk`."""
    parts = domain.split(".")
    if len(parts) > 2 and parts[-2] in _COMMON_SECOND and len(parts[-1]) == 2:
        return parts[-3]
    return parts[-2] if len(parts) > 1 else parts[0]


def distance(one: str, other: str) -> int:
    """How many letters must be put in, left out, changed or swapped with their neighbours to make one of the other."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, last, row = row, before, [i]
        for j, b in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, last[j - 2] + 1)
            row.append(cost)
    return row[-1]


def _of_script(domain: str, shown: str) -> list[Finding]:
    findings: list[Finding] = []
    if "xn--" in domain or shown != domain:
        findings.append(Finding(domain, f"punycode: it is shown as {shown}", 20))
    scripts = {unicodedata.name(char, "?").split()[0] for char in shown if char.isalpha()}
    if len(scripts) > 1:
        findings.append(
            Finding(domain, f"letters of several scripts ({', '.join(sorted(scripts)).lower()})", 40)
        )
    return findings


def _of_brand(domain: str, shown: str, name: str) -> list[Finding]:
    if name in BRANDS:
        return []
    words = {*re.split(r"[-.]", shown)}
    read = {word for table in _READ_AS for word in [name.translate(table), *name.translate(table).split("-")]}
    for brand in BRANDS:
        if brand in words and len(brand) > 3:
            return [Finding(domain, f"{brand} stands in it, and it is not theirs", 40)]
        if any(_looks_like(word, brand) for word in read):
            return [Finding(domain, f"it looks like {brand}", 50)]
    return []


def _looks_like(word: str, brand: str) -> bool:
    return word == brand or (len(brand) >= LEAST_LETTERS and distance(word, brand) == 1)


def _is_address(domain: str) -> bool:
    try:
        ipaddress.ip_address(domain)
    except ValueError:
        return False
    return True


def _decode(domain: str) -> str:
    parts: list[str] = []
    for part in domain.split("."):
        try:
            parts.append(part[4:].encode().decode("punycode") if part.startswith("xn--") else part)
        except (UnicodeError, ValueError, OverflowError):
            parts.append(part)
    return ".".join(parts)
