# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Budgets of Google Cloud beside what imported cost data says that they count."""

from __future__ import annotations

import copy
import datetime
import typing as t
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("google.auth")
pytest.importorskip("googleapiclient")
pytest.importorskip("ibis")
pytest.importorskip("pyarrow")

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.frugal.cloud.plugins.module_utils.budget_info import OPTIONS, all_states
from ansible_collections.frugal.cloud.plugins.module_utils.cost.budget_states import (
    BudgetState,
    Scope,
    gcp_period,
    period_of,
    spent,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import Dataset
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import TagKey, write_rows
from ansible_collections.frugal.cloud.plugins.module_utils.cost.identities import masked_all
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import GcpError
from ansible_collections.frugal.cloud.plugins.module_utils.module_support import OptionError
from ansible_collections.frugal.cloud.tests.standins import gcp_budgets, google_api
from ansible_collections.frugal.cloud.tests.unit.plugins.module_utils.cost import costs_sample

ACCOUNT = "01AB23-45CD67-89EF01"
TODAY = datetime.date(2026, 9, 20)
DAY = datetime.timedelta(days=1)


def rows() -> Iterator[dict[str, t.Any]]:
    """July to September the 19th: 10 USD a day and project, 4 on weekends; a promotion of 5 on each first."""
    day = datetime.date(2026, 7, 1)
    while day < TODAY:
        cost = 4.0 if day.weekday() >= 5 else 10.0
        base = {"BillingAccountId": ACCOUNT, "ProviderName": "Google Cloud", "ServiceName": "Compute Engine"}
        for project in ("shop-web", "shop-data"):
            more = {"SubAccountId": project, "team": "shop" if project == "shop-web" else None}
            yield costs_sample.row(day.replace(day=1), day.day, cost, **base, **more)
        if day.day == 1:
            credit = {**base, "SubAccountId": "shop-web", "ChargeCategory": "Credit", "ChargeFrequency": "One-Time"}
            yield costs_sample.row(day.replace(day=1), 1, -5.0, **credit)
        day += DAY


class World:
    """A billing account, and the cost data of two of its projects."""

    def __init__(self, google: google_api.Google, there: gcp_budgets.Budgets, url: str, folder: Path) -> None:
        self.google = google
        self.there = there
        self.url = url
        self.folder = folder

    def budget(self, name: str, filters: dict[str, t.Any] | None = None, **more: t.Any) -> None:
        amount = {"specifiedAmount": {"units": "400"}}
        body = {"displayName": name, "amount": amount, "budgetFilter": filters or {}, **more}
        self.there.create("", {"billingAccountsId": ACCOUNT}, copy.deepcopy(body))

    def states(self, costs: bool = True, **more: t.Any) -> dict[str, BudgetState]:
        gcp = {"project": "ops", "auth_kind": "accesstoken", "access_token": google_api.TOKEN, "base_url": self.url}
        given = {"aws": False, "billing_accounts": [ACCOUNT], "gcp": gcp, **more}
        if costs:
            given["cost_url"] = str(self.folder)
        checked = ArgumentSpecValidator(OPTIONS).validate(given)
        assert checked.error_messages == []
        found, _api = all_states(checked.validated_parameters, None, TODAY)
        return {state.name: state for state in found}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    write_rows(Dataset(tmp_path / "costs"), "gcp", rows(), [TagKey("team", ("Team",))])
    google = google_api.Google()
    there = gcp_budgets.Budgets(projects={"shop-web": 100, "shop-data": 200})
    gcp_budgets.install(google, there)
    google.resources["/v3/projects/100"] = {"name": "projects/100", "projectId": "shop-web"}
    with google_api.serving(google) as url:
        yield World(google, there, url, tmp_path / "costs")


def september(project_count: int = 1) -> float:
    """What the 19 days that are there cost, without the promotion."""
    days = [TODAY.replace(day=number) for number in range(1, 20)]
    return project_count * sum(4.0 if day.weekday() >= 5 else 10.0 for day in days)


def test_spent_and_forecast_come_from_cost_data(world: World) -> None:
    world.budget(
        "all", thresholdRules=[{"thresholdPercent": 0.6}, {"thresholdPercent": 1, "spendBasis": "FORECASTED_SPEND"}]
    )
    world.budget("gross", {"creditTypesTreatment": "EXCLUDE_ALL_CREDITS"})
    world.budget("one", {"projects": ["projects/shop-web"], "labels": {"team": ["shop"]}})
    found = world.states()
    every = found["all"].to_dict()
    assert every["actual"] == pytest.approx(september(2) - 5)
    # September has 22 weekdays and 8 days of weekends: the month as it will be, and the promotion was on the first.
    assert every["forecast"] == pytest.approx(2 * (22 * 10 + 8 * 4) - 5)
    assert [alert["alarm"] for alert in every["alerts"]] == [True, True]
    assert (every["alerts_in_alarm"], every["unit"], every["start"], every["end"]) == (
        2,
        "USD",
        "2026-09-01",
        "2026-10-01",
    )
    assert every["forecast_share"] == pytest.approx(499 / 400, abs=1e-4)
    assert found["gross"].actual == pytest.approx(september(2))
    assert found["one"].actual == pytest.approx(september()), "the promotion carries no label"
    assert [state.name for state in found.values()] == ["gross", "all", "one"], "nearest to the limit first"


def test_periods_and_limits(world: World) -> None:
    world.budget("quarter", {"calendarPeriod": "QUARTER"})
    world.budget("as before", amount={"lastPeriodAmount": {}})
    custom = {"startDate": {"year": 2026, "month": 9, "day": 2}, "endDate": {"year": 2026, "month": 9, "day": 3}}
    world.budget("two days", {"customPeriod": custom})
    world.budget("too long ago", {"calendarPeriod": "YEAR"}, amount={"lastPeriodAmount": {}})
    found = world.states()
    assert found["quarter"].start == datetime.date(2026, 7, 1)
    assert found["quarter"].actual == pytest.approx(sum(row["BilledCost"] for row in rows()))
    august = sum(row["BilledCost"] for row in rows() if row["BillingPeriodStart"].month == 8)
    assert found["as before"].limit == pytest.approx(august)
    assert found["as before"].unit == "USD"
    assert found["two days"].actual == 40
    assert found["two days"].end == datetime.date(2026, 9, 4)
    assert found["too long ago"].limit is None
    assert "does not reach back to 2025-01-01" in found["too long ago"].note


def test_what_cost_data_cannot_say_is_null_and_the_note_says_why(world: World) -> None:
    world.budget("folder", {"resourceAncestors": ["folders/1"]})
    world.budget("sub", {"subaccounts": [f"billingAccounts/{ACCOUNT}"]})
    world.budget("credits", {"creditTypesTreatment": "INCLUDE_SPECIFIED_CREDITS", "creditTypes": ["PROMOTION"]})
    world.budget("label", {"labels": {"cost": ["x"]}})
    world.budget("service", {"services": ["services/6F81-5844-456A"]})
    world.budget("number", {"projects": ["projects/200"]})
    notes = {name: state.note for name, state in world.states().items() if state.actual is None}
    assert "folders or organizations" in notes["folder"]
    assert "subaccounts" in notes["sub"]
    assert "each credit's type" in notes["credits"]
    assert "no column for the label cost: import it with tag_keys" in notes["label"]
    assert "no column x_ServiceId" in notes["service"]
    assert "the id of projects/200 is not known" in notes["number"]
    (without,) = {state.note for state in world.states(costs=False).values()}
    assert without == "there is no cost data: set cost_url"


def test_currencies_are_never_mixed(world: World) -> None:
    world.budget("all")
    world.there.accounts = {ACCOUNT: "EUR"}
    world.budget("euro")
    found = world.states()
    assert found["all"].actual is not None
    assert (found["euro"].actual, found["euro"].note) == (None, "the cost data is in USD, the budget in EUR")
    more = {"BillingAccountId": ACCOUNT, "SubAccountId": "shop-web", "BillingCurrency": "EUR"}
    write_rows(Dataset(world.folder), "other", [costs_sample.row(TODAY.replace(day=1), 3, 1.0, **more)])
    assert world.states()["all"].note == "the cost data has several currencies: EUR, USD"


def test_a_billing_account_that_was_never_imported(world: World) -> None:
    world.there.accounts = {ACCOUNT: "USD", "FFFFFF-45CD67-89EF01": "USD"}
    body = {"displayName": "other", "amount": {"specifiedAmount": {"units": "4"}}}
    world.there.create("", {"billingAccountsId": "FFFFFF-45CD67-89EF01"}, body)
    found = world.states(billing_accounts=["FFFFFF-45CD67-89EF01"])
    assert found["other"].note == "the cost data has nothing of this billing account"
    assert "FFFFFF" not in str(masked_all(found["other"].to_dict()))


def test_bad_options_and_missing_permissions_are_one_sentence(world: World) -> None:
    with pytest.raises(OptionError, match=r"billing_accounts\[0\] is 'x': give an id"):
        world.states(billing_accounts=["x"])
    with pytest.raises(OptionError, match="there is nothing to read"):
        world.states(billing_accounts=[])
    with pytest.raises(OptionError, match="billing_accounts is set and gcp is not"):
        world.states(gcp=None)
    world.google.denied = {"billingbudgets.billingAccounts.budgets.list": "billing.budgets.list"}
    with pytest.raises(GcpError, match=r"grant billing\.budgets\.list to the caller"):
        world.states()


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        ("daily", "2026-11-24", "2026-11-25"),
        ("monthly", "2026-11-01", "2026-12-01"),
        ("quarterly", "2026-10-01", "2027-01-01"),
        ("annually", "2026-01-01", "2027-01-01"),
    ],
)
def test_periods(period: str, start: str, end: str) -> None:
    found = period_of(period, datetime.date(2026, 11, 24))
    assert [day.isoformat() for day in found] == [start, end]


def test_a_custom_period_without_an_end_has_no_forecast() -> None:
    filters = {"customPeriod": {"startDate": {"year": 2026, "month": 9, "day": 2}}}
    assert gcp_period(filters, TODAY) == ("custom", datetime.date(2026, 9, 2), None)

    class Steady:
        def daily(self, scope: Scope) -> dict[datetime.date, float]:
            days = (scope.until - scope.since).days
            return {scope.since + number * DAY: 1.0 for number in range(days)}

        def currency(self, scope: Scope) -> str | None:
            return "USD"

        def last(self, scope: Scope) -> float:
            return 0.0

    scope = Scope(ACCOUNT, (), (), None, True, "USD", datetime.date(2026, 9, 2), TODAY)
    assert spent(Steady(), scope, None, TODAY) == (18.0, None)
    assert spent(Steady(), scope, datetime.date(2026, 10, 2), TODAY) == (18.0, pytest.approx(30.0))
