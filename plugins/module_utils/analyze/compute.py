# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sizing engine for EC2: which type should each instance and Auto Scaling group have?

Everything is decided on arrays of instances x types, in chunks that bound the memory.
Hard constraints are in ``constraints.py``, the value of overload minutes in
``risk_pricing.py``, refusals in ``refusals.py`` and words and money in ``verdict.py``.
"""

from __future__ import annotations

import dataclasses
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import (
    burstable,
    constraints,
    refusals,
    risk_pricing,
    verdict,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.risk_pricing import Demand
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.sizing import Rejected, SizingOptions, Verdict
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import HOURS_PER_MONTH
from ansible_collections.frugal.cloud.plugins.module_utils.resources import (
    STATISTICS,
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
    IntArray = numpy.typing.NDArray[numpy.integer[t.Any]]
    BoolArray = numpy.typing.NDArray[numpy.bool_]

#: Instances that are sized at once: some 10 arrays of 128 x 1,400 floats are 7 MB.
CHUNK = 128

#: What is 1.0 on the demand grid for dimensions that types state in absolute terms.
NETWORK_REFERENCE_GBPS = 25.0
EBS_REFERENCE_MBPS = 5_000.0
EBS_REFERENCE_IOPS = 20_000.0

#: Most capacity that a saturated machine is given at once, as a multiple of what it has: how much
#: more than 100 % it wants cannot be seen, so it is doubled and looked at again. Sizes double;
#: half as much again is for faster cores.
LARGEST_STEP_UP = 3.0

#: A change must be worth its disruption: share of the current price that a type must be cheaper by.
FAMILY_CHANGE_SHARE = 0.002
BURSTABLE_SHARE = 0.03
HYPERVISOR_CHANGE_SHARE = 0.02
ARCHITECTURE_CHANGE_SHARE = 0.05


def recommend_instances(
    instances: Sequence[Instance],
    catalog: Mapping[str, InstanceType],
    offered: Mapping[str, frozenset[str]] | None,
    prices: PriceList,
    usage: FleetUsage,
    options: SizingOptions,
) -> list[Verdict]:
    """Judge every instance; one verdict each, best score first, ties by id.

    ``offered`` maps an availability zone to the types that it offers (None: not known).
    ``usage`` may cover more or fewer instances: who is not in it has no data. Members of Auto
    Scaling groups, spot and managed instances get a refused or redirected verdict.
    """
    subjects = [verdict.Subject.of_instance(item) for item in instances]
    return _judge(subjects, catalog, offered, prices, usage, options)


def recommend_groups(
    groups: Sequence[AutoScalingGroup],
    instances: Sequence[Instance],
    catalog: Mapping[str, InstanceType],
    offered: Mapping[str, frozenset[str]] | None,
    prices: PriceList,
    usage: FleetUsage,
    options: SizingOptions,
) -> list[Verdict]:
    """Judge Auto Scaling groups: the worst member of each period decides, saving x desired capacity.

    ``instances`` hold the members (others are ignored). A type must be offered in every zone
    of the group. One verdict a group, best score first.
    """
    by_id = {item.instance_id: item for item in instances}
    subjects = []
    rows: list[list[int]] = []
    position = {instance_id: row for row, instance_id in enumerate(usage.instance_ids)}
    for group in groups:
        members = [by_id[instance_id] for instance_id in group.instance_ids if instance_id in by_id]
        subjects.append(verdict.Subject.of_group(group, members))
        rows.append([position[member.instance_id] for member in members if member.instance_id in position])
    return _judge(subjects, catalog, offered, prices, _worst_member(subjects, rows, usage), options)


def idle_instances(
    average_cpu_percent: FloatArray,
    options: SizingOptions,
    average_network_bytes_per_second: FloatArray | None = None,
) -> BoolArray:
    """Which instances are idle, shape (instances,): the idle-only question, without sizing.

    Both arrays have shape (instances,) and hold means over the window; NaN (no data) is never
    idle. The network counts only when ``idle_network_bytes_per_second`` is set.
    """
    np = deps.numpy
    with np.errstate(invalid="ignore"):
        idle: BoolArray = np.asarray(average_cpu_percent) < options.idle_cpu_percent
        if options.idle_network_bytes_per_second is not None and average_network_bytes_per_second is not None:
            idle = idle & (np.asarray(average_network_bytes_per_second) < options.idle_network_bytes_per_second)
    return idle


def _worst_member(subjects: Sequence[verdict.Subject], rows: Sequence[Sequence[int]], usage: FleetUsage) -> FleetUsage:
    """Usage of groups: for each period and statistic the highest of any member (credit balance: lowest)."""
    np = deps.numpy
    metrics = {}
    for name, values in usage.metrics.items():
        merged = np.full((len(subjects), usage.periods, len(STATISTICS)), np.nan, dtype=np.float32)
        worst = np.fmin if name == "cpu_credit_balance" else np.fmax
        for index, members in enumerate(rows):
            if members:
                merged[index] = worst.reduce(values[list(members)], axis=0)
        metrics[name] = merged
    return dataclasses.replace(usage, instance_ids=[subject.id for subject in subjects], metrics=metrics)


@dataclasses.dataclass
class _Context:
    """What all chunks share."""

    table: constraints.TypeTable
    offered: Mapping[str, frozenset[str]] | None
    prices: PriceList
    usage: FleetUsage
    rows: Mapping[str, int]
    options: SizingOptions
    standard_mode: BoolArray
    monthly: dict[str, FloatArray] = dataclasses.field(default_factory=dict)
    surplus: dict[str, FloatArray] = dataclasses.field(default_factory=dict)
    ratios: dict[str, FloatArray] = dataclasses.field(default_factory=dict)
    codes: dict[t.Hashable, IntArray] = dataclasses.field(default_factory=dict)

    def monthly_prices(self, operating_system: str) -> FloatArray:
        """List price of every type per month, NaN where there is none."""
        if operating_system not in self.monthly:
            np = deps.numpy
            hourly = [self.prices.price(item.name, operating_system) for item in self.table.types]
            self.monthly[operating_system] = np.array(
                [np.nan if price is None or price <= 0.0 else price * HOURS_PER_MONTH for price in hourly],
                dtype=np.float64,
            )
            self.surplus[operating_system] = np.array(
                [burstable.surplus_price(item, operating_system) for item in self.table.types], dtype=np.float32
            )
        return self.monthly[operating_system]

    def capacity_ratios(self, name: str) -> FloatArray:
        """CPU capacity of every type relative to the type ``name``."""
        if name not in self.ratios:
            self.ratios[name] = constraints.capacity_ratios(self.table, self.table.types[self.table.index[name]])
        return self.ratios[name]

    def structural(self, subject: verdict.Subject) -> IntArray:
        """Structural codes of every type for one subject."""
        key = (constraints.structural_key(subject.instance), subject.zones)
        if key not in self.codes:
            np = deps.numpy
            offered = None
            if self.offered is not None:
                known = [self.offered[zone] for zone in subject.zones if zone in self.offered]
                offered = frozenset.intersection(*known) if known else None
            self.codes[key] = constraints.structural(
                self.table,
                subject.instance,
                self.table.types[self.table.index[subject.instance.instance_type]],
                ~np.isnan(self.monthly_prices(subject.instance.operating_system)),
                offered,
                self.options,
            )
        return self.codes[key]


def _judge(
    subjects: Sequence[verdict.Subject],
    catalog: Mapping[str, InstanceType],
    offered: Mapping[str, frozenset[str]] | None,
    prices: PriceList,
    usage: FleetUsage,
    options: SizingOptions,
) -> list[Verdict]:
    np = deps.numpy
    table = constraints.TypeTable.of(catalog)
    context = _Context(
        table=table,
        offered=offered,
        prices=prices,
        usage=usage,
        rows={instance_id: row for row, instance_id in enumerate(usage.instance_ids)},
        options=options,
        standard_mode=np.array(
            [item.burstable and not burstable.has_surplus(item) for item in table.types], dtype=np.bool_
        ),
    )
    verdicts: list[Verdict] = []
    sizable: list[tuple[verdict.Subject, refusals.Refusal | None]] = []
    for subject in subjects:
        refusal = refusals.refusal(subject, table.index, prices, options)
        if refusal is not None and refusal.outcome == "unknown":
            verdicts.append(verdict.unknown(subject, refusal.reason))
        elif subject.id not in context.rows:
            verdicts.append(verdict.unknown(subject, f"there is no usage data for {subject.id}", refusal))
        else:
            sizable.append((subject, refusal))
    sizable.sort(key=lambda pair: (pair[0].instance.instance_type, pair[0].instance.operating_system, pair[0].id))
    for start in range(0, len(sizable), CHUNK):
        verdicts.extend(_Chunk(context, sizable[start : start + CHUNK]).verdicts())
    verdicts.sort(key=lambda item: (-item.score, item.resource_id))
    return _with_charts(context, verdicts)


def _with_charts(context: _Context, verdicts: list[Verdict]) -> list[Verdict]:
    """Give the first ``chart_limit`` recommendations their series: they are most of a record's size."""
    np = deps.numpy
    usage, table = context.usage, context.table
    drawn = [index for index, item in enumerate(verdicts) if item.recommendation or item.potential]
    drawn = drawn[: context.options.chart_limit]
    rows = np.array([context.rows[verdicts[index].resource_id] for index in drawn], dtype=np.intp)
    cpu = _statistics(usage, rows, ("cpu_percent",), 1.0)
    memory = _statistics(usage, rows, ("memory_percent",), 0.01)
    network = _larger(
        _statistics(usage, rows, ("network_in_bytes_per_second",), 8e-9),
        _statistics(usage, rows, ("network_out_bytes_per_second",), 8e-9),
    )
    ebs = _statistics(usage, rows, ("ebs_read_bytes_per_second", "ebs_write_bytes_per_second"), 8e-6)
    for row, index in enumerate(drawn):
        recommendation = verdicts[index].recommendation or verdicts[index].potential
        if recommendation is None:
            continue
        current = table.types[table.index[recommendation.current["instance_type"]]]
        position = table.index[recommendation.proposed["instance_type"]]
        series = verdict.charts(
            usage,
            {"cpu": cpu[row], "memory": memory[row] * current.memory_gib, "network": network[row], "ebs": ebs[row]},
            current,
            table.types[position],
            float(context.capacity_ratios(current.name)[position]),
        )
        verdicts[index] = verdict.with_charts(verdicts[index], series)
    return verdicts


