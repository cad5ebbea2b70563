# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The claims of the replay benchmark, on part of its judging seeds and on the real traces."""

from __future__ import annotations

import pathlib
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[4] / "benchmarks"
if not (BENCHMARKS / "sizing_replay").is_dir():
    pytest.skip("the benchmarks are not part of this tree", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))

from sizing_replay import shared_data  # noqa: E402
from sizing_replay.generator import JUDGING_SEEDS, TUNING_SEEDS, Trace, world  # noqa: E402
from sizing_replay.judge import Replay, claims  # noqa: E402
from sizing_replay.rules import COMPUTE_OPTIMIZER  # noqa: E402


def test_seeds_for_tuning_do_not_judge() -> None:
    assert not set(TUNING_SEEDS) & set(JUDGING_SEEDS)


def test_worlds_are_reproducible() -> None:
    one, other = world(7, traces=5, days=3), world(7, traces=5, days=3)
    assert all((a.demand == b.demand).all() for a, b in zip(one, other, strict=True))
    assert all(trace.demand.min() > 0.0 and trace.demand.max() <= 1.0 for trace in one)


def test_claims_on_generated_traces() -> None:
    replay = Replay([trace for seed in JUDGING_SEEDS for trace in world(seed, traces=30, days=16)])
    found = claims(replay)
    assert found.saves_more and found.minutes_ratio <= 0.8 and not found.outside
    # A dearer minute never gives more of them in expectation, and here not in fact either.
    assert replay.ours(300.0).minutes < replay.ours(3.0).minutes
    assert replay.ours(300.0).saving < replay.rule(COMPUTE_OPTIMIZER).saving < replay.ours(3.0).saving


def test_claims_on_real_traces() -> None:
    traces = shared_data.traces()
    if not traces:
        pytest.skip("there is no shared/data folder beside the checkout")
    placed = [
        Trace(item.name, item.demand * 2.0 ** (-place / 8), item.step_minutes) for item in traces for place in range(8)
    ]
    found = claims(Replay(placed))
    assert found.saves_more and found.minutes_ratio <= 0.8 and not found.outside
