"""Every block of docs/deploy.md: run where it can be, and else what it names is there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.deploy.conftest import Nodes
from tests.deploy.proxy import CONF, DEPLOY, Nginx
from tests.deploy.test_compose import SERVICES
from tests.support.process import clean_env, run_runcast
from tests.support.server import WAIT_S

from runcast.config import Settings, env_names

ROOT = DEPLOY.parent
PAGE = (ROOT / "docs" / "deploy.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
CERTIFICATE, COMPOSE, ROLLING_COMPOSE, SYSTEMD, NGINX, KEY_OF_USER, ROLLING, HEALTH = BLOCKS


def lines(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()


def sh(text: str, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        ["sh", "-ec", text],
        cwd=cwd,
        env={**clean_env(), **env},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_block_is_of_a_kind_that_no_test_runs() -> None:
    assert set(re.findall(r"^```(\w+)", PAGE, re.MULTILINE)) == {"sh"}


def test_every_variable_is_a_setting() -> None:
    known = {name for field in Settings.__struct_fields__ for name in env_names(field)}
    assert set(re.findall(r"RUNCAST_[A-Z_]+", PAGE)) <= known


def test_every_figure_of_nginx_is_in_its_configuration() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| `") and "`RUNCAST_" in line]
    named = [name for row in rows for name in re.findall(r"`([a-z_]+ [0-9][^`]*)`", row.split("|")[1])]
    assert len(named) >= 7
    assert all(f"{name};" in CONF for name in named), named


@pytest.mark.needs("nginx")
def test_a_certificate_that_nginx_takes(tmp_path: Path) -> None:
    sh(CERTIFICATE, tmp_path)
    with Nginx([1]) as nginx:
        for name in ("cert.pem", "key.pem"):
            shutil.copy(tmp_path / "deploy" / "tls" / name, nginx.folder / "tls" / name)
        nginx.reload(and_end_others=True)
        assert nginx.http.get("/health").status_code == 503  # that is: the certificate is believed


@pytest.mark.parametrize("line", lines(COMPOSE) + lines(ROLLING_COMPOSE))
def test_compose_is_told_of_services_that_there_are(line: str, tmp_path: Path) -> None:
    command, file, verb, *rest = shlex.split(line.removeprefix("docker compose "))
    assert command == "-f"
    assert (ROOT / file).samefile(DEPLOY / "compose.yaml")
    if verb == "exec":
        service, program, *arguments = rest
        assert (service in SERVICES, program) == (True, "runcast")
        done = run_runcast(*arguments, env={"RUNCAST_LOG": str(tmp_path / "log.db")})
        assert done.returncode == 0, done.stderr
    else:
        assert verb in {"up", "build"}
        assert {word for word in rest if not word.startswith("--")} <= SERVICES.keys()


def test_a_rolling_replacement_names_all_that_is_ours() -> None:
    named = [line.split()[-1] for line in lines(ROLLING_COMPOSE)[1:]]
    assert named == [name for name, service in SERVICES.items() if service["image"] == "runcast"]


def test_units_and_configuration_are_put_where_they_belong(tmp_path: Path) -> None:
    (tmp_path / "deploy" / "tls").mkdir(parents=True)
    for name in ("cert.pem", "key.pem"):
        (tmp_path / "deploy" / "tls" / name).write_text(name)
    for name in ("systemd", "nginx"):
        (tmp_path / "deploy" / name).symlink_to(DEPLOY / name)
    there = tmp_path / "root"
    installs = [line for line in lines(SYSTEMD) + lines(NGINX) if line.startswith("install ")]
    sh(re.sub(r" /(usr|etc)", rf" {there}/\1", "\n".join(installs)), tmp_path)
    placed = {str(path.relative_to(there)) for path in there.rglob("*") if path.is_file()}
    assert placed == {
        "usr/lib/sysusers.d/runcast.conf",
        "etc/systemd/system/runcast@.service",
        "etc/systemd/system/runcast-worker.service",
        "etc/runcast/runcast.env",
        "etc/nginx/nginx.conf",
        "etc/nginx/nodes.conf",
        "etc/nginx/tls/cert.pem",
        "etc/nginx/tls/key.pem",
    }
    assert (there / "etc/runcast/runcast.env").stat().st_mode & 0o077 == 0
    rest = [line for line in lines(SYSTEMD) + lines(NGINX) if not line.startswith("install ")]
    assert {line.split()[0] for line in rest} <= {
        "python3",
        "/opt/runcast/bin/pip",
        "systemd-sysusers",
        "systemctl",
        "nginx",
    }


def test_its_extras_are_those_of_the_project() -> None:
    extras = re.findall(r"'\.\[([a-z,]+)\]'", SYSTEMD)[0].split(",")
    project = (ROOT / "pyproject.toml").read_text()
    assert all(re.search(rf"^{extra} = \[", project, re.MULTILINE) for extra in extras)


def test_a_key_made_by_the_user_of_the_services(tmp_path: Path) -> None:
    words = shlex.split(KEY_OF_USER)
    start = words.index("/opt/runcast/bin/runcast")
    assert words[:start] == ["sudo", "-u", "runcast", "env", "XDG_DATA_HOME=/var/lib"]
    done = run_runcast(*words[start + 1 :], env={"XDG_DATA_HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "runcast" / "log.db.auth").is_file()


def test_a_rolling_restart_waits_for_each(nodes: Nodes, tmp_path: Path) -> None:
    """With a systemctl that says what it was told."""
    fake = tmp_path / "systemctl"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    one, other = (str(node.port) for node in nodes)
    text = ROLLING.replace("8000 8001", f"{one} {other}")
    said = sh(text, tmp_path, PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert said.splitlines() == [f"restart runcast@{port}" for port in (one, other)]


@pytest.mark.needs("nginx")
def test_it_says_that_it_is_well(nginx: Nginx, tmp_path: Path) -> None:
    command = HEALTH.replace("https://localhost", nginx.url())
    assert sh(command, tmp_path, CURL_CA_BUNDLE=str(nginx.certificate)) == '{"status":"ok"}'


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
    anchors = {
        re.sub(r"[^a-z -]", "", title.lower()).replace(" ", "-")
        for title in re.findall(r"(?m)^## (.*)$", PAGE)
    }
    assert set(re.findall(r"\(#([^)]+)\)", PAGE)) <= anchors
