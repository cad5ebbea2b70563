# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""FOCUS rows from what Cost Explorer knows, for accounts without an export.

A request groups by two keys, so the kinds of charges (``RECORD_TYPE``) are asked for one by one unless they are one of
the keys. Sums are right: BilledCost is the net unblended cost and EffectiveCost the net amortised cost. Prices, SKUs,
resources and ids of commitments are not known, and stay null; ListCost and ContractedCost are what usage costs before
commitments, and no less than what it costs after them.

Kinds of charges: https://docs.aws.amazon.com/cost-management/latest/userguide/ce-filtering.html ("Charge type").
"""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus_services
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cost_queries import (
    Cost,
    CostExplorer,
    CostQueryError,
    Filter,
    Key,
    Period,
)

_Dict: t.TypeAlias = "dict[str, t.Any]"

METRICS = ("NetUnblendedCost", "NetAmortizedCost", "UnblendedCost", "UsageQuantity")
RECORD_TYPE = Key("DIMENSION", "RECORD_TYPE")
#: Costs below are what Cost Explorer's ten decimals leave of zero.
_NOTHING = 1e-9


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of charge: ChargeCategory, ChargeFrequency, PricingCategory and whether its cost is billed."""

    category: str = "Usage"
    frequency: str = "Usage-Based"
    pricing: str | None = "Standard"
    #: ``covered``: usage that a commitment pays; ``fee``: the commitment itself; ``negation``: no charge in FOCUS
    role: t.Literal["", "covered", "fee", "negation"] = ""


#: By the value of RECORD_TYPE without spaces, in small letters: AWS writes both ``RIFee`` and ``Recurring``.
KINDS: Mapping[str, Kind] = {
    "usage": Kind(),
    "savingsplancoveredusage": Kind(pricing="Committed", role="covered"),
    "discountedusage": Kind(pricing="Committed", role="covered"),
    "savingsplannegation": Kind(role="negation"),
    "savingsplanrecurringfee": Kind("Purchase", "Recurring", role="fee"),
    "savingsplanupfrontfee": Kind("Purchase", "One-Time", role="fee"),
    "rifee": Kind("Purchase", "Recurring", role="fee"),
    "recurring": Kind("Purchase", "Recurring", role="fee"),
    "recurringreservationfee": Kind("Purchase", "Recurring", role="fee"),
    "upfront": Kind("Purchase", "One-Time", role="fee"),
    "upfrontreservationfee": Kind("Purchase", "One-Time", role="fee"),
    "fee": Kind("Purchase", "One-Time"),
    "otherout-of-cyclecharges": Kind("Adjustment", "One-Time", None),
    "tax": Kind("Tax", "One-Time", None),
    "credit": Kind("Credit", "One-Time", None),
    "refund": Kind("Adjustment", "One-Time", None),
    "support": Kind("Purchase", "Recurring"),
    "supportfee": Kind("Purchase", "Recurring"),
}
#: Discounts (SPP, EDP, bundled, private rate) too: the net cost of the usage contains them, theirs is none.
_DISCOUNT = Kind("Adjustment", "One-Time", None)


def kind_of(record_type: str) -> Kind:
    """What a RECORD_TYPE is in FOCUS; kinds that are not known are adjustments."""
    return KINDS.get("".join(record_type.lower().split()), _DISCOUNT)


def check_period(period: Period, today: datetime.date) -> None:
    """A billing period is replaced as a whole, so it has to be asked for as a whole.

    :raises CostQueryError: the period begins or ends within a month that is over.
    """
    if period.since.day != 1:
        raise CostQueryError(
            f"since is {period.since}: with dataset it is the first day of a month, because a billing period is "
            "replaced as a whole"
        )
    if period.until.day != 1 and period.until < today:
        raise CostQueryError(
            f"until is {period.until}: with dataset it is the first day of a month, or not before today, because a "
            "billing period is replaced as a whole"
        )


