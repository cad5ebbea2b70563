# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Size on the first part of each trace, replay the second, compare rules.

Sizes are powers of two of the current capacity and cost in proportion, as in most
instance families. An overload minute is one in which demand exceeds the size. Every machine
counts the same: minutes are a mean over machines, scaled to 30 days.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import math

import numpy as np
import numpy.typing as npt
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import risk_pricing
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.risk_pricing import MINUTES_PER_MONTH, Demand
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.sizing import OVERLOAD_MULTIPLE
from sizing_replay.generator import Trace
from sizing_replay.rules import COMPUTE_OPTIMIZER, RULES

FloatArray = npt.NDArray[np.float64]

#: Shares of the current capacity that can be bought, largest first; the price is the same share.
SIZES = 2.0 ** -np.arange(9)
#: Worth of an overload minute in minutes of the machine's price: the sweep that draws the front.
MULTIPLES = np.geomspace(1e-2, 1e5, 1_000)
DAYS_COUNTED = 30.0


@dataclasses.dataclass(frozen=True)
class Point:
    """What one rule did: share of the cost saved, overload minutes a machine in 30 days."""

    saving: float
    minutes: float


def daily_statistics(samples: FloatArray, step_minutes: int) -> npt.NDArray[np.float32]:
    """(days, 5): p50, p90, p99, Maximum, Average of each day, as CloudWatch gives them; NaN for a stub of a day."""
    per_day = 1440 // step_minutes
    days = math.ceil(samples.size / per_day)
    found = np.full((days, 5), np.nan, dtype=np.float32)
    for day in range(days):
        part = samples[day * per_day : (day + 1) * per_day]
        if day and part.size < per_day // 4:
            continue
        found[day, :3] = np.percentile(part, (50.0, 90.0, 99.0))
        found[day, 3], found[day, 4] = part.max(), part.mean()
    return found


class Replay:
    """A fleet of traces, split in time."""

    def __init__(self, traces: collections.abc.Sequence[Trace], split: float = 0.5) -> None:
        before, self.minutes, needs = [], np.zeros((len(traces), SIZES.size)), []
        for index, trace in enumerate(traces):
            cut = int(trace.demand.size * split)
            past, future = trace.demand[:cut], trace.demand[cut:]
            before.append(daily_statistics(past, trace.step_minutes))
            above = np.array([(future > size * (1.0 + 1e-9)).mean() for size in SIZES])
            self.minutes[index] = above * DAYS_COUNTED * 1440.0
            needs.append([rule(past, trace.step_minutes) for rule in RULES.values()])
        self.needs = dict(zip(RULES, np.array(needs).T, strict=True))
        days = max(item.shape[0] for item in before)
        statistics = np.full((len(traces), days, 5), np.nan, dtype=np.float32)
        for index, item in enumerate(before):
            statistics[index, days - item.shape[0] :] = item
        demand = Demand.of(statistics, 86_400, np.array([trace.step_minutes * 60 for trace in traces]))
        self.expected = risk_pricing.at(demand.expected(), SIZES[None, :].astype(np.float32)) * MINUTES_PER_MONTH
        self.possible = SIZES[None, :] >= demand.average[:, None] * risk_pricing.AVERAGE_FLOOR
        self.possible[:, 0] = True

    def ours(self, multiple: float = OVERLOAD_MULTIPLE) -> Point:
        """The engine's choice when an overload minute is worth so many minutes of the machine's price."""
        worth = np.full(self.minutes.shape[0], multiple / MINUTES_PER_MONTH)
        costs = np.broadcast_to(SIZES, self.minutes.shape)
        return self._point(np.argmin(risk_pricing.priced(costs, self.expected, worth, self.possible), axis=1))

    def front(self) -> list[Point]:
        """The engine's choices over :data:`MULTIPLES`, most saving first."""
        return [self.ours(multiple) for multiple in MULTIPLES]

    def rule(self, name: str) -> Point:
        """The smallest size that holds what the rule asks for; the current one when none does."""
        fits = np.maximum((SIZES[None, :] >= self.needs[name][:, None] * (1.0 - 1e-9)).sum(axis=1) - 1, 0)
        return self._point(fits)

    def _point(self, chosen: npt.NDArray[np.intp]) -> Point:
        minutes = self.minutes[np.arange(chosen.size), chosen]
        return Point(float(1.0 - SIZES[chosen].mean()), float(minutes.mean()))


def minutes_at(front: collections.abc.Sequence[Point], saving: float) -> float:
    """Fewest overload minutes of a point of the front that saves at least ``saving``; inf when none does."""
    return min((point.minutes for point in front if point.saving >= saving - 1e-12), default=math.inf)


def saving_at(front: collections.abc.Sequence[Point], minutes: float) -> float:
    """Largest saving of a point of the front with at most so many overload minutes; -inf when none has."""
    return max((point.saving for point in front if point.minutes <= minutes + 1e-9), default=-math.inf)


@dataclasses.dataclass(frozen=True)
class Claims:
    """What is claimed against Compute Optimizer's default rule and all others."""

    saves_more: bool
    minutes_ratio: float
    outside: tuple[str, ...]

    @property
    def hold(self) -> bool:
        """More saving at no more minutes, at most 80 % of the minutes at its saving, nobody outside the front."""
        return self.saves_more and self.minutes_ratio <= 0.8 and not self.outside


def claims(replay: Replay, front: collections.abc.Sequence[Point] | None = None) -> Claims:
    """Judge the claims on one fleet. A rule is outside when no point of the front is as good on both axes."""
    front = replay.front() if front is None else front
    optimizer = replay.rule(COMPUTE_OPTIMIZER)
    least = minutes_at(front, optimizer.saving)
    ratio = least / optimizer.minutes if optimizer.minutes else (0.0 if least == 0.0 else math.inf)
    outside = []
    for name in RULES:
        point = replay.rule(name)
        if minutes_at(front, point.saving) > point.minutes + 1e-9:
            outside.append(name)
    return Claims(saving_at(front, optimizer.minutes) > optimizer.saving + 1e-12, ratio, tuple(outside))
