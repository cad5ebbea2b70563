# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kill -9 at 20 random moments while 200 actions are applied; then run again until all is done."""

from __future__ import annotations

import collections
import random
import subprocess

import pytest
from ansible_collections.frugal.cloud.tests.e2e.conftest import MakeLoop
from ansible_collections.frugal.cloud.tests.e2e.loop import STEPS, Loop, estate, kill_tree, machines, wait_for

INSTANCES = 200
KILLS = 20
#: A request takes this long, so that kills find some on their way.
LATENCY = 60
IN_FLIGHT = {"rightsizing_max_in_flight": 10}


@pytest.fixture(name="killed", scope="module")
def killed_and_finished(make_loop: MakeLoop) -> tuple[Loop, list[int]]:
    """The loop after 20 kills and a run that went to its end, and how many intents had no outcome at each kill."""
    loop = make_loop(estate([machines("web", INSTANCES)]))
    loop.recommend()
    loop.approve()
    loop.simulator.stats(reset=True)
    loop.simulator.faults(latency_ms=LATENCY)
    moments = random.Random(20)
    dangling: list[int] = []
    for number in range(KILLS):
        # After some requests of any kind, or after some that change something; so few that work is left to the end.
        share = (INSTANCES - len(loop.journal("result"))) // (KILLS - number)
        kind, most = ("changes", share) if number % 2 else ("total", 2 * share)
        moment = requests(loop, kind) + moments.randint(1, max(1, most))
        process = loop.start("rightsizing", frugal_stage="apply", **IN_FLIGHT)
        reached = wait_for(lambda kind=kind, moment=moment: requests(loop, kind) >= moment, process)
        kill_tree(process.pid)
        output, _nothing = process.communicate()
        assert reached, f"this run ended before it was killed, after {len(dangling)} kills:\n{output}"
        phases = collections.Counter(entry["phase"] for entry in loop.journal())
        dangling.append(phases["intent"] - phases["outcome"])
    loop.simulator.faults(latency_ms=0)
    ran = loop.stage("apply", rightsizing_max_in_flight=100)
    assert ran.code == 0, ran.output
    return loop, dangling


def requests(loop: Loop, kind: str) -> int:
    """How many requests the simulator has seen: in ``total``, or those that may change something (``changes``)."""
    stats = loop.simulator.stats()
    return len(stats["changes"]) if kind == "changes" else int(stats["total"])


def test_the_kills_came_in_the_middle(killed: tuple[Loop, list[int]]) -> None:
    loop, dangling = killed
    assert len(dangling) == KILLS
    assert sum(count > 0 for count in dangling) >= 3, dangling
    outcomes = collections.Counter(run["outcome"] for run in loop.rows("SELECT outcome FROM frugal_runs"))
    assert outcomes["died"] >= 10, outcomes


def test_every_resource_is_in_the_planned_state(killed: tuple[Loop, list[int]]) -> None:
    loop, _dangling = killed
    planned = {row["resource_id"]: row for row in loop.actions().values()}
    assert set(loop.statuses().values()) == {"applied"}
    assert len(planned) == INSTANCES
    assert set(loop.types().values()) == {"m6a.large running"}


def test_the_journal_has_one_result_an_action_and_an_outcome_for_every_intent(killed: tuple[Loop, list[int]]) -> None:
    loop, _dangling = killed
    results = collections.Counter(row["action_id"] for row in loop.journal("result"))
    assert len(results) == INSTANCES
    assert set(results.values()) == {1}
    open_step: dict[str, str] = {}
    for row in loop.journal():
        if row["phase"] == "intent":
            assert row["action_id"] not in open_step, row
            open_step[row["action_id"]] = row["step"]
        elif row["phase"] == "outcome":
            assert open_step.pop(row["action_id"]) == row["step"], row
    assert not open_step


def test_no_request_is_repeated_after_the_one_that_took_effect(killed: tuple[Loop, list[int]]) -> None:
    loop, _dangling = killed
    taken = loop.taken_effect()
    assert len(taken) == INSTANCES
    assert {tuple(steps) for steps in taken.values()} == {tuple(STEPS)}
    assert {change["result"] for change in loop.changes()} == {"ok"}


