# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The published critical path algorithm (CRISP, USENIX ATC 2022), written down plainly: json, dataclasses, dicts.

What one would write in an afternoon, without haste and without tricks: the peer of the benchmark. It follows the
same rules as ``analyze/critical_path.py`` to the microsecond, so that the results can be compared.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
import time
import typing as t
from pathlib import Path

KINDS = {"client": "client", "server": "server"}


@dataclasses.dataclass(eq=False)
class Span:
    """One span and what hangs under it; times in µs."""

    span_id: str
    service: str
    operation: str
    host: str
    kind: str
    error: bool
    start: int
    end: int
    duration: int
    parent_id: str
    children: list[Span] = dataclasses.field(default_factory=list)
    exclusive: int = 0
    self_time: int = 0
    on_path: bool = False


@dataclasses.dataclass
class Operation:
    """What is known of one operation over all traces."""

    calls: int = 0
    errors: int = 0
    self_us: int = 0
    path_us: int = 0
    traces: int = 0
    durations: list[int] = dataclasses.field(default_factory=list)
    path_per_trace: list[int] = dataclasses.field(default_factory=list)


def build(trace: dict[str, t.Any]) -> tuple[list[Span], Span | None]:
    """The spans of one trace, children under their parents, and its root where it has exactly one."""
    processes = {}
    for process_id, process in trace["processes"].items():
        tags = {tag["key"]: tag["value"] for tag in process.get("tags") or []}
        processes[process_id] = (process["serviceName"], tags.get("hostname", ""))
    spans: dict[str, Span] = {}
    for entry in sorted(trace["spans"], key=lambda entry: entry["spanID"]):
        tags = {tag["key"]: tag["value"] for tag in entry.get("tags") or []}
        service, host = processes[entry["processID"]]
        parent = ""
        for reference in entry.get("references") or []:
            if reference["refType"] == "CHILD_OF" and reference["traceID"] == trace["traceID"]:
                parent = reference["spanID"]
                break
        spans[entry["spanID"]] = Span(
            span_id=entry["spanID"],
            service=service,
            operation=entry["operationName"],
            host=host,
            kind=KINDS.get(tags.get("span.kind", ""), ""),
            error=bool(tags.get("error", False)),
            start=entry["startTime"],
            end=entry["startTime"] + entry["duration"],
            duration=entry["duration"],
            parent_id=parent,
        )
    roots = []
    for span in spans.values():
        if span.parent_id in spans:
            spans[span.parent_id].children.append(span)
        elif not span.parent_id:
            roots.append(span)
    return list(spans.values()), roots[0] if len(roots) == 1 else None


def move(span: Span, offset: int) -> None:
    """Shift a span and everything under it."""
    span.start += offset
    span.end += offset
    for child in span.children:
        move(child, offset)


def fit(parent: Span, apart: list[Span]) -> None:
    """Cut the children to their parent, move servers whose clock differs; what lies outside goes to ``apart``."""
    inside = []
    for child in parent.children:
        if child.start < parent.start or child.end > parent.end:
            known = child.host and parent.host
            different = known and child.host != parent.host
            call = parent.kind == "client" and child.kind == "server" and not known and child.service != parent.service
            length, room = child.end - child.start, parent.end - parent.start
            if (different or call) and len(parent.children) == 1 and length * 100 <= room * 101:
                if length > room or child.start < parent.start:
                    move(child, parent.start - child.start)
                else:
                    move(child, min(0, parent.end - child.end))
                child.end = min(child.end, parent.end)
            elif child.start >= parent.end or child.end <= parent.start:
                apart.append(child)
                continue
            else:
                child.start = max(child.start, parent.start)
                child.end = min(child.end, parent.end)
        inside.append(child)
    parent.children = inside


