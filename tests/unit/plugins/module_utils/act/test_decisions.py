# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actors decide, as tables of pure states; and that all their decisions lead to the goal.

The world below is a model of EC2 written for these tests: it says what a step does to a state.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import typing as t
from collections.abc import Mapping, Sequence

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.act.autoscaling_group import GroupTypeActor
from ansible_collections.frugal.cloud.plugins.module_utils.act.ec2 import InstanceTypeActor, failed_outcome, stepped
from ansible_collections.frugal.cloud.plugins.module_utils.act.registry import Actors
from ansible_collections.frugal.cloud.plugins.module_utils.aws import Aws, AwsError
from ansible_collections.frugal.cloud.plugins.module_utils.executor import (
    Decision,
    Done,
    Drifted,
    Failed,
    Observed,
    Perform,
    Refused,
    Wait,
)
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Direction, JournalEntry
from ansible_collections.frugal.cloud.plugins.module_utils.plan import PlannedAction
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
)
from hypothesis import given
from hypothesis import strategies as st

OLD, NEW, OTHER = "m5.2xlarge", "m6i.large", "c5.large"
NOW = datetime.datetime(2026, 3, 2, 12, tzinfo=datetime.timezone.utc)
STATES = ("pending", "running", "stopping", "stopped")


def action(kind: str = "ec2_instance_type", goal: t.Literal["apply", "restore", "rollback"] = "apply") -> PlannedAction:
    """An action that changes OLD into NEW."""
    recommendation = Recommendation(
        action=kind,
        provider="aws",
        scope=Scope("111122223333", "eu-west-1"),
        resource=Resource("i-1", "ec2_instance"),
        current={"instance_type": OLD},
        proposed={"instance_type": NEW},
        monthly=Monthly(300.0, 100.0, 200.0),
        finding="over_provisioned",
        reasons=("cpu binds",),
        binding_constraint="cpu",
        risk=Risk.of({"cpu": 1}),
        effort="restart",
    )
    return PlannedAction("act-1", "plan-1", 1, recommendation, "applying", goal=goal)


def journal(*steps: str, direction: Direction = "apply") -> list[JournalEntry]:
    """Intents of ``steps``."""
    return [JournalEntry("act-1", "run-1", NOW, direction, "intent", step) for step in steps]


def instance(state: str, kind: str, **more: t.Any) -> Observed:
    """An instance as the actor reads it."""
    values = {
        "state": state,
        "instance_type": kind,
        "checks": "ok",
        "lifecycle": "on-demand",
        "public_ip": "",
        "stop_protected": False,
    }
    return Observed({**values, **more})


def decide(observed: Observed | None, direction: Direction = "apply", *steps: str) -> Decision:
    """What the actor of instances decides; ``steps`` were begun while applying."""
    actor = InstanceTypeActor(Aws("eu-west-1"))
    return actor.decide(
        action(goal="apply" if direction == "apply" else "restore"), observed, direction, journal(*steps)
    )


# -- instances: every state x type x direction x whose stop it was --------------------------------

#: (state, type, direction, ours): what is decided. Wait, Done and Drifted by class, Perform by step.
TABLE: dict[tuple[str, str, Direction, bool], str] = {
    # Applying, nothing begun: only a running machine of the old type is touched.
    ("running", OLD, "apply", False): "stop",
    ("pending", OLD, "apply", False): "Drifted",
    ("stopping", OLD, "apply", False): "Drifted",
    ("stopped", OLD, "apply", False): "Drifted",
    ("running", NEW, "apply", False): "Drifted",
    ("pending", NEW, "apply", False): "Drifted",
    ("stopping", NEW, "apply", False): "Drifted",
    ("stopped", NEW, "apply", False): "Drifted",
    # Applying, our stop was begun (and perhaps the run died): on from wherever it is.
    ("running", OLD, "apply", True): "stop",
    ("pending", OLD, "apply", True): "Wait",
    ("stopping", OLD, "apply", True): "Wait",
    ("stopped", OLD, "apply", True): "change_type",
    ("running", NEW, "apply", True): "Done",
    ("pending", NEW, "apply", True): "Wait",
    ("stopping", NEW, "apply", True): "Wait",
    ("stopped", NEW, "apply", True): "start",
    # Going back: the goal is the old type.
    ("running", OLD, "revert", True): "Done",
    ("pending", OLD, "revert", True): "Wait",
    ("stopping", OLD, "revert", True): "Wait",
    ("stopped", OLD, "revert", True): "start",
    ("running", NEW, "revert", True): "stop",
    ("pending", NEW, "revert", True): "Wait",
    ("stopping", NEW, "revert", True): "Wait",
    ("stopped", NEW, "revert", True): "change_type",
    # Going back where nothing of ours was begun: a machine that somebody else stopped is left alone.
    ("running", OLD, "revert", False): "Done",
    ("pending", OLD, "revert", False): "Drifted",
    ("stopping", OLD, "revert", False): "Drifted",
    ("stopped", OLD, "revert", False): "Drifted",
    ("running", NEW, "revert", False): "stop",
    ("pending", NEW, "revert", False): "Drifted",
    ("stopping", NEW, "revert", False): "Drifted",
    ("stopped", NEW, "revert", False): "Drifted",
}


