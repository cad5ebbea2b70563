# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Coverage by cost from a FOCUS dataset, beside what plain Python adds up."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

pytest.importorskip("ibis")
pytest.importorskip("pyarrow")

from ansible_collections.frugal.cloud.plugins.module_utils.analyze import tag_report
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.tag_policy import AWS, parse
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import CostsError
from ansible_collections.frugal.cloud.plugins.module_utils.cost.queries import QueryError
from ansible_collections.frugal.cloud.plugins.module_utils.cost.tag_coverage import CoverageError, from_focus, months
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.cost import costs_sample

POLICY = parse({"keys": [{"key": "team", "values": ["web", "data"]}, {"key": "env"}]}, AWS)
JULY, AUGUST = costs_sample.MONTHS[:2]


def test_coverage_of_a_dataset(tmp_path: Path) -> None:
    folder = costs_sample.dataset(tmp_path)
    charges = from_focus(POLICY, str(folder), JULY, AUGUST, "team")
    found = {part["currency"]: part for part in tag_report.coverage(POLICY, charges, "team")}
    rows = [
        row
        for row in costs_sample.rows()
        if row["BillingPeriodStart"] == JULY
        and row["BillingCurrency"] == "USD"
        and row["ChargeCategory"] not in ("Tax", "Credit", "Adjustment")
    ]
    total = sum(row["EffectiveCost"] for row in rows)

    def of(*teams: str) -> float:
        return sum(row["EffectiveCost"] for row in rows if (row["Tags"] or {}).get("Team") in teams)

    team, env = found["USD"]["keys"]
    assert team["cost"] == pytest.approx(total, abs=0.01)
    assert team["tagged"] == pytest.approx(of("web", "data", "platform"), abs=0.01)
    assert team["compliant"] == pytest.approx(of("web", "data"), abs=0.01), "platform is no team of the policy"
    assert 0 < team["compliant_share"] < team["tagged_share"] < 1
    assert (env["cost"], env["tagged_share"]) == (None, None), "env was not imported: nothing is known of it"
    assert sum(row["cost"] for row in found["USD"]["teams"]) == pytest.approx(total, abs=0.05)
    assert "EUR" in found


def test_what_is_not_there(tmp_path: Path) -> None:
    folder = costs_sample.dataset(tmp_path)
    with pytest.raises(
        QueryError, match=r"the data has no tag column for 'tag:env' \(it has .*\): import it with tag_keys"
    ):
        from_focus(POLICY, str(folder), JULY, AUGUST, "env")
    with pytest.raises(CostsError, match="there is no folder"):
        from_focus(POLICY, str(tmp_path / "nowhere"), JULY, AUGUST, "team")


def test_months() -> None:
    day = datetime.date(2026, 3, 15)
    assert months(None, None, day) == (datetime.date(2026, 2, 1), datetime.date(2026, 3, 1))
    assert months("2026-01-01", None, day) == (datetime.date(2026, 1, 1), datetime.date(2026, 3, 1))
    with pytest.raises(CoverageError, match="cost_until is 'soon': give a day"):
        months(None, "soon", day)
