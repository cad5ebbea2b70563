# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The miss-ratio curve of a least-recently-used cache, in bytes, from a sample of keys.

Reuse distances of keys sampled by hash are those of the whole, scaled (Waldspurger et al., Efficient MRC Construction
with SHARDS, FAST 2015, with its correction SHARDS-adj); a Fenwick tree gives each in logarithmic time (Olken 1981).
"""

from __future__ import annotations

import bisect
import dataclasses
import math
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_accesses import (
    CLEAR,
    DELETE,
    EXPIRE,
    FILL,
    READ,
    Accesses,
)


@dataclasses.dataclass(frozen=True)
class Curve:
    """Hit ratio by memory: ``distances`` (bytes, ascending) of the reads that a large enough cache answers.

    ``reads`` counts all that were judged, ``always`` those that any size answers (may be negative: SHARDS-adj).
    """

    distances: t.Sequence[float]
    reads: float
    always: float = 0.0

    def hit_ratio(self, size: float) -> float:
        """Share of reads that a cache of ``size`` bytes answers; NaN without reads."""
        if self.reads <= 0:
            return math.nan
        hits = bisect.bisect_right(self.distances, size) + (self.always if size > 0 else 0.0)
        return min(1.0, max(0.0, hits / self.reads))

    @property
    def best(self) -> float:
        """The hit ratio of a cache without limit."""
        return self.hit_ratio(math.inf)


class _Fenwick:
    """Sums over a growing line of positions."""

    def __init__(self, count: int) -> None:
        self._tree = [0.0] * (count + 1)

    def add(self, at: int, value: float) -> None:
        at += 1
        tree = self._tree
        while at < len(tree):
            tree[at] += value
            at += at & -at

    def before(self, at: int) -> float:
        """The sum of all positions below ``at``."""
        total, tree = 0.0, self._tree
        while at > 0:
            total += tree[at]
            at -= at & -at
        return total


def lru_curve(found: Accesses, warm_share: float = 0.5) -> Curve:
    """The curve of ``found``; reads in the first ``warm_share`` of the sample only warm the cache up."""
    tree = _Fenwick(len(found.keys))
    sizes = found.sizes
    position = [-1] * len(sizes)
    expires = [0] * len(sizes)
    distances: list[float] = []
    total, judged = 0.0, 0
    warm = found.judged_from(warm_share)
    for number, (at, key, kind, life) in enumerate(zip(found.times, found.keys, found.kinds, found.sets)):
        if kind == CLEAR:
            for other, where in enumerate(position):
                if where >= 0:
                    tree.add(where, -sizes[other])
                    position[other] = -1
            total = 0.0
            continue
        where, size = position[key], sizes[key]
        if where >= 0 and (kind == DELETE or 0 < expires[key] <= at):
            tree.add(where, -size)
            total -= size
            position[key] = where = -1
        if kind == DELETE:
            continue
        if kind == EXPIRE:
            if where >= 0:
                expires[key] = at + life * 1000 if life else 0
            continue
        if kind == READ:
            if found.positions[number] > warm:
                judged += 1
                if where >= 0:
                    distances.append((total - tree.before(where)) / found.rate)
            if found.absent[key] or (where < 0 and not found.read_through):
                continue
        # What a fill does has been done by its read.
        if kind == FILL and where >= 0 and found.read_through:
            expires[key] = at + life * 1000 if life else 0
            continue
        if where >= 0:
            tree.add(where, -size)
            total -= size
        else:
            expires[key] = at + found.lives[key] * 1000 if found.lives[key] else 0
        if kind != READ:
            expires[key] = at + life * 1000 if life else 0
        tree.add(number, size)
        total += size
        position[key] = number
    distances.sort()
    more = found.adjustment(warm, judged)
    return Curve(distances, judged + more, more)
