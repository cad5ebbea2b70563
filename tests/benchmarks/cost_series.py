# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Daily cost series with known anomalies, and how alarms are scored against them.

Written, with its seeds, before the detector was tuned: ``TUNING_SEEDS`` are for choosing parameters, the figures
of the guide come from ``JUDGED_SEEDS``.

A series has a level (100 to 5,000 USD/day), less cost on weekends, growth, a slow swing over the weeks, noise that
remembers the day before, and in two of five a monthly charge on the first day that is not marked as a fee. Its
noise is the standard deviation of a day without an anomaly, as a part of the level. Outages of one or two days, with
half the cost, are no anomalies. Anomalies raise the cost by 30 to 100 %, and by 50 USD a day or more, as a spike of
one to three days, a step that stays or lasts at least two weeks, or a drift that takes 10 to 21 days.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import typing as t

import numpy

TUNING_SEEDS = (11, 12, 13, 14)
JUDGED_SEEDS = tuple(range(9001, 9011))
SERIES_PER_SEED = 100
FIRST = datetime.date(2025, 1, 6)
#: Nothing happens in the first days: there is no history to judge by.
QUIET, DAYS = 90, 400
#: Days between the beginnings of two anomalies of one series, about; how likely there is one in such a stretch.
STRETCH, LIKELY = 62, 0.68
KINDS = ("spike", "step", "drift")
MINIMUM_USD, LEAST, MOST = 50.0, 0.3, 1.0
#: How long after a step, and after a drift's ramp, an alarm is still a hit, in days.
GRACE = 7


@dataclasses.dataclass(frozen=True)
class Event:
    """An anomaly: an alarm between day ``start`` and ``last`` (both included) of ``series`` has found it."""

    series: int
    kind: str
    start: int
    last: int
    change: float


@dataclasses.dataclass(frozen=True)
class Sample:
    """Costs in USD/day (series × days from ``FIRST``) and the anomalies in them."""

    costs: numpy.ndarray
    events: tuple[Event, ...]

    @property
    def quarters(self) -> float:
        """How many quarters of a year of one series are judged, over all series."""
        return self.costs.shape[0] * (self.costs.shape[1] - QUIET) / 91.3


def sample(
    seed: int, noise: tuple[float, float] = (0.05, 0.10), tails: float = math.inf, count: int = SERIES_PER_SEED
) -> Sample:
    """Series of one seed.

    :param noise: smallest and largest noise of a series.
    :param tails: degrees of freedom of Student's t distribution of the noise; infinite for a normal one.
    """
    draw = numpy.random.default_rng(seed)
    costs, events = [], []
    for series in range(count):
        values, found = _series(draw, series, draw.uniform(*noise), tails)
        costs.append(values)
        events.extend(found)
    return Sample(numpy.array(costs), tuple(events))


def _series(draw: numpy.random.Generator, series: int, noise: float, tails: float) -> tuple[numpy.ndarray, list[Event]]:
    day = numpy.arange(DAYS)
    level = math.exp(draw.uniform(math.log(100), math.log(5000)))
    growth = draw.uniform(-0.2, 0.6)
    swing = draw.uniform(0, 0.04) * numpy.sin(2 * math.pi * (day / draw.uniform(60, 180) + draw.uniform()))
    course = level * (1 + growth) ** (day / 365) * (1 + swing)
    factor = numpy.ones(DAYS)
    found = []
    for begin in range(QUIET, DAYS - STRETCH, STRETCH):
        if draw.uniform() > LIKELY:
            continue
        start = begin + int(draw.integers(0, 15))
        base = course[start] * factor[start]
        least = max(LEAST, MINIMUM_USD / base)
        change = draw.uniform(min(least, MOST), MOST)
        kind = KINDS[int(draw.integers(0, len(KINDS)))]
        event, factor = _changed(draw, Event(series, kind, start, start, change), factor)
        found.append(event)
    if draw.uniform() < 0.3:
        outage = int(draw.integers(20, DAYS - 5))
        factor[outage : outage + int(draw.integers(1, 3))] *= 0.5
    week = numpy.ones(7)
    week[5:] = 1 - draw.uniform(0, 0.45) * draw.uniform(0.8, 1.0, 2)
    week[:5] *= draw.uniform(0.97, 1.03, 5)
    dates = [FIRST + datetime.timedelta(days=int(number)) for number in day]
    weekly = numpy.array([week[date.weekday()] for date in dates])
    costs = course * factor * weekly * _noise(draw, noise, tails)
    if draw.uniform() < 0.4:
        fee = level * draw.uniform(0.2, 1.0)
        costs[[number for number, date in enumerate(dates) if date.day == 1]] += fee
    return costs, found


