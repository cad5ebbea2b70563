# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces of an invented web shop, as Jaeger's API writes them.

A request walks down a tree of calls: some one after the other, some at once, some in loops. A few spans outlive
their caller, some run on a host whose clock is off, a few fail. One seed gives the same bytes every time.
"""

from __future__ import annotations

import json
import random
import typing as t
from pathlib import Path

SERVICES = ("frontend", "cart", "catalogue", "checkout", "payment", "shipping", "search", "users", "orders-db", "redis")
OPERATIONS = tuple((service, f"{verb} /{service}") for service in SERVICES for verb in ("GET", "POST", "PUT", "LIST"))
#: 2026-01-01T00:00:00Z, µs since 1970.
EPOCH = 1_767_225_600_000_000
#: µs by which the clock of a host is ahead.
SKEW = {"search": 40_000}


class _Trace:
    """One trace while it grows."""

    def __init__(self, draw: random.Random, spans: int, start: int, slower: float) -> None:
        self.draw = draw
        self.left = spans
        self.slower = slower
        self.trace_id = f"{draw.getrandbits(128):032x}"
        self.spans: list[dict[str, t.Any]] = []
        self.grow(None, 0, start, draw.randint(80_000, 400_000))
        while self.left > 0:  # Siblings of what is there, until the trace has its size.
            parent = draw.choice(self.spans)
            begin = parent["startTime"] + draw.randint(0, max(1, parent["duration"] // 2))
            self.grow(parent, draw.randrange(len(OPERATIONS)), begin, max(1, parent["duration"] // 3))
        draw.shuffle(self.spans)

    def grow(self, parent: dict[str, t.Any] | None, operation: int, start: int, duration: int) -> None:
        """A span and what it calls, as long as the trace has room."""
        draw = self.draw
        self.left -= 1
        service, name = OPERATIONS[operation]
        duration = int(duration * (self.slower if service == "payment" else 1))
        span: dict[str, t.Any] = {
            "traceID": self.trace_id,
            "spanID": f"{draw.getrandbits(64):016x}",
            "operationName": name,
            "references": [],
            "startTime": start,
            "duration": duration,
            "tags": [
                {"key": "span.kind", "type": "string", "value": "server" if operation % 2 == 0 else "client"},
                {"key": "http.status_code", "type": "int64", "value": 200},
            ],
            "logs": [],
            "processID": f"p{SERVICES.index(service)}",
            "warnings": None,
        }
        if service in ("orders-db", "redis"):
            table, number = draw.randrange(5), draw.randrange(10_000)
            statement = f"SELECT * FROM t{table} WHERE id = {number}"
            span["tags"] += [
                {"key": "db.system", "type": "string", "value": "postgresql" if service == "orders-db" else "redis"},
                {"key": "db.statement", "type": "string", "value": statement},
            ]
        if draw.random() < 0.01:
            span["tags"].append({"key": "error", "type": "bool", "value": True})
        if parent is not None:
            span["references"] = [
                {"refType": "CHILD_OF", "traceID": self.trace_id, "spanID": parent["spanID"]},
            ]
        self.spans.append(span)
        at = start + duration // 20
        end = start + duration - duration // 20
        while self.left > 0 and at < end and draw.random() < 0.75 and duration > 200:
            length = max(1, int((end - at) * draw.uniform(0.1, 0.6)))
            if draw.random() < 0.03:
                length += duration  # outlives its caller
            child = draw.randrange(1, len(OPERATIONS))
            shift = SKEW.get(OPERATIONS[child][0], 0) if draw.random() < 0.2 else 0
            self.grow(span, child, at + shift, length)
            if draw.random() < 0.7:
                at += length + draw.randrange(max(1, duration // 50))


def traces(count: int, spans: int, seed: int, slower: float = 1.0) -> t.Iterator[dict[str, t.Any]]:
    """``count`` traces of ``spans`` spans; ``slower`` stretches the service payment."""
    draw = random.Random(seed)
    processes = {
        f"p{number}": {
            "serviceName": service,
            "tags": [{"key": "hostname", "type": "string", "value": f"host-{service}"}],
        }
        for number, service in enumerate(SERVICES)
    }
    for number in range(count):
        trace = _Trace(draw, spans, EPOCH + number * 1_000_000, slower)
        yield {"traceID": trace.trace_id, "spans": trace.spans, "processes": processes, "warnings": None}


def write(folder: Path, count: int, spans: int, seed: int, per_file: int = 100, slower: float = 1.0) -> list[Path]:
    """The traces as files in the form of Jaeger's API, ``per_file`` traces in each."""
    paths, batch = [], []
    for number, trace in enumerate(traces(count, spans, seed, slower), start=1):
        batch.append(trace)
        if len(batch) == per_file or number == count:
            path = folder / f"traces-{len(paths):05d}.json"
            document = {"data": batch, "total": 0, "limit": 0, "offset": 0, "errors": None}
            path.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
            paths.append(path)
            batch = []
    return paths
