# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Google Cloud's billing accounts, projects, list prices and billing export.

Cloud Billing's API is free of charge. BigQuery bills what a query reads: a dry run, which is free, tells how much that
is before the query runs, and BigQuery itself is told to stop there.

https://cloud.google.com/billing/docs/reference/rest/v1, https://cloud.google.com/bigquery/docs/reference/rest/v2/jobs/query
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import functools
import re
import time
import typing as t
from collections.abc import Callable, Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.gcp import Gcp, GcpError
from ansible_collections.frugal.cloud.plugins.module_utils.observe.cache import Cache

_Dict: t.TypeAlias = "dict[str, t.Any]"

#: USD for a TiB that a query reads, and the least that one is billed (https://cloud.google.com/bigquery/pricing,
#: on-demand, US; other places cost up to half as much again).
PER_TIB = 6.25
TIB = 2**40
LEAST_BYTES = 10 * 2**20
#: Seconds after which a query is given up.
QUERY_TIMEOUT = 600.0
_TABLE = re.compile(r"[a-z][a-z0-9.:-]{3,}[a-z0-9]\.\w{1,1024}\.[\w-]{1,1024}")
_ACCOUNT = re.compile(r"(?:billingAccounts/)?([0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6})")


class BillingError(Exception):
    """One sentence: which option, which value, what would be right."""


@dataclasses.dataclass(frozen=True)
class Account:
    """A billing account."""

    account_id: str
    name: str
    open: bool
    currency: str


@dataclasses.dataclass(frozen=True)
class Paid:
    """A project and the billing account that pays for it; none where billing is off."""

    project: str
    account_id: str
    enabled: bool


@dataclasses.dataclass(frozen=True)
class Price:
    """List price of a SKU: tiers are (units a month from which on it holds, price of a unit in ``currency``)."""

    service: str
    sku_id: str
    description: str
    usage_type: str
    regions: tuple[str, ...]
    unit: str
    currency: str
    tiers: tuple[tuple[float, float], ...]
    since: str


@dataclasses.dataclass(frozen=True)
class Query:
    """GoogleSQL with named parameters: name to (type, value)."""

    sql: str
    parameters: Mapping[str, tuple[str, str]]


@contextlib.contextmanager
def granted(permission: str) -> Iterator[None]:
    """Where Google denies what is in the block, say which permission it is about, or that the API is off."""
    try:
        yield
    except GcpError as error:
        text = str(error)
        if error.status == 403 and "disabled" in text:
            raise GcpError(f"{text}: enable it there, or ask in another project", error.status) from None
        if error.status == 403:
            raise GcpError(f"{text}: grant {permission} to the caller", error.status) from None
        raise


def check_table(table: str) -> str:
    """The export's table as SQL names it. :raises BillingError: it is no name of a table."""
    if not _TABLE.fullmatch(table):
        raise BillingError(
            f"export_table is {table!r}: give project.dataset.table, such as "
            "shop-billing.export.gcp_billing_export_v1_01AB23_CD45EF_678901"
        )
    return f"`{table}`"


def check_account(account: str) -> str:
    """The id of a billing account. :raises BillingError: it is none."""
    match = _ACCOUNT.fullmatch(account)
    if match is None:
        raise BillingError(f"billing_account is {account!r}: give an id such as 01AB23-CD45EF-678901")
    return match[1]


