"""Settings: where they come from, and that a wrong one is named with what was expected."""

import re
from typing import Any

import pytest

from runcast.config import KIB, Settings, describe, env_names
from runcast.errors import ConfigError

FIELDS = Settings.__struct_fields__
UNIT = re.compile(r"_(bytes|s|ms|days)$")
COUNTED = re.compile(
    r"\b(events|messages|frames|headers|connections|clients|processes|readers|port|tokens|times"
    r"|threads|workflows|plans|steps|streams|tasks)\b"
)


def test_defaults_need_nothing():
    assert Settings.from_env({}) == Settings()


@pytest.mark.parametrize("field", FIELDS)
def test_every_setting_is_described_and_has_a_unit(field: str):
    assert describe(field)
    default = getattr(Settings(), field)
    if isinstance(default, int | float) and not isinstance(default, bool):
        assert UNIT.search(field) or COUNTED.search(describe(field)), f"{field} has no unit"


def test_every_setting_has_a_variable_of_its_own():
    names = [name for field in FIELDS for name in env_names(field)]
    assert len(names) == len(set(names))
    assert {env_names(field)[0] for field in FIELDS} == {f"RUNCAST_{field.upper()}" for field in FIELDS}


@pytest.mark.parametrize("field", FIELDS)
def test_every_default_could_be_given_as_text(field: str):
    default = getattr(Settings(), field)
    text = ",".join(default) if isinstance(default, tuple) else str(default)
    assert getattr(Settings.from_env({f"RUNCAST_{field.upper()}": text}), field) == default


def test_values_are_read_by_their_type():
    settings = Settings.from_env(
        {
            "RUNCAST_PORT": "9000",
            "RUNCAST_BATCH_WINDOW_MS": "12.5",
            "RUNCAST_LOG": "/tmp/x.db",
            "RUNCAST_ALLOWED_ORIGINS": "https://a.example, null,,",
            "RUNCAST_EVENT_MAX_BYTES": "1024",
            "UNRELATED": "x",
        }
    )
    assert (settings.port, settings.batch_window_ms, settings.log) == (9000, 12.5, "/tmp/x.db")
    assert settings.allowed_origins == ("https://a.example", "null")
    assert settings.event_max_bytes == KIB


def test_the_documented_names_work_and_ours_come_first():
    documented = {"WEBSOCKET_PING_INTERVAL": "30", "MAX_WEBSOCKET_CLIENTS": "10"}
    settings = Settings.from_env(documented)
    assert (settings.ping_interval_s, settings.max_connections) == (30.0, 10)
    settings = Settings.from_env({**documented, "RUNCAST_MAX_CONNECTIONS": "20"})
    assert settings.max_connections == 20


def test_an_empty_variable_is_as_good_as_none():
    assert Settings.from_env({"RUNCAST_PORT": ""}) == Settings()


def test_what_is_given_in_code_or_on_the_command_line_comes_first():
    settings = Settings.from_env({"RUNCAST_PORT": "9000", "RUNCAST_HOST": "::1"}, port=0, host=None)
    assert (settings.port, settings.host) == (0, "::1")


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("RUNCAST_PORT", "http", "an integer from 0 to 65535."),
        ("RUNCAST_PORT", "65536", "an integer from 0 to 65535."),
        ("RUNCAST_PORT", "-1", "an integer from 0 to 65535."),
        ("RUNCAST_WORKERS", "0", "an integer, 1 or more."),
        ("RUNCAST_BATCH_SIZE", "1001", "an integer from 1 to 1000."),
        ("RUNCAST_BATCH_SIZE", "1.5", "an integer from 1 to 1000."),
        ("RUNCAST_EVENT_MAX_BYTES", "64k", "an integer, 1 or more."),
        ("RUNCAST_SESSION_TOKEN_BUDGET", "-1", "an integer, 0 or more."),
        ("RUNCAST_STALLED_AFTER_S", "0", "a number above 0 and up to 1000000000."),
        ("RUNCAST_STALLED_AFTER_S", "nan", "a number above 0 and up to 1000000000."),
        ("RUNCAST_RETENTION_DAYS", "inf", "a number above 0 and up to 1000000000."),
        ("RUNCAST_DRAIN_S", "-1", "a number from 0 to 1000000000."),
        ("RUNCAST_DRAIN_S", "1e999", "a number from 0 to 1000000000."),
        ("RUNCAST_LOCKED", "maybe", "true or false."),
        ("WEBSOCKET_PING_INTERVAL", "soon", "a number above 0 and up to 1000000000."),
    ],
)
def test_an_error_names_the_variable_and_what_is_expected(variable: str, text: str, expected: str):
    with pytest.raises(ConfigError) as caught:
        Settings.from_env({variable: text})
    assert str(caught.value) == f"{variable}: {expected}"


def test_a_setting_that_there_is_not_is_an_error_in_code():
    with pytest.raises(ConfigError, match="batchsize"):
        Settings.from_env({}, batchsize=5)


def test_a_given_value_is_checked_like_a_variable():
    with pytest.raises(ConfigError, match="workers"):
        Settings.from_env({}, workers=0)


@pytest.mark.parametrize(
    ("given", "word"),
    [({"allowed_origins": ("*",)}, "list them"), ({"api_keys": ("a key",)}, "no spaces")],
)
def test_what_would_mean_something_else_is_refused(given: dict[str, Any], word: str):
    with pytest.raises(ConfigError, match=word):
        Settings(**given)
    with pytest.raises(ConfigError, match=word):
        Settings.from_env({f"RUNCAST_{name.upper()}": ",".join(value) for name, value in given.items()})
