# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics: statistics against numpy, demand against capacity, traces, the clock."""

from __future__ import annotations

import datetime
import pathlib
import typing as t

import numpy as np
import pytest
from simulator.errors import AwsError
from simulator.metric_store import (
    PeriodCache,
    Piece,
    SortedPeriods,
    Statistic,
    Window,
    evaluate,
    parse_statistic,
    periods_of,
    rounded_start,
)
from simulator.testing import (
    ACCOUNT,
    code_of,
    instance,
    instance_ids,
    moment,
    one_account,
    plain,
    query,
    state,
    steady,
    until,
    values,
)
from simulator.usage import Profile, Trace

Start = t.Callable[..., t.Any]
DAY = 86400


def office(**settings: t.Any) -> dict[str, t.Any]:
    return {"profile": "office", "seed": 3, "cpu_percent": 60, "memory_percent": 50, **settings}


@pytest.fixture
def one(start: Start) -> tuple[t.Any, t.Any, str]:
    """A simulator with one instance, a CloudWatch client, the instance's id."""
    simulator = start(one_account([plain(1, "m5.xlarge", usage=office(network_mbps=80, ebs_mbps=20))]))
    name = instance_ids(simulator.client("ec2", ACCOUNT))[0]
    return simulator, simulator.client("cloudwatch", ACCOUNT), name


def samples(client: t.Any, name: str, start: str, end: str, metric: str = "CPUUtilization") -> np.ndarray[t.Any, t.Any]:
    """The 5-minute samples of a metric."""
    return np.array(values(client, [query(name, metric, "Average", 300)], start, end)["q"])


# --- statistics on arrays ----------------------------------------------------------------


@pytest.mark.parametrize("share", [0, 0.5, 0.9, 0.99, 0.995, 1])
def test_percentiles_are_numpys(share: float) -> None:
    rows = np.random.default_rng(1).lognormal(size=(7, 288))
    found = evaluate(Statistic("P", None, share, True), SortedPeriods.of(rows), None)
    assert np.allclose(found, np.quantile(rows, share, axis=1))


def test_clipping_and_scaling_come_before_the_statistic() -> None:
    rows = np.random.default_rng(2).uniform(0, 3, size=(3, 288))
    piece = Piece(0, np.inf, Profile("idle", 1, {}, 0.0), 50.0, 5.0, 0.0, 100.0)
    values_seen = np.clip(5 + 50 * rows, 0, 100)
    store = SortedPeriods.of(rows)
    assert np.allclose(evaluate(parse_statistic("Average"), store, piece), values_seen.mean(axis=1))
    assert np.allclose(evaluate(parse_statistic("Sum"), store, piece), values_seen.sum(axis=1))
    assert np.allclose(evaluate(parse_statistic("p90"), store, piece), np.quantile(values_seen, 0.9, axis=1))
    assert np.allclose(
        evaluate(parse_statistic("PR(50:80)"), store, piece),
        100 * ((values_seen > 50) & (values_seen <= 80)).mean(axis=1),
    )


def test_missing_samples_do_not_count() -> None:
    rows = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])
    store = SortedPeriods.of(rows)
    assert evaluate(parse_statistic("Average"), store, None).tolist()[0] == 2
    assert evaluate(parse_statistic("SampleCount"), store, None).tolist()[0] == 2
    assert np.isnan(evaluate(parse_statistic("p99"), store, None)[1])


def test_trimmed_statistics() -> None:
    rows = np.arange(1.0, 101.0)[None, :]
    store = SortedPeriods.of(rows)

    def value(text: str) -> float:
        return float(evaluate(parse_statistic(text), store, None)[0])

    assert value("tm90") == pytest.approx(np.mean(np.arange(1, 91)))
    assert value("TM(10%:90%)") == pytest.approx(np.mean(np.arange(11, 91)))
    assert value("TM(10:20)") == pytest.approx(np.mean(np.arange(11, 21)))
    assert value("TC(:50)") == 50
    assert value("TS(:50)") == pytest.approx(np.sum(np.arange(1, 51)))
    assert value("WM(10%:90%)") == pytest.approx(np.mean(np.clip(np.arange(1, 101), 11, 90)))


