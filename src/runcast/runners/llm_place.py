"""Which language model is asked, and where: settled from the settings and OPENROUTER_API_KEY."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec

from runcast.config import Settings
from runcast.errors import ConfigError

OPENAI_URL: Final = "https://api.openai.com/v1"
OPENROUTER_URL: Final = "https://openrouter.ai/api/v1"
OPENROUTER_MODEL: Final = "openrouter/auto"
"""OpenRouter's own choice among its models, by the prompt; the answer says which one it was."""

KEY: Final = "RUNCAST_LLM_API_KEY"
OPENROUTER_KEY: Final = "OPENROUTER_API_KEY"

_PROVIDERS: Final = {
    "api.openai.com": "openai",
    "openrouter.ai": "openrouter",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.deepseek.com": "deepseek",
    "api.together.xyz": "together",
    "api.x.ai": "xai",
    "generativelanguage.googleapis.com": "google",
    "api.anthropic.com": "anthropic",
}
_LOCAL_PORTS: Final = {11434: "ollama", 1234: "lmstudio", 8080: "llama.cpp"}
_LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An OpenAI-compatible API and a model there. `key_variable` is where the key came from, or would."""

    base_url: str
    model: str
    api_key: str = ""
    key_variable: str = KEY

    @property
    def shown(self) -> str:
        """The address for people: without what may be secret in it."""
        parts = urlsplit(self.base_url)
        port = f":{parts.port}" if parts.port else ""
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{parts.scheme}://{host}{port}{parts.path}"

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own API, which calls some parameters otherwise than those like it."""
        return urlsplit(self.base_url).hostname == "api.openai.com"

    def name_of(self, model: str) -> str:
        """A model there as `provider/model`."""
        provider = _provider(self.base_url)
        return model if model.startswith(f"{provider}/") else f"{provider}/{model}"


def find_endpoint(settings: Settings, environ: Mapping[str, str]) -> Endpoint | None:
    """The model that is configured; None if none is.

    `OPENROUTER_API_KEY` alone is enough for OpenRouter, and is never sent anywhere else.

    Raises:
        ConfigError: something of it is missing or cannot be; says which variable to set.
    """
    base_url, key, model = (
        settings.llm_base_url.strip(),
        settings.llm_api_key.strip(),
        settings.llm_model.strip(),
    )
    router_key = environ.get(OPENROUTER_KEY, "").strip()
    if not (base_url or key or model or router_key):
        return None
    if not base_url:
        # a key of OpenRouter's begins so, and is of no use elsewhere
        routed = key.startswith("sk-or-") or (router_key and not key)
        base_url = OPENROUTER_URL if routed else OPENAI_URL
        if not (key or router_key):
            raise ConfigError(
                f"{KEY} is not set. Set it for {OPENAI_URL}, or set RUNCAST_LLM_BASE_URL to another API, such as "
                "http://localhost:11434/v1."
            )
    _check_url(base_url)
    variable = KEY
    if not key and _provider(base_url) == "openrouter":
        key, variable = router_key, OPENROUTER_KEY
        model = model or OPENROUTER_MODEL
    if not model and _provider(base_url) == "openrouter":
        model = OPENROUTER_MODEL
    endpoint = Endpoint(base_url=base_url.rstrip("/"), model=model, api_key=key, key_variable=variable)
    if not model:
        raise ConfigError(f"RUNCAST_LLM_MODEL is not set: say which model to ask at {endpoint.shown}.")
    return endpoint


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise ConfigError(
            "RUNCAST_LLM_BASE_URL: no address of an API; examples are https://api.openai.com/v1 and "
            "http://localhost:11434/v1."
        )


def _provider(url: str) -> str:
    """Who stands behind an address, in a word; else its host."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if host in _LOCAL_HOSTS:
        return _LOCAL_PORTS.get(port or 80, f"{host}:{port}" if port else host)
    return _PROVIDERS.get(host, host)
