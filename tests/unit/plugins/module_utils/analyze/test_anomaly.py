# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Anomalies in daily cost: what is one, what is none, and that no day knows of the days after it."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

import pytest

numpy = pytest.importorskip("numpy")
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.anomaly import (  # noqa: E402
    Episode,
    Rules,
    find_anomalies,
)

#: A Monday.
FIRST = datetime.date(2026, 1, 5)
WEEK = numpy.array([1.1, 1.1, 1.05, 1.1, 1.05, 0.8, 0.8])


def series(days: int = 160, level: float = 400.0, noise: float = 0.05, seed: int = 1) -> t.Any:
    """A quiet series with weekends."""
    draw = numpy.random.default_rng(seed)
    return level * numpy.resize(WEEK, days) * (1 + noise * draw.standard_normal(days))


def episodes(*rows: t.Any, first: datetime.date = FIRST, **rules: t.Any) -> tuple[Episode, ...]:
    return find_anomalies(numpy.array(rows), first, dataclasses.replace(Rules(), **rules)).episodes


def test_a_quiet_series_raises_nothing() -> None:
    assert episodes(*(series(seed=seed) for seed in range(20))) == ()


def test_a_spike_is_one_episode_with_its_money() -> None:
    costs = series()
    costs[100:102] += 300
    [found] = episodes(costs)
    assert (found.kind, found.first, found.alarmed, found.last, found.ongoing) == ("spike", 100, 100, 101, False)
    assert found.change == pytest.approx(600, rel=0.15)
    assert found.expected == pytest.approx(400 * (WEEK[100 % 7] + WEEK[101 % 7]), rel=0.1)


def test_the_sum_over_an_episode_is_its_actual_cost() -> None:
    costs = series()
    costs[100:103] *= 1.8
    [found] = episodes(costs)
    assert found.change + found.expected == pytest.approx(costs[100:103].sum())


def test_a_step_is_alarmed_once_and_becomes_the_new_normal() -> None:
    costs = series(days=220)
    costs[100:] *= 1.5
    costs[190] *= 1.8
    step, spike = episodes(costs)
    assert (step.kind, step.first, step.ongoing) == ("step", 100, False)
    assert step.alarmed <= 102
    # Half as much again on top of the new level is found in comparison with that.
    assert (spike.kind, spike.first) == ("spike", 190)
    assert spike.change == pytest.approx(0.8 * 1.5 * 400 * WEEK[190 % 7], rel=0.2)


def test_a_drift_is_found_before_it_has_ended() -> None:
    costs = series(days=180)
    costs[100:120] *= 1 + 0.6 * numpy.arange(1, 21) / 20
    costs[120:] *= 1.6
    found = episodes(costs)
    assert [one.kind for one in found] == ["drift"]
    assert 100 <= found[0].alarmed < 118


def test_the_end_of_a_step_is_a_fall_and_no_second_rise() -> None:
    costs = series(days=200)
    costs[100:130] *= 1.6
    rise, fall = episodes(costs)
    assert rise.change > 0 > fall.change
    assert fall.first == 130


def test_weekends_and_growth_are_no_anomalies() -> None:
    growth = 1.5 ** (numpy.arange(300) / 365)
    rows = [series(days=300, seed=seed) * growth for seed in range(20)]
    # 20 series for 3.3 quarters: the false alarms of the guide would be three.
    assert len(episodes(*rows)) <= 3


def test_a_monthly_charge_is_expected_from_the_third_month_on() -> None:
    costs = series(days=300)
    dates = [FIRST + datetime.timedelta(days=number) for number in range(300)]
    firsts = [number for number, date in enumerate(dates) if date.day == 1]
    costs[firsts] += 350
    alarms = [one.alarmed for one in episodes(costs)]
    assert alarms == firsts[:2]
    # The month in which it does not come is no fall, and something on top of it is still found.
    costs[firsts[5]] -= 350
    costs[firsts[7]] += 400
    assert [one.alarmed for one in episodes(costs)] == [*firsts[:2], firsts[7]]
    judged = find_anomalies(numpy.array([costs]), FIRST)
    assert judged.expected[0, firsts[8]] == pytest.approx(350 + 400 * WEEK[firsts[8] % 7], rel=0.15)


