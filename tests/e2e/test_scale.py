# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A thousand instances: requests, memory and what tasks hand on. Never seconds, which depend on the machine.

``make bench`` asks the same of ten thousand.
"""

from __future__ import annotations

import typing as t
from collections.abc import Iterator

import pytest
from ansible_collections.frugal.cloud.tests.benchmarks import fleet_scale
from ansible_collections.frugal.cloud.tests.benchmarks.fleet_scale import ACCOUNT, Asked, ask, longest_list
from ansible_collections.frugal.cloud.tests.e2e.loop import Loop
from ansible_collections.frugal.cloud.tests.simulator.process import SimulatorProcess

INSTANCES = 1000
#: For 10,000 instances 350 MiB are allowed: 110 MiB are Python with its libraries, the rest grows with the fleet.
MODULE_MIB = 200.0


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorProcess]:
    with SimulatorProcess(f"fleet:{INSTANCES}") as running:
        yield running


@pytest.fixture(scope="module")
def full(simulator: SimulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return ask(simulator, tmp_path_factory.mktemp("full") / "run", metrics=fleet_scale.METRICS)


@pytest.fixture(scope="module")
def idle(simulator: SimulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return ask(simulator, tmp_path_factory.mktemp("idle") / "run", checks="idle", lookback_days=14)


def test_full_sizing_reads_each_page_once_and_asks_500_metrics_at_a_time(
    simulator: SimulatorProcess, full: Asked
) -> None:
    needed = fleet_scale.needed_requests(simulator, fleet_scale.METRICS)
    assert full.result["summary"]["instances"] == INSTANCES
    assert full.total <= fleet_scale.REQUEST_FACTOR * needed, full.requests
    assert full.result["api"]["requests"] == full.total  # what is reported is what the server counted


def test_the_idle_question_needs_four_requests_and_finds_exactly_the_idle(
    simulator: SimulatorProcess, idle: Asked
) -> None:
    assert idle.requests == {
        "sts:GetCallerIdentity": 1,
        "ec2:DescribeInstances": 1,
        "cloudwatch:GetMetricData": INSTANCES // 500,
    }
    pages = simulator.client("ec2", ACCOUNT).get_paginator("describe_instances").paginate()
    known = {
        instance["InstanceId"]
        for page in pages
        for reservation in page["Reservations"]
        for instance in reservation["Instances"]
        if {"Key": "class", "Value": "idle"} in instance["Tags"]
    }
    assert len(known) == INSTANCES // 5
    assert {item["resource_id"] for item in idle.findings} == known


def test_memory_stays_small(full: Asked, idle: Asked) -> None:
    assert full.module_mib < MODULE_MIB
    assert idle.module_mib < MODULE_MIB
    assert full.playbook_mib < fleet_scale.PLAYBOOK_MIB


def test_files_hold_everything_and_results_the_first_fifty(full: Asked, idle: Asked) -> None:
    assert full.result["summary"]["recommendations"] > fleet_scale.HANDED_ON
    assert len(full.findings) == INSTANCES
    assert full.longest_list <= fleet_scale.HANDED_ON
    assert idle.longest_list <= fleet_scale.HANDED_ON


@pytest.fixture(scope="module")
def loop(simulator: SimulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Loop:
    now = simulator.clock()["now"]
    return Loop(simulator, tmp_path_factory.mktemp("operator"), account=ACCOUNT, now=now)


def test_no_task_of_the_playbooks_hands_on_more_than_fifty_records(loop: Loop) -> None:
    runs = [loop.recommend(), loop.approve(), loop.good("report")]
    lengths: dict[str, int] = {}
    for result in (result for ran in runs for result in ran.results):
        lengths[result.task] = max(lengths.get(result.task, 0), longest_list(t.cast("dict[str, t.Any]", result.data)))
    assert max(lengths.values()) == fleet_scale.HANDED_ON, lengths  # 50: there was more to hand on
