# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Anomalies in daily cost: many series at once, day by day, knowing of each day only what was known then.

A day's cost is compared with what the weekdays and the level of the last weeks, and charges that return on the same
day of each month, lead one to expect. The difference is measured in the series' own noise (median absolute deviation:
Rousseeuw and Croux, "Alternatives to the Median Absolute Deviation", 1993): one day alone for spikes, means of several
days, each limited, for steps and drifts, because a mean of n days has less noise by a root of n (Montgomery,
"Introduction to Statistical Quality Control", chapters 6 and 9). Days of an alarm do not count as history. Where a
change stays, its level becomes the new normal.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import deps

if t.TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Floats: t.TypeAlias = NDArray[numpy.float64]
    Flags: t.TypeAlias = NDArray[numpy.bool_]
    Whole: t.TypeAlias = NDArray[numpy.int64]

Kind: t.TypeAlias = "t.Literal['spike', 'step', 'drift', 'new']"

#: Standard deviation of a normal distribution whose median absolute deviation is 1.
MAD_TO_SIGMA = 1.4826
WEEK = 7
#: A difference counts for so many standard deviations at most where days are added up: one day is no step.
LIMIT = 3.0
#: How much more a mean of days varies because a day resembles the one before: (1+r)/(1-r), autocorrelation r of 0.13.
MEMORY = 1.3
#: A monthly charge is known from so many months, at most; how many standard deviations of a day it has to have.
MONTHS, CHARGE = 3, 1.5
#: A cost out of nothing, after so many days without any, is new.
NEW_AFTER = 28
#: A series whose cost is next to nothing on so many of its days comes and goes; its peak is the measure.
SPORADIC, IDLE = 0.3, 0.05
#: ... times which an alarm is.
PEAK = 1.5
#: A new series may need so many days until its cost matters.
RECENT = 3
#: The smallest standard deviation is this part of the least impact.
SMALL = 4
#: Standard deviations of the days just before an alarm that make them part of it.
LOOK_BACK = 2.5
#: Noise of a series younger than a season, at least.
YOUNG = 0.08
#: Kinds of changes that became the new normal.
LASTING = ("step", "drift")
#: The first three days' change of a step, as a part of the last three days'.
AT_ONCE = 0.6


@dataclasses.dataclass(frozen=True)
class Rules:
    """What makes a difference an alarm. Money is per day, in the currency of the costs."""

    #: (days, how many standard deviations the mean of so many days has to be off)
    tests: tuple[tuple[int, float], ...] = ((1, 4.0), (3, 4.0), (7, 4.0))
    #: the excess per day is at least this much money, and this part of what was expected
    impact: float = 10.0
    relative: float = 0.15
    #: days of history for weekdays and noise
    season: int = 56
    #: days that make the level for a single day
    near: int = 21
    #: days that make the level for means of several days, and how many of the latest are left out of it
    far: int = 28
    gap: int = 7
    #: days of history below which a series is not judged, and below which it needs half as much again to be an alarm
    minimum: int = 14
    short: int = 28
    #: noise is never taken for less than this part of the cost
    noise: float = 0.03
    #: standard deviations that the last day has to be off itself where a mean of days raises the alarm
    present: float = 1.0
    #: standard deviations that keep an alarm going, those that bring it back after a day, days without that end it
    keep: float = 1.5
    again: float = 3.0
    quiet: int = 3
    #: a change that has lasted so many days since its alarm is the new normal
    adopted: int = 7
    #: an alarm so many days after the last one's end, or after a level became normal, is about the same change
    merge: int = 5
    follow: int = 14


@dataclasses.dataclass(frozen=True)
class Episode:
    """Adjacent days with an unexpected cost. Days are numbers of the matrix' columns, both ends included.

    :ivar alarmed: the day after which it was known; ``first`` may be earlier.
    :ivar change: unexpected cost over all its days; below zero where costs fell.
    :ivar expected: what its days would have cost.
    :ivar score: the largest result of a test, as a multiple of its threshold.
    :ivar ongoing: it had not ended, or become the new normal, on the last day.
    """

    series: int
    kind: Kind
    first: int
    alarmed: int
    last: int
    change: float
    expected: float
    score: float
    ongoing: bool