def test_what_is_too_small_to_matter_is_no_alarm() -> None:
    costs = series(level=8.0)
    costs[100] += 9
    assert episodes(costs) == ()
    assert len(episodes(costs, impact=5.0)) == 1
    large = series(level=10_000.0, noise=0.01)
    large[100] *= 1.13
    assert episodes(large) == ()
    assert len(episodes(large, relative=0.05, noise=0.01)) == 1


def test_a_new_cost_is_reported_once() -> None:
    costs = series()
    costs[:60] = 0
    [found] = episodes(costs)
    assert (found.kind, found.first, found.alarmed) == ("new", 60, 60)
    # In the first weeks of the data everything is new: that says nothing.
    early = series()
    early[:10] = 0
    assert episodes(early) == ()


def test_cost_that_comes_and_goes_is_measured_by_its_largest_day() -> None:
    costs = numpy.zeros(160)
    costs[::9] = numpy.linspace(80, 120, len(costs[::9]))
    assert episodes(costs) == ()
    costs[135] = 400
    [found] = episodes(costs)
    assert (found.first, found.last) == (135, 135)


def test_a_day_without_data_is_not_judged() -> None:
    costs = series()
    costs[100] = numpy.nan
    costs[110] += 300
    [found] = episodes(costs)
    assert found.first == 110
    assert numpy.isfinite(found.change)


def test_short_histories_are_not_judged() -> None:
    costs = series(days=13)
    costs[12] *= 5
    assert episodes(costs) == ()
    longer = series(days=20)
    longer[19] *= 5
    assert len(episodes(longer)) == 1
    judged = find_anomalies(numpy.array([longer]), FIRST)
    assert numpy.isnan(judged.expected[0, :14]).all()


def test_zero_and_negative_costs_end_in_no_error() -> None:
    refunds = series()
    refunds[50] = -500
    empty = numpy.zeros(160)
    found = episodes(refunds, empty, -series(), numpy.full(160, numpy.nan))
    assert all(one.series == 0 for one in found if one.change > 0)


@pytest.mark.parametrize("end", [95, 101, 104, 110, 125, 140])
def test_no_day_knows_of_the_days_after_it(end: int) -> None:
    rows = numpy.array([series(seed=seed) for seed in range(6)])
    rows[0, 100:] *= 1.5
    rows[1, 100:102] *= 2
    rows[2, 100:120] *= 1 + 0.7 * numpy.arange(20) / 20
    rows[3, 100:] *= 0.5
    whole = [one for one in find_anomalies(rows, FIRST).episodes if one.alarmed < end]
    part = find_anomalies(rows[:, :end], FIRST).episodes
    assert [(one.series, one.first, one.alarmed) for one in part] == [
        (one.series, one.first, one.alarmed) for one in whole
    ]


def test_a_series_is_judged_alone_as_among_others() -> None:
    rows = numpy.array([series(seed=seed) for seed in range(5)])
    rows[2, 100:] *= 1.4
    together = find_anomalies(rows, FIRST)
    alone = find_anomalies(rows[2:3], FIRST)
    assert [dataclasses.replace(one, series=0) for one in together.episodes] == list(alone.episodes)
    assert numpy.allclose(together.expected[2], alone.expected[0], equal_nan=True)


def test_currency_does_not_matter() -> None:
    costs = series()
    costs[100:] *= 1.4
    yen = episodes(150 * costs, impact=1500.0)
    assert [(one.kind, one.first, one.last) for one in yen] == [
        (one.kind, one.first, one.last) for one in episodes(costs)
    ]
