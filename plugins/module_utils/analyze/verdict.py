# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the figures of one instance or group to its verdict: finding, money, risk, words and evidence."""

from __future__ import annotations

import dataclasses
import datetime
import math
import typing as t
from collections.abc import Iterable, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import burstable
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.refusals import Refusal
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.sizing import (
    Outcome,
    Rejected,
    SizingOptions,
    Verdict,
)
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    HOURS_PER_MONTH,
    Effort,
    Finding,
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
)
from ansible_collections.frugal.cloud.plugins.module_utils.resources import (
    AutoScalingGroup,
    FleetUsage,
    Instance,
    InstanceType,
    PriceList,
)

if t.TYPE_CHECKING:
    import numpy
    import numpy.typing

    FloatArray = numpy.typing.NDArray[numpy.floating[t.Any]]

#: Upper bounds of risk 0, 1, 2 and 3 (above: 4). Overload minutes a month that a change adds, and
#: shares of a limit used.
RISK_MINUTES = (1.0, 30.0, 120.0, 600.0)
RISK_MEMORY_SHARE = (0.60, 0.75, 0.85, 0.95)
RISK_LIMIT_SHARE = (0.50, 0.70, 0.85, 1.00)

#: Share of the current monthly price that a change of this effort counts as, when changes are ranked.
EFFORT_SHARE: dict[str, float] = {"online": 0.0, "restart": 0.01, "replace": 0.01, "migrate": 0.10}
#: Share of the saving that each step of risk takes away, when changes are ranked.
RISK_SHARE = 0.10
#: Days of history from which the ranking trusts a recommendation fully.
FULL_HISTORY_DAYS = 14.0


@dataclasses.dataclass(frozen=True, slots=True)
class Subject:
    """What is judged: an instance, or a group with a member that stands for all."""

    id: str
    instance: Instance
    zones: tuple[str, ...]
    group: AutoScalingGroup | None = None

    @classmethod
    def of_instance(cls, instance: Instance) -> Subject:
        """A standalone instance."""
        return cls(instance.instance_id, instance, (instance.availability_zone,))

    @classmethod
    def of_group(cls, group: AutoScalingGroup, members: Sequence[Instance]) -> Subject:
        """A group; its members' largest counts of interfaces, addresses and volumes hold for it."""
        first = min(members, key=lambda item: item.instance_id, default=None)
        if first is None:
            first = Instance(group.name, group.instance_type, "running", group.account, group.region, "")
        largest = max(members, key=lambda item: (len(item.volumes), item.instance_id), default=first)
        stand_in = dataclasses.replace(
            first,
            instance_type=group.instance_type or first.instance_type,
            network_interfaces=max([item.network_interfaces for item in members], default=1),
            ipv4_addresses_per_interface=max([item.ipv4_addresses_per_interface for item in members], default=1),
            volumes=largest.volumes,
            launch_time=None,
            public_ip="",
            tags=group.tags,
        )
        zones = tuple(sorted(group.availability_zones)) or tuple(sorted({item.availability_zone for item in members}))
        return cls(group.name, stand_in, zones, group)

    @property
    def count(self) -> int:
        """Machines that the change is about."""
        return 1 if self.group is None else self.group.desired_capacity


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """Figures of one subject, per machine: money a month, minutes a month, shares of the current capacity."""

    current: InstanceType
    proposed: InstanceType
    current_price: float
    proposed_price: float
    surplus_cost: float
    ratio: float
    tight: bool
    hours: float
    coverage: float
    average_cpu: float
    cpu_percentile: float
    cpu_peak: float
    saturated_minutes: float
    average_network: float
    memory_measured: bool
    memory_peak_gib: float
    network_use: float
    ebs_use: float
    minute_price: float
    minutes_current: float
    minutes_proposed: float
    smaller: tuple[str, float, float] | None
    binding: str
    rejected: tuple[Rejected, ...]


def minute_price(subject: Subject, monthly_price: float, options: SizingOptions) -> float:
    """What an overload minute of this machine costs; ``inf`` becomes a price that nothing outweighs."""
    price = options.overload_minute_prices.get(subject.id)
    if price is None:
        price = options.overload_minute_price
    if price is None:
        price = options.overload_multiple * monthly_price / (HOURS_PER_MONTH * 60.0)
    return min(price, 1e9)


