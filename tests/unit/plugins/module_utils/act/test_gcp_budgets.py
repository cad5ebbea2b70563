# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Budgets of Google Cloud on a stand-in that checks requests with Google's own discovery document."""

from __future__ import annotations

import copy
import typing as t
from collections.abc import Iterator

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.act.gcp_budget_terms import GcpBudgetError
from ansible_collections.frugal.cloud.plugins.module_utils.act.gcp_budgets import Budgets
from ansible_collections.frugal.cloud.plugins.module_utils.cost.hiding import hidden_result
from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change
from ansible_collections.frugal.cloud.plugins.module_utils.gcp import ARGUMENTS, Gcp, GcpError, session_from
from ansible_collections.frugal.cloud.plugins.module_utils.gcp_budget_options import OPTIONS

pytest.importorskip("google.auth")
pytest.importorskip("googleapiclient")
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.frugal.cloud.tests.standins import gcp_budgets, google_api

ACCOUNT = "01AB23-45CD67-89EF01"
PLAIN: dict[str, t.Any] = {"name": "shop", "amount": 1000, "thresholds": [{"threshold": 80}]}
WHOLE: dict[str, t.Any] = {
    **PLAIN,
    "amount": 1234.56,
    "currency": "USD",
    "period": "quarter",
    "projects": ["shop-web", "projects/200"],
    "folders": ["17"],
    "services": ["6F81-5844-456A"],
    "labels": {"team": "shop"},
    "credits": "include_specified",
    "credit_types": ["PROMOTION"],
    "thresholds": [{"threshold": 100}, {"threshold": 33.3, "spend": "forecasted"}],
    "pubsub_topic": "projects/shop/topics/budgets",
    "channels": ["projects/shop/notificationChannels/1"],
    "default_recipients": False,
    "project_recipients": True,
    "ownership": "billing_account",
}


class Client:
    """A billing account, and how long asking for it would have waited."""

    def __init__(self, google: google_api.Google, budgets: gcp_budgets.Budgets, url: str) -> None:
        self.google = google
        self.there = budgets
        self.url = url
        self.waited: list[float] = []

    def run(self, *wanted: dict[str, t.Any], check: bool = False) -> list[Change]:
        given = {"project": "ops", "auth_kind": "accesstoken", "access_token": google_api.TOKEN, "base_url": self.url}
        session = session_from(ArgumentSpecValidator(ARGUMENTS).validate(given).validated_parameters)
        gcp = Gcp(session, "ops", self.url, retries=2, sleep=self.waited.append)
        options = {"billing_account": ACCOUNT, "budgets": [copy.deepcopy(one) for one in wanted]}
        checked = ArgumentSpecValidator(OPTIONS).validate(options)
        assert checked.error_messages == []
        budgets = Budgets(gcp, ACCOUNT, sleep=self.waited.append)
        changes = budgets.decide(checked.validated_parameters["budgets"])
        if not check:
            budgets.perform(changes)
        return changes

    @property
    def changed(self) -> list[str]:
        """The methods that changed something, since the last look."""
        names = [name.rpartition(".")[2] for name, _path in self.google.requests]
        self.google.requests.clear()
        return [name for name in names if name not in ("get", "list")]

    @property
    def one(self) -> dict[str, t.Any]:
        (found,) = self.there.budgets.values()
        return found


@pytest.fixture
def client() -> Iterator[Client]:
    google = google_api.Google()
    budgets = gcp_budgets.Budgets(projects={"shop-web": 100, "shop-data": 200})
    gcp_budgets.install(google, budgets)
    with google_api.serving(google) as url:
        yield Client(google, budgets, url)


def test_a_budget_is_made_and_then_nothing(client: Client) -> None:
    predicted = client.run(PLAIN, check=True)
    assert client.changed == []
    (change,) = client.run(PLAIN)
    assert change == predicted[0]
    assert (change.action, change.after["amount"], change.after["thresholds"]) == (
        "create",
        "1000",
        ["current_spend 80 %"],
    )
    assert client.run(PLAIN) == []
    assert client.changed == ["create"]
    assert client.one["budgetFilter"] == {"calendarPeriod": "MONTH", "creditTypesTreatment": "INCLUDE_ALL_CREDITS"}


