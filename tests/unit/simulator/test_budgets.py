# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""AWS Budgets: what the module reads, decides and changes, on the simulator that checks with botocore's model."""

from __future__ import annotations

import copy
import datetime
import typing as t
from collections.abc import Callable

import botocore.session
import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.frugal.cloud.plugins.module_utils.act import aws_budget_filter, aws_budget_terms
from ansible_collections.frugal.cloud.plugins.module_utils.act.aws_budgets import BudgetError, Budgets
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.aws_budget_options import OPTIONS
from ansible_collections.frugal.cloud.plugins.module_utils.cost.budget_states import aws_state, aws_states
from ansible_collections.frugal.cloud.plugins.module_utils.cost.hiding import hidden, hidden_result
from ansible_collections.frugal.cloud.plugins.module_utils.cost.identities import masked_all
from ansible_collections.frugal.cloud.plugins.module_utils.desired import Change
from simulator import budgets
from simulator.errors import AwsError as AwsServerError
from simulator.testing import ACCOUNT, one_account, plain, steady

TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:cost-alerts"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/budgets"
ALERT = {"threshold": 80, "emails": ["finops@example.com"]}
PLAIN: dict[str, t.Any] = {"name": "all", "limit": {"amount": 1000}, "alerts": [ALERT]}
IAM = {
    "threshold": 100,
    "emails": ["finops@example.com"],
    "role": ROLE,
    "iam": {"policy": "arn:aws:iam::aws:policy/AWSDenyAll", "roles": ["builder", "admin"]},
}
FILTER = {
    "and": [
        {"dimension": "SERVICE", "values": ["Amazon Simple Storage Service", "Amazon Elastic Compute Cloud"]},
        {"not": {"dimension": "RECORD_TYPE", "values": ["Credit", "Refund"]}},
        {"tag": "team", "values": ["shop"], "match": ["EQUALS"]},
    ]
}
S3 = {"name": "Amazon Simple Storage Service", "daily": 40.0, "noise": 0.0, "tags": {"team": "shop"}}


class World:
    """An account with a machine and a bucket, in the middle of June 2026."""

    def __init__(self, simulator: t.Any) -> None:
        self.simulator = simulator
        self.cloud = simulator.cloud
        self.state = budgets.state(simulator.cloud.accounts[ACCOUNT])
        keys = {"aws_access_key_id": f"AKIA{ACCOUNT}", "aws_secret_access_key": "x"}
        self.aws = Aws("us-east-1", simulator.url, keys)

    def run(self, *wanted: dict[str, t.Any], check: bool = False) -> list[Change]:
        checked = ArgumentSpecValidator(OPTIONS).validate({"budgets": [copy.deepcopy(one) for one in wanted]})
        assert checked.error_messages == []
        found = Budgets(self.aws, self.cloud.clock.now)
        changes = found.decide(checked.validated_parameters["budgets"])
        if not check:
            found.perform(changes)
        return changes

    @property
    def writes(self) -> list[str]:
        """Operations that changed something, since the last look."""
        found = [
            change["operation"].partition(":")[2]
            for change in self.simulator.gateway.statistics.changes
            if change["result"] == "ok"
        ]
        self.simulator.gateway.statistics.reset()
        return found


@pytest.fixture
def world(start: Callable[..., t.Any]) -> World:
    return World(start(one_account([plain(1, usage=steady())], account={"services": [S3]})))


def test_a_budget_is_made_in_one_call_and_then_nothing(world: World) -> None:
    (predicted,) = world.run(PLAIN, check=True)
    assert world.writes == []
    (change,) = world.run(PLAIN)
    assert (change.action, change.after) == (predicted.action, predicted.after)
    assert change.after["limit"] == "1000 USD"
    assert change.after["alerts"] == ["actual greater_than 80 percentage: finops@example.com"]
    assert world.writes == ["CreateBudget"]
    assert world.run(PLAIN) == []
    assert world.writes == []