def named(decision: Decision) -> str:
    """``stop`` of Perform("stop"), else the name of the class."""
    return decision.step if isinstance(decision, Perform) else type(decision).__name__


def test_the_table_has_every_state() -> None:
    assert set(TABLE) == set(itertools.product(STATES, (OLD, NEW), ("apply", "revert"), (False, True)))


@pytest.mark.parametrize(("state", "kind", "direction", "ours"), sorted(TABLE))
def test_instance(state: str, kind: str, direction: Direction, ours: bool) -> None:
    steps = ("stop",) if ours else ()
    assert named(decide(instance(state, kind), direction, *steps)) == TABLE[state, kind, direction, ours]


@pytest.mark.parametrize("direction", ["apply", "revert"])
@pytest.mark.parametrize("state", STATES)
def test_a_third_type_is_somebody_elses(state: str, direction: Direction) -> None:
    decision = decide(instance(state, OTHER), direction, "stop")
    assert decision == Drifted(f"it is {OTHER} now; the plan saw {OLD}")


@pytest.mark.parametrize("observed", [None, instance("terminated", OLD), instance("shutting-down", NEW)])
def test_gone(observed: Observed | None) -> None:
    assert decide(observed, "apply", "stop") == Drifted("the instance no longer exists")


@pytest.mark.parametrize("kind", [OLD, NEW])
@pytest.mark.parametrize("lifecycle", ["spot", "scheduled", "capacity-block"])
def test_only_on_demand_machines_are_stopped(kind: str, lifecycle: str) -> None:
    decision = decide(instance("running", kind, lifecycle=lifecycle))
    assert isinstance(decision, Refused)
    assert lifecycle in decision.why


def test_stop_protection_refuses_the_stop_and_nothing_else() -> None:
    refused = decide(instance("running", OLD, stop_protected=True))
    assert isinstance(refused, Refused)
    assert refused.reason == "protected"
    assert isinstance(decide(instance("running", NEW, stop_protected=True), "apply", "stop"), Done)
    assert decide(instance("stopped", OLD, stop_protected=True), "apply", "stop") == Perform(
        "change_type", {"from": OLD, "to": NEW}
    )


@pytest.mark.parametrize(
    ("checks", "expected"), [("ok", Done), ("impaired", Failed), ("initializing", Wait), ("insufficient-data", Wait)]
)
def test_status_checks_decide_at_the_end(checks: str, expected: type) -> None:
    assert isinstance(decide(instance("running", NEW, checks=checks), "apply", "stop"), expected)
    assert isinstance(decide(instance("running", OLD, checks=checks), "revert", "stop"), expected)


def test_what_is_needed_to_undo_is_journaled_with_the_stop() -> None:
    decision = decide(instance("running", OLD, public_ip="203.0.113.7"))
    assert decision == Perform("stop", {"instance_type": OLD, "public_ip": "203.0.113.7"})


@dataclasses.dataclass
class World:
    """One instance; ``lost`` steps have no effect, those after a kill have one that nobody noted."""

    state: str = "running"
    kind: str = OLD
    took_effect: list[str] = dataclasses.field(default_factory=list)

    def see(self) -> Observed:
        """Look, then let what is under way come to its end."""
        seen = instance(self.state, self.kind)
        self.state = {"stopping": "stopped", "pending": "running"}.get(self.state, self.state)
        return seen

    def do(self, step: str, goal: str) -> None:
        """What EC2 does."""
        if step == "stop" and self.state == "running":
            self.state = "stopping"
        elif step == "change_type" and self.state == "stopped" and self.kind != goal:
            self.kind = goal
        elif step == "start" and self.state == "stopped":
            self.state = "pending"
        else:
            raise AssertionError(f"{step} of an instance that is {self.state} and {self.kind}: it took effect before")
        self.took_effect.append(step)


