# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Against Cloud Custodian on one simulated account of 10,000 instances.

Both answer the same question, who is idle (average CPU under 5 % over 14 days), as whole
processes: ``custodian run`` from its own virtual environment, and ``ansible-playbook`` with
one task of ours. They take turns, the ratio is that of each pair, and the median of the
pairs counts, so that other work on the machine disturbs both alike. The instances found must be the
same. With 30 ms a request our full sizing question is held against Custodian's idle question.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import typing as t
from pathlib import Path

from ansible_collections.frugal.cloud.tests.benchmarks import fleet_scale
from ansible_collections.frugal.cloud.tests.benchmarks.fleet_scale import Asked, ask
from ansible_collections.frugal.cloud.tests.benchmarks.measured import Measured, measure
from ansible_collections.frugal.cloud.tests.simulator.process import SimulatorProcess
from ansible_collections.frugal.cloud.tests.tools.environment import virtual_environment

INSTANCES = 10_000
PEER = "Cloud Custodian"
LATENCY_MS = 30
#: Pairs of runs; with latency the waiting dominates and one pair says enough.
PAIRS = 3
PAIRS_WITH_LATENCY = 1
IDLE = {"checks": "idle", "lookback_days": 14}

_Dict = dict[str, t.Any]


class NotComparable(Exception):
    """The two did not do the same work, or a limit on requests or memory was passed."""


class _Peer(t.NamedTuple):
    measured: Measured
    requests: int
    found: frozenset[str]


def _custodian(simulator: SimulatorProcess, folder: Path) -> _Peer:
    folder.mkdir(parents=True)
    policy: _Dict = {
        "name": "idle",
        "resource": "aws.ec2",
        "filters": [{"type": "metrics", "name": "CPUUtilization", "days": 14, "value": 5, "op": "less-than"}],
    }
    path = folder / "policy.json"
    path.write_text(json.dumps({"policies": [policy]}), encoding="utf-8")
    command = virtual_environment("custodian") / "bin" / "custodian"
    simulator.stats(reset=True)
    measured = measure(
        [command, "run", "--cache-period", "0", "-r", fleet_scale.REGION, "-s", folder / "out", path],
        {**simulator.environment(fleet_scale.ACCOUNT, fleet_scale.REGION), "HOME": str(folder)},
    )
    requests = sum(simulator.stats()["counts"][fleet_scale.ACCOUNT].values())
    resources = json.loads((folder / "out" / "idle" / "resources.json").read_text(encoding="utf-8"))
    return _Peer(measured, requests, frozenset(item["InstanceId"] for item in resources))


def _idle(asked: Asked) -> frozenset[str]:
    return frozenset(str(item["resource_id"]) for item in asked.findings)


def _entry(name: str, workload: str, ours: float, peer: float, unit: str, **more: t.Any) -> _Dict:
    return {
        "name": name,
        "workload": workload,
        "ours": round(ours, 2),
        "peer": round(peer, 2),
        "unit": unit,
        "ratio": round(peer / ours, 2),
        "peer_name": PEER,
        **more,
    }


def _load() -> str:
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"


def _compare(simulator: SimulatorProcess, folder: Path, pairs: int) -> tuple[list[tuple[_Peer, Asked]], float]:
    """Runs of both in turn, and the median ratio of seconds."""
    runs = []
    for number in range(pairs):
        peer = _custodian(simulator, folder / f"custodian-{number}")
        ours = ask(simulator, folder / f"ours-{number}", **IDLE)
        if peer.found != _idle(ours):
            only_peer, only_ours = sorted(peer.found - _idle(ours)), sorted(_idle(ours) - peer.found)
            raise NotComparable(
                f"{PEER} found {len(peer.found)} idle instances, we {len(_idle(ours))}; "
                f"only {PEER}: {only_peer[:5]}, only we: {only_ours[:5]}"
            )
        runs.append((peer, ours))
    return runs, statistics.median(peer.measured.seconds / ours.measured.seconds for peer, ours in runs)


def _idle_entries(runs: list[tuple[_Peer, Asked]], ratio: float, latency: str, needed: float) -> list[_Dict]:
    peer, ours = runs[0]
    workload = f"{INSTANCES:,} instances, idle: average CPU < 5 % over 14 days, {latency}"
    seconds = _entry(
        "whole run",
        workload,
        statistics.median(ours.measured.seconds for _peer, ours in runs),
        statistics.median(peer.measured.seconds for peer, _ours in runs),
        "s",
        note=f"same {len(peer.found):,} instances, at least {needed:g} needed, {len(runs)} pairs, {_load()}",
    )
    seconds["ratio"] = round(ratio, 2)
    cpu = _entry("processor time of the client", workload, ours.measured.cpu_seconds, peer.measured.cpu_seconds, "s")
    return [seconds, cpu, _entry("requests", workload, ours.total, peer.requests, "requests")]


def _limits(asked: Asked, needed: int, workload: str) -> list[_Dict]:
    """What the full question may cost at most; passing a limit is an error, not a slow run."""
    figures = (
        ("requests against the least possible", asked.total, fleet_scale.REQUEST_FACTOR * needed, "requests"),
        ("memory of the module process", asked.module_mib, fleet_scale.MODULE_MIB, "MiB"),
        ("memory of ansible-playbook", asked.playbook_mib, fleet_scale.PLAYBOOK_MIB, "MiB"),
        ("records that the task hands on", asked.longest_list, fleet_scale.HANDED_ON, "records"),
    )
    for name, ours, limit, unit in figures:
        if ours > limit:
            raise NotComparable(f"{name}: {ours:,.0f} {unit}, at most {limit:,.0f} are allowed ({workload})")
    return [_entry(name, workload, ours, limit, unit, peer_name="limit") for name, ours, limit, unit in figures]


def run() -> list[_Dict]:
    """The idle question with and without latency, then the full one."""
    entries: list[_Dict] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as temporary,
        SimulatorProcess(f"fleet:{INSTANCES}") as simulator,
    ):
        folder = Path(temporary)
        needed = fleet_scale.needed_requests(simulator, fleet_scale.METRICS)
        runs, ratio = _compare(simulator, folder / "fast", PAIRS)
        entries += _idle_entries(runs, ratio, "no latency", 3)
        peer, ours = runs[0]
        entries.append(_entry("largest process", entries[0]["workload"], ours.measured.peak, peer.measured.peak, "MiB"))
        simulator.faults(latency_ms=LATENCY_MS)
        slow, ratio = _compare(simulator, folder / "slow", PAIRS_WITH_LATENCY)
        entries += _idle_entries(slow, ratio, f"{LATENCY_MS} ms a request", 8)
        for days in (32, 14):
            full = ask(simulator, folder / f"full-{days}", metrics=fleet_scale.METRICS, lookback_days=days)
            workload = (
                f"{INSTANCES:,} instances, CPU, memory, network and EBS over {days} days, {LATENCY_MS} ms a request"
            )
            entries.append(
                _entry(
                    "full sizing against the idle question",
                    workload,
                    full.measured.seconds,
                    slow[0][0].measured.seconds,
                    "s",
                    note=f"at least 1 needed, {_load()}",
                )
            )
            entries += _limits(full, needed, workload)
    return entries
