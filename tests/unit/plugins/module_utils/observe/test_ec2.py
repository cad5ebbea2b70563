# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EC2's inventory: who manages a resource, groups, and every field that constrains a change."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Callable

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.observe.ec2 import (
    group_from_api,
    manager_of,
    read_catalog,
    read_fleet,
    read_offerings,
    tags_of,
)
from ansible_collections.frugal.cloud.plugins.module_utils.resources import Instance
from ansible_collections.frugal.cloud.tests.simulator.process import SimulatorProcess

ACCOUNT = "111111111111"


@pytest.mark.parametrize(
    ("tags", "cluster", "expected"),
    [
        ({}, "", ("none", "")),
        ({"Name": "web", "env": "prod"}, "", ("none", "")),
        ({"eks:cluster-name": "apps"}, "", ("eks", "apps")),
        ({"aws:eks:cluster-name": "apps"}, "", ("eks", "apps")),
        ({"alpha.eksctl.io/cluster-name": "apps"}, "", ("eks", "apps")),
        ({"kubernetes.io/cluster/apps": "owned"}, "", ("eks", "apps")),
        ({"karpenter.sh/nodepool": "default"}, "", ("eks", "default")),
        # A node of a managed node group is in an Auto Scaling group, too: Kubernetes decides.
        ({"aws:autoscaling:groupName": "g", "eks:cluster-name": "apps"}, "", ("eks", "apps")),
        ({"aws:autoscaling:groupName": "g", "AmazonECSManaged": ""}, "", ("ecs", "")),
        ({}, "jobs", ("ecs", "jobs")),
        ({"aws:autoscaling:groupName": "g"}, "jobs", ("ecs", "jobs")),
        (
            {"elasticbeanstalk:environment-name": "shop", "aws:autoscaling:groupName": "g"},
            "",
            ("elasticbeanstalk", "shop"),
        ),
        ({"aws:elasticmapreduce:job-flow-id": "j-1"}, "", ("emr", "j-1")),
        ({"aws:ec2spot:fleet-request-id": "sfr-1"}, "", ("spot_fleet", "sfr-1")),
        ({"aws:ec2:fleet-id": "fleet-1"}, "", ("spot_fleet", "fleet-1")),
        ({"aws:autoscaling:groupName": "g", "aws:cloudformation:stack-name": "s"}, "", ("asg", "g")),
        ({"aws:cloudformation:stack-name": "s", "terraform": "true"}, "", ("cloudformation", "s")),
        ({"ManagedBy": "Terraform"}, "", ("terraform", "Terraform")),
        ({"managed-by": "terraform-cloud"}, "", ("terraform", "terraform-cloud")),
        ({"terraform:workspace": "prod"}, "", ("terraform", "prod")),
        ({"ManagedBy": "alice"}, "", ("none", "")),
        ({"note": "not terraform"}, "", ("none", "")),
    ],
)
def test_who_manages_a_resource(tags: dict[str, str], cluster: str, expected: tuple[str, str]) -> None:
    assert manager_of(tags, cluster) == expected


def test_tags_without_a_value_or_at_all() -> None:
    assert tags_of(None) == {}
    assert tags_of([{"Key": "a", "Value": "1"}, {"Key": "b"}]) == {"a": "1", "b": ""}


# -- groups ------------------------------------------------------------------------------------------

GROUP: dict[str, t.Any] = {
    "AutoScalingGroupName": "api",
    "AutoScalingGroupARN": "arn:aws:autoscaling:eu-west-1:111111111111:autoScalingGroup:x:autoScalingGroupName/api",
    "MinSize": 1,
    "MaxSize": 9,
    "DesiredCapacity": 2,
    "AvailabilityZones": ["eu-west-1a", "eu-west-1b"],
    "Instances": [
        {"InstanceId": "i-1", "InstanceType": "m5.large", "HealthStatus": "Healthy"},
        {"InstanceId": "i-2", "InstanceType": "m5.large", "HealthStatus": "Healthy"},
    ],
    "LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": "3"},
    "Tags": [{"Key": "env", "Value": "prod"}],
}


def test_a_group() -> None:
    group = group_from_api(ACCOUNT, "eu-west-1", GROUP, ("target-tracking",))
    assert (group.name, group.instance_type, group.instance_types) == ("api", "m5.large", ("m5.large",))
    assert (group.launch_template_id, group.launch_template_version) == ("lt-1", "3")
    assert not group.uses_latest_or_default
    assert not group.mixed_instances_policy
    assert (group.minimum_capacity, group.desired_capacity, group.maximum_capacity) == (1, 2, 9)
    assert group.instance_ids == ("i-1", "i-2")
    assert group.scales_on == ("target-tracking",)
    assert group.tags == {"env": "prod"}
    assert (group.managed_by, group.manager) == ("none", "")


