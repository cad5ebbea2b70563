# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Usage of a fleet from CloudWatch: five statistics a day, computed by CloudWatch itself.

GetMetricData takes at most 500 queries and returns at most 100,800 points a page
(CloudWatch API reference), so a query of up to 201 points always fits one page and the
whole fleet takes ceil(queries / 500) requests.

Xen types (m4, c4, r4, t2, ...) have no EBS metrics of their own: what their volumes moved is
read instead, as far as it says something, see :func:`_volume_bounds`.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import datetime
import hashlib
import itertools
import math
import threading
import typing as t
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.aws import MAXIMUM_CONNECTIONS, Aws
from ansible_collections.frugal.cloud.plugins.module_utils.observe import answers
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cache import Cache
from ansible_collections.frugal.cloud.plugins.module_utils.progress import Progress
from ansible_collections.frugal.cloud.plugins.module_utils.resources import (
    STATISTICS,
    FleetUsage,
    Instance,
    InstanceType,
)

if t.TYPE_CHECKING:
    import numpy
    import numpy.typing
    from ansible_collections.frugal.cloud.plugins.module_utils.resources import FloatArray

    BoolArray = numpy.typing.NDArray[numpy.bool_]
    IntArray = numpy.typing.NDArray[numpy.intp]

QUERIES_PER_REQUEST = 500
POINTS_PER_PAGE = 100_800
#: Points that a query may have so that 500 queries still fit one page.
POINTS_PER_QUERY = POINTS_PER_PAGE // QUERIES_PER_REQUEST
DAY = 86_400
#: CloudWatch keeps one-hour data for 455 days; a longer window has nothing more to give.
MAXIMUM_LOOKBACK_DAYS = 200

#: (name, value) of each dimension, by name.
Dimensions = tuple[tuple[str, str], ...]

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


#: What is read of each volume of a Xen instance, in place of the instance's own EBS metrics.
#: https://docs.aws.amazon.com/ebs/latest/userguide/using_cloudwatch_ebs.html
VOLUME_SOURCES = {
    "ebs_read_bytes_per_second": "VolumeReadBytes",
    "ebs_write_bytes_per_second": "VolumeWriteBytes",
    "ebs_read_operations_per_second": "VolumeReadOps",
    "ebs_write_operations_per_second": "VolumeWriteOps",
}
_EBS = "AWS/EBS"
#: Parts of a day in seconds; CloudWatch answers in whole hours however old the data are.
_PARTS_OF_A_DAY = (3600, 7200, 10_800, 14_400, 21_600, 28_800, 43_200, DAY)


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """One metric of one resource, as CloudWatch names it, with the statistic to read.

    ``period_seconds``: a period of its own; 0 for that of the request.
    """

    namespace: str
    name: str
    dimensions: Dimensions
    statistic: str = "Average"
    period_seconds: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class _Queries:
    """One statistic of one usage metric, asked for many instances: a query for each of ``rows``.

    ``rows`` are positions of instances, ``scales`` what each point is multiplied by.
    ``dimensions`` is None where an instance's id is all. Queries of 10,000 instances as
    objects of their own would be 100 MB.

    With ``sum_seconds`` the queries ask for sums of that many seconds, each of one volume of
    the instance in ``rows``, instead of a statistic.
    """

    usage_metric: str
    namespace: str
    name: str
    statistic: int
    rows: IntArray
    scales: FloatArray
    dimensions: Sequence[Dimensions] | None = None
    sum_seconds: int = 0

    def series(self, position: int, instances: Sequence[Instance]) -> Series:
        """What the query at ``position`` asks for."""
        dimensions: Dimensions
        if self.dimensions is None:
            dimensions = (("InstanceId", instances[self.rows[position]].instance_id),)
        else:
            dimensions = self.dimensions[position]
        if self.sum_seconds:
            return Series(self.namespace, self.name, dimensions, "Sum", self.sum_seconds)
        return Series(self.namespace, self.name, dimensions, STATISTICS[self.statistic])


