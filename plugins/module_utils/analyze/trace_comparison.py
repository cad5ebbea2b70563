# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the traces of two windows: are requests slower, and which operation made them so?

Durations are neither normal nor independent of load, so the test is one of ranks: Mann-Whitney's U, two-sided.
With many traces any difference becomes significant; the size of the effect therefore has to speak too: Cliff's
delta, with the thresholds of Romano et al. (2006): below 0.147 negligible, 0.33 small, 0.474 medium. Several
operations are tested at once: Holm's correction keeps the chance of one false alarm among all at the level.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.critical_path import Paths
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.trace_operations import path_per_trace

if t.TYPE_CHECKING:
    from ansible_collections.frugal.cloud.plugins.module_utils.spans import IntArray

#: Chance of at least one false alarm among all operations.
LEVEL = 0.01
#: Traces that each window needs before anything is said about an operation.
FEWEST = 20
NEGLIGIBLE, SMALL, MEDIUM = 0.147, 0.33, 0.474


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One kind of request (``what`` is ``request``) or one operation on the path (``operation``), before and now.

    Medians and means in µs over traces. ``delta`` is Cliff's: the chance that a trace of now is slower than one of
    before, minus the chance that it is faster. ``p_value`` is corrected. ``contribution_us`` is what the operation
    adds to the mean duration of a request: over all operations these add up to its change.
    """

    what: str
    service: str
    operation: str
    verdict: str
    effect: str
    traces_before: int
    traces_now: int
    median_before_us: float
    median_now_us: float
    mean_before_us: float
    mean_now_us: float
    delta: float | None
    p_value: float | None
    contribution_us: float

    def to_dict(self) -> dict[str, t.Any]:
        """As plain data."""
        return {
            name: round(value, 6) if isinstance(value, float) else value
            for name, value in dataclasses.asdict(self).items()
        }


def compare(before: Paths, now: Paths) -> list[Change]:
    """Requests first (most traces first), then operations by the size of what they add."""
    requests = _changes("request", _requests(before), _requests(now))
    operations = _changes("operation", _operations(before), _operations(now))
    requests.sort(key=lambda row: (-row.traces_now, row.service, row.operation))
    operations.sort(key=lambda row: (-abs(row.contribution_us), row.service, row.operation))
    return requests + operations


Samples: t.TypeAlias = "tuple[dict[tuple[str, str], IntArray], int]"


def _requests(paths: Paths) -> Samples:
    """Durations of roots, by their operation, and how many traces there are."""
    numpy = deps.numpy
    roots = paths.roots[paths.roots >= 0]
    operations = paths.table.operation[roots]
    durations = paths.end[roots] - paths.start[roots]
    return {
        paths.table.operations[number]: durations[operations == number] for number in numpy.unique(operations).tolist()
    }, len(roots)


def _operations(paths: Paths) -> Samples:
    """Time on the path, by operation, of the traces in which it is there."""
    numpy = deps.numpy
    operations, spent = path_per_trace(paths)
    return {
        paths.table.operations[number]: spent[operations == number] for number in numpy.unique(operations).tolist()
    }, int((paths.roots >= 0).sum())


def _changes(what: str, before: Samples, now: Samples) -> list[Change]:
    numpy = deps.numpy
    (olds, traces_before), (news, traces_now) = before, now
    none = numpy.zeros(0, dtype=numpy.int64)
    names = sorted(set(olds) | set(news))
    tested: dict[tuple[str, str], tuple[float, float]] = {}
    for name in names:
        old, new = olds.get(name, none), news.get(name, none)
        if min(len(old), len(new)) >= FEWEST:
            tested[name] = mann_whitney(old, new)
    corrected = dict(zip(tested, holm([p for p, delta in tested.values()])))
    changes = []
    for name in names:
        old, new = olds.get(name, none), news.get(name, none)
        delta = tested[name][1] if name in tested else None
        p_value = corrected.get(name)
        changes.append(
            Change(
                what=what,
                service=name[0],
                operation=name[1],
                verdict=_verdict(len(old), len(new), delta, p_value),
                effect=_effect(delta),
                traces_before=len(old),
                traces_now=len(new),
                median_before_us=float(numpy.median(old)) if len(old) else 0.0,
                median_now_us=float(numpy.median(new)) if len(new) else 0.0,
                mean_before_us=float(numpy.mean(old)) if len(old) else 0.0,
                mean_now_us=float(numpy.mean(new)) if len(new) else 0.0,
                delta=delta,
                p_value=p_value,
                contribution_us=int(new.sum()) / max(1, traces_now) - int(old.sum()) / max(1, traces_before),
            )
        )
    return changes


def mann_whitney(old: IntArray, new: IntArray) -> tuple[float, float]:
    """(two-sided p value, Cliff's delta) of ``new`` against ``old``; delta above 0: new is larger."""
    if old.min() == old.max() == new.min() == new.max():
        return 1.0, 0.0  # Nothing but ties: the normal approximation would divide by 0.
    result = deps.scipy_stats.mannwhitneyu(new, old, alternative="two-sided", method="asymptotic")
    return float(result.pvalue), 2.0 * float(result.statistic) / (len(old) * len(new)) - 1.0


def holm(values: t.Sequence[float]) -> list[float]:
    """Holm's step-down correction (Holm 1979) of p values, in their order."""
    corrected = [0.0] * len(values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=lambda place: values[place])):
        largest = max(largest, min(1.0, (len(values) - rank) * values[place]))
        corrected[place] = largest
    return corrected


def _verdict(before: int, now: int, delta: float | None, p_value: float | None) -> str:
    if not before:
        return "new"
    if not now:
        return "gone"
    if delta is None or p_value is None:
        return "too few traces"
    if p_value >= LEVEL or abs(delta) < NEGLIGIBLE:
        return "no change shown"
    return "slower" if delta > 0 else "faster"


def _effect(delta: float | None) -> str:
    if delta is None:
        return "not known"
    size = abs(delta)
    return "negligible" if size < NEGLIGIBLE else "small" if size < SMALL else "medium" if size < MEDIUM else "large"
