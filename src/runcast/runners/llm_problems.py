"""What a language model's API has answered that is no answer, in a sentence that says what to do about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

from runcast.auth.redact import HIDDEN, redact
from runcast.errors import ModelBusy, ModelError, ModelInterrupted, ModelUnavailable, ModelUnreachable
from runcast.runners.llm_place import Endpoint

MAX_QUOTED_CHARS: Final = 200
_KEYLIKE: Final = re.compile(r"\b(?:sk|pk|gsk|xai|key)[-_][\w*.-]{4,}", re.IGNORECASE)
_NO_CREDIT: Final = re.compile(
    r"insufficient[_ ](?:quota|credit|balance|funds)|billing|exceeded your current quota", re.I
)


def of_status(
    endpoint: Endpoint, status: int, body: object, headers: Mapping[str, str] | None = None
) -> ModelError:
    """The error for an answer of an HTTP status that is no success.

    Args:
        endpoint: what was asked.
        status: the status, or the number that an error in the midst of a stream gave itself.
        body: the decoded error object, or whatever came instead.
        headers: of the answer; Retry-After counts.
    """
    said = quoted(endpoint, body)
    if status in {401, 403}:
        return ModelUnavailable(_of_key(endpoint, status))
    if status == 402 or (status == 429 and _NO_CREDIT.search(_text_of(body))):
        return ModelUnavailable(f"The account at {endpoint.shown} has no credit left{said}. Add some there.")
    if status == 404:
        return ModelUnavailable(_of_not_found(endpoint, said))
    if status == 429:
        after_s = retry_after_s(headers or {})
        return ModelBusy(
            f"{endpoint.shown} asks to wait{_seconds(after_s)}: too many requests{said}.",
            retry_after_s=after_s or 0.0,
        )
    if status in {408, 409} or status >= 500:
        return ModelBusy(
            f"{endpoint.shown} answers {status}: it fails or is overloaded{said}. Try again later.",
            retry_after_s=retry_after_s(headers or {}) or 0.0,
        )
    if "model" in said.lower() and re.search(
        r"not (?:a valid|found|exist)|unknown|invalid model", said, re.I
    ):
        return ModelUnavailable(_of_not_found(endpoint, said))
    return ModelError(f"{endpoint.shown} refuses the request ({status}){said}.")


def of_error_in_stream(endpoint: Endpoint, body: object) -> ModelError:
    """The error for what a stream said in the place of more text."""
    code = str(_fields(body).get("code"))
    number = int(code) if code.isascii() and code.isdecimal() and len(code) == 3 else 0
    if 400 <= number < 600:
        return of_status(endpoint, number, body)
    return ModelBusy(f"{endpoint.shown} broke off with an error{quoted(endpoint, body)}.", retry_after_s=0.0)


def silent(endpoint: Endpoint, timeout_s: float) -> ModelBusy:
    """Nothing came for too long."""
    return ModelBusy(
        f"{endpoint.model} at {endpoint.shown} was silent for {timeout_s:g} s. Try again later, or set "
        "RUNCAST_LLM_TIMEOUT_S to a longer time.",
        retry_after_s=0.0,
    )


def unreachable(endpoint: Endpoint, *, connected: bool) -> ModelUnreachable:
    """Nobody listens there, or whoever does hangs up."""
    if connected:
        return ModelUnreachable(f"{endpoint.shown} closed the connection without an answer.")
    return ModelUnreachable(
        f"Nobody answers at {endpoint.shown}. Start the API there, or set RUNCAST_LLM_BASE_URL to where it is."
    )


def foreign(endpoint: Endpoint) -> ModelError:
    """What answers does not speak the protocol."""
    return ModelError(
        f"{endpoint.shown} answers, but not as an OpenAI-compatible API that streams. Is RUNCAST_LLM_BASE_URL "
        "right? It often ends in /v1."
    )


def interrupted(endpoint: Endpoint, reason: ModelError | None = None) -> ModelInterrupted:
    """The answer was cut in the middle, by the connection's end or for a reason that was given."""
    why = f" {reason}" if reason else ""
    return ModelInterrupted(
        f"The answer of {endpoint.model} broke off in the middle; it is not complete.{why}"
    )


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The seconds of a Retry-After header; None if it says none (a date counts as none)."""
    milliseconds, seconds = headers.get("retry-after-ms", ""), headers.get("retry-after", "")
    for text, factor in ((milliseconds, 0.001), (seconds, 1.0)):
        if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", text.strip()):
            return float(text) * factor
    return None


def quoted(endpoint: Endpoint, body: object) -> str:
    """A provider's own words, short, on one line and without secrets: `: "…"`, or nothing."""
    text = _text_of(body)
    if endpoint.api_key:
        text = text.replace(endpoint.api_key, HIDDEN)
    text = " ".join(_KEYLIKE.sub(HIDDEN, redact(text)).split())
    text = "".join(character if character.isprintable() else "\ufffd" for character in text)
    short = text if len(text) <= MAX_QUOTED_CHARS else f"{text[:MAX_QUOTED_CHARS]}…"
    return f': "{short}"' if short else ""


def _text_of(body: object) -> str:
    """The message of an error object. What is none, such as a page of HTML, is nobody's words to repeat."""
    given = _fields(body)
    message = given.get("message") or given.get("detail") or given.get("error") or given.get("code")
    if message:
        return message if isinstance(message, str) else ""
    return body if isinstance(body, str) and "<" not in body else ""


def _fields(body: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", body) if isinstance(body, dict) else {}


def _of_key(endpoint: Endpoint, status: int) -> str:
    if not endpoint.api_key:
        return f"{endpoint.shown} wants a key. Set {endpoint.key_variable}."
    if status == 401:
        return (
            f"{endpoint.shown} does not take the key. Set {endpoint.key_variable} to one that is valid there."
        )
    return f"The key in {endpoint.key_variable} may not use {endpoint.model} at {endpoint.shown}."


def _of_not_found(endpoint: Endpoint, said: str) -> str:
    if said:
        return (
            f"{endpoint.shown} has no model {endpoint.model}{said}. Set RUNCAST_LLM_MODEL to one that it has "
            f"({endpoint.shown}/models lists them)."
        )
    return f"There is no chat API at {endpoint.shown}. Is RUNCAST_LLM_BASE_URL right? It often ends in /v1."


def _seconds(after_s: float | None) -> str:
    return "" if after_s is None else f" {after_s:g} s"
