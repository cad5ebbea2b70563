# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Google's billing accounts, prices and export, on a stand-in whose BigQuery is DuckDB."""

from __future__ import annotations

import datetime
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost import gcp_billing_rows
from ansible_collections.frugal.cloud.plugins.module_utils.cost.gcp_costs import OPTIONS, gather
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import ARGUMENTS, Gcp, GcpError, session_from
from ansible_collections.frugal.cloud.plugins.module_utils.observe.gcp_billing import BillingError

pytest.importorskip("google.auth")
pytest.importorskip("googleapiclient")
pytest.importorskip("sqlglot")
pytest.importorskip("duckdb")
import duckdb
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.frugal.cloud.tests.standins import gcp_billing, google_api

TODAY = datetime.date(2026, 6, 15)
ACCOUNT, OTHER = "01AB23-CD45EF-678901", "AAAAAA-BBBBBB-CCCCCC"
TABLE = "shop-billing.export.gcp_billing_export_v1_01AB23_CD45EF_678901"


def row(day: str, cost: float, **more: t.Any) -> dict[str, t.Any]:
    """A row of the export; invoiced in the month of its day unless told otherwise."""
    start = datetime.date.fromisoformat(day)
    given: dict[str, t.Any] = {
        "billing_account_id": ACCOUNT,
        "service": {"id": "6F81-5844-456A", "description": "Compute Engine"},
        "sku": {"id": "A1B2-C3D4-E5F6", "description": "N2 Instance Core running in Americas"},
        "usage_start_time": f"{day} 03:00:00 UTC",
        "usage_end_time": f"{day} 04:00:00 UTC",
        "export_time": f"{start + datetime.timedelta(days=1)} 06:12:31 UTC",
        "project": {"id": "shop", "name": "Shop", "labels": [{"key": "team", "value": "web"}]},
        "labels": [],
        "system_labels": [],
        "location": {"location": "us-central1", "country": "US", "region": "us-central1", "zone": None},
        "cost": cost,
        "cost_at_list": cost,
        "currency": "USD",
        "currency_conversion_rate": 1.0,
        "usage": {"amount": 3600.0, "unit": "seconds", "amount_in_pricing_units": 1.0, "pricing_unit": "hour"},
        "credits": [],
        "invoice": {"month": f"{start:%Y%m}"},
        "cost_type": "regular",
    }
    return {**given, **more}


def credit(amount: float, kind: str) -> dict[str, t.Any]:
    return {"name": kind, "full_name": kind, "id": kind, "amount": amount, "type": kind}


ROWS = [
    row("2026-05-30", 10.0, credits=[credit(-2.0, "SUSTAINED_USAGE_DISCOUNT")], labels=[{"key": "env", "value": "a"}]),
    row("2026-05-30", 5.0, credits=[credit(-1.0, "SUSTAINED_USAGE_DISCOUNT"), credit(-3.0, "PROMOTION")]),
    # Used in June in UTC, and still May in California, where invoices are made.
    row("2026-06-01", 4.0, invoice={"month": "202605"}),
    row("2026-06-02", 7.5, cost_type="tax", usage=None, sku={"id": "TAX", "description": "Tax"}, project=None),
    row(
        "2026-06-03",
        0.0000004,
        usage={"amount": 1, "unit": "requests", "amount_in_pricing_units": 1, "pricing_unit": "count"},
    ),
    row("2026-06-04", 1.0),
]
SKUS = [
    gcp_billing.Sku("A1B2-C3D4-E5F6", "N2 Instance Core running in Americas", "Compute Engine", "h", ((0, 0.031611),)),
    gcp_billing.Sku(
        "S1", "Standard Storage US Multi-region", "Cloud Storage", "GiBy.mo", ((0, 0.0), (5, 0.026)), ("us",)
    ),
    gcp_billing.Sku("S2", "Standard Storage Frankfurt", "Cloud Storage", "GiBy.mo", ((0, 0.023),), ("europe-west3",)),
]


