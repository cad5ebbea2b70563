# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the workloads of a Kubernetes cluster cost, by the OpenCost specification.

https://github.com/opencost/opencost/blob/develop/spec/opencost-specv01.md: a container is charged for
max(request, usage) of what its node has; what nobody claims is idle cost; workload costs and idle costs add up to the
nodes' costs. Where the containers of a node claim more than it has, which happens when they use what they did not
request, they share the node in proportion: the specification leaves that open, OpenCost shows a negative idle cost.

A node has one price. It is divided among its CPU, memory and GPUs in proportion to reference prices of these, as
OpenCost does it. Amounts are hours: cores, GiB or GPUs × hours; money is in one currency.
"""

from __future__ import annotations

import dataclasses
import datetime
import fnmatch
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence

#: The namespace of idle cost, as OpenCost names it.
IDLE = "__idle__"
#: What has no value for a dimension, as OpenCost names it.
UNALLOCATED = "__unallocated__"
#: What containers claim of a node.
CLAIMED = ("cpu", "ram", "gpu")
COMPONENTS = (*CLAIMED, "storage", "network", "load_balancer", "other")
UNITS: Mapping[str, str] = {"cpu": "Core-Hours", "ram": "GiB-Hours", "gpu": "GPU-Hours", "storage": "GiB-Hours"}
CAPACITY_TYPES = ("on-demand", "spot")
SPLITS = ("proportional", "even")
#: A month has so many hours where a price is by the month, as in OpenCost and the clouds' calculators.
HOURS_PER_MONTH = 730.0
DIMENSIONS = ("cluster", "node", "capacity_type", "namespace", "controller_kind", "controller", "pod", "container")


class CostError(ValueError):
    """One sentence: what is missing or cannot be, and what would be right."""


@dataclasses.dataclass(frozen=True)
class Node:
    """A node; what is not known is empty."""

    name: str
    provider_id: str = ""
    instance_type: str = ""
    region: str = ""
    zone: str = ""
    capacity_type: str = "on-demand"

    @property
    def resource(self) -> str:
        """The cloud's own name of the machine: the last part of ``aws:///eu-west-1a/i-0abc`` or ``gce://p/z/name``."""
        return self.provider_id.rstrip("/").rpartition("/")[2]


@dataclasses.dataclass(frozen=True)
class Resources:
    """CPU, memory and GPUs: core-hours, GiB-hours and GPU-hours, or prices of one of each."""

    cpu: float = 0.0
    ram: float = 0.0
    gpu: float = 0.0

    def of(self, component: str) -> float:
        """One of them by name."""
        return {"cpu": self.cpu, "ram": self.ram, "gpu": self.gpu}[component]


#: OpenCost's default prices (configs/default.json): USD an hour for a core, a GiB and a GPU. Only their proportions
#: count.
REFERENCE_PRICES = Resources(cpu=0.031611, ram=0.004237, gpu=0.95)


@dataclasses.dataclass(frozen=True)
class Price:
    """What an hour of a node costs: with commitments and contracts, by list, and where that comes from."""

    hourly: float
    list_hourly: float
    origin: str


@dataclasses.dataclass(frozen=True)
class PriceRule:
    """One line of a price table. Patterns have ``*`` and ``?``; what is empty fits every node.

    :param effective_hourly: what an hour costs under commitments (Savings Plans, committed use); else ``hourly``.
    """

    hourly: float
    effective_hourly: float | None = None
    node: str = ""
    instance_type: str = ""
    region: str = ""
    capacity_type: str = ""

    def fits(self, node: Node) -> bool:
        """Whether it is about this node. A pattern does not fit what is not known."""
        pairs = ((self.node, node.name), (self.instance_type, node.instance_type), (self.region, node.region))
        if any(pattern and not fnmatch.fnmatchcase(value, pattern) for pattern, value in pairs):
            return False
        return not self.capacity_type or self.capacity_type == node.capacity_type


