# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What does not work out goes back: no capacity, a failed instance refresh, a failed verification."""

from __future__ import annotations

import datetime
import json
import typing as t
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.tests.e2e.conftest import MakeLoop
from ansible_collections.frugal.cloud.tests.e2e.loop import (
    NOW,
    REGION,
    SECOND,
    STEPS,
    Loop,
    Ran,
    estate,
    machines,
)

# -- no capacity -----------------------------------------------------------------------------


@pytest.fixture(name="scarce", scope="module")
def applied_without_capacity(make_loop: MakeLoop) -> tuple[Loop, Ran]:
    """The zone us-east-1a has none of the small types; for ``stuck`` not even the old type is left."""
    zone = f"{REGION}a"
    member = {"name": "api-{n}", "type": "m5.2xlarge", "usage": "quiet", "memory_agent": True, "zone": zone}
    loop = make_loop(
        estate(
            [
                machines("here", 3, zone=zone),
                machines("there", 3, zone=f"{REGION}b"),
                machines("stuck", type="m5.4xlarge", zone=zone),
            ],
            groups=[{"name": "api", "desired": 2, "version": "1", "instances": member}],
        ),
        variables={"frugal_policy": {"maximum_failures": 0}},
    )
    loop.recommend()
    loop.approve()
    small = sorted(set(loop.proposed().values()))
    loop.simulator.faults(insufficient_capacity=[f"{name}/{zone}" for name in (*small, "m5.4xlarge")])
    loop.simulator.stats(reset=True)
    return loop, loop.stage("apply")


def test_the_others_go_on_and_the_play_says_so(scarce: tuple[Loop, Ran]) -> None:
    loop, ran = scarce
    assert ran.code == 2
    assert ran.failure.startswith("5 of 8 actions failed, the first is ")
    statuses = loop.statuses()
    assert {name for name, status in statuses.items() if status == "applied"} == {"there-000", "there-001", "there-002"}
    assert {statuses[name] for name in ("here-000", "here-001", "here-002", "stuck", "api")} == {"failed"}


def test_without_capacity_the_old_type_runs_again(scarce: tuple[Loop, Ran]) -> None:
    loop, _ran = scarce
    types = loop.types()
    for number in range(3):
        assert types[f"here-{number:03}"] == "m5.2xlarge running"
        assert types[f"there-{number:03}"] == "m6a.large running"
    assert types["stuck"] == "m5.4xlarge stopped"


def test_the_journal_says_why(scarce: tuple[Loop, Ran]) -> None:
    loop, _ran = scarce
    actions = loop.actions()
    results = {row["action_id"]: json.loads(row["detail"]) for row in loop.journal("result")}
    for name in ("here-000", "here-001", "here-002"):
        assert actions[name]["reason"] == "restored"
        assert "InsufficientInstanceCapacity" in actions[name]["why"]
        assert actions[name]["why"].endswith("it is back in its old state")
        assert results[actions[name]["id"]]["why"] == actions[name]["why"]
    assert actions["stuck"]["reason"] == "stranded"
    assert "could not be put back" in actions["stuck"]["why"]


def test_what_went_back_was_not_changed_more_often_than_needed(scarce: tuple[Loop, Ran]) -> None:
    loop, _ran = scarce
    ids = {name: item["InstanceId"] for name, item in loop.instances().items()}
    taken = loop.taken_effect()
    there_and_back = ["ec2:StopInstances", "ec2:ModifyInstanceAttribute", "ec2:ModifyInstanceAttribute"]
    assert taken[ids["here-000"]] == [*there_and_back, "ec2:StartInstances"]
    assert taken[ids["there-000"]] == STEPS
    assert taken[ids["stuck"]] == there_and_back


def test_a_failed_refresh_is_rolled_back(scarce: tuple[Loop, Ran]) -> None:
    loop, _ran = scarce
    action = loop.actions()["api"]
    assert action["reason"] == "restored"
    assert "instance refresh ended as RollbackSuccessful" in action["why"]
    group = loop.simulator.client("autoscaling", loop.account).describe_auto_scaling_groups()["AutoScalingGroups"][0]
    assert group["LaunchTemplate"]["Version"] == "1"
    assert [member["InstanceType"] for member in group["Instances"]] == ["m5.2xlarge"] * 2


def test_once_there_is_capacity_the_stranded_one_is_rolled_back(scarce: tuple[Loop, Ran]) -> None:
    loop, _ran = scarce
    again = loop.stage("apply")
    assert (again.code, again.changed) == (0, 0), again.output
    loop.simulator.faults(insufficient_capacity=[])
    ran = loop.stage("rollback", rightsizing_plan_id=loop.plan_id())
    assert ran.code == 0, ran.output
    assert loop.statuses()["stuck"] == "rolled_back"
    types = loop.types()
    assert types["stuck"] == "m5.4xlarge running"
    assert {types[name] for name in types if name.startswith(("here", "there"))} == {"m5.2xlarge running"}


