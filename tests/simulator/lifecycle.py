# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How instances change: start, stop, another type, terminate; the rules are EC2's."""

from __future__ import annotations

import math
import time

from simulator import catalog
from simulator.errors import AwsError
from simulator.state import Account, Cloud, Image, Instance, Region, Span, Volume

NEVER = math.inf


def zone_addresses(region: Region) -> tuple[str, str]:
    """The next private address and interface id of a region."""
    region.address_count += 1
    count = region.address_count
    return f"10.{count >> 16 & 255}.{count >> 8 & 255}.{count & 255}", f"eni-{count:017x}"


def new_public_ip(region: Region) -> str:
    """A public address from EC2's pool; the next one is always another one."""
    region.address_count += 1
    count = region.address_count
    return f"54.{count >> 16 & 255}.{count >> 8 & 255}.{count & 255}"


def set_state(cloud: Cloud, instance: Instance, state: str, reason: tuple[str, str] | None = None) -> None:
    """Enter a state; opens and closes the spans in which the instance runs."""
    now = cloud.clock.now()
    if state == "running":
        instance.spans.append(Span(now, NEVER, instance.instance_type))
        instance.status_ok_at = time.monotonic() + cloud.delays.status_checks
    elif instance.spans and instance.spans[-1].end == NEVER:
        instance.spans[-1].end = now
    instance.state = state
    instance.state_reason = reason


def stop(cloud: Cloud, region: Region, instance: Instance) -> None:
    """StopInstances for one instance."""
    name = instance.instance_id
    if instance.state in ("stopped", "stopping"):
        return
    check_stop(instance)
    reason = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
    set_state(cloud, instance, "stopping", reason)
    instance.state_transition = time.strftime("User initiated (%Y-%m-%d %H:%M:%S GMT)", time.gmtime(cloud.clock.now()))

    def stopped() -> None:
        if region.instances.get(name) is instance and instance.state == "stopping":
            instance.state = "stopped"
            if not instance.address_id:
                instance.public_ip = ""

    cloud.agenda.after(cloud.delays.transition, stopped)


def check_stop(instance: Instance) -> None:
    """Raise EC2's error where the instance cannot be stopped."""
    name = instance.instance_id
    if instance.state not in ("running", "pending", "stopped", "stopping"):
        raise AwsError(
            "IncorrectInstanceState", f"The instance '{name}' is not in a state from which it can be stopped."
        )
    if instance.disable_api_stop:
        raise AwsError(
            "OperationNotPermitted",
            f"The instance '{name}' may not be stopped. Modify its 'disableApiStop' instance attribute and try again.",
        )
    if instance.lifecycle == "spot":
        raise AwsError(
            "UnsupportedOperation",
            f"You can't stop the Spot Instance '{name}' because it is associated with a one-time Spot Instance "
            "request. You can only stop Spot Instances associated with persistent Spot Instance requests.",
        )
    if instance.image.root_device_type != "ebs":
        raise AwsError(
            "UnsupportedOperation",
            f"The instance '{name}' does not have an 'ebs' root device type and cannot be stopped.",
        )


def check_start(cloud: Cloud, region: Region, instance: Instance) -> None:
    """Raise EC2's error where the instance cannot be started."""
    name, kind, zone = instance.instance_id, instance.instance_type, instance.zone
    if instance.state not in ("stopped", "running", "pending"):
        raise AwsError(
            "IncorrectInstanceState", f"The instance '{name}' is not in a state from which it can be started."
        )
    if instance.state != "stopped":
        return
    check_capacity(cloud, region, kind, zone)


def check_capacity(cloud: Cloud, region: Region, instance_type: str, zone: str) -> None:
    """Raise EC2's error where a type cannot be launched in a zone: not offered, or sold out."""
    pairs = catalog.offered(region.name)
    if pairs and (instance_type, zone) not in pairs:
        raise AwsError(
            "Unsupported",
            f"Your requested instance type ({instance_type}) is not supported in your requested "
            f"Availability Zone ({zone}).",
        )
    if cloud.faults.lacks_capacity(instance_type, zone):
        raise AwsError(
            "InsufficientInstanceCapacity",
            f"We currently do not have sufficient {instance_type} capacity in the Availability Zone you requested "
            f"({zone}). Our system will be working on provisioning additional capacity.",
            500,
        )


def start(cloud: Cloud, region: Region, instance: Instance) -> None:
    """StartInstances for one instance."""
    check_start(cloud, region, instance)
    if instance.state != "stopped":
        return
    set_state(cloud, instance, "pending")
    instance.launch_time = cloud.clock.now()
    instance.state_transition = ""
    if instance.wants_public_ip and not instance.address_id:
        instance.public_ip = new_public_ip(region)

    def running() -> None:
        if region.instances.get(instance.instance_id) is instance and instance.state == "pending":
            set_state(cloud, instance, "running")
            # Without NVMe drivers a machine cannot find its root volume on Nitro: it fails its instance check.
            instance.impaired = instance.spec.nvme_support == "required" and not instance.image.nvme_drivers

    cloud.agenda.after(cloud.delays.transition, running)


