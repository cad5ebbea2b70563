# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real usage through the whole loop: sized on the first half of each trace, judged on the second.

The traces lie in ``shared/data`` beside the checkout: a Bitbrains machine with all its metrics,
crane's production services and NAB's EC2 instances. The estate names the files; nothing of them
is copied.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime
import math
import typing as t
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.tests.e2e.loop import FIRST, NOW, REGION, ROOT, Loop, estate

DATA = ROOT.parent / "shared" / "data"
BITBRAINS = DATA / "vmtraces" / "bitbrains_fastStorage_vm.csv"
#: Its column of times, which holds seconds.
BITBRAINS_TIME = "Timestamp [ms]"
DAY = 86400
#: Half of the longest trace, Bitbrains' 30 days, and a day more.
REPLAYED_DAYS = 16

pytestmark = pytest.mark.skipif(not BITBRAINS.exists(), reason="no folder shared/data with traces beside the checkout")
_Dict = dict[str, t.Any]


def trace(path: Path, value: str | list[str], time: str = "timestamp", **settings: t.Any) -> _Dict:
    """A column of ``path``: its first half lies before the estate's clock, outside of it there is nothing."""
    return {"csv": {"path": str(path), "time": time, "value": value, "now_at": 0.5, "repeat": False, **settings}}


def moments(path: Path, time: str) -> list[float]:
    """The times of a file, in seconds."""
    texts = [row[time] for row in rows(path)]
    if texts[0].isdigit():
        return [float(text) for text in texts]
    return [datetime.datetime.fromisoformat(f"{text}+00:00").timestamp() for text in texts]


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a file, separated by commas or semicolons."""
    with path.open(encoding="utf-8") as file:
        delimiter = ";" if ";" in file.readline() else ","
        file.seek(0)
        return [
            {str(key).strip(): str(text).strip() for key, text in row.items()}
            for row in csv.DictReader(file, delimiter=delimiter)
        ]


def half(path: Path, time: str = "timestamp") -> float:
    """Days of the first half of a trace: how long ago its instance was launched."""
    known = moments(path, time)
    return (known[-1] - known[0]) / 2 / DAY


def seen(path: Path, value: str, time: str = "timestamp") -> float:
    """The largest value of the first half, without the day in which the instance was launched."""
    known = moments(path, time)
    now = datetime.datetime.fromisoformat(NOW).timestamp()
    shift = now - (known[0] + known[-1]) / 2
    first = (known[0] + shift) // DAY * DAY + DAY
    return max(float(row[value]) for row, at in zip(rows(path), known) if first <= at + shift < now)


def bitbrains(name: str, **settings: t.Any) -> _Dict:
    """One core and 2 GiB, which nearly always do nothing, on an m5.xlarge (4 vCPUs, 16 GiB)."""

    def series(value: str, unit: str, scale: float = 1.0) -> _Dict:
        return trace(BITBRAINS, value, BITBRAINS_TIME, unit=unit, scale=scale)

    dimensions = {
        "cpu": series("CPU usage [%]", "vcpus", 0.01),
        "memory": series("Memory usage [KB]", "kib"),
        "ebs_read_bytes": series("Disk read throughput [KB/s]", "kib_per_second"),
        "ebs_write_bytes": series("Disk write throughput [KB/s]", "kib_per_second"),
        "network_in": series("Network received throughput [KB/s]", "kib_per_second"),
        "network_out": series("Network transmitted throughput [KB/s]", "kib_per_second"),
    }
    return {
        "name": name,
        "type": "m5.xlarge",
        "elastic_ip": True,
        "launched_days_ago": half(BITBRAINS, BITBRAINS_TIME),
        "usage": {"dimensions": dimensions},
        **settings,
    }


def crane(number: int) -> _Dict:
    """A service's cores as a share of the smallest power of two that holds twice its maximum, on an m5.4xlarge."""
    path = DATA / "crane" / f"input{number}.csv"
    largest = max(float(row["value"]) for row in rows(path))
    machine = 2.0 ** math.ceil(math.log2(2.0 * largest))
    cpu = trace(path, "value", "ts", unit="percent", scale=100.0 / machine)
    return {
        "name": f"crane-{number}",
        "type": "m5.4xlarge",
        "elastic_ip": True,
        "detailed_monitoring": True,
        "launched_days_ago": half(path, "ts"),
        "usage": {"dimensions": {"cpu": cpu}},
    }