KINDS: dict[str, dict[str, t.Any]] = {
    "daily": {"period": "daily", "limit": {"amount": 12.5}},
    "quarterly": {"period": "quarterly", "limit": {"amount": 3000, "unit": "USD"}},
    "annually": {"period": "annually", "limit": {"amount": 12000}, "start": "2026-01-01"},
    "custom": {"period": "custom", "start": "2026-06-01", "end": "2026-09-01", "limit": {"amount": 900}},
    "usage": {"type": "usage", "limit": {"amount": 100, "unit": "Hrs"}},
    "ri_utilization": {"type": "ri_utilization"},
    "ri_coverage": {"type": "ri_coverage", "limit": {"amount": 100}},
    "savings_plans_utilization": {"type": "savings_plans_utilization", "period": "daily"},
    "savings_plans_coverage": {"type": "savings_plans_coverage", "period": "quarterly"},
    "historical": {"auto_adjust": {"type": "historical", "periods": 2}},
    "forecast": {"auto_adjust": {"type": "forecast"}},
    "planned": {"planned_limits": [{"start": "2026-06", "amount": 100}, {"start": "2026-12-01", "amount": 250.5}]},
    "quarters": {"period": "quarterly", "planned_limits": [{"start": "2026-04", "amount": 300}]},
    "filter": {"limit": {"amount": 10}, "filter": FILTER, "metric": "net_amortized_cost"},
    "filter only": {"limit": {"amount": 10}, "filter": FILTER},
    "amortized": {"limit": {"amount": 10}, "cost_types": {"amortized": True, "tax": False}},
    "old filter": {
        "limit": {"amount": 10},
        "cost_filters": {"Region": ["us-east-1"], "TagKeyValue": ["user:team$shop"]},
    },
    "tags": {"limit": {"amount": 10}, "tags": {"team": "shop"}},
    "actions": {"limit": {"amount": 10}, "actions": [IAM]},
}


def test_every_kind_of_budget_is_as_written_whatever_aws_adds(world: World) -> None:
    for kind, options in KINDS.items():
        wanted = {**options, "name": kind, "alerts": [ALERT]}
        assert len(world.run(wanted)) == 1
        assert world.run(wanted) == [], f"{kind}: the second run changes nothing"
        assert len(world.state[kind].alerts) == 1
        # What is not written stays; an update of something else keeps the rest.
        world.run({"name": kind, "end": "2027-01-01"})
        assert world.run({"name": kind, "end": "2027-01-01"}) == []
        assert world.run(wanted | {"end": "2027-01-01"}) == [], f"{kind}: nothing else was touched"


def test_many_budgets_are_read_in_bulk(world: World) -> None:
    wanted = [{**KINDS[kind], "name": kind, "alerts": [ALERT]} for kind in KINDS]
    assert len(world.run(*wanted)) == len(KINDS)
    before = dict(world.aws.calls)
    assert world.run(*wanted) == []
    calls = {name: count - before.get(name, 0) for name, count in world.aws.calls.items()}
    assert calls["budgets:DescribeBudgets"] == 1
    assert calls["budgets:DescribeBudgetNotificationsForAccount"] == 1
    assert calls["budgets:DescribeBudgetActionsForAccount"] == 1
    assert calls["budgets:DescribeSubscribersForNotification"] == len(KINDS)


def test_pages_of_more_budgets_than_one(world: World) -> None:
    wanted = [{**PLAIN, "name": f"team-{number:03}"} for number in range(103)]
    assert len(world.run(*wanted)) == 103
    before = world.aws.calls["budgets:DescribeBudgets"]
    assert world.run(*wanted) == []
    assert world.aws.calls["budgets:DescribeBudgets"] - before == 2


