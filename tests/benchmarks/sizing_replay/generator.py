# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worlds of CPU traces with the shapes that operators know, from published seeds.

Each trace is demand as a share (0..1) of the machine's current capacity. Twelve kinds are
mixed in shares that differ from world to world; every trace may also grow, change its level for
good (a release, a migrated customer), carry noise of its own and have one-off events, so
that the second half of a trace is not a copy of the first. Parameters were chosen so that a world
looks like published fleets: most machines use far below 20 % on average (Cortez et al., "Resource
Central", SOSP 2017), and peaks are ten to a hundred times the average on many of them (Shen, van
Beek, Iosup, "Statistical Characterization of Business-Critical Workloads Hosted in Cloud
Datacenters", CCGrid 2015, on the Bitbrains traces).
"""

from __future__ import annotations

import dataclasses
import typing as t

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

#: Seeds used while the engine was tuned, and those that judge it. They never overlap.
TUNING_SEEDS = tuple(range(1_000, 1_100))
JUDGING_SEEDS = tuple(range(31_000, 31_040))


@dataclasses.dataclass(frozen=True)
class Trace:
    """Demand as a share of current capacity, one value every ``step_minutes``."""

    name: str
    demand: FloatArray
    step_minutes: int


def world(seed: int, *, traces: int = 60, days: int = 30, step_minutes: int = 5) -> list[Trace]:
    """A fleet of ``traces`` machines over ``days`` days; equal arguments give equal values."""
    random = np.random.default_rng(seed)
    shares = random.dirichlet([weight for _name, weight, _make in KINDS])
    kinds = random.choice(len(KINDS), size=traces, p=shares)
    first_weekday = int(random.integers(7))
    first_day_of_month = int(random.integers(30))
    found = []
    for index, kind in enumerate(kinds):
        clock = _Clock.of(days, step_minutes, first_weekday, first_day_of_month)
        name, _weight, make = KINDS[int(kind)]
        demand = make(random, clock)
        demand = _drift(random, clock, demand)
        found.append(Trace(f"{name}-{index}", np.clip(demand, 0.001, 1.0), step_minutes))
    return found


@dataclasses.dataclass(frozen=True)
class _Clock:
    """Time of every sample: hour of day 0..24, day number, weekday 0..6, day of the month 0..29."""

    hour: FloatArray
    day: npt.NDArray[np.int64]
    weekday: npt.NDArray[np.int64]
    month_day: npt.NDArray[np.int64]
    step_minutes: int

    @classmethod
    def of(cls, days: int, step_minutes: int, first_weekday: int, first_day_of_month: int) -> _Clock:
        minutes = np.arange(0, days * 1440, step_minutes)
        day = minutes // 1440
        return cls(
            (minutes % 1440) / 60.0, day, (day + first_weekday) % 7, (day + first_day_of_month) % 30, step_minutes
        )

    @property
    def size(self) -> int:
        return int(self.hour.size)

    @property
    def days(self) -> int:
        return int(self.day[-1]) + 1


def _noise(random: np.random.Generator, clock: _Clock, spread: float, memory_minutes: float) -> FloatArray:
    """exp of a first-order autoregressive process: positive, median 1."""
    from scipy.signal import lfilter

    keep = float(np.exp(-clock.step_minutes / memory_minutes))
    shocks = random.normal(0.0, np.sqrt(1.0 - keep * keep), clock.size)
    return np.exp(spread * lfilter([1.0], [1.0, -keep], shocks))


def _daily(random: np.random.Generator, clock: _Clock, spread: float) -> FloatArray:
    """One factor a day: no two days are alike."""
    return np.exp(random.normal(0.0, spread, clock.days))[clock.day]


def _bump(hour: FloatArray, centre: float, width: float) -> FloatArray:
    distance = np.abs((hour - centre + 12.0) % 24.0 - 12.0)
    return np.exp(-0.5 * (distance / width) ** 2)


def _bursts(
    random: np.random.Generator, clock: _Clock, per_day: float, minutes: float, height: float, tail: float
) -> FloatArray:
    """Bursts at random times, exponential in length, Pareto in height (``tail`` small: heavy)."""
    load = np.zeros(clock.size)
    for start in np.flatnonzero(random.random(clock.size) < per_day * clock.step_minutes / 1440.0):
        length = max(1, int(random.exponential(minutes) / clock.step_minutes))
        load[start : start + length] += height * (1.0 + random.pareto(tail))
    return load


def _job(
    clock: _Clock, hour: float, minutes: FloatArray, height: FloatArray, days: npt.NDArray[np.bool_]
) -> FloatArray:
    """A scheduled job: on ``days`` at ``hour`` for so many minutes at such a height (both one a day)."""
    since = (clock.hour - hour) * 60.0
    running = days[clock.day] & (since >= 0.0) & (since < minutes[clock.day])
    return np.where(running, height[clock.day], 0.0)


def _level(random: np.random.Generator, median: float, spread: float) -> float:
    return float(np.clip(median * np.exp(random.normal(0.0, spread)), 0.004, 0.7))


def _steady(random: np.random.Generator, clock: _Clock) -> FloatArray:
    return _level(random, 0.08, 1.0) * _noise(random, clock, random.uniform(0.03, 0.25), random.uniform(5, 240))


def _web(random: np.random.Generator, clock: _Clock) -> FloatArray:
    swing = random.uniform(0.5, 4.0)
    shape = 1.0 + swing * _bump(clock.hour, random.uniform(9, 21), random.uniform(2.0, 5.0))
    weekend = np.where(clock.weekday >= 5, random.uniform(0.4, 1.3), 1.0)
    base = _level(random, 0.05, 0.8) * shape * weekend * _daily(random, clock, random.uniform(0.02, 0.15))
    return base * _noise(random, clock, random.uniform(0.05, 0.25), random.uniform(5, 120))


def _weekday(random: np.random.Generator, clock: _Clock) -> FloatArray:
    peak_day = int(random.integers(5))
    factor = np.where(clock.weekday == peak_day, random.uniform(1.3, 3.0), 1.0)
    factor = np.where(clock.weekday >= 5, random.uniform(0.1, 0.6), factor)
    shape = 0.4 + _bump(clock.hour, random.uniform(10, 16), random.uniform(2.0, 4.0))
    return _level(random, 0.08, 0.7) * shape * factor * _noise(random, clock, random.uniform(0.05, 0.3), 60.0)


def _office(random: np.random.Generator, clock: _Clock) -> FloatArray:
    busy = (clock.hour >= 8) & (clock.hour < random.integers(17, 21)) & (clock.weekday < 5)
    load = np.where(busy, _level(random, 0.15, 0.7), _level(random, 0.01, 0.5))
    return load * _noise(random, clock, random.uniform(0.2, 0.6), random.uniform(5, 60)) + _bursts(
        random, clock, random.uniform(0.1, 3.0), random.uniform(5, 60), random.uniform(0.05, 0.3), 3.0
    )


def _nightly(random: np.random.Generator, clock: _Clock) -> FloatArray:
    days = clock.days
    every = np.ones(days, dtype=bool)
    minutes = random.uniform(15, 180) * np.exp(random.normal(0.0, random.uniform(0.05, 0.4), days))
    height = random.uniform(0.05, 0.7) * np.exp(random.normal(0.0, random.uniform(0.02, 0.2), days))
    load = _job(clock, random.uniform(0, 6), minutes, height, every)
    if random.random() < 0.5:
        weekly = (np.arange(days) + int(clock.weekday[0])) % 7 == int(random.integers(7))
        longer, higher = minutes * 2.0, height * random.uniform(1.0, 2.0)
        load = np.maximum(load, _job(clock, random.uniform(0, 20), longer, higher, weekly))
    return load + _level(random, 0.02, 0.8) * _noise(random, clock, 0.3, 30.0)


def _spiky(random: np.random.Generator, clock: _Clock) -> FloatArray:
    base = _level(random, 0.02, 0.9) * _noise(random, clock, random.uniform(0.1, 0.6), random.uniform(5, 60))
    return base + _bursts(
        random,
        clock,
        float(np.exp(random.uniform(np.log(0.05), np.log(10.0)))),
        random.uniform(3, 40),
        float(np.exp(random.uniform(np.log(0.02), np.log(0.2)))),
        random.uniform(1.0, 3.0),
    )


def _month_end(random: np.random.Generator, clock: _Clock) -> FloatArray:
    closing = (clock.month_day >= 30 - random.integers(1, 4)) | (clock.month_day < random.integers(0, 2))
    return _web(random, clock) * np.where(closing, random.uniform(1.2, 3.5), 1.0)


def _growing(random: np.random.Generator, clock: _Clock) -> FloatArray:
    change = random.uniform(-0.5, 1.2)
    return _web(random, clock) * np.exp(change * np.arange(clock.size) / clock.size)


def _shifting(random: np.random.Generator, clock: _Clock) -> FloatArray:
    load = _web(random, clock) if random.random() < 0.5 else _steady(random, clock)
    for _unused in range(int(random.integers(1, 4))):
        load[int(random.integers(clock.size)) :] *= float(np.exp(random.normal(0.1, 0.4)))
    return load


def _cron(random: np.random.Generator, clock: _Clock) -> FloatArray:
    every = int(random.choice([10, 15, 30, 60, 120, 360]))
    minute = np.arange(clock.size) * clock.step_minutes
    running = minute % every < random.uniform(1, min(every, 20))
    height = random.uniform(0.05, 0.5) * _noise(random, clock, random.uniform(0.02, 0.3), 600.0)
    return _level(random, 0.01, 0.6) * _noise(random, clock, 0.2, 30.0) + np.where(running, height, 0.0)


def _bursty(random: np.random.Generator, clock: _Clock) -> FloatArray:
    """Two states with random stays (a queue that is worked off, a build farm)."""
    quiet, busy = random.uniform(30, 2_000), random.uniform(10, 400)
    state = np.zeros(clock.size)
    position = 0
    while position < clock.size:
        position += max(1, int(random.exponential(quiet) / clock.step_minutes))
        length = max(1, int(random.exponential(busy) / clock.step_minutes))
        state[position : position + length] = 1.0
        position += length
    high = random.uniform(0.05, 0.7)
    return (_level(random, 0.02, 0.7) + high * state) * _noise(random, clock, random.uniform(0.05, 0.3), 20.0)


def _idle(random: np.random.Generator, clock: _Clock) -> FloatArray:
    backup = _job(
        clock,
        random.uniform(0, 24),
        np.full(clock.days, random.uniform(2, 40)),
        np.full(clock.days, random.uniform(0.02, 0.4)),
        np.ones(clock.days, dtype=bool),
    )
    return _level(random, 0.01, 0.6) * _noise(random, clock, random.uniform(0.1, 0.5), 10.0) + backup


def _drift(random: np.random.Generator, clock: _Clock, load: FloatArray) -> FloatArray:
    """What happens to any machine, whatever it does.

    Slow wandering; on most, rare short spikes (package updates, log rotation, scans, restarts)
    that become more or less frequent and high over the weeks; seldom a new level or an event.
    """
    load = load * np.exp(np.cumsum(random.normal(0.0, random.uniform(0.0, 0.05), clock.days)))[clock.day]
    if random.random() < 0.6:
        rate = float(np.exp(random.uniform(np.log(0.05), np.log(3.0))))
        height = float(np.exp(random.uniform(np.log(0.02), np.log(0.5))))
        spikes = _bursts(random, clock, rate, random.uniform(1, 12), height, random.uniform(1.5, 4.0))
        wander = np.exp(np.cumsum(random.normal(0.0, 0.08, clock.days)))[clock.day]
        load = load + spikes * wander
    if random.random() < 0.15:
        load[int(random.integers(clock.size)) :] *= float(np.exp(random.normal(0.1, 0.4)))
    if random.random() < 0.15:
        start = int(random.integers(clock.size))
        length = int(random.exponential(240.0) / clock.step_minutes) + 1
        load[start : start + length] *= random.uniform(1.3, 4.0)
    if random.random() < 0.02:
        start = int(random.integers(clock.size))
        length = int(random.exponential(300.0) / clock.step_minutes) + 1
        load[start : start + length] += 1.0
    return load


#: name, weight in the mix (parameter of a Dirichlet distribution), maker.
KINDS: tuple[tuple[str, float, t.Callable[[np.random.Generator, _Clock], FloatArray]], ...] = (
    ("steady", 4.0, _steady),
    ("web", 5.0, _web),
    ("weekday", 3.0, _weekday),
    ("office", 1.0, _office),
    ("nightly", 1.0, _nightly),
    ("spiky", 2.0, _spiky),
    ("month-end", 2.0, _month_end),
    ("growing", 3.0, _growing),
    ("shifting", 3.0, _shifting),
    ("cron", 1.0, _cron),
    ("bursty", 1.0, _bursty),
    ("idle", 2.0, _idle),
)