def _changed(draw: numpy.random.Generator, event: Event, factor: numpy.ndarray) -> tuple[Event, numpy.ndarray]:
    """The event with its end, and the course's factor with it."""
    factor, start = factor.copy(), event.start
    if event.kind == "spike":
        length = int(draw.integers(1, 4))
        factor[start : start + length] *= 1 + event.change
        return dataclasses.replace(event, last=start + length - 1), factor
    ramp = int(draw.integers(10, 22)) if event.kind == "drift" else 0
    stays = draw.uniform() < 0.5
    end = DAYS if stays else start + ramp + int(draw.integers(14, 24))
    for number in range(start, min(end, DAYS)):
        part = min(1.0, (number - start + 1) / ramp) if ramp else 1.0
        factor[number] *= 1 + event.change * part
    last = start + ramp - 1 + GRACE
    return dataclasses.replace(event, last=last), factor


def _noise(draw: numpy.random.Generator, noise: float, tails: float) -> numpy.ndarray:
    """Factors around 1 whose logarithm has the standard deviation ``noise``."""
    memory = draw.uniform(0, 0.3)
    if math.isinf(tails):
        shocks = draw.standard_normal(DAYS)
    else:
        shocks = draw.standard_t(tails, DAYS) / math.sqrt(tails / (tails - 2))
    values = numpy.empty(DAYS)
    values[0] = shocks[0]
    for number in range(1, DAYS):
        values[number] = memory * values[number - 1] + math.sqrt(1 - memory**2) * shocks[number]
    return numpy.exp(noise * values)


@dataclasses.dataclass
class Score:
    """Found and missed anomalies and false alarms; scores of several samples add up."""

    hits: int = 0
    missed: int = 0
    false: int = 0
    repeated: int = 0
    quarters: float = 0.0
    by_kind: dict[str, list[int]] = dataclasses.field(default_factory=lambda: {kind: [0, 0] for kind in KINDS})
    #: days from an anomaly's beginning to its first alarm
    delays: list[int] = dataclasses.field(default_factory=list)

    @property
    def precision(self) -> float:
        """Part of the alarms that were about an anomaly."""
        return self.hits / (self.hits + self.false) if self.hits else 0.0

    @property
    def recall(self) -> float:
        """Part of the anomalies that were found."""
        return self.hits / (self.hits + self.missed) if self.hits else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    @property
    def false_alarms(self) -> float:
        """False alarms per series and quarter."""
        return self.false / self.quarters

    def add(self, judged: Sample, alarms: t.Iterable[tuple[int, int]]) -> None:
        """Score alarms (series, day on which it was raised) before ``QUIET`` they do not count.

        An anomaly is found by one alarm in time. Further alarms in that time are repeated, all others are false:
        those that come too late too, and those about a change that was already alarmed.
        """
        waiting = {(event.series, event.start): event for event in judged.events}
        by_series: dict[int, list[Event]] = {}
        for event in judged.events:
            by_series.setdefault(event.series, []).append(event)
        for series, day in sorted(alarms):
            if day < QUIET:
                continue
            about = [event for event in by_series.get(series, ()) if event.start <= day <= event.last]
            if not about:
                self.false += 1
                continue
            event = about[0]
            if waiting.pop((series, event.start), None) is None:
                self.repeated += 1
                continue
            self.hits += 1
            self.by_kind[event.kind][0] += 1
            self.delays.append(day - event.start)
        self.missed += len(waiting)
        for event in waiting.values():
            self.by_kind[event.kind][1] += 1
        self.quarters += judged.quarters

    def recall_of(self, kind: str) -> float:
        """Part of the anomalies of this kind that were found."""
        found, missed = self.by_kind[kind]
        return found / (found + missed) if found + missed else 0.0