class Cloud:
    """The stand-in and a client of it."""

    def __init__(self, billing: gcp_billing.Billing, google: google_api.Google, url: str) -> None:
        self.billing = billing
        self.google = google
        self.url = url
        self.waited: list[float] = []

    def gather(self, check: bool = False, today: datetime.date = TODAY, **given: t.Any) -> dict[str, t.Any]:
        options = ArgumentSpecValidator(OPTIONS).validate(given)
        assert options.error_messages == []
        asked = {
            "project": "shop-billing",
            "auth_kind": "accesstoken",
            "access_token": google_api.TOKEN,
            "base_url": self.url,
        }
        session = session_from(ArgumentSpecValidator(ARGUMENTS).validate(asked).validated_parameters)
        gcp = Gcp(session, "shop-billing", self.url, retries=1, sleep=self.waited.append)
        return gather(gcp, options.validated_parameters, today, check, self.waited.append)

    def called(self, method: str) -> int:
        return sum(name == method for name, _path in self.google.requests)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    billing = gcp_billing.Billing(
        accounts=[
            gcp_billing.BillingAccount(ACCOUNT, "Shop"),
            gcp_billing.BillingAccount(OTHER, "Old", "EUR", open=False),
        ],
        projects={"shop": ACCOUNT, "shop-billing": ACCOUNT, "attic": OTHER, "free": ""},
        skus=SKUS,
        exports=[gcp_billing.Export(TABLE, lambda: ROWS)],
    )
    google = google_api.Google(apis=[])
    gcp_billing.install(google, billing)
    with google_api.serving(google) as url:
        yield Cloud(billing, google, url)


def costs(cloud: Cloud, **given: t.Any) -> list[dict[str, t.Any]]:
    found = cloud.gather(gather=["costs"], export_table=TABLE, since="2026-05-01", **given)
    return t.cast("list[dict[str, t.Any]]", found["costs"])


def test_accounts_and_their_projects(cloud: Cloud) -> None:
    cloud.billing.page = 1
    found = cloud.gather(show_identities=True)
    assert [(one["account_id"], one["open"], one["currency"]) for one in found["billing_accounts"]] == [
        (ACCOUNT, True, "USD"),
        (OTHER, False, "EUR"),
    ]
    assert [(one["project"], one["account_id"]) for one in found["projects"]] == [
        ("shop", ACCOUNT),
        ("shop-billing", ACCOUNT),
        ("attic", OTHER),
    ]
    # Two accounts on pages of one, three projects on pages of one.
    assert found["api"]["requests"] == 5
    assert ACCOUNT not in str(cloud.gather())
    one = cloud.gather(billing_account=f"billingAccounts/{OTHER}", gather=["projects"])
    assert [paid["project"] for paid in one["projects"]] == ["attic"]


def test_prices_with_their_tiers(cloud: Cloud) -> None:
    cloud.billing.page = 1
    asked = {"services": ["Cloud Storage", "Compute Engine"], "regions": ["us", "us-central1"], "currency": "EUR"}
    found = cloud.gather(gather=["prices"], prices=asked)
    assert [(one["service"], one["unit"], one["currency"]) for one in found["prices"]] == [
        ("Cloud Storage", "GiBy.mo", "EUR"),
        ("Compute Engine", "h", "EUR"),
    ]
    assert found["prices"][0]["tiers"] == [{"from": 0.0, "price": 0.0}, {"from": 5.0, "price": pytest.approx(0.0234)}]
    assert found["prices"][1]["tiers"][0]["price"] == pytest.approx(0.0284499)
    one = cloud.gather(gather=["prices"], prices={"services": ["Cloud Storage"], "contains": "frankfurt"})
    assert [price["sku_id"] for price in one["prices"]] == ["S2"]


def test_costs_by_month_of_the_invoice_and_by_day(cloud: Cloud) -> None:
    may, june = costs(cloud)
    assert (may["period"], may["cost"], may["credits"], may["net_cost"]) == ("2026-05", 19.0, -6.0, 13.0)
    assert (may["quantity"], may["unit"]) == (3.0, "hour")
    assert (june["period"], june["cost"], june["quantity"], june["unit"]) == ("2026-06", 8.5, None, None)
    days = costs(cloud, granularity="daily", group_by=["project"])
    assert [(one["period"], one["group"]["project"], one["cost"]) for one in days] == [
        ("2026-05-30", "shop", 15.0),
        ("2026-06-01", "shop", 4.0),
        ("2026-06-02", None, 7.5),
        ("2026-06-03", "shop", 0.0),
        ("2026-06-04", "shop", 1.0),
    ]


def test_costs_by_labels(cloud: Cloud) -> None:
    found = costs(cloud, group_by=["label:env", "project_label:team", "service"], until="2026-06-01")
    assert [(list(one["group"].values()), one["cost"]) for one in found] == [
        ([None, "web", "Compute Engine"], 9.0),
        (["a", "web", "Compute Engine"], 10.0),
    ]


def test_a_query_is_waited_for_and_read_in_pages(cloud: Cloud) -> None:
    cloud.billing.exports = [gcp_billing.Export(TABLE, lambda: ROWS, location="europe-west3")]
    cloud.billing.waits, cloud.billing.query_page = 3, 2
    found = costs(cloud, granularity="daily", location="europe-west3")
    assert len(found) == 5
    assert cloud.waited == [0.1, 0.2, 0.4]
    assert cloud.called("bigquery.jobs.query") == 2
    assert cloud.called("bigquery.jobs.getQueryResults") == 5