def priced(node: Node, rules: Iterable[PriceRule]) -> Price | None:
    """The price of a node by the first rule that fits it."""
    for rule in rules:
        if rule.fits(node):
            effective = rule.hourly if rule.effective_hourly is None else rule.effective_hourly
            return Price(effective, rule.hourly, "node_prices")
    return None


@dataclasses.dataclass(frozen=True)
class Workload:
    """Who is charged; idle cost has the namespace :data:`IDLE` and a node."""

    cluster: str = ""
    node: str = ""
    capacity_type: str = ""
    namespace: str = ""
    controller_kind: str = ""
    controller: str = ""
    pod: str = ""
    container: str = ""
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def idle(self) -> bool:
        """Whether nobody claimed it."""
        return self.namespace == IDLE

    def value(self, dimension: str) -> str:
        """Its value of one of :data:`DIMENSIONS` or of ``label:NAME``; :data:`UNALLOCATED` where it has none."""
        if self.idle and dimension not in ("cluster", "node", "capacity_type"):
            return IDLE
        if dimension.startswith("label:"):
            return dict(self.labels).get(dimension.removeprefix("label:")) or UNALLOCATED
        return str(getattr(self, dimension)) or UNALLOCATED


@dataclasses.dataclass(frozen=True)
class Allocation:
    """What a workload is charged for one component from ``start`` to ``end``.

    :param quantity: in :data:`UNITS`; 0 where a component has none.
    :param used: how much of ``quantity`` was used, where that is known.
    :param cost: at effective prices; ``list_cost`` at list prices.
    """

    start: datetime.datetime
    end: datetime.datetime
    workload: Workload
    component: str
    quantity: float
    used: float
    cost: float
    list_cost: float


@dataclasses.dataclass(frozen=True)
class Capacity:
    """What a node had in an interval: amounts × hours, and the hours that it was there."""

    hours: float
    resources: Resources


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a container requested and used of its node in an interval, amounts × hours."""

    workload: Workload
    requested: Resources
    used: Resources


@dataclasses.dataclass(frozen=True)
class Interval:
    """Part of the window: what nodes had, and what containers claimed of the node that their workload names."""

    start: datetime.datetime
    end: datetime.datetime
    nodes: Mapping[str, Capacity]
    claims: Sequence[Claim]


def allocate(
    interval: Interval,
    cluster: str,
    nodes: Mapping[str, Node],
    prices: Mapping[str, Price],
    reference: Resources = REFERENCE_PRICES,
) -> Iterator[Allocation]:
    """Divide the cost of each node among the containers on it; what is left is idle. The parts add up to the whole.

    Claims are charged to their workloads as they are; ``cluster`` is that of idle cost. Those on a node that had no
    capacity in the interval have no cost to divide: see :func:`homeless`.

    :raises CostError: a node has no price, or no capacity that could be priced.
    """
    on_node: dict[str, list[Claim]] = {}
    for claim in interval.claims:
        on_node.setdefault(claim.workload.node, []).append(claim)
    for name, capacity in interval.nodes.items():
        price = prices.get(name)
        if price is None:
            raise CostError(f"node {name} has no price")
        weights = {component: capacity.resources.of(component) * reference.of(component) for component in CLAIMED}
        total = sum(weights.values())
        if total <= 0:
            raise CostError(f"node {name} has no capacity of CPU, memory or GPU: its cost cannot be divided")
        kind = nodes[name].capacity_type
        for component in CLAIMED:
            if weights[component] <= 0:
                continue
            amount = capacity.resources.of(component)
            shares = [
                (claim, max(claim.requested.of(component), claim.used.of(component))) for claim in on_node.get(name, ())
            ]
            claimed = sum(share for _claim, share in shares)
            fit = min(1.0, amount / claimed) if claimed > 0 else 1.0
            cost = price.hourly * capacity.hours * weights[component] / total
            list_cost = price.list_hourly * capacity.hours * weights[component] / total
            for claim, share in shares:
                quantity = share * fit
                if quantity > 0:
                    yield Allocation(
                        interval.start,
                        interval.end,
                        claim.workload,
                        component,
                        quantity,
                        min(claim.used.of(component), quantity),
                        cost * quantity / amount,
                        list_cost * quantity / amount,
                    )
            idle = max(0.0, amount - claimed)
            if idle > 0:
                yield Allocation(
                    interval.start,
                    interval.end,
                    Workload(cluster=cluster, node=name, capacity_type=kind, namespace=IDLE),
                    component,
                    idle,
                    0.0,
                    cost * idle / amount,
                    list_cost * idle / amount,
                )


def homeless(interval: Interval) -> Resources:
    """What was claimed of nodes that had no capacity in the interval, and so is charged to nobody."""
    lost = [claim for claim in interval.claims if claim.workload.node not in interval.nodes]
    return Resources(
        *(sum(max(claim.requested.of(component), claim.used.of(component)) for claim in lost) for component in CLAIMED)
    )


def repriced(
    allocations: Iterable[Allocation], factors: Mapping[tuple[datetime.date, str], float]
) -> Iterator[Allocation]:
    """The same at other prices: what a day's CPU, memory and GPUs of a node cost, times a factor by (day, node).

    List costs stay what they are.
    """
    for one in allocations:
        factor = factors.get((one.start.date(), one.workload.node)) if one.component in CLAIMED else None
        yield one if factor is None else dataclasses.replace(one, cost=one.cost * factor)


def node_costs(allocations: Iterable[Allocation]) -> dict[tuple[datetime.date, str], float]:
    """What each node's CPU, memory and GPUs cost on each day, idle included."""
    sums: dict[tuple[datetime.date, str], float] = {}
    for one in allocations:
        if one.component in CLAIMED and one.workload.node:
            key = (one.start.date(), one.workload.node)
            sums[key] = sums.get(key, 0.0) + one.cost
    return sums


