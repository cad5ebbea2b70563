# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Forecasts of daily cost: exact where nothing is left to chance, honest about the rest."""

from __future__ import annotations

import datetime
import pathlib
import sys
import typing as t

import pytest

numpy = pytest.importorskip("numpy")
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.cost_forecast import (  # noqa: E402
    Fixed,
    Forecast,
    Forecaster,
    why_not,
)

FIRST = datetime.date(2026, 1, 1)
DAY = datetime.timedelta(days=1)


def dates(days: int) -> list[datetime.date]:
    return [FIRST + number * DAY for number in range(days)]


def weekly(days: int, level: float = 100.0) -> t.Any:
    return numpy.array([level * (0.5 if date.weekday() > 4 else 1.0) for date in dates(days)])


def forecast(usage: t.Any, other: t.Any = None, months: int = 0) -> Forecast:
    rows = numpy.array([usage])
    others = numpy.zeros_like(rows) if other is None else numpy.array([other])
    [found] = Forecaster(rows, others, FIRST).forecasts(months)
    return found


def test_a_regular_month_is_forecast_to_the_cent() -> None:
    whole = weekly(181)
    known = 160  # until 9 June
    found = forecast(whole[:known], months=1)
    june = sum(cost for date, cost in zip(dates(181), whole) if date.month == 6)
    assert found.month_end is not None and found.backtest is not None
    assert found.month_end.value == pytest.approx(june)
    assert found.so_far == pytest.approx(whole[151:known].sum())
    assert found.month_end.low <= found.month_end.value <= found.month_end.high
    assert found.backtest.error == pytest.approx(0, abs=1e-3)
    # Nine days with three days of weekend say less about a month.
    assert found.backtest.average_error > 0.005
    [(july, band)] = found.months
    assert (july, band.value) == (datetime.date(2026, 7, 1), pytest.approx(sum(weekly(212)[181:])))


def test_charges_by_date_are_added_on_their_date() -> None:
    usage = numpy.full(160, 100.0)
    other = numpy.array([500.0 if date.day == 3 else -40.0 if date.day == 28 else 0.0 for date in dates(160)])
    other[100] += 9000  # once, and never again
    found = forecast(usage, other, months=2)
    assert found.month_end is not None
    assert found.month_end.value == pytest.approx(30 * 100 + 500 - 40)
    assert [round(band.value) for _month, band in found.months] == [31 * 100 + 460, 31 * 100 + 460]


def test_a_monthly_charge_within_the_usage_is_added_too() -> None:
    draw = numpy.random.default_rng(3)
    usage = 100 * (1 + 0.05 * draw.standard_normal(160))
    usage[[number for number, date in enumerate(dates(160)) if date.day == 20]] += 400
    found = forecast(usage)
    assert found.month_end is not None
    assert found.month_end.value == pytest.approx(30 * 100 + 400, rel=0.04)


def test_charges_are_known_from_two_months_and_the_smaller_one_counts() -> None:
    costs = numpy.zeros((1, 70))
    costs[0, 9], costs[0, 40] = -30, -50  # 10 January, 10 February
    assert Fixed(costs, FIRST).ahead(58, 20)[0].sum() == -30


def test_an_outlier_moves_nothing_and_a_step_does() -> None:
    spike = numpy.full(160, 100.0)
    spike += numpy.random.default_rng(1).normal(0, 3, 160)
    spike[155] = 900
    step = spike.copy()
    step[155] = 100
    step[140:] += 60
    spiked, stepped = forecast(spike).month_end, forecast(step).month_end
    assert spiked is not None and stepped is not None
    assert spiked.value == pytest.approx(30 * 100 + 800, rel=0.03)
    assert stepped.value == pytest.approx(30 * 160, rel=0.06)


def test_noise_widens_the_band() -> None:
    draw = numpy.random.default_rng(2)
    noise = draw.standard_normal(160)
    bands = [forecast(100 * (1 + part * noise)).month_end for part in (0.02, 0.2)]
    widths = [band.high - band.low for band in bands if band is not None]
    assert widths[1] > 4 * widths[0] > 0


def test_further_months_are_less_certain() -> None:
    draw = numpy.random.default_rng(4)
    walk = 100 * numpy.exp(numpy.cumsum(0.02 * draw.standard_normal(300)))
    widths = [band.high - band.low for _month, band in forecast(walk, months=12).months]
    assert len(widths) == 12
    assert widths[11] > widths[0]


def test_short_histories_are_refused_with_a_reason() -> None:
    nothing = forecast(weekly(27), months=12)
    assert (nothing.month_end, nothing.months, nothing.backtest) == (None, (), None)
    assert nothing.why.startswith("27 complete days of history are too few")
    near = forecast(weekly(80), months=12)
    assert near.month_end is not None and near.months == ()
    assert "further months, which need 90" in near.why
    assert why_not(100, 12) == ""


def test_past_forecasts_know_no_later_day() -> None:
    draw = numpy.random.default_rng(5)
    rows = 100 * (1 + 0.1 * draw.standard_normal((2, 200)))
    rows[1] = 0
    zeros = numpy.zeros_like(rows)
    whole = Forecaster(rows, zeros, FIRST)
    for known in (40, 99, 150):
        part = Forecaster(rows[:, : known + 1], zeros[:, : known + 1], FIRST)
        assert numpy.allclose(whole.ahead(known, 45), part.ahead(known, 45))


def test_the_last_day_of_a_month_leaves_nothing_to_forecast() -> None:
    found = forecast(weekly(151))  # until 31 May
    assert found.month_end is not None
    assert (
        found.month_end.low == found.month_end.value == found.month_end.high == pytest.approx(weekly(151)[120:].sum())
    )


def test_ours_is_better_than_what_it_is_compared_with() -> None:
    benchmarks = pathlib.Path(__file__).resolve().parents[4] / "benchmarks"
    if not (benchmarks / "forecast_series.py").is_file():
        pytest.skip("the benchmarks are not part of this tree")
    sys.path.insert(0, str(benchmarks))
    import cost_series
    import forecast_series

    costs = cost_series.sample(13, count=40).costs
    mine = forecast_series.errors(costs, cost_series.FIRST, forecast_series.Ours(), 28).mean()
    for method in (forecast_series.last_month, forecast_series.average_day, forecast_series.last_31_days):
        assert mine < forecast_series.errors(costs, cost_series.FIRST, method, 28).mean()
