# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be said about a Redis server, and whether a change of it did what it should."""

from __future__ import annotations

import dataclasses
import math
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze import redis_findings, redis_memory, verification
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_accesses import Accesses, BadTrace, accesses
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_facts import MIB, Facts, Options
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_usage import judge
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation

#: kinds of actions that are settings of the server
KINDS = (
    redis_memory.ACTION,
    "redis_encoding",
    "redis_defragmentation",
    "redis_lazyfree",
    "redis_persistence",
    "redis_replication",
    "redis_clients",
    "redis_latency_monitor",
)
#: those that decide which keys are there
RESIDENCE = (redis_memory.ACTION, "redis_encoding")
#: the hit ratio may be this much lower than expected
TOLERATED = 0.02
#: fewest reads for a comparison of hit ratios
ENOUGH = 1_000
#: reads of a command may take this much longer before it counts (share of the median), and this long (microseconds)
SLOWER = 0.25
LEAST_SLOWER_US = 2.0


def service_name(instance: str) -> str:
    """What a server is called in scopes: by its port, or by the path of its socket."""
    if instance == "6379":
        return "redis"
    return "redis-" + re.sub(r"[^a-z0-9]+", "-", instance.lower()).strip("-")


@dataclasses.dataclass(frozen=True)
class Advice:
    """What was found."""

    recommendations: tuple[Recommendation, ...]
    summary: Mapping[str, t.Any]
    warnings: tuple[str, ...]


def advise(stats: Mapping[str, t.Any], options: Options) -> Advice:
    """Judge what ``redis_stats_info`` returned."""
    facts = Facts(stats, options)
    warnings = [f"{name} could not be read: {why}" for name, why in facts.missing.items()]
    found: Accesses | None = None
    if facts.trace:
        try:
            misses = facts.trace.get("keyspace_misses")
            found = accesses(facts.trace, misses, int(facts.trace.get("oom_errors", 0)))
        except BadTrace as error:
            warnings.append(str(error))
    if facts.trace.get("stopped"):
        warnings.append(f"MONITOR ended early: {facts.trace['stopped']}")
    verdict = judge(facts, found)
    memory = redis_memory.judge(facts, found, verdict)
    recommendations = [*memory.recommendations, *redis_findings.findings(facts, verdict)]
    expected = memory.expected_hit_ratio
    host_limit, told = facts.host_limit
    ratio = facts.hit_ratio
    return Advice(
        tuple(recommendations),
        {
            "usage": verdict.kind,
            "usage_reasons": list(verdict.reasons),
            "version": facts.server.get("version", ""),
            "keys": facts.total_keys,
            "used_mib": round(facts.number("used_memory") / MIB, 1),
            "maxmemory_mib": round(facts.maxmemory / MIB, 1),
            "host_limit_mib": round(host_limit / MIB, 1),
            "host_limit_reason": told,
            "policy": facts.policy,
            "hit_ratio": None if math.isnan(ratio) else round(ratio, 4),
            "expected_hit_ratio": None if expected is None else round(expected, 4),
            "reads_per_second": round(facts.reads_per_second, 1),
            "refused_writes": facts.refused_writes,
            "trace": {
                name: facts.trace[name]
                for name in ("source", "seconds", "reads", "rate", "sampled_keys", "ping_before_us", "ping_during_us")
                if name in facts.trace
            },
        },
        tuple(warnings),
    )


# --- Verification


def checks(recommendation: Recommendation, observed: Mapping[str, t.Any]) -> Sequence[Check]:
    """How the server does, by counters watched now, against the figures before the change."""
    before = recommendation.evidence.get("measured", {})
    predicted = recommendation.evidence.get("predicted", {})
    found = [_latency(before, observed), _writes(before, observed)]
    # What does not decide which keys are there is not blamed for a day on which others are read.
    if recommendation.action in RESIDENCE:
        found.insert(0, _hit_ratio(before, predicted, observed))
    return found


def _hit_ratio(before: Mapping[str, t.Any], predicted: Mapping[str, t.Any], observed: Mapping[str, t.Any]) -> Check:
    """Not lower than before, or than predicted where less was the plan; spans give the noise."""
    name = "hit_ratio"
    hits, misses = observed.get("keyspace_hits", []), observed.get("keyspace_misses", [])
    reads, reads_before = sum(hits) + sum(misses), sum(before.get("hits", [])) + sum(before.get("misses", []))
    if reads < ENOUGH or reads_before < ENOUGH:
        told = f"{reads} reads since the change and {reads_before} before it, {ENOUGH} each are needed"
        return Check(name, "no_data", told)
    now, then = sum(hits) / reads, sum(before["hits"]) / reads_before
    expected = predicted.get("hit_ratio")
    floor = min(then, expected) if expected is not None else then
    noise = 2 * math.hypot(_error(hits, misses), _error(before["hits"], before["misses"]))
    told = f"{now:.3f} now, {then:.3f} before"
    if expected is not None:
        told += f", {expected:.3f} predicted"
    told += f" (at least {floor - TOLERATED - noise:.3f} is asked for)"
    return Check(name, "failed" if now < floor - TOLERATED - noise else "passed", told)


def _error(hits: Sequence[int], misses: Sequence[int]) -> float:
    """Standard error of a hit ratio from its spans: reads close to each other are not independent."""
    ratios = [hit / (hit + miss) for hit, miss in zip(hits, misses) if hit + miss]
    if len(ratios) < 2:
        return 0.0
    mean = sum(ratios) / len(ratios)
    return math.sqrt(sum((ratio - mean) ** 2 for ratio in ratios) / (len(ratios) - 1) / len(ratios))


def _latency(before: Mapping[str, t.Any], observed: Mapping[str, t.Any]) -> Check:
    """Time that the server spends on a command that reads."""
    old = [float(value) for value in before.get("read_us", [])]
    new = [float(value) for value in observed.get("read_us", []) if value is not None]
    check = verification.regression("latency", old, new, tolerance=SLOWER)
    if check.outcome != "failed":
        return check
    middle = sorted(new)[len(new) // 2] - sorted(old)[len(old) // 2]
    if middle < LEAST_SLOWER_US:
        return Check("latency", "passed", f"{check.detail}; less than {LEAST_SLOWER_US:g} µs do not count")
    return check


def _writes(before: Mapping[str, t.Any], observed: Mapping[str, t.Any]) -> Check:
    """Writes that are refused for want of memory."""
    now, then = sum(observed.get("oom_errors", [])), int(before.get("oom_errors", 0))
    told = f"{now} writes were refused for want of memory, {then} before"
    return Check("write_errors", "failed" if now > then else "passed", told)
