# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cost_report_info as Ansible runs it: figures, files, check mode, sentences, no password anywhere."""

from __future__ import annotations

import csv
from pathlib import Path

from ansible_collections.frugal.cloud.tests.e2e.test_cdn import run
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.cost import costs_sample

PASSWORD = "the-password-of-the-costs"


def test_report_chargeback_and_refusals(tmp_path: Path) -> None:
    folder = costs_sample.dataset(tmp_path / "costs")
    report, chargeback = tmp_path / "report.csv", tmp_path / "chargeback.csv"
    asked = {
        "cost_url": str(folder),
        "first_month": "2026-08",
        "by": ["SubAccountId", "tag:team"],
        "chargeback": {
            "tags": ["team"],
            "inherit": [{"column": "SubAccountName", "owners": {"shop-prod": "shop"}}],
            "shared": [{"name": "platform", "owners": ["platform"], "method": "even", "targets": ["web", "data"]}],
        },
        "report_path": str(report),
        "chargeback_path": str(chargeback),
    }
    found, output = run("cost_report_info", asked, "--check")
    assert not report.exists()
    assert not chargeback.exists()
    again, _output = run("cost_report_info", asked)
    assert {**again, "invocation": None} == {**found, "invocation": None}
    assert again["changed"] is False
    bills = {(row["month"], row["currency"]): row["cost"] for row in found["months"]}
    assert len(bills) == 4
    assert all(row["adds_up"] for row in found["chargeback"]["bills"])
    with chargeback.open(encoding="utf-8", newline="") as file:
        cents: dict[tuple[str, str], int] = {}
        for row in csv.DictReader(file):
            bill = (row["month"], row["currency"])
            cents[bill] = cents.get(bill, 0) + round(float(row["cost"]) * 100)
    assert cents == {bill: round(cost * 100) for bill, cost in bills.items()}
    with report.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["tag:team"] for row in rows} == {"", "web", "data", "platform"}
    assert "********1111" in {row["SubAccountId"] for row in rows}
    assert "111111111111" not in output + report.read_text(encoding="utf-8")

    unknown, _output = run("cost_report_info", {"cost_url": str(folder), "by": ["tag:owner"]})
    assert unknown["msg"] == (
        "the data has no tag column for 'tag:owner' (it has cost_center, team): import it with tag_keys"
    )
    nowhere, _output = run("cost_report_info", {"cost_url": f"{folder}/nowhere"})
    assert nowhere["msg"] == f"there is no folder {folder}/nowhere: import cost data into it with focus_import"
    address = f"postgresql://reader:{PASSWORD}@127.0.0.1:1/costs"
    unreachable, output = run("cost_report_info", {"cost_url": address}, "-vvv")
    assert "postgresql://127.0.0.1:1/costs cannot be read" in unreachable["msg"]
    assert PASSWORD not in output
