# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The claims of the anomaly benchmark, on a small part of its tuning series, and that its scoring is strict."""

from __future__ import annotations

import pathlib
import sys

import pytest

numpy = pytest.importorskip("numpy")
BENCHMARKS = pathlib.Path(__file__).resolve().parents[4] / "benchmarks"
if not (BENCHMARKS / "cost_series.py").is_file():
    pytest.skip("the benchmarks are not part of this tree", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))

import cost_anomalies  # noqa: E402
import cost_series  # noqa: E402


def test_seeds_for_tuning_do_not_judge() -> None:
    assert not set(cost_series.TUNING_SEEDS) & set(cost_series.JUDGED_SEEDS)


def test_anomalies_are_as_large_as_they_say() -> None:
    found = cost_series.sample(11)
    assert all(0.3 <= event.change <= 1.0 for event in found.events)
    assert {event.kind for event in found.events} == set(cost_series.KINDS)
    assert numpy.array_equal(found.costs, cost_series.sample(11).costs)


def test_our_claims_on_tuning_series() -> None:
    ours = cost_anomalies.judge(cost_anomalies.ours, [12], count=60)
    plain = cost_anomalies.judge(cost_anomalies.z_score(3.0), [12], count=60)
    assert ours.f1 >= cost_anomalies.F1 > plain.f1
    assert ours.false_alarms <= cost_anomalies.FALSE_ALARMS < plain.false_alarms


def test_alarms_are_scored_strictly() -> None:
    step = cost_series.Event(0, "step", 120, 126, 0.5)
    sample = cost_series.Sample(numpy.zeros((2, cost_series.DAYS)), (step, cost_series.Event(1, "spike", 200, 201, 1)))
    score = cost_series.Score()
    # Before the step, in time, again in time, too late; in the series of the spike a day late; before the judged days.
    score.add(sample, [(0, 119), (0, 124), (0, 126), (0, 127), (1, 202), (1, 20)])
    assert (score.hits, score.missed, score.false, score.repeated) == (1, 1, 3, 1)
    assert score.delays == [4]
    assert score.recall_of("step") == 1.0
    assert score.recall_of("spike") == 0.0
    assert score.precision == 0.25