def possible_periods(subject: Subject, usage: FleetUsage) -> float:
    """Periods of the window in which the machine existed: at least one."""
    launched = subject.instance.launch_time
    if launched is None:
        return float(max(usage.periods, 1))
    if launched.tzinfo is None:
        launched = launched.replace(tzinfo=datetime.timezone.utc)
    end = usage.end if usage.end.tzinfo else usage.end.replace(tzinfo=datetime.timezone.utc)
    alive = math.floor((end - launched).total_seconds() / usage.period_seconds)
    return float(min(max(alive, 1), max(usage.periods, 1)))


def unknown(subject: Subject, reason: str, refusal: Refusal | None = None) -> Verdict:
    """Data is missing. What must not be changed anyway keeps its refusal, with the missing data second."""
    outcome: Outcome = "unknown" if refusal is None else refusal.outcome
    reasons = (reason,) if refusal is None or refusal.reason == reason else (refusal.reason, reason)
    return Verdict(subject.id, subject.instance.account, subject.instance.region, outcome, "unknown", reasons)


def build(
    subject: Subject,
    refusal: Refusal | None,
    facts: Facts,
    prices: PriceList,
    usage: FleetUsage,
    options: SizingOptions,
) -> Verdict:
    """The verdict of one subject with enough data."""
    instance = subject.instance
    money = _money(subject, facts, prices)
    list_saving = money.list_saving if money.list_saving is not None else money.saving
    worth = list_saving >= max(
        options.minimum_saving, options.minimum_saving_share * (facts.current_price * subject.count)
    )
    changed = facts.proposed.name != facts.current.name
    finding = _finding(facts, changed and (worth or list_saving < 0.0), options)
    wanted = changed and (worth or (facts.tight and options.include_under_provisioned))
    if refusal is None and instance_store_lost(facts) and not options.allow_instance_store_loss:
        refusal = Refusal(
            "refused",
            f"{subject.id} has {facts.current.instance_storage_gb:g} GB of instance storage, which a stop erases: "
            "set allow_instance_store_loss when nothing on it is needed",
        )
    if not wanted:
        reasons = _kept_reasons(facts, changed, list_saving, prices.currency, finding)
        if refusal is not None:
            reasons = (refusal.reason, *reasons)
        return Verdict(
            subject.id,
            instance.account,
            instance.region,
            "kept" if refusal is None else refusal.outcome,
            finding,
            reasons,
            binding_constraint=facts.binding,
            rejected=facts.rejected,
        )
    recommendation = _recommendation(subject, facts, money, finding, prices, usage, options)
    return Verdict(
        subject.id,
        instance.account,
        instance.region,
        "recommended" if refusal is None else refusal.outcome,
        finding,
        recommendation.reasons if refusal is None else (refusal.reason, *recommendation.reasons),
        recommendation=recommendation if refusal is None else None,
        potential=None if refusal is None else recommendation,
        binding_constraint=facts.binding,
        rejected=facts.rejected,
        score=_score(recommendation, facts) if refusal is None else 0.0,
    )


def instance_store_lost(facts: Facts) -> bool:
    """True where a stop erases instance storage."""
    return facts.current.instance_storage_gb > 0.0


def _finding(facts: Facts, changed: bool, options: SizingOptions) -> Finding:
    idle = facts.average_cpu * 100.0 < options.idle_cpu_percent and not facts.tight
    if idle and options.idle_network_bytes_per_second is not None:
        idle = facts.average_network < options.idle_network_bytes_per_second
    if idle:
        return "idle"
    if facts.tight:
        return "under_provisioned"
    if not facts.current.current_generation and (not changed or facts.ratio >= 0.999):
        return "previous_generation"
    return "over_provisioned" if changed else "optimized"


def _money(subject: Subject, facts: Facts, prices: PriceList) -> Monthly:
    """List prices; hours that commitments cover save nothing today, so only the rest is effective."""
    current = facts.current_price * subject.count
    proposed = facts.proposed_price * subject.count
    saving = current - proposed
    if prices.commitment_coverage is None:
        return Monthly(round(current, 2), round(proposed, 2), round(saving, 2), prices.currency)
    coverage = min(1.0, max(0.0, prices.commitment_coverage.get(facts.current.family, 0.0)))
    return Monthly(
        round(current, 2),
        round(proposed, 2),
        round(saving * (1.0 - coverage), 2),
        prices.currency,
        "effective",
        round(saving, 2),
    )


