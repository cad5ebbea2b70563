# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Costs of Kubernetes workloads as rows of FOCUS 1.2.

OpenCost has no mapping to FOCUS of its own (opencost/opencost#3998), and FOCUS 1.2 has no columns for split costs. So a
row is a charge for one component of one controller on one day; what FOCUS does not know is in columns
``x_kubernetes_...``.

Where the cloud's bill is in the dataset, too, the nodes' costs are there already. Then each node and day gets a row
that takes out what was divided (``Adjustment``, below zero, with the node's own ResourceId): the source adds up to
zero, and totals over all sources stay what the bill says, while the money is with those who use the cluster.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.kubernetes_cost import (
    CLAIMED,
    UNITS,
    Allocation,
    daily,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset, following, month

#: What rows tell about a workload; pods and containers come and go too fast for a bill.
FIELDS = ("cluster", "capacity_type", "namespace", "controller_kind", "controller")
SERVICE = "Kubernetes"
_SERVICES: Mapping[str, tuple[str, str | None]] = {
    "storage": ("Storage", "Block Storage"),
    "network": ("Networking", "Network Connectivity"),
    "load_balancer": ("Networking", "Application Networking"),
    "other": ("Compute", None),
}
_METERS = {"cpu": "CPU", "ram": "Memory", "gpu": "GPU", "storage": "Persistent volumes", "network": "Network"}


@dataclasses.dataclass(frozen=True)
class Target:
    """Whose rows they are.

    :param billed_elsewhere: whether the nodes' costs are in the dataset already.
    """

    billing_account: str
    currency: str
    provider: str = SERVICE
    billing_account_name: str | None = None
    sub_account: str | None = None
    billed_elsewhere: bool = False


def rows(
    allocations: Sequence[Allocation], target: Target, resources: Mapping[str, str] | None = None
) -> Iterator[dict[str, t.Any]]:
    """Rows of whole days.

    :param resources: the bill's ResourceId of each node, for the rows that take out what was divided.
    """
    chosen = allocations
    if target.billed_elsewhere:
        # Volumes, traffic and load balancers are on the bill as well, and nothing here says which of its rows they are.
        chosen = [one for one in allocations if one.component in CLAIMED]
    for one in daily(chosen, FIELDS):
        yield _row(one, target)
    if target.billed_elsewhere:
        yield from _taken_out(chosen, target, resources or {})


def _row(one: Allocation, target: Target) -> dict[str, t.Any]:
    who = one.workload
    category, subcategory = _SERVICES.get(one.component, ("Compute", "Containers"))
    # What has no amount of its own, such as traffic, is a charge for a day.
    quantity, unit = (one.quantity, UNITS[one.component]) if one.component in UNITS else (1.0, "Days")
    name = who.node if who.idle else who.controller
    resource = "/".join([who.cluster, who.namespace, *([] if who.idle else [who.controller_kind]), name]).rstrip("/")
    sku = f"kubernetes-{one.component}"
    return {
        **_common(one.start.date(), target),
        "BilledCost": one.cost,
        "EffectiveCost": one.cost,
        "ListCost": one.list_cost,
        "ContractedCost": one.list_cost,
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargeDescription": f"{_METERS.get(one.component, one.component)} of {resource}",
        "ConsumedQuantity": quantity,
        "ConsumedUnit": unit,
        "PricingQuantity": quantity,
        "PricingUnit": unit,
        "PricingCategory": "Dynamic" if who.capacity_type == "spot" else "Standard",
        "ListUnitPrice": abs(one.list_cost / quantity) if quantity else None,
        "ContractedUnitPrice": abs(one.list_cost / quantity) if quantity else None,
        "ServiceCategory": category,
        "ServiceSubcategory": subcategory,
        "SkuId": sku,
        "SkuPriceId": f"{sku}/{who.capacity_type}" if who.capacity_type else sku,
        "SkuMeter": _METERS.get(one.component, one.component),
        "ResourceId": resource,
        "ResourceName": name or who.namespace,
        "ResourceType": "Idle capacity" if who.idle else who.controller_kind or "Namespace",
        "Tags": dict(who.labels) or None,
        "x_kubernetes_cluster": who.cluster or None,
        "x_kubernetes_namespace": who.namespace or None,
        "x_kubernetes_controller_kind": who.controller_kind or None,
        "x_kubernetes_controller": who.controller or None,
        "x_kubernetes_node": who.node or None,
        "x_kubernetes_capacity_type": who.capacity_type or None,
    }


def _taken_out(
    allocations: Iterable[Allocation], target: Target, resources: Mapping[str, str]
) -> Iterator[dict[str, t.Any]]:
    """A row below zero for each node and day."""
    sums: dict[tuple[datetime.date, str, str], list[float]] = {}
    for one in allocations:
        entry = sums.setdefault((one.start.date(), one.workload.cluster, one.workload.node), [0.0, 0.0])
        entry[0] += one.cost
        entry[1] += one.list_cost
    for (day, cluster, node), (cost, list_cost) in sums.items():
        yield {
            **_common(day, target),
            "BilledCost": -cost,
            "EffectiveCost": -cost,
            "ListCost": -list_cost,
            "ContractedCost": -list_cost,
            "ChargeCategory": "Adjustment",
            "ChargeFrequency": "Usage-Based",
            "ChargeDescription": f"Cost of node {node}, divided among the workloads of {cluster}",
            "ServiceCategory": "Compute",
            "ServiceSubcategory": "Containers",
            "ResourceId": resources.get(node) or node,
            "ResourceName": node,
            "ResourceType": "Node",
            "x_kubernetes_cluster": cluster or None,
            "x_kubernetes_node": node or None,
        }


def _common(day: datetime.date, target: Target) -> dict[str, t.Any]:
    return {
        "BillingAccountId": target.billing_account,
        "BillingAccountName": target.billing_account_name,
        "SubAccountId": target.sub_account,
        "BillingCurrency": target.currency,
        "BillingPeriodStart": month(day),
        "BillingPeriodEnd": following(month(day)),
        "ChargePeriodStart": day,
        "ChargePeriodEnd": day + datetime.timedelta(days=1),
        "ProviderName": target.provider,
        "PublisherName": SERVICE,
        "InvoiceIssuerName": target.provider,
        "ServiceName": SERVICE,
    }


def kept(dataset: Dataset, source: str, start: datetime.date, end: datetime.date) -> Iterator[dict[str, t.Any]]:
    """The source's rows of the same billing periods whose day is not within ``start`` <= day < ``end``, as they are.

    A billing period is written as a whole; this is what makes it grow from day to day.
    """
    parts = dataset.parts([source], month(start), end)
    if not parts:
        return
    connection = deps.duckdb.connect()
    try:
        for part in parts:
            yield from _read(connection, part.path, start, end)
    finally:
        connection.close()


def _read(connection: t.Any, path: Path, start: datetime.date, end: datetime.date) -> Iterator[dict[str, t.Any]]:
    found = connection.execute(
        "SELECT * FROM read_parquet(?, hive_partitioning = false) "
        'WHERE "ChargePeriodStart" < ? OR "ChargePeriodStart" >= ?',
        [str(path), start, end],
    )
    names = [column[0] for column in found.description]
    # Tags' own columns are made of Tags again.
    wanted = [place for place, name in enumerate(names) if not name.startswith(focus.TAG)]
    while batch := found.fetchmany(5000):
        for values in batch:
            row = {names[place]: values[place] for place in wanted if values[place] is not None}
            for name in ("Tags", "SkuPriceDetails"):
                if name in row:
                    row[name] = json.loads(row[name])
            yield row
