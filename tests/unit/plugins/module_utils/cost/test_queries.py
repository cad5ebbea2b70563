# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queries give what plain Python adds up, on DuckDB; what they say to other engines is in test_queries_engines.py."""

from __future__ import annotations

import collections
import datetime
import types
import typing as t
from pathlib import Path

import pytest

pytest.importorskip("ibis")
pytest.importorskip("pyarrow")

from ansible_collections.frugal.cloud.plugins.module_utils.cost import queries
from ansible_collections.frugal.cloud.plugins.module_utils.cost.allocation import Rules
from ansible_collections.frugal.cloud.plugins.module_utils.cost.cost_options import reveal
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import (
    CostsError,
    conformed,
    cost_url,
    fetch,
    open_costs,
    shown,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import write_rows
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.cost import costs_sample

JULY, AUGUST, SEPTEMBER = costs_sample.MONTHS
ROWS = list(costs_sample.rows())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return costs_sample.dataset(tmp_path_factory.mktemp("costs"))


@pytest.fixture
def table(folder: Path) -> t.Any:
    return open_costs(str(folder))[1]


def added(keys: t.Callable[[dict[str, t.Any]], t.Any], metric: str = "EffectiveCost") -> dict[t.Any, float]:
    sums: dict[t.Any, float] = collections.defaultdict(float)
    for row in ROWS:
        sums[keys(row)] += row[metric]
    return dict(sums)


def team(row: dict[str, t.Any]) -> str | None:
    """As the import keeps it: an empty tag is none."""
    return (row["Tags"] or {}).get("Team") or None


@pytest.mark.parametrize("metric", queries.METRICS)
def test_monthly_sums(table: t.Any, metric: str) -> None:
    got = fetch(queries.monthly(table, ["servicename", "tag:Team"], metric))
    assert {(row["period"], row["currency"], row["ServiceName"], row["x_tag_team"]): row["cost"] for row in got} == (
        pytest.approx(
            added(
                lambda row: (row["BillingPeriodStart"], row["BillingCurrency"], row["ServiceName"], team(row)), metric
            )
        )
    )


def test_bill_and_until_when_usage_is_known(table: t.Any) -> None:
    got = {(row["period"], row["currency"]): row for row in fetch(queries.bill(table))}
    assert sum(row["rows"] for row in got.values()) == len(ROWS)
    assert got[AUGUST, "USD"]["used_until"] == datetime.datetime(2026, 9, 1)
    assert got[AUGUST, "USD"]["period_end"] == datetime.datetime(2026, 9, 1)
    billed = added(lambda row: (row["BillingPeriodStart"], row["BillingCurrency"]), "BilledCost")
    assert {key: row["BilledCost"] for key, row in got.items()} == pytest.approx(billed)


def test_compared_with_the_month_before(tmp_path: Path) -> None:
    costs = {JULY: {"a": 5.0, "b": 1.0}, AUGUST: {"a": 7.0}, SEPTEMBER: {"a": 6.0, "b": 9.0}}
    write_rows(
        Dataset(tmp_path),
        "s",
        [
            costs_sample.row(month, 1, cost, ServiceName=name)
            for month, of in costs.items()
            for name, cost in of.items()
        ],
    )
    got = fetch(queries.compared(open_costs(str(tmp_path))[1], ["ServiceName"]))
    assert {(row["period"], row["ServiceName"]): (row["cost"], row["previous"], row["place"]) for row in got} == {
        (JULY, "a"): (5, None, 1),
        (JULY, "b"): (1, None, 2),
        (AUGUST, "a"): (7, 5, 1),
        (SEPTEMBER, "a"): (6, 7, 2),
        (SEPTEMBER, "b"): (9, None, 1),  # July is not the month before
    }


def test_movers_hold_what_came_and_what_went(tmp_path: Path) -> None:
    costs = {AUGUST: {"same": 5.0, "gone": 4.0, "up": 1.0}, SEPTEMBER: {"same": 5.0, "new": 3.0, "up": 2.5}}
    write_rows(
        Dataset(tmp_path),
        "s",
        [
            costs_sample.row(month, 1, cost, ServiceName=name)
            for month, of in costs.items()
            for name, cost in of.items()
        ],
    )
    got = fetch(queries.movers(open_costs(str(tmp_path))[1], ["ServiceName"], SEPTEMBER, AUGUST))
    assert [(row["ServiceName"], row["cost"], row["previous"], row["change"]) for row in got] == [
        ("gone", 0, 4, -4),
        ("new", 3, 0, 3),
        ("up", 2.5, 1, 1.5),
    ]


def test_daily_series_keeps_fees_apart_and_quantities_of_one_unit(table: t.Any) -> None:
    got = fetch(queries.daily_series(table, ["ServiceName"]))

    def key(row: dict[str, t.Any]) -> tuple[t.Any, ...]:
        day = row["day"] if "day" in row else row["ChargePeriodStart"].date()
        currency = row["currency"] if "currency" in row else row["BillingCurrency"]
        return (day, currency, row["ServiceName"], row["ChargeCategory"], row["ChargeFrequency"])

    assert {key(row): row["cost"] for row in got} == pytest.approx(added(key))
    units = collections.defaultdict(set)
    for row in ROWS:
        units[key(row)].add(row["ConsumedUnit"])
    assert any(len(found) > 1 for found in units.values())
    for row in got:
        assert row["unit"] == (units[key(row)].copy().pop() if len(units[key(row)]) == 1 else None)
        assert row["quantity"] is None or len(units[key(row)]) == 1


def test_coverage_is_by_cost_and_leaves_tax_and_credits_out(table: t.Any) -> None:
    got = {(row["period"], row["currency"]): row for row in fetch(queries.coverage_by_tag(table, ["tag:team"]))}
    own = [row for row in ROWS if row["ChargeCategory"] in ("Usage", "Purchase") and row["BillingCurrency"] == "USD"]
    own = [row for row in own if row["BillingPeriodStart"] == JULY]
    assert got[JULY, "USD"]["cost"] == pytest.approx(sum(row["EffectiveCost"] for row in own))
    tagged = sum(row["EffectiveCost"] for row in own if team(row))
    assert got[JULY, "USD"]["x_tag_team"] == pytest.approx(tagged)


def test_commitments_used_and_wasted(table: t.Any) -> None:
    (row,) = (row for row in fetch(queries.commitment_use(table)) if row["period"] == JULY)
    assert (row["CommitmentDiscountId"], row["name"]) == ("sp-1", "compute")
    assert (row["used"], row["unused"], row["purchased"], row["list_cost"]) == (75, 25, 100, 150)
    assert (row["used_quantity"], row["unused_quantity"]) == (75, 25)


def test_filters_choose_rows_and_empty_means_without(table: t.Any) -> None:
    kept = queries.restricted(table, {"tag:team": ["web", ""], "ServiceName": ["Amazon S3"]})
    got = sum(row["cost"] for row in fetch(queries.monthly(kept)))
    assert got == pytest.approx(
        sum(
            row["EffectiveCost"]
            for row in ROWS
            if not team(row) or team(row) == "web"
            if row["ServiceName"] == "Amazon S3"
        )
    )


def test_charges_add_up_to_the_bill(table: t.Any) -> None:
    rules = Rules(("x_tag_team",))
    got = fetch(queries.charges(table, rules, "BilledCost"))
    assert sum(row["cost"] for row in got) == pytest.approx(sum(row["BilledCost"] for row in ROWS))
    assert {row["resource"] for row in got} == {None, "i-3"}
    resources = fetch(queries.resource_charges(table, rules, "BilledCost"))
    assert {row["resource"] for row in resources} == {"i-3"}
    assert sum(row["cost"] for row in resources) == pytest.approx(
        sum(row["BilledCost"] for row in ROWS if row.get("ResourceId") == "i-3" and row["ChargeCategory"] == "Usage")
    )


def test_months_and_sources_are_chosen(folder: Path) -> None:
    table = open_costs(str(folder), AUGUST, SEPTEMBER, ["payer"])[1]
    assert {(row["period"], row["currency"]) for row in fetch(queries.monthly(table))} == {(AUGUST, "USD")}
    assert {row["period"] for row in fetch(queries.monthly(open_costs(f"file://{folder}", AUGUST)[1]))} == {
        AUGUST,
        SEPTEMBER,
    }


def test_duckdb_database_and_older_focus_in_small_letters(tmp_path: Path, folder: Path) -> None:
    import duckdb

    database = tmp_path / "costs.duckdb"
    with duckdb.connect(str(database)) as connection:
        connection.execute("CREATE SCHEMA bills")
        connection.execute(
            "CREATE TABLE bills.rows AS SELECT billingperiodstart AS billingperiodstart, "
            "CAST(BilledCost AS DECIMAL(18, 9)) AS billedcost, EffectiveCost AS effectivecost, servicename, "
            "BillingCurrency AS billingcurrency, x_tag_team AS X_Tag_Team "
            f"FROM read_parquet('{folder}/*/*.parquet', hive_partitioning = false)"
        )
    table = open_costs(f"duckdb://{database}?table=bills.rows")[1]
    assert str(table.schema()["BilledCost"]) == "float64"
    got = fetch(queries.monthly(table, ["ServiceName", "tag:team", "RegionId"], "BilledCost"))
    assert sum(row["cost"] for row in got) == pytest.approx(sum(row["BilledCost"] for row in ROWS))
    assert {row["RegionId"] for row in got} == {None}


def test_address_without_password() -> None:
    assert shown("postgresql://me:secret@db.example.com:5432/costs?sslmode=require") == (
        "postgresql://db.example.com:5432/costs"
    )


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("/srv/costs", False),
        ("postgresql://me@db/costs?sslmode=require", False),
        ("postgresql://me:word@db/costs", True),
        ("athena://finops?aws_secret_access_key=x", True),
        ("postgresql://db/costs?password=x", True),
    ],
)
def test_addresses_are_masked_where_they_hold_a_secret(url: str, secret: bool) -> None:
    module = types.SimpleNamespace(params={"cost_url": url}, no_log_values={url, "other"})
    reveal(module)
    assert module.no_log_values == ({url, "other"} if secret else {"other"})


