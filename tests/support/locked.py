"""A server that asks everybody who they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runcast.auth.authenticator import Authenticator
from runcast.auth.grants import Grants
from runcast.auth.principal import Principal
from runcast.auth.setup import make_authenticator
from runcast.auth.store import AuthStore
from runcast.log.place import auth_file
from tests.support.server import ThreadServer, flat

MASTER = "the-master-key-of-the-tests"
SECRET = "a secret of more than 32 bytes for tests"
PERSON = {"email": "ann@example.org", "password": "correct horse battery", "name": "Ann"}
LOGIN = {key: PERSON[key] for key in ("email", "password")}


class LockedServer(ThreadServer):
    """A server that asks everybody, with what tests need to make credentials from outside, as another process."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        log = folder / "log.db"
        super().__init__(log, api_keys=(MASTER,), jwt_secret=SECRET, **settings)
        self.store = AuthStore(auth_file(log))
        self.elsewhere: Authenticator = make_authenticator(self.bus.settings, self.store)

    def key(self, read: tuple[str, ...] = (), write: tuple[str, ...] = ()) -> tuple[str, str]:
        """The id and the text of a new key."""
        key, text = self.elsewhere.keys.create("test", Grants(read, write))
        return key.id, text

    def token(self, *read: str, lifetime_s: float = 60.0, credential: str = "token:1") -> str:
        principal = Principal(sub="ann", via="token", credential=credential, grants=Grants(read))
        return self.elsewhere.tokens.make(principal, lifetime_s)

    def as_(self, secret: str, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        return self.http.request(method, path, headers=headers, **more)

    def publish(self, session: str, *numbers: int) -> None:
        answer = self.as_(
            MASTER, "POST", f"/api/sessions/{session}/events", json=[flat(number) for number in numbers]
        )
        assert answer.status_code == 200, answer.text

    def stop(self) -> None:
        super().stop()
        self.store.close()

    def cookie(self, secret: str, **headers: str) -> dict[str, str]:
        """The header by which a browser goes on that has shown `secret`."""
        ticket = self.as_(secret, "POST", "/api/v1/auth/tickets").json()["ticket"]
        answer = self.http.get("/api/v1/auth/me", params={"ticket": ticket}, headers=headers)
        cookie = answer.headers["set-cookie"].partition(";")[0]
        self.http.cookies.clear()
        return {"Cookie": cookie}