class Billing:
    """What Google Cloud knows about cost. Answers of the last ``cache_days`` days come from ``cache``."""

    def __init__(
        self,
        gcp: Gcp,
        cache: Cache,
        today: datetime.date,
        cache_days: int = 0,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.gcp = gcp
        self.warnings: list[str] = []
        self.read_on: set[datetime.date] = set()
        self.cached = 0
        #: what queries read and are billed for
        self.bytes_billed = 0
        self._cache = cache
        self._today = today
        self._cache_days = cache_days
        self._sleep = sleep
        self._now = now

    @property
    def cost(self) -> float:
        """USD of the queries so far, on demand and without the free TiB."""
        return self.bytes_billed / TIB * PER_TIB

    def accounts(self) -> list[Account]:
        """Billing accounts that the caller sees. :raises GcpError: Google refuses."""
        with granted("billing.accounts.list"):
            pages = list(self.gcp.pages("cloudbilling", "/v1/billingAccounts", "the list of billing accounts"))
        return [
            Account(
                one["name"].rpartition("/")[2],
                one.get("displayName", ""),
                bool(one.get("open")),
                one.get("currencyCode", ""),
            )
            for page in pages
            for one in page.get("billingAccounts", ())
        ]

    def projects(self, account_id: str) -> list[Paid]:
        """Projects that a billing account pays for. :raises GcpError: Google refuses."""
        path = f"/v1/billingAccounts/{account_id}/projects"
        with granted("billing.resourceAssociations.list on the billing account"):
            pages = list(self.gcp.pages("cloudbilling", path, f"the projects of billing account {account_id}"))
        return [
            Paid(
                one["projectId"],
                one.get("billingAccountName", "").rpartition("/")[2],
                bool(one.get("billingEnabled")),
            )
            for page in pages
            for one in page.get("projectBillingInfo", ())
        ]

    def prices(
        self, services: Sequence[str], regions: Sequence[str] = (), contains: str = "", currency: str = "USD"
    ) -> list[Price]:
        """List prices of services by their names; of all regions where none is named.

        :raises BillingError: there is no service of that name.
        :raises GcpError: Google refuses.
        """
        known = self._kept("gcp_services", "services", self._services)
        found: list[Price] = []
        for name in services:
            if name not in known:
                near = sorted(one for one in known if name.lower() in one.lower())[:5]
                hint = f": did you mean {', '.join(near)}?" if near else ": use a name as the bill shows it"
                raise BillingError(f"prices.services has {name!r}, which is no service of Google Cloud{hint}")
            read = functools.partial(self._skus, known[name], name, currency)
            skus = self._kept("gcp_skus", [known[name], currency], read)
            found += [price for price in map(_price, skus) if price is not None]
        return [
            one
            for one in found
            if (not regions or set(regions) & set(one.regions)) and contains.lower() in one.description.lower()
        ]

    def _services(self) -> dict[str, str]:
        pages = self.gcp.pages("cloudbilling", "/v1/services", "the list of services", {"pageSize": 5000})
        with granted("the Cloud Billing API"):
            return {one["displayName"]: one["serviceId"] for page in pages for one in page.get("services", ())}

    def _skus(self, service_id: str, name: str, currency: str) -> list[_Dict]:
        query = {"pageSize": 5000, "currencyCode": currency}
        pages = self.gcp.pages("cloudbilling", f"/v1/services/{service_id}/skus", f"the prices of {name}", query)
        with granted("the Cloud Billing API"):
            return [one for page in pages for one in page.get("skus", ())]

    def query(self, query: Query, limit: float, location: str = "") -> list[_Dict]:
        """Rows of a query: column to text, None where it is null.

        :param limit: USD that all queries of this object may cost together.
        :raises BillingError: it would cost more.
        :raises GcpError: BigQuery refuses, or is not done in time.
        """
        key = [self.gcp.project, location, query.sql, sorted(query.parameters.items())]
        rows = self._kept("gcp_query", key, lambda: self._run(query, limit, location))
        return t.cast("list[_Dict]", rows)

    def _run(self, query: Query, limit: float, location: str) -> list[_Dict]:
        path = f"/bigquery/v2/projects/{self.gcp.project}/queries"
        about = "the query of the billing export"
        body: _Dict = {
            "query": query.sql,
            "useLegacySql": False,
            "parameterMode": "NAMED",
            "queryParameters": [
                {"name": name, "parameterType": {"type": kind}, "parameterValue": {"value": value}}
                for name, (kind, value) in query.parameters.items()
            ],
            **({"location": location} if location else {}),
        }
        permission = "bigquery.jobs.create in this project and bigquery.tables.getData on the export"
        with granted(permission), _found():
            planned = self.gcp.send("bigquery", "POST", path, about, {**body, "dryRun": True})
            billed = max(LEAST_BYTES, int(planned.get("totalBytesProcessed") or 0))
            cost = self.cost + billed / TIB * PER_TIB
            if cost > limit:
                raise BillingError(
                    f"{about} would read {billed / 2**30:.3g} GiB and bring this task's queries to {cost:.2g} USD, "
                    f"more than max_api_cost ({limit:g} USD): raise it, or ask for a shorter time"
                )
            run = {**body, "maximumBytesBilled": str(billed), "timeoutMs": 10_000, "maxResults": 10_000}
            answer = self.gcp.send("bigquery", "POST", path, about, run)
            self.bytes_billed += billed
            return self._results(answer, path, about)

    def _results(self, answer: _Dict, path: str, about: str) -> list[_Dict]:
        reference = answer["jobReference"]
        query = {"maxResults": 10_000, "timeoutMs": 10_000}
        if reference.get("location"):
            query["location"] = reference["location"]
        until, pause = self._now() + QUERY_TIMEOUT, 0.1
        rows: list[_Dict] = []
        while True:
            if not answer.get("jobComplete"):
                if self._now() > until:
                    raise GcpError(f"{about} was not done within {QUERY_TIMEOUT:.0f} s")
                self._sleep(pause)
                pause = min(5.0, pause * 2)
                token = ""
            else:
                names = [field["name"] for field in answer["schema"]["fields"]]
                rows += [dict(zip(names, (cell.get("v") for cell in row["f"]))) for row in answer.get("rows", ())]
                token = answer.get("pageToken", "")
                if not token:
                    return rows
            more = {**query, **({"pageToken": token} if token else {})}
            answer = self.gcp.send("bigquery", "GET", f"{path}/{reference['jobId']}", about, query=more)

    def _kept(self, kind: str, key: object, read: Callable[[], t.Any]) -> t.Any:
        """What is on disk, if it is young enough or Google is not reached; else what ``read`` gives."""
        kept = self._cache.load(kind, key)
        if kept is not None and 0 <= (self._today - kept[0]).days <= self._cache_days:
            self.cached += 1
            self.read_on.add(kept[0])
            return kept[1]
        try:
            value = read()
        except GcpError as error:
            if kept is None or 0 < error.status < 500:
                raise
            self.warnings.append(f"{error}; the answer is of {kept[0]}, from disk")
            self.read_on.add(kept[0])
            return kept[1]
        self._cache.store(kind, key, self._today, value)
        self.read_on.add(self._today)
        return value


@contextlib.contextmanager
def _found() -> Iterator[None]:
    try:
        yield
    except GcpError as error:
        if error.status == 404:
            raise GcpError(
                f"{error}: is export_table right, and location? The table comes a few hours after the export was "
                "switched on",
                error.status,
            ) from None
        raise


def _price(sku: _Dict) -> Price | None:
    """The current price of a SKU; None where there is none."""
    if not sku.get("pricingInfo"):
        return None
    latest = sku["pricingInfo"][-1]
    expression = latest["pricingExpression"]
    tiers = tuple(
        (float(rate.get("startUsageAmount", 0)), _money(rate["unitPrice"]))
        for rate in expression.get("tieredRates", ())
    )
    if not tiers:
        return None
    return Price(
        sku["category"]["serviceDisplayName"],
        sku["skuId"],
        sku["description"],
        sku["category"].get("usageType", ""),
        tuple(sku.get("serviceRegions", ())),
        expression.get("usageUnit", ""),
        expression["tieredRates"][0]["unitPrice"].get("currencyCode", ""),
        tiers,
        latest.get("effectiveTime", ""),
    )


def _money(price: _Dict) -> float:
    """Units and billionths of them (google.type.Money)."""
    return int(price.get("units") or 0) + int(price.get("nanos") or 0) / 1e9
