# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before against after: what must fail, what must not, on samples with known truth."""

from __future__ import annotations

import random

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import (
    MINIMUM_SAMPLES,
    regression,
    saturation,
    verdict,
)


def latencies(seed: int, count: int = 96, factor: float = 1.0) -> list[float]:
    chance = random.Random(seed)
    return [factor * chance.lognormvariate(3.0, 0.2) for _unused in range(count)]


def test_same_distribution_seldom_fails() -> None:
    false_alarms = sum(
        regression("latency", latencies(seed), latencies(seed + 10_000)).outcome == "failed" for seed in range(200)
    )
    assert false_alarms <= 8


def test_a_fifth_slower_is_found() -> None:
    found = sum(
        regression("latency", latencies(seed), latencies(seed + 10_000, factor=1.2)).outcome == "failed"
        for seed in range(100)
    )
    assert found >= 95


def test_a_certain_trifle_passes() -> None:
    before = [100.0 + index % 3 for index in range(500)]
    after = [value + 2.0 for value in before]
    assert regression("latency", before, after).outcome == "passed"


def test_a_longer_tail_fails_though_the_middle_stays() -> None:
    before = latencies(1, 200)
    after = latencies(2, 200)
    after[::8] = [value * 10 for value in after[::8]]
    assert regression("latency", before, after).outcome == "failed"


def test_faster_passes() -> None:
    assert regression("latency", latencies(1), latencies(2, factor=0.5)).outcome == "passed"


@pytest.mark.parametrize(("before", "after"), [(MINIMUM_SAMPLES - 1, 96), (96, MINIMUM_SAMPLES - 1), (0, 0)])
def test_too_few_samples_prove_nothing(before: int, after: int) -> None:
    check = regression("latency", latencies(1, before), latencies(2, after))
    assert check.outcome == "no_data"
    assert str(MINIMUM_SAMPLES) in check.detail


def test_saturation_counts_what_is_new() -> None:
    calm, hot = [40.0] * 90, [99.0] * 10
    assert saturation("cpu_percent", calm, calm + hot).outcome == "failed"
    assert saturation("cpu_percent", calm + hot, calm + hot).outcome == "passed"
    assert saturation("cpu_percent", calm, [90.0] * 100).outcome == "passed"
    assert saturation("cpu_percent", calm, []).outcome == "no_data"


def test_one_failure_decides() -> None:
    passed = saturation("a", [1.0], [1.0])
    failed = saturation("b", [1.0], [100.0])
    nothing = saturation("c", [], [])
    assert verdict([passed, failed, nothing]) == "failed"
    assert verdict([passed, nothing]) == "passed"
    assert verdict([nothing]) == "no_data"