def daily(allocations: Iterable[Allocation], fields: Sequence[str] = DIMENSIONS) -> list[Allocation]:
    """Allocations summed up by day (UTC), workload and component; of the workload only ``fields`` and labels count."""
    listed = list(allocations)
    dropped: dict[str, t.Any] = {name: "" for name in DIMENSIONS if name not in fields}
    # Hours of a day share their workloads, so each object is looked at once: comparing all of their fields is slow.
    numbers: dict[int, int] = {}
    workloads: dict[Workload, int] = {}
    sums: dict[tuple[datetime.date, int, str], tuple[datetime.datetime, datetime.datetime, list[float]]] = {}
    for one in listed:
        number = numbers.get(id(one.workload))
        if number is None:
            # The node of idle cost is what tells where it is.
            kept = {name: value for name, value in dropped.items() if not (one.workload.idle and name == "node")}
            number = workloads.setdefault(dataclasses.replace(one.workload, **kept), len(workloads))
            numbers[id(one.workload)] = number
        key = (one.start.date(), number, one.component)
        start, end, amounts = sums.get(key) or (one.start, one.end, [0.0, 0.0, 0.0, 0.0])
        amounts[0] += one.quantity
        amounts[1] += one.used
        amounts[2] += one.cost
        amounts[3] += one.list_cost
        sums[key] = (min(start, one.start), max(end, one.end), amounts)
    by_number = list(workloads)
    return [
        Allocation(start, end, by_number[number], component, *amounts)
        for (_day, number, component), (start, end, amounts) in sums.items()
    ]


@dataclasses.dataclass(frozen=True)
class Group:
    """Costs of workloads that share the values of some dimensions.

    :param own: what they cost themselves; ``idle`` is how much of that is idle cost.
    :param shared: their part of what shared namespaces cost.
    :param efficiency: what was used of CPU and memory, weighted by its cost; null where nothing was charged for them.
    """

    values: tuple[str, ...]
    components: Mapping[str, float]
    quantities: Mapping[str, float]
    own: float
    idle: float
    shared: float
    list_cost: float
    efficiency: float | None

    @property
    def total(self) -> float:
        """Own and shared costs."""
        return self.own + self.shared


