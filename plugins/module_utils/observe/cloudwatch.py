# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Usage of a fleet from CloudWatch: five statistics a day, computed by CloudWatch itself.

GetMetricData takes at most 500 queries and returns at most 100,800 points a page
(CloudWatch API reference), so a query of up to 201 points always fits one page and the
whole fleet takes ceil(queries / 500) requests.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import hashlib
import itertools
import math
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.aws import MAXIMUM_CONNECTIONS, Aws
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cache import Cache
from ansible_collections.frugal.cloud.plugins.module_utils.progress import Progress
from ansible_collections.frugal.cloud.plugins.module_utils.resources import (
    STATISTICS,
    FleetUsage,
    Instance,
    InstanceType,
)

if t.TYPE_CHECKING:
    from ansible_collections.frugal.cloud.plugins.module_utils.resources import FloatArray

QUERIES_PER_REQUEST = 500
POINTS_PER_PAGE = 100_800
#: Points that a query may have so that 500 queries still fit one page.
POINTS_PER_QUERY = POINTS_PER_PAGE // QUERIES_PER_REQUEST
DAY = 86_400
#: CloudWatch keeps one-hour data for 455 days; a longer window has nothing more to give.
MAXIMUM_LOOKBACK_DAYS = 200

_EVERY = STATISTICS
_PEAKS = ("p99", "Maximum")


@dataclasses.dataclass(frozen=True, slots=True)
class _Source:
    """Where a usage metric comes from. ``per_second``: a sample is a sum over the sample interval."""

    namespace: str
    name: str
    statistics: tuple[str, ...]
    per_second: bool = False
    only: t.Literal["", "nitro", "burstable"] = ""


