"""Which model is asked, and where."""

from __future__ import annotations

from typing import Any

import pytest

from runcast.config import Settings
from runcast.errors import ConfigError
from runcast.runners.knowledge import KnowledgeBase
from runcast.runners.llm import make_model
from runcast.runners.llm_place import OPENROUTER_URL, Endpoint, find_endpoint

ROUTER = {"OPENROUTER_API_KEY": "sk-or-router"}


def found(environ: dict[str, str] | None = None, **settings: Any) -> Endpoint:
    endpoint = find_endpoint(Settings(**settings), environ or {})
    assert endpoint is not None
    return endpoint


def test_without_anything_the_extractive_model_answers() -> None:
    assert find_endpoint(Settings(), {}) is None
    assert make_model(Settings(), KnowledgeBase(None), {}).name == "extractive"


def test_a_key_of_openrouter_is_enough() -> None:
    endpoint = found(ROUTER)
    assert (endpoint.base_url, endpoint.model) == (OPENROUTER_URL, "openrouter/auto")
    assert (endpoint.api_key, endpoint.key_variable) == ("sk-or-router", "OPENROUTER_API_KEY")
    assert make_model(Settings(), KnowledgeBase(None), ROUTER).name == "openrouter/auto"
    assert found(ROUTER, llm_model="a/b").model == "a/b"
    assert found(ROUTER, llm_base_url=OPENROUTER_URL).api_key == "sk-or-router"
    assert found(llm_api_key="sk-or-x").base_url == OPENROUTER_URL


def test_the_key_of_openrouter_goes_nowhere_else() -> None:
    local = found(ROUTER, llm_base_url="http://localhost:11434/v1", llm_model="llama3")
    assert (local.api_key, local.name_of(local.model)) == ("", "ollama/llama3")
    openai = found(ROUTER, llm_api_key="sk-x", llm_model="gpt")
    assert (openai.base_url, openai.api_key) == ("https://api.openai.com/v1", "sk-x")
    assert openai.is_openai


@pytest.mark.parametrize(
    ("url", "model", "name"),
    [
        ("https://api.openai.com/v1/", "gpt-x", "openai/gpt-x"),
        (OPENROUTER_URL, "vendor/large", "openrouter/vendor/large"),
        (OPENROUTER_URL, "openrouter/auto", "openrouter/auto"),
        ("http://localhost:1234/v1", "qwen", "lmstudio/qwen"),
        ("http://127.0.0.1:8000/v1", "m", "127.0.0.1:8000/m"),
        ("https://llm.example.org/v1", "m", "llm.example.org/m"),
    ],
)
def test_names(url: str, model: str, name: str) -> None:
    endpoint = found(llm_base_url=url, llm_model=model)
    assert endpoint.name_of(endpoint.model) == name
    assert not endpoint.base_url.endswith("/")


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        ({"llm_base_url": "localhost:11434", "llm_model": "m"}, "RUNCAST_LLM_BASE_URL"),
        ({"llm_base_url": "http://[", "llm_model": "m"}, "RUNCAST_LLM_BASE_URL"),
        ({"llm_base_url": "http://localhost:11434/v1"}, "RUNCAST_LLM_MODEL"),
        ({"llm_api_key": "sk-x"}, "RUNCAST_LLM_MODEL"),
        ({"llm_model": "gpt-x"}, "RUNCAST_LLM_API_KEY"),
    ],
)
def test_what_is_missing_is_named(settings: dict[str, Any], variable: str) -> None:
    with pytest.raises(ConfigError, match=variable):
        find_endpoint(Settings(**settings), {})
