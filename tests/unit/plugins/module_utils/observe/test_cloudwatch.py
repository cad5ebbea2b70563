# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Usage from CloudWatch: windows and days, restarts, memory of other types, the cache, the cost cap."""

from __future__ import annotations

import datetime
import math
import typing as t
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.aws import ApiCost, ApiCostExceeded, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.observe import cloudwatch
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cache import Cache
from ansible_collections.frugal.cloud.plugins.module_utils.resources import STATISTICS, Instance, InstanceType, Volume
from hypothesis import given
from hypothesis import strategies as st

UTC = datetime.timezone.utc
AS_OF = datetime.datetime(2026, 6, 15, 12, 34, tzinfo=UTC)
DAY = datetime.timedelta(days=1)
MIDNIGHT = AS_OF.replace(hour=0, minute=0)
P50, P90, P99, MAXIMUM, AVERAGE = range(5)


def kind(name: str, gib: float, hypervisor: str = "nitro", burstable: bool = False) -> InstanceType:
    return InstanceType(name, 2, 1, gib, ("x86_64",), hypervisor, burstable=burstable)


CATALOG = {
    item.name: item
    for item in (
        kind("m5.large", 8),
        kind("m5.2xlarge", 32),
        kind("m4.large", 8, "xen"),
        kind("t3.large", 8, "nitro", True),
    )
}


def instance(number: int, instance_type: str = "m5.large", **more: t.Any) -> Instance:
    return Instance(f"i-{number}", instance_type, "running", "111111111111", "eu-west-1", "eu-west-1a", **more)


def value(series: dict[str, t.Any], statistic: str, day: int) -> float:
    """A number that says which instance, metric, statistic and day it is about."""
    number = int(next(item["Value"] for item in series["Dimensions"] if item["Name"] == "InstanceId")[2:])
    return number * 1000 + day * 10 + STATISTICS.index(statistic)


def get_metric_data(**asked: t.Any) -> dict[str, t.Any]:
    """Every series has a point at the start of each period; two pages where there is more than one query."""
    assert asked["StartTime"].astimezone(UTC).time() == datetime.time(0)
    results = []
    for query in asked["MetricDataQueries"]:
        stat = query["MetricStat"]
        assert stat["Period"] % 60 == 0
        count = math.ceil((asked["EndTime"] - asked["StartTime"]).total_seconds() / stat["Period"])
        times = [asked["StartTime"] + datetime.timedelta(seconds=stat["Period"] * day) for day in range(count)]
        values = [value(stat["Metric"], stat["Stat"], day) for day in range(count)]
        # Newest first, as the API's default order is.
        results.append({"Id": query["Id"], "Timestamps": times[::-1], "Values": values[::-1]})
    half = len(results) // 2
    if half and "NextToken" not in asked:
        return {"MetricDataResults": results[:half], "NextToken": "more"}
    return {"MetricDataResults": results[half:]}


@pytest.fixture
def aws(fake_aws: Callable[..., t.Any]) -> t.Any:
    return fake_aws(
        {"cloudwatch:get_metric_data": get_metric_data, "cloudwatch:list_metrics": lambda **_asked: [{"Metrics": []}]}
    )


# -- windows -----------------------------------------------------------------------------------------


