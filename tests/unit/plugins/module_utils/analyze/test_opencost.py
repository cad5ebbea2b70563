# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of OpenCost's allocation API."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.kubernetes_cost import CostError, Node
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.opencost import decode, nodes

#: Figures of the example in OpenCost's docs/swagger.json, allocation app=opencost.
PUBLISHED: dict[str, t.Any] = {
    "name": "app=opencost",
    "properties": {
        "cluster": "cluster-one",
        "node": "ip-192-168-20-42.ap-southeast-2.compute.internal",
        "controller": "opencost",
        "controllerKind": "deployment",
        "namespace": "opencost",
        "pod": "opencost-75dc7dcc49-xdx5t",
        "providerID": "i-064548f89b9d35c11",
    },
    "window": {"start": "2023-01-19T00:00:00Z", "end": "2023-01-20T00:00:00Z"},
    "start": "2023-01-19T00:00:00Z",
    "end": "2023-01-19T06:16:00Z",
    "minutes": 376.0,
    "cpuCoreRequestAverage": 0.02,
    "cpuCoreUsageAverage": 0.000535,
    "cpuCoreHours": 0.125333,
    "cpuCost": 0.002373,
    "cpuCostAdjustment": 0.0,
    "gpuHours": 0.0,
    "gpuCost": 0.0,
    "networkCost": 0.0,
    "loadBalancerCost": 0.0,
    "pvByteHours": 0.0,
    "pvCost": 0.0,
    "pvs": None,
    "ramByteUsageAverage": 35962990.404313,
    "ramByteHours": 689333333.333333,
    "ramCost": 0.001629,
    "sharedCost": 0.0,
    "externalCost": 0.0,
    "totalCost": 0.004003,
}


def test_the_published_example() -> None:
    cpu, ram = decode([{"app=opencost": PUBLISHED}])
    assert (cpu.component, cpu.cost, cpu.list_cost, cpu.quantity) == ("cpu", 0.002373, 0.002373, 0.125333)
    assert cpu.used == pytest.approx(0.000535 * 376 / 60)
    assert (ram.component, ram.cost) == ("ram", 0.001629)
    assert ram.quantity == pytest.approx(689333333.333333 / 1024**3)
    assert cpu.start == datetime.datetime(2023, 1, 19, tzinfo=datetime.timezone.utc)
    assert cpu.workload.value("controller") == "opencost"
    assert nodes([{"app=opencost": PUBLISHED}]) == {
        "ip-192-168-20-42.ap-southeast-2.compute.internal": Node(
            "ip-192-168-20-42.ap-southeast-2.compute.internal", "i-064548f89b9d35c11"
        )
    }


def test_adjustments_count_and_what_the_parts_do_not_explain_is_kept() -> None:
    found = list(decode([{"a": {**PUBLISHED, "cpuCostAdjustment": -0.001, "sharedCost": 0.5, "totalCost": 0.503002}}]))
    assert {one.component: round(one.cost, 6) for one in found} == {"cpu": 0.001373, "ram": 0.001629, "other": 0.5}
    assert sum(one.cost for one in found) == pytest.approx(0.503002)


@pytest.mark.parametrize(
    ("name", "properties", "node"),
    [
        ("cluster-one/__idle__", {"cluster": "cluster-one"}, ""),
        ("node-1/__idle__", {"cluster": "cluster-one"}, "node-1"),
        ("__idle__", {"cluster": "cluster-one", "node": "node-2"}, "node-2"),
    ],
)
def test_idle_cost(name: str, properties: dict[str, str], node: str) -> None:
    cpu, _ram = decode([{name: {**PUBLISHED, "properties": properties}}])
    assert cpu.workload.idle
    assert (cpu.workload.node, cpu.workload.cluster, cpu.used) == (node, "cluster-one", 0)


def test_what_has_no_namespace_has_opencosts_name() -> None:
    found = {**PUBLISHED, "properties": {"cluster": "c"}}
    cpu, _ram = decode([{"c/__unmounted__/__unmounted__": found}])
    assert cpu.workload.namespace == "__unmounted__"


def test_labels_of_the_pod_come_before_those_of_the_namespace() -> None:
    properties = {**PUBLISHED["properties"], "labels": {"team": "a"}, "namespaceLabels": {"team": "b", "env": "p"}}
    cpu, _ram = decode([{"x": {**PUBLISHED, "properties": properties}}])
    assert cpu.workload.labels == (("env", "p"), ("team", "a"))


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"a": 1}, "no list of allocation sets"),
        ([["a"]], "something in data that is no allocation set"),
        ([{"a": 1}], "allocation a is not a mapping"),
        (
            [{"a": {**PUBLISHED, "totalCost": None}}],
            "allocation a has totalCost None: its prices or metrics are incomplete",
        ),
        ([{"a": {**PUBLISHED, "window": {"start": "soon"}}}], "allocation a has no window of time: 'soon'"),
    ],
)
def test_what_is_no_answer(data: t.Any, sentence: str) -> None:
    with pytest.raises(CostError, match=sentence):
        list(decode(data))


def test_no_data_is_nothing() -> None:
    assert list(decode([None, {}])) == []