def test_alerts_and_addresses_are_exchanged_and_never_silent(world: World) -> None:
    first = {"threshold": 80, "emails": ["a@example.com", "b@example.com"], "sns_topic": TOPIC}
    world.run({**PLAIN, "alerts": [first, {"threshold": 100, "emails": ["a@example.com"]}]})
    world.simulator.gateway.statistics.reset()
    changed = [
        {"threshold": 80, "emails": ["b@example.com", "c@example.com", "d@example.com"], "sns_topic": TOPIC + "-2"},
        {"threshold": 90, "spend": "forecasted", "emails": ["a@example.com"]},
        {"threshold": 50, "threshold_type": "absolute_value", "comparison": "less_than", "sns_topic": TOPIC},
    ]
    (change,) = world.run({**PLAIN, "alerts": changed})
    assert list(change.before) == list(change.after) == ["alerts"]
    assert world.writes == [
        "UpdateNotification",  # 100 % becomes one of the new ones
        "UpdateSubscriber",
        "UpdateSubscriber",
        "CreateSubscriber",
        "CreateSubscriber",  # the topic comes before the address goes: a notification without anybody is deleted
        "DeleteSubscriber",
        "CreateNotification",
    ]
    made = {(one.body["NotificationType"], one.body["Threshold"]): one.people for one in world.state["all"].alerts}
    assert sorted(made) == [("ACTUAL", 50.0), ("ACTUAL", 80.0), ("FORECASTED", 90.0)]
    assert {one["Address"] for one in made["ACTUAL", 80.0]} == {
        *("b@example.com", "c@example.com", "d@example.com"),
        TOPIC + "-2",
    }
    assert world.run({**PLAIN, "alerts": changed}) == []
    world.run({**PLAIN, "alerts": []})
    assert world.state["all"].alerts == []


UPDATES = {
    "limit": {"limit": {"amount": 20}},
    "from limit to plan": {"planned_limits": [{"start": "2026-06", "amount": 100}]},
    "from limit to auto": {"auto_adjust": {"type": "forecast"}},
    "filter": {"filter": FILTER, "metric": "unblended_cost"},
    "no filter": {"filter": {}},
    "old filter": {"cost_filters": {"Region": ["eu-central-1"]}},
    "cost types": {"cost_types": {"credit": False}},
    "quarter": {"period": "quarterly"},
    "type": {"type": "usage", "limit": {"amount": 5, "unit": "GB"}},
    "start": {"start": "2026-05-01"},
}


def test_updates_from_any_kind_to_any_other(world: World) -> None:
    for update, options in UPDATES.items():
        for made in ("filter", "old filter", "planned", "forecast"):
            world.state.clear()
            world.run({**KINDS[made], "name": "b", "alerts": [ALERT]})
            wanted = {"name": "b", **options}
            if made == "planned" and update in ("quarter", "type"):
                wanted = {**wanted, "limit": {"amount": 7, "unit": "GB" if update == "type" else "USD"}}
            world.run(wanted)
            assert world.run(wanted) == [], f"from {made} to {update}"
            assert len(world.state["b"].alerts) == 1


def test_planned_limits_that_are_over_say_nothing(world: World) -> None:
    plan = [{"start": f"2026-{month:02}", "amount": 100 + month} for month in range(1, 13)]
    wanted = {"name": "year", "planned_limits": plan}
    world.run(wanted)
    limits = world.state["year"].body["PlannedBudgetLimits"]
    assert [float(value["Amount"]) for _key, value in sorted(limits.items())] == [
        *(106.0, 107.0, 108.0, 109.0, 110.0, 111.0, 112.0),
        *(112.0, 112.0, 112.0, 112.0, 112.0),
    ], "the last limit holds on"
    world.cloud.clock.advance(65 * 86400)
    assert world.run(wanted) == [], "two months later nothing is different"
    plan[9]["amount"] = 500
    assert len(world.run(wanted)) == 1
    assert world.run(wanted) == []


