"""What a telephone number says about who asks one to call it."""

from __future__ import annotations

from typing import Final

from runcast.runners.tasks.scam.domains import Finding
from runcast.runners.tasks.scam.entities import Phone

_COSTS: Final = {"premium_rate": 45, "shared_cost": 20, "personal_number": 15, "pager": 20}


def judge(phone: Phone) -> list[Finding]:
    """What speaks against a number; nothing is said of one that could not be validated."""
    if phone.is_valid is False:
        return [Finding(phone.number, "no such number can exist", 20)]
    weight = _COSTS.get(phone.kind)
    return [Finding(phone.number, f"a {phone.kind.replace('_', ' ')} number", weight)] if weight else []
