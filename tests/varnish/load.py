# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends visits at a constant rate, whatever the answers take, and looks at every answer's content."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
import itertools
import statistics
import threading
import time
import typing as t

from ansible_collections.frugal.cloud.tests.varnish import shop
from ansible_collections.frugal.cloud.tests.varnish.workload import Visit

#: most connections at once; a visit that finds none free is sent late and counts from when it was due
CONNECTIONS = 64
HOST = "shop.example"


@dataclasses.dataclass
class Result:
    """What came of the visits. ``hits`` by X-Varnish, which has two numbers for what came from the cache."""

    sent: int = 0
    hits: int = 0
    errors: int = 0
    wrong: list[str] = dataclasses.field(default_factory=list)
    private_hits: int = 0
    seconds: list[float] = dataclasses.field(default_factory=list)

    @property
    def hit_ratio(self) -> float:
        """Share of all visits, private ones included, that the cache answered."""
        return self.hits / self.sent if self.sent else 0.0

    def percentile(self, share: float) -> float:
        """Seconds from when a visit was due to the whole answer."""
        return statistics.quantiles(self.seconds, n=1000)[round(share * 1000) - 1]


def run(address: str, port: int, visits: t.Iterator[Visit], rate: float, seconds: float) -> Result:
    """``rate`` visits a second for ``seconds``."""
    result = Result()
    asyncio.run(_run(address, port, itertools.islice(visits, int(rate * seconds)), rate, result))
    return result


def until(
    stop: threading.Event, address: str, port: int, visits: t.Iterator[Visit], rate: float, result: Result
) -> None:
    """``rate`` visits a second until ``stop`` is set."""
    asyncio.run(_run(address, port, itertools.takewhile(lambda visit: not stop.is_set(), visits), rate, result))


async def _run(address: str, port: int, visits: t.Iterator[Visit], rate: float, result: Result) -> None:
    queue: asyncio.Queue[tuple[float, Visit] | None] = asyncio.Queue()
    seen: set[int] = set()
    clients = [asyncio.create_task(_client(address, port, queue, result, seen)) for number in range(CONNECTIONS)]
    started = time.monotonic()
    for number, visit in enumerate(visits):
        due = started + number / rate
        pause = due - time.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)
        queue.put_nowait((due, visit))
    for _client_task in clients:
        queue.put_nowait(None)
    await asyncio.gather(*clients)


async def _client(
    address: str, port: int, queue: asyncio.Queue[tuple[float, Visit] | None], result: Result, seen: set[int]
) -> None:
    """One connection that is kept alive, and opened again when it was closed."""
    reader: asyncio.StreamReader | None = None
    writer: asyncio.StreamWriter | None = None
    while (work := await queue.get()) is not None:
        due, visit = work
        result.sent += 1
        try:
            if reader is None or writer is None:
                reader, writer = await asyncio.open_connection(address, port, limit=1 << 18)
            lines = [f"GET {visit.url} HTTP/1.1", f"Host: {HOST}", *(f"{k}: {v}" for k, v in visit.headers), "", ""]
            writer.write("\r\n".join(lines).encode())
            status, headers, body = await _answer(reader)
        except (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            result.errors += 1
            reader = writer = None
            continue
        result.seconds.append(time.monotonic() - due)
        hit = len(headers.get("x-varnish", "").split()) > 1
        result.hits += hit
        result.private_hits += hit and shop.is_private(visit.path)
        if status != 200:
            result.errors += 1
            continue
        asked = {name.lower(): value for name, value in visit.headers}
        why = shop.wrong(body, visit.path, visit.query, asked, seen)
        if why:
            result.wrong.append(why)
    if writer is not None:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in head[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, colon, value in pairs}
    if headers.get("transfer-encoding", "") == "chunked":
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readuntil(b"\r\n")
    else:
        body = await reader.readexactly(int(headers["content-length"]))
    if headers.get("content-encoding", "") == "gzip":
        body = gzip.decompress(body)
    return int(head[0].split()[1]), headers, body
