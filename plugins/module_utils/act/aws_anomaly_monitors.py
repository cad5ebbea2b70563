# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS Cost Anomaly Detection: monitors, and who is told of anomalies.

AWS Cost Explorer API Reference: ``AnomalyMonitor``, ``AnomalySubscription``. Of a monitor only the name can be changed,
and an account has one monitor of services, which AWS makes itself for new accounts. Account ids and addresses are in
plain text here, in sentences too: the module masks what it shows.
"""

from __future__ import annotations

import re
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change, carry_out

_Dict: t.TypeAlias = "dict[str, t.Any]"
Options: t.TypeAlias = "Mapping[str, t.Any]"

EACH = {"service": "SERVICE", "account": "LINKED_ACCOUNT", "tag": "TAG", "cost_category": "COST_CATEGORY"}
#: Dimensions that need a key, and where it stands.
KEYED = {"TAG": "Tags", "COST_CATEGORY": "CostCategories"}
#: Linked accounts that one monitor may have.
MAXIMUM_ACCOUNTS = 10
#: The largest threshold.
MAXIMUM = 1e10
IMPACTS = {"min_impact": "ANOMALY_TOTAL_IMPACT_ABSOLUTE", "min_percent": "ANOMALY_TOTAL_IMPACT_PERCENTAGE"}
#: As the API's model has it.
_EMAIL = re.compile(r"[a-zA-Z0-9.!#$%&'*+=?^_\u2018{|}~-]+@[a-zA-Z0-9_-]+(\.[a-zA-Z0-9_-]+)+")
_TOPIC = re.compile(r"arn:aws[a-zA-Z-]*:sns:[a-zA-Z0-9-]+:[0-9]{12}:[a-zA-Z0-9_-]+(\.fifo)?")
_ACCOUNT = re.compile(r"[0-9]{12}")


class MonitorError(ValueError):
    """One sentence: which option has which value, and what would be right."""


# -- what was written, as the API has it ------------------------------------------------------------------


def monitor(wanted: Options) -> _Dict:
    """``AnomalyMonitor``. :raises MonitorError: it says nothing, too much, or something that cannot be."""
    where = f"monitors[{wanted['name']}]"
    given = [name for name in ("each", "accounts", "tag", "cost_category") if wanted.get(name)]
    if len(given) != 1:
        has = " and ".join(given) or "none of them"
        raise MonitorError(f"{where} has {has}: give one of each, accounts, tag and cost_category")
    made: _Dict = {"MonitorName": wanted["name"]}
    if wanted.get("each"):
        dimension = EACH[wanted["each"]]
        if bool(wanted.get("key")) != (dimension in KEYED):
            needs = (
                "needs the key" if dimension in KEYED else "has a key, which only each tag and each cost_category have"
            )
            raise MonitorError(f"{where} is of each {wanted['each']} and {needs}")
        made |= {"MonitorType": "DIMENSIONAL", "MonitorDimension": dimension}
        if dimension in KEYED:
            made["MonitorSpecification"] = {KEYED[dimension]: {"Key": wanted["key"]}}
        return made
    if wanted.get("key"):
        raise MonitorError(f"{where} has a key, which only each tag and each cost_category have")
    return {**made, "MonitorType": "CUSTOM", "MonitorSpecification": _specification(wanted, where)}


def _specification(wanted: Options, where: str) -> _Dict:
    accounts = wanted.get("accounts")
    if accounts:
        wrong = next((one for one in accounts if not _ACCOUNT.fullmatch(one)), None)
        if wrong is not None:
            raise MonitorError(f"{where}.accounts has {wrong!r}: give account ids of twelve digits, quoted")
        if len(accounts) > MAXIMUM_ACCOUNTS:
            raise MonitorError(
                f"{where}.accounts has {len(accounts)} accounts: a monitor has at most {MAXIMUM_ACCOUNTS}, make several"
            )
        return {"Dimensions": {"Key": "LINKED_ACCOUNT", "Values": sorted(accounts)}}
    name = "tag" if wanted.get("tag") else "cost_category"
    one = wanted[name]
    if not one["values"]:
        raise MonitorError(f"{where}.{name} has no values: name at least one, or use each {name} with the key")
    return {"Tags" if name == "tag" else "CostCategories": {"Key": one["key"], "Values": sorted(one["values"])}}


def subscription(wanted: Options) -> _Dict:
    """``AnomalySubscription`` without its monitors. :raises MonitorError: values that contradict each other."""
    where = f"subscriptions[{wanted['name']}]"
    if not wanted.get("monitors"):
        raise MonitorError(f"{where} has no monitors: name at least one")
    return {
        "SubscriptionName": wanted["name"],
        "Frequency": wanted["frequency"].upper(),
        "Subscribers": _subscribers(wanted, where),
        "ThresholdExpression": _threshold(wanted, where),
    }


def _subscribers(wanted: Options, where: str) -> list[_Dict]:
    emails, topic, frequency = wanted.get("emails") or [], wanted.get("sns_topic"), wanted["frequency"]
    if frequency == "immediate":
        if emails or not topic:
            raise MonitorError(f"{where} is immediate, which only SNS is: give sns_topic and no emails")
        if not _TOPIC.fullmatch(topic):
            raise MonitorError(f"{where}.sns_topic is {topic!r}: give the ARN of a topic")
        return [{"Type": "SNS", "Address": topic}]
    if topic or not emails:
        raise MonitorError(f"{where} is {frequency}, which only e-mail is: give emails, or frequency immediate for SNS")
    for address in emails:
        if not _EMAIL.fullmatch(address):
            # What is no address may be anything: it is not repeated.
            raise MonitorError(f"{where}.emails has an entry that is no e-mail address: give name@example.com")
    return [{"Type": "EMAIL", "Address": address} for address in sorted(emails)]


def _threshold(wanted: Options, where: str) -> _Dict:
    parts = []
    for option, key in IMPACTS.items():
        value = wanted.get(option)
        if value is None:
            continue
        if not 0 <= value <= MAXIMUM:
            raise MonitorError(f"{where}.{option} is {value:g}: give a number from 0 to 10,000,000,000")
        parts.append(
            {"Dimensions": {"Key": key, "MatchOptions": ["GREATER_THAN_OR_EQUAL"], "Values": [_number(value)]}}
        )
    if not parts:
        raise MonitorError(f"{where} has neither min_impact nor min_percent: give at least one; 0 tells of everything")
    return parts[0] if len(parts) == 1 else {"And" if wanted["match"] == "all" else "Or": parts}


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")


# -- what is there, in a form that can be compared --------------------------------------------------------


def kind_of(one: Options) -> tuple[t.Any, ...]:
    """What a monitor watches; match options that nobody wrote do not count."""
    [(name, inner)] = (one.get("MonitorSpecification") or {"": {}}).items()
    inner = inner if isinstance(inner, Mapping) else {}
    return (
        one["MonitorType"],
        one.get("MonitorDimension"),
        name,
        inner.get("Key"),
        tuple(sorted(inner.get("Values") or ())),
    )


def told_kind(one: Options) -> str:
    """The same in words."""
    _type, dimension, _name, key, values = kind_of(one)
    if dimension:
        each = {name: word for word, name in EACH.items()}.get(dimension, dimension)
        return f"each {each}" + (f" {key}" if key else "")
    return f"{key} {', '.join(values)}"


def rules_of(one: Options) -> tuple[t.Any, ...]:
    """The parts of a subscription that are compared, but its monitors."""
    subscribers = tuple(sorted((item["Type"], item["Address"]) for item in one["Subscribers"]))
    return one["Frequency"], subscribers, _limits(one)


def _limits(one: Options) -> tuple[t.Any, ...]:
    """A threshold without its order and spelling; one in the old form is what AWS takes it for."""
    expression = one.get("ThresholdExpression")
    if not expression:
        return ("Dimensions", (("ANOMALY_TOTAL_IMPACT_ABSOLUTE", float(one.get("Threshold") or 0)),))
    [(name, inner)] = expression.items()
    parts = inner if isinstance(inner, list) else [{"Dimensions": inner}]
    try:
        limits = tuple(sorted((part["Dimensions"]["Key"], float(part["Dimensions"]["Values"][0])) for part in parts))
    except (KeyError, ValueError, IndexError, TypeError):
        return (name, str(inner))
    return name, limits


def _told(one: Options, monitors: Sequence[str]) -> _Dict:
    """A subscription in a diff; who shows it masks the addresses."""
    _frequency, subscribers, (combined, limits) = rules_of(one)
    return {
        "monitors": sorted(monitors),
        "frequency": one["Frequency"].lower(),
        "subscribers": [address for _kind, address in subscribers],
        "threshold": {"combined": combined, "limits": [list(limit) for limit in limits]}
        if isinstance(limits, tuple)
        else limits,
    }


class AnomalyMonitors:
    """Cost Anomaly Detection of one account."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        #: name -> ARN; what is to be made has an empty one
        self._arns: dict[str, str] = {}

    # -- decide -------------------------------------------------------------------------------------------

    def decide(self, wanted: Options) -> list[Change]:
        """What has to change, in the order in which it is done.

        :raises MonitorError: what was written cannot be. :raises AwsError: AWS refuses.
        """
        for option in ("monitors", "subscriptions"):
            names = [one["name"] for one in wanted[option]]
            twice = next((name for name in names if names.count(name) > 1), None)
            if twice is not None:
                raise MonitorError(f"{option} has {twice!r} twice: write each once")
        present = [one for one in wanted["monitors"] if one["state"] == "present"]
        made = [monitor(one) for one in present]
        subscriptions = {one["name"]: one for one in wanted["subscriptions"] if one["state"] == "present"}
        written = {name: subscription(one) for name, one in subscriptions.items()}
        found = self._all("get_anomaly_monitors", "AnomalyMonitors")
        monitors = self._named(found, "MonitorName", "monitors", [one["name"] for one in wanted["monitors"]])
        gone = [one["name"] for one in wanted["monitors"] if one["state"] == "absent"]
        removed = [
            Change("monitor", "delete", name, {"kind": told_kind(monitors[name])}, {}, ("monitor", monitors[name]))
            for name in gone
            if name in monitors
        ]
        self._arns = {one["MonitorName"]: one["MonitorArn"] for one in found if one["MonitorName"] not in gone}
        changes = [change for one in made for change in self._monitor(one, monitors, found)]
        names = [one["name"] for one in wanted["subscriptions"]]
        there = self._subscriptions(names)
        for name, one in written.items():
            changes += self._subscription(one, subscriptions[name]["monitors"], there.get(name))
        for one in wanted["subscriptions"]:
            if one["state"] == "absent" and one["name"] in there:
                old = there[one["name"]]
                before = _told(old, self._names(old))
                changes.append(Change("subscription", "delete", one["name"], before, {}, ("subscription", old)))
        return changes + removed

    def _all(self, method: str, member: str) -> list[_Dict]:
        return list(self._pages(method, member))

    def _pages(self, method: str, member: str) -> Iterator[_Dict]:
        token = ""
        while True:
            more: _Dict = {"NextPageToken": token} if token else {}
            page = self._aws.read("ce", method, **more)
            yield from page[member]
            token = page.get("NextPageToken", "")
            if not token:
                return

    def _subscriptions(self, names: Sequence[str]) -> dict[str, _Dict]:
        if not names:
            return {}
        found = self._all("get_anomaly_subscriptions", "AnomalySubscriptions")
        return self._named(found, "SubscriptionName", "subscriptions", names)

    def _named(self, found: Sequence[_Dict], member: str, option: str, names: Sequence[str]) -> dict[str, _Dict]:
        """By name. AWS lets names be used twice: where it matters, nobody knows which one is meant."""
        for name in names:
            if sum(one[member] == name for one in found) > 1:
                raise MonitorError(
                    f"{option} names {name!r}, which the account has several of: rename or remove all but one"
                )
        return {one[member]: one for one in found}

    def _monitor(self, made: _Dict, monitors: Mapping[str, _Dict], found: Sequence[_Dict]) -> list[Change]:
        name = made["MonitorName"]
        there = monitors.get(name)
        if there is None and made.get("MonitorDimension") == "SERVICE":
            # An account has one of these at most: it gets the name.
            there = next((one for one in found if one.get("MonitorDimension") == "SERVICE"), None)
            if there is not None:
                old = there["MonitorName"]
                self._arns.pop(old, None)
                self._arns[name] = there["MonitorArn"]
                return [Change("monitor", "update", name, {"name": old}, {"name": name}, ("rename", there, name))]
        if there is None:
            self._arns[name] = ""
            return [Change("monitor", "create", name, {}, {"kind": told_kind(made)}, ("create", made))]
        if kind_of(there) != kind_of(made):
            raise MonitorError(
                f"monitors[{name}] is to watch {told_kind(made)}, but the account's monitor of this name watches "
                f"{told_kind(there)}, which cannot be changed: choose another name, or remove it first (state: absent)"
            )
        return []

    def _subscription(self, made: _Dict, monitors: Sequence[str], there: _Dict | None) -> list[Change]:
        name = made["SubscriptionName"]
        unknown = next((one for one in monitors if one not in self._arns), None)
        if unknown is not None:
            raise MonitorError(
                f"subscriptions[{name}].monitors has {unknown!r}, which is neither there nor written here as present"
            )
        after = _told(made, monitors)
        if there is None:
            return [Change("subscription", "create", name, {}, after, ("subscribe", made, monitors))]
        known = {self._arns[one] for one in monitors}
        if rules_of(there) == rules_of(made) and set(there["MonitorArnList"]) == known:
            return []
        before = _told(there, self._names(there))
        return [Change("subscription", "update", name, before, after, ("resubscribe", made, monitors, there))]

    def _names(self, one: Options) -> list[str]:
        names = {arn: name for name, arn in self._arns.items() if arn}
        return [names.get(arn, arn) for arn in one["MonitorArnList"]]

    # -- perform ------------------------------------------------------------------------------------------

    def perform(self, changes: Sequence[Change]) -> None:
        """Carry them out in order. :raises AwsError: the sentence says how many were made before."""
        carry_out(changes, self._one, AwsError, naming=True)

    def _one(self, change: Change) -> None:
        verb, one, *rest = change.request
        if verb == "create":
            made = self._aws.write("ce", "create_anomaly_monitor", AnomalyMonitor=one)
            self._arns[one["MonitorName"]] = made["MonitorArn"]
        elif verb == "rename":
            self._aws.write("ce", "update_anomaly_monitor", MonitorArn=one["MonitorArn"], MonitorName=rest[0])
        elif verb == "monitor":
            self._aws.write("ce", "delete_anomaly_monitor", MonitorArn=one["MonitorArn"])
        elif verb == "subscription":
            self._aws.write("ce", "delete_anomaly_subscription", SubscriptionArn=one["SubscriptionArn"])
        else:
            arns = sorted(self._arns[name] for name in rest[0])
            if verb == "subscribe":
                whole = {**one, "MonitorArnList": arns}
                self._aws.write("ce", "create_anomaly_subscription", AnomalySubscription=whole)
            else:
                arn = rest[1]["SubscriptionArn"]
                self._aws.write("ce", "update_anomaly_subscription", SubscriptionArn=arn, MonitorArnList=arns, **one)
