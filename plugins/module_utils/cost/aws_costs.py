# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What C(aws_cost_info) does: its options, what it asks Cost Explorer, what it writes and returns."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
from ansible_collections.frugal.cloud.plugins.module_utils.cost import cost_explorer_rows, dataset_options
from ansible_collections.frugal.cloud.plugins.module_utils.cost.hiding import hidden
from ansible_collections.frugal.cloud.plugins.module_utils.cost.identities import masked_all
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cache import Cache
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cost_queries import (
    METRICS,
    Cost,
    CostExplorer,
    CostQueryError,
    Filter,
    Key,
    Period,
    key_of,
)

_Dict: t.TypeAlias = "dict[str, t.Any]"

#: Options of C(aws_cost_info) beside those of every AWS module.
OPTIONS: dict[str, _Dict] = {
    "since": {"type": "str"},
    "until": {"type": "str"},
    "granularity": {"type": "str", "choices": ["monthly", "daily", "hourly"], "default": "monthly"},
    "metrics": {
        "type": "list",
        "elements": "str",
        "choices": list(METRICS),
        "default": ["UnblendedCost", "AmortizedCost"],
    },
    "group_by": {"type": "list", "elements": "str", "default": []},
    "filters": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "key": {"type": "str", "required": True, "no_log": False},
            "values": {"type": "list", "elements": "str", "required": True},
            "exclude": {"type": "bool", "default": False},
        },
    },
    "forecast": {
        "type": "dict",
        "options": {
            "metric": {"type": "str", "choices": list(METRICS), "default": "UnblendedCost"},
            "since": {"type": "str"},
            "until": {"type": "str", "required": True},
            "granularity": {"type": "str", "choices": ["monthly", "daily"], "default": "monthly"},
            "level": {"type": "int", "default": 80},
        },
    },
    "values_of": {"type": "list", "elements": "str", "default": []},
    "tag_names": {"type": "bool", "default": False},
    "costs": {"type": "bool", "default": True},
    "cache_directory": {"type": "path"},
    "cache_days": {"type": "int", "default": 0},
    "show_identities": {"type": "bool", "default": False},
    **dataset_options.options("aws-cost-explorer"),
}


def gather(aws: Aws, params: Mapping[str, t.Any], today: datetime.date, check: bool) -> _Dict:
    """What the module returns. With C(check) nothing is written; requests are made, and cost, all the same.

    :raises CostQueryError: an option has a value that cannot be.
    :raises AwsError: Cost Explorer refuses, has no data, or would cost more than allowed.
    """
    with hidden(params["show_identities"]):
        return _gather(aws, params, today, check)


def _gather(aws: Aws, params: Mapping[str, t.Any], today: datetime.date, check: bool) -> _Dict:
    period = _period(params["since"], params["until"], today)
    keys = [key_of(text, "group_by") for text in params["group_by"]]
    filters = [Filter(key_of(one["key"], "filters"), tuple(one["values"]), one["exclude"]) for one in params["filters"]]
    wanted = [key_of(text, "values_of") for text in params["values_of"]]
    forecast = _forecast_period(params["forecast"], today) if params["forecast"] else None
    if params["cache_days"] < 0:
        raise CostQueryError(f"cache_days is {params['cache_days']}: give 0 for answers of today, or more")
    if params["dataset"]:
        cost_explorer_rows.check_period(period, today)
    explorer = CostExplorer(aws, Cache(params["cache_directory"] or ""), today, params["cache_days"])
    granularity = params["granularity"].upper()
    found: _Dict = {"since": str(period.since), "until": str(period.until), "changed": False}
    if params["costs"] and not params["dataset"]:
        found["costs"] = [
            _cost(one, keys) for one in explorer.costs(period, granularity, params["metrics"], keys, filters)
        ]
        if not any(amount["amount"] for one in found["costs"] for amount in one["amounts"].values()):
            explorer.warnings.append(_nothing(period))
    if forecast is not None:
        found["forecast"] = _forecast(explorer, params["forecast"], forecast, filters)
    if wanted:
        found["values_of"] = {key.text: explorer.values(period, key, filters) for key in wanted}
    if params["tag_names"]:
        found["tag_names"] = explorer.tag_keys(period)
    if params["dataset"]:
        if not params["group_by"]:
            keys = [Key("DIMENSION", "SERVICE"), Key("DIMENSION", "LINKED_ACCOUNT")]
        rows = cost_explorer_rows.read(explorer, aws.account, period, granularity, keys, filters)
        written = dataset_options.write(params, rows, check)
        if not written["periods"]:
            explorer.warnings.append(f"{_nothing(period)}; nothing was written")
        found |= {"changed": written["changed"], "written": written["periods"], "diff": written["diff"]}
    found["accounts"] = explorer.names
    if not params["show_identities"]:
        found = masked_all(found)
        explorer.warnings = [masked_all(text) for text in explorer.warnings]
    found["read_on"] = str(min(explorer.read_on, default=today))
    found["cached_answers"] = explorer.cached
    return {**found, "api": aws.account_of_calls(), "warnings": explorer.warnings}


def _nothing(period: Period) -> str:
    return (
        f"Cost Explorer has no cost from {period.since} to {period.until} for this selection: is the period over, and "
        "do the filters name values as values_of lists them?"
    )


def _period(since: str | None, until: str | None, today: datetime.date) -> Period:
    first = today.replace(day=1)
    begin = _day(since, "since") or (first - datetime.timedelta(days=1)).replace(day=1)
    end = _day(until, "until") or today
    if begin >= end:
        raise CostQueryError(f"since is {begin} and until {end}: until is the first day that no longer counts")
    if begin > today:
        raise CostQueryError(f"since is {begin}, which is to come: cost is known until today, forecast tells the rest")
    return Period(begin, end)


def _forecast_period(given: Mapping[str, t.Any], today: datetime.date) -> Period:
    begin = _day(given["since"], "forecast.since") or today
    end = _day(given["until"], "forecast.until")
    if end is None or end <= begin:
        raise CostQueryError(f"forecast.until is {given['until']!r}: give a day after {begin}, such as a month's first")
    if not 51 <= given["level"] <= 99:
        raise CostQueryError(f"forecast.level is {given['level']}: Cost Explorer knows bands of 51 to 99 percent")
    return Period(begin, end)


def _day(text: str | None, option: str) -> datetime.date | None:
    if not text:
        return None
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise CostQueryError(f"{option} is {text!r}: give a day such as 2026-01-31") from None


def _cost(cost: Cost, keys: Sequence[Key]) -> _Dict:
    return {
        "start": cost.start,
        "end": cost.end,
        "group": {key.text: value for key, value in zip(keys, cost.keys)},
        "amounts": {
            name: {"amount": round(one.value, 6), "unit": one.unit} for name, one in sorted(cost.amounts.items())
        },
        "estimated": cost.estimated,
    }


def _forecast(explorer: CostExplorer, given: Mapping[str, t.Any], period: Period, filters: Sequence[Filter]) -> _Dict:
    found = explorer.forecast(period, given["granularity"].upper(), given["metric"], given["level"], filters)
    return {
        "metric": given["metric"],
        "level": given["level"],
        "unit": found.total.unit,
        "total": round(found.total.value, 6),
        "periods": [
            {"start": one.start, "end": one.end, "mean": one.mean, "lower": one.lower, "upper": one.upper}
            for one in found.periods
        ],
    }