def _statistics(usage: FleetUsage, rows: IntArray, names: Sequence[str], scale: float) -> FloatArray:
    """Sum of the named metrics times ``scale``, shape (rows, periods, 5); NaN where one is absent."""
    np = deps.numpy
    if any(name not in usage.metrics for name in names):
        return np.full((rows.size, usage.periods, len(STATISTICS)), np.nan, dtype=np.float32)
    total = usage.metrics[names[0]][rows] * np.float32(scale)
    for name in names[1:]:
        total = total + usage.metrics[name][rows] * np.float32(scale)
    return total


def _larger(one: FloatArray, other: FloatArray) -> FloatArray:
    return t.cast("FloatArray", deps.numpy.fmax(one, other))


class _Chunk:
    """Sizes up to :data:`CHUNK` subjects at once."""

    def __init__(self, context: _Context, subjects: Sequence[tuple[verdict.Subject, refusals.Refusal | None]]) -> None:
        np = deps.numpy
        self.context = context
        self.options = context.options
        self.subjects = [subject for subject, _refusal in subjects]
        self.refusals = [item for _subject, item in subjects]
        self.rows = np.array([context.rows[subject.id] for subject in self.subjects], dtype=np.intp)
        table = context.table
        self.current = np.array(
            [table.index[subject.instance.instance_type] for subject in self.subjects], dtype=np.intp
        )
        self.index = np.arange(len(self.subjects))
        self._read_usage()
        self._price_pairs()

    def _statistics(self, *names: str, scale: float) -> FloatArray:
        return _statistics(self.context.usage, self.rows, names, scale)

    def _demand(self, statistics: FloatArray) -> Demand:
        return Demand.of(statistics, self.context.usage.period_seconds, self.sample_seconds)

    def _forget_empty_bounds(self, statistics: FloatArray, limits: FloatArray) -> None:
        """Leave out (NaN) EBS usage of Xen instances that is beyond what they can have used.

        It is an upper bound there (``observe/cloudwatch.py``). One that is not below ``limits`` says
        nothing: the instance counts as not measured, and keeps the bandwidth that it has.
        """
        np = deps.numpy
        xen = np.array([self.context.table.types[position].hypervisor == "xen" for position in self.current])
        with np.errstate(invalid="ignore"):
            statistics[xen & ~(np.fmax.reduce(statistics[..., 3], axis=1) <= limits)] = np.nan

    def _read_usage(self) -> None:
        np = deps.numpy
        table, options = self.context.table, self.options
        self.sample_seconds = np.array([subject.instance.sample_seconds for subject in self.subjects])
        network = _larger(
            self._statistics("network_in_bytes_per_second", scale=8e-9 / NETWORK_REFERENCE_GBPS),
            self._statistics("network_out_bytes_per_second", scale=8e-9 / NETWORK_REFERENCE_GBPS),
        )
        packets = _larger(
            self._statistics("network_packets_in_per_second", scale=1.0),
            self._statistics("network_packets_out_per_second", scale=1.0),
        )
        throughput = self._statistics(
            "ebs_read_bytes_per_second", "ebs_write_bytes_per_second", scale=8e-6 / EBS_REFERENCE_MBPS
        )
        operations = self._statistics(
            "ebs_read_operations_per_second", "ebs_write_operations_per_second", scale=1.0 / EBS_REFERENCE_IOPS
        )
        limits = _volume_limits([subject.instance for subject in self.subjects])
        mbps_current = np.fmin(table.ebs_baseline_mbps[self.current], limits[0])
        iops_current = np.fmin(table.ebs_baseline_iops[self.current], limits[1])
        self._forget_empty_bounds(throughput, mbps_current / np.float32(EBS_REFERENCE_MBPS))
        self._forget_empty_bounds(operations, iops_current / np.float32(EBS_REFERENCE_IOPS))
        self.cpu = self._demand(self._statistics("cpu_percent", scale=0.01))
        self.network = self._demand(network)
        self.ebs = self._demand(throughput)
        self.iops = self._demand(operations)
        memory_peak, self.memory_periods = _peak(self._statistics("memory_percent", scale=0.01))
        minimum = options.minimum_history_hours * 3600.0 / self.context.usage.period_seconds
        current_memory = table.memory_gib[self.current]
        memory = np.where(
            self.memory_periods >= max(1.0, minimum),
            memory_peak * current_memory * (1.0 + options.memory_headroom),
            np.nan,
        )
        self.memory_peak_gib = memory_peak * current_memory
        percentile_rule = options.method == "percentile"

        def need(curve: Demand, headroom: float, reference: float) -> FloatArray:
            """Sustained need: p99.5, and the headroom where the rule is a fixed one."""
            wanted = options.percentile if percentile_rule else 99.5
            return curve.percentile(wanted) * np.float32((1.0 + headroom if percentile_rule else 1.0) * reference)

        average = self.cpu.average
        self.cpu_percentile = self.cpu.percentile(options.percentile)
        self.saturated = self.cpu.share_above(options.saturation_percent / 100.0) * risk_pricing.MINUTES_PER_MONTH
        balance = self._statistics("cpu_credit_balance", scale=1.0)[..., 0]
        with np.errstate(invalid="ignore"):
            exhausted = np.any(balance < 1.0, axis=1) & (table.baseline_share[self.current] < 1.0)
        self.needs = constraints.Needs(
            interfaces=np.array([s.instance.network_interfaces for s in self.subjects], dtype=np.float32),
            addresses=np.array([s.instance.ipv4_addresses_per_interface for s in self.subjects], dtype=np.float32),
            volumes=np.array([len(s.instance.volumes) for s in self.subjects], dtype=np.float32),
            memory_gib=memory.astype(np.float32),
            memory_current_gib=current_memory,
            network_sustained=need(self.network, options.network_headroom, NETWORK_REFERENCE_GBPS),
            network_peak=self.network.peak * np.float32(NETWORK_REFERENCE_GBPS),
            network_current=table.network_baseline_gbps[self.current],
            packets=_peak(packets)[0],
            ebs_mbps_sustained=need(self.ebs, options.ebs_headroom, EBS_REFERENCE_MBPS),
            ebs_mbps_peak=self.ebs.peak * np.float32(EBS_REFERENCE_MBPS),
            ebs_mbps_current=mbps_current,
            ebs_iops_sustained=need(self.iops, options.ebs_headroom, EBS_REFERENCE_IOPS),
            ebs_iops_peak=self.iops.peak * np.float32(EBS_REFERENCE_IOPS),
            ebs_iops_current=iops_current,
            cpu_sustained=(
                self.cpu_percentile * np.float32(1.0 + options.cpu_headroom)
                if percentile_rule
                else average * np.float32(risk_pricing.AVERAGE_FLOOR)
            ),
            cpu_average=average,
            cpu_busiest_period=self.cpu.busiest,
            credits_exhausted=exhausted,
        )

    def _price_pairs(self) -> None:
        """Fill the arrays of instances x types: ratios, codes, prices, overload minutes, objective."""
        np = deps.numpy
        context, table, options = self.context, self.context.table, self.options
        instances = [subject.instance for subject in self.subjects]
        self.ratios = np.stack([context.capacity_ratios(item.instance_type) for item in instances])
        structural = np.stack([context.structural(subject) for subject in self.subjects])
        self.codes = constraints.demand(table, self.needs, self.ratios, structural, context.standard_mode, options)
        self.prices = np.stack([context.monthly_prices(item.operating_system) for item in instances])
        surplus = np.stack([context.surplus[item.operating_system] for item in instances])
        self.surplus = self._surplus_cost(surplus)
        self.current_price = self.prices[self.index, self.current]
        tail = self.saturated >= options.saturated_minutes
        expected = risk_pricing.saturated_tail(self.cpu.expected(), options.saturation_percent / 100.0, tail)
        minutes = risk_pricing.at(expected, self.ratios)
        for curve, limit, reference in (
            (self.network, table.network_baseline_gbps, NETWORK_REFERENCE_GBPS),
            (self.ebs, table.ebs_baseline_mbps, EBS_REFERENCE_MBPS),
            (self.iops, table.ebs_baseline_iops, EBS_REFERENCE_IOPS),
        ):
            minutes += risk_pricing.at(curve.observed, np.maximum(limit / np.float32(reference), 1e-6)[None, :])
        self.minutes = np.minimum(minutes, 1.0) * risk_pricing.MINUTES_PER_MONTH
        self.minute_price = np.array(
            [
                verdict.minute_price(subject, price, options)
                for subject, price in zip(self.subjects, self.current_price, strict=True)
            ]
        )
        weight = self.minute_price if options.method == "risk_priced" else np.zeros_like(self.minute_price)
        costs = self.prices + self.surplus + self._disruption()
        self.objective = risk_pricing.priced(costs, self.minutes, weight, self.codes == constraints.FEASIBLE)

    def _surplus_cost(self, surplus: FloatArray) -> FloatArray:
        """USD per month for CPU above the baseline of burstable types, (instances, types)."""
        np = deps.numpy
        table = self.context.table
        result = np.zeros(self.ratios.shape, dtype=np.float32)
        columns = np.flatnonzero(surplus.max(axis=0) > 0.0)
        if columns.size:
            sustained = self.ratios[:, columns] * table.baseline_share[columns]
            above = np.zeros_like(sustained)
            for period in range(self.cpu.averages.shape[1]):
                above += np.maximum(self.cpu.averages[:, period, None] - sustained, 0.0)
            above /= np.maximum(self.cpu.periods, 1.0)[:, None]
            # Share of the current capacity -> vCPUs of the candidate, which may be slower ones.
            vcpus = table.vcpus[columns] / self.ratios[:, columns]
            result[:, columns] = above * vcpus * np.float32(HOURS_PER_MONTH) * surplus[:, columns]
        return result

    def _disruption(self) -> FloatArray:
        """USD per month by which a type must be cheaper to be worth leaving the family, (instances, types)."""
        np = deps.numpy
        table = self.context.table
        share = np.where(table.family[None, :] != table.family[self.current][:, None], FAMILY_CHANGE_SHARE, 0.0)
        limited = table.baseline_share < 1.0
        share += np.where(limited[None, :] & ~limited[self.current][:, None], BURSTABLE_SHARE, 0.0)
        hypervisors = np.array([item.hypervisor for item in table.types])
        share += np.where(hypervisors[None, :] != hypervisors[self.current][:, None], HYPERVISOR_CHANGE_SHARE, 0.0)
        arm = np.array(["arm64" in item.architectures for item in table.types])
        share += np.where(arm[None, :] != arm[self.current][:, None], ARCHITECTURE_CHANGE_SHARE, 0.0)
        return t.cast("FloatArray", share * self.current_price[:, None])

    def verdicts(self) -> list[Verdict]:
        """One verdict for each subject of the chunk."""
        np = deps.numpy
        options = self.options
        objective = self.objective.copy()
        # The current type is always possible, whatever the rules say about new ones.
        here = self.prices[self.index, self.current] + self.surplus[self.index, self.current]
        weight = self.minute_price if options.method == "risk_priced" else 0.0
        minutes_here = self.minutes[self.index, self.current]
        tight = (
            self.needs.cpu_sustained > 1.0
            if options.method == "percentile"
            else np.zeros(self.index.size, dtype=np.bool_)
        )
        tight = tight | (self.saturated >= options.saturated_minutes)
        current_objective = here + weight * minutes_here
        with np.errstate(invalid="ignore"):
            dearer = self.prices + self.surplus > here[:, None]
            smaller = self.ratios < np.float32(0.999)
        objective[dearer & ~tight[:, None]] = np.inf
        objective[smaller & tight[:, None]] = np.inf
        objective[(self.ratios > np.float32(LARGEST_STEP_UP)) & tight[:, None]] = np.inf
        objective[self.index, self.current] = np.where(
            tight & (options.method == "percentile"), np.inf, current_objective
        )
        best = np.argmin(np.round(objective, 4), axis=1)
        best = np.where(np.isinf(objective[self.index, best]), self.current, best)
        return [self._verdict(row, int(best[row]), bool(tight[row])) for row in range(len(self.subjects))]

    def _verdict(self, row: int, best: int, tight: bool) -> Verdict:
        options, usage = self.options, self.context.usage
        subject, refusal = self.subjects[row], self.refusals[row]
        hours = float(self.cpu.periods[row]) * usage.period_seconds / 3600.0
        if hours < options.minimum_history_hours:
            reason = (
                f"there are {hours:.0f} hours of CPU data for {subject.id}, "
                f"{options.minimum_history_hours:.0f} are needed"
                if hours
                else f"there is no CPU data for {subject.id}"
            )
            return verdict.unknown(subject, reason, refusal)
        coverage = float(self.cpu.periods[row]) / verdict.possible_periods(subject, usage)
        if coverage < options.minimum_coverage:
            return verdict.unknown(
                subject,
                f"CPU data covers {coverage:.0%} of the window of {subject.id}, "
                f"{options.minimum_coverage:.0%} are needed",
                refusal,
            )
        facts = self._facts(row, best, tight, hours, min(1.0, coverage))
        return verdict.build(subject, refusal, facts, self.context.prices, usage, options)

    def _facts(self, row: int, best: int, tight: bool, hours: float, coverage: float) -> verdict.Facts:
        table = self.context.table
        current = int(self.current[row])
        network_limits, ebs_limits = table.network_baseline_gbps, table.ebs_baseline_mbps
        smaller = self._one_size_smaller(row, best)
        return verdict.Facts(
            current=table.types[current],
            proposed=table.types[best],
            current_price=float(self.prices[row, current] + self.surplus[row, current]),
            proposed_price=float(self.prices[row, best] + self.surplus[row, best]),
            surplus_cost=float(self.surplus[row, best]),
            ratio=float(self.ratios[row, best]),
            tight=tight,
            hours=hours,
            coverage=coverage,
            average_cpu=float(self.cpu.average[row]),
            cpu_percentile=float(self.cpu_percentile[row]),
            cpu_peak=float(self.cpu.peak[row]),
            saturated_minutes=float(self.saturated[row]),
            average_network=float(self.network.average[row] * NETWORK_REFERENCE_GBPS * 1e9 / 8.0),
            memory_measured=not bool(deps.numpy.isnan(self.needs.memory_gib[row])),
            memory_peak_gib=float(self.memory_peak_gib[row]),
            network_use=float(self.needs.network_sustained[row]) / max(float(network_limits[best]), 1e-9),
            ebs_use=max(
                _ratio(self.needs.ebs_mbps_sustained[row], ebs_limits[best]),
                _ratio(self.needs.ebs_iops_sustained[row], table.ebs_baseline_iops[best]),
            ),
            minute_price=float(self.minute_price[row]),
            minutes_current=float(self.minutes[row, current]),
            minutes_proposed=float(self.minutes[row, best]),
            smaller=smaller,
            binding=self._binding(row, best),
            rejected=self._rejected(row, best) if self.options.explain else (),
        )

    def _one_size_smaller(self, row: int, best: int) -> tuple[str, float, float] | None:
        """The next smaller type of the proposed family: name, saving against now, overload minutes a month."""
        np = deps.numpy
        table = self.context.table
        same = (table.family == table.family[best]) & (table.vcpus < table.vcpus[best]) & ~np.isnan(self.prices[row])
        if not same.any():
            same = (table.family == table.family[best]) & (self.prices[row] < self.prices[row, best])
        if not same.any():
            return None
        price = np.where(same, self.prices[row], -np.inf)
        smaller = int(np.argmax(price))
        saving = float(self.current_price[row] - self.prices[row, smaller] - self.surplus[row, smaller])
        return table.types[smaller].name, saving, float(self.minutes[row, smaller])

    def _binding(self, row: int, best: int) -> str:
        """The constraint that rules out the next better-priced type that is possible in kind."""
        np = deps.numpy
        with np.errstate(invalid="ignore"):
            cheaper = (self.prices[row] < self.prices[row, best]) & (self.codes[row] >= constraints.FIRST_DEMAND)
        if not cheaper.any():
            return "price"
        nearest = int(np.argmax(np.where(cheaper, self.prices[row], -np.inf)))
        return self._name(row, nearest)

    def _name(self, row: int, position: int) -> str:
        code = int(self.codes[row, position])
        return "overload_minutes" if code == constraints.FEASIBLE else constraints.CONSTRAINTS[code]

    def _rejected(self, row: int, best: int) -> tuple[Rejected, ...]:
        np = deps.numpy
        table, options = self.context.table, self.options
        instance = self.subjects[row].instance
        current = table.types[int(self.current[row])]
        with np.errstate(invalid="ignore"):
            cheaper = np.flatnonzero(self.prices[row] < self.prices[row, best])
        order = cheaper[np.lexsort((cheaper, -self.prices[row, cheaper]))][: options.explain_limit]
        found = []
        for position in order:
            candidate = table.types[int(position)]
            name = self._name(row, int(position))
            saving = float(self.current_price[row] - self.prices[row, position])
            if name == "overload_minutes":
                figure = (
                    f"{candidate.name} would have {self.minutes[row, position]:.0f} overload minutes a month, "
                    f"each priced at {self.minute_price[row]:.3g} {self.context.prices.currency}"
                )
            elif name in constraints.STRUCTURAL_SENTENCES:
                figure = constraints.structural_figure(name, candidate, instance, current)
            else:
                figure = constraints.demand_figure(
                    name, self.needs, row, candidate, float(self.ratios[row, position]), options
                )
            found.append(Rejected(candidate.name, round(saving, 2), name, figure))
        return tuple(found)


def _peak(statistics: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Maximum over the window (instances,), NaN without data, and the number of periods with data."""
    np = deps.numpy
    maximum = statistics[..., 3]
    peak = np.fmax.reduce(maximum, axis=1) if maximum.shape[1] else np.full(maximum.shape[0], np.nan, dtype=np.float32)
    return peak, np.isfinite(maximum).sum(axis=1).astype(np.float32)


def _ratio(need: float, limit: float) -> float:
    return float(need) / max(float(limit), 1e-9)


def _volume_limits(instances: Sequence[Instance]) -> tuple[FloatArray, FloatArray]:
    """What the attached volumes can use at most (Mbps, operations/s); NaN where a volume does not say."""
    np = deps.numpy
    mbps, iops = [], []
    for item in instances:
        mbps.append(
            sum((v.throughput_mibps if v.throughput_mibps is not None else np.nan) for v in item.volumes) * 8.388608
        )
        iops.append(sum((v.iops if v.iops is not None else np.nan) for v in item.volumes))
    return np.array(mbps, dtype=np.float32), np.array(iops, dtype=np.float32)
