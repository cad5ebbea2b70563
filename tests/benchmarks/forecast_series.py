# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Daily series for the benchmark of forecasts: generated ones, and real ones out of ../shared/data.

Of the real traces only two cover a whole month with history before it. Neither is a bill: daily sums of the requests
to the World Cup's web site in 1998, and the daily mean CPU of an auto scaling group of NAB in 2014, stand for a cost
that follows load. The first grows fourfold in June, when the games begin, which no method can know.
"""

from __future__ import annotations

import collections
import csv
import datetime
import gzip
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
DAY = datetime.timedelta(days=1)
#: Days of a month after which its end is forecast.
AS_OF = (5, 10, 15, 20, 25)
#: costs, first day, first day of the month, last known day, first day of the next month (columns) -> cost of the month
Method = Callable[[numpy.ndarray, datetime.date, int, int, int], numpy.ndarray]


def months(first: datetime.date, days: int, history: int) -> Iterator[tuple[int, int]]:
    """Columns of the first days of each whole month and of the next one, with so many days of history before it."""
    begin = first.replace(day=1)
    while True:
        after = (begin.replace(day=28) + 4 * DAY).replace(day=1)
        if (after - first).days > days:
            return
        if (begin - first).days >= history:
            yield (begin - first).days, (after - first).days
        begin = after


def errors(costs: numpy.ndarray, first: datetime.date, method: Method, history: int) -> numpy.ndarray:
    """Absolute errors of the forecasts of all months, at all days, of all series, as parts of the month's cost."""
    found = []
    for begin, end in months(first, costs.shape[1], history):
        total = costs[:, begin:end].sum(axis=1)
        for day in AS_OF:
            found.append(numpy.abs(method(costs, first, begin, begin + day - 1, end) - total) / total)
    return numpy.concatenate(found)


def last_month(costs: numpy.ndarray, first: datetime.date, begin: int, known: int, end: int) -> numpy.ndarray:
    """What the month before cost: the naive forecast; as much of it as there is data, for the whole of it."""
    before = max(0, ((first + (begin - 1) * DAY).replace(day=1) - first).days)
    length = (first + begin * DAY - (first + (begin - 1) * DAY).replace(day=1)).days
    return costs[:, before:begin].sum(axis=1) * length / (begin - before)


def average_day(costs: numpy.ndarray, first: datetime.date, begin: int, known: int, end: int) -> numpy.ndarray:
    """The average of the month's days so far, for all its days.

    What AWS documents of its console's forecast: it is high while "your average daily cost is higher at the beginning
    of the month" (AWS Knowledge Center, "Why are the forecasted costs unexpectedly high?"). The method of
    GetCostForecast is not published.
    """
    return costs[:, begin : known + 1].mean(axis=1) * (end - begin)


def last_31_days(costs: numpy.ndarray, first: datetime.date, begin: int, known: int, end: int) -> numpy.ndarray:
    """The month so far and the average of the last 31 days for the rest of it (CloudHealth's projected cost)."""
    rest = costs[:, max(0, known - 30) : known + 1].mean(axis=1) * (end - 1 - known)
    return costs[:, begin : known + 1].sum(axis=1) + rest


class Ours:
    """``cost_forecast_info``'s forecaster; it keeps what it has learned of a sample, which knows no later day."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[numpy.ndarray, t.Any]] = {}

    def __call__(self, costs: numpy.ndarray, first: datetime.date, begin: int, known: int, end: int) -> numpy.ndarray:
        """The month so far and the days ahead."""
        from ansible_collections.frugal.cloud.plugins.module_utils.analyze.cost_forecast import Forecaster

        if id(costs) not in self._known:
            self._known[id(costs)] = (costs, Forecaster(costs, numpy.zeros_like(costs), first))
        return self._known[id(costs)][1].month_end(known)[1]


def real() -> dict[str, tuple[numpy.ndarray, datetime.date]]:
    """The real series: name -> one row of daily values, and its first day. Empty where the data is not there."""
    found = {}
    requests = SHARED / "http" / "worldcup98_requests_per_minute.csv.gz"
    if requests.is_file():
        with gzip.open(requests, "rt", encoding="utf-8") as file:
            found["WorldCup98 requests"] = _daily(file, "period", "count", mean=False)
    cpu = SHARED / "nab" / "cpu_utilization_asg_misconfiguration.csv"
    if cpu.is_file():
        with cpu.open(encoding="utf-8") as file:
            found["NAB CPU of an auto scaling group"] = _daily(file, "timestamp", "value", mean=True)
    return found


def _daily(file: t.Iterable[str], when: str, what: str, mean: bool) -> tuple[numpy.ndarray, datetime.date]:
    """Sums or means of whole days; the first and the last day are not whole."""
    days: dict[datetime.date, list[float]] = collections.defaultdict(list)
    for row in csv.DictReader(file):
        days[datetime.date.fromisoformat(row[when][:10])].append(float(row[what]))
    dates = sorted(days)[1:-1]
    values = [sum(days[date]) / (len(days[date]) if mean else 1) for date in dates]
    return numpy.array([values]), dates[0]
