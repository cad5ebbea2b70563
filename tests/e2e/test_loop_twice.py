# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every stage three times: in check mode, for real, and again.

Check mode changes nothing and predicts exactly what the real run does; the run after that
changes nothing. The operator reaches the account by assuming a role, as teams do.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

import pytest
from ansible_collections.frugal.cloud.tests.e2e.conftest import MakeLoop
from ansible_collections.frugal.cloud.tests.e2e.loop import Loop, Ran, estate, machines

INVENTORY = """
plugin: frugal.cloud.scopes
accounts: [{id: "111111111111", name: production}]
role_name: frugal
regions: [us-east-1]
"""
POLICY = {
    "approval": [{"name": "short", "match": {"tags": {"approval": "short"}}, "valid_days": 0.5}],
    "verification": {"soak_hours": 24, "rollback": "automatic"},
}
STAGES = ("recommend", "approve", "apply", "verify", "report", "rollback")


@dataclasses.dataclass
class Stage:
    """The three runs of a stage, and what the ledger and the cloud held around them."""

    predicted: Ran
    done: Ran
    again: Ran
    before: dict[str, list[str]]
    after_check: dict[str, list[str]]
    after: dict[str, list[str]]
    after_again: dict[str, list[str]]
    changes_in_check: list[dict[str, t.Any]]
    changes: list[dict[str, t.Any]]
    changes_again: list[dict[str, t.Any]]
    statuses: dict[str, str]


@dataclasses.dataclass
class Walk:
    """The whole loop."""

    loop: Loop
    stages: dict[str, Stage]
    types_before: dict[str, str]
    too_early: Ran
    kept: Ran


def three_times(loop: Loop, playbook: str, **variables: t.Any) -> Stage:
    """Run a playbook in check mode, for real and again."""
    before = loop.dump()
    loop.simulator.stats(reset=True)
    predicted = loop.good(playbook, "--check", "--diff", **variables)
    in_check, after_check = loop.changes(), loop.dump()
    loop.simulator.stats(reset=True)
    done = loop.good(playbook, **variables)
    changes, after, statuses = loop.changes(), loop.dump(), loop.statuses()
    loop.simulator.stats(reset=True)
    again = loop.good(playbook, **variables)
    return Stage(
        predicted, done, again, before, after_check, after, loop.dump(), in_check, changes, loop.changes(), statuses
    )


@pytest.fixture(name="walk", scope="module")
def walked(make_loop: MakeLoop) -> Walk:
    member = {"name": "api-{n}", "type": "m5.2xlarge", "usage": "quiet", "memory_agent": True}
    loop = make_loop(
        estate(
            [
                machines("web", 4),
                machines("short", 2, tags={"approval": "short"}),
                machines("locked", disable_api_stop=True),
                machines("guarded", managed_by="protected"),
                machines("terraformed", managed_by="terraform"),
                machines("spot", lifecycle="spot"),
                machines("grown"),
                machines("stopped"),
                machines("gone"),
                machines("late-tag"),
                machines("alarmed", alarm={"name": "latency", "threshold": 90, "after_change": True}),
            ],
            groups=[
                {"name": "api", "desired": 2, "version": "1", "instances": member},
                {"name": "floating", "desired": 2, "version": "$Latest", "instances": member},
            ],
        )
    )
    loop.folder.mkdir(parents=True, exist_ok=True)
    (loop.folder / "scopes.yml").write_text(INVENTORY)
    loop.environ["ANSIBLE_INVENTORY"] = str(loop.folder / "scopes.yml")
    loop.variables = {"frugal_policy": POLICY, "rightsizing_wait_timeout": 60}
    types_before = loop.types()
    stages = {"recommend": three_times(loop, "rightsizing")}
    stages["approve"] = three_times(loop, "approve", frugal_approve="all")
    loop.advance(0.1)
    kept = loop.recommend()
    meddle(loop)
    loop.advance(20)
    stages["apply"] = three_times(loop, "rightsizing", frugal_stage="apply")
    too_early = loop.stage("verify")
    loop.advance(30)
    stages["verify"] = three_times(loop, "rightsizing", frugal_stage="verify")
    stages["report"] = three_times(loop, "report")
    stages["rollback"] = three_times(loop, "rightsizing", frugal_stage="rollback", rightsizing_plan_id=loop.plan_id())
    return Walk(loop, stages, types_before, too_early, kept)


def meddle(loop: Loop) -> None:
    """What other people do between approval and apply."""
    ec2 = loop.simulator.client("ec2", loop.account)
    names = {name: item["InstanceId"] for name, item in loop.instances().items()}
    ec2.stop_instances(InstanceIds=[names["grown"], names["stopped"]])
    ec2.terminate_instances(InstanceIds=[names["gone"]])
    ec2.create_tags(Resources=[names["late-tag"]], Tags=[{"Key": "frugal:protected", "Value": "true"}])
    time.sleep(0.5)
    ec2.modify_instance_attribute(InstanceId=names["grown"], InstanceType={"Value": "m5.4xlarge"})
    ec2.start_instances(InstanceIds=[names["grown"]])
    time.sleep(0.5)


