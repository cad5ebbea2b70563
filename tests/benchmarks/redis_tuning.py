# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis tuned by its own accesses against every static policy, on real servers.

A server as Redis ships it (noeviction) is used by an application whose hot set moves and which imports keys that
nobody reads again. It is tuned while it is in use, until there is nothing left to advise. Then fresh servers with the
memory that was advised get the same application with other random seeds, once for each static setting and once for
what the tuning chose.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import sys
import tempfile
import time
import typing as t
from collections.abc import Mapping
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils import (
    host_redis_config,
    host_redis_stats,
    host_redis_trace,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import redis_tuning
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_eviction import POLICIES, Policy
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_facts import MIB, Options
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation
from ansible_collections.frugal.cloud.tests.tools.redis_server import Application, Tally, Workload, in_use, serve

#: What is used, the seed of the server that is tuned, and another one for those that are judged.
CASES = (
    ("hot set that drifts", Workload(), 11, 1_001),
    ("hot set that drifts", Workload(), 12, 1_002),
    ("hot set that moves fast", Workload(drift=10_000, step=400), 31, 3_001),
)
ROUNDS = 6
#: A GiB of memory costs 5 USD a month. Misses are priced so that memory of a few MiB is weighed against them.
PRICES = {"memory_price_gib_month": 5.0, "miss_price_million": 0.000_02}


@dataclasses.dataclass(frozen=True)
class Scale:
    """How long each part takes."""

    workload: Workload = dataclasses.field(default_factory=Workload)
    #: memory that the server begins with
    begin: str = "8mb"
    warm_reads: int = 120_000
    judged_reads: int = 120_000
    monitor_seconds: float = 12.0
    #: MONITOR ends when a PING takes this many times as long
    monitor_slower: float = 20.0
    #: after a change the cache has to be filled again before it is looked at
    settle_seconds: float = 8.0
    trials: tuple[Policy, ...] = ()


@dataclasses.dataclass(frozen=True)
class Tuned:
    """What the tuning left: settings by name, and the hit ratio that it predicted for them."""

    settings: Mapping[str, str]
    predicted: float
    advised: tuple[Recommendation, ...]


def trials() -> tuple[Policy, ...]:
    """Every policy; LRU and LFU with more samples too, LFU with other factors."""
    found = [Policy(name) for name in POLICIES]
    found += [Policy(f"allkeys-{kind}", samples=10) for kind in ("lru", "lfu")]
    found += [Policy("allkeys-lfu", log_factor=factor) for factor in (1, 100)]
    found.append(Policy("allkeys-lfu", decay_time=0))
    return tuple(found)


def tune(folder: Path, workload: Workload, seed: int, scale: Scale) -> Tuned:
    """Tune a server while it is in use; the settings that it has in the end."""
    predicted = math.nan
    advised: list[Recommendation] = []
    start = {"maxmemory": scale.begin, "maxmemory-policy": "noeviction"}
    with serve(folder, start) as server, in_use(server, workload, seed):
        for _round in range(ROUNDS):
            time.sleep(scale.settle_seconds)
            request = host_redis_stats.Request(
                where=server.where,
                observe_seconds=2.0,
                trace_limits=host_redis_trace.Limits(seconds=scale.monitor_seconds, slower=scale.monitor_slower),
            )
            advice = redis_tuning.advise(host_redis_stats.read(request), Options("benchmark", **PRICES))
            for found in advice.recommendations:
                if found.action != "redis_eviction":
                    continue
                if found.refused:
                    # As its sentence says, more has to be seen: the next round looks again.
                    print(f"    refused: {found.refused}", flush=True)
                    break
                with server.connect() as client:
                    host_redis_config.apply(client, found.proposed, persist=True, tuned="", check=False)
                advised.append(found)
                ratio = found.evidence["predicted"]["hit_ratio"]
                predicted = math.nan if ratio is None else ratio
                break
            else:
                # The advice is to leave it as it is: the model has an expectation of that too. What it predicted
                # before its change was made counts more.
                if math.isnan(predicted):
                    predicted = advice.summary["expected_hit_ratio"] or math.nan
                break
        with server.connect() as client:
            return Tuned(client.config("maxmemory*", "lfu*"), predicted, tuple(advised))


def trial(folder: Path, settings: Mapping[str, t.Any], workload: Workload, seed: int, scale: Scale) -> Tally:
    """The judged reads of a fresh server with ``settings``; write errors of the warm-up count too."""
    with serve(folder, settings) as server, server.connect() as client:
        application = Application(workload, seed)
        warm = application.run(client, scale.warm_reads)
        judged = application.run(client, scale.judged_reads)
        judged.write_errors += warm.write_errors
        return judged


def compare(folder: Path, scale: Scale, seed: int, judging_seed: int) -> dict[str, t.Any]:
    """Tune once and judge."""
    workload = scale.workload
    tuned = tune(folder / f"tuned{seed}", workload, seed, scale)
    memory = tuned.settings["maxmemory"]
    names = ("maxmemory", "maxmemory-policy", "maxmemory-samples", "lfu-log-factor", "lfu-decay-time")
    chosen = {name: tuned.settings[name] for name in names}
    ours = trial(folder / f"ours{seed}", chosen, workload, judging_seed, scale)
    peers: dict[str, Tally] = {}
    for number, policy in enumerate(scale.trials or trials()):
        settings = {"maxmemory": memory, **policy.settings()}
        name = " ".join(settings[key] for key in settings if key != "maxmemory")
        peers[name] = trial(folder / f"trial{seed}-{number}", settings, workload, judging_seed, scale)
    best = max(peers, key=lambda name: peers[name].hit_ratio)
    return {
        "settings": chosen,
        "predicted": tuned.predicted,
        "ours": ours.hit_ratio,
        "write_errors": ours.write_errors,
        "rounds": len(tuned.advised),
        "best": best,
        "peer": peers[best].hit_ratio,
        "trials": {name: (round(tally.hit_ratio, 4), tally.write_errors) for name, tally in peers.items()},
    }


def run(scale: Scale | None = None) -> list[dict[str, t.Any]]:
    """Two comparisons for each case: with the best static setting, and of the prediction with what was measured."""
    scale = scale or Scale()
    results = []
    folder = Path(tempfile.mkdtemp(prefix="redis-tuning-"))
    try:
        for name, used, seed, judging_seed in CASES:
            found = compare(folder, dataclasses.replace(scale, workload=used), seed, judging_seed)
            for setting, (ratio, errors) in sorted(found["trials"].items(), key=lambda item: -item[1][0]):
                print(f"    {setting}: {ratio:.4f}, {errors} write errors", flush=True)
            memory = int(found["settings"]["maxmemory"]) / MIB
            workload = f"{name}, seeds {seed} and {judging_seed}, {memory:.0f} MiB advised"
            results.append(
                {
                    "name": "Redis hit ratio, tuned",
                    "workload": workload,
                    "ours": round(found["ours"], 4),
                    "peer": round(found["peer"], 4),
                    "peer_name": f"best static setting ({found['best']})",
                    "unit": "share of reads",
                    "ratio": round(found["peer"] / found["ours"], 4),
                    "note": f"{found['settings']['maxmemory-policy']} after {found['rounds']} rounds, "
                    f"{found['write_errors']} write errors",
                }
            )
            results.append(
                {
                    "name": "Redis hit ratio, predicted",
                    "workload": workload,
                    "ours": round(found["predicted"], 4),
                    "peer": round(found["ours"], 4),
                    "peer_name": "measured",
                    "unit": "share of reads",
                    "ratio": round(found["ours"] / found["predicted"], 4),
                }
            )
            assert found["write_errors"] == 0, found
            assert found["ours"] >= found["peer"] - 0.02, found
            assert abs(found["predicted"] - found["ours"]) <= 0.03, found
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return results


if __name__ == "__main__":
    for entry in run():
        print(entry)
    sys.exit(0)
