# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From an account and a region to findings: read, size, summarise."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.compute import (
    idle_instances,
    recommend_groups,
    recommend_instances,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.sizing import SizingOptions, Verdict
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
from ansible_collections.frugal.cloud.plugins.module_utils.observe import cloudwatch
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cache import Cache
from ansible_collections.frugal.cloud.plugins.module_utils.observe.ec2 import (
    Fleet,
    read_catalog,
    read_fleet,
    read_offerings,
)
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prices import (
    PriceOptions,
    read_commitments,
    read_prices,
)
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import Prometheus, read_memory
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy
from ansible_collections.frugal.cloud.plugins.module_utils.progress import Progress
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    HOURS_PER_MONTH,
    Recommendation,
    Scope,
)
from ansible_collections.frugal.cloud.plugins.module_utils.resources import (
    STATISTICS,
    FleetUsage,
    Instance,
    PriceList,
)


@dataclasses.dataclass(frozen=True)
class Request:
    """What to look at and how: the options of ``ec2_rightsizing_info``, already typed."""

    as_of: datetime.datetime
    options: SizingOptions
    policy: Policy
    cache: Cache
    prices: PriceOptions = dataclasses.field(default_factory=PriceOptions)
    filters: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    instance_ids: Sequence[str] = ()
    metrics: Sequence[str] = ("cpu", "memory", "network", "packets", "ebs", "credits")
    lookback_days: int = 32
    trust_usage_before_restart: bool = False
    use_commitments: bool = True
    prometheus: Prometheus | None = None
    prometheus_label: str = "instance_id"


@dataclasses.dataclass(frozen=True)
class Findings:
    """What was found: verdicts by score, the summary that reports show, and warnings."""

    scope: Scope
    verdicts: Sequence[Verdict]
    summary: Mapping[str, t.Any]
    warnings: Sequence[str]

    def recommendations(self) -> list[Recommendation]:
        """What may be done and, marked as refused, what may not: everything a plan should show."""
        found: list[Recommendation] = []
        for verdict in self.verdicts:
            if verdict.recommendation is not None:
                found.append(verdict.recommendation)
            elif verdict.potential is not None:
                found.append(dataclasses.replace(verdict.potential, refused=verdict.refused_reason))
        return found


def find(aws: Aws, request: Request, progress: Progress) -> Findings:
    """Read one account in one region and size every instance and Auto Scaling group.

    :raises AwsError: one sentence, when something indispensable cannot be read.
    """
    scope = Scope(aws.account, aws.region)
    warnings: list[str] = []
    progress.line(f"listing EC2 instances of {scope.key}")
    fleet = read_fleet(aws, request.filters, request.instance_ids)
    warnings += fleet.warnings
    if not fleet.instances:
        return Findings(scope, (), _summary(aws, request, fleet, (), None, None), warnings)
    catalog = read_catalog(aws)
    offered = read_offerings(aws)
    progress.line(
        f"{len(fleet.instances)} instances, {len(fleet.groups)} Auto Scaling groups, {len(catalog)} instance types"
    )
    prices = _prices(aws, request, fleet.instances, warnings)
    names = [metric for group in request.metrics for metric in cloudwatch.GROUPS[group]]
    usage = cloudwatch.read_usage(
        aws,
        fleet.instances,
        catalog,
        names,
        request.as_of,
        request.lookback_days,
        trust_before_restart=request.trust_usage_before_restart,
        cache=request.cache,
        progress=progress,
    )
    if request.prometheus is not None and "memory" in request.metrics:
        progress.line(f"reading memory from {request.prometheus.url}")
        usage = read_memory(
            request.prometheus,
            _prometheus_names(fleet.instances),
            usage,
            request.as_of,
            request.prometheus_label,
            warnings=warnings,
        )
        if not request.trust_usage_before_restart:
            # Percent of the memory of another type, for all that Prometheus can tell.
            cloudwatch.forget_before_start(usage, fleet.instances)
    options = dataclasses.replace(request.options, overload_minute_prices=_overload_prices(request.policy, fleet))
    progress.line(f"sizing {len(fleet.instances)} instances")
    # A member changes through its group, which is sized as a whole.
    members = {instance_id for group in fleet.groups for instance_id in group.instance_ids}
    single = [instance for instance in fleet.instances if instance.instance_id not in members]
    verdicts = recommend_instances(single, catalog, offered, prices, usage, options)
    verdicts += recommend_groups(fleet.groups, fleet.instances, catalog, offered, prices, usage, options)
    verdicts.sort(key=lambda verdict: (-verdict.score, verdict.resource_id))
    return Findings(scope, verdicts, _summary(aws, request, fleet, verdicts, prices, usage), warnings)


