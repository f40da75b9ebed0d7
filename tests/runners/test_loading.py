from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from runcast.errors import ConfigError
from runcast.runners.loading import load_modules


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_module_of_the_working_directory_is_imported_once(folder: Path) -> None:
    (folder / "flows_of_mine.py").write_text(
        "import sys\nsys.modules['loaded-' + str(len(sys.modules))] = sys\n"
    )
    load_modules(["flows_of_mine"])
    loaded = [name for name in sys.modules if name.startswith("loaded-")]
    load_modules(["flows_of_mine"])
    assert [name for name in sys.modules if name.startswith("loaded-")] == loaded
    assert len(loaded) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "there is no module broken"),
        ("import no_such_thing_anywhere", "needs the module no_such_thing_anywhere"),
        ("1 / 0", "ZeroDivisionError"),
        ("def", "SyntaxError"),
    ],
)
def test_what_is_wrong_with_a_module_is_one_sentence(folder: Path, text: str | None, told: str) -> None:
    if text is not None:
        (folder / "broken.py").write_text(text)
    with pytest.raises(ConfigError, match=told):
        load_modules(["broken"])
