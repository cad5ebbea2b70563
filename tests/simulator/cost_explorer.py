# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost Explorer, from what really ran in the simulated cloud.

``UnblendedCost`` holds usage at list price, a negation for what Savings Plans cover and
their recurring fee; ``AmortizedCost`` holds covered usage at its commitment price and what
of a commitment is unused. Volumes and public addresses are "EC2 - Other". Costs of a period
that has not ended are estimates up to now.
"""

from __future__ import annotations

import collections
import datetime
import typing as t

from simulator import costs, prices
from simulator.errors import AwsError
from simulator.registry import account_of, operation, page
from simulator.state import Account, Cloud
from simulator.wire import Call, iso_time

_Dict = dict[str, t.Any]
_Row = tuple[dict[str, str], t.Mapping[str, str], float, float, float]  # dimensions, tags, unblended, amortized, hours
_METRICS = {
    "UnblendedCost": "USD",
    "BlendedCost": "USD",
    "AmortizedCost": "USD",
    "NetUnblendedCost": "USD",
    "NetAmortizedCost": "USD",
    "UsageQuantity": "Hrs",
    "NormalizedUsageAmount": "Hrs",
}
COMPUTE = "Amazon Elastic Compute Cloud - Compute"
OTHER = "EC2 - Other"
PLANS = "Savings Plans for AWS Compute usage"


def _day(text: str) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise AwsError("ValidationException", f"{text} is not a date") from None
    return moment.replace(tzinfo=datetime.UTC)


def _periods(params: _Dict) -> list[tuple[float, float]]:
    """The periods of a request: (start, end) in seconds."""
    begin, end = _day(params["TimePeriod"]["Start"]), _day(params["TimePeriod"]["End"])
    if begin >= end:
        raise AwsError("ValidationException", "Start date should be before end date")
    granularity = params.get("Granularity", "DAILY")
    result = []
    while begin < end:
        if granularity == "HOURLY":
            following = begin + datetime.timedelta(hours=1)
        elif granularity == "DAILY":
            following = begin + datetime.timedelta(days=1)
        else:
            following = (begin.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)
        result.append((begin.timestamp(), min(following, end).timestamp()))
        begin = following
    return result


def _rows(cloud: Cloud, account: Account, start: float, end: float) -> t.Iterator[_Row]:
    """Cost rows of one account in a period, up to now."""
    end = min(end, cloud.clock.now())
    if end <= start:
        return
    hours = (end - start) / 3600
    found = costs.running_between(account, start, end)
    base = {"LINKED_ACCOUNT": account.account_id, "SERVICE": COMPUTE}
    for instance, region, one in found:
        dimensions = {
            **base,
            "REGION": region.name,
            "INSTANCE_TYPE": one.instance_type,
            "INSTANCE_TYPE_FAMILY": one.family,
            "USAGE_TYPE": f"{'SpotUsage' if instance.lifecycle == 'spot' else 'BoxUsage'}:{one.instance_type}",
            "PURCHASE_TYPE": "Spot Instances" if instance.lifecycle == "spot" else "On Demand Instances",
            "OPERATION": instance.image.usage_operation,
            "RECORD_TYPE": "Usage",
            "AZ": instance.zone,
            "RESOURCE_ID": instance.instance_id,
        }
        cost = one.price * one.hours * hours
        yield dimensions, instance.tags, cost, cost, one.hours * hours
    covered = costs.coverage(account, [one for _i, _r, one in found], start)
    if covered.covered_list:
        amortized = -covered.covered_list + covered.plans_used + (covered.reserved_cost if covered.reserved_list else 0)
        negation = {**base, "RECORD_TYPE": "SavingsPlanNegation", "PURCHASE_TYPE": "Savings Plans"}
        yield negation, {}, -covered.covered_list * hours, amortized * hours, 0.0
    if covered.plans_committed:
        fee = {**base, "SERVICE": PLANS, "RECORD_TYPE": "SavingsPlanRecurringFee", "PURCHASE_TYPE": "Savings Plans"}
        unused = covered.plans_committed - covered.plans_used
        yield fee, {}, covered.plans_committed * hours, unused * hours, 0.0
    if covered.reserved_cost:
        fee = {**base, "RECORD_TYPE": "RIFee", "PURCHASE_TYPE": "Standard Reserved Instances"}
        yield fee, {}, covered.reserved_cost * hours, 0.0, 0.0
    for region in account.regions.values():
        storage = costs.monthly_storage(region) / prices.HOURS_PER_MONTH * hours
        if storage:
            other = {**base, "SERVICE": OTHER, "REGION": region.name, "RECORD_TYPE": "Usage"}
            yield {**other, "USAGE_TYPE": "EBS:VolumeUsage"}, {}, storage, storage, 0.0


def _matches(expression: _Dict | None, dimensions: t.Mapping[str, str], tags: t.Mapping[str, str]) -> bool:
    if not expression:
        return True
    if "And" in expression:
        return all(_matches(one, dimensions, tags) for one in expression["And"])
    if "Or" in expression:
        return any(_matches(one, dimensions, tags) for one in expression["Or"])
    if "Not" in expression:
        return not _matches(expression["Not"], dimensions, tags)
    for kind, values in (("Dimensions", dimensions), ("Tags", tags)):
        if kind in expression:
            one = expression[kind]
            value = values.get(one["Key"], "")
            if "ABSENT" in one.get("MatchOptions", []):
                return not value
            return value in one.get("Values", [])
    raise AwsError("ValidationException", f"The simulator does not know the filter {sorted(expression)}")


def _accounts(cloud: Cloud, call: Call) -> list[Account]:
    """The account that asks; the first of the estate is the payer and sees all."""
    payer = next(iter(cloud.accounts))
    return list(cloud.accounts.values()) if call.account == payer else [account_of(cloud, call)]


def _group_keys(groups: list[_Dict], dimensions: t.Mapping[str, str], tags: t.Mapping[str, str]) -> tuple[str, ...]:
    keys = []
    for group in groups:
        if group["Type"] == "TAG":
            keys.append(f"{group['Key']}${tags.get(group['Key'], '')}")
        else:
            keys.append(dimensions.get(group["Key"], f"No{group['Key'].title().replace('_', '')}"))
    return tuple(keys)


def _metrics(names: list[str], values: t.Sequence[float]) -> _Dict:
    unblended, amortized, hours = values
    result = {}
    for name in names:
        amount = hours if name in ("UsageQuantity", "NormalizedUsageAmount") else unblended
        if "Amortized" in name:
            amount = amortized
        result[name] = {"Amount": f"{amount:.10f}", "Unit": _METRICS[name]}
    return result


def _span(start: float, end: float, granularity: str) -> _Dict:
    shape = 20 if granularity == "HOURLY" else 10
    return {"Start": iso_time(start).replace(".000Z", "Z")[:shape], "End": iso_time(end).replace(".000Z", "Z")[:shape]}


@operation("ce", "GetCostAndUsage")
def get_cost_and_usage(cloud: Cloud, call: Call) -> _Dict:
    """Daily, monthly or hourly cost, filtered and grouped by at most two keys."""
    return _cost_and_usage(cloud, call)


@operation("ce", "GetCostAndUsageWithResources")
def get_cost_and_usage_with_resources(cloud: Cloud, call: Call) -> _Dict:
    """The same with RESOURCE_ID as a key; the last 14 days, as in the real service."""
    first = _day(call.params["TimePeriod"]["Start"]).timestamp()
    if first < cloud.clock.now() - 15 * 86400:
        raise AwsError("ValidationException", "Resource-level data is available for the last 14 days only")
    return _cost_and_usage(cloud, call)


def _cost_and_usage(cloud: Cloud, call: Call) -> _Dict:
    params = call.params
    names = params.get("Metrics") or ["UnblendedCost"]
    unknown = [name for name in names if name not in _METRICS]
    if unknown:
        raise AwsError("ValidationException", f"Invalid metric: {unknown[0]}")
    groups = params.get("GroupBy", [])
    if len(groups) > 2:
        raise AwsError("ValidationException", "At most two groupings are allowed")
    now = cloud.clock.now()
    results = []
    for start, end in _periods(params):
        totals = [0.0, 0.0, 0.0]
        grouped: dict[tuple[str, ...], list[float]] = collections.defaultdict(lambda: [0.0, 0.0, 0.0])
        for account in _accounts(cloud, call):
            for dimensions, tags, *values in _rows(cloud, account, start, end):
                if not _matches(params.get("Filter"), dimensions, tags):
                    continue
                sums = grouped[_group_keys(groups, dimensions, tags)] if groups else totals
                for index, value in enumerate(values):
                    sums[index] += value
        results.append(
            {
                "TimePeriod": _span(start, end, params.get("Granularity", "DAILY")),
                "Total": {} if groups else _metrics(names, totals),
                "Groups": [
                    {"Keys": list(keys), "Metrics": _metrics(names, values)} for keys, values in sorted(grouped.items())
                ],
                "Estimated": end > now,
            }
        )
    shown, token = page(results, 366, params.get("NextPageToken"), "InvalidNextTokenException")
    return {
        "ResultsByTime": list(shown),
        "GroupDefinitions": groups,
        "DimensionValueAttributes": [],
        "NextPageToken": token,
    }


def _coverages(cloud: Cloud, call: Call) -> t.Iterator[tuple[float, float, Account, costs.Coverage]]:
    for start, end in _periods(call.params):
        last = min(end, cloud.clock.now())
        if last <= start:
            continue
        for account in _accounts(cloud, call):
            running = [one for _i, _r, one in costs.running_between(account, start, last)]
            yield start, last, account, costs.coverage(account, running, start)


def _percentage(part: float, whole: float) -> str:
    return f"{100 * part / whole if whole else 0:.6f}"


@operation("ce", "GetSavingsPlansCoverage")
def get_savings_plans_coverage(cloud: Cloud, call: Call) -> _Dict:
    """What share of the eligible spend Savings Plans cover, by day and (on request) by instance family."""
    if not account_of(cloud, call).savings_plans:
        raise AwsError("DataUnavailableException", "The requested data is unavailable.")
    groups = [group["Key"] for group in call.params.get("GroupBy", [])]
    rows = []
    for start, end, _account, found in _coverages(cloud, call):
        hours = (end - start) / 3600
        parts: t.Iterable[tuple[_Dict, float, float]] = [({}, found.plans_covered_list, found.on_demand)]
        if "INSTANCE_FAMILY" in groups:
            parts = [
                ({"INSTANCE_FAMILY": family}, covered, total) for family, (total, covered) in found.by_family.items()
            ]
        for attributes, covered, total in parts:
            rows.append(
                {
                    "Attributes": attributes,
                    "Coverage": {
                        "SpendCoveredBySavingsPlans": f"{covered * hours * (1 - prices.COMMITMENT_DISCOUNT):.8f}",
                        "OnDemandCost": f"{(total - covered) * hours:.8f}",
                        "TotalCost": f"{total * hours:.8f}",
                        "CoveragePercentage": _percentage(covered, total),
                    },
                    "TimePeriod": _span(start, end, call.params.get("Granularity", "DAILY")),
                }
            )
    shown, token = page(
        rows, call.params.get("MaxResults", 100), call.params.get("NextToken"), "InvalidNextTokenException"
    )
    return {"SavingsPlansCoverages": list(shown), "NextToken": token}


@operation("ce", "GetSavingsPlansUtilization")
def get_savings_plans_utilization(cloud: Cloud, call: Call) -> _Dict:
    """How much of the commitment was used."""
    if not account_of(cloud, call).savings_plans:
        raise AwsError("DataUnavailableException", "The requested data is unavailable.")
    rows = []
    committed = used = saved = 0.0
    for start, end, _account, found in _coverages(cloud, call):
        hours = (end - start) / 3600
        values = found.plans_committed * hours, found.plans_used * hours
        saving = found.plans_covered_list * hours - values[0]
        rows.append(
            {
                "TimePeriod": _span(start, end, call.params.get("Granularity", "DAILY")),
                "Utilization": _utilization(*values),
                "Savings": {"NetSavings": f"{saving:.8f}", "OnDemandCostEquivalent": f"{saving + values[0]:.8f}"},
            }
        )
        committed, used, saved = committed + values[0], used + values[1], saved + saving
    return {
        "SavingsPlansUtilizationsByTime": rows,
        "Total": {
            "Utilization": _utilization(committed, used),
            "Savings": {"NetSavings": f"{saved:.8f}", "OnDemandCostEquivalent": f"{saved + committed:.8f}"},
        },
    }


def _utilization(committed: float, used: float) -> _Dict:
    return {
        "TotalCommitment": f"{committed:.8f}",
        "UsedCommitment": f"{used:.8f}",
        "UnusedCommitment": f"{committed - used:.8f}",
        "UtilizationPercentage": _percentage(used, committed),
    }


@operation("ce", "GetReservationCoverage")
def get_reservation_coverage(cloud: Cloud, call: Call) -> _Dict:
    """What share of the spend reservations cover, by period."""
    by_time: list[_Dict] = []
    reserved = total = 0.0
    for start, end, _account, found in _coverages(cloud, call):
        hours = (end - start) / 3600
        by_time.append(
            {
                "TimePeriod": _span(start, end, call.params.get("Granularity", "DAILY")),
                "Groups": [],
                "Total": _reservation(found.reserved_list * hours, found.on_demand * hours),
            }
        )
        reserved, total = reserved + found.reserved_list * hours, total + found.on_demand * hours
    return {"CoveragesByTime": by_time, "Total": _reservation(reserved, total)}


def _reservation(reserved: float, total: float) -> _Dict:
    """Coverage weighted by list price: hours of unlike types do not add up."""
    return {
        "CoverageHours": {
            "OnDemandHours": f"{total - reserved:.8f}",
            "ReservedHours": f"{reserved:.8f}",
            "TotalRunningHours": f"{total:.8f}",
            "CoverageHoursPercentage": _percentage(reserved, total),
        },
        "CoverageCost": {"OnDemandCost": f"{total - reserved:.8f}"},
    }