def check_type(cloud: Cloud, region: Region, instance: Instance, wanted: str) -> None:
    """Raise EC2's error where the instance cannot get another type."""
    name = instance.instance_id
    if instance.state != "stopped":
        raise AwsError("IncorrectInstanceState", f"The instance '{name}' is not in the 'stopped' state.")
    spec = catalog.spec(wanted)
    if spec is None:
        raise AwsError("InvalidParameterValue", f"Invalid value '{wanted}' for InstanceType.")
    check_image(instance.image, spec)
    if instance.hibernation and not catalog.raw_types()[wanted].get("HibernationSupported"):
        raise AwsError("InvalidParameterCombination", f"Hibernation is not supported for the instance type '{wanted}'.")
    interfaces = 1 + instance.extra_interfaces
    if interfaces > spec.maximum_network_interfaces:
        raise AwsError(
            "AttachmentLimitExceeded",
            f"Interface count {interfaces} exceeds the limit for {wanted}",
        )
    if instance.placement_group and "cluster" in instance.placement_group:
        strategies = catalog.raw_types()[wanted].get("PlacementGroupInfo", {}).get("SupportedStrategies", [])
        if "cluster" not in strategies:
            raise AwsError(
                "InvalidParameterCombination",
                f"The instance type '{wanted}' is not supported in cluster placement groups.",
            )


def check_image(image: Image, spec: catalog.TypeSpec) -> None:
    """Raise EC2's error where a machine from this image cannot run on this type."""
    if image.architecture not in spec.architectures:
        raise AwsError(
            "InvalidParameterValue",
            f"The architecture '{spec.architectures[0]}' of the specified instance type does not match the "
            f"architecture '{image.architecture}' of the specified AMI. Specify an instance type and an AMI "
            "that have matching architectures, and try again.",
        )
    if image.virtualization_type not in spec.virtualization_types:
        raise AwsError(
            "InvalidParameterCombination",
            f"The instance type '{spec.name}' does not support an AMI with a virtualization type of "
            f"'{image.virtualization_type}'.",
        )
    if spec.ena_support == "required" and not image.ena:
        raise AwsError(
            "InvalidParameterCombination",
            f"Enhanced networking with the Elastic Network Adapter (ENA) is required for the '{spec.name}' instance "
            "type. Ensure that your instance is enabled for ENA.",
        )
    if image.boot_mode and image.boot_mode != "uefi-preferred" and image.boot_mode not in spec.boot_modes:
        raise AwsError(
            "InvalidParameterValue",
            f"The '{image.boot_mode}' boot mode is not supported by the instance type '{spec.name}'.",
        )


def change_type(cloud: Cloud, region: Region, instance: Instance, wanted: str) -> bool:
    """ModifyInstanceAttribute InstanceType; returns whether anything changed."""
    check_type(cloud, region, instance, wanted)
    if instance.instance_type == wanted:
        return False
    instance.instance_type = wanted
    changed_alarms(cloud, region, instance)
    return True


def changed_alarms(cloud: Cloud, region: Region, instance: Instance) -> None:
    """Alarms that the estate set to go off after a change of this instance do so."""
    for alarm in region.alarms.values():
        if alarm.after_change and alarm.dimensions.get("InstanceId") == instance.instance_id:
            alarm.state, alarm.updated = "ALARM", cloud.clock.now()


def launch(
    cloud: Cloud, region: Region, like: Instance, instance_type: str, zone: str, tags: dict[str, str]
) -> Instance:
    """A new instance that takes over the work of ``like`` with another type: a group's replacement."""
    spec = catalog.spec(instance_type)
    if spec is None:
        raise AwsError("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
    check_image(like.image, spec)
    check_capacity(cloud, region, instance_type, zone)
    now = cloud.clock.now()
    private_ip, interface = zone_addresses(region)
    instance = Instance(
        instance_id=cloud.identifier("i"),
        instance_type=instance_type,
        zone=zone,
        image=like.image,
        launch_time=now,
        private_ip=private_ip,
        interface_id=interface,
        usage=like.usage,
        tags=dict(tags),
        wants_public_ip=like.wants_public_ip,
        detailed_monitoring=like.detailed_monitoring,
        memory_agent=like.memory_agent,
        group_name=like.group_name,
        ecs_cluster=like.ecs_cluster,
        tenancy=like.tenancy,
    )
    if instance.wants_public_ip:
        instance.public_ip = new_public_ip(region)
    for volume_id in like.volume_ids:
        old = region.volumes[volume_id]
        volume = Volume(
            cloud.identifier("vol"),
            old.volume_type,
            old.size_gib,
            zone,
            now,
            instance.instance_id,
            old.device,
            old.iops,
            old.throughput,
        )
        region.volumes[volume.volume_id] = volume
        instance.volume_ids.append(volume.volume_id)
    region.instances[instance.instance_id] = instance
    set_state(cloud, instance, "running")
    return instance


def terminate(cloud: Cloud, region: Region, instance: Instance) -> None:
    """TerminateInstances for one instance."""
    if instance.state in ("terminated", "shutting-down"):
        return
    set_state(cloud, instance, "shutting-down", ("Client.UserInitiatedShutdown", "User initiated shutdown"))

    def terminated() -> None:
        instance.state = "terminated"
        instance.public_ip = ""
        for volume_id in instance.volume_ids:
            volume = region.volumes.get(volume_id)
            if volume and volume.delete_on_termination:
                del region.volumes[volume_id]
            elif volume:
                volume.instance_id = ""
        instance.volume_ids = []

    cloud.agenda.after(cloud.delays.transition, terminated)


def account_of(cloud: Cloud, region: Region) -> Account:
    """The account that a region belongs to."""
    return cloud.accounts[region.account]