@pytest.mark.parametrize("text", ["average", "p", "p101", "PR(1%:2%)", "TM()", "median"])
def test_unknown_statistics_are_refused(text: str) -> None:
    with pytest.raises(AwsError, match="not supported"):
        parse_statistic(text)


@pytest.mark.parametrize(
    ("days", "expected"), [(1, "12:34:00"), (20, "12:30:00"), (70, "12:00:00")], ids=["minute", "five", "hour"]
)
def test_the_start_is_rounded_as_the_api_reference_says(days: int, expected: str) -> None:
    start = datetime.datetime(2026, 6, 1, 12, 34, 56, tzinfo=datetime.UTC).timestamp()
    rounded = datetime.datetime.fromtimestamp(rounded_start(start, start + days * DAY), datetime.UTC)
    assert rounded.strftime("%H:%M:%S") == expected


@pytest.mark.parametrize("period", [60, 300, 420, 3600, DAY])
@pytest.mark.parametrize("start", [0, 60, 300, 86100])
def test_periods_hold_the_samples_that_begin_in_them(period: int, start: int) -> None:
    shape = Profile("spiky", 5, {}, 0.0)
    begin = 100 * DAY + start
    window = Window(begin, period, 40, begin + 40 * period)
    # Two pieces go the general way, one piece the fast one: both must agree with plain slicing.
    middle = begin + 13 * period + 77
    whole = [Piece(0, np.inf, shape, 2.0)]
    halves = [Piece(0, middle, shape, 2.0), Piece(middle, np.inf, shape, 2.0)]
    times = np.arange(-(-begin // 300) * 300, begin + 40 * period, 300)
    raw = 2.0 * shape.samples(300, float(times[0]), float(times[-1] + 300)).astype(float)
    for pieces in (whole, halves):
        rows, piece = periods_of(pieces, 300, window, PeriodCache())
        found = evaluate(parse_statistic("Sum"), rows, piece)
        for index in range(40):
            inside = (times >= begin + index * period) & (times < begin + (index + 1) * period)
            inside &= times + 300 <= window.end
            if pieces is halves:
                inside &= ~((times < middle) & (times + 300 > middle))
            expected = raw[inside].sum() if inside.any() else np.nan
            assert np.isclose(found[index], expected, equal_nan=True), (period, start, index)


def test_the_cache_is_bounded() -> None:
    cache = PeriodCache(limit=100_000)
    for number in range(20):
        cache.get((number,), lambda: SortedPeriods.of(np.zeros((32, 288))))
    assert cache.size <= 100_000 + 32 * 288 * 8


# --- through the API ---------------------------------------------------------------------


def test_daily_percentiles_are_those_of_the_samples(one: tuple[t.Any, t.Any, str]) -> None:
    _simulator, client, name = one
    raw = samples(client, name, "2026-06-10", "2026-06-13").reshape(3, 288)
    for stat, expected in (
        ("p50", np.quantile(raw, 0.5, axis=1)),
        ("p99", np.quantile(raw, 0.99, axis=1)),
        ("p99.9", np.quantile(raw, 0.999, axis=1)),
        ("Maximum", raw.max(axis=1)),
        ("Minimum", raw.min(axis=1)),
        ("Average", raw.mean(axis=1)),
        ("SampleCount", np.full(3, 288.0)),
    ):
        found = values(client, [query(name, stat=stat)], "2026-06-10", "2026-06-13")["q"]
        assert np.allclose(found, expected, rtol=1e-5), stat


def test_metric_statistics_agree_and_are_limited(one: tuple[t.Any, t.Any, str]) -> None:
    _simulator, client, name = one
    common = {
        "Namespace": "AWS/EC2",
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "InstanceId", "Value": name}],
        "StartTime": moment("2026-06-10"),
        "EndTime": moment("2026-06-12"),
        "Statistics": ["Average", "Maximum"],
    }
    points = client.get_metric_statistics(**common, ExtendedStatistics=["p99"], Period=DAY)["Datapoints"]
    points.sort(key=lambda point: point["Timestamp"])
    both = values(
        client,
        [query(name, stat="Average", identifier="a"), query(name, stat="p99", identifier="p")],
        "2026-06-10",
        "2026-06-12",
    )
    assert [point["Average"] for point in points] == pytest.approx(both["a"])
    assert [point["ExtendedStatistics"]["p99"] for point in points] == pytest.approx(both["p"])
    assert points[0]["Unit"] == "Percent"
    common["StartTime"] = moment("2026-06-01")
    assert code_of(client.get_metric_statistics, **common, Period=300) == "InvalidParameterCombination"