def _step(value: float, bounds: Sequence[float]) -> int:
    return sum(value > bound for bound in bounds)


def _risk(subject: Subject, facts: Facts) -> Risk:
    """Risk 0 to 4 of each dimension; the thresholds are the constants on top of this file."""
    current, proposed = facts.current, facts.proposed
    # The risk of a change is what it adds: a larger type for a saturated machine adds nothing.
    dimensions = {"cpu": _step(facts.minutes_proposed - facts.minutes_current, RISK_MINUTES)}
    if facts.memory_measured:
        dimensions["memory"] = _step(facts.memory_peak_gib / max(proposed.memory_gib, 1e-9), RISK_MEMORY_SHARE)
    else:
        dimensions["memory"] = 1
    if math.isfinite(facts.network_use):
        dimensions["network"] = _step(facts.network_use, RISK_LIMIT_SHARE)
    if math.isfinite(facts.ebs_use):
        dimensions["ebs"] = _step(facts.ebs_use, RISK_LIMIT_SHARE)
    if subject.instance.architecture not in proposed.architectures:
        dimensions["platform"] = 3
    elif current.hypervisor != proposed.hypervisor:
        dimensions["platform"] = 2 if subject.instance.nvme_capable else 3
    else:
        dimensions["platform"] = int(current.family != proposed.family)
    if burstable.baseline_share(proposed) < 1.0 and burstable.baseline_share(current) == 1.0:
        used = facts.average_cpu / max(facts.ratio * burstable.baseline_share(proposed), 1e-9)
        dimensions["burst"] = 1 + int(used > 0.7)
    days = facts.hours / 24.0
    dimensions["history"] = 0 if days >= FULL_HISTORY_DAYS else 1 if days >= 7.0 else 2
    return Risk.of(dimensions)


def _effort(subject: Subject, facts: Facts) -> Effort:
    if subject.instance.architecture not in facts.proposed.architectures:
        return "migrate"
    return "restart" if subject.group is None else "replace"


def _score(recommendation: Recommendation, facts: Facts) -> float:
    """Saving x confidence - disruption, USD a month.

    Confidence: share of the window with data x share of 14 days of history x 10 % less for
    each step of risk. Disruption: 1 % of the current price for a restart or replacement, 10 %
    for another architecture.
    """
    confidence = facts.coverage * min(1.0, facts.hours / 24.0 / FULL_HISTORY_DAYS)
    confidence *= 1.0 - RISK_SHARE * recommendation.risk.total
    disruption = EFFORT_SHARE[recommendation.effort] * recommendation.monthly.current
    return round(recommendation.monthly.saving * confidence - disruption, 4)


#: Binding constraint -> the first reason.
BINDING_SENTENCES = {
    "price": "no cheaper type fits what the instance is",
    "overload_minutes": "the next cheaper type would be overloaded for longer than its saving is worth",
    "network_interfaces": "the number of network interfaces rules out the next cheaper type",
    "ipv4_addresses": "the number of IPv4 addresses of an interface rules out the next cheaper type",
    "attachments": "the number of attached volumes and interfaces rules out the next cheaper type",
    "memory": "memory (maximum with headroom) rules out the next cheaper type",
    "memory_unmeasured": "memory is not measured, so types with less memory are ruled out",
    "network_baseline": "sustained network traffic rules out the next cheaper type",
    "network_peak": "peak network traffic rules out the next cheaper type",
    "network_unmeasured": "network traffic is not measured, so types with less bandwidth are ruled out",
    "packets": "packets per second rule out the next cheaper type",
    "ebs_throughput": "sustained EBS throughput rules out the next cheaper type",
    "ebs_throughput_maximum": "peak EBS throughput rules out the next cheaper type",
    "ebs_iops": "sustained EBS operations rule out the next cheaper type",
    "ebs_iops_maximum": "peak EBS operations rule out the next cheaper type",
    "ebs_unmeasured": "EBS traffic is not measured, so types with less EBS bandwidth are ruled out",
    "cpu": "CPU rules out the next cheaper type",
    "cpu_baseline": "average CPU is above the baseline of the next cheaper, burstable type",
    "cpu_credits": "CPU credits would run out on the next cheaper, burstable type",
}


