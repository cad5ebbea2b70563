# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ECS: which instances belong to which cluster."""

from __future__ import annotations

import typing as t

from simulator.errors import AwsError
from simulator.registry import operation, page, region_of
from simulator.state import Cloud, Region
from simulator.wire import Call

_Dict = dict[str, t.Any]


def _arn(region: Region, kind: str, name: str) -> str:
    return f"arn:aws:ecs:{region.name}:{region.account}:{kind}/{name}"


def _cluster(region: Region, given: str | None) -> str:
    name = (given or "default").rpartition("/")[2]
    if name not in region.clusters:
        raise AwsError("ClusterNotFoundException", "Cluster not found.")
    return name


@operation("ecs", "ListClusters")
def list_clusters(cloud: Cloud, call: Call) -> _Dict:
    """The clusters that the estate's instances name."""
    region = region_of(cloud, call)
    names = [_arn(region, "cluster", name) for name in region.clusters]
    shown, token = page(
        names, call.params.get("maxResults", 100), call.params.get("nextToken"), "InvalidParameterException"
    )
    return {"clusterArns": list(shown), "nextToken": token}


@operation("ecs", "DescribeClusters")
def describe_clusters(cloud: Cloud, call: Call) -> _Dict:
    """Name and size of clusters."""
    region = region_of(cloud, call)
    rows = []
    for given in call.params.get("clusters") or ["default"]:
        name = _cluster(region, given)
        rows.append(
            {
                "clusterArn": _arn(region, "cluster", name),
                "clusterName": name,
                "status": "ACTIVE",
                "registeredContainerInstancesCount": len(region.clusters[name]),
            }
        )
    return {"clusters": rows, "failures": []}


@operation("ecs", "ListContainerInstances")
def list_container_instances(cloud: Cloud, call: Call) -> _Dict:
    """Pages of at most 100."""
    region = region_of(cloud, call)
    name = _cluster(region, call.params.get("cluster"))
    arns = [_arn(region, "container-instance", f"{name}/{instance[2:]}") for instance in region.clusters[name]]
    shown, token = page(
        arns, call.params.get("maxResults", 100), call.params.get("nextToken"), "InvalidParameterException"
    )
    return {"containerInstanceArns": list(shown), "nextToken": token}


@operation("ecs", "DescribeContainerInstances")
def describe_container_instances(cloud: Cloud, call: Call) -> _Dict:
    """Which EC2 instance a container instance is; at most 100 a call."""
    region = region_of(cloud, call)
    name = _cluster(region, call.params.get("cluster"))
    if len(call.params["containerInstances"]) > 100:
        raise AwsError("InvalidParameterException", "At most 100 container instances can be described.")
    members = {instance[2:]: instance for instance in region.clusters[name]}
    rows, failures = [], []
    for given in call.params["containerInstances"]:
        key = given.rpartition("/")[2]
        arn = _arn(region, "container-instance", f"{name}/{key}")
        if key in members:
            rows.append(
                {"containerInstanceArn": arn, "ec2InstanceId": members[key], "status": "ACTIVE", "agentConnected": True}
            )
        else:
            failures.append({"arn": arn, "reason": "MISSING"})
    return {"containerInstances": rows, "failures": failures}
