# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for Google's Cloud Billing API and for BigQuery over a billing export.

Requests and answers are checked with the discovery documents. Queries are GoogleSQL: sqlglot translates them for
DuckDB, which holds the export's rows with the types of the real table. What a query reads is estimated as BigQuery
does it, by the partitions that its ``_PARTITIONTIME`` leaves; a column more or less makes no difference here.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
import tempfile
import typing as t
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import duckdb
import sqlglot
from ansible_collections.frugal.cloud.tests.standins.google_api import Google, Refused
from sqlglot import exp

_Dict = dict[str, t.Any]

_PAIRS = 'STRUCT("key" VARCHAR, "value" VARCHAR)[]'
#: https://cloud.google.com/billing/docs/how-to/export-data-bigquery-tables/detailed-usage
COLUMNS: Mapping[str, str] = {
    "billing_account_id": "VARCHAR",
    "service": "STRUCT(id VARCHAR, description VARCHAR)",
    "sku": "STRUCT(id VARCHAR, description VARCHAR)",
    "usage_start_time": "TIMESTAMP",
    "usage_end_time": "TIMESTAMP",
    "project": f'STRUCT(id VARCHAR, "number" VARCHAR, "name" VARCHAR, labels {_PAIRS}, ancestry_numbers VARCHAR)',
    "labels": _PAIRS,
    "system_labels": _PAIRS,
    "location": 'STRUCT("location" VARCHAR, country VARCHAR, region VARCHAR, "zone" VARCHAR)',
    "resource": 'STRUCT("name" VARCHAR, global_name VARCHAR)',
    "cost": "DOUBLE",
    "currency": "VARCHAR",
    "currency_conversion_rate": "DOUBLE",
    "usage": "STRUCT(amount DOUBLE, unit VARCHAR, amount_in_pricing_units DOUBLE, pricing_unit VARCHAR)",
    "credits": 'STRUCT("name" VARCHAR, full_name VARCHAR, id VARCHAR, amount DOUBLE, "type" VARCHAR)[]',
    "invoice": 'STRUCT("month" VARCHAR, publisher_type VARCHAR)',
    "cost_type": "VARCHAR",
    "cost_at_list": "DOUBLE",
    "export_time": "TIMESTAMP",
}
_PARTITION = "_PARTITIONTIME"
_BYTES = "_bytes"
_TYPES = {"VARCHAR": "STRING", "DOUBLE": "FLOAT", "BIGINT": "INTEGER", "DATE": "DATE", "TIMESTAMP": "TIMESTAMP"}
_PAGE = 10_000


@dataclasses.dataclass(frozen=True)
class BillingAccount:
    """A billing account: its id, name, currency, whether it is open."""

    account_id: str
    name: str
    currency: str = "USD"
    open: bool = True


@dataclasses.dataclass(frozen=True)
class Sku:
    """What has a price: USD (or the asked currency's) for a unit, from so many units a month on."""

    sku_id: str
    description: str
    service: str
    unit: str
    tiers: tuple[tuple[float, float], ...]
    regions: tuple[str, ...] = ("us-central1",)
    usage_type: str = "OnDemand"
    family: str = "Compute"


@dataclasses.dataclass(frozen=True)
class Export:
    """A table of the billing export: C(project.dataset.table), where it is, and what rows it has right now."""

    table: str
    rows: Callable[[], Iterable[_Dict]]
    location: str = "US"


@dataclasses.dataclass
class Billing:
    """What the APIs show; tests look at it and change it."""

    accounts: Sequence[BillingAccount] = ()
    #: billing account by project; empty where a project has none
    projects: Mapping[str, str] = dataclasses.field(default_factory=dict)
    skus: Sequence[Sku] = ()
    exports: Sequence[Export] = ()
    #: entries of a page of a list
    page: int = 50
    #: so many times a query is asked for before it is done
    waits: int = 1
    #: units of a currency for a dollar
    rates: Mapping[str, float] = dataclasses.field(default_factory=lambda: {"USD": 1.0, "EUR": 0.9})
    #: rows that a page of a query's results holds at most
    query_page: int = _PAGE
    queries: list[str] = dataclasses.field(default_factory=list)


