# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Anomalies in cost data: series from the rows, episodes from the series, causes from the rows again."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import cost_causes
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.anomaly import Episode, Rules, find_anomalies
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.cost_causes import Cause, Part
from ansible_collections.frugal.cloud.plugins.module_utils.cost import daily_costs, identities, queries
from ansible_collections.frugal.cloud.plugins.module_utils.cost.daily_costs import DAY, Daily
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import CostsError, fetch

if t.TYPE_CHECKING:
    import ibis.expr.types as ir

_Dict: t.TypeAlias = "dict[str, t.Any]"
#: What usual is: the same weekdays of so many days before an episode; of long episodes, their last days are looked at.
BASELINE, LOOKED_AT = 28, 28
#: Combinations that are read to find causes; those that changed most.
PARTS = 2000
#: Values of each dimension that are returned.
CAUSES = 5
#: Days that the data has to have before the first that is judged.
HISTORY = 14


@dataclasses.dataclass(frozen=True)
class Question:
    """What to look for, and where; days are dates in UTC."""

    by: tuple[str, ...]
    dimensions: tuple[str, ...]
    metric: str
    filters: Mapping[str, Sequence[str]]
    until: datetime.date
    incomplete_days: int
    history_days: int
    report_days: int
    rules: Rules
    decreases: bool
    limit: int
    show_identities: bool


def question_from(params: Mapping[str, t.Any], today: datetime.date) -> Question:
    """What the options ask. :raises CostsError: for a value that cannot be."""
    checks = (("min_impact", 0.01), ("history_days", 28), ("report_days", 1), ("limit", 1), ("incomplete_days", 0))
    for name, least in checks:
        if params[name] < least:
            raise CostsError(f"{name} is {params[name]}: give {least} or more")
    if not 0 <= params["min_change"] <= 10:
        raise CostsError(f"min_change is {params['min_change']}: give a part of the usual cost, such as 0.15 for 15 %")
    if params["threshold"] < 2:
        raise CostsError(f"threshold is {params['threshold']}: give 2 standard deviations or more; 4 is the default")
    if not params["by"]:
        raise CostsError("by is empty: name at least one column, such as ServiceName")
    rules = Rules()
    return Question(
        by=tuple(params["by"]),
        dimensions=tuple(params["dimensions"]),
        metric=params["metric"],
        filters={one["column"]: one["values"] for one in params["filters"]},
        until=daily_costs.day(params["until"], "until", today),
        incomplete_days=params["incomplete_days"],
        history_days=params["history_days"],
        report_days=params["report_days"],
        rules=dataclasses.replace(
            rules,
            tests=tuple((days, params["threshold"]) for days, _default in rules.tests),
            impact=params["min_impact"],
            relative=params["min_change"],
        ),
        decreases=params["decreases"],
        limit=params["limit"],
        show_identities=params["show_identities"],
    )


def look(table: ir.Table, question: Question) -> _Dict:
    """The module's answer. :raises CostsError: the data does not hold what is needed."""
    rows = queries.restricted(table, question.filters)
    judged = daily_costs.last_complete_day(rows, question.until, question.incomplete_days)
    since = judged - (question.history_days - 1) * DAY
    daily = daily_costs.daily_costs(rows, question.by, question.metric, since, judged)
    days = daily.costs.shape[1]
    if days <= HISTORY:
        raise CostsError(
            f"the cost data has {days} complete days until {judged}: anomalies need more than {HISTORY}, and weekdays "
            "are known from 28 on"
        )
    found = find_anomalies(daily.costs, daily.first, question.rules)
    from_day = days - question.report_days
    episodes = [
        one
        for one in found.episodes
        if (one.alarmed >= from_day or one.ongoing) and (one.change > 0 or question.decreases)
    ]
    episodes.sort(key=lambda one: (-abs(one.change), one.first))
    shown = [_episode(rows, daily, one, question) for one in episodes[: question.limit]]
    return {
        "anomalies": shown,
        "summary": {
            "series": len(daily.keys),
            "first_day": daily.first.isoformat(),
            "last_day": judged.isoformat(),
            "anomalies": len(episodes),
            "not_shown": max(0, len(episodes) - question.limit),
            "incomplete_from": (judged + DAY).isoformat(),
        },
        "left_out": daily_costs.left_out(rows, question.metric, daily.first, judged),
    }


def _episode(table: ir.Table, daily: Daily, one: Episode, question: Question) -> _Dict:
    """One episode with its causes, as the module returns it."""
    currency, *values = daily.keys[one.series]
    key = dict(zip(daily.by, values))
    first, last = daily.date(one.first), daily.date(one.last)
    days = one.last - one.first + 1
    parts, before, after = _parts(table, key, currency, first, last, question)
    change = after - before
    dimensions = [name for name in queries.columns(table, question.dimensions) if name not in key]
    causes = {name: cost_causes.contributions(parts, name, change)[:CAUSES] for name in dimensions}
    down = cost_causes.way_down(parts, dimensions, change)
    effects = cost_causes.effects(parts, change)
    told = _masking(question.show_identities)
    series = {name: told(name, value) for name, value in key.items()}
    return {
        "series": series,
        "currency": currency,
        "kind": one.kind if one.change > 0 else f"{one.kind} down",
        "first_day": first.isoformat(),
        "alarmed_on": daily.date(one.alarmed).isoformat(),
        "last_day": last.isoformat(),
        "ongoing": one.ongoing,
        "days": days,
        "cost": round(one.expected + one.change, 2),
        "expected": round(one.expected, 2),
        "change": round(one.change, 2),
        "change_percent": round(100 * one.change / one.expected, 1) if one.expected > 0 else None,
        "change_per_day": round(one.change / days, 2),
        "score": round(one.score, 2),
        "causes": [_cause(cause, told) for name in dimensions for cause in causes[name] if cause.change],
        "way_down": [_cause(cause, told) for cause in down],
        "effects": {name: round(amount, 2) for name, amount in dataclasses.asdict(effects).items()},
        "sentence": _sentence(one, series, currency, first, down, told, cost_causes.sentence(effects, change, _money)),
    }