#: Queries from one position to another that go into one request.
_Part = tuple[_Queries, int, int]


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
    trust_before_restart: bool = False,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> FleetUsage:
    """Read daily statistics of ``usage_metrics`` (keys of ``USAGE_METRICS``) for every instance.

    A day that began before an instance last started is left out (NaN) unless
    ``trust_before_restart``: CloudWatch does not say which type an instance had before a
    restart, and 90 % of another type is another load. EBS metrics exist for Nitro types
    only (of Xen ones they are bounds, from their volumes), credits for burstable ones. What
    was read is kept in ``cache`` for an hour.

    :raises ApiCostExceeded: before anything is read, when ``max_api_cost`` would not do.
    :raises AwsError: when CloudWatch refuses.
    """
    start, periods = window(as_of, lookback_days)
    queries = list(_queries(aws, instances, catalog, usage_metrics))
    queries += _volume_queries(instances, catalog, usage_metrics, periods)
    usage = _usage(aws, instances, queries, _Grid(start, DAY, periods), as_of, cache, progress)
    if not trust_before_restart:
        forget_before_start(usage, instances)
    return usage


def forget_before_start(usage: FleetUsage, instances: Sequence[Instance]) -> None:
    """Leave out (NaN) every period that began before its instance last started; ``usage`` is changed in place."""
    for index, instance in enumerate(instances):
        if instance.launch_time is not None and instance.launch_time > usage.start:
            first = math.ceil((instance.launch_time - usage.start).total_seconds() / usage.period_seconds)
            for values in usage.metrics.values():
                values[index, :first] = math.nan


def read_averages(
    aws: Aws,
    instances: Sequence[Instance],
    usage_metric: str,
    as_of: datetime.datetime,
    lookback_days: int,
    *,
    cache: Cache | None = None,
    progress: Progress | None = None,
) -> FleetUsage:
    """Read the average of one metric over the whole lookback as its only period.

    CloudWatch rounds the start of a window down, the further back the coarser
    (API_GetMetricData, StartTime); so does this, which keeps the period whole.

    :raises ApiCostExceeded: before anything is read, when ``max_api_cost`` would not do.
    :raises AwsError: when CloudWatch refuses.
    """
    step = 60 if lookback_days < 15 else 300 if lookback_days < 63 else 3600
    seconds = lookback_days * DAY
    begin = (as_of.timestamp() - seconds) // step * step
    start = datetime.datetime.fromtimestamp(begin, datetime.timezone.utc)
    queries = list(_queries(aws, instances, {}, (usage_metric,), ("Average",)))
    end = start + datetime.timedelta(seconds=seconds)
    return _usage(aws, instances, queries, _Grid(start, seconds, 1), end, cache, progress)


@dataclasses.dataclass(frozen=True, slots=True)
class _Grid:
    """``periods`` periods of ``seconds`` each from ``start``."""

    start: datetime.datetime
    seconds: int
    periods: int


def _usage(
    aws: Aws,
    instances: Sequence[Instance],
    queries: Sequence[_Queries],
    grid: _Grid,
    end: datetime.datetime,
    cache: Cache | None,
    progress: Progress | None,
) -> FleetUsage:
    key = [
        aws.account,
        aws.region,
        grid.start.isoformat(),
        grid.seconds,
        end.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H"),
        _digest(queries, instances),
    ]
    arrays = cache.load_arrays("usage", key) if cache else None
    if arrays is None:
        aws.cost.charge("cloudwatch metric", sum(part.rows.size for part in queries))
        arrays = _read(aws, queries, instances, grid, end, progress or Progress())
        if cache:
            cache.store_arrays("usage", key, arrays, keep_seconds=3600)
    return FleetUsage(
        instance_ids=[instance.instance_id for instance in instances],
        start=grid.start,
        period_seconds=grid.seconds,
        periods=grid.periods,
        metrics=arrays,
        sources=_sources(queries),
    )


