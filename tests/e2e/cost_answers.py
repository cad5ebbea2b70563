# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every part of a cost report, from the cost data at an address, as JSON: run by each engine's own Python."""

from __future__ import annotations

import json
import sys
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.cost import queries
from ansible_collections.frugal.cloud.plugins.module_utils.cost.allocation import Inherited, Pool, Rules
from ansible_collections.frugal.cloud.plugins.module_utils.cost.cost_report import Question, Report
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import following
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import fetch, open_costs
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.cost.costs_sample import MONTHS

RULES = Rules(
    ("x_tag_team",),
    (Inherited("SubAccountName", {"shop-prod": "shop"}),),
    (
        Pool("platform", ("platform",), targets=("web", "data", "shop")),
        Pool(
            "support",
            match={"ServiceName": ("AWS Support",)},
            take_owned=True,
            method="even",
            targets=("platform", "web"),
        ),
    ),
)


def answers(url: str) -> dict[str, t.Any]:
    """The report's parts and the daily series, in an order that is no engine's."""
    _connection, table = open_costs(url, MONTHS[0], following(MONTHS[-1]))
    keys = ("ServiceName", "tag:team")
    report = Report(table, Question(keys, first=MONTHS[1], tags=("tag:team",), rules=RULES))
    allocations = report.allocations()
    days = fetch(queries.daily_series(table, ["SubAccountName"]))
    told: dict[str, t.Any] = {
        "months": report.months(),
        "lines": list(report.lines()),
        "movers": report.movers(),
        "commitments": report.commitments(),
        "coverage": report.coverage(),
        "chargeback": list(report.chargeback_lines(allocations)),
        "days": [{**row, "day": row["day"].isoformat(), "cost": round(row["cost"], 6)} for row in days],
    }
    for name in ("lines", "days"):
        told[name].sort(key=lambda row: [str(value) for value in row.values()])
    return told


if __name__ == "__main__":
    json.dump(answers(sys.argv[1]), sys.stdout)
