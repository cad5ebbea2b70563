# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about FOCUS rows as Ibis expressions, which give the same sums on every engine.

Each function takes a table with the columns of FOCUS 1.2 and returns an expression; nothing runs here. Only what
DuckDB, PostgreSQL and Spark agree on is used: plain columns (never the JSON in ``Tags``), sums, joins and window
functions. Medians and the like are left to Python. Money is in the billing currency, and currencies are never added.
"""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus
from ansible_collections.frugal.cloud.plugins.module_utils.cost.allocation import FOLLOWING, Rules

if t.TYPE_CHECKING:
    import ibis.expr.types as ir

METRICS = ("EffectiveCost", "BilledCost", "ContractedCost", "ListCost")
#: Names that every query uses for itself.
RESERVED = ("period", "day", "currency", "cost", "quantity", "unit", "rows")


class QueryError(ValueError):
    """One sentence: which column is not there, and which are."""


def column(table: ir.Table, name: str) -> str:
    """The column that ``ServiceName``, ``x_anything`` or ``tag:team`` names, in any case of letters.

    :raises QueryError: the data has none of this name.
    """
    wanted = focus.tag_column(name[4:]) if name.lower().startswith("tag:") else name
    for known in table.columns:
        if known.lower() == wanted.lower():
            return str(known)
    if wanted.startswith(focus.TAG):
        tags = sorted(known.removeprefix(focus.TAG) for known in table.columns if known.startswith(focus.TAG))
        there = f"it has {', '.join(tags)}" if tags else "it has none"
        raise QueryError(f"the data has no tag column for {name!r} ({there}): import it with tag_keys")
    raise QueryError(f"{name!r} is no column of the cost data: use one of FOCUS, such as ServiceName, or tag:team")


def columns(table: ir.Table, names: Sequence[str]) -> list[str]:
    """The same for several, each once. :raises QueryError: as there."""
    return list(dict.fromkeys(column(table, name) for name in names))


def period(table: ir.Table) -> ir.Value:
    """The billing month, as its first day."""
    return table.BillingPeriodStart.truncate("M").date().name("period")


def restricted(table: ir.Table, filters: Mapping[str, Sequence[str]]) -> ir.Table:
    """The rows whose columns have one of the allowed values; an empty text stands for rows without a value."""
    for name, allowed in filters.items():
        values = table[column(table, name)]
        kept = values.isin([value for value in allowed if value])
        if "" in allowed:
            kept = kept | values.isnull() | (values == "")
        table = table.filter(kept)
    return table


def monthly(table: ir.Table, by: Sequence[str] = (), metric: str = "EffectiveCost") -> ir.Table:
    """``period``, ``currency``, the columns ``by``, ``cost``: what each combination cost in each billing month."""
    keys = columns(table, by)
    return table.group_by([period(table), table.BillingCurrency.name("currency"), *keys]).aggregate(
        cost=table[metric].sum()
    )


def compared(table: ir.Table, by: Sequence[str] = (), metric: str = "EffectiveCost") -> ir.Table:
    """:func:`monthly` with ``previous`` (the month before; NULL where there was nothing) and ``place`` by cost."""
    ibis = deps.ibis
    keys = columns(table, by)
    sums = monthly(table, keys, metric)
    alike = ibis.window(group_by=["currency", *keys], order_by="period")
    within = ibis.window(
        group_by=["period", "currency"], order_by=[ibis.desc("cost"), *(ibis.asc(key) for key in keys)]
    )
    # The row before is the month before only where that month has the combination at all.
    before = sums.period.lag(1).over(alike)
    follows = months_of(before) + 1 == months_of(sums.period)
    return sums.mutate(
        previous=ibis.ifelse(follows, sums.cost.lag(1).over(alike), ibis.null("float64")),
        place=ibis.row_number().over(within) + 1,
    )


def months_of(day: ir.Value) -> ir.Value:
    """A date as a count of months: engines disagree on how to subtract months."""
    return day.year() * 12 + day.month()


def bill(table: ir.Table) -> ir.Table:
    """Each month by currency: all four costs, ``rows``, and until when usage is known (``used_until``)."""
    usage = table.ChargeFrequency == "Usage-Based"
    return table.group_by([period(table), table.BillingCurrency.name("currency")]).aggregate(
        **{metric: table[metric].sum() for metric in METRICS},
        rows=table.count(),
        period_end=table.BillingPeriodEnd.max(),
        used_until=table.ChargePeriodEnd.max(where=usage),
    )


def movers(
    table: ir.Table,
    by: Sequence[str],
    current: datetime.date,
    previous: datetime.date,
    metric: str = "EffectiveCost",
    limit: int = 10,
) -> ir.Table:
    """The ``limit`` combinations of each currency whose cost changed most between two months, up or down.

    ``currency``, ``by``, ``cost``, ``previous``, ``change`` and ``place``.
    """
    ibis = deps.ibis
    keys = columns(table, by)
    months = table.mutate(period=period(table))
    now, before = months.period == ibis.date(current), months.period == ibis.date(previous)
    sums = (
        months.filter(now | before)
        .group_by([months.BillingCurrency.name("currency"), *keys])
        .aggregate(
            cost=months[metric].sum(where=now).coalesce(0.0),
            previous=months[metric].sum(where=before).coalesce(0.0),
        )
    )
    changes = sums.mutate(change=sums.cost - sums.previous)
    changes = changes.filter(changes.change != 0)
    order = [ibis.desc(changes.change.abs()), *(ibis.asc(key) for key in keys)]
    placed = changes.mutate(place=ibis.row_number().over(ibis.window(group_by="currency", order_by=order)) + 1)
    return placed.filter(placed.place <= limit).order_by(["currency", "place"])


def daily_series(table: ir.Table, by: Sequence[str] = (), metric: str = "EffectiveCost") -> ir.Table:
    """Cost of each day (UTC, by ``ChargePeriodStart``) and combination: ``day``, ``currency``, ``by``, ``cost``.

    ``ChargeCategory`` and ``ChargeFrequency`` are always columns, so that fees, tax and credits can be left out.
    ``quantity`` is ConsumedQuantity in ``unit``; both are NULL where the rows have several units or none.
    """
    ibis = deps.ibis
    keys = columns(table, [*by, "ChargeCategory", "ChargeFrequency"])
    sums = table.group_by(
        [table.ChargePeriodStart.date().name("day"), table.BillingCurrency.name("currency"), *keys]
    ).aggregate(
        cost=table[metric].sum(),
        amount=table.ConsumedQuantity.sum(),
        unit=table.ConsumedUnit.min(),
        other_unit=table.ConsumedUnit.max(),
    )
    one = sums.unit == sums.other_unit
    return sums.mutate(
        quantity=ibis.ifelse(one, sums.amount, ibis.null("float64")),
        unit=ibis.ifelse(one, sums.unit, ibis.null("string")),
    ).drop("amount", "other_unit")


def coverage_by_tag(table: ir.Table, tags: Sequence[str], metric: str = "EffectiveCost") -> ir.Table:
    """Each month by currency: ``cost`` of usage and purchases, and of what is tagged with each tag, by its column.

    Coverage by cost, not by count: tax and credits, which cannot be tagged, are left out.
    """
    keys = columns(table, tags)
    own = table.filter(~table.ChargeCategory.isin(FOLLOWING))
    return own.group_by([period(own), own.BillingCurrency.name("currency")]).aggregate(
        cost=own[metric].sum(), **{key: own[metric].sum(where=_set(own[key])).coalesce(0.0) for key in keys}
    )


def commitment_use(table: ir.Table) -> ir.Table:
    """Each month by commitment: ``used`` and ``unused`` (waste) of its cost, ``purchased``, and quantities.

    FOCUS 1.2, "Commitment Discount": usage rows carry CommitmentDiscountStatus, their EffectiveCost adds up to the
    purchase over the commitment's term; purchases have EffectiveCost 0 and what was paid in BilledCost.
    """
    rows = table.filter(table.CommitmentDiscountId.notnull())
    usage, purchase = rows.ChargeCategory == "Usage", rows.ChargeCategory == "Purchase"
    used, unused = rows.CommitmentDiscountStatus == "Used", rows.CommitmentDiscountStatus == "Unused"
    cost, quantity = rows.EffectiveCost, rows.CommitmentDiscountQuantity
    return rows.group_by(
        [
            period(rows),
            rows.BillingCurrency.name("currency"),
            rows.CommitmentDiscountId,
            rows.CommitmentDiscountType,
            rows.CommitmentDiscountCategory,
        ]
    ).aggregate(
        name=rows.CommitmentDiscountName.max(),
        unit=rows.CommitmentDiscountUnit.max(),
        used=cost.sum(where=usage & used).coalesce(0.0),
        unused=cost.sum(where=usage & unused).coalesce(0.0),
        used_quantity=quantity.sum(where=usage & used).coalesce(0.0),
        unused_quantity=quantity.sum(where=usage & unused).coalesce(0.0),
        purchased=rows.BilledCost.sum(where=purchase).coalesce(0.0),
        list_cost=rows.ListCost.sum(where=usage & used).coalesce(0.0),
    )


def _set(value: ir.Value) -> ir.Value:
    return value.notnull() & (value != "")


def _tagged(table: ir.Table, rules: Rules) -> ir.Value:
    found = deps.ibis.literal(False)
    for tag in rules.tags:
        found = found | _set(table[tag])
    return found


def charges(table: ir.Table, rules: Rules, metric: str = "EffectiveCost") -> ir.Table:
    """What :func:`allocation.allocate` takes: ``period``, ``currency``, the rules' columns, ``resource``, ``cost``."""
    ibis = deps.ibis
    follows = table.ChargeCategory.isin(FOLLOWING) & ~_tagged(table, rules)
    rows = table.mutate(resource=ibis.ifelse(follows, table.ResourceId, ibis.null("string")))
    keys = columns(rows, rules.columns)
    return rows.group_by([period(rows), rows.BillingCurrency.name("currency"), *keys, "resource"]).aggregate(
        cost=rows[metric].sum()
    )


def resource_charges(table: ir.Table, rules: Rules, metric: str = "EffectiveCost") -> ir.Table:
    """Costs of the resources that credits and tax without a tag name: ``period``, ``currency``, ``resource``,
    the rules' columns, ``cost``.

    By month, so that what a month is charged does not depend on which other months are looked at.
    """
    category = table.ChargeCategory
    follows = table.filter(category.isin(FOLLOWING) & ~_tagged(table, rules) & table.ResourceId.notnull())
    named = follows.select(resource=follows.ResourceId).distinct()
    keys = columns(table, rules.columns)
    own = table.filter(~category.isin(FOLLOWING))
    # Only the columns that are asked for go through the join.
    bases = own.select(
        period(own),
        own.BillingCurrency.name("currency"),
        own.ResourceId.name("resource"),
        own[metric].name("amount"),
        *keys,
    ).semi_join(named, "resource")
    return bases.group_by(["period", "currency", "resource", *keys]).aggregate(cost=bases.amount.sum())
