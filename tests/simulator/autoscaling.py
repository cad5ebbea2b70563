# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EC2 Auto Scaling: groups, and instance refresh with its rollback.

A refresh replaces one member every ``delays.refresh_step`` seconds of real time: the new
member is launched first (with the type that the desired configuration says), then the old
one is terminated. Where a launch fails, the refresh fails, and goes back member by member
when it was started with AutoRollback. A member that is stopped is unhealthy to its group and
is replaced, as in the real cloud.
"""

from __future__ import annotations

import copy
import typing as t

from simulator import launch_templates, lifecycle
from simulator.errors import AwsError
from simulator.registry import operation, page, region_of
from simulator.state import Cloud, Group, Instance, InstanceRefresh, Region
from simulator.wire import Call

_Dict = dict[str, t.Any]
_ACTIVE = ("Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking")


# --- what a group launches ---------------------------------------------------------------


def template_of(specification: _Dict) -> _Dict:
    """The launch template reference in a group's or refresh's configuration."""
    if "MixedInstancesPolicy" in specification:
        inner = specification["MixedInstancesPolicy"].get("LaunchTemplate", {})
        return t.cast(_Dict, inner.get("LaunchTemplateSpecification", {}))
    return t.cast(_Dict, specification.get("LaunchTemplate", {}))


def launch_types(region: Region, specification: _Dict) -> list[str]:
    """The types that a configuration launches, in order of preference."""
    policy = specification.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    overrides = [one["InstanceType"] for one in policy.get("Overrides", []) if "InstanceType" in one]
    if overrides:
        return overrides
    data = launch_templates.data_of(region, template_of(specification))
    return [data["InstanceType"]] if "InstanceType" in data else []


def _launch(cloud: Cloud, region: Region, group: Group, like: Instance, specification: _Dict) -> Instance:
    """A new member in place of ``like``; tries the types of the configuration in turn."""
    reference = template_of(specification)
    template = launch_templates.find(region, reference.get("LaunchTemplateId"), reference.get("LaunchTemplateName"))
    version = launch_templates.version_number(template, reference.get("Version"))
    tags = {
        **like.tags,
        "aws:autoscaling:groupName": group.name,
        "aws:ec2launchtemplate:id": template.template_id,
        "aws:ec2launchtemplate:version": str(version),
    }
    problem: AwsError | None = None
    for kind in launch_types(region, specification) or [like.instance_type]:
        try:
            made = lifecycle.launch(cloud, region, like, kind, like.zone, tags)
        except AwsError as error:
            problem = error
            continue
        made.group_name = group.name
        return made
    raise problem or AwsError("ValidationError", "The configuration names no instance type.")


def _activity(cloud: Cloud, group: Group, what: str, ok: bool, why: str = "") -> None:
    now = cloud.clock.now()
    group.activities.insert(
        0,
        {
            "ActivityId": f"activity-{group.name}-{len(group.activities)}",
            "AutoScalingGroupName": group.name,
            "Description": what,
            "Cause": "instance refresh or health check",
            "StartTime": now,
            "EndTime": now,
            "StatusCode": "Successful" if ok else "Failed",
            "StatusMessage": why,
            "Progress": 100,
        },
    )


def replace_member(cloud: Cloud, region: Region, group: Group, name: str, specification: _Dict) -> str:
    """Launch a member in place of another and terminate that one; returns the new id."""
    old = region.instances[name]
    new = _launch(cloud, region, group, old, specification)
    _activity(cloud, group, f"Launching a new EC2 instance: {new.instance_id}", True)
    group.members[group.members.index(name)] = new.instance_id
    if new.instance_type != old.instance_type:
        lifecycle.changed_alarms(cloud, region, old)
    lifecycle.terminate(cloud, region, old)
    _activity(cloud, group, f"Terminating EC2 instance: {name}", True)
    return new.instance_id


def heal(cloud: Cloud) -> None:
    """Groups replace members that are not running any more."""
    for region in cloud.regions():
        for group in region.groups.values():
            if group.suspended & {"Launch", "Terminate", "ReplaceUnhealthy", "HealthCheck"}:
                continue
            for name in list(group.members):
                if region.instances[name].state in ("stopped", "stopping", "shutting-down", "terminated"):
                    try:
                        replace_member(cloud, region, group, name, group.specification)
                    except AwsError as error:
                        _activity(cloud, group, "Launching a new EC2 instance", False, error.message)


# --- groups ------------------------------------------------------------------------------


def _arn(region: Region, group: Group) -> str:
    return f"arn:aws:autoscaling:{region.name}:{region.account}:autoScalingGroup::autoScalingGroupName/{group.name}"


def _member(region: Region, group: Group, name: str) -> _Dict:
    instance = region.instances[name]
    reference = dict(template_of(group.specification))
    reference["Version"] = instance.tags.get("aws:ec2launchtemplate:version", "1")
    return {
        "InstanceId": name,
        "InstanceType": instance.instance_type,
        "AvailabilityZone": instance.zone,
        "LifecycleState": "InService" if instance.state == "running" else "Pending",
        "HealthStatus": "Healthy" if instance.state in ("running", "pending") else "Unhealthy",
        "LaunchTemplate": reference,
        "ProtectedFromScaleIn": False,
    }


def _describe(region: Region, group: Group) -> _Dict:
    return {
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": _arn(region, group),
        **group.specification,
        "MinSize": group.minimum,
        "MaxSize": group.maximum,
        "DesiredCapacity": group.desired,
        "DefaultCooldown": 300,
        "AvailabilityZones": group.zones,
        "LoadBalancerNames": [],
        "TargetGroupARNs": [],
        "HealthCheckType": "EC2",
        "HealthCheckGracePeriod": 0,
        "Instances": [_member(region, group, name) for name in group.members],
        "CreatedTime": group.created,
        "SuspendedProcesses": [
            {"ProcessName": name, "SuspensionReason": "User suspended"} for name in sorted(group.suspended)
        ],
        "VPCZoneIdentifier": ",".join(f"subnet-{region.account}{zone[-1]}" for zone in group.zones),
        "EnabledMetrics": [],
        "Tags": [
            {
                "ResourceId": group.name,
                "ResourceType": "auto-scaling-group",
                "Key": key,
                "Value": value,
                "PropagateAtLaunch": True,
            }
            for key, value in group.tags.items()
        ],
        "TerminationPolicies": ["Default"],
        "NewInstancesProtectedFromScaleIn": False,
        "ServiceLinkedRoleARN": f"arn:aws:iam::{region.account}:role/aws-service-role/autoscaling.amazonaws.com/"
        "AWSServiceRoleForAutoScaling",
    }


def _group(region: Region, name: str) -> Group:
    if name not in region.groups:
        raise AwsError("ValidationError", f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found")
    return region.groups[name]


@operation("autoscaling", "DescribeAutoScalingGroups")
def describe_groups(cloud: Cloud, call: Call) -> _Dict:
    """Pages of at most 100 (50 unless told otherwise)."""
    params = call.params
    region = region_of(cloud, call)
    limit = params.get("MaxRecords", 50)
    if not 1 <= limit <= 100:
        raise AwsError("ValidationError", "The number of records must be between 1 and 100.")
    names = params.get("AutoScalingGroupNames")
    chosen = [group for group in region.groups.values() if not names or group.name in names]
    for one in params.get("Filters", []):
        key = one["Name"].removeprefix("tag:")
        if one["Name"] == "tag-key":
            chosen = [group for group in chosen if set(one["Values"]) & set(group.tags)]
        elif one["Name"].startswith("tag:"):
            chosen = [group for group in chosen if group.tags.get(key) in one["Values"]]
        else:
            raise AwsError("ValidationError", f"Filter type {one['Name']} is not correct.")
    shown, token = page(chosen, limit, params.get("NextToken"), "InvalidNextToken")
    return {"AutoScalingGroups": [_describe(region, group) for group in shown], "NextToken": token}


@operation("autoscaling", "DescribeAutoScalingInstances")
def describe_members(cloud: Cloud, call: Call) -> _Dict:
    """Members of all groups, in pages of at most 50."""
    params = call.params
    region = region_of(cloud, call)
    wanted = params.get("InstanceIds")
    rows = []
    for group in region.groups.values():
        for name in group.members:
            if not wanted or name in wanted:
                row = _member(region, group, name)
                row["HealthStatus"] = row["HealthStatus"].upper()
                rows.append({**row, "AutoScalingGroupName": group.name})
    shown, token = page(rows, min(50, params.get("MaxRecords", 50)), params.get("NextToken"), "InvalidNextToken")
    return {"AutoScalingInstances": list(shown), "NextToken": token}


def _check_configuration(region: Region, specification: _Dict) -> None:
    try:
        launch_templates.data_of(region, template_of(specification))
    except AwsError as error:
        raise AwsError("ValidationError", error.message) from None


@operation("autoscaling", "UpdateAutoScalingGroup")
def update_group(cloud: Cloud, call: Call) -> _Dict:
    """Launch template, mixed instances policy and sizes; members stay as they are."""
    params = call.params
    region = region_of(cloud, call)
    group = _group(region, params["AutoScalingGroupName"])
    before = (copy.deepcopy(group.specification), group.minimum, group.maximum, group.desired)
    if any(refresh.status in _ACTIVE and refresh.desired for refresh in group.refreshes) and (
        "LaunchTemplate" in params or "MixedInstancesPolicy" in params
    ):
        raise AwsError(
            "ResourceContention",
            "You can't change the launch template or mixed instances policy while an instance refresh with a desired "
            "configuration is in progress.",
        )
    for key in ("LaunchTemplate", "MixedInstancesPolicy"):
        if key in params:
            wanted: _Dict = {key: params[key]}
            _check_configuration(region, wanted)
            group.specification = _named(region, wanted)
    group.minimum = params.get("MinSize", group.minimum)
    group.maximum = params.get("MaxSize", group.maximum)
    if "DesiredCapacity" in params:
        _resize(cloud, region, group, params["DesiredCapacity"])
    call.touched(group.name, before != (group.specification, group.minimum, group.maximum, group.desired))
    return {}


def _named(region: Region, specification: _Dict) -> _Dict:
    """A configuration whose template reference holds both id and name, as the service shows it."""
    result = copy.deepcopy(specification)
    reference = template_of(result)
    template = launch_templates.find(region, reference.get("LaunchTemplateId"), reference.get("LaunchTemplateName"))
    reference["LaunchTemplateId"], reference["LaunchTemplateName"] = template.template_id, template.name
    reference.setdefault("Version", "$Default")
    return result


def _resize(cloud: Cloud, region: Region, group: Group, desired: int) -> None:
    if not group.minimum <= desired <= group.maximum:
        raise AwsError(
            "ValidationError",
            f"New SetDesiredCapacity value {desired} is not between min value {group.minimum} and max value "
            f"{group.maximum}.",
        )
    while len(group.members) > desired:
        name = group.members.pop()
        lifecycle.terminate(cloud, region, region.instances[name])
    while group.members and len(group.members) < desired:
        made = _launch(cloud, region, group, region.instances[group.members[0]], group.specification)
        group.members.append(made.instance_id)
    group.desired = desired


@operation("autoscaling", "SetDesiredCapacity")
def set_desired_capacity(cloud: Cloud, call: Call) -> _Dict:
    """Grow or shrink a group."""
    region = region_of(cloud, call)
    group = _group(region, call.params["AutoScalingGroupName"])
    call.touched(group.name, group.desired != call.params["DesiredCapacity"])
    _resize(cloud, region, group, call.params["DesiredCapacity"])
    return {}


_PROCESSES = (
    "Launch Terminate AddToLoadBalancer AlarmNotification AZRebalance HealthCheck InstanceRefresh "
    "ReplaceUnhealthy ScheduledActions"
).split()


@operation("autoscaling", "SuspendProcesses")
def suspend_processes(cloud: Cloud, call: Call) -> _Dict:
    """Stop a group from doing some things by itself."""
    group = _group(region_of(cloud, call), call.params["AutoScalingGroupName"])
    names = set(call.params.get("ScalingProcesses") or _PROCESSES)
    call.touched(group.name, not names <= group.suspended)
    group.suspended |= names
    return {}


@operation("autoscaling", "ResumeProcesses")
def resume_processes(cloud: Cloud, call: Call) -> _Dict:
    """And let it again."""
    group = _group(region_of(cloud, call), call.params["AutoScalingGroupName"])
    names = set(call.params.get("ScalingProcesses") or _PROCESSES)
    call.touched(group.name, bool(names & group.suspended))
    group.suspended -= names
    return {}


@operation("autoscaling", "DescribeScalingActivities")
def describe_activities(cloud: Cloud, call: Call) -> _Dict:
    """What the group did, newest first."""
    region = region_of(cloud, call)
    name = call.params.get("AutoScalingGroupName")
    groups = [_group(region, name)] if name else list(region.groups.values())
    rows = [activity for group in groups for activity in group.activities]
    shown, token = page(
        rows, min(100, call.params.get("MaxRecords", 100)), call.params.get("NextToken"), "InvalidNextToken"
    )
    return {"Activities": list(shown), "NextToken": token}


@operation("autoscaling", "DescribePolicies")
def describe_policies(_cloud: Cloud, _call: Call) -> _Dict:
    """The estate's groups have no scaling policies."""
    return {"ScalingPolicies": []}


