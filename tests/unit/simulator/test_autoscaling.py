# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Auto Scaling groups, launch templates and instance refresh."""

from __future__ import annotations

import typing as t

import pytest
from simulator.testing import ACCOUNT, code_of, instance, instance_ids, one_account, plain, state, steady, until

Start = t.Callable[..., t.Any]


def estate(**group: t.Any) -> dict[str, t.Any]:
    members = plain(1, "m5.xlarge", usage=steady(20), zone="us-east-1a")
    return one_account(groups=[{"name": "api", "desired": 3, "instances": members, **group}])


class Fixture:
    """A simulator with one group, and what the tests do with it."""

    def __init__(self, simulator: t.Any) -> None:
        self.simulator = simulator
        self.ec2 = simulator.client("ec2", ACCOUNT)
        self.groups = simulator.client("autoscaling", ACCOUNT)

    def group(self) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", self.groups.describe_auto_scaling_groups()["AutoScalingGroups"][0])

    def types(self) -> list[str]:
        return [member["InstanceType"] for member in self.group()["Instances"]]

    def members(self) -> set[str]:
        return {member["InstanceId"] for member in self.group()["Instances"]}

    def new_version(self, kind: str, token: str = "") -> dict[str, t.Any]:
        reference = self.group()["LaunchTemplate"]
        made = self.ec2.create_launch_template_version(
            LaunchTemplateId=reference["LaunchTemplateId"],
            SourceVersion="1",
            LaunchTemplateData={"InstanceType": kind},
            **({"ClientToken": token} if token else {}),
        )["LaunchTemplateVersion"]
        return {"LaunchTemplateId": reference["LaunchTemplateId"], "Version": str(made["VersionNumber"])}

    def refresh(self, template: dict[str, t.Any] | None = None, **preferences: t.Any) -> str:
        arguments: dict[str, t.Any] = {"Preferences": preferences}
        if template:
            arguments["DesiredConfiguration"] = {"LaunchTemplate": template}
        answer = self.groups.start_instance_refresh(AutoScalingGroupName="api", **arguments)
        return str(answer["InstanceRefreshId"])

    def described(self) -> dict[str, t.Any]:
        answer = self.groups.describe_instance_refreshes(AutoScalingGroupName="api")
        return t.cast("dict[str, t.Any]", answer["InstanceRefreshes"][0])

    def wait(self, status: str) -> dict[str, t.Any]:
        return t.cast("dict[str, t.Any]", until(lambda: (row := self.described())["Status"] == status and row))


@pytest.fixture
def fixture(start: Start) -> Fixture:
    return Fixture(start(estate()))


def test_a_refresh_replaces_the_members_with_the_new_type(fixture: Fixture) -> None:
    before = fixture.members()
    template = fixture.new_version("m5.large")
    fixture.refresh(template, AutoRollback=True)
    done = fixture.wait("Successful")
    assert done["PercentageComplete"] == 100
    assert done["DesiredConfiguration"]["LaunchTemplate"]["Version"] == "2"
    assert fixture.types() == ["m5.large"] * 3
    assert not fixture.members() & before
    assert fixture.group()["LaunchTemplate"]["Version"] == "2"
    until(lambda: {state(fixture.ec2, name) for name in before} == {"terminated"})
    new = instance(fixture.ec2, next(iter(fixture.members())))
    assert {"Key": "aws:autoscaling:groupName", "Value": "api"} in new["Tags"]


def test_progress_shows_and_only_one_refresh_runs(fixture: Fixture) -> None:
    fixture.simulator.cloud.delays.refresh_step = 0.15
    template = fixture.new_version("m5.large")
    fixture.refresh(template)
    code = code_of(fixture.groups.start_instance_refresh, AutoScalingGroupName="api")
    assert code == "InstanceRefreshInProgress"
    half = until(lambda: (row := fixture.described())["PercentageComplete"] == 33 and row)
    assert (half["Status"], half["InstancesToUpdate"]) == ("InProgress", 2)
    blocked = code_of(fixture.groups.update_auto_scaling_group, AutoScalingGroupName="api", LaunchTemplate=template)
    assert blocked == "ResourceContention"
    fixture.wait("Successful")


def test_missing_capacity_rolls_back_by_itself(fixture: Fixture) -> None:
    fixture.simulator.cloud.delays.refresh_step = 0.4
    template = fixture.new_version("c5.large")
    fixture.refresh(template, AutoRollback=True)
    until(lambda: fixture.types().count("c5.large") == 1)
    fixture.simulator.faults(insufficient_capacity=["c5.large"])
    done = fixture.wait("RollbackSuccessful")
    assert "do not have sufficient c5.large capacity" in done["RollbackDetails"]["RollbackReason"]
    assert fixture.types() == ["m5.xlarge"] * 3
    assert fixture.group()["LaunchTemplate"]["Version"] == "1"


def test_without_auto_rollback_it_just_fails(fixture: Fixture) -> None:
    fixture.simulator.faults(insufficient_capacity=["c5.large"])
    fixture.refresh(fixture.new_version("c5.large"))
    done = fixture.wait("Failed")
    assert "c5.large" in done["StatusReason"]
    assert fixture.types() == ["m5.xlarge"] * 3


