# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real Redis servers on free ports of loopback, and an application that uses one as a cache."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import shutil
import socket
import subprocess
import threading
import time
import typing as t
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import Endpoint, RedisClient, RedisError


def installed() -> bool:
    """Whether Debian's package redis-server is there."""
    return shutil.which("redis-server") is not None


@dataclasses.dataclass
class Server:
    """A running Redis."""

    where: Endpoint
    config: Path
    process: subprocess.Popen[bytes]

    def connect(self) -> RedisClient:
        """A new connection."""
        return RedisClient.connect(self.where, loading_wait=10.0)


@contextlib.contextmanager
def serve(folder: Path, settings: t.Mapping[str, t.Any] | None = None, *, with_file: bool = True) -> t.Iterator[Server]:
    """A Redis of its own in ``folder``, without snapshots unless ``settings`` say so; ended on the way out."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    chosen = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": '""', **(settings or {})}
    config = folder / "redis.conf"
    config.write_text("".join(f"{name} {value}\n" for name, value in chosen.items()), encoding="utf-8")
    command = ["redis-server"]
    if with_file:
        command.append(str(config))
    else:
        command += [word for name, value in chosen.items() for word in (f"--{name}", str(value).strip('"'))]
    log = folder / "redis.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=folder)
    where = Endpoint(port=port, password=str(chosen.get("requirepass", "")))
    try:
        _wait(process, where, log)
        yield Server(where, config, process)
    finally:
        process.kill()
        process.wait(30)


def _wait(process: subprocess.Popen[bytes], where: Endpoint, log: Path, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            RedisClient.connect(where, loading_wait=seconds).close()
            return
        except RedisError as error:
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{error}\n{log.read_text(encoding='utf-8')}") from None
        time.sleep(0.02)


@dataclasses.dataclass(frozen=True)
class Workload:
    """A cache's day in seconds: Zipf reads that fill what they missed, bulk writes of keys that nobody reads again.

    Every ``drift`` reads the hot set moves on by ``step`` ranks, so that old favourites cool down and new ones come.
    """

    keys: int = 40_000
    skew: float = 0.99
    value: tuple[int, int] = (300, 1000)
    batch: int = 50
    #: a scan of ``scan_keys`` keys every ``scan_every`` batches
    scan_every: int = 15
    scan_keys: int = 50
    drift: int = 20_000
    step: int = 4
    #: seconds to live of what is filled, 0 for none
    ttl: int = 0
    reads_per_second: float = 15_000.0


@dataclasses.dataclass
class Tally:
    """What came of a run's judged reads."""

    reads: int = 0
    hits: int = 0
    write_errors: int = 0
    seconds: float = 0.0

    @property
    def hit_ratio(self) -> float:
        """Share of reads that were answered."""
        return self.hits / self.reads if self.reads else float("nan")


class Application:
    """One client with its own stream of random reads."""

    def __init__(self, workload: Workload, seed: int) -> None:
        self.workload = workload
        self._random = random.Random(seed)
        total, self._cumulative = 0.0, []
        for rank in range(1, workload.keys + 1):
            total += rank**-workload.skew
            self._cumulative.append(total)
        names = list(range(workload.keys))
        random.Random(seed * 7919).shuffle(names)
        self._names = names
        self._filler = b"x" * workload.value[1]
        self._done = self._batches = self._scanned = 0

    def _keys(self) -> list[int]:
        shift = self._done // self.workload.drift * self.workload.step
        ranks = self._random.choices(range(self.workload.keys), cum_weights=self._cumulative, k=self.workload.batch)
        return [self._names[(rank + shift) % self.workload.keys] for rank in ranks]

    def _store(self, name: str, number: int) -> tuple[t.Any, ...]:
        low, high = self.workload.value
        value = self._filler[: low + number * 2654435761 % (high - low)]
        return ("SET", name, value, "EX", self.workload.ttl) if self.workload.ttl else ("SET", name, value)

    def run(self, client: RedisClient, reads: int, stop: threading.Event | None = None) -> Tally:
        """Do ``reads`` reads at the workload's pace, or fewer when ``stop`` is set."""
        tally = Tally()
        start = due = time.monotonic()
        while tally.reads < reads and not (stop and stop.is_set()):
            keys = self._keys()
            answers = client.pipeline([("GET", f"item:{key}") for key in keys])
            missed = [key for key, answer in zip(keys, answers) if answer is None]
            writes = [self._store(f"item:{key}", key) for key in missed]
            self._batches += 1
            if self.workload.scan_every and self._batches % self.workload.scan_every == 0:
                for number in range(self._scanned, self._scanned + self.workload.scan_keys):
                    writes.append(self._store(f"import:{number}", number))
                self._scanned += self.workload.scan_keys
            results = client.pipeline(writes) if writes else []
            tally.write_errors += sum(isinstance(result, RedisError) for result in results)
            tally.reads += len(keys)
            tally.hits += len(keys) - len(missed)
            self._done += len(keys)
            # What a busy machine has delayed is not caught up with: customers do not hurry either.
            due = max(due + len(keys) / self.workload.reads_per_second, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))
        tally.seconds = time.monotonic() - start
        return tally


@contextlib.contextmanager
def in_use(server: Server, workload: Workload, seed: int) -> t.Iterator[Application]:
    """An application that uses ``server`` in the background, until the way out."""
    application, stop = Application(workload, seed), threading.Event()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with server.connect() as client:
                application.run(client, 1 << 60, stop)
        except RedisError as error:
            failures.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield application
    finally:
        stop.set()
        thread.join(30)
    if failures:
        raise failures[0]
