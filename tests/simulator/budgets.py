# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS Budgets: budgets, notifications, subscribers, actions and tags; what is spent comes from the simulated bills.

Lengths, patterns and enumerations are checked with botocore's model. Beyond it, what the API Reference says in words:
what excludes what, how many of each there may be, what is there already, and what AWS adds by itself.
"""

from __future__ import annotations

import copy
import dataclasses
import datetime
import fnmatch
import re
import typing as t
import uuid

from simulator import bills, costs
from simulator.errors import AwsError
from simulator.registry import account_of, operation, page
from simulator.state import Account, Cloud
from simulator.wire import Call, service_model

_Dict = dict[str, t.Any]

#: What IAM calls the operations: https://docs.aws.amazon.com/service-authorization/latest/reference/list_budgets.html
PERMISSIONS = {
    **{
        f"budgets:{verb}{what}": "budgets:ModifyBudget"
        for verb in ("Create", "Update", "Delete")
        for what in ("Budget", "Notification", "Subscriber")
    },
    **{
        f"budgets:Describe{what}": "budgets:ViewBudget"
        for what in (
            "Budget",
            "Budgets",
            "BudgetNotificationsForAccount",
            "NotificationsForBudget",
            "SubscribersForNotification",
        )
    },
}
FAR_FUTURE = 3706473600.0  # 2087-06-15
NOTIFICATIONS, EMAILS, TOPICS = 10, 10, 1
_WORKING = ("EXECUTION_IN_PROGRESS", "REVERSE_IN_PROGRESS", "RESET_IN_PROGRESS")
_COST_TYPES = {
    **{
        f"Include{what}": True
        for what in (
            *("Tax", "Subscription", "Refund", "Credit", "Upfront", "Recurring", "OtherSubscription", "Support"),
            "Discount",
        )
    },
    "UseBlended": False,
    "UseAmortized": False,
}
_DIMENSIONS = {
    "SERVICE": "ServiceName",
    "REGION": "RegionId",
    "LINKED_ACCOUNT": "SubAccountId",
    "LINKED_ACCOUNT_NAME": "SubAccountName",
    "SERVICE_CODE": "x_ServiceCode",
    "USAGE_TYPE": "x_UsageType",
    "OPERATION": "x_Operation",
    "AZ": "AvailabilityZone",
    "RESOURCE_ID": "ResourceId",
    "BILLING_ENTITY": "ProviderName",
}
_OLD_DIMENSIONS = {
    "Service": "SERVICE",
    "Region": "REGION",
    "LinkedAccount": "LINKED_ACCOUNT",
    "UsageType": "USAGE_TYPE",
    "Operation": "OPERATION",
    "AZ": "AZ",
    "InstanceType": "INSTANCE_TYPE",
}


@dataclasses.dataclass
class Alert:
    """A notification and its subscribers."""

    body: _Dict
    people: list[_Dict]


@dataclasses.dataclass
class Budget:
    """A budget and what hangs on it."""

    body: _Dict
    updated: float
    alerts: list[Alert] = dataclasses.field(default_factory=list)
    actions: dict[str, _Dict] = dataclasses.field(default_factory=dict)
    tags: dict[str, str] = dataclasses.field(default_factory=dict)


def state(account: Account) -> dict[str, Budget]:
    """The budgets of an account, by name."""
    if account.budgets is None:
        account.budgets = {}
    return t.cast("dict[str, Budget]", account.budgets)


# --- checks


def _invalid(text: str) -> AwsError:
    return AwsError("InvalidParameterException", text)


def _pattern(text: str) -> re.Pattern[str]:
    """A pattern of the model; Python takes flags at the beginning only."""
    try:
        return re.compile(text)
    except re.error:
        return re.compile(text.replace("(?i)", ""), re.IGNORECASE)


def conforms(shape: t.Any, value: t.Any, path: str) -> None:
    """:raises AwsError: a length, a pattern or an enumeration of the model is not kept."""
    kind, limits = shape.type_name, shape.metadata
    if kind == "structure":
        for name, item in value.items():
            conforms(shape.members[name], item, f"{path}.{name}")
        return
    if kind in ("list", "map"):
        size: float = len(value)
        for item in value if kind == "list" else value.values():
            conforms(shape.member if kind == "list" else shape.value, item, path)
    elif kind == "string":
        size = len(value)
        if limits.get("enum") and value not in limits["enum"]:
            raise _invalid(f"{path}: {value} is none of {limits['enum']}")
        if limits.get("pattern") and shape.name != "SubscriberAddress" and not _pattern(limits["pattern"]).match(value):
            raise _invalid(f"{path}: {value} does not match {limits['pattern']}")
    elif kind in ("integer", "double"):
        size = value
    else:
        return
    if not limits.get("min", size) <= size <= limits.get("max", size):
        raise _invalid(f"{path}: {size:g} is not between {limits.get('min')} and {limits.get('max')}")


def _checked(cloud: Cloud, call: Call) -> dict[str, Budget]:
    """The caller's budgets, after a look at the request."""
    model = service_model("budgets")
    if model is not None:
        conforms(model.operation_model(call.operation).input_shape, call.params, call.operation)
    if call.params.get("AccountId", call.account) != call.account:
        raise AwsError("AccessDeniedException", f"Account {call.params['AccountId']} is not the caller's.")
    return state(account_of(cloud, call))


