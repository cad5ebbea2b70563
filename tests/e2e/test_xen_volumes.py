# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Xen types have no EBS metrics of their own: what their volumes moved says how much EBS bandwidth they need."""

from __future__ import annotations

import typing as t
from collections.abc import Callable

import pytest
from ansible_collections.frugal.cloud.tests.e2e.loop import Loop, estate

CURRENT = "m4.4xlarge"
USAGE = {"profile": "office", "cpu_percent": 6, "memory_percent": 12, "network_mbps": 5, "ebs_iops": 20}


def machine(name: str) -> dict[str, t.Any]:
    return {
        "name": name,
        "type": CURRENT,
        "usage": name,
        "memory_agent": True,
        "volumes": [{"size": 100, "type": "gp2"}, {"size": 200, "type": "gp2"}],
    }


@pytest.fixture(scope="module")
def loop(make_loop: Callable[..., Loop]) -> Loop:
    usage = {"quiet": {**USAGE, "ebs_mbps": 0.5}, "busy": {**USAGE, "ebs_mbps": 400}}
    return make_loop(estate([machine("quiet"), machine("busy")], usage=usage))


def baselines(loop: Loop, **variables: t.Any) -> tuple[dict[str, float], dict[str, t.Any]]:
    """EBS baseline in Mbps of the type that is proposed for each machine, and what the module returned."""
    result = dict(loop.recommend(**variables).of("Find EC2 instances"))
    names = {value["InstanceId"]: name for name, value in loop.instances().items()}
    proposed = {names[item["resource"]["id"]]: item["proposed"]["instance_type"] for item in result["recommendations"]}
    described = loop.simulator.client("ec2", loop.account).describe_instance_types(
        InstanceTypes=sorted({*proposed.values(), CURRENT})
    )
    limits = {
        kind["InstanceType"]: float(kind["EbsInfo"]["EbsOptimizedInfo"]["BaselineBandwidthInMbps"])
        for kind in described["InstanceTypes"]
    }
    return {"current": limits[CURRENT], **{name: limits[kind] for name, kind in proposed.items()}}, result


def test_little_traffic_allows_less_ebs_bandwidth_and_much_does_not(loop: Loop) -> None:
    unmeasured, _result = baselines(loop, rightsizing_metrics=["cpu", "memory", "network", "packets"])
    assert unmeasured.get("quiet", unmeasured["current"]) >= unmeasured["current"], (
        "what is not measured is not reduced"
    )
    measured, result = baselines(loop)
    assert measured["quiet"] < measured["current"]
    assert measured.get("busy", measured["current"]) >= measured["current"]
    sources = result["summary"]["usage_sources"]
    assert sources["ebs_read_bytes_per_second"] == "CloudWatch AWS/EBS (bounds from sums over 4 h)"