def grouped(
    allocations: Iterable[Allocation],
    by: Sequence[str],
    shared_namespaces: Sequence[str] = (),
    split: str = "proportional",
) -> list[Group]:
    """Costs by dimensions, dearest first; the costs of shared namespaces are split among all others but idle cost.

    :param split: in proportion to own costs, or even. Where nobody else has costs, shared namespaces stay by
        themselves.
    """
    sums: dict[tuple[str, ...], _Sums] = {}
    pool = _Sums()
    shared_groups: dict[tuple[str, ...], _Sums] = {}
    for one in allocations:
        values = tuple(one.workload.value(dimension) for dimension in by)
        if any(fnmatch.fnmatchcase(one.workload.namespace, pattern) for pattern in shared_namespaces):
            pool.add(one)
            shared_groups.setdefault(values, _Sums()).add(one)
        else:
            sums.setdefault(values, _Sums()).add(one)
    # Idle cost shares a group with others where no dimension tells them apart, such as by node.
    weights = {
        values: one.workload_cost if split == "proportional" else 1.0 for values, one in sums.items() if one.busy
    }
    if not sum(weights.values()) > 0:
        weights = {}
        for values, found in shared_groups.items():
            sums.setdefault(values, _Sums()).merge(found)
        pool = _Sums()
    total = sum(weights.values())
    groups = []
    for values, found in sums.items():
        part = weights.get(values, 0.0) / total if total else 0.0
        groups.append(found.group(values, pool.cost * part, pool.list_cost * part))
    return sorted(groups, key=lambda group: (-group.total, group.values))


class _Sums:
    """What :func:`grouped` adds up."""

    def __init__(self) -> None:
        self.components: dict[str, float] = {}
        self.quantities: dict[str, float] = {}
        self.cost = self.list_cost = self.workload_cost = self.worth = self.charged = 0.0
        self.busy = False

    def add(self, one: Allocation) -> None:
        self.components[one.component] = self.components.get(one.component, 0.0) + one.cost
        if one.component in UNITS:
            self.quantities[one.component] = self.quantities.get(one.component, 0.0) + one.quantity
        self.cost += one.cost
        self.list_cost += one.list_cost
        if one.workload.idle:
            return
        self.busy = True
        self.workload_cost += one.cost
        if one.component in ("cpu", "ram") and one.quantity > 0:
            self.charged += one.cost
            self.worth += one.cost * min(1.0, one.used / one.quantity)

    def merge(self, other: _Sums) -> None:
        for name, value in other.components.items():
            self.components[name] = self.components.get(name, 0.0) + value
        for name, value in other.quantities.items():
            self.quantities[name] = self.quantities.get(name, 0.0) + value
        self.cost += other.cost
        self.list_cost += other.list_cost
        self.workload_cost += other.workload_cost
        self.worth += other.worth
        self.charged += other.charged
        self.busy = self.busy or other.busy

    def group(self, values: tuple[str, ...], shared: float, shared_list: float) -> Group:
        efficiency = self.worth / self.charged if self.charged > 0 else None
        return Group(
            values,
            dict(self.components),
            dict(self.quantities),
            self.cost,
            self.cost - self.workload_cost,
            shared,
            self.list_cost + shared_list,
            efficiency,
        )


def check_dimensions(by: Iterable[str]) -> None:
    """:raises CostError: a dimension is none of :data:`DIMENSIONS` and no ``label:NAME``."""
    for dimension in by:
        if dimension not in DIMENSIONS and not (dimension.startswith("label:") and dimension != "label:"):
            raise CostError(f"aggregate has {dimension!r}: use {', '.join(DIMENSIONS)} or label:NAME")
