"""`runcast serve` as the chat's users meet it: processes of their own, a model behind HTTP, tokens of people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.commands import run_here
from tests.support.openai_server import OpenAIServer
from tests.support.process import ServeProcess

SECRET = "a secret of more than 32 bytes for tests"
LEASE_S = 2.0


class ChatNode(ServeProcess):
    """One server process.

    Args:
        folder: what it keeps beside the log; several nodes may share it.
        model: who answers; without one, the extractive model does.
        log: by default a file in the folder.
        env: more settings.
    """

    def __init__(
        self,
        folder: Path,
        model: OpenAIServer | None = None,
        *,
        log: str = "",
        env: dict[str, str] | None = None,
    ) -> None:
        self.log = log or str(folder / "log.db")
        settings = {
            "RUNCAST_JWT_SECRET": SECRET,
            "RUNCAST_RUNNER_LEASE_S": str(LEASE_S),
            "XDG_DATA_HOME": str(folder),
            **(env or {}),
        }
        if model is not None:
            settings |= {"RUNCAST_LLM_BASE_URL": model.url, "RUNCAST_LLM_MODEL": "test-model"}
        super().__init__(self.log, env=settings)

    def token(self, sub: str = "ann") -> str:
        """What `runcast token print` prints."""
        env = {name: self.env[name] for name in ("RUNCAST_JWT_SECRET", "XDG_DATA_HOME")}
        ended = run_here("token", "print", sub, "--log", self.log, env=env)
        assert ended.code == 0, ended.err
        return ended.out.strip()

    def chat(self, sub: str = "ann", **query: Any) -> str:
        """The documented URL, with a token of somebody's."""
        return self.ws("/ws/chat", token=self.token(sub), **query)

    def as_(self, sub: str, method: str, path: str, **more: Any) -> Any:
        return self.http.request(method, path, headers={"Authorization": f"Bearer {self.token(sub)}"}, **more)

    def ask_to_stop(self) -> None:
        """SIGTERM; `ended` waits for what becomes of it."""
        self.close_http()
        self.process.terminate()

    def ended(self) -> int:
        """The exit code, once it has ended."""
        return self._collect()
