# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory from Prometheus: which series belongs to which machine and day; sentences. A real one is in tests/e2e."""

from __future__ import annotations

import datetime
import typing as t

import numpy
import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.observe.prometheus import (
    Prometheus,
    PrometheusError,
    read_memory,
)
from ansible_collections.frugal.cloud.plugins.module_utils.resources import STATISTICS, FleetUsage

START = datetime.datetime(2026, 6, 1, tzinfo=datetime.timezone.utc)
DAY = 86400
MAXIMUM = STATISTICS.index("Maximum")
Series = tuple[dict[str, str], list[tuple[float, float]]]


class Fake(Prometheus):
    """A server that answers every query with the same series."""

    def __init__(self, *series: Series) -> None:
        super().__init__("http://prometheus.example/")
        self.series = list(series)
        self.asked: list[tuple[str, float, float, int]] = []

    def query_range(self, query: str, start: float, end: float, step: int) -> t.Any:
        self.asked.append((query, start, end, step))
        return self.series


def points(*values: float) -> list[tuple[float, float]]:
    """One value a day: a day's value stands at its end."""
    return [(START.timestamp() + DAY * (day + 1), value) for day, value in enumerate(values)]


def usage(*ids: str, **metrics: t.Any) -> FleetUsage:
    return FleetUsage(list(ids), START, DAY, 3, metrics, dict.fromkeys(metrics, "CloudWatch CWAgent"))


def read(server: Prometheus, known: FleetUsage, label: str = "instance_id", **more: t.Any) -> FleetUsage:
    names = {item: item for item in known.instance_ids}
    as_of = more.pop("as_of", START + datetime.timedelta(days=2, hours=12))
    return read_memory(server, names, known, as_of, label, **more)


def test_a_value_stands_at_its_own_day() -> None:
    server = Fake(({"instance_id": "i-2"}, points(10, 20, 30)))
    found = read(server, usage("i-1", "i-2"))
    memory = found.metrics["memory_percent"]
    assert memory[1, :, MAXIMUM].tolist() == [10, 20, 30]
    assert numpy.isnan(memory[0]).all()
    assert found.sources["memory_percent"] == "Prometheus http://prometheus.example"
    query, start, end, step = server.asked[0]
    assert "[1d:1m]" in query
    assert (start, end, step) == (START.timestamp() + DAY, START.timestamp() + 3 * DAY, DAY)


def test_two_statistics_are_two_requests_whatever_the_fleet() -> None:
    server = Fake(*(({"instance_id": f"i-{n}"}, points(n, n, n)) for n in range(300)))
    read(server, usage(*(f"i-{n}" for n in range(300))))
    assert len(server.asked) == 2


def test_a_port_behind_the_name_is_not_part_of_it() -> None:
    found = read(Fake(({"instance": "i-1:9100"}, points(5))), usage("i-1"), label="instance")
    assert found.metrics["memory_percent"][0, 0, MAXIMUM] == 5


def test_what_cloudwatch_gave_is_kept() -> None:
    known = numpy.full((2, 3, len(STATISTICS)), numpy.nan, dtype=numpy.float32)
    known[0, :, MAXIMUM] = 50
    server = Fake(({"instance_id": "i-1"}, points(1, 2, 3)), ({"instance_id": "i-2"}, points(4, 5, 6)))
    found = read(server, usage("i-1", "i-2", memory_percent=known))
    assert found.metrics["memory_percent"][:, :, MAXIMUM].tolist() == [[50, 50, 50], [4, 5, 6]]
    assert found.sources["memory_percent"] == "CloudWatch CWAgent, Prometheus http://prometheus.example"


def test_days_after_as_of_are_not_taken() -> None:
    found = read(
        Fake(({"instance_id": "i-1"}, points(1, 2, 3))), usage("i-1"), as_of=START + datetime.timedelta(hours=36)
    )
    assert numpy.isnan(found.metrics["memory_percent"][0, :, MAXIMUM]).tolist() == [False, False, True]


def test_a_label_that_no_series_has() -> None:
    server = Fake(({"instance": "a", "job": "node"}, points(1)))
    with pytest.raises(PrometheusError, match=r"no series has the label 'instance_id', only instance, job; let label"):
        read(server, usage("i-1"))


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (Fake(({"instance_id": "i-9"}, points(1))), "its label instance_id names others"),
        (Fake(), "it has no series of node_exporter in this time"),
    ],
)
def test_machines_that_it_does_not_know_are_a_warning(server: Prometheus, why: str) -> None:
    warnings: list[str] = []
    found = read(server, usage("i-1"), warnings=warnings)
    assert "memory_percent" not in found.metrics
    assert warnings == [f"Prometheus at http://prometheus.example has no memory of these 1 instances: {why}"]