def _parts(
    table: ir.Table, key: Mapping[str, str], currency: str, first: datetime.date, last: datetime.date, asked: Question
) -> tuple[list[Part], float, float]:
    """What the series consists of, per day: in the episode, and on the same weekdays before it; and the sums of both.

    ``EffectiveCost`` without the quantity says nothing about a price: parts without a SKU have none.
    """
    ibis = deps.ibis
    looked_at = max(first, last - (LOOKED_AT - 1) * DAY)
    now = [looked_at + number * DAY for number in range((last - looked_at).days + 1)]
    weekdays = {one.weekday() for one in now}
    usual = [first - number * DAY for number in range(1, BASELINE + 1)]
    usual = [one for one in usual if one.weekday() in weekdays]
    rows = daily_costs.chosen(daily_costs.within(table, usual[-1], last), list(key), key, currency)
    columns = queries.columns(table, [name for name in asked.dimensions if name not in key])
    day = rows.ChargePeriodStart.date()
    rows = rows.mutate(now=day.isin(now), usual=day.isin(usual)).filter(lambda one: one.now | one.usual)
    priced = rows.PricingQuantity.notnull()
    quantity = ibis.ifelse(priced, rows.PricingQuantity, rows.ConsumedQuantity)
    unit = ibis.ifelse(priced, rows.PricingUnit, rows.ConsumedUnit)
    rows = rows.mutate(sku=rows.SkuId, unit=unit, amount=quantity)
    cost = rows[asked.metric]
    sums = rows.group_by([*columns, "sku", "unit"]).aggregate(
        before=cost.sum(where=rows.usual).coalesce(0.0),
        after=cost.sum(where=rows.now).coalesce(0.0),
        quantity_before=rows.amount.sum(where=rows.usual).coalesce(0.0),
        quantity_after=rows.amount.sum(where=rows.now).coalesce(0.0),
        counted=rows.amount.count(),
    )
    [whole] = fetch(sums.aggregate(before=sums.before.sum(), after=sums.after.sum()))
    weight = (sums.after / len(now) - sums.before / len(usual)).abs()
    parts = []
    for row in fetch(sums.order_by(ibis.desc(weight)).limit(PARTS)):
        known = row["sku"] is not None and row["counted"] > 0
        parts.append(
            Part(
                {name: row[name] or "" for name in columns},
                f"{row['sku']} {row['unit']}",
                float(row["before"]) / len(usual),
                float(row["after"]) / len(now),
                float(row["quantity_before"]) / len(usual) if known else None,
                float(row["quantity_after"]) / len(now) if known else None,
            )
        )
    return parts, float(whole["before"] or 0.0) / len(usual), float(whole["after"] or 0.0) / len(now)


def _masking(show: bool) -> t.Callable[[str, str], str]:
    """Column and value -> how the value is shown."""
    return (lambda column, value: value) if show else identities.masked_value


def _cause(cause: Cause, told: t.Callable[[str, str], str]) -> _Dict:
    return {
        "dimension": cause.dimension,
        "value": told(cause.dimension, cause.value),
        "before_per_day": round(cause.before, 2),
        "per_day": round(cause.after, 2),
        "change_per_day": round(cause.change, 2),
        "share": round(cause.share, 3),
    }


def _money(amount: float) -> str:
    return f"{amount:+,.2f}"


def _sentence(
    one: Episode,
    series: Mapping[str, str],
    currency: str,
    first: datetime.date,
    down: Sequence[Cause],
    told: t.Callable[[str, str], str],
    effects: str,
) -> str:
    """The episode for a person."""
    name = ", ".join(value or f"no {column}" for column, value in series.items())
    part = f" ({100 * one.change / one.expected:+.0f} %)" if one.expected > 0 else ""
    days = one.last - one.first + 1
    since = f"on {first}" if days == 1 else f"in {days} days from {first}"
    more = "more" if one.change > 0 else "less"
    text = f"{name}: {abs(one.change):,.2f} {currency} {more} than expected {since}{part}"
    if one.kind == "new":
        text = f"{name}: new, {one.change:,.2f} {currency} {since}"
    if down:
        where = ", ".join(f"{cause.dimension} {told(cause.dimension, cause.value) or 'none'}" for cause in down)
        text += f"; {100 * down[-1].share:.0f} % of it is {where}"
    return f"{text}; per day: {effects}" if effects else text