@pytest.mark.parametrize("version", ["$Latest", "$Default"])
def test_a_group_that_follows_its_template(version: str) -> None:
    item = {**GROUP, "LaunchTemplate": {"LaunchTemplateId": "lt-1", "Version": version}}
    assert group_from_api(ACCOUNT, "eu-west-1", item).uses_latest_or_default


def test_a_group_of_several_types_has_no_type() -> None:
    members = [*GROUP["Instances"], {"InstanceId": "i-3", "InstanceType": "m6i.large"}]
    group = group_from_api(ACCOUNT, "eu-west-1", {**GROUP, "Instances": members})
    assert (group.instance_type, group.instance_types) == ("", ("m5.large", "m6i.large"))
    assert group_from_api(ACCOUNT, "eu-west-1", {**GROUP, "Instances": []}).instance_type == ""


def test_a_group_with_a_mixed_instances_policy() -> None:
    item = {key: value for key, value in GROUP.items() if key != "LaunchTemplate"}
    template = {"LaunchTemplateSpecification": {"LaunchTemplateId": "lt-2", "Version": "1"}}
    group = group_from_api(ACCOUNT, "eu-west-1", {**item, "MixedInstancesPolicy": {"LaunchTemplate": template}})
    assert group.mixed_instances_policy
    assert group.launch_template_id == "lt-2"


def test_a_group_of_a_launch_configuration_and_of_eks() -> None:
    item = {key: value for key, value in GROUP.items() if key != "LaunchTemplate"}
    item = {**item, "LaunchConfigurationName": "old", "Tags": [{"Key": "eks:cluster-name", "Value": "apps"}]}
    group = group_from_api(ACCOUNT, "eu-west-1", item)
    assert (group.launch_configuration, group.launch_template_id) == ("old", "")
    assert (group.managed_by, group.manager) == ("eks", "apps")


# -- a whole estate, through the API -----------------------------------------------------------------

ESTATE: dict[str, t.Any] = {
    "now": "2026-06-15T12:00:00Z",
    "accounts": [
        {
            "id": ACCOUNT,
            "regions": {
                "us-east-1": {
                    "instances": [
                        {"name": "plain", "type": "m5.large", "tags": {"env": "dev", "frugal:nvme": "true"}},
                        {
                            "name": "all",
                            "type": "m5.2xlarge",
                            "zone": "us-east-1b",
                            "elastic_ip": True,
                            "detailed_monitoring": True,
                            "interfaces": 3,
                            "addresses_per_interface": 5,
                            "placement_group": "together",
                            "capacity_reservation_id": "cr-0123456789abcdef0",
                            "hibernation": True,
                            "ebs_optimized": True,
                            "boot_mode": "uefi",
                            "product_codes": ["abc"],
                            "launched_days_ago": 10,
                            "volumes": [
                                {"size": 100, "type": "gp3", "iops": 6000, "throughput": 500},
                                {"size": 500, "type": "io2", "iops": 20000},
                            ],
                        },
                        {"name": "windows", "type": "m5.large", "os": "Windows", "tenancy": "dedicated"},
                        {"name": "redhat", "type": "m5.large", "os": "RHEL", "public_ip": True},
                        {"name": "old", "type": "m4.large", "ena": False, "state": "stopped"},
                        {"name": "graviton", "type": "m6g.large"},
                        {"name": "bid", "type": "m5.large", "lifecycle": "spot"},
                        {"name": "task-host", "type": "m5.large", "ecs_cluster": "jobs"},
                        {"name": "node", "type": "m5.large", "managed_by": "eks"},
                        {"name": "stack", "type": "m5.large", "managed_by": "cloudformation"},
                        {"name": "code", "type": "m5.large", "managed_by": "terraform"},
                    ],
                    "groups": [{"name": "api", "desired": 2, "instances": {"name": "member", "type": "m5.xlarge"}}],
                }
            },
        }
    ],
}


