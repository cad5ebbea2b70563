# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which metrics an instance or volume has, and what their samples are.

Samples are what the monitoring of the real cloud publishes: one every 60 s with detailed
monitoring, else every 300 s, holding the mean (CPU, memory) or the total (bytes, packets,
operations) of that time.
"""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

import numpy as np

from simulator import catalog, credits
from simulator.metric_store import Piece, SortedPeriods, Window, cut, periods_of
from simulator.state import Cloud, CustomMetric, Instance, MetricKey, Region, Span, Volume
from simulator.usage import Demand, Shape

Dimensions = tuple[tuple[str, str], ...]

#: metric -> (dimension of usage, unit)
_RATES = {
    "NetworkIn": ("network_in", "Bytes"),
    "NetworkOut": ("network_out", "Bytes"),
    "NetworkPacketsIn": ("packets_in", "Count"),
    "NetworkPacketsOut": ("packets_out", "Count"),
    "EBSReadBytes": ("ebs_read_bytes", "Bytes"),
    "EBSWriteBytes": ("ebs_write_bytes", "Bytes"),
    "EBSReadOps": ("ebs_read_ops", "Count"),
    "EBSWriteOps": ("ebs_write_ops", "Count"),
}
_VOLUME_RATES = {
    "VolumeReadBytes": ("ebs_read_bytes", "Bytes"),
    "VolumeWriteBytes": ("ebs_write_bytes", "Bytes"),
    "VolumeReadOps": ("ebs_read_ops", "Count"),
    "VolumeWriteOps": ("ebs_write_ops", "Count"),
}
_CREDIT_METRICS = ("CPUCreditBalance", "CPUCreditUsage", "CPUSurplusCreditBalance", "CPUSurplusCreditsCharged")
_STATUS_METRICS = ("StatusCheckFailed", "StatusCheckFailed_Instance", "StatusCheckFailed_System")
WINDOWS_MEMORY = "Memory % Committed Bytes In Use"


class _Constant(Shape):
    """Always one."""

    def __init__(self) -> None:
        super().__init__(300)

    def generate(self, day: int) -> t.Any:
        """A day of ones."""
        return np.ones(288, np.float32)


ONE = _Constant()


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """A metric: ``pieces``, or (for credits and custom metrics) a function that gives the samples."""

    unit: str
    sample: int
    pieces: tuple[Piece, ...] = ()
    instance: Instance | None = None
    computed: str = ""
    custom: CustomMetric | None = None


def _ceiling(spec: catalog.TypeSpec, dimension: str) -> float:
    """The most of a dimension that a type can pass, per second."""
    limits = {
        "network_in": spec.network_peak,
        "network_out": spec.network_peak,
        "ebs_read_bytes": spec.ebs_maximum,
        "ebs_write_bytes": spec.ebs_maximum,
        "ebs_read_ops": spec.ebs_maximum_iops,
        "ebs_write_ops": spec.ebs_maximum_iops,
    }
    return limits.get(dimension) or np.inf


def _rate(instance: Instance, dimension: str, share: float = 1.0) -> tuple[Piece, ...]:
    demand = instance.usage.get(dimension)
    if demand is None:
        demand = Demand(ONE, 0.0)
    factor = instance.sample * share
    pieces = []
    for span in instance.spans:
        spec = t.cast(catalog.TypeSpec, catalog.spec(span.instance_type))
        high = _ceiling(spec, dimension) * factor
        pieces.append(Piece(span.start, span.end, demand.shape, demand.scale * factor, demand.offset * factor, 0, high))
    return tuple(pieces)


def _cpu(cloud: Cloud, instance: Instance) -> tuple[Piece, ...]:
    demand = instance.usage.get("cpu") or Demand(ONE, 0.0)
    pieces = []
    for span in instance.spans:
        factor = 100.0 / cloud.vcpus(t.cast(catalog.TypeSpec, catalog.spec(span.instance_type)))
        pieces.append(
            Piece(span.start, span.end, demand.shape, demand.scale * factor, demand.offset * factor, 0, 100.0)
        )
    return tuple(pieces)


def _memory(instance: Instance, instance_type: str | None) -> tuple[Piece, ...]:
    demand = instance.usage.get("memory")
    if demand is None:
        return ()
    pieces = []
    for span in instance.spans:
        if instance_type in (None, span.instance_type):
            factor = 100.0 / t.cast(catalog.TypeSpec, catalog.spec(span.instance_type)).memory_gib
            pieces.append(
                Piece(span.start, span.end, demand.shape, demand.scale * factor, demand.offset * factor, 0, 100.0)
            )
    return tuple(pieces)


def credit_limited(instance: Instance) -> bool:
    """Whether its CPU is held at the baseline when its credits are gone."""
    mode = instance.credit_mode or ("standard" if instance.instance_type.startswith("t2.") else "unlimited")
    return instance.spec.burstable and mode == "standard"


def instance_series(cloud: Cloud, instance: Instance, metric: str) -> Series | None:
    """A metric of the namespace AWS/EC2, or None where the instance has no such metric."""
    sample = instance.sample
    if metric == "CPUUtilization":
        computed = "vcpus" if credit_limited(instance) else ""
        return Series("Percent", sample, _cpu(cloud, instance), instance, computed)
    if metric in _RATES:
        dimension, unit = _RATES[metric]
        if metric.startswith("EBS") and not instance.spec.nitro:
            return None
        return Series(unit, sample, _rate(instance, dimension))
    if metric in _STATUS_METRICS:
        failed = 1.0 if instance.impaired and metric != "StatusCheckFailed_System" else 0.0
        pieces = tuple(
            Piece(span.start, span.end, ONE, failed if span.end > cloud.clock.now() else 0.0) for span in instance.spans
        )
        return Series("Count", 60, pieces)
    if metric in _CREDIT_METRICS and instance.spec.burstable:
        return Series("Count", credits.SAMPLE, _cpu(cloud, instance), instance, metric)
    return None


def agent_dimensions(instance: Instance, instance_type: str) -> tuple[str, str, Dimensions] | None:
    """(namespace, metric, dimensions) under which the instance's memory is published, if it is.

    The CloudWatch agent adds ImageId, InstanceId, InstanceType and AutoScalingGroupName
    where it is configured to append them, and objectname on Windows; the older scripts
    published System/Linux MemoryUtilization with InstanceId alone.
    """
    name = instance.instance_id
    if not instance.memory_agent or instance.usage.get("memory") is None:
        return None
    if instance.memory_agent == "scripts":
        return "System/Linux", "MemoryUtilization", (("InstanceId", name),)
    metric = WINDOWS_MEMORY if instance.image.operating_system == "Windows" else "mem_used_percent"
    pairs = [("InstanceId", name)]
    if instance.memory_agent != "instance_only":
        pairs += [("ImageId", instance.image.image_id), ("InstanceType", instance_type)]
        if instance.group_name:
            pairs.append(("AutoScalingGroupName", instance.group_name))
    if metric == WINDOWS_MEMORY:
        pairs.append(("objectname", "Memory"))
    return "CWAgent", metric, tuple(sorted(pairs))


def _volume_series(region: Region, volume: Volume, metric: str) -> Series | None:
    instance = region.instances.get(volume.instance_id)
    if instance is None or metric not in _VOLUME_RATES:
        return None
    dimension, unit = _VOLUME_RATES[metric]
    return Series(unit, instance.sample, _rate(instance, dimension, 1 / len(instance.volume_ids)))


def find(cloud: Cloud, region: Region, namespace: str, metric: str, dimensions: Dimensions) -> Series | None:
    """The series of a metric, or None where there is none with exactly these (sorted) dimensions."""
    named = dict(dimensions)
    if namespace == "AWS/EC2" and set(named) == {"InstanceId"}:
        instance = region.instances.get(named["InstanceId"])
        if instance is not None:
            return instance_series(cloud, instance, metric)
    elif namespace == "AWS/EBS" and set(named) == {"VolumeId"}:
        volume = region.volumes.get(named["VolumeId"])
        if volume is not None:
            return _volume_series(region, volume, metric)
    elif namespace in ("CWAgent", "System/Linux"):
        instance = region.instances.get(named.get("InstanceId", ""))
        if instance is not None:
            kind = named.get("InstanceType", instance.instance_type)
            if agent_dimensions(instance, kind) == (namespace, metric, dimensions):
                return Series("Percent", 300, _memory(instance, named.get("InstanceType")))
    custom = region.custom_metrics.get((namespace, metric, dimensions))
    return Series("None", 60, custom=custom) if custom else None


def rows_of(cloud: Cloud, series: Series, window: Window) -> tuple[SortedPeriods, Piece | None]:
    """The series' samples, cut into the window's periods and sorted, with what is still to be applied."""
    if series.custom is not None:
        return SortedPeriods.of(_custom_rows(series.custom, window)), None
    if series.computed and series.instance is not None:
        return SortedPeriods.of(_computed_rows(cloud, series, window)), None
    return periods_of(series.pieces, series.sample, window, cloud.cache)


def _custom_rows(custom: CustomMetric, window: Window) -> t.Any:
    times, values = np.array(custom.times), np.array(custom.values)
    place = ((times - window.start) // window.period).astype(int)
    inside = (place >= 0) & (place < window.periods) & (times < window.end)
    place, values = place[inside], values[inside]
    rows = np.full((window.periods, max(1, np.bincount(place).max() if len(place) else 1)), np.nan)
    rows[place, np.arange(len(place)) - np.searchsorted(place, place)] = values
    return rows


def credit_history(cloud: Cloud, instance: Instance, span: Span, end: float) -> tuple[float, credits.Credits] | None:
    """Credits of one span up to ``end``: time of the first sample, and the samples."""
    spec = t.cast(catalog.TypeSpec, catalog.spec(span.instance_type))
    demand = instance.usage.get("cpu")
    # Credits reach their level within a day or two: older history does not matter.
    first = max(span.start, cloud.started - 100 * 86400)
    first = -(-first // credits.SAMPLE) * credits.SAMPLE
    # The end is rounded up to a day, so that all that is asked today comes from one simulation.
    last = -(-min(span.end, end) // 86400) * 86400 if span.end > end else span.end // credits.SAMPLE * credits.SAMPLE
    if not spec.burstable or demand is None or last <= first:
        return None
    return first, credits.simulate(demand, span.instance_type, not credit_limited(instance), first, last)


def _computed_rows(cloud: Cloud, series: Series, window: Window) -> t.Any:
    instance = t.cast(Instance, series.instance)
    sample = credits.SAMPLE
    origin = -(-window.start // sample) * sample
    count = int(-(-window.periods * window.period // sample))
    grid = np.full(count, np.nan)
    for span in instance.spans:
        history = credit_history(cloud, instance, span, window.end)
        if history is None:
            continue
        first, known = history
        spec = t.cast(catalog.TypeSpec, catalog.spec(span.instance_type))
        values = {
            "vcpus": known.vcpus * 100 / spec.vcpus,
            "CPUCreditBalance": known.balance,
            "CPUCreditUsage": known.used,
            "CPUSurplusCreditBalance": np.zeros(len(known.balance)),
            "CPUSurplusCreditsCharged": known.charged,
        }[series.computed]
        limit = int((min(span.end, window.end) - first) // sample)
        values = values[: max(0, limit)]
        at = round((first - origin) / sample)
        skip = max(0, -at)
        piece = values[skip : skip + count - max(0, at)]
        grid[max(0, at) : max(0, at) + len(piece)] = piece
    return cut(window, sample, grid, origin)


def _types_of(instance: Instance, since: float) -> list[str]:
    return list(dict.fromkeys(span.instance_type for span in instance.spans if span.end > since))


def listed(
    cloud: Cloud, region: Region, namespace: str | None, metric: str | None, wanted: t.Mapping[str, str | None]
) -> t.Iterator[MetricKey]:
    """Metrics that had data in the last two weeks, as ListMetrics lists them."""
    since = cloud.clock.now() - 14 * 86400
    exact = wanted.get("InstanceId")
    chosen: t.Iterable[Instance] = region.instances.values()
    if exact:
        chosen = [region.instances[exact]] if exact in region.instances else []
    for instance in chosen:
        types = _types_of(instance, since)
        if not types:
            continue
        if namespace in (None, "AWS/EC2"):
            for name in _ec2_names(instance):
                if metric in (None, name):
                    yield "AWS/EC2", name, (("InstanceId", instance.instance_id),)
        if namespace in (None, "CWAgent", "System/Linux") and instance.memory_agent:
            keys = {agent_dimensions(instance, kind) for kind in types}
            for key in sorted(key for key in keys if key):
                if namespace in (None, key[0]) and metric in (None, key[1]):
                    yield key
    if namespace in (None, "AWS/EBS"):
        for volume in region.volumes.values():
            if volume.instance_id:
                for name in _VOLUME_RATES:
                    if metric in (None, name):
                        yield "AWS/EBS", name, (("VolumeId", volume.volume_id),)
    for key in region.custom_metrics:
        if namespace in (None, key[0]) and metric in (None, key[1]):
            yield key


def _ec2_names(instance: Instance) -> t.Iterator[str]:
    yield "CPUUtilization"
    for name in _RATES:
        if instance.spec.nitro or not name.startswith("EBS"):
            yield name
    if instance.spec.burstable:
        yield from _CREDIT_METRICS
    yield from _STATUS_METRICS


def fits(dimensions: Dimensions, wanted: t.Mapping[str, str | None]) -> bool:
    """Whether dimensions hold all those wanted (None: any value)."""
    named = dict(dimensions)
    return all(name in named and value in (None, named[name]) for name, value in wanted.items())


def listed_page(
    cloud: Cloud,
    region: Region,
    namespace: str | None,
    metric: str | None,
    wanted: t.Mapping[str, str | None],
    offset: int,
    limit: int,
) -> list[MetricKey]:
    """``limit + 1`` metrics from ``offset`` on: one more than a page says whether another follows."""
    every = (key for key in listed(cloud, region, namespace, metric, wanted) if fits(key[2], wanted))
    return list(itertools.islice(every, offset, offset + limit + 1))
