# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""New Relic: what is read, decided and changed, on a stand-in for NerdGraph that validates every request."""

from __future__ import annotations

import json
import typing as t
from collections.abc import Iterator

import graphql
import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.act.newrelic import Account, Wanted
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.nerdgraph import Change, WantedError
from ansible_collections.frugal.cloud.plugins.module_utils.newrelic import BATCH, NerdGraph, NewRelicError
from ansible_collections.frugal.cloud.tests.standins import nerdgraph

_Dict = dict[str, t.Any]


@pytest.fixture
def new_relic() -> nerdgraph.NewRelic:
    """An account in which somebody else has policies of their own."""
    account = nerdgraph.NewRelic(entities={"APP-1": "checkout", "APP-2": "search"})
    for number in range(7):
        key = account.new_id()
        account.policies[key] = {
            "id": key,
            "accountId": account.account_id,
            "name": f"other {number}",
            "incidentPreference": "PER_POLICY",
        }
    return account


class Client:
    """Asks the stand-in, and remembers how long it would have waited."""

    def __init__(self, new_relic: nerdgraph.NewRelic, endpoint: str) -> None:
        self.new_relic = new_relic
        self.endpoint = endpoint
        self.waited: list[float] = []

    def server(self, key: str = nerdgraph.KEY, retries: int = 5) -> NerdGraph:
        return NerdGraph(self.endpoint, key, retries=retries, sleep=self.waited.append)

    def run(self, check: bool = False, **wanted: t.Any) -> list[Change]:
        account = Account(self.server(), self.new_relic.account_id)
        changes = account.decide(Wanted(**wanted))
        if not check:
            account.perform(changes)
        return changes


@pytest.fixture
def client(new_relic: nerdgraph.NewRelic) -> Iterator[Client]:
    with nerdgraph.serving(new_relic) as endpoint:
        yield Client(new_relic, endpoint)


def condition(name: str = "slow", **more: t.Any) -> _Dict:
    base = {"state": "present", "type": "static", "query": "SELECT average(duration) FROM Transaction"}
    term = {"priority": "critical", "operator": "above", "threshold": 1.5, "duration": 300, "occurrences": "all"}
    return {"name": name, **base, "terms": [term], **more}


def policy(name: str = "checkout", *conditions: _Dict, **more: t.Any) -> _Dict:
    base = {"state": "present", "incident_preference": "per_policy", "purge_conditions": False}
    return {"name": name, **base, "conditions": list(conditions), **more}


def dashboard(name: str = "Checkout", **more: t.Any) -> _Dict:
    widget = {"title": "Requests", "visualization": "viz.line", "queries": ["SELECT count(*) FROM Transaction"]}
    page = {"name": "Overview", "widgets": [{**widget, "column": 1, "row": 1, "width": 4, "height": 3}]}
    return {"name": name, "state": "present", "permissions": "public_read_only", "pages": [page], **more}


def done(changes: list[Change]) -> list[tuple[str, str, str]]:
    return [(change.kind, change.action, change.name) for change in changes]


def test_everything_is_made_once(client: Client) -> None:
    wanted = {
        "policies": [
            policy("checkout", condition(), condition("odd", type="baseline", baseline_direction="upper_only")),
            policy("search", condition()),
        ],
        "dashboards": [dashboard()],
        "deployments": [{"entity_guid": "APP-1", "version": "1.4.2", "deployment_type": "rolling"}],
    }
    assert done(client.run(check=True, **wanted)) == done(client.run(check=True, **wanted))
    assert not client.new_relic.conditions
    assert not any("mutation" in request for request in client.new_relic.requests)
    made = client.run(**wanted)
    assert done(made) == [
        ("policy", "create", "checkout"),
        ("policy", "create", "search"),
        ("condition", "create", "slow"),
        ("condition", "create", "odd"),
        ("condition", "create", "slow"),
        ("dashboard", "create", "Checkout"),
        ("deployment", "create", "1.4.2"),
    ]
    odd = next(item for item in client.new_relic.conditions.values() if item["name"] == "odd")
    assert (odd["type"], odd["baselineDirection"], odd["enabled"]) == ("BASELINE", "UPPER_ONLY", True)
    assert client.new_relic.deployments[0]["deploymentType"] == "ROLLING"
    assert client.run(**wanted) == []