def test_actions_of_all_kinds(world: World) -> None:
    scp = {
        **IAM,
        "threshold": 110,
        "approval": "automatic",
        "iam": None,
        "scp": {"policy": "p-0123456789", "targets": [ACCOUNT]},
    }
    ssm = {
        **IAM,
        "spend": "forecasted",
        "threshold": 500,
        "threshold_type": "absolute_value",
        "iam": None,
        "ssm": {"operation": "stop_ec2_instances", "region": "us-east-1", "instances": ["i-0123456789abcdef0"]},
    }
    world.run({**PLAIN, "actions": [IAM, scp]})
    assert world.run({**PLAIN, "actions": [scp, IAM]}) == [], "their order says nothing"
    identities = set(world.state["all"].actions)
    world.run({**PLAIN, "actions": [{**IAM, "approval": "automatic"}, ssm]})
    left = {one["ActionType"]: one for one in world.state["all"].actions.values()}
    assert sorted(left) == ["APPLY_IAM_POLICY", "RUN_SSM_DOCUMENTS"]
    assert left["APPLY_IAM_POLICY"]["ApprovalModel"] == "AUTOMATIC"
    assert left["APPLY_IAM_POLICY"]["ActionId"] in identities, "it is the same action, changed"
    world.run({"name": "all", "state": "absent"})
    assert world.state == {}
    assert world.run({"name": "all", "state": "absent"}) == []


def test_tags_are_as_written(world: World) -> None:
    world.run({**PLAIN, "tags": {"team": "shop", "env": "prod"}})
    assert world.run(PLAIN) == []
    (change,) = world.run({**PLAIN, "tags": {"team": "search"}})
    assert change.after == {"tags": {"team": "search"}}
    assert world.state["all"].tags == {"team": "search"}


# --- nothing half-done


def test_a_budget_whose_action_fails_is_not_there(world: World) -> None:
    world.cloud.faults.deny = ["iam:PassRole"]
    with pytest.raises(AwsError, match=r"iam:PassRole .* the budget is not there, nothing half-done was kept"):
        world.run({**PLAIN, "actions": [IAM]})
    assert world.state == {}


def test_a_budget_whose_alert_fails_is_as_it_was(world: World) -> None:
    world.run({**PLAIN, "actions": [IAM]})
    world.cloud.faults.deny = ["budgets:CreateNotification"]
    wanted = {
        "name": "all",
        "limit": {"amount": 5},
        "alerts": [{"threshold": 70, "emails": ["x@example.com"]}, {"threshold": 71, "emails": ["x@example.com"]}],
        "actions": [],
    }
    with pytest.raises(AwsError, match=r"the budget is as it was, nothing half-done was kept") as caught:
        world.run({**PLAIN, "name": "other"}, wanted)
    assert str(caught.value).startswith("budget all: AWS denied budgets:ModifyBudget in account")
    assert str(caught.value).endswith("1 of 2 changes were made")
    made = world.state["all"]
    assert made.body["BudgetLimit"]["Amount"] in ("1000", "1000.0")
    assert [(one.body["Threshold"], one.people[0]["Address"]) for one in made.alerts] == [(80.0, "finops@example.com")]
    assert len(made.actions) == 1


def test_an_action_that_is_at_work_keeps_its_budget_as_it_was(world: World) -> None:
    world.run({**PLAIN, "actions": [IAM]})
    (action,) = world.state["all"].actions.values()
    action["Status"] = "EXECUTION_IN_PROGRESS"
    with pytest.raises(AwsError, match=r"ResourceLockedException.*the budget is as it was"):
        world.run({**PLAIN, "limit": {"amount": 5}, "actions": []})
    assert float(world.state["all"].body["BudgetLimit"]["Amount"]) == 1000
    assert len(world.state["all"].actions) == 1


