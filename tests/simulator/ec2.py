# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""EC2: instances, volumes, images, types, addresses and tags."""

from __future__ import annotations

import time
import typing as t

from simulator import autoscaling, catalog, lifecycle
from simulator.errors import AwsError
from simulator.registry import account_of, apply_filters, operation, page, region_of, tag_list
from simulator.state import STATE_CODES, Cloud, Image, Instance, Region, Volume
from simulator.wire import Call, iso_time

_Dict = dict[str, t.Any]


def _limits(params: _Dict, smallest: int, largest: int, default: int) -> int:
    wanted = params.get("MaxResults")
    if wanted is None:
        return default
    if not smallest <= wanted <= largest:
        raise AwsError(
            "InvalidParameterValue",
            f"Value ( {wanted} ) for parameter maxResults is invalid. "
            f"Expecting a value between {smallest} and {largest}.",
        )
    return int(wanted)


def _dry_run(params: _Dict) -> None:
    if params.get("DryRun"):
        raise AwsError("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)


def _page(items: t.Sequence[t.Any], params: _Dict, key: str, show: t.Callable[[t.Any], _Dict], limit: int) -> _Dict:
    chosen, token = page(items, limit, params.get("NextToken"), "InvalidNextToken")
    return {key: [show(item) for item in chosen], "NextToken": token}


# --- instances: reading ------------------------------------------------------------------


def _describe_instance(region: Region, instance: Instance) -> _Dict:
    """One instance as DescribeInstances shows it."""
    image, state, spec = instance.image, instance.state, instance.spec
    alive = state not in ("terminated", "shutting-down")
    placement: _Dict = {"AvailabilityZone": instance.zone, "Tenancy": instance.tenancy, "GroupName": ""}
    if instance.placement_group:
        placement["GroupName"] = instance.placement_group
    answer: _Dict = {
        "InstanceId": instance.instance_id,
        "ImageId": image.image_id,
        "State": {"Code": STATE_CODES[state], "Name": state},
        "PrivateDnsName": f"ip-{instance.private_ip.replace('.', '-')}.ec2.internal" if alive else "",
        "PublicDnsName": "",
        "StateTransitionReason": instance.state_transition,
        "AmiLaunchIndex": 0,
        "ProductCodes": [{"ProductCodeId": code, "ProductCodeType": "marketplace"} for code in image.product_codes],
        "InstanceType": instance.instance_type,
        "LaunchTime": instance.launch_time,
        "Placement": placement,
        "Monitoring": {"State": "enabled" if instance.detailed_monitoring else "disabled"},
        "Architecture": image.architecture,
        "RootDeviceType": image.root_device_type,
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [_mapping(region.volumes[volume]) for volume in instance.volume_ids],
        "VirtualizationType": image.virtualization_type,
        "ClientToken": "",
        "Tags": tag_list(instance.tags),
        "Hypervisor": "xen",
        "EbsOptimized": instance.ebs_optimized,
        "EnaSupport": image.ena,
        "CpuOptions": {"CoreCount": max(1, spec.vcpus // 2), "ThreadsPerCore": 2 if spec.vcpus > 1 else 1},
        "CapacityReservationSpecification": {"CapacityReservationPreference": "open"},
        "HibernationOptions": {"Configured": instance.hibernation},
        "MetadataOptions": {"State": "applied", "HttpTokens": "required", "HttpEndpoint": "enabled"},
        "EnclaveOptions": {"Enabled": False},
        "PlatformDetails": image.platform_details,
        "UsageOperation": image.usage_operation,
        "MaintenanceOptions": {"AutoRecovery": "default"},
        "CurrentInstanceBootMode": _current_boot_mode(image),
    }
    if alive:
        answer["PrivateIpAddress"] = instance.private_ip
        answer["SubnetId"], answer["VpcId"] = _subnet(region, instance.zone), _vpc(region)
        answer["NetworkInterfaces"] = _interfaces(region, instance)
        answer["SecurityGroups"] = [{"GroupName": "default", "GroupId": _group_id(region)}]
    if image.boot_mode:
        answer["BootMode"] = image.boot_mode
    if image.operating_system == "Windows":
        answer["Platform"] = "windows"
    if instance.public_ip:
        answer["PublicIpAddress"] = instance.public_ip
        answer["PublicDnsName"] = f"ec2-{instance.public_ip.replace('.', '-')}.compute-1.amazonaws.com"
    if instance.lifecycle:
        answer["InstanceLifecycle"] = instance.lifecycle
    if instance.capacity_reservation_id:
        answer["CapacityReservationId"] = instance.capacity_reservation_id
    if instance.key_name:
        answer["KeyName"] = instance.key_name
    if instance.state_reason:
        answer["StateReason"] = {"Code": instance.state_reason[0], "Message": instance.state_reason[1]}
    return answer


def _current_boot_mode(image: Image) -> str:
    # Graviton machines always boot with UEFI.
    return "uefi" if image.architecture == "arm64" or image.boot_mode in ("uefi", "uefi-preferred") else "legacy-bios"


def _vpc(region: Region) -> str:
    return f"vpc-{region.account}"


def _subnet(region: Region, zone: str) -> str:
    return f"subnet-{region.account}{zone[-1]}"


def _group_id(region: Region) -> str:
    return f"sg-{region.account}"


def _mapping(volume: Volume) -> _Dict:
    return {
        "DeviceName": volume.device,
        "Ebs": {
            "VolumeId": volume.volume_id,
            "Status": "attached",
            "AttachTime": volume.created,
            "DeleteOnTermination": volume.delete_on_termination,
        },
    }


def _interfaces(region: Region, instance: Instance) -> list[_Dict]:
    public = instance.public_ip
    association = {
        "PublicIp": public,
        "PublicDnsName": f"ec2-{public.replace('.', '-')}.compute-1.amazonaws.com",
        "IpOwnerId": region.account if instance.address_id else "amazon",
    }
    result = []
    for index in range(1 + instance.extra_interfaces):
        addresses = [
            {"Primary": number == 0, "PrivateIpAddress": _secondary(instance.private_ip, index, number)}
            for number in range(instance.addresses_per_interface)
        ]
        interface: _Dict = {
            "NetworkInterfaceId": instance.interface_id if index == 0 else f"{instance.interface_id}-{index}",
            "OwnerId": region.account,
            "Status": "in-use",
            "SourceDestCheck": True,
            "InterfaceType": "interface",
            "SubnetId": _subnet(region, instance.zone),
            "VpcId": _vpc(region),
            "PrivateIpAddress": addresses[0]["PrivateIpAddress"],
            "PrivateIpAddresses": addresses,
            "Groups": [{"GroupName": "default", "GroupId": _group_id(region)}],
            "Attachment": {
                "AttachmentId": f"eni-attach-{instance.interface_id[4:]}",
                "DeviceIndex": index,
                "Status": "attached",
                "DeleteOnTermination": index == 0,
                "AttachTime": instance.launch_time,
                "NetworkCardIndex": 0,
            },
        }
        if index == 0 and public:
            interface["Association"] = association
            addresses[0]["Association"] = association
        result.append(interface)
    return result


def _secondary(address: str, index: int, number: int) -> str:
    if index == 0 and number == 0:
        return address
    return f"172.{16 + index % 16}.{address.split('.')[2]}.{(int(address.split('.')[3]) + number) % 256}"


_INSTANCE_FILTERS: dict[str, t.Callable[[t.Any], t.Iterable[str]]] = {
    "instance-id": lambda i: (i.instance_id,),
    "instance-type": lambda i: (i.instance_type,),
    "instance-state-name": lambda i: (i.state,),
    "instance-state-code": lambda i: (str(STATE_CODES[i.state]),),
    "availability-zone": lambda i: (i.zone,),
    "image-id": lambda i: (i.image.image_id,),
    "architecture": lambda i: (i.image.architecture,),
    "instance-lifecycle": lambda i: (i.lifecycle,) if i.lifecycle else (),
    "tenancy": lambda i: (i.tenancy,),
    "platform": lambda i: ("windows",) if i.image.operating_system == "Windows" else (),
    "platform-details": lambda i: (i.image.platform_details,),
    "root-device-type": lambda i: (i.image.root_device_type,),
    "virtualization-type": lambda i: (i.image.virtualization_type,),
    "hypervisor": lambda i: ("xen",),
    "placement-group-name": lambda i: (i.placement_group,) if i.placement_group else (),
    "private-ip-address": lambda i: (i.private_ip,),
    "ip-address": lambda i: (i.public_ip,) if i.public_ip else (),
    "key-name": lambda i: (i.key_name,) if i.key_name else (),
    "monitoring-state": lambda i: ("enabled" if i.detailed_monitoring else "disabled",),
    "block-device-mapping.volume-id": lambda i: tuple(i.volume_ids),
    "capacity-reservation-id": lambda i: (i.capacity_reservation_id,) if i.capacity_reservation_id else (),
    "launch-time": lambda i: (iso_time(i.launch_time),),
    "reservation-id": lambda i: (_reservation_id(i),),
}


def _reservation_id(instance: Instance) -> str:
    return f"r-{instance.instance_id[2:]}"


def _chosen(region: Region, params: _Dict) -> list[Instance]:
    ids, filters = params.get("InstanceIds") or [], params.get("Filters") or []
    if ids and params.get("MaxResults") is not None:
        raise AwsError(
            "InvalidParameterCombination",
            "The parameter instancesSet cannot be used with the parameter maxResults",
        )
    chosen = [region.instance(name) for name in ids] if ids else list(region.instances.values())
    if not filters:
        return chosen
    return apply_filters(chosen, filters, _INSTANCE_FILTERS, lambda item: item.tags)


@operation("ec2", "DescribeInstances")
def describe_instances(cloud: Cloud, call: Call) -> _Dict:
    """One reservation an instance; pages count instances, as EC2's do."""
    _dry_run(call.params)
    region = region_of(cloud, call)
    limit = _limits(call.params, 5, 1000, 1000)
    chosen, token = page(_chosen(region, call.params), limit, call.params.get("NextToken"), "InvalidNextToken")
    reservations = [
        {
            "ReservationId": _reservation_id(instance),
            "OwnerId": region.account,
            "Groups": [],
            "Instances": [_describe_instance(region, instance)],
        }
        for instance in chosen
    ]
    return {"Reservations": reservations, "NextToken": token}


@operation("ec2", "DescribeInstanceStatus")
def describe_instance_status(cloud: Cloud, call: Call) -> _Dict:
    """Status checks: initializing for a while after the start, then ok, or impaired."""
    params = call.params
    region = region_of(cloud, call)
    limit = _limits(params, 5, 1000, 1000)
    chosen = _chosen(region, {key: params.get(key) for key in ("InstanceIds", "MaxResults")})
    if not params.get("IncludeAllInstances"):
        chosen = [instance for instance in chosen if instance.state == "running"]
    extractors = {
        "instance-state-name": lambda i: (i.state,),
        "availability-zone": lambda i: (i.zone,),
        "instance-status.status": lambda i: (_status(i)[0],),
        "system-status.status": lambda i: (_status(i)[1],),
    }
    chosen = apply_filters(chosen, params.get("Filters") or [], extractors, lambda item: item.tags)

    def show(instance: Instance) -> _Dict:
        own, system = _status(instance)
        return {
            "InstanceId": instance.instance_id,
            "AvailabilityZone": instance.zone,
            "InstanceState": {"Code": STATE_CODES[instance.state], "Name": instance.state},
            "InstanceStatus": {"Status": own, "Details": _status_details(own)},
            "SystemStatus": {"Status": system, "Details": _status_details(system)},
        }

    return _page(chosen, params, "InstanceStatuses", show, limit)


def _status(instance: Instance) -> tuple[str, str]:
    if instance.state != "running":
        return "not-applicable", "not-applicable"
    if time.monotonic() < instance.status_ok_at:
        return "initializing", "initializing"
    return ("impaired" if instance.impaired else "ok"), "ok"


def _status_details(status: str) -> list[_Dict]:
    if status == "not-applicable":
        return []
    word = {"ok": "passed", "impaired": "failed"}.get(status, status)
    return [{"Name": "reachability", "Status": word}]


@operation("ec2", "DescribeInstanceAttribute")
def describe_instance_attribute(cloud: Cloud, call: Call) -> _Dict:
    """The attributes that matter for a change of type."""
    _dry_run(call.params)
    instance = region_of(cloud, call).instance(call.params["InstanceId"])
    values: _Dict = {
        "instanceType": ("InstanceType", {"Value": instance.instance_type}),
        "disableApiStop": ("DisableApiStop", {"Value": instance.disable_api_stop}),
        "disableApiTermination": ("DisableApiTermination", {"Value": instance.disable_api_termination}),
        "ebsOptimized": ("EbsOptimized", {"Value": instance.ebs_optimized}),
        "enaSupport": ("EnaSupport", {"Value": instance.image.ena}),
        "instanceInitiatedShutdownBehavior": ("InstanceInitiatedShutdownBehavior", {"Value": "stop"}),
        "sourceDestCheck": ("SourceDestCheck", {"Value": True}),
        "userData": ("UserData", {}),
    }
    name = call.params["Attribute"]
    if name not in values:
        raise AwsError(
            "InvalidParameterValue", f"Value ({name}) for parameter attribute is invalid. Unknown attribute."
        )
    key, value = values[name]
    return {"InstanceId": instance.instance_id, key: value}


@operation("ec2", "DescribeInstanceCreditSpecifications")
def describe_credits(cloud: Cloud, call: Call) -> _Dict:
    """standard or unlimited, for burstable instances; T3 and T4g are unlimited unless told otherwise."""
    params = call.params
    chosen = [
        i for i in _chosen(region_of(cloud, call), {"InstanceIds": params.get("InstanceIds")}) if i.spec.burstable
    ]
    return _page(
        chosen,
        params,
        "InstanceCreditSpecifications",
        lambda i: {"InstanceId": i.instance_id, "CpuCredits": credit_mode(i)},
        _limits(params, 5, 1000, 1000),
    )


def credit_mode(instance: Instance) -> str:
    """The instance's CPU credit mode."""
    return instance.credit_mode or ("standard" if instance.instance_type.startswith("t2.") else "unlimited")


# --- instances: changing -----------------------------------------------------------------


def _state(name: str) -> _Dict:
    return {"Code": STATE_CODES[name], "Name": name}


def _each(
    cloud: Cloud, call: Call, check: t.Callable[[Region, Instance], None], act: t.Callable[[Region, Instance], None]
) -> list[_Dict]:
    """Check all, then act on all: a batch with one bad instance changes nothing, as in EC2."""
    region = region_of(cloud, call)
    chosen = [region.instance(name) for name in call.params["InstanceIds"]]
    for instance in chosen:
        check(region, instance)
    _dry_run(call.params)
    changes = []
    for instance in chosen:
        before = instance.state
        act(region, instance)
        call.touched(instance.instance_id, instance.state != before)
        if instance.group_name and instance.state in ("stopping", "shutting-down"):
            # Its group finds it unhealthy, terminates it and launches another.
            cloud.agenda.after(2 * cloud.delays.transition, lambda: autoscaling.heal(cloud))
        changes.append(
            {
                "InstanceId": instance.instance_id,
                "PreviousState": _state(before),
                "CurrentState": _state(instance.state),
            }
        )
    return changes


@operation("ec2", "StopInstances")
def stop_instances(cloud: Cloud, call: Call) -> _Dict:
    """running -> stopping -> (after a real delay) stopped."""
    return {
        "StoppingInstances": _each(
            cloud, call, lambda _region, i: lifecycle.check_stop(i), lambda region, i: lifecycle.stop(cloud, region, i)
        )
    }


@operation("ec2", "StartInstances")
def start_instances(cloud: Cloud, call: Call) -> _Dict:
    """stopped -> pending -> (after a real delay) running."""
    return {
        "StartingInstances": _each(
            cloud,
            call,
            lambda region, i: lifecycle.check_start(cloud, region, i),
            lambda region, i: lifecycle.start(cloud, region, i),
        )
    }


@operation("ec2", "RebootInstances")
def reboot_instances(cloud: Cloud, call: Call) -> _Dict:
    """Changes nothing that can be seen."""
    _each(cloud, call, lambda _region, _i: None, lambda _region, _i: None)
    return {}


@operation("ec2", "TerminateInstances")
def terminate_instances(cloud: Cloud, call: Call) -> _Dict:
    """running -> shutting-down -> (after a real delay) terminated."""

    def check(_region: Region, instance: Instance) -> None:
        if instance.disable_api_termination:
            raise AwsError(
                "OperationNotPermitted",
                f"The instance '{instance.instance_id}' may not be terminated. Modify its 'disableApiTermination' "
                "instance attribute and try again.",
            )

    changes = _each(cloud, call, check, lambda region, i: lifecycle.terminate(cloud, region, i))
    return {"TerminatingInstances": changes}


@operation("ec2", "ModifyInstanceAttribute")
def modify_instance_attribute(cloud: Cloud, call: Call) -> _Dict:
    """InstanceType (while stopped), DisableApiStop, DisableApiTermination, EbsOptimized."""
    params = call.params
    region = region_of(cloud, call)
    instance = region.instance(params["InstanceId"])
    wanted = params.get("InstanceType", {}).get("Value")
    if params.get("Attribute") == "instanceType":
        wanted = params.get("Value")
    if wanted is not None:
        lifecycle.check_type(cloud, region, instance, wanted)
    _dry_run(params)
    if wanted is not None:
        call.touched(instance.instance_id, lifecycle.change_type(cloud, region, instance, wanted))
    for key, attribute in (
        ("DisableApiStop", "disable_api_stop"),
        ("DisableApiTermination", "disable_api_termination"),
        ("EbsOptimized", "ebs_optimized"),
    ):
        value = params.get(key, {}).get("Value")
        if value is not None:
            call.touched(instance.instance_id, getattr(instance, attribute) != value)
            setattr(instance, attribute, value)
    return {}


@operation("ec2", "ModifyInstanceCreditSpecification")
def modify_credits(cloud: Cloud, call: Call) -> _Dict:
    """standard or unlimited."""
    _dry_run(call.params)
    region = region_of(cloud, call)
    done = []
    for one in call.params["InstanceCreditSpecifications"]:
        instance = region.instance(one["InstanceId"])
        call.touched(instance.instance_id, credit_mode(instance) != one["CpuCredits"])
        instance.credit_mode = one["CpuCredits"]
        done.append({"InstanceId": instance.instance_id})
    return {"SuccessfulInstanceCreditSpecifications": done, "UnsuccessfulInstanceCreditSpecifications": []}


def _monitoring(cloud: Cloud, call: Call, enabled: bool) -> _Dict:
    _dry_run(call.params)
    region = region_of(cloud, call)
    rows = []
    for name in call.params["InstanceIds"]:
        instance = region.instance(name)
        call.touched(name, instance.detailed_monitoring != enabled)
        instance.detailed_monitoring = enabled
        rows.append({"InstanceId": name, "Monitoring": {"State": "enabled" if enabled else "disabled"}})
    return {"InstanceMonitorings": rows}


@operation("ec2", "MonitorInstances")
def monitor_instances(cloud: Cloud, call: Call) -> _Dict:
    """Detailed monitoring on."""
    return _monitoring(cloud, call, True)


@operation("ec2", "UnmonitorInstances")
def unmonitor_instances(cloud: Cloud, call: Call) -> _Dict:
    """Detailed monitoring off."""
    return _monitoring(cloud, call, False)


@operation("ec2", "RunInstances")
def run_instances(cloud: Cloud, call: Call) -> _Dict:
    """Plain launches only: an image of the estate, a type, a zone, tags. The new machine does no work."""
    params = call.params
    region = region_of(cloud, call)
    image = region.images.get(params.get("ImageId", ""))
    if image is None:
        raise AwsError("InvalidAMIID.NotFound", f"The image id '[{params.get('ImageId')}]' does not exist")
    zone = params.get("Placement", {}).get("AvailabilityZone", f"{region.name}a")
    kind = params.get("InstanceType", "m1.small")
    tags = {
        tag["Key"]: tag["Value"]
        for one in params.get("TagSpecifications", [])
        if one.get("ResourceType") == "instance"
        for tag in one.get("Tags", [])
    }
    blank = Instance("", kind, zone, image, 0.0, "", "")
    if catalog.spec(kind) is None:
        raise AwsError("InvalidParameterValue", f"Invalid value '{kind}' for InstanceType.")
    lifecycle.check_image(image, blank.spec)
    lifecycle.check_capacity(cloud, region, kind, zone)
    _dry_run(params)
    made = [lifecycle.launch(cloud, region, blank, kind, zone, tags) for _number in range(params["MaxCount"])]
    for instance in made:
        call.touched(instance.instance_id)
    return {
        "ReservationId": _reservation_id(made[0]),
        "OwnerId": region.account,
        "Groups": [],
        "Instances": [_describe_instance(region, instance) for instance in made],
    }


# --- volumes, images, addresses ----------------------------------------------------------


@operation("ec2", "DescribeVolumes")
def describe_volumes(cloud: Cloud, call: Call) -> _Dict:
    """Pages of 5..500 (1000 without MaxResults), filters by attachment, type, state and tags."""
    _dry_run(call.params)
    params = call.params
    region = region_of(cloud, call)
    ids = params.get("VolumeIds") or []
    for name in ids:
        if name not in region.volumes:
            raise AwsError("InvalidVolume.NotFound", f"The volume '{name}' does not exist.")
    chosen = [region.volumes[name] for name in ids] if ids else list(region.volumes.values())
    extractors: dict[str, t.Callable[[t.Any], t.Iterable[str]]] = {
        "attachment.instance-id": lambda v: (v.instance_id,) if v.instance_id else (),
        "attachment.device": lambda v: (v.device,) if v.instance_id else (),
        "attachment.status": lambda v: ("attached",) if v.instance_id else (),
        "availability-zone": lambda v: (v.zone,),
        "status": lambda v: ("in-use" if v.instance_id else "available",),
        "volume-id": lambda v: (v.volume_id,),
        "volume-type": lambda v: (v.volume_type,),
        "size": lambda v: (str(v.size_gib),),
        "encrypted": lambda v: (str(v.encrypted).lower(),),
    }
    chosen = apply_filters(chosen, params.get("Filters") or [], extractors, lambda item: item.tags)
    return _page(chosen, params, "Volumes", _describe_volume, _limits(params, 5, 1000, 1000))


def _describe_volume(volume: Volume) -> _Dict:
    answer: _Dict = {
        "VolumeId": volume.volume_id,
        "Size": volume.size_gib,
        "SnapshotId": "",
        "AvailabilityZone": volume.zone,
        "State": "in-use" if volume.instance_id else "available",
        "CreateTime": volume.created,
        "Attachments": [],
        "Tags": tag_list(volume.tags),
        "VolumeType": volume.volume_type,
        "Encrypted": volume.encrypted,
        "MultiAttachEnabled": False,
        "Iops": volume.iops,
        "Throughput": volume.throughput,
    }
    if volume.instance_id:
        answer["Attachments"] = [
            {
                "VolumeId": volume.volume_id,
                "InstanceId": volume.instance_id,
                "Device": volume.device,
                "State": "attached",
                "AttachTime": volume.created,
                "DeleteOnTermination": volume.delete_on_termination,
            }
        ]
    return answer


@operation("ec2", "DescribeImages")
def describe_images(cloud: Cloud, call: Call) -> _Dict:
    """The images of the estate's instances."""
    _dry_run(call.params)
    params = call.params
    region = region_of(cloud, call)
    ids = params.get("ImageIds") or []
    for name in ids:
        if name not in region.images:
            raise AwsError("InvalidAMIID.NotFound", f"The image id '[{name}]' does not exist")
    chosen = [region.images[name] for name in ids] if ids else list(region.images.values())
    extractors: dict[str, t.Callable[[t.Any], t.Iterable[str]]] = {
        "architecture": lambda i: (i.architecture,),
        "image-id": lambda i: (i.image_id,),
        "name": lambda i: (i.name,),
        "platform": lambda i: ("windows",) if i.operating_system == "Windows" else (),
        "root-device-type": lambda i: (i.root_device_type,),
        "virtualization-type": lambda i: (i.virtualization_type,),
        "ena-support": lambda i: (str(i.ena).lower(),),
        "state": lambda _i: ("available",),
        "is-public": lambda _i: ("false",),
        "owner-id": lambda _i: (region.account,),
    }
    chosen = apply_filters(chosen, params.get("Filters") or [], extractors, lambda _item: {})
    owners = params.get("Owners")
    if owners and not {"self", region.account} & set(owners):
        chosen = []
    return _page(chosen, params, "Images", lambda i: _describe_image(region, i), _limits(params, 1, 1000, 1000))


def _describe_image(region: Region, image: Image) -> _Dict:
    answer: _Dict = {
        "ImageId": image.image_id,
        "Name": image.name,
        "ImageLocation": f"{region.account}/{image.name}",
        "OwnerId": region.account,
        "State": "available",
        "Public": False,
        "ImageType": "machine",
        "Architecture": image.architecture,
        "VirtualizationType": image.virtualization_type,
        "Hypervisor": "xen",
        "EnaSupport": image.ena,
        "RootDeviceType": image.root_device_type,
        "RootDeviceName": "/dev/xvda",
        "PlatformDetails": image.platform_details,
        "UsageOperation": image.usage_operation,
        "CreationDate": "2024-01-01T00:00:00.000Z",
        "ProductCodes": [{"ProductCodeId": code, "ProductCodeType": "marketplace"} for code in image.product_codes],
        "BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 8, "VolumeType": "gp3"}}],
        "BootMode": image.boot_mode,
    }
    if image.operating_system == "Windows":
        answer["Platform"] = "windows"
    return answer


@operation("ec2", "DescribeAddresses")
def describe_addresses(cloud: Cloud, call: Call) -> _Dict:
    """Elastic IPs, attached or not."""
    _dry_run(call.params)
    params = call.params
    region = region_of(cloud, call)
    extractors: dict[str, t.Callable[[t.Any], t.Iterable[str]]] = {
        "instance-id": lambda a: (a.instance_id,) if a.instance_id else (),
        "allocation-id": lambda a: (a.allocation_id,),
        "public-ip": lambda a: (a.public_ip,),
        "domain": lambda _a: ("vpc",),
    }
    chosen = list(region.addresses.values())
    if params.get("AllocationIds"):
        chosen = [a for a in chosen if a.allocation_id in params["AllocationIds"]]
    if params.get("PublicIps"):
        chosen = [a for a in chosen if a.public_ip in params["PublicIps"]]
    chosen = apply_filters(chosen, params.get("Filters") or [], extractors, lambda item: item.tags)
    rows = []
    for address in chosen:
        row: _Dict = {
            "AllocationId": address.allocation_id,
            "PublicIp": address.public_ip,
            "Domain": "vpc",
            "PublicIpv4Pool": "amazon",
            "NetworkBorderGroup": region.name,
            "Tags": tag_list(address.tags),
        }
        if address.instance_id:
            instance = region.instances[address.instance_id]
            row["InstanceId"] = address.instance_id
            row["AssociationId"] = f"eipassoc-{address.allocation_id[9:]}"
            row["NetworkInterfaceId"] = instance.interface_id
            row["NetworkInterfaceOwnerId"] = region.account
            row["PrivateIpAddress"] = instance.private_ip
        rows.append(row)
    return {"Addresses": rows}


# --- types, regions ----------------------------------------------------------------------


@operation("ec2", "DescribeInstanceTypes")
def describe_instance_types(_cloud: Cloud, call: Call) -> _Dict:
    """moto's bundled copy of the real catalog, in pages of at most 100; only what the region offers."""
    _dry_run(call.params)
    params = call.params
    rows = catalog.raw_types()
    wanted = params.get("InstanceTypes") or []
    unknown = [name for name in wanted if name not in rows]
    if unknown:
        raise AwsError(
            "InvalidInstanceType", f"The following supplied instance types do not exist: [{', '.join(unknown)}]"
        )
    chosen = [rows[name] for name in wanted] if wanted else list(rows.values())
    extractors: dict[str, t.Callable[[t.Any], t.Iterable[str]]] = {
        "instance-type": lambda r: (r["InstanceType"],),
        "current-generation": lambda r: (str(r["CurrentGeneration"]).lower(),),
        "bare-metal": lambda r: (str(r["BareMetal"]).lower(),),
        "burstable-performance-supported": lambda r: (str(r["BurstablePerformanceSupported"]).lower(),),
        "hypervisor": lambda r: (r.get("Hypervisor", ""),),
        "instance-storage-supported": lambda r: (str(r["InstanceStorageSupported"]).lower(),),
        "processor-info.supported-architecture": lambda r: tuple(r["ProcessorInfo"]["SupportedArchitectures"]),
        "supported-usage-class": lambda r: tuple(r["SupportedUsageClasses"]),
        "supported-virtualization-type": lambda r: tuple(r["SupportedVirtualizationTypes"]),
        "vcpu-info.default-vcpus": lambda r: (str(r["VCpuInfo"]["DefaultVCpus"]),),
        "memory-info.size-in-mib": lambda r: (str(r["MemoryInfo"]["SizeInMiB"]),),
    }
    chosen = apply_filters(chosen, params.get("Filters") or [], extractors, lambda _item: {})
    return _page(chosen, params, "InstanceTypes", _modelled_type, _limits(params, 5, 100, 100))


def _modelled_type(row: _Dict) -> _Dict:
    """The row without what moto adds to the API's own members."""
    return {key: value for key, value in row.items() if key != "SupportedInRegion"}


@operation("ec2", "DescribeInstanceTypeOfferings")
def describe_offerings(_cloud: Cloud, call: Call) -> _Dict:
    """Which types a region or zone offers, in pages of at most 1000."""
    _dry_run(call.params)
    params = call.params
    rows = list(catalog.raw_offerings(call.region, params.get("LocationType", "region")))
    extractors: dict[str, t.Callable[[t.Any], t.Iterable[str]]] = {
        "instance-type": lambda r: (r["InstanceType"],),
        "location": lambda r: (r["Location"],),
    }
    chosen = apply_filters(rows, params.get("Filters") or [], extractors, lambda _item: {})
    limit = _limits(params, 5, 1000, 1000)
    return _page(chosen, params, "InstanceTypeOfferings", lambda row: row, limit)


_REGIONS = (
    "us-east-1 us-east-2 us-west-1 us-west-2 ca-central-1 eu-central-1 eu-north-1 eu-west-1 eu-west-2 eu-west-3 "
    "ap-northeast-1 ap-northeast-2 ap-northeast-3 ap-south-1 ap-southeast-1 ap-southeast-2 sa-east-1"
).split()


@operation("ec2", "DescribeRegions")
def describe_regions(_cloud: Cloud, call: Call) -> _Dict:
    """The regions that are enabled by default."""
    _dry_run(call.params)
    wanted = call.params.get("RegionNames") or _REGIONS
    for name in wanted:
        if name not in _REGIONS:
            raise AwsError("InvalidParameterValue", f"Invalid region '{name}' provided.")
    rows = [
        {"RegionName": name, "Endpoint": f"ec2.{name}.amazonaws.com", "OptInStatus": "opt-in-not-required"}
        for name in wanted
    ]
    extractors: dict[str, t.Callable[[t.Any], t.Iterable[str]]] = {
        "region-name": lambda r: (r["RegionName"],),
        "opt-in-status": lambda r: (r["OptInStatus"],),
        "endpoint": lambda r: (r["Endpoint"],),
    }
    return {"Regions": apply_filters(rows, call.params.get("Filters") or [], extractors, lambda _item: {})}


@operation("ec2", "DescribeAvailabilityZones")
def describe_zones(_cloud: Cloud, call: Call) -> _Dict:
    """The zones of the region, as its offerings name them."""
    zones = sorted({zone for _type, zone in catalog.offered(call.region)}) or [f"{call.region}{c}" for c in "abc"]
    if call.params.get("ZoneNames"):
        zones = [zone for zone in zones if zone in call.params["ZoneNames"]]
    return {
        "AvailabilityZones": [
            {
                "ZoneName": zone,
                "ZoneId": zone,
                "State": "available",
                "RegionName": call.region,
                "ZoneType": "availability-zone",
                "OptInStatus": "opt-in-not-required",
            }
            for zone in zones
        ]
    }


@operation("ec2", "DescribeReservedInstances")
def describe_reserved_instances(cloud: Cloud, call: Call) -> _Dict:
    """The account's reservations in this region."""
    _dry_run(call.params)
    rows = []
    now = cloud.clock.now()
    for one in account_of(cloud, call).reservations:
        if one.region != call.region:
            continue
        rows.append(
            {
                "ReservedInstancesId": one.reservation_id,
                "InstanceType": one.instance_type,
                "InstanceCount": one.count,
                "Scope": "Region",
                "State": "active" if one.start <= now < one.end else "retired",
                "Start": one.start,
                "End": one.end,
                "Duration": int(one.end - one.start),
                "ProductDescription": one.platform,
                "OfferingClass": "standard",
                "OfferingType": "No Upfront",
                "InstanceTenancy": "default",
                "CurrencyCode": "USD",
                "FixedPrice": 0.0,
                "UsagePrice": 0.0,
                "RecurringCharges": [],
            }
        )
    extractors: dict[str, t.Callable[[t.Any], t.Iterable[str]]] = {
        "state": lambda r: (r["State"],),
        "instance-type": lambda r: (r["InstanceType"],),
        "scope": lambda r: (r["Scope"],),
    }
    return {"ReservedInstances": apply_filters(rows, call.params.get("Filters") or [], extractors, lambda _item: {})}


# --- tags --------------------------------------------------------------------------------


def _tagged(region: Region, resource: str) -> dict[str, str]:
    stores: tuple[t.Mapping[str, t.Any], ...] = (
        region.instances,
        region.volumes,
        region.addresses,
        region.templates,
    )
    for store in stores:
        if resource in store:
            return t.cast("dict[str, str]", store[resource].tags)
    raise AwsError("InvalidID", f"The ID '{resource}' is not valid")


@operation("ec2", "CreateTags")
def create_tags(cloud: Cloud, call: Call) -> _Dict:
    """Sets tags on resources of the estate."""
    _dry_run(call.params)
    region = region_of(cloud, call)
    wanted = {tag["Key"]: tag.get("Value", "") for tag in call.params["Tags"]}
    found = [(name, _tagged(region, name)) for name in call.params["Resources"]]
    for name, tags in found:
        call.touched(name, any(tags.get(key) != value for key, value in wanted.items()))
        tags.update(wanted)
    return {}


@operation("ec2", "DeleteTags")
def delete_tags(cloud: Cloud, call: Call) -> _Dict:
    """Removes tags, where a value is given only if it is the present one."""
    _dry_run(call.params)
    region = region_of(cloud, call)
    found = [(name, _tagged(region, name)) for name in call.params["Resources"]]
    for name, tags in found:
        before = len(tags)
        if "Tags" not in call.params:
            tags.clear()
        for tag in call.params.get("Tags", []):
            if tag.get("Value") in (None, tags.get(tag["Key"])):
                tags.pop(tag["Key"], None)
        call.touched(name, len(tags) != before)
    return {}


@operation("ec2", "DescribeTags")
def describe_tags(cloud: Cloud, call: Call) -> _Dict:
    """Tags of instances, volumes, addresses and launch templates."""
    _dry_run(call.params)
    region = region_of(cloud, call)
    stores: tuple[tuple[str, t.Mapping[str, t.Any]], ...] = (
        ("instance", region.instances),
        ("volume", region.volumes),
        ("elastic-ip", region.addresses),
        ("launch-template", region.templates),
    )
    rows = [
        {"ResourceId": name, "ResourceType": kind, "Key": key, "Value": value}
        for kind, store in stores
        for name, resource in store.items()
        for key, value in resource.tags.items()
    ]
    extractors: dict[str, t.Callable[[t.Any], t.Iterable[str]]] = {
        "resource-id": lambda r: (r["ResourceId"],),
        "resource-type": lambda r: (r["ResourceType"],),
        "key": lambda r: (r["Key"],),
        "value": lambda r: (r["Value"],),
    }
    chosen = apply_filters(rows, call.params.get("Filters") or [], extractors, lambda _item: {})
    return _page(chosen, call.params, "Tags", lambda row: row, _limits(call.params, 5, 1000, 1000))