def test_drift_is_put_right_and_the_rest_left_alone(client: Client) -> None:
    wanted = {
        "policies": [policy("checkout", condition(signal={"aggregation_window": 120}))],
        "dashboards": [dashboard()],
    }
    client.run(**wanted)
    stored = next(iter(client.new_relic.conditions.values()))
    assert stored["signal"]["aggregationWindow"] == 120
    assert stored["signal"]["aggregationDelay"] == 120, "New Relic's default"
    stored["terms"][0]["threshold"] = 99.0
    stored["signal"]["aggregationDelay"] = 60
    page = next(iter(client.new_relic.dashboards.values()))["pages"][0]
    page["widgets"][0]["title"] = "Renamed by hand"
    guid = page["guid"]
    changes = client.run(**wanted)
    assert done(changes) == [("condition", "update", "slow"), ("dashboard", "update", "Checkout")]
    assert changes[0].before["terms"][0]["threshold"] == 99.0
    assert changes[0].after["terms"][0]["threshold"] == 1.5
    stored = next(iter(client.new_relic.conditions.values()))
    assert stored["terms"][0]["threshold"] == 1.5
    assert stored["signal"]["aggregationDelay"] == 60, "what was not written keeps its value"
    page = next(iter(client.new_relic.dashboards.values()))["pages"][0]
    assert page["widgets"][0]["title"] == "Requests"
    assert page["guid"] == guid, "links to the page stay good"
    assert client.run(**wanted) == []


def test_a_widget_less_is_seen(client: Client) -> None:
    two = dashboard()
    two["pages"][0]["widgets"].append({**two["pages"][0]["widgets"][0], "title": "Second", "row": 4})
    client.run(dashboards=[two])
    assert done(client.run(dashboards=[dashboard()])) == [("dashboard", "update", "Checkout")]
    assert len(next(iter(client.new_relic.dashboards.values()))["pages"][0]["widgets"]) == 1


def test_another_type_is_made_anew(client: Client) -> None:
    client.run(policies=[policy("checkout", condition())])
    baseline = condition(type="baseline", baseline_direction="lower_only")
    changes = client.run(policies=[policy("checkout", baseline)])
    assert [(change.action, change.name) for change in changes] == [("delete", "slow"), ("create", "slow")]
    assert [item["type"] for item in client.new_relic.conditions.values()] == ["BASELINE"]


def test_conditions_that_are_not_listed_go_only_when_asked(client: Client) -> None:
    client.run(policies=[policy("checkout", condition("a"), condition("b"))])
    assert client.run(policies=[policy("checkout", condition("a"))]) == []
    changes = client.run(policies=[policy("checkout", condition("a"), purge_conditions=True)])
    assert done(changes) == [("condition", "delete", "b")]
    changes = client.run(policies=[policy("checkout", condition("a", state="absent"))])
    assert done(changes) == [("condition", "delete", "a")]


def test_what_is_absent_is_removed(client: Client) -> None:
    client.run(policies=[policy("checkout", condition())], dashboards=[dashboard()])
    gone = {"policies": [policy("checkout", state="absent")], "dashboards": [dashboard(state="absent", pages=[])]}
    assert done(client.run(**gone)) == [("policy", "delete", "checkout"), ("dashboard", "delete", "Checkout")]
    assert not client.new_relic.conditions
    assert len(client.new_relic.policies) == 7, "those of others stay"
    assert client.run(**gone) == []


def test_a_deployment_is_marked_once(client: Client) -> None:
    one = {"entity_guid": "APP-1", "version": "1.4.2"}
    two = {"entity_guid": "APP-2", "version": "1.4.2", "commit": "abc"}
    assert len(client.run(deployments=[one, two])) == 2
    assert client.run(deployments=[one, two]) == []
    assert len(client.run(deployments=[{**two, "commit": "def"}])) == 1
    assert len(client.run(deployments=[one], deployments_since=2**42)) == 1, "those of long ago are not looked at"
    with pytest.raises(NewRelicError, match="no entity 'APP-3'"):
        client.run(deployments=[{"entity_guid": "APP-3", "version": "1"}])