def test_a_budget_that_cannot_be_deleted_keeps_its_actions(world: World) -> None:
    world.run({**PLAIN, "actions": [IAM]})
    world.cloud.faults.deny = ["budgets:DeleteBudget"]
    with pytest.raises(AwsError, match="the budget is as it was"):
        world.run({"name": "all", "state": "absent"})
    assert [one["ActionType"] for one in world.state["all"].actions.values()] == ["APPLY_IAM_POLICY"]


def test_what_is_not_written_needs_no_permission_even_to_take_something_back(world: World) -> None:
    world.run({**PLAIN, "actions": [IAM]})
    world.cloud.faults.deny = ["budgets:DescribeBudgetAction*", "budgets:*Tag*", "budgets:UpdateSubscriber"]
    before = world.aws.calls["budgets:DescribeSubscribersForNotification"]
    world.run({"name": "all", "limit": {"amount": 7}})
    assert world.aws.calls["budgets:DescribeSubscribersForNotification"] == before
    with pytest.raises(AwsError, match="the budget is as it was"):
        world.run({"name": "all", "limit": {"amount": 5}, "alerts": [{**ALERT, "emails": ["x@example.com"]}]})
    assert float(world.state["all"].body["BudgetLimit"]["Amount"]) == 7


@pytest.mark.parametrize("lost", ["CreateBudget", "CreateBudgetAction"])
def test_a_lost_answer_is_looked_up_and_the_budget_completed(world: World, lost: str) -> None:
    answer = world.simulator.gateway._answer
    cut: list[str] = []

    def breaks(environ: t.Any, call: t.Any, body: bytes) -> t.Any:
        found = answer(environ, call, body)
        if call.operation == lost and not cut:
            cut.append(lost)
            raise AwsServerError("InternalErrorException", "it happened, and nobody knows", 500)
        return found

    world.simulator.gateway._answer = breaks
    world.run({**PLAIN, "actions": [IAM]})
    assert cut == [lost]
    assert len(world.state["all"].actions) == 1
    assert world.run({**PLAIN, "actions": [IAM]}) == []


def test_somebody_elses_budget_is_not_taken_back(world: World) -> None:
    wanted = (
        ArgumentSpecValidator(OPTIONS).validate({"budgets": [copy.deepcopy(PLAIN)]}).validated_parameters["budgets"]
    )
    mine = Budgets(world.aws, world.cloud.clock.now)
    changes = mine.decide(wanted)
    world.run({**PLAIN, "limit": {"amount": 7}})
    with pytest.raises(AwsError, match="DuplicateRecordException"):
        mine.perform(changes)
    assert world.state["all"].body["BudgetLimit"]["Amount"] == "7"


# --- bad input

