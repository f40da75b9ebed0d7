"""Weighing what was found: from findings and the words of a text to a verdict."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from runcast.runners.tasks.scam.domains import Finding

SCAM, SUSPICIOUS = 70, 30
MAX_SHOWN: Final = 50

_SIGNS: Final[tuple[tuple[str, str, int], ...]] = (
    (
        r"\b(gift|itunes|steam) cards?\b|\bwire transfer\b|\bbitcoin|\bcrypto|western union",
        "asks for a payment that cannot be taken back",
        25,
    ),
    (
        r"\burgent|\bimmediately\b|\bwithin \d+ (hours?|minutes?)|\bfinal (notice|warning)|\bact now\b",
        "puts pressure on time",
        15,
    ),
    (
        r"\b(verify|confirm|update|unlock) your (account|identity|payment|password|card)",
        "asks to confirm an account",
        20,
    ),
    (r"\b(suspended|locked|limited|deactivated|frozen)\b", "threatens with the loss of an account", 10),
    (r"\b(won|winner|lottery|prize|inheritance|beneficiary)\b", "promises a gain", 20),
    (r"\b(password|pin|one[- ]time code|social security|ssn|cvv)\b", "asks for secrets", 15),
    (r"\b(arrest|warrant|lawsuit|police|irs|customs)\b", "threatens with authorities", 15),
)


class Verdict(msgspec.Struct, frozen=True):
    """What it comes to: `scam`, `suspicious` or `no_signs`; `score` is from 0 to 100."""

    verdict: str
    score: int
    findings: list[Finding]


def signs_in(text: str) -> list[Finding]:
    """What the words of a text say."""
    return [
        Finding("text", reason, weight)
        for pattern, reason, weight in _SIGNS
        if re.search(pattern, text, re.IGNORECASE)
    ]


def weigh(findings: Sequence[Finding]) -> Verdict:
    """Each finding leaves less room for doubt: weights are taken as independent chances that it is a scam."""
    doubt = 1.0
    for finding in findings:
        doubt *= 1 - min(max(finding.weight, 0), 100) / 100
    score = round(100 * (1 - doubt))
    word = "scam" if score >= SCAM else "suspicious" if score >= SUSPICIOUS else "no_signs"
    return Verdict(word, score, sorted(findings, key=lambda one: -one.weight)[:MAX_SHOWN])


def as_evidence(verdict: Verdict) -> str:
    """The findings as a text for a language model, and for people where there is none."""
    lines = [f"- {one.about}: {one.reason} (weight {one.weight})." for one in verdict.findings]
    return "\n".join(lines) or "- Nothing that speaks against it was found."


def to_builtins(verdict: Verdict) -> dict[str, Any]:
    """The verdict as JSON has it."""
    return msgspec.to_builtins(verdict)
