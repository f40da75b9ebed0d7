"""The servers that are attacked: one open, and one locked with keys, tokens and people."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from joserfc.jwk import KeySet, RSAKey
from tests.abuse.tokens import by_hmac
from tests.support.process import RUNCAST, ServeProcess, free_port

from runcast.auth.secrets import new_secret

TALKATIVE = ["--log-level", "trace", "--access-log", "--no-proxy-headers"]
LIMITS = {
    "RUNCAST_REQUEST_HEAD_TIMEOUT_S": "1",  # nobody has to wait long for a deadline
    "RUNCAST_REQUEST_BODY_TIMEOUT_S": "1",
    "RUNCAST_UNAUTHENTICATED_S": "1",
    "RUNCAST_MAX_CONNECTIONS_PER_PRINCIPAL": "50",
}


class Target(ServeProcess):
    """A server whose log is kept. It is open, until somebody gives it something to ask for.

    Args:
        folder: where its data and its log are.
        env: more settings.
        talkative: at the finest level there is, with a line for each request. Logging then takes most of the time.
    """

    def __init__(self, folder: Path, env: dict[str, str] | None = None, *, talkative: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log_file = folder / "server.txt"
        self.key = ""
        log, port = folder / "log.db", free_port()
        serve = [*RUNCAST, "serve", "--port", str(port), "--log", str(log)]
        app = [sys.executable, "-m", "uvicorn", "runcast.app:create_app", "--factory", "--port", str(port)]
        protocols = [
            "--http=runcast.transport.uvicorn_http:BoundedHttpToolsProtocol",
            "--ws=runcast.transport.uvicorn_ws:FrameProtocol",
        ]
        command = [*app, *protocols, *TALKATIVE] if talkative else serve
        to_file = ["sh", "-c", 'exec "$@" >"$0" 2>&1', str(self.log_file), *command]
        super().__init__(
            log, port=port, command=to_file, env={"RUNCAST_LOG": str(log), **LIMITS, **(env or {})}
        )

    @property
    def identity(self) -> dict[str, str]:
        """Headers of one who may do everything."""
        return {"X-API-Key": self.key} if self.key else {}

    def post(self, session_id: str, *events: dict[str, Any]) -> dict[str, Any]:
        """As one who may."""
        path = f"/api/sessions/{session_id}/events"
        answer = self.http.post(path, json=list(events), headers=self.identity)
        assert answer.status_code == 200, answer.text
        return answer.json()


class Locked(Target):
    """A server that asks everybody who they are. `secrets` are all that were used; `heard` is what it answered."""

    def __init__(self, folder: Path, *, talkative: bool = False) -> None:
        self.secrets: set[str] = set()
        self.heard: list[bytes] = []
        self.rsa = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
        self.jwt_secret = self.secret(new_secret())
        key = self.secret(f"configured-{new_secret()}")
        self.jwks = JwksServer(self.rsa)
        env = {
            "RUNCAST_API_KEYS": key,
            "RUNCAST_JWT_SECRET": self.jwt_secret,
            "RUNCAST_JWKS_URL": f"http://127.0.0.1:{self.jwks.port}/jwks.json",
        }
        super().__init__(folder, env, talkative=talkative)
        self.key = key

    def __enter__(self) -> Self:
        self.jwks.start()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.jwks.close()

    def secret(self, text: str) -> str:
        """Remember what nobody may find anywhere."""
        self.secrets.add(text)
        return text

    def token(
        self, *, lifetime_s: float = 600, read: tuple[str, ...] = ("*",), secret: str = "", **more: Any
    ) -> str:
        """A token that is signed by the server's secret, or another one."""
        claims = {"sub": "mallory", "exp": time.time() + lifetime_s, "grants": {"read": read}, **more}
        return self.secret(by_hmac(claims, (secret or self.jwt_secret).encode()))


class JwksServer:
    """An identity provider. `asked` counts how often its keys were fetched."""

    def __init__(self, *keys: RSAKey) -> None:
        document = json.dumps(KeySet(list(keys)).as_dict(private=False)).encode()
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                self.send_response(200)
                self.send_header("Content-Length", str(len(document)))
                self.end_headers()
                self.wfile.write(document)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that is overridden
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self.port: int = self._server.server_port

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def targets(folder: Path, *, talkative: bool) -> Iterator[tuple[Target, Locked]]:
    """Both servers."""
    with (
        Target(folder / "open", talkative=talkative) as target,
        Locked(folder / "locked", talkative=talkative) as locked,
    ):
        yield target, locked