def test_everything_at_once_and_then_nothing_whatever_google_adds(client: Client) -> None:
    client.run(WHOLE)
    made = client.one
    assert made["amount"]["specifiedAmount"] == {"currencyCode": "USD", "units": "1234", "nanos": 560000000}
    assert made["budgetFilter"]["projects"] == ["projects/100", "projects/200"], "Google shows numbers"
    assert client.run(WHOLE) == []
    shuffled = {**WHOLE, "projects": ["shop-data", "100"], "thresholds": WHOLE["thresholds"][::-1]}
    assert client.run(shuffled) == [], "the order of lists says nothing"


def test_updates_name_what_they_change_and_keep_the_rest(client: Client) -> None:
    client.run(WHOLE)
    for update in (
        {"amount": 5},
        {"last_period": True},
        {"period": "year"},
        {"projects": []},
        {"labels": {}},
        {"credits": "exclude_all"},
        {"thresholds": []},
        {"pubsub_topic": ""},
        {"channels": []},
        {"default_recipients": True},
        {"ownership": "all_users"},
    ):
        wanted = {"name": "shop", **update}
        before = copy.deepcopy(client.one)
        (change,) = client.run(wanted)
        differing = [key for key in client.one if client.one[key] != before.get(key) and key != "etag"]
        assert len(differing) == len(change.after) == 1
        assert client.run(wanted) == []
    assert client.one["budgetFilter"] == {
        "calendarPeriod": "YEAR",
        "creditTypesTreatment": "EXCLUDE_ALL_CREDITS",
        "resourceAncestors": ["folders/17"],
        "services": ["services/6F81-5844-456A"],
    }


def test_periods_exclude_each_other(client: Client) -> None:
    custom = {**PLAIN, "period": "custom", "start": "2026-06-01", "end": "2026-08-31"}
    client.run(PLAIN)
    client.run(custom)
    assert "calendarPeriod" not in client.one["budgetFilter"]
    assert client.run(custom) == []
    with pytest.raises(GcpBudgetError, match="has a forecast, and Google has none for period custom"):
        client.run({"name": "shop", "thresholds": [{"threshold": 90, "spend": "forecasted"}]})
    client.run({"name": "shop", "period": "month"})
    assert client.one["budgetFilter"]["calendarPeriod"] == "MONTH"
    assert "customPeriod" not in client.one["budgetFilter"]


def test_many_budgets_come_in_pages(client: Client) -> None:
    client.there.page = 10
    wanted = [{**PLAIN, "name": f"team-{number}"} for number in range(25)]
    assert len(client.run(*wanted)) == 25
    client.google.requests.clear()
    assert client.run(*wanted) == []
    assert len(client.google.requests) == 3
    assert len(client.run(*({"name": one["name"], "state": "absent"} for one in wanted))) == 25
    assert client.there.budgets == {}
    assert client.run({"name": "team-1", "state": "absent"}) == []


def test_somebody_else_was_faster(client: Client) -> None:
    client.run(PLAIN)
    client.there.conflicts = 2
    client.run({**PLAIN, "amount": 7})
    assert client.changed == ["create", "patch", "patch", "patch"]
    client.there.conflicts = 3
    with pytest.raises(GcpError, match=r"etag does not match .* \(409\)"):
        client.run({**PLAIN, "amount": 8})
    assert client.one["amount"]["specifiedAmount"]["units"] == "7"


def test_a_lost_answer_makes_no_second_budget(client: Client) -> None:
    client.there.lost = 1
    client.run(PLAIN)
    assert len(client.there.budgets) == 1
    assert client.changed == ["create"]


def test_two_budgets_of_one_name_are_told_apart_by_id(client: Client) -> None:
    client.run(PLAIN)
    (first,) = client.there.budgets
    client.there.budgets[first[:-1] + "x"] = {**copy.deepcopy(client.one), "name": first[:-1] + "x"}
    with pytest.raises(GcpBudgetError, match="is the name of 2 budgets: say which by id"):
        client.run(PLAIN)
    client.run({**PLAIN, "id": first.rpartition("/")[2], "amount": 3})
    assert client.there.budgets[first]["amount"]["specifiedAmount"]["units"] == "3"
    with pytest.raises(GcpBudgetError, match="there is no such budget"):
        client.run({**PLAIN, "id": "none"})


