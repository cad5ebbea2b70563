# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does an applied change of EC2 hold up? Health, alarms, and metrics before against after."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import (
    Check,
    regression,
    saturation,
)
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cloudwatch import (
    Series,
    memory_series,
    read_samples,
)
from ansible_collections.frugal.cloud.plugins.module_utils.observe.ec2 import group_from_api
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy, PolicyError

#: Seconds between samples; a day has 96.
PERIOD = 900
#: Days before the change whose same hours are compared.
DAYS_BEFORE = 7
UTILISATION = {"cpu_percent": "CPUUtilization", "memory_percent": ""}
_GROUP = "asg_instance_type"


def metric_name(name: str) -> tuple[str, str, str]:
    """(namespace, metric, statistic) of ``Namespace:Metric:Statistic``.

    :raises PolicyError: when ``name`` is neither that nor ``cpu_percent`` or ``memory_percent``.
    """
    parts = name.split(":")
    if len(parts) != 3 or not all(parts):
        raise PolicyError(
            f"verification.metrics: {name!r} is not a metric; use cpu_percent, memory_percent "
            "or Namespace:MetricName:Statistic, such as MyApp:Latency:p99"
        )
    return parts[0], parts[1], parts[2]


def ec2_checks(
    aws: Aws,
    actions: Sequence[PlannedAction],
    policies: Mapping[str, Policy],
    now: datetime.datetime,
    begun: Mapping[str, datetime.datetime],
) -> dict[str, list[Check]]:
    """Check every action by its plan's policy; ``begun`` says when the first step of each was taken, by its id.

    :raises AwsError: when EC2 or CloudWatch refuse.
    """
    checks: dict[str, list[Check]] = {action.id: [] for action in actions}
    wants = {action.id: policies[action.plan_id].verification for action in actions}
    for name in ("instance_health", "alarms"):
        chosen = [action for action in actions if name in wants[action.id].checks]
        if chosen:
            read = _health(aws, chosen) if name == "instance_health" else _alarms(aws, chosen, begun)
            for identity, check in read.items():
                checks[identity].append(check)
    chosen = [action for action in actions if "metrics" in wants[action.id].checks]
    for identity, found in _metrics(aws, chosen, {a.id: wants[a.id].metrics for a in chosen}, now).items():
        checks[identity] += found
    return checks


def _name(action: PlannedAction) -> str:
    return action.recommendation.resource.id


def _dimension(action: PlannedAction) -> tuple[str, str]:
    return ("AutoScalingGroupName" if action.recommendation.action == _GROUP else "InstanceId"), _name(action)


def _health(aws: Aws, actions: Sequence[PlannedAction]) -> dict[str, Check]:
    """Status checks of instances; type and number of healthy members of groups."""
    answer: dict[str, Check] = {}
    single = {_name(action): action for action in actions if action.recommendation.action != _GROUP}
    ids = sorted(single)
    for at in range(0, len(ids), 100):
        seen = aws.read("ec2", "describe_instance_status", InstanceIds=ids[at : at + 100], IncludeAllInstances=True)[
            "InstanceStatuses"
        ]
        for status in seen:
            action = single[status["InstanceId"]]
            state = status["InstanceState"]["Name"]
            both = (status["SystemStatus"]["Status"], status["InstanceStatus"]["Status"])
            good = state == "running" and both == ("ok", "ok")
            detail = f"{state}, system status {both[0]}, instance status {both[1]}"
            answer[action.id] = Check("instance health", "passed" if good else "failed", detail)
    groups = {_name(action): action for action in actions if action.recommendation.action == _GROUP}
    names = sorted(groups)
    for at in range(0, len(names), 100):
        for page in aws.pages(
            "autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=names[at : at + 100]
        ):
            for item in page["AutoScalingGroups"]:
                action = groups[item["AutoScalingGroupName"]]
                members = item.get("Instances", ())
                healthy = sum(member.get("HealthStatus") == "Healthy" for member in members)
                types = group_from_api(aws.account, aws.region, item).instance_types
                good = healthy >= item["DesiredCapacity"] and types == (
                    action.recommendation.proposed["instance_type"],
                )
                detail = f"{healthy} of {item['DesiredCapacity']} instances healthy, types {', '.join(types) or 'none'}"
                answer[action.id] = Check("instance health", "passed" if good else "failed", detail)
    for action in actions:
        answer.setdefault(action.id, Check("instance health", "failed", "it no longer exists"))
    return answer