# --- instance refresh --------------------------------------------------------------------


def _active(group: Group) -> InstanceRefresh | None:
    return next((refresh for refresh in group.refreshes if refresh.status in _ACTIVE), None)


@operation("autoscaling", "StartInstanceRefresh")
def start_instance_refresh(cloud: Cloud, call: Call) -> _Dict:
    """Replace all members, in the desired configuration where one is given."""
    params = call.params
    region = region_of(cloud, call)
    group = _group(region, params["AutoScalingGroupName"])
    if params.get("Strategy", "Rolling") not in ("Rolling", "ReplaceRootVolume"):
        raise AwsError("ValidationError", f"The strategy {params['Strategy']} is not supported.")
    running = _active(group)
    if running:
        raise AwsError(
            "InstanceRefreshInProgress",
            f"An Instance Refresh is already in progress and blocks the execution of this Instance Refresh: "
            f"{running.refresh_id}",
        )
    desired = params.get("DesiredConfiguration", {})
    if desired:
        _check_configuration(region, desired)
    preferences = params.get("Preferences", {})
    version = str(template_of(desired or group.specification).get("Version", ""))
    if preferences.get("AutoRollback") and (not desired or version.startswith("$")):
        raise AwsError(
            "ValidationError",
            "You can't use AutoRollback without a desired configuration whose launch template has a version number "
            "(not $Latest or $Default).",
        )
    wanted = _named(region, desired) if desired else group.specification
    waiting = list(group.members)
    if preferences.get("SkipMatching"):
        types = launch_types(region, wanted)
        waiting = [name for name in waiting if region.instances[name].instance_type not in types]
    refresh = InstanceRefresh(
        cloud.identifier("refresh")[8:],
        "Pending",
        cloud.clock.now(),
        wanted if desired else {},
        preferences,
        copy.deepcopy(group.specification),
        waiting,
        total=len(waiting),
    )
    group.refreshes.insert(0, refresh)
    call.touched(group.name)
    cloud.agenda.after(cloud.delays.refresh_step, lambda: _step(cloud, region, group, refresh))
    return {"InstanceRefreshId": refresh.refresh_id}


