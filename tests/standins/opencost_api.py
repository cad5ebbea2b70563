# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The allocation API of OpenCost, over a cluster that a test describes.

OpenCost itself could not be had where the tests run. What it answers is written down in its repository: parameters in
docs/swagger.json and pkg/costmodel/aggregation.go, fields in core/pkg/opencost/allocation_json.go. It has one price of
a core and of a GiB for all nodes, as OpenCost's custom prices; every number is rounded to five decimals, as it does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import re
import typing as t
import urllib.parse
from collections.abc import Iterator, Mapping

from ansible_collections.frugal.cloud.tests.standins.serving import Reply, Request, serving

GIB = 1024.0**3
#: Every field of an allocation: name, and whether it is a number. https://github.com/opencost/opencost, as above.
FIELDS: Mapping[str, bool] = {
    **dict.fromkeys(("name", "properties", "window", "start", "end", "pvs", "lbAllocations", "gpuAllocation"), False),
    **dict.fromkeys(
        (
            *("minutes", "cpuCores", "cpuCoreRequestAverage", "cpuCoreLimitAverage", "cpuCoreUsageAverage"),
            *("cpuCoreHours", "cpuCost", "cpuCostAdjustment", "cpuCostIdle", "cpuEfficiency"),
            *("gpuCount", "gpuHours", "gpuCost", "gpuCostAdjustment", "gpuCostIdle", "gpuEfficiency"),
            *("networkTransferBytes", "networkReceiveBytes", "networkCost", "networkCrossZoneCost"),
            *("networkCrossRegionCost", "networkInternetCost", "networkCostAdjustment"),
            *("loadBalancerCost", "loadBalancerCostAdjustment"),
            *("pvBytes", "pvByteHours", "pvCost", "pvCostAdjustment"),
            *("ramBytes", "ramByteRequestAverage", "ramByteLimitAverage", "ramByteUsageAverage"),
            *("ramByteHours", "ramCost", "ramCostAdjustment", "ramCostIdle", "ramEfficiency"),
            *("externalCost", "sharedCost", "totalCost", "totalEfficiency"),
        ),
        True,
    ),
}


@dataclasses.dataclass(frozen=True)
class Machine:
    """A node that is always there."""

    name: str
    provider_id: str
    cores: float
    memory: float


@dataclasses.dataclass(frozen=True)
class Container:
    """A container that always runs; amounts in cores and GiB, ``network`` in money an hour."""

    node: str
    namespace: str
    controller: str
    pod: str
    request: tuple[float, float]
    used: tuple[float, float]
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    network: float = 0.0