def test_every_field_that_constrains_a_change() -> None:
    with SimulatorProcess(ESTATE) as simulator:
        aws = Aws("us-east-1", simulator.url, connection=simulator.credentials(ACCOUNT))
        fleet = read_fleet(aws)
        catalog, offered = read_catalog(aws), read_offerings(aws)
        part = read_fleet(aws, {"tag:env": ["dev"]})
        chosen = read_fleet(aws, instance_ids=[item.instance_id for item in fleet.instances if item.name == "all"])
        idle = read_fleet(aws, details=False)
        calls = dict(aws.calls)
    assert fleet.warnings == ()
    members = [item for item in fleet.instances if item.name.startswith("member")]
    by_name = {item.name: item for item in fleet.instances if item not in members}
    assert len(by_name) == 11

    plain = by_name["plain"]
    assert (plain.instance_type, plain.state, plain.account, plain.region) == (
        "m5.large",
        "running",
        ACCOUNT,
        "us-east-1",
    )
    assert (plain.architecture, plain.operating_system, plain.virtualization_type) == ("x86_64", "Linux", "hvm")
    assert plain.tags["env"] == "dev"
    assert plain.nvme_capable is True
    assert plain.sample_seconds == 300
    assert (plain.tenancy, plain.lifecycle, plain.has_elastic_ip, plain.public_ip) == (
        "default",
        "on-demand",
        False,
        "",
    )
    assert (plain.network_interfaces, plain.ipv4_addresses_per_interface, plain.efa_interfaces) == (1, 1, 0)
    assert [volume.volume_type for volume in plain.volumes] == ["gp3"]

    everything = by_name["all"]
    assert everything.availability_zone == "us-east-1b"
    assert everything.has_elastic_ip
    assert everything.public_ip
    assert everything.sample_seconds == 60
    assert (everything.network_interfaces, everything.ipv4_addresses_per_interface) == (3, 5)
    assert everything.placement_group == "together"
    assert everything.capacity_reservation_id == "cr-0123456789abcdef0"
    assert everything.hibernation
    assert everything.ebs_optimized
    assert everything.boot_mode == "uefi"
    assert everything.product_codes == ("abc",)
    assert everything.launch_time == datetime.datetime(2026, 6, 5, 12, tzinfo=datetime.timezone.utc)
    volumes = [(item.volume_type, item.size_gib, item.iops, item.throughput_mibps) for item in everything.volumes]
    assert volumes == [("gp3", 100, 6000, 500), ("io2", 500, 20000, None)]
    assert all(volume.device for volume in everything.volumes)

    assert (by_name["windows"].operating_system, by_name["windows"].tenancy) == ("Windows", "dedicated")
    assert by_name["redhat"].operating_system == "RHEL"
    assert by_name["redhat"].public_ip
    assert not by_name["redhat"].has_elastic_ip
    assert (by_name["old"].ena_enabled, by_name["old"].state, by_name["old"].nvme_capable) == (False, "stopped", None)
    assert by_name["graviton"].architecture == "arm64"
    assert by_name["bid"].lifecycle == "spot"
    managers = {name: (item.managed_by, item.manager) for name, item in by_name.items() if item.managed_by != "none"}
    assert managers.pop("task-host") == ("ecs", "jobs")
    assert {name: manager for name, (manager, _who) in managers.items()} == {
        "node": "eks",
        "stack": "cloudformation",
        "code": "terraform",
    }

    assert [(group.name, group.desired_capacity, group.instance_type) for group in fleet.groups] == [
        ("api", 2, "m5.xlarge")
    ]
    assert {(item.managed_by, item.manager) for item in members} == {("asg", "api")}
    assert set(fleet.groups[0].instance_ids) == {item.instance_id for item in members}

    # By tag and by id: the same records of fewer machines, and no group of others.
    assert list(part.instances) == [plain]
    assert list(part.groups) == []
    assert list(chosen.instances) == [everything]
    assert {item.instance_id for item in idle.instances} == {item.instance_id for item in fleet.instances}
    assert calls["ec2:DescribeInstances"] == 4

    assert catalog["m5.large"].vcpus == 2
    assert catalog["m5.large"].memory_gib == 8
    assert catalog["t3.large"].burstable
    assert catalog["m6g.large"].architectures == ("arm64",)
    assert catalog["m5d.large"].instance_storage_gb > 0
    assert catalog["g4dn.xlarge"].accelerators == 1
    assert catalog["m4.large"].hypervisor == "xen"
    assert "m5.large" in offered["us-east-1a"]


# -- what may be missing -----------------------------------------------------------------------------


def raw(**more: t.Any) -> dict[str, t.Any]:
    """An instance as DescribeInstances gives it, with little in it."""
    item = {"InstanceId": "i-1", "InstanceType": "m5.large", "State": {"Name": "running"}, "ImageId": "ami-1"}
    return {**item, **more}


