"""compose.yaml: what it names is there, and fits together with nginx, the image, the settings and a real Redis."""

from __future__ import annotations

import ipaddress
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.proxy import DEPLOY
from tests.support.commands import run_here
from tests.support.process import free_port
from tests.support.server import WAIT_S, wait_until

from runcast.config import Settings, env_names

FILE = DEPLOY / "compose.yaml"
TEXT = FILE.read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SERVERS = ("server_1", "server_2")
OURS = (*SERVERS, "worker")
KNOWN = {name: field for field in Settings.__struct_fields__ for name in env_names(field)}


def environment(service: str) -> dict[str, str]:
    """As it is when nobody sets anything."""
    return {
        name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)
        for name, value in SERVICES[service]["environment"].items()
    }


def test_every_variable_is_a_setting() -> None:
    named = set(re.findall(r"\$\{(\w+)", TEXT)) | {name for one in OURS for name in environment(one)}
    assert named <= KNOWN.keys()


@pytest.mark.parametrize("service", OURS)
def test_the_settings_can_be_read_and_are_locked(service: str) -> None:
    settings = Settings.from_env(environment(service))
    assert settings.log.startswith("redis://redis:")
    assert settings.celery_broker_url not in {"", settings.log}
    if service in SERVERS:
        assert settings.is_locked
        assert not settings.registration


def test_both_servers_are_alike_but_for_their_address() -> None:
    one, other = (
        {
            key: value
            for key, value in SERVICES[name].items()
            if key not in {"networks", "build", "depends_on"}
        }
        for name in SERVERS
    )
    assert one == other


def test_what_is_waited_for_says_when_it_is_ready() -> None:
    image_asks = "HEALTHCHECK" in (DEPLOY / "Dockerfile").read_text()
    for service in SERVICES.values():
        for name, wait in service["depends_on"].items() if "depends_on" in service else ():
            assert wait == {"condition": "service_healthy"}
            awaited = SERVICES[name]
            assert "healthcheck" in awaited or (awaited["image"] == "runcast" and image_asks)
    assert set(SERVICES["nginx"]["depends_on"]) == set(SERVERS)


def test_nobody_waits_in_a_circle() -> None:
    waits = {name: set(service.get("depends_on", ())) for name, service in SERVICES.items()}
    while waits:
        ready = {name for name, others in waits.items() if not others & waits.keys()}
        assert ready, f"wait for each other: {sorted(waits)}"
        for name in ready:
            del waits[name]


def test_volumes_networks_and_files_are_there() -> None:
    used: set[str] = set()
    for service in SERVICES.values():
        for volume in service["volumes"]:
            source, target = volume.split(":")[:2]
            assert target.startswith("/")
            if not source.startswith("."):
                used.add(source)
            elif source != "./tls":  # one's own: the guide says how to make it
                assert (DEPLOY / source).is_file(), source
                assert volume.endswith(":ro")
        assert service["networks"].keys() <= COMPOSE["networks"].keys()
    assert used == COMPOSE["volumes"].keys()


def test_what_is_built_is_built_from_files_that_there_are() -> None:
    builds = [service["build"] for service in SERVICES.values() if "build" in service]
    (build,) = builds
    context = (DEPLOY / build["context"]).resolve()
    assert (context / build["dockerfile"]).samefile(DEPLOY / "Dockerfile")
    assert (context / "pyproject.toml").is_file()


def test_addresses_are_one_set() -> None:
    """nginx finds the servers, and they believe nobody else's headers."""
    network = ipaddress.ip_network(COMPOSE["networks"]["front"]["ipam"]["config"][0]["subnet"])
    address = {
        name: service["networks"]["front"]["ipv4_address"]
        for name, service in SERVICES.items()
        if service["networks"].get("front")
    }
    assert len(set(address.values())) == 3
    assert all(ipaddress.ip_address(one) in network for one in address.values())
    nodes = (DEPLOY / "nginx" / "nodes.compose.conf").read_text()
    port = re.search(r"RUNCAST_PORT=(\d+)", (DEPLOY / "Dockerfile").read_text())
    assert port is not None
    assert re.findall(r"(?m)^\s*server (\S+)", nodes) == [f"{address[name]}:{port[1]}" for name in SERVERS]
    for name in SERVERS:
        assert Settings.from_env(environment(name)).trusted_proxies == (address["nginx"],)


def test_both_files_of_nodes_are_alike_but_for_addresses() -> None:
    texts = [
        re.sub(r"(?m)^#.*\n|server \S+", "", (DEPLOY / "nginx" / name).read_text())
        for name in ("nodes.conf", "nodes.compose.conf")
    ]
    assert texts[0] == texts[1]


def test_only_nginx_can_be_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["nginx"]
    assert COMPOSE["networks"]["back"] == {"internal": True}
    assert list(SERVICES["redis"]["networks"]) == ["back"]
    assert "back" not in SERVICES["nginx"]["networks"]


@pytest.mark.parametrize("service", SERVICES)
def test_each_has_no_more_rights_than_it_needs(service: str) -> None:
    one = SERVICES[service]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in one
    assert ("cap_add" in one) is (service == "nginx")


@pytest.mark.parametrize("service", OURS)
def test_its_command_is_one(service: str) -> None:
    (command,) = SERVICES[service]["command"]
    assert run_here(command, "--help", env={}).code == 0


@pytest.mark.needs("redis-server")
def test_redis_takes_its_command_and_says_when_it_is_ready(tmp_path: Path) -> None:
    port = free_port()
    command = [*shlex.split(SERVICES["redis"]["command"]), "--port", str(port), "--dir", str(tmp_path)]
    asked = SERVICES["redis"]["healthcheck"]["test"]
    assert asked[0] == "CMD-SHELL"
    check = asked[1].replace("redis-cli", f"redis-cli -p {port}")
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as redis:
        try:
            wait_until(lambda: subprocess.run(["sh", "-c", check], check=False).returncode == 0)
            for name, value in (
                ("appendonly", "yes"),
                ("appendfsync", "always"),
                ("maxmemory-policy", "noeviction"),
            ):
                said = subprocess.run(
                    ["redis-cli", "-p", str(port), "CONFIG", "GET", name],
                    capture_output=True,
                    text=True,
                    check=True,
                    timeout=WAIT_S,
                )
                assert said.stdout.split() == [name, value]
            assert list(tmp_path.glob("appendonlydir/*.aof"))
        finally:
            redis.terminate()
    assert subprocess.run(["sh", "-c", check], check=False, capture_output=True).returncode != 0
