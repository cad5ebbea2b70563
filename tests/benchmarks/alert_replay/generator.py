# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worlds for alerts: two weeks of requests of one service, with incidents that are known.

A world is a mean rate of requests, an objective and a seed. Requests are Poisson, with a daily wave. Between incidents
the service meets its objective: its error probability is 10 to 80 % of what the budget allows, and a fifth of the
failed requests are tried again within two minutes and fail again, so that errors come in small bursts. Incidents are
at least 12 hours apart:

=========  =====================================================================================
outage     every request fails for 10 min to 1 h
partial    10 to 60 % of requests fail for 20 min to 3 h
flapping   30 to 100 % fail for 2 to 10 min, nothing for 2 to 10 min, for 1 to 3 h
slow       8 to 14 times the budget for 6 to 24 h: what the 6 h window of a page is for
=========  =====================================================================================
"""

from __future__ import annotations

import dataclasses
import typing as t

import numpy as np

#: Seconds between scrapes and evaluations.
STEP = 30
DAYS = 14
KINDS = ("outage", "partial", "flapping", "slow")
#: Seeds with which the guard's confidence was chosen, and others with which it is judged.
TUNING_SEEDS = tuple(range(1, 161))
JUDGING_SEEDS = tuple(range(1001, 1101))
#: Mean requests an hour for each objective in percent. Low: one bad request in an hour is beyond the page's threshold
#: (rate × 14.4 × budget < 1). High: the threshold is a hundred bad requests away, or nearly so.
RATES: dict[str, dict[float, tuple[float, ...]]] = {
    "low": {99.9: (12.0, 30.0, 60.0), 99.5: (6.0, 12.0)},
    "medium": {99.9: (120.0, 600.0), 99.5: (30.0, 120.0)},
    "high": {99.9: (6_000.0, 36_000.0), 99.5: (1_200.0, 36_000.0)},
}

Ints: t.TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"
Floats: t.TypeAlias = "np.ndarray[tuple[int], np.dtype[np.float64]]"


@dataclasses.dataclass(frozen=True)
class Incident:
    """Steps ``start`` (included) to ``end`` (not), and what kind."""

    kind: str
    start: int
    end: int


@dataclasses.dataclass(frozen=True)
class World:
    """Requests and failed ones in each step, and what nobody sees: their expectation."""

    name: str
    objective: float
    bad: Ints
    total: Ints
    expected_bad: Floats
    expected_total: Floats
    incidents: tuple[Incident, ...]


def world(seed: int, rate: float, objective: float, days: int = DAYS) -> World:
    """The world of a seed; ``rate`` is in requests an hour, ``objective`` in percent."""
    random = np.random.default_rng([seed, round(rate * 1000), round(objective * 1000)])
    steps = days * 86400 // STEP
    hours = np.arange(steps) * (STEP / 3600.0)
    wave = 1.0 + 0.6 * np.sin((hours / 24.0 + random.random()) * 2.0 * np.pi)
    expected_total = rate * STEP / 3600.0 * wave
    budget = 1.0 - objective / 100.0
    healthy = budget * random.uniform(0.1, 0.8)
    # Retries raise the share of failures a little; what the service would show without noise includes them.
    repeated = 0.2
    probability = np.full(steps, healthy / (1.0 + 2.0 * repeated))
    incidents = tuple(_incidents(random, steps, probability, budget))
    total = random.poisson(expected_total).astype(np.int64)
    bad = random.binomial(total, probability).astype(np.int64)
    inside = np.zeros(steps, dtype=bool)
    for incident in incidents:
        inside[incident.start : incident.end] = True
    again = np.zeros(steps, dtype=np.int64)
    for step in np.flatnonzero((bad > 0) & ~inside):
        for _failure in range(int(bad[step])):
            if random.random() < repeated:
                for _retry in range(int(random.integers(1, 4))):
                    again[min(steps - 1, step + int(random.integers(0, 4)))] += 1
    expected_bad = expected_total * np.where(inside, probability, healthy)
    return World(
        f"{rate:g} an hour, {objective:g} %, seed {seed}",
        objective,
        bad + again,
        total + again,
        expected_bad,
        expected_total,
        incidents,
    )


def _incidents(random: np.random.Generator, steps: int, probability: Floats, budget: float) -> t.Iterator[Incident]:
    """Write incidents into ``probability`` and say where they are."""

    def minutes(low: float, high: float) -> int:
        return max(1, round(float(np.exp(random.uniform(np.log(low), np.log(high)))) * 60.0 / STEP))

    at = minutes(24 * 60, 36 * 60)
    for kind in random.permutation(np.repeat(KINDS, 2)):
        if at > steps:
            return
        if kind == "outage":
            end = at + minutes(10, 60)
            probability[at:end] = 1.0
        elif kind == "partial":
            end = at + minutes(20, 180)
            probability[at:end] = random.uniform(0.1, 0.6)
        elif kind == "slow":
            end = at + minutes(6 * 60, 24 * 60)
            probability[at:end] = budget * random.uniform(8.0, 14.0)
        else:
            end, level = at + minutes(60, 180), random.uniform(0.3, 1.0)
            turn = at
            while turn < end:
                on = minutes(2, 10)
                probability[turn : min(end, turn + on)] = level
                turn += on + minutes(2, 10)
        if end >= steps - 3600 // STEP:
            probability[at:] = probability[at - 1]
            return
        yield Incident(str(kind), at, end)
        at = end + minutes(12 * 60, 36 * 60)
