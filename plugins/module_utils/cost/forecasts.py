# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forecasts out of cost data: of this month's end and of the months after it."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.cost_forecast import Band, Forecast, Forecaster
from ansible_collections.frugal.cloud.plugins.module_utils.cost import daily_costs, identities, queries
from ansible_collections.frugal.cloud.plugins.module_utils.cost.daily_costs import DAY, Daily
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import CostsError

if t.TYPE_CHECKING:
    import ibis.expr.types as ir
    import numpy
    from numpy.typing import NDArray

    Floats: t.TypeAlias = NDArray[numpy.float64]

_Dict: t.TypeAlias = "dict[str, t.Any]"


@dataclasses.dataclass(frozen=True)
class Question:
    """What to forecast; days are dates in UTC."""

    by: tuple[str, ...]
    metric: str
    filters: Mapping[str, Sequence[str]]
    months: int
    until: datetime.date
    incomplete_days: int
    history_days: int
    limit: int
    show_identities: bool


def question_from(params: Mapping[str, t.Any], today: datetime.date) -> Question:
    """What the options ask. :raises CostsError: for a value that cannot be."""
    for name, least in (("months", 0), ("history_days", 28), ("limit", 1), ("incomplete_days", 0)):
        if params[name] < least:
            raise CostsError(f"{name} is {params[name]}: give {least} or more")
    if params["months"] > 12:
        raise CostsError(f"months is {params['months']}: give 12 or less, nobody knows more")
    return Question(
        by=tuple(params["by"]),
        metric=params["metric"],
        filters={one["column"]: one["values"] for one in params["filters"]},
        months=params["months"],
        until=daily_costs.day(params["until"], "until", today),
        incomplete_days=params["incomplete_days"],
        history_days=params["history_days"],
        limit=params["limit"],
        show_identities=params["show_identities"],
    )


def foresee(table: ir.Table, question: Question) -> _Dict:
    """The module's answer. :raises CostsError: the data does not hold what is needed."""
    rows = queries.restricted(table, question.filters)
    known = daily_costs.last_complete_day(rows, question.until, question.incomplete_days)
    since = known - (question.history_days - 1) * DAY
    daily = daily_costs.daily_costs(rows, question.by, question.metric, since, known)
    usage, filled = _without_gaps(daily)
    shown = min(question.limit, len(daily.keys))
    found = Forecaster(usage[:shown], daily.other[:shown], daily.first).forecasts(question.months)
    return {
        "forecasts": [_forecast(daily, number, one, known, question) for number, one in enumerate(found)],
        "summary": {
            "series": len(daily.keys),
            "not_shown": len(daily.keys) - shown,
            "first_day": daily.first.isoformat(),
            "last_day": known.isoformat(),
            "days": usage.shape[1],
            "days_without_data": [daily.date(number).isoformat() for number in filled],
        },
    }


def _without_gaps(daily: Daily) -> tuple[Floats, list[int]]:
    """Days of which the data has nothing are taken for what they were a week before; and which these are."""
    numpy = deps.numpy
    costs = daily.costs.copy()
    gaps = numpy.nonzero(numpy.isnan(costs[0]))[0].tolist()
    for day in gaps:
        costs[:, day] = costs[:, day - 7] if day >= 7 else costs[:, day - 1]
    return costs, gaps


def _forecast(daily: Daily, number: int, one: Forecast, known: datetime.date, question: Question) -> _Dict:
    """One series, as the module returns it."""
    currency, *values = daily.keys[number]
    told = (lambda column, value: value) if question.show_identities else identities.masked_value
    tested = one.backtest
    return {
        "series": {name: told(name, value) for name, value in zip(daily.by, values)},
        "currency": currency,
        "month": f"{known:%Y-%m}",
        "so_far": round(one.so_far, 2),
        "month_end": _band(one.month_end),
        "months": [{"month": f"{month:%Y-%m}", **(_band(band) or {})} for month, band in one.months],
        "backtest": None
        if tested is None
        else {
            "error_percent": round(100 * tested.error, 2),
            "average_day_error_percent": round(100 * tested.average_error, 2),
            "months": [
                {
                    "month": f"{past.month:%Y-%m}",
                    "forecast": round(past.forecast, 2),
                    "average_day": round(past.average, 2),
                    "actual": round(past.actual, 2),
                }
                for past in tested.months
            ],
        },
        "why": one.why,
    }


def _band(band: Band | None) -> _Dict | None:
    return None if band is None else {name: round(value, 2) for name, value in dataclasses.asdict(band).items()}
