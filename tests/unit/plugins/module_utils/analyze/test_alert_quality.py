# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alert quality: the replay says what Prometheus says, and the claims hold on part of the judging seeds."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

import pytest

BENCHMARKS = pathlib.Path(__file__).resolve().parents[4] / "benchmarks"
if not (BENCHMARKS / "alert_replay").is_dir():
    pytest.skip("the benchmarks are not part of this tree", allow_module_level=True)
sys.path.insert(0, str(BENCHMARKS))

import alert_quality  # noqa: E402
import numpy as np  # noqa: E402
from alert_replay import nab  # noqa: E402
from alert_replay.generator import JUDGING_SEEDS, RATES, STEP, TUNING_SEEDS, world  # noqa: E402
from alert_replay.judge import fires, judge, slo_of  # noqa: E402
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import slo_burn, slo_rules  # noqa: E402
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo import CONFIDENCE  # noqa: E402
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.slo_yaml import to_yaml  # noqa: E402


def test_seeds_for_tuning_do_not_judge() -> None:
    assert not set(TUNING_SEEDS) & set(JUDGING_SEEDS)


def test_low_traffic_is_where_one_bad_request_is_beyond_the_threshold() -> None:
    for name, low in (("low", True), ("medium", False), ("high", False)):
        for objective, rates in RATES[name].items():
            threshold = slo_burn.burns(1.0 - objective / 100.0, 30.0)[0].threshold
            assert all((rate * threshold < 1.0) == low for rate in rates)


def test_worlds_are_reproducible() -> None:
    one, other = world(7, 30.0, 99.9, days=4), world(7, 30.0, 99.9, days=4)
    assert (one.bad == other.bad).all() and (one.total == other.total).all() and one.incidents == other.incidents
    assert (one.bad <= one.total).all() and one.incidents


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("confidence", [CONFIDENCE, 0.0], ids=["ours", "sloth"])
@pytest.mark.parametrize(("seed", "rate"), [(3, 60.0), (5, 600.0)])
def test_replay_says_what_prometheus_says(tmp_path: pathlib.Path, seed: int, rate: float, confidence: float) -> None:
    """Five hours of a world around an incident, moment by moment."""
    slo = slo_of(99.9, confidence)
    full = world(seed, rate, 99.9)
    incident = next(item for item in full.incidents if item.kind in ("partial", "flapping"))
    part = slice(incident.start - 3 * 3600 // STEP, incident.start + 2 * 3600 // STEP)
    bad, total = full.bad[part], full.total[part]
    expected = fires(slo, bad, total)
    assert 0 < expected.sum() < len(expected)

    def counter(growth: np.ndarray[tuple[int], np.dtype[np.int64]]) -> str:
        return " ".join(str(value) for value in np.concatenate(([0], np.cumsum(growth))).tolist())

    groups = slo_rules.groups(slo)
    (tmp_path / "rules.yml").write_text(to_yaml({"groups": [groups[0].to_dict()]}))
    alerts = 'count(ALERTS{alertname="SLOErrorBudgetBurnPage"}) or vector(0)'
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{STEP}s",
        "tests": [
            {
                "interval": f"{STEP}s",
                "input_series": [
                    {"series": 'requests_total{code="500"}', "values": counter(bad)},
                    {"series": 'requests_total{code="200"}', "values": counter(total - bad)},
                ],
                "promql_expr_test": [
                    {
                        "expr": alerts,
                        "eval_time": f"{(moment + 1) * STEP}s",
                        "exp_samples": [{"labels": "{}", "value": int(firing)}],
                    }
                    for moment, firing in enumerate(expected.tolist())
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(to_yaml(test))
    found = subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, (found.stdout + found.stderr)[:3000]


@pytest.mark.parametrize("traffic", ["low", "medium", "high"])
def test_claims_on_generated_incidents(traffic: str) -> None:
    found = alert_quality.judged("generated", traffic, alert_quality.generated(traffic, JUDGING_SEEDS[:8]))
    caught = [item for item in found.verdict.sized() if item.sloth is not None]
    assert len(caught) > 30
    assert found.missed == 0
    if traffic == "low":
        assert found.verdict.false_sloth > 50
        assert found.verdict.false_ours <= 0.5 * found.verdict.false_sloth
    if traffic == "high":
        assert max(found.delays()) == 0.0


def test_claims_on_recorded_incidents() -> None:
    if not nab.series():
        pytest.skip("there is no shared/data folder beside the checkout")
    found = alert_quality.judged("NAB", "low", alert_quality.recorded("low", JUDGING_SEEDS[:1]))
    assert {item.incident.kind for item in found.verdict.sized()} >= {"labelled"}
    assert found.missed == 0
    assert found.verdict.false_ours <= 0.5 * found.verdict.false_sloth


def test_a_guard_that_is_too_strict_would_be_seen_to_miss() -> None:
    """What the benchmark has to notice: an evidence that nobody can have."""
    worlds = [world(seed, 60.0, 99.9) for seed in TUNING_SEEDS[:12]]
    assert any(item.missed for one in worlds for item in judge(one, 0.99999).sized())