def before(parent: Span, earlier: Span, later: Span) -> bool:
    """Whether ``earlier`` ended before ``later`` began, or overlaps it by less than 1 % with nothing else there."""
    if earlier.end <= later.start:
        return True
    if not (earlier.end < later.end and earlier.start < later.start):
        return False
    if (earlier.end - later.start) * 100 >= parent.end - parent.start:
        return False
    events = 0
    for child in parent.children:
        events += later.start <= child.start <= earlier.end
        events += later.start <= child.end <= earlier.end
    return events == 2


def covered(parent: Span) -> int:
    """µs of a span that its children cover, overlaps once."""
    total, until = 0, parent.start
    for child in sorted(parent.children, key=lambda child: child.start):
        total += max(0, child.end - max(child.start, until))
        until = max(until, child.end)
    return total


def walk(span: Span, apart: list[Span]) -> None:
    """Critical path and self times of a span and of all that hangs under it."""
    fit(span, apart)
    span.self_time = span.end - span.start - covered(span)
    if span.on_path:
        left = span.end - span.start
        last = None
        for child in sorted(span.children, key=lambda child: (-child.end, child.start, child.span_id)):
            if last is None or before(span, child, last):
                child.end -= max(0, child.end - child.start - left)
                left -= child.end - child.start
                child.on_path = True
                last = child
        span.exclusive = left
    for child in span.children:
        walk(child, apart)


def percentiles(values: list[int]) -> dict[str, int]:
    """Nearest rank."""
    values.sort()
    return {
        name: values[max(0, math.ceil(share * len(values) - 1e-9) - 1)]
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        if values
    }


def main() -> None:
    """All traces of a folder to one aggregate; prints seconds by phase and writes the aggregate."""
    seconds = {"parse": 0.0, "build": 0.0, "path": 0.0, "aggregate": 0.0}
    operations: dict[tuple[str, str], Operation] = {}
    for path in sorted(Path(sys.argv[1]).glob("*.json")):
        began = time.perf_counter()
        document = json.loads(path.read_bytes())
        parsed = time.perf_counter()
        traces = [build(trace) for trace in document["data"]]
        built = time.perf_counter()
        for spans, root in traces:
            if root is not None:
                root.on_path = True
            apart = [span for span in spans if not span.parent_id]
            while apart:
                walk(apart.pop(), apart)
        walked = time.perf_counter()
        for spans, _root in traces:
            in_trace: dict[tuple[str, str], int | None] = {}
            for span in spans:
                key = (span.service, span.operation)
                operation = operations.setdefault(key, Operation())
                operation.calls += 1
                operation.errors += span.error
                operation.self_us += span.self_time
                operation.durations.append(span.duration)
                in_trace.setdefault(key, None)
                if span.on_path:
                    operation.path_us += span.exclusive
                    in_trace[key] = (in_trace[key] or 0) + span.exclusive
            for key, spent in in_trace.items():
                operations[key].traces += 1
                if spent is not None:
                    operations[key].path_per_trace.append(spent)
        ended = time.perf_counter()
        seconds["parse"] += parsed - began
        seconds["build"] += built - parsed
        seconds["path"] += walked - built
        seconds["aggregate"] += ended - walked
    began = time.perf_counter()
    whole = sum(operation.path_us for operation in operations.values())
    aggregate = [
        {
            "service": service,
            "operation": name,
            "calls": operation.calls,
            "traces": operation.traces,
            "errors": operation.errors,
            "self_us": operation.self_us,
            "path_us": operation.path_us,
            "path_share": operation.path_us / whole if whole else 0.0,
            "path_traces": len(operation.path_per_trace),
            "duration": percentiles(operation.durations),
            "path": percentiles(operation.path_per_trace),
        }
        for (service, name), operation in operations.items()
    ]
    aggregate.sort(key=lambda row: (-row["path_us"], -row["self_us"], row["service"], row["operation"]))
    seconds["aggregate"] += time.perf_counter() - began
    Path(sys.argv[2]).write_text(json.dumps({"seconds": seconds, "aggregate": aggregate}), encoding="utf-8")


if __name__ == "__main__":
    main()
