# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Traces for tests: written down as nested calls, or drawn for a web shop with known faults."""

from __future__ import annotations

import dataclasses
import json
import random
import typing as t
from collections.abc import Iterable, Iterator

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.critical_path import Paths, critical_paths
from ansible_collections.frugal.cloud.plugins.module_utils.observe.trace_files import TraceReader, decode_trace
from ansible_collections.frugal.cloud.plugins.module_utils.spans import SpanBuilder, SpanTable

#: 2026-11-24T08:00:00Z, µs since 1970.
MORNING = 1_795_507_200_000_000


@dataclasses.dataclass
class Call:
    """A span and what it calls; times in µs from the start of the trace."""

    name: str
    start: int
    duration: int
    calls: list[Call] = dataclasses.field(default_factory=list)
    tags: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    host: str = ""
    reference: str = "CHILD_OF"
    parent: str | None = None
    span_id: str = ""


def jaeger(call: Call, trace_id: str = "a", begin: int = 0) -> dict[str, t.Any]:
    """The trace in the form of Jaeger's API. A name is ``service operation``; ids follow the order of the calls."""
    spans: list[dict[str, t.Any]] = []
    processes: dict[str, dict[str, t.Any]] = {}
    stack: list[tuple[Call, str | None]] = [(call, call.parent)]
    while stack:
        at, parent = stack.pop()
        service, operation = at.name.split(" ", 1)
        span_id = at.span_id or f"{len(spans):04x}"
        process = f"{service} {at.host}"
        host = [{"key": "hostname", "type": "string", "value": at.host}] if at.host else []
        processes[process] = {"serviceName": service, "tags": host}
        reference = {"refType": at.reference, "traceID": trace_id, "spanID": parent}
        spans.append(
            {
                "traceID": trace_id,
                "spanID": span_id,
                "operationName": operation,
                "references": [reference] if parent is not None else [],
                "startTime": begin + at.start,
                "duration": at.duration,
                "tags": [{"key": key, "value": value} for key, value in at.tags.items()],
                "logs": [],
                "processID": process,
                "warnings": None,
            }
        )
        stack.extend((child, child.parent or span_id) for child in reversed(at.calls))
    return {"traceID": trace_id, "spans": spans, "processes": processes}


def table_of(traces: Iterable[dict[str, t.Any]]) -> SpanTable:
    """The traces as a table, by way of the reader."""
    builder = SpanBuilder()
    reader = TraceReader(builder)
    for trace in traces:
        reader.add(decode_trace(json.dumps(trace).encode(), "sample"), "sample")
    return builder.build()


def paths_of(*calls: Call) -> Paths:
    """Critical paths of traces ``t0``, ``t1``, …"""
    return critical_paths(table_of(jaeger(call, f"t{number}") for number, call in enumerate(calls)))


def exclusive(paths: Paths) -> dict[str, int]:
    """µs on the critical path by ``service operation``, of those on it."""
    found: dict[str, int] = {}
    for number in paths.on_path.nonzero()[0].tolist():
        name = " ".join(paths.table.operations[int(paths.table.operation[number])])
        found[name] = found.get(name, 0) + int(paths.exclusive[number])
    return found


class _Checkout:
    """One request while it grows: calls one after the other."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.now = self.took(2_000)
        self.calls: list[Call] = []

    def took(self, mean: float) -> int:
        return max(50, round(mean * self.draw.lognormvariate(0, 0.25)))

    def call(self, name: str, duration: int, kind: str = "server", **tags: t.Any) -> Call:
        made = Call(name, self.now, duration, tags={"span.kind": kind, **tags})
        self.calls.append(made)
        self.now += duration + self.took(150)
        return made

    def query(self, name: str, mean: float, statement: str) -> None:
        self.call(name, self.took(mean), "client", **{"db.system": "postgresql", "db.statement": statement})


def shop(count: int, seed: int = 7, payment: float = 1.0, begin: int = MORNING) -> Iterator[dict[str, t.Any]]:
    """Requests of a shop: a loop of queries (N+1), calls that could run at once, a payment that fails now and then and
    is tried again, a slow query, and a mail that nobody waits for. ``payment`` stretches the time of payments.
    """
    draw = random.Random(seed)
    for number in range(count):
        made = _Checkout(draw)
        user = made.call("users GET /user", made.took(9_000))
        cached = {"db.system": "redis", "db.statement": "GET user:7"}
        user.calls.append(Call("cache GET", user.start + 500, made.took(700), tags=cached))
        made.call("stock GET /stock", made.took(12_000))
        for item in range(draw.randint(6, 14)):
            made.query("orders SELECT", 1_800, f"SELECT price FROM prices WHERE id = {item}")
        fails = draw.random()
        if fails < 0.15:
            made.call("payment POST /charge", round(made.took(30_000) * payment), error=True)
        charge = made.call("payment POST /charge", round(made.took(45_000) * payment))
        bank = Call("bank POST /transfer", charge.start + 2_000, charge.duration - 5_000, tags={"span.kind": "server"})
        charge.calls.append(bank)
        if draw.random() < 0.3:
            made.query("orders SELECT audit", 140_000, "SELECT * FROM audit WHERE day > '2026-11-01'")
        made.calls.append(Call("mail queue", made.now - 400, 60_000, tags={"span.kind": "producer"}))
        root = Call("shop POST /checkout", 0, made.now + made.took(1_000), made.calls, tags={"span.kind": "server"})
        if fails > 0.97:
            for broken in (root, charge, bank):
                broken.tags["error"] = True
        yield jaeger(root, f"{draw.getrandbits(128):032x}", begin + number * 1_000_000)
