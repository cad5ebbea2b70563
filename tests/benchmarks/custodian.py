# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Against Cloud Custodian on one simulated account of 10,000 instances.

Both answer the same question, who is idle (average CPU under 5 % over 14 days), as whole
processes: ``custodian run`` from its own virtual environment, and ``ansible-playbook`` with
one task of ours. They take turns and the median ratio of the pairs counts, so that other
work on the machine disturbs both alike. The instances found must be the same. With 30 ms a
request our full sizing question is held against Custodian's idle question.
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
#: Pairs of runs. With latency Custodian takes minutes: it runs once, between runs of ours.
PAIRS = 3
OURS_WITH_LATENCY = 3
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


def _compare(simulator: SimulatorProcess, folder: Path, order: str) -> tuple[list[_Peer], list[Asked]]:
    """Runs of both in turn, ``p`` for the peer and ``o`` for us; the instances found must be the same."""
    peers: list[_Peer] = []
    ours: list[Asked] = []
    for number, who in enumerate(order):
        if who == "p":
            peers.append(_custodian(simulator, folder / f"custodian-{number}"))
        else:
            ours.append(ask(simulator, folder / f"ours-{number}", **IDLE))
    found = peers[0].found
    for asked in ours:
        if _idle(asked) != found:
            only_peer, only_ours = sorted(found - _idle(asked)), sorted(_idle(asked) - found)
            raise NotComparable(
                f"{PEER} found {len(found)} idle instances, we {len(_idle(asked))}; "
                f"only {PEER}: {only_peer[:5]}, only we: {only_ours[:5]}"
            )
    return peers, ours


def _idle_entries(peers: list[_Peer], ours: list[Asked], latency: str, needed: float) -> list[_Dict]:
    peer, asked = peers[0], ours[0]
    workload = f"{INSTANCES:,} instances, idle: average CPU < 5 % over 14 days, {latency}"
    seconds = _entry(
        "whole run",
        workload,
        statistics.median(asked.measured.seconds for asked in ours),
        statistics.median(peer.measured.seconds for peer in peers),
        "s",
        note=f"same {len(peer.found):,} instances, at least {needed:g} needed, "
        f"{len(ours)} runs against {len(peers)}, {_load()}",
    )
    if len(peers) == len(ours):
        pairs = [peer.measured.seconds / asked.measured.seconds for peer, asked in zip(peers, ours, strict=True)]
        seconds["ratio"] = round(statistics.median(pairs), 2)
    cpu = _entry("processor time of the client", workload, asked.measured.cpu_seconds, peer.measured.cpu_seconds, "s")
    return [
        seconds,
        cpu,
        _entry("requests", workload, asked.total, peer.requests, "requests"),
        _entry("largest process", workload, asked.measured.peak, peer.measured.peak, "MiB"),
    ]


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
        entries += _idle_entries(*_compare(simulator, folder / "fast", "po" * PAIRS), "no latency", 3)
        simulator.faults(latency_ms=LATENCY_MS)
        before = OURS_WITH_LATENCY // 2
        order = "o" * before + "p" + "o" * (OURS_WITH_LATENCY - before)
        slow, asked = _compare(simulator, folder / "slow", order)
        entries += _idle_entries(slow, asked, f"{LATENCY_MS} ms a request", 8)
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
                    slow[0].measured.seconds,
                    "s",
                    note=f"at least 1 needed, {_load()}",
                )
            )
            entries += _limits(full, needed, workload)
    return entries
