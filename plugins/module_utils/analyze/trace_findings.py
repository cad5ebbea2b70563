# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be done about slow and failing requests, from the patterns in their traces.

Each finding says where, how often and in which traces, and bounds what it is worth: ``share``
is at most the part of the mean request that it would save, for errors the part of requests
that fail with it. A trace cannot show whether one call needs the answer of another, so calls
that could run at once are named as what they are: a bound and a question.
"""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.critical_path import EXAMPLES, Paths
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.trace_operations import by_operation
from ansible_collections.frugal.cloud.plugins.module_utils.spans import CLIENT

if t.TYPE_CHECKING:
    from ansible_collections.frugal.cloud.plugins.module_utils.spans import BoolArray, IntArray

#: Failed calls whose way up is followed, for the most frequent one.
_ROUTES = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class FindingOptions:
    """From when on a pattern is a finding.

    ``repeated_calls``: calls of one operation by one span, one after the other. ``chatty_calls``: calls from one
    service to another in a median trace. ``slow_query_us``: p95 of a statement. ``bottleneck_share``: share of the
    critical path of all requests. ``smallest_share``: findings about latency that save less at most are left out.
    """

    repeated_calls: int = 5
    chatty_calls: int = 10
    slow_query_us: int = 100_000
    bottleneck_share: float = 0.10
    smallest_share: float = 0.005


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One pattern. ``saving_us`` is at most what a mean request would be faster, None for errors."""

    kind: str
    service: str
    operation: str
    summary: str
    share: float
    saving_us: float | None
    occurrences: int
    traces: int
    examples: tuple[str, ...]
    evidence: t.Mapping[str, t.Any]

    def to_dict(self) -> dict[str, t.Any]:
        """As plain data."""
        return {
            **dataclasses.asdict(self),
            "share": round(self.share, 6),
            "saving_us": None if self.saving_us is None else round(self.saving_us, 1),
            "examples": list(self.examples),
            "evidence": dict(self.evidence),
        }


def findings(paths: Paths, options: FindingOptions | None = None) -> list[Finding]:
    """All findings, the largest share first."""
    look = _Look(paths, options or FindingOptions())
    if not look.requests:
        return []
    found = [
        *look.repeated(),
        *look.sequential(),
        *look.retried(),
        *look.chatty(),
        *look.slow_queries(),
        *look.errors(),
        *look.bottlenecks(),
    ]
    return sorted(found, key=lambda one: (-one.share, one.kind, one.service, one.operation, one.summary))


