# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of budgets of AWS and Google Cloud in one schema: limit, spent, forecast, alerts, actions.

AWS says itself what was spent and what it expects. Google's API does not, so that is taken from imported cost data
where it can answer the budget's filter; where it cannot, ``actual`` is None and ``note`` says why.
"""

from __future__ import annotations

import dataclasses
import datetime
import statistics
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import Gcp, GcpError

_Dict: t.TypeAlias = "dict[str, t.Any]"

UTC = datetime.timezone.utc
DAY = datetime.timedelta(days=1)
#: Weeks whose days of the same name make a forecast, and days at the end of the data that are not complete yet.
WEEKS, INCOMPLETE = 4, 2
_PAGE: _Dict = {"MaxResults": 100}
#: Statuses of an action of AWS that waits for somebody: for approval, or because it failed.
PENDING = ("PENDING", "EXECUTION_FAILURE", "REVERSE_FAILURE", "RESET_FAILURE")


@dataclasses.dataclass(frozen=True)
class Alert:
    """An alert: ``threshold`` in percent of the limit, or as an amount; ``alarm`` is None where nobody knows."""

    spend: str
    comparison: str
    threshold: float
    threshold_type: str
    alarm: bool | None


@dataclasses.dataclass(frozen=True)
class Action:
    """An action and whether it waits for somebody."""

    id: str
    type: str
    status: str
    approval: str
    pending: bool


@dataclasses.dataclass(frozen=True)
class BudgetState:
    """A budget. Money and quantities are in ``unit``; ``start`` and ``end`` (exclusive) are the present period."""

    provider: str
    account: str
    id: str
    name: str
    type: str
    unit: str | None
    limit: float | None
    actual: float | None
    forecast: float | None
    period: str
    start: datetime.date
    end: datetime.date | None
    alerts: tuple[Alert, ...]
    actions: tuple[Action, ...] = ()
    healthy: bool = True
    note: str = ""

    def share(self, amount: float | None) -> float | None:
        """A part of the limit, 1 for all of it; None where there is none."""
        return None if amount is None or not self.limit else amount / self.limit

    def to_dict(self) -> _Dict:
        """As modules return it."""
        return {
            **dataclasses.asdict(self),
            "start": self.start.isoformat(),
            "end": self.end.isoformat() if self.end else None,
            "alerts": [dataclasses.asdict(alert) for alert in self.alerts],
            "actions": [dataclasses.asdict(action) for action in self.actions],
            "actual_share": _rounded(self.share(self.actual)),
            "forecast_share": _rounded(self.share(self.forecast)),
            "alerts_in_alarm": sum(bool(alert.alarm) for alert in self.alerts),
            "actions_pending": sum(action.pending for action in self.actions),
        }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


# --- periods


def period_of(period: str, today: datetime.date) -> tuple[datetime.date, datetime.date]:
    """First day of the present period and the day after its last."""
    if period == "daily":
        return today, today + DAY
    months = {"quarterly": 3, "annually": 12}.get(period, 1)
    first = today.replace(month=today.month - (today.month - 1) % months, day=1)
    after = first.month - 1 + months
    return first, datetime.date(first.year + after // 12, after % 12 + 1, 1)


# --- AWS


def aws_states(aws: Aws, today: datetime.date) -> list[BudgetState]:
    """All budgets of an account. :raises AwsError: AWS refuses."""
    account: _Dict = {"AccountId": aws.account}
    budgets = [one for page in aws.pages("budgets", "describe_budgets", **account, **_PAGE) for one in page["Budgets"]]
    if not budgets:
        return []
    alerts: dict[str, list[_Dict]] = {}
    for page in aws.pages("budgets", "describe_budget_notifications_for_account", **account, **_PAGE):
        for one in page.get("BudgetNotificationsForAccount", ()):
            alerts.setdefault(one["BudgetName"], []).extend(one.get("Notifications", ()))
    actions: dict[str, list[_Dict]] = {}
    for page in aws.pages("budgets", "describe_budget_actions_for_account", **account, **_PAGE):
        for one in page["Actions"]:
            actions.setdefault(one["BudgetName"], []).append(one)
    partition = aws.session.get_partition_for_region(aws.region)
    prefix = f"arn:{partition}:budgets::{aws.account}:budget/"
    return [
        aws_state(
            one, alerts.get(one["BudgetName"], ()), actions.get(one["BudgetName"], ()), aws.account, prefix, today
        )
        for one in budgets
    ]


def aws_state(
    budget: Mapping[str, t.Any],
    alerts: Sequence[Mapping[str, t.Any]],
    actions: Sequence[Mapping[str, t.Any]],
    account: str,
    prefix: str,
    today: datetime.date,
) -> BudgetState:
    """A budget as AWS shows it, with its notifications and actions."""
    period = budget["TimeUnit"].lower()
    if period == "custom":
        start, end = (budget["TimePeriod"][name].date() for name in ("Start", "End"))
    else:
        start, end = period_of(period, today)
    limit, spent = budget.get("BudgetLimit"), budget.get("CalculatedSpend", {})
    health = budget.get("HealthStatus", {})
    healthy = health.get("Status", "HEALTHY") == "HEALTHY"
    return BudgetState(
        "aws",
        account,
        prefix + budget["BudgetName"],
        budget["BudgetName"],
        budget["BudgetType"].lower(),
        (limit or spent.get("ActualSpend") or {}).get("Unit"),
        _amount(limit),
        _amount(spent.get("ActualSpend")),
        _amount(spent.get("ForecastedSpend")),
        period,
        start,
        end,
        tuple(
            Alert(
                one["NotificationType"].lower(),
                one["ComparisonOperator"].lower(),
                float(one["Threshold"]),
                one.get("ThresholdType", "PERCENTAGE").lower(),
                one["NotificationState"] == "ALARM" if "NotificationState" in one else None,
            )
            for one in alerts
        ),
        tuple(
            Action(
                one["ActionId"],
                one["ActionType"].lower(),
                one["Status"].lower(),
                one["ApprovalModel"].lower(),
                one["Status"] in PENDING,
            )
            for one in actions
        ),
        healthy,
        "" if healthy else f"AWS does not update it: {health.get('StatusReason', 'no reason is given')}",
    )


def _amount(spend: Mapping[str, t.Any] | None) -> float | None:
    return None if spend is None else float(spend["Amount"])


# --- Google Cloud


@dataclasses.dataclass(frozen=True)
class Scope:
    """What a budget of Google Cloud counts, as cost data knows it: ids of projects and services, one label.

    ``currency`` is the budget's; None for one whose amount is that of the period before.
    """

    account: str
    projects: tuple[str, ...]
    services: tuple[str, ...]
    label: tuple[str, str] | None
    with_credits: bool
    currency: str | None
    since: datetime.date
    until: datetime.date


class Costs(t.Protocol):
    """Cost data that can say what a budget counts."""

    def daily(self, scope: Scope) -> dict[datetime.date, float]:
        """Cost by day, in the budget's currency. :raises Unanswered: the data cannot say it."""

    def currency(self, scope: Scope) -> str | None:
        """The only currency of these costs; None where there are none. :raises Unanswered: there are several."""

    def last(self, scope: Scope) -> float:
        """What the days from ``since`` to ``until`` cost together. :raises Unanswered: as there."""


