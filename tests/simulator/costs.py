# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the simulated cloud costs: list price of what runs, commitments, volumes, addresses."""

from __future__ import annotations

import dataclasses
import typing as t

from simulator import metrics, prices
from simulator.state import Account, Cloud, Instance, Region


def hourly_list(instance: Instance, instance_type: str | None = None) -> float:
    """USD/hour while the instance runs: list price, spot share applied; 0 where the list has no price.

    RHEL and SUSE are priced as Linux: the small price list knows no others.
    """
    kind = instance_type or instance.instance_type
    price = prices.on_demand(kind, instance.image.operating_system) or 0.0
    return price * prices.SPOT_SHARE if instance.lifecycle == "spot" else price


def monthly_storage(region: Region) -> float:
    """USD/month of all volumes of a region, and of its public addresses."""
    total = 0.0
    for volume in region.volumes.values():
        total += volume.size_gib * prices.VOLUME_PER_GIB_MONTH.get(volume.volume_type, 0.08)
    public = sum(1 for i in region.instances.values() if i.public_ip and not i.address_id) + len(region.addresses)
    return total + public * prices.PUBLIC_IPV4_PER_HOUR * prices.HOURS_PER_MONTH


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """An instance's share of an hour: ``hours`` (0..1 on average), at ``price`` USD/hour on demand."""

    region: str
    instance_type: str
    price: float
    hours: float
    covered_by_commitments: bool

    @property
    def family(self) -> str:
        """``m5`` of ``m5.large``."""
        return self.instance_type.partition(".")[0]


@dataclasses.dataclass(slots=True)
class FamilyCoverage:
    """USD/hour at list price of one instance family: all of it, and what covers parts of it."""

    total: float = 0.0
    reserved: float = 0.0
    planned: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Use:
    """A part of what runs that a commitment covers: the index of what runs, USD/hour at list price."""

    index: int
    commitment_id: str
    list_price: float


@dataclasses.dataclass(slots=True)
class Coverage:
    """USD/hour: what runs at list price, what of it commitments cover, what they cost and are used for."""

    on_demand: float = 0.0
    covered_list: float = 0.0
    plans_committed: float = 0.0
    plans_used: float = 0.0
    plans_covered_list: float = 0.0
    reserved_cost: float = 0.0
    reserved_list: float = 0.0
    by_family: dict[str, FamilyCoverage] = dataclasses.field(default_factory=dict)
    uses: list[Use] = dataclasses.field(default_factory=list)

    @property
    def effective(self) -> float:
        """What the hour really costs: commitments, and the rest at list price."""
        return self.on_demand - self.covered_list + self.plans_committed + self.reserved_cost


def coverage(account: Account, running: t.Sequence[Running], now: float) -> Coverage:
    """Apply reservations, then EC2 Instance plans, then Compute plans: AWS's order.

    Reservations float over sizes within a family (Linux, regional); EC2 Instance Savings
    Plans over sizes and systems within family and region; Compute Savings Plans over all.
    """
    result = Coverage()
    left = [one.price * one.hours for one in running]
    result.on_demand = sum(left)
    for index, one in enumerate(running):
        result.by_family.setdefault(one.family, FamilyCoverage()).total += left[index]

    def cover(commitment_id: str, indices: t.Iterable[int], budget_list: float, reserved: bool) -> float:
        used = 0.0
        for index in indices:
            if not running[index].covered_by_commitments:
                continue
            piece = min(left[index], budget_list - used)
            if piece <= 0:
                continue
            left[index] -= piece
            used += piece
            result.uses.append(Use(index, commitment_id, piece))
            family = result.by_family[running[index].family]
            if reserved:
                family.reserved += piece
            else:
                family.planned += piece
        return used

    for reservation in account.reservations:
        if not reservation.start <= now < reservation.end:
            continue
        family = reservation.instance_type.partition(".")[0]
        worth = (prices.on_demand(reservation.instance_type) or 0.0) * reservation.count
        chosen = [i for i, one in enumerate(running) if one.family == family and one.region == reservation.region]
        result.reserved_list += cover(reservation.reservation_id, chosen, worth, True)
        result.reserved_cost += worth * (1 - prices.COMMITMENT_DISCOUNT)
    for kind in ("EC2Instance", "Compute"):
        for plan in account.savings_plans:
            if plan.kind != kind or not plan.start <= now < plan.end:
                continue
            chosen = [
                i
                for i, one in enumerate(running)
                if kind == "Compute" or (one.family == plan.family and one.region == plan.region)
            ]
            covered = cover(plan.plan_id, chosen, plan.commitment / (1 - prices.COMMITMENT_DISCOUNT), False)
            result.plans_committed += plan.commitment
            result.plans_used += covered * (1 - prices.COMMITMENT_DISCOUNT)
            result.plans_covered_list += covered
    result.covered_list = result.reserved_list + result.plans_covered_list
    return result


def running_between(account: Account, start: float, end: float) -> list[tuple[Instance, Region, Running]]:
    """Who ran between two moments, with which type, and for which share of the time."""
    found = []
    length = end - start
    for region in account.regions.values():
        for instance in region.instances.values():
            for span in instance.spans:
                overlap = min(span.end, end) - max(span.start, start)
                if overlap > 0:
                    one = Running(
                        region.name,
                        span.instance_type,
                        hourly_list(instance, span.instance_type),
                        overlap / length,
                        instance.lifecycle == "",
                    )
                    found.append((instance, region, one))
    return found


def surplus_cost(cloud: Cloud, instance: Instance, start: float, end: float) -> float:
    """USD for surplus CPU credits between two moments (unlimited mode)."""
    total = 0.0
    for span in instance.spans:
        if span.end <= start or span.start >= end or metrics.credit_limited(instance):
            continue
        history = metrics.credit_history(cloud, instance, span, end)
        if history is None:
            continue
        first, known = history
        low = max(0, int((start - first) // 300))
        high = max(0, int((min(end, span.end) - first) // 300))
        vcpu_hours = float(known.charged[low:high].sum()) / 60
        total += vcpu_hours * prices.SURPLUS_PER_VCPU_HOUR[instance.image.operating_system]
    return total