# -- verification ----------------------------------------------------------------------------

DAYS_BEFORE, DAYS_AFTER = 40, 4


def rising(folder: Path) -> dict[str, t.Any]:
    """A usage whose CPU rises six-fold in the hour after now: fine on the old type, too much for the new one."""
    now = datetime.datetime.fromisoformat(NOW.replace("Z", "+00:00"))
    lines = ["timestamp,value"]
    for sample in range((DAYS_BEFORE + DAYS_AFTER) * 288):
        at = now + datetime.timedelta(days=-DAYS_BEFORE, seconds=300 * sample)
        lines.append(f"{at:%Y-%m-%dT%H:%M:%SZ},{10 if sample < DAYS_BEFORE * 288 + 6 else 60}")
    path = folder / "rising.csv"
    path.write_text("\n".join(lines) + "\n")
    trace = {"path": str(path), "unit": "percent", "now_at": DAYS_BEFORE / (DAYS_BEFORE + DAYS_AFTER)}
    return {"dimensions": {"cpu": {"csv": trace}, "memory": {"profile": "steady", "peak": 15, "unit": "percent"}}}


@pytest.fixture(name="verified", scope="module")
def verified_by_two_policies(make_loop: MakeLoop, tmp_path_factory: pytest.TempPathFactory) -> dict[str, t.Any]:
    """The same machines in two accounts; one rolls back by itself, the other does not.

    The clock is the real one until the changes are applied: an alarm that goes off because of the
    change does so before the change has ended.
    """
    folder = tmp_path_factory.mktemp("traces")
    fleet = [
        machines("calm", 2),
        machines("alarmed", alarm={"name": "latency", "threshold": 90, "after_change": True}),
        machines("alarmed-before", alarm={"name": "known", "threshold": 90, "state": "ALARM"}),
        machines("saturated", usage="rising"),
    ]
    automatic = make_loop(
        estate(
            fleet,
            now=None,
            usage={"rising": rising(folder)},
            accounts=[{"id": SECOND, "name": "second", "regions": {REGION: {"instances": fleet}}}],
        ),
        now="",
        variables={"frugal_policy": {"verification": {"rollback": "automatic"}}},
    )
    manual = Loop(
        automatic.simulator,
        tmp_path_factory.mktemp("operator"),
        SECOND,
        now="",
        variables={"frugal_policy": {"verification": {"rollback": "manual"}}},
    )
    found: dict[str, t.Any] = {}
    for loop in (automatic, manual):
        loop.recommend()
        loop.approve()
        assert loop.stage("apply").code == 0
    hour = automatic.simulator.clock(advance_seconds=30 * 3600)["now"]
    for name, loop in (("automatic", automatic), ("manual", manual)):
        assert set(loop.statuses().values()) == {"applied"}
        loop.now = hour
        found[name] = (loop, loop.stage("verify"))
    return found


def test_what_hurts_is_rolled_back_by_itself(verified: dict[str, t.Any]) -> None:
    loop, ran = verified["automatic"]
    assert ran.code == 0, ran.output
    assert loop.statuses() == {
        "calm-000": "verified",
        "calm-001": "verified",
        "alarmed-before": "verified",
        "alarmed": "rolled_back",
        "saturated": "rolled_back",
    }
    types = loop.types()
    assert types["alarmed"] == types["saturated"] == "m5.2xlarge running"
    assert types["calm-000"] == types["alarmed-before"] == "m6a.large running"


def test_what_was_rolled_back_is_reported(verified: dict[str, t.Any]) -> None:
    loop, ran = verified["automatic"]
    result = ran.of("Verify")
    assert result["by_status"] == {"verified": 3, "rolled_back": 2, "applied": 0}
    whys = {row["id"]: name for name, row in loop.actions().items()}
    told = {whys[key]: value["why"] for key, value in result["verifications"].items() if not value["passed"]}
    assert "alarms: latency" in told["alarmed"]
    assert "cpu_percent: " in told["saturated"]
    assert "rolled_back: saturated m5.2xlarge -> m6a.large" in ran.output


def test_without_automatic_rollback_it_stays_with_the_reason(verified: dict[str, t.Any]) -> None:
    loop, ran = verified["manual"]
    assert ran.code == 0, ran.output
    actions = loop.actions()
    assert {name: row["status"] for name, row in actions.items()} == {
        "calm-000": "verified",
        "calm-001": "verified",
        "alarmed-before": "verified",
        "alarmed": "applied",
        "saturated": "applied",
    }
    assert actions["saturated"]["reason"] == "verification_failed"
    assert "cpu_percent" in actions["saturated"]["why"]
    assert loop.types()["saturated"] == "m6a.large running"
    again = loop.stage("verify")
    assert (again.code, again.changed) == (0, 0), again.output
