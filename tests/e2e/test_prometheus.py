# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory from a real Prometheus: backfilled with node_exporter's series by promtool, read by the real module."""

from __future__ import annotations

import datetime
import socket
import typing as t
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import (
    Prometheus,
    PrometheusError,
    read_memory,
)
from ansible_collections.frugal.cloud.plugins.module_utils.resources import STATISTICS, FleetUsage
from ansible_collections.frugal.cloud.tests.e2e.loop import NOW, QUIET, Loop, Ran, estate
from ansible_collections.frugal.cloud.tests.tools.prometheus_server import (
    Families,
    Server,
    backfill,
    installed,
    serve,
)

GIB = 2**30
#: Days of series before NOW; the sizing looks at 14.
DAYS = 15
STEP = 300
PASSWORD = "the-password-of-the-tests"
#: Of PASSWORD; bcrypt with cost 4.
HASH = "$2b$04$XkutQm8FThhM..zH30Hi7uKLRlNk3/Pi91SEEN43B5nf0UtP5w94q"
_Dict = dict[str, t.Any]

pytestmark = pytest.mark.skipif(
    not installed(),
    reason="Prometheus is not installed; on Debian: apt-get install prometheus",
)


def now() -> datetime.datetime:
    """When the estates' clocks start."""
    return datetime.datetime.fromisoformat(NOW)


