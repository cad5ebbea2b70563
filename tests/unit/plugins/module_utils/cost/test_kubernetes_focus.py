# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Costs of workloads as FOCUS rows in the dataset, and what the bill says of nodes."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from pathlib import Path

import pytest

pytest.importorskip("duckdb")
pytest.importorskip("ibis")
pytest.importorskip("pyarrow")

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.kubernetes_cost import (
    IDLE,
    Allocation,
    Node,
    Workload,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost import engine, focus_checks
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import TagKey, write_rows
from ansible_collections.frugal.cloud.plugins.module_utils.cost.kubernetes import Bill, Billed, Window
from ansible_collections.frugal.cloud.plugins.module_utils.cost.kubernetes_focus import Target, kept, rows

UTC = datetime.timezone.utc
DAY = datetime.date(2026, 9, 1)
START = datetime.datetime(2026, 9, 1, tzinfo=UTC)
ONE = datetime.timedelta(days=1)
TARGET = Target("123456789012", "USD", "AWS", sub_account="210987654321")


def allocation(component: str, cost: float, *, day: int = 0, **who: t.Any) -> Allocation:
    start = START + ONE * day
    workload = Workload(
        **{"cluster": "blue", "node": "n1", "namespace": "shop", "controller_kind": "Deployment", "controller": "web"}
        | {"pod": "web-1", "container": "main", "labels": (("team", "a"),)}
        | who
    )
    return Allocation(start, start + ONE, workload, component, cost * 10, cost * 5, cost, cost * 2)


def idle(component: str, cost: float, **more: t.Any) -> Allocation:
    nothing = dict.fromkeys(("controller_kind", "controller", "pod", "container"), "")
    return allocation(component, cost, namespace=IDLE, labels=(), **nothing, **more)


FOUND = [
    allocation("cpu", 0.5),
    allocation("cpu", 0.25, pod="web-2", capacity_type="spot", node="n2"),
    allocation("ram", 0.3),
    allocation("network", 0.1),
    allocation("storage", 0.2, node="", controller_kind="PersistentVolumeClaim", controller="data", labels=()),
    idle("cpu", 0.4),
]


def read(root: Path, sql: str) -> list[tuple[t.Any, ...]]:
    connection = deps.duckdb.connect()
    path = str(root / "BillingPeriod=2026-09" / "blue.parquet")
    found = connection.execute(sql.replace("ROWS", f"read_parquet('{path}')")).fetchall()
    return t.cast("list[tuple[t.Any, ...]]", found)


def test_rows_keep_to_the_specification(tmp_path: Path) -> None:
    for target in (TARGET, dataclasses.replace(TARGET, billed_elsewhere=True)):
        write_rows(Dataset(tmp_path), "blue", rows(FOUND, target), [TagKey("team")])
        relation = f"read_parquet('{tmp_path}/BillingPeriod=2026-09/blue.parquet')"
        assert [found.to_dict() for found in focus_checks.check(deps.duckdb.connect(), relation)] == []


def test_a_row_is_a_controllers_component_on_a_day(tmp_path: Path) -> None:
    write_rows(Dataset(tmp_path), "blue", rows(FOUND, TARGET), [TagKey("team")])
    found = read(
        tmp_path,
        "SELECT ResourceId, SkuMeter, EffectiveCost, ListCost, ConsumedQuantity, ConsumedUnit, PricingCategory, "
        "x_tag_team "
        "FROM ROWS ORDER BY ResourceId, SkuMeter, EffectiveCost",
    )
    assert found == [
        ("blue/__idle__/n1", "CPU", 0.4, 0.8, 4.0, "Core-Hours", "Standard", None),
        ("blue/shop/Deployment/web", "CPU", 0.25, 0.5, 2.5, "Core-Hours", "Dynamic", "a"),
        ("blue/shop/Deployment/web", "CPU", 0.5, 1.0, 5.0, "Core-Hours", "Standard", "a"),
        ("blue/shop/Deployment/web", "Memory", 0.3, 0.6, 3.0, "GiB-Hours", "Standard", "a"),
        ("blue/shop/Deployment/web", "Network", 0.1, 0.2, 1.0, "Days", "Standard", "a"),
        ("blue/shop/PersistentVolumeClaim/data", "Persistent volumes", 0.2, 0.4, 2.0, "GiB-Hours", "Standard", None),
    ]


def test_what_the_bill_has_already_is_taken_out(tmp_path: Path) -> None:
    target = dataclasses.replace(TARGET, billed_elsewhere=True)
    write_rows(Dataset(tmp_path), "blue", rows(FOUND, target, {"n1": "arn:aws:ec2:eu-west-1:1:instance/i-1"}))
    assert read(tmp_path, "SELECT round(sum(EffectiveCost), 9), round(sum(ListCost), 9) FROM ROWS") == [(0.0, 0.0)]
    out = "SELECT ResourceId, round(EffectiveCost, 9) FROM ROWS WHERE ChargeCategory = 'Adjustment' ORDER BY 1"
    assert read(tmp_path, out) == [("arn:aws:ec2:eu-west-1:1:instance/i-1", -1.2), ("n2", -0.25)]
    assert read(tmp_path, "SELECT count(*) FROM ROWS WHERE SkuMeter NOT IN ('CPU', 'Memory')") == [(0,)]


def test_other_days_of_the_month_stay(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)

    def write(day: int, cost: float) -> bool:
        found = [allocation("cpu", cost, day=day)]
        days = (DAY + ONE * day, DAY + ONE * (day + 1))
        wanted = [*kept(dataset, "blue", *days), *rows(found, TARGET)]
        return write_rows(dataset, "blue", wanted, [TagKey("team")]).changed

    assert write(0, 1.0)
    assert write(1, 2.0)
    assert write(2, 3.0)
    assert write(1, 2.5)
    assert not write(1, 2.5)
    assert read(tmp_path, "SELECT CAST(ChargePeriodStart AS DATE), EffectiveCost, x_tag_team FROM ROWS ORDER BY 1") == [
        (DAY, 1.0, "a"),
        (DAY + ONE, 2.5, "a"),
        (DAY + ONE * 2, 3.0, "a"),
    ]


def bill_row(resource: str, cost: float, unit: str = "Hrs", **more: t.Any) -> dict[str, t.Any]:
    return {
        "BilledCost": cost,
        "EffectiveCost": cost,
        "ListCost": cost * 2,
        "BillingAccountId": "1",
        "BillingCurrency": "USD",
        "BillingPeriodStart": DAY,
        "ChargePeriodStart": DAY,
        "ChargePeriodEnd": DAY + ONE,
        "ChargeCategory": "Usage",
        "ProviderName": "AWS",
        "ServiceName": "Amazon EC2",
        "ResourceId": resource,
        "ResourceName": None,
        "PricingUnit": unit,
        "PricingQuantity": 24.0,
        **more,
    }


def test_the_bill_knows_what_nodes_cost(tmp_path: Path) -> None:
    arn = "arn:aws:ec2:eu-west-1:1:instance/i-1"
    write_rows(
        Dataset(tmp_path),
        "payer",
        [
            bill_row(arn, 1.5),
            bill_row(arn, 0.25),
            # Traffic of the instance, another instance, a credit, the month after, and what k8s_cost_info wrote itself.
            bill_row(arn, 9.0, "GB"),
            bill_row("arn:aws:ec2:eu-west-1:1:instance/i-9", 9.0),
            bill_row(arn, -9.0, ChargeCategory="Credit"),
            bill_row(arn, 9.0, ChargePeriodStart=DAY + ONE, ChargePeriodEnd=DAY + ONE * 2),
            bill_row("blue/__idle__/gke-1", 9.0, "Core-Hours", ServiceName="Kubernetes"),
            bill_row("//compute.googleapis.com/projects/p/zones/z/instances/42", 3.0, "hour", ResourceName="gke-1"),
        ],
    )
    nodes = [Node("n1", "aws:///eu-west-1a/i-1"), Node("n2", "gce://p/z/gke-1"), Node("n3", "aws:///a/i-3"), Node("n4")]
    found = Bill(str(tmp_path), ("payer",)).of(Window(START, START + ONE), nodes)
    assert found == {
        (DAY, "n1"): Billed(arn, 1.75, 3.5),
        (DAY, "n2"): Billed("//compute.googleapis.com/projects/p/zones/z/instances/42", 3.0, 6.0),
    }
    assert Bill(str(tmp_path)).of(Window(START, START + ONE), [Node("n4")]) == {}
    with pytest.raises(engine.CostsError):
        Bill(str(tmp_path / "nothing")).of(Window(START, START + ONE), nodes)
