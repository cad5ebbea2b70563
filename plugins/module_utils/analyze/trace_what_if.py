# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much an operation could save at most: the traces are timed again without it, or with it twice as fast.

What ran one after the other still does, and a parent's own time between its calls stays what it was: each child
starts as long after the last of its predecessors' new ends as it did before, and its parent ends as long after its
last child. Nothing else gets slower, nothing waits for something new. That makes it a bound: the real saving is
smaller where the freed time meets another limit.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.critical_path import OVERLAP, Paths

if t.TYPE_CHECKING:
    from ansible_collections.frugal.cloud.plugins.module_utils.spans import BoolArray, IntArray

#: Traces that are timed again: more change the mean by less than traces differ from day to day.
TRACES = 1000


@dataclasses.dataclass(frozen=True, slots=True)
class Bound:
    """What changing one operation would save of the duration of a trace, at most: mean over ``traces``, in µs."""

    removed_us: float
    halved_us: float
    traces: int

    def to_dict(self) -> dict[str, t.Any]:
        """As plain data."""
        return {
            "removed_us": round(self.removed_us, 1),
            "halved_us": round(self.halved_us, 1),
            "traces": self.traces,
        }


def bounds(paths: Paths, operations: Sequence[int], traces: int = TRACES) -> dict[int, Bound]:
    """A :class:`Bound` for each of ``operations`` (positions in the table's), over evenly chosen rooted traces.

    A trace in which the operation is not on the critical path saves nothing and is not timed again.
    """
    numpy = deps.numpy
    rooted = numpy.flatnonzero(paths.roots >= 0)
    if len(rooted) > traces:
        rooted = rooted[(numpy.arange(traces) * len(rooted)) // traces]
    if not len(rooted):
        return {}
    sampled = numpy.zeros(len(paths.table.trace_ids), dtype=bool)
    sampled[rooted] = True
    again = _Retimed(paths)
    result = {}
    for operation in operations:
        target = (paths.table.operation == operation) & sampled[paths.table.trace] & paths.rooted
        concerned = numpy.unique(paths.table.trace[target & paths.on_path])
        chosen = target & numpy.isin(paths.table.trace, concerned)
        result[operation] = Bound(
            removed_us=again.saved(chosen, paths.roots[concerned], 0.0) / len(rooted),
            halved_us=again.saved(chosen, paths.roots[concerned], 0.5) / len(rooted),
            traces=len(rooted),
        )
    return result


def saved_without(paths: Paths, target: BoolArray, factor: float = 0.0) -> float:
    """µs that all rooted traces together save when the spans ``target`` take ``factor`` of their time."""
    return _Retimed(paths).saved(target & paths.rooted, paths.roots[paths.roots >= 0], factor)


class _Retimed:
    """Times traces again."""

    def __init__(self, paths: Paths) -> None:
        numpy = deps.numpy
        self.up = paths.up
        self.start = paths.start
        self.end = paths.end
        attached = numpy.flatnonzero(paths.rooted & (paths.up >= 0))
        order = numpy.lexsort((attached, paths.end[attached], paths.start[attached], paths.up[attached]))
        self.children = attached[order]
        self.many = numpy.bincount(paths.up[attached], minlength=len(paths.up))
        self.first = numpy.cumsum(self.many) - self.many

    def saved(self, target: BoolArray, roots: IntArray, factor: float) -> float:
        """µs by which the roots become shorter, together."""
        numpy = deps.numpy
        touched: set[int] = set()
        for row in numpy.flatnonzero(target).tolist():
            at = int(self.up[row])
            while at >= 0 and at not in touched:
                touched.add(at)
                at = int(self.up[at])
        stretched = set(numpy.flatnonzero(target).tolist())
        return sum(self._shrinks(row, stretched, touched, factor) for row in roots.tolist())

    def _shrinks(self, root: int, target: set[int], touched: set[int], factor: float) -> float:
        """µs by which a span becomes shorter. Children first, without recursion: traces may be thousands deep."""
        shorter: dict[int, float] = {}
        stack = [(root, False)]
        while stack:
            row, ready = stack.pop()
            if row in target:
                shorter[row] = (1.0 - factor) * float(self.end[row] - self.start[row])
            elif row not in touched:
                shorter[row] = 0.0
            elif ready:
                shorter[row] = self._children_end(row, shorter)
            else:
                stack.append((row, True))
                first = self.first[row]
                stack.extend((child, False) for child in self.children[first : first + self.many[row]].tolist())
        return shorter[root]

    def _children_end(self, row: int, shorter: dict[int, float]) -> float:
        """µs by which the last child of ``row`` ends earlier."""
        first = self.first[row]
        rows = self.children[first : first + self.many[row]].tolist()
        starts = self.start[rows].tolist()
        ends = self.end[rows].tolist()
        tolerated = (self.end[row] - self.start[row]) / OVERLAP
        by_end = sorted(range(len(rows)), key=ends.__getitem__)
        new_ends = [0.0] * len(rows)
        # The latest end before and now of what ended before the start looked at; starts only grow.
        reached, old, new = 0, -math.inf, -math.inf
        for i, child in enumerate(rows):
            while reached < len(rows) and ends[by_end[reached]] <= starts[i] and by_end[reached] < i:
                j = by_end[reached]
                old, new = max(old, ends[j]), max(new, new_ends[j])
                reached += 1
            before, now = old, new
            # "Before" as on the critical path: ended, or overlapping by less than 1 % of the parent.
            for j in itertools.islice(by_end, reached, None):
                if ends[j] - starts[i] >= tolerated:
                    break
                if j < i and ends[j] < ends[i] and starts[j] < starts[i]:
                    before, now = max(before, ends[j]), max(now, new_ends[j])
            new_ends[i] = ends[i] - (before - now if before > -math.inf else 0.0) - shorter[child]
        return float(max(0.0, max(ends) - max(new_ends)))
