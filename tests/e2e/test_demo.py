# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""make demo: half the bill, no overload minute more, on three seeds of the mixed estate."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEYS = {
    "cost_of_3_months",
    "monthly_cost_before",
    "monthly_cost_after",
    "reduction",
    "actions_applied",
    "actions_held_by_slo",
    "actions_refused",
    "overload_minutes_before",
    "overload_minutes_after",
    "api_requests",
    "seconds",
}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_demo_halves_the_bill_and_overloads_nothing(seed: int, tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "tests/tools/demo.py"),
        "--seed",
        str(seed),
        "--output",
        str(tmp_path / "demo"),
        # Bills differ little from seed to seed: one is enough.
        *(["--without-costs"] if seed > 1 else []),
    ]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert set(summary) == KEYS
    assert summary["reduction"] >= 0.5
    assert summary["reduction"] == pytest.approx(
        1 - summary["monthly_cost_after"] / summary["monthly_cost_before"], abs=1e-3
    )
    assert summary["overload_minutes_after"] <= summary["overload_minutes_before"]
    assert summary["actions_applied"] > 100
    assert summary["actions_refused"] > 10
    # Those of one team's production machines waited while its error budget burned, and went on when it was over.
    assert summary["actions_held_by_slo"] > 0
    assert "burns its error budget at 6.2 times the sustainable rate over 1h" in result.stdout
    statuses = {
        status["name"] for status in json.loads((tmp_path / "demo" / "report.json").read_text())["summary"]["statuses"]
    }
    assert "approved" not in statuses
    # Both clouds are in the dataset, what was hidden in the bills was found, and the clouds are as declared.
    if seed == 1:
        assert summary["cost_of_3_months"] > 150_000
        for unexpected in ("AWS Lambda, ********1111", "BigQuery, demo-analytics"):
            assert f"unexpected: {unexpected}" in result.stdout
        assert result.stdout.count("is as declared") >= 4
    # What the report says of the money is what the simulated cloud says.
    report = json.loads((tmp_path / "demo" / "report.json").read_text())
    (totals,) = report["summary"]["totals"]
    assert totals["realised_to_date"] > 0
    assert "<title>" in (tmp_path / "demo" / "report.html").read_text()
