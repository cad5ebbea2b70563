# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans: when they change, when they do not, and what is not proposed again."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger, Selection
from ansible_collections.frugal.cloud.plugins.module_utils.plan import (
    PlanError,
    Totals,
    assemble,
    from_iso,
    iso,
    plan_digest,
)
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Monthly, Risk
from hypothesis import given
from hypothesis import strategies as st

DEFAULT = Policy.from_dict({})
DAY = datetime.timedelta(days=1)


def digest(spine: t.Any, *recommendations: t.Any, policy: Policy = DEFAULT) -> str:
    return plan_digest(spine.SCOPE, recommendations, policy)


def test_digest_ignores_evidence_dates_cents_words_and_order(spine: t.Any) -> None:
    first, second = spine.recommendation(1), spine.recommendation(2)
    noise = dataclasses.replace(
        first,
        evidence={"window_end": "2027-01-01", "data_points": 9},
        monthly=dataclasses.replace(first.monthly, saving=first.monthly.saving + 0.3, current=1.0),
        reasons=("other words",),
        warnings=("something",),
        resource=dataclasses.replace(first.resource, name="renamed", tags={}),
    )
    assert digest(spine, first, second) == digest(spine, second, noise)


@pytest.mark.parametrize(
    "change",
    [
        {"proposed": {"instance_type": "m6i.xlarge"}},
        {"current": {"instance_type": "m5.4xlarge"}},
        {"effort": "replace"},
        {"risk": Risk.of({"cpu": 2})},
        {"monthly": Monthly(300.0, 200.0, 103.0)},
    ],
)
def test_digest_covers_what_is_decided(change: t.Any, spine: t.Any) -> None:
    assert digest(spine, spine.recommendation(1)) != digest(spine, spine.recommendation(1, **change))


def test_digest_covers_policy_and_scope(spine: t.Any) -> None:
    other = Policy.from_dict({"minimum_saving": 7})
    assert digest(spine, spine.recommendation()) != digest(spine, spine.recommendation(), policy=other)
    assert plan_digest("a/b", [], DEFAULT) != plan_digest("a/c", [], DEFAULT)


@given(st.permutations(range(8)), st.floats(-0.4, 0.4))
def test_digest_is_stable_under_order_and_cents(order: list[int], cents: float) -> None:
    from dataclasses import replace

    from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
        Recommendation,
        Resource,
        Scope,
    )

    def make(number: int, extra: float) -> Recommendation:
        return Recommendation(
            "ec2_instance_type", "aws", Scope("1", "r"), Resource(f"i-{number}", "ec2_instance"), {"a": 1}, {"a": 2},
            Monthly(9, 8, 100 + number + extra), "idle", ("why",), "cpu", Risk.of({}), "restart",
        )  # fmt: skip

    plain = [make(number, 0.0) for number in range(8)]
    shuffled = [replace(make(number, cents), evidence={"x": cents}) for number in order]
    assert plan_digest("1/r", plain, DEFAULT) == plan_digest("1/r", shuffled, DEFAULT)


def test_actions_are_ranked_by_saving(spine: t.Any) -> None:
    change = assemble(spine.SCOPE, [spine.recommendation(n) for n in (1, 3, 2)], DEFAULT, spine.NOW)
    assert [action.recommendation.resource.id for action in change.plan.actions] == ["i-0003", "i-0002", "i-0001"]
    assert [action.rank for action in change.plan.actions] == [1, 2, 3]
    assert Totals.of(change.plan.actions).to_dict()["monthly_saving"] == 306.0


def test_foreign_and_double_recommendations_are_refused(spine: t.Any) -> None:
    with pytest.raises(PlanError, match="i-0000 belongs to scope '111122223333/eu-west-1'; a plan for 'other/region'"):
        assemble("other/region", [spine.recommendation()], DEFAULT, spine.NOW)
    with pytest.raises(PlanError, match="i-0000 has two recommendations for ec2_instance_type"):
        assemble(spine.SCOPE, [spine.recommendation(), spine.recommendation()], DEFAULT, spine.NOW)


@given(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2200, 1, 1), timezones=st.timezones()))
def test_moments_survive_as_text_that_sorts(moment: datetime.datetime) -> None:
    assert from_iso(iso(moment)) == moment.astimezone(datetime.timezone.utc)
    later = moment.astimezone(datetime.timezone.utc) + datetime.timedelta(microseconds=1)
    assert iso(moment) < iso(later)


# -- in the ledger -----------------------------------------------------------------------