@given(
    st.datetimes(datetime.datetime(2020, 1, 1), datetime.datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.integers(1, cloudwatch.MAXIMUM_LOOKBACK_DAYS),
)
def test_the_window_holds_whole_days_and_today(as_of: datetime.datetime, days: int) -> None:
    start, periods = cloudwatch.window(as_of, days)
    assert start.time() == datetime.time(0)
    assert start <= as_of < start + periods * DAY
    assert (as_of.date() - start.date()).days == days
    assert periods <= cloudwatch.POINTS_PER_QUERY, "500 queries would not fit one page"


def test_a_window_is_in_utc_whatever_the_zone() -> None:
    berlin = datetime.datetime(2026, 6, 15, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    assert cloudwatch.window(berlin, 1)[0] == datetime.datetime(2026, 6, 13, tzinfo=UTC)


def test_each_point_is_in_its_own_cell(aws: t.Any) -> None:
    """Instance, day and statistic of every value are where they belong, over pages and in whatever order."""
    usage = cloudwatch.read_usage(aws, [instance(1), instance(2)], CATALOG, ["cpu_percent"], AS_OF, 3)
    assert usage.start == MIDNIGHT - 3 * DAY
    assert (usage.periods, usage.period_seconds) == (4, 86400)
    expected = [[[n * 1000 + day * 10 + s for s in range(5)] for day in range(4)] for n in (1, 2)]
    numpy.testing.assert_array_equal(usage.metrics["cpu_percent"], expected)
    assert usage.sources == {"cpu_percent": "CloudWatch AWS/EC2"}


def test_as_few_requests_as_there_can_be(fake_aws: Callable[..., t.Any]) -> None:
    aws = fake_aws({"cloudwatch:get_metric_data": lambda **_asked: {"MetricDataResults": []}})
    cloudwatch.read_usage(aws, [instance(n) for n in range(201)], CATALOG, ["cpu_percent"], AS_OF, 14)
    sizes = [len(asked["MetricDataQueries"]) for _name, asked in aws.asked]
    assert sorted(sizes) == [5, 500, 500]
    assert aws.cost.spent == pytest.approx(1005 * 0.01 / 1000)


def test_sums_become_rates_by_the_interval_of_the_samples(aws: t.Any) -> None:
    """A network sample is a total over 300 s, with detailed monitoring over 60 s."""
    fleet = [instance(1), instance(1, detailed_monitoring=True)]
    rates = cloudwatch.read_usage(aws, fleet, CATALOG, ["network_in_bytes_per_second"], AS_OF, 1).metrics
    first, second = rates["network_in_bytes_per_second"][:, 0, MAXIMUM]
    assert first == pytest.approx(1003 / 300)
    assert second == pytest.approx(1003 / 60)
    assert numpy.isnan(rates["network_in_bytes_per_second"][:, :, P50]).all()


def test_only_what_a_type_publishes_is_asked_for(aws: t.Any) -> None:
    """EBS metrics of Nitro types, credits of burstable ones."""
    fleet = [instance(1), instance(2, "m4.large"), instance(3, "t3.large"), instance(4, "nobody.knows")]
    metrics = ["ebs_read_bytes_per_second", "cpu_credit_balance", "cpu_percent"]
    usage = cloudwatch.read_usage(aws, fleet, CATALOG, metrics, AS_OF, 1)
    known = {name: (~numpy.isnan(values)).any(axis=(1, 2)).tolist() for name, values in usage.metrics.items()}
    assert known == {
        "cpu_percent": [True, True, True, True],
        "ebs_read_bytes_per_second": [True, False, True, False],
        "cpu_credit_balance": [False, False, True, False],
    }


# -- restarts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("started", "left_out"),
    [
        (MIDNIGHT - 30 * DAY, 0),
        (MIDNIGHT - 3 * DAY, 0),
        (MIDNIGHT - 3 * DAY + datetime.timedelta(seconds=1), 1),
        (MIDNIGHT - DAY, 2),
        (AS_OF, 4),
        (None, 0),
    ],
)
def test_days_that_began_before_the_last_start_are_left_out(
    aws: t.Any, started: datetime.datetime | None, left_out: int
) -> None:
    fleet = [instance(1, launch_time=started), instance(2)]
    cpu = cloudwatch.read_usage(aws, fleet, CATALOG, ["cpu_percent"], AS_OF, 3).metrics["cpu_percent"]
    assert numpy.isnan(cpu[0]).all(axis=1).tolist() == [day < left_out for day in range(4)]
    assert not numpy.isnan(cpu[1]).any()
    trusted = cloudwatch.read_usage(aws, fleet, CATALOG, ["cpu_percent"], AS_OF, 3, trust_before_restart=True)
    assert not numpy.isnan(trusted.metrics["cpu_percent"]).any()


# -- memory ------------------------------------------------------------------------------------------


def listed(**series: list[dict[str, str]]) -> Callable[..., list[dict[str, t.Any]]]:
    """ListMetrics: metric name -> dimensions of its series."""
    names = {"agent": "mem_used_percent", "windows": "Memory % Committed Bytes In Use", "scripts": "MemoryUtilization"}
    known = {names[key]: value for key, value in series.items()}

    def answer(**asked: t.Any) -> list[dict[str, t.Any]]:
        found = known.get(asked["MetricName"], [])
        return [
            {"Metrics": [{"Dimensions": [{"Name": n, "Value": v} for n, v in dims.items()]} for dims in found]},
            {"Metrics": []},
        ]

    return answer


def memory(aws: t.Any, fleet: list[Instance]) -> t.Any:
    return cloudwatch.read_usage(aws, fleet, CATALOG, ["memory_percent"], AS_OF, 1).metrics.get("memory_percent")


def test_memory_of_an_earlier_type_counts_in_todays_percent(aws: t.Any) -> None:
    """The agent's series names the type: 1003 % of 32 GiB are four times as many of 8 GiB; the larger one counts."""
    old = {"InstanceId": "i-1", "InstanceType": "m5.2xlarge", "ImageId": "ami-1"}
    new = {"InstanceId": "i-1", "InstanceType": "m5.large", "ImageId": "ami-1"}
    aws.answers["cloudwatch:list_metrics"] = listed(agent=[new])
    assert memory(aws, [instance(1)])[0, 0, MAXIMUM] == pytest.approx(1003)
    aws.answers["cloudwatch:list_metrics"] = listed(agent=[old])
    assert memory(aws, [instance(1)])[0, 0, MAXIMUM] == pytest.approx(4 * 1003)
    for both in ([old, new], [new, old]):
        aws.answers["cloudwatch:list_metrics"] = listed(agent=both)
        assert memory(aws, [instance(1)])[0, 0, MAXIMUM] == pytest.approx(4 * 1003)
    aws.answers["cloudwatch:list_metrics"] = listed(agent=[{"InstanceId": "i-1"}])
    assert memory(aws, [instance(1)])[0, 0, MAXIMUM] == pytest.approx(1003)


def test_memory_of_windows_and_of_the_old_scripts(aws: t.Any) -> None:
    aws.answers["cloudwatch:list_metrics"] = listed(
        agent=[{"InstanceId": "i-1"}, {"InstanceId": "i-9"}],
        windows=[{"InstanceId": "i-2", "objectname": "Memory"}],
        scripts=[{"InstanceId": "i-3"}, {"InstanceId": "i-1"}],
    )
    fleet = [instance(1), instance(2, operating_system="Windows"), instance(3), instance(4)]
    seen = memory(aws, fleet)
    assert (~numpy.isnan(seen)).any(axis=(1, 2)).tolist() == [True, True, True, False]
    # The agent is asked first; where it answers for all, nobody else is.
    aws.asked.clear()
    memory(aws, [instance(1)])
    assert aws.count("cloudwatch:list_metrics") == 1
    aws.asked.clear()
    memory(aws, [instance(2, operating_system="Windows with SQL Std")])
    names = [asked["MetricName"] for name, asked in aws.asked if name.endswith("list_metrics")]
    assert names == ["Memory % Committed Bytes In Use"]


def test_no_agent_no_memory(aws: t.Any) -> None:
    assert memory(aws, [instance(1)]) is None
    assert aws.cost.spent == pytest.approx(2 * 2 * 0.01 / 1000, abs=1e-4)


def test_the_current_series_of_memory_is_found_for_verification(aws: t.Any) -> None:
    aws.answers["cloudwatch:list_metrics"] = listed(
        agent=[
            {"InstanceId": "i-1", "InstanceType": "m5.2xlarge"},
            {"InstanceId": "i-1", "InstanceType": "m5.large"},
            {"InstanceId": "i-2"},
            {"InstanceId": "i-3", "InstanceType": "m5.2xlarge"},
        ]
    )
    found = cloudwatch.memory_series(aws, {"i-1": "m5.large", "i-2": "m5.large", "i-3": "m5.large"})
    assert set(found) == {"i-1", "i-2"}
    assert ("InstanceType", "m5.large") in found["i-1"].dimensions


# -- cache and cost ----------------------------------------------------------------------------------


def test_what_was_read_serves_for_the_hour(aws: t.Any, tmp_path: Path) -> None:
    """And only for the same fleet, metrics, days and hour."""

    def read(fleet: list[Instance], as_of: datetime.datetime = AS_OF, days: int = 2) -> t.Any:
        return cloudwatch.read_usage(aws, fleet, CATALOG, ["cpu_percent"], as_of, days, cache=Cache(str(tmp_path)))

    first = read([instance(1)])
    requests, spent = len(aws.asked), aws.cost.spent
    again = read([instance(1)], AS_OF + datetime.timedelta(minutes=20))
    assert (len(aws.asked), aws.cost.spent) == (requests, spent)
    numpy.testing.assert_array_equal(first.metrics["cpu_percent"], again.metrics["cpu_percent"])
    for other in (
        lambda: read([instance(1), instance(2)]),
        lambda: read([instance(2)]),
        lambda: read([instance(1)], AS_OF + datetime.timedelta(hours=1)),
        lambda: read([instance(1)], days=3),
    ):
        before = len(aws.asked)
        other()
        assert len(aws.asked) > before


def test_a_restart_since_the_read_is_seen_in_what_the_cache_holds(aws: t.Any, tmp_path: Path) -> None:
    cache = Cache(str(tmp_path))
    cloudwatch.read_usage(aws, [instance(1)], CATALOG, ["cpu_percent"], AS_OF, 2, cache=cache)
    restarted = [instance(1, launch_time=AS_OF)]
    usage = cloudwatch.read_usage(aws, restarted, CATALOG, ["cpu_percent"], AS_OF, 2, cache=cache)
    assert numpy.isnan(usage.metrics["cpu_percent"]).all()
    usage = cloudwatch.read_usage(aws, [instance(1)], CATALOG, ["cpu_percent"], AS_OF, 2, cache=cache)
    assert not numpy.isnan(usage.metrics["cpu_percent"]).any()


def test_nothing_is_read_that_would_cost_too_much(aws: t.Any) -> None:
    aws.cost = ApiCost(0.0005)
    with pytest.raises(ApiCostExceeded, match="max_api_cost"):
        cloudwatch.read_usage(aws, [instance(n) for n in range(20)], CATALOG, ["cpu_percent"], AS_OF, 14)
    assert aws.asked == []


def test_a_refusal_ends_the_read(fake_aws: Callable[..., t.Any]) -> None:
    aws = fake_aws({"cloudwatch:get_metric_data": AwsError("denied", "AccessDenied")})
    with pytest.raises(AwsError, match="denied"):
        cloudwatch.read_usage(aws, [instance(n) for n in range(300)], CATALOG, ["cpu_percent"], AS_OF, 14)


# -- other reads -------------------------------------------------------------------------------------


def test_samples_are_given_in_order_series_by_series(aws: t.Any) -> None:
    series = [cloudwatch.Series("AWS/EC2", "CPUUtilization", (("InstanceId", f"i-{n}"),), "Maximum") for n in (1, 2)]
    first, second = cloudwatch.read_samples(aws, series, MIDNIGHT, MIDNIGHT + datetime.timedelta(hours=1), 900)
    assert [at for at, _value in first] == [MIDNIGHT.timestamp() + 900 * n for n in range(4)]
    assert [got for _at, got in second] == [2003.0, 2013.0, 2023.0, 2033.0]
    assert aws.cost.spent == pytest.approx(2 * 0.01 / 1000)


@pytest.mark.parametrize(("days", "step"), [(14, 60), (30, 300), (90, 3600)])
def test_one_average_over_all_is_one_whole_period(fake_aws: Callable[..., t.Any], days: int, step: int) -> None:
    """CloudWatch rounds the start down, the coarser the longer ago; this does the same first."""

    def answer(**asked: t.Any) -> dict[str, t.Any]:
        (query,) = asked["MetricDataQueries"]
        assert query["MetricStat"]["Period"] == days * 86400
        assert asked["StartTime"].timestamp() % step == 0
        assert asked["EndTime"] - asked["StartTime"] == days * DAY
        return {"MetricDataResults": [{"Id": query["Id"], "Timestamps": [asked["StartTime"]], "Values": [3.5]}]}

    aws = fake_aws({"cloudwatch:get_metric_data": answer})
    usage = cloudwatch.read_averages(aws, [instance(1)], "cpu_percent", AS_OF, days)
    assert usage.periods == 1
    assert usage.metrics["cpu_percent"][0, 0, AVERAGE] == 3.5


# -- volumes of Xen instances ------------------------------------------------------------------------

HOUR = 3600
READ = "ebs_read_bytes_per_second"


def xen(number: int, *volumes: str, **more: t.Any) -> Instance:
    attached = tuple(Volume(name, "gp2", 100) for name in volumes)
    return instance(number, "m4.large", volumes=attached, **more)


def volume_sums(
    moved: dict[str, dict[int, float]], asked_for: list[dict[str, t.Any]], name: str = "VolumeReadBytes"
) -> Callable[..., dict[str, t.Any]]:
    """GetMetricData of volumes: name -> hours since the window's start -> what was moved in that period."""

    def answer(**asked: t.Any) -> dict[str, t.Any]:
        results = []
        for query in asked["MetricDataQueries"]:
            stat = query["MetricStat"]
            asked_for.append(stat)
            series = moved.get(stat["Metric"]["Dimensions"][0]["Value"], {})
            if stat["Metric"]["MetricName"] != name:
                series = {}
            times = [asked["StartTime"] + datetime.timedelta(hours=hour) for hour in series]
            results.append({"Id": query["Id"], "Timestamps": times, "Values": list(series.values())})
        return {"MetricDataResults": results}

    return answer


def test_volumes_of_xen_instances_bound_what_a_sample_can_have_been(fake_aws: Callable[..., t.Any]) -> None:
    """Sums of 4 hours over both volumes, the larger of the day's, all within one sample of 300 s (60 s in detail)."""
    moved = {
        "vol-a": {0: 3e6, 4: 6e6, 24: 3e6, 28: 0.0},
        "vol-b": {0: 6e6, 4: 1e6, 24: 1e6},
        "vol-c": {0: 6e6, 24: 12e6},
    }
    asked: list[dict[str, t.Any]] = []
    aws = fake_aws({"cloudwatch:get_metric_data": volume_sums(moved, asked)})
    fleet = [instance(1), xen(2, "vol-a", "vol-b"), xen(3, "vol-c", detailed_monitoring=True), xen(4)]
    usage = cloudwatch.read_usage(aws, fleet, CATALOG, [READ], AS_OF, 32)
    values = usage.metrics[READ]
    assert values[1, 0, MAXIMUM] == pytest.approx(9e6 / 300)
    assert values[1, 1, MAXIMUM] == pytest.approx(4e6 / 300)
    assert values[2, :2, MAXIMUM] == pytest.approx([6e6 / 60, 12e6 / 60])
    numpy.testing.assert_array_equal(values[..., P99], values[..., MAXIMUM])
    assert numpy.isnan(values[[0, 3]]).all(), "no metric, no volume"
    assert numpy.isnan(values[:, 2:]).all(), "days without data"
    of_volumes = [stat for stat in asked if stat["Metric"]["Namespace"] == "AWS/EBS"]
    assert {stat["Stat"] for stat in of_volumes} == {"Sum"}
    assert {stat["Period"] for stat in of_volumes} == {4 * HOUR}
    assert len(of_volumes) == 3, "one query a volume"
    assert usage.sources[READ] == "CloudWatch AWS/EC2, AWS/EBS (bounds from sums over 4 h)"


def test_a_day_on_which_a_volume_is_silent_is_not_measured(fake_aws: Callable[..., t.Any]) -> None:
    """It was attached on the second day: what stood in its place before is unknown."""
    moved = {"vol-a": {0: 3e6, 24: 3e6}, "vol-b": {24: 6e6}}
    aws = fake_aws({"cloudwatch:get_metric_data": volume_sums(moved, [])})
    values = cloudwatch.read_usage(aws, [xen(1, "vol-a", "vol-b")], CATALOG, [READ], AS_OF, 32).metrics[READ]
    assert numpy.isnan(values[0, 0]).all()
    assert values[0, 1, MAXIMUM] == pytest.approx(9e6 / 300)


def test_a_volume_that_is_only_written_to_is_not_silent(fake_aws: Callable[..., t.Any]) -> None:
    """Xen volumes have no read metrics where there were no reads."""
    reads = volume_sums({"vol-a": {0: 3e6}}, [])
    writes = volume_sums({"vol-a": {0: 1e6}, "vol-b": {0: 6e6}}, [], "VolumeWriteBytes")

    def both(**asked: t.Any) -> dict[str, t.Any]:
        results = zip(reads(**asked)["MetricDataResults"], writes(**asked)["MetricDataResults"])
        return {"MetricDataResults": [one if one["Values"] else other for one, other in results]}

    aws = fake_aws({"cloudwatch:get_metric_data": both})
    fleet = [xen(1, "vol-a", "vol-b")]
    usage = cloudwatch.read_usage(aws, fleet, CATALOG, [READ, "ebs_write_bytes_per_second"], AS_OF, 32).metrics
    assert usage[READ][0, 0, MAXIMUM] == pytest.approx(3e6 / 300)
    assert usage["ebs_write_bytes_per_second"][0, 0, MAXIMUM] == pytest.approx(7e6 / 300)


@given(st.integers(1, cloudwatch.MAXIMUM_LOOKBACK_DAYS))
def test_sums_of_volumes_keep_to_201_points_a_query(days: int) -> None:
    _start, periods = cloudwatch.window(AS_OF, days)
    (queries,) = cloudwatch._volume_queries([xen(1, "vol-a")], CATALOG, [READ], periods)
    assert 86400 % queries.sum_seconds == 0
    assert periods * (86400 // queries.sum_seconds) <= cloudwatch.POINTS_PER_QUERY
    assert queries.sum_seconds % HOUR == 0, "data older than 63 days are kept by the hour"


def test_queries_of_volumes_share_requests_and_are_paid_for(fake_aws: Callable[..., t.Any]) -> None:
    aws = fake_aws({"cloudwatch:get_metric_data": volume_sums({}, [])})
    fleet = [xen(number, f"vol-{number}-a", f"vol-{number}-b") for number in range(100)]
    cloudwatch.read_usage(aws, fleet, CATALOG, ["cpu_percent", *cloudwatch.GROUPS["ebs"]], AS_OF, 14)
    assert sorted(len(asked["MetricDataQueries"]) for _name, asked in aws.asked) == [300, 500, 500]
    assert aws.cost.spent == pytest.approx((500 + 800) * 0.01 / 1000)


def test_no_bound_is_below_what_was_moved(fake_aws: Callable[..., t.Any]) -> None:
    """Whatever the samples of two volumes are, the busiest one of the instance is within the bound."""
    random = numpy.random.default_rng(11)
    for _round in range(20):
        samples = random.lognormal(10, 3, (2, 288)).astype(numpy.float64)
        sums = samples.reshape(2, 6, 48).sum(axis=2)
        moved = {f"vol-{v}": {4 * part: float(sums[v, part]) for part in range(6)} for v in range(2)}
        aws = fake_aws({"cloudwatch:get_metric_data": volume_sums(moved, [])})
        values = cloudwatch.read_usage(aws, [xen(1, "vol-0", "vol-1")], CATALOG, [READ], AS_OF, 32).metrics[READ]
        assert values[0, 0, MAXIMUM] >= samples.sum(axis=0).max() / 300 * (1 - 1e-6)