def test_rollback_on_request(fixture: Fixture) -> None:
    fixture.simulator.cloud.delays.refresh_step = 0.4
    fixture.refresh(fixture.new_version("m5.large"))
    until(lambda: fixture.types().count("m5.large") == 1)
    fixture.groups.rollback_instance_refresh(AutoScalingGroupName="api")
    fixture.wait("RollbackSuccessful")
    assert fixture.types() == ["m5.xlarge"] * 3
    code = code_of(fixture.groups.rollback_instance_refresh, AutoScalingGroupName="api")
    assert code == "ActiveInstanceRefreshNotFound"


def test_cancel_keeps_what_was_replaced(fixture: Fixture) -> None:
    fixture.simulator.cloud.delays.refresh_step = 0.4
    fixture.refresh(fixture.new_version("m5.large"))
    until(lambda: fixture.types().count("m5.large") == 1)
    fixture.groups.cancel_instance_refresh(AutoScalingGroupName="api")
    fixture.wait("Cancelled")
    assert sorted(fixture.types()) == ["m5.large", "m5.xlarge", "m5.xlarge"]


def test_auto_rollback_needs_a_version_number(start: Start) -> None:
    fixture = Fixture(start(estate(version="$Latest")))
    template = {**fixture.new_version("m5.large"), "Version": "$Latest"}
    arguments = {"AutoScalingGroupName": "api", "Preferences": {"AutoRollback": True}}
    assert code_of(fixture.groups.start_instance_refresh, **arguments) == "ValidationError"
    configuration = {"LaunchTemplate": template}
    code = code_of(fixture.groups.start_instance_refresh, DesiredConfiguration=configuration, **arguments)
    assert code == "ValidationError"


def test_a_client_token_makes_one_version(fixture: Fixture) -> None:
    first = fixture.new_version("m5.large", token="once")
    assert fixture.new_version("m5.large", token="once") == first
    reference = fixture.group()["LaunchTemplate"]["LaunchTemplateId"]
    code = code_of(
        fixture.ec2.create_launch_template_version,
        LaunchTemplateId=reference,
        LaunchTemplateData={"InstanceType": "m5.4xlarge"},
        ClientToken="once",
    )
    assert code == "IdempotentParameterMismatch"
    versions = fixture.ec2.describe_launch_template_versions(LaunchTemplateId=reference)["LaunchTemplateVersions"]
    assert [(one["VersionNumber"], one["LaunchTemplateData"]["InstanceType"]) for one in versions] == [
        (2, "m5.large"),
        (1, "m5.xlarge"),
    ]
    assert versions[0]["LaunchTemplateData"]["ImageId"] == versions[1]["LaunchTemplateData"]["ImageId"]


def test_a_mixed_group_launches_what_its_policy_says(start: Start) -> None:
    fixture = Fixture(start(estate(mixed_instances={"overrides": ["m5.xlarge", "m5a.xlarge"]})))
    policy = fixture.group()["MixedInstancesPolicy"]
    assert [one["InstanceType"] for one in policy["LaunchTemplate"]["Overrides"]] == ["m5.xlarge", "m5a.xlarge"]
    policy["LaunchTemplate"]["Overrides"] = [{"InstanceType": "m5a.large"}, {"InstanceType": "m5.large"}]
    fixture.groups.update_auto_scaling_group(AutoScalingGroupName="api", MixedInstancesPolicy=policy)
    assert fixture.types() == ["m5.xlarge"] * 3
    fixture.simulator.faults(insufficient_capacity=["m5a.large"])
    fixture.refresh()
    fixture.wait("Successful")
    assert fixture.types() == ["m5.large"] * 3


def test_a_group_replaces_a_member_that_is_stopped(fixture: Fixture) -> None:
    victim = next(iter(fixture.members()))
    fixture.ec2.stop_instances(InstanceIds=[victim])
    until(lambda: victim not in fixture.members())
    assert len(fixture.members()) == 3
    assert state(fixture.ec2, victim) in ("shutting-down", "terminated")


def test_a_suspended_group_leaves_it_alone(fixture: Fixture) -> None:
    fixture.groups.suspend_processes(AutoScalingGroupName="api")
    victim = next(iter(fixture.members()))
    fixture.ec2.stop_instances(InstanceIds=[victim])
    until(lambda: state(fixture.ec2, victim) == "stopped")
    assert victim in fixture.members()
    assert fixture.group()["SuspendedProcesses"]


def test_groups_grow_and_shrink(fixture: Fixture) -> None:
    fixture.groups.update_auto_scaling_group(AutoScalingGroupName="api", DesiredCapacity=5)
    assert len(fixture.members()) == 5
    fixture.groups.set_desired_capacity(AutoScalingGroupName="api", DesiredCapacity=2)
    assert len(fixture.members()) == 2
    assert code_of(fixture.groups.set_desired_capacity, AutoScalingGroupName="api", DesiredCapacity=99) == (
        "ValidationError"
    )


def test_groups_come_in_pages(start: Start) -> None:
    groups = [{"name": f"g{n}", "desired": 1, "instances": plain(1)} for n in range(7)]
    simulator = start(one_account(groups=groups))
    client = simulator.client("autoscaling", ACCOUNT)
    first = client.describe_auto_scaling_groups(MaxRecords=5)
    rest = client.describe_auto_scaling_groups(MaxRecords=5, NextToken=first["NextToken"])
    assert [len(first["AutoScalingGroups"]), len(rest["AutoScalingGroups"])] == [5, 2]
    members = client.describe_auto_scaling_instances()["AutoScalingInstances"]
    assert {row["InstanceId"] for row in members} == set(instance_ids(simulator.client("ec2", ACCOUNT)))
