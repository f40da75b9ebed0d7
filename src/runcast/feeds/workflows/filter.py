"""What of a workflow a client wants to hear: `?event_types=`, `?agent_id=`, `?min_confidence=`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from runcast.core.event import Event
from runcast.core.filters import MAX_ENTRY_CHARS, MAX_LIST_ENTRIES, Predicate
from runcast.errors import InvalidFilter
from runcast.kinds.workflow import WORKFLOW
from runcast.transport.params import Query, text_param


class _Facets(msgspec.Struct, gc=False):
    """The fields of an event's data that a filter looks at; a decoder skips all others."""

    agent_id: object = None
    confidence: object = None


_decode_facets = msgspec.json.Decoder(_Facets).decode


class WorkflowFilter(msgspec.Struct, frozen=True, kw_only=True):
    """AND across fields, OR within a list; None does not constrain, an empty list matches nothing.

    An event passes `min_confidence` if its `confidence` is at least that; one without any does not. The terminal
    events pass every filter: whoever listens must learn that it is over, and how.
    """

    event_types: frozenset[str] | None = None
    agent_ids: frozenset[str] | None = None
    min_confidence: float | None = None

    @property
    def fingerprint(self) -> str:
        """The same for two that want the same; empty where every event passes."""
        lists = {"event_types": self.event_types, "agent_ids": self.agent_ids}
        wanted: dict[str, Any] = {
            name: sorted(entries) for name, entries in lists.items() if entries is not None
        }
        if self.min_confidence is not None:
            wanted["min_confidence"] = self.min_confidence
        return msgspec.json.encode(wanted).decode() if wanted else ""

    def compile(self) -> Predicate | None:
        """A fast test for stored events, or None where every event passes."""
        if not self.fingerprint:
            return None
        types, terminals = self.event_types, WORKFLOW.terminals
        looks_inside = self.agent_ids is not None or self.min_confidence is not None

        def passes(event: Event) -> bool:
            if event.type in terminals:
                return True
            if types is not None and event.type not in types:
                return False
            return not looks_inside or self._has(_decode_facets(event.data))

        return passes

    def matches_event(self, event: Mapping[str, Any]) -> bool:
        """Whether an event as a flat frame passes."""
        event_type = event.get("type")
        if event_type in WORKFLOW.terminals:
            return True
        if self.event_types is not None and event_type not in self.event_types:
            return False
        return self._has(_Facets(event.get("agent_id"), event.get("confidence")))

    def _has(self, facets: _Facets) -> bool:
        agent, confidence = facets.agent_id, facets.confidence
        if self.agent_ids is not None and not (isinstance(agent, str) and agent in self.agent_ids):
            return False
        return self.min_confidence is None or (
            isinstance(confidence, int | float)
            and not isinstance(confidence, bool)
            and confidence >= self.min_confidence
        )


def filter_of(query: Query) -> WorkflowFilter:
    """The filter of a request; lists by commas.

    Raises:
        InvalidFilter: a list is too long, or the confidence is no number from 0 to 1; names the parameter.
    """
    return WorkflowFilter(
        event_types=_list_param(query, "event_types"),
        agent_ids=_list_param(query, "agent_id"),
        min_confidence=_fraction_param(query, "min_confidence"),
    )


def _list_param(query: Query, name: str) -> frozenset[str] | None:
    if name not in query:
        return None
    entries = [entry.strip() for entry in text_param(query, name, "").split(",") if entry.strip()]
    if len(entries) > MAX_LIST_ENTRIES or any(len(entry) > MAX_ENTRY_CHARS for entry in entries):
        raise InvalidFilter(
            f"{name}: at most {MAX_LIST_ENTRIES} entries of at most {MAX_ENTRY_CHARS} characters, by commas.",
            field=name,
        )
    return frozenset(entries)


def _fraction_param(query: Query, name: str) -> float | None:
    if name not in query:
        return None
    try:
        value = float(text_param(query, name, ""))
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:  # neither is NaN
        raise InvalidFilter(f"{name}: a number from 0 to 1.", field=name)
    return value
