# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster's workloads cost, from OpenCost or from Prometheus × node prices, and what the bill says of nodes."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze import opencost
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.kubernetes_cost import (
    CLAIMED,
    HOURS_PER_MONTH,
    REFERENCE_PRICES,
    Allocation,
    Capacity,
    Claim,
    CostError,
    Interval,
    Node,
    Price,
    PriceRule,
    Resources,
    Workload,
    allocate,
    daily,
    homeless,
    node_costs,
    priced,
    repriced,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost import engine
from ansible_collections.frugal.cloud.plugins.module_utils.cost.kubernetes_focus import SERVICE
from ansible_collections.frugal.cloud.plugins.module_utils.observe.kubernetes_metrics import Facts, Hour, Reader
from ansible_collections.frugal.cloud.plugins.module_utils.observe.opencost import OpenCost

#: Components of a node's bill are priced by the hour, in the words of AWS ("Hrs", "vCPU-Hours") and Google ("hour").
_BY_THE_HOUR = r"(hr|hour)"
#: How many names a sentence lists.
_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Window:
    """From ``start`` to ``end``, both full hours in UTC."""

    start: datetime.datetime
    end: datetime.datetime

    @property
    def hours(self) -> float:
        """How long it is."""
        return (self.end - self.start).total_seconds() / 3600

    @property
    def whole_days(self) -> bool:
        """Whether it begins and ends at midnight."""
        return self.start.hour == self.end.hour == 0

    def days(self) -> Iterator[tuple[datetime.datetime, datetime.datetime]]:
        """Its parts that lie within one day."""
        start = self.start
        while start < self.end:
            midnight = datetime.datetime.combine(
                start.date() + datetime.timedelta(days=1), datetime.time(), start.tzinfo
            )
            yield start, min(midnight, self.end)
            start = midnight


@dataclasses.dataclass(frozen=True)
class Billed:
    """What the bill says about a node's day: the bill's ResourceId, effective and list cost."""

    resource: str
    cost: float
    list_cost: float


@dataclasses.dataclass(frozen=True)
class NodeCost:
    """What a node cost in the window, and where its price comes from. ``hours`` is null where it is not known."""

    node: Node
    hours: float | None
    cost: float
    list_cost: float
    origin: str
    resource: str

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data."""
        return {
            "name": self.node.name,
            "instance_type": self.node.instance_type,
            "capacity_type": self.node.capacity_type,
            "hours": None if self.hours is None else round(self.hours, 4),
            "cost": round(self.cost, 6),
            "list_cost": round(self.list_cost, 6),
            "price_from": self.origin,
        }


@dataclasses.dataclass(frozen=True)
class Costs:
    """All allocations of a window.

    :param coverage: the share of the window for which there are data; null where the source does not tell.
    """

    allocations: Sequence[Allocation]
    nodes: Sequence[NodeCost]
    coverage: float | None
    warnings: Sequence[str]


@dataclasses.dataclass(frozen=True)
class Prices:
    """How nodes are priced: by the bill where it knows them, else by rules, else by what OpenCost exports.

    :param storage: price of a GiB a month by storage class.
    """

    rules: Sequence[PriceRule] = ()
    billed: Mapping[tuple[datetime.date, str], Billed] = dataclasses.field(default_factory=dict)
    reference: Resources = REFERENCE_PRICES
    storage: Mapping[str, float] = dataclasses.field(default_factory=dict)


def from_opencost(server: OpenCost, window: Window, cluster: str, bill: Bill | None) -> Costs:
    """What OpenCost or Kubecost allocates; with a bill, at what the nodes really cost.

    :raises OpenCostError: the server does not answer, or has nothing for a day.
    :raises CostError: an answer lacks a cost.
    """
    found: list[Allocation] = []
    known: dict[str, Node] = {}
    for start, end in window.days():
        data = server.allocations(start, end)
        before = len(found)
        found.extend(opencost.decode(data, cluster))
        if len(found) == before:
            server.fail(
                f"has no allocations for {start:%Y-%m-%d %H:%M} to {end:%H:%M}: its Prometheus has no data of it"
            )
        known.update(opencost.nodes(data))
    for name in {one.workload.node for one in found if one.workload.node} - set(known):
        known[name] = Node(name)
    listed = node_costs(found)
    billed = bill.of(window, known.values()) if bill else {}
    factors = {key: billed[key].cost / cost for key, cost in listed.items() if key in billed and cost > 0}
    warnings = _unbilled(bill, known.values(), billed)
    charged = list(repriced(found, factors))
    return Costs(charged, _node_costs(charged, known, {}, billed, {}, "opencost"), None, warnings)


def from_prometheus(
    reader: Reader, window: Window, cluster: str, prices: Prices, bill: Bill | None, min_coverage: float
) -> Costs:
    """What containers requested and used of their nodes, at the nodes' prices.

    :raises PrometheusError: the server does not answer, or has none of a metric that is needed.
    :raises CostError: a node has no price, or data are missing for more of the window than ``min_coverage`` allows.
    """
    found: list[Allocation] = []
    known: dict[str, Node] = {}
    hours: dict[str, float] = {}
    origins: dict[str, str] = {}
    billed: dict[tuple[datetime.date, str], Billed] = {}
    seen: list[tuple[datetime.datetime, float]] = []
    lost = [0.0, 0.0]
    unpriced_storage: set[str] = set()
    told = [(start, end, reader.facts(start, end)) for start, end in window.days()]
    if bill:
        machines = [
            Node(name, **properties) for _start, _end, facts in told for name, properties in facts.nodes.items()
        ]
        billed = bill.of(window, machines)
    for start, end, facts in told:
        measured = reader.hours(start, end)
        seen += [(hour.start, min(hour.seen)) for hour in measured]
        nodes = _nodes(measured, facts)
        known.update(nodes)
        on_day = {name: sum(hour.nodes[name][0] for hour in measured if name in hour.nodes) for name in nodes}
        day_prices = _prices(nodes, facts, on_day, dataclasses.replace(prices, billed=billed), start.date())
        for name, price in day_prices.items():
            hours[name] = hours.get(name, 0.0) + on_day[name]
            origins[name] = price.origin
        on_this_day: list[Allocation] = []
        workloads: _Known = {}
        for hour in measured:
            interval = _interval(hour, facts, cluster, nodes, workloads)
            on_this_day += allocate(interval, cluster, nodes, day_prices, prices.reference)
            stray = homeless(interval)
            lost[0], lost[1] = lost[0] + stray.cpu, lost[1] + stray.ram
            on_this_day += _storage(hour, cluster, prices.storage, unpriced_storage)
        # A month of hours of a large cluster would be gigabytes.
        found += daily(on_this_day)
    coverage = sum(share for _start, share in seen) / len(seen)
    if coverage < min_coverage:
        worst = min(seen, key=lambda entry: (entry[1], entry[0]))
        raise CostError(
            f"there are data for {coverage:.1%} of the window, min_coverage is {min_coverage:.0%}; they are missing "
            f"around {worst[0]:%Y-%m-%d %H:%M} UTC: choose another window, or lower min_coverage and "
            "know that costs are too low"
        )
    warnings = _unbilled(bill, known.values(), billed)
    if max(lost) > 0.005:
        warnings.append(
            f"{lost[0]:.2f} core-hours and {lost[1]:.2f} GiB-hours were claimed of nodes that are not known, and are "
            "charged to nobody: kube-state-metrics does not tell about these nodes or pods"
        )
    if unpriced_storage:
        warnings.append(
            f"volumes of storage class {', '.join(sorted(unpriced_storage))} have no price and are left out: set "
            "storage_prices"
        )
    return Costs(found, _node_costs(found, known, hours, billed, origins, "node_prices"), coverage, warnings)


def _nodes(measured: Iterable[Hour], facts: Facts) -> dict[str, Node]:
    names = {name for hour in measured for name in hour.nodes}
    return {name: Node(name, **facts.nodes.get(name, {})) for name in sorted(names)}


def _prices(
    nodes: Mapping[str, Node], facts: Facts, hours: Mapping[str, float], prices: Prices, day: datetime.date
) -> dict[str, Price]:
    found: dict[str, Price] = {}
    lacking = []
    for name, node in nodes.items():
        rule = priced(node, prices.rules)
        bill = prices.billed.get((day, name))
        if bill and hours[name] > 0:
            found[name] = Price(bill.cost / hours[name], bill.list_cost / hours[name], "bill")
        elif rule:
            found[name] = rule
        elif name in facts.hourly:
            found[name] = Price(facts.hourly[name], facts.hourly[name], "node_total_hourly_cost")
        else:
            lacking.append(f"{name} ({node.instance_type or 'instance type not known'}, {node.capacity_type})")
    if lacking:
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        raise CostError(
            f"{len(lacking)} of {len(nodes)} nodes have no price: {', '.join(lacking[:_NAMED])}{more}; add them to "
            "node_prices (an entry without patterns fits all), or give a bill that has them"
        )
    return found


#: (namespace, pod, container, node) -> who that is
_Known: t.TypeAlias = "dict[tuple[str, str, str, str], Workload]"
_NOTHING = (0.0, 0.0)


def _interval(hour: Hour, facts: Facts, cluster: str, nodes: Mapping[str, Node], known: _Known) -> Interval:
    """``known`` are workloads of earlier hours of the day: making them anew each hour is what would take longest."""
    claims = []
    for key, amounts in hour.containers.items():
        workload = known.get(key)
        if workload is None:
            namespace, pod, container, node = key
            kind, name = facts.owners.get((namespace, pod), ("Pod", pod))
            labels = tuple(sorted(facts.labels.get((namespace, pod), {}).items()))
            capacity_type = nodes[node].capacity_type if node in nodes else ""
            workload = Workload(cluster, node, capacity_type, namespace, kind, name, pod, container, labels)
            known[key] = workload
        cpu, ram, gpu = (amounts.get(component, _NOTHING) for component in CLAIMED)
        claims.append(Claim(workload, Resources(cpu[0], ram[0], gpu[0]), Resources(cpu[1], ram[1], gpu[1])))
    capacities = {
        name: Capacity(present, Resources(*(amounts.get(component, 0.0) for component in CLAIMED)))
        for name, (present, amounts) in hour.nodes.items()
    }
    return Interval(hour.start, hour.start + datetime.timedelta(hours=1), capacities, claims)


def _storage(hour: Hour, cluster: str, prices: Mapping[str, float], unpriced: set[str]) -> Iterator[Allocation]:
    for (namespace, claim, storage_class), amount in hour.volumes.items():
        price = prices.get(storage_class)
        if price is None:
            unpriced.add(storage_class or "(none)")
            continue
        who = Workload(cluster, namespace=namespace, controller_kind="PersistentVolumeClaim", controller=claim)
        cost = amount * price / HOURS_PER_MONTH
        yield Allocation(
            hour.start, hour.start + datetime.timedelta(hours=1), who, "storage", amount, amount, cost, cost
        )


def _node_costs(
    allocations: Iterable[Allocation],
    nodes: Mapping[str, Node],
    hours: Mapping[str, float],
    billed: Mapping[tuple[datetime.date, str], Billed],
    origins: Mapping[str, str],
    origin: str,
) -> list[NodeCost]:
    sums: dict[str, list[float]] = {name: [0.0, 0.0] for name in nodes}
    for one in allocations:
        if one.component in CLAIMED and one.workload.node in sums:
            sums[one.workload.node][0] += one.cost
            sums[one.workload.node][1] += one.list_cost
    resources = {name: entry.resource for (_day, name), entry in billed.items()}
    return [
        NodeCost(
            node,
            hours.get(name),
            sums[name][0],
            sums[name][1],
            "bill" if name in resources else origins.get(name, origin),
            resources.get(name) or node.resource,
        )
        for name, node in sorted(nodes.items())
    ]


def _unbilled(
    bill: Bill | None, nodes: Iterable[Node], billed: Mapping[tuple[datetime.date, str], Billed]
) -> list[str]:
    if bill is None:
        return []
    known = {name for _day, name in billed}
    lacking = sorted(node.name for node in nodes if node.name not in known)
    if not lacking:
        return []
    more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    return [f"the bill has no cost of {', '.join(lacking[:_NAMED])}{more}: their prices are from elsewhere"]


@dataclasses.dataclass(frozen=True)
class Bill:
    """Cost data that hold the nodes' own charges: EffectiveCost has commitments and contracts in it."""

    url: str
    sources: tuple[str, ...] = ()

    def of(self, window: Window, nodes: Iterable[Node]) -> dict[tuple[datetime.date, str], Billed]:
        """What the bill says about each node's days, for charges by the hour.

        A node is known by the last part of its provider id: the instance's id at AWS, its name at Google Cloud.

        :raises CostsError: the cost data cannot be read.
        """
        names = {node.resource: node.name for node in nodes if node.resource}
        if not names:
            return {}
        month = window.start.date().replace(day=1)
        _connection, table = engine.open_costs(self.url, month, window.end.date(), self.sources)
        wanted = table.filter(
            (table.ChargeCategory == "Usage")
            & (table.ChargePeriodStart >= window.start.replace(tzinfo=None))
            & (table.ChargePeriodStart < window.end.replace(tzinfo=None))
            # What this module wrote itself is no bill.
            & (table.ServiceName != SERVICE)
            & table.PricingUnit.lower().re_search(_BY_THE_HOUR)
        ).mutate(
            day=table.ChargePeriodStart.date(),
            machine=table.ResourceId.re_extract("[^/:]+$", 0),
            named=table.ResourceName,
        )
        ours = wanted.filter(wanted.machine.isin(list(names)) | wanted.named.isin(list(names)))
        summed = ours.group_by("day", "machine", "named").aggregate(
            resource=ours.ResourceId.max(), cost=ours.EffectiveCost.sum(), list_cost=ours.ListCost.sum()
        )
        found: dict[tuple[datetime.date, str], Billed] = {}
        for row in engine.fetch(summed):
            name = names.get(row["machine"]) or names[row["named"]]
            before = found.get((row["day"], name))
            found[row["day"], name] = Billed(
                row["resource"],
                row["cost"] + (before.cost if before else 0.0),
                row["list_cost"] + (before.list_cost if before else 0.0),
            )
        return found
