"""What may be set for a log on Redis, by name or in its URL's query."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from runcast.errors import ConfigError

Count = Annotated[int, Meta(ge=1)]
Amount = Annotated[int, Meta(ge=0)]
Positive = Annotated[float, Meta(gt=0, le=3600)]
NotNegative = Annotated[float, Meta(ge=0, le=3600)]


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of them. `_bytes` and `_s` are units.

    `name` begins the names of all keys. `wait_s`: how long a call waits for a Redis that does not answer before it raises
    `LogUnavailable`; 0 raises at once. `timeout_s`: how long one answer may take. `probe_s`: how often it is tried
    whether wake-ups arrive. `id_window`: so many ids of each stream are known, at least. `max_events`: a stream is
    trimmed to about so many events; 0 keeps all. `replicas`: an append is acknowledged when so many replicas have it
    (`WAIT`). `partitions` (0: 8 in a Cluster, else 1) and `firehose` are settled by who makes the log; later they are
    read from it. Without `firehose` the partitions of a log share no order, and none waits for another.
    `commit_events` and `commit_bytes` bound one script call, `queue_bytes` what waits for it.
    """

    name: str = "runcast"
    wait_s: NotNegative = 10.0
    timeout_s: Positive = 5.0
    probe_s: Positive = 2.5
    id_window: Count = 10_000
    max_events: Amount = 0
    replicas: Amount = 0
    partitions: Amount = 0
    firehose: bool = True
    queue_bytes: Count = 64 * 1024 * 1024
    commit_events: Annotated[int, Meta(ge=1, le=2_000)] = 512
    commit_bytes: Count = 1024 * 1024


def read_options(given: Mapping[str, Any]) -> Options:
    """Options from values or from texts, as a URL's query has them.

    Raises:
        ConfigError: there is no such option, or it cannot have that value.
    """
    for name, value in given.items():
        _check(name, value)
    options = msgspec.convert(given, Options, strict=False)
    if not options.name or any(sign in options.name for sign in "{} \n"):
        raise ConfigError("log: name begins the names of keys; it must be there, without braces or spaces.")
    return options


_WORDS: Final = {"float": "a number", "int": "a whole number", "bool": "true or false", "str": "a text"}


def _check(name: str, value: Any) -> None:
    if name not in Options.__struct_fields__:
        raise ConfigError(
            f"log: a log on Redis has no option {name[:50]}; there are {', '.join(Options.__struct_fields__)}."
        )
    try:
        msgspec.convert({name: value}, Options, strict=False)
    except msgspec.ValidationError as error:
        why = re.sub(
            r"`(\w+)", lambda found: "`" + _WORDS.get(found[1], found[1]), str(error).partition(" - at ")[0]
        )
        raise ConfigError(f"log: {name}={str(value)[:50]} cannot be. {why.replace('`', '')}.") from error