def _end(cloud: Cloud, refresh: InstanceRefresh, status: str, reason: str = "") -> None:
    refresh.status = status
    refresh.ended = cloud.clock.now()
    if reason:
        refresh.reason = reason


def _step(cloud: Cloud, region: Region, group: Group, refresh: InstanceRefresh) -> None:
    """Replace the next member, onwards or back."""
    if refresh.status == "Cancelling":
        _end(cloud, refresh, "Cancelled")
        return
    back = refresh.status == "RollbackInProgress"
    if not back:
        refresh.status = "InProgress"
    queue = refresh.replaced if back else refresh.waiting
    queue[:] = [name for name in queue if name in group.members]
    if not queue:
        if not back and refresh.desired:
            group.specification = copy.deepcopy(refresh.desired)
        _end(cloud, refresh, "RollbackSuccessful" if back else "Successful")
        return
    name = queue[0]
    try:
        new = replace_member(
            cloud, region, group, name, refresh.before if back else refresh.desired or group.specification
        )
    except AwsError as error:
        _activity(cloud, group, "Launching a new EC2 instance", False, error.message)
        if back:
            _end(cloud, refresh, "RollbackFailed", error.message)
        elif refresh.preferences.get("AutoRollback"):
            _go_back(cloud, refresh, error.message)
            cloud.agenda.after(cloud.delays.refresh_step, lambda: _step(cloud, region, group, refresh))
        else:
            _end(cloud, refresh, "Failed", error.message)
        return
    queue.pop(0)
    if not back:
        refresh.replaced.append(new)
    cloud.agenda.after(cloud.delays.refresh_step, lambda: _step(cloud, region, group, refresh))


