# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EC2 inventory: instances and Auto Scaling groups with everything that constrains a change.

Each API is listed once, in pages as large as AWS allows; nothing is read per instance.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.observe import answers
from ansible_collections.frugal.cloud.plugins.module_utils.observe.ec2_types import instance_type_from_api
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prices import system_key
from ansible_collections.frugal.cloud.plugins.module_utils.resources import (
    AutoScalingGroup,
    Instance,
    InstanceType,
    Volume,
)

#: Largest pages of each API; EC2 API reference, "MaxResults".
INSTANCES_PER_PAGE = 1000
VOLUMES_PER_PAGE = 1000
GROUPS_PER_PAGE = 100
TYPES_PER_PAGE = 100
OFFERINGS_PER_PAGE = 1000
#: Ids in one call where a page is asked for by id.
IDS_PER_CALL = 500

_STATES = ("pending", "running", "stopping", "stopped")
_TERRAFORM_KEYS = {"terraform", "managed-by", "managed_by", "managedby", "provisioner", "created-by", "iac"}
_GROUP_TAG = "aws:autoscaling:groupName"

#: PlatformDetails -> (operatingSystem, preInstalledSw) of the Pricing API; an instance's
#: ``operating_system`` then names both, as the keys of a price list do.
#: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/billing-info-fields.html
_PLATFORMS = {
    "Linux/UNIX": ("Linux", "NA"),
    "Red Hat Enterprise Linux": ("RHEL", "NA"),
    "Red Hat Enterprise Linux with HA": ("Red Hat Enterprise Linux with HA", "NA"),
    "Red Hat BYOL Linux": ("Linux", "NA"),
    "SUSE Linux": ("SUSE", "NA"),
    "Ubuntu Pro": ("Ubuntu Pro", "NA"),
    "Windows": ("Windows", "NA"),
    "Windows BYOL": ("Linux", "NA"),
    "Windows with SQL Server Standard": ("Windows", "SQL Std"),
    "Windows with SQL Server Web": ("Windows", "SQL Web"),
    "Windows with SQL Server Enterprise": ("Windows", "SQL Ent"),
    "Linux with SQL Server Standard": ("Linux", "SQL Std"),
    "Linux with SQL Server Web": ("Linux", "SQL Web"),
    "Linux with SQL Server Enterprise": ("Linux", "SQL Ent"),
}


@dataclasses.dataclass(frozen=True)
class Fleet:
    """What one account has in one region; ``warnings`` say what could not be read and what follows."""

    instances: Sequence[Instance]
    groups: Sequence[AutoScalingGroup]
    warnings: Sequence[str] = ()


