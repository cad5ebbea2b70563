# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verification of applied changes: when it is due, health, alarms, metrics before against after."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Callable

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.aws import AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.ec2_verification import (
    DAYS_BEFORE,
    PERIOD,
    accept,
    ec2_checks,
    metric_name,
    split,
)
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy, PolicyError
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
)
from ansible_collections.frugal.cloud.plugins.module_utils.runs import due, results_of

UTC = datetime.timezone.utc
APPLIED = datetime.datetime(2026, 6, 15, 12, tzinfo=UTC)
BEGUN = APPLIED - datetime.timedelta(minutes=10)
NOW = APPLIED + datetime.timedelta(hours=25)


def hours(count: float) -> datetime.timedelta:
    return datetime.timedelta(hours=count)


def action(number: int = 1, kind: str = "ec2_instance_type", resource: str = "", plan: str = "plan-1") -> PlannedAction:
    recommendation = Recommendation(
        action=kind,
        provider="aws",
        scope=Scope("111111111111", "eu-west-1"),
        resource=Resource(resource or f"i-{number}", "ec2_instance"),
        current={"instance_type": "m5.2xlarge"},
        proposed={"instance_type": "m6i.large"},
        monthly=Monthly(300.0, 100.0, 200.0),
        finding="over_provisioned",
        reasons=("cpu binds",),
        binding_constraint="cpu",
        risk=Risk.of({"cpu": 1}),
        effort="restart",
    )
    return PlannedAction(f"act-{number}", plan, number, recommendation, "applied", applied_at=APPLIED)


def policy(**verification: t.Any) -> dict[str, Policy]:
    return {"plan-1": Policy.from_dict({"verification": verification})}


def status(instance: str, state: str = "running", system: str = "ok", own: str = "ok") -> dict[str, t.Any]:
    return {
        "InstanceId": instance,
        "InstanceState": {"Name": state},
        "SystemStatus": {"Status": system},
        "InstanceStatus": {"Status": own},
    }


def alarm(name: str, at: datetime.datetime, dimension: str = "InstanceId", value: str = "i-1") -> dict[str, t.Any]:
    return {"AlarmName": name, "StateUpdatedTimestamp": at, "Dimensions": [{"Name": dimension, "Value": value}]}


def samples(before: float, after: float) -> Callable[..., dict[str, t.Any]]:
    """GetMetricData: one value before the change and another since."""

    def answer(**asked: t.Any) -> dict[str, t.Any]:
        results = []
        for query in asked["MetricDataQueries"]:
            count = int((asked["EndTime"] - asked["StartTime"]).total_seconds()) // query["MetricStat"]["Period"]
            step = datetime.timedelta(seconds=query["MetricStat"]["Period"])
            times = [asked["StartTime"] + step * number for number in range(count)]
            values = [before if at < BEGUN else after for at in times]
            results.append({"Id": query["Id"], "Timestamps": times, "Values": values})
        return {"MetricDataResults": results}

    return answer


def answers(**more: t.Any) -> dict[str, t.Any]:
    """All is well, unless ``more`` says otherwise."""
    return {
        "ec2:describe_instance_status": lambda **asked: {"InstanceStatuses": [status(i) for i in asked["InstanceIds"]]},
        "cloudwatch:describe_alarms": [{"MetricAlarms": []}],
        "cloudwatch:get_metric_data": samples(20.0, 60.0),
        "cloudwatch:list_metrics": [{"Metrics": []}],
        **{key.replace("__", ":"): value for key, value in more.items()},
    }


def checked(fake_aws: Callable[..., t.Any], policies: dict[str, Policy] | None = None, **more: t.Any) -> t.Any:
    """The verdict on one instance."""
    aws = fake_aws(answers(**more))
    return results_of(ec2_checks(aws, [action()], policies or policy(), NOW, {"act-1": BEGUN})).get("act-1")


# -- when --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after", "ready"), [(0, False), (23.99, False), (24, True), (48, True)])
def test_an_action_soaks_as_long_as_its_policy_says(after: float, ready: bool) -> None:
    found = due([action()], policy(soak_hours=24), APPLIED + hours(after))
    assert [item.id for item in found.ready] == (["act-1"] if ready else [])
    assert dict(found.waiting) == ({} if ready else {"act-1": APPLIED + hours(24)})