@pytest.mark.parametrize("stage", STAGES)
def test_check_mode_changes_nothing(walk: Walk, stage: str) -> None:
    seen = walk.stages[stage]
    assert seen.changes_in_check == []
    assert seen.after_check == seen.before


@pytest.mark.parametrize("stage", STAGES)
def test_a_second_run_changes_nothing(walk: Walk, stage: str) -> None:
    seen = walk.stages[stage]
    assert seen.again.changed == 0, seen.again.output
    assert seen.changes_again == []
    for dump in (seen.after, seen.after_again):
        dump.pop("frugal_runs", None)  # that a run took place is noted
    assert seen.after_again == seen.after


@pytest.mark.parametrize("stage", STAGES)
def test_check_mode_says_whether_anything_would_change(walk: Walk, stage: str) -> None:
    seen = walk.stages[stage]
    assert seen.done.changed > 0, seen.done.output
    assert seen.predicted.recap == seen.done.recap


def what(outcomes: list[dict[str, t.Any]]) -> dict[str, tuple[str, ...]]:
    return {item["id"]: (item["status"], item["reason"], item["why"]) for item in outcomes}


def test_recommend_is_predicted(walk: Walk) -> None:
    seen = walk.stages["recommend"]
    predicted, done = (ran.of("Judge the findings") for ran in (seen.predicted, seen.done))
    assert predicted["plan"] == done["plan"]
    assert predicted["kind"] == done["kind"] == "new"
    assert predicted["totals"] == done["totals"]
    assert predicted["actions"] == done["actions"]
    assert len(done["actions"]) == 17
    assert seen.again.of("Judge the findings")["kind"] == "unchanged"


def test_a_recommend_after_the_approval_keeps_the_approved_plan(walk: Walk) -> None:
    assert walk.kept.changed == 0
    assert walk.kept.of("Judge the findings")["totals"]["by_status"] == {"approved": 13, "skipped": 4}


def test_approve_is_predicted(walk: Walk) -> None:
    seen = walk.stages["approve"]
    predicted, done = (ran.of("Decide on open plans - approved") for ran in (seen.predicted, seen.done))
    assert predicted["decided"] == done["decided"]
    assert predicted["counts"] == done["counts"] == {"decided": 13, "unchanged": 4, "refused": 0}


@pytest.mark.parametrize(("stage", "task"), [("apply", "Apply"), ("verify", "Verify"), ("rollback", "Undo")])
def test_runs_are_predicted(walk: Walk, stage: str, task: str) -> None:
    seen = walk.stages[stage]
    predicted, done = (ran.of(task) for ran in (seen.predicted, seen.done))
    assert what(predicted["outcomes"]) == what(done["outcomes"])
    for key in ("by_status", "monthly_saving", "deferred_count", "changed"):
        assert predicted[key] == done[key], key
    assert predicted.get("verifications") == done.get("verifications")


def test_what_apply_did(walk: Walk) -> None:
    outcomes = {item["name"]: item for item in walk.stages["apply"].done.of("Apply")["outcomes"]}
    told = {name: (item["status"], item["reason"]) for name, item in outcomes.items()}
    applied = dict.fromkeys(("web-000", "web-001", "web-002", "web-003", "alarmed", "api"), ("applied", ""))
    assert told == {
        **applied,
        "short-000": ("expired", "approval_expired"),
        "short-001": ("expired", "approval_expired"),
        "locked": ("skipped", "protected"),
        "late-tag": ("skipped", "protected"),
        "grown": ("skipped", "drifted"),
        "stopped": ("skipped", "drifted"),
        "gone": ("skipped", "drifted"),
    }
    assert "m5.4xlarge" in outcomes["grown"]["why"]


def test_nothing_refused_was_touched(walk: Walk) -> None:
    names = {item["InstanceId"]: name for name, item in walk.loop.instances().items()}
    touched = {
        names.get(resource, resource) for change in walk.stages["apply"].changes for resource in change["resources"]
    }
    assert {name for name in touched if not name.startswith(("web-", "alarmed", "api", "lt-"))} == set()


def test_verification_waits_for_the_soak_time(walk: Walk) -> None:
    assert walk.too_early.changed == 0
    assert walk.too_early.of("Verify")["deferred_count"] == 6


def test_what_verify_did(walk: Walk) -> None:
    """The one whose alarm went off is rolled back, the others are verified."""
    statuses = walk.stages["verify"].statuses
    assert statuses["alarmed"] == "rolled_back"
    assert {statuses[name] for name in ("web-000", "web-001", "web-002", "web-003", "api")} == {"verified"}
    assert "latency" in walk.loop.rows("SELECT detail FROM frugal_journal WHERE result = 'failed'")[0]["detail"]


def test_rollback_restores_what_there_was(walk: Walk) -> None:
    types = walk.loop.types()
    assert {name: types[name] for name in types if name.startswith(("web-", "alarmed"))} == {
        name: kind for name, kind in walk.types_before.items() if name.startswith(("web-", "alarmed"))
    }
    members = [kind for name, kind in types.items() if name.startswith("i-")]
    assert sorted(set(members)) == ["m5.2xlarge running", "m5.2xlarge terminated", "m6a.large terminated"]