def test_network_is_bytes_per_sample(one: tuple[t.Any, t.Any, str]) -> None:
    _simulator, client, name = one
    total = values(client, [query(name, "NetworkOut", "Sum", 300)], "2026-06-10T12:00:00", "2026-06-10T12:05:00")["q"]
    cpu = samples(client, name, "2026-06-10T12:00:00", "2026-06-10T12:05:00")
    # Network and CPU follow the same series: 80 Mbit/s when CPU is at its peak of 60 %.
    assert total[0] == pytest.approx(80e6 / 8 * cpu[0] / 60 * 300, rel=1e-4)


def test_pages_hold_at_most_the_data_points_asked_for(one: tuple[t.Any, t.Any, str]) -> None:
    simulator, client, name = one
    queries = [query(name, stat=stat, period=3600, identifier=f"q{n}") for n, stat in enumerate(("p50", "p90", "Sum"))]
    whole = values(client, queries, "2026-06-10", "2026-06-12")
    simulator.stats(reset=True)
    paged = values(client, queries, "2026-06-10", "2026-06-12", MaxDatapoints=50)
    assert paged == whole
    assert simulator.stats()["counts"][ACCOUNT]["cloudwatch:GetMetricData"] == 3  # 144 points
    assert (
        code_of(
            client.get_metric_data,
            MetricDataQueries=queries,
            StartTime=moment("2026-06-10"),
            EndTime=moment("2026-06-12"),
            MaxDatapoints=100_801,
        )
        == "ValidationError"
    )


def test_more_than_500_queries_are_refused(one: tuple[t.Any, t.Any, str]) -> None:
    _simulator, client, name = one
    queries = [query(name, identifier=f"q{n}") for n in range(501)]
    arguments = {"StartTime": moment("2026-06-10"), "EndTime": moment("2026-06-12")}
    assert code_of(client.get_metric_data, MetricDataQueries=queries, **arguments) == "ValidationError"


def test_metric_math(one: tuple[t.Any, t.Any, str]) -> None:
    _simulator, client, name = one
    queries = [
        {**query(name, "NetworkIn", "Sum", identifier="i"), "ReturnData": False},
        {**query(name, "NetworkOut", "Sum", identifier="o"), "ReturnData": False},
        {"Id": "total", "Expression": "(i + o) / 86400"},
        {"Id": "most", "Expression": "MAX([i, o])"},
        {"Id": "mean", "Expression": "AVG(o)"},
    ]
    found = values(client, queries, "2026-06-10", "2026-06-13")
    assert sorted(found) == ["mean", "most", "total"]
    both = values(
        client,
        [query(name, "NetworkIn", "Sum", identifier="i"), query(name, "NetworkOut", "Sum", identifier="o")],
        "2026-06-10",
        "2026-06-13",
    )
    inside, outside = np.array(both["i"]), np.array(both["o"])
    assert found["total"] == pytest.approx((inside + outside) / 86400)
    assert found["most"] == pytest.approx(np.maximum(inside, outside))
    assert found["mean"] == pytest.approx([outside.mean()] * 3)
    bad = [{"Id": "x", "Expression": "__import__('os')"}]
    arguments = {"StartTime": moment("2026-06-10"), "EndTime": moment("2026-06-12")}
    assert code_of(client.get_metric_data, MetricDataQueries=bad, **arguments) == "ValidationError"