WRONG: list[tuple[dict[str, t.Any], str]] = [
    ({"limit": {"amount": -5}}, r"^budgets\[b\]\.limit\.amount is -5: give a number that is not below zero$"),
    ({"limit": {"amount": float("nan")}}, r"limit\.amount is nan"),
    ({"limit": {"amount": 5, "unit": "XYZ"}}, r"^budgets\[b\]\.limit\.unit is 'XYZ': give the bill's currency"),
    ({}, r"^budgets\[b\] is new: give limit, planned_limits or auto_adjust$"),
    ({"limit": {"amount": 5}, "auto_adjust": {"type": "forecast"}}, "has limit and auto_adjust: only one"),
    ({"type": "usage", "limit": {"amount": 5}}, r"limit\.unit is missing"),
    (
        {"type": "ri_coverage", "limit": {"amount": 80}},
        r"limit\.amount is 80: a budget of type ri_coverage always has 100",
    ),
    ({"type": "ri_coverage", "auto_adjust": {"type": "forecast"}}, "auto_adjust needs type cost or usage"),
    ({"period": "daily", "auto_adjust": {"type": "historical", "periods": 61}}, r"periods is 61: give 1 to 60"),
    ({"auto_adjust": {"type": "historical"}}, r"periods is None: give 1 to 12"),
    ({"auto_adjust": {"type": "forecast", "periods": 2}}, "periods is only for type historical"),
    ({"period": "custom", "limit": {"amount": 1}}, "has period custom: give start and end"),
    ({"period": "custom", "start": "x", "end": "2026-12-01", "limit": {"amount": 1}}, "start is 'x': give a day"),
    ({"start": "2026-12-01", "end": "2026-12-01", "limit": {"amount": 1}}, "it has to be after start, 2026-12-01"),
    ({"end": "2088-01-01", "limit": {"amount": 1}}, "AWS knows no days after 2087-06-15"),
    ({"planned_limits": []}, "planned_limits is empty"),
    ({"planned_limits": [{"start": "2026-07", "amount": 1}]}, "it has to say the limit from 2026-06-01 on"),
    ({"planned_limits": [{"start": "2026-06-15", "amount": 1}]}, "give the first day of a period"),
    ({"planned_limits": [{"start": "2026-06", "amount": 1}] * 2}, "is 2026-06 twice"),
    ({"period": "daily", "planned_limits": [{"start": "2026-06", "amount": 1}]}, "needs type cost or usage and period"),
    ({"limit": {"amount": 1}, "filter": {"dimention": "SERVICE"}}, r"filter has 'dimention': give one of and, or, not"),
    (
        {"limit": {"amount": 1}, "filter": {"dimension": "SERVIS", "values": ["x"]}},
        "dimension is 'SERVIS': AWS Budgets",
    ),
    ({"limit": {"amount": 1}, "filter": {"dimension": "SERVICE"}}, "filter has no values"),
    ({"limit": {"amount": 1}, "filter": {"tag": "a", "values": "x"}}, "values is 'x': give a list"),
    ({"limit": {"amount": 1}, "filter": {"tag": "a", "values": ["x"], "match": ["LIKE"]}}, "match has 'LIKE'"),
    ({"limit": {"amount": 1}, "filter": {"tag": "a", "not": {}}}, "filter has not and tag: give one of"),
    ({"limit": {"amount": 1}, "filter": {"and": [{"tag": "a", "values": ["x"]}]}}, "give a list of two or more"),
    ({"limit": {"amount": 1}, "filter": {"not": 3}}, "filter.not is 3: give a mapping"),
    ({"limit": {"amount": 1}, "filter": {"tag": "a", "value": ["x"]}}, "filter has 'value': beside tag"),
    ({"limit": {"amount": 1}, "cost_filters": {"service": ["x"]}}, "cost_filters has 'service': AWS knows AZ"),
    ({"limit": {"amount": 1}, "cost_filters": {"Service": []}}, "Service has no values"),
    ({"limit": {"amount": 1}, "cost_filters": {"Service": ["x"]}, "metric": "hours"}, "has metric and cost_filters"),
    ({"limit": {"amount": 1}, "cost_types": {"amortized": True, "blended": True}}, "only one of them"),
    ({"type": "usage", "limit": {"amount": 1, "unit": "GB"}, "cost_types": {"tax": True}}, "only for type cost"),
    ({"alerts": [{"threshold": -1, "emails": ["a@example.com"]}]}, r"alerts\[0\]\.threshold is -1: give 0 to 1000000"),
    ({"alerts": [{"threshold": 2e6, "emails": ["a@example.com"]}]}, "threshold is 2e"),
    ({"alerts": [{"threshold": 80, "emails": ["a.example.com"]}]}, r"emails\[0\] is 'a.example.com': give an address"),
    ({"alerts": [{"threshold": 80}]}, r"alerts\[0\] tells nobody"),
    ({"alerts": [{"threshold": 80, "sns_topic": "alerts"}]}, "sns_topic is 'alerts': give a topic's ARN"),
    ({"alerts": [ALERT, ALERT]}, "is there twice"),
    ({"alerts": [{**ALERT, "threshold": n} for n in range(11)]}, "alerts has 11: AWS takes 10"),
    ({"alerts": [{"threshold": 1, "emails": [f"a{n}@example.com" for n in range(11)]}]}, "emails has 11 addresses"),
    (
        {"period": "daily", "alerts": [{**ALERT, "spend": "forecasted"}]},
        "AWS has no forecast for type cost and period daily",
    ),
    ({"type": "ri_coverage", "alerts": [{**ALERT, "spend": "forecasted"}]}, "AWS has no forecast for type ri_coverage"),
    ({"actions": [{**IAM, "iam": None}]}, "has nothing to do: give one of iam, scp and ssm"),
    ({"actions": [{**IAM, "role": "admin"}]}, "role is 'admin'"),
    ({"actions": [{**IAM, "iam": {"policy": "AWSDenyAll"}}]}, "iam.policy is 'AWSDenyAll'"),
    ({"actions": [{**IAM, "iam": {"policy": IAM["iam"]["policy"]}}]}, "to nobody: give roles, groups or users"),
    ({"actions": [IAM, IAM]}, r"actions\[1\] is there twice"),
]


