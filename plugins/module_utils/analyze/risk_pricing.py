# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a size would be too small, from five statistics a day: the engine's view of risk.

Demand is always a share of a reference capacity (1.0: all of it), sizes are ratios to the
same reference, and both live on one logarithmic grid, so that a machine's whole risk is one
curve: the share of time in which demand exceeds each capacity. Why pricing that curve decides
better than a fixed percentile, and how the constants were found:
docs/decisions/0002-risk-priced-sizing.md.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import HOURS_PER_MONTH

if t.TYPE_CHECKING:
    import numpy
    import numpy.typing

    FloatArray = numpy.typing.NDArray[numpy.floating[t.Any]]
    IntArray = numpy.typing.NDArray[numpy.integer[t.Any]]
    BoolArray = numpy.typing.NDArray[numpy.bool_]

#: The grid: from 2**-10 (0.1 %) to 2**3 (8 times) of the reference, 16 points an octave (4.4 %).
LOWEST_OCTAVE = -10
HIGHEST_OCTAVE = 3
POINTS_PER_OCTAVE = 16

#: Minutes in a billing month (730 h).
MINUTES_PER_MONTH = HOURS_PER_MONTH * 60.0

#: Share of the time between the statistics of a period: below p50, p50 to p90, p90 to p99, above p99.
SHARES = (0.5, 0.4, 0.09, 0.01)
#: The lower half of a period reaches down to this share of its median.
LOWEST_SHARE_OF_MEDIAN = 0.5

#: Older periods count less: half as much every so many days.
HALF_LIFE_DAYS = 7.0

#: Demand of the months to come is the past times a random factor. Usually it changes as much as
#: the machine's days differ: a normal spread of the logarithm, as wide as that of the daily maxima
#: within these bounds. Sometimes it changes for good (release, customer, neighbour): a
#: heavy-tailed spread (Student t), in whose favour speaks (LASTING_CHANGES) / (days + LASTING_CHANGES),
#: Laplace's rule of succession for something not yet seen in so many days.
USUAL_SPREAD_LEAST = 0.04
USUAL_SPREAD_MOST = 0.25
LASTING_SPREAD = 0.40
LASTING_FREEDOM = 3.0
LASTING_CHANGES = 2.0
#: The factor is followed from exp(-1.6) to exp(3.2).
SPREAD_FROM = -1.6
SPREAD_TO = 3.2

#: A trend counts when Mann and Kendall's test finds it this clear (standard deviations), is continued
#: for half of the history's length, and never by more than exp(0.5). Falling demand is not relied on.
TREND_DEVIATIONS = 2.0
TREND_CONTINUATION = 0.5
TREND_LIMIT = 0.5

#: No size may have less capacity than this times the average demand, whatever a minute is worth:
#: below it, work piles up faster than it is done.
AVERAGE_FLOOR = 1.0


@functools.cache
def grid() -> FloatArray:
    """Capacity ratios at which curves are kept, ascending, shape (points,), float32."""
    np = deps.numpy
    count = (HIGHEST_OCTAVE - LOWEST_OCTAVE) * POINTS_PER_OCTAVE + 1
    points: FloatArray = np.exp2(LOWEST_OCTAVE + np.arange(count) / POINTS_PER_OCTAVE).astype(np.float32)
    points.setflags(write=False)
    return points