@dataclasses.dataclass(frozen=True)
class Judged:
    """All episodes, by series and day, and what each day was expected to cost (NaN where there was no history)."""

    episodes: tuple[Episode, ...]
    expected: Floats


def find_anomalies(costs: Floats, first: datetime.date, rules: Rules | None = None) -> Judged:
    """Judge each day of each series by what was known when it ended.

    :param costs: series × days; NaN for a day without data, which is not judged.
    :param first: the date of the first column.
    """
    watch = _Watch(costs, first, rules or Rules())
    for day in range(costs.shape[1]):
        watch.judge(day)
    return watch.result()


@dataclasses.dataclass
class _Open:
    """An episode that is being watched."""

    first: int
    alarmed: int
    sign: int
    score: float
    kind: Kind = "spike"
    #: its last day off the mark, and the day from which on it has to last to become the new normal
    last: int = 0
    since: int = 0
    ended: bool = False


class _Watch:
    """The state of all series while the days go by."""

    def __init__(self, costs: Floats, first: datetime.date, rules: Rules) -> None:
        numpy = deps.numpy
        self.rules = rules
        self.costs: Floats = numpy.asarray(costs, dtype=float)
        series, days = self.costs.shape
        self.dates = [first + datetime.timedelta(days=number) for number in range(days)]
        self.weekdays: Whole = numpy.array([date.weekday() for date in self.dates], dtype=int)
        shape = (series, days)
        self.missing: Flags = numpy.isnan(self.costs)
        self.raw: Floats = numpy.nan_to_num(self.costs)
        #: cost without the monthly charge, as it was and as it would have been without anomalies
        self.net: Floats = self.raw.copy()
        self.clean: Floats = numpy.zeros(shape)
        #: each day's part of the week around it
        self.ratios: Floats = numpy.ones(shape)
        #: relative error of the expectation for one day
        self.errors: Floats = numpy.zeros(shape)
        #: what was expected, without the monthly charge, and cost beyond that
        self.base: Floats = numpy.zeros(shape)
        self.excess: Floats = numpy.zeros(shape)
        present = self.raw > 0
        #: the first day with a cost; nothing is known before it
        self.born: Whole = numpy.where(present.any(axis=1), present.argmax(axis=1), days)
        #: the day from which on history tells the level
        self.valid: Whole = self.born.copy()
        self.open: dict[int, _Open] = {}
        self.latest: dict[int, _Open] = {}
        self.all: list[tuple[int, _Open]] = []

    # -- what to expect -----------------------------------------------------------------------------------

    def week(self, day: int, sigma: Floats) -> Floats:
        """Factor of each weekday (series × 7), from the weeks before ``day``; 1 where there are less than two."""
        numpy = deps.numpy
        end = day - WEEK // 2
        weeks = min(self.rules.season, end) // WEEK
        factors: Floats = numpy.ones((len(self.costs), WEEK))
        if weeks < 2:
            return factors
        window = self.ratios[:, end - weeks * WEEK : end].reshape(-1, weeks, WEEK)
        if weeks >= 5:
            mean = (window.sum(axis=1) - window.max(axis=1) - window.min(axis=1)) / (weeks - 2)
        else:
            mean = window.mean(axis=1)
        mean = mean / mean.mean(axis=1, keepdims=True)
        # Shrunk towards 1 as far as the noise alone explains it (James and Stein): most of a pattern stays.
        spread = ((mean - 1) ** 2).sum(axis=1) / (WEEK - 1)
        kept = numpy.clip(1 - sigma**2 / weeks / numpy.maximum(spread, 1e-12), 0, 1)
        mean = 1 + (mean - 1) * kept[:, None]
        young = day - self.born < 2 * WEEK + WEEK // 2
        factors[:, self.weekdays[end - weeks * WEEK : end - weeks * WEEK + WEEK]] = numpy.where(
            young[:, None], 1.0, mean
        )
        return factors

    def level(self, day: int, factors: Floats, days: int, gap: int) -> tuple[Floats, Floats]:
        """Mean cost of a day without its weekday, over ``days`` before the last ``gap``, and how many there were.

        Where the normal is younger than that, all days since it began are taken.
        """
        numpy = deps.numpy
        begin = max(0, day - days - gap)
        columns = numpy.arange(begin, day)
        plain = self.clean[:, begin:day] / factors[:, self.weekdays[begin:day]]
        known = columns[None, :] >= self.valid[:, None]
        old = known & (columns[None, :] < day - gap)
        enough = old.sum(axis=1) >= WEEK
        used = numpy.where(enough[:, None], old, known)
        count = used.sum(axis=1)
        return (plain * used).sum(axis=1) / numpy.maximum(count, 1), count.astype(float)

    def noise(self, day: int, age: Whole) -> Floats:
        """Standard deviation of a day's relative error: robust, then refined on what is no outlier.

        A young series is taken for noisy: it has not shown yet that it is not.
        """
        numpy = deps.numpy
        least = numpy.where(age < self.rules.season, YOUNG, self.rules.noise)
        begin = max(0, day - self.rules.season)
        seen = numpy.abs(self.errors[:, begin:day])
        if seen.shape[1] < WEEK:
            return least
        rough = numpy.maximum(MAD_TO_SIGMA * numpy.median(seen, axis=1), self.rules.noise / 2)
        limited = numpy.minimum(seen, LIMIT * rough[:, None])
        sigma: Floats = numpy.maximum(numpy.sqrt((limited**2).mean(axis=1)), least)
        return sigma

    def charge(self, day: int, sigma: Floats) -> Floats:
        """What is charged on this day of each month: the middle one of three months, the lesser one of two.

        It has to stand out of the noise; then it is expected even where it is no alarm by itself.
        """
        numpy = deps.numpy
        date = self.dates[day]
        before = [number for number in range(max(0, day - 95), day) if self.dates[number].day == date.day][-MONTHS:]
        if len(before) < 2:
            return numpy.zeros(len(self.costs))
        seen = numpy.sort(self.excess[:, before], axis=1)[:, -2]
        usual = self.base[:, before].mean(axis=1)
        return numpy.where(seen >= CHARGE * self.scale(sigma, usual), seen, 0.0)

    # -- judging a day ------------------------------------------------------------------------------------

    def judge(self, day: int) -> None:
        """Compare the day with what was expected; open, continue and end episodes; remember the day."""
        numpy = deps.numpy
        rules = self.rules
        age = day - self.born
        sigma = self.noise(day, age)
        factors = self.week(day, sigma)
        near, known = self.level(day, factors, rules.near, 0)
        far, far_known = self.level(day, factors, rules.far, rules.gap)
        soon = near * factors[:, self.weekdays[day]]
        raw = self.raw[:, day]
        charge = self.charge(day, sigma)
        # A charge that did not come this time is no fall of the cost.
        charge = numpy.where(raw - charge < soon * (1 - LIMIT * sigma), 0.0, charge)
        net = numpy.where(self.missing[:, day], soon, raw - charge)
        self.net[:, day], self.base[:, day] = net, soon
        self.excess[:, day] = numpy.where(self.missing[:, day], 0.0, raw - soon)
        off = self.off(day, day + 1, factors, sigma, far)[:, 0]
        score, sign = self.scores(day, factors, sigma, near, far, far_known, off)
        score, off = self.sporadic(day, age, score, off)
        judged = (age >= rules.minimum) & ~self.missing[:, day]
        fired = judged & (score >= numpy.where(age < rules.short, 1.5, 1.0))
        self.remember(day, numpy.where(known > 0, soon, net), net, sigma)
        for series in numpy.nonzero((age >= 0) & (age < RECENT) & (self.born >= NEW_AFTER))[0].tolist():
            if raw[series] >= rules.impact and series not in self.latest:
                self.begin(series, _Open(int(self.born[series]), day, 1, 1.0, "new"))
        for series in numpy.nonzero(fired)[0].tolist():
            if series not in self.open:
                found = _Open(day, day, int(sign[series]), float(score[series]), last=day, since=day)
                self.begin(series, found, factors[series], float(far[series]), float(sigma[series]))
        for series in list(self.open):
            self.follow(series, day, bool(fired[series]), float(score[series]), float(off[series]))

    def off(self, begin: int, end: int, factors: Floats, sigma: Floats, far: Floats) -> Floats:
        """Each day's standard deviations from the level of the weeks before."""
        numpy = deps.numpy
        expected = far[:, None] * factors[:, self.weekdays[begin:end]]
        result: Floats = (self.net[:, begin:end] - expected) / self.scale(sigma[:, None], expected)
        return numpy.where(numpy.arange(begin, end)[None, :] >= self.valid[:, None], result, 0.0)

    def scale(self, sigma: Floats, expected: Floats) -> Floats:
        """One standard deviation in money; where a cost is tiny, what matters is the least impact."""
        result: Floats = deps.numpy.maximum(sigma * expected, self.rules.impact / SMALL)
        return result

    def scores(
        self, day: int, factors: Floats, sigma: Floats, near: Floats, far: Floats, known: Floats, off: Floats
    ) -> tuple[Floats, Floats]:
        """The largest result of the tests, as a multiple of its threshold, and its direction."""
        numpy = deps.numpy
        rules = self.rules
        best: Floats = numpy.zeros(len(self.costs))
        sign: Floats = numpy.zeros(len(self.costs))
        for days, threshold in rules.tests:
            begin = day + 1 - days
            if begin < 0:
                continue
            # Weekdays of the test's days; for one day the level is that of the last days.
            expected = (near if days == 1 else far)[:, None] * factors[:, self.weekdays[begin : day + 1]]
            money = (self.net[:, begin : day + 1] - expected).mean(axis=1)
            usual = expected.mean(axis=1)
            if days == 1:
                result = money / self.scale(sigma, usual)
            else:
                limited = numpy.clip(self.off(begin, day + 1, factors, sigma, far), -LIMIT, LIMIT)
                error = numpy.sqrt(MEMORY * (1 / days + 1 / numpy.maximum(known, 1)))
                result = limited.mean(axis=1) / error
                # What has ended already raises no alarm.
                result = numpy.where(numpy.sign(result) * off >= rules.present, result, 0.0)
            large = numpy.abs(money) >= numpy.maximum(rules.impact, rules.relative * usual)
            score = numpy.where(large & (numpy.sign(money) == numpy.sign(result)), numpy.abs(result) / threshold, 0.0)
            sign = numpy.where(score > best, numpy.sign(result), sign)
            best = numpy.maximum(score, best)
        return best, sign

    def sporadic(self, day: int, age: Whole, score: Floats, off: Floats) -> tuple[Floats, Floats]:
        """Cost that comes and goes has no level: it is measured by its largest day so far."""
        numpy = deps.numpy
        begin = max(0, day - self.rules.season)
        if day - begin < WEEK:
            return score, off
        window = self.raw[:, begin:day]
        days = numpy.clip(age, 1, day - begin)
        mean = window.sum(axis=1) / days
        idle = ((window < IDLE * mean[:, None]).sum(axis=1) - (day - begin - days)) / days
        comes_and_goes = (idle >= SPORADIC) & (age >= 1)
        raw = self.raw[:, day]
        peak = numpy.maximum(window.max(axis=1), self.rules.impact)
        alarm = numpy.where(raw - peak >= self.rules.impact, raw / (PEAK * peak), 0.0)
        return numpy.where(comes_and_goes, alarm, score), numpy.where(comes_and_goes, -numpy.inf, off)

    def remember(self, day: int, soon: Floats, net: Floats, sigma: Floats) -> None:
        """The day as history; outliers that are no alarm count for what is usual at most."""
        numpy = deps.numpy
        width = LIMIT * self.scale(sigma, soon)
        self.clean[:, day] = numpy.clip(net, soon - width, soon + width)
        self.errors[:, day] = numpy.where(soon > 0, (net - soon) / numpy.maximum(soon, 1e-9), 0.0)
        begin = day + 1 - WEEK
        if begin >= 0:
            mean = self.clean[:, begin : day + 1].mean(axis=1)
            middle = day - WEEK // 2
            self.ratios[:, middle] = numpy.where(mean > 0, self.clean[:, middle] / numpy.maximum(mean, 1e-9), 1.0)

    # -- episodes -----------------------------------------------------------------------------------------

    def begin(
        self, series: int, found: _Open, factors: Floats | None = None, far: float = 0.0, sigma: float = 0.0
    ) -> None:
        """Open an episode, or the last one again where it has only just ended; look back for its first day."""
        before = self.latest.get(series)
        day = found.alarmed
        if factors is not None:
            begin, told = day, True
            while begin > max(0, int(self.valid[series]), day - self.rules.gap + 1):
                expected = far * float(factors[self.weekdays[begin - 1]])
                off = found.sign * (self.net[series, begin - 1] - expected)
                off /= max(sigma * expected, self.rules.impact / SMALL)
                if off < self.rules.keep:
                    break
                begin -= 1
                # Days that may be chance are no history any more, but the episode is not said to begin with one.
                told = told and off >= LOOK_BACK
                found.first = begin if told else found.first
            for number in range(begin, day + 1):
                self.base[series, number] = far * float(factors[self.weekdays[number]])
                self.forget(series, number)
        near = self.rules.follow if before and before.kind in LASTING else self.rules.merge
        if before and before.sign == found.sign and day - before.last <= near:
            before.score, before.since, before.ended = max(before.score, found.score), day, False
            self.open[series] = before
            return
        self.open[series] = self.latest[series] = found
        self.all.append((series, found))

    def forget(self, series: int, day: int) -> None:
        """What an alarm is about does not count as history."""
        self.clean[series, day] = self.base[series, day]
        self.errors[series, day] = self.errors[series, day - WEEK] if day >= WEEK else 0.0

    def follow(self, series: int, day: int, fired: bool, score: float, off: float) -> None:
        """Another day of an open episode: it goes on, ends, or becomes the new normal."""
        found, rules = self.open[series], self.rules
        if found.kind == "new":
            found.last = day
            found.ended = day - found.first >= rules.adopted
        else:
            # Directly after a day that was off the mark less is needed than after one that was not.
            least = rules.keep if day == found.last + 1 else rules.again
            still = found.sign * off >= least or fired
            if still:
                found.last, found.score = day, max(found.score, score)
            self.forget(series, day)
            if still and day - found.since >= rules.adopted:
                self.adopt(series, found, day)
            elif day - found.last >= rules.quiet:
                found.ended = True
        if found.ended:
            del self.open[series]

    def adopt(self, series: int, found: _Open, day: int) -> None:
        """The last week's level is the new normal."""
        begin = day + 1 - WEEK
        found.kind = "drift" if found.kind in LASTING else self.shape(series, found, day)
        found.ended = True
        self.valid[series] = begin
        self.clean[series, begin : day + 1] = self.net[series, begin : day + 1]

    def shape(self, series: int, found: _Open, day: int) -> Kind:
        """A step is there at once; a drift's first days are far below its last ones."""
        change = (self.net[series] - self.base[series]) / deps.numpy.maximum(self.base[series], 1e-9)
        early = float(change[found.first : found.first + 3].mean())
        late = float(change[day - 2 : day + 1].mean())
        return "step" if abs(early) >= AT_ONCE * abs(late) else "drift"

    def result(self) -> Judged:
        """Everything that was found."""
        numpy = deps.numpy
        charges = self.raw - self.net
        expected = numpy.where(self.missing, self.base, self.base + charges)
        episodes = []
        for series, found in self.all:
            days = slice(found.first, found.last + 1)
            usual = float(expected[series, days].sum())
            counted = numpy.where(self.missing[series, days], expected[series, days], self.raw[series, days])
            kind = found.kind
            if not found.ended and kind == "spike" and found.last - found.first >= 3:
                kind = self.shape(series, found, found.last)
            episodes.append(
                Episode(
                    series,
                    kind,
                    found.first,
                    found.alarmed,
                    found.last,
                    float(counted.sum()) - usual,
                    usual,
                    found.score,
                    not found.ended,
                )
            )
        begun = numpy.arange(self.costs.shape[1])[None, :] - self.born[:, None]
        known = numpy.where(begun >= self.rules.minimum, expected, numpy.nan)
        return Judged(tuple(sorted(episodes, key=lambda one: (one.series, one.first))), known)