def _sources(queries: Sequence[_Queries]) -> dict[str, str]:
    """Usage metric -> where it was read."""
    found: dict[str, dict[str, None]] = {}
    for part in queries:
        if part.sum_seconds:
            what = f"{part.namespace} (bounds from sums over {part.sum_seconds // 3600} h)"
        else:
            what = part.namespace
        found.setdefault(part.usage_metric, {})[what] = None
    return {metric: f"CloudWatch {', '.join(names)}" for metric, names in found.items()}


def _queries(
    aws: Aws,
    instances: Sequence[Instance],
    catalog: Mapping[str, InstanceType],
    usage_metrics: Sequence[str],
    statistics: Sequence[str] = STATISTICS,
) -> Iterator[_Queries]:
    numpy = deps.numpy
    for metric in usage_metrics:
        if metric == "memory_percent":
            yield from _memory_queries(aws, instances, catalog)
            continue
        source = SOURCES[metric]
        rows = [
            index
            for index, instance in enumerate(instances)
            if not source.only or _has(catalog.get(instance.instance_type), source.only)
        ]
        if not rows:
            continue
        scales = [1.0 / instances[index].sample_seconds if source.per_second else 1.0 for index in rows]
        for name in source.statistics:
            if name in statistics:
                yield _Queries(
                    metric,
                    source.namespace,
                    source.name,
                    STATISTICS.index(name),
                    numpy.array(rows, dtype=numpy.intp),
                    numpy.array(scales, dtype=numpy.float32),
                )