def _budget(cloud: Cloud, call: Call) -> Budget:
    mine, name = _checked(cloud, call), call.params["BudgetName"]
    if name not in mine:
        raise AwsError("NotFoundException", f"Unable to get budget: {name} - the budget doesn't exist.")
    if call.changes_state:
        call.touched(name)
    return mine[name]


def _check_body(cloud: Cloud, body: _Dict) -> None:
    kind, unit = body["BudgetType"], body["TimeUnit"]
    old, new = {"CostFilters", "CostTypes"} & set(body), {"FilterExpression", "Metrics"} & set(body)
    if old and new:
        raise _invalid(
            "Only one set of filters and metrics can be there: FilterExpression and Metrics, or CostFilters."
        )
    if "FilterExpression" in body and "Metrics" not in body and kind in ("COST", "USAGE"):
        raise _invalid("FilterExpression needs Metrics.")
    if "CostTypes" in body and kind != "COST":
        raise _invalid("CostTypes are for budgets of type COST only.")
    if "BudgetLimit" in body and "PlannedBudgetLimits" in body:
        raise _invalid("BudgetLimit and PlannedBudgetLimits cannot be there at the same time.")
    if kind in ("COST", "USAGE"):
        if not {"BudgetLimit", "PlannedBudgetLimits", "AutoAdjustData"} & set(body):
            raise _invalid(
                "Unable to create/update budget - please provide one of the followings: Budget Limit/ Planned"
            )
    elif body.get("BudgetLimit", {"Amount": "100"})["Amount"] not in ("100", "100.0"):
        raise _invalid("The only valid limit of this type of budget is 100.")
    if kind == "COST" and body.get("BudgetLimit", {}).get("Unit", "USD") != "USD":
        raise _invalid("The unit of a cost budget must be the currency of the bill, USD.")
    if unit == "CUSTOM" and len(body.get("TimePeriod", {})) < 2:
        raise _invalid("A CUSTOM budget needs Start and End.")
    period = body.get("TimePeriod", {})
    if period.get("Start", 0) >= period.get("End", FAR_FUTURE) or period.get("End", 0) > FAR_FUTURE:
        raise _invalid("The start date must come before the end date, and that before 06/15/87.")
    if "PlannedBudgetLimits" in body:
        _check_planned(cloud, body)
    options = body.get("AutoAdjustData", {}).get("HistoricalOptions")
    if options:
        most = {"DAILY": 60, "MONTHLY": 12, "QUARTERLY": 4, "ANNUALLY": 1}.get(unit, 0)
        if options["BudgetAdjustmentPeriod"] > most or "LookBackAvailablePeriods" in options:
            raise _invalid(f"BudgetAdjustmentPeriod is at most {most}; LookBackAvailablePeriods cannot be set.")


def _check_planned(cloud: Cloud, body: _Dict) -> None:
    unit = body["TimeUnit"]
    if unit not in ("MONTHLY", "QUARTERLY"):
        raise _invalid("PlannedBudgetLimits are for MONTHLY and QUARTERLY budgets.")
    now = max(cloud.clock.now(), body.get("TimePeriod", {}).get("Start", 0))
    start = period_start(unit, _day(now))
    end = body.get("TimePeriod", {}).get("End", FAR_FUTURE)
    wanted = []
    for _number in range(12 if unit == "MONTHLY" else 4):
        if _moment(start) < end:
            wanted.append(str(int(_moment(start))))
        start = period_end(unit, start)
    if sorted(body["PlannedBudgetLimits"], key=int) != wanted:
        raise _invalid(f"PlannedBudgetLimits must be there for exactly these periods: {', '.join(wanted)}.")


