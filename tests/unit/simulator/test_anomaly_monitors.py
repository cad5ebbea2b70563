# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cost Anomaly Detection: what the module reads, decides and changes, on the simulator that checks with botocore."""

from __future__ import annotations

import typing as t
from collections.abc import Callable

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_anomaly_monitors import (
    AnomalyMonitors,
    MonitorError,
)
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.aws_anomaly_options import OPTIONS
from ansible_collections.frugal.cloud.plugins.module_utils.cost.hiding import hidden, hidden_result
from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change
from simulator import anomaly_monitors
from simulator.testing import ACCOUNT, OTHER, one_account

TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:cost"
SERVICES = {"name": "services", "each": "service"}
DAILY = {"name": "finops", "monitors": ["services"], "emails": ["finops@example.com"], "min_impact": 100}
WANTED: dict[str, t.Any] = {
    "monitors": [
        SERVICES,
        {"name": "teams", "each": "tag", "key": "team"},
        {"name": "production", "accounts": [OTHER, ACCOUNT]},
        {"name": "shop", "tag": {"key": "team", "values": ["shop", "web"]}},
        {"name": "units", "cost_category": {"key": "Unit", "values": ["retail"]}},
    ],
    "subscriptions": [
        {**DAILY, "monitors": ["services", "teams"], "min_percent": 20},
        {
            "name": "on-call",
            "monitors": ["production"],
            "frequency": "immediate",
            "sns_topic": TOPIC,
            "min_percent": 12.5,
        },
    ],
}


class World:
    """An account with nothing in it."""

    def __init__(self, simulator: t.Any) -> None:
        self.simulator = simulator
        keys = {"aws_access_key_id": f"AKIA{ACCOUNT}", "aws_secret_access_key": "x"}
        self.aws = Aws("us-east-1", simulator.url, keys)
        self.state = anomaly_monitors.state(simulator.cloud.accounts[ACCOUNT])

    def run(self, check: bool = False, **wanted: t.Any) -> list[Change]:
        checked = ArgumentSpecValidator(OPTIONS).validate(wanted)
        assert checked.error_messages == []
        detection = AnomalyMonitors(self.aws)
        changes = detection.decide(checked.validated_parameters)
        if not check:
            detection.perform(changes)
        return changes

    @property
    def writes(self) -> list[str]:
        return [change["operation"] for change in self.simulator.gateway.statistics.changes]

    def names(self) -> tuple[set[str], set[str]]:
        return (
            {one["MonitorName"] for one in self.state.monitors.values()},
            {one["SubscriptionName"] for one in self.state.subscriptions.values()},
        )

    def subscription(self, name: str = "finops") -> dict[str, t.Any]:
        [found] = [one for one in self.state.subscriptions.values() if one["SubscriptionName"] == name]
        return found


@pytest.fixture
def world(start: Callable[..., t.Any]) -> World:
    return World(start(one_account()))


def test_everything_is_made_once(world: World) -> None:
    planned = world.run(check=True, **WANTED)
    assert world.names() == (set(), set())
    assert world.writes == []
    made = world.run(**WANTED)
    assert [(one.kind, one.action, one.name) for one in made] == [(one.kind, one.action, one.name) for one in planned]
    assert world.names() == ({"services", "teams", "production", "shop", "units"}, {"finops", "on-call"})
    assert len(world.writes) == 7
    arns = {one["MonitorName"]: arn for arn, one in world.state.monitors.items()}
    assert set(world.subscription()["MonitorArnList"]) == {arns["services"], arns["teams"]}
    assert world.subscription()["ThresholdExpression"] == {
        "And": [
            {
                "Dimensions": {
                    "Key": f"ANOMALY_TOTAL_IMPACT_{kind}",
                    "MatchOptions": ["GREATER_THAN_OR_EQUAL"],
                    "Values": [value],
                }
            }
            for kind, value in (("ABSOLUTE", "100"), ("PERCENTAGE", "20"))
        ]
    }
    assert world.run(**WANTED) == []
    assert len(world.writes) == 7


def test_what_aws_adds_or_spells_otherwise_is_no_change(world: World) -> None:
    world.run(**WANTED)
    for one in world.state.monitors.values():
        for inner in one.get("MonitorSpecification", {}).values():
            inner["MatchOptions"] = ["EQUALS"]
            inner["Values"] = list(reversed(inner["Values"])) if inner.get("Values") else []
    found = world.subscription()
    found["ThresholdExpression"]["And"].reverse()
    found["ThresholdExpression"]["And"][1]["Dimensions"]["Values"] = ["100.0"]
    found["MonitorArnList"].reverse()
    assert world.run(**WANTED) == []


def test_a_subscription_is_changed_and_nobody_is_named(world: World) -> None:
    world.run(monitors=[SERVICES], subscriptions=[DAILY])
    world.state.subscriptions[world.subscription()["SubscriptionArn"]].pop("ThresholdExpression")
    world.subscription()["Threshold"] = 100.0
    # A threshold in the old form is the same threshold.
    assert world.run(monitors=[SERVICES], subscriptions=[DAILY]) == []
    another = {**DAILY, "frequency": "weekly", "emails": ["boss@example.com", "finops@example.com"], "min_impact": 50.5}
    [change] = world.run(monitors=[SERVICES], subscriptions=[another])
    assert (change.kind, change.action) == ("subscription", "update")
    assert world.subscription()["Frequency"] == "WEEKLY"
    assert [one["Address"] for one in world.subscription()["Subscribers"]] == another["emails"]
    assert world.run(subscriptions=[another]) == []
    diff = hidden_result([change], show=False)["diff"]
    assert "boss@" not in str(diff) and ACCOUNT not in str(diff)
    assert diff[0]["after"]["subscribers"] == ["b***@example.com", "f***@example.com"]
    assert "boss@example.com" in str(hidden_result([change], show=True)["diff"])


