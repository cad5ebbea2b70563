# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost anomalies and forecasts, beside what people use now, on series whose truth is known (``cost_series.py``).

Anomalies: F1, false alarms per series and quarter, and recall of each kind, for 5 to 10 % noise, and apart for 10 to
15 % noise and for noise with heavy tails (Student's t with 5 degrees of freedom). Beside them, on the same series:
mean of the last days plus a percentage (OptScale's rule: 7 days and 30 %) and a plain z-score (30 days, 3 standard
deviations), each also with the threshold that does best on the tuning seeds, so that they are not judged by a badly
chosen one. Alarms of the peers on adjacent days are one alarm, too.

Forecasts: mean absolute error of a month's cost as forecast on five of its days, beside the naive forecast, what AWS
describes and CloudHealth's formula (``forecast_series.py``), on generated series and on two real traces.

Everything here is judged on ``JUDGED_SEEDS``; ``python tests/benchmarks/cost_anomalies.py tuning`` shows the same for
the seeds that parameters were chosen on.
"""

from __future__ import annotations

import math
import sys
import time
import typing as t
from collections.abc import Callable, Sequence
from pathlib import Path

if __name__ == "__main__":
    _ROOT = Path(__file__).resolve().parents[2]
    sys.path[:0] = [str(_ROOT / "build" / "root"), str(_ROOT / "tests" / "benchmarks")]

import cost_series
import forecast_series
import numpy

#: What must hold (issue: FinOps data).
F1, FALSE_ALARMS = 0.85, 0.2
Alarms = list[tuple[int, int]]
Method = Callable[[numpy.ndarray], Alarms]
NOISY = {"noise": (0.10, 0.15)}
#: Samples on which forecasts have to be better than the others.
GENERATED = ("generated, with anomalies in them", "generated, 10-15 % noise")
#: Days of history before the first month; of the real traces one begins in the middle of the month before.
HISTORY = 14
#: name -> arguments of ``cost_series.sample``
CONDITIONS: dict[str, dict[str, t.Any]] = {
    "5-10 % noise": {},
    "10-15 % noise": NOISY,
    "5-10 % noise with heavy tails": {"tails": 5.0},
}
#: Thresholds that the peers are tried with, on the tuning seeds.
PERCENTAGES = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
DEVIATIONS = (2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0)


class NotGoodEnough(Exception):
    """What must hold does not."""


def ours(costs: numpy.ndarray) -> Alarms:
    """``cost_anomaly_info``'s detector with its defaults; falling costs are not asked for."""
    from ansible_collections.frugal.cloud.plugins.module_utils.analyze.anomaly import find_anomalies

    judged = find_anomalies(costs, cost_series.FIRST)
    return [(one.series, one.alarmed) for one in judged.episodes if one.change > 0]


def mean_plus(part: float, days: int = 7) -> Method:
    """A day that costs more than the mean of the days before plus a part of it (OptScale's rule)."""

    def alarms(costs: numpy.ndarray) -> Alarms:
        flags = numpy.zeros(costs.shape, dtype=bool)
        for day in range(days, costs.shape[1]):
            flags[:, day] = costs[:, day] > (1 + part) * costs[:, day - days : day].mean(axis=1)
        return _episodes(flags)

    return alarms


def z_score(deviations: float, days: int = 30) -> Method:
    """A day that is so many standard deviations above the mean of the days before."""

    def alarms(costs: numpy.ndarray) -> Alarms:
        flags = numpy.zeros(costs.shape, dtype=bool)
        for day in range(days, costs.shape[1]):
            before = costs[:, day - days : day]
            flags[:, day] = costs[:, day] > before.mean(axis=1) + deviations * before.std(axis=1)
        return _episodes(flags)

    return alarms


def _episodes(flags: numpy.ndarray) -> Alarms:
    """The first day of each run of alarms."""
    before = numpy.zeros_like(flags)
    before[:, 1:] = flags[:, :-1]
    return [(int(series), int(day)) for series, day in zip(*numpy.nonzero(flags & ~before))]


def judge(method: Method, seeds: Sequence[int], **condition: t.Any) -> cost_series.Score:
    """All samples of these seeds."""
    score = cost_series.Score()
    for seed in seeds:
        judged = cost_series.sample(seed, **condition)
        score.add(judged, method(judged.costs))
    return score


def best(make: Callable[[float], Method], thresholds: Sequence[float]) -> float:
    """The threshold with the largest F1 on the tuning seeds."""
    return max(thresholds, key=lambda one: judge(make(one), cost_series.TUNING_SEEDS).f1)


def peers() -> dict[str, Method]:
    """The peers as they come, and with the threshold that does best."""
    part, deviations = best(mean_plus, PERCENTAGES), best(z_score, DEVIATIONS)
    found = {"mean + 30 %": mean_plus(0.3), f"mean + {100 * part:.0f} %": mean_plus(part)}
    return {**found, "z-score > 3": z_score(3.0), f"z-score > {deviations:g}": z_score(deviations)}


def anomalies(seeds: Sequence[int]) -> list[dict[str, t.Any]]:
    """Every method under every condition. :raises NotGoodEnough: ours does not hold what it has to."""
    entries = []
    others = peers()
    for condition, arguments in CONDITIONS.items():
        mine = judge(ours, seeds, **arguments)
        if not arguments and (mine.f1 < F1 or mine.false_alarms > FALSE_ALARMS):
            raise NotGoodEnough(f"F1 is {mine.f1:.3f} at {mine.false_alarms:.3f} false alarms per series and quarter")
        count = len(seeds) * cost_series.SERIES_PER_SEED
        workload = f"{condition}, {count:,} series of {cost_series.DAYS} days, {mine.hits + mine.missed:,} anomalies"
        delay = sum(mine.delays) / max(1, len(mine.delays))
        for name, method in others.items():
            other = judge(method, seeds, **arguments)
            note = (
                f"ours: precision {mine.precision:.3f}, recall {mine.recall:.3f}, {mine.repeated} repeated alarms, "
                f"first alarm {delay:.1f} days after the beginning"
            )
            entries.append({**_entry("F1", workload, mine.f1, other.f1, "F1", name), "note": note})
            unit = "per series and quarter"
            entries.append(_entry("false alarms", workload, mine.false_alarms, other.false_alarms, unit, name))
            for kind in cost_series.KINDS:
                found = (mine.recall_of(kind), other.recall_of(kind))
                entries.append(_entry(f"{kind}s found", workload, *found, "of all", name))
    return entries


def _entry(name: str, workload: str, mine: float, other: float, unit: str, peer: str) -> dict[str, t.Any]:
    return {
        "name": f"anomalies: {name}",
        "workload": workload,
        "ours": round(mine, 3),
        "peer": round(other, 3),
        "peer_name": peer,
        "unit": unit,
        "ratio": round(mine / other, 2) if other and not math.isclose(other, 0) else None,
    }


def forecasts(seeds: Sequence[int]) -> list[dict[str, t.Any]]:
    """Month-end forecasts on generated and real series. :raises NotGoodEnough: ours are worse than the naive one."""
    others = {
        "last month (naive)": forecast_series.last_month,
        "average day of the month (AWS)": forecast_series.average_day,
        "average of 31 days (CloudHealth)": forecast_series.last_31_days,
    }
    samples = {
        name: [(cost_series.sample(seed, **condition).costs, cost_series.FIRST) for seed in seeds]
        for name, condition in (("generated, with anomalies in them", {}), ("generated, 10-15 % noise", NOISY))
    }
    samples |= {name: [found] for name, found in forecast_series.real().items()}
    entries = []
    for name, series in samples.items():
        mine = _forecast_error(series, forecast_series.Ours())
        count = sum(len(costs) for costs, _first in series)
        ends = len(list(forecast_series.months(series[0][1], series[0][0].shape[1], HISTORY)))
        days = ", ".join(str(day) for day in forecast_series.AS_OF)
        workload = f"{name}, {count:,} series, {ends} month ends, after {days} days"
        for peer, method in others.items():
            other = _forecast_error(series, method)
            if name in GENERATED and mine > other:
                raise NotGoodEnough(f"{workload}: error {mine:.3f}, {peer} {other:.3f}")
            entries.append(
                {
                    **_entry("", workload, mine, other, "mean absolute error", peer),
                    "name": "forecast of the month's end",
                }
            )
    entries += coverage(seeds[0])
    return entries


def _forecast_error(series: Sequence[tuple[numpy.ndarray, t.Any]], method: forecast_series.Method) -> float:
    found = [forecast_series.errors(costs, first, method, HISTORY) for costs, first in series]
    return float(numpy.concatenate(found).mean())


def coverage(seed: int, count: int = 40, further: int = 3) -> list[dict[str, t.Any]]:
    """How often costs are within their bands, which is to be four times of five."""
    from ansible_collections.frugal.cloud.plugins.module_utils.analyze.cost_forecast import Forecaster, days_of_month

    costs = cost_series.sample(seed, count=count).costs
    first = cost_series.FIRST
    ends: list[bool] = []
    months: list[bool] = []
    for begin, end in forecast_series.months(first, costs.shape[1], 150):
        for day in forecast_series.AS_OF:
            known = costs[:, : begin + day]
            found = Forecaster(known, numpy.zeros_like(known), first).forecasts(further)
            for series, one in enumerate(found):
                band = one.month_end
                ends.append(band is not None and band.low <= costs[series, begin:end].sum() <= band.high)
                for month, later in one.months:
                    start = (month - first).days
                    if start + days_of_month(month) <= costs.shape[1]:
                        cost = costs[series, start : start + days_of_month(month)].sum()
                        months.append(later.low <= cost <= later.high)
    entries = []
    for name, inside in (("the month's end", ends), (f"{further} further months", months)):
        workload = f"generated, with anomalies in them, {len(inside):,} forecasts"
        entry = _entry("", workload, sum(inside) / len(inside), 0.8, "of all", "what it is to be")
        entries.append({**entry, "name": f"forecast of {name}: within the band"})
    return entries


def speed(series: int = 2000) -> dict[str, t.Any]:
    """How long a year and more of many series takes."""
    costs = numpy.concatenate([cost_series.sample(seed).costs for seed in cost_series.TUNING_SEEDS])
    costs = numpy.tile(costs, (math.ceil(series / len(costs)), 1))[:series]
    began = time.perf_counter()
    ours(costs)
    seconds = time.perf_counter() - began
    workload = f"{series:,} series of {cost_series.DAYS} days"
    return {
        **_entry("time", workload, seconds, 0, "seconds", "no peer"),
        "peer": None,
    }


def run(seeds: Sequence[int] = cost_series.JUDGED_SEEDS) -> list[dict[str, t.Any]]:
    """All comparisons."""
    return [*anomalies(seeds), *forecasts(seeds), speed()]


if __name__ == "__main__":
    from run import line

    for entry in run(cost_series.TUNING_SEEDS if "tuning" in sys.argv[1:] else cost_series.JUDGED_SEEDS):
        print(line(entry))
