# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A budget of AWS as its user wrote it, in the API's words, and what is the same in both. Pure: asks nobody.

AWS Cost Management API Reference, "AWS Budgets": ``Budget``, ``Notification``, ``Action``, ``Expression``.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
import math
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import currencies
from ansible_collections.frugal.cloud.plugins.module_utils.act import aws_budget_filter
from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_budget_filter import BudgetError

_Dict: t.TypeAlias = "dict[str, t.Any]"
Options: t.TypeAlias = "Mapping[str, t.Any]"

COST, USAGE = "COST", "USAGE"
PERCENTAGE = "PERCENTAGE"
UTC = datetime.timezone.utc
#: What AWS computes: it is shown and cannot be written.
READ_ONLY = ("CalculatedSpend", "LastUpdatedTime", "HealthStatus")
#: The two generations of filters; a request holds one of them.
LEGACY, CURRENT = ("CostFilters", "CostTypes"), ("FilterExpression", "Metrics")
AMOUNTS = {"limit": "BudgetLimit", "planned_limits": "PlannedBudgetLimits", "auto_adjust": "AutoAdjustData"}
COST_TYPES = {
    "tax": "IncludeTax",
    "subscription": "IncludeSubscription",
    "blended": "UseBlended",
    "refund": "IncludeRefund",
    "credit": "IncludeCredit",
    "upfront": "IncludeUpfront",
    "recurring": "IncludeRecurring",
    "other_subscription": "IncludeOtherSubscription",
    "support": "IncludeSupport",
    "discount": "IncludeDiscount",
    "amortized": "UseAmortized",
}
METRICS = {
    "blended_cost": "BlendedCost",
    "unblended_cost": "UnblendedCost",
    "amortized_cost": "AmortizedCost",
    "net_unblended_cost": "NetUnblendedCost",
    "net_amortized_cost": "NetAmortizedCost",
    "usage_quantity": "UsageQuantity",
    "normalized_usage_amount": "NormalizedUsageAmount",
    "hours": "Hours",
}
ACTION_TYPES = {"iam": "APPLY_IAM_POLICY", "scp": "APPLY_SCP_POLICY", "ssm": "RUN_SSM_DOCUMENTS"}
#: Number of notifications of a budget, of e-mail addresses of a notification.
MOST_ALERTS, MOST_EMAILS = 10, 10
#: Months of a period, and how many of them planned limits cover.
_MONTHS, _PLANNED = {"MONTHLY": 1, "QUARTERLY": 3}, {"MONTHLY": 12, "QUARTERLY": 4}
#: Periods at most that a moving average covers.
_ADJUSTMENT = {"DAILY": 60, "MONTHLY": 12, "QUARTERLY": 4, "ANNUALLY": 1}
_LAST = datetime.date(2087, 6, 15)
_HIGHEST = {PERCENTAGE: 1_000_000.0, "ABSOLUTE_VALUE": 15e12}
_EMAIL = re.compile(r"[^@\s,;<>]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?")
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/\S+")
_POLICY = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/\S+")
_SCP = re.compile(r"p-[0-9a-zA-Z_]{8,128}")
_TARGET = re.compile(r"ou-[0-9a-z]{4,32}-[a-z0-9]{8,32}|[0-9]{12}")

#: NotificationType, ComparisonOperator, Threshold, ThresholdType: what tells two notifications apart.
AlertKey: t.TypeAlias = "tuple[str, str, float, str]"
#: SubscriptionType, Address
Subscriber: t.TypeAlias = "tuple[str, str]"


@dataclasses.dataclass(frozen=True)
class Action:
    """An action; ``body`` is what CreateBudgetAction takes of it. ``identity`` is empty before AWS gave it one."""

    body: _Dict
    identity: str = ""
    status: str = ""


@dataclasses.dataclass(frozen=True)
class State:
    """A budget with all that hangs on it; ``actions`` and ``tags`` are None where nobody asked about them."""

    budget: _Dict
    alerts: Mapping[AlertKey, frozenset[Subscriber]]
    actions: tuple[Action, ...] | None = None
    tags: Mapping[str, str] | None = None


# --- from options