def test_what_a_query_reads_is_known_before_it_is_paid_for(cloud: Cloud) -> None:
    many = [{**ROWS[0], "sku": {"id": "x" * 200_000, "description": "x"}} for _number in range(60)]
    cloud.billing.exports = [gcp_billing.Export(TABLE, lambda: many)]
    with pytest.raises(
        BillingError, match=r"would read 0.0112 GiB .* 6.9e-05 USD, more than max_api_cost \(5e-05 USD\)"
    ):
        costs(cloud, max_api_cost=0.00005)
    assert cloud.called("bigquery.jobs.query") == 1
    found = cloud.gather(gather=["costs"], export_table=TABLE, since="2026-05-01", max_api_cost=0.001)
    assert found["api"]["bytes_billed"] > 60 * 200_000
    assert found["api"]["cost"] == pytest.approx(6.9e-05, abs=1e-6)


def test_partitions_before_the_time_are_not_read(cloud: Cloud) -> None:
    old = [row("2025-01-01", 1.0, sku={"id": "x" * 100_000, "description": "x"}) for _number in range(200)]
    cloud.billing.exports = [gcp_billing.Export(TABLE, lambda: [*old, *ROWS])]
    found = cloud.gather(gather=["costs"], export_table=TABLE, since="2026-05-01")
    assert found["api"]["bytes_billed"] == 10 * 2**20


def test_answers_are_kept(cloud: Cloud, tmp_path: Path) -> None:
    given = {"cache_directory": str(tmp_path), "gather": ["costs", "prices"], "prices": {"services": ["Cloud Storage"]}}
    first = cloud.gather(export_table=TABLE, **given)
    asked = len(cloud.google.requests)
    again = cloud.gather(export_table=TABLE, **given)
    assert (again["costs"], again["cached_answers"], again["api"]["cost"]) == (first["costs"], 3, 0.0)
    assert len(cloud.google.requests) == asked
    cloud.google.busy = 1000
    late = cloud.gather(export_table=TABLE, today=TODAY + datetime.timedelta(days=2), until="2026-06-15", **given)
    assert late["read_on"] == "2026-06-15"
    assert "the answer is of 2026-06-15, from disk" in late["warnings"][0]


# --- rows of FOCUS


def test_the_dataset_has_invoices_as_they_are(cloud: Cloud, tmp_path: Path) -> None:
    given = {
        "gather": ["costs"],
        "export_table": TABLE,
        "dataset": str(tmp_path),
        "since": "2026-05-01",
        "tag_keys": [{"key": "team"}],
    }
    checked = cloud.gather(check=True, **given)
    assert (checked["changed"], list(tmp_path.iterdir())) == (True, [])
    found = cloud.gather(**given)
    assert [(one["period"], one["after"]["BilledCost"]) for one in found["written"]] == [
        ("2026-05", 13.0),
        ("2026-06", 8.5),
    ]
    files = str(tmp_path / "*" / "*.parquet")
    connection = duckdb.connect()
    rows = connection.execute(
        "SELECT ChargeCategory, strftime(ChargePeriodStart, '%m-%d'), BilledCost, EffectiveCost, ListCost, SkuId, "
        f"x_tag_team FROM read_parquet('{files}', union_by_name = true) ORDER BY 1, 2, 3"
    ).fetchall()
    assert rows == [
        ("Credit", "05-30", -3.0, -3.0, -3.0, None, "web"),
        ("Tax", "06-02", 7.5, 7.5, 7.5, None, None),
        ("Usage", "05-30", 4.0, 4.0, 5.0, "A1B2-C3D4-E5F6", "web"),
        ("Usage", "05-30", 8.0, 8.0, 10.0, "A1B2-C3D4-E5F6", "web"),
        ("Usage", "06-01", 4.0, 4.0, 4.0, "A1B2-C3D4-E5F6", "web"),
        ("Usage", "06-03", 4e-7, 4e-7, 4e-7, "A1B2-C3D4-E5F6", "web"),
        ("Usage", "06-04", 1.0, 1.0, 1.0, "A1B2-C3D4-E5F6", "web"),
    ]
    period = connection.execute(
        f"SELECT DISTINCT BillingPeriodStart, BillingPeriodEnd FROM read_parquet('{files}') ORDER BY 1"
    ).fetchall()
    seven = datetime.datetime(2026, 5, 1, 7), datetime.datetime(2026, 6, 1, 7)
    assert period[0] == seven
    assert cloud.gather(**given)["changed"] is False


def test_rows_keep_the_invariants_of_focus(cloud: Cloud, tmp_path: Path) -> None:
    checks = pytest.importorskip("ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_checks")
    cloud.gather(gather=["costs"], export_table=TABLE, dataset=str(tmp_path), since="2026-05-01")
    with duckdb.connect() as connection:
        assert checks.check(connection, f"read_parquet('{tmp_path}/*/*.parquet')") == []


