"""A log behind `rediss://`: whose certificate is believed, and who has to show one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.proxy import write_certificate
from tests.support.process import free_port
from tests.support.redis_server import RedisServer

from runcast.errors import LogUnavailable
from runcast.log.conformance.support import new, numbers
from runcast.log.redis import RedisLog

pytestmark = pytest.mark.needs("redis-server")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_certificate(tmp_path / "cert.pem", tmp_path / "key.pem")
    return tmp_path


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    """Of a server that wants to see its clients' certificates."""
    port = free_port()
    certificate = str(folder / "cert.pem")
    settings = {
        "tls_port": str(port),
        "tls_cert_file": certificate,
        "tls_key_file": str(folder / "key.pem"),
        "tls_ca_cert_file": certificate,
        "tls_auth_clients": "yes",
    }
    with RedisServer(**dict[str, Any](settings)):
        yield port


def test_both_sides_show_a_certificate(folder: Path, port: int) -> None:
    certificate = folder / "cert.pem"
    shown = f"ssl_ca_certs={certificate}&ssl_certfile={certificate}&ssl_keyfile={folder / 'key.pem'}"
    log = RedisLog(f"rediss://localhost:{port}?{shown}")
    log.append([new(1), new(2)])
    assert numbers(log.read("session:a").events) == [1, 2]
    log.close()


def test_a_server_whose_certificate_nobody_knows_is_not_believed(port: int) -> None:
    with pytest.raises(LogUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        RedisLog(f"rediss://localhost:{port}", wait_s=0)


def test_a_certificate_of_another_name_is_not_believed(folder: Path, port: int) -> None:
    with pytest.raises(LogUnavailable, match=r"127\.0\.0\.1"):
        RedisLog(f"rediss://127.0.0.1:{port}?ssl_ca_certs={folder / 'cert.pem'}", wait_s=0)


def test_a_client_without_a_certificate_is_refused(folder: Path, port: int) -> None:
    with pytest.raises(LogUnavailable):
        RedisLog(f"rediss://localhost:{port}?ssl_ca_certs={folder / 'cert.pem'}", wait_s=0)


def test_a_server_without_tls_is_told_apart(folder: Path) -> None:
    with RedisServer() as server, pytest.raises(LogUnavailable):
        RedisLog(
            f"rediss://localhost:{server.port}?ssl_ca_certs={folder / 'cert.pem'}", wait_s=0, timeout_s=0.5
        )