# --- time and money


def _day(moment: float) -> datetime.date:
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).date()


def _moment(day: datetime.date) -> float:
    return datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp()


def period_start(unit: str, day: datetime.date) -> datetime.date:
    """The first day of the period that a day is in."""
    if unit == "DAILY":
        return day
    if unit == "QUARTERLY":
        return day.replace(month=day.month - (day.month - 1) % 3, day=1)
    return day.replace(month=1, day=1) if unit == "ANNUALLY" else day.replace(day=1)


def period_end(unit: str, start: datetime.date) -> datetime.date:
    """The first day after a period."""
    if unit == "DAILY":
        return start + bills.DAY
    for _number in range({"QUARTERLY": 3, "ANNUALLY": 12}.get(unit, 1)):
        start = bills.next_period(start)
    return start


def matches(expression: _Dict, row: _Dict) -> bool:
    """Whether a row of the bill is one that a filter expression counts."""
    if "And" in expression:
        return all(matches(part, row) for part in expression["And"])
    if "Or" in expression:
        return any(matches(part, row) for part in expression["Or"])
    if "Not" in expression:
        return not matches(expression["Not"], row)
    if "Dimensions" in expression:
        leaf = expression["Dimensions"]
        value = row.get(_DIMENSIONS.get(leaf["Key"], ""))
        if leaf["Key"] == "RECORD_TYPE":
            value = {"Purchase": "RIFee"}.get(row.get("ChargeCategory", ""), row.get("ChargeCategory"))
    elif "Tags" in expression:
        leaf = expression["Tags"]
        value = (row.get("Tags") or {}).get(leaf["Key"])
    else:  # the simulated bills know neither cost categories nor attributes of products
        return False
    match = leaf.get("MatchOptions", ["EQUALS"])
    if "ABSENT" in match:
        return value is None
    return any(_equal(match, str(wanted), value) for wanted in leaf.get("Values", ())) if value is not None else False


def _equal(match: list[str], wanted: str, value: str) -> bool:
    if "CASE_INSENSITIVE" in match:
        wanted, value = wanted.lower(), value.lower()
    if "STARTS_WITH" in match:
        return value.startswith(wanted)
    if "ENDS_WITH" in match:
        return value.endswith(wanted)
    return wanted in value if "CONTAINS" in match else wanted == value


def translated(filters: dict[str, list[str]]) -> _Dict:
    """Old cost filters as an expression."""
    parts: list[_Dict] = []
    for key, values in sorted(filters.items()):
        if key == "TagKeyValue":
            for value in values:
                name, _dollar, text = value.removeprefix("user:").partition("$")
                parts.append({"Tags": {"Key": name, "Values": [text], "MatchOptions": ["EQUALS"]}})
        else:
            name = _OLD_DIMENSIONS.get(key, re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).upper())
            parts.append({"Dimensions": {"Key": name, "Values": values, "MatchOptions": ["EQUALS"]}})
    return parts[0] if len(parts) == 1 else {"And": parts}


