"""Putting our hooks into Claude Code's settings and taking them out again, without harming what is there."""

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runcast.cli.install_hooks import install_hooks
from runcast.errors import ConfigError
from runcast.sources.claude_code.settings import (
    EVENTS,
    OLD_EVENTS,
    SUFFIX,
    SettingsChanged,
    SettingsFile,
    command_hook,
    events_of_ours,
    http_hook,
    installed,
    is_ours,
    uninstalled,
)

OURS = command_hook(Path("/opt/venv/bin/runcast"))
FOREIGN = {"type": "command", "command": "~/bin/notify.sh", "timeout": 60}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a PATH without any Claude Code."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    monkeypatch.delenv("RUNCAST_LOG", raising=False)
    return tmp_path


def user_file(home: Path, content: str | None = None) -> Path:
    path = home / ".claude" / "settings.json"
    if content is not None:
        path.parent.mkdir()
        path.write_bytes(content.encode())
    return path


# --- the edit ------------------------------------------------------------------------------------

foreign_hooks = st.sampled_from(
    [
        FOREIGN,
        {"type": "command", "command": "runcast serve"},
        {"type": "command", "command": "echo 'open"},
        {"type": "http", "url": "http://localhost:9/hooks"},
        {"type": "prompt", "prompt": "Is it good?"},
    ]
)
groups = st.builds(
    lambda hooks, matcher: {**({"matcher": matcher} if matcher else {}), "hooks": hooks},
    st.lists(foreign_hooks, max_size=3),
    st.sampled_from(["", "Bash", "Edit|Write"]),
)
foreign_settings = st.fixed_dictionaries(
    {},
    optional={
        "model": st.just("opus"),
        "hooks": st.dictionaries(
            st.sampled_from([*EVENTS, "PostCompact"]), st.lists(groups, min_size=1, max_size=3), min_size=1
        ),
        "permissions": st.just({"allow": ["Bash(ls:*)"], "ask": []}),
    },
)


@given(foreign_settings)
def test_what_was_installed_can_be_taken_out_without_a_trace(before: dict[str, Any]) -> None:
    once = installed(before, OURS, EVENTS)
    assert events_of_ours(once) == [event for event in once["hooks"] if event in EVENTS]
    assert set(EVENTS) <= once["hooks"].keys()
    assert json.dumps(installed(once, OURS, EVENTS)) == json.dumps(once)
    assert json.dumps(uninstalled(once)) == json.dumps(before)
    assert json.dumps(uninstalled(before)) == json.dumps(before)


@given(foreign_settings)
def test_other_hooks_stay_in_their_order(before: dict[str, Any]) -> None:
    after = installed(before, OURS, EVENTS)
    for event, there in before.get("hooks", {}).items():
        assert after["hooks"][event][: len(there)] == there
    assert [name for name in after if name != "hooks"] == [name for name in before if name != "hooks"]


def test_ours_from_another_place_is_replaced() -> None:
    elsewhere = command_hook(Path("/old place/it's/runcast"))
    assert is_ours(elsewhere)
    old = installed({}, elsewhere, [*EVENTS, "PostCompact"])
    assert installed(old, OURS, EVENTS) == installed({}, OURS, EVENTS)
    posted = installed(old, http_hook("http://localhost:8000/"), ["Stop"])
    assert posted == {"hooks": {"Stop": [{"hooks": [http_hook("http://localhost:8000")]}]}}
    assert uninstalled(posted) == {}


def test_a_group_that_others_share_loses_only_ours() -> None:
    shared = {"hooks": {"Stop": [{"hooks": [FOREIGN, OURS]}], "Notification": [{"hooks": [OURS]}]}}
    assert uninstalled(shared) == {"hooks": {"Stop": [{"hooks": [FOREIGN]}]}}
    assert shared["hooks"]["Notification"], "what is given is left alone"


@pytest.mark.parametrize(
    "hooks", [[], "x", {"Stop": {}}, {"Stop": ["x"]}, {"Stop": [{"hooks": {}}]}, {"New": [3]}]
)
def test_hooks_that_are_none_are_refused(hooks: object) -> None:
    for edit in (uninstalled, events_of_ours, lambda settings: installed(settings, OURS, EVENTS)):
        with pytest.raises(ConfigError, match=r"^hooks.*Nothing was changed"):
            edit({"hooks": hooks})