def memory_series(shares: t.Mapping[str, Callable[[int, int], float]], total: float = 32 * GIB) -> Families:
    """Memory as node_exporter tells it: name -> share used (0..1) at (days from NOW's midnight, minute of the day)."""
    midnight = int(now().replace(hour=0, minute=0, second=0).timestamp())
    moments = range(midnight - DAYS * 86400, int(now().timestamp()), STEP)
    families: dict[str, list[t.Any]] = {"node_memory_MemAvailable_bytes": [], "node_memory_MemTotal_bytes": []}
    for name, share in shares.items():
        labels = {"instance": "10.0.0.1:9100", "instance_id": name, "job": "node"}
        free = [(at, total * (1 - share((at - midnight) // 86400, at % 86400 // 60))) for at in moments]
        families["node_memory_MemAvailable_bytes"].append((labels, free))
        families["node_memory_MemTotal_bytes"].append((labels, [(at, total) for at in moments]))
    return families


def used(name: str) -> Callable[[int, int], float]:
    """Shares of memory whose statistics are known: see test_each_value_stands_at_its_own_day."""

    def share(day: int, minute: int) -> float:
        if name == "steady":
            return 0.10
        # 0.20 on the day of NOW, 0.01 less each day before; at 06:00 for one minute 0.5 more.
        return 0.20 + 0.01 * day + (0.5 if minute == 360 else 0.0)

    return share


@pytest.fixture(scope="module")
def loop(make_loop: Callable[..., Loop]) -> Loop:
    """Machines without CloudWatch agent: two that Prometheus knows, one that it does not, one that is full."""
    names = ["steady", "peaky", "unknown", "full"]
    machines = [{"name": name, "type": "m5.2xlarge", "usage": QUIET, "elastic_ip": True} for name in names]
    return t.cast(Loop, make_loop(estate(machines)))


@pytest.fixture(scope="module")
def data(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blocks of a Prometheus' storage."""
    folder = tmp_path_factory.mktemp("prometheus")
    ids = {name: item["InstanceId"] for name, item in loop.instances().items()}
    shares: dict[str, Callable[[int, int], float]] = {
        ids["steady"]: used("steady"),
        ids["peaky"]: used("peaky"),
        ids["full"]: lambda day, minute: 0.93,
    }
    return backfill(folder, memory_series(shares))


@pytest.fixture(scope="module")
def server(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Prometheus that everybody may ask."""
    with serve(tmp_path_factory.mktemp("server") / "open", data) as running:
        yield running


def found(loop: Loop, **prometheus: t.Any) -> Ran:
    """``ec2_rightsizing_info`` by its playbook, with a Prometheus."""
    return loop.play(
        "rightsizing",
        rightsizing_prometheus=prometheus,
        rightsizing_lookback_days=14,
        rightsizing_metrics=["cpu", "memory"],
    )


def proposed(loop: Loop, ran: Ran) -> dict[str, tuple[float, list[str]]]:
    """Name -> (GiB of the proposed type, reasons)."""
    client = loop.simulator.client("ec2", loop.account)
    answer = {}
    for item in ran.of("Find EC2")["recommendations"]:
        kind = item["proposed"]["instance_type"]
        described = client.describe_instance_types(InstanceTypes=[kind])["InstanceTypes"][0]
        answer[item["resource"]["name"]] = (described["MemoryInfo"]["SizeInMiB"] / 1024, item["reasons"])
    return answer


def test_memory_shrinks_where_prometheus_measures_it(loop: Loop, server: Server) -> None:
    """3.2 GiB used fit a smaller type; a peak of 22.4 GiB a day does not fit 16; nobody knows the third machine."""
    blind = loop.good(
        "rightsizing",
        rightsizing_lookback_days=14,
        rightsizing_metrics=["cpu", "memory"],
        frugal_data_dir=f"{loop.folder}/blind",
    )
    assert all(gib >= 32 for gib, _reasons in proposed(loop, blind).values())
    ran = found(loop, url=server.url)
    assert ran.code == 0, ran.output
    sizes = proposed(loop, ran)
    assert 4.0 <= sizes["steady"][0] < 32.0
    assert sizes["peaky"][0] == 32.0
    assert not any("not measured" in reason for reason in sizes["peaky"][1])
    assert sizes["unknown"][0] >= 32
    assert any("memory is not measured" in reason for reason in sizes["unknown"][1])
    if "full" in sizes:
        assert sizes["full"][0] > 32
    assert ran.of("Find EC2")["summary"]["usage_sources"]["memory_percent"] == f"Prometheus {server.url}"


def test_each_value_stands_at_its_own_day(loop: Loop, server: Server) -> None:
    """What was written for a day is read for that day: 20 % on the last, one less on each before, and a peak."""
    ids = {name: item["InstanceId"] for name, item in loop.instances().items()}
    start = now().replace(hour=0, minute=0, second=0) - datetime.timedelta(days=14)
    usage = FleetUsage([ids["unknown"], ids["peaky"]], start, 86400, 15, {})
    names = {value: value for value in ids.values()}
    memory = read_memory(Prometheus(server.url), names, usage, now(), statistics=("p50", "Maximum")).metrics[
        "memory_percent"
    ]
    assert numpy.isnan(memory[0]).all()
    # Whole days, and the present one until noon.
    days = numpy.arange(-14, 1)
    numpy.testing.assert_allclose(memory[1, :, STATISTICS.index("p50")], 20.0 + days, atol=0.01)
    numpy.testing.assert_allclose(memory[1, :, STATISTICS.index("Maximum")], 70.0 + days, atol=0.01)
    assert numpy.isnan(memory[1, :, STATISTICS.index("Average")]).all()


def test_nothing_of_the_future_is_read(loop: Loop, server: Server) -> None:
    """``as_of`` five days earlier: the days since are not looked at."""
    ids = {name: item["InstanceId"] for name, item in loop.instances().items()}
    as_of = now() - datetime.timedelta(days=5)
    start = as_of.replace(hour=0, minute=0, second=0) - datetime.timedelta(days=3)
    usage = FleetUsage([ids["peaky"]], start, 86400, 4, {})
    memory = read_memory(Prometheus(server.url), {ids["peaky"]: ids["peaky"]}, usage, as_of).metrics["memory_percent"]
    numpy.testing.assert_allclose(memory[0, :, STATISTICS.index("Maximum")], [62.0, 63.0, 64.0, 65.0], atol=0.01)


def test_a_label_that_no_series_has(loop: Loop, server: Server) -> None:
    """One sentence, and no size that supposes anything about memory."""
    ran = found(loop, url=server.url, label="host")
    assert ran.code != 0
    assert "label" in ran.failure
    assert "host" in ran.failure
    assert "\n" not in ran.failure


def test_a_server_that_is_not_there(loop: Loop) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}"
    ran = found(loop, url=url)
    assert ran.code != 0
    assert f"Prometheus at {url} cannot be read" in ran.failure
    assert "refused" in ran.failure


def test_a_server_that_asks_for_a_password(loop: Loop, data: Path, tmp_path: Path) -> None:
    """Wrong or missing: one sentence without the password. Right: it is read."""
    with serve(tmp_path / "closed", data, f"basic_auth_users: {{reader: '{HASH}'}}\n") as server:
        for credentials in ({}, {"username": "reader", "password": "guessed-password"}):
            ran = found(loop, url=server.url, **credentials)
            assert ran.code != 0
            assert f"Prometheus at {server.url} answered 401" in ran.failure
            assert "username" in ran.failure
            assert "guessed-password" not in ran.output
        ran = found(loop, url=server.url, username="reader", password=PASSWORD)
        assert ran.code == 0, ran.output
        assert PASSWORD not in ran.output
        assert proposed(loop, ran)["steady"][0] < 32


def test_a_query_that_prometheus_refuses(server: Server, loop: Loop) -> None:
    usage = FleetUsage(["i-1"], now() - datetime.timedelta(days=1), 86400, 2, {})
    with pytest.raises(PrometheusError, match=r"answered 400: .*parse error"):
        read_memory(Prometheus(server.url), {}, usage, now(), expression="node_memory_(")