@given(
    losses=st.lists(st.booleans(), max_size=12),
    turns_back_after=st.integers(0, 12),
    state=st.sampled_from(STATES),
    kind=st.sampled_from([OLD, NEW]),
    begun=st.booleans(),
)
def test_from_every_state_the_decisions_lead_to_the_goal(
    losses: list[bool], turns_back_after: int, state: str, kind: str, begun: bool
) -> None:
    """Steps that are lost are repeated, steps that took effect never; turned back on the way, it ends as it was."""
    actor = InstanceTypeActor(Aws("eu-west-1"))
    world = World(state, kind)
    written = journal("stop") if begun else []
    direction: Direction = "apply"
    for turn in range(60):
        if turn == turns_back_after:
            direction = "revert"
        decision = actor.decide(action(), world.see(), direction, written)
        if isinstance(decision, Perform):
            written = [*written, *journal(decision.step, direction=direction)]
            if not (losses and losses.pop()):
                world.do(decision.step, NEW if direction == "apply" else OLD)
        elif not isinstance(decision, Wait):
            break
    else:
        pytest.fail("it never comes to an end")
    if isinstance(decision, Drifted):
        # Only what nobody of us had begun is left to its own devices.
        assert not begun
        assert not world.took_effect
    else:
        assert isinstance(decision, Done)
        assert (world.state, world.kind) == ("running", NEW if direction == "apply" else OLD)
    if not losses and turns_back_after > 40:
        assert len(world.took_effect) <= 3


# -- Auto Scaling groups ---------------------------------------------------------------------------


def group(**more: t.Any) -> Observed:
    """A group as the actor reads it: pinned to version 1 of the old type."""
    values: dict[str, t.Any] = {
        "launch_template_id": "lt-1",
        "version": "1",
        "pinned": True,
        "mixed": False,
        "type": OLD,
        "member_types": [OLD],
        "made": "",
        "base": "",
        "refreshes": [],
    }
    return Observed({**values, **more})


def refresh(version: str, status: str, why: str = "", number: int = 1) -> dict[str, t.Any]:
    """An instance refresh as the actor reads it."""
    return {"id": f"refresh-{number}", "status": status, "why": why, "percent": 40, "version": version}


MADE = {"made": "2", "base": "1"}
ON_NEW = {**MADE, "version": "2", "type": NEW, "member_types": [NEW]}
UNDER_WAY = ("Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking")

GROUPS: list[tuple[str, dict[str, t.Any], Direction, tuple[str, ...], str]] = [
    ("first a version", {}, "apply", (), "create_version"),
    ("somebody refreshes", {"refreshes": [refresh("1", "InProgress")]}, "apply", (), "Wait"),
    ("another type", {"type": OTHER}, "apply", (), "Drifted"),
    ("the version is there", MADE, "apply", ("create_version",), "start_refresh"),
    ("its refresh ran", {**ON_NEW, "refreshes": [refresh("2", "Successful")]}, "apply", ("start_refresh",), "Done"),
    ("its refresh failed", {**MADE, "refreshes": [refresh("2", "Failed", "x")]}, "apply", ("start_refresh",), "Failed"),
    ("it was rolled back", {**MADE, "refreshes": [refresh("2", "RollbackSuccessful")]}, "apply", (), "Failed"),
    ("somebody cancelled", {**MADE, "refreshes": [refresh("2", "Cancelled")]}, "apply", (), "Failed"),
    ("a third version", {**MADE, "version": "3", "type": OTHER}, "apply", ("create_version",), "Drifted"),
    ("nothing to undo", {}, "revert", (), "Done"),
    ("only a version was made", MADE, "revert", ("create_version",), "Done"),
    ("our refresh is under way", {**MADE, "refreshes": [refresh("2", "InProgress")]}, "revert", (), "rollback_refresh"),
    ("it already goes back", {**MADE, "refreshes": [refresh("2", "RollbackInProgress")]}, "revert", (), "Wait"),
    ("back by a refresh", {**ON_NEW, "refreshes": [refresh("2", "Successful")]}, "revert", (), "start_refresh"),
    ("half of the members are new", {**MADE, "member_types": [NEW, OLD]}, "revert", (), "start_refresh"),
    (
        "it is back",
        {**MADE, "refreshes": [refresh("1", "Successful"), refresh("2", "Successful")]},
        "revert",
        (),
        "Done",
    ),
    ("scaled to nothing", {**MADE, "member_types": []}, "revert", (), "Done"),
]