def test_a_further_run_changes_nothing(killed: tuple[Loop, list[int]]) -> None:
    loop, _dangling = killed
    before = loop.dump()
    requests = len(loop.changes())
    ran = loop.stage("apply")
    assert (ran.code, ran.changed) == (0, 0), ran.output
    assert len(loop.changes()) == requests
    after = loop.dump()
    assert before.pop("frugal_runs") != after.pop("frugal_runs")  # that it ran is noted
    assert before == after


def test_every_action_can_be_rolled_back(killed: tuple[Loop, list[int]]) -> None:
    loop, _dangling = killed
    loop.simulator.stats(reset=True)
    ran = loop.stage("rollback", rightsizing_plan_id=loop.plan_id(), rightsizing_max_in_flight=100)
    assert ran.code == 0, ran.output
    assert set(loop.statuses().values()) == {"rolled_back"}
    assert set(loop.types().values()) == {"m5.2xlarge running"}
    assert {tuple(steps) for steps in loop.taken_effect().values()} == {tuple(STEPS)}
    results = collections.Counter((row["action_id"], row["direction"]) for row in loop.journal("result"))
    assert len(results) == 2 * INSTANCES
    assert set(results.values()) == {1}


def test_a_killed_playbook_whose_module_lives_on(make_loop: MakeLoop) -> None:
    """Only ansible-playbook dies; its module goes on by itself, and a second run beside it takes nothing twice."""
    loop = make_loop(estate([machines("web", 40)]))
    loop.recommend()
    loop.approve()
    loop.simulator.stats(reset=True)
    process = loop.start("rightsizing", frugal_stage="apply", rightsizing_max_in_flight=4)
    assert wait_for(lambda: len(loop.changes()) > 10, process)
    process.kill()
    ran = loop.stage("apply", rightsizing_max_in_flight=4)
    assert ran.code == 0, ran.output
    with_process_output(process)
    assert loop.stage("apply").code == 0
    assert set(loop.statuses().values()) == {"applied"}
    assert {tuple(steps) for steps in loop.taken_effect().values()} == {tuple(STEPS)}


def test_a_killed_verification_is_finished_by_the_next_one(make_loop: MakeLoop) -> None:
    """It dies while it rolls back what failed: half the machines are stopped, and verify alone puts that right."""
    alarm = {"threshold": 90, "after_change": True}
    fleet = [machines(f"web-{number}", alarm={"name": f"latency-{number}", **alarm}) for number in range(12)]
    policy = {"verification": {"rollback": "automatic", "soak_hours": 0}}
    loop = make_loop(estate(fleet, now=None), now="", variables={"frugal_policy": policy})
    loop.recommend()
    loop.approve()
    assert loop.stage("apply").code == 0
    loop.simulator.stats(reset=True)
    process = loop.start("rightsizing", frugal_stage="verify", rightsizing_max_in_flight=6)
    assert wait_for(loop.changes, process)
    kill_tree(process.pid)
    process.communicate()
    statuses = collections.Counter(loop.statuses().values())
    assert statuses["applying"] == 6
    assert statuses["applied"] == 6
    foreseen = loop.stage("verify", "--check")
    ran = loop.stage("verify")
    assert ran.code == 0, ran.output
    assert ran.of("Verify")["by_status"] == foreseen.of("Verify")["by_status"]
    assert ran.of("Verify")["by_status"]["rolled_back"] == 12
    assert set(loop.statuses().values()) == {"rolled_back"}
    assert set(loop.types().values()) == {"m5.2xlarge running"}
    assert {tuple(steps) for steps in loop.taken_effect().values()} == {tuple(STEPS)}


def with_process_output(process: subprocess.Popen[str]) -> str:
    """Wait until all who hold the output's pipe have ended, the orphaned module too."""
    output, _nothing = process.communicate(timeout=120)
    return output
