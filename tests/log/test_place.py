"""Where a log lies by its name, and where the default one lies: as platformdirs has it."""

from pathlib import Path

import platformdirs
import pytest

from runcast.errors import ConfigError
from runcast.log.place import beside, data_folder, log_file, spool_folder


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


def test_what_lies_beside_a_log_on_redis_depends_on_which_log_it_is() -> None:
    place = beside("redis://db.internal:6379/0")
    assert place is not None
    assert place.parent == data_folder()
    for same in (
        "redis://me:s3cret@db.internal:6379/0",
        "redis://me:s3@cret@db.internal:6379/0?replicas=1&wait_s=30",
        "redis://db.internal:6379/0?name=runcast",
    ):
        assert beside(same) == place
    others = {
        beside(f"redis://{other}")
        for other in ("db.internal:6379/1", "db:6379/0", "db.internal:6379/0?name=b")
    }
    assert len(others) == 3
    assert place not in others
    assert beside("redis://:pw@h?wait_s=1&name=b") == beside("redis://h?name=b")
    assert beside("/a/b.db") == Path("/a/b.db")
    assert beside("memory:") is None