def test_address_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRUGAL_COST_URL", "/srv/costs")
    assert cost_url(None) == "/srv/costs"
    assert cost_url("/other") == "/other"
    monkeypatch.delenv("FRUGAL_COST_URL")
    with pytest.raises(CostsError, match="cost_url is not set"):
        cost_url(None)


@pytest.mark.parametrize(
    ("url", "settings", "message"),
    [
        ("costs", {}, "give an absolute path"),
        ("/nowhere/costs", {}, "there is no folder /nowhere/costs"),
        ("mysql://host/costs", {}, "begins with mysql://: use a path or one of"),
        ("postgresql://host/costs", {"sources": ["payer"]}, "does not work with a database"),
        ("postgresql://host/costs?table=a;b", {}, "no name of a table"),
        ("duckdb:///nowhere.duckdb", {}, "there is no DuckDB database /nowhere.duckdb"),
        (
            "postgresql://me:hidden@127.0.0.1:1/costs",
            {},
            r"postgresql://127.0.0.1:1/costs cannot be read: (?!.*hidden)",
        ),
    ],
)
def test_data_that_cannot_be_read(url: str, settings: dict[str, t.Any], message: str) -> None:
    with pytest.raises(CostsError, match=message):
        open_costs(url, **settings)


def test_no_data_and_no_such_months(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(CostsError, match="the folder of cost_url holds no cost data: import some"):
        open_costs(str(tmp_path))
    with pytest.raises(CostsError, match="it has 2026-07 to 2026-09 of payer, payer-eu"):
        open_costs(str(folder), datetime.date(2027, 1, 1))


def test_what_does_not_fit_goes_where_it_is_told(tmp_path: Path, folder: Path) -> None:
    connection, _table = open_costs(str(folder), memory_limit="100MB", temporary_directory=str(tmp_path))
    settings = connection.con.execute(  # type: ignore[attr-defined]
        "SELECT current_setting('temp_directory'), current_setting('memory_limit')"
    ).fetchone()
    assert Path(settings[0]).parent == tmp_path
    assert settings[1] == "95.3 MiB"
    with pytest.raises(CostsError, match=r"temporary_directory is '/nowhere', which cannot be used: No such file"):
        open_costs(str(folder), temporary_directory="/nowhere")


def test_broken_file_is_named(tmp_path: Path) -> None:
    part = tmp_path / "BillingPeriod=2026-07" / "payer.parquet"
    part.parent.mkdir()
    part.write_bytes(b"PAR1 no parquet")
    with pytest.raises(CostsError, match=r"payer\.parquet"):
        open_costs(str(tmp_path))


def test_other_tables_are_no_cost_data() -> None:
    import ibis

    with pytest.raises(CostsError, match="holds no FOCUS data"):
        conformed(ibis.table({"id": "int64"}, name="other"))


def test_columns_that_are_not_there(table: t.Any) -> None:
    with pytest.raises(queries.QueryError, match=r"no tag column for 'tag:owner' \(it has cost_center, team\)"):
        queries.monthly(table, ["tag:owner"])
    with pytest.raises(queries.QueryError, match="'Servce' is no column"):
        queries.monthly(table, ["Servce"])
