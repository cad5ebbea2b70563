# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On-demand prices from AWS' Pricing API, and how much of each family commitments cover.

Prices are kept on disk with their date and source. They are read again after
``refresh_days``; where the Pricing API cannot be reached they serve up to
``offline_days`` and the caller is told their date.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cache import Cache
from ansible_collections.frugal.cloud.plugins.module_utils.resources import PriceList

#: The Price List Query API has endpoints in these regions only.
#: https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
PRICING_REGIONS = ("us-east-1", "eu-central-1", "ap-south-1")
PRICING_REGION_CHINA = "cn-northwest-1"


@dataclasses.dataclass(frozen=True)
class PriceOptions:
    """How old prices may be, in days: read again after ``refresh``, usable offline up to ``offline``."""

    refresh_days: int = 7
    offline_days: int = 90


def read_prices(
    aws: Aws,
    systems: Iterable[tuple[str, str]],
    today: datetime.date,
    cache: Cache,
    options: PriceOptions,
    warnings: list[str],
) -> PriceList:
    """On-demand prices with shared tenancy for each (operating system, pre-installed software).

    The result's ``as_of`` is the oldest date among them.

    :raises AwsError: when a price list can neither be read nor found on disk young enough.
    """
    hourly: dict[tuple[str, str], float] = {}
    dates: list[datetime.date] = []
    currency = "CNY" if aws.region.startswith("cn-") else "USD"
    source = "AWS Pricing API"
    for system, software in sorted(set(systems)):
        key = [aws.region, system, software, currency]
        kept = cache.load("prices", key)
        if kept is None or (today - kept[0]).days > options.refresh_days:
            try:
                kept = (today, _products(aws, system, software, currency))
                cache.store("prices", key, today, kept[1])
            except AwsError as error:
                if kept is None or (today - kept[0]).days > options.offline_days:
                    age = "none are on disk" if kept is None else f"those on disk are of {kept[0]}"
                    raise AwsError(
                        f"prices for {system} in {aws.region} cannot be read and {age}: {error}", error.code
                    ) from error
                warnings.append(f"prices for {system} in {aws.region} are of {kept[0]}, read from disk: {error}")
                source = "AWS Pricing API, kept on disk"
        day, prices = kept
        dates.append(day)
        hourly.update({(name, system_key(system, software)): price for name, price in prices.items()})
    return PriceList(aws.region, hourly, source, min(dates, default=today), currency)


def system_key(system: str, software: str) -> str:
    """The operating system's name in a price list: ``Windows`` or ``Windows with SQL Std``."""
    return system if software == "NA" else f"{system} with {software}"


