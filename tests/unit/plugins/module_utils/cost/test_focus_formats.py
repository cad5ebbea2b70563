# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exports that are no FOCUS become FOCUS, and what they add up to stays."""

from __future__ import annotations

import csv
import datetime
import gzip
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_import import Outcome, Request, run
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_services import AWS, GCP, by_name
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import FocusError, TagKey

duckdb = pytest.importorskip("duckdb")


def imported(dataset: Dataset, *paths: Path, source: str = "bill", **more: t.Any) -> Outcome:
    return run(dataset, Request(source, [str(path) for path in paths], **more))


def rows_of(dataset: Dataset, *columns: str, where: str = "true") -> list[tuple[t.Any, ...]]:
    names = ", ".join(f'"{name}"' for name in columns)
    found: list[tuple[t.Any, ...]] = duckdb.sql(
        f"SELECT {names} FROM read_parquet('{dataset.root}/*/*.parquet') WHERE {where} ORDER BY ALL"
    ).fetchall()
    return found


# --- Cost and Usage Report 2.0

CUR = {
    "bill_billing_entity": "AWS",
    "bill_billing_period_start_date": "2026-06-01T00:00:00.000Z",
    "bill_billing_period_end_date": "2026-07-01T00:00:00.000Z",
    "bill_invoice_id": "",
    "bill_invoicing_entity": "Amazon Web Services, Inc.",
    "bill_payer_account_id": "111122223333",
    "bill_payer_account_name": "payer",
    "line_item_availability_zone": "us-east-1a",
    "line_item_currency_code": "USD",
    "line_item_legal_entity": "Amazon Web Services, Inc.",
    "line_item_line_item_description": "an hour",
    "line_item_line_item_type": "Usage",
    "line_item_operation": "RunInstances",
    "line_item_product_code": "AmazonEC2",
    "line_item_resource_id": "i-0123456789abcdef0",
    "line_item_unblended_cost": "0.10",
    "line_item_unblended_rate": "0.10",
    "line_item_usage_account_id": "444455556666",
    "line_item_usage_account_name": "shop",
    "line_item_usage_amount": "1",
    "line_item_usage_start_date": "2026-06-05T00:00:00.000Z",
    "line_item_usage_end_date": "2026-06-05T01:00:00.000Z",
    "line_item_usage_type": "BoxUsage:m5.large",
    "pricing_public_on_demand_cost": "0.10",
    "pricing_rate_code": "RATE.1",
    "pricing_unit": "Hrs",
    "product": '{"product_name":"Amazon Elastic Compute Cloud"}',
    "product_location": "US East (N. Virginia)",
    "product_product_family": "Compute Instance",
    "product_region_code": "us-east-1",
    "product_sku": "SKU1",
    "reservation_effective_cost": "0",
    "reservation_reservation_a_r_n": "",
    "reservation_unused_amortized_upfront_fee_for_billing_period": "",
    "reservation_unused_quantity": "",
    "reservation_unused_recurring_fee": "",
    "resource_tags": '{"user_team":"shop","user_cost_center":"42"}',
    "savings_plan_savings_plan_a_r_n": "",
    "savings_plan_savings_plan_effective_cost": "",
    "savings_plan_total_commitment_to_date": "",
    "savings_plan_used_commitment": "",
}
RI = {"reservation_reservation_a_r_n": "arn:aws:ec2:us-east-1:111122223333:reserved-instances/r1"}
SP = {"savings_plan_savings_plan_a_r_n": "arn:aws:savingsplans::111122223333:savingsplan/s1"}
NO_RESOURCE = {"line_item_resource_id": "", "resource_tags": "", "pricing_public_on_demand_cost": ""}
REPORT: list[dict[str, str]] = [
    {},
    {"line_item_usage_type": "SpotUsage:m5.large", "line_item_unblended_cost": "0.04"},
    # An hour that a reservation covers (0.06 an hour), and its fee for two machines of which one is used.
    {
        "line_item_line_item_type": "DiscountedUsage",
        "line_item_unblended_cost": "0",
        "reservation_effective_cost": "0.06",
        **RI,
    },
    {
        **NO_RESOURCE,
        **RI,
        "line_item_line_item_type": "RIFee",
        "line_item_unblended_cost": "0.12",
        "line_item_usage_amount": "2",
        "reservation_unused_quantity": "1",
        "reservation_unused_recurring_fee": "0.06",
    },
    # An hour that a Savings Plan covers: listed at its price, taken back, and paid by the plan's fee of 0.10.
    {"line_item_line_item_type": "SavingsPlanCoveredUsage", "savings_plan_savings_plan_effective_cost": "0.07", **SP},
    {**NO_RESOURCE, **SP, "line_item_line_item_type": "SavingsPlanNegation", "line_item_unblended_cost": "-0.10"},
    {
        **NO_RESOURCE,
        **SP,
        "line_item_product_code": "ComputeSavingsPlans",
        "product": "",
        "line_item_line_item_type": "SavingsPlanRecurringFee",
        "line_item_unblended_cost": "0.10",
        "savings_plan_total_commitment_to_date": "0.10",
        "savings_plan_used_commitment": "0.07",
    },
    # An upfront fee of a reservation, one of something else, tax, a credit and a refund.
    {**NO_RESOURCE, **RI, "line_item_line_item_type": "Fee", "line_item_unblended_cost": "500"},
    {
        **NO_RESOURCE,
        "line_item_line_item_type": "Fee",
        "line_item_unblended_cost": "9",
        "line_item_product_code": "AmazonRoute53",
        "product": '{"product_name":"Amazon Route 53"}',
    },
    {**NO_RESOURCE, "line_item_line_item_type": "Tax", "line_item_unblended_cost": "0.5", "line_item_usage_amount": ""},
    {**NO_RESOURCE, "line_item_line_item_type": "Credit", "line_item_unblended_cost": "-3"},
    {**NO_RESOURCE, "line_item_line_item_type": "Refund", "line_item_unblended_cost": "-1"},
]


