# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What queries say to engines that are not to be had here: SQL that parses, with the columns and functions meant.

That SQL parses does not prove that an engine answers it: DuckDB, PostgreSQL and Spark do answer, in tests/e2e.
"""

from __future__ import annotations

import datetime
import typing as t

import pytest

pytest.importorskip("ibis")

import ibis
import sqlglot
from ansible_collections.frugal.cloud.plugins.module_utils.cost import engine, focus, queries
from ansible_collections.frugal.cloud.plugins.module_utils.cost.allocation import Pool, Rules
from sqlglot import exp

TYPES = {"text": "string", "number": "float64", "moment": "timestamp", "map": "map<string, string>"}
RULES = Rules(("x_tag_team",), pools=(Pool("support", match={"ServiceName": ("AWS Support",)}),))
ENGINES = ("athena", "trino", "bigquery")
AUGUST, SEPTEMBER = datetime.date(2026, 8, 1), datetime.date(2026, 9, 1)
QUERIES: dict[str, t.Callable[[t.Any], t.Any]] = {
    "monthly": lambda table: queries.monthly(table, ["ServiceName", "tag:team"]),
    "compared": lambda table: queries.compared(table, ["ServiceName", "tag:team"]),
    "bill": queries.bill,
    "movers": lambda table: queries.movers(table, ["ServiceName"], SEPTEMBER, AUGUST),
    "daily_series": lambda table: queries.daily_series(table, ["ServiceName"]),
    "coverage_by_tag": lambda table: queries.coverage_by_tag(table, ["tag:team"]),
    "commitment_use": queries.commitment_use,
    "charges": lambda table: queries.charges(table, RULES),
    "resource_charges": lambda table: queries.resource_charges(table, RULES),
}
#: Functions of each engine that the queries may use: Trino's documentation, "Functions and operators" (Athena's
#: engine version 3 is Trino), and GoogleSQL's for BigQuery.
FUNCTIONS = {
    "athena": {"FROM_ISO8601_TIMESTAMP"},
    "trino": {"FROM_ISO8601_TIMESTAMP"},
    "bigquery": {"DATETIME"},
}


def table_of(dialect: str) -> t.Any:
    """A catalog's table as it keeps it: Glue and Hive in small letters; BigQuery's moments have a zone."""
    moment = "timestamp('UTC')" if dialect == "bigquery" else "timestamp(3)"
    columns = {
        column.name if dialect == "bigquery" else column.name.lower(): moment
        if column.kind == "moment"
        else TYPES[column.kind]
        for column in focus.COLUMNS
    }
    table = engine.conformed(ibis.table({**columns, "x_tag_team": "string"}, name="focus"))
    return engine.within(table, AUGUST, datetime.date(2026, 10, 1))


def compiled(dialect: str, expression: t.Any) -> str:
    """The SQL, without a driver for the engine."""
    from ibis.backends.sql import compilers

    compiler = getattr(compilers, dialect).compiler
    return str(compiler.to_sqlglot(expression).sql(compiler.dialect))


@pytest.mark.parametrize("dialect", ENGINES)
@pytest.mark.parametrize("name", QUERIES)
def test_sql_for_engines_that_are_not_here(dialect: str, name: str) -> None:
    expression = QUERIES[name](table_of(dialect))
    sql = compiled(dialect, expression)
    parsed = sqlglot.parse_one(sql, dialect=dialect, error_level=sqlglot.ErrorLevel.RAISE)
    names = [selected.alias_or_name for selected in parsed.selects]
    assert names in ([*expression.columns], ["*"])
    assert [found.name for found in parsed.find_all(exp.Table) if found.name == "focus"]
    assert not {found.name for found in parsed.find_all(exp.Anonymous)} - FUNCTIONS[dialect]
    assert {"tags", "skupricedetails"}.isdisjoint(column.name.lower() for column in parsed.find_all(exp.Column))
    # Billing months are chosen where the table is read, so that partitions that nobody asks for are not.
    scans = [
        scan
        for scan in parsed.find_all(exp.Select)
        if isinstance(scan.args.get("from_", scan.args.get("from")).this, exp.Table)
    ]
    assert scans
    for scan in scans:
        if scan.find(exp.Table).name == "focus":
            assert "billingperiodstart" in scan.args["where"].sql().lower()


@pytest.mark.parametrize(("dialect", "truncated"), [("athena", "DATE_TRUNC('MONTH'"), ("bigquery", ", MONTH)")])
def test_months_are_truncated_by_each_engine(dialect: str, truncated: str) -> None:
    assert truncated in compiled(dialect, queries.monthly(table_of(dialect)))


def test_sums_of_parts_are_conditions_and_not_subqueries() -> None:
    sql = compiled("trino", queries.commitment_use(table_of("trino")))
    assert sql.count("FILTER(WHERE") + sql.count("FILTER (WHERE") == 6
    assert sql.upper().count("SELECT") <= 4


class _Connection:
    """What a driver gives: it remembers which table was asked for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: tuple[t.Any, ...] = ()

    def table(self, name: str, database: t.Any = None) -> t.Any:
        self.asked = (name, database)
        return ibis.table(
            {"billingperiodstart": "timestamp('UTC')", "billedcost": "decimal(38, 9)", "billingcurrency": "string"},
            name=name,
        )