def read(
    explorer: CostExplorer,
    payer: str,
    period: Period,
    granularity: str,
    group_by: Sequence[Key],
    filters: Sequence[Filter] = (),
) -> Iterator[_Dict]:
    """Rows of FOCUS; ``payer`` is the account that asks, which is whose bill it is.

    Requests: one where RECORD_TYPE is among the keys, else one and one more for each kind of charge.

    :raises AwsError: Cost Explorer refuses, or has no data.
    """
    if RECORD_TYPE in group_by:
        for cost in explorer.costs(period, granularity, METRICS, group_by, filters):
            yield from _rows(payer, cost, group_by, "", explorer.names)
        return
    totals = explorer.costs(period, "MONTHLY", METRICS, [RECORD_TYPE], filters)
    for record_type in sorted({cost.keys[0] for cost in totals}):
        if kind_of(record_type).role == "negation":
            continue
        only = [*filters, Filter(RECORD_TYPE, (record_type,))]
        for cost in explorer.costs(period, granularity, METRICS, group_by, only):
            yield from _rows(payer, cost, group_by, record_type, explorer.names)


def _rows(
    payer: str, cost: Cost, group_by: Sequence[Key], record_type: str, names: Mapping[str, str]
) -> Iterator[_Dict]:
    values = {key.text: value for key, value in zip(group_by, cost.keys)}
    record_type = values.get(RECORD_TYPE.text, record_type)
    kind = kind_of(record_type)
    billed, effective, gross = (cost.amounts[name].value for name in METRICS[:3])
    usage = cost.amounts["UsageQuantity"]
    told = (billed, effective, gross, usage.value) if kind.category == "Usage" else (billed, effective)
    if kind.role == "negation" or max(map(abs, told)) < _NOTHING:
        return
    base = _base(payer, cost, values, record_type, names)
    priced = {"ChargeCategory": kind.category, "ChargeFrequency": kind.frequency, "PricingCategory": kind.pricing}
    if kind.role == "fee":
        yield {**base, **priced, "BilledCost": billed, "EffectiveCost": 0.0}
        if abs(effective) >= _NOTHING:
            unused = {"ChargeCategory": "Usage", "ChargeFrequency": "Usage-Based", "PricingCategory": "Committed"}
            said = {"ChargeDescription": "Unused part of commitments", "ListCost": 0.0, "ContractedCost": 0.0}
            yield {**base, **unused, **said, "BilledCost": 0.0, "EffectiveCost": effective}
        return
    row = {**base, **priced, "BilledCost": billed, "EffectiveCost": effective}
    if kind.role == "covered":
        row |= {"BilledCost": 0.0, **dict.fromkeys(("ListCost", "ContractedCost"), max(gross, effective))}
    elif kind.category == "Usage":
        row |= {"ListCost": max(gross, billed), "ContractedCost": max(gross, billed)}
    if kind.category == "Usage" and "USAGE_TYPE" in values and usage.unit not in ("", "N/A"):
        row |= {"ConsumedQuantity": usage.value, "ConsumedUnit": usage.unit}
    yield row


def _base(payer: str, cost: Cost, values: Mapping[str, str], record_type: str, names: Mapping[str, str]) -> _Dict:
    start = _moment(cost.start)
    first = datetime.date(start.year, start.month, 1)
    account = values.get("LINKED_ACCOUNT")
    service = focus_services.by_name(values["SERVICE"]) if "SERVICE" in values else None
    region = values.get("REGION", "")
    # What has no region is called so, or global, or has none at all.
    region = "" if region.lower() in ("noregion", "global", "") else region
    unit = cost.amounts["NetUnblendedCost"].unit
    return {
        "BillingAccountId": payer,
        "BillingAccountName": names.get(payer) or None,
        "BillingCurrency": unit if unit and unit != "N/A" else "USD",
        "BillingPeriodStart": first,
        "BillingPeriodEnd": (first.replace(day=28) + datetime.timedelta(days=4)).replace(day=1),
        "ChargePeriodStart": start,
        "ChargePeriodEnd": _moment(cost.end),
        "ChargeDescription": f"{record_type} of {values.get('SERVICE', 'all services')}",
        "InvoiceIssuerName": "Amazon Web Services, Inc.",
        "ProviderName": "AWS",
        "PublisherName": "Amazon Web Services, Inc.",
        "RegionId": region or None,
        "RegionName": region or None,
        "ServiceName": service.name if service else "AWS",
        "ServiceCategory": service.category if service else None,
        "ServiceSubcategory": service.subcategory if service else None,
        "SubAccountId": account,
        "SubAccountName": (names.get(account) or None) if account else None,
        "SubAccountType": "Member Account" if account else None,
        "Tags": {key.removeprefix("tag:"): value for key, value in values.items() if key.startswith("tag:") and value}
        or None,
        "x_RecordType": record_type,
        "x_UsageType": values.get("USAGE_TYPE"),
        "x_Operation": values.get("OPERATION"),
    }


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).replace(tzinfo=None)