class Spending:
    """What an account's budgets track; the bills of a month are computed once."""

    def __init__(self, cloud: Cloud, account: Account) -> None:
        self.cloud = cloud
        self.account = account
        self.now = cloud.clock.now()
        self._rows: dict[datetime.date, list[_Dict]] = {}

    def rows(self, first: datetime.date) -> list[_Dict]:
        """The bill of a month: of the account, or of all where it pays for all."""
        if first not in self._rows:
            accounts = list(self.cloud.accounts.values())
            mine = accounts if accounts[0] is self.account else [self.account]
            self._rows[first] = [row for one in mine for row in bills.focus_rows(self.cloud, one, first, self.now)]
        return self._rows[first]

    def spent(self, body: _Dict, start: datetime.date, end: datetime.date) -> float:
        """What a budget counts between two days."""
        kind = body["BudgetType"]
        if kind not in ("COST", "USAGE"):
            return self._percent(kind)
        expression = body.get("FilterExpression") or translated(body.get("CostFilters") or {}) or {"And": []}
        metric = (body.get("Metrics") or ["UnblendedCost"])[0]
        amortized = body.get("CostTypes", {}).get("UseAmortized") or "Amortized" in metric
        column = "ConsumedQuantity" if kind == "USAGE" else "EffectiveCost" if amortized else "BilledCost"
        total, first = 0.0, start.replace(day=1)
        while first < end and _moment(first) < self.now:
            for row in self.rows(first):
                if start.isoformat() <= row["ChargePeriodStart"][:10] < end.isoformat() and matches(expression, row):
                    total += row.get(column) or 0.0
            first = bills.next_period(first)
        return total

    def _percent(self, kind: str) -> float:
        """Utilization or coverage of the last hour."""
        found = costs.running_between(self.account, self.now - 3600, self.now)
        covered = costs.coverage(self.account, [one for _i, _r, one in found], self.now - 3600)
        parts = {
            "SAVINGS_PLANS_UTILIZATION": (covered.plans_used, covered.plans_committed),
            "SAVINGS_PLANS_COVERAGE": (covered.plans_covered_list, covered.on_demand - covered.reserved_list),
            "RI_COVERAGE": (covered.reserved_list, covered.on_demand),
        }
        worth = sum(
            (costs.prices.on_demand(one.instance_type) or 0.0) * one.count
            for one in self.account.reservations
            if one.start <= self.now < one.end
        )
        part, whole = parts.get(kind, (covered.reserved_list, worth))
        return 100 * part / whole if whole else 0.0

    def period(self, body: _Dict) -> tuple[datetime.date, datetime.date]:
        """The present period of a budget."""
        if body["TimeUnit"] == "CUSTOM":
            return _day(body["TimePeriod"]["Start"]), _day(body["TimePeriod"]["End"])
        start = period_start(body["TimeUnit"], _day(self.now))
        return start, period_end(body["TimeUnit"], start)

    def calculated(self, body: _Dict) -> tuple[float, float | None]:
        """Actual and forecast: as it went so far. There is no forecast of percentages and of days."""
        start, end = self.period(body)
        actual = self.spent(body, start, end)
        if body["BudgetType"] not in ("COST", "USAGE") or body["TimeUnit"] == "DAILY":
            return actual, None
        passed = min(max(self.now - _moment(start), 3600.0), _moment(end) - _moment(start))
        return actual, actual * (_moment(end) - _moment(start)) / passed

    def limit(self, body: _Dict) -> _Dict:
        """The limit that holds now."""
        unit = {"COST": "USD", "USAGE": "Units"}.get(body["BudgetType"], "PERCENTAGE")
        if "PlannedBudgetLimits" in body:
            known = {int(key): value for key, value in body["PlannedBudgetLimits"].items()}
            return t.cast("_Dict", known[max([key for key in known if key <= self.now] or [min(known)])])
        if "AutoAdjustData" in body:
            options = body["AutoAdjustData"].get("HistoricalOptions")
            if not options:
                return {"Amount": _text(self.calculated(body)[1] or 0.0), "Unit": unit}
            amounts, start = [], self.period(body)[0]
            for _number in range(options["BudgetAdjustmentPeriod"]):
                end, start = start, period_start(body["TimeUnit"], start - bills.DAY)
                amounts.append(self.spent(body, start, end))
            return {"Amount": _text(sum(amounts) / len(amounts)), "Unit": unit}
        return t.cast("_Dict", body.get("BudgetLimit", {"Amount": "100", "Unit": "PERCENTAGE"}))


def _text(number: float) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".") + (".0" if float(f"{number:.3f}").is_integer() else "")


def _spend(one: _Dict) -> _Dict:
    """AWS writes 100 as 100.0."""
    return {"Amount": _text(float(one["Amount"])), "Unit": one["Unit"]}


