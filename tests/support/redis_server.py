"""Real servers of Redis for tests, on free ports: one, one behind Sentinel, and a Cluster of three masters."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from redis import Redis

from tests.support.process import free_port
from tests.support.server import wait_until


class RedisServer:
    """A `redis-server`, in a folder of its own. Ends with its `with`.

    Args:
        options: of its configuration, such as `appendonly="yes"`.
        program: `redis-server`, or `redis-sentinel`.
    """

    def __init__(self, program: str = "redis-server", *, port: int | None = None, **options: str) -> None:
        self.port = port or free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="runcast-redis-"))
        plain = {"save": "", "appendonly": "no"} if program == "redis-server" else {}
        self.config = plain | {name.replace("_", "-"): value for name, value in options.items()}
        self.lines: list[str] = []
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._client: Redis | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None:
            self._client.close()
        with suppress(ProcessLookupError):
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def client(self) -> Redis:
        """A client for what a test looks at or breaks."""
        if self._client is None:
            self._client = Redis(port=self.port, protocol=2, socket_timeout=10)
        return self._client

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "not started"
        return self._process

    def start(self) -> None:
        """Start it, and wait until it answers."""
        file = self.folder / "redis.conf"
        if not file.exists():
            lines = ["bind 127.0.0.1", f"port {self.port}", f"dir {self.folder}", "daemonize no"]
            lines += [f"{name} {value or chr(34) * 2}" for name, value in self.config.items()]
            lines += self.lines
            file.write_text("\n".join(lines) + "\n")
        with (self.folder / "out").open("ab") as out:
            self._process = subprocess.Popen(
                [self._program, str(file)], stdout=out, stderr=out, start_new_session=True
            )
        wait_until(self.answers, f"an answer of {self._program}; see {self.folder}/out")

    def answers(self) -> bool:
        assert self.process.poll() is None, (self.folder / "out").read_text()
        with suppress(Exception):
            return bool(self.client.ping())
        return False

    def kill(self) -> None:
        """SIGKILL, as a crash would be."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGCONT)
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(10)

    def stop(self) -> None:
        """It answers nobody any more, and keeps its connections."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)


class RedisCluster:
    """Three masters that share the slots, without replicas."""

    def __init__(self, **options: str) -> None:
        self.servers = [
            RedisServer(
                cluster_enabled="yes",
                cluster_port=str(free_port()),
                cluster_node_timeout="2000",
                cluster_require_full_coverage="no",
                **dict[str, Any](options),
            )
            for _ in range(3)
        ]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for server in self.servers:
                stack.enter_context(server)
            self._join()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _join(self) -> None:
        first, *others = self.servers
        for server in others:
            first.client.execute_command(
                "CLUSTER MEET", "127.0.0.1", server.port, int(server.config["cluster-port"])
            )
        bounds = [0, 5461, 10923, 16384]
        for server, low, high in zip(self.servers, bounds, bounds[1:], strict=False):
            server.client.execute_command("CLUSTER ADDSLOTSRANGE", low, high - 1)
        wait_until(self._is_ready, "the Cluster's agreement")

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def _is_ready(self) -> bool:
        states: list[Any] = [server.client.execute_command("CLUSTER INFO") for server in self.servers]
        return all((state["cluster_state"], state["cluster_known_nodes"]) == ("ok", "3") for state in states)


class Sentinels:
    """A master with a replica, and a Sentinel that makes the replica master when the master is gone for a second."""

    def __init__(self, **options: str) -> None:
        self.master = RedisServer(**dict[str, Any](options))
        self.replica = RedisServer(replicaof=f"127.0.0.1 {self.master.port}", **dict[str, Any](options))
        self.sentinel = RedisServer("redis-sentinel")
        self.sentinel.lines = [
            f"sentinel monitor runcast 127.0.0.1 {self.master.port} 1",
            "sentinel down-after-milliseconds runcast 1000",
            "sentinel failover-timeout runcast 3000",
        ]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.master)
            stack.enter_context(self.replica)
            wait_until(self._is_replicated, "the replica")
            stack.enter_context(self.sentinel)
            wait_until(self._knows_replica, "the Sentinel's knowledge of the replica")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{self.sentinel.port}/runcast"

    def _is_replicated(self) -> bool:
        info: Any = self.replica.client.info("replication")
        return info["master_link_status"] == "up"

    def _knows_replica(self) -> bool:
        found: Any = self.sentinel.client.execute_command("SENTINEL REPLICAS", "runcast")
        return len(found) == 1


class Proxy:
    """Stands in front of a server, and can fall silent: connections stay open, and nothing passes any more."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._silent: set[socket.socket] = set()
        self._commands: deque[Callable[[], None]] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for one in [self._listener, *self._peers]:
            one.close()
        self._selector.close()

    def fall_silent(self) -> None:
        """All connections there are now are half open: neither side hears of the other, nor of an end."""
        done = threading.Event()

        def act() -> None:
            self._silent.update(self._peers)
            done.set()

        self._commands.append(act)
        assert done.wait(5)

    def _run(self) -> None:
        while not self._stop.is_set():
            while self._commands:
                self._commands.popleft()()
            for key, _ in self._selector.select(0.02):
                self._serve(key.fileobj)

    def _serve(self, ready: Any) -> None:
        if ready is self._listener:
            client, _ = self._listener.accept()
            server = socket.create_connection(("127.0.0.1", self._to))
            for one, other in ((client, server), (server, client)):
                self._peers[one] = other
                self._selector.register(one, selectors.EVENT_READ)
            return
        peer = self._peers.get(ready)
        data = b""
        with suppress(OSError):
            data = ready.recv(65536)
        if ready in self._silent:
            if not data:
                self._selector.unregister(ready)
            return
        if data and peer is not None:
            with suppress(OSError):
                peer.sendall(data)
                return
        for one in (ready, peer):
            if one is not None and self._peers.pop(one, None) is not None:
                self._selector.unregister(one)
                one.close()