#: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/viewing_metrics_with_cloudwatch.html
_EC2 = "AWS/EC2"
SOURCES: dict[str, _Source] = {
    "cpu_percent": _Source(_EC2, "CPUUtilization", _EVERY),
    "network_in_bytes_per_second": _Source(_EC2, "NetworkIn", _PEAKS, per_second=True),
    "network_out_bytes_per_second": _Source(_EC2, "NetworkOut", _PEAKS, per_second=True),
    "network_packets_in_per_second": _Source(_EC2, "NetworkPacketsIn", _PEAKS, per_second=True),
    "network_packets_out_per_second": _Source(_EC2, "NetworkPacketsOut", _PEAKS, per_second=True),
    "ebs_read_bytes_per_second": _Source(_EC2, "EBSReadBytes", _PEAKS, per_second=True, only="nitro"),
    "ebs_write_bytes_per_second": _Source(_EC2, "EBSWriteBytes", _PEAKS, per_second=True, only="nitro"),
    "ebs_read_operations_per_second": _Source(_EC2, "EBSReadOps", _PEAKS, per_second=True, only="nitro"),
    "ebs_write_operations_per_second": _Source(_EC2, "EBSWriteOps", _PEAKS, per_second=True, only="nitro"),
    "cpu_credit_balance": _Source(_EC2, "CPUCreditBalance", ("p50", "Average"), only="burstable"),
    "cpu_surplus_credits_charged": _Source(_EC2, "CPUSurplusCreditsCharged", ("Maximum", "Average"), only="burstable"),
}
#: What the ``metrics`` option of modules names -> usage metrics.
GROUPS: dict[str, tuple[str, ...]] = {
    "cpu": ("cpu_percent",),
    "memory": ("memory_percent",),
    "network": ("network_in_bytes_per_second", "network_out_bytes_per_second"),
    "packets": ("network_packets_in_per_second", "network_packets_out_per_second"),
    "ebs": (
        "ebs_read_bytes_per_second",
        "ebs_write_bytes_per_second",
        "ebs_read_operations_per_second",
        "ebs_write_operations_per_second",
    ),
    "credits": ("cpu_credit_balance", "cpu_surplus_credits_charged"),
}
#: (namespace, metric) that hold memory in percent: the CloudWatch agent on Linux and on
#: Windows, and the older monitoring scripts.
#: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/metrics-collected-by-CloudWatch-agent.html
MEMORY_SOURCES = {
    "Linux": (("CWAgent", "mem_used_percent"), ("System/Linux", "MemoryUtilization")),
    "Windows": (("CWAgent", "Memory % Committed Bytes In Use"),),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """One metric of one resource, as CloudWatch names it, with the statistic to read."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: str = "Average"


@dataclasses.dataclass(frozen=True, slots=True)
class _Query:
    """One MetricDataQuery: its series, and which cells of which array its points go to."""

    usage_metric: str
    instance: int
    statistic: int
    series: Series
    scale: float


def window(as_of: datetime.datetime, lookback_days: int) -> tuple[datetime.datetime, int]:
    """Start of the window (midnight UTC) and its number of daily periods, the current day included."""
    midnight = as_of.astimezone(datetime.timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - datetime.timedelta(days=lookback_days), lookback_days + 1


def read_usage(
    aws: Aws,
    instances: Sequence[Instance],
    catalog: Mapping[str, InstanceType],
    usage_metrics: Sequence[str],
    as_of: datetime.datetime,
    lookback_days: int,
    *,
    statistics: Sequence[str] = STATISTICS,
    trust_before_restart: bool = False,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> FleetUsage:
    """Read daily statistics of ``usage_metrics`` (keys of ``USAGE_METRICS``) for every instance.

    A day that began before an instance last started is left out (NaN) unless
    ``trust_before_restart``: CloudWatch does not say which type an instance had before a
    restart, and 90 % of another type is another load. EBS metrics exist for Nitro types
    only, credits for burstable ones. What was read is kept in ``cache`` for an hour.

    :raises ApiCostExceeded: before anything is read, when ``max_api_cost`` would not do.
    :raises AwsError: when CloudWatch refuses.
    """
    start, periods = window(as_of, lookback_days)
    queries = list(_queries(aws, instances, catalog, usage_metrics, statistics))
    key = [
        aws.account,
        aws.region,
        start.isoformat(),
        as_of.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H"),
        _digest(queries),
    ]
    arrays = cache.load_arrays("usage", key) if cache else None
    if arrays is None:
        aws.cost.charge("cloudwatch metric", len(queries))
        arrays = _read(aws, queries, len(instances), start, periods, as_of, progress or Progress())
        if cache:
            cache.store_arrays("usage", key, arrays, keep_seconds=3600)
    if not trust_before_restart:
        for index, instance in enumerate(instances):
            if instance.launch_time is not None and instance.launch_time > start:
                first = math.ceil((instance.launch_time - start).total_seconds() / DAY)
                for values in arrays.values():
                    values[index, :first] = math.nan
    sources = {query.usage_metric: f"CloudWatch {query.series.namespace}" for query in queries}
    return FleetUsage(
        instance_ids=[instance.instance_id for instance in instances],
        start=start,
        period_seconds=DAY,
        periods=periods,
        metrics=arrays,
        sources=sources,
    )


def _queries(
    aws: Aws,
    instances: Sequence[Instance],
    catalog: Mapping[str, InstanceType],
    usage_metrics: Sequence[str],
    statistics: Sequence[str],
) -> Iterator[_Query]:
    for metric in usage_metrics:
        if metric == "memory_percent":
            yield from _memory_queries(aws, instances, catalog)
            continue
        source = SOURCES[metric]
        chosen = [STATISTICS.index(name) for name in source.statistics if name in statistics]
        for index, instance in enumerate(instances):
            kind = catalog.get(instance.instance_type)
            if source.only and (kind is None or not _has(kind, source.only)):
                continue
            scale = 1.0 / instance.sample_seconds if source.per_second else 1.0
            dimensions = (("InstanceId", instance.instance_id),)
            for statistic in chosen:
                series = Series(source.namespace, source.name, dimensions, STATISTICS[statistic])
                yield _Query(metric, index, statistic, series, scale)


def _digest(queries: Sequence[_Query]) -> str:
    digest = hashlib.sha256()
    for query in queries:
        digest.update(repr(query).encode())
    return digest.hexdigest()


def _has(kind: InstanceType, feature: str) -> bool:
    return kind.burstable if feature == "burstable" else kind.hypervisor == feature


def _memory_queries(aws: Aws, instances: Sequence[Instance], catalog: Mapping[str, InstanceType]) -> Iterator[_Query]:
    """Memory of every instance whose agent publishes it; the agent's dimensions are only known by listing.

    A series that carries the InstanceType of an earlier, larger or smaller type is scaled
    to the memory of the current one.
    """
    position = {instance.instance_id: index for index, instance in enumerate(instances)}
    missing = set(position)
    systems = {"Windows" if item.operating_system.startswith("Windows") else "Linux" for item in instances}
    for namespace, name in itertools.chain.from_iterable(MEMORY_SOURCES[system] for system in sorted(systems)):
        if not missing:
            break
        found: set[str] = set()
        for dimensions in _listed(aws, namespace, name):
            named = dict(dimensions)
            instance_id = named.get("InstanceId", "")
            if instance_id not in missing:
                continue
            index = position[instance_id]
            then, now = catalog.get(named.get("InstanceType", "")), catalog.get(instances[index].instance_type)
            scale = then.memory_gib / now.memory_gib if then and now else 1.0
            found.add(instance_id)
            for statistic in _PEAKS:
                series = Series(namespace, name, dimensions, statistic)
                yield _Query("memory_percent", index, STATISTICS.index(statistic), series, scale)
        missing -= found


def _listed(aws: Aws, namespace: str, name: str) -> Iterator[tuple[tuple[str, str], ...]]:
    """Dimensions of every series of a metric; ListMetrics gives 500 a page."""
    for page in aws.pages("cloudwatch", "list_metrics", Namespace=namespace, MetricName=name):
        aws.cost.charge("ListMetrics request", 1)
        for metric in page["Metrics"]:
            yield tuple(sorted((item["Name"], item["Value"]) for item in metric.get("Dimensions", ())))


def _read(
    aws: Aws,
    queries: Sequence[_Query],
    instances: int,
    start: datetime.datetime,
    periods: int,
    as_of: datetime.datetime,
    progress: Progress,
) -> dict[str, FloatArray]:
    numpy = deps.numpy
    arrays: dict[str, FloatArray] = {
        metric: numpy.full((instances, periods, len(STATISTICS)), numpy.nan, dtype=numpy.float32)
        for metric in dict.fromkeys(query.usage_metric for query in queries)
    }
    origin = start.timestamp()
    batches = [queries[at : at + QUERIES_PER_REQUEST] for at in range(0, len(queries), QUERIES_PER_REQUEST)]
    done = 0
    with concurrent.futures.ThreadPoolExecutor(MAXIMUM_CONNECTIONS) as pool:
        running = {
            pool.submit(_request, aws, [query.series for query in batch], start, as_of, DAY): batch for batch in batches
        }
        try:
            for future in concurrent.futures.as_completed(list(running)):
                batch = running.pop(future)
                for number, timestamps, values in future.result():
                    query = batch[number]
                    if not values:
                        continue
                    at = ((numpy.array(timestamps) - origin) // DAY).astype(numpy.intp)
                    inside = (at >= 0) & (at < periods)
                    cells = arrays[query.usage_metric][query.instance, :, query.statistic]
                    # Two series of one metric (an agent seen under two types): the larger one counts.
                    cells[at[inside]] = numpy.fmax(cells[at[inside]], numpy.array(values)[inside] * query.scale)
                done += 1
                progress.count(
                    f"reading usage of {instances} instances",
                    done,
                    len(batches),
                    f"{min(done * QUERIES_PER_REQUEST, len(queries))} queries, {aws.cost.spent:.2f} USD",
                )
        except BaseException:
            for future in running:
                future.cancel()
            raise
    return arrays


def read_samples(
    aws: Aws, series: Sequence[Series], start: datetime.datetime, end: datetime.datetime, period_seconds: int
) -> list[list[tuple[float, float]]]:
    """(epoch seconds, value) of each of ``series``, oldest first, one point a period.

    :raises ApiCostExceeded: before anything is read.
    """
    aws.cost.charge("cloudwatch metric", len(series))
    answer: list[list[tuple[float, float]]] = []
    for at in range(0, len(series), QUERIES_PER_REQUEST):
        part = series[at : at + QUERIES_PER_REQUEST]
        found: dict[int, list[tuple[float, float]]] = {}
        for number, times, values in _request(aws, part, start, end, period_seconds):
            found.setdefault(number, []).extend(zip(times, values))
        answer += [sorted(found.get(number, ())) for number in range(len(part))]
    return answer


def memory_series(
    aws: Aws, instances: Mapping[str, str], operating_systems: t.Iterable[str] = ("Linux", "Windows")
) -> dict[str, Series]:
    """Instance id -> its memory series. ``instances`` maps ids to current types, which the agent's dimensions carry."""
    found: dict[str, Series] = {}
    for namespace, name in itertools.chain.from_iterable(MEMORY_SOURCES[system] for system in operating_systems):
        for dimensions in _listed(aws, namespace, name):
            named = dict(dimensions)
            instance_id = named.get("InstanceId", "")
            if instance_id in instances and named.get("InstanceType", instances[instance_id]) == instances[instance_id]:
                found.setdefault(instance_id, Series(namespace, name, dimensions))
    return found


def _request(
    aws: Aws, batch: Sequence[Series], start: datetime.datetime, end: datetime.datetime, period_seconds: int
) -> list[tuple[int, list[float], list[float]]]:
    """One GetMetricData with all its pages: (position in ``batch``, epoch seconds, values)."""
    asked = [
        {
            "Id": f"q{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": series.namespace,
                    "MetricName": series.name,
                    "Dimensions": [{"Name": name, "Value": value} for name, value in series.dimensions],
                },
                "Period": period_seconds,
                "Stat": series.statistic,
            },
        }
        for number, series in enumerate(batch)
    ]
    answer: list[tuple[int, list[float], list[float]]] = []
    arguments: dict[str, t.Any] = {"MetricDataQueries": asked, "StartTime": start, "EndTime": end}
    while True:
        page = aws.read("cloudwatch", "get_metric_data", **arguments)
        for result in page["MetricDataResults"]:
            times = [timestamp.timestamp() for timestamp in result["Timestamps"]]
            answer.append((int(result["Id"][1:]), times, result["Values"]))
        if not page.get("NextToken"):
            return answer
        arguments["NextToken"] = page["NextToken"]
