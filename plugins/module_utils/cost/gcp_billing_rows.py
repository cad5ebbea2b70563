# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries of Google's billing export, and FOCUS rows from what they find.

The export has a row for each resource and hour; BigQuery adds them up by day before anything is sent. A cost is taken
with the credits that belong to its price; promotions and free tiers are charges of category Credit, as ``focus_import``
has them. Resources and commitments are not told apart here: a file export imported with ``focus_import`` does that.

https://cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/standard-usage
"""

from __future__ import annotations

import datetime
import json
import re
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus_services
from ansible_collections.frugal.cloud.plugins.module_utils.observe.gcp_billing import BillingError, Query

_Dict: t.TypeAlias = "dict[str, t.Any]"

#: What costs can be grouped by, as SQL over the export.
KEYS: Mapping[str, str] = {
    "billing_account": "billing_account_id",
    "cost_type": "cost_type",
    "project": "project.id",
    "region": "location.region",
    "service": "service.description",
    "sku": "sku.description",
}
LABEL, PROJECT_LABEL = "label:", "project_label:"
#: Credits that are given; the others are what a price comes to and belong to the charge.
GIVEN = ("PROMOTION", "FREE_TIER")
#: Rows come in on the day of their usage or later; a month begins at midnight in California.
_SLACK = datetime.timedelta(days=1)
_LABEL = re.compile(r"[^`'\"\\]{1,128}")
_CATEGORIES = {"regular": "Usage", "tax": "Tax"}
_MICRO = 1e-9


def check_key(key: str) -> str:
    """A key of O(group_by). :raises BillingError: there is no such key."""
    for prefix in (LABEL, PROJECT_LABEL):
        if key.startswith(prefix) and _LABEL.fullmatch(key[len(prefix) :]):
            return key
    if key not in KEYS:
        raise BillingError(
            f"group_by has {key!r}: use {', '.join(KEYS)}, {LABEL}KEY for a resource's label or {PROJECT_LABEL}KEY for "
            "a project's"
        )
    return key


def check_whole_months(since: datetime.date, until: datetime.date, today: datetime.date) -> None:
    """A billing period is replaced as a whole, so it has to be asked for as a whole.

    :raises BillingError: the time begins or ends within a month that is over.
    """
    for name, day in (("since", since), ("until", until)):
        if day.day != 1 and not (name == "until" and day >= today):
            raise BillingError(
                f"{name} is {day}: with dataset it is the first day of a month, because a billing period is replaced "
                "as a whole"
            )


def _months(since: datetime.date, until: datetime.date) -> dict[str, tuple[str, str]]:
    """The first and last invoice month of a time."""
    last = until - datetime.timedelta(days=1)
    return {"first": ("STRING", f"{since:%Y%m}"), "last": ("STRING", f"{last:%Y%m}")}


def _arrived(since: datetime.date) -> tuple[str, str]:
    return "TIMESTAMP", f"{since - _SLACK}T00:00:00Z"


_CREDITS = "IFNULL((SELECT SUM(CAST(c.amount AS NUMERIC)) FROM UNNEST(credits) AS c{where}), 0)"


def sums(table: str, since: datetime.date, until: datetime.date, monthly: bool, group_by: Sequence[str]) -> Query:
    """Cost, credits and usage by period and keys: months are those of invoices, days those of usage in UTC."""
    parameters = {"arrived": _arrived(since)}
    conditions = ["_PARTITIONTIME >= @arrived"]
    if monthly:
        parameters |= _months(since, until)
        period = "invoice.month"
        conditions.append("invoice.month BETWEEN @first AND @last")
    else:
        parameters |= {name: ("TIMESTAMP", f"{day}T00:00:00Z") for name, day in (("since", since), ("until", until))}
        period = "DATE(usage_start_time)"
        conditions.append("usage_start_time >= @since AND usage_start_time < @until")
    columns = [f"{period} AS period"]
    for number, key in enumerate(group_by):
        expression = KEYS.get(key, "")
        for prefix, labels in ((LABEL, "labels"), (PROJECT_LABEL, "project.labels")):
            if key.startswith(prefix):
                parameters[f"label_{number}"] = ("STRING", key[len(prefix) :])
                expression = f"(SELECT MIN(l.value) FROM UNNEST({labels}) AS l WHERE l.key = @label_{number})"
        columns.append(f"{expression} AS key_{number}")
    columns.append("currency")
    totals = [
        "SUM(CAST(cost AS NUMERIC)) AS cost",
        f"SUM({_CREDITS.format(where='')}) AS credits",
        "SUM(usage.amount_in_pricing_units) AS quantity",
        "MIN(usage.pricing_unit) AS unit",
        "MAX(usage.pricing_unit) AS other_unit",
    ]
    return Query(_select(columns, totals, table, conditions), parameters)


def _select(columns: Sequence[str], totals: Sequence[str], table: str, conditions: Sequence[str]) -> str:
    places = ", ".join(str(number + 1) for number in range(len(columns)))
    return (
        f"SELECT {', '.join([*columns, *totals])} FROM {table} WHERE {' AND '.join(conditions)} "
        f"GROUP BY {places} ORDER BY {places}"
    )


def charges(table: str, since: datetime.date, until: datetime.date) -> Query:
    """All that the invoices of these months hold, by day, project, SKU, region and labels."""
    columns = [
        "DATE(usage_start_time) AS day",
        "invoice.month AS month",
        "billing_account_id",
        "service.id AS service_id",
        "service.description AS service",
        "sku.id AS sku_id",
        "sku.description AS sku",
        "project.id AS project",
        "project.name AS project_name",
        "location.region AS region",
        "cost_type",
        "currency",
        "usage.unit AS unit",
        "usage.pricing_unit AS pricing_unit",
        "TO_JSON_STRING(labels) AS labels",
        "TO_JSON_STRING(project.labels) AS project_labels",
    ]
    kinds = ", ".join(f"'{kind}'" for kind in GIVEN)
    totals = [
        "SUM(CAST(cost AS NUMERIC)) AS cost",
        "SUM(CAST(cost_at_list AS NUMERIC)) AS list_cost",
        f"SUM({_CREDITS.format(where='')}) AS credits",
        f"SUM({_CREDITS.format(where=f' WHERE c.type IN ({kinds})')}) AS given",
        "SUM(usage.amount) AS used",
        "SUM(usage.amount_in_pricing_units) AS priced",
    ]
    parameters = {"arrived": _arrived(since), **_months(since, until)}
    conditions = ["_PARTITIONTIME >= @arrived", "invoice.month BETWEEN @first AND @last"]
    return Query(_select(columns, totals, table, conditions), parameters)


def rows(found: Iterable[Mapping[str, t.Any]]) -> Iterator[_Dict]:
    """FOCUS rows of what :func:`charges` finds."""
    for one in found:
        yield from _rows(one)


def _rows(one: Mapping[str, t.Any]) -> Iterator[_Dict]:
    cost, credits, given = (_number(one[name]) for name in ("cost", "credits", "given"))
    kind = (one["cost_type"] or "regular").lower()
    fee = kind == "regular" and (one["sku"] or "").lower().startswith("commitment")
    category = "Purchase" if fee else _CATEGORIES.get(kind, "Adjustment")
    base = _base(one)
    net = cost + credits - given
    priced = category in ("Usage", "Purchase")
    quantity, used = _number(one["priced"]), _number(one["used"])
    listed = cost if one["list_cost"] is None else _number(one["list_cost"])
    row = {
        **base,
        "BilledCost": net,
        "EffectiveCost": net,
        "ContractedCost": cost,
        "ListCost": listed,
        "ChargeCategory": category,
        "ChargeFrequency": {"Usage": "Usage-Based", "Purchase": "Recurring"}.get(category, "One-Time"),
        "ChargeDescription": one["sku"],
        "PricingCategory": ("Dynamic" if _spot(one["sku"]) else "Standard") if priced else None,
    }
    if priced:
        row |= {"SkuId": one["sku_id"], "SkuMeter": one["sku"], "SkuPriceId": one["sku_id"]}
    if priced and one["pricing_unit"]:
        row |= {"PricingQuantity": quantity, "PricingUnit": one["pricing_unit"]}
        if quantity > _MICRO and min(cost, listed) >= 0:
            row |= {"ContractedUnitPrice": cost / quantity, "ListUnitPrice": listed / quantity}
    if category == "Usage" and one["unit"]:
        row |= {"ConsumedQuantity": used, "ConsumedUnit": one["unit"]}
    yield row
    if abs(given) > _MICRO:
        costs = dict.fromkeys(("BilledCost", "EffectiveCost", "ContractedCost", "ListCost"), given)
        said = {"ChargeDescription": f"Credits of {one['service']}", "ChargeFrequency": "One-Time"}
        yield {**base, **costs, **said, "ChargeCategory": "Credit"}


def _base(one: Mapping[str, t.Any]) -> _Dict:
    start = datetime.date.fromisoformat(one["day"])
    first = datetime.date(int(one["month"][:4]), int(one["month"][4:]), 1)
    following = (first.replace(day=28) + datetime.timedelta(days=4)).replace(day=1)
    service = focus_services.by_name(one["service"] or one["service_id"])
    labels = {**_labels(one["project_labels"]), **_labels(one["labels"])}
    return {
        "BillingAccountId": one["billing_account_id"],
        "BillingAccountType": "Billing Account",
        "BillingCurrency": one["currency"],
        "BillingPeriodStart": _in_california(first),
        "BillingPeriodEnd": _in_california(following),
        "ChargePeriodStart": start,
        "ChargePeriodEnd": start + datetime.timedelta(days=1),
        "InvoiceIssuerName": "Google Cloud",
        "ProviderName": "Google Cloud",
        "PublisherName": "Google Cloud",
        "RegionId": one["region"],
        "RegionName": one["region"],
        "ServiceName": service.name,
        "ServiceCategory": service.category,
        "ServiceSubcategory": service.subcategory,
        "SubAccountId": one["project"],
        "SubAccountName": one["project_name"] if one["project"] else None,
        "SubAccountType": "Project" if one["project"] else None,
        "Tags": labels or None,
        "x_CostType": one["cost_type"],
        "x_ServiceId": one["service_id"],
    }


def _in_california(day: datetime.date) -> datetime.datetime:
    """The moment in UTC at which a day begins for Google's invoices: 8 hours late, 7 while clocks there are ahead.

    They are from the second Sunday of March to the first of November, at 2 in the morning; a month's first day is
    never the day of a change but in November, when it is the first.
    """
    march = datetime.date(day.year, 3, 8)
    march += datetime.timedelta(days=6 - march.weekday())
    november = datetime.date(day.year, 11, 1)
    november += datetime.timedelta(days=6 - november.weekday())
    hours = 7 if march < day <= november else 8
    return datetime.datetime(day.year, day.month, day.day, hours)


def _labels(text: str | None) -> dict[str, str]:
    return {one["key"]: one["value"] for one in json.loads(text or "null") or () if one.get("value")}


def _spot(sku: str | None) -> bool:
    return any(word in (sku or "").lower() for word in ("spot", "preemptible"))


def _number(text: str | None) -> float:
    return float(text) if text is not None else 0.0
