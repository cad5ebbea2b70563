# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forecasts of daily cost: a level, the weekdays, growth, and charges that return each month.

The level is smoothed exponentially, and a day moves it by so many standard deviations at most (Gelper, Fried and
Croux, "Robust forecasting with exponential and Holt-Winters smoothing", Journal of Forecasting, 2010). Growth is the
median slope of the weeks (Theil and Sen) and fades (Gardner and McKenzie, "Forecasting trends in time series",
1985). One pass over the days keeps what was known at the end of each, so that every past forecast can be made again:
the bands are quantiles of the errors of those, and so is the error that is reported beside a forecast.
"""

from __future__ import annotations

import calendar
import dataclasses
import datetime
import math
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import deps

if t.TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Floats: t.TypeAlias = NDArray[numpy.float64]

WEEK = 7
DAY = datetime.timedelta(days=1)
#: Complete days below which there is no forecast of the month's end, and of the months after it.
LEAST_DAYS, LEAST_DAYS_FAR = 28, 90
#: Months that a charge by date is known from; past months that are forecast again.
MONTHS, PAST_MONTHS = 3, 6
#: Past forecasts that make a band, at least, and its quantiles: four of five are within.
LEAST_ERRORS, LOW, HIGH = 20, 0.1, 0.9
#: The same for further months: their errors are few, because they overlap, and the worst is not among them.
LOW_FAR, HIGH_FAR = 0.05, 0.95
#: Standard deviations of a normal distribution that four of five are within.
NORMAL = 1.28
#: What goes on after the first weeks, in which the level and the weekdays are learned.
LEARNED = 35


@dataclasses.dataclass(frozen=True)
class Method:
    """How history becomes a forecast."""

    #: part of a day's error that the level follows, and standard deviations of an error that count at most
    follow: float = 0.2
    limit: float = 3.0
    #: weeks that weekdays are known from
    weeks: int = 8
    #: weeks that growth is known from, and what is left of it after a day
    growth_weeks: int = 20
    fading: float = 0.9
    #: standard deviations that a monthly charge has to have, and months that it is known from
    charge: float = 2.0
    months: int = 3


def days_of_month(day: datetime.date) -> int:
    """How many days the month has."""
    return calendar.monthrange(day.year, day.month)[1]


class Course:
    """What was known of each series at the end of each day.

    :param costs: series × days, without gaps.
    :param first: the date of the first column.
    """

    def __init__(self, costs: Floats, first: datetime.date, method: Method | None = None) -> None:
        numpy = deps.numpy
        self.method = method or Method()
        self.costs: Floats = numpy.asarray(costs, dtype=float)
        series, days = self.costs.shape
        self.first = first
        self.weekday = first.weekday()
        self.level: Floats = numpy.zeros((series, days))
        self.sigma: Floats = numpy.zeros((series, days))
        self.excess: Floats = numpy.zeros((series, days))
        self.factors: Floats = numpy.ones((days, series, WEEK))
        self.ratios: Floats = numpy.ones((series, days))
        self.slopes: Floats = numpy.zeros((series, days))
        self._plain: Floats = numpy.zeros((series, days))
        for day in range(days):
            self._learn(day)

    def date(self, day: int) -> datetime.date:
        """The date of a column, of one of the future too."""
        return self.first + day * DAY

    def _learn(self, day: int) -> None:
        numpy = deps.numpy
        method = self.method
        cost = self.costs[:, day]
        factors = self._week(day)
        today = factors[:, (self.weekday + day) % WEEK]
        charge = self.charges(day - 1, day)
        plain = (cost - charge) / today
        if day < WEEK:
            # The first week tells a level and nothing else.
            self.level[:, day] = numpy.median(self.costs[:, : day + 1], axis=1)
            self.sigma[:, day] = 0.1 * self.level[:, day]
        else:
            before, sigma = self.level[:, day - 1], self.sigma[:, day - 1]
            error = plain - before
            wide = method.limit * sigma
            limited = numpy.clip(error, -wide, wide)
            self.level[:, day] = before + method.follow * limited
            least = 0.01 * numpy.abs(before) + 1e-9
            self.sigma[:, day] = numpy.sqrt(numpy.maximum(0.95 * sigma**2 + 0.05 * 1.1 * limited**2, least**2))
            self.excess[:, day] = cost - before * today
            plain = before + limited
        self._plain[:, day] = plain
        self.factors[day] = factors
        if day >= WEEK - 1:
            seen = self.costs[:, day - WEEK + 1 : day + 1]
            middle = day - WEEK // 2
            mean = seen.mean(axis=1)
            self.ratios[:, middle] = numpy.where(mean > 0, self.costs[:, middle] / numpy.maximum(mean, 1e-9), 1.0)
        self.slopes[:, day] = self._slope(day)

    def _week(self, day: int) -> Floats:
        """Weekdays' factors out of the weeks before, without the largest and the smallest week."""
        numpy = deps.numpy
        end = day - WEEK // 2
        weeks = min(self.method.weeks, end // WEEK)
        factors: Floats = numpy.ones((len(self.costs), WEEK))
        if weeks < 2:
            return factors
        begin = end - weeks * WEEK
        window = numpy.sort(self.ratios[:, begin:end].reshape(-1, weeks, WEEK), axis=1)
        cut = 1 if weeks >= 4 else 0
        mean = window[:, cut : weeks - cut].mean(axis=1)
        mean = numpy.clip(mean / numpy.maximum(mean.mean(axis=1, keepdims=True), 1e-9), 0.05, WEEK)
        factors[:, [(self.weekday + begin + number) % WEEK for number in range(WEEK)]] = mean
        return factors

    def _slope(self, day: int) -> Floats:
        """Relative growth per day: the median of the slopes between all pairs of weeks."""
        numpy = deps.numpy
        weeks = min(self.method.growth_weeks, (day + 1) // WEEK)
        if weeks < 4:
            return numpy.zeros(len(self.costs))
        if day % WEEK:  # It changes slowly: once a week is enough.
            return self.slopes[:, day - 1]
        means = self._plain[:, day + 1 - weeks * WEEK : day + 1].reshape(-1, weeks, WEEK).mean(axis=2)
        one, other = numpy.triu_indices(weeks, 1)
        slopes = numpy.median((means[:, other] - means[:, one]) / (other - one), axis=1) / WEEK
        level = numpy.maximum(numpy.abs(means.mean(axis=1)), 1e-9)
        return t.cast("Floats", numpy.clip(slopes / level, -0.01, 0.01))

    def charges(self, known: int, day: int) -> Floats:
        """What is charged on this day of each month, as known at the end of day ``known``."""
        numpy = deps.numpy
        date = self.date(day)
        before = [number for number in self._same_days(date) if number <= known][-self.method.months :]
        if len(before) < 2:
            return numpy.zeros(len(self.costs))
        seen = numpy.sort(self.excess[:, before], axis=1)[:, -2]
        return numpy.where(seen >= self.method.charge * self.sigma[:, known], seen, 0.0)

    def _same_days(self, date: datetime.date) -> list[int]:
        """The columns with the same day of the month, in the months before."""
        found = []
        year, month = date.year, date.month
        for _month in range(4):
            year, month = (year - 1, 12) if month == 1 else (year, month - 1)
            if date.day <= calendar.monthrange(year, month)[1]:
                number = (datetime.date(year, month, date.day) - self.first).days
                if 0 <= number < self.costs.shape[1]:
                    found.append(number)
        return sorted(found)

    def ahead(self, known: int, days: int) -> Floats:
        """The cost of each of the next days (series × days) as known at the end of day ``known``."""
        numpy = deps.numpy
        ahead = numpy.arange(1, days + 1)
        fading = self.method.fading
        grown = (1 - fading**ahead) / (1 - fading) * fading
        level = self.level[:, known][:, None] * (1 + self.slopes[:, known][:, None] * grown[None, :])
        weekly = self.factors[known][:, (self.weekday + known + ahead) % WEEK]
        result = numpy.maximum(level, 0.0) * weekly
        charges: dict[int, Floats] = {}
        for number in range(days):
            # What is charged in a month that is not known yet either is what it was in the last known one.
            day = self._within_reach(known, known + 1 + number)
            if day not in charges:
                charges[day] = self.charges(known, day)
            result[:, number] += charges[day]
        return t.cast("Floats", result)

    def _within_reach(self, known: int, day: int) -> int:
        """The column with the same day of month in the month after ``known``: charges are known from before it."""
        date = self.date(day)
        limit = self.date(known) + 31 * DAY
        while date > limit:
            date = _month_before(date)
        return (date - self.first).days


def _month_before(date: datetime.date) -> datetime.date:
    year, month = (date.year - 1, 12) if date.month == 1 else (date.year, date.month - 1)
    return date.replace(year=year, month=month, day=min(date.day, calendar.monthrange(year, month)[1]))


class Fixed:
    """Charges that come by date: fees, tax, credits. The middle one of the last three months, on the same day.

    What came in one month of three only comes no more.
    """

    def __init__(self, costs: Floats, first: datetime.date) -> None:
        self.costs: Floats = deps.numpy.asarray(costs, dtype=float)
        self.first = first

    def ahead(self, known: int, days: int) -> Floats:
        """The charges of each of the next days (series × days) as known at the end of day ``known``."""
        numpy = deps.numpy
        result: Floats = numpy.zeros((len(self.costs), days))
        if not self.costs[:, : known + 1].any():
            return result
        for number in range(days):
            date = self.first + (known + 1 + number) * DAY
            seen: list[Floats] = []
            while len(seen) < MONTHS and date > self.first:
                date = _month_before(date)
                column = (date - self.first).days
                if 0 <= column <= known:
                    seen.append(self.costs[:, column])
            if len(seen) >= 2:
                values = numpy.array(seen)
                # Of two months the one with the smaller charge; a charge may be a credit.
                smaller = numpy.where(numpy.abs(values[0]) < numpy.abs(values[1]), values[0], values[1])
                result[:, number] = numpy.median(values, axis=0) if len(seen) == MONTHS else smaller
        return result


@dataclasses.dataclass(frozen=True)
class Band:
    """A forecast, and between what it will be four times of five."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class PastForecast:
    """What would have been said of a month on the same day of it, by us and by its average day, and what came."""

    month: datetime.date
    forecast: float
    average: float
    actual: float


@dataclasses.dataclass(frozen=True)
class Backtest:
    """Forecasts of past months' ends. Errors are mean absolute errors as parts of the actual cost."""

    months: tuple[PastForecast, ...]

    @property
    def error(self) -> float:
        """Of ours."""
        return self._error([one.forecast for one in self.months])

    @property
    def average_error(self) -> float:
        """Of the month's average day times its days, which is what AWS' console describes."""
        return self._error([one.average for one in self.months])

    def _error(self, forecasts: list[float]) -> float:
        parts = [abs(said - one.actual) / abs(one.actual) for said, one in zip(forecasts, self.months) if one.actual]
        return sum(parts) / len(parts) if parts else 0.0


@dataclasses.dataclass(frozen=True)
class Forecast:
    """Of one series, as known at the end of the last day of its data."""

    so_far: float
    month_end: Band | None
    months: tuple[tuple[datetime.date, Band], ...]
    backtest: Backtest | None
    #: why one of them is missing; empty where none is
    why: str = ""


class Forecaster:
    """Forecasts of many series, of usage and of what comes by date.

    :param usage: series × days, cost by usage; ``other`` has the same shape: everything else.
    """

    def __init__(self, usage: Floats, other: Floats, first: datetime.date, method: Method | None = None) -> None:
        self.method = method or Method()
        self.first = first
        self.total: Floats = deps.numpy.asarray(usage + other, dtype=float)
        self._course = Course(usage, first, self.method)
        self._fixed = Fixed(other, first)

    def ahead(self, known: int, days: int) -> Floats:
        """The cost of each of the next days (series × days) as known at the end of day ``known``."""
        return self._course.ahead(known, days) + self._fixed.ahead(known, days)

    def month_end(self, known: int) -> tuple[Floats, Floats, Floats]:
        """Cost of the month so far, and of the whole month as forecast and as its average day says."""
        date = self.first + known * DAY
        begin = max(0, known + 1 - date.day)
        so_far = self.total[:, begin : known + 1].sum(axis=1)
        left = days_of_month(date) - date.day
        average = so_far / (known + 1 - begin) * (known + 1 - begin + left)
        return so_far, so_far + self.ahead(known, left).sum(axis=1), average

    def forecasts(self, months: int) -> list[Forecast]:
        """All series, at the end of the data: this month's end and that of so many further months."""
        known = self.total.shape[1] - 1
        date = self.first + known * DAY
        left = days_of_month(date) - date.day
        lengths = _lengths(date, months)
        enough = known + 1 >= LEAST_DAYS
        far = months > 0 and known + 1 >= LEAST_DAYS_FAR
        so_far, whole, _average = self.month_end(known)
        narrow = self._spread(known, [(0, left)]) if enough and left else None
        if not far:
            lengths = []
        wide = self._spread(known, [(left + begin, days) for begin, days in lengths])
        path = self.ahead(known, left + sum(days for _begin, days in lengths))
        found, past = [], self._past(known)
        for series in range(len(self.total)):
            end = None
            if enough:
                low, high = (0.0, 0.0) if narrow is None else narrow[0][series]
                rest = whole[series] - so_far[series]
                end = _band(float(whole[series]), float(rest * low), float(rest * high))
            further = []
            for number, (begin, days) in enumerate(lengths):
                value = float(path[series, left + begin : left + begin + days].sum())
                low, high = wide[number][series]
                further.append((_month(date, number + 1), _band(value, value * float(low), value * float(high))))
            backtest = Backtest(
                tuple(PastForecast(month, *(float(one[series]) for one in said)) for month, said in past)
            )
            why = why_not(known + 1, months)
            found.append(Forecast(float(so_far[series]), end, tuple(further), backtest if past else None, why))
        return found

    def _spread(self, known: int, windows: list[tuple[int, int]]) -> list[Floats]:
        """Lower and upper relative error (series × 2) of each window (days skipped, days) of a forecast.

        Where the history is too short for a window, it is that of the last window that it is long enough for, wider by
        the root of the distance; where it is too short for any, it is computed from the noise.
        """
        numpy = deps.numpy
        near = bool(windows) and windows[0][0] == 0
        step, quantiles = (1, [LOW, HIGH]) if near else (WEEK, [LOW_FAR, HIGH_FAR])
        errors: list[list[Floats]] = [[] for _window in windows]
        for origin in range(LEARNED, known, step):
            reach = known - origin
            fitting = [place for place, (skip, days) in enumerate(windows) if skip + days <= reach]
            if not fitting:
                break
            path = self.ahead(origin, max(sum(windows[place]) for place in fitting))
            for place in fitting:
                skip, days = windows[place]
                forecast = path[:, skip : skip + days].sum(axis=1)
                actual = self.total[:, origin + 1 + skip : origin + 1 + skip + days].sum(axis=1)
                errors[place].append((actual - forecast) / numpy.where(numpy.abs(forecast) > 1e-9, forecast, numpy.inf))
        level = numpy.maximum(numpy.abs(self._course.level[:, known]), 1e-9)
        noise = self._course.sigma[:, known] / level
        found: list[Floats] = []
        last, distance = noise * NORMAL * math.sqrt(self.method.follow / 2), 1.0
        base: Floats = numpy.stack([-last, last], axis=1)
        least = LEAST_ERRORS if near else LEAST_ERRORS // 2
        for (skip, days), seen in zip(windows, errors):
            middle = skip + days / 2
            if len(seen) >= least:
                base, distance = numpy.quantile(numpy.array(seen), quantiles, axis=0).T, max(1.0, middle)
                # Costs that only rose leave no error to one side: the noise is always there.
                alone = 0.5 * noise * NORMAL * math.sqrt(1.3 / days + self.method.follow / 2)
                low, high = numpy.minimum(base[:, 0], -alone), numpy.maximum(base[:, 1], alone)
                found.append(numpy.stack([low, high], axis=1))
                continue
            alone = noise * NORMAL * math.sqrt(1.3 / days)
            wider = base * math.sqrt(max(1.0, middle / distance))
            found.append(numpy.stack([wider[:, 0] - alone, wider[:, 1] + alone], axis=1))
        return found

    def _past(self, known: int) -> list[tuple[datetime.date, tuple[Floats, Floats, Floats]]]:
        """What would have been said of complete months, on the same day of them: forecast, average, actual."""
        date = self.first + known * DAY
        found: list[tuple[datetime.date, tuple[Floats, Floats, Floats]]] = []
        for back in range(1, PAST_MONTHS + 1):
            month = _month(date, -back)
            begin = (month - self.first).days
            end = begin + days_of_month(month)
            # The same day, and not the last: there is nothing to forecast then.
            day = begin + min(date.day, days_of_month(month) - 1) - 1
            if begin < 0 or day + 1 < LEAST_DAYS:
                break
            _so_far, whole, average = self.month_end(day)
            found.append((month, (whole, average, self.total[:, begin:end].sum(axis=1))))
        return found


def _band(value: float, one: float, other: float) -> Band:
    return Band(value, value + min(one, other, 0.0), value + max(one, other, 0.0))


def _month(date: datetime.date, ahead: int) -> datetime.date:
    """The first day of the month so many months ahead."""
    number = date.year * 12 + date.month - 1 + ahead
    return datetime.date(number // 12, number % 12 + 1, 1)


def _lengths(date: datetime.date, months: int) -> list[tuple[int, int]]:
    """Days from the end of this month to the beginning of each further month, and its days."""
    found, begin = [], 0
    for number in range(1, months + 1):
        days = days_of_month(_month(date, number))
        found.append((begin, days))
        begin += days
    return found


def why_not(days: int, months: int) -> str:
    """Why there is no forecast of a history so long, or not all of it; empty where there is."""
    if days < LEAST_DAYS:
        return f"{days} complete days of history are too few: a forecast of the month's end needs {LEAST_DAYS}"
    if months and days < LEAST_DAYS_FAR:
        return f"{days} complete days of history are too few for further months, which need {LEAST_DAYS_FAR}"
    return ""