def test_a_missing_permission_is_named(client: Client) -> None:
    for method, permission in (("list", "list"), ("create", "create")):
        client.google.denied = {f"billingbudgets.billingAccounts.budgets.{method}": f"billing.budgets.{permission}"}
        with pytest.raises(GcpError, match=f"grant billing.budgets.{permission} to the caller"):
            client.run(PLAIN)
    client.google.denied = {"cloudresourcemanager.projects.get": "resourcemanager.projects.get"}
    with pytest.raises(
        GcpError, match=r"grant resourcemanager\.projects\.get to the caller or write the project's number"
    ):
        client.run(WHOLE)
    client.google.denied = {}
    client.there.closed_topics = {WHOLE["pubsub_topic"]}
    with pytest.raises(GcpError, match=r"grant billing\.budgets\.create .* and pubsub\.topics\.setIamPolicy"):
        client.run(WHOLE)
    assert client.there.budgets == {}


WRONG: list[tuple[dict[str, t.Any], str]] = [
    ({"amount": -1}, r"^budgets\[b\]\.amount is -1: give a number that is not below zero$"),
    ({"amount": 1, "currency": "EURO"}, r"currency is 'EURO': give the billing account's"),
    ({"amount": None}, r"^budgets\[b\] is new: give amount or last_period$"),
    ({"amount": 1, "last_period": True}, "has amount and last_period"),
    ({"amount": None, "last_period": True, "period": "custom", "start": "2026-01-01"}, "last_period cannot be"),
    ({"amount": None, "currency": "USD"}, "has currency and no amount"),
    ({"period": "custom"}, "has period custom: give start"),
    ({"period": "custom", "start": "2026-13-01"}, "start is '2026-13-01': give a day"),
    ({"period": "custom", "start": "2016-01-01"}, "it has to be after 2017-01-01"),
    ({"period": "custom", "start": "2026-02-01", "end": "2026-01-01"}, "it cannot be before start"),
    ({"start": "2026-02-01"}, "has start, which is for period custom only"),
    ({"thresholds": [{"threshold": -5}]}, r"thresholds\[0\]\.threshold is -5: give a percentage"),
    ({"thresholds": [{"threshold": 5}] * 2}, r"thresholds\[1\] is there twice"),
    ({"projects": ["Shop"]}, r"projects\[0\] is 'Shop': give a project's id or number"),
    ({"services": ["Compute Engine"]}, r"services\[0\] is 'Compute Engine': give a service's id"),
    ({"folders": ["organizations/1"]}, r"folders\[0\] is 'organizations/1'"),
    ({"labels": {"Team": "shop"}}, "labels has 'Team': labels of Google Cloud have no capitals"),
    ({"labels": {"a": "b", "c": "d"}}, "labels has 2 labels: Google takes one"),
    ({"credit_types": ["PROMOTION"]}, "credit_types and credits: include_specified go together"),
    ({"pubsub_topic": "budgets"}, "pubsub_topic is 'budgets': give projects/PROJECT/topics/TOPIC"),
    ({"channels": ["me@example.com"]}, "give an e-mail channel as projects/PROJECT/notificationChannels/ID"),
    ({"channels": [f"projects/p/notificationChannels/{n}" for n in range(6)]}, "has 6: Google takes 5"),
    ({"name": "x" * 61}, "give up to 60 characters"),
]


def test_bad_input_is_one_sentence_and_nothing_is_changed(client: Client) -> None:
    for options, sentence in WRONG:
        with pytest.raises(GcpBudgetError, match=sentence) as caught:
            client.run({**PLAIN, "name": "a"}, {"name": "b", "amount": 1, **options})
        assert "\n" not in str(caught.value)
    with pytest.raises(GcpBudgetError, match="budgets has 'shop' twice"):
        client.run(PLAIN, PLAIN)
    assert client.changed == []
    with pytest.raises(GcpBudgetError, match=r"^billing_account is 'x': give an id such as"):
        Budgets(t.cast("Gcp", None), "x")
    client.run(PLAIN)
    with pytest.raises(GcpBudgetError, match="currency is EUR: the billing account's is USD"):
        client.run({**PLAIN, "currency": "EUR"})


def test_accounts_are_masked_in_diffs(client: Client) -> None:
    changes = client.run({**PLAIN, "subaccounts": [ACCOUNT]}, check=True)
    assert ACCOUNT not in str(hidden_result(changes, show=False))
    assert ACCOUNT in str(hidden_result(changes, show=True))
