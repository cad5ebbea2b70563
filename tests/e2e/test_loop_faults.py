# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""30 % of calls throttled, 5 % of answers cut off: the same result, nothing twice, bounded retries."""

from __future__ import annotations

import collections
import typing as t

import pytest
from ansible_collections.frugal.cloud.tests.e2e.conftest import MakeLoop
from ansible_collections.frugal.cloud.tests.e2e.loop import STEPS, Loop, estate, machines

Both = dict[str, tuple[Loop, dict[str, t.Any], dict[str, t.Any]]]


@pytest.fixture(name="both", scope="module")
def with_and_without_faults(make_loop: MakeLoop) -> Both:
    """The same estate twice, with the requests of recommend and of apply."""
    member = {"name": "api-{n}", "type": "m5.2xlarge", "usage": "quiet", "memory_agent": True}
    found: Both = {}
    for name, faults in (("calm", {}), ("rough", {"throttle_rate": 0.3, "cut_rate": 0.05, "seed": 3})):
        loop = make_loop(
            estate([machines("web", 24)], groups=[{"name": "api", "desired": 2, "version": "1", "instances": member}])
        )
        loop.simulator.faults(**faults)
        loop.recommend()
        recommended = loop.simulator.stats(reset=True)
        loop.approve()
        ran = loop.stage("apply")
        assert ran.code == 0, ran.output
        applied = loop.simulator.stats()
        loop.simulator.faults(throttle_rate=0, cut_rate=0)
        found[name] = (loop, recommended, applied)
    return found


def test_there_were_faults(both: Both) -> None:
    _loop, recommended, applied = both["rough"]
    results = collections.Counter(recommended["results"]) + collections.Counter(applied["results"])
    assert results["cut"] >= 3
    assert sum(count for code, count in results.items() if code not in ("ok", "cut")) >= 20


def test_the_result_is_the_same(both: Both) -> None:
    calm, rough = (both[name][0] for name in ("calm", "rough"))
    digests = [loop.rows("SELECT id, digest FROM frugal_plans") for loop in (calm, rough)]
    assert digests[0] == digests[1]
    assert calm.statuses() == rough.statuses()
    assert set(rough.statuses().values()) == {"applied"}
    assert only_machines(calm) == only_machines(rough)


def only_machines(loop: Loop) -> dict[str, str]:
    return {name: kind for name, kind in loop.types().items() if name.startswith("web-")}


def test_nothing_took_effect_twice(both: Both) -> None:
    loop, _recommended, applied = both["rough"]
    machine_ids = {item["InstanceId"] for name, item in loop.instances().items() if name.startswith("web-")}
    taken: dict[str, list[str]] = {}
    others: collections.Counter[str] = collections.Counter()
    for change in applied["changes"]:
        if change["result"] == "ok":
            for resource in change["resources"]:
                if resource in machine_ids:
                    taken.setdefault(resource, []).append(change["operation"])
                else:
                    others[change["operation"]] += 1
    assert {tuple(steps) for steps in taken.values()} == {tuple(STEPS)}
    assert len(taken) == 24
    assert others["autoscaling:StartInstanceRefresh"] == 1
    group = loop.simulator.client("autoscaling", loop.account).describe_auto_scaling_groups()["AutoScalingGroups"][0]
    versions = loop.simulator.client("ec2", loop.account).describe_launch_template_versions(
        LaunchTemplateId=group["LaunchTemplate"]["LaunchTemplateId"]
    )
    assert len(versions["LaunchTemplateVersions"]) == 2


def test_retries_are_bounded(both: Both) -> None:
    """A throttled or cut call is repeated, and the work is read anew; that is all."""
    _loop, calm_recommended, calm_applied = both["calm"]
    _loop, recommended, applied = both["rough"]
    assert recommended["total"] <= 2.2 * calm_recommended["total"]
    assert applied["total"] <= 4 * calm_applied["total"]


def test_it_can_be_rolled_back_under_faults(both: Both) -> None:
    loop, _recommended, _applied = both["rough"]
    loop.simulator.stats(reset=True)
    loop.simulator.faults(throttle_rate=0.3, cut_rate=0.05, seed=4)
    ran = loop.stage("rollback", rightsizing_plan_id=loop.plan_id())
    loop.simulator.faults(throttle_rate=0, cut_rate=0)
    assert ran.code == 0, ran.output
    assert set(loop.statuses().values()) == {"rolled_back"}
    assert set(only_machines(loop).values()) == {"m5.2xlarge running"}
