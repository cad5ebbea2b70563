# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sums up critical paths: by operation, by service, and by stack of calls (a flame graph).

Percentiles follow the nearest-rank rule, so that each is a duration that was really seen.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.critical_path import Paths

if t.TYPE_CHECKING:
    from ansible_collections.frugal.cloud.plugins.module_utils.spans import IntArray

SHARES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """What the spans of one operation (or of one service) took; times in µs.

    ``path_us`` is the exclusive time on critical paths, over all traces, ``path_share`` its share of the duration of
    all roots. ``duration`` has percentiles over spans, ``path`` over the traces in which it is on the path.
    """

    service: str
    operation: str
    calls: int
    traces: int
    errors: int
    self_us: int
    path_us: int
    path_share: float
    path_traces: int
    duration: dict[str, int]
    path: dict[str, int]

    def to_dict(self) -> dict[str, t.Any]:
        """As plain data."""
        return {**dataclasses.asdict(self), "path_share": round(self.path_share, 6)}


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """A node of the flame graph: ``parent`` is a position in the list of frames, -1 at the bottom; sums in µs."""

    parent: int
    service: str
    operation: str
    calls: int
    total_us: int
    self_us: int
    path_us: int


def by_operation(paths: Paths) -> list[Figures]:
    """Figures of every operation, most time on critical paths first."""
    table = paths.table
    return _figures(paths, table.operation, table.operations)


def by_service(paths: Paths) -> list[Figures]:
    """Figures of every service; ``operation`` is empty."""
    numpy = deps.numpy
    table = paths.table
    numbers: dict[str, int] = {}
    services = [numbers.setdefault(service, len(numbers)) for service, operation in table.operations]
    key = numpy.array(services or [0], dtype=numpy.int64)[table.operation]
    return _figures(paths, key, [(service, "") for service in numbers])


def _figures(paths: Paths, key: IntArray, names: Sequence[tuple[str, str]]) -> list[Figures]:
    numpy = deps.numpy
    table = paths.table
    count = len(names)
    if not len(table):
        return []
    calls = numpy.bincount(key, minlength=count)
    errors = numpy.bincount(key[table.failed], minlength=count)
    self_us = _sums(key, paths.self_time, count)
    path_us = _sums(key[paths.on_path], paths.exclusive[paths.on_path], count)
    traces = numpy.bincount(_distinct(key, table.trace, len(table.trace_ids))[0], minlength=count)
    durations = _percentiles(key, table.duration, count)
    on_path = paths.on_path
    which, pairs = _distinct(key[on_path], table.trace[on_path], len(table.trace_ids))
    path_per_trace = _sums(pairs, paths.exclusive[on_path], len(which))
    path_traces = numpy.bincount(which, minlength=count)
    path_percentiles = _percentiles(which, path_per_trace, count)
    whole = int(path_us.sum())
    figures = [
        Figures(
            service=service,
            operation=operation,
            calls=int(calls[number]),
            traces=int(traces[number]),
            errors=int(errors[number]),
            self_us=int(self_us[number]),
            path_us=int(path_us[number]),
            path_share=int(path_us[number]) / whole if whole else 0.0,
            path_traces=int(path_traces[number]),
            duration=durations[number],
            path=path_percentiles[number],
        )
        for number, (service, operation) in enumerate(names)
        if calls[number]
    ]
    return sorted(figures, key=lambda row: (-row.path_us, -row.self_us, row.service, row.operation))


def path_per_trace(paths: Paths) -> tuple[IntArray, IntArray]:
    """(operation, µs on the path), one entry for every operation on the path of every trace."""
    numpy = deps.numpy
    rows = numpy.flatnonzero(paths.on_path)
    traces = len(paths.table.trace_ids)
    pairs = paths.table.operation[rows] * traces + paths.table.trace[rows]
    distinct, inverse = numpy.unique(pairs, return_inverse=True)
    return distinct // traces, _sums(inverse, paths.exclusive[rows], len(distinct))