@pytest.fixture
def ledger(sqlite_url: str) -> t.Iterator[Ledger]:
    with Ledger.open(sqlite_url) as opened:
        yield opened


def by_resource(ledger: Ledger, plan_id: str) -> dict[str, t.Any]:
    actions = ledger.actions(Selection(plan_ids=(plan_id,)))
    return {action.recommendation.resource.id: action for action in actions}


def test_the_same_plan_again_changes_nothing_and_approvals_stand(ledger: Ledger, spine: t.Any) -> None:
    found = [spine.recommendation(number) for number in range(3)]
    first = ledger.make_plan(spine.SCOPE, found, DEFAULT, spine.NOW, context={"monthly_cost": 900})
    assert first.kind == "new" and ledger.plan(first.plan.id).context == {"monthly_cost": 900}
    ledger.decide("approved", "alice", spine.NOW, plan_id=first.plan.id)
    before = [action.to_dict() for action in ledger.actions(Selection())]
    noisy = [dataclasses.replace(item, evidence={"window_end": "later"}) for item in reversed(found)]
    again = ledger.make_plan(spine.SCOPE, noisy, DEFAULT, spine.NOW + DAY)
    assert again.kind == "unchanged" and again.plan.id == first.plan.id
    assert [action.to_dict() for action in ledger.actions(Selection())] == before
    assert {action.status for action in ledger.actions(Selection())} == {"approved"}