def shown(spending: Spending, budget: Budget, expressions: bool) -> _Dict:
    """A budget as AWS shows it, with all that it adds."""
    body = copy.deepcopy(budget.body)
    start, _end = spending.period(body)
    body["TimePeriod"] = {"Start": _moment(start), "End": FAR_FUTURE, **body.get("TimePeriod", {})}
    limit = spending.limit(body)
    actual, forecast = spending.calculated(body)
    body["CalculatedSpend"] = {"ActualSpend": {"Amount": _text(actual), "Unit": limit["Unit"]}}
    if forecast is not None:
        body["CalculatedSpend"]["ForecastedSpend"] = {"Amount": _text(forecast), "Unit": limit["Unit"]}
    body["BudgetLimit"] = _spend(limit)
    if "PlannedBudgetLimits" in body:
        planned = sorted(body["PlannedBudgetLimits"].items(), key=lambda item: int(item[0]))
        current = max([int(key) for key, _value in planned if int(key) <= spending.now] or [0])
        body["PlannedBudgetLimits"] = {key: _spend(value) for key, value in planned if int(key) >= current}
    if "AutoAdjustData" in body:
        body["AutoAdjustData"]["LastAutoAdjustTime"] = _moment(start)
        if "HistoricalOptions" in body["AutoAdjustData"]:
            options = body["AutoAdjustData"]["HistoricalOptions"]
            options["LookBackAvailablePeriods"] = options["BudgetAdjustmentPeriod"]
    if not {"FilterExpression", "Metrics"} & set(body):
        body.setdefault("CostFilters", {})
        if body["BudgetType"] == "COST":
            body["CostTypes"] = {**_COST_TYPES, **body.get("CostTypes", {})}
        if expressions and body["BudgetType"] in ("COST", "USAGE"):
            amortized = body.get("CostTypes", {}).get("UseAmortized")
            usage = body["BudgetType"] == "USAGE"
            body["Metrics"] = ["UsageQuantity" if usage else "AmortizedCost" if amortized else "UnblendedCost"]
            if body["CostFilters"]:
                body["FilterExpression"] = translated(body["CostFilters"])
    elif not expressions:
        body.pop("FilterExpression", None)
        body.pop("Metrics", None)
    if "FilterExpression" in body:
        body["FilterExpression"] = _said(body["FilterExpression"])
    body["HealthStatus"] = {"Status": "HEALTHY", "LastUpdatedTime": spending.now}
    body["LastUpdatedTime"] = budget.updated
    return body


def _said(expression: _Dict) -> _Dict:
    """AWS says how it compares where nobody wrote it."""
    found: _Dict = {}
    for name, value in expression.items():
        if name in ("And", "Or"):
            found[name] = [_said(part) for part in value]
        elif name == "Not":
            found[name] = _said(value)
        else:
            found[name] = {"MatchOptions": ["EQUALS"], **value}
    return found


def _passed(spending: Spending, body: _Dict, basis: str, comparison: str, value: float, kind: str) -> bool:
    actual, forecast = spending.calculated(body)
    spent = actual if basis == "ACTUAL" else forecast
    if spent is None:
        return False
    limit = value if kind == "ABSOLUTE_VALUE" else float(spending.limit(body)["Amount"]) * value / 100
    if comparison == "LESS_THAN":
        return spent < limit
    return spent == limit if comparison == "EQUAL_TO" else spent > limit


# --- budgets


@operation("budgets", "CreateBudget")
def create_budget(cloud: Cloud, call: Call) -> _Dict:
    """A budget with its notifications: all of it, or nothing."""
    mine = _checked(cloud, call)
    body = copy.deepcopy(call.params["Budget"])
    for name in ("CalculatedSpend", "HealthStatus", "LastUpdatedTime"):
        if name in body:
            raise _invalid(f"{name} cannot be set.")
    name = body["BudgetName"]
    if name in mine:
        raise AwsError("DuplicateRecordException", f"Error creating budget: {name} - the budget already exists.")
    _check_body(cloud, body)
    made = Budget(body, cloud.clock.now())
    for one in call.params.get("NotificationsWithSubscribers", ()):
        _add_alert(made, one["Notification"], one["Subscribers"])
    made.tags = {one["Key"]: one["Value"] for one in call.params.get("ResourceTags", ())}
    mine[name] = made
    call.touched(name)
    return {}


@operation("budgets", "UpdateBudget")
def update_budget(cloud: Cloud, call: Call) -> _Dict:
    """Replace what a budget is; notifications stay."""
    mine = _checked(cloud, call)
    body = copy.deepcopy(call.params["NewBudget"])
    if body["BudgetName"] not in mine:
        raise AwsError("NotFoundException", f"Unable to update budget: {body['BudgetName']} - it doesn't exist.")
    _check_body(cloud, body)
    found = mine[body["BudgetName"]]
    found.body, found.updated = body, cloud.clock.now()
    call.touched(body["BudgetName"])
    return {}


@operation("budgets", "DeleteBudget")
def delete_budget(cloud: Cloud, call: Call) -> _Dict:
    """Delete a budget and all that hangs on it."""
    _budget(cloud, call)
    del state(account_of(cloud, call))[call.params["BudgetName"]]
    return {}


