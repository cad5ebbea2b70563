# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost Anomaly Detection: monitors and subscriptions.

What the service itself checks beyond its model: which monitors belong to which type, one monitor of services in an
account, that a threshold is written once, how often e-mail and SNS may be sent to, and monitors that are not there.
"""

from __future__ import annotations

import copy
import dataclasses
import typing as t
import uuid

from simulator.errors import AwsError
from simulator.registry import account_of, operation, page
from simulator.state import Account, Cloud
from simulator.wire import Call, iso_time

_Dict = dict[str, t.Any]
_PAGE = 100
#: Quotas: https://docs.aws.amazon.com/cost-management/latest/userguide/management-limits.html
MONITORS, SUBSCRIPTIONS, ACCOUNTS = 501, 501, 10
IMPACTS = ("ANOMALY_TOTAL_IMPACT_ABSOLUTE", "ANOMALY_TOTAL_IMPACT_PERCENTAGE")


@dataclasses.dataclass
class State:
    """What one account has, by ARN."""

    monitors: dict[str, _Dict] = dataclasses.field(default_factory=dict)
    subscriptions: dict[str, _Dict] = dataclasses.field(default_factory=dict)


def state(account: Account) -> State:
    """What Cost Anomaly Detection has of an account."""
    found = account.anomaly_monitors
    if found is None:
        found = account.anomaly_monitors = State()
    return t.cast("State", found)


def _mine(cloud: Cloud, call: Call) -> State:
    return state(account_of(cloud, call))


def _arn(call: Call, kind: str) -> str:
    return f"arn:aws:ce::{call.account}:{kind}/{uuid.uuid4()}"


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def _monitor(mine: State, arn: str) -> _Dict:
    if arn not in mine.monitors:
        raise AwsError("UnknownMonitorException", f"Unknown monitor: {arn}")
    return mine.monitors[arn]


def _subscription(mine: State, arn: str) -> _Dict:
    if arn not in mine.subscriptions:
        raise AwsError("UnknownSubscriptionException", f"Unknown subscription: {arn}")
    return mine.subscriptions[arn]


# -- monitors ---------------------------------------------------------------------------------------------


def _check_monitor(mine: State, monitor: _Dict) -> None:
    dimension, specification = monitor.get("MonitorDimension"), monitor.get("MonitorSpecification")
    if monitor["MonitorType"] == "CUSTOM":
        if dimension is not None:
            raise _invalid("MonitorDimension is not allowed for a CUSTOM monitor.")
        _check_custom(specification)
        return
    if dimension is None:
        raise _invalid("MonitorDimension is required for a DIMENSIONAL monitor.")
    key = {"TAG": "Tags", "COST_CATEGORY": "CostCategories"}.get(dimension)
    if (specification is not None) != (key is not None):
        raise _invalid(f"MonitorSpecification does not fit the dimension {dimension}.")
    if key and (set(specification or {}) != {key} or set((specification or {})[key]) - {"Key", "MatchOptions"}):
        raise _invalid(f"MonitorSpecification of {dimension} has a Key of {key} only.")
    if dimension == "SERVICE" and any(one.get("MonitorDimension") == "SERVICE" for one in mine.monitors.values()):
        raise AwsError("LimitExceededException", "The limit of one AWS services monitor is reached.")


def _check_custom(specification: _Dict | None) -> None:
    if not specification or len(specification) != 1:
        raise _invalid("A CUSTOM monitor needs a MonitorSpecification with one expression.")
    [(kind, expression)] = specification.items()
    if kind not in ("Dimensions", "Tags", "CostCategories") or not expression.get("Values"):
        raise _invalid("A CUSTOM monitor is of Dimensions, Tags or CostCategories, with values.")
    if kind == "Dimensions":
        if expression["Key"] != "LINKED_ACCOUNT":
            raise _invalid("A CUSTOM monitor of Dimensions is of LINKED_ACCOUNT.")
        if len(expression["Values"]) > ACCOUNTS:
            raise _invalid(f"A monitor has at most {ACCOUNTS} linked accounts.")


@operation("ce", "CreateAnomalyMonitor")
def create_anomaly_monitor(cloud: Cloud, call: Call) -> _Dict:
    """A new monitor."""
    mine, monitor = _mine(cloud, call), call.params["AnomalyMonitor"]
    if len(mine.monitors) >= MONITORS:
        raise AwsError("LimitExceededException", "The limit of monitors is reached.")
    _check_monitor(mine, monitor)
    arn, today = _arn(call, "anomalymonitor"), iso_time(cloud.clock.now())[:10]
    # As the service answers: with dates, the number of values, and match options that nobody wrote.
    stored = {**copy.deepcopy(monitor), "MonitorArn": arn, "CreationDate": today, "LastUpdatedDate": today}
    stored["DimensionalValueCount"] = 0 if monitor["MonitorType"] == "CUSTOM" else 2
    mine.monitors[arn] = stored
    call.touched(arn)
    return {"MonitorArn": arn}


@operation("ce", "UpdateAnomalyMonitor")
def update_anomaly_monitor(cloud: Cloud, call: Call) -> _Dict:
    """Another name: nothing else can be changed."""
    arn = call.params["MonitorArn"]
    found = _monitor(_mine(cloud, call), arn)
    if "MonitorName" in call.params:
        found["MonitorName"] = call.params["MonitorName"]
    call.touched(arn)
    return {"MonitorArn": arn}


@operation("ce", "DeleteAnomalyMonitor")
def delete_anomaly_monitor(cloud: Cloud, call: Call) -> _Dict:
    """Remove it; subscriptions lose it."""
    mine, arn = _mine(cloud, call), call.params["MonitorArn"]
    _monitor(mine, arn)
    del mine.monitors[arn]
    for one in mine.subscriptions.values():
        one["MonitorArnList"] = [other for other in one["MonitorArnList"] if other != arn]
    call.touched(arn)
    return {}


@operation("ce", "GetAnomalyMonitors")
def get_anomaly_monitors(cloud: Cloud, call: Call) -> _Dict:
    """All, or those that are named."""
    mine = _mine(cloud, call)
    wanted = call.params.get("MonitorArnList") or list(mine.monitors)
    found = [copy.deepcopy(_monitor(mine, arn)) for arn in wanted]
    limit = call.params.get("MaxResults", _PAGE)
    part, token = page(found, limit, call.params.get("NextPageToken"), "InvalidNextTokenException")
    return {"AnomalyMonitors": list(part), **({"NextPageToken": token} if token else {})}


# -- subscriptions ----------------------------------------------------------------------------------------


def _check_subscription(mine: State, one: _Dict) -> None:
    for arn in one["MonitorArnList"]:
        _monitor(mine, arn)
    if not one["MonitorArnList"]:
        raise _invalid("A subscription needs at least one monitor.")
    if not one["Subscribers"]:
        raise _invalid("A subscription needs at least one subscriber.")
    if ("Threshold" in one) == ("ThresholdExpression" in one):
        raise _invalid("One of Threshold or ThresholdExpression is required.")
    kinds = {subscriber["Type"] for subscriber in one["Subscribers"]}
    allowed = {"SNS"} if one["Frequency"] == "IMMEDIATE" else {"EMAIL"}
    if kinds != allowed:
        raise _invalid(f"Subscribers of the frequency {one['Frequency']} are of the type {allowed.pop()}.")
    if "ThresholdExpression" in one:
        _check_threshold(one["ThresholdExpression"])


def _check_threshold(expression: _Dict) -> None:
    if len(expression) != 1:
        raise _invalid("A threshold is one expression.")
    [(kind, inner)] = expression.items()
    if kind in ("And", "Or"):
        if len(inner) < 2:
            raise _invalid(f"{kind} needs two expressions.")
        for one in inner:
            _check_threshold(one)
        return
    wrong = kind != "Dimensions" or inner.get("Key") not in IMPACTS
    if wrong or inner.get("MatchOptions") != ["GREATER_THAN_OR_EQUAL"] or len(inner.get("Values", ())) != 1:
        raise _invalid("A threshold is ANOMALY_TOTAL_IMPACT_ABSOLUTE or _PERCENTAGE GREATER_THAN_OR_EQUAL a value.")
    try:
        value = float(inner["Values"][0])
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e10:
        raise _invalid("A threshold is a number between 0 and 10,000,000,000.")


@operation("ce", "CreateAnomalySubscription")
def create_anomaly_subscription(cloud: Cloud, call: Call) -> _Dict:
    """A new subscription."""
    mine, one = _mine(cloud, call), call.params["AnomalySubscription"]
    if len(mine.subscriptions) >= SUBSCRIPTIONS:
        raise AwsError("LimitExceededException", "The limit of subscriptions is reached.")
    _check_subscription(mine, one)
    arn = _arn(call, "anomalysubscription")
    mine.subscriptions[arn] = _stored(call, one, arn)
    call.touched(arn)
    return {"SubscriptionArn": arn}


def _stored(call: Call, one: _Dict, arn: str) -> _Dict:
    """As the service answers: every subscriber has a status, and there is an account."""
    subscribers = [{"Status": "CONFIRMED", **subscriber} for subscriber in one["Subscribers"]]
    return {**copy.deepcopy(one), "SubscriptionArn": arn, "AccountId": call.account, "Subscribers": subscribers}


@operation("ce", "UpdateAnomalySubscription")
def update_anomaly_subscription(cloud: Cloud, call: Call) -> _Dict:
    """What is named is replaced."""
    mine, arn = _mine(cloud, call), call.params["SubscriptionArn"]
    given = {key: value for key, value in call.params.items() if key != "SubscriptionArn"}
    changed = {**_subscription(mine, arn), **given}
    if "ThresholdExpression" in given:
        changed.pop("Threshold", None)
    _check_subscription(mine, changed)
    mine.subscriptions[arn] = _stored(call, changed, arn)
    call.touched(arn)
    return {"SubscriptionArn": arn}


@operation("ce", "DeleteAnomalySubscription")
def delete_anomaly_subscription(cloud: Cloud, call: Call) -> _Dict:
    """Remove it."""
    mine, arn = _mine(cloud, call), call.params["SubscriptionArn"]
    _subscription(mine, arn)
    del mine.subscriptions[arn]
    call.touched(arn)
    return {}


@operation("ce", "GetAnomalySubscriptions")
def get_anomaly_subscriptions(cloud: Cloud, call: Call) -> _Dict:
    """All, those that are named, or those of one monitor."""
    mine, monitor = _mine(cloud, call), call.params.get("MonitorArn")
    wanted = call.params.get("SubscriptionArnList") or list(mine.subscriptions)
    found = [copy.deepcopy(_subscription(mine, arn)) for arn in wanted]
    found = [one for one in found if monitor is None or monitor in one["MonitorArnList"]]
    limit = call.params.get("MaxResults", _PAGE)
    part, token = page(found, limit, call.params.get("NextPageToken"), "InvalidNextTokenException")
    return {"AnomalySubscriptions": list(part), **({"NextPageToken": token} if token else {})}