def nab(series: str, kind: str = "m5.2xlarge") -> _Dict:
    """An EC2 instance of NAB; its size is not known, memory was not measured."""
    path = DATA / "nab" / f"ec2_cpu_utilization_{series}.csv"
    cpu = trace(path, "value", unit="percent")
    return {
        "name": f"nab-{series}",
        "type": kind,
        "elastic_ip": True,
        "launched_days_ago": half(path),
        "usage": {"dimensions": {"cpu": cpu}},
    }


@dataclasses.dataclass
class Told:
    """What the loop did to the estate of real traces; by name of the machine."""

    loop: Loop
    recommended: dict[str, _Dict]
    before: dict[str, _Dict]
    after: dict[str, _Dict]
    truth_before: dict[str, _Dict]
    truth_after: dict[str, _Dict]
    applied: t.Mapping[str, t.Any]
    verified: t.Mapping[str, t.Any]
    booked: t.Mapping[str, t.Any]

    def size(self, name: str) -> tuple[int, float]:
        """(vCPUs, GiB) of an instance type, as EC2 tells."""
        found = self.loop.simulator.client("ec2", FIRST, REGION).describe_instance_types(InstanceTypes=[name])
        kind = found["InstanceTypes"][0]
        return kind["VCpuInfo"]["DefaultVCpus"], kind["MemoryInfo"]["SizeInMiB"] / 1024


@pytest.fixture(scope="module")
def told(make_loop: Callable[..., Loop]) -> Told:
    """The whole loop, once: recommend, approve, apply, let the second halves pass, verify, report."""
    machines = [
        bitbrains("bitbrains", memory_agent=True),
        bitbrains("bitbrains-blind"),
        *(crane(number) for number in (0, 1, 8)),
        *(nab(path.stem.rpartition("_")[2]) for path in sorted((DATA / "nab").glob("ec2_cpu_utilization_*.csv"))),
    ]
    loop = make_loop(estate(machines))
    end = (datetime.datetime.fromisoformat(loop.now) + datetime.timedelta(days=REPLAYED_DAYS)).isoformat()

    def truth(start: str) -> dict[str, _Dict]:
        names = {item["InstanceId"]: name for name, item in loop.instances().items()}
        return {names[key]: item for key, item in loop.simulator.truth(start, end)["instances"].items()}

    before, truth_before = loop.instances(), truth(loop.now)
    found = loop.recommend(frugal_limit=100).of("Find EC2")["recommendations"]
    loop.approve()
    applied = loop.stage("apply").of("Apply what")
    after, truth_after = loop.instances(), truth(loop.simulator.clock()["now"])
    loop.advance(25)
    ran = loop.stage("verify")
    assert ran.code == 0, ran.output
    loop.good("report")
    return Told(
        loop,
        {item["resource"]["name"]: item for item in found},
        before,
        after,
        truth_before,
        truth_after,
        applied,
        ran.of("Verify what"),
        ran.of("Book what"),
    )


def chart(item: _Dict, metric: str) -> float:
    """The highest point of a chart of the report."""
    drawn = next(chart for chart in item["evidence"]["charts"] if chart["metric"] == metric)
    return float(max(value for value in drawn["maximum"] if value is not None))


