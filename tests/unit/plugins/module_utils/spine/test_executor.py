# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The executor against a fake cloud that dies, refuses and drifts at every possible moment."""

from __future__ import annotations

import datetime
import itertools
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.executor import StepOutcome
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Ledger, Selection
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlanError
from ansible_collections.frugal.cloud.plugins.module_utils.policy import Policy

EVERYTHING = Selection()


def statuses(ledger: Ledger) -> list[str]:
    return [action.status for action in ledger.actions(EVERYTHING, limit=1000)]


def results(ledger: Ledger, direction: str = "apply") -> list[int]:
    """How many result entries each action has in ``direction``."""
    ids = [action.id for action in ledger.actions(EVERYTHING, limit=1000)]
    return [
        sum(entry.phase == "result" and entry.direction == direction for entry in entries)
        for entries in ledger.journal(ids).values()
    ]


def test_apply_and_rollback(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(10)
    result = world.executor().apply(EVERYTHING)
    assert statuses(world.ledger) == ["applied"] * 10
    assert {i.type for i in world.cloud.instances.values()} == {spine.NEW}
    assert {i.state for i in world.cloud.instances.values()} == {"running"}
    assert results(world.ledger) == [1] * 10
    assert result.changed and result.steps == 30 and not result.interrupted
    assert world.actor.largest_read <= 4, "no more than max_in_flight at a time"
    assert world.actor.performs < 20, "one batch a step, not one call an action"
    calls = len(world.cloud.calls)
    again = world.executor().apply(EVERYTHING)
    assert not again.changed and len(world.cloud.calls) == calls

    back = world.executor().rollback(EVERYTHING)
    assert statuses(world.ledger) == ["rolled_back"] * 10
    assert {i.type for i in world.cloud.instances.values()} == {spine.OLD}
    assert results(world.ledger, "revert") == [1] * 10
    assert len(back.having("rolled_back")) == 10
    calls = len(world.cloud.calls)
    assert not world.executor().rollback(EVERYTHING).changed and len(world.cloud.calls) == calls


# -- a process that dies -----------------------------------------------------------------


class Boundaries:
    """Counts every boundary around ledger writes and cloud calls, and dies at the one wanted.

    Boundaries: before and after each transaction of the ledger that records something, and
    before and after each single call of the cloud within a batch.
    """

    WRITES = (
        "expire_due",
        "abandoned",
        "claim",
        "record_intents",
        "record_outcomes",
        "turn_back",
        "put_back",
        "finish",
    )

    def __init__(self, monkeypatch: t.Any, world: t.Any, crash: type[BaseException], at: int) -> None:
        self.passed = 0
        self.names: list[str] = []
        self.at_name = ""

        def boundary(name: str) -> None:
            self.names.append(name)
            self.passed += 1
            if self.passed == at or name == self.at_name:
                raise crash(name)

        def wrapped(name: str) -> t.Any:
            method = getattr(world.ledger, name)

            def call(*arguments: t.Any, **options: t.Any) -> t.Any:
                boundary(f"before {name}")
                answer = method(*arguments, **options)
                boundary(f"after {name}")
                return answer

            return call

        for name in self.WRITES:
            monkeypatch.setattr(world.ledger, name, wrapped(name))
        world.actor.before = lambda step, identity: boundary(f"before {step} {identity}")
        world.actor.after = lambda step, identity: boundary(f"after {step} {identity}")


def forget(world: t.Any) -> None:
    """What the death of a process leaves: the run without an end, and no lock."""
    import sqlalchemy

    with world.ledger.database.write() as connection:
        connection.execute(sqlalchemy.text("UPDATE frugal_runs SET ended_at = NULL, outcome = ''"))


def run_with_deaths(world: t.Any, spine: t.Any, go: str, at: int) -> list[str]:
    """Run ``go``, die at boundary ``at``, run again undisturbed; returns boundaries passed."""
    with pytest.MonkeyPatch.context() as patch:
        boundaries = Boundaries(patch, world, spine.Crash, at)
        try:
            getattr(world.executor(), go)(EVERYTHING)
            died = False
        except spine.Crash:
            died = True
    world.actor.before = world.actor.after = lambda step, identity: None
    if died:
        forget(world)
        getattr(world.executor(), go)(EVERYTHING)
    return boundaries.names if died else []


def assert_no_useless_call(world: t.Any) -> None:
    useless = [call for call in world.cloud.calls if not call[2]]
    assert not useless, f"calls after the one that took effect: {useless}"


@pytest.mark.parametrize("go", ["apply", "rollback"])
def test_dies_at_every_boundary_and_is_resumed(go: str, make_world: t.Any, spine: t.Any) -> None:
    seen: set[str] = set()
    at = 0
    while True:
        at += 1
        count = 2 if go == "apply" else 1
        world = make_world(count)
        if go == "rollback":
            world.executor().apply(EVERYTHING)
            world.cloud.calls.clear()
        names = run_with_deaths(world, spine, go, at)
        wanted, status = (spine.NEW, "applied") if go == "apply" else (spine.OLD, "rolled_back")
        where = names[-1] if names else "nowhere"
        assert statuses(world.ledger) == [status] * count, where
        assert {(i.type, i.state) for i in world.cloud.instances.values()} == {(wanted, "running")}, where
        assert results(world.ledger, "apply" if go == "apply" else "revert") == [1] * count, where
        assert len(world.cloud.calls) == 3 * count, where
        assert_no_useless_call(world)
        for entries in world.ledger.journal([a.id for a in world.ledger.actions(EVERYTHING)]).values():
            phases = [entry.phase for entry in entries if entry.phase in ("intent", "outcome")]
            assert phases[0::2] == ["intent"] * (len(phases) // 2), where
            assert phases[1::2] == ["outcome"] * (len(phases) // 2), where
        if go == "apply" and at % 4 == 0:
            world.executor().rollback(EVERYTHING)
            assert {(i.type, i.state) for i in world.cloud.instances.values()} == {(spine.OLD, "running")}, where
            assert statuses(world.ledger) == ["rolled_back"] * count, where
        if not names:
            break
        seen.add(where.partition(" i-")[0])
    assert at > 20
    steps = {f"{when} {step}" for when in ("before", "after") for step in ("stop", "resize", "start")}
    writes = {f"{when} {name}" for when in ("before", "after") for name in ("claim", "record_intents", "finish")}
    assert steps | writes <= seen


def test_dies_again_and_again(make_world: t.Any, spine: t.Any) -> None:
    """Every run dies a little later than the one before; the work still gets done once."""
    world = make_world(6)
    for at in range(1, 200):
        with pytest.MonkeyPatch.context() as patch:
            Boundaries(patch, world, spine.Crash, at)
            try:
                world.executor().apply(EVERYTHING)
                break
            except spine.Crash:
                forget(world)
    assert statuses(world.ledger) == ["applied"] * 6
    assert results(world.ledger) == [1] * 6
    assert_no_useless_call(world)
    assert at > 5, "it died several times"


def test_dies_while_it_walks_back(make_world: t.Any, spine: t.Any) -> None:
    """No capacity for the new type: however often it dies, it ends in the old one, running."""
    at = 0
    while True:
        at += 1
        world = make_world(1)
        world.cloud.no_capacity.add(spine.NEW)
        names = run_with_deaths(world, spine, "apply", at)
        assert {(i.type, i.state) for i in world.cloud.instances.values()} == {(spine.OLD, "running")}
        assert statuses(world.ledger) == ["failed"], names
        assert results(world.ledger) == [1]
        assert all(action.reason == "restored" for action in world.ledger.actions(EVERYTHING))
        assert all("InsufficientInstanceCapacity" in action.why for action in world.ledger.actions(EVERYTHING))
        assert_no_useless_call(world)
        if not names:
            break
    assert at > 25


def die_in(world: t.Any, spine: t.Any, go: str, where: str) -> None:
    """Run ``go`` and die at the first boundary called ``where``."""
    with pytest.MonkeyPatch.context() as patch:
        boundaries = Boundaries(patch, world, spine.Crash, -1)
        boundaries.at_name = where
        with pytest.raises(spine.Crash):
            getattr(world.executor(), go)(EVERYTHING)
    world.actor.before = world.actor.after = lambda step, identity: None
    forget(world)


def test_what_is_half_done_can_be_rolled_back_instead_of_finished(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(3)
    die_in(world, spine, "apply", "after resize i-0001")
    predicted = world.executor().predict(EVERYTHING, rollback=True)
    result = world.executor().rollback(EVERYTHING)
    assert {(i.type, i.state) for i in world.cloud.instances.values()} == {(spine.OLD, "running")}
    assert statuses(world.ledger) == ["rolled_back"] * 3 and results(world.ledger) == [1] * 3
    assert {o.why for o in result.outcomes} == {"rolled back when it was half done; it is back in its old state"}
    assert [(o.id, o.status) for o in predicted.outcomes] == [(o.id, o.status) for o in result.outcomes]
    assert world.ledger.savings(EVERYTHING) == []


def test_what_was_only_claimed_passes_the_gates_again(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(2)
    die_in(world, spine, "apply", "after claim")
    assert statuses(world.ledger) == ["applying"] * 2
    world.clock.time += datetime.timedelta(days=8)
    result = world.executor().apply(EVERYTHING)
    assert [o.reason for o in result.outcomes] == ["approval_expired"] * 2 and result.resumed == 0
    assert world.cloud.calls == []


def test_what_was_only_claimed_expires_with_its_plan(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(2)
    die_in(world, spine, "apply", "after claim")
    world.ledger.make_plan(spine.SCOPE, [], Policy.from_dict(spine.AUTOMATIC), spine.NOW)
    assert not world.executor().apply(EVERYTHING).outcomes
    assert statuses(world.ledger) == ["expired"] * 2 and world.cloud.calls == []


def test_what_another_run_has_taken_over_is_left_to_it(
    make_world: t.Any, spine: t.Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This run is slow, lost its lock, and another one has taken an action over: no step more."""
    world = make_world(3)
    real = world.actor.read

    def read(actions: t.Any) -> t.Any:
        import sqlalchemy

        with world.ledger.database.write() as connection:
            connection.execute(
                sqlalchemy.text("UPDATE frugal_actions SET run_id = 'another' WHERE resource_id = 'i-0001'")
            )
        return real(actions)

    monkeypatch.setattr(world.actor, "read", read)
    result = world.executor().apply(EVERYTHING)
    assert [(o.resource, o.reason) for o in result.deferred] == [("i-0001", "taken_over")]
    assert sorted(statuses(world.ledger)) == ["applied", "applied", "applying"]
    assert not [call for call in world.cloud.calls if call[1] == "i-0001"]


def test_a_run_that_lost_its_lock_stops(make_world: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Run

    world = make_world(3)
    monkeypatch.setattr(Run, "alive", lambda self: False)
    result = world.executor().apply(EVERYTHING)
    assert "lost its lock" in result.interrupted and world.cloud.calls == []
    monkeypatch.undo()
    world.executor().apply(EVERYTHING)
    assert statuses(world.ledger) == ["applied"] * 3


# -- a cloud that does not do as told ----------------------------------------------------


def test_lack_of_capacity_goes_back_to_the_old_type(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(2)
    world.cloud.no_capacity.add(spine.NEW)
    result = world.executor().apply(EVERYTHING)
    assert [outcome.status for outcome in result.outcomes] == ["failed", "failed"]
    assert "InsufficientInstanceCapacity; it is back in its old state" in result.outcomes[0].why
    assert {(i.type, i.state) for i in world.cloud.instances.values()} == {(spine.OLD, "running")}
    assert world.ledger.savings(EVERYTHING) == []
    assert not world.executor().rollback(EVERYTHING).outcomes, "there is nothing to take back"


def test_what_cannot_be_put_back_is_stranded_until_a_rollback(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(1)
    world.cloud.no_capacity.update((spine.NEW, spine.OLD))
    result = world.executor().apply(EVERYTHING)
    assert result.outcomes[0].status == "failed" and result.outcomes[0].reason == "stranded"
    assert "could not be put back" in result.outcomes[0].why
    world.cloud.no_capacity.clear()
    world.executor().rollback(EVERYTHING)
    assert statuses(world.ledger) == ["rolled_back"]
    assert {(i.type, i.state) for i in world.cloud.instances.values()} == {(spine.OLD, "running")}


def test_a_rollback_that_fails_can_be_tried_again(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(1)
    world.executor().apply(EVERYTHING)
    world.cloud.no_capacity.add(spine.OLD)
    result = world.executor().rollback(EVERYTHING)
    assert result.outcomes[0].status == "applied" and "not rolled back: start: Insuff" in result.outcomes[0].why
    assert results(world.ledger, "revert") == [0]
    world.cloud.no_capacity.clear()
    world.executor().rollback(EVERYTHING)
    assert statuses(world.ledger) == ["rolled_back"]
    assert results(world.ledger, "revert") == [1]


def test_denied_first_step_changes_nothing(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(1)
    world.cloud.denied.add("stop")
    result = world.executor().apply(EVERYTHING)
    assert result.outcomes[0].status == "failed" and "not allowed: stop" in result.outcomes[0].why
    assert world.cloud.calls == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_cut_call_is_settled_by_reading(when: str, make_world: t.Any, spine: t.Any) -> None:
    """The call raises before or after it took effect: nobody can tell, reading does."""
    world = make_world(4)
    cut: set[tuple[str, str]] = set()

    def raise_once(step: str, identity: str) -> None:
        if (step, identity) not in cut and identity.endswith(("1", "2")):
            cut.add((step, identity))
            raise ConnectionError("cut in the middle of the answer")

    setattr(world.actor, when, raise_once)
    world.executor().apply(EVERYTHING)
    assert len(cut) == 6
    assert statuses(world.ledger) == ["applied"] * 4
    assert_no_useless_call(world)
    assert len(world.cloud.calls) == 12
    first = world.ledger.actions(EVERYTHING)[1]
    assert "unknown" in {entry.result for entry in world.ledger.journal([first.id])[first.id]}


def test_a_step_that_never_works_ends(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(1)

    def always(step: str, identity: str) -> None:
        if step == "resize":
            raise ConnectionError("cut")

    world.actor.before = always
    result = world.executor(max_attempts=3).apply(EVERYTHING)
    assert result.outcomes[0].status == "failed"
    assert "resize had no effect after 3 tries (ConnectionError: cut)" in result.outcomes[0].why
    assert {(i.type, i.state) for i in world.cloud.instances.values()} == {(spine.OLD, "running")}


def test_retry_waits_longer_each_time(make_world: t.Any, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_world(1)
    real, tries = world.actor.perform, []

    def throttled(step: str, actions: t.Any) -> t.Any:
        tries.append(world.clock())
        if len(tries) <= 3:
            return {action.id: StepOutcome("retry", "throttled") for action in actions}
        return real(step, actions)

    monkeypatch.setattr(world.actor, "perform", throttled)
    world.executor().apply(EVERYTHING)
    assert statuses(world.ledger) == ["applied"]
    pauses = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(tries[:4])]
    assert pauses == [1, 2, 4]


def test_waiting_ends_after_the_timeout(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(1)
    world.actor.after = lambda step, identity: setattr(world.cloud.instances[identity], "polls", 10**6)
    result = world.executor(wait_timeout=60).apply(EVERYTHING)
    assert result.outcomes[0].reason == "stranded"
    assert "it is stopping: nothing happened for 1 min" in result.outcomes[0].why
    assert (world.clock() - spine.NOW) < datetime.timedelta(minutes=5)


def test_unreadable_cloud_leaves_everything_for_the_next_run(make_world: t.Any, monkeypatch: t.Any) -> None:
    world = make_world(3)
    real, calls = world.actor.read, []

    def read(actions: t.Any) -> t.Any:
        calls.append(1)
        if 2 <= len(calls) < 10:
            raise TimeoutError("no answer")
        return real(actions)

    monkeypatch.setattr(world.actor, "read", read)
    result = world.executor(max_in_flight=1).apply(EVERYTHING)
    assert "cannot be read (TimeoutError: no answer)" in result.interrupted
    assert sorted(statuses(world.ledger)) == ["applying", "approved", "approved"]
    calls.extend([1] * 10)
    assert world.executor().apply(EVERYTHING).resumed == 1
    assert statuses(world.ledger) == ["applied"] * 3
    assert_no_useless_call(world)


def test_drifted_and_missing_resources_are_left_alone(make_world: t.Any) -> None:
    world = make_world(3)
    world.cloud.instances["i-0001"].type = "c5.large"
    del world.cloud.instances["i-0002"]
    result = world.executor().apply(EVERYTHING)
    by_resource = {outcome.resource: outcome for outcome in result.outcomes}
    assert by_resource["i-0001"].status == "skipped" and by_resource["i-0001"].reason == "drifted"
    assert by_resource["i-0002"].status == "skipped" and "does not exist" in by_resource["i-0002"].why
    assert by_resource["i-0000"].status == "applied"
    assert world.cloud.instances["i-0001"].type == "c5.large"


def test_drift_before_a_rollback_is_respected(make_world: t.Any) -> None:
    world = make_world(2)
    world.executor().apply(EVERYTHING)
    world.cloud.instances["i-0001"].type = "c5.large"
    result = world.executor().rollback(EVERYTHING)
    assert {outcome.resource: outcome.status for outcome in result.outcomes} == {
        "i-0000": "rolled_back",
        "i-0001": "applied",
    }
    assert world.cloud.instances["i-0001"].type == "c5.large"


def test_done_by_somebody_else_books_no_saving(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(1)
    world.cloud.instances["i-0000"].type = spine.NEW
    result = world.executor().apply(EVERYTHING)
    assert (result.outcomes[0].status, result.outcomes[0].reason) == ("skipped", "already_done")
    assert world.cloud.calls == [] and world.ledger.savings(EVERYTHING) == []


# -- limits and what the policy says at the moment of applying ---------------------------


def test_max_failures_stops_new_actions(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(10)
    world.cloud.no_capacity.add(spine.NEW)
    result = world.executor(max_in_flight=2, max_failures=3).apply(EVERYTHING)
    assert len(result.having("failed")) in (3, 4), "what is in flight is finished, nothing new begins"
    assert "max_failures 3" in result.stopped
    assert statuses(world.ledger).count("approved") == 10 - len(result.having("failed"))
    assert {(i.type, i.state) for i in world.cloud.instances.values()} == {(spine.OLD, "running")}


def test_the_policys_limits_hold(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(10, {**spine.AUTOMATIC, "maximum_actions": 4})
    world.executor().apply(EVERYTHING)
    assert sorted(statuses(world.ledger)) == ["applied"] * 4 + ["approved"] * 6
    applied = world.ledger.actions(Selection(statuses=("applied",)))
    assert [action.rank for action in applied] == [1, 2, 3, 4], "what saves most comes first"


def test_freeze_window_defers_and_the_next_run_applies(make_world: t.Any, spine: t.Any) -> None:
    window = {"name": "office", "days": ["monday"], "start": "09:00", "end": "18:00"}
    world = make_world(2, {**spine.AUTOMATIC, "freeze_windows": [window]})
    predicted = world.executor().predict(EVERYTHING)
    result = world.executor().apply(EVERYTHING)
    assert not result.outcomes and not result.changed
    assert [item.why for item in result.deferred] == ["freeze window 'office' until 2026-03-02 18:00 UTC"] * 2
    assert predicted.deferred == result.deferred
    assert statuses(world.ledger) == ["approved"] * 2 and world.cloud.calls == []
    world.clock.time = datetime.datetime(2026, 3, 2, 18, tzinfo=datetime.timezone.utc)
    world.executor().apply(EVERYTHING)
    assert statuses(world.ledger) == ["applied"] * 2


def test_a_window_that_begins_during_the_run_stops_new_actions(make_world: t.Any, spine: t.Any) -> None:
    window = {"name": "close", "from": "2026-03-02T12:00:10", "until": "2026-03-03"}
    world = make_world(4, {**spine.AUTOMATIC, "freeze_windows": [window]})
    result = world.executor(max_in_flight=1).apply(EVERYTHING)
    assert len(result.having("applied")) >= 1
    assert len(result.deferred) == 4 - len(result.having("applied")) > 0


def test_expired_approval_is_not_applied(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(2)
    world.clock.time += datetime.timedelta(days=8)
    predicted = world.executor().predict(EVERYTHING)
    result = world.executor().apply(EVERYTHING)
    assert statuses(world.ledger) == ["expired"] * 2
    assert {(o.status, o.reason) for o in result.outcomes} == {("expired", "approval_expired")}
    assert predicted.outcomes == result.outcomes
    assert world.cloud.calls == []


def test_a_tag_set_meanwhile_protects(make_world: t.Any) -> None:
    world = make_world(2)
    world.cloud.instances["i-0000"].tags["frugal:protected"] = "true"
    result = world.executor().apply(EVERYTHING)
    outcome = next(o for o in result.outcomes if o.resource == "i-0000")
    assert (outcome.status, outcome.reason) == ("skipped", "protected")
    assert "frugal:protected=true" in outcome.why
    assert not [call for call in world.cloud.calls if call[1] == "i-0000"]


def test_the_gate_holds_an_action_with_its_sentence(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(2)
    asked: list[tuple[str, str]] = []

    def gate(action: t.Any, policy: Policy) -> str:
        asked.append((action.recommendation.resource.id, policy.digest))
        return "SLO shop has 1 % left" if action.recommendation.resource.id == "i-0000" else ""

    predicted = world.executor(gate=gate).predict(EVERYTHING)
    result = world.executor(gate=gate).apply(EVERYTHING)
    for run in (predicted, result):
        assert [(item.resource, item.why) for item in run.deferred] == [("i-0000", "SLO shop has 1 % left")]
        assert [outcome.resource for outcome in run.outcomes] == ["i-0001"]
    held = next(action for action in world.ledger.actions(EVERYTHING) if action.status == "approved")
    assert held.why == "SLO shop has 1 % left"
    assert {digest for _resource, digest in asked} == {Policy.from_dict(spine.AUTOMATIC).digest}
    assert not world.executor(gate=gate).apply(EVERYTHING).changed
    assert len(world.executor().apply(EVERYTHING).having("applied")) == 1, "open again, it goes on"
    assert statuses(world.ledger) == ["applied"] * 2


def test_a_gate_that_closes_during_a_run_stops_it(make_world: t.Any) -> None:
    world = make_world(10)
    since = world.clock()

    def gate(action: t.Any, policy: Policy) -> str:
        return "it burns" if world.clock() - since > datetime.timedelta(seconds=5) else ""

    result = world.executor(gate=gate, max_in_flight=2).apply(EVERYTHING)
    applied = len(result.having("applied"))
    assert 2 <= applied < 10, "what had begun is finished, the rest waits"
    assert len(result.deferred) == 10 - applied
    assert {item.why for item in result.deferred} == {"it burns"}
    assert sorted(statuses(world.ledger)) == ["applied"] * applied + ["approved"] * (10 - applied)


def test_a_rollback_asks_no_gate(make_world: t.Any) -> None:
    world = make_world(2)
    world.executor().apply(EVERYTHING)
    back = world.executor(gate=lambda action, policy: "it burns").rollback(EVERYTHING)
    assert len(back.having("rolled_back")) == 2


def test_a_changed_policy_is_refused(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(1)
    changed = Policy.from_dict({**spine.AUTOMATIC, "minimum_saving": 50})
    with pytest.raises(PlanError, match="made under another policy than the one in force"):
        world.executor(policy=changed).apply(EVERYTHING)
    with pytest.raises(PlanError, match="made under another policy"):
        world.executor(policy=changed).predict(EVERYTHING)
    world.executor(policy=Policy.from_dict(spine.AUTOMATIC)).apply(EVERYTHING)
    assert statuses(world.ledger) == ["applied"]


def test_nothing_without_approval(make_world: t.Any) -> None:
    world = make_world(2, {})
    result = world.executor().apply(EVERYTHING)
    assert not result.changed and statuses(world.ledger) == ["proposed"] * 2 and world.cloud.calls == []


# -- prediction, progress, subsets -------------------------------------------------------


def test_prediction_is_what_apply_does_and_changes_nothing(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(6, {**spine.AUTOMATIC, "maximum_actions": 5})
    world.cloud.instances["i-0001"].type = "c5.large"
    world.cloud.instances["i-0002"].tags["frugal:protected"] = "true"
    world.cloud.instances["i-0003"].type = spine.NEW
    before = [action.to_dict() for action in world.ledger.actions(EVERYTHING)]
    predicted = world.executor().predict(EVERYTHING)
    assert [action.to_dict() for action in world.ledger.actions(EVERYTHING)] == before
    assert world.cloud.calls == [] and world.ledger.runs() == []
    result = world.executor().apply(EVERYTHING)
    assert sorted(predicted.outcomes, key=lambda o: o.id) == sorted(result.outcomes, key=lambda o: o.id)
    assert predicted.changed is result.changed is True
    predicted = world.executor().predict(EVERYTHING, rollback=True)
    result = world.executor().rollback(EVERYTHING)
    assert sorted(predicted.outcomes, key=lambda o: o.id) == sorted(result.outcomes, key=lambda o: o.id)


def test_rollback_of_a_subset(make_world: t.Any, spine: t.Any) -> None:
    world = make_world(4)
    world.executor().apply(EVERYTHING)
    chosen = world.ledger.actions(EVERYTHING)[1]
    world.executor().rollback(Selection(action_ids=(chosen.id,)))
    assert sorted(statuses(world.ledger)) == ["applied"] * 3 + ["rolled_back"]
    assert world.cloud.instances[chosen.recommendation.resource.id].type == spine.OLD
    open_ended = [saving for saving, _scope in world.ledger.savings(EVERYTHING) if saving.period_end is None]
    assert len(open_ended) == 3


def test_other_kinds_are_left_to_others(make_world: t.Any) -> None:
    world = make_world(1)
    world.actor.kinds = ("ebs_modify",)
    assert not world.executor().apply(EVERYTHING).outcomes
    with pytest.raises(PlanError, match="asg_spot can be done here"):
        world.executor().apply(Selection(kinds=("asg_spot",)))
    assert statuses(world.ledger) == ["approved"]


def test_progress_names_counts_and_money(make_world: t.Any, tmp_path: t.Any) -> None:
    from ansible_collections.frugal.cloud.plugins.module_utils.progress import Progress

    world = make_world(4)
    file = tmp_path / "progress"
    world.executor(progress=Progress(str(file), interval=0)).apply(EVERYTHING)
    lines = file.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "apply: 4 actions, 406 USD/month, 4 at a time"
    assert lines[-1].startswith("apply: 4/4, 406 USD/month, 0 in flight")