def _products(aws: Aws, system: str, software: str, currency: str) -> dict[str, float]:
    """Instance type -> currency/hour, from GetProducts."""
    wanted = {
        "regionCode": aws.region,
        "operatingSystem": system,
        "preInstalledSw": software,
        "tenancy": "Shared",
        "capacitystatus": "Used",
        "licenseModel": "No License required",
    }
    region = PRICING_REGION_CHINA if aws.region.startswith("cn-") else _nearest(aws.region)
    prices: dict[str, float] = {}
    for page in aws.pages(
        "pricing",
        "get_products",
        region=region,
        ServiceCode="AmazonEC2",
        Filters=[{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()],
        PaginationConfig={"PageSize": 100},
    ):
        for text in page["PriceList"]:
            found = _on_demand(json.loads(text), currency)
            if found is not None:
                prices[found[0]] = found[1]
    if not prices:
        raise AwsError(f"the Pricing API has no {system} prices for region {aws.region}", "NoPrices")
    return prices


def _nearest(region: str) -> str:
    if region.startswith(("eu-", "me-", "af-", "il-")):
        return "eu-central-1"
    if region.startswith("ap-"):
        return "ap-south-1"
    return "us-east-1"


def _on_demand(product: Mapping[str, t.Any], currency: str) -> tuple[str, float] | None:
    """(instance type, price per hour) of one product, or None where it has no hourly price."""
    name = product.get("product", {}).get("attributes", {}).get("instanceType")
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term.get("priceDimensions", {}).values():
            price = float(dimension.get("pricePerUnit", {}).get(currency, "0"))
            if name and dimension.get("unit") in ("Hrs", "Hours") and price > 0:
                return name, price
    return None


def read_commitments(
    aws: Aws, today: datetime.date, lookback_days: int, cache: Cache, warnings: list[str]
) -> tuple[Mapping[str, float] | None, bool]:
    """Share (0..1) of each family's hours that Savings Plans or reservations cover, and whether any exist.

    From Cost Explorer, which charges 0.01 USD a request; its answer is kept for the day.
    Where Cost Explorer is denied the shares are None and the free listings of Savings
    Plans and reservations still tell whether the account has any of its own.

    A reservation covers hours first, Savings Plans cover part of what is left, so together
    they cover r + (1 - r) x s.
    """
    key = [aws.account, aws.region, lookback_days]
    kept = cache.load("commitments", key)
    if kept is not None and kept[0] == today:
        return kept[1], any(kept[1].values())
    period = {"Start": (today - datetime.timedelta(days=lookback_days)).isoformat(), "End": today.isoformat()}
    here = {"Dimensions": {"Key": "REGION", "Values": [aws.region]}}
    service = {"Dimensions": {"Key": "SERVICE", "Values": ["Amazon Elastic Compute Cloud - Compute"]}}
    try:
        reserved = _or_none(lambda: _reservation_coverage(aws, period, {"And": [here, service]}))
        planned = _or_none(lambda: _savings_plans_coverage(aws, period, {"And": [here, service]}))
    except AwsError as error:
        warnings.append(f"savings are at list price, commitments are unknown: {error}")
        return None, _any_commitment(aws)
    coverage = {
        family: min(1.0, reserved.get(family, 0.0) + (1 - reserved.get(family, 0.0)) * planned.get(family, 0.0))
        for family in {*reserved, *planned}
    }
    cache.store("commitments", key, today, coverage)
    return coverage, any(coverage.values())


def _or_none(read: t.Callable[[], dict[str, float]]) -> dict[str, float]:
    """Coverage by family; Cost Explorer refuses to answer where there is nothing to cover with."""
    try:
        return read()
    except AwsError as error:
        if error.code == "DataUnavailableException":
            return {}
        raise


def _reservation_coverage(aws: Aws, period: Mapping[str, str], chosen: Mapping[str, t.Any]) -> dict[str, float]:
    arguments: dict[str, t.Any] = {
        "TimePeriod": period,
        "Filter": chosen,
        "GroupBy": [{"Type": "DIMENSION", "Key": "INSTANCE_TYPE_FAMILY"}],
    }
    coverage: dict[str, float] = {}
    for page in _cost_explorer_pages(aws, "get_reservation_coverage", arguments, "NextPageToken"):
        for group in _flatten(page.get("CoveragesByTime", ()), "Groups"):
            family = next(iter(group.get("Attributes", {}).values()), "")
            hours = group.get("Coverage", {}).get("CoverageHours", {})
            coverage[family] = float(hours.get("CoverageHoursPercentage") or 0) / 100
    return coverage


def _savings_plans_coverage(aws: Aws, period: Mapping[str, str], chosen: Mapping[str, t.Any]) -> dict[str, float]:
    arguments: dict[str, t.Any] = {
        "TimePeriod": period,
        "Filter": chosen,
        "GroupBy": [{"Type": "DIMENSION", "Key": "INSTANCE_FAMILY"}],
    }
    spend: dict[str, tuple[float, float]] = {}
    for page in _cost_explorer_pages(aws, "get_savings_plans_coverage", arguments, "NextToken"):
        for item in page.get("SavingsPlansCoverages", ()):
            family = next(iter(item.get("Attributes", {}).values()), "")
            covered, total = spend.get(family, (0.0, 0.0))
            figures = item.get("Coverage", {})
            spend[family] = (
                covered + float(figures.get("SpendCoveredBySavingsPlans") or 0),
                total + float(figures.get("TotalCost") or 0),
            )
    return {family: covered / total for family, (covered, total) in spend.items() if total > 0}


def _cost_explorer_pages(
    aws: Aws, method: str, arguments: dict[str, t.Any], token: str
) -> Iterable[Mapping[str, t.Any]]:
    while True:
        aws.cost.charge("Cost Explorer request", 1)
        page = aws.read("ce", method, region="us-east-1", **arguments)
        yield page
        if not page.get(token):
            return
        arguments = {**arguments, token: page[token]}


def _flatten(periods: Sequence[Mapping[str, t.Any]], key: str) -> Iterable[Mapping[str, t.Any]]:
    for period in periods:
        yield from period.get(key, ())


def _any_commitment(aws: Aws) -> bool:
    """Whether the account itself holds an active Savings Plan or reservation (free calls)."""
    try:
        plans = aws.read("savingsplans", "describe_savings_plans", region="us-east-1", states=["active"])
        if plans.get("savingsPlans"):
            return True
        active = [{"Name": "state", "Values": ["active"]}]
        return bool(aws.read("ec2", "describe_reserved_instances", Filters=active)["ReservedInstances"])
    except AwsError:
        return False