@pytest.mark.parametrize(
    ("state", "direction", "steps", "expected"), [row[1:] for row in GROUPS], ids=[r[0] for r in GROUPS]
)
def test_group(state: dict[str, t.Any], direction: Direction, steps: tuple[str, ...], expected: str) -> None:
    actor = GroupTypeActor(Aws("eu-west-1"))
    decision = actor.decide(action("asg_instance_type"), group(**state), direction, journal(*steps))
    assert named(decision) == expected


@pytest.mark.parametrize("status", UNDER_WAY)
def test_a_refresh_under_way_is_waited_for(status: str) -> None:
    actor = GroupTypeActor(Aws("eu-west-1"), pause=7)
    decision = actor.decide(
        action("asg_instance_type"), group(**MADE, refreshes=[refresh("2", status)]), "apply", journal("start_refresh")
    )
    assert isinstance(decision, Wait)
    assert decision.seconds == 7
    assert status in decision.why


def test_a_refresh_back_that_failed_is_told_once_and_not_begun_again() -> None:
    actor = GroupTypeActor(Aws("eu-west-1"))
    state = group(**ON_NEW, refreshes=[refresh("1", "Failed", "no capacity"), refresh("2", "Successful")])
    decision = actor.decide(
        action("asg_instance_type", "rollback"), state, "revert", journal("start_refresh", direction="revert")
    )
    assert decision == Failed("the instance refresh back ended as Failed: no capacity")


@pytest.mark.parametrize(
    ("state", "reason"), [({"mixed": True}, "mixed_instances_policy"), ({"pinned": False}, "unpinned_version")]
)
def test_groups_that_cannot_be_rolled_back_are_refused(state: dict[str, t.Any], reason: str) -> None:
    decision = GroupTypeActor(Aws("eu-west-1")).decide(action("asg_instance_type"), group(**state), "apply", [])
    assert isinstance(decision, Refused)
    assert decision.reason == reason


def test_a_group_that_is_gone() -> None:
    assert isinstance(GroupTypeActor(Aws("eu-west-1")).decide(action("asg_instance_type"), None, "apply", []), Drifted)


class GroupWorld:
    """One group: versions, refreshes, members; a refresh takes two looks."""

    def __init__(self) -> None:
        self.versions = {"1": OLD}
        self.made = ""
        self.version = "1"
        self.refreshes: list[dict[str, t.Any]] = []
        self.effects: list[str] = []
        self.looks = 0

    def see(self) -> Observed:
        """Look, then let a refresh go on."""
        seen = group(
            version=self.version,
            type=self.versions[self.version],
            member_types=[self.versions[self.version]],
            made=self.made,
            base="1" if self.made else "",
            refreshes=[dict(item) for item in self.refreshes],
        )
        self.looks += 1
        if self.refreshes and self.looks % 2 == 0:
            latest = self.refreshes[0]
            latest["status"] = {"InProgress": "Successful", "RollbackInProgress": "RollbackSuccessful"}.get(
                latest["status"], latest["status"]
            )
        return seen

    def do(self, step: str, version: str) -> None:
        """What Auto Scaling does."""
        under_way = bool(self.refreshes) and self.refreshes[0]["status"] in UNDER_WAY
        if step == "create_version":
            assert not self.made, "the version was made before"
            self.made, self.versions["2"] = "2", NEW
        elif step == "start_refresh":
            assert not under_way
            assert self.version != version, "the group is there already"
            self.version = version
            self.refreshes.insert(0, refresh(version, "InProgress", number=len(self.refreshes)))
        elif under_way:
            self.refreshes[0]["status"] = "RollbackInProgress"
            self.version = "1"
        # Else it ended since the look: ActiveInstanceRefreshNotFound, and another look.
        self.effects.append(step)