def answers(*items: dict[str, t.Any], **more: t.Any) -> dict[str, t.Any]:
    """Everything that read_fleet asks for."""
    return {
        "ec2:describe_instances": [{"Reservations": [{"Instances": [item]} for item in items]}],
        "ec2:describe_volumes": [{"Volumes": []}],
        "ec2:describe_images": [{"Images": [{"ImageId": "ami-1", "EnaSupport": True, "BootMode": "uefi-preferred"}]}],
        "ec2:describe_addresses": {"Addresses": []},
        "ecs:list_clusters": [{"clusterArns": []}],
        "autoscaling:describe_auto_scaling_groups": [{"AutoScalingGroups": []}],
        "autoscaling:describe_policies": [{"ScalingPolicies": []}],
        **more,
    }


def test_what_an_instance_does_not_say_its_image_does(fake_aws: Callable[..., t.Any]) -> None:
    (instance,) = read_fleet(fake_aws(answers(raw()))).instances
    assert isinstance(instance, Instance)
    assert (instance.ena_enabled, instance.boot_mode) == (True, "uefi-preferred")
    (instance,) = read_fleet(fake_aws(answers(raw(EnaSupport=False, CurrentInstanceBootMode="legacy-bios")))).instances
    assert (instance.ena_enabled, instance.boot_mode) == (False, "legacy-bios")


def test_a_deregistered_image_is_no_error(fake_aws: Callable[..., t.Any]) -> None:
    (instance,) = read_fleet(fake_aws(answers(raw(), **{"ec2:describe_images": [{"Images": []}]}))).instances
    assert (instance.ena_enabled, instance.boot_mode) == (False, "legacy-bios")


def test_a_billing_platform_that_nobody_knows_keeps_its_name(fake_aws: Callable[..., t.Any]) -> None:
    """There is no price for it then, and nothing is guessed."""
    (instance,) = read_fleet(fake_aws(answers(raw(PlatformDetails="Haiku OS")))).instances
    assert instance.operating_system == "Haiku OS"
    (instance,) = read_fleet(fake_aws(answers(raw(PlatformDetails="Windows with SQL Server Web")))).instances
    assert instance.operating_system == "Windows with SQL Web"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("ec2:describe_addresses", "Elastic IP addresses"),
        ("ecs:list_clusters", "ECS container instances"),
        ("autoscaling:describe_auto_scaling_groups", "Auto Scaling groups"),
    ],
)
def test_a_denied_listing_is_a_warning(fake_aws: Callable[..., t.Any], name: str, what: str) -> None:
    tags = [{"Key": "aws:autoscaling:groupName", "Value": "api"}]
    aws = fake_aws(answers(raw(Tags=tags), **{name: AwsError("AWS denied it", "AccessDenied")}))
    fleet = read_fleet(aws)
    assert fleet.warnings == (f"{what} were not listed, tags alone decide: AWS denied it",)
    assert (fleet.instances[0].managed_by, fleet.instances[0].manager) == ("asg", "api")


@pytest.mark.parametrize("name", ["ec2:describe_instances", "ec2:describe_volumes", "ec2:describe_images"])
def test_what_is_indispensable_is_an_error(fake_aws: Callable[..., t.Any], name: str) -> None:
    with pytest.raises(AwsError, match="AWS denied it"):
        read_fleet(fake_aws(answers(raw(), **{name: AwsError("AWS denied it", "AccessDenied")})))


def test_a_group_that_eks_manages_keeps_its_nodes_with_eks(fake_aws: Callable[..., t.Any]) -> None:
    item = {**GROUP, "Instances": [{"InstanceId": "i-1", "InstanceType": "m5.large"}]}
    groups = {"autoscaling:describe_auto_scaling_groups": [{"AutoScalingGroups": [item]}]}
    (member,) = read_fleet(fake_aws(answers(raw(), **groups))).instances
    assert (member.managed_by, member.manager) == ("asg", "api")
    node = raw(Tags=[{"Key": "eks:cluster-name", "Value": "apps"}])
    (member,) = read_fleet(fake_aws(answers(node, **groups))).instances
    assert (member.managed_by, member.manager) == ("eks", "apps")


def test_only_enabled_dynamic_policies_scale_a_group(fake_aws: Callable[..., t.Any]) -> None:
    def policy(name: str, kind: str, enabled: bool = True) -> dict[str, t.Any]:
        return {"AutoScalingGroupName": "api", "PolicyName": name, "PolicyType": kind, "Enabled": enabled}

    policies = [
        policy("cpu", "TargetTrackingScaling"),
        policy("off", "StepScaling", False),
        policy("forecast", "PredictiveScaling"),
    ]
    aws = fake_aws(
        answers(
            raw(),
            **{
                "autoscaling:describe_auto_scaling_groups": [{"AutoScalingGroups": [GROUP]}],
                "autoscaling:describe_policies": [{"ScalingPolicies": policies}],
            },
        )
    )
    assert read_fleet(aws).groups[0].scales_on == ("cpu",)