def test_what_was_seen_is_what_the_files_hold(told: Told) -> None:
    """The peaks of the first halves: read from the files by hand, and through the percentages of CloudWatch."""
    machine = told.recommended["bitbrains"]
    used = seen(BITBRAINS, "Memory usage [KB]", BITBRAINS_TIME) / 2**20
    assert chart(machine, "Memory") == pytest.approx(used, rel=0.01)
    # One core of four.
    assert chart(machine, "CPU") == pytest.approx(seen(BITBRAINS, "CPU usage [%]", BITBRAINS_TIME) / 4, rel=0.01)
    network = max(
        seen(BITBRAINS, f"Network {way} throughput [KB/s]", BITBRAINS_TIME) for way in ("received", "transmitted")
    )
    assert chart(machine, "Network") == pytest.approx(network * 1024 * 8 / 1e9, rel=0.01)
    for name in ("24ae8d", "53ea38", "5f5533", "825cc2"):
        peak = seen(DATA / "nab" / f"ec2_cpu_utilization_{name}.csv", "value")
        assert chart(told.recommended[f"nab-{name}"], "CPU") == pytest.approx(peak, rel=0.01)


def test_memory_shrinks_only_where_it_is_measured(told: Told) -> None:
    """The Bitbrains machine with an agent gets what it used and room; all others keep their memory at least."""
    for name, item in told.recommended.items():
        old = told.size(item["current"]["instance_type"])[1]
        new = told.size(item["proposed"]["instance_type"])[1]
        if name == "bitbrains":
            used = seen(BITBRAINS, "Memory usage [KB]", BITBRAINS_TIME) / 2**20
            assert used < new < old
        else:
            assert new >= old, f"{name}: nobody measures its memory"
            assert any("memory is not measured" in reason for reason in item["reasons"])


def test_idle_and_busy_ones_are_told_apart(told: Told) -> None:
    """By average CPU under 5 %: two of NAB's, the Bitbrains machine, and crane's input1, with 3 % of 16 vCPUs."""
    idle = {name for name, item in told.recommended.items() if item["finding"] == "idle"}
    assert idle == {"bitbrains", "bitbrains-blind", "nab-24ae8d", "nab-53ea38", "crane-1"}
    # 88 % on average, 99 % at most: never less CPU, and nothing is saved there.
    busy = told.recommended["nab-825cc2"]
    assert busy["finding"] == "under_provisioned"
    assert told.size(busy["proposed"]["instance_type"])[0] > told.size("m5.2xlarge")[0]


def test_no_overload_minute_is_added_in_the_second_half(told: Told) -> None:
    """Judged by the simulated cloud's own truth, not by what the collection saw."""
    for name, item in told.truth_before.items():
        assert told.truth_after[name]["overload_minutes"] <= item["overload_minutes"], name


def test_the_bill_is_lower_by_what_was_promised(told: Told) -> None:
    """A third of what the machines cost that may shrink, though most may not lose memory; the busy one may grow."""
    before = sum(item["monthly_cost"] for item in told.truth_before.values())
    after = sum(item["monthly_cost"] for item in told.truth_after.values())
    assert before - after == pytest.approx(told.applied["monthly_saving"], rel=0.001)
    shrunk = [name for name, item in told.recommended.items() if item["monthly"]["saving"] > 0]
    assert "nab-825cc2" not in shrunk
    costs = [sum(truth[name]["monthly_cost"] for name in shrunk) for truth in (told.truth_before, told.truth_after)]
    assert costs[1] < 0.67 * costs[0]
    assert {name for name in told.before if told.before[name]["InstanceType"] != told.after[name]["InstanceType"]} == {
        outcome["name"] for outcome in told.applied["outcomes"] if outcome["status"] == "applied"
    }


def test_all_is_verified_booked_and_reported(told: Told) -> None:
    """A day of the second half later."""
    count = told.applied["by_status"]["applied"]
    assert count >= 6
    assert told.verified["by_status"] == {"verified": count, "rolled_back": 0, "applied": 0}
    assert told.booked["booked"] == count
    savings = told.booked["savings"][0]
    assert savings["projected_monthly"] == pytest.approx(told.applied["monthly_saving"], abs=0.01)
    assert savings["realised"] == pytest.approx(told.applied["monthly_saving"] * 25 / 730, rel=0.05)
    reports = told.loop.folder / "reports"
    assert {row["resource_name"] for row in rows(reports / "report.csv")} >= set(told.recommended)
    page = (reports / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in told.recommended)
