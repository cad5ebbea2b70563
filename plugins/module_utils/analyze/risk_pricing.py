# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a size would have been too small, from daily percentiles alone.

Demand is always a share of the current capacity (1.0: all of it), sizes are ratios to the
current capacity, and both live on one logarithmic grid. Why this decides better than a
fixed percentile: docs/decisions/0002-risk-priced-sizing.md.
"""

from __future__ import annotations

import functools
import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import HOURS_PER_MONTH

if t.TYPE_CHECKING:
    import numpy
    import numpy.typing

    FloatArray = numpy.typing.NDArray[numpy.floating[t.Any]]
    IntArray = numpy.typing.NDArray[numpy.integer[t.Any]]
    BoolArray = numpy.typing.NDArray[numpy.bool_]

#: The grid: from 2**-10 (0.1 %) to 2**3 (8 times) of the current capacity, 16 points an octave (4.4 %).
LOWEST_OCTAVE = -10
HIGHEST_OCTAVE = 3
POINTS_PER_OCTAVE = 16

#: Minutes in a billing month (730 h).
MINUTES_PER_MONTH = HOURS_PER_MONTH * 60.0

#: How demand may have grown by the time that the new size carries it: factor -> probability.
GROWTH_SPREAD: tuple[tuple[float, float], ...] = ((1.0, 0.5), (1.2, 0.5))

#: No size may have less capacity than this times the average demand, whatever a minute is worth:
#: beyond it work piles up faster than it is done.
AVERAGE_FLOOR = 1.1


@functools.cache
def grid() -> FloatArray:
    """Capacity ratios at which curves are kept, ascending, shape (points,), float32."""
    np = deps.numpy
    count = (HIGHEST_OCTAVE - LOWEST_OCTAVE) * POINTS_PER_OCTAVE + 1
    points: FloatArray = np.exp2(LOWEST_OCTAVE + np.arange(count) / POINTS_PER_OCTAVE).astype(np.float32)
    points.setflags(write=False)
    return points


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


def exceedance(curve: FloatArray, weights: FloatArray) -> FloatArray:
    """Share of the time in which demand exceeds each grid point, shape (instances, points).

    ``curve``: (instances, periods, 4), demand as a share of current capacity at p50, p90,
    p99 and the maximum of each period; ``weights``: (instances, periods), summing to 1 for
    each instance (or 0 where there is no data). Between the percentiles demand is linear;
    beyond the maximum there is none; the lower half spreads down to half of the median.
    """
    np = deps.numpy
    points = grid()
    result = np.zeros((curve.shape[0], points.size), dtype=np.float32)
    lower = curve[..., 0] * np.float32(0.5)
    for index, share in enumerate((0.5, 0.4, 0.09, 0.01)):
        upper = curve[..., index]
        width = np.maximum(upper - lower, np.float32(1e-7))
        above = (upper[..., None] - points) / width[..., None]
        np.clip(above, 0.0, 1.0, out=above)
        result += np.float32(share) * np.einsum("idg,id->ig", above, weights)
        lower = upper
    return result


def grow(curves: FloatArray, spread: Sequence[tuple[float, float]]) -> FloatArray:
    """Exceedance when demand may have grown by each factor of ``spread`` with its probability."""
    np = deps.numpy
    result = np.zeros_like(curves)
    for factor, probability in spread:
        result += np.float32(probability) * at(curves, grid()[None, :] / np.float32(factor))
    return result


def at(curves: FloatArray, ratios: FloatArray) -> FloatArray:
    """Values of curves (instances, points) at ``ratios`` (instances or 1, n), linear between grid points."""
    np = deps.numpy
    last = curves.shape[1] - 1
    with np.errstate(divide="ignore"):
        position = (np.log2(ratios) - LOWEST_OCTAVE) * POINTS_PER_OCTAVE
    position = np.clip(position, 0.0, last)
    low = np.minimum(position.astype(np.intp), last - 1)
    fraction = (position - low).astype(np.float32)
    rows = np.arange(curves.shape[0])[:, None]
    left = curves[rows, low]
    return left + (curves[rows, low + 1] - left) * fraction


def percentile(curves: FloatArray, peak: FloatArray, wanted: float) -> FloatArray:
    """Demand that is exceeded at most ``100 - wanted`` percent of the time, shape (instances,).

    ``curves`` from :func:`exceedance`, ``peak`` the maximum over the window (instances,), which is
    the answer for 100 and bounds every other.
    """
    np = deps.numpy
    if wanted >= 100.0:
        return peak
    share = np.float32(1.0 - wanted / 100.0)
    points = grid()
    first = np.argmax(curves <= share, axis=1)
    before = np.maximum(first - 1, 0)
    rows = np.arange(curves.shape[0])
    high, low = curves[rows, before], curves[rows, first]
    part = np.where(high > low, (high - share) / np.maximum(high - low, np.float32(1e-12)), 1.0)
    crossing = points[before] + (points[first] - points[before]) * np.clip(part, 0.0, 1.0)
    result: FloatArray = np.minimum(crossing, peak).astype(np.float32)
    return result


def saturated_tail(curves: FloatArray, saturation: float, rows: BoolArray) -> FloatArray:
    """Demand beyond what a saturated machine could show.

    For ``rows`` (instances,), time above ``saturation`` is cut-off demand of unknown height: it is
    taken to exceed c with (saturation / c)**2 of its share, a Pareto tail, so that twice the capacity
    leaves a quarter of the overload minutes.
    """
    np = deps.numpy
    share = at(curves, np.full((curves.shape[0], 1), saturation, dtype=np.float32))
    beyond = np.where(grid() > saturation, (np.float32(saturation) / grid()) ** 2, 0.0)
    return np.where(rows[:, None], np.maximum(curves, share * beyond), curves)
