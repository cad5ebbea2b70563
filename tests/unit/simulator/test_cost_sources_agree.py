# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What APIs say and what exports say of the same month: the same sums in the dataset."""

from __future__ import annotations

import datetime
import gzip
import json
import typing as t
from pathlib import Path

import duckdb
import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws
from ansible_collections.frugal.cloud.plugins.module_utils.cost import aws_costs, gcp_billing_rows
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_import import Request, run
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import write_rows
from simulator import bills, estate
from simulator.testing import ACCOUNT, one_account, plain

MAY, JUNE = datetime.date(2026, 5, 1), datetime.date(2026, 6, 1)
COSTS = ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")
TABLE = "demo-shop.billing.export"


def sums(folder: Path, source: str, keys: str, costs: t.Sequence[str]) -> dict[tuple[t.Any, ...], list[float]]:
    """Costs of May by the given columns."""
    file = folder / "BillingPeriod=2026-05" / f"{source}.parquet"
    listed = ", ".join(f"sum({name})" for name in costs)
    count = keys.count(",") + 1
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT {keys}, {listed} FROM read_parquet('{file}') GROUP BY ALL").fetchall()
    return {row[:count]: list(row[count:]) for row in found}


def test_cost_explorer_and_the_data_export(start: t.Callable[..., t.Any], tmp_path: Path) -> None:
    paid = {
        "savings_plans": [{"type": "Compute", "commitment": 0.4, "days_left": 200}],
        "reservations": [{"type": "r5.large", "count": 3}],
        "services": [{"name": "AWS Lambda", "daily": 100, "category": "Compute"}],
    }
    simulator = start(one_account([plain(2, "m5.large"), plain(1, "r5.large")], paid))
    bill = bills.write_focus(simulator.cloud, tmp_path, 2, simulator.cloud.clock.now())[0]
    folder = tmp_path / "costs"
    run(Dataset(folder), Request(source="export", paths=[str(bill)]))
    keys = simulator.credentials(ACCOUNT)
    connection = {name: keys[name] for name in ("aws_access_key_id", "aws_secret_access_key")}
    given = {name: one.get("default") for name, one in aws_costs.OPTIONS.items()}
    given |= {"dataset": str(folder), "since": str(MAY), "until": str(JUNE), "granularity": "daily"}
    aws_costs.gather(Aws("us-east-1", simulator.url, connection), given, datetime.date(2026, 6, 15), check=False)
    by = "SubAccountId, ChargeCategory, PricingCategory"
    told, known = (sums(folder, source, by, COSTS[:2]) for source in ("aws-cost-explorer", "export"))
    assert len(known) == 3
    assert told == {key: pytest.approx(values, abs=1e-4) for key, values in known.items()}


def test_bigquery_and_the_exported_table(tmp_path: Path) -> None:
    pytest.importorskip("sqlglot")
    pytest.importorskip("googleapiclient")
    from ansible_collections.frugal.cloud.tests.standins import gcp_billing

    project = {
        "id": "demo-shop",
        "billing_account": "01AB23-CD45EF-678901",
        "labels": {"team": "mobile"},
        "machines": [{"name": "web-{n}", "type": "n2-standard-4", "count": 2, "labels": {"env": "prod"}}],
        "services": [{"name": "Cloud SQL", "daily": 85, "region": "us-central1"}],
    }
    cloud = estate.build({**one_account(), "projects": [project]})
    path = bills.write_export(cloud.projects, 1, cloud.started, tmp_path, 2, cloud.clock.now())[0]
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    # What a price list, a promotion and a tax leave in a bill.
    rows[0]["credits"].append({"name": "Trial", "amount": -1.5, "type": "PROMOTION", "full_name": "", "id": ""})
    rows.append({**rows[0], "cost": 3.0, "credits": [], "cost_type": "tax", "usage": None, "labels": []})
    rows.append({**rows[0], "cost": 8.0, "cost_at_list": 10.0, "credits": [], "project": None})
    written = tmp_path / "export.json"
    written.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    folder = tmp_path / "costs"
    run(Dataset(folder), Request(source="export", paths=[str(written)]))

    billing = gcp_billing.Billing(exports=[gcp_billing.Export(TABLE, lambda: rows)], waits=0)
    asked = gcp_billing_rows.charges(f"`{TABLE}`", MAY, JUNE)
    body = {
        "query": asked.sql,
        "useLegacySql": False,
        "queryParameters": [
            {"name": name, "parameterType": {"type": kind}, "parameterValue": {"value": value}}
            for name, (kind, value) in asked.parameters.items()
        ],
    }
    answer = gcp_billing.query(billing, body)
    names = [field["name"] for field in answer["schema"]["fields"]]
    found = [dict(zip(names, (cell["v"] for cell in row["f"]))) for row in answer["rows"]]
    write_rows(Dataset(folder), "bigquery", gcp_billing_rows.rows(found))

    tags = "json_extract_string(Tags, '$.team') || json_extract_string(Tags, '$.env')"
    by = f"SubAccountId, ServiceName, ChargeCategory, RegionId, SkuId, {tags}, ChargePeriodStart::DATE"
    told, known = (sums(folder, source, by, COSTS) for source in ("bigquery", "export"))
    assert len(known) > 60
    assert told == {key: pytest.approx(values, abs=1e-6) for key, values in known.items()}
    period = "BillingPeriodStart, BillingPeriodEnd"
    assert list(sums(folder, "bigquery", period, COSTS)) == list(sums(folder, "export", period, COSTS))