def counted(number: int, noun: str) -> str:
    """A number and what it counts: 1 error, 2 errors."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def milliseconds(microseconds: float) -> str:
    """``12.3 ms``: three digits, in the unit that suits."""
    for limit, unit, size in ((1e3, "µs", 1.0), (1e6, "ms", 1e3), (float("inf"), "s", 1e6)):
        if abs(microseconds) < limit:
            return f"{microseconds / size:.3g} {unit}"
    return ""


class _Look:
    """The patterns, over the spans in the trees of rooted traces."""

    def __init__(self, paths: Paths, options: FindingOptions) -> None:
        numpy = deps.numpy
        table = paths.table
        self.paths, self.table, self.options = paths, table, options
        roots = paths.roots[paths.roots >= 0]
        self.roots = roots
        self.requests = len(roots)
        self.whole = int((paths.end[roots] - paths.start[roots]).sum())
        self.mean = self.whole / max(1, self.requests)
        self.width = paths.end - paths.start
        numbers: dict[str, int] = {}
        services = [numbers.setdefault(service, len(numbers)) for service, operation in table.operations]
        self.services = tuple(numbers)
        self.service = numpy.array(services or [0], dtype=numpy.int64)[table.operation]
        # Children sorted by parent, operation, statement and start: groups of equal calls stand together.
        rows = numpy.flatnonzero(paths.rooted & (paths.up >= 0))
        call = table.operation[rows] * len(table.statements) + table.statement[rows]
        order = numpy.lexsort((paths.end[rows], paths.start[rows], call, paths.up[rows]))
        self.rows, call = rows[order], call[order]
        up = paths.up[self.rows]
        self.same = numpy.zeros(len(self.rows), dtype=bool)
        self.same[1:] = (up[1:] == up[:-1]) & (call[1:] == call[:-1])
        self.group = numpy.cumsum(~self.same) - 1
        self.after = numpy.zeros(len(self.rows), dtype=bool)
        self.after[1:] = self.same[1:] & (paths.start[self.rows[1:]] >= paths.end[self.rows[:-1]])
        size = numpy.bincount(self.group) if len(self.rows) else numpy.zeros(0, dtype=numpy.int64)
        followed = numpy.bincount(self.group, weights=self.after) if len(self.rows) else size
        # One after the other: at least 80 % of the calls begin after the one before has ended.
        self.loops = (size >= options.repeated_calls) & (followed >= 0.8 * (size - 1))

    def _worth(self, saving: float) -> bool:
        return self.whole > 0 and saving / self.whole >= self.options.smallest_share

    def _share(self, saving: float) -> float:
        return saving / self.whole if self.whole else 0.0

    def _traces(self, rows: IntArray) -> tuple[int, tuple[str, ...]]:
        """How many traces, and the ids of a few."""
        traces = deps.numpy.unique(self.table.trace[rows])
        names = sorted(self.table.trace_ids[number] for number in traces)
        return len(traces), tuple(names[:EXAMPLES])

    def _call(self, row: int) -> str:
        """What a call is, in words: its statement where it has one, else its operation."""
        service, operation = self.table.operations[int(self.table.operation[row])]
        system, statement = self.table.statements[int(self.table.statement[row])]
        return f"{system or 'database'}: {statement}" if statement else f"{service} {operation}"

    def _groups(self, rows: IntArray, *keys: IntArray) -> t.Iterator[IntArray]:
        """``rows`` by equal keys."""
        numpy = deps.numpy
        if not len(rows):
            return
        order = numpy.lexsort(keys)
        different = numpy.zeros(len(rows) - 1, dtype=bool)
        for key in keys:
            different |= key[order][1:] != key[order][:-1]
        yield from numpy.split(rows[order], numpy.flatnonzero(different) + 1)

    def repeated(self) -> t.Iterator[Finding]:
        """N+1 calls: a span calls the same operation again and again, one call after the other."""
        numpy = deps.numpy
        paths, table = self.paths, self.table
        rows = self.rows[self.loops[self.group]] if len(self.rows) else self.rows
        parent_operation = table.operation[paths.up[rows]]
        for group in self._groups(rows, table.statement[rows], table.operation[rows], parent_operation):
            parents, calls = numpy.unique(paths.up[group], return_counts=True)
            on_path = group[paths.on_path[group]]
            spent = int(self.width[on_path].sum())
            # One call instead of n: what is left is one call a loop.
            saving = spent * (1.0 - len(parents) / len(group))
            if not self._worth(saving):
                continue
            service, operation = table.operations[int(table.operation[parents[0]])]
            calls.sort()
            median, most = int(calls[(len(calls) - 1) // 2]), int(calls[-1])
            traces, examples = self._traces(group)
            yield Finding(
                "n_plus_one",
                service,
                operation,
                f"{service} {operation} calls {self._call(int(group[0]))} {median} times in a row (at most {most}): "
                f"one call for all would save {milliseconds(saving / self.requests)} of a request at most",
                self._share(saving),
                saving / self.requests,
                len(parents),
                traces,
                examples,
                {
                    "called": self._call(int(group[0])),
                    "calls_median": median,
                    "calls_most": most,
                    "path_us": spent,
                },
            )

    def sequential(self) -> t.Iterator[Finding]:
        """Calls to others that wait for each other, though nothing in the trace says that they must."""
        numpy = deps.numpy
        paths, table = self.paths, self.table
        loops = numpy.zeros(len(table), dtype=bool)
        if len(self.rows):
            loops[self.rows[self.loops[self.group]]] = True
        rows = self.rows[paths.on_path[self.rows] & ~loops[self.rows]]
        away = (
            (self.service[rows] != self.service[paths.up[rows]])
            | (table.kind[rows] == CLIENT)
            | (table.statement[rows] > 0)
        )
        rows = rows[away]
        many = numpy.bincount(paths.up[rows], minlength=len(table)) if len(rows) else numpy.zeros(len(table))
        rows = rows[many[paths.up[rows]] >= 2]
        for group in self._groups(rows, table.operation[paths.up[rows]]):
            parents, place = numpy.unique(paths.up[group], return_inverse=True)
            longest = numpy.zeros(len(parents), dtype=numpy.int64)
            numpy.maximum.at(longest, place, self.width[group])
            spent = int(self.width[group].sum())
            saving = float(spent - int(longest.sum()))
            if not self._worth(saving):
                continue
            service, operation = table.operations[int(table.operation[parents[0]])]
            by_call: dict[str, int] = collections.defaultdict(int)
            for called in self._groups(group, table.statement[group], table.operation[group]):
                by_call[self._call(int(called[0]))] += int(self.width[called].sum())
            calls = sorted(by_call.items(), key=lambda pair: (-pair[1], pair[0]))
            named = ", ".join(name for name, width in calls[:3]) + (f" and {len(calls) - 3} more" if calls[3:] else "")
            traces, examples = self._traces(group)
            yield Finding(
                "sequential_calls",
                service,
                operation,
                f"{service} {operation} makes {len(group) / len(parents):.3g} calls one after the other ({named}): at "
                f"once, where none needs another's answer, they would save {milliseconds(saving / self.requests)} "
                "of a request at most",
                self._share(saving),
                saving / self.requests,
                len(parents),
                traces,
                examples,
                {
                    "calls": [{"called": name, "path_us": width} for name, width in calls[:10]],
                    "calls_mean": round(len(group) / len(parents), 2),
                    "path_us": spent,
                },
            )

    def retried(self) -> t.Iterator[Finding]:
        """A call that failed and was made again by the same span."""
        paths, table = self.paths, self.table
        if not len(self.rows):
            return
        again = deps.numpy.flatnonzero(self.after & deps.numpy.roll(table.failed[self.rows], 1))
        failed = self.rows[again - 1]
        parent_operation = table.operation[paths.up[failed]]
        for group in self._groups(failed, table.statement[failed], table.operation[failed], parent_operation):
            traces, examples = self._traces(group)
            if traces < 2:
                continue
            saving = float(self.width[group[paths.on_path[group]]].sum())
            service, operation = table.operations[int(table.operation[paths.up[group[0]]])]
            yield Finding(
                "retries",
                service,
                operation,
                f"{service} {operation} repeated failed calls of {self._call(int(group[0]))} "
                f"{counted(len(group), 'time')} in "
                f"{traces} of {self.requests} requests; the failed ones took "
                f"{milliseconds(saving / self.requests)} of a mean request",
                self._share(saving),
                saving / self.requests,
                len(group),
                traces,
                examples,
                {"called": self._call(int(group[0])), "path_us": int(saving)},
            )

    def chatty(self) -> t.Iterator[Finding]:
        """One service calls another many times in a request."""
        numpy = deps.numpy
        paths, table = self.paths, self.table
        rows = self.rows[self.service[self.rows] != self.service[paths.up[self.rows]]]
        for group in self._groups(rows, self.service[rows], self.service[paths.up[rows]]):
            calls = numpy.sort(numpy.unique(table.trace[group], return_counts=True)[1])
            median, most = int(calls[(len(calls) - 1) // 2]), int(calls[-1])
            if median < self.options.chatty_calls:
                continue
            caller = self.services[int(self.service[paths.up[group[0]]])]
            callee = self.services[int(self.service[group[0]])]
            spent = int(self.width[group[paths.on_path[group]]].sum())
            saving = spent * (1.0 - len(calls) / len(group))
            traces, examples = self._traces(group)
            yield Finding(
                "chatty_services",
                caller,
                "",
                f"{caller} calls {callee} {median} times in a median request (at most {most}), "
                f"{milliseconds(spent / self.requests)} of a mean request: fewer, larger calls would save "
                f"{milliseconds(saving / self.requests)} at most",
                self._share(saving),
                saving / self.requests,
                len(group),
                traces,
                examples,
                {"callee": callee, "calls_median": median, "calls_most": most, "path_us": spent},
            )

    def slow_queries(self) -> t.Iterator[Finding]:
        """Statements whose p95 is long."""
        numpy = deps.numpy
        paths, table = self.paths, self.table
        rows = numpy.flatnonzero(table.statement > 0)
        for group in self._groups(rows, table.statement[rows], self.service[rows]):
            times = numpy.sort(table.duration[group])
            p50, p95, p99 = (int(times[max(0, int(numpy.ceil(q * len(times) - 1e-9)) - 1)]) for q in (0.5, 0.95, 0.99))
            if p95 < self.options.slow_query_us:
                continue
            service = self.services[int(self.service[group[0]])]
            system, statement = table.statements[int(table.statement[group[0]])]
            spent = float(self.width[group[paths.on_path[group]]].sum())
            traces, examples = self._traces(group)
            yield Finding(
                "slow_query",
                service,
                table.operations[int(table.operation[group[0]])][1],
                f"{service} waits {milliseconds(p95)} (p95, median {milliseconds(p50)}) for "
                f"{system or 'the database'}: {statement or 'statement not recorded'}; "
                f"{len(group)} call{'s' * (len(group) > 1)}, "
                f"{milliseconds(spent / self.requests)} of a mean request",
                self._share(spent),
                spent / self.requests,
                len(group),
                traces,
                examples,
                {
                    "system": system,
                    "statement": statement,
                    "p50_us": p50,
                    "p95_us": p95,
                    "p99_us": p99,
                    "path_us": int(spent),
                },
            )

    def errors(self) -> t.Iterator[Finding]:
        """Where errors begin, and how far up they go."""
        numpy = deps.numpy
        paths, table = self.paths, self.table
        failed = table.failed & paths.rooted
        parents = paths.up[numpy.flatnonzero(failed & (paths.up >= 0))]
        begins = failed.copy()
        begins[parents] = False
        reaches = self._reaches(failed)
        rows = numpy.flatnonzero(begins)
        for group in self._groups(rows, table.operation[rows]):
            service, operation = table.operations[int(table.operation[group[0]])]
            traces, examples = self._traces(group)
            up = group[reaches[group]]
            broken = len(numpy.unique(table.trace[up]))
            route = self._route(up if len(up) else group, failed)
            yield Finding(
                "errors",
                service,
                operation,
                f"{counted(len(group), 'error')} began in {service} {operation}, "
                f"in {traces} of {self.requests} requests; "
                + (
                    f"{counted(broken, 'request')} failed with them, by way of {route}"
                    if broken
                    else "none reached the request"
                ),
                broken / self.requests,
                None,
                len(group),
                traces,
                examples,
                {"reached_request": broken, "route": route},
            )

    def _reaches(self, failed: BoolArray) -> BoolArray:
        """Spans from which failed spans lead up to the root without a gap."""
        reaches = deps.numpy.zeros(len(self.table), dtype=bool)
        for level in self.paths.levels:
            top = level.parents < 0
            reaches[level.rows] = failed[level.rows] & (top | reaches[level.parents])
        return t.cast("BoolArray", reaches)

    def _route(self, rows: IntArray, failed: BoolArray) -> str:
        """The most frequent way of an error through services, from where it began."""
        routes: collections.Counter[str] = collections.Counter()
        for row in rows[:_ROUTES].tolist():
            services: list[str] = []
            at = row
            while at >= 0 and failed[at]:
                service = self.services[int(self.service[at])]
                if not services or services[-1] != service:
                    services.append(service)
                at = int(self.paths.up[at])
            routes[" → ".join(services)] += 1
        return min(routes.items(), key=lambda pair: (-pair[1], pair[0]))[0]

    def bottlenecks(self) -> t.Iterator[Finding]:
        """Operations whose own time is a large part of all critical paths."""
        numbers = {name: number for number, name in enumerate(self.table.operations)}
        for row in by_operation(self.paths):
            if row.path_share < self.options.bottleneck_share:
                continue
            number = numbers[row.service, row.operation]
            rows = deps.numpy.flatnonzero(self.paths.on_path & (self.table.operation == number))
            traces, examples = self._traces(rows)
            yield Finding(
                "bottleneck",
                row.service,
                row.operation,
                f"{row.service} {row.operation} itself takes {100 * row.path_share:.3g} % of all critical paths, "
                f"{milliseconds(row.path_us / self.requests)} of a mean request",
                row.path_share,
                row.path_us / self.requests,
                len(rows),
                traces,
                examples,
                {"path_us": row.path_us, "path_p50_us": row.path["p50"], "path_p95_us": row.path["p95"]},
            )
