"""The shipped nginx.conf as a real nginx, in front of real nodes."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.process import ServeProcess, free_port
from tests.support.server import WAIT_S, Server, wait_until

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
CONF = (DEPLOY / "nginx" / "nginx.conf").read_text()
KEY = "the-master-key-of-the-tests"
AS_OWNER = {"Authorization": f"Bearer {KEY}"}
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Node(ServeProcess):
    """A locked server that believes a proxy on this machine."""

    def __init__(self, log: Path, *, port: int | None = None, **env: str) -> None:
        settings = {
            "RUNCAST_API_KEYS": KEY,
            "RUNCAST_TRUSTED_PROXIES": "127.0.0.1",
            "RUNCAST_DRAIN_S": "0.3",
            **env,
        }
        super().__init__(log, port=port, env=settings)

    @property
    def runs(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def close(self) -> None:
        """End it, however it is. Idempotent."""
        self.close_http()
        if self._process is not None:
            with suppress(ProcessLookupError):
                self.kill()


class Nginx(Server):
    """nginx with the configuration that is shipped, but for what `adapted` and `changes` replace.

    Args:
        nodes: the ports of the servers on this machine.
        changes: more of the configuration to replace, each text by another one.
    """

    def __init__(self, nodes: Sequence[int], **changes: str) -> None:
        self.port, self.plain_port = free_port(), free_port()
        # Not below pytest's folders: nginx's workers are of another user, and could not enter.
        self.folder = Path(tempfile.mkdtemp(prefix="runcast-nginx-"))
        self.folder.chmod(0o755)
        self._changes = changes
        self._process: subprocess.Popen[bytes] | None = None
        (self.folder / "tls").mkdir()
        write_certificate(self.certificate, self.folder / "tls" / "key.pem")
        self.write_nodes(nodes)
        (self.folder / "nginx.conf").write_text(self.adapted(CONF))

    def __enter__(self) -> Self:
        self.test()
        log = (self.folder / "stderr").open("wb")
        with log:
            self._process = subprocess.Popen(self._command(), stdout=log, stderr=log, start_new_session=True)
        wait_until(lambda: self._listens() and self.workers(), "nginx")
        return self

    def __exit__(self, *_: object) -> None:
        self.close_http()
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        """End at once, with all that its logs have to say. Idempotent."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(WAIT_S)

    @property
    def certificate(self) -> Path:
        return self.folder / "tls" / "cert.pem"

    @property
    def context(self) -> ssl.SSLContext:
        """For clients that trust our certificate, and no other."""
        return ssl.create_default_context(cafile=self.certificate)

    @property
    def http(self) -> httpx2.Client:
        if not hasattr(self, "_http"):
            self._http = self.client(headers=AS_OWNER)
        return self._http

    @property
    def access_log(self) -> list[str]:
        return (self.folder / "access.log").read_text().splitlines()

    def url(self, path: str = "", **query: str) -> str:
        return super().url(path, **query).replace("http://127.0.0.1", "https://localhost")

    def ws(self, path: str, **query: str) -> str:
        return super().ws(path, **query).replace("ws://127.0.0.1", "wss://localhost")

    def client(self, source: str = "127.0.0.1", **options: object) -> httpx2.Client:
        """A client at an address of its own; this machine has all of 127.0.0.0/8."""
        transport = httpx2.HTTPTransport(verify=self.context, local_address=source)
        return httpx2.Client(base_url=self.url(), timeout=WAIT_S, transport=transport, **options)  # pyright: ignore[reportArgumentType]

    def adapted(self, text: str) -> str:
        """All that a test replaces: the ports, the folder of logs and that of temporary files, and its `changes`."""
        folder = f"include temporary.conf;\n    access_log {self.folder}"
        replaced = {
            "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            "listen [::]:80;": "",
            "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
            "listen [::]:443 ssl http2;": "",
            "access_log /var/log/nginx": folder,
            "error_log /var/log/nginx": f"error_log {self.folder}",
            **self._changes,
        }
        for old, new in replaced.items():
            assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in nginx.conf"
            text = text.replace(old, new)
        lines = [f"{name}_temp_path {self.folder}/{name};" for name in TEMPORARY]
        (self.folder / "temporary.conf").write_text("\n".join(lines))
        return text

    def write_nodes(self, ports: Sequence[int]) -> None:
        """The shipped nodes.conf, with these ports; fewer ports, fewer nodes."""
        text = (DEPLOY / "nginx" / "nodes.conf").read_text()
        for number, shipped in enumerate(("8000", "8001")):
            line = re.compile(rf"127\.0\.0\.1:{shipped}")
            assert len(line.findall(text)) == 1
            if number < len(ports):
                text = line.sub(f"127.0.0.1:{ports[number]}", text)
            else:
                text = re.sub(rf"^.*:{shipped}.*\n", "", text, flags=re.MULTILINE)
        (self.folder / "nodes.conf").write_text(text)

    def test(self) -> None:
        """As `nginx -t` says: nothing to complain of."""
        done = subprocess.run(
            [*self._command(), "-t"], capture_output=True, text=True, timeout=WAIT_S, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "[warn]" not in done.stderr, done.stderr

    def reload(self, *, and_end_others: bool = False) -> None:
        """Take the configuration anew, and wait until new workers are there, or are alone."""
        before = self.workers()
        os.kill(self._master, signal.SIGHUP)
        wait_until(lambda: self.workers() - before, "new workers")
        if and_end_others:
            wait_until(lambda: not self.workers() & before, "the end of the old workers")

    def workers(self) -> set[int]:
        """The processes that serve now or still have clients."""
        children = Path(f"/proc/{self._master}/task/{self._master}/children").read_text()
        return {int(pid) for pid in children.split()}

    @property
    def _master(self) -> int:
        assert self._process is not None
        return self._process.pid

    def _command(self) -> list[str]:
        settings = f"daemon off; pid {self.folder}/nginx.pid;"
        return ["nginx", "-c", str(self.folder / "nginx.conf"), "-g", settings]

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "stderr").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False


def write_certificate(certificate: Path, key: Path) -> None:
    """A certificate for localhost that signs itself."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


@contextmanager
def raw_tls(nginx: Nginx, source: str = "127.0.0.1") -> Iterator[ssl.SSLSocket]:
    """A connection on which a test writes what it likes."""
    with (
        socket.create_connection(("127.0.0.1", nginx.port), WAIT_S, source_address=(source, 0)) as plain,
        nginx.context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        yield tls


def answer_to(nginx: Nginx, head: str, body: bytes = b"") -> tuple[int, str]:
    """The status of what is answered to a request written by hand, and all of the answer."""
    with raw_tls(nginx) as tls:
        tls.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        return read_answer(tls)


def read_answer(tls: ssl.SSLSocket) -> tuple[int, str]:
    """An answer with a length, or one that ends with the connection."""
    text = b""
    while not _is_whole(text) and (data := tls.recv(65_536)):
        text += data
    assert text.startswith(b"HTTP/1.1 "), text
    return int(text.split()[1]), text.decode("latin-1")


def _is_whole(text: bytes) -> bool:
    head, _, body = text.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return length is not None and len(body) == int(length[1])