def test_each_plan_has_its_own_soak_time() -> None:
    policies = {
        "plan-1": Policy.from_dict({"verification": {"soak_hours": 1}}),
        "plan-2": Policy.from_dict({"verification": {"soak_hours": 9}}),
    }
    found = due([action(1), action(2, plan="plan-2")], policies, APPLIED + hours(5))
    assert [item.id for item in found.ready] == ["act-1"]
    assert set(found.waiting) == {"act-2"}


# -- health ------------------------------------------------------------------------------------------


def test_all_is_well(fake_aws: Callable[..., t.Any]) -> None:
    result = checked(fake_aws)
    assert result.passed
    assert "instance health: running, system status ok, instance status ok" in result.why
    assert "alarms: none went off since the change" in result.why
    assert [check["name"] for check in result.detail["checks"]] == ["instance health", "alarms", "cpu_percent"]


@pytest.mark.parametrize(
    "seen",
    [status("i-1", own="impaired"), status("i-1", system="impaired"), status("i-1", "stopped", "not-applicable"), None],
)
def test_an_unhealthy_instance_fails(fake_aws: Callable[..., t.Any], seen: dict[str, t.Any] | None) -> None:
    result = checked(fake_aws, ec2__describe_instance_status={"InstanceStatuses": [seen] if seen else []})
    assert not result.passed
    assert result.why.startswith("instance health: ")
    assert "alarms" not in result.why, "only what failed is told"
    assert ("it no longer exists" in result.why) is (seen is None)


def group(healthy: int, desired: int, *types: str) -> dict[str, t.Any]:
    members = [
        {
            "InstanceId": f"i-{n}",
            "InstanceType": types[n % len(types)],
            "HealthStatus": "Healthy" if n < healthy else "X",
        }
        for n in range(desired)
    ]
    sizes = {"MinSize": 1, "MaxSize": 9, "DesiredCapacity": desired}
    return {"AutoScalingGroups": [{"AutoScalingGroupName": "api", "Instances": members, **sizes}]}


@pytest.mark.parametrize(
    ("seen", "passed"),
    [
        (group(3, 3, "m6i.large"), True),
        (group(2, 3, "m6i.large"), False),
        (group(3, 3, "m6i.large", "m5.2xlarge"), False),
        (group(3, 3, "m5.2xlarge"), False),
    ],
)
def test_a_group_is_whole_healthy_and_of_the_new_type(
    fake_aws: Callable[..., t.Any], seen: dict[str, t.Any], passed: bool
) -> None:
    aws = fake_aws(answers(autoscaling__describe_auto_scaling_groups=[seen]))
    one = action(kind="asg_instance_type", resource="api")
    assert results_of(ec2_checks(aws, [one], policy(checks=["instance_health"]), NOW, {}))["act-1"].passed is passed


def test_one_listing_for_a_hundred_instances(fake_aws: Callable[..., t.Any]) -> None:
    aws = fake_aws(answers())
    results = ec2_checks(aws, [action(n) for n in range(150)], policy(checks=["instance_health"]), NOW, {})
    assert len(results) == 150
    assert aws.count("ec2:describe_instance_status") == 2
    assert len(aws.asked) == 2


# -- alarms ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "passed"),
    [
        (BEGUN - hours(1), True),
        # It went off while the machine was being changed, and still is.
        (BEGUN + datetime.timedelta(minutes=2), False),
        (APPLIED, False),
        (APPLIED + hours(20), False),
    ],
)
def test_an_alarm_since_the_change_began_fails(
    fake_aws: Callable[..., t.Any], at: datetime.datetime, passed: bool
) -> None:
    result = checked(fake_aws, cloudwatch__describe_alarms=[{"MetricAlarms": [alarm("latency", at)]}])
    assert result.passed is passed
    if not passed:
        assert result.why == "alarms: latency went off since the change"


def test_alarms_on_other_resources_do_not_count(fake_aws: Callable[..., t.Any]) -> None:
    others = [alarm("a", APPLIED, value="i-2"), alarm("b", APPLIED, "AutoScalingGroupName", "i-1")]
    assert checked(fake_aws, cloudwatch__describe_alarms=[{"MetricAlarms": others}]).passed