@given(losses=st.lists(st.booleans(), max_size=8), turns_back_after=st.integers(0, 20))
def test_a_group_reaches_its_goal_too(losses: list[bool], turns_back_after: int) -> None:
    actor = GroupTypeActor(Aws("eu-west-1"))
    world = GroupWorld()
    written: list[JournalEntry] = []
    direction: Direction = "apply"
    for turn in range(80):
        if turn == turns_back_after:
            direction = "revert"
        decision = actor.decide(action("asg_instance_type"), world.see(), direction, written)
        if isinstance(decision, Perform):
            written = [*written, *journal(decision.step, direction=direction)]
            if not (losses and losses.pop()):
                world.do(decision.step, world.made if direction == "apply" else "1")
        elif not isinstance(decision, Wait):
            break
    else:
        pytest.fail("it never comes to an end")
    assert isinstance(decision, Done)
    assert world.versions[world.version] == (NEW if direction == "apply" else OLD)
    assert not world.refreshes or world.refreshes[0]["status"] not in UNDER_WAY


# -- what surrounds them ---------------------------------------------------------------------------


def test_stepped_looks_at_intents_of_a_direction() -> None:
    entries = [*journal("stop"), JournalEntry("act-1", "run-1", NOW, "revert", "outcome", "start", "ok")]
    assert stepped(entries, "stop")
    assert stepped(entries, "stop", "apply")
    assert not stepped(entries, "stop", "revert")
    assert not stepped(entries, "start")


@pytest.mark.parametrize(
    ("code", "unknown", "result"),
    [
        ("IncorrectInstanceState", False, "retry"),
        ("RequestLimitExceeded", False, "retry"),
        ("InsufficientInstanceCapacity", False, "failed"),
        ("UnauthorizedOperation", False, "failed"),
        ("ConnectionBroken", True, "unknown"),
        ("InternalError", True, "unknown"),
    ],
)
def test_what_a_refused_call_means(code: str, unknown: bool, result: str) -> None:
    assert failed_outcome(AwsError("a sentence", code, effect_unknown=unknown)).result == result


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("ActiveInstanceRefreshNotFound", "retry"),
        ("InstanceRefreshInProgress", "retry"),
        ("ScalingActivityInProgress", "retry"),
        ("ValidationError", "failed"),
    ],
)
def test_a_refresh_that_ended_since_the_look_is_looked_at_again(
    code: str, result: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*_arguments: t.Any, **_named: t.Any) -> t.NoReturn:
        raise AwsError("a sentence", code)

    aws = Aws("eu-west-1")
    monkeypatch.setattr(aws, "write", write)
    outcome = GroupTypeActor(aws).perform("rollback_refresh", [action("asg_instance_type")])["act-1"]
    assert outcome.result == result


class _Recorder:
    """An actor that notes what it is asked."""

    def __init__(self, kind: str) -> None:
        self.kinds = (kind,)
        self.asked: list[tuple[str, int]] = []

    def read(self, actions: Sequence[PlannedAction]) -> Mapping[str, Observed]:
        self.asked.append(("read", len(actions)))
        return {item.id: Observed({"kind": self.kinds[0]}) for item in actions}

    def decide(self, *_arguments: t.Any) -> Decision:
        return Done({"kind": self.kinds[0]})

    def perform(self, step: str, actions: Sequence[PlannedAction]) -> Mapping[str, t.Any]:
        self.asked.append((step, len(actions)))
        return {item.id: self.kinds[0] for item in actions}


def test_actors_split_each_batch_by_kind() -> None:
    one, two = _Recorder("ec2_instance_type"), _Recorder("asg_instance_type")
    both = Actors(t.cast(t.Any, [one, two]))
    actions = [
        dataclasses.replace(action(kind), id=f"act-{number}")
        for number, kind in enumerate(["ec2_instance_type", "asg_instance_type", "ec2_instance_type"])
    ]
    assert both.kinds == ("ec2_instance_type", "asg_instance_type")
    assert both.read(actions)["act-1"].state == {"kind": "asg_instance_type"}
    assert both.perform("step", actions) == {
        "act-0": "ec2_instance_type",
        "act-1": "asg_instance_type",
        "act-2": "ec2_instance_type",
    }
    assert both.decide(actions[1], None, "apply", []) == Done({"kind": "asg_instance_type"})
    assert one.asked == [("read", 2), ("step", 2)]
    assert two.asked == [("read", 1), ("step", 1)]