def test_after_a_change_utilization_is_demand_over_the_new_capacity(start: Start) -> None:
    simulator = start(
        one_account([plain(1, "m5.2xlarge", usage=steady(30, memory_percent=20, memory_swing=0), memory_agent=True)])
    )
    ec2, client = simulator.client("ec2", ACCOUNT), simulator.client("cloudwatch", ACCOUNT)
    name = instance_ids(ec2)[0]
    image = instance(ec2, name)["ImageId"]
    ec2.stop_instances(InstanceIds=[name])
    until(lambda: state(ec2, name) == "stopped")
    ec2.modify_instance_attribute(InstanceId=name, InstanceType={"Value": "m5.large"})
    simulator.clock(advance_seconds=3600)  # an hour without data: it is stopped
    ec2.start_instances(InstanceIds=[name])
    until(lambda: state(ec2, name) == "running")
    simulator.clock(advance_seconds=DAY)
    before = samples(client, name, "2026-06-15T11:00:00", "2026-06-15T12:00:00")
    gap = samples(client, name, "2026-06-15T12:00:00", "2026-06-15T13:00:00")
    after = samples(client, name, "2026-06-15T13:05:00", "2026-06-15T14:05:00")
    assert before == pytest.approx(30)
    assert len(gap) == 0
    assert after == pytest.approx(100)  # 2.4 vCPUs on 2
    metrics = client.list_metrics(Namespace="CWAgent", MetricName="mem_used_percent")["Metrics"]
    kinds = [{d["Name"]: d["Value"] for d in metric["Dimensions"]} for metric in metrics]
    assert {kind["InstanceType"] for kind in kinds} == {"m5.2xlarge", "m5.large"}
    assert {kind["ImageId"] for kind in kinds} == {image}

    def memory(kind: str, start_time: str, end_time: str) -> list[float]:
        dimensions = [
            {"Name": "InstanceId", "Value": name},
            {"Name": "ImageId", "Value": image},
            {"Name": "InstanceType", "Value": kind},
        ]
        metric = {"Namespace": "CWAgent", "MetricName": "mem_used_percent", "Dimensions": dimensions}
        one_query = {"Id": "m", "MetricStat": {"Metric": metric, "Period": 3600, "Stat": "Average"}}
        return values(client, [one_query], start_time, end_time).get("m", [])

    assert memory("m5.2xlarge", "2026-06-15T10:00:00", "2026-06-15T11:00:00") == pytest.approx([20])
    assert memory("m5.large", "2026-06-15T14:00:00", "2026-06-15T15:00:00") == pytest.approx([80])
    assert memory("m5.large", "2026-06-15T10:00:00", "2026-06-15T11:00:00") == []


def test_usage_goes_on_when_the_clock_moves(one: tuple[t.Any, t.Any, str]) -> None:
    simulator, client, name = one
    assert len(samples(client, name, "2026-06-20", "2026-06-21")) == 0
    simulator.clock(now="2026-06-21T00:00:00Z")
    assert len(samples(client, name, "2026-06-20", "2026-06-21")) == 288
    assert simulator.clock()["now"].startswith("2026-06-21T00:0")


def test_detailed_monitoring_has_a_sample_a_minute(start: Start) -> None:
    simulator = start(one_account([plain(1, usage=office(network_mbps=8), detailed_monitoring=True)]))
    client = simulator.client("cloudwatch", ACCOUNT)
    name = instance_ids(simulator.client("ec2", ACCOUNT))[0]
    count = values(client, [query(name, stat="SampleCount", period=3600)], "2026-06-15T09:00:00", "2026-06-15T10:00:00")
    assert count["q"] == [60]


def test_an_instance_has_no_data_from_before_its_launch(start: Start) -> None:
    simulator = start(one_account([plain(1, usage=office(), launched_days_ago=2)]))
    client = simulator.client("cloudwatch", ACCOUNT)
    name = instance_ids(simulator.client("ec2", ACCOUNT))[0]
    counts = values(client, [query(name, stat="SampleCount")], "2026-06-10", "2026-06-15")["q"]
    assert counts == [144, 288]


