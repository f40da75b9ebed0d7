"""`RunPlace` through a server: its REST for what is asked and told, and its streams for what happens."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Self
from urllib.parse import quote

from runcast.cli.run_place import Hear, Kind, Listed
from runcast.client.blocking import Client
from runcast.client.tail import Tail

PAGE_SIZE: Final = 100
STEP_PATHS: Final = {"retry_step": "retry", "skip_step": "skip"}


class ServerRuns:
    """See `RunPlace`. The client is closed with it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.where = client.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def start(self, kind: Kind, wanted: Mapping[str, Any]) -> str:
        """See `RunPlace`."""
        given = {name: value for name, value in wanted.items() if value is not None}
        return self._client.request("POST", f"/api/v1/{kind}s", given)[f"{kind}_id"]

    def attend(self, stream: str, hear: Hear) -> None:
        """See `RunPlace`. A server has its own runner."""

    @contextmanager
    def follow(self, stream: str, hear: Hear) -> Generator[None]:
        """See `RunPlace`."""
        with self._client.tail(stream, after="start") as tail:
            threading.Thread(target=_listen, args=(tail, hear), name="runcast-follow", daemon=True).start()
            yield

    def head(self, stream: str) -> int:
        """See `RunPlace`."""
        return self._client.info(stream)["head"]

    def document(self, kind: Kind, run_id: str) -> dict[str, Any]:
        """See `RunPlace`."""
        return self._client.request("GET", f"/api/v1/{kind}s/{_part(run_id)}")

    def listed(self, kind: Kind, status: str, limit: int) -> Listed:
        """See `RunPlace`."""
        runs: list[dict[str, Any]] = []
        pages = page = 1
        total = 0
        while page <= pages and len(runs) < limit:
            query = {"page": str(page), "page_size": str(min(limit, PAGE_SIZE)), "status_filter": status}
            answer = self._client.request("GET", f"/api/v1/{kind}s", params=query)
            runs += answer[f"{kind}s"]
            pages, total, page = answer["pages"], answer["total"], page + 1
        return Listed(runs[:limit], total)

    def cancel(self, workflow_id: str, reason: str | None) -> dict[str, Any]:
        """See `RunPlace`."""
        return self._client.request(
            "POST", f"/api/v1/workflows/{_part(workflow_id)}/cancel", {"reason": reason}
        )

    def approve(self, approval_id: str, approved: bool, comment: str | None) -> dict[str, Any]:
        """See `RunPlace`."""
        answer = {"approved": approved, "comment": comment}
        return self._client.request("POST", f"/api/v1/approvals/{_part(approval_id)}", answer)

    def command(self, plan_id: str, command: str, **arguments: Any) -> dict[str, Any]:
        """See `RunPlace`."""
        body = {name: value for name, value in arguments.items() if value is not None}
        path = f"/api/v1/plans/{_part(plan_id)}"
        if command in STEP_PATHS:
            path = f"{path}/steps/{_part(body.pop('step_id'))}/{STEP_PATHS[command]}"
        elif command == "review":
            path = f"{path}/review/{_part(body.pop('gate'))}"
        else:
            path = f"{path}/{command}"
        return self._client.request("POST", path, body)


def _part(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")


def _listen(tail: Tail, hear: Hear) -> None:
    try:
        for item in tail:
            hear(item)
    except Exception as error:  # noqa: BLE001 - a thread's root: whoever follows is told
        hear(error)
