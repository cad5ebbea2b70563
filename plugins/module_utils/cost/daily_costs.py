# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Daily series of cost out of FOCUS rows, for what looks at courses: anomalies and forecasts.

Usage apart from the rest: purchases, tax, credits, adjustments, charges that are not by usage and what of a commitment
was not used come on days that say nothing about usage. Days count in UTC, as FOCUS' charge periods do.
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.cost import queries
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import CostsError, fetch, fetch_batches

if t.TYPE_CHECKING:
    import ibis.expr.types as ir
    import numpy
    from numpy.typing import NDArray

    Floats: t.TypeAlias = NDArray[numpy.float64]

_Dict: t.TypeAlias = "dict[str, t.Any]"
DAY = datetime.timedelta(days=1)
#: A column of our own while daily series are read.
_IS_USAGE = "x_is_usage"


@dataclasses.dataclass(frozen=True)
class Daily:
    """``costs[i, j]`` is what the usage of ``keys[i]`` cost on day ``first + j``; NaN where the data has none of a day.

    A key is the currency and the values of the columns ``by``. ``other`` are the costs that are no usage.
    """

    by: tuple[str, ...]
    keys: tuple[tuple[str, ...], ...]
    first: datetime.date
    costs: Floats
    other: Floats

    def date(self, number: int) -> datetime.date:
        """The date of a column."""
        return self.first + number * DAY


def day(text: str | None, option: str, otherwise: datetime.date) -> datetime.date:
    """The day that an option names. :raises CostsError: it is none."""
    if not text:
        return otherwise
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise CostsError(f"{option} is {text!r}: give a day such as 2026-09-30") from None


def usage(table: ir.Table) -> ir.Value:
    """Whether a row is usage that was charged by usage, and no unused part of a commitment."""
    by_use = table.ChargeFrequency.isnull() | (table.ChargeFrequency == "Usage-Based")
    needed = table.CommitmentDiscountStatus.isnull() | (table.CommitmentDiscountStatus != "Unused")
    return (table.ChargeCategory == "Usage") & by_use & needed


def within(table: ir.Table, since: datetime.date, last: datetime.date) -> ir.Table:
    """Rows whose charge period begins on these days, both included."""
    ibis = deps.ibis
    start = table.ChargePeriodStart
    begin, end = ibis.timestamp(since.isoformat()), ibis.timestamp((last + DAY).isoformat())
    return table.filter((start >= begin) & (start < end))


def last_complete_day(table: ir.Table, until: datetime.date, incomplete_days: int) -> datetime.date:
    """The last day before ``until`` whose usage is complete. :raises CostsError: there is no usage before it.

    Usage arrives late: the data's last day is incomplete, and so are the days before ``until``.
    """
    return min(until - max(1, incomplete_days) * DAY, _last_day(table, until) - DAY)


def _last_day(table: ir.Table, until: datetime.date) -> datetime.date:
    start = table.ChargePeriodStart
    before = table.filter(usage(table) & (start < deps.ibis.timestamp(until.isoformat())))
    [found] = fetch(before.aggregate(last=before.ChargePeriodStart.max()))
    if found["last"] is None:
        raise CostsError(f"the cost data has no usage before {until}: import the months before it, or give another day")
    return _date(found["last"])


def daily_costs(table: ir.Table, by: Sequence[str], metric: str, since: datetime.date, last: datetime.date) -> Daily:
    """The series, those first that cost most. :raises CostsError: there is no usage on these days."""
    numpy = deps.numpy
    rows = within(table, since, last)
    columns = queries.columns(rows, by)
    expression = queries.daily_series(rows.mutate(**{_IS_USAGE: usage(rows)}), [*columns, _IS_USAGE], metric)
    place: dict[tuple[str, ...], int] = {}
    cells: list[tuple[int, int, int, float]] = []
    present: set[int] = set()
    for batch in fetch_batches(expression):
        for row in batch:
            key = (row["currency"], *(row[name] or "" for name in columns))
            number = (_date(row["day"]) - since).days
            if row[_IS_USAGE]:
                present.add(number)
            cells.append(
                (0 if row[_IS_USAGE] else 1, place.setdefault(key, len(place)), number, float(row["cost"] or 0.0))
            )
    if not present:
        raise CostsError(f"the cost data has no usage from {since} to {last} that the filters leave")
    first = min(present)
    costs = numpy.zeros((2, len(place), (last - since).days + 1))
    index = numpy.array(cells)
    numpy.add.at(costs, tuple(index[:, :3].astype(int).T), index[:, 3])
    absent = [number for number in range(costs.shape[2]) if number not in present]
    costs[0][:, absent] = numpy.nan
    keys = list(place)
    order = sorted(range(len(keys)), key=lambda one: (-float(numpy.nansum(costs[:, one])), keys[one]))
    costs = costs[:, order][:, :, first:]
    return Daily(tuple(columns), tuple(keys[one] for one in order), since + first * DAY, costs[0], costs[1])


def left_out(table: ir.Table, metric: str, since: datetime.date, last: datetime.date) -> list[_Dict]:
    """What is no usage in these days, by currency and category: ``currency``, ``category``, ``frequency``, ``cost``."""
    rows = within(table, since, last)
    others = rows.filter(~usage(rows))
    sums = others.group_by(
        currency=others.BillingCurrency,
        category=others.ChargeCategory,
        frequency=others.ChargeFrequency,
        status=others.CommitmentDiscountStatus,
    ).aggregate(cost=others[metric].sum())
    found = [{**row, "cost": round(float(row["cost"] or 0.0), 2)} for row in fetch(sums)]
    return sorted(found, key=lambda row: (row["currency"], -abs(row["cost"]), str(row["category"])))


def chosen(table: ir.Table, columns: Sequence[str], key: Mapping[str, str], currency: str) -> ir.Table:
    """The usage rows of one series."""
    found = queries.restricted(table, {name: [key[name]] for name in columns})
    return found.filter(usage(found) & (found.BillingCurrency == currency))


def _date(value: t.Any) -> datetime.date:
    """A day as engines return it."""
    return value.date() if isinstance(value, datetime.datetime) else value