def _kept_reasons(facts: Facts, changed: bool, saving: float, currency: str, finding: Finding) -> tuple[str, ...]:
    reasons = []
    if finding == "idle":
        reasons.append(
            f"idle: average CPU is {facts.average_cpu:.1%}; "
            f"stopping it would save {facts.current_price:.2f} {currency}/month"
        )
    if facts.tight:
        reasons.append(f"CPU is saturated for {facts.saturated_minutes:.0f} minutes a month and no larger type fits")
    elif changed:
        reasons.append(f"{facts.proposed.name} would save {saving:.2f} {currency}/month, too little for a change")
    else:
        reasons.append(f"{facts.current.name} fits: {BINDING_SENTENCES[facts.binding]}")
    return tuple(reasons)


def _recommendation(
    subject: Subject,
    facts: Facts,
    money: Monthly,
    finding: Finding,
    prices: PriceList,
    usage: FleetUsage,
    options: SizingOptions,
) -> Recommendation:
    instance, group = subject.instance, subject.group
    return Recommendation(
        action="ec2_instance_type" if group is None else "asg_instance_type",
        provider="aws",
        scope=Scope(instance.account, instance.region, instance.availability_zone if group is None else ""),
        resource=Resource(
            subject.id,
            "ec2_instance" if group is None else "autoscaling_group",
            instance.name if group is None else group.name,
            dict(instance.tags if group is None else group.tags),
            instance.managed_by if group is None else group.managed_by,
            instance.manager if group is None else group.manager,
        ),
        current={"instance_type": facts.current.name},
        proposed={"instance_type": facts.proposed.name},
        monthly=money,
        finding=finding,
        reasons=tuple(_reasons(subject, facts, money, finding)),
        binding_constraint=facts.binding,
        risk=_risk(subject, facts),
        effort=_effort(subject, facts),
        evidence=_evidence(subject, facts, prices, usage, options),
        warnings=tuple(_warnings(subject, facts, prices)),
    )


def _reasons(subject: Subject, facts: Facts, money: Monthly, finding: Finding) -> Iterable[str]:
    currency = money.currency
    yield f"{facts.proposed.name}: {BINDING_SENTENCES[facts.binding]}"
    if facts.tight:
        yield f"CPU is at its limit for {facts.saturated_minutes:.0f} minutes a month on {facts.current.name}"
    yield (
        f"CPU averages {facts.average_cpu:.1%} and peaks at {facts.cpu_peak:.1%} of {facts.current.vcpus} vCPUs; "
        f"{facts.proposed.name} is expected to be overloaded {facts.minutes_proposed:.0f} minutes a month"
    )
    if finding == "idle":
        yield f"idle: stopping it would save {money.current:.2f} {currency}/month"
    if not facts.memory_measured:
        yield f"memory is not measured, so its {facts.current.memory_gib:g} GiB are kept"
    if not facts.current.current_generation:
        yield f"{facts.current.name} is of a previous generation"
    if facts.surplus_cost >= 0.01:
        yield f"{facts.surplus_cost:.2f} {currency}/month for surplus CPU credits are counted in"
    if facts.smaller is not None:
        name, saving, minutes = facts.smaller
        yield (
            f"one size smaller, {name}, would save {saving * subject.count:.2f} {currency}/month against today "
            f"and be overloaded {minutes:.0f} minutes a month"
        )
    if subject.group is not None:
        yield f"the busiest of {len(subject.group.instance_ids)} members decides; {subject.count} are desired"


def _warnings(subject: Subject, facts: Facts, prices: PriceList) -> Iterable[str]:
    instance = subject.instance
    if subject.group is None and instance.public_ip and not instance.has_elastic_ip:
        yield f"the public address {instance.public_ip} changes with the stop: no Elastic IP is associated"
    if instance_store_lost(facts):
        yield f"the {facts.current.instance_storage_gb:g} GB of instance storage are erased by the stop"
    if prices.commitments_exist and prices.commitment_coverage is None:
        yield "coverage of the account's Savings Plans or reservations is not known: covered hours save nothing today"
    if instance.architecture not in facts.proposed.architectures:
        target = "/".join(facts.proposed.architectures)
        yield f"the machine must be rebuilt for {target}: its image is {instance.architecture}"
    if facts.current.hypervisor == "xen" and facts.proposed.hypervisor == "nitro":
        yield "volumes appear as /dev/nvme* on Nitro: mount them by UUID or label"