@pytest.mark.parametrize(
    ("url", "address", "asked"),
    [
        ("trino://me:secret@db:8080/hive/finops", "trino://me:secret@db:8080/hive/finops", ("focus", None)),
        ("bigquery://billing/export?table=focus_view", "bigquery://billing/export", ("focus_view", None)),
        ("postgresql://me@db/costs?sslmode=require&table=a.b", "postgres://me@db/costs?sslmode=require", ("b", ("a",))),
    ],
)
def test_addresses_reach_the_driver(
    monkeypatch: pytest.MonkeyPatch, url: str, address: str, asked: tuple[t.Any, ...]
) -> None:
    connected = []

    def connect(given: str) -> _Connection:
        connected.append(given)
        return _Connection(given)

    monkeypatch.setattr(ibis, "connect", connect)
    monkeypatch.setitem(vars(ibis), url.partition(":")[0], None)
    connection, table = engine.open_costs(url)
    assert connected == [address]
    assert connection.asked == asked  # type: ignore[attr-defined]
    assert str(table.schema()["BilledCost"]) == "float64"
    assert table.columns[: len(focus.COLUMNS)] == tuple(column.name for column in focus.COLUMNS)


def test_athena_takes_its_settings_from_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, str] = {}

    class Driver:
        @staticmethod
        def connect(**given: str) -> _Connection:
            settings.update(given)
            return _Connection("athena")

    monkeypatch.setitem(vars(ibis), "athena", Driver)
    url = "athena://finops?s3_staging_dir=s3%3A%2F%2Fanswers%2Ffrugal&region_name=eu-west-1&table=costs"
    connection, _table = engine.open_costs(url)
    assert settings == {
        "schema_name": "finops",
        "s3_staging_dir": "s3://answers/frugal",
        "region_name": "eu-west-1",
    }
    assert connection.asked == ("costs", None)  # type: ignore[attr-defined]


def test_secrets_in_a_drivers_message_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**given: str) -> None:
        raise RuntimeError(f"{given} is refused\nby somebody")

    monkeypatch.setitem(vars(ibis), "athena", type("Driver", (), {"connect": staticmethod(refuse)}))
    with pytest.raises(engine.CostsError) as caught:
        engine.open_costs("athena://finops?region_name=eu-west-1&aws_secret_access_key=a%2Fsecret")
    assert "athena://finops cannot be read" in str(caught.value)
    assert "eu-west-1" in str(caught.value)
    assert "secret'" not in str(caught.value)
    assert "\n" not in str(caught.value)

    def login(given: str) -> None:
        raise RuntimeError("no user with the password p@ss")

    monkeypatch.setitem(vars(ibis), "trino", None)
    monkeypatch.setattr(ibis, "connect", login)
    with pytest.raises(engine.CostsError, match=r"trino://db/hive cannot be read: no user with the password \*\*\*$"):
        engine.open_costs("trino://me:p%40ss@db/hive")


@pytest.mark.parametrize(("name", "extra"), [("athena", "athena"), ("trino", "trino"), ("bigquery", "bigquery")])
def test_missing_drivers_are_named(name: str, extra: str) -> None:
    with pytest.raises(engine.deps.MissingLibrary) as caught:
        engine.open_costs(f"{name}://somewhere/costs")
    assert caught.value.distribution == f"ibis-framework[{extra}]"