def amount(where: str, value: float) -> str:
    """A number as the API takes it. :raises BudgetError: it is negative or none."""
    if not math.isfinite(value) or value < 0:
        raise BudgetError(f"{where} is {value:g}: give a number that is not below zero")
    return format(decimal.Decimal(repr(value)).normalize(), "f")


def _spend(where: str, kind: str, one: Options) -> _Dict:
    unit = one.get("unit")
    number = amount(f"{where}.amount", one["amount"])
    if kind == COST:
        unit = unit or "USD"
        if currencies.unknown(unit):
            raise BudgetError(f"{where}.unit is {unit!r}: give the bill's currency as ISO 4217 writes it, such as USD")
    elif kind == USAGE:
        if not unit:
            raise BudgetError(f"{where}.unit is missing: say what is counted, such as GB or Hrs")
    elif decimal.Decimal(number) != 100 or unit not in (None, PERCENTAGE):
        raise BudgetError(
            f"{where}.amount is {number}: a budget of type {kind.lower()} always has 100 percent; "
            "alerts say below which part somebody is told"
        )
    else:
        unit = PERCENTAGE
    return {"Amount": number, "Unit": unit}


def day(where: str, text: str) -> datetime.date:
    """A day of ISO 8601; a month is its first day. :raises BudgetError: it is none."""
    try:
        return datetime.date.fromisoformat(f"{text}-01" if re.fullmatch(r"\d{4}-\d{2}", text) else text)
    except ValueError:
        raise BudgetError(f"{where} is {text!r}: give a day such as 2026-01-31") from None


def epoch(value: t.Any) -> int:
    """Seconds since the epoch of a day or of what botocore read."""
    if isinstance(value, datetime.datetime):
        return int(value.timestamp())
    if isinstance(value, datetime.date):
        return int(datetime.datetime(value.year, value.month, value.day, tzinfo=UTC).timestamp())
    return int(value)


def _day(value: t.Any) -> datetime.date:
    return datetime.datetime.fromtimestamp(epoch(value), UTC).date()


