"""A plan from a YAML or JSON file: what is wrong with it is told with the line where it stands."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from runcast.cli.usage import UsageError
from runcast.errors import InvalidInput
from runcast.kinds.plan_definition import parse_plan

MAX_FILE_BYTES: Final = 1024 * 1024


class PlanFile(NamedTuple):
    """A plan as it was read; `lines` are those of its parts, by names such as `steps[2].action`."""

    name: str
    value: dict[str, Any]
    lines: dict[str, int]

    def located(self, error: InvalidInput) -> UsageError:
        """The error with the file and the line that it is about."""
        field = error.field or ""
        while field and field not in self.lines:
            field = field[: max(field.rfind("."), field.rfind("["), 0)]
        return UsageError(f"{self.name}:{self.lines.get(field, 1)}: {error}")


def read_plan_file(path: str) -> PlanFile:
    """Read and check a plan. Which actions there are is for others to say.

    Raises:
        UsageError: it cannot be read, or is no plan; names the file and the line.
    """
    value, lines = _parse(_read(path), path)
    plan = PlanFile(path, value, lines)
    try:
        parse_plan(value)
    except InvalidInput as error:
        raise plan.located(error) from None
    return plan


def _read(path: str) -> str:
    try:
        with Path(path).expanduser().open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"FILE: {path} cannot be read ({error.strerror}).") from None
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(f"FILE: {path} is over {MAX_FILE_BYTES:,} bytes; no plan is as long.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"FILE: {path} is not valid UTF-8.") from None


def _parse(text: str, name: str) -> tuple[dict[str, Any], dict[str, int]]:
    import yaml

    loader: Any = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        value: Any = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise UsageError(f"{name}:{line}: this is no YAML: {error.problem or error.context}.") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UsageError(f"{name}: this is no YAML: {str(error).splitlines()[0]}") from None
    finally:
        loader.dispose()
    if node is None or not isinstance(value, dict):
        raise UsageError(f"{name}:1: a plan is a mapping with `steps:`, a list of at least one step.")
    try:
        return msgspec.to_builtins(value, str_keys=True), _Lines(name).of(node)
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{name}: it holds what JSON cannot: {error}.") from None


class _Lines:
    """Finds the line of each part. A part that is there by several aliases counts where it is named first."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines: dict[str, int] = {}
        self._seen: set[int] = set()

    def of(self, root: Any) -> dict[str, int]:
        """The lines of all that is in a document.

        Raises:
            UsageError: a name is there twice in one mapping, where YAML would silently take the last.
        """
        self._walk(root, "")
        return self._lines

    def _walk(self, node: Any, place: str) -> None:
        self._lines.setdefault(place, node.start_mark.line + 1)
        if id(node) in self._seen:
            return
        self._seen.add(id(node))
        if node.id == "mapping":
            self._walk_mapping(node.value, place)
        elif node.id == "sequence":
            for index, child in enumerate(node.value):
                self._walk(child, f"{place}[{index}]")

    def _walk_mapping(self, pairs: Iterable[tuple[Any, Any]], place: str) -> None:
        names: set[str] = set()
        for key, child in pairs:
            word, line = str(key.value), key.start_mark.line + 1
            inner = f"{place}.{word}" if place else word
            if word in names and word != "<<":
                raise UsageError(f"{self._name}:{line}: {inner} is there twice.")
            names.add(word)
            self._lines.setdefault(inner, line)
            self._walk(child, inner)