def test_bad_input_is_one_sentence_and_nothing_is_changed(world: World) -> None:
    for options, sentence in WRONG:
        amounts = {"limit", "planned_limits", "auto_adjust", "type"} & set(options)
        base = {} if amounts or not options else {"limit": {"amount": 1}}
        with pytest.raises(BudgetError, match=sentence) as caught:
            world.run({**PLAIN, "name": "a"}, {"name": "b", **base, **options})
        assert "\n" not in str(caught.value)
    assert world.writes == []


def test_names(world: World) -> None:
    for name in ("", "a:b", "a\\b", "x/action/y", "x" * 101):
        with pytest.raises(BudgetError, match="up to 100 characters"):
            world.run({**PLAIN, "name": name})
    with pytest.raises(BudgetError, match="budgets has 'all' twice"):
        world.run(PLAIN, PLAIN)


def test_a_missing_permission_is_named_as_iam_names_it(world: World) -> None:
    world.run(PLAIN)
    for denied in (
        "budgets:ViewBudget",
        "budgets:ModifyBudget",
        "budgets:DescribeBudgetActionsForAccount",
        "budgets:CreateBudgetAction",
        "budgets:ListTagsForResource",
        "budgets:TagResource",
    ):
        world.cloud.faults.deny = [denied]
        with pytest.raises(AwsError, match=f"AWS denied {denied} in account"):
            world.run({**PLAIN, "limit": {"amount": 5}, "actions": [IAM], "tags": {"a": "b"}})
        assert float(world.state["all"].body["BudgetLimit"]["Amount"]) == 1000
        assert world.state["all"].actions == {}


def test_words_are_those_of_botocores_model() -> None:
    model = botocore.session.get_session().get_service_model("budgets")
    assert set(aws_budget_filter.DIMENSIONS) == set(model.shape_for("Dimension").enum)
    assert set(aws_budget_filter.MATCH) == set(model.shape_for("MatchOption").enum)
    assert set(aws_budget_terms.METRICS.values()) == set(model.shape_for("Metric").enum)
    assert set(aws_budget_terms.COST_TYPES.values()) == set(model.shape_for("CostTypes").members)
    assert model.shape_for("NotificationWithSubscribersList").metadata["max"] == aws_budget_terms.MOST_ALERTS
    options = OPTIONS["budgets"]["options"]
    assert {kind.upper() for kind in options["type"]["choices"]} == set(model.shape_for("BudgetType").enum)
    assert {period.upper() for period in options["period"]["choices"]} == set(model.shape_for("TimeUnit").enum)
    assert set(options["cost_types"]["options"]) == set(aws_budget_terms.COST_TYPES)
    assert set(options["metric"]["choices"]) == set(aws_budget_terms.METRICS)


# --- budget_info


