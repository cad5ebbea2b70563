# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking OpenCost, and the stand-in against what OpenCost publishes about its API."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.kubernetes_cost import IDLE, node_costs
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.opencost import decode
from ansible_collections.frugal.cloud.plugins.module_utils.observe.opencost import OpenCost, OpenCostError
from ansible_collections.frugal.cloud.tests.standins.opencost_api import Cluster, Container, Machine, opencost

START = datetime.datetime(2026, 9, 1, tzinfo=datetime.timezone.utc)
DAY = datetime.timedelta(days=1)
#: Properties of an allocation in OpenCost's docs/swagger.json.
PUBLISHED = frozenset(
    "cpuCoreHours gpuCostAdjustment ramEfficiency loadBalancerCost gpuCost networkTransferBytes sharedCost pvCost "
    "totalEfficiency ramCostAdjustment pvByteHours networkCost ramByteUsageAverage end ramByteHours "
    "cpuCoreUsageAverage gpuCount cpuCostAdjustment externalCost minutes gpuHours loadBalancerCostAdjustment "
    "pvCostAdjustment ramCost start pvs cpuCost ramBytes networkCostAdjustment cpuCores pvBytes cpuEfficiency "
    "name cpuCoreRequestAverage networkReceiveBytes window properties totalCost ramByteRequestAverage".split()
)
TEXT = {"name", "start", "end", "window", "properties", "pvs"}


def cluster(**more: t.Any) -> Cluster:
    return Cluster(
        "blue",
        [Machine("n1", "i-0aaa", 4, 16), Machine("n2", "i-0bbb", 4, 16)],
        [Container("n1", "shop", "web", "web-1", (1, 2), (0.5, 3), {"team": "shop"}, network=0.01)],
        **more,
    )


def server(url: str, **more: t.Any) -> OpenCost:
    options = {"url": url, "username": None, "password": None, "bearer_token": None, "validate_certs": True}
    return OpenCost.from_options({**options, **more})


def test_the_stand_in_answers_as_published() -> None:
    with opencost(cluster()) as url:
        data = server(url).allocations(START, START + DAY)
    assert len(data) == 1
    for found in data[0].values():
        assert set(found) >= PUBLISHED
        assert all(isinstance(found[name], float) for name in PUBLISHED - TEXT)
        assert found["window"] == {"start": "2026-09-01T00:00:00Z", "end": "2026-09-02T00:00:00Z"}


@pytest.mark.parametrize("base", ["", "/model"])
def test_containers_and_idle_cost_add_up_to_the_nodes(base: str) -> None:
    asked = cluster()
    with opencost(asked) as url:
        found = list(decode(server(url + base).allocations(START, START + DAY)))
    node = 24 * (4 * 0.031611 + 16 * 0.004237)
    day = START.date()
    assert node_costs(found) == {(day, "n1"): pytest.approx(node, abs=1e-4), (day, "n2"): pytest.approx(node, abs=1e-4)}
    assert {one.workload.node for one in found if one.workload.namespace == IDLE} == {"n1", "n2"}
    assert asked.requests[0]["step"] == "1440m"
    [network] = [one for one in found if one.component == "network"]
    assert network.cost == pytest.approx(0.24)


def test_what_does_not_work_is_one_sentence() -> None:
    with opencost(cluster()) as url:
        with pytest.raises(
            OpenCostError, match="answered 401: unauthorized; set its username and password, or its bear"
        ):
            server(url, bearer_token="wrong").allocations(START, START + DAY)
        with pytest.raises(OpenCostError, match="answered 404"):
            server(f"{url}/other").allocations(START, START + DAY)
    with pytest.raises(OpenCostError, match=r"url is 'opencost:9003': give OpenCost's address such as http://"):
        server("opencost:9003")
