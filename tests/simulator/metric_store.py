# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statistics of metric samples by period, as CloudWatch gives them.

Percentiles are interpolated linearly between samples (numpy's default). Periods begin at
the request's start time, which is rounded down to the minute, to five minutes or to the
hour where it is more than 15 or 63 days ago, as
https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_GetMetricData.html says.

Fast because the samples of a :class:`~simulator.usage.Shape` are cut into periods and sorted
once for all instances that share it: scaling and clipping keep the order, so a percentile of
10,000 instances is 10,000 look-ups.
"""

from __future__ import annotations

import collections
import dataclasses
import re
import typing as t

import numpy as np

from simulator.errors import AwsError

if t.TYPE_CHECKING:
    import numpy.typing as npt

    from simulator.usage import Shape

    Array = npt.NDArray[np.float64]

DAY = 86400.0


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """``clip(offset + scale * shape, low, high)`` between two moments: one size of an instance."""

    start: float
    end: float
    shape: Shape
    scale: float
    offset: float = 0.0
    low: float = 0.0
    high: float = np.inf

    def apply(self, values: npt.NDArray[t.Any]) -> Array:
        """The metric's values for values of the shape (NaN stays NaN)."""
        # Not np.clip: its checks cost more than the work on a month of daily values.
        return np.minimum(np.maximum(self.offset + self.scale * values.astype(np.float64), self.low), self.high)


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """``periods`` periods of ``period`` seconds from ``start``; samples after ``end`` do not exist yet."""

    start: float
    period: int
    periods: int
    end: float

    def timestamps(self) -> list[float]:
        """When each period begins."""
        return [self.start + index * self.period for index in range(self.periods)]


def rounded_start(start: float, now: float) -> float:
    """The start time as CloudWatch rounds it (see the module)."""
    age = now - start
    step = 60 if age < 15 * DAY else 300 if age < 63 * DAY else 3600
    return float(start // step * step)


def retained_from(period: int, now: float) -> float:
    """The oldest moment for which data points of this period are kept: 15, 63 or 455 days."""
    days = 15 if period < 300 else 63 if period < 3600 else 455
    return now - days * DAY


# --- statistics --------------------------------------------------------------------------

_PLAIN = {"Average", "Maximum", "Minimum", "Sum", "SampleCount", "IQM"}
_SHORT = re.compile(r"(p|tm|wm|tc|ts)(\d{1,2}(?:\.\d{1,10})?|100)", re.IGNORECASE)
_RANGE = re.compile(r"(PR|TM|WM|TC|TS)\((\d+(?:\.\d+)?%?)?:(\d+(?:\.\d+)?%?)?\)")


@dataclasses.dataclass(frozen=True, slots=True)
class Statistic:
    """A statistic that CloudWatch knows: ``kind`` with bounds as shares (0..1) or values."""

    kind: str
    low: float | None = None
    high: float | None = None
    shares: bool = False


def parse_statistic(text: str) -> Statistic:
    """``Average``, ``p99.9``, ``tm95``, ``TM(10%:90%)``, ``PR(100:2000)`` and their relatives."""
    if text in _PLAIN:
        return Statistic("TM", 0.25, 0.75, True) if text == "IQM" else Statistic(text)
    short = _SHORT.fullmatch(text)
    if short:
        kind = short[1].upper()
        return Statistic(kind, None, float(short[2]) / 100, True)
    bounds = _RANGE.fullmatch(text)
    if bounds and (bounds[2] or bounds[3]):
        shares = (bounds[2] or bounds[3]).endswith("%")
        low, high = (
            None if part is None else float(part.rstrip("%")) / (100 if shares else 1) for part in bounds.group(2, 3)
        )
        if not (shares and bounds[1] == "PR"):
            return Statistic(bounds[1], low, high, shares)
    raise AwsError("ValidationError", f"The value {text} for parameter Stat is not supported.")


@dataclasses.dataclass(slots=True)
class SortedPeriods:
    """Samples by period, ascending, NaN last: shape (periods, samples a period)."""

    values: npt.NDArray[t.Any]
    counts: npt.NDArray[np.int64]
    means: Array
    maximum: float
    #: share -> samples below and above that rank, and how far between them it lies
    ranks: dict[float, tuple[npt.NDArray[t.Any], npt.NDArray[t.Any], Array]] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, rows: npt.NDArray[t.Any]) -> SortedPeriods:
        """Sort rows of samples; NaN is no sample."""
        values = np.sort(rows, axis=1)
        counts = np.count_nonzero(~np.isnan(values), axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.nansum(values, axis=1, dtype=np.float64) / counts
        maximum = float(np.nanmax(values)) if counts.any() else 0.0
        return cls(values, counts, means, maximum)


def evaluate(statistic: Statistic, rows: SortedPeriods, piece: Piece | None) -> Array:
    """The statistic of each period, shape (periods,); NaN where there is no sample.

    ``piece`` says what to do to the values first; None: they are final.
    """
    counts = rows.counts
    empty = counts == 0
    kind = statistic.kind
    if kind == "SampleCount":
        result = counts.astype(np.float64)
    elif kind in ("Maximum", "Minimum", "P"):
        share = {"Maximum": 1.0, "Minimum": 0.0}.get(kind, statistic.high)
        result = _percentile(rows, float(t.cast(float, share)), piece)
    elif kind in ("Average", "Sum"):
        result = _mean(rows, piece)
        if kind == "Sum":
            result = result * counts
    else:
        result = _ranged(statistic, rows, piece)
    return np.where(empty, np.nan, result)


def _percentile(rows: SortedPeriods, share: float, piece: Piece | None) -> Array:
    known = rows.ranks.get(share)
    if known is None:
        position = np.maximum(rows.counts - 1, 0) * share
        below = np.floor(position).astype(np.int64)
        above = np.minimum(below + 1, np.maximum(rows.counts - 1, 0))
        index = np.arange(len(rows.counts))
        known = rows.ranks[share] = rows.values[index, below], rows.values[index, above], position - below
    low, high, fraction = known
    if piece:
        low, high = piece.apply(low), piece.apply(high)
    return np.asarray(low + (high - low) * fraction, np.float64)


def _mean(rows: SortedPeriods, piece: Piece | None) -> Array:
    if piece is None:
        return rows.means
    smallest = rows.values[:, 0].min() if rows.values.size else 0.0
    unclipped = piece.offset + piece.scale * rows.maximum <= piece.high
    if unclipped and piece.offset + piece.scale * smallest >= piece.low:
        return piece.offset + piece.scale * rows.means
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nansum(piece.apply(rows.values), axis=1) / rows.counts)


def _ranged(statistic: Statistic, rows: SortedPeriods, piece: Piece | None) -> Array:
    values = piece.apply(rows.values) if piece else rows.values.astype(np.float64)
    valid = ~np.isnan(values)
    if statistic.shares:
        rank = np.arange(values.shape[1])[None, :]
        low = np.floor((statistic.low or 0.0) * rows.counts)[:, None]
        high = np.ceil((1.0 if statistic.high is None else statistic.high) * rows.counts)[:, None]
        inside = valid & (rank >= low) & (rank < np.maximum(high, low + 1))
    else:
        lower = -np.inf if statistic.low is None else statistic.low
        upper = np.inf if statistic.high is None else statistic.high
        inside = valid & (values > lower) & (values <= upper)
    chosen = np.where(inside, values, 0.0)
    number = inside.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        if statistic.kind == "PR":
            return np.asarray(100.0 * number / rows.counts)
        if statistic.kind == "TC":
            return np.asarray(number, np.float64)
        if statistic.kind == "TS":
            return np.asarray(chosen.sum(axis=1))
        if statistic.kind == "TM":
            return np.asarray(chosen.sum(axis=1) / number)
        # WM: values outside take the nearest bound that is inside
        lowest = np.where(inside, values, np.inf).min(axis=1)[:, None]
        highest = np.where(inside, values, -np.inf).max(axis=1)[:, None]
        return np.asarray(np.nansum(np.where(valid, np.clip(values, lowest, highest), 0.0), axis=1) / rows.counts)


# --- samples -----------------------------------------------------------------------------


class PeriodCache:
    """Sorted periods of shapes, the most recently used ones, within ``limit`` bytes."""

    def __init__(self, limit: int = 48 << 20) -> None:
        self.limit = limit
        self.size = 0
        self._kept: collections.OrderedDict[tuple[t.Any, ...], SortedPeriods] = collections.OrderedDict()

    def get(self, key: tuple[t.Any, ...], make: t.Callable[[], SortedPeriods]) -> SortedPeriods:
        """What is kept under the key, made on first use."""
        known = self._kept.get(key)
        if known is not None:
            self._kept.move_to_end(key)
            return known
        made = self._kept[key] = make()
        self.size += made.values.nbytes
        while self.size > self.limit and len(self._kept) > 1:
            self.size -= self._kept.popitem(last=False)[1].values.nbytes
        return made


def cut(window: Window, sample: int, samples: npt.NDArray[t.Any], first: float) -> npt.NDArray[t.Any]:
    """Cut samples (the first at ``first``, one every ``sample`` s) into the window's periods."""
    period = window.period
    if period % sample == 0:
        per = period // sample
        rows = np.full(window.periods * per, np.nan, samples.dtype)
        offset = round((first - -(-window.start // sample) * sample) / sample)
        rows[offset : offset + len(samples)] = samples[: max(0, len(rows) - offset)]
        return rows.reshape(window.periods, per)
    # Periods that are no multiple of the sample interval hold a varying number of samples.
    place = ((first + np.arange(len(samples)) * sample - window.start) // period).astype(int)
    widest = max(1, -(-period // sample) + 1)
    rows = np.full((window.periods, widest), np.nan, samples.dtype)
    inside = (place >= 0) & (place < window.periods)
    place, samples = place[inside], samples[inside]
    if len(place):
        starts = np.searchsorted(place, place)
        rows[place, np.arange(len(place)) - starts] = samples
    return rows


def _bounds(piece: Piece, window: Window, sample: int) -> tuple[float, float]:
    """First sample of the piece in the window, and the end of its last whole one."""
    start = max(piece.start, window.start)
    end = min(piece.end, window.end, window.start + window.period * window.periods + sample - 1)
    return -(-start // sample) * sample, end // sample * sample


def periods_of(
    pieces: t.Sequence[Piece], sample: int, window: Window, cache: PeriodCache
) -> tuple[SortedPeriods, Piece | None]:
    """The sorted samples of a metric, with what is still to be applied to them."""
    inside = [(piece, *_bounds(piece, window, sample)) for piece in pieces]
    inside = [item for item in inside if item[2] > item[1]]
    if len(inside) == 1:
        piece, first, end = inside[0]
        key = (piece.shape, sample, window.start, window.period, window.periods, first, end)

        def make() -> SortedPeriods:
            return SortedPeriods.of(cut(window, sample, piece.shape.samples(sample, first, end), first))

        return cache.get(key, make), piece
    total = window.periods * window.period
    origin = -(-window.start // sample) * sample
    grid = np.full(max(0, int(-(-total // sample))), np.nan)
    for piece, first, end in inside:
        values = piece.apply(piece.shape.samples(sample, first, end))
        at = round((first - origin) / sample)
        grid[at : at + len(values)] = values[: len(grid) - at]
    return SortedPeriods.of(cut(window, sample, grid, origin)), None
