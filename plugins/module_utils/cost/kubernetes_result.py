# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What module k8s_cost_info returns about a cluster's costs."""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.kubernetes_cost import (
    CLAIMED,
    COMPONENTS,
    UNITS,
    Group,
    grouped,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost.kubernetes import Costs, Window

#: The metric that alerts about costs and dashboards read, by service and resource.
METRIC = "frugal_service_cost_usd_per_hour"
_SHARED = "shared"


@dataclasses.dataclass(frozen=True)
class Grouping:
    """By which dimensions, and how the costs of shared namespaces are split."""

    by: Sequence[str]
    shared_namespaces: Sequence[str] = ()
    split: str = "proportional"


def told(costs: Costs, window: Window, grouping: Grouping, currency: str) -> dict[str, t.Any]:
    """Sums, nodes and groups. Idle cost and that of workloads add up to the nodes' cost."""
    nodes = idle = others = list_cost = 0.0
    for one in costs.allocations:
        list_cost += one.list_cost
        if one.component not in CLAIMED:
            others += one.cost
            continue
        nodes += one.cost
        idle += one.cost if one.workload.idle else 0.0
    groups = grouped(costs.allocations, grouping.by, grouping.shared_namespaces, grouping.split)
    return {
        "window": {
            "start": window.start.isoformat(),
            "end": window.end.isoformat(),
            "hours": window.hours,
            "coverage": None if costs.coverage is None else round(costs.coverage, 4),
        },
        "total": {
            "currency": currency,
            "cost": round(nodes + others, 6),
            "list_cost": round(list_cost, 6),
            "nodes": round(nodes, 6),
            "workloads": round(nodes - idle, 6),
            "idle": round(idle, 6),
            "idle_share": round(idle / nodes, 4) if nodes > 0 else None,
            "others": round(others, 6),
        },
        "nodes": [node.to_dict() for node in costs.nodes],
        "allocations": [_group(group, grouping.by) for group in groups],
    }


def _group(group: Group, by: Sequence[str]) -> dict[str, t.Any]:
    return {
        "group": dict(zip(by, group.values)),
        "cost": round(group.total, 6),
        "own_cost": round(group.own, 6),
        "idle_cost": round(group.idle, 6),
        "shared_cost": round(group.shared, 6),
        "list_cost": round(group.list_cost, 6),
        "components": {name: round(group.components[name], 6) for name in COMPONENTS if name in group.components},
        "quantities": {
            f"{name}_{UNITS[name].lower().replace('-', '_')}": round(group.quantities[name], 4)
            for name in COMPONENTS
            if name in group.quantities
        },
        "efficiency": None if group.efficiency is None else round(group.efficiency, 4),
    }


def metrics(costs: Costs, window: Window, by: str, grouping: Grouping) -> list[dict[str, t.Any]]:
    """What module prometheus_textfile takes: what each service cost an hour in the window, by resource.

    A service is a value of the dimension ``by``; idle cost is the service ``__idle__``, what has no value
    ``__unallocated__``.
    """
    samples = []
    for group in grouped(costs.allocations, (by,), grouping.shared_namespaces, grouping.split):
        parts = {**group.components, **({_SHARED: group.shared} if group.shared else {})}
        samples += [
            {"labels": {"service": group.values[0], "resource": resource}, "value": round(cost / window.hours, 8)}
            for resource, cost in parts.items()
        ]
    if not samples:
        return []
    return [
        {
            "name": METRIC,
            "type": "gauge",
            "help": "What a service costs, in US dollars per hour.",
            "samples": sorted(samples, key=lambda sample: sorted(sample["labels"].items())),
        }
    ]
