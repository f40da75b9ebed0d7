"""Whether anything that was secret in a run can be read afterwards: in a log, in an answer, in the metrics."""

from __future__ import annotations

from urllib.parse import quote

from tests.abuse.target import Locked, Target


class Leaked(AssertionError):
    """A secret stands where anybody may read it."""


def search(open_server: Target, locked: Locked) -> str:
    """What was searched for and where, in a line.

    Raises:
        Leaked: something was found; says where, and not what.
    """
    places = {
        "the open server's log": open_server.log_file.read_bytes(),
        "the locked server's log": locked.log_file.read_bytes(),
        "its answers": b"\n".join(locked.heard),
        "its metrics": locked.http.get("/metrics", headers=locked.identity).content,
    }
    found = sorted(
        {place for place, text in places.items() for form in _forms(locked.secrets) if form in text}
    )
    logs = sum(len(text) for place, text in places.items() if "log" in place)
    answers = sum(map(len, places.values())) - logs
    line = f"secrets: {len(locked.secrets)} searched in {logs:,} bytes of log and {answers:,} of answers"
    if found:
        raise Leaked(f"{line}: found in {', '.join(found)}")
    return f"{line}: 0 found"


def _forms(secrets: set[str]) -> set[bytes]:
    """As they are, and as they would stand in an address."""
    return {form.encode() for secret in secrets for form in (secret, quote(secret, safe=""))}
