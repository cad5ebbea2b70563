# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worked examples of the FOCUS specification: commitments, SaaS agreements, virtual currencies.

They are in ``../shared/data/focus/spec_examples`` (CC BY 4.0, see PROVENANCE.md there); the sums are those of the
specification's text. The files are typeset as examples: money as ``$10,000.00``, days as ``4/1/25``, columns that do
not matter to the example left out. All of that is undone here, since no provider writes it.
"""

from __future__ import annotations

import csv
import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus, focus_checks
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_import import Outcome, Request, run
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import FocusError

duckdb = pytest.importorskip("duckdb")
SHARED = Path(__file__).resolve().parents[6] / "shared" / "data" / "focus"
EXAMPLES = SHARED / "spec_examples"
FILLED = {
    "BillingAccountId": "12345",
    "BillingCurrency": "USD",
    "ChargeFrequency": "Usage-Based",
    "ProviderName": "Acme",
    "ServiceName": "Virtual Machines",
}
_DAY = re.compile(r"(\d+)/(\d+)/(\d\d)")
_MONEY = re.compile(r"\$([\d,.]+) ?")


def typeset(name: str, tmp_path: Path, replaced: t.Mapping[str, str] | None = None) -> str:
    """The example as a provider would write it."""
    with (EXAMPLES / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = [row for row in csv.DictReader(file) if any(row.values())]
    path = tmp_path / f"{name}.csv"
    filled = dict(FILLED)
    if "CommitmentDiscountUnit" in rows[0]:
        filled["CommitmentDiscountCategory"] = "Spend"
    if "PricingQuantity" in rows[0]:
        filled["PricingUnit"] = "Count"
    fields = [*rows[0], *(column for column in filled if column not in rows[0])]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fields)
        writer.writeheader()
        for row in rows:
            done = {**filled, **row}
            if done.get("CommitmentDiscountId", "null") == "null":
                done.pop("CommitmentDiscountCategory", None)
            for key, value in done.items():
                value = (replaced or {}).get(value, value)
                value = _DAY.sub(lambda day: f"20{day[3]}-{int(day[1]):02d}-{int(day[2]):02d}", value)
                money = _MONEY.fullmatch(value)
                done[key] = money[1].replace(",", "") if money else value
            writer.writerow(done)
    return str(path)


def imported(tmp_path: Path, *paths: str) -> tuple[Dataset, Outcome]:
    dataset = Dataset(tmp_path / "costs")
    return dataset, run(dataset, Request("spec", list(paths)))


def read(dataset: Dataset, columns: str, where: str = "true") -> list[tuple[t.Any, ...]]:
    found: list[tuple[t.Any, ...]] = duckdb.sql(
        f"SELECT {columns} FROM read_parquet('{dataset.root}/*/*.parquet') WHERE {where} ORDER BY ALL"
    ).fetchall()
    return found


#: Rows, billed and effective cost that the specification works out for each example, and the rules that the example
#: breaks as it is printed.
SUMS: dict[str, tuple[int, float, float, set[str]]] = {
    # A commitment of 1 USD an hour for a year: all upfront; no upfront, three hours of it; half upfront.
    "commitment_discount_purchase_scenario_1": (1, 8760.0, 0.0, set()),
    "commitment_discount_purchase_scenario_2": (3, 3.0, 0.0, set()),
    "commitment_discount_purchase_scenario_3": (4, 4381.5, 0.0, set()),
    # An hour that uses all of it, nothing of it, three quarters of it, and half as much again.
    "commitment_discount_usage_scenario_1": (1, 0.0, 1.0, set()),
    "commitment_discount_usage_scenario_2": (1, 0.0, 1.0, set()),
    "commitment_discount_usage_scenario_3": (2, 0.0, 1.0, set()),
    "commitment_discount_usage_scenario_4": (2, 0.5, 1.5, set()),
    "one_hundred_percent_utilization_without_commitment_discount_flexibility": (2, 1.5, 1.5, set()),
    "one_hundred_percent_utilization_with_commitment_discount_flexibility_with_1_resource": (
        *(3, 2.75, 2.75),
        # 3.00 × 0.333 is not the 3.00 that is printed.
        {"list_cost ListCost"},
    ),
    "one_hundred_percent_utilization_with_commitment_discount_flexibility_with_2_resources": (3, 2.0, 2.0, set()),
    "zero_percent_utilization_without_commitment_discount_flexibility": (
        *(3, 3.5, 3.5),
        # What was not used is printed with a quantity that was consumed.
        {"consumed_unused ConsumedQuantity"},
    ),
    "simple_saas_agreements_a1": (1, 10000.0, 10000.0, set()),
    "simple_saas_agreements_a2": (1, 50000.0, 50000.0, set()),
    "simple_saas_agreements_a3": (1, 1000.0, 1000.0, set()),
    "simple_saas_agreements_b": (1, 50000.0, 50000.0, set()),
    "simple_saas_agreements_c": (3, 35800.0, 35800.0, set()),
    # A year's agreement of 1,200 USD: paid as it goes or upfront, with what is not used paid at the end or by month.
    # The category is printed as Database, and allowed is Databases.
    "saas_spend_agreements_a1": (4, 1200.0, 1200.0, {"allowed_value ServiceCategory"}),
    "saas_spend_agreements_a2": (13, 1200.0, 1200.0, {"allowed_value ServiceCategory"}),
    "saas_spend_agreements_b1": (5, 1200.0, 1200.0, {"allowed_value ServiceCategory"}),
    "saas_spend_agreements_b2": (14, 1200.0, 1200.0, {"allowed_value ServiceCategory"}),
    "virtual_currency_pricing_model_a1": (1, 200000.0, 0.0, set()),
    "virtual_currency_pricing_model_a2": (3, 0.0, 1230.0, set()),
    "virtual_currency_pricing_model_b1": (1, 100000.0, 0.0, set()),
    "virtual_currency_pricing_model_b2": (3, 0.0, 615.0, set()),
    "virtual_currency_pricing_model_b3": (3, 0.0, 495.0, set()),
    "virtual_currency_pricing_model_c": (2, 53000.0, 0.0, set()),
}
#: "T30:00:00Z" is no time; the text means 30 hours after the day began.
TYPOS = {"2023-02-01T30:00:00Z": "2023-02-02T06:00:00Z"}


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="../shared/data/focus/spec_examples is not there")
@pytest.mark.parametrize("name", SUMS)
def test_examples_add_up_as_the_specification_says(tmp_path: Path, name: str) -> None:
    rows, billed, effective, broken = SUMS[name]
    _dataset, outcome = imported(tmp_path, typeset(name, tmp_path, TYPOS))
    after = [one.after for one in outcome.written.periods]
    assert sum(one.rows for one in after) == rows
    assert sum(one.billed for one in after) == pytest.approx(billed)
    assert sum(one.effective for one in after) == pytest.approx(effective)
    assert {f"{one.rule.name} {one.rule.column}" for one in outcome.violations} == broken


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="../shared/data/focus/spec_examples is not there")
def test_what_the_specification_derives_from_its_examples_can_be_asked(tmp_path: Path) -> None:
    # Three quarters of the hour's commitment were used, and the resource that did not use all is not what pays for it.
    dataset, _outcome = imported(tmp_path, typeset("commitment_discount_usage_scenario_3", tmp_path))
    assert read(dataset, '"CommitmentDiscountStatus", "EffectiveCost", "CommitmentDiscountQuantity"') == [
        ("Unused", 0.25, 0.25),
        ("Used", 0.75, 0.75),
    ]
    # An agreement paid upfront: billed once, effective as it is used, and both are the same over the year.
    name = "saas_spend_agreements_b1"
    other = Dataset(tmp_path / "other")
    run(other, Request("spec", [typeset(name, tmp_path)]))
    by_month = read(other, 'strftime("BillingPeriodStart", \'%Y-%m\'), "ChargeCategory", "BilledCost", "EffectiveCost"')
    assert by_month[:2] == [("2025-04", "Purchase", 1200.0, 0.0), ("2025-04", "Usage", 0.0, 48.0)]
    # A purchase for later keeps its billing period, whatever the year that it covers.
    assert {part.period.isoformat()[:7] for part in other.parts()} == {"2025-04", "2025-05", "2025-06", "2026-03"}


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="../shared/data/focus/spec_examples is not there")
def test_a_time_that_is_none_is_found_even_in_the_specification(tmp_path: Path) -> None:
    with pytest.raises(FocusError, match=r"line 4, column ChargePeriodEnd: '2023-02-01T30:00:00Z' is not a time"):
        imported(tmp_path, typeset("commitment_discount_purchase_scenario_2", tmp_path))


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data/focus is not there")
def test_the_projects_own_sample_is_imported_as_it_is(tmp_path: Path) -> None:
    path = SHARED / "focus_sample_1.0.csv"
    dataset, outcome = imported(tmp_path, str(path))
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    costs = [float(row["BilledCost"]) for row in rows]
    assert sum(one.after.rows for one in outcome.written.periods) == len(rows) == 1000
    assert sum(one.after.billed for one in outcome.written.periods) == pytest.approx(sum(costs), abs=1e-9)
    negative = [row for row in rows if float(row["BilledCost"]) < 0 or float(row["EffectiveCost"]) < 0]
    assert sum(one.negative_rows for one in outcome.written.periods) == len(negative)
    assert outcome.assumed == {"ContractedCost": sum(row["ContractedCost"] == "NULL" for row in rows)}
    # Literal NULL is null, in every column; what is no column of FOCUS is kept under a name of its own.
    columns = [column.name for column in focus.COLUMNS if column.kind in ("text", "map")]
    assert read(dataset, "count(*)", " OR ".join(f"\"{name}\" IN ('NULL', '')" for name in columns)) == [(0,)]
    assert read(dataset, 'count(DISTINCT "x_Id")') == [(1000,)]
    kinds = {value for (value,) in read(dataset, 'DISTINCT "ChargeFrequency"')}
    assert kinds <= set(focus.CHARGE_FREQUENCIES)
    # These providers of 2024 break these rules; all rows that conform pass, and so the rules are not empty words.
    assert {one.rule.name for one in outcome.violations} == {
        *("not_negative", "consumed_unused", "pricing_category", "contracted_cost", "names"),
    }


def test_each_rule_finds_what_breaks_it(tmp_path: Path) -> None:
    connection = duckdb.connect()
    kinds = {"text": "VARCHAR", "map": "VARCHAR", "number": "DOUBLE", "moment": "TIMESTAMP"}
    listed = ", ".join(f'"{column.name}" {kinds[column.kind]}' for column in focus.COLUMNS)
    connection.execute(f"CREATE TABLE focus ({listed})")
    connection.execute(
        'INSERT INTO focus BY NAME SELECT 1.0 AS "BilledCost", 1.0 AS "EffectiveCost", 1.0 AS "ListCost", '
        "1.0 AS \"ContractedCost\", '1' AS \"BillingAccountId\", 'USD' AS \"BillingCurrency\", 'Usage' AS "
        '"ChargeCategory", \'Usage-Based\' AS "ChargeFrequency", TIMESTAMP \'2026-06-01\' AS "BillingPeriodStart", '
        "TIMESTAMP '2026-07-01' AS \"BillingPeriodEnd\", TIMESTAMP '2026-06-01' AS \"ChargePeriodStart\", "
        "TIMESTAMP '2026-06-02' AS \"ChargePeriodEnd\", 'Acme' AS \"ProviderName\", 'Acme' AS \"PublisherName\", "
        "'Acme' AS \"InvoiceIssuerName\", 'Compute' AS \"ServiceCategory\", 'VM' AS \"ServiceName\", "
        '\'Standard\' AS "PricingCategory", 2.0 AS "PricingQuantity", \'Hours\' AS "PricingUnit", '
        '0.5 AS "ListUnitPrice", 0.5 AS "ContractedUnitPrice", 2.0 AS "ConsumedQuantity", '
        "'Hours' AS \"ConsumedUnit\""
    )
    assert focus_checks.check(connection, "focus") == []
    seen = set()
    for changes, name in (
        ('"ListUnitPrice" = -0.5', "not_negative"),
        ("\"BillingCurrency\" = 'Tokens'", "currency"),
        ('"ChargePeriodEnd" = "ChargePeriodStart"', "period"),
        ("\"ChargeCategory\" = 'Refund'", "allowed_value"),
        ('"ProviderName" = NULL', "not_null"),
        ("\"ChargeCategory\" = 'Purchase'", "purchase_frequency"),
        ("\"ChargeCategory\" = 'Purchase', \"CommitmentDiscountId\" = 'c'", "commitment_purchase"),
        ("\"CommitmentDiscountId\" = 'c'", "commitment_status"),
        ("\"CommitmentDiscountId\" = 'c', \"CommitmentDiscountStatus\" = 'Unused'", "commitment_billed"),
        ('"CommitmentDiscountQuantity" = 1', "commitment_quantity"),
        ("\"CommitmentDiscountUnit\" = 'Hours'", "commitment_unit"),
        ("\"CommitmentDiscountCategory\" = 'Spend'", "commitment_category"),
        ("\"ChargeCategory\" = 'Credit'", "consumed_unused"),
        ('"ConsumedUnit" = NULL', "consumed_unit"),
        ("\"ChargeCategory\" = 'Tax'", "pricing_tax"),
        ('"PricingCategory" = NULL', "pricing_category"),
        ('"PricingUnit" = NULL', "pricing_unit"),
        ('"ListCost" = 2', "list_cost"),
        ('"ContractedCost" = 2', "contracted_cost"),
        ("\"ResourceName\" = 'vm'", "names"),
        ("\"Tags\" = 'a=b'", "json"),
    ):
        connection.execute("BEGIN")
        connection.execute(f"UPDATE focus SET {changes}")
        assert name in {one.rule.name for one in focus_checks.check(connection, "focus")}, changes
        connection.execute("ROLLBACK")
        seen.add(name)
    assert seen == {rule.name for rule in focus_checks.RULES}
    assert focus_checks.missing_columns(["Tags"]) == sorted(set(focus.BY_NAME) - {"Tags"})