def _alarms(aws: Aws, actions: Sequence[PlannedAction], begun: Mapping[str, datetime.datetime]) -> dict[str, Check]:
    """Alarms on the resource that went off since the change began and are still on.

    One that goes off while the machine is being changed is news, too: it should be off again by now.
    """
    off: dict[tuple[str, str], list[tuple[str, datetime.datetime]]] = {}
    for page in aws.pages("cloudwatch", "describe_alarms", StateValue="ALARM", AlarmTypes=["MetricAlarm"]):
        for alarm in page.get("MetricAlarms", ()):
            for item in alarm.get("Dimensions", ()):
                off.setdefault((item["Name"], item["Value"]), []).append(
                    (alarm["AlarmName"], alarm["StateUpdatedTimestamp"])
                )
    answer: dict[str, Check] = {}
    for action in actions:
        since = begun.get(action.id, action.applied_at)
        names = sorted(name for name, at in off.get(_dimension(action), ()) if since is None or at >= since)
        if names:
            answer[action.id] = Check("alarms", "failed", f"{', '.join(names)} went off since the change")
        else:
            answer[action.id] = Check("alarms", "passed", "none went off since the change")
    return answer


def _metrics(
    aws: Aws, actions: Sequence[PlannedAction], names: Mapping[str, Sequence[str]], now: datetime.datetime
) -> dict[str, list[Check]]:
    """Each chosen metric: the same hours of the days before against those since the change."""
    wanted: list[tuple[PlannedAction, str, Series]] = []
    memory: Mapping[str, Series] = {}
    if any("memory_percent" in chosen for chosen in names.values()):
        types = {_name(action): action.recommendation.proposed.get("instance_type", "") for action in actions}
        memory = memory_series(aws, types)
    answer: dict[str, list[Check]] = {action.id: [] for action in actions}
    for action in actions:
        for name in names[action.id]:
            series: Series | None
            if name == "memory_percent":
                series = memory.get(_name(action))
            elif name == "cpu_percent":
                series = Series("AWS/EC2", "CPUUtilization", (_dimension(action),))
            else:
                namespace, metric, statistic = metric_name(name)
                series = Series(namespace, metric, (_dimension(action),), statistic)
            if series is None:
                answer[action.id].append(Check(name, "no_data", "nothing publishes it"))
            else:
                wanted.append((action, name, series))
    if not wanted:
        return answer
    first = min(action.applied_at or now for action, _name_, _series in wanted)
    start = first - datetime.timedelta(days=DAYS_BEFORE)
    samples = read_samples(aws, [series for _action, _metric, series in wanted], start, now, PERIOD)
    for (action, name, _series), points in zip(wanted, samples):
        before, after = split(points, action, now)
        test = saturation if name in UTILISATION else regression
        answer[action.id].append(test(name, before, after))
    return answer


def split(
    points: Sequence[tuple[float, float]], action: PlannedAction, now: datetime.datetime
) -> tuple[list[float], list[float]]:
    """(before, after) the change of ``action``: before holds only the hours of the day that after has.

    Samples while the machine was being changed, from the first step of the change until it
    was applied, are left out by a margin of one period on each side.
    """
    applied = (action.applied_at or now).timestamp()
    after = [(at, value) for at, value in points if at >= applied + PERIOD]
    hours = {int(at // 3600) % 24 for at, _value in after}
    before = [value for at, value in points if at + 2 * PERIOD <= applied and int(at // 3600) % 24 in hours]
    return before, [value for _at, value in after]


def accept(policy: Policy) -> None:
    """Check that every metric of the policy's verification can be read. :raises PolicyError: one sentence."""
    for name in policy.verification.metrics:
        if name not in UTILISATION:
            metric_name(name)