def test_another_digest_supersedes_what_nobody_began(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(4, {**spine.AUTOMATIC, "maximum_actions": 1})
    ledger = world.ledger
    old = ledger.plans()[0]
    world.executor().apply(Selection())
    policy = Policy.from_dict({**spine.AUTOMATIC, "maximum_actions": 1})
    rest = [spine.recommendation(number) for number in range(3)]
    dry = ledger.make_plan(spine.SCOPE, rest, policy, spine.NOW, dry_run=True)
    assert [plan.id for plan in ledger.plans()] == [old.id], "a dry run stores nothing"
    change = ledger.make_plan(spine.SCOPE, rest, policy, spine.NOW)
    assert (change.kind, change.superseded, change.expired) == ("new", old.id, 3)
    assert dry.plan == change.plan
    left = by_resource(ledger, old.id)
    assert left["i-0003"].status == "applied", "what was applied stays"
    assert {left[f"i-000{number}"].status for number in range(3)} == {"expired"}
    assert left["i-0000"].why == f"superseded by {change.plan.id}"
    assert ledger.plan(old.id).superseded_by == change.plan.id
    with pytest.raises(PlanError, match=f"was superseded by {change.plan.id}; decide about that one"):
        ledger.decide("approved", "alice", spine.NOW, plan_id=old.id)


def test_no_recommendations_left_empties_the_plan(ledger: Ledger, spine: t.Any) -> None:
    ledger.make_plan(spine.SCOPE, [spine.recommendation()], DEFAULT, spine.NOW)
    assert ledger.make_plan(spine.SCOPE, [], DEFAULT, spine.NOW).kind == "new"
    assert ledger.make_plan(spine.SCOPE, [], DEFAULT, spine.NOW).kind == "unchanged"
    assert len(ledger.plans(status="open")) == 1


def test_scopes_have_plans_of_their_own(ledger: Ledger, spine: t.Any) -> None:
    elsewhere = spine.recommendation(scope=dataclasses.replace(spine.recommendation().scope, region="us-east-1"))
    first = ledger.make_plan(spine.SCOPE, [spine.recommendation()], DEFAULT, spine.NOW)
    second = ledger.make_plan("111122223333/us-east-1", [elsewhere], DEFAULT, spine.NOW)
    assert {plan.id for plan in ledger.plans(status="open")} == {first.plan.id, second.plan.id}
    assert not second.superseded
    assert [plan.id for plan in ledger.plans(scopes=[spine.SCOPE])] == [first.plan.id]


def test_rolled_back_changes_are_held_back_for_a_while(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(2)
    policy = Policy.from_dict(spine.AUTOMATIC)
    world.executor().apply(Selection())
    world.executor().rollback(Selection())
    found = [spine.recommendation(number) for number in range(3)]
    change = world.ledger.make_plan(spine.SCOPE, found, policy, spine.NOW + DAY)
    actions = by_resource(world.ledger, change.plan.id)
    assert (actions["i-0000"].status, actions["i-0000"].reason) == ("skipped", "held_back")
    assert "was rolled back on 2026-03-02" in actions["i-0000"].why
    assert "not proposed again before 2026-04-01" in actions["i-0000"].why
    assert actions["i-0002"].status == "approved"
    assert world.ledger.make_plan(spine.SCOPE, found, policy, spine.NOW + 2 * DAY).kind == "unchanged"
    later = world.ledger.make_plan(spine.SCOPE, found, policy, spine.NOW + 31 * DAY)
    assert later.kind == "renewed", "after retry_after_days it is proposed again, in the same plan"
    assert by_resource(world.ledger, change.plan.id)["i-0000"].status == "approved"
    another = [dataclasses.replace(item, proposed={"instance_type": "m6i.xlarge"}) for item in found]
    change = world.ledger.make_plan(spine.SCOPE, another, policy, spine.NOW + 3 * DAY)
    assert by_resource(world.ledger, change.plan.id)["i-0000"].status == "approved", "another size is another change"


def test_a_held_back_change_is_approved_only_by_name(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(1, {})
    ledger = world.ledger
    ledger.decide("rejected", "alice", spine.NOW, plan_id=ledger.plans()[0].id, comment="not this month")
    found = [spine.recommendation(number) for number in range(2)]
    change = ledger.make_plan(spine.SCOPE, found, DEFAULT, spine.NOW + DAY)
    action = by_resource(ledger, change.plan.id)["i-0000"]
    assert (action.status, action.reason) == ("rejected", "held_back")
    assert "rejected by alice: not this month" in action.why
    ledger.decide("approved", "bob", spine.NOW + DAY, plan_id=change.plan.id)
    assert by_resource(ledger, change.plan.id)["i-0000"].status == "rejected"
    ledger.decide("approved", "bob", spine.NOW + DAY, plan_id=change.plan.id, action_ids=[action.id])
    assert by_resource(ledger, change.plan.id)["i-0000"].status == "approved"


def test_failures_are_tried_again_sooner(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(1)
    policy = Policy.from_dict(spine.AUTOMATIC)
    world.cloud.no_capacity.add(spine.NEW)
    world.executor().apply(Selection())
    found = [spine.recommendation(0)]
    assert world.ledger.make_plan(spine.SCOPE, found, policy, spine.NOW + DAY / 2).kind == "unchanged"
    change = world.ledger.make_plan(spine.SCOPE, found, policy, spine.NOW + 2 * DAY)
    assert change.kind == "new", "its journal has a result: it comes back as another action"
    assert change.plan.digest == world.ledger.plan(change.superseded).digest
    assert change.plan.id == f"{change.superseded}-2"
    world.cloud.no_capacity.clear()
    world.clock.time = spine.NOW + 2 * DAY
    world.executor().apply(Selection())
    assert by_resource(world.ledger, change.plan.id)["i-0000"].status == "applied"


def test_expired_approvals_are_asked_for_again(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(2, {})
    plan = world.ledger.plans()[0]
    world.ledger.decide("approved", "alice", spine.NOW, plan_id=plan.id)
    world.clock.time = spine.NOW + 8 * DAY
    world.executor().apply(Selection())
    found = [spine.recommendation(number) for number in range(2)]
    assert world.ledger.make_plan(spine.SCOPE, found, DEFAULT, world.clock()).kind == "renewed"
    assert world.ledger.totals(Selection(plan_ids=(plan.id,))).counts == {"proposed": 2}
    assert world.ledger.make_plan(spine.SCOPE, found, DEFAULT, world.clock()).kind == "unchanged"


def test_an_automatic_approval_that_ran_out_is_renewed_with_the_plan(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(2)
    policy = Policy.from_dict(spine.AUTOMATIC)
    found = [spine.recommendation(number) for number in range(2)]
    assert world.ledger.make_plan(spine.SCOPE, found, policy, spine.NOW + 6 * DAY).kind == "unchanged"
    assert world.ledger.make_plan(spine.SCOPE, found, policy, spine.NOW + 8 * DAY).kind == "renewed"
    world.clock.time = spine.NOW + 8 * DAY
    assert len(world.executor().apply(Selection()).having("applied")) == 2


def test_what_is_in_flight_is_not_proposed_again(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(1)
    with world.ledger.run("apply", spine.NOW) as run:
        assert len(world.ledger.claim(run, Selection(), 10, spine.NOW)) == 1
        found = [spine.recommendation(number) for number in range(2)]
        change = world.ledger.make_plan(spine.SCOPE, found, Policy.from_dict(spine.AUTOMATIC), spine.NOW)
    actions = by_resource(world.ledger, change.plan.id)
    assert (actions["i-0000"].status, actions["i-0000"].reason) == ("skipped", "in_flight")
    assert by_resource(world.ledger, change.superseded)["i-0000"].status == "applying"