def test_alarms_of_every_page_are_named(fake_aws: Callable[..., t.Any]) -> None:
    pages = [{"MetricAlarms": [alarm("z", APPLIED)]}, {"MetricAlarms": [alarm("a", APPLIED)]}]
    assert checked(fake_aws, cloudwatch__describe_alarms=pages).why == "alarms: a, z went off since the change"


# -- metrics -----------------------------------------------------------------------------------------


def test_cpu_at_its_limit_fails(fake_aws: Callable[..., t.Any]) -> None:
    result = checked(fake_aws, cloudwatch__get_metric_data=samples(40.0, 100.0))
    assert not result.passed
    assert result.why.startswith("cpu_percent: 100.0% of ")


def test_cpu_that_was_at_its_limit_before_is_no_news(fake_aws: Callable[..., t.Any]) -> None:
    assert checked(fake_aws, cloudwatch__get_metric_data=samples(100.0, 100.0)).passed


def test_a_metric_of_the_application_that_got_worse_fails(fake_aws: Callable[..., t.Any]) -> None:
    chosen = policy(checks=["metrics"], metrics=["Shop:Latency:p99"])
    assert checked(fake_aws, chosen, cloudwatch__get_metric_data=samples(100.0, 101.0)).passed
    worse = checked(fake_aws, chosen, cloudwatch__get_metric_data=samples(100.0, 150.0))
    assert not worse.passed
    assert worse.why.startswith("Shop:Latency:p99: ")


def test_what_cannot_be_read_at_all_is_no_proof(fake_aws: Callable[..., t.Any]) -> None:
    nothing = {"MetricDataResults": []}
    assert checked(fake_aws, policy(checks=["metrics"]), cloudwatch__get_metric_data=nothing) is None
    memory = policy(checks=["metrics"], metrics=["memory_percent"])
    assert checked(fake_aws, memory) is None


def test_nothing_to_verify_asks_nothing(fake_aws: Callable[..., t.Any]) -> None:
    aws = fake_aws({})
    assert ec2_checks(aws, [], {}, NOW, {}) == {}
    assert aws.asked == []


def test_a_refusal_is_not_swallowed(fake_aws: Callable[..., t.Any]) -> None:
    with pytest.raises(AwsError, match="denied"):
        checked(fake_aws, cloudwatch__describe_alarms=AwsError("denied", "AccessDenied"))


def test_before_holds_the_same_hours_as_after() -> None:
    """Two hours since the change are held against the same two hours of each of the days before."""
    start = APPLIED - datetime.timedelta(days=DAYS_BEFORE)
    now = APPLIED + hours(2)
    count = int((now - start).total_seconds()) // PERIOD
    points = [(start.timestamp() + PERIOD * number, float(number)) for number in range(count)]
    before, after = split(points, action(), now)
    # 12:15 to 13:45 after; 12:00 to 13:45 on seven days.
    assert len(after) == 7
    assert len(before) == DAYS_BEFORE * 8
    hours_before = {datetime.datetime.fromtimestamp(points[int(n)][0], UTC).hour for n in before}
    assert hours_before == {12, 13}
    last = max(points[int(n)][0] for n in before)
    assert last <= APPLIED.timestamp() - 2 * PERIOD


# -- names -------------------------------------------------------------------------------------------


def test_names_of_metrics() -> None:
    assert metric_name("Shop/Web:Latency:p99") == ("Shop/Web", "Latency", "p99")


@pytest.mark.parametrize("name", ["latency", "a:b", "a::b", "a:b:c:d", ":b:c"])
def test_a_name_that_is_none_is_refused_before_anything_is_read(name: str) -> None:
    """By the policy that holds it, and here, for policies of an older release."""
    with pytest.raises(PolicyError, match=f"'{name}'"):
        policy(metrics=[name])
    with pytest.raises(PolicyError, match=f"'{name}' is not a metric; use cpu_percent, memory_percent or Namespace:"):
        metric_name(name)


def test_policies_whose_metrics_can_be_read_pass() -> None:
    accept(Policy.from_dict({"verification": {"metrics": ["cpu_percent", "memory_percent", "a:b:c"]}}))