def test_states_of_budgets_in_one_schema(world: World) -> None:
    today = datetime.datetime.fromtimestamp(world.cloud.clock.now(), datetime.timezone.utc).date()
    assert aws_states(world.aws, today) == []
    spent = [{"threshold": 80, "emails": ["finops@example.com"]}, {**ALERT, "spend": "forecasted", "threshold": 500}]
    world.run(
        {"name": "small", "limit": {"amount": 100}, "alerts": spent, "actions": [{**IAM, "threshold": 90}]},
        {"name": "automatic", "limit": {"amount": 100}, "actions": [{**IAM, "approval": "automatic"}]},
        {"name": "s3", "limit": {"amount": 10000}, "filter": {"tag": "team", "values": ["shop"]}, "alerts": spent},
        {"name": "days", "period": "custom", "start": "2026-06-01", "end": "2026-07-01", "limit": {"amount": 1}},
        {"name": "plans", "type": "savings_plans_coverage", "period": "quarterly"},
    )
    found = {state.name: state for state in aws_states(world.aws, today)}
    small = found["small"].to_dict()
    assert (small["provider"], small["unit"], small["limit"], small["period"]) == ("aws", "USD", 100.0, "monthly")
    assert (small["start"], small["end"]) == ("2026-06-01", "2026-07-01")
    # Half a month of a bucket for 40 USD a day, beside the machine.
    assert 14 * 40 < found["s3"].actual < 15 * 40 < small["actual"] < small["forecast"]
    assert small["actual_share"] == pytest.approx(small["actual"] / 100, abs=1e-4)
    assert [alert["alarm"] for alert in small["alerts"]] == [True, True]
    assert (small["alerts_in_alarm"], small["actions_pending"]) == (2, 1)
    assert small["actions"][0]["status"] == "pending"
    assert [(one.status, one.pending) for one in found["automatic"].actions] == [("execution_success", False)]
    assert [alert.alarm for alert in found["s3"].alerts] == [False, False]
    assert (found["days"].start.isoformat(), found["days"].end) == ("2026-06-01", datetime.date(2026, 7, 1))
    assert (found["plans"].unit, found["plans"].forecast) == ("PERCENTAGE", None)
    assert found["plans"].end == datetime.date(2026, 7, 1)
    assert ACCOUNT not in str(masked_all(small))


def test_reading_states_lacks_a_permission(world: World) -> None:
    world.run(PLAIN)
    for denied in ("budgets:ViewBudget", "budgets:DescribeBudgetActionsForAccount"):
        world.cloud.faults.deny = [denied]
        with pytest.raises(AwsError, match=f"AWS denied {denied} in account"):
            aws_states(world.aws, datetime.date(2026, 6, 15))


def test_an_unhealthy_budget_says_why() -> None:
    budget = {
        "BudgetName": "b",
        "BudgetType": "COST",
        "TimeUnit": "DAILY",
        "HealthStatus": {"Status": "UNHEALTHY", "StatusReason": "FILTER_INVALID"},
    }
    state = aws_state(budget, (), (), ACCOUNT, "arn:", datetime.date(2026, 6, 15))
    assert (state.healthy, state.note) == (False, "AWS does not update it: FILTER_INVALID")
    assert (state.limit, state.share(1.0)) == (None, None)


def test_sentences_hide_accounts_and_addresses(world: World) -> None:
    world.cloud.faults.deny = ["budgets:*"]
    with pytest.raises(AwsError) as caught, hidden(show=False):
        world.run(PLAIN)
    assert ACCOUNT not in str(caught.value)
    assert "********1111" in str(caught.value)
    with pytest.raises(AwsError, match=ACCOUNT), hidden(show=True):
        world.run(PLAIN)
    world.cloud.faults.deny = []
    changes = world.run({**PLAIN, "alerts": [{**ALERT, "sns_topic": TOPIC}]}, check=True)
    told = str(hidden_result(changes, show=False))
    assert "finops@" not in told
    assert ACCOUNT not in told
    assert "finops@example.com" in str(hidden_result(changes, show=True))