@operation("budgets", "DescribeBudget")
def describe_budget(cloud: Cloud, call: Call) -> _Dict:
    """One budget."""
    spending = Spending(cloud, account_of(cloud, call))
    return {"Budget": shown(spending, _budget(cloud, call), bool(call.params.get("ShowFilterExpression")))}


def _page(call: Call, items: t.Sequence[t.Any], default: int) -> tuple[t.Sequence[t.Any], _Dict]:
    limit = int(call.params.get("MaxResults", default))
    part, token = page(items, limit, call.params.get("NextToken"), "InvalidNextTokenException")
    return part, {"NextToken": token} if token else {}


@operation("budgets", "DescribeBudgets")
def describe_budgets(cloud: Cloud, call: Call) -> _Dict:
    """All budgets, by pages."""
    mine = _checked(cloud, call)
    part, more = _page(call, [mine[name] for name in sorted(mine)], 100)
    spending = Spending(cloud, account_of(cloud, call))
    return {"Budgets": [shown(spending, one, bool(call.params.get("ShowFilterExpression"))) for one in part], **more}


# --- notifications


def _same(one: _Dict, other: _Dict) -> bool:
    def key(item: _Dict) -> tuple[t.Any, ...]:
        return (
            item["NotificationType"],
            item["ComparisonOperator"],
            item["Threshold"],
            item.get("ThresholdType", "PERCENTAGE"),
        )

    return key(one) == key(other)


def _alert(budget: Budget, wanted: _Dict) -> Alert:
    for one in budget.alerts:
        if _same(one.body, wanted):
            return one
    raise AwsError("NotFoundException", "Unable to get notification - the notification doesn't exist.")


def _check_people(people: list[_Dict]) -> None:
    for kind, most in (("EMAIL", EMAILS), ("SNS", TOPICS)):
        if sum(one["SubscriptionType"] == kind for one in people) > most:
            raise AwsError(
                "CreationLimitExceededException", f"A notification has at most {most} subscribers by {kind}."
            )
    if len({(one["SubscriptionType"], one["Address"]) for one in people}) < len(people):
        raise AwsError("DuplicateRecordException", "The subscriber is there already.")


def _add_alert(budget: Budget, body: _Dict, people: list[_Dict]) -> None:
    if any(_same(one.body, body) for one in budget.alerts):
        raise AwsError("DuplicateRecordException", "The notification already exists.")
    if len(budget.alerts) >= NOTIFICATIONS:
        raise AwsError("CreationLimitExceededException", f"A budget has at most {NOTIFICATIONS} notifications.")
    _check_people(people)
    plain = {key: value for key, value in body.items() if key != "NotificationState"}
    budget.alerts.append(Alert(plain, copy.deepcopy(people)))


def _shown_alert(spending: Spending, budget: Budget, alert: Alert) -> _Dict:
    body = {"ThresholdType": "PERCENTAGE", **alert.body}
    passed = _passed(
        spending,
        budget.body,
        body["NotificationType"],
        body["ComparisonOperator"],
        body["Threshold"],
        body["ThresholdType"],
    )
    return {**body, "NotificationState": "ALARM" if passed else "OK"}


@operation("budgets", "DescribeBudgetNotificationsForAccount")
def describe_budget_notifications_for_account(cloud: Cloud, call: Call) -> _Dict:
    """The notifications of all budgets that have some."""
    mine = _checked(cloud, call)
    spending = Spending(cloud, account_of(cloud, call))
    part, more = _page(call, [name for name in sorted(mine) if mine[name].alerts], 50)
    found = [
        {
            "BudgetName": name,
            "Notifications": [_shown_alert(spending, mine[name], alert) for alert in mine[name].alerts],
        }
        for name in part
    ]
    return {"BudgetNotificationsForAccount": found, **more}


@operation("budgets", "DescribeNotificationsForBudget")
def describe_notifications_for_budget(cloud: Cloud, call: Call) -> _Dict:
    """The notifications of one budget."""
    budget = _budget(cloud, call)
    spending = Spending(cloud, account_of(cloud, call))
    part, more = _page(call, budget.alerts, 100)
    return {"Notifications": [_shown_alert(spending, budget, one) for one in part], **more}


@operation("budgets", "CreateNotification")
def create_notification(cloud: Cloud, call: Call) -> _Dict:
    """A notification with its subscribers."""
    _add_alert(_budget(cloud, call), call.params["Notification"], call.params["Subscribers"])
    return {}