def _go_back(cloud: Cloud, refresh: InstanceRefresh, why: str) -> None:
    refresh.status = "RollbackInProgress"
    refresh.reason = why
    refresh.rollback_reason = why
    refresh.waiting = []


@operation("autoscaling", "DescribeInstanceRefreshes")
def describe_instance_refreshes(cloud: Cloud, call: Call) -> _Dict:
    """Newest first, in pages of at most 100."""
    params = call.params
    group = _group(region_of(cloud, call), params["AutoScalingGroupName"])
    wanted = params.get("InstanceRefreshIds")
    chosen = [refresh for refresh in group.refreshes if not wanted or refresh.refresh_id in wanted]
    shown, token = page(chosen, params.get("MaxRecords", 50), params.get("NextToken"), "InvalidNextToken")
    return {"InstanceRefreshes": [_describe_refresh(group, refresh) for refresh in shown], "NextToken": token}


def _describe_refresh(group: Group, refresh: InstanceRefresh) -> _Dict:
    left = len(refresh.replaced) if refresh.status.startswith("Rollback") else len(refresh.waiting)
    done = 100 if not refresh.total else round(100 * (refresh.total - left) / refresh.total)
    answer: _Dict = {
        "InstanceRefreshId": refresh.refresh_id,
        "AutoScalingGroupName": group.name,
        "Status": refresh.status,
        "StartTime": refresh.started,
        "PercentageComplete": 100 if refresh.status == "Successful" else done,
        "InstancesToUpdate": left,
        "Preferences": refresh.preferences,
        "Strategy": "Rolling",
    }
    if refresh.desired:
        answer["DesiredConfiguration"] = refresh.desired
    if refresh.ended is not None:
        answer["EndTime"] = refresh.ended
    if refresh.reason:
        answer["StatusReason"] = refresh.reason
    if refresh.status.startswith("Rollback"):
        answer["RollbackDetails"] = {
            "RollbackReason": refresh.rollback_reason or "Requested",
            "RollbackStartTime": refresh.started,
            "PercentageCompleteOnRollback": done,
            "InstancesToUpdateOnRollback": left,
        }
    return answer