def test_xen_types_report_per_volume_and_nitro_types_per_instance(start: Start) -> None:
    usage = office(ebs_mbps=10)
    volumes = [{"size": 10}, {"size": 10}]
    simulator = start(
        one_account([plain(1, "m4.large", usage=usage, volumes=volumes), plain(1, "m5.large", usage=usage)])
    )
    client, ec2 = simulator.client("cloudwatch", ACCOUNT), simulator.client("ec2", ACCOUNT)
    xen, nitro = instance_ids(ec2)

    def names(**arguments: t.Any) -> set[str]:
        pages = client.get_paginator("list_metrics").paginate(**arguments)
        return {metric["MetricName"] for page in pages for metric in page["Metrics"]}

    def of(name: str) -> set[str]:
        return names(Namespace="AWS/EC2", Dimensions=[{"Name": "InstanceId", "Value": name}])

    assert "EBSWriteBytes" in of(nitro)
    assert "EBSWriteBytes" not in of(xen)
    volume = instance(ec2, xen)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    dimensions = [{"Name": "VolumeId", "Value": volume}]
    metric = {"Namespace": "AWS/EBS", "MetricName": "VolumeWriteBytes", "Dimensions": dimensions}
    one_query = {"Id": "v", "MetricStat": {"Metric": metric, "Period": DAY, "Stat": "Sum"}}
    half = values(client, [one_query], "2026-06-10", "2026-06-12")["v"]
    whole = values(client, [query(nitro, "EBSWriteBytes", "Sum")], "2026-06-10", "2026-06-12")["q"]
    assert np.array(half) * 2 == pytest.approx(np.array(whole))


def test_windows_memory_has_its_own_metric(start: Start) -> None:
    simulator = start(one_account([plain(1, usage=office(), memory_agent=True, os="Windows")]))
    metrics = simulator.client("cloudwatch", ACCOUNT).list_metrics(Namespace="CWAgent")["Metrics"]
    assert [metric["MetricName"] for metric in metrics] == ["Memory % Committed Bytes In Use"]
    assert {d["Name"] for d in metrics[0]["Dimensions"]} == {"InstanceId", "ImageId", "InstanceType", "objectname"}


def test_listed_metrics_come_in_pages_of_500(start: Start) -> None:
    simulator = start(one_account([plain(120, usage=steady(5))]))
    client = simulator.client("cloudwatch", ACCOUNT)
    pages = [len(page["Metrics"]) for page in client.get_paginator("list_metrics").paginate(Namespace="AWS/EC2")]
    assert pages[:-1] == [500] * (len(pages) - 1)
    assert sum(pages) == 120 * 12


def test_put_metrics_can_be_read(one: tuple[t.Any, t.Any, str]) -> None:
    _simulator, client, _name = one
    when = moment("2026-06-15T10:00:00")
    client.put_metric_data(
        Namespace="app",
        MetricData=[{"MetricName": "latency", "Timestamp": when, "Values": [1.0, 3.0], "Counts": [1, 3]}],
    )
    metric = {"Namespace": "app", "MetricName": "latency"}
    queries = [
        {"Id": f"q{n}", "MetricStat": {"Metric": metric, "Period": 300, "Stat": stat}}
        for n, stat in enumerate(("Average", "SampleCount", "p50"))
    ]
    found = values(client, queries, "2026-06-15T09:00:00", "2026-06-15T11:00:00")
    assert (found["q0"], found["q1"], found["q2"]) == ([2.5], [4], [3])


# --- traces ------------------------------------------------------------------------------