def report(path: Path, rows: list[dict[str, str]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(CUR))
        writer.writeheader()
        writer.writerows({**CUR, **row} for row in rows)
    return path


def test_a_cost_and_usage_report_adds_up(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "costs")
    outcome = imported(
        dataset, report(tmp_path / "cur.csv.gz", REPORT), tag_keys=[TagKey("team"), TagKey("cost-center")]
    )
    (june,) = outcome.written.periods
    # The invoice: all lines, the negation and what it takes back included.
    assert june.after.billed == pytest.approx(sum(float({**CUR, **row}["line_item_unblended_cost"]) for row in REPORT))
    # Amortized: fees of commitments are in what they cover and what they did not; the 500 upfront is in other months.
    assert june.after.effective == pytest.approx(june.after.billed - 500)
    assert june.negative_rows == 2
    assert rows_of(
        dataset, "CommitmentDiscountStatus", "CommitmentDiscountCategory", "BilledCost", "EffectiveCost"
    ) == [
        ("Unused", "Spend", 0.0, pytest.approx(0.03)),
        ("Unused", "Usage", 0.0, 0.06),
        ("Used", "Spend", 0.0, 0.07),
        ("Used", "Usage", 0.0, 0.06),
        (None, "Spend", 0.1, 0.0),
        (None, "Usage", 0.12, 0.0),
        (None, "Usage", 500.0, 0.0),
        (None, None, -3.0, -3.0),
        (None, None, -1.0, -1.0),
        (None, None, 0.04, 0.04),
        (None, None, 0.1, 0.1),
        (None, None, 0.5, 0.5),
        (None, None, 9.0, 9.0),
    ]
    assert rows_of(
        dataset, "ChargeCategory", "ChargeClass", "PricingCategory", where='"CommitmentDiscountId" IS NULL'
    ) == [
        ("Adjustment", "Correction", None),
        ("Credit", None, None),
        ("Purchase", None, "Standard"),
        ("Tax", None, None),
        ("Usage", None, "Dynamic"),
        ("Usage", None, "Standard"),
    ]
    assert rows_of(dataset, "x_tag_team", "x_tag_cost_center", where='"ResourceId" IS NOT NULL')[0] == ("shop", "42")
    services = rows_of(dataset, "ServiceName", "ServiceCategory", where="\"ServiceCategory\" <> 'Compute'")
    assert services == [("Amazon Route 53", "Networking")]
    assert outcome.violations == []


def test_a_report_as_parquet_is_the_same(tmp_path: Path) -> None:
    path = report(tmp_path / "cur.csv.gz", REPORT)
    # As AWS writes it: maps, numbers and times in their types.
    numbers = ("line_item_usage_amount", "line_item_unblended_cost", "reservation_unused_recurring_fee")
    casts = ", ".join(f"CAST(nullif({name}, '') AS DOUBLE) AS {name}" for name in numbers)
    duckdb.sql(
        f"COPY (SELECT * REPLACE ({casts}, "
        "CAST(line_item_usage_start_date AS TIMESTAMP) AS line_item_usage_start_date, "
        "from_json(nullif(resource_tags, ''), '\"MAP(VARCHAR, VARCHAR)\"') AS resource_tags) "
        f"FROM read_csv('{path}', all_varchar = true)) TO '{tmp_path}/cur.parquet' (FORMAT parquet)"
    )
    found = []
    for source in (path, tmp_path / "cur.parquet"):
        dataset = Dataset(tmp_path / f"costs-{source.suffix}")
        imported(dataset, source, format="aws_cur2", tag_keys=[TagKey("team")])
        found.append(duckdb.sql(f"SELECT * FROM read_parquet('{dataset.root}/*/*.parquet') ORDER BY ALL").fetchall())
    assert found[0] == found[1]


def test_a_broken_report_is_named(tmp_path: Path) -> None:
    path = report(tmp_path / "cur.csv.gz", [{}, {"line_item_unblended_cost": "x"}])
    with pytest.raises(FocusError, match=r"cur.csv.gz line 3, column line_item_unblended_cost: 'x' is not a number"):
        imported(Dataset(tmp_path / "costs"), path)
    path = report(tmp_path / "cur.csv.gz", [{}, {}, {"bill_payer_account_id": ""}])
    with pytest.raises(FocusError, match=r"line 4, column bill_payer_account_id: it is empty"):
        imported(Dataset(tmp_path / "costs"), path)


# --- Google Cloud


def export(**more: t.Any) -> dict[str, t.Any]:
    return {
        "billing_account_id": "01AB23-CD45EF-678901",
        "service": {"id": "6F81-5844-456A", "description": "Compute Engine"},
        "sku": {"id": "AAAA-BBBB-CCCC", "description": "N2 Instance Core running in Americas"},
        "usage_start_time": "2026-06-05 00:00:00 UTC",
        "usage_end_time": "2026-06-05 01:00:00 UTC",
        "project": {
            "id": "shop",
            "number": "1",
            "name": "Shop",
            "labels": [{"key": "team", "value": "platform"}, {"key": "env", "value": "prod"}],
        },
        "labels": [{"key": "team", "value": "shop"}],
        "location": {"location": "us-central1", "region": "us-central1", "zone": "us-central1-a"},
        "cost": 1.0,
        "cost_at_list": 1.25,
        "currency": "USD",
        "usage": {"amount": 3600, "unit": "seconds", "amount_in_pricing_units": 1, "pricing_unit": "hour"},
        "credits": [],
        "invoice": {"month": "202606"},
        "cost_type": "regular",
        **more,
    }


def credit(amount: t.Any, kind: str, name: str) -> dict[str, t.Any]:
    return {"name": name, "full_name": f"{name} in full", "id": name.lower(), "amount": amount, "type": kind}


EXPORT = [
    export(),
    export(credits=[credit(-0.2, "SUSTAINED_USAGE_DISCOUNT", "SUD"), credit("-0.3", "PROMOTION", "Trial")]),
    export(credits=[credit(-1.0, "COMMITTED_USAGE_DISCOUNT", "CUD")]),
    export(sku={"id": "D", "description": "Commitment v1: N2 Cpu in Americas"}, cost=0.6, labels=[]),
    export(sku={"id": "E", "description": "Spot Preemptible N2 Core"}, cost=0.3, cost_at_list=None),
    export(cost_type="tax", cost=0.5, cost_at_list=0.5, usage=None, project=None, labels=[]),
    export(cost_type="rounding_error", cost=-0.01, cost_at_list=-0.01, usage=None, labels=[]),
    export(
        service={"id": "X", "description": "Cloud Storage"},
        location={"location": "us", "region": None, "zone": None},
        invoice={"month": "202607"},
        usage_start_time="2026-07-01 06:30:00 UTC",
        usage_end_time="2026-07-01 08:00:00 UTC",
    ),
]


def lines(path: Path, rows: list[dict[str, t.Any]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    return path


@pytest.mark.parametrize("detailed", [False, True])
def test_googles_export_adds_up(tmp_path: Path, detailed: bool) -> None:
    dataset = Dataset(tmp_path / "costs")
    name = "//compute.googleapis.com/projects/shop/zones/us-central1-a/instances/web"
    given = [{**row, "resource": {"name": "web", "global_name": name}} if detailed else row for row in EXPORT]
    outcome = imported(dataset, lines(tmp_path / "x.json.gz", given), tag_keys=[TagKey("team"), TagKey("env")])
    june, july = outcome.written.periods
    whole = sum(row["cost"] + sum(float(one["amount"]) for one in row["credits"]) for row in EXPORT)
    assert june.after.billed + july.after.billed == pytest.approx(whole)
    # An invoice's month is one in California.
    assert rows_of(dataset, "BillingPeriodStart", where="\"x_ServiceId\" = 'X'") == [
        (datetime.datetime(2026, 7, 1, 7),)
    ]
    assert rows_of(dataset, "ChargeCategory", "ChargeFrequency", "PricingCategory", "BilledCost", "ListCost") == [
        ("Adjustment", "One-Time", None, -0.01, -0.01),
        ("Credit", "One-Time", None, -0.3, -0.3),
        ("Tax", "One-Time", None, 0.5, 0.5),
        ("Usage", "Recurring", "Standard", 0.6, 1.25),
        ("Usage", "Usage-Based", "Committed", 0.0, 1.25),
        ("Usage", "Usage-Based", "Dynamic", 0.3, 0.3),
        ("Usage", "Usage-Based", "Standard", 0.8, 1.25),
        ("Usage", "Usage-Based", "Standard", 1.0, 1.25),
        ("Usage", "Usage-Based", "Standard", 1.0, 1.25),
    ]
    assert rows_of(
        dataset, "CommitmentDiscountId", "CommitmentDiscountStatus", where='"CommitmentDiscountId" IS NOT NULL'
    ) == [("cud", "Used")]
    # The label of the machine counts before the project's.
    found = rows_of(dataset, "x_tag_team", "x_tag_env", "Tags", where="\"PricingCategory\" = 'Dynamic'")
    assert [(team, env, json.loads(tags)) for team, env, tags in found] == [
        ("shop", "prod", {"team": "shop", "env": "prod"})
    ]
    resources = rows_of(dataset, "ResourceId", "ResourceName", "ResourceType")
    assert set(resources) == ({(name, "web", "instances")} if detailed else {(None, None, None)})
    assert outcome.violations == []


def test_googles_export_as_parquet_is_the_same(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.json.gz", EXPORT)
    duckdb.sql(
        f"COPY (SELECT * REPLACE (CAST(replace(usage_start_time, ' UTC', '+00') AS TIMESTAMPTZ) AS usage_start_time) "
        f"FROM read_json('{path}', format = 'newline_delimited', columns = {{"
        "billing_account_id: 'VARCHAR', service: 'STRUCT(id VARCHAR, description VARCHAR)', "
        "sku: 'STRUCT(id VARCHAR, description VARCHAR)', usage_start_time: 'VARCHAR', usage_end_time: 'VARCHAR', "
        'project: \'STRUCT(id VARCHAR, number VARCHAR, "name" VARCHAR, '
        'labels STRUCT("key" VARCHAR, "value" VARCHAR)[])\', '
        'labels: \'STRUCT("key" VARCHAR, "value" VARCHAR)[]\', '
        "location: 'STRUCT(location VARCHAR, region VARCHAR, zone VARCHAR)', cost: 'DOUBLE', cost_at_list: 'DOUBLE', "
        "currency: 'VARCHAR', usage: 'STRUCT(amount DOUBLE, unit VARCHAR, amount_in_pricing_units DOUBLE, "
        "pricing_unit VARCHAR)', credits: 'STRUCT(\"name\" VARCHAR, amount DOUBLE, full_name VARCHAR, id VARCHAR, "
        "\"type\" VARCHAR)[]', invoice: 'STRUCT(\"month\" VARCHAR)', cost_type: 'VARCHAR'})) "
        f"TO '{tmp_path}/x.parquet' (FORMAT parquet)"
    )
    found = []
    for source in (path, tmp_path / "x.parquet"):
        dataset = Dataset(tmp_path / f"costs-{source.suffix}")
        imported(dataset, source, tag_keys=[TagKey("team")])
        found.append(duckdb.sql(f"SELECT * FROM read_parquet('{dataset.root}/*/*.parquet') ORDER BY ALL").fetchall())
    assert found[0] == found[1]


def test_a_broken_line_of_googles_export_is_named(tmp_path: Path) -> None:
    path = lines(tmp_path / "x.json.gz", [export(), export(invoice={"month": ""})])
    with pytest.raises(FocusError, match=r"x.json.gz line 2, column invoice.month: it is empty"):
        imported(Dataset(tmp_path / "costs"), path)
    path = lines(tmp_path / "x.json.gz", [export(), export(cost="much")])
    with pytest.raises(FocusError, match=r"x.json.gz line 2, column cost: it is not a number"):
        imported(Dataset(tmp_path / "costs"), path)
    assert imported(Dataset(tmp_path / "costs"), path, skip_bad_lines=True).bad_lines == 1


# --- OpenCost and Kubecost


def answer(path: Path, day: int, cost: float = 2.0, **more: t.Any) -> Path:
    window = {"start": f"2026-06-{day:02d}T00:00:00Z", "end": f"2026-06-{day + 1:02d}T00:00:00Z"}
    properties = {"cluster": "prod", "node": "n1", "namespace": "shop", "controllerKind": "deployment"}
    web = {
        "name": "web",
        "properties": {**properties, "controller": "web", "labels": {"team": "shop"}},
        "window": window,
        "minutes": 1440.0,
        "cpuCoreHours": 24.0,
        "cpuCost": cost * 0.75,
        "ramByteHours": 24.0 * 1024**3,
        "ramCost": cost * 0.25,
        "totalCost": cost,
    }
    idle = {
        "name": "prod/__idle__",
        "properties": {"cluster": "prod"},
        "window": window,
        "cpuCost": 1.0,
        "totalCost": 1.0,
    }
    path.write_text(json.dumps({"code": 200, "data": [{"web": web, "prod/__idle__": idle}], **more}, indent=1))
    return path


def test_answers_of_opencost_add_up(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "costs")
    paths = [answer(tmp_path / f"{day}.json", day) for day in (1, 2)]
    outcome = imported(dataset, *paths, source="k8s", tag_keys=[TagKey("team")])
    assert [one.after.billed for one in outcome.written.periods] == [pytest.approx(6.0)]
    assert rows_of(dataset, "x_tag_team", "x_kubernetes_controller", "EffectiveCost", "SkuMeter") == [
        ("shop", "web", 0.5, "Memory"),
        ("shop", "web", 0.5, "Memory"),
        ("shop", "web", 1.5, "CPU"),
        ("shop", "web", 1.5, "CPU"),
        (None, None, 1.0, "CPU"),
        (None, None, 1.0, "CPU"),
    ]
    assert not imported(dataset, *paths, source="k8s", tag_keys=[TagKey("team")]).written.changed
    assert (
        imported(dataset, *paths, source="k8s", format="opencost", currency="EUR").written.periods[0].currency == "EUR"
    )
    again = answer(tmp_path / "again.json", 2, cost=9.0)
    with pytest.raises(
        FocusError, match="both have costs of cluster prod from 2026-06-02 00:00: they would count twice"
    ):
        imported(dataset, *paths, again, source="k8s")
    with pytest.raises(FocusError, match="currency is 'Euro'"):
        imported(dataset, *paths, source="k8s", currency="Euro")
    (tmp_path / "other.json").write_text('{"code": 200}')
    with pytest.raises(FocusError, match=r"other.json is no answer of OpenCost"):
        imported(dataset, tmp_path / "other.json", source="k8s")
    (tmp_path / "cut.json").write_text(again.read_text()[:300])
    with pytest.raises(FocusError, match=r"cut.json line \d+: it is no answer of OpenCost"):
        imported(dataset, tmp_path / "cut.json", source="k8s")


def test_services_have_a_category_that_focus_allows() -> None:
    services = [*AWS.values(), *GCP.values()]
    assert {one.category for one in services} <= set(focus.SERVICE_CATEGORIES)
    assert by_name("EC2 - Other").category == "Compute"
    assert by_name("EC2 - Other").name == "EC2 - Other"
    assert by_name("Something new").category == "Other"