@operation("budgets", "UpdateNotification")
def update_notification(cloud: Cloud, call: Call) -> _Dict:
    """Another notification for the same subscribers."""
    budget = _budget(cloud, call)
    found = _alert(budget, call.params["OldNotification"])
    if any(_same(one.body, call.params["NewNotification"]) for one in budget.alerts if one is not found):
        raise AwsError("DuplicateRecordException", "The notification already exists.")
    found.body = {key: value for key, value in call.params["NewNotification"].items() if key != "NotificationState"}
    return {}


@operation("budgets", "DeleteNotification")
def delete_notification(cloud: Cloud, call: Call) -> _Dict:
    """Delete a notification and its subscribers."""
    budget = _budget(cloud, call)
    budget.alerts.remove(_alert(budget, call.params["Notification"]))
    return {}


@operation("budgets", "DescribeSubscribersForNotification")
def describe_subscribers_for_notification(cloud: Cloud, call: Call) -> _Dict:
    """Who is told."""
    part, more = _page(call, _alert(_budget(cloud, call), call.params["Notification"]).people, 100)
    return {"Subscribers": list(part), **more}


def _person(alert: Alert, wanted: _Dict) -> int:
    if wanted not in alert.people:
        raise AwsError("NotFoundException", "Unable to get subscriber - the subscriber doesn't exist.")
    return alert.people.index(wanted)


@operation("budgets", "CreateSubscriber")
def create_subscriber(cloud: Cloud, call: Call) -> _Dict:
    """One more."""
    alert = _alert(_budget(cloud, call), call.params["Notification"])
    people = [*alert.people, call.params["Subscriber"]]
    _check_people(people)
    alert.people = people
    return {}


@operation("budgets", "UpdateSubscriber")
def update_subscriber(cloud: Cloud, call: Call) -> _Dict:
    """Another instead of one."""
    alert = _alert(_budget(cloud, call), call.params["Notification"])
    people = list(alert.people)
    people[_person(alert, call.params["OldSubscriber"])] = call.params["NewSubscriber"]
    _check_people(people)
    alert.people = people
    return {}


@operation("budgets", "DeleteSubscriber")
def delete_subscriber(cloud: Cloud, call: Call) -> _Dict:
    """One less; with the last one the notification goes, too."""
    budget = _budget(cloud, call)
    alert = _alert(budget, call.params["Notification"])
    del alert.people[_person(alert, call.params["Subscriber"])]
    if not alert.people:
        budget.alerts.remove(alert)
    return {}


# --- actions


def _check_action(cloud: Cloud, call: Call, body: _Dict) -> None:
    _check_people(body["Subscribers"])
    member = {
        "APPLY_IAM_POLICY": "IamActionDefinition",
        "APPLY_SCP_POLICY": "ScpActionDefinition",
        "RUN_SSM_DOCUMENTS": "SsmActionDefinition",
    }[body["ActionType"]]
    if list(body["Definition"]) != [member]:
        raise _invalid(f"An action of type {body['ActionType']} needs {member} and nothing else.")
    role = body["ExecutionRoleArn"]
    if role.split(":")[4] != call.account:
        raise _invalid("Roles and actions must be in the same account.")
    refused = (*account_of(cloud, call).deny, *cloud.faults.deny)
    if any(fnmatch.fnmatchcase("iam:PassRole", pattern) for pattern in refused):
        raise AwsError("AccessDeniedException", f"The caller is not authorized to perform: iam:PassRole on {role}")


def _action(budget: Budget, call: Call) -> _Dict:
    if call.params["ActionId"] not in budget.actions:
        raise AwsError("NotFoundException", f"Unable to get action: {call.params['ActionId']} - it doesn't exist.")
    found = budget.actions[call.params["ActionId"]]
    if call.changes_state and found["Status"] in _WORKING:
        raise AwsError("ResourceLockedException", f"The action is in status {found['Status']}.")
    return found


def _settle(spending: Spending, budget: Budget) -> list[_Dict]:
    """Actions, after what happened to them since."""
    for one in budget.actions.values():
        threshold = one["ActionThreshold"]
        value, kind = threshold["ActionThresholdValue"], threshold["ActionThresholdType"]
        if one["Status"] == "STANDBY" and _passed(
            spending, budget.body, one["NotificationType"], "GREATER_THAN", value, kind
        ):
            one["Status"] = "PENDING" if one["ApprovalModel"] == "MANUAL" else "EXECUTION_SUCCESS"
    return list(budget.actions.values())


