"""Where a log lies by its name, and where the default one lies: as platformdirs has it."""

from pathlib import Path

import platformdirs
import pytest

from runcast.errors import ConfigError
from runcast.log.place import data_folder, log_file, spool_folder


@pytest.mark.parametrize("data", [None, "", "/x/data", "relative", "/with space"])
@pytest.mark.parametrize("home", [None, "", "/home/me", "relative", "/"])
def test_our_folder_is_the_one_that_platformdirs_finds(
    home: str | None, data: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"HOME": home, "XDG_DATA_HOME": data}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert data_folder() == platformdirs.user_data_path("runcast")


def test_names_of_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_DATA_HOME", "")
    assert log_file("") == Path("/home/me/.local/share/runcast/log.db")
    assert (
        log_file("sqlite:////a/b.db") == log_file("/a/b.db") == log_file(Path("/a/b.db")) == Path("/a/b.db")
    )
    assert log_file("sqlite:///b.db") == Path("b.db")
    assert log_file("~/b.db") == Path("/home/me/b.db")
    assert log_file("memory:") is None
    assert spool_folder(Path("/a/b.db")) == Path("/a/b.db.spool")


@pytest.mark.parametrize("name", ["redis://x", "sqlite:///", "http://localhost"])
def test_names_of_none(name: str) -> None:
    with pytest.raises(ConfigError, match="log:"):
        log_file(name)