@pytest.mark.parametrize("address", ["localhost:8000", "ftp://x", "http://", "http://x/?a=1", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match="http"):
        http_hook(address)


@pytest.mark.parametrize("address", ["http://[oops/x", "http://[::1", "http://a]b/ingest/claude-code"])
def test_a_foreign_address_that_is_none_is_not_ours(address: str) -> None:
    theirs = {"hooks": {"Stop": [{"hooks": [{"type": "http", "url": address}]}]}}
    assert uninstalled(installed(theirs, OURS, EVENTS)) == theirs
    assert events_of_ours(theirs) == []
    with pytest.raises(ConfigError, match="not the address"):
        http_hook(address)


# --- the file ------------------------------------------------------------------------------------

LAYOUTS = {
    "two": '{\n  "model": "opus",\n  "hooks": {\n    "Stop": []\n  }\n}\n',
    "four without an end": '{\n    "model": "ö\\u00f6",\n    "env": {}\n}',
    "tabs": '{\n\t"model": "opus"\n}\n',
    "one line": '{"model": "opus", "env": {"A": "1"}}',
    "compact": '{"model":"opus","env":{"A":"1"}}\n',
    "windows": '\ufeff{\r\n  "model": "opus"\r\n}\r\n',
    "odd": '{ "a":1,\n\n "list" : [1,2,\n3], "n": 1e5 }',
    "nothing": "{}",
    "empty": "",
}


@pytest.mark.parametrize("content", LAYOUTS.values(), ids=LAYOUTS)
def test_the_file_comes_back_byte_for_byte(content: str, home: Path) -> None:
    path = user_file(home, content)
    path.chmod(0o640)
    install_hooks()
    first = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    install_hooks()
    assert path.read_bytes() == first
    install_hooks(uninstall=True)
    assert path.read_bytes() == content.encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [entry.name for entry in path.parent.iterdir()] == ["settings.json"]


@pytest.mark.parametrize(
    ("name", "sign"),
    [
        ("four without an end", '\n    "hooks": {\n        "SessionStart"'),
        ("four without an end", '"öö"'),
        ("tabs", '\n\t"hooks": {\n\t\t"SessionStart"'),
        ("one line", '"opus", "env": {"A": "1"}, "hooks": {"SessionStart"'),
        ("compact", '"opus","env":{"A":"1"},"hooks":{"SessionStart"'),
        ("windows", '\ufeff{\r\n  "model": "opus",\r\n  "hooks": {\r\n'),
    ],
)
def test_the_layout_is_kept(name: str, sign: str, home: Path) -> None:
    path = user_file(home, LAYOUTS[name])
    install_hooks()
    after = path.read_bytes().decode()
    assert sign in after
    assert after.endswith("\n") == LAYOUTS[name].endswith("\n")


def test_what_changed_meanwhile_stays(home: Path) -> None:
    path = user_file(home, LAYOUTS["two"])
    install_hooks()
    settings = json.loads(path.read_text())
    settings["model"] = "sonnet"
    path.write_text(json.dumps(settings, indent=2))
    install_hooks(uninstall=True)
    assert json.loads(path.read_text()) == {"model": "sonnet"}
    assert path.with_name(f"settings.json{SUFFIX}").read_text() == LAYOUTS["two"]


def test_a_file_that_was_not_there_is_gone_again(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = user_file(home)
    install_hooks()
    said = capsys.readouterr().out
    assert str(path) in said
    assert "To undo: runcast install-hooks --uninstall" in said
    settings = json.loads(path.read_text())
    assert list(settings["hooks"]) == list(EVENTS)
    command: str = settings["hooks"]["Stop"][0]["hooks"][0]["command"]
    assert command == f"{Path(sys.executable).with_name('runcast')} hook claude-code"
    install_hooks(uninstall=True)
    assert not path.exists()
    install_hooks(uninstall=True)
    assert "Nothing to change" in capsys.readouterr().out


def test_a_dry_run_changes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    install_hooks(dry_run=True)
    assert "would be changed" in capsys.readouterr().out
    assert not user_file(home).parent.exists()


def test_a_link_is_followed(home: Path) -> None:
    real = home / "dotfiles.json"
    real.write_text("{}")
    path = user_file(home)
    path.parent.mkdir()
    path.symlink_to(real)
    install_hooks()
    assert path.is_symlink()
    assert events_of_ours(json.loads(real.read_text())) == list(EVENTS)


@pytest.mark.parametrize(
    "content", ["{", '{"a": 1, "a": 2}', "[]", "// comment\n{}", '{"hooks": []}', "\x00", "[" * 100_000]
)
def test_a_file_that_is_not_understood_is_left_alone(content: str, home: Path) -> None:
    path = user_file(home, content)
    for uninstall in (False, True):
        with pytest.raises(ConfigError, match="Nothing was changed"):
            install_hooks(uninstall=uninstall)
    assert path.read_text() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["settings.json"]


def test_a_file_that_cannot_be_written_is_a_clear_error() -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        install_hooks(settings=Path("/proc/nothing/settings.json"))


def test_the_places(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = home / "a project"
    project.mkdir()
    monkeypatch.chdir(project)
    install_hooks(project=True, http="http://localhost:8000")
    hooks = json.loads((project / ".claude" / "settings.json").read_text())["hooks"]
    assert "SessionStart" not in hooks
    assert hooks["Stop"][0]["hooks"][0]["url"] == "http://localhost:8000/ingest/claude-code"
    install_hooks(settings=home / "other.json")
    assert SettingsFile(home / "other.json").settings
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(home / "config"))
    install_hooks(user=True)
    assert (home / "config" / "settings.json").exists()
    with pytest.raises(ConfigError, match="choose one"):
        install_hooks(user=True, project=True)


@pytest.mark.parametrize(
    ("said", "events"),
    [("2.1.38 (Claude Code)", EVENTS), ("1.0.88 (Claude Code)", OLD_EVENTS), ("what?", EVENTS)],
)
def test_an_old_version_gets_only_events_that_it_knows(
    said: str, events: tuple[str, ...], home: Path
) -> None:
    program = home / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    install_hooks()
    assert events_of_ours(json.loads(user_file(home).read_text())) == list(events)


def test_a_path_with_spaces_is_one_word_of_the_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = home / "my venv" / "runcast"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" > ran\n')
    program.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(program), "install-hooks"])
    monkeypatch.chdir(home)
    install_hooks()
    command = json.loads(user_file(home).read_text())["hooks"]["Stop"][0]["hooks"][0]["command"]
    assert os.system(f"PATH=/bin; {command}") == 0
    assert (home / "ran").read_text() == "hook claude-code\n"