def flame(paths: Paths, traces: Sequence[int] | None = None, smallest: float = 0.002) -> list[Frame]:
    """The stacks of calls of all rooted traces (or of ``traces``), parents before children, widest first.

    ``total_us`` is what the spans' durations add up to, cut to their parents; children that run at once may be wider
    than their parent. Stacks below ``smallest`` of the whole are left out.
    """
    numpy = deps.numpy
    table = paths.table
    wanted = paths.rooted
    if traces is not None:
        wanted = wanted & numpy.isin(table.trace, numpy.asarray(traces, dtype=numpy.int64))
    node = numpy.full(len(table), -1)
    frames: list[Frame] = []
    width = paths.end - paths.start
    least = 1.0
    for depth, level in enumerate(paths.levels):
        keep = wanted[level.rows] & ((level.parents >= 0) if depth else numpy.ones(len(level.rows), dtype=bool))
        rows, parents = level.rows[keep], level.parents[keep]
        above = node[parents] if depth else numpy.full(len(rows), -1)
        known = (above >= 0) | (depth == 0)
        rows, above = rows[known], above[known]
        if not len(rows):
            break
        operations = len(table.operations)
        keys, inverse = numpy.unique((above + 1) * operations + table.operation[rows], return_inverse=True)
        totals = _sums(inverse, width[rows], len(keys))
        selves = _sums(inverse, paths.self_time[rows], len(keys))
        on_path = _sums(inverse, paths.exclusive[rows], len(keys))
        calls = numpy.bincount(inverse, minlength=len(keys))
        if not depth:
            least = smallest * float(totals.sum())
        number = numpy.full(len(keys), -1)
        named = [table.operations[int(key) % operations] for key in keys]
        for i in sorted(range(len(keys)), key=lambda i: (-totals[i], named[i])):
            if totals[i] < least:
                continue
            number[i] = len(frames)
            service, operation = named[i]
            parent = int(keys[i]) // operations - 1
            frames.append(
                Frame(parent, service, operation, int(calls[i]), int(totals[i]), int(selves[i]), int(on_path[i]))
            )
        node[rows] = number[inverse]
    return frames


def _sums(key: IntArray, values: IntArray, count: int) -> IntArray:
    """Sum of ``values`` by ``key``, exact in whole numbers."""
    numpy = deps.numpy
    sums = numpy.zeros(count, dtype=numpy.int64)
    if not len(key):
        return t.cast("IntArray", sums)
    if int(values.max(initial=0)) * len(values) < 2**53:
        # Sums below 2^53 are exact as floating point, which bincount adds up many times faster.
        return t.cast("IntArray", numpy.bincount(key, weights=values, minlength=count).astype(numpy.int64))
    numpy.add.at(sums, key, values)
    return t.cast("IntArray", sums)


def _distinct(key: IntArray, trace: IntArray, traces: int) -> tuple[IntArray, IntArray]:
    """The key of each distinct (key, trace), and for every entry which of those it is."""
    numpy = deps.numpy
    pairs, inverse = numpy.unique(key * max(1, traces) + trace, return_inverse=True)
    return pairs // max(1, traces), inverse


def _percentiles(key: IntArray, values: IntArray, count: int) -> list[dict[str, int]]:
    """Nearest-rank percentiles of ``values`` by ``key``; empty where a key has none."""
    numpy = deps.numpy
    ordered = values[numpy.lexsort((values, key))]
    many = numpy.bincount(key, minlength=count)
    first = numpy.cumsum(many) - many
    columns = {}
    for name, share in SHARES.items():
        # ceil(share * n) - 1 with a guard against 0.95 * 20 = 19.000000000000004.
        rank = numpy.ceil(share * many - 1e-9).astype(numpy.int64) - 1
        place = first + numpy.maximum(rank, 0)
        columns[name] = ordered[numpy.minimum(place, len(ordered) - 1)] if len(ordered) else place
    return [
        {name: int(column[number]) for name, column in columns.items()} if many[number] else {}
        for number in range(count)
    ]
