# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The critical path of every trace in a table of spans, all traces at once.

The method is that of CRISP (Zhang et al., "CRISP: Critical Path Analysis of Large-Scale
Microservice Architectures", USENIX ATC 2022):

1. A child that overflows its parent is cut to it; one wholly outside is set aside. Not so a
   server's span under its client's on another host, no more than 1 % longer: there the clocks
   differ, and the server's subtree is moved into the client's span by the smallest offset.
2. The child that ends last is on the path of its parent. Before it comes the last child that
   ended before its start; so on to the first. An overlap of less than 1 % of the parent counts
   as "before" when nothing else happens in it.
3. Each of these children has its own path. What its children on the path do not take of a
   span's time is its exclusive time; these add up to the duration of the root, exactly.

Where this differs from CRISP: a child that overflows at both ends is cut, not set aside; ties
are broken by start and span id, not by the order of the file; and where tolerated overlaps add
up to more than the parent has, the earlier child is cut, so that no time becomes negative.

What a trace does not say is reported (:class:`Problem`) and not guessed: a trace with several
roots, or none, has no path; an asynchronous child is a tree of its own.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.spans import (
    ASYNC,
    CLIENT,
    NO_PARENT,
    PARENT_MISSING,
    SERVER,
    SpanTable,
)

if t.TYPE_CHECKING:
    from ansible_collections.frugal.cloud.plugins.module_utils.spans import BoolArray, IntArray

#: One over the share of the parent's duration by which a child may overlap the next one on the path.
OVERLAP = 100
#: A server's span may be this much longer than its client's, in percent, and still be moved instead of cut.
LONGER_PERCENT = 101
#: What 64 bits hold, with room.
_LARGEST = 2**62
#: Trace ids kept with each problem.
EXAMPLES = 5

#: What :class:`Problem` can say, and what it means for the result.
PROBLEMS = {
    "clock_skew": "a server's span lay outside its client's on another host: moved into it, times kept",
    "starts_before_parent": "a span began before its parent (clocks that differ): cut to it",
    "outlives_parent": "a span ended after its parent, which did not wait for it: cut to it",
    "outside_parent": "a span lay wholly outside its parent: not on its path",
    "asynchronous": "a span follows from another that did not wait for it: not on its path",
    "missing_parent": "a span's parent is not in the trace: its subtree hangs nowhere",
    "several_roots": "a trace has more than one root: it has no critical path",
    "no_root": "a trace has no root: it has no critical path",
    "cycle": "spans are their own ancestors: left out",
    "repeated_span": "a span id came twice in one trace: one was kept",
    "repeated_trace": "a trace came twice: the first was kept",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Something that a trace does not say, or says wrongly: how often, in which traces, up to how many µs."""

    name: str
    count: int
    traces: int
    examples: tuple[str, ...]
    largest_us: int | None = None

    def to_dict(self) -> dict[str, t.Any]:
        """As plain data, with the meaning in words."""
        found: dict[str, t.Any] = {
            "problem": self.name,
            "meaning": PROBLEMS[self.name],
            "count": self.count,
            "traces": self.traces,
            "examples": list(self.examples),
        }
        if self.largest_us is not None:
            found["largest_us"] = self.largest_us
        return found


@dataclasses.dataclass(frozen=True, slots=True)
class Level:
    """Spans of one depth: ``rows`` and the rows of their parents (NO_PARENT: a tree's top)."""

    rows: IntArray
    parents: IntArray


@dataclasses.dataclass(frozen=True, slots=True)
class Paths:
    """The critical paths of a table; arrays have one entry a span, ``roots`` one a trace.

    ``start`` and ``end`` are those after cutting and moving. ``up`` is the parent within the span's tree.
    ``exclusive`` is the time on the path in µs, 0 off it; ``self_time`` what no child of the span covers.
    ``rooted`` tells the spans in the tree of a trace's root; ``roots`` is NO_PARENT where a trace has no path.
    """

    table: SpanTable
    start: IntArray
    end: IntArray
    up: IntArray
    roots: IntArray
    rooted: BoolArray
    on_path: BoolArray
    exclusive: IntArray
    self_time: IntArray
    levels: tuple[Level, ...]
    problems: tuple[Problem, ...]


def critical_paths(table: SpanTable) -> Paths:
    """Find the critical path of every trace. Pure: the same spans give the same paths, in whatever order they came."""
    return _Search(table).run()


class _Search:
    """The arrays that the levels fill in one after the other."""

    def __init__(self, table: SpanTable) -> None:
        numpy = deps.numpy
        self.table = table
        count = len(table)
        self.start = table.start.copy()
        self.end = table.start + table.duration
        self.asynchronous = (table.flags & ASYNC) != 0
        self.up = numpy.where(self.asynchronous | (table.parent < 0), NO_PARENT, table.parent)
        self.offset = numpy.zeros(count, dtype=numpy.int64)
        self.rooted = numpy.zeros(count, dtype=bool)
        self.on_path = numpy.zeros(count, dtype=bool)
        self.exclusive = numpy.zeros(count, dtype=numpy.int64)
        self.self_time = self.end - self.start
        self.seen = numpy.zeros(count, dtype=bool)
        self.service = _services(table)
        # The children of row i are children[first[i] : first[i] + many[i]].
        attached = numpy.flatnonzero(self.up >= 0)
        self.children = attached[numpy.argsort(self.up[attached], kind="stable")]
        self.many = numpy.bincount(self.up[attached], minlength=count)
        self.first = numpy.cumsum(self.many) - self.many
        self.notes: dict[str, list[IntArray]] = {}
        self.largest: dict[str, int] = {}

    def run(self) -> Paths:
        numpy = deps.numpy
        roots = self._roots()
        found = roots[roots >= 0]
        self.rooted[found] = True
        self.on_path[found] = True
        tops = numpy.flatnonzero(self.up == NO_PARENT)
        levels = [Level(tops, numpy.full(len(tops), NO_PARENT))]
        self.seen[tops] = True
        self.exclusive[found] = self.end[found] - self.start[found]
        while len(levels[-1].rows):
            levels.append(self._descend(levels[-1].rows))
        self._note("cycle", numpy.flatnonzero(~self.seen))
        return Paths(
            table=self.table,
            start=self.start,
            end=self.end,
            up=self.up,
            roots=roots,
            rooted=self.rooted,
            on_path=self.on_path,
            exclusive=self.exclusive,
            self_time=self.self_time,
            levels=tuple(levels[:-1]),
            problems=self._problems(),
        )

    def _roots(self) -> IntArray:
        """The root of each trace: its only span without a parent, else its only span whose parent is missing."""
        numpy = deps.numpy
        table = self.table
        traces = len(table.trace_ids)
        roots = numpy.full(traces, NO_PARENT)
        several = numpy.zeros(traces, dtype=bool)
        self._note("asynchronous", numpy.flatnonzero(self.asynchronous))
        for parent in (PARENT_MISSING, NO_PARENT):  # A true root takes the place of an orphan.
            rows = numpy.flatnonzero((table.parent == parent) & ~self.asynchronous)
            if parent == PARENT_MISSING:
                self._note("missing_parent", rows)
            counts = numpy.bincount(table.trace[rows], minlength=traces)
            roots[table.trace[rows]] = rows
            several = numpy.where(counts > 0, counts > 1, several)
        roots[several] = NO_PARENT
        self._note_traces("several_roots", numpy.flatnonzero(several))
        self._note_traces("no_root", numpy.flatnonzero((roots == NO_PARENT) & ~several))
        return t.cast("IntArray", roots)

    def _descend(self, parents: IntArray) -> Level:
        """Cut or move the children of ``parents``, put them on the path or not; they are the next level."""
        numpy = deps.numpy
        many = self.many[parents]
        total = int(many.sum())
        above = numpy.repeat(parents, many)
        place = numpy.arange(total) + numpy.repeat(self.first[parents] - (numpy.cumsum(many) - many), many)
        rows = self.children[place]
        self.seen[rows] = True
        inside = self._fit(rows, above)
        self.rooted[rows] = self.rooted[above] & inside
        outside = rows[~inside]
        self.up[outside] = NO_PARENT
        self._cover(rows[inside], above[inside])
        on_path = inside & self.on_path[above]
        self._choose(rows[on_path], above[on_path])
        return Level(rows, self.up[rows])

    def _fit(self, rows: IntArray, above: IntArray) -> BoolArray:
        """Cut ``rows`` to their parents, or move them; returns which are inside."""
        numpy = deps.numpy
        table = self.table
        offset = self.offset[above]
        start, end = self.start[rows] + offset, self.end[rows] + offset
        low, high = self.start[above], self.end[above]
        over = numpy.flatnonzero((start < low) | (end > high))
        inside = numpy.ones(len(rows), dtype=bool)
        if len(over):
            child, parent = rows[over], above[over]
            s, e, low, high = start[over], end[over], low[over], high[over]
            kind = table.kind
            hosts = (table.host[child] > 0) & (table.host[parent] > 0)
            different = hosts & (table.host[child] != table.host[parent])
            calls = (kind[parent] == CLIENT) & (kind[child] == SERVER) & ~hosts
            skewed = (
                (different | (calls & (self.service[child] != self.service[parent])))
                & (self.many[parent] == 1)
                & ((e - s) * 100 <= (high - low) * LONGER_PERCENT)
            )
            moved = numpy.where(s < low, low - s, numpy.minimum(0, high - e))
            moved = numpy.where(e - s > high - low, low - s, moved)
            beyond = ~skewed & ((s >= high) | (e <= low))
            # A span without duration on its parent's edge is inside; it does not come here.
            self._note("clock_skew", child[skewed], abs(moved[skewed]))
            self._note("outside_parent", child[beyond])
            cut = ~skewed & ~beyond
            self._note("starts_before_parent", child[cut & (s < low)], (low - s)[cut & (s < low)])
            self._note("outlives_parent", child[cut & (e > high)], (e - high)[cut & (e > high)])
            shift = numpy.where(skewed, moved, 0)
            offset[over] += shift
            start[over] = numpy.where(beyond, s, numpy.maximum(s + shift, low))
            end[over] = numpy.where(beyond, e, numpy.minimum(e + shift, high))
            inside[over] = ~beyond
        self.start[rows], self.end[rows], self.offset[rows] = start, end, offset
        self.self_time[rows] = end - start
        return t.cast("BoolArray", inside)

    def _cover(self, rows: IntArray, above: IntArray) -> None:
        """Take from the self time of ``above`` what its children ``rows`` cover, overlaps once."""
        numpy = deps.numpy
        if not len(rows):
            return
        order = numpy.lexsort((self.start[rows], above))
        rows, above = rows[order], above[order]
        new = numpy.empty(len(rows), dtype=bool)
        new[0] = True
        numpy.not_equal(above[1:], above[:-1], out=new[1:])
        group = numpy.cumsum(new) - 1
        start = self.start[rows] - self.start[above]
        end = self.end[rows] - self.start[above]
        latest = _running_maximum(end, group)
        before = numpy.empty(len(rows), dtype=numpy.int64)
        before[0] = 0
        before[1:] = latest[:-1]
        before[new] = 0
        covered = numpy.maximum(0, end - numpy.maximum(start, before))
        numpy.subtract.at(self.self_time, above, covered)

    def _choose(self, rows: IntArray, above: IntArray) -> None:
        """Put on the path what belongs there of ``rows``, the children of spans on the path."""
        numpy = deps.numpy
        if not len(rows):
            return
        order = numpy.lexsort((rows, self.start[rows], -self.end[rows], above))
        rows, above = rows[order], above[order]
        start, end = self.start[rows], self.end[rows]
        first = numpy.flatnonzero(numpy.concatenate(([True], above[1:] != above[:-1])))
        size = numpy.diff(numpy.append(first, len(rows)))
        parent = above[first]
        span = self.end[parent] - self.start[parent]
        left = span - (end[first] - start[first])
        chosen = numpy.zeros(len(rows), dtype=bool)
        chosen[first] = True
        last = first.copy()
        block = numpy.arange(len(first))
        for number in range(1, int(size.max())):
            block = block[size[block] > number]
            at, after = first[block] + number, last[block]
            overlap = end[at] - start[after]
            take = overlap <= 0
            close = ~take & (end[at] < end[after]) & (start[at] < start[after]) & (overlap * OVERLAP < span[block])
            for i in numpy.flatnonzero(close):
                siblings = slice(first[block[i]], first[block[i]] + size[block[i]])
                low, high = start[after[i]], end[at[i]]
                within = ((start[siblings] >= low) & (start[siblings] <= high)).sum()
                within += ((end[siblings] >= low) & (end[siblings] <= high)).sum()
                take[i] = within == 2  # The end of one and the start of the other, and nothing else.
            at, which = at[take], block[take]
            excess = numpy.maximum(0, end[at] - start[at] - left[which])
            end[at] -= excess
            left[which] -= end[at] - start[at]
            chosen[at] = True
            last[which] = at
        self.exclusive[parent] = left
        kept = rows[chosen]
        self.end[kept] = end[chosen]
        self.on_path[kept] = True
        self.exclusive[kept] = end[chosen] - start[chosen]

    def _note(self, name: str, rows: IntArray, sizes: IntArray | None = None) -> None:
        if len(rows):
            self.notes.setdefault(name, []).append(self.table.trace[rows])
            if sizes is not None:
                self.largest[name] = max(self.largest.get(name, 0), int(sizes.max()))

    def _note_traces(self, name: str, traces: IntArray) -> None:
        if len(traces):
            self.notes.setdefault(name, []).append(traces)

    def _problems(self) -> tuple[Problem, ...]:
        numpy = deps.numpy
        problems = []
        for name in PROBLEMS:
            if name not in self.notes:
                continue
            traces = numpy.concatenate(self.notes[name])
            distinct = numpy.unique(traces)
            names = sorted(self.table.trace_ids[number] for number in distinct)
            problems.append(Problem(name, len(traces), len(distinct), tuple(names[:EXAMPLES]), self.largest.get(name)))
        for name, count in (
            ("repeated_span", self.table.repeated_spans),
            ("repeated_trace", self.table.repeated_traces),
        ):
            if count:
                problems.append(Problem(name, count, count, ()))
        return tuple(problems)


def _services(table: SpanTable) -> IntArray:
    """The number of each span's service."""
    numpy = deps.numpy
    numbers: dict[str, int] = {}
    services = [numbers.setdefault(service, len(numbers)) for service, operation in table.operations]
    return numpy.array(services or [0], dtype=numpy.int64)[table.operation]


def _running_maximum(values: IntArray, group: IntArray) -> IntArray:
    """The largest of ``values`` so far in each group; groups are numbered upwards, one after the other."""
    numpy = deps.numpy
    # One running maximum serves all groups: each is lifted above the largest value of the one before.
    step = int(values.max()) + 1
    if step * (int(group[-1]) + 1) < _LARGEST:
        return numpy.maximum.accumulate(values + group * step) - group * step
    # Spans of months in many groups: their ranks are small numbers.
    ordered = numpy.sort(values)
    rank = numpy.searchsorted(ordered, values)
    lifted = numpy.maximum.accumulate(rank + group * len(values)) - group * len(values)
    return ordered[lifted]
