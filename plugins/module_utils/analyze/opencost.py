# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers of the allocation API of OpenCost and Kubecost, read into our allocations.

https://opencost.io/docs/integrations/api: a list of sets, one a step of time, each a mapping of names to allocations.
OpenCost rounds what it answers to five decimals, and says null for what is no number.
"""

from __future__ import annotations

import datetime
import math
import re
import typing as t
from collections.abc import Iterator, Mapping

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.kubernetes_cost import (
    IDLE,
    Allocation,
    CostError,
    Node,
    Workload,
)

_GIB = 1024.0**3
#: Components: fields whose sum is the cost, the amount × hours, what it has to be divided by, and the average usage.
_FIELDS: Mapping[str, tuple[tuple[str, ...], str, float, str]] = {
    "cpu": (("cpuCost", "cpuCostAdjustment"), "cpuCoreHours", 1.0, "cpuCoreUsageAverage"),
    "ram": (("ramCost", "ramCostAdjustment"), "ramByteHours", _GIB, "ramByteUsageAverage"),
    "gpu": (("gpuCost", "gpuCostAdjustment"), "gpuHours", 1.0, ""),
    "storage": (("pvCost", "pvCostAdjustment"), "pvByteHours", _GIB, ""),
    "network": (("networkCost", "networkCostAdjustment"), "", 1.0, ""),
    "load_balancer": (("loadBalancerCost", "loadBalancerCostAdjustment"), "", 1.0, ""),
}
#: Smaller than this, a difference between a total and its parts is rounding: a dozen numbers of five decimals.
_ROUNDING = 1e-4
_NANOSECONDS = re.compile(r"(\.\d{6})\d+")

Json: t.TypeAlias = "Mapping[str, t.Any]"


def decode(data: t.Any, cluster: str = "") -> Iterator[Allocation]:
    """The allocations of an answer's ``data``; the clusters' own names, ``cluster`` where there is none.

    :raises CostError: it is no answer of this API, or a cost is missing in it.
    """
    for name, found in entries(data):
        yield from _allocation(name, found, cluster)


def entries(data: t.Any) -> Iterator[tuple[str, Json]]:
    """Names and allocations of all sets, as they are. :raises CostError: it is no answer of this API."""
    if not isinstance(data, list):
        raise CostError("its answer has no list of allocation sets in data")
    for one in data:
        if one is None:
            continue
        if not isinstance(one, Mapping):
            raise CostError("its answer has something in data that is no allocation set")
        for name, found in one.items():
            if not isinstance(found, Mapping):
                raise CostError(f"allocation {name} is not a mapping")
            yield str(name), found


def nodes(data: t.Any) -> dict[str, Node]:
    """The nodes that the allocations name, with the cloud's names of them."""
    known: dict[str, Node] = {}
    for _name, found in entries(data):
        properties = found.get("properties") or {}
        name = str(properties.get("node") or "")
        provider_id = str(properties.get("providerID") or "")
        if name and (provider_id or name not in known):
            known[name] = Node(name, provider_id)
    return known


def _allocation(name: str, found: Json, cluster: str) -> Iterator[Allocation]:
    window = found.get("window") or {}
    start = _moment(name, window.get("start") or found.get("start"))
    end = _moment(name, window.get("end") or found.get("end"))
    total = _number(name, found, "totalCost")
    hours = _number(name, found, "minutes") / 60
    workload = _workload(name, found.get("properties") or {}, cluster)
    rest = total
    for component, (costs, amount, unit, used) in _FIELDS.items():
        cost = sum(_number(name, found, field) for field in costs)
        quantity = _number(name, found, amount) / unit if amount else 0.0
        rest -= cost
        if cost or quantity:
            usage = _number(name, found, used) * hours / unit if used and not workload.idle else 0.0
            yield Allocation(start, end, workload, component, quantity, min(usage, quantity), cost, cost)
    # Shared and external costs, and whatever later versions may add: the total is what counts.
    if abs(rest) > _ROUNDING:
        yield Allocation(start, end, workload, "other", 0.0, 0.0, rest, rest)


def _workload(name: str, properties: Json, cluster: str) -> Workload:
    def text(key: str) -> str:
        return str(properties.get(key) or "")

    # Idle cost is named __idle__, CLUSTER/__idle__ or NODE/__idle__.
    parts = name.split("/")
    if IDLE in parts:
        owner = text("node") or (parts[-2] if len(parts) > 1 and parts[-2] != text("cluster") else "")
        return Workload(cluster=text("cluster") or cluster, node=owner, namespace=IDLE)
    labels = {**(properties.get("namespaceLabels") or {}), **(properties.get("labels") or {})}
    return Workload(
        cluster=text("cluster") or cluster,
        node=text("node"),
        # What has no namespace, such as volumes that nobody mounts, is named by OpenCost itself: __unmounted__.
        namespace=text("namespace") or next((part for part in parts if part.startswith("__")), ""),
        controller_kind=text("controllerKind"),
        controller=text("controller"),
        pod=text("pod"),
        container=text("container"),
        labels=tuple(sorted((str(key), str(value)) for key, value in labels.items())),
    )


def _number(name: str, found: Json, field: str) -> float:
    """A number; 0 where the version of the API does not have the field."""
    value = found.get(field, 0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise CostError(f"allocation {name} has {field} {value!r}: its prices or metrics are incomplete")
    return float(value)


def _moment(name: str, text: t.Any) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(_NANOSECONDS.sub(r"\1", str(text)).replace("Z", "+00:00"))
    except ValueError:
        raise CostError(f"allocation {name} has no window of time: {text!r}") from None
    return moment.astimezone(datetime.timezone.utc)