def test_a_fleet_takes_few_requests(client: Client) -> None:
    """50 policies of 2 conditions: reading costs a request a page, writing one for each 20."""
    wanted = [policy(f"p{number}", condition("a"), condition("b")) for number in range(50)]
    client.run(policies=wanted)
    written = [request for request in client.new_relic.requests if request.startswith("mutation")]
    assert len(written) == -(-50 // BATCH) + -(-100 // BATCH)
    before = len(client.new_relic.requests)
    assert client.run(policies=wanted) == []
    pages = -(-57 // nerdgraph.PAGE)
    assert len(client.new_relic.requests) - before == pages + -(-50 // BATCH)


def test_pages_are_read_to_the_end(client: Client) -> None:
    many = policy("many", *(condition(f"c{number}") for number in range(nerdgraph.PAGE * 3 + 1)))
    few = policy("few", condition("only"))
    client.run(policies=[many, few])
    assert client.run(policies=[many, few]) == []
    boards = [dashboard(f"d{number}") for number in range(30)]
    client.run(dashboards=boards)
    assert client.run(dashboards=boards) == []


@pytest.mark.parametrize("fault", ["busy", "busy_in_200", "broken"])
def test_a_busy_new_relic_is_asked_again(client: Client, fault: str) -> None:
    setattr(client.new_relic, fault, 3)
    assert len(client.run(policies=[policy()])) == 1
    assert len(client.waited) == 3
    assert len([item for item in client.new_relic.policies.values() if item["name"] == "checkout"]) == 1


def test_a_new_relic_that_stays_busy(client: Client) -> None:
    client.new_relic.busy = 100
    with pytest.raises(NewRelicError, match="answered 429"):
        client.run(policies=[policy()])
    assert len(client.waited) == 5
    client.new_relic.busy, client.new_relic.busy_in_200 = 0, 100
    with pytest.raises(NewRelicError, match="refused the list of policies: Too many requests"):
        client.run(policies=[policy()])


def test_a_change_of_which_nobody_knows_whether_it_was_made_is_not_made_twice(client: Client) -> None:
    account = Account(client.server(), client.new_relic.account_id)
    changes = account.decide(Wanted(policies=[policy()]))
    client.new_relic.broken = 1
    with pytest.raises(NewRelicError, match="answered 500"):
        account.perform(changes)
    assert client.waited == []


def test_errors_in_a_good_answer(client: Client) -> None:
    """The sentence says which entry, why, and how much was done; what was done stays."""
    client.new_relic.refused_name = "bad"
    with pytest.raises(NewRelicError) as raised:
        client.run(policies=[policy("checkout", condition("good"), condition("bad"), condition("fine"))])
    assert str(raised.value) == (
        "New Relic refused to create condition 'bad' of policy 'checkout': Validation Error: NRQL Query: is invalid; "
        "2 of 3 changes were made"
    )
    assert sorted(item["name"] for item in client.new_relic.conditions.values()) == ["fine", "good"]
    with pytest.raises(NewRelicError, match="refused to create dashboard 'bad': Invalid widget"):
        client.run(dashboards=[dashboard("bad")])


def test_a_wrong_key(client: Client) -> None:
    server = client.server("NRAK-GUESSED")
    with pytest.raises(NewRelicError, match="does not take the key") as raised:
        Account(server, client.new_relic.account_id).decide(Wanted(policies=[policy()]))
    assert "NRAK-GUESSED" not in str(raised.value)
    assert server.requests == 1


def test_a_wrong_account(client: Client) -> None:
    with pytest.raises(NewRelicError, match="Account 42 is not accessible"):
        Account(client.server(), 42).decide(Wanted(policies=[policy()]))


def test_two_of_the_same_name_in_new_relic(client: Client) -> None:
    client.run(policies=[policy("twin")])
    twin = next(item for item in client.new_relic.policies.values() if item["name"] == "twin")
    client.new_relic.policies["9"] = {**twin, "id": "9"}
    with pytest.raises(WantedError, match="two policies in New Relic are called 'twin'"):
        client.run(policies=[policy("twin")])


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        ({"policies": [policy("a"), policy("a")]}, "two entries of policies are called 'a'"),
        ({"policies": [policy("a", condition(), condition())]}, "two conditions of policy 'a' are called 'slow'"),
        ({"policies": [policy("a", condition(query=""))]}, "has no query"),
        ({"policies": [policy("a", condition(terms=[]))]}, "has no terms"),
        ({"policies": [policy("a", condition(type="baseline"))]}, "has no baseline_direction"),
        ({"policies": [policy("a", condition(baseline_direction="upper_only"))]}, "its type is static"),
        ({"policies": [policy("a", condition(signal={"aggregation_timer": 5}))]}, "event_timer only"),
        ({"policies": [policy("a", condition(signal={"fill_value": 5}))]}, "fill_option static only"),
        ({"dashboards": [dashboard(pages=[])]}, "has no pages"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_asked(client: Client, wanted: _Dict, sentence: str) -> None:
    with pytest.raises(WantedError, match=sentence):
        client.run(**wanted)
    assert client.new_relic.requests == []


def test_the_stand_in_refuses_what_new_relic_does_not_document() -> None:
    """Else all of the above would prove nothing: a wrong field, type, enum value and missing argument."""
    account = nerdgraph.NewRelic()
    create = "mutation($c: AlertsNrqlConditionStaticInput!) { alertsNrqlConditionStaticCreate(accountId: 1234567, "
    good = {"name": "n", "enabled": True, "nrql": {"query": "SELECT 1"}}
    for variables, call in (
        ({"c": {**good, "colour": "red"}}, "policyId: 1, condition: $c) { id } }"),
        ({"c": {"name": "n"}}, "policyId: 1, condition: $c) { id } }"),
        ({"c": {**good, "violationTimeLimitSeconds": "long"}}, "policyId: 1, condition: $c) { id } }"),
        ({"c": {**good, "signal": {"aggregationMethod": "GUESS"}}}, "policyId: 1, condition: $c) { id } }"),
        ({"c": good}, "policyId: 1, condition: $c) { id colour } }"),
        ({"c": good}, "condition: $c) { id } }"),
    ):
        answer = account.answer({"query": create + call, "variables": variables})
        assert answer["errors"], json.dumps(variables)
        assert not account.conditions
    assert graphql.validate_schema(nerdgraph.schema()) == []