def _running_refresh(group: Group) -> InstanceRefresh:
    refresh = _active(group)
    if refresh is None:
        raise AwsError(
            "ActiveInstanceRefreshNotFound",
            f"No in progress or pending Instance Refresh found for Auto Scaling group {group.name}",
        )
    return refresh


@operation("autoscaling", "CancelInstanceRefresh")
def cancel_instance_refresh(cloud: Cloud, call: Call) -> _Dict:
    """Stops at the next step; members that were replaced stay replaced."""
    group = _group(region_of(cloud, call), call.params["AutoScalingGroupName"])
    refresh = _running_refresh(group)
    refresh.status = "Cancelling"
    call.touched(group.name)
    return {"InstanceRefreshId": refresh.refresh_id}


@operation("autoscaling", "RollbackInstanceRefresh")
def rollback_instance_refresh(cloud: Cloud, call: Call) -> _Dict:
    """Goes back member by member; only while the refresh runs, and only with a desired configuration."""
    group = _group(region_of(cloud, call), call.params["AutoScalingGroupName"])
    refresh = _running_refresh(group)
    version = str(template_of(refresh.before).get("Version", ""))
    if not refresh.desired or version.startswith("$"):
        raise AwsError(
            "IrreversibleInstanceRefresh",
            "The instance refresh cannot be rolled back: it has no desired configuration, or the group's launch "
            "template version was $Latest or $Default.",
        )
    _go_back(cloud, refresh, "Requested")
    call.touched(group.name)
    return {"InstanceRefreshId": refresh.refresh_id}
