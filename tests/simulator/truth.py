# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The truth that no API of the real cloud tells: overload, and what everything costs.

An overload minute is one in which the demand exceeds what the present type can do in any
dimension: vCPUs; memory; the network's peak bandwidth at once, or its baseline for half an
hour on average (either direction); EBS bandwidth or operations above the maximum at once,
or above the baseline for half an hour on average (that is how long EBS bursts last). A
burstable instance in standard mode is limited to its baseline when its credits are gone.
"""

from __future__ import annotations

import functools
import typing as t

import numpy as np

from simulator import catalog, costs, metrics, prices
from simulator.state import Cloud, Instance, Region, Span
from simulator.usage import Demand, Shape

if t.TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

SUSTAINED_SECONDS = 1800


@functools.lru_cache(maxsize=256)
def _samples(shape: Shape, step: int, start: float, end: float) -> tuple[t.Any, float]:
    values = np.nan_to_num(shape.samples(step, start, end))
    return values, float(values.max()) if len(values) else 0.0


def _highest(demand: Demand | None, step: int, start: float, end: float) -> float:
    if demand is None:
        return 0.0
    return max(0.0, demand.offset + demand.scale * _samples(demand.shape, step, start, end)[1])


def _values(demand: Demand | None, step: int, start: float, end: float, count: int) -> Array:
    if demand is None:
        return np.zeros(count)
    shape = _samples(demand.shape, step, start, end)[0]
    return np.asarray(np.maximum(demand.offset + demand.scale * shape.astype(np.float64), 0.0))


def _sustained(values: Array, step: int, limit: float) -> Flags:
    """Samples that belong to half an hour whose mean is above the limit."""
    width = SUSTAINED_SECONDS // step
    if len(values) < width:
        return np.zeros(len(values), bool)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    above = (sums[width:] - sums[:-width]) / width > limit
    marks = np.zeros(len(values) + 1, np.int64)
    starts = np.flatnonzero(above)
    np.add.at(marks, starts, 1)
    np.add.at(marks, starts + width, -1)
    return np.cumsum(marks)[:-1] > 0


def _bounded(values: Array, step: int, baseline: float | None, peak: float | None) -> Flags:
    flags = np.zeros(len(values), bool)
    if peak is not None:
        flags |= values > peak
    if baseline is not None:
        flags |= _sustained(values, step, baseline)
    return flags


def span_overload(cloud: Cloud, instance: Instance, span: Span, start: float, end: float) -> dict[str, float]:
    """Overload minutes of one span in a window, by dimension and under ``any``; only those above 0."""
    usage = instance.usage
    if not usage.demands:
        return {}
    step = min(demand.shape.step for demand in usage.demands.values())
    first, last = max(start, span.start), min(end, span.end)
    first, last = -(-first // step) * step, last // step * step
    count = round((last - first) / step)
    if count <= 0:
        return {}
    spec = t.cast(catalog.TypeSpec, catalog.spec(span.instance_type))
    flags: dict[str, Flags] = {}

    def highest(*names: str) -> float:
        return sum(_highest(usage.get(name), step, first, last) for name in names)

    def values(*names: str) -> Array:
        return np.asarray(np.sum([_values(usage.get(name), step, first, last, count) for name in names], axis=0))

    vcpus = cloud.vcpus(spec)
    if metrics.credit_limited(instance) and highest("cpu") > spec.vcpus * spec.baseline_share:
        history = metrics.credit_history(cloud, instance, span, end)
        if history is not None:
            begin, known = history
            had = np.repeat(known.vcpus, max(1, 300 // step))
            at = max(0, round((first - begin) / step))
            had = had[at : at + count]
            flags["cpu"] = np.zeros(count, bool)
            flags["cpu"][: len(had)] = values("cpu")[: len(had)] > had + 1e-6
    elif highest("cpu") > vcpus:
        flags["cpu"] = values("cpu") > vcpus
    if highest("memory") > spec.memory_gib:
        flags["memory"] = values("memory") > spec.memory_gib
    for direction in ("network_in", "network_out"):
        if highest(direction) > (spec.network_baseline or np.inf):
            found = _bounded(values(direction), step, spec.network_baseline, spec.network_peak)
            flags["network"] = flags.get("network", np.zeros(count, bool)) | found
    for name, parts, baseline, peak in (
        ("ebs_bandwidth", ("ebs_read_bytes", "ebs_write_bytes"), spec.ebs_baseline, spec.ebs_maximum),
        ("ebs_operations", ("ebs_read_ops", "ebs_write_ops"), spec.ebs_baseline_iops, spec.ebs_maximum_iops),
    ):
        if highest(*parts) > (baseline or np.inf):
            flags[name] = _bounded(values(*parts), step, baseline, peak)
    if not flags:
        return {}
    minutes = {name: float(flag.sum()) * step / 60 for name, flag in flags.items()}
    minutes["any"] = float(np.logical_or.reduce(list(flags.values())).sum()) * step / 60
    return {name: value for name, value in minutes.items() if value > 0}


def overload(cloud: Cloud, instance: Instance, start: float, end: float) -> dict[str, float]:
    """Overload minutes of an instance in a window, by dimension and under ``any``."""
    total: dict[str, float] = {}
    for span in instance.spans:
        for name, value in span_overload(cloud, instance, span, start, end).items():
            total[name] = total.get(name, 0.0) + value
    return total


def _row(cloud: Cloud, region: Region, instance: Instance, start: float, end: float) -> dict[str, t.Any]:
    runs = instance.state in ("running", "pending")
    minutes = overload(cloud, instance, start, end)
    surplus = 0.0
    if runs and instance.spec.burstable:
        days = (end - start) / 86400
        surplus = costs.surplus_cost(cloud, instance, start, end) / days * prices.HOURS_PER_MONTH / 24
    return {
        "account": region.account,
        "region": region.name,
        "name": instance.tags.get("Name", ""),
        "instance_type": instance.instance_type,
        "state": instance.state,
        "group": instance.group_name,
        "monthly_cost": round(costs.hourly_list(instance) * prices.HOURS_PER_MONTH, 4) if runs else 0.0,
        "monthly_surplus_credits": round(surplus, 4),
        "overload_minutes": minutes.pop("any", 0.0),
        "overload_by_dimension": minutes,
    }


def report(cloud: Cloud, start: float, end: float) -> dict[str, t.Any]:
    """Every instance that is not terminated, or was overloaded before it was, and the totals."""
    rows: dict[str, dict[str, t.Any]] = {}
    storage = effective = 0.0
    now = cloud.clock.now()
    for account in cloud.accounts.values():
        for region in account.regions.values():
            storage += costs.monthly_storage(region)
            for instance in region.instances.values():
                row = _row(cloud, region, instance, start, end)
                if instance.state not in ("terminated", "shutting-down") or row["overload_minutes"]:
                    rows[instance.instance_id] = row
        running = [one for _i, _r, one in costs.running_between(account, now - 1e-3, now)]
        effective += costs.coverage(account, running, now).effective * prices.HOURS_PER_MONTH
    return {
        "start": start,
        "end": end,
        "now": now,
        "instances": rows,
        "totals": {
            "instances": len(rows),
            "running": sum(row["state"] == "running" for row in rows.values()),
            "monthly_cost": round(sum(row["monthly_cost"] for row in rows.values()), 2),
            "monthly_cost_effective": round(effective, 2),
            "monthly_surplus_credits": round(sum(row["monthly_surplus_credits"] for row in rows.values()), 2),
            "monthly_storage_cost": round(storage, 2),
            "overload_minutes": sum(row["overload_minutes"] for row in rows.values()),
        },
    }