def install(google: Google, billing: Billing) -> None:
    """Add Cloud Billing and BigQuery's queries."""
    for api in ("cloudbilling.v1", "bigquery.v2"):
        if api not in google.apis:
            google.apis.append(api)
    catalog, queries = _Catalog(billing), _Queries(billing)
    google.handlers |= {
        "cloudbilling.billingAccounts.list": catalog.accounts,
        "cloudbilling.billingAccounts.projects.list": catalog.projects,
        "cloudbilling.projects.getBillingInfo": catalog.info,
        "cloudbilling.services.list": catalog.services,
        "cloudbilling.services.skus.list": catalog.skus,
        "bigquery.jobs.query": queries.query,
        "bigquery.jobs.getQueryResults": queries.results,
    }


def query(billing: Billing, body: _Dict, project: str = "project") -> _Dict:
    """The answer to a query without a server between."""
    return _Queries(billing).query("", {"projectsId": project}, body)


class _Catalog:
    def __init__(self, billing: Billing) -> None:
        self._billing = billing

    def _page(self, name: str, entries: Sequence[_Dict], names: _Dict) -> _Dict:
        try:
            begin = int(names.get("pageToken") or 0)
        except ValueError:
            raise Refused(400, "Request contains an invalid argument.") from None
        size = min(int(names.get("pageSize") or self._billing.page), self._billing.page)
        answer: _Dict = {name: list(entries[begin : begin + size])}
        return {**answer, "nextPageToken": str(begin + size)} if begin + size < len(entries) else answer

    def accounts(self, path: str, names: _Dict, body: t.Any) -> _Dict:
        """billingAccounts.list"""
        shown = [
            {
                "name": f"billingAccounts/{one.account_id}",
                "displayName": one.name,
                "open": one.open,
                "currencyCode": one.currency,
            }
            for one in self._billing.accounts
        ]
        return self._page("billingAccounts", shown, names)

    def projects(self, path: str, names: _Dict, body: t.Any) -> _Dict:
        """billingAccounts.projects.list"""
        account = names["billingAccountsId"]
        if account not in [one.account_id for one in self._billing.accounts]:
            raise Refused(404, "Requested entity was not found.")
        shown = [self._info(project) for project, paid_by in self._billing.projects.items() if paid_by == account]
        return self._page("projectBillingInfo", shown, names)

    def info(self, path: str, names: _Dict, body: t.Any) -> _Dict:
        """projects.getBillingInfo"""
        if names["projectsId"] not in self._billing.projects:
            raise Refused(403, "The caller does not have permission")
        return self._info(names["projectsId"])

    def _info(self, project: str) -> _Dict:
        account = self._billing.projects[project]
        return {
            "name": f"projects/{project}/billingInfo",
            "projectId": project,
            "billingAccountName": f"billingAccounts/{account}" if account else "",
            "billingEnabled": bool(account),
        }

    def services(self, path: str, names: _Dict, body: t.Any) -> _Dict:
        """services.list"""
        known = sorted({one.service for one in self._billing.skus})
        shown = [
            {"name": f"services/{_id(name)}", "serviceId": _id(name), "displayName": name, "businessEntityName": "GCP"}
            for name in known
        ]
        return self._page("services", shown, names)

    def skus(self, path: str, names: _Dict, body: t.Any) -> _Dict:
        """services.skus.list"""
        found = [one for one in self._billing.skus if _id(one.service) == names["servicesId"]]
        currency = names.get("currencyCode") or "USD"
        if not found:
            raise Refused(404, "Requested entity was not found.")
        if currency not in self._billing.rates:
            raise Refused(400, f"Invalid currency code: {currency}.")
        return self._page("skus", [_sku(one, currency, self._billing.rates[currency]) for one in found], names)


def _id(service: str) -> str:
    """An id of the shape that Google's have, made of the name."""
    digits = f"{sum(ord(letter) * 257**place for place, letter in enumerate(service)) % 16**12:012X}"
    return "-".join(digits[place : place + 4] for place in (0, 4, 8))