def _volume_queries(
    instances: Sequence[Instance], catalog: Mapping[str, InstanceType], usage_metrics: Sequence[str], periods: int
) -> Iterator[_Queries]:
    """Sums of every volume of the Xen instances, over the shortest time that keeps 201 points a query."""
    numpy = deps.numpy
    seconds = min(part for part in _PARTS_OF_A_DAY if periods * (DAY // part) <= POINTS_PER_QUERY)
    attached = [
        (index, (("VolumeId", volume.volume_id),))
        for index, instance in enumerate(instances)
        if _has(catalog.get(instance.instance_type), "xen")
        for volume in instance.volumes
    ]
    for metric, name in VOLUME_SOURCES.items() if attached else ():
        if metric in usage_metrics:
            yield _Queries(
                metric,
                _EBS,
                name,
                0,
                numpy.array([index for index, _volume in attached], dtype=numpy.intp),
                numpy.ones(len(attached), dtype=numpy.float32),
                [volume for _index, volume in attached],
                seconds,
            )


def _digest(queries: Sequence[_Queries], instances: Sequence[Instance]) -> str:
    digest = hashlib.sha256()
    for instance in instances:
        digest.update(f"{instance.instance_id} ".encode())
    for part in queries:
        digest.update(repr((part.usage_metric, part.namespace, part.name, part.statistic, part.dimensions)).encode())
        digest.update(str(part.sum_seconds).encode())
        digest.update(part.rows.tobytes() + part.scales.tobytes())
    return digest.hexdigest()


def _has(kind: InstanceType | None, feature: str) -> bool:
    if kind is None:
        return False
    return kind.burstable if feature == "burstable" else kind.hypervisor == feature


def _memory_queries(aws: Aws, instances: Sequence[Instance], catalog: Mapping[str, InstanceType]) -> Iterator[_Queries]:
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
        rows: list[int] = []
        scales: list[float] = []
        series: list[Dimensions] = []
        for dimensions in _listed(aws, namespace, name):
            named = dict(dimensions)
            instance_id = named.get("InstanceId", "")
            if instance_id not in missing:
                continue
            index = position[instance_id]
            then, now = catalog.get(named.get("InstanceType", "")), catalog.get(instances[index].instance_type)
            rows.append(index)
            scales.append(then.memory_gib / now.memory_gib if then and now else 1.0)
            series.append(dimensions)
        missing -= {instances[index].instance_id for index in rows}
        for statistic in _PEAKS if rows else ():
            yield _Queries(
                "memory_percent",
                namespace,
                name,
                STATISTICS.index(statistic),
                deps.numpy.array(rows, dtype=deps.numpy.intp),
                deps.numpy.array(scales, dtype=deps.numpy.float32),
                series,
            )


def _listed(aws: Aws, namespace: str, name: str) -> Iterator[Dimensions]:
    """Dimensions of every series of a metric; ListMetrics gives 500 a page."""
    for page in aws.pages("cloudwatch", "list_metrics", Namespace=namespace, MetricName=name):
        aws.cost.charge("ListMetrics request", 1)
        for metric in page["Metrics"]:
            yield tuple(sorted((item["Name"], item["Value"]) for item in metric.get("Dimensions", ())))


def _parts(queries: Sequence[_Queries]) -> Iterator[list[_Part]]:
    """All queries, in requests of at most 500."""
    request: list[_Part] = []
    room = QUERIES_PER_REQUEST
    for part in queries:
        at = 0
        while at < part.rows.size:
            taken = min(room, part.rows.size - at)
            request.append((part, at, at + taken))
            at += taken
            room -= taken
            if not room:
                yield request
                request, room = [], QUERIES_PER_REQUEST
    if request:
        yield request


def _read(
    aws: Aws,
    queries: Sequence[_Queries],
    instances: Sequence[Instance],
    grid: _Grid,
    end: datetime.datetime,
    progress: Progress,
) -> dict[str, FloatArray]:
    numpy = deps.numpy
    arrays: dict[str, FloatArray] = {
        metric: numpy.full((len(instances), grid.periods, len(STATISTICS)), numpy.nan, dtype=numpy.float32)
        for metric in dict.fromkeys(part.usage_metric for part in queries)
    }
    total = sum(part.rows.size for part in queries)
    volumes = {part.usage_metric: _VolumeSums.of(part, grid) for part in queries if part.sum_seconds}
    filling = threading.Lock()

    def read_one(request: list[_Part]) -> None:
        series = [part.series(at, instances) for part, first, end_of in request for at in range(first, end_of)]
        answer = _request(aws, series, grid.start, end, grid.seconds)
        with filling:
            _fill(arrays, request, answer, grid, volumes)

    requests = list(_parts(queries))
    done = 0
    with concurrent.futures.ThreadPoolExecutor(MAXIMUM_CONNECTIONS) as pool:
        running = [pool.submit(read_one, request) for request in requests]
        try:
            for future in concurrent.futures.as_completed(running):
                future.result()
                done += 1
                progress.count(
                    f"reading usage of {len(instances)} instances",
                    done,
                    len(requests),
                    f"{min(done * QUERIES_PER_REQUEST, total)} queries, {aws.cost.spent:.2f} USD",
                )
        except BaseException:
            for future in running:
                future.cancel()
            raise
    if volumes:
        # A volume without reads has no read metrics: it is silent where it says nothing of either.
        spoke = numpy.logical_or.reduce([sums.known for sums in volumes.values()])
        for metric, sums in volumes.items():
            _volume_bounds(arrays[metric], sums, spoke, instances)
    return arrays


@dataclasses.dataclass(frozen=True, slots=True)
class _VolumeSums:
    """What the volumes of Xen instances moved, for one usage metric.

    ``owners``: positions of the instances, ascending; ``owner_of``: which of them each query
    is about; ``totals``: (owners, parts of the window), bytes or operations; ``known``:
    (queries, days), whether the volume said anything.
    """

    owners: IntArray
    owner_of: IntArray
    totals: FloatArray
    known: BoolArray

    @classmethod
    def of(cls, queries: _Queries, grid: _Grid) -> _VolumeSums:
        numpy = deps.numpy
        owners, owner_of = numpy.unique(queries.rows, return_inverse=True)
        parts = grid.periods * (grid.seconds // queries.sum_seconds)
        return cls(
            owners,
            owner_of,
            numpy.zeros((owners.size, parts), dtype=numpy.float32),
            numpy.zeros((queries.rows.size, grid.periods), dtype=bool),
        )


def _volume_bounds(cells: FloatArray, sums: _VolumeSums, spoke: BoolArray, instances: Sequence[Instance]) -> None:
    """The most that a sample of a day can have been, per second, as its 99th percentile and maximum.

    On Xen only the sum of a volume's period means something: its maximum is the largest
    single operation. All that was moved in some hours may have been moved within one sample,
    so a sample is at most their sum divided by the sample's seconds. The bound is far above
    what busy volumes do, and low enough for quiet ones: a type is never made too small by it.

    ``spoke``: (volumes, days). A day on which any volume is silent in all respects (it was
    attached later, say) is left out: nobody knows what was moved by what was there before.
    """
    numpy = deps.numpy
    days = cells.shape[1]
    silent = numpy.zeros((sums.owners.size, days), dtype=bool)
    numpy.logical_or.at(silent, sums.owner_of, ~spoke)
    sample = numpy.array([instances[index].sample_seconds for index in sums.owners], dtype=numpy.float32)
    largest = sums.totals.reshape(sums.owners.size, days, -1).max(axis=2) / sample[:, None]
    for name in _PEAKS:
        cells[sums.owners, :, STATISTICS.index(name)] = numpy.where(silent, numpy.nan, largest)


def _fill(
    arrays: Mapping[str, FloatArray],
    request: Sequence[_Part],
    answer: Sequence[tuple[int, list[float], list[float]]],
    grid: _Grid,
    volumes: Mapping[str, _VolumeSums],
) -> None:
    """Put the points of one answer into their cells.

    Where two series of one metric meet (an agent seen under two types) the larger one counts;
    sums of volumes go to ``volumes``, where they are added up.
    """
    numpy = deps.numpy
    counts = [len(values) for _number, _times, values in answer]
    numbers = numpy.repeat(numpy.array([number for number, _times, _values in answer], dtype=numpy.intp), counts)
    points = sum(counts)
    chain = itertools.chain.from_iterable
    times = numpy.fromiter(chain(times for _number, times, _values in answer), numpy.float64, points)
    values = numpy.fromiter(chain(values for _number, _times, values in answer), numpy.float32, points)
    periods = ((times - grid.start.timestamp()) // grid.seconds).astype(numpy.intp)
    inside = (periods >= 0) & (periods < grid.periods)
    numbers, periods, values, times = numbers[inside], periods[inside], values[inside], times[inside]
    begin = 0
    for part, first, end in request:
        mine = (numbers >= begin) & (numbers < begin + end - first)
        position = numbers[mine] - begin + first
        begin += end - first
        if part.sum_seconds:
            sums = volumes[part.usage_metric]
            at = ((times[mine] - grid.start.timestamp()) // part.sum_seconds).astype(numpy.intp)
            numpy.add.at(sums.totals, (sums.owner_of[position], at), values[mine])
            sums.known[position, periods[mine]] = True
            continue
        cells = arrays[part.usage_metric][:, :, part.statistic]
        numpy.fmax.at(cells, (part.rows[position], periods[mine]), values[mine] * part.scales[position])


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
                "Period": series.period_seconds or period_seconds,
                "Stat": series.statistic,
            },
        }
        for number, series in enumerate(batch)
    ]
    answer: list[tuple[int, list[float], list[float]]] = []
    arguments: dict[str, t.Any] = {"MetricDataQueries": asked, "StartTime": start, "EndTime": end}
    while True:
        page = aws.read("cloudwatch", "get_metric_data", prepare=answers.plain_metric_data, **arguments)
        for result in page["MetricDataResults"]:
            times = result["Timestamps"]
            if times and isinstance(times[0], datetime.datetime):
                times = [timestamp.timestamp() for timestamp in times]
            answer.append((int(result["Id"][1:]), times, result["Values"]))
        if not page.get("NextToken"):
            return answer
        arguments["NextToken"] = page["NextToken"]