def test_the_one_monitor_of_services_gets_the_name(world: World) -> None:
    world.run(monitors=[{"name": "Default-Services-Monitor", "each": "service"}])
    [change] = world.run(monitors=[SERVICES], subscriptions=[])
    assert (change.action, change.before, change.after) == (
        "update",
        {"name": "Default-Services-Monitor"},
        {"name": "services"},
    )
    assert world.names()[0] == {"services"}
    # A subscription in the same run finds it under its new name.
    world.run(
        monitors=[{"name": "everything", "each": "service"}], subscriptions=[{**DAILY, "monitors": ["everything"]}]
    )
    assert world.names() == ({"everything"}, {"finops"})


def test_removed_ones_are_gone_subscriptions_first(world: World) -> None:
    world.run(**WANTED)
    gone = {
        "monitors": [{"name": "production", "state": "absent"}, {"name": "nobody knows", "state": "absent"}],
        "subscriptions": [{"name": "on-call", "state": "absent"}],
    }
    assert [one.about for one in world.run(**gone)] == ["subscription on-call", "monitor production"]
    assert world.names() == ({"services", "teams", "shop", "units"}, {"finops"})
    assert world.run(**gone) == []


def test_many_monitors_come_in_pages(world: World) -> None:
    many = [{"name": f"team-{number}", "tag": {"key": "team", "values": [str(number)]}} for number in range(120)]
    assert len(world.run(monitors=many)) == 120
    assert world.run(monitors=many) == []
    assert world.aws.calls["ce:GetAnomalyMonitors"] == 3


MONITORS: list[tuple[dict[str, t.Any], str]] = [
    ({"name": "x"}, "has none of them: give one of each, accounts, tag and cost_category"),
    ({**SERVICES, "accounts": [ACCOUNT]}, "has each and accounts"),
    ({**SERVICES, "key": "team"}, "has a key, which only each tag and each cost_category have"),
    ({"name": "x", "each": "tag"}, "is of each tag and needs the key"),
    ({"name": "x", "accounts": ["1234"]}, "has '1234': give account ids of twelve digits"),
    (
        {"name": "x", "accounts": [f"{number:012d}" for number in range(11)]},
        "has 11 accounts: a monitor has at most 10",
    ),
    ({"name": "x", "tag": {"key": "team", "values": []}}, "has no values"),
]
SUBSCRIPTIONS: list[tuple[dict[str, t.Any], str]] = [
    ({"monitors": []}, "has no monitors"),
    ({"monitors": ["unknown"]}, "has 'unknown', which is neither there nor written here"),
    ({"frequency": "immediate"}, "is immediate, which only SNS is"),
    ({"frequency": "immediate", "emails": None, "sns_topic": "cost"}, "sns_topic is 'cost': give the ARN"),
    ({"sns_topic": TOPIC}, "is daily, which only e-mail is"),
    ({"emails": ["finops"]}, "has an entry that is no e-mail address"),
    ({"min_impact": None}, "has neither min_impact nor min_percent"),
    ({"min_impact": -1}, "min_impact is -1: give a number from 0"),
]


@pytest.mark.parametrize(("monitor", "words"), MONITORS)
def test_monitors_that_cannot_be(world: World, monitor: dict[str, t.Any], words: str) -> None:
    with pytest.raises(MonitorError, match=words):
        world.run(monitors=[monitor])
    assert world.aws.calls == {}


@pytest.mark.parametrize(("changes", "words"), SUBSCRIPTIONS)
def test_subscriptions_that_cannot_be(world: World, changes: dict[str, t.Any], words: str) -> None:
    with pytest.raises(MonitorError, match=words):
        world.run(monitors=[SERVICES], subscriptions=[{**DAILY, **changes}])
    assert world.writes == []


def test_names_are_written_once_and_kinds_cannot_change(world: World) -> None:
    with pytest.raises(MonitorError, match="monitors has 'services' twice"):
        world.run(monitors=[SERVICES, SERVICES])
    world.run(monitors=[{"name": "x", "accounts": [ACCOUNT]}])
    with pytest.raises(MonitorError) as raised, hidden(show=False):
        world.run(monitors=[{"name": "x", "each": "account"}])
    assert "is to watch each account, but the account's monitor of this name watches LINKED_ACCOUNT" in str(
        raised.value
    )
    assert ACCOUNT not in str(raised.value) and "********1111" in str(raised.value)
    # Names are not unique in AWS: nobody is guessed at.
    again = {"MonitorName": "x", "MonitorType": "DIMENSIONAL", "MonitorDimension": "LINKED_ACCOUNT"}
    world.aws.write("ce", "create_anomaly_monitor", AnomalyMonitor=again)
    with pytest.raises(MonitorError, match="which the account has several of"):
        world.run(monitors=[{"name": "x", "state": "absent"}])


def test_a_missing_permission_is_named(world: World) -> None:
    world.simulator.cloud.accounts[ACCOUNT].deny.add("ce:CreateAnomalySubscription")
    with pytest.raises(AwsError, match=r"denied ce:CreateAnomalySubscription.*grant that permission.*1 of 2 changes"):
        world.run(monitors=[SERVICES], subscriptions=[DAILY])
    # The next run goes on where this one ended.
    world.simulator.cloud.accounts[ACCOUNT].deny.clear()
    assert [one.kind for one in world.run(monitors=[SERVICES], subscriptions=[DAILY])] == ["subscription"]