@dataclasses.dataclass
class Cluster:
    """What the API tells about. ``until`` is when metrics begin to be missing."""

    name: str
    machines: list[Machine]
    containers: list[Container]
    core_price: float = 0.031611
    memory_price: float = 0.004237
    until: datetime.datetime | None = None
    requests: list[dict[str, str]] = dataclasses.field(default_factory=list)

    def __call__(self, request: Request) -> Reply:
        """What a server answers; Kubecost has the same below /model."""
        if request.path.removeprefix("/model") not in ("/allocation", "/allocation/compute"):
            return Reply(404, "404 page not found")
        query = dict(urllib.parse.parse_qsl(request.query))
        self.requests.append(query)
        if request.headers.get("Authorization") == "Bearer wrong":
            return Reply(401, {"code": 401, "message": "unauthorized"})
        try:
            start, end = (_moment(text) for text in query.get("window", "").split(","))
            step = _step(query["step"]) if "step" in query else end - start
        except ValueError as error:
            return Reply(400, {"code": 400, "message": f"Invalid 'window' parameter: {error}"})
        sets = []
        while start < end:
            sets.append(self._set(start, min(start + step, end), query))
            start += step
        return Reply(200, {"code": 200, "data": sets})

    def _set(self, start: datetime.datetime, end: datetime.datetime, query: Mapping[str, str]) -> dict[str, t.Any]:
        if self.until is not None and start >= self.until:
            return {}
        hours = (end - start).total_seconds() / 3600
        found = {}
        left = {machine.name: [machine.cores, machine.memory] for machine in self.machines}
        machines = {machine.name: machine for machine in self.machines}
        for one in self.containers:
            claimed = [max(request, used) for request, used in zip(one.request, one.used)]
            for place, amount in enumerate(claimed):
                left[one.node][place] -= amount
            name = "/".join([self.name, one.node, one.namespace, one.pod, "main"])
            properties = {
                "cluster": self.name,
                "node": one.node,
                "container": "main",
                "controller": one.controller,
                "controllerKind": "deployment",
                "namespace": one.namespace,
                "pod": one.pod,
                "providerID": machines[one.node].provider_id,
                "labels": dict(one.labels),
                "namespaceLabels": {"kubernetes_io_metadata_name": one.namespace},
            }
            found[name] = self._allocation(
                name, properties, start, end, hours, claimed, one.request, one.used, one.network * hours
            )
        if query.get("includeIdle") == "true":
            by_node = query.get("idleByNode") == "true"
            for node in left if by_node else ():
                name = f"{node}/__idle__"
                properties = {"cluster": self.name, "node": node, "providerID": machines[node].provider_id}
                found[name] = self._allocation(name, properties, start, end, hours, left[node])
            if not by_node:
                total = [sum(amounts[place] for amounts in left.values()) for place in (0, 1)]
                name = f"{self.name}/__idle__"
                found[name] = self._allocation(name, {"cluster": self.name}, start, end, hours, total)
        return found

    def _allocation(
        self,
        name: str,
        properties: Mapping[str, t.Any],
        start: datetime.datetime,
        end: datetime.datetime,
        hours: float,
        claimed: t.Sequence[float],
        requested: t.Sequence[float] = (0.0, 0.0),
        used: t.Sequence[float] = (0.0, 0.0),
        network: float = 0.0,
    ) -> dict[str, t.Any]:
        cpu, ram = claimed[0] * hours * self.core_price, claimed[1] * hours * self.memory_price
        numbers = dict.fromkeys((field for field, number in FIELDS.items() if number), 0.0)
        numbers.update(
            minutes=hours * 60,
            cpuCores=claimed[0],
            cpuCoreRequestAverage=requested[0],
            cpuCoreUsageAverage=used[0],
            cpuCoreHours=claimed[0] * hours,
            cpuCost=cpu,
            cpuEfficiency=used[0] / requested[0] if requested[0] else 0.0,
            networkCost=network,
            ramBytes=claimed[1] * GIB,
            ramByteRequestAverage=requested[1] * GIB,
            ramByteUsageAverage=used[1] * GIB,
            ramByteHours=claimed[1] * GIB * hours,
            ramCost=ram,
            ramEfficiency=used[1] / requested[1] if requested[1] else 0.0,
            totalCost=cpu + ram + network,
        )
        return {
            "name": name,
            "properties": dict(properties),
            "window": {"start": _text(start), "end": _text(end)},
            "start": _text(start),
            "end": _text(end),
            "pvs": None,
            "lbAllocations": None,
            "gpuAllocation": None,
            **{field: round(float(value), 5) for field, value in numbers.items()},
        }


def _moment(text: str) -> datetime.datetime:
    if text.isdigit():
        return datetime.datetime.fromtimestamp(int(text), datetime.timezone.utc)
    return datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=datetime.timezone.utc)


def _step(text: str) -> datetime.timedelta:
    found = re.fullmatch(r"(\d+)([smhd])", text)
    if found is None:
        raise ValueError(f"invalid step {text!r}")
    seconds = {"s": 1, "m": 60, "h": 3600, "d": 86400}[found[2]]
    return datetime.timedelta(seconds=int(found[1]) * seconds)


def _text(moment: datetime.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextlib.contextmanager
def opencost(cluster: Cluster) -> Iterator[str]:
    """Serve the API for the length of a block; its address."""
    with serving(cluster) as url:
        yield url