def tags_of(items: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """AWS' list of Key/Value pairs as a dict."""
    return {item["Key"]: item.get("Value", "") for item in items or ()}


def manager_of(tags: Mapping[str, str], ecs_cluster: str = "") -> tuple[str, str]:
    """Who owns a resource: (``managed_by``, name of the manager), by its tags and ECS' own list.

    Kubernetes and ECS come before the group that holds their nodes, since they decide how
    a node is replaced; Terraform is only a convention of tags and comes last.
    """
    for key, value in tags.items():
        if key in ("eks:cluster-name", "aws:eks:cluster-name", "alpha.eksctl.io/cluster-name"):
            return "eks", value
        if key.startswith("kubernetes.io/cluster/"):
            return "eks", key.removeprefix("kubernetes.io/cluster/")
        if key.startswith("karpenter.sh/"):
            return "eks", value
    if ecs_cluster or "AmazonECSManaged" in tags:
        return "ecs", ecs_cluster
    for key, manager in (
        ("elasticbeanstalk:environment-name", "elasticbeanstalk"),
        ("aws:elasticmapreduce:job-flow-id", "emr"),
        ("aws:ec2spot:fleet-request-id", "spot_fleet"),
        ("aws:ec2:fleet-id", "spot_fleet"),
        (_GROUP_TAG, "asg"),
        ("aws:cloudformation:stack-name", "cloudformation"),
    ):
        if key in tags:
            return manager, tags[key]
    for key, value in tags.items():
        lowered = key.lower()
        if lowered.startswith("terraform") or (lowered in _TERRAFORM_KEYS and value.lower().startswith("terraform")):
            return "terraform", value
    return "none", ""


def read_fleet(
    aws: Aws,
    filters: Mapping[str, t.Sequence[str]] | None = None,
    instance_ids: Sequence[str] = (),
    details: bool = True,
) -> Fleet:
    """List instances (not terminated ones) and, with ``details``, all that constrains a change.

    ``filters`` are those of DescribeInstances, name -> values. Without ``details`` only
    DescribeInstances is called. ECS, Auto Scaling and address listings that are denied
    become warnings: their resources are then recognised by tags alone.

    :raises AwsError: when instances, volumes or images cannot be listed.
    """
    raw = _raw_instances(aws, filters or {}, instance_ids, details)
    if not details:
        return Fleet([_instance(aws, item, {}, {}, set(), {}) for item in raw], ())
    warnings: list[str] = []
    volumes = _volumes(aws, raw, everything=not (filters or instance_ids))
    images = _images(aws, sorted({item["ImageId"] for item in raw if item.get("ImageId")}))
    addresses = _optional(warnings, "Elastic IP addresses", lambda: _addresses(aws), set())
    nodes = _optional(warnings, "ECS container instances", lambda: _ecs_nodes(aws), {})
    groups: list[AutoScalingGroup] = _optional(warnings, "Auto Scaling groups", lambda: _groups(aws), [])
    instances = [_instance(aws, item, volumes, images, addresses, nodes) for item in raw]
    members = {member: group for group in groups for member in group.instance_ids}
    instances = [
        dataclasses.replace(instance, managed_by="asg", manager=members[instance.instance_id].name)
        if instance.instance_id in members and instance.managed_by in ("none", "cloudformation", "terraform")
        else instance
        for instance in instances
    ]
    wanted = {instance.instance_id for instance in instances}
    return Fleet(instances, [group for group in groups if wanted.intersection(group.instance_ids)], tuple(warnings))


def _optional(warnings: list[str], what: str, read: t.Callable[[], t.Any], nothing: t.Any) -> t.Any:
    try:
        return read()
    except AwsError as error:
        warnings.append(f"{what} were not listed, tags alone decide: {error}")
        return nothing


def _raw_instances(
    aws: Aws, filters: Mapping[str, t.Sequence[str]], instance_ids: Sequence[str], details: bool
) -> list[dict[str, t.Any]]:
    asked: list[dict[str, t.Any]] = []
    every = [{"Name": name, "Values": list(values)} for name, values in filters.items()]
    if "instance-state-name" not in filters:
        every.append({"Name": "instance-state-name", "Values": list(_STATES)})
    if instance_ids:
        for start in range(0, len(instance_ids), IDS_PER_CALL):
            asked.append({"InstanceIds": list(instance_ids[start : start + IDS_PER_CALL]), "Filters": every})
    else:
        asked.append({"Filters": every, "PaginationConfig": {"PageSize": INSTANCES_PER_PAGE}})
    prepare = answers.only_fleet_members if details else answers.only_idle_members
    return [
        _slim(item)
        for arguments in asked
        for page in aws.pages("ec2", "describe_instances", prepare=prepare, **arguments)
        for reservation in page["Reservations"]
        for item in reservation["Instances"]
    ]


def _slim(item: dict[str, t.Any]) -> dict[str, t.Any]:
    """Drop what nothing here reads before the next page comes: an instance is 3 kB of dicts."""
    interfaces = item.get("NetworkInterfaces", [])
    item["_interfaces"] = len(interfaces)
    item["_ipv4"] = max((len(interface.get("PrivateIpAddresses", [])) for interface in interfaces), default=1)
    item["_efa"] = sum(interface.get("InterfaceType", "") in ("efa", "efa-only") for interface in interfaces)
    item["_volume_ids"] = [
        (mapping.get("DeviceName", ""), mapping["Ebs"]["VolumeId"])
        for mapping in item.get("BlockDeviceMappings", [])
        if "Ebs" in mapping
    ]
    for key in ("NetworkInterfaces", "BlockDeviceMappings"):
        item.pop(key, None)
    return item


def _volumes(aws: Aws, raw: Sequence[dict[str, t.Any]], everything: bool) -> dict[str, Volume]:
    """Volume id -> volume: all pages for a whole account, by id for a part of it."""
    ids = [volume_id for item in raw for _device, volume_id in item["_volume_ids"]]
    asked: list[dict[str, t.Any]]
    if everything:
        asked = [{"PaginationConfig": {"PageSize": VOLUMES_PER_PAGE}}]
    else:
        asked = [{"VolumeIds": ids[start : start + IDS_PER_CALL]} for start in range(0, len(ids), IDS_PER_CALL)]
    wanted = set(ids)
    return {
        item["VolumeId"]: Volume(
            volume_id=item["VolumeId"],
            volume_type=item["VolumeType"],
            size_gib=item["Size"],
            iops=item.get("Iops"),
            throughput_mibps=item.get("Throughput"),
            multi_attach=item.get("MultiAttachEnabled", False),
        )
        for arguments in asked
        for page in aws.pages("ec2", "describe_volumes", prepare=answers.only_fleet_members, **arguments)
        for item in page["Volumes"]
        if item["VolumeId"] in wanted
    }


def _images(aws: Aws, image_ids: Sequence[str]) -> dict[str, dict[str, t.Any]]:
    """Image id -> image; a deregistered image is absent."""
    images: dict[str, dict[str, t.Any]] = {}
    for start in range(0, len(image_ids), IDS_PER_CALL):
        # By filter, not by id: an id that is gone makes the whole call fail.
        chosen = [{"Name": "image-id", "Values": list(image_ids[start : start + 200])}]
        for page in aws.pages("ec2", "describe_images", Filters=chosen, IncludeDeprecated=True):
            for image in page["Images"]:
                images[image["ImageId"]] = {
                    key: image[key] for key in ("EnaSupport", "BootMode", "Architecture") if key in image
                }
    return images


def _addresses(aws: Aws) -> set[str]:
    return {
        address["InstanceId"]
        for address in aws.read("ec2", "describe_addresses")["Addresses"]
        if address.get("InstanceId")
    }


def _ecs_nodes(aws: Aws) -> dict[str, str]:
    """Instance id -> ECS cluster, for container instances."""
    nodes: dict[str, str] = {}
    for clusters in aws.pages("ecs", "list_clusters"):
        for cluster in clusters["clusterArns"]:
            for page in aws.pages("ecs", "list_container_instances", cluster=cluster):
                arns = page["containerInstanceArns"]
                if arns:
                    answer = aws.read("ecs", "describe_container_instances", cluster=cluster, containerInstances=arns)
                    for node in answer["containerInstances"]:
                        if node.get("ec2InstanceId"):
                            nodes[node["ec2InstanceId"]] = cluster.rsplit("/", 1)[-1]
    return nodes


def _groups(aws: Aws) -> list[AutoScalingGroup]:
    listed = [
        item
        for page in aws.pages(
            "autoscaling", "describe_auto_scaling_groups", PaginationConfig={"PageSize": GROUPS_PER_PAGE}
        )
        for item in page["AutoScalingGroups"]
    ]
    policies: dict[str, list[str]] = {}
    if listed:
        for page in aws.pages("autoscaling", "describe_policies", PaginationConfig={"PageSize": GROUPS_PER_PAGE}):
            for policy in page["ScalingPolicies"]:
                if policy.get("Enabled", True) and policy.get("PolicyType") != "PredictiveScaling":
                    policies.setdefault(policy["AutoScalingGroupName"], []).append(policy["PolicyName"])
    return [
        group_from_api(aws.account, aws.region, item, policies.get(item["AutoScalingGroupName"], ())) for item in listed
    ]


def group_from_api(
    account: str, region: str, item: Mapping[str, t.Any], scales_on: Sequence[str] = ()
) -> AutoScalingGroup:
    """One entry of DescribeAutoScalingGroups as a dataclass; ``scales_on`` are its dynamic scaling policies."""
    tags = tags_of(item.get("Tags"))
    managed_by, manager = manager_of(tags)
    mixed = item.get("MixedInstancesPolicy")
    template = item.get("LaunchTemplate") or (mixed or {}).get("LaunchTemplate", {}).get(
        "LaunchTemplateSpecification", {}
    )
    version = str(template.get("Version", ""))
    types = tuple(sorted({member["InstanceType"] for member in item.get("Instances", ()) if "InstanceType" in member}))
    return AutoScalingGroup(
        name=item["AutoScalingGroupName"],
        arn=item.get("AutoScalingGroupARN", ""),
        account=account,
        region=region,
        instance_type=types[0] if len(types) == 1 else "",
        launch_template_id=template.get("LaunchTemplateId", ""),
        launch_template_version=version,
        uses_latest_or_default=version in ("$Latest", "$Default"),
        mixed_instances_policy=mixed is not None,
        launch_configuration=item.get("LaunchConfigurationName", ""),
        desired_capacity=item["DesiredCapacity"],
        minimum_capacity=item["MinSize"],
        maximum_capacity=item["MaxSize"],
        instance_ids=tuple(member["InstanceId"] for member in item.get("Instances", ())),
        availability_zones=tuple(item.get("AvailabilityZones", ())),
        instance_types=types,
        scales_on=tuple(scales_on),
        tags=tags,
        managed_by=managed_by,
        manager=manager,
    )


def _instance(
    aws: Aws,
    item: Mapping[str, t.Any],
    volumes: Mapping[str, Volume],
    images: Mapping[str, Mapping[str, t.Any]],
    addresses: set[str],
    nodes: Mapping[str, str],
) -> Instance:
    instance_id = item["InstanceId"]
    tags = tags_of(item.get("Tags"))
    image = images.get(item.get("ImageId", ""), {})
    placement = item.get("Placement", {})
    managed_by, manager = manager_of(tags, nodes.get(instance_id, ""))
    system, software = _PLATFORMS.get(
        item.get("PlatformDetails", "Linux/UNIX"), (item.get("PlatformDetails", ""), "NA")
    )
    attached = []
    for device, volume_id in item["_volume_ids"]:
        volume = volumes.get(volume_id)
        if volume is not None:
            attached.append(dataclasses.replace(volume, device=device))
    return Instance(
        instance_id=instance_id,
        instance_type=item["InstanceType"],
        state=item["State"]["Name"],
        account=aws.account,
        region=aws.region,
        availability_zone=placement.get("AvailabilityZone", ""),
        name=tags.get("Name", ""),
        tags=tags,
        launch_time=item.get("LaunchTime"),
        image_id=item.get("ImageId", ""),
        architecture=item.get("Architecture", "x86_64"),
        operating_system=system_key(system, software),
        pre_installed_software=software,
        virtualization_type=item.get("VirtualizationType", "hvm"),
        hypervisor=item.get("Hypervisor", "xen"),
        boot_mode=item.get("CurrentInstanceBootMode") or item.get("BootMode") or image.get("BootMode", "legacy-bios"),
        ena_enabled=bool(item.get("EnaSupport", image.get("EnaSupport", False))),
        nvme_capable=True if tags.get("frugal:nvme", "").lower() == "true" else None,
        root_device_type=item.get("RootDeviceType", "ebs"),
        ebs_optimized=item.get("EbsOptimized", False),
        lifecycle=item.get("InstanceLifecycle", "on-demand"),
        tenancy=placement.get("Tenancy", "default"),
        placement_group=placement.get("GroupName", ""),
        capacity_reservation_id=item.get("CapacityReservationId", ""),
        hibernation=item.get("HibernationOptions", {}).get("Configured", False),
        detailed_monitoring=item.get("Monitoring", {}).get("State") == "enabled",
        public_ip=item.get("PublicIpAddress", ""),
        has_elastic_ip=instance_id in addresses,
        network_interfaces=item["_interfaces"],
        ipv4_addresses_per_interface=item["_ipv4"],
        efa_interfaces=item["_efa"],
        volumes=tuple(attached),
        product_codes=tuple(code["ProductCodeId"] for code in item.get("ProductCodes", ())),
        managed_by=managed_by,
        manager=manager,
    )


def read_catalog(aws: Aws) -> dict[str, InstanceType]:
    """Every instance type of the region, by name (about 14 pages)."""
    return {
        item["InstanceType"]: instance_type_from_api(item)
        for page in aws.pages("ec2", "describe_instance_types", PaginationConfig={"PageSize": TYPES_PER_PAGE})
        for item in page["InstanceTypes"]
    }


def read_offerings(aws: Aws) -> dict[str, frozenset[str]]:
    """Availability zone -> names of the types that it offers."""
    offered: dict[str, set[str]] = {}
    for page in aws.pages(
        "ec2",
        "describe_instance_type_offerings",
        LocationType="availability-zone",
        PaginationConfig={"PageSize": OFFERINGS_PER_PAGE},
    ):
        for item in page["InstanceTypeOfferings"]:
            offered.setdefault(item["Location"], set()).add(item["InstanceType"])
    return {zone: frozenset(types) for zone, types in offered.items()}
