# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why an instance or group must not be changed here, whatever it would save."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.sizing import Outcome, SizingOptions
from ansible_collections.frugal.cloud.plugins.module_utils.resources import AutoScalingGroup, Instance, PriceList

if t.TYPE_CHECKING:
    from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verdict import Subject


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """Outcome refused, redirected or unknown, and a sentence that says why."""

    outcome: Outcome
    reason: str


#: managed_by -> where the change belongs.
MANAGED = {
    "eks": "is a node of EKS cluster {manager}: change its node group or NodePool, nodes are never resized in place",
    "ecs": "is a container instance of ECS cluster {manager}: change its capacity provider",
    "cloudformation": "belongs to CloudFormation stack {manager}: change InstanceType in its template",
    "terraform": "is managed by Terraform ({manager}): change instance_type in its configuration",
    "spot_fleet": "belongs to Spot Fleet {manager}: change the fleet request",
    "helm": "is managed by Helm release {manager}: change its values",
}


def refusal(subject: Subject, catalog: Mapping[str, int], prices: PriceList, options: SizingOptions) -> Refusal | None:
    """Why ``subject`` must not be changed here, or cannot be judged (outcome ``unknown``); None when it may.

    What cannot be judged comes first: the others still get the figures of what they would save.
    """
    instance = subject.instance
    name = instance.instance_type
    if not name:
        return Refusal("unknown", f"nothing says which instance type {subject.id} has")
    if name not in catalog:
        return Refusal(
            "unknown", f"{subject.id} is of type {name}, which the catalog of {instance.region} does not have"
        )
    price = prices.price(name, instance.operating_system)
    if price is None or price <= 0.0:
        return Refusal(
            "unknown", f"the price list has no {instance.operating_system} price for {name} in {instance.region}"
        )
    if subject.group is not None:
        return _group_refusal(subject.group)
    return _instance_refusal(instance, options)


def _managed(identifier: str, managed_by: str, manager: str) -> Refusal | None:
    if managed_by in ("none", ""):
        return None
    sentence = MANAGED.get(managed_by, "is managed by {managed_by} {manager}: change it there")
    text = sentence.format(manager=manager or "(name unknown)", managed_by=managed_by)
    return Refusal("redirected", f"{identifier} {text}")


def _instance_refusal(instance: Instance, options: SizingOptions) -> Refusal | None:
    identifier = instance.instance_id
    if instance.managed_by == "asg":
        return Refusal(
            "redirected",
            f"{identifier} is a member of Auto Scaling group {instance.manager}: the group is judged as a whole",
        )
    managed = _managed(identifier, instance.managed_by, instance.manager)
    if managed is not None:
        return managed
    if instance.lifecycle != "on-demand":
        return Refusal(
            "refused", f"{identifier} runs as {instance.lifecycle}: its price and capacity are not on demand"
        )
    if instance.state != "running":
        return Refusal("refused", f"{identifier} is {instance.state}: only running instances are resized")
    if instance.tenancy not in ("default", ""):
        return Refusal(
            "refused", f"{identifier} has {instance.tenancy} tenancy: list prices of shared tenancy do not hold"
        )
    if instance.capacity_reservation_id:
        return Refusal(
            "refused",
            f"{identifier} runs in capacity reservation {instance.capacity_reservation_id}, "
            "which would be paid for and empty after a change",
        )
    if instance.placement_group:
        return Refusal(
            "refused",
            f"{identifier} is in placement group {instance.placement_group}: another type may not start there",
        )
    if instance.product_codes:
        return Refusal(
            "refused",
            f"{identifier} runs an AWS Marketplace image ({', '.join(instance.product_codes)}): "
            "its seller sets the types and prices",
        )
    if instance.root_device_type != "ebs":
        return Refusal("refused", f"{identifier} has an {instance.root_device_type} root device: it cannot be stopped")
    return None


def _group_refusal(group: AutoScalingGroup) -> Refusal | None:
    managed = _managed(group.name, group.managed_by, group.manager)
    if managed is not None:
        return managed
    if group.mixed_instances_policy:
        return Refusal(
            "redirected",
            f"{group.name} has a mixed instances policy: change the types of its overrides, there is not one type",
        )
    if group.launch_configuration or not group.launch_template_id:
        return Refusal(
            "redirected",
            f"{group.name} uses a launch configuration, which cannot be changed: move it to a launch template",
        )
    if group.uses_latest_or_default:
        return Refusal(
            "redirected",
            f"{group.name} follows {group.launch_template_version} of its launch template, so a failed instance "
            "refresh could not be rolled back: let it name a version number",
        )
    if len(set(group.instance_types)) > 1:
        return Refusal(
            "refused",
            f"{group.name} has members of several types ({', '.join(sorted(set(group.instance_types)))}): "
            "an instance refresh is probably under way",
        )
    if group.desired_capacity == 0:
        return Refusal("refused", f"{group.name} has a desired capacity of 0: it costs nothing")
    if group.scales_on and group.minimum_capacity != group.maximum_capacity:
        return Refusal(
            "refused",
            f"{group.name} scales its number of instances on {', '.join(group.scales_on)}: "
            "smaller instances would only make it run more of them",
        )
    return None
