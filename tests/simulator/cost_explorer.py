# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost Explorer over the bills of the simulated cloud (simulator.bills), day by day.

``UnblendedCost`` holds usage at list price, a negation for what Savings Plans cover and
their recurring fee; ``AmortizedCost`` holds covered usage at its commitment price and what
of a commitment is unused: the sums are those of FOCUS' BilledCost and EffectiveCost. Costs of
a period that has not ended are estimates up to now.
"""

from __future__ import annotations

import calendar
import collections
import dataclasses
import datetime
import math
import statistics
import typing as t

from simulator import bills, costs
from simulator.errors import AwsError
from simulator.registry import account_of, operation, page
from simulator.state import Account, Cloud
from simulator.wire import Call, iso_time

_Dict = dict[str, t.Any]
_METRICS = {
    "UnblendedCost": "unblended",
    "BlendedCost": "unblended",
    "AmortizedCost": "amortized",
    "NetUnblendedCost": "unblended",
    "NetAmortizedCost": "amortized",
    "UsageQuantity": "quantity",
    "NormalizedUsageAmount": "quantity",
}
#: What forecasts call the metrics, and which of GetCostAndUsage they forecast.
_FORECASTS = {
    "UNBLENDED_COST": "UnblendedCost",
    "BLENDED_COST": "BlendedCost",
    "AMORTIZED_COST": "AmortizedCost",
    "NET_UNBLENDED_COST": "NetUnblendedCost",
    "NET_AMORTIZED_COST": "NetAmortizedCost",
    "USAGE_QUANTITY": "UsageQuantity",
    "NORMALIZED_USAGE_AMOUNT": "NormalizedUsageAmount",
}
COMPUTE = "Amazon Elastic Compute Cloud - Compute"
OTHER = "EC2 - Other"
PLANS = "Savings Plans for AWS Compute usage"
#: Groups on one page, periods without groups counting as one.
PAGE = 2000
#: Months before the current one that can be asked for (without multi-year data).
MONTHS = 13
_GROUPS = (
    *("AZ", "BILLING_ENTITY", "INSTANCE_TYPE", "INSTANCE_TYPE_FAMILY", "LEGAL_ENTITY_NAME", "LINKED_ACCOUNT"),
    *("OPERATION", "PLATFORM", "PURCHASE_TYPE", "RECORD_TYPE", "REGION", "RESERVATION_ID", "RESOURCE_ID"),
    *("SAVINGS_PLAN_ARN", "SERVICE", "TENANCY", "USAGE_TYPE"),
)
_HISTORY_DAYS = 84
_FEWEST_DAYS = 14


@dataclasses.dataclass(slots=True)
class _Charge:
    """A line of the bill as Cost Explorer sees it; USD, and usage in ``unit``."""

    dimensions: dict[str, str]
    tags: t.Mapping[str, str]
    unblended: float
    amortized: float
    quantity: float = 0.0
    unit: str = ""


class _Sums:
    """Charges added up."""

    def __init__(self) -> None:
        self.values = collections.Counter[str]()
        self.units: set[str] = set()

    def add(self, charge: _Charge) -> None:
        """One more."""
        for name in ("unblended", "amortized", "quantity"):
            self.values[name] += getattr(charge, name)
        if charge.quantity:
            self.units.add(charge.unit)

    def metrics(self, names: t.Iterable[str]) -> _Dict:
        """The metrics as the API shows them; usage in several units has none."""
        unit = next(iter(self.units)) if len(self.units) == 1 else "N/A"
        return {
            name: {
                "Amount": f"{self.values[_METRICS[name]]:.10f}",
                "Unit": unit if _METRICS[name] == "quantity" else "USD",
            }
            for name in names
        }


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
        if granularity == "ALL":
            following = end
        elif granularity == "HOURLY":
            following = begin + datetime.timedelta(hours=1)
        elif granularity == "DAILY":
            following = begin + datetime.timedelta(days=1)
        else:
            following = (begin.replace(day=1) + datetime.timedelta(days=32)).replace(day=1)
        result.append((begin.timestamp(), min(following, end).timestamp()))
        begin = following
    return result


def _charges(cloud: Cloud, account: Account, start: float, end: float) -> t.Iterator[_Charge]:
    """The bill of one account between two moments, day by day, up to now."""
    now, payer = cloud.clock.now(), _payer(cloud)
    end = min(end, now)
    while start < end:
        following = min((math.floor(start / 86400) + 1) * 86400, end)
        for row in bills.charges(cloud, account, {}, start, following, now):
            yield from _of_bill(payer, account, row)
        start = following


def _of_bill(payer: str, account: Account, row: _Dict) -> t.Iterator[_Charge]:
    """One row of FOCUS as Cost Explorer has it.

    Usage under a plan costs its list price there, and a negation takes it off again.
    """
    plan = row.get("CommitmentDiscountType") == "Savings Plan"
    committed = "CommitmentDiscountId" in row
    dimensions = {
        "LINKED_ACCOUNT": account.account_id,
        "PAYER_ACCOUNT": payer,
        "SERVICE": row["ServiceName"],
        "RECORD_TYPE": "Usage",
        "LEGAL_ENTITY_NAME": "Amazon Web Services, Inc.",
        "BILLING_ENTITY": "AWS",
        "USAGE_TYPE": row.get("x_UsageType", f"{row['ServiceName'].split()[-1]}-Usage"),
    }
    if committed:
        dimensions["SAVINGS_PLAN_ARN" if plan else "RESERVATION_ID"] = row["CommitmentDiscountId"]
    if row.get("RegionId"):
        dimensions["REGION"] = row["RegionId"]
    tags = row.get("Tags", {})
    if row["ServiceName"] == "Amazon Elastic Compute Cloud":
        dimensions["SERVICE"] = OTHER if row.get("x_UsageType", "").startswith("EBS:") else COMPUTE
    if row["ChargeCategory"] == "Purchase" or row.get("CommitmentDiscountStatus") == "Unused":
        # Cost Explorer has one line for both: what a commitment costs, and of it what is not used.
        dimensions["RECORD_TYPE"] = "SavingsPlanRecurringFee" if plan else "RIFee"
        dimensions["USAGE_TYPE"] = "ComputeSP:1yrNoUpfront" if plan else "HeavyUsage"
        dimensions["PURCHASE_TYPE"] = "Savings Plans" if plan else "Standard Reserved Instances"
        if plan:
            dimensions["SERVICE"] = PLANS
        yield _Charge(dimensions, {}, row["BilledCost"], row["EffectiveCost"])
        return
    quantity, unit = row["ConsumedQuantity"], row["ConsumedUnit"]
    if row.get("ResourceType") == "instance":
        spot = row["PricingCategory"] == "Dynamic"
        kind = row["x_UsageType"].partition(":")[2]
        dimensions |= {
            "INSTANCE_TYPE": kind,
            "INSTANCE_TYPE_FAMILY": kind.partition(".")[0],
            "PURCHASE_TYPE": "Spot Instances" if spot else "On Demand Instances",
            "USAGE_TYPE": f"{'SpotUsage' if spot else 'BoxUsage'}:{kind}",
            "OPERATION": row["x_Operation"],
            "AZ": row["AvailabilityZone"],
            "RESOURCE_ID": row["ResourceId"].rpartition("/")[2],
            "TENANCY": "Shared",
        }
    if not committed:
        yield _Charge(dimensions, tags, row["BilledCost"], row["EffectiveCost"], quantity, unit)
    elif plan:
        dimensions["PURCHASE_TYPE"] = "Savings Plans"
        covered = {**dimensions, "RECORD_TYPE": "SavingsPlanCoveredUsage"}
        yield _Charge(covered, tags, row["ListCost"], row["EffectiveCost"], quantity, unit)
        yield _Charge({**dimensions, "RECORD_TYPE": "SavingsPlanNegation"}, tags, -row["ListCost"], 0.0)
    else:
        dimensions |= {"RECORD_TYPE": "DiscountedUsage", "PURCHASE_TYPE": "Standard Reserved Instances"}
        yield _Charge(dimensions, tags, 0.0, row["EffectiveCost"], quantity, unit)


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


def _payer(cloud: Cloud) -> str:
    """The account that gets the bill: the first of the estate."""
    return next(iter(cloud.accounts))


def _accounts(cloud: Cloud, call: Call) -> list[Account]:
    """The account that asks; the first of the estate is the payer and sees all."""
    payer = _payer(cloud)
    return list(cloud.accounts.values()) if call.account == payer else [account_of(cloud, call)]


def _group_keys(groups: list[_Dict], charge: _Charge) -> tuple[str, ...]:
    keys = []
    for group in groups:
        if group["Type"] == "TAG":
            keys.append(f"{group['Key']}${charge.tags.get(group['Key'], '')}")
        else:
            keys.append(charge.dimensions.get(group["Key"], f"No{group['Key'].title().replace('_', '')}"))
    return tuple(keys)


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


def _checked_metrics(names: list[str]) -> list[str]:
    unknown = [name for name in names if name not in _METRICS]
    if unknown:
        raise AwsError("ValidationException", f"Invalid metric: {unknown[0]}")
    return names


def _checked_groups(groups: list[_Dict]) -> list[_Dict]:
    if len(groups) > 2:
        raise AwsError("ValidationException", "At most two groupings are allowed")
    for group in groups:
        if group["Type"] == "DIMENSION" and group["Key"] not in _GROUPS:
            raise AwsError("ValidationException", f"Group Definition dimension is invalid: {group['Key']}")
        if group["Type"] not in ("DIMENSION", "TAG"):
            raise AwsError("ValidationException", f"The simulator does not group by {group['Type']}")
    return groups


def _in_reach(cloud: Cloud, start: float, granularity: str) -> None:
    """:raises AwsError: Cost Explorer does not keep data of that time."""
    today = datetime.datetime.fromtimestamp(cloud.clock.now(), datetime.UTC)
    first = _earlier(today, MONTHS).timestamp()
    if start < first:
        raise AwsError("ValidationException", "You haven't enabled historical data beyond 14 months")
    if granularity == "HOURLY" and start < cloud.clock.now() - 14 * 86400:
        raise AwsError("ValidationException", "Hourly data is available for the last 14 days only")


def _earlier(moment: datetime.datetime, months: int) -> datetime.datetime:
    """The first moment of the month so many months before."""
    month = moment.year * 12 + moment.month - 1 - months
    return datetime.datetime(month // 12, month % 12 + 1, 1, tzinfo=datetime.UTC)


def _cost_and_usage(cloud: Cloud, call: Call) -> _Dict:
    params = call.params
    names = _checked_metrics(params.get("Metrics") or ["UnblendedCost"])
    groups = _checked_groups(params.get("GroupBy", []))
    now = cloud.clock.now()
    periods = _periods(params)
    _in_reach(cloud, periods[0][0], params["Granularity"])
    results = []
    for start, end in periods:
        total = _Sums()
        grouped: dict[tuple[str, ...], _Sums] = collections.defaultdict(_Sums)
        for account in _accounts(cloud, call):
            for charge in _charges(cloud, account, start, end):
                if _matches(params.get("Filter"), charge.dimensions, charge.tags):
                    (grouped[_group_keys(groups, charge)] if groups else total).add(charge)
        results.append(
            {
                "TimePeriod": _span(start, end, params["Granularity"]),
                "Total": {} if groups else total.metrics(names),
                "Groups": [
                    {"Keys": list(keys), "Metrics": sums.metrics(names)} for keys, sums in sorted(grouped.items())
                ],
                "Estimated": end > now,
            }
        )
    shown, token = _whole_periods(results, params.get("NextPageToken"))
    return {
        "ResultsByTime": shown,
        "GroupDefinitions": groups,
        "DimensionValueAttributes": _attributes(cloud, groups, shown),
        "NextPageToken": token,
    }


def _whole_periods(results: list[_Dict], token: str | None) -> tuple[list[_Dict], str | None]:
    """A page holds as many periods as have PAGE groups together, and one at least."""
    starts, room = [0], PAGE
    for number, result in enumerate(results):
        size = max(1, len(result["Groups"]))
        if size > room and number > starts[-1]:
            starts.append(number)
            room = PAGE
        room -= size
    shown, following = page(starts, 1, token, "InvalidNextTokenException")
    if not shown:
        return [], None
    after = starts.index(shown[0]) + 1
    return results[shown[0] : starts[after] if after < len(starts) else None], following


def _attributes(cloud: Cloud, groups: list[_Dict], shown: list[_Dict]) -> list[_Dict]:
    """Names of the accounts on a page."""
    places = [number for number, group in enumerate(groups) if group["Key"] == "LINKED_ACCOUNT"]
    if not places:
        return []
    found = {group["Keys"][places[0]] for result in shown for group in result["Groups"]}
    return [{"Value": one, "Attributes": {"description": cloud.accounts[one].name}} for one in sorted(found)]


@operation("ce", "GetDimensionValues")
def get_dimension_values(cloud: Cloud, call: Call) -> _Dict:
    """The values of a dimension in a period."""
    key = call.params["Dimension"]
    if call.params.get("Context", "COST_AND_USAGE") != "COST_AND_USAGE":
        raise AwsError("ValidationException", "The simulator knows the context COST_AND_USAGE only")
    values = _values(cloud, call, lambda charge: charge.dimensions.get(key, ""))
    found: list[_Dict] = []
    for value in values:
        named = {"description": cloud.accounts[value].name} if key == "LINKED_ACCOUNT" else {}
        found.append({"Value": value, "Attributes": named})
    shown, token = page(found, 1000, call.params.get("NextPageToken"), "InvalidNextTokenException")
    return {
        "DimensionValues": list(shown),
        "ReturnSize": len(shown),
        "TotalSize": len(found),
        "NextPageToken": token,
    }


@operation("ce", "GetTags")
def get_tags(cloud: Cloud, call: Call) -> _Dict:
    """Keys of tags, or the values of one key; an empty value stands for what has none."""
    key = call.params.get("TagKey")
    if key:
        found = _values(cloud, call, lambda charge: charge.tags.get(key, ""), absent=True)
    else:
        found = sorted({name for charge in _asked(cloud, call) for name in charge.tags})
    shown, token = page(found, 1000, call.params.get("NextPageToken"), "InvalidNextTokenException")
    return {"Tags": list(shown), "ReturnSize": len(shown), "TotalSize": len(found), "NextPageToken": token}


def _asked(cloud: Cloud, call: Call) -> t.Iterator[_Charge]:
    """The charges in the period of a request that its filter lets through."""
    [(start, end)] = _periods({**call.params, "Granularity": "ALL"})
    _in_reach(cloud, start, "DAILY")
    for account in _accounts(cloud, call):
        for charge in _charges(cloud, account, start, end):
            if _matches(call.params.get("Filter"), charge.dimensions, charge.tags):
                yield charge


def _values(cloud: Cloud, call: Call, value: t.Callable[[_Charge], str], absent: bool = False) -> list[str]:
    """Values that are searched for, in order of names, or of a metric where the request asks for that."""
    sums: dict[str, _Sums] = collections.defaultdict(_Sums)
    for charge in _asked(cloud, call):
        sums[value(charge)].add(charge)
    if not absent:
        sums.pop("", None)
    wanted = call.params.get("SearchString", "").lower()
    found = sorted(name for name in sums if wanted in name.lower())
    for order in call.params.get("SortBy", ()):
        [metric] = _checked_metrics([order["Key"]])
        falling = order.get("SortOrder", "DESCENDING") == "DESCENDING"
        found.sort(key=lambda name, metric=metric: sums[name].values[_METRICS[metric]], reverse=falling)
        found = found[: call.params.get("MaxResults", 1000)]
    return found


# --- forecasts


@operation("ce", "GetCostForecast")
def get_cost_forecast(cloud: Cloud, call: Call) -> _Dict:
    """Cost to come."""
    return _forecast(cloud, call, "amount")


@operation("ce", "GetUsageForecast")
def get_usage_forecast(cloud: Cloud, call: Call) -> _Dict:
    """Usage to come; it has to be of one unit."""
    return _forecast(cloud, call, "quantity")


def _forecast(cloud: Cloud, call: Call, kind: str) -> _Dict:
    """From the last weeks: a straight line times what each weekday is to it, and a band of normal errors."""
    params = call.params
    metric = _METRICS[_FORECASTS[params["Metric"]]]
    if (metric == "quantity") != (kind == "quantity"):
        raise AwsError("ValidationException", f"The metric {params['Metric']} is not of this forecast")
    granularity = params["Granularity"]
    if granularity == "HOURLY":
        raise AwsError("ValidationException", "Forecasts are DAILY or MONTHLY")
    periods = _periods(params)
    today = math.floor(cloud.clock.now() / 86400) * 86400.0
    if periods[0][0] < today:
        raise AwsError("ValidationException", "Start date of the forecast is in the past")
    months = {"DAILY": 3, "MONTHLY": 18}[granularity]
    if periods[-1][1] > today + 31 * 86400 * months:
        raise AwsError("ValidationException", f"{granularity} forecasts reach {months} months")
    history, units = [], set()
    for number in range(_HISTORY_DAYS, 0, -1):
        sums = _Sums()
        for account in _accounts(cloud, call):
            for charge in _charges(cloud, account, today - number * 86400, today - (number - 1) * 86400):
                if _matches(params.get("Filter"), charge.dimensions, charge.tags):
                    sums.add(charge)
        history.append(sums.values[metric])
        units |= sums.units
    if sum(1 for value in history if value) < _FEWEST_DAYS:
        raise AwsError("DataUnavailableException", "Insufficient amount of historical data to generate forecast.")
    if kind == "quantity" and len(units) != 1:
        raise AwsError("UnresolvableUsageUnitException", "Cost Explorer was unable to identify the usage unit.")
    expected, deviation = _course(history, int(today // 86400))
    level = params.get("PredictionIntervalLevel")
    width = statistics.NormalDist().inv_cdf(0.5 + level / 200) if level else 0.0
    results, total = [], 0.0
    for start, end in periods:
        days = range(int(start // 86400), int(end // 86400))
        mean = sum(expected(day) for day in days)
        total += mean
        result = {"TimePeriod": _span(start, end, granularity), "MeanValue": f"{mean:.10f}"}
        if level:
            band = width * deviation * math.sqrt(len(days))
            result["PredictionIntervalLowerBound"] = f"{max(0.0, mean - band):.10f}"
            result["PredictionIntervalUpperBound"] = f"{mean + band:.10f}"
        results.append(result)
    unit = units.pop() if kind == "quantity" else "USD"
    return {"Total": {"Amount": f"{total:.10f}", "Unit": unit}, "ForecastResultsByTime": results}


def _course(history: list[float], today: int) -> tuple[t.Callable[[int], float], float]:
    """What a day (counted from 1970) is expected to bring, and the deviation of what was from it."""
    days = [today - len(history) + number for number in range(len(history))]
    mean = statistics.fmean(history) or 1.0
    shares = [
        statistics.fmean(value for day, value in zip(days, history, strict=True) if day % 7 == weekday) / mean
        for weekday in range(calendar.SUNDAY + 1)
    ]
    flat = [value / shares[day % 7] if shares[day % 7] else mean for day, value in zip(days, history, strict=True)]
    slope, level = statistics.linear_regression(days, flat)

    def expected(day: int) -> float:
        return max(0.0, (level + slope * day) * shares[day % 7])

    errors = [value - expected(day) for day, value in zip(days, history, strict=True)]
    return expected, statistics.pstdev(errors)


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
