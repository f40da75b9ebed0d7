"""The systemd units: systemd itself reads them, their commands are ours, and they are locked in."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path

import pytest
from tests.deploy.proxy import DEPLOY
from tests.support.commands import run_here
from tests.support.server import WAIT_S

from runcast.config import Settings, env_names

UNITS = DEPLOY / "systemd"
NAMES = ("runcast@.service", "runcast-worker.service")
EXPOSURE_MAX = 15
"""In tenths of systemd's own measure, which goes up to 10.0 (UNSAFE); below 2.0 it says OK."""


class _Unit(RawConfigParser):
    def optionxform(self, optionstr: str) -> str:
        return optionstr


def service(name: str) -> dict[str, str]:
    unit = _Unit(strict=False)
    unit.read(UNITS / name)
    return dict(unit["Service"])


def variables() -> dict[str, str]:
    """Of runcast.env, what is commented out, too."""
    return dict(re.findall(r"(?m)^#?([A-Z_]+)=(.*)$", (UNITS / "runcast.env").read_text()))


@pytest.fixture
def installed(tmp_path: Path) -> list[Path]:
    """Copies whose program is there; a template gets its instance."""
    copies = []
    for name in NAMES:
        copy = tmp_path / name.replace("@", "@8000")
        program = str(Path(sys.executable).with_name("runcast"))
        copy.write_text((UNITS / name).read_text().replace("/opt/runcast/bin/runcast", program))
        copies.append(copy)
    return copies


@pytest.mark.needs("systemd-analyze")
def test_systemd_has_nothing_to_complain_of(installed: list[Path]) -> None:
    for unit in installed:
        done = analyze("verify", "--man=no", str(unit))
        ours = [line for line in done.stderr.splitlines() if "runcast" in line]
        assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.needs("systemd-analyze")
def test_systemd_finds_a_mistake(installed: list[Path]) -> None:
    unit = installed[0]
    unit.write_text(unit.read_text().replace("ProtectSystem=strict", "ProtectSystem=strictly\nNoSuchThing=1"))
    said = analyze("verify", "--man=no", str(unit)).stderr
    assert "strictly" in said
    assert "NoSuchThing" in said


@pytest.mark.needs("systemd-analyze")
def test_little_is_exposed(installed: list[Path]) -> None:
    for unit in installed:
        done = analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", "--no-pager", str(unit))
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_its_command_is_one_of_ours(name: str) -> None:
    program, command, *options = shlex.split(service(name)["ExecStart"])
    assert program == "/opt/runcast/bin/runcast"
    said = run_here(command, "--help", env={})
    assert said.code == 0
    assert all(option in said.out for option in options if option.startswith("--"))


@pytest.mark.parametrize("name", NAMES)
def test_it_has_its_folder_and_no_other(name: str) -> None:
    unit = service(name)
    assert unit["ProtectSystem"] == "strict"
    assert (unit["User"], unit["StateDirectory"], unit["StateDirectoryMode"]) == (
        "runcast",
        "runcast",
        "0700",
    )
    assert unit["WorkingDirectory"] == f"/var/lib/{unit['StateDirectory']}"
    assert "XDG_DATA_HOME=/var/lib " in unit["Environment"]
    sysusers = (UNITS / "runcast.sysusers.conf").read_text().splitlines()[-1].split()
    assert sysusers[:2] == ["u", unit["User"]]
    assert sysusers[-1] == unit["WorkingDirectory"]


def test_there_is_time_for_a_drain() -> None:
    from runcast.cli.serve import GRACE_S

    assert int(service(NAMES[0])["TimeoutStopSec"]) > Settings().drain_s + GRACE_S


def test_the_environment_is_of_settings_and_locked() -> None:
    known = {name for field in Settings.__struct_fields__ for name in env_names(field)}
    assert variables().keys() <= known
    settings = Settings.from_env(variables())
    assert settings.is_locked
    assert settings.log == "sqlite:////var/lib/runcast/log.db"


def test_nodes_of_nginx_are_instances() -> None:
    nodes = (DEPLOY / "nginx" / "nodes.conf").read_text()
    comment = (UNITS / NAMES[0]).read_text().splitlines()[0]
    assert re.findall(r"(?m)^\s*server 127.0.0.1:(\d+)", nodes) == re.findall(r"runcast@(\d+)", comment)


def test_it_needs_no_memory_that_is_written_and_run() -> None:
    """What MemoryDenyWriteExecute refuses, refused by the kernel itself (prctl PR_SET_MDWE), where it can."""
    assert service(NAMES[0])["MemoryDenyWriteExecute"] == "yes"
    program = (
        "import ctypes, mmap\n"
        "if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):\n"  # Linux 6.3
        "    raise SystemExit('not here')\n"
        "try:\n"
        "    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)\n"
        "except PermissionError:\n"
        "    import argon2, uvloop, runcast.app\n"
        "    argon2.PasswordHasher().hash('a password')\n"
        "    uvloop.new_event_loop().close()\n"
        "    print('well')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=WAIT_S, check=False
    )
    if done.stderr == "not here\n":
        pytest.skip("this kernel does not refuse it by itself")
    assert done.stdout == "well\n", done.stderr


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
