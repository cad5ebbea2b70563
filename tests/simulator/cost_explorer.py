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
import dataclasses
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
    granularity = params.get("Granularity", "MONTHLY")
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
                "TimePeriod": _span(start, end, params["Granularity"]),
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


@dataclasses.dataclass(slots=True)
class _Period:
    """Coverage in one period, summed over the accounts that the caller sees, in USD."""

    start: float
    end: float
    families: dict[str, costs.FamilyCoverage]
    committed: float = 0.0
    used: float = 0.0

    def total(self) -> costs.FamilyCoverage:
        """The sum over the families."""
        return costs.FamilyCoverage(
            sum(one.total for one in self.families.values()),
            sum(one.reserved for one in self.families.values()),
            sum(one.planned for one in self.families.values()),
        )


def _coverages(cloud: Cloud, call: Call) -> list[_Period]:
    """Periods up to now; the request's filter chooses whose usage is looked at."""
    result = []
    for start, end in _periods(call.params):
        last = min(end, cloud.clock.now())
        if last <= start:
            continue
        hours = (last - start) / 3600
        period = _Period(start, end, {})
        for account in _accounts(cloud, call):
            running = [one for _i, _r, one in costs.running_between(account, start, last)]
            found = costs.coverage(account, running, start)
            period.committed += found.plans_committed * hours
            period.used += found.plans_used * hours
            for family, one in found.by_family.items():
                region = next(item.region for item in running if item.family == family)
                dimensions = {
                    "REGION": region,
                    "SERVICE": COMPUTE,
                    "LINKED_ACCOUNT": account.account_id,
                    "INSTANCE_FAMILY": family,
                    "INSTANCE_TYPE_FAMILY": family,
                }
                if _matches(call.params.get("Filter"), dimensions, {}):
                    sums = period.families.setdefault(family, costs.FamilyCoverage())
                    sums.total += one.total * hours
                    sums.reserved += one.reserved * hours
                    sums.planned += one.planned * hours
        result.append(period)
    return result


def _percentage(part: float, whole: float) -> str:
    return f"{100 * part / whole if whole else 0:.6f}"


def _has_plans(cloud: Cloud, call: Call) -> None:
    if not any(account.savings_plans for account in _accounts(cloud, call)):
        raise AwsError("DataUnavailableException", "The requested data is unavailable.")


@operation("ce", "GetSavingsPlansCoverage")
def get_savings_plans_coverage(cloud: Cloud, call: Call) -> _Dict:
    """What share of the eligible spend Savings Plans cover, by period and (on request) by instance family."""
    _has_plans(cloud, call)
    granularity = call.params.get("Granularity", "MONTHLY")
    by_family = "INSTANCE_FAMILY" in [group["Key"] for group in call.params.get("GroupBy", [])]
    rows = []
    for period in _coverages(cloud, call):
        parts: list[tuple[_Dict, costs.FamilyCoverage]] = [({}, period.total())]
        if by_family:
            parts = [({"INSTANCE_FAMILY": family}, one) for family, one in sorted(period.families.items())]
        for attributes, one in parts:
            # Spend that is covered is stated at what it would cost on demand.
            eligible = one.total - one.reserved
            rows.append(
                {
                    "Attributes": attributes,
                    "Coverage": {
                        "SpendCoveredBySavingsPlans": f"{one.planned:.8f}",
                        "OnDemandCost": f"{eligible - one.planned:.8f}",
                        "TotalCost": f"{eligible:.8f}",
                        "CoveragePercentage": _percentage(one.planned, eligible),
                    },
                    "TimePeriod": _span(period.start, period.end, granularity),
                }
            )
    limit = call.params.get("MaxResults", 100)
    shown, token = page(rows, limit, call.params.get("NextToken"), "InvalidNextTokenException")
    return {"SavingsPlansCoverages": list(shown), "NextToken": token}


@operation("ce", "GetSavingsPlansUtilization")
def get_savings_plans_utilization(cloud: Cloud, call: Call) -> _Dict:
    """How much of the commitment was used."""
    _has_plans(cloud, call)
    rows = []
    committed = used = covered = 0.0
    for period in _coverages(cloud, call):
        planned = period.total().planned
        rows.append(
            {
                "TimePeriod": _span(period.start, period.end, call.params.get("Granularity", "MONTHLY")),
                "Utilization": _utilization(period.committed, period.used),
                "Savings": _savings(planned, period.committed),
            }
        )
        committed, used, covered = committed + period.committed, used + period.used, covered + planned
    return {
        "SavingsPlansUtilizationsByTime": rows,
        "Total": {"Utilization": _utilization(committed, used), "Savings": _savings(covered, committed)},
    }


def _savings(covered: float, committed: float) -> _Dict:
    return {"NetSavings": f"{covered - committed:.8f}", "OnDemandCostEquivalent": f"{covered:.8f}"}


def _utilization(committed: float, used: float) -> _Dict:
    return {
        "TotalCommitment": f"{committed:.8f}",
        "UsedCommitment": f"{used:.8f}",
        "UnusedCommitment": f"{committed - used:.8f}",
        "UtilizationPercentage": _percentage(used, committed),
    }


@operation("ce", "GetReservationCoverage")
def get_reservation_coverage(cloud: Cloud, call: Call) -> _Dict:
    """What share of the spend reservations cover, by period and (on request) by instance family."""
    by_family = "INSTANCE_TYPE_FAMILY" in [group["Key"] for group in call.params.get("GroupBy", [])]
    by_time: list[_Dict] = []
    reserved = total = 0.0
    for period in _coverages(cloud, call):
        one = period.total()
        groups = [
            {"Attributes": {"instanceTypeFamily": family}, "Coverage": _reservation(part.reserved, part.total)}
            for family, part in sorted(period.families.items())
        ]
        by_time.append(
            {
                "TimePeriod": _span(period.start, period.end, call.params.get("Granularity", "MONTHLY")),
                "Groups": groups if by_family else [],
                "Total": _reservation(one.reserved, one.total),
            }
        )
        reserved, total = reserved + one.reserved, total + one.total
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