@pytest.mark.parametrize(
    ("day", "hours"),
    [("2026-03-01", 8), ("2026-04-01", 7), ("2026-11-01", 7), ("2026-12-01", 8), ("2025-11-01", 7), ("2026-01-01", 8)],
)
def test_a_month_begins_in_california(day: str, hours: int) -> None:
    zoneinfo = pytest.importorskip("zoneinfo")
    date = datetime.date.fromisoformat(day)
    found = gcp_billing_rows._in_california(date)
    assert found.hour == hours
    try:
        zone = zoneinfo.ZoneInfo("America/Los_Angeles")
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("this machine has no time zones")
    real = datetime.datetime(date.year, date.month, date.day, tzinfo=zone)
    assert found == real.astimezone(datetime.timezone.utc).replace(tzinfo=None)


# --- what is refused


@pytest.mark.parametrize(
    ("method", "given", "sentence"),
    [
        ("cloudbilling.billingAccounts.list", {}, r"grant billing\.accounts\.list to the caller"),
        (
            "cloudbilling.billingAccounts.projects.list",
            {},
            r"refused the projects of billing account .*grant billing\.resourceAssociations\.list on the billing",
        ),
        (
            "bigquery.jobs.query",
            {"gather": ["costs"], "export_table": TABLE},
            r"grant bigquery\.jobs\.create in this project and bigquery\.tables\.getData on the export",
        ),
    ],
)
def test_a_missing_permission_is_named(cloud: Cloud, method: str, given: dict[str, t.Any], sentence: str) -> None:
    cloud.google.denied[method] = "some.permission"
    with pytest.raises(GcpError, match=sentence) as told:
        cloud.gather(**given)
    assert ACCOUNT not in str(told.value)


def test_an_api_that_is_off_is_named(cloud: Cloud) -> None:
    cloud.google.disabled.add("cloudbilling")
    with pytest.raises(GcpError, match=r"Cloud Billing API has not been used .* disabled .*: enable it there"):
        cloud.gather()


def test_an_outage_is_one_sentence(cloud: Cloud) -> None:
    cloud.google.busy = 1000
    with pytest.raises(GcpError, match=r"refused the list of billing accounts .* currently unavailable \(503\)"):
        cloud.gather()


def test_a_wrong_table_and_an_empty_time(cloud: Cloud) -> None:
    with pytest.raises(GcpError, match=r"Not found: Table shop-billing:export.other .*: is export_table right"):
        cloud.gather(gather=["costs"], export_table="shop-billing.export.other")
    found = cloud.gather(gather=["costs"], export_table=TABLE, since="2025-05-01", until="2025-06-01")
    assert found["costs"] == []
    assert found["warnings"][0].startswith("the export has no rows from 2025-05-01 to 2025-06-01: it begins on the day")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"gather": ["costs"]}, "gather has costs and export_table is not set"),
        ({"gather": ["prices"]}, "gather has prices and prices is not set"),
        ({"gather": ["costs"], "export_table": "x; DROP TABLE y"}, "export_table is 'x; DROP TABLE y': give project."),
        (
            {"gather": ["costs"], "export_table": TABLE, "group_by": ["colour"]},
            "group_by has 'colour': use billing_acc",
        ),
        ({"gather": ["costs"], "export_table": TABLE, "group_by": ["label:`"]}, "group_by has 'label:`'"),
        ({"billing_account": "12"}, "billing_account is '12': give an id such as"),
        ({"since": "June"}, "since is 'June': give a day such as"),
        ({"since": "2026-06-02", "until": "2026-06-02"}, "until is the first day that no longer counts"),
        ({"since": "2026-08-01", "until": "2026-09-01"}, "which is to come"),
        ({"dataset": "/x"}, "dataset is set and gather does not have costs"),
        (
            {"gather": ["costs"], "export_table": TABLE, "dataset": "/x", "since": "2026-05-05"},
            "since is 2026-05-05: with dataset it is the first day of a month",
        ),
        ({"gather": ["prices"], "prices": {"services": ["Storage"]}}, r"'Storage', .* did you mean Cloud Storage\?"),
        ({"cache_days": -1}, "cache_days is -1"),
    ],
)
def test_bad_options(cloud: Cloud, given: dict[str, t.Any], sentence: str) -> None:
    with pytest.raises(BillingError, match=sentence):
        cloud.gather(**given)


def test_an_account_that_nobody_sees(cloud: Cloud) -> None:
    with pytest.raises(GcpError, match=r"billing_account \*+-\*+-\*\*0000 is none that these credentials see"):
        cloud.gather(billing_account="000000-000000-000000")