@dataclasses.dataclass(frozen=True)
class Demand:
    """One dimension of usage (CPU, network, ...) of some instances, as read from its statistics.

    Arrays have shape (instances, ...). ``curve``: (periods, 4), p50, p90, p99 and maximum;
    ``averages``: (periods,), 0 where there is no data; ``usable``: (periods,); ``observed``:
    (points,), share of the time above each grid point, every period counting the same;
    ``peak``, ``average``, ``busiest`` (highest average of a period): NaN without data;
    ``periods``: how many are usable. ``sample_share``: one sample's share of a period.
    """

    curve: FloatArray
    averages: FloatArray
    usable: BoolArray
    observed: FloatArray
    peak: FloatArray
    average: FloatArray
    busiest: FloatArray
    periods: FloatArray
    sample_share: FloatArray
    period_seconds: int

    @classmethod
    def of(cls, statistics: FloatArray, period_seconds: int, sample_seconds: FloatArray | int) -> Demand:
        """Read statistics of shape (instances, periods, 5), in the order of ``STATISTICS``.

        ``sample_seconds``: interval of the samples that the statistics summarise, one for all or
        (instances,). A period without a maximum counts as one without data.
        """
        np = deps.numpy
        curve, usable = clean_statistics(statistics)
        counts = usable.sum(axis=1)
        averages = np.where(np.isfinite(statistics[..., 4]), statistics[..., 4], curve[..., 0]).astype(np.float32)
        averages = np.where(usable, np.clip(averages, 0.0, curve[..., 3]), np.float32(0.0))
        share = np.broadcast_to(np.asarray(sample_seconds, dtype=np.float32) / np.float32(period_seconds), counts.shape)
        share = np.minimum(share, np.float32(SHARES[-1]))
        weights = (usable / np.maximum(counts, 1)[:, None]).astype(np.float32)
        missing = counts == 0

        def known(values: FloatArray) -> FloatArray:
            return t.cast("FloatArray", np.where(missing, np.float32(np.nan), values).astype(np.float32))

        return cls(
            curve=curve,
            averages=averages,
            usable=usable,
            observed=exceedance(curve, averages, weights, share),
            peak=known(curve[..., 3].max(axis=1, initial=0.0)),
            average=known((averages * weights).sum(axis=1)),
            busiest=known(averages.max(axis=1, initial=0.0)),
            periods=counts.astype(np.float32),
            sample_share=share,
            period_seconds=period_seconds,
        )

    def percentile(self, wanted: float) -> FloatArray:
        """Demand exceeded at most ``100 - wanted`` percent of the time, (instances,); 100 is the maximum.

        It is put together from the daily curves, so it comes close to, but is not, the
        percentile of the raw samples. NaN without data.
        """
        np = deps.numpy
        if wanted >= 100.0:
            return self.peak
        share = np.float32(1.0 - wanted / 100.0)
        points = grid()
        first = np.argmax(self.observed <= share, axis=1)
        before = np.maximum(first - 1, 0)
        rows = np.arange(first.size)
        high, low = self.observed[rows, before], self.observed[rows, first]
        part = np.where(high > low, (high - share) / np.maximum(high - low, np.float32(1e-12)), 1.0)
        crossing = points[before] + (points[first] - points[before]) * np.clip(part, 0.0, 1.0)
        return t.cast("FloatArray", np.minimum(crossing, self.peak).astype(np.float32))

    def share_above(self, level: float) -> FloatArray:
        """Share of the time in which demand was above ``level``, (instances,)."""
        np = deps.numpy
        return at(self.observed, np.full((self.observed.shape[0], 1), level, dtype=np.float32))[:, 0]

    def expected(self) -> FloatArray:
        """Share of the coming months in which demand will exceed each grid point, (instances, points).

        Recent periods weigh more, a clear upward trend is continued, and the result is
        averaged over how demand may have changed until then.
        """
        np = deps.numpy
        days = self.period_seconds / 86_400.0
        age = (self.usable.shape[1] - 1 - np.arange(self.usable.shape[1])) * days
        weights = self.usable * np.exp2(-age / HALF_LIFE_DAYS)
        weights = (weights / np.maximum(weights.sum(axis=1), 1e-9)[:, None]).astype(np.float32)
        factor = growth(self.curve[..., 2], self.usable)
        curves = exceedance(
            self.curve * factor[:, None, None], self.averages * factor[:, None], weights, self.sample_share
        )
        lasting = LASTING_CHANGES / (self.periods * np.float32(days) + np.float32(LASTING_CHANGES))
        return _spread_over_changes(curves, usual_spread(self.curve[..., 3], self.usable), lasting)


def clean_statistics(statistics: FloatArray) -> tuple[FloatArray, BoolArray]:
    """Make the percentile curves of (instances, periods, 5) usable; also say which periods are.

    A period counts when it has a maximum. A percentile that is missing there is taken as the
    next higher one (never as less demand than there may have been), and the curve is made
    non-decreasing. Unusable periods become zeros. Returns arrays of shape
    (instances, periods, 4): p50, p90, p99, maximum; and (instances, periods).
    """
    np = deps.numpy
    curve = np.array(statistics[..., :4], dtype=np.float32)
    usable: BoolArray = np.isfinite(curve[..., 3])
    for index in (2, 1, 0):
        curve[..., index] = np.where(np.isfinite(curve[..., index]), curve[..., index], curve[..., index + 1])
        curve[..., index] = np.minimum(curve[..., index], curve[..., index + 1])
    curve[~usable] = 0.0
    return np.maximum(curve, 0.0), usable