def find_idle(aws: Aws, request: Request, progress: Progress) -> Findings:
    """The one question of average CPU: which instances are idle? Nothing else is read, nothing priced."""
    scope = Scope(aws.account, aws.region)
    fleet = read_fleet(aws, request.filters, request.instance_ids, details=False)
    usage = cloudwatch.read_averages(
        aws,
        fleet.instances,
        "cpu_percent",
        request.as_of,
        request.lookback_days,
        cache=request.cache,
        progress=progress,
    )
    verdicts = _idle_verdicts(aws, fleet.instances, usage, request)
    return Findings(scope, verdicts, _summary(aws, request, fleet, verdicts, None, usage), fleet.warnings)


def _idle_verdicts(aws: Aws, instances: Sequence[Instance], usage: FleetUsage, request: Request) -> list[Verdict]:
    if not instances or "cpu_percent" not in usage.metrics:
        return []
    average = usage.metrics["cpu_percent"][:, 0, STATISTICS.index("Average")]
    idle = idle_instances(average, request.options)
    limit = request.options.idle_cpu_percent
    return [
        Verdict(
            resource_id=instance.instance_id,
            account=aws.account,
            region=aws.region,
            outcome="kept",
            finding="idle",
            reasons=(
                f"average CPU was {average[row]:.2f} % in the last {request.lookback_days} days, less than {limit:g} %",
            ),
            binding_constraint="idle",
        )
        for row, instance in enumerate(instances)
        if idle[row]
    ]


def _prices(aws: Aws, request: Request, instances: Sequence[Instance], warnings: list[str]) -> PriceList:
    systems = {
        (
            instance.operating_system.removesuffix(f" with {instance.pre_installed_software}"),
            instance.pre_installed_software,
        )
        for instance in instances
    }
    today = request.as_of.date()
    prices = read_prices(aws, systems, today, request.cache, request.prices, warnings)
    if not request.use_commitments:
        return prices
    coverage, exist = read_commitments(aws, today, request.lookback_days, request.cache, warnings)
    return dataclasses.replace(prices, commitment_coverage=coverage, commitments_exist=exist)


def _prometheus_names(instances: Sequence[Instance]) -> dict[str, str]:
    return {instance.instance_id: instance.instance_id for instance in instances}


def _overload_prices(policy: Policy, fleet: Fleet) -> dict[str, float]:
    """What the policy says an overload minute of each resource costs; infinite for zero tolerance."""
    prices: dict[str, float] = {}
    tagged = [(instance.instance_id, instance.tags) for instance in fleet.instances]
    tagged += [(group.name, group.tags) for group in fleet.groups]
    for name, tags in tagged:
        price = float("inf") if policy.zero_tolerance(tags) else policy.price_of_overload_minute(tags)
        if price is not None:
            prices[name] = price
    return prices


def _summary(
    aws: Aws,
    request: Request,
    fleet: Fleet,
    verdicts: Sequence[Verdict],
    prices: PriceList | None,
    usage: FleetUsage | None,
) -> dict[str, t.Any]:
    """What plan and report say about the scope as a whole; money in USD/month at list price."""
    findings: dict[str, dict[str, float]] = {}
    reasons: collections.Counter[str] = collections.Counter()
    for verdict in verdicts:
        entry = findings.setdefault(verdict.finding, {"resources": 0, "monthly_saving": 0.0})
        entry["resources"] += 1
        if verdict.recommendation is not None:
            entry["monthly_saving"] = round(entry["monthly_saving"] + verdict.recommendation.monthly.saving, 2)
        elif verdict.outcome in ("refused", "redirected"):
            # What binds the size that it might have says nothing about why it is left alone.
            reasons[verdict.outcome] += 1
        elif verdict.outcome != "kept":
            reasons[verdict.binding_constraint or verdict.outcome] += 1
    recommended = [verdict.recommendation for verdict in verdicts if verdict.recommendation is not None]
    return {
        "account": aws.account,
        "region": aws.region,
        "as_of": request.as_of.isoformat(),
        "lookback_days": request.lookback_days,
        "instances": len(fleet.instances),
        "auto_scaling_groups": len(fleet.groups),
        "monthly_cost": round(_monthly_cost(fleet.instances, prices), 2) if prices else None,
        "monthly_saving": round(sum(item.monthly.saving for item in recommended), 2),
        "currency": prices.currency if prices else "USD",
        "recommendations": len(recommended),
        "findings": findings,
        "not_recommended": dict(reasons),
        "price_source": prices.source if prices else "",
        "price_date": prices.as_of.isoformat() if prices else "",
        "usage_sources": dict(usage.sources) if usage else {},
        "metric_data_points": _points(usage) if usage else 0,
    }


def _monthly_cost(instances: Sequence[Instance], prices: PriceList) -> float:
    """List price of the running on-demand instances, per month."""
    total = 0.0
    for instance in instances:
        if instance.state in ("running", "pending"):
            total += prices.price(instance.instance_type, instance.operating_system) or 0.0
    return total * HOURS_PER_MONTH


def _points(usage: FleetUsage) -> int:
    return sum(int((~deps.numpy.isnan(values)).sum()) for values in usage.metrics.values())
