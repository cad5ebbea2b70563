# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis servers as processes of this machine, started again as the role's units do: for the benchmark and its test.

A server that ends in order comes back at once. One that was killed comes back after :data:`CRASH_PAUSE`, so that a
replica takes over first; the role's unit pauses in the same way (``redis_cluster_crash_pause``).
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import subprocess
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils import redis_conf

#: cluster-node-timeout (ms)
NODE_TIMEOUT = 2000
#: seconds; above what it takes to notice a dead master and to elect another, which is about the node timeout and 1 s
CRASH_PAUSE = 6.0
#: what a cluster keeps its promise with; the role has the same defaults
SETTINGS = {
    "cluster-enabled": "yes",
    "cluster-node-timeout": str(NODE_TIMEOUT),
    "cluster-require-full-coverage": "no",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory": "256mb",
    "repl-diskless-sync-delay": "0",
}


def program() -> str:
    """Where redis-server is.

    :raises FileNotFoundError: when it is not installed.
    """
    found = shutil.which("redis-server")
    if not found:
        raise FileNotFoundError("redis-server is missing: apt-get install redis-server")
    return found


def free_ports(count: int) -> list[int]:
    """Free ports whose bus port (10,000 above) is free, too."""
    found: list[int] = []
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            one = stack.enter_context(socket.socket())
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1] - 12_000
            if port < 1024 or port in found:
                continue
            try:
                for number in (port, port + 10_000):
                    stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
            except OSError:
                continue
            found.append(port)
    return found


@dataclasses.dataclass
class Server:
    """One node, and the thread that starts it again."""

    port: int
    folder: Path
    binary: str
    settings: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    _stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """As nodes and clients reach it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and keep it running until :meth:`stop`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        raise TimeoutError(f"no redis-server at {self.address}: {(self.folder / 'log').read_text()[-500:]}")

    def _supervise(self) -> None:
        while not self._stop.is_set():
            lines = {**self.settings, "port": str(self.port), "dir": str(self.folder), "bind": "127.0.0.1"}
            config = self.folder / "redis.conf"
            # As the role does: what Redis or a Sentinel wrote into the file stays.
            text = config.read_text(encoding="utf-8") if config.exists() else ""
            config.write_text(redis_conf.merge(text, lines), encoding="utf-8")
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen([self.binary, str(config)], stdout=log, stderr=log)
            self.starts += 1
            if self.process.wait() and not self._stop.is_set():
                self._stop.wait(CRASH_PAUSE)

    def kill(self) -> None:
        """End it as a crash does."""
        assert self.process is not None
        self.process.kill()

    def stop(self) -> None:
        """End it for good."""
        self._stop.set()
        if self.process is not None:
            self.process.kill()
        if self._thread is not None:
            self._thread.join(timeout=20)


@contextlib.contextmanager
def servers(count: int, folder: Path, **settings: str) -> t.Iterator[list[Server]]:
    """``count`` nodes for the length of a block."""
    found = [Server(port, folder / str(port), program(), {**SETTINGS, **settings}) for port in free_ports(count)]
    try:
        for server in found:
            server.start()
        yield found
    finally:
        for server in found:
            server.stop()
