"""From what somebody asks to words to look for. Pure: whatever was typed, no syntax of the index comes out of it."""

from __future__ import annotations

import re
from typing import Final

MAX_QUERY_CHARS: Final = 10_000
MAX_WORDS: Final = 32
"""Different words that are looked for; a whole page pasted as a question is cut here."""

_WORD: Final = re.compile(r"[^\W_]+")

STOP_WORDS: Final = frozenset(
    _WORD.findall(
        """
    a about above after again all also although am an and any are as at be because been before being below between
    both but by can cannot could did do does doing don down during each either else ever every few find for from
    further get give given had has have having he help her here hers him his how however i if in into is it its itself
    just know let like ll look made make many may me might mine more most much must my need no nor not now of off on
    once one only onto or other our ours out over own per please question re same say says see shall she should show
    so some such tell than that the their theirs them then there these they thing things this those though through to
    too under until up upon us use used using ve very want was way we well were what whatever when where whether which
    analyse analyze compare describe discuss explain happen happened happens investigate long mean means research
    summarise summarize take takes write
    while who whom whose why will with within without would yes yet you your yours
        """
    )
)
"""English words that say nothing of what is looked for. Those of other languages are found by how common they are."""


def words_of(query: str) -> list[str]:
    """The different words of a query, in order and in lower case, without stop words, unless it has no others."""
    found = dict.fromkeys(_WORD.findall(query[:MAX_QUERY_CHARS].casefold()))
    wanted = [word for word in found if word not in STOP_WORDS]
    return (wanted or list(found))[:MAX_WORDS]


def quoted(word: str) -> str:
    """A word as the index's language has a string, so that nothing in it means anything."""
    return '"' + word.replace('"', '""') + '"'