class Unanswered(Exception):
    """Why cost data cannot say what a budget counts."""


class GcpBudgets:
    """Budgets of Google Cloud. ``costs`` is None where there is no cost data."""

    def __init__(self, gcp: Gcp, costs: Costs | None, today: datetime.date) -> None:
        self._gcp = gcp
        self._costs = costs
        self._today = today
        self._projects: dict[str, str] = {}

    def states(self, account: str) -> Iterator[BudgetState]:
        """All budgets of a billing account. :raises GcpError: Google refuses."""
        path = f"/v1/billingAccounts/{account}/budgets"
        try:
            for page in self._gcp.pages("billingbudgets", path, "the list of budgets", {"pageSize": 100}):
                for one in page.get("budgets", ()):
                    yield self.state(account, one)
        except GcpError as error:
            if error.status != 403:
                raise
            raise GcpError(f"{error}: grant billing.budgets.list to the caller", 403) from None

    def state(self, account: str, budget: Mapping[str, t.Any]) -> BudgetState:
        """A budget as Google shows it, with what the cost data knows of it."""
        filters = budget.get("budgetFilter", {})
        period, start, end = gcp_period(filters, self._today)
        amount = budget.get("amount", {})
        given = amount.get("specifiedAmount")
        unit = None if given is None else given.get("currencyCode")
        limit = None if given is None else float(given.get("units") or 0) + float(given.get("nanos") or 0) / 1e9
        actual = forecast = None
        note = "there is no cost data: set cost_url"
        if self._costs is not None:
            try:
                until = self._today + DAY if end is None else min(end, self._today + DAY)
                scope = self._scope(account, filters, unit, start, until)
                actual, forecast = spent(self._costs, scope, end, self._today)
                note = ""
                if given is None:
                    unit = self._costs.currency(scope)
                    limit = self._costs.last(_before(scope, period, start))
            except Unanswered as error:
                note = str(error)
        rules = budget.get("thresholdRules", ())
        return BudgetState(
            "gcp",
            account,
            budget["name"],
            budget.get("displayName", ""),
            "cost",
            unit,
            limit,
            actual,
            forecast,
            period,
            start,
            end,
            tuple(_rule(rule, limit, actual, forecast) for rule in rules),
            note=note,
        )

    def _scope(
        self,
        account: str,
        filters: Mapping[str, t.Any],
        currency: str | None,
        since: datetime.date,
        until: datetime.date,
    ) -> Scope:
        for member, words in (("resourceAncestors", "folders or organizations"), ("subaccounts", "subaccounts")):
            if filters.get(member):
                raise Unanswered(f"cost data does not know which {words} a row belongs to")
        treatment = filters.get("creditTypesTreatment", "INCLUDE_ALL_CREDITS")
        if treatment == "INCLUDE_SPECIFIED_CREDITS":
            raise Unanswered("cost data does not know each credit's type")
        labels = [(str(key), str(value)) for key, values in filters.get("labels", {}).items() for value in values]
        return Scope(
            account,
            tuple(self._project(name) for name in filters.get("projects", ())),
            tuple(name.partition("/")[2] for name in filters.get("services", ())),
            labels[0] if labels else None,
            treatment == "INCLUDE_ALL_CREDITS",
            currency,
            since,
            until,
        )

    def _project(self, name: str) -> str:
        """The id of ``projects/NUMBER``: cost data has ids."""
        identity = name.partition("/")[2]
        if not identity.isdigit():
            return identity
        if name not in self._projects:
            try:
                found = self._gcp.send("cloudresourcemanager", "GET", f"/v3/{name}", f"the id of {name}")
            except GcpError as error:
                raise Unanswered(f"the id of {name} is not known: {error}") from None
            self._projects[name] = found["projectId"]
        return self._projects[name]