def _evidence(
    subject: Subject, facts: Facts, prices: PriceList, usage: FleetUsage, options: SizingOptions
) -> dict[str, t.Any]:
    smaller = None
    if facts.smaller is not None:
        smaller = {
            "instance_type": facts.smaller[0],
            "monthly_saving": round(facts.smaller[1] * subject.count, 2),
            "overload_minutes": round(facts.smaller[2], 1),
        }
    evidence: dict[str, t.Any] = {
        "window_start": usage.start.isoformat(),
        "window_end": usage.end.isoformat(),
        "period_seconds": usage.period_seconds,
        "data_points": round(facts.hours * 3600.0 / subject.instance.sample_seconds),
        "coverage": round(facts.coverage, 4),
        "statistics": {
            "cpu_average_percent": round(facts.average_cpu * 100.0, 2),
            f"cpu_p{options.percentile:g}_percent": round(facts.cpu_percentile * 100.0, 2),
            "cpu_maximum_percent": round(facts.cpu_peak * 100.0, 2),
            "memory_maximum_gib": round(facts.memory_peak_gib, 2) if facts.memory_measured else None,
            "network_share_of_baseline": round(facts.network_use, 4) if math.isfinite(facts.network_use) else None,
            "ebs_share_of_baseline": round(facts.ebs_use, 4) if math.isfinite(facts.ebs_use) else None,
        },
        "sources": dict(usage.sources),
        "price_source": prices.source,
        "price_date": prices.as_of.isoformat(),
        "method": options.method,
        "expected_overload_minutes": {
            "current": round(facts.minutes_current, 1),
            "proposed": round(facts.minutes_proposed, 1),
            "one_size_smaller": smaller,
        },
        "machines": subject.count,
        "charts": [],
    }
    if options.method == "percentile":
        evidence |= {"percentile": options.percentile, "headroom": options.cpu_headroom}
    else:
        evidence["overload_minute_price"] = round(facts.minute_price, 6)
    return evidence


def charts(
    usage: FleetUsage, series: Mapping[str, FloatArray], current: InstanceType, proposed: InstanceType, ratio: float
) -> list[dict[str, t.Any]]:
    """Series for the report, one a measured metric: p99 and maximum of each period with both limits.

    ``series``: cpu (percent of the current capacity), memory (GiB), network (Gbps) and ebs
    (Mbps), each of shape (periods, 5). Values are rounded to what a chart can show; None
    where there is no data.
    """
    np = deps.numpy
    limits = {
        "cpu": ("CPU", "% of the current capacity", 100.0, ratio * 100.0),
        "memory": ("Memory", "GiB", current.memory_gib, proposed.memory_gib),
        "network": ("Network", "Gbps", current.network_baseline_gbps, proposed.network_baseline_gbps),
        # Of Xen types only sums over hours are known: what is drawn is the most that it can have been.
        "ebs": (
            f"EBS throughput{', at most' if current.hypervisor == 'xen' else ''}",
            "Mbps",
            current.ebs_baseline_mbps,
            proposed.ebs_baseline_mbps,
        ),
    }
    drawn = []
    for name, values in series.items():
        if not np.isfinite(values[:, 3]).any():
            continue
        metric, unit, limit, proposed_limit = limits[name]
        drawn.append(
            {
                "metric": metric,
                "unit": unit,
                "start": usage.start.isoformat(),
                "period_seconds": usage.period_seconds,
                "p99": _rounded(values[:, 2]),
                "maximum": _rounded(values[:, 3]),
                "current_limit": None if limit is None else round(float(limit), 3),
                "proposed_limit": None if proposed_limit is None else round(float(proposed_limit), 3),
            }
        )
    return drawn


def _rounded(values: FloatArray) -> list[float | None]:
    return [float(f"{value:.3g}") if math.isfinite(value) else None for value in values.tolist()]


def with_charts(item: Verdict, series: list[dict[str, t.Any]]) -> Verdict:
    """The same verdict with chart series in its recommendation's (or potential's) evidence."""

    def drawn(recommendation: Recommendation | None) -> Recommendation | None:
        if recommendation is None:
            return None
        return dataclasses.replace(recommendation, evidence={**recommendation.evidence, "charts": series})

    return dataclasses.replace(item, recommendation=drawn(item.recommendation), potential=drawn(item.potential))
