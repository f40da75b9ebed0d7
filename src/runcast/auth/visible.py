"""A subscriber's filter within what they may see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runcast.auth.grants import Grants
from runcast.core.filters import EventSubscriptionFilter, Predicate
from runcast.core.scope import Scope


class Visible:
    """What of `scope` passes `wanted` and is granted. A filter like any other: equal fingerprints share a cohort."""

    __slots__ = ("_granted", "_grants", "_wanted", "fingerprint")

    def __init__(self, wanted: EventSubscriptionFilter, grants: Grants, scope: Scope) -> None:
        self._wanted = wanted
        self._grants = grants
        self._granted = grants.predicate(scope)
        granted = grants.fingerprint(scope)
        self.fingerprint = f"{wanted.fingerprint}\n{granted}" if granted else wanted.fingerprint

    def compile(self) -> Predicate | None:
        """A fast test for stored events, or None where every event passes."""
        wanted, granted = self._wanted.compile(), self._granted
        if granted is None:
            return wanted
        if wanted is None:
            return granted
        return lambda event: granted(event) and wanted(event)

    def matches_event(self, event: Mapping[str, Any]) -> bool:
        """Whether a flat session event passes."""
        visible = self._granted is None or self._grants.may_read(f"session:{event.get('session_id')}")
        return visible and self._wanted.matches_event(event)
