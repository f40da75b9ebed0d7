"""Tasks on a log on Redis that not everybody may open: their processes are handed its whole address."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.deploy.proxy import write_certificate
from tests.runners import task_program
from tests.support.process import clean_env, free_port, start_process
from tests.support.redis_server import RedisServer
from tests.support.task_server import TaskServer

from runcast.cli.task_place import LogTasks
from runcast.log.place import for_others

pytestmark = pytest.mark.needs("redis-server")

PROGRAM = task_program.__name__
PASSWORD = "a+long:secret@of/ours"
WORKER = [sys.executable, "-c", "from runcast.cli.worker import worker; worker()"]


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """URLs of one server that asks for a password, without and with TLS."""
    folder, tls_port = tmp_path_factory.mktemp("tls"), free_port()
    write_certificate(folder / "cert.pem", folder / "key.pem")
    options = {
        "tls_port": str(tls_port),
        "tls_cert_file": str(folder / "cert.pem"),
        "tls_key_file": str(folder / "key.pem"),
        "tls_ca_cert_file": str(folder / "cert.pem"),
        "tls_auth_clients": "no",
    }
    with RedisServer("redis-server", port=None, **options) as redis:
        redis.client.config_set("requirepass", PASSWORD)
        login = ":a%2Blong%3Asecret%40of%2Fours"
        yield {
            "password": f"redis://{login}@127.0.0.1:{redis.port}/1?name=tasks",
            "tls": f"rediss://{login}@localhost:{tls_port}?ssl_ca_certs={folder / 'cert.pem'}&name=tls",
        }


@pytest.mark.parametrize("how", ["password", "tls"])
def test_a_servers_processes_can_open_its_log(addresses: dict[str, str], how: str) -> None:
    with TaskServer(addresses[how], load=(PROGRAM,)) as server:
        frames = server.story(server.begin("steps", count=1)["task_id"])[1:]
        assert [frame["step"] for frame in frames] == ["queued", "started", "step_0", "completed"]
        assert frames[0]["executor"] == "processes"


@pytest.mark.parametrize("how", ["password"])
def test_so_can_those_of_a_worker_which_shows_no_password(addresses: dict[str, str], how: str) -> None:
    env = {
        **clean_env(),
        "RUNCAST_LOG": addresses[how],
        "RUNCAST_LOAD": PROGRAM,
        "RUNCAST_TASK_PROCESSES": "1",
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    with TaskServer(addresses[how], runs=False, load=(PROGRAM,)) as server:
        task_id = server.begin("steps", count=1)["task_id"]
        process = start_process(WORKER, env)
        try:
            assert server.story(task_id)[-1]["step"] == "completed"
            process.terminate()
            output, complaints = process.communicate(timeout=20)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0
    assert "?name=tasks" in output
    assert "secret" not in output + complaints


def test_commands_work_on_it_too(addresses: dict[str, str]) -> None:
    tasks = LogTasks(f"{addresses['password']}-other", [])
    assert tasks.listed("", 10) == ([], 0)
    assert "secret" not in tasks.where


def test_a_file_is_handed_down_by_its_absolute_path() -> None:
    assert for_others("log.db", "sqlite:////here/log.db") == "sqlite:////here/log.db"
    assert for_others("", "sqlite:////data/log.db") == "sqlite:////data/log.db"
    assert for_others("redis://:secret@h?wait_s=3", "redis://h") == "redis://:secret@h?wait_s=3"
    assert for_others("redis://elsewhere", "memory:") == "memory:"
