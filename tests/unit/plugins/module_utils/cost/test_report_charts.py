# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Geometry and words of the charts."""

from __future__ import annotations

import math
import re
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_charts import (
    MAXIMUM_POINTS,
    USAGE_FRAME,
    metric_title,
    month_name,
    quantity,
    savings_chart,
    usage_chart,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost.report_data import Month
from hypothesis import given
from hypothesis import strategies as some

SERIES: dict[str, t.Any] = {
    "metric": "Memory",
    "unit": "GiB",
    "start": "2026-03-30T00:00:00+00:00",
    "period_seconds": 86400,
    "p99": [2.0, None, 3.0, 3.5],
    "maximum": [4.0, None, 9.0, 4.0],
    "current_limit": 16,
    "proposed_limit": 8,
}


def test_values_are_drawn_to_scale_with_a_gap_where_there_is_no_data() -> None:
    chart = usage_chart(SERIES)
    assert chart is not None
    points = [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", chart.maximum)]
    assert [point[0] for point in points] == pytest.approx(
        [USAGE_FRAME.left, USAGE_FRAME.x(2 / 3), USAGE_FRAME.width - USAGE_FRAME.right], abs=0.1
    )
    zero = USAGE_FRAME.y(0)
    assert (zero - points[1][1]) / (zero - points[0][1]) == pytest.approx(9 / 4, rel=0.01)
    assert chart.maximum.count("M") == 2
    assert chart.current_limit is not None
    assert chart.proposed_limit is not None
    assert (zero - chart.current_limit.at) / (zero - chart.proposed_limit.at) == pytest.approx(2, rel=0.01)
    assert chart.above == (points[1],)


def test_the_summary_says_what_the_chart_shows() -> None:
    chart = usage_chart(SERIES)
    assert chart is not None
    assert chart.summary == (
        "Memory: p99 up to 3.5 GiB; maximum 9 GiB on 1 Apr; limit now 16 GiB; proposed 8 GiB; "
        "maximum above the proposed limit in 1 of 4 periods."
    )
    assert [mark.label for mark in chart.vertical] == ["30 Mar", "31 Mar", "2 Apr"]


@pytest.mark.parametrize(
    "series",
    [
        {},
        {"p99": [], "maximum": []},
        {"p99": [None, None]},
        {"p99": "text", "maximum": None},
        {"p99": [float("nan"), float("inf")], "maximum": [True, "3"]},
    ],
)
def test_nothing_is_drawn_without_a_number(series: dict[str, t.Any]) -> None:
    assert usage_chart(series) is None


def test_an_unreadable_start_numbers_the_periods() -> None:
    chart = usage_chart({"p99": [1, 2], "start": "yesterday"})
    assert chart is not None
    assert [mark.label for mark in chart.vertical] == ["period 1", "period 2"]


def test_a_long_series_keeps_its_peak() -> None:
    values = [1.0] * 5000
    values[3123] = 77.0
    chart = usage_chart({**SERIES, "p99": values, "maximum": values, "period_seconds": 300})
    assert chart is not None
    assert chart.p99.count("L") < MAXIMUM_POINTS
    assert "maximum 77 GiB" in chart.summary


@given(
    some.lists(some.one_of(some.none(), some.floats(allow_nan=True, allow_infinity=True)), max_size=400),
    some.lists(some.one_of(some.none(), some.floats(0, 1e12)), max_size=400),
    some.one_of(some.none(), some.floats(0, 1e12)),
)
def test_any_series_stays_inside_its_frame(p99: list[float | None], maximum: list[float | None], limit: float) -> None:
    p99 = [value if value is None or not math.isfinite(value) else abs(value) % 1e12 for value in p99]
    chart = usage_chart({"p99": p99, "maximum": maximum, "current_limit": limit, "proposed_limit": 5})
    if chart is None:
        return
    for x, y in re.findall(r"[ML]([\d.e+-]+) ([\d.e+-]+)", chart.p99 + chart.maximum):
        assert USAGE_FRAME.left - 0.1 <= float(x) <= USAGE_FRAME.width - USAGE_FRAME.right + 0.1
        assert USAGE_FRAME.top - 0.1 <= float(y) <= USAGE_FRAME.height - USAGE_FRAME.bottom + 0.1
    assert "nan" not in chart.p99 + chart.maximum


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "vCPU", "0 vCPU"),
        (0.0421, "vCPU", "0.0421 vCPU"),
        (15.96, "GiB", "16 GiB"),
        (97.449, "% of the current capacity", "97.4 %"),
        (41.2, "percent of all vCPUs of the instance", "41.2 %"),
        (1234.0, "Mbps", "1,234 Mbps"),
        (12_345_678, "bytes/second over all attached volumes", "12.3 MB/s"),
        (999.9, "bytes/second", "1 kB/s"),
        (45_000, "operations/second", "45 k operations/s"),
        (300, "", "300"),
    ],
)
def test_quantities_have_three_digits_and_a_unit(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_names() -> None:
    assert metric_title("cpu_percent") == "CPU"
    assert metric_title("network_in_bytes_per_second") == "Network in"
    assert metric_title("EBS throughput") == "EBS throughput"
    assert month_name("2026-02") == "Feb 2026"
    assert month_name("someday") == "someday"


def test_savings_are_drawn_to_scale() -> None:
    months = [
        Month("2025-12", "USD", 100, 90, 100, 90),
        Month("2026-01", "USD", 100, 60, 200, 150),
        Month("2026-02", "USD", 100, None, 300, None),
    ]
    chart = savings_chart(months, "USD")
    assert chart is not None
    zero = chart.frame.y(0)
    assert (zero - chart.points[1][1]) / (zero - chart.points[0][1]) == pytest.approx(150 / 90, rel=0.01)
    assert len(chart.points) == 2
    assert [mark.label for mark in chart.vertical] == ["Dec 2025", "Jan 2026", "Feb"]
    assert chart.summary == "Projected savings to date USD 300, realised USD 150, from Dec 2025 to Feb 2026."
    assert savings_chart(months, "EUR") is None
    assert savings_chart(months[:1], "USD") is None