def exceedance(curve: FloatArray, averages: FloatArray, weights: FloatArray, sample_share: FloatArray) -> FloatArray:
    """Share of the time in which demand exceeds each grid point, shape (instances, points).

    ``curve``: (instances, periods, 4), p50, p90, p99 and maximum; ``averages`` and
    ``weights``: (instances, periods), weights summing to 1 for each instance (or 0 without
    data); ``sample_share``: (instances,), one sample's share of a period.

    Between two percentiles demand is spread evenly, or sits at the lower or upper one, in the
    mixture that gives the period's true average: a job that runs 2 % of the day is a step and
    not a slope, and the average tells. One sample reaches the maximum; beyond it there is nothing.
    """
    np = deps.numpy
    shares = np.array(SHARES, dtype=np.float32)
    lower = np.concatenate([curve[..., :1] * np.float32(LOWEST_SHARE_OF_MEDIAN), curve[..., :3]], axis=-1)
    width = curve - lower
    least = (lower * shares).sum(axis=-1)
    spread = (width * shares).sum(axis=-1)
    # 0: all at the lower percentiles, 1: even, 2: all at the upper ones.
    place = np.clip(2.0 * (averages - least) / np.maximum(spread, np.float32(1e-9)), 0.0, 2.0)
    even = (weights * np.minimum(place, 2.0 - place)).astype(np.float32)
    result = np.zeros((curve.shape[0], grid().size), dtype=np.float32)
    values, masses = [curve[..., 3]], [weights * sample_share[:, None]]
    for index in range(4):
        share = shares[index] - (sample_share[:, None] if index == 3 else np.float32(0.0))
        above = (curve[..., index, None] - grid()) / np.maximum(width[..., index, None], np.float32(1e-7))
        np.clip(above, 0.0, 1.0, out=above)
        result += np.einsum("idg,id->ig", above, even * share)
        values += [lower[..., index], curve[..., index]]
        masses += [weights * share * np.maximum(1.0 - place, 0.0), weights * share * np.maximum(place - 1.0, 0.0)]
    return result + _steps(np.concatenate(values, axis=1), np.concatenate(masses, axis=1))


def _steps(values: FloatArray, masses: FloatArray) -> FloatArray:
    """Exceedance of demand that sits at ``values`` with ``masses`` (both (instances, n)): (instances, points)."""
    np = deps.numpy
    count, size = values.shape[0], grid().size
    position = np.searchsorted(grid(), values.ravel(), side="left").reshape(values.shape)
    flat = (position + np.arange(count)[:, None] * (size + 1)).ravel()
    bins = np.bincount(flat, weights=masses.ravel(), minlength=count * (size + 1)).reshape(count, size + 1)
    above = np.cumsum(bins[:, ::-1], axis=1)[:, ::-1]
    return t.cast("FloatArray", above[:, 1:].astype(np.float32))


def usual_spread(peaks: FloatArray, usable: BoolArray) -> FloatArray:
    """How much demand usually changes: standard deviation of the logarithm of the daily maxima, (instances,)."""
    np = deps.numpy
    counts = np.maximum(usable.sum(axis=1), 1)
    logarithms = np.where(usable, np.log(np.maximum(peaks, np.float32(1e-4))), 0.0)
    centred = np.where(usable, logarithms - (logarithms.sum(axis=1) / counts)[:, None], 0.0)
    deviation = np.sqrt((centred**2).sum(axis=1) / np.maximum(counts - 1, 1))
    return t.cast("FloatArray", np.clip(deviation, USUAL_SPREAD_LEAST, USUAL_SPREAD_MOST))


def _spread_over_changes(curves: FloatArray, usual: FloatArray, lasting: FloatArray) -> FloatArray:
    """Average curves (instances, points) over changes of demand.

    ``usual``: spread of the usual changes, ``lasting``: how likely a lasting one is, both (instances,).
    A loop over shifts instead of a matrix product: BLAS threads that wait for each other on a
    busy machine take longer than the whole analysis.
    """
    np = deps.numpy
    step = math.log(2.0) / POINTS_PER_OCTAVE
    shifts = np.arange(math.ceil(SPREAD_FROM / step), math.floor(SPREAD_TO / step) + 1)
    often = np.exp(-0.5 * (shifts * step / usual[:, None]) ** 2)
    seldom = (1.0 + (shifts * step / LASTING_SPREAD) ** 2 / LASTING_FREEDOM) ** (-(LASTING_FREEDOM + 1.0) / 2.0)
    probability = (1.0 - lasting)[:, None] * often / often.sum(axis=1, keepdims=True)
    probability += lasting[:, None] * seldom / seldom.sum()
    probability = probability.astype(np.float32)
    size, low, high = curves.shape[1], int(-shifts[0]), int(shifts[-1])
    padded = np.concatenate(
        [np.repeat(curves[:, :1], high, axis=1), curves, np.repeat(curves[:, -1:], low, axis=1)], axis=1
    )
    result = np.zeros_like(curves)
    for index, shift in enumerate(shifts.tolist()):
        # Demand times exp(change) exceeds a point when today's exceeds the point `shift` places lower.
        result += probability[:, index, None] * padded[:, high - shift : high - shift + size]
    return result