@operation("budgets", "CreateBudgetAction")
def create_budget_action(cloud: Cloud, call: Call) -> _Dict:
    """An action of a budget."""
    budget = _budget(cloud, call)
    left_out = ("AccountId", "ResourceTags")
    body = {key: copy.deepcopy(value) for key, value in call.params.items() if key not in left_out}
    _check_action(cloud, call, body)
    identity = str(uuid.UUID(int=int(cloud.identifier("a")[2:], 16)))
    budget.actions[identity] = {**body, "ActionId": identity, "Status": "STANDBY"}
    return {"AccountId": call.account, "BudgetName": call.params["BudgetName"], "ActionId": identity}


@operation("budgets", "UpdateBudgetAction")
def update_budget_action(cloud: Cloud, call: Call) -> _Dict:
    """Another threshold, role or thing to do."""
    old = _action(_budget(cloud, call), call)
    body = {**old, **{key: copy.deepcopy(value) for key, value in call.params.items() if key != "AccountId"}}
    _check_action(cloud, call, body)
    before = dict(old)
    old.update(body)
    answer = {"AccountId": call.account, "BudgetName": call.params["BudgetName"]}
    return {**answer, "OldAction": before, "NewAction": dict(old)}


@operation("budgets", "DeleteBudgetAction")
def delete_budget_action(cloud: Cloud, call: Call) -> _Dict:
    """Delete an action; what it did stays."""
    budget = _budget(cloud, call)
    found = _action(budget, call)
    del budget.actions[call.params["ActionId"]]
    return {"AccountId": call.account, "BudgetName": call.params["BudgetName"], "Action": found}


@operation("budgets", "DescribeBudgetActionsForAccount")
def describe_budget_actions_for_account(cloud: Cloud, call: Call) -> _Dict:
    """The actions of all budgets."""
    mine = _checked(cloud, call)
    spending = Spending(cloud, account_of(cloud, call))
    found = [action for name in sorted(mine) for action in _settle(spending, mine[name])]
    part, more = _page(call, found, 100)
    return {"Actions": list(part), **more}


@operation("budgets", "ExecuteBudgetAction")
def execute_budget_action(cloud: Cloud, call: Call) -> _Dict:
    """Approve, retry, reverse or reset an action."""
    budget = _budget(cloud, call)
    found = _action(budget, call)
    kind = call.params["ExecutionType"]
    if kind == "APPROVE_BUDGET_ACTION" and found["Status"] != "PENDING":
        raise _invalid(f"Only an action in status PENDING can be approved, not one in status {found['Status']}.")
    found["Status"] = {
        "APPROVE_BUDGET_ACTION": "EXECUTION_SUCCESS",
        "RETRY_BUDGET_ACTION": "EXECUTION_SUCCESS",
        "REVERSE_BUDGET_ACTION": "REVERSE_SUCCESS",
        "RESET_BUDGET_ACTION": "STANDBY",
    }[kind]
    names = ("AccountId", "BudgetName", "ActionId", "ExecutionType")
    return {name: call.params[name] for name in names}


# --- tags


def _of_arn(cloud: Cloud, call: Call) -> Budget:
    mine = _checked(cloud, call)
    arn, name = call.params["ResourceARN"], call.params["ResourceARN"].partition(":budget/")[2]
    if not arn.startswith(f"arn:aws:budgets::{call.account}:budget/") or name not in mine:
        raise AwsError("NotFoundException", f"{arn} doesn't exist.")
    if call.changes_state:
        call.touched(name)
    return mine[name]


@operation("budgets", "ListTagsForResource")
def list_tags_for_resource(cloud: Cloud, call: Call) -> _Dict:
    """The tags of a budget."""
    return {"ResourceTags": [{"Key": key, "Value": value} for key, value in _of_arn(cloud, call).tags.items()]}


@operation("budgets", "TagResource")
def tag_resource(cloud: Cloud, call: Call) -> _Dict:
    """More tags, or others."""
    _of_arn(cloud, call).tags.update({one["Key"]: one["Value"] for one in call.params["ResourceTags"]})
    return {}


@operation("budgets", "UntagResource")
def untag_resource(cloud: Cloud, call: Call) -> _Dict:
    """Fewer tags."""
    tags = _of_arn(cloud, call).tags
    for key in call.params["ResourceTagKeys"]:
        tags.pop(key, None)
    return {}