def window(period: str, now: datetime.date) -> list[datetime.date]:
    """First days of the periods that planned limits cover: the current one and those after it, a year together."""
    step = _MONTHS[period]
    first = now.month - 1 - (now.month - 1) % step
    months = [first + step * number for number in range(_PLANNED[period])]
    return [datetime.date(now.year + month // 12, month % 12 + 1, 1) for month in months]


def _planned(where: str, kind: str, period: str, one: Options, there: Mapping[str, t.Any], now: datetime.date) -> _Dict:
    """Limits by their first day. Past ones are left out; the last one holds on, as AWS does it itself."""
    if period not in _MONTHS or kind not in (COST, USAGE):
        raise BudgetError(f"{where} needs type cost or usage and period monthly or quarterly")
    given: dict[datetime.date, _Dict] = {}
    for number, limit in enumerate(one["planned_limits"]):
        place = f"{where}[{number}]"
        start = day(f"{place}.start", limit["start"])
        if start.day != 1 or (start.month - 1) % _MONTHS[period]:
            raise BudgetError(f"{place}.start is {limit['start']}: give the first day of a period ({period.lower()})")
        if start in given:
            raise BudgetError(f"{place}.start is {limit['start']} twice: one limit for each period")
        given[start] = _spend(place, kind, limit)
    if not given:
        raise BudgetError(f"{where} is empty: give a limit for each period, the first one for the current period")
    found = {}
    known = there.get("TimePeriod", {})
    begin = day("start", one["start"]) if one.get("start") else _day(known.get("Start", 0))
    end = day("end", one["end"]) if one.get("end") else _day(known.get("End", epoch(_LAST)))
    for start in window(period, max(begin, now)):
        before = [first for first in given if first <= start]
        if not before:
            raise BudgetError(f"{where} begins on {min(given)}: it has to say the limit from {start} on")
        if start < end:
            found[str(epoch(start))] = given[max(before)]
    return found


def _adjustment(where: str, period: str, one: Options) -> _Dict:
    if one["type"] == "forecast":
        if one.get("periods") is not None:
            raise BudgetError(f"{where}.periods is only for type historical")
        return {"AutoAdjustType": "FORECAST"}
    most = _ADJUSTMENT.get(period, 0)
    if not most:
        raise BudgetError(f"{where} cannot be: a budget of period custom has no earlier periods")
    periods = one.get("periods")
    if periods is None or not 1 <= periods <= most:
        raise BudgetError(f"{where}.periods is {periods}: give 1 to {most} for period {period.lower()}")
    return {"AutoAdjustType": "HISTORICAL", "HistoricalOptions": {"BudgetAdjustmentPeriod": periods}}


def check(one: Options, now: datetime.date) -> None:
    """All that can be wrong with what was written, found before AWS is asked and whatever AWS has.

    :raises BudgetError: what was written cannot be.
    """
    _check_name(one["name"])
    if one["state"] == "absent":
        return
    if not one.get("type") or not one.get("period"):
        return  # they may be those of the budget that is there
    # What only a new budget has to say is asked for when it is known to be new.
    as_if = {"BudgetType": "COST", "TimeUnit": "MONTHLY", "TimePeriod": {}}
    wanted = budget(one, as_if, now)
    if one.get("alerts") is not None:
        alerts(one, wanted)
    if one.get("actions") is not None:
        actions(one)


def _check_name(name: str) -> None:
    if not name or len(name) > 100 or ":" in name or "\\" in name or "/action/" in name:
        raise BudgetError(
            f"budgets[].name is {name!r}: up to 100 characters, without a colon, a backslash and the text /action/"
        )


def budget(one: Options, found: Mapping[str, t.Any] | None, now: datetime.date) -> _Dict:
    """The ``Budget`` that was written, in the API's words: only what was written, and what AWS needs beside it.

    :param found: the budget as it is, for what is not written. :raises BudgetError: what was written cannot be.
    """
    there = found or {}
    name = one["name"]
    where = f"budgets[{name}]"
    kind = (one.get("type") or there.get("BudgetType", "cost")).upper()
    period = (one.get("period") or there.get("TimeUnit", "monthly")).upper()
    wanted: _Dict = {"BudgetName": name, "BudgetType": kind, "TimeUnit": period}
    amounts = [option for option in AMOUNTS if one.get(option) is not None]
    if len(amounts) > 1:
        raise BudgetError(f"{where} has {amounts[0]} and {amounts[1]}: only one of them can say how much")
    if "limit" in amounts:
        wanted["BudgetLimit"] = _spend(f"{where}.limit", kind, one["limit"])
    elif "planned_limits" in amounts:
        wanted["PlannedBudgetLimits"] = _planned(f"{where}.planned_limits", kind, period, one, there, now)
    elif "auto_adjust" in amounts:
        if kind not in (COST, USAGE):
            raise BudgetError(f"{where}.auto_adjust needs type cost or usage")
        wanted["AutoAdjustData"] = _adjustment(f"{where}.auto_adjust", period, one["auto_adjust"])
    elif found is None and kind in (COST, USAGE):
        raise BudgetError(f"{where} is new: give limit, planned_limits or auto_adjust")
    elif found is None:
        wanted["BudgetLimit"] = {"Amount": "100", "Unit": PERCENTAGE}
    _time(where, one, there, period, wanted)
    _what_counts(where, one, there, kind, wanted)
    if one.get("billing_view"):
        wanted["BillingViewArn"] = one["billing_view"]
    return wanted


def _time(where: str, one: Options, there: Mapping[str, t.Any], period: str, wanted: _Dict) -> None:
    days = {option: day(f"{where}.{option}", one[option]) for option in ("start", "end") if one.get(option)}
    if period == "CUSTOM" and not there and len(days) < 2:
        raise BudgetError(f"{where} has period custom: give start and end")
    if days.get("end", _LAST) > _LAST:
        raise BudgetError(f"{where}.end is {days['end']}: AWS knows no days after {_LAST}")
    if len(days) == 2 and days["start"] >= days["end"]:
        raise BudgetError(f"{where}.end is {days['end']}: it has to be after start, {days['start']}")
    if days:
        wanted["TimePeriod"] = {option.capitalize(): epoch(value) for option, value in days.items()}


def _what_counts(where: str, one: Options, there: Mapping[str, t.Any], kind: str, wanted: _Dict) -> None:
    """Filters and metrics: the present generation or the one before, not both."""
    written = {option for option in ("filter", "metric", "cost_filters", "cost_types") if one.get(option) is not None}
    old = written & {"cost_filters", "cost_types"}
    new = written - old
    if old and new:
        raise BudgetError(f"{where} has {min(new)} and {min(old)}: AWS takes filter and metric, or the older two")
    if "cost_types" in old and kind != COST:
        raise BudgetError(f"{where}.cost_types is only for type cost")
    if "cost_filters" in old:
        wanted["CostFilters"] = aws_budget_filter.legacy(f"{where}.cost_filters", one["cost_filters"])
    if "cost_types" in old:
        given = {api: one["cost_types"][option] for option, api in COST_TYPES.items()}
        wanted["CostTypes"] = {api: value for api, value in given.items() if value is not None}
        if given["UseAmortized"] and given["UseBlended"]:
            raise BudgetError(f"{where}.cost_types has amortized and blended: only one of them")
    if "filter" in new and one["filter"]:
        wanted["FilterExpression"] = aws_budget_filter.expression(f"{where}.filter", one["filter"])
    if "metric" in new:
        wanted["Metrics"] = [METRICS[one["metric"]]]
    elif "filter" in new and "Metrics" not in there and kind in (COST, USAGE):
        # A request with a filter expression names a metric as well; it goes on counting what it counted.
        wanted["Metrics"] = [metric_of(kind, there.get("CostTypes", {}))]


def metric_of(kind: str, cost_types: Mapping[str, t.Any]) -> str:
    """The metric that counts what these cost types count."""
    if kind == USAGE:
        return "UsageQuantity"
    if cost_types.get("UseAmortized"):
        return "AmortizedCost"
    return "BlendedCost" if cost_types.get("UseBlended") else "UnblendedCost"


def subscribers(where: str, one: Options) -> frozenset[Subscriber]:
    """Who is told. :raises BudgetError: nobody, too many, or an address that is none."""
    found: set[Subscriber] = set()
    for number, address in enumerate(one.get("emails") or ()):
        if not _EMAIL.fullmatch(address):
            raise BudgetError(f"{where}.emails[{number}] is {address!r}: give an address as name@example.com")
        found.add(("EMAIL", address))
    if len(found) > MOST_EMAILS:
        raise BudgetError(f"{where}.emails has {len(found)} addresses: AWS takes {MOST_EMAILS}; use an SNS topic")
    topic = one.get("sns_topic")
    if topic:
        if not _TOPIC.fullmatch(topic):
            raise BudgetError(f"{where}.sns_topic is {topic!r}: give a topic's ARN, arn:aws:sns:REGION:ACCOUNT:NAME")
        found.add(("SNS", topic))
    if not found:
        raise BudgetError(f"{where} tells nobody: give emails, sns_topic or both")
    return frozenset(found)


def _threshold(where: str, one: Options) -> tuple[float, str]:
    value, kind = float(one["threshold"]), one["threshold_type"].upper()
    if not 0 <= value <= _HIGHEST[kind]:
        unit = " percent" if kind == PERCENTAGE else ""
        raise BudgetError(f"{where}.threshold is {value:g}: give 0 to {_HIGHEST[kind]:.0f}{unit}")
    return value, kind


def alerts(one: Options, wanted: Mapping[str, t.Any]) -> dict[AlertKey, frozenset[Subscriber]]:
    """Notifications and who gets them. :raises BudgetError: what was written cannot be."""
    found: dict[AlertKey, frozenset[Subscriber]] = {}
    for number, alert in enumerate(one["alerts"]):
        where = f"budgets[{one['name']}].alerts[{number}]"
        value, kind = _threshold(where, alert)
        if alert["spend"] == "forecasted" and (
            wanted["BudgetType"] not in (COST, USAGE) or wanted["TimeUnit"] == "DAILY"
        ):
            reason = f"type {wanted['BudgetType'].lower()} and period {wanted['TimeUnit'].lower()}"
            raise BudgetError(f"{where}.spend is forecasted: AWS has no forecast for {reason}, use actual")
        key = (alert["spend"].upper(), alert["comparison"].upper(), value, kind)
        if key in found:
            raise BudgetError(f"{where} is there twice: put all addresses into one alert")
        found[key] = subscribers(where, alert)
    if len(found) > MOST_ALERTS:
        raise BudgetError(f"budgets[{one['name']}].alerts has {len(found)}: AWS takes {MOST_ALERTS} for a budget")
    return found


def actions(one: Options) -> tuple[Action, ...]:
    """Actions. :raises BudgetError: what was written cannot be."""
    found: list[Action] = []
    for number, action in enumerate(one["actions"]):
        where = f"budgets[{one['name']}].actions[{number}]"
        kinds = [kind for kind in ACTION_TYPES if action.get(kind)]
        if len(kinds) != 1:
            raise BudgetError(f"{where} has {' and '.join(kinds) or 'nothing to do'}: give one of iam, scp and ssm")
        if not _ROLE.fullmatch(action["role"]):
            raise BudgetError(f"{where}.role is {action['role']!r}: give a role's ARN, arn:aws:iam::ACCOUNT:role/NAME")
        value, kind = _threshold(where, action)
        body = {
            "NotificationType": action["spend"].upper(),
            "ActionType": ACTION_TYPES[kinds[0]],
            "ActionThreshold": {"ActionThresholdValue": value, "ActionThresholdType": kind},
            "Definition": _definition(f"{where}.{kinds[0]}", kinds[0], action[kinds[0]]),
            "ExecutionRoleArn": action["role"],
            "ApprovalModel": action["approval"].upper(),
            "Subscribers": listed(subscribers(where, action)),
        }
        if action_key(body) in {action_key(known.body) for known in found}:
            raise BudgetError(f"{where} is there twice")
        found.append(Action(body))
    return tuple(found)


def _definition(where: str, kind: str, one: Options) -> _Dict:
    if kind == "iam":
        principals = {api: sorted(one[api.lower()]) for api in ("Roles", "Groups", "Users") if one.get(api.lower())}
        if not _POLICY.fullmatch(one["policy"]):
            raise BudgetError(f"{where}.policy is {one['policy']!r}: give a policy's ARN")
        if not principals:
            raise BudgetError(f"{where} gives the policy to nobody: give roles, groups or users")
        return {"IamActionDefinition": {"PolicyArn": one["policy"], **principals}}
    if kind == "scp":
        if not _SCP.fullmatch(one["policy"]):
            raise BudgetError(f"{where}.policy is {one['policy']!r}: give a policy's id, such as p-0123456789")
        wrong = [target for target in one["targets"] if not _TARGET.fullmatch(target)]
        if wrong or not one["targets"]:
            raise BudgetError(f"{where}.targets has {wrong!s}: give account ids and ids of units (ou-...)")
        return {"ScpActionDefinition": {"PolicyId": one["policy"], "TargetIds": sorted(one["targets"])}}
    if not one["instances"]:
        raise BudgetError(f"{where}.instances is empty: give ids of instances")
    return {
        "SsmActionDefinition": {
            "ActionSubType": one["operation"].upper(),
            "Region": one["region"],
            "InstanceIds": sorted(one["instances"]),
        }
    }


def listed(people: frozenset[Subscriber]) -> list[dict[str, str]]:
    """Subscribers as the API takes them."""
    return [{"SubscriptionType": kind, "Address": address} for kind, address in sorted(people)]


def notification(key: AlertKey) -> _Dict:
    """A notification as the API takes it."""
    return dict(zip(("NotificationType", "ComparisonOperator", "Threshold", "ThresholdType"), key))


# --- from the API


def alert_key(one: Mapping[str, t.Any]) -> AlertKey:
    """What tells a notification apart from others; a type of threshold that is not said is a percentage."""
    return (
        one["NotificationType"],
        one["ComparisonOperator"],
        float(one["Threshold"]),
        one.get("ThresholdType", PERCENTAGE),
    )


def action_of(one: Mapping[str, t.Any]) -> Action:
    """An action that AWS shows."""
    body = {key: value for key, value in one.items() if key not in ("ActionId", "BudgetName", "Status")}
    people = frozenset((item["SubscriptionType"], item["Address"]) for item in body.get("Subscribers", ()))
    return Action({**body, "Subscribers": listed(people)}, one["ActionId"], one["Status"])


def _sorted_lists(value: t.Any) -> t.Any:
    """The order of lists in an action's definition says nothing."""
    if isinstance(value, Mapping):
        return {key: _sorted_lists(item) for key, item in sorted(value.items())}
    if isinstance(value, (list, tuple)):
        return sorted((_sorted_lists(item) for item in value), key=json.dumps)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def action_key(body: Mapping[str, t.Any], *, whole: bool = True) -> str:
    """An action as one text, equal where two actions do the same; without ``whole``, what it does and when."""
    parts = tuple(body) if whole else ("NotificationType", "ActionType", "ActionThreshold", "Definition")
    return json.dumps(_sorted_lists({key: body[key] for key in parts}))


# --- comparing


def _number(text: t.Any) -> decimal.Decimal:
    return decimal.Decimal(str(text)).normalize()


def comparable(one: Mapping[str, t.Any]) -> _Dict:
    """A budget so that what is the same for AWS is equal: numbers, moments, and lists whose order says nothing."""
    found = {key: value for key, value in one.items() if key not in READ_ONLY}
    if "BudgetLimit" in found:
        found["BudgetLimit"] = (_number(found["BudgetLimit"]["Amount"]), found["BudgetLimit"]["Unit"])
    if "PlannedBudgetLimits" in found:
        found["PlannedBudgetLimits"] = {
            str(int(float(key))): (_number(value["Amount"]), value["Unit"])
            for key, value in found["PlannedBudgetLimits"].items()
        }
    if "TimePeriod" in found:
        found["TimePeriod"] = {key: epoch(value) for key, value in found["TimePeriod"].items()}
    if "CostFilters" in found:
        found["CostFilters"] = {key: sorted(values) for key, values in found["CostFilters"].items()}
    if "FilterExpression" in found:
        found["FilterExpression"] = aws_budget_filter.canonical(found["FilterExpression"])
    if "AutoAdjustData" in found:
        data = {key: value for key, value in found["AutoAdjustData"].items() if key != "LastAutoAdjustTime"}
        if "HistoricalOptions" in data:
            data["HistoricalOptions"] = {"BudgetAdjustmentPeriod": data["HistoricalOptions"]["BudgetAdjustmentPeriod"]}
        found["AutoAdjustData"] = data
    return found


def _at(limits: Mapping[str, t.Any], moment: int) -> t.Any:
    """The limit that holds at a moment: the last one that began before."""
    before = [int(key) for key in limits if int(key) <= moment]
    return limits[str(max(before))] if before else None


def changed(wanted: Mapping[str, t.Any], found: Mapping[str, t.Any]) -> list[str]:
    """The members of ``Budget`` that are not as written. What nobody wrote about may be anything."""
    left, right = comparable(wanted), comparable(found)
    names = []
    for name, value in left.items():
        other = right.get(name)
        if name == "PlannedBudgetLimits" and other:
            # AWS drops the months that are over, and the last limit holds on: only what holds when is compared.
            if any(_at(other, int(key)) != limit for key, limit in value.items()):
                names.append(name)
        elif isinstance(value, dict) and isinstance(other, dict) and name in ("CostTypes", "TimePeriod"):
            if any(other.get(key) != item for key, item in value.items()):
                names.append(name)
        elif other != value:
            names.append(name)
    # Another way to say how much, or an older way to say what counts, has to go.
    if "BudgetLimit" in left and ("PlannedBudgetLimits" in right or "AutoAdjustData" in right):
        names.append("BudgetLimit")
    return sorted(set(names))


def removed(one: Options, found: Mapping[str, t.Any]) -> list[str]:
    """Members that an empty option takes away: a filter that is written as empty."""
    gone = []
    if one.get("filter") == {} and comparable(found).get("FilterExpression"):
        gone.append("FilterExpression")
    return gone


def merged(wanted: Mapping[str, t.Any], found: Mapping[str, t.Any], gone: Sequence[str]) -> _Dict:
    """What is there, with what was written in it: UpdateBudget replaces everything."""
    base = {key: value for key, value in found.items() if key not in READ_ONLY and key not in gone}
    if any(name in wanted for name in AMOUNTS.values()):
        for name in AMOUNTS.values():
            base.pop(name, None)
    drop: tuple[str, ...] = ()
    if any(name in wanted for name in CURRENT) or gone:
        drop = LEGACY
    elif any(name in wanted for name in LEGACY):
        drop = CURRENT
    for name in drop:
        base.pop(name, None)
    full: _Dict = {**base, **wanted}
    for name in ("CostTypes", "TimePeriod"):
        if name in wanted:
            full[name] = {**base.get(name, {}), **wanted[name]}
    return full


def writable(shown_budget: Mapping[str, t.Any], now: datetime.date) -> _Dict:
    """A whole budget as CreateBudget and UpdateBudget take it: without what AWS adds to what it shows."""
    full = {key: value for key, value in shown_budget.items() if key not in READ_ONLY}
    if "PlannedBudgetLimits" in full or "AutoAdjustData" in full:
        full.pop("BudgetLimit", None)
    # AWS can show an old filter in both ways: it stays what it was made as.
    for name in CURRENT if any(full.get(name) for name in LEGACY) else LEGACY:
        full.pop(name, None)
    if full["BudgetType"] != COST:
        full.pop("CostTypes", None)
    if "PlannedBudgetLimits" in full:
        full["PlannedBudgetLimits"] = _renewed(full, now)
    if "AutoAdjustData" in full:
        full["AutoAdjustData"] = comparable({"AutoAdjustData": full["AutoAdjustData"]})["AutoAdjustData"]
    if "TimePeriod" in full:
        full["TimePeriod"] = {
            key: datetime.datetime.fromtimestamp(epoch(value), UTC) for key, value in full["TimePeriod"].items()
        }
    return full


def _renewed(full: Mapping[str, t.Any], now: datetime.date) -> _Dict:
    """Planned limits from the current period on and up to the budget's end: AWS takes no others."""
    known = {str(int(float(key))): value for key, value in full["PlannedBudgetLimits"].items()}
    period = full.get("TimePeriod", {})
    begin, end = max(_day(period.get("Start", 0)), now), epoch(period.get("End", _LAST))
    moments = [epoch(start) for start in window(full["TimeUnit"], begin)]
    found = {str(moment): _at(known, moment) for moment in moments if moment < end}
    return {key: value for key, value in found.items() if value is not None}


# --- for people


def shown(state: State | None) -> _Dict:
    """A budget as a diff shows it."""
    if state is None:
        return {}
    one = state.budget
    told: _Dict = {"type": one["BudgetType"].lower(), "period": one["TimeUnit"].lower()}
    if "BudgetLimit" in one and "AutoAdjustData" not in one and "PlannedBudgetLimits" not in one:
        told["limit"] = _money(one["BudgetLimit"])
    if "PlannedBudgetLimits" in one:
        limits = sorted((int(float(key)), value) for key, value in one["PlannedBudgetLimits"].items())
        told["planned_limits"] = {_day(key).isoformat(): _money(value) for key, value in limits}
    if "AutoAdjustData" in one:
        told["auto_adjust"] = comparable({"AutoAdjustData": one["AutoAdjustData"]})["AutoAdjustData"]
    for key, value in one.get("TimePeriod", {}).items():
        told[key.lower()] = _day(value).isoformat()
    for name in (*LEGACY, *CURRENT, "BillingViewArn"):
        if name in one:
            told[name] = comparable({name: one[name]})[name]
    told["alerts"] = [alert_text(key, people) for key, people in sorted(state.alerts.items())]
    if state.actions is not None:
        told["actions"] = [json.loads(action_key(action.body)) for action in state.actions]
    if state.tags is not None:
        told["tags"] = dict(state.tags)
    return told


def _money(spend: Mapping[str, t.Any]) -> str:
    return f"{_number(spend['Amount']):f} {spend['Unit']}"


def alert_text(key: AlertKey, people: frozenset[Subscriber]) -> str:
    """``actual greater_than 80 percentage: a@example.com``."""
    spend, comparison, threshold, kind = key
    addresses = ", ".join(address for _kind, address in sorted(people))
    return f"{spend.lower()} {comparison.lower()} {threshold:g} {kind.lower()}: {addresses}"