def growth(values: FloatArray, usable: BoolArray) -> FloatArray:
    """Factor by which a clear upward trend carries on, at least 1, shape (instances,).

    ``values``, ``usable``: (instances, periods). Slope of the logarithm by Theil and Sen, clear by
    Mann and Kendall's test (:data:`TREND_DEVIATIONS`).
    """
    np = deps.numpy
    result = np.ones(values.shape[0], dtype=np.float32)
    enough = np.flatnonzero(usable.sum(axis=1) >= 4)
    if not enough.size:
        return t.cast("FloatArray", result)
    logarithms = np.log(np.maximum(values[enough], np.float32(1e-4)))
    early, late = np.triu_indices(values.shape[1], 1)
    both = usable[enough][:, early] & usable[enough][:, late]
    rise = logarithms[:, late] - logarithms[:, early]
    counts = usable[enough].sum(axis=1)
    score = (np.sign(rise) * both).sum(axis=1) / np.sqrt(counts * (counts - 1.0) * (2.0 * counts + 5.0) / 18.0)
    clear = np.flatnonzero(score >= TREND_DEVIATIONS)
    if clear.size:
        slopes = np.where(both[clear], rise[clear] / (late - early), np.inf)
        slopes.sort(axis=1)
        pairs = both[clear].sum(axis=1)
        rows = np.arange(clear.size)
        slope = 0.5 * (slopes[rows, (pairs - 1) // 2] + slopes[rows, pairs // 2])
        result[enough[clear]] = np.exp(np.clip(TREND_CONTINUATION * slope * counts[clear], 0.0, TREND_LIMIT))
    return t.cast("FloatArray", result)


def at(curves: FloatArray, ratios: FloatArray) -> FloatArray:
    """Values of curves (instances, points) at ``ratios`` (instances or 1, n), linear between grid points."""
    np = deps.numpy
    last = curves.shape[1] - 1
    position = (np.log2(np.maximum(ratios, np.float32(1e-9))) - LOWEST_OCTAVE) * POINTS_PER_OCTAVE
    position = np.clip(position, 0.0, last)
    low = np.minimum(position.astype(np.intp), last - 1)
    fraction = (position - low).astype(np.float32)
    rows = np.arange(curves.shape[0])[:, None]
    left = curves[rows, low]
    return t.cast("FloatArray", left + (curves[rows, low + 1] - left) * fraction)


def saturated_tail(curves: FloatArray, saturation: float, rows: BoolArray) -> FloatArray:
    """Demand beyond what a saturated machine could show.

    For ``rows`` (instances,), time above ``saturation`` is cut-off demand of unknown height: it is
    taken to exceed c with (saturation / c)**2 of its share, a Pareto tail, so that twice the capacity
    leaves a quarter of the overload minutes.
    """
    np = deps.numpy
    share = at(curves, np.full((curves.shape[0], 1), saturation, dtype=np.float32))
    beyond = np.where(grid() > saturation, (np.float32(saturation) / grid()) ** 2, 0.0)
    return t.cast("FloatArray", np.where(rows[:, None], np.maximum(curves, share * beyond), curves))


def priced(costs: FloatArray, minutes: FloatArray, minute_price: FloatArray, possible: BoolArray) -> FloatArray:
    """What each size costs with its overload minutes, infinite where it is not possible.

    ``costs`` and ``minutes`` (both a month) and ``possible``: (instances, sizes) or
    (sizes,); ``minute_price``: (instances,). The smallest value of a row is the size to choose.
    """
    np = deps.numpy
    return t.cast("FloatArray", np.where(possible, costs + minute_price[:, None] * minutes, np.inf))
