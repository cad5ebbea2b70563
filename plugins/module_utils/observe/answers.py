# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cheaper ways through botocore for the answers that a fleet makes large.

botocore walks every member of an answer in Python: of 10,000 instances that is 15 seconds,
of their metrics another minute. What nothing here reads is taken out of the answer's model
before it is walked, and long series of numbers are left as the JSON library gives them.
Each function prepares a client of its own (see ``Aws.client``); where botocore works in
another way than expected, answers are as complete and as slow as botocore makes them.
"""

from __future__ import annotations

import json
import typing as t
from collections.abc import Mapping

#: Member of an answer -> members of it to keep; an empty mapping keeps it whole.
Members = Mapping[str, t.Any]

_NAME: Members = {"Name": {}}
_IDLE_INSTANCE: Members = {"InstanceId": {}, "InstanceType": {}, "State": _NAME, "LaunchTime": {}}
_INSTANCE: Members = {
    **_IDLE_INSTANCE,
    "Architecture": {},
    "BlockDeviceMappings": {"DeviceName": {}, "Ebs": {"VolumeId": {}}},
    "BootMode": {},
    "CapacityReservationId": {},
    "CurrentInstanceBootMode": {},
    "EbsOptimized": {},
    "EnaSupport": {},
    "HibernationOptions": {"Configured": {}},
    "Hypervisor": {},
    "ImageId": {},
    "InstanceLifecycle": {},
    "Monitoring": {"State": {}},
    "NetworkInterfaces": {"InterfaceType": {}, "PrivateIpAddresses": {"Primary": {}}},
    "Placement": {"AvailabilityZone": {}, "GroupName": {}, "Tenancy": {}},
    "PlatformDetails": {},
    "ProductCodes": {"ProductCodeId": {}},
    "PublicIpAddress": {},
    "RootDeviceType": {},
    "Tags": {},
    "VirtualizationType": {},
}
_VOLUME: Members = {
    "Iops": {},
    "MultiAttachEnabled": {},
    "Size": {},
    "Throughput": {},
    "VolumeId": {},
    "VolumeType": {},
}


def only_idle_members(client: t.Any) -> None:
    """DescribeInstances gives who an instance is and since when it runs."""
    _keep(client, "DescribeInstances", {"NextToken": {}, "Reservations": {"Instances": _IDLE_INSTANCE}})


def only_fleet_members(client: t.Any) -> None:
    """DescribeInstances and DescribeVolumes give what constrains a change."""
    _keep(client, "DescribeInstances", {"NextToken": {}, "Reservations": {"Instances": _INSTANCE}})
    _keep(client, "DescribeVolumes", {"NextToken": {}, "Volumes": _VOLUME})


def _keep(client: t.Any, operation: str, members: Members) -> None:
    """Take all other members out of the model of this client's answers."""
    _prune(client.meta.service_model.operation_model(operation).output_shape, members)


def _prune(shape: t.Any, members: Members) -> None:
    while shape.type_name == "list":
        shape = shape.member
    for name in [name for name in shape.members if name not in members]:
        del shape.members[name]
    for name, inner in members.items():
        if inner and name in shape.members:
            _prune(shape.members[name], inner)


def plain_metric_data(client: t.Any) -> None:
    """GetMetricData gives timestamps as seconds since the epoch where the service answers in JSON.

    Where it speaks another protocol (older and newer botocore), they are datetimes as ever.
    """
    client.meta.events.register("before-parse.cloudwatch.GetMetricData", _metric_data)


def _metric_data(
    response_dict: dict[str, t.Any], customized_response_dict: dict[str, t.Any], **_unused: object
) -> None:
    if response_dict["status_code"] != 200 or "json" not in response_dict["headers"].get("Content-Type", ""):
        return
    try:
        answer = json.loads(response_dict["body"])
    except ValueError:
        return  # botocore says better what is wrong with it
    if isinstance(answer, dict):
        customized_response_dict.update(answer)
        response_dict["body"] = b"{}"