def a_claude(home: Path, script: str) -> None:
    """A `claude` that does something before it says its version."""
    program = home / "bin" / "claude"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\necho '2.1.38 (Claude Code)'\n")
    program.chmod(0o755)


def test_what_is_written_while_the_version_is_asked_is_kept(home: Path) -> None:
    path = user_file(home, '{"model": "opus"}')
    a_claude(home, f"""echo '{{"model": "sonnet"}}' > {path}""")
    install_hooks()
    settings = json.loads(path.read_text())
    assert settings["model"] == "sonnet"
    assert events_of_ours(settings) == list(EVENTS)


@pytest.mark.parametrize("before", ['{"model": "opus"}', None])
def test_what_is_written_since_the_file_was_read_is_not_overwritten(home: Path, before: str | None) -> None:
    path = user_file(home, before)
    file = SettingsFile(path)
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"model": "sonnet"}')
    with pytest.raises(SettingsChanged, match="changed by another program"):
        file.write(installed(file.settings, OURS, EVENTS))
    assert path.read_text() == '{"model": "sonnet"}'
    assert [entry.name for entry in path.parent.iterdir()] == ["settings.json"]


def test_it_is_tried_once_more_and_then_it_is_an_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = user_file(home, '{"number": 0}')
    read = SettingsFile.__init__
    times = [1]

    def meanwhile(file: SettingsFile, given: Path) -> None:
        read(file, given)
        if times[0] > 0:
            times[0] -= 1
            path.write_text(f'{{"number": {times[0] + 1}}}')

    monkeypatch.setattr(SettingsFile, "__init__", meanwhile)
    install_hooks()
    settings = json.loads(path.read_text())
    assert (settings["number"], events_of_ours(settings)) == (1, list(EVENTS))
    path.write_text("{}")
    times[0] = 2
    with pytest.raises(ConfigError, match="changed by another program"):
        install_hooks()
    assert json.loads(path.read_text()) == {"number": 1}