def gcp_period(filters: Mapping[str, t.Any], today: datetime.date) -> tuple[str, datetime.date, datetime.date | None]:
    """Name, first day and the day after the last of a budget's present period."""
    custom = filters.get("customPeriod")
    if custom:
        last = _date(custom["endDate"]) if "endDate" in custom else None
        return "custom", _date(custom["startDate"]), None if last is None else last + DAY
    name = {"QUARTER": "quarterly", "YEAR": "annually"}.get(filters.get("calendarPeriod", "MONTH"), "monthly")
    return name, *period_of(name, today)


def _date(one: Mapping[str, int]) -> datetime.date:
    return datetime.date(one["year"], one["month"], one["day"])


def _before(scope: Scope, period: str, start: datetime.date) -> Scope:
    """The period before: what a budget without an amount takes as one."""
    return dataclasses.replace(scope, since=period_of(period, start - DAY)[0], until=start)


def _rule(rule: Mapping[str, t.Any], limit: float | None, actual: float | None, forecast: float | None) -> Alert:
    """A threshold; Google does not say whether it is passed, so it is compared here."""
    forecasted = rule.get("spendBasis") == "FORECASTED_SPEND"
    amount = forecast if forecasted else actual
    share = float(rule.get("thresholdPercent", 0.0))
    alarm = None if amount is None or limit is None else amount > limit * share
    return Alert("forecasted" if forecasted else "actual", "greater_than", round(100 * share, 6), "percentage", alarm)


def spent(costs: Costs, scope: Scope, end: datetime.date | None, today: datetime.date) -> tuple[float, float | None]:
    """What was spent in the period, and what it will be at its end: each day to come costs what the days of its name
    usually cost (the median of the last weeks, so that a single credit does not count). No forecast without an end, or
    without four complete weeks of data.

    :raises Unanswered: the data cannot say it.
    """
    history = dataclasses.replace(scope, since=min(scope.since, today - (7 * WEEKS + INCOMPLETE) * DAY))
    days = costs.daily(history)
    actual = sum(cost for day, cost in days.items() if scope.since <= day < scope.until)
    if end is None or not days:
        return actual, None
    complete = min(max(days), today - DAY) - (INCOMPLETE - 1) * DAY
    weeks = [complete - number * DAY for number in range(7 * WEEKS)]
    if min(days) > weeks[-1]:
        return actual, None
    usual = [statistics.median(days.get(day, 0.0) for day in weeks if day.weekday() == name) for name in range(7)]
    known = sum(cost for day, cost in days.items() if scope.since <= day <= complete)
    left, day = 0.0, max(complete + DAY, scope.since)
    while day < end:
        left += usual[day.weekday()]
        day += DAY
    return actual, max(actual, known + left)