def test_a_csv_is_replayed(start: Start, tmp_path: pathlib.Path) -> None:
    first = moment("2024-01-01").timestamp()
    trace = np.round(np.random.default_rng(4).uniform(5, 60, 2 * 288), 3)
    lines = [f"{first + 300 * n:.0f};{value};{2 * value}" for n, value in enumerate(trace)]
    (tmp_path / "trace.csv").write_text("ts [s];cpu;mem\n" + "\n".join(lines) + "\n", encoding="utf-8")
    csv = {"path": "trace.csv", "time": "ts [s]", "now_at": 0.5}
    usage = {
        "dimensions": {
            "cpu": {"csv": {**csv, "value": "cpu"}},
            "memory": {"csv": {**csv, "value": ["cpu", "mem"], "unit": "mib", "scale": 10}},
        }
    }
    description = one_account([plain(1, "m5.large", usage=usage)])
    description["now"] = "2026-06-15T00:00:00Z"
    simulator = start(description, tmp_path)
    client = simulator.client("cloudwatch", ACCOUNT)
    name = instance_ids(simulator.client("ec2", ACCOUNT))[0]
    assert samples(client, name, "2026-06-14", "2026-06-15") == pytest.approx(trace[:288], rel=1e-5)
    simulator.clock(now="2026-06-17T00:00:00Z")
    assert samples(client, name, "2026-06-15", "2026-06-16") == pytest.approx(trace[288:], rel=1e-5)
    assert samples(client, name, "2026-06-16", "2026-06-17") == pytest.approx(trace[:288], rel=1e-5)  # it repeats
    used = simulator.cloud.accounts[ACCOUNT].region("us-east-1").instances[name].usage
    memory = used.get("memory").samples(300, moment("2026-06-14").timestamp(), moment("2026-06-15").timestamp())
    assert memory == pytest.approx(trace[:288] * 3 * 10 / 1024, rel=1e-5)


def test_gaps_in_a_trace(tmp_path: pathlib.Path) -> None:
    del tmp_path
    times = np.array([0, 300, 600, 1200, 1500, 9000, 9300], float)
    trace = Trace(times, np.arange(7.0), 9600.0, 1.0, False, False)
    found = trace.samples(300, 0, 9600)
    assert found[:6].tolist() == [0, 1, 2, 2, 3, 4]  # 900 s: the value before
    assert np.isnan(found[20])  # more than an hour
    assert found[30:32].tolist() == [5, 6]
    assert np.isnan(trace.samples(300, 9600, 9900)).all()  # it does not repeat


@pytest.mark.parametrize(
    ("name", "time", "value"),
    [("crane/input0.csv", "ts", "value"), ("nab/ec2_cpu_utilization_24ae8d.csv", "timestamp", "value")],
)
def test_published_traces_are_replayed(start: Start, name: str, time: str, value: str) -> None:
    folder = pathlib.Path(__file__).resolve().parents[4] / "shared" / "data"
    if not (folder / name).exists():
        pytest.skip(f"{name} of the shared data is not here")
    usage = {"dimensions": {"cpu": {"csv": {"path": name, "time": time, "value": value}}}}
    simulator = start(one_account([plain(1, "m5.large", usage=usage)]), folder)
    client = simulator.client("cloudwatch", ACCOUNT)
    instance_id = instance_ids(simulator.client("ec2", ACCOUNT))[0]
    rows = [line.rpartition(",")[2] for line in (folder / name).read_text(encoding="utf-8").splitlines()[1:]]
    raw = np.clip(np.array([float(row) for row in rows]), 0, 100)
    top = values(client, [query(instance_id, stat="Maximum")], "2026-06-08", "2026-06-15")["q"]
    assert 0 < max(top) <= raw.max() + 1e-4


def test_profiles_do_not_depend_on_the_order_of_days() -> None:
    for kind in Profile.KINDS:
        first, second = Profile(kind, 7, {}, 0.0), Profile(kind, 7, {}, 0.0)
        forwards = [first.day(day, 300) for day in range(20000, 20010)]
        backwards = [second.day(day, 300) for day in range(20009, 19999, -1)][::-1]
        assert all(np.array_equal(a, b) for a, b in zip(forwards, backwards, strict=True)), kind
        assert not np.array_equal(forwards[4], Profile(kind, 8, {}, 0.0).day(20004, 300)), kind


def test_month_end_is_three_times_the_normal_day() -> None:
    shape = Profile("month_end", 1, {"noise": 0.0}, 0.0)

    def peak(text: str) -> float:
        return float(shape.day(int(moment(text).timestamp() // DAY), 300).max())

    assert peak("2026-05-31") == pytest.approx(peak("2026-06-01"))
    assert peak("2026-05-31") == pytest.approx(3 * peak("2026-06-10"), rel=0.02)