def _sku(sku: Sku, currency: str, rate: float) -> _Dict:
    rates = []
    for begin, price in sku.tiers:
        nanos = round(price * rate * 1e9)
        unit = {"currencyCode": currency, "units": str(nanos // 10**9), "nanos": nanos % 10**9}
        rates.append({"startUsageAmount": begin, "unitPrice": unit})
    expression = {
        "usageUnit": sku.unit,
        "displayQuantity": 1,
        "tieredRates": rates,
        "usageUnitDescription": sku.unit,
        "baseUnit": sku.unit,
        "baseUnitConversionFactor": 1,
    }
    return {
        "name": f"services/{_id(sku.service)}/skus/{sku.sku_id}",
        "skuId": sku.sku_id,
        "description": sku.description,
        "category": {
            "serviceDisplayName": sku.service,
            "resourceFamily": sku.family,
            "resourceGroup": "",
            "usageType": sku.usage_type,
        },
        "serviceRegions": list(sku.regions),
        "pricingInfo": [
            {
                "pricingExpression": expression,
                "currencyConversionRate": rate,
                "effectiveTime": "2026-06-01T00:00:00Z",
                "aggregationInfo": {
                    "aggregationLevel": "ACCOUNT",
                    "aggregationInterval": "MONTHLY",
                    "aggregationCount": 1,
                },
            }
        ],
        "serviceProviderName": "Google",
    }


@dataclasses.dataclass
class _Job:
    schema: list[_Dict]
    rows: list[_Dict]
    location: str
    read: int
    waits: int
    page: int


class _Queries:
    def __init__(self, billing: Billing) -> None:
        self._billing = billing
        self._jobs: dict[str, _Job] = {}

    def query(self, path: str, names: _Dict, body: _Dict) -> _Dict:
        """jobs.query"""
        if body.get("useLegacySql", True):
            raise Refused(400, "The stand-in speaks GoogleSQL only: useLegacySql has to be false.")
        self._billing.queries.append(body["query"])
        try:
            tree = sqlglot.parse_one(body["query"], read="bigquery")
        except sqlglot.errors.ParseError as error:
            raise Refused(400, f"Syntax error: {str(error).splitlines()[0]}") from None
        export = self._export(tree)
        with duckdb.connect() as connection:
            _load(connection, export)
            read = _bytes_of(connection, tree, body)
            if body.get("dryRun"):
                return {"jobComplete": True, "totalBytesProcessed": str(read), "schema": {"fields": []}}
            allowed = int(body.get("maximumBytesBilled") or read)
            if read > allowed:
                raise Refused(400, f"Query exceeded limit for bytes billed: {allowed}. {read} or higher required.")
            schema, rows = _run(connection, tree, body)
        job = f"job_{len(self._jobs) + 1}"
        size = min(int(body.get("maxResults") or _PAGE), self._billing.query_page)
        self._jobs[job] = _Job(schema, rows, export.location, read, self._billing.waits, size)
        return self._answer(names["projectsId"], job, 0)

    def results(self, path: str, names: _Dict, body: t.Any) -> _Dict:
        """jobs.getQueryResults"""
        job = self._jobs.get(names["queriesId"])
        # BigQuery finds jobs outside of US and EU only where it is told their place.
        if job is None or (job.location not in ("US", "EU") and names.get("location") != job.location):
            raise Refused(404, f"Not found: Job {names['projectsId']}:{names['queriesId']}")
        return self._answer(names["projectsId"], names["queriesId"], int(names.get("pageToken") or 0))

    def _answer(self, project: str, name: str, begin: int) -> _Dict:
        job = self._jobs[name]
        reference = {"projectId": project, "jobId": name, "location": job.location}
        if job.waits:
            job.waits -= 1
            return {"jobComplete": False, "jobReference": reference}
        end = begin + job.page
        answer = {
            "jobComplete": True,
            "jobReference": reference,
            "schema": {"fields": job.schema},
            "rows": job.rows[begin:end],
            "totalRows": str(len(job.rows)),
            "totalBytesProcessed": str(job.read),
            "cacheHit": False,
        }
        return {**answer, "pageToken": str(end)} if end < len(job.rows) else answer

    def _export(self, tree: exp.Expression) -> Export:
        """The export that a query reads; its name in the query becomes that of DuckDB's table."""
        found: Export | None = None
        for table in tree.find_all(exp.Table):
            name = ".".join(part.name for part in table.parts)
            if not table.db:
                continue
            match = [one for one in self._billing.exports if one.table == name]
            if not match:
                project, _dot, rest = name.partition(".")
                raise Refused(404, f"Not found: Table {project}:{rest} was not found in location US")
            found = match[0]
            table.replace(exp.to_table("export"))
        if found is None:
            raise Refused(400, "The stand-in answers queries over a billing export only.")
        return found


def _load(connection: duckdb.DuckDBPyConnection, export: Export) -> None:
    """A table with the export's rows, the moment when each came in, and how long it is."""
    columns = {**COLUMNS, _PARTITION: "TIMESTAMP", _BYTES: "BIGINT"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        with path.open("w", encoding="utf-8") as file:
            for row in export.rows():
                moments = {
                    name: str(row[name]).removesuffix(" UTC")
                    for name in ("usage_start_time", "usage_end_time", "export_time")
                }
                kept = {name: row.get(name) for name in COLUMNS}
                came = f"{moments['export_time'][:10]} 00:00:00"
                size = len(json.dumps(row))
                file.write(json.dumps({**kept, **moments, _PARTITION: came, _BYTES: size}) + "\n")
        types = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in columns.items())
        connection.execute(
            f"CREATE TABLE export AS SELECT * FROM read_json('{path}', format = 'newline_delimited', "
            f"columns = {{{types}}})"
        )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _parameters(body: _Dict) -> _Dict:
    """Named parameters as Python has them."""
    found: _Dict = {}
    for one in body.get("queryParameters", ()):
        kind, value = one["parameterType"]["type"], one["parameterValue"]["value"]
        read: Mapping[str, Callable[[str], t.Any]] = {
            "STRING": str,
            "INT64": int,
            "DATE": datetime.date.fromisoformat,
            "TIMESTAMP": lambda text: datetime.datetime.fromisoformat(text.replace("Z", "")),
        }
        if kind not in read:
            raise Refused(400, f"The stand-in knows no parameters of type {kind}.")
        found[one["name"]] = read[kind](value)
    return found


def _execute(connection: duckdb.DuckDBPyConnection, tree: exp.Expression, body: _Dict) -> duckdb.DuckDBPyConnection:
    for cast in tree.find_all(exp.Cast):
        # A number of BigQuery has 9 decimals, one of DuckDB 3.
        if cast.to.is_type("decimal") and not cast.to.expressions:
            cast.set("to", exp.DataType.build("DECIMAL(38, 9)"))
    sql = tree.sql(dialect="duckdb")
    given = _parameters(body)
    used = {one.name for one in tree.find_all(exp.Parameter)}
    missing = sorted(used - set(given))
    if missing:
        raise Refused(400, f"Query parameter '{missing[0]}' not found at [1:1]")
    try:
        return connection.execute(sql, {name: value for name, value in given.items() if name in used})
    except duckdb.Error as error:
        raise Refused(400, f"Invalid query: {str(error).splitlines()[0]}") from None


def _bytes_of(connection: duckdb.DuckDBPyConnection, tree: exp.Expression, body: _Dict) -> int:
    """Bytes of the partitions that are read: conditions on nothing but the partition choose them."""
    where = tree.find(exp.Where)
    chosen = exp.select(f"coalesce(sum({_BYTES}), 0)").from_("export")
    for condition in (
        where.this.flatten() if where and isinstance(where.this, exp.And) else [where.this] if where else []
    ):
        if {column.name for column in condition.find_all(exp.Column)} == {_PARTITION}:
            chosen = chosen.where(condition.copy())
    row = _execute(connection, chosen, body).fetchone()
    return int(row[0]) if row else 0


def _run(connection: duckdb.DuckDBPyConnection, tree: exp.Expression, body: _Dict) -> tuple[list[_Dict], list[_Dict]]:
    """The columns and rows of a result, as BigQuery writes them: everything is text."""
    result = _execute(connection, tree, body)
    schema = []
    for name, kind, *_more in result.description or ():
        text = str(kind)
        wanted = "NUMERIC" if text.startswith("DECIMAL") else _TYPES.get(text)
        if wanted is None:
            raise Refused(501, f"the stand-in has no type for {text} of the column {name}")
        schema.append({"name": name, "type": wanted, "mode": "NULLABLE"})
    rows = [{"f": [{"v": _shown(value)} for value in row]} for row in result.fetchall()]
    return schema, rows


def _shown(value: t.Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, datetime.datetime):
        return repr(value.replace(tzinfo=datetime.timezone.utc).timestamp())
    if isinstance(value, decimal.Decimal):
        return f"{value.normalize():f}"
    return str(value)
