# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory a Redis server should have, and what it should evict.

Every candidate, policy and size, is tried on the sample of accesses (``redis_eviction``). The model is first asked
about what is now: where it is wrong there, it advises nothing.
"""

from __future__ import annotations

import dataclasses
import math
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils.analyze import redis_curve
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_accesses import READ, Accesses
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_eviction import Policy, simulate
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_facts import (
    GIB,
    MIB,
    MONTH_SECONDS,
    Facts,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_usage import Verdict
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Finding, Recommendation

ACTION = "redis_eviction"
#: the model may be off by this much about what is now (hit ratio)
MODEL_ERROR = 0.03
#: a policy, or more memory, has to gain this much (hit ratio)
GAIN = 0.005
MEMORY_GAIN = 0.01
#: fewest reads of sampled keys for a judgement
ENOUGH_READS = 5_000
#: sizes tried between the smallest and the largest
SIZES = 8
NO_HOST = "the host's memory is not known"
#: less memory has to save this share of it
LESS = 0.1


@dataclasses.dataclass(frozen=True)
class Choice:
    """A policy and a maxmemory, with the hit ratio that the model gives them."""

    policy: Policy
    maxmemory: int
    hit_ratio: float
    binding: str
    reason: str


def current_policy(facts: Facts) -> Policy:
    """The policy as it is set."""
    return Policy(
        facts.policy,
        facts.setting("maxmemory-samples") or 5,
        facts.setting("lfu-log-factor"),
        facts.setting("lfu-decay-time"),
    )


class Model:
    """Asks the simulation, each question once; ``error`` is what it gets wrong about the present."""

    def __init__(self, facts: Facts, found: Accesses) -> None:
        self.facts = facts
        self.found = found
        self.held = facts.capacity(facts.number("used_memory"))
        self._known: dict[tuple[Policy, int], float] = {}
        #: writes were refused while the sample was taken: MONITOR does not show them
        self.blind = int(facts.trace.get("oom_errors", 0)) > 0
        self.measured = self._measured()
        #: without a limit, everything that is used fits
        self.present_size = facts.maxmemory or int(facts.limit_for(found.bytes * 2))
        self.simulated = self._ask(current_policy(facts), self.present_size)
        self.error = 0.0 if self.blind else self.measured - self.simulated

    def hit_ratio(self, policy: Policy, maxmemory: int) -> float:
        """What is to be expected of them once the cache has settled.

        It is not corrected by :attr:`error`: a cache that still fills after its last change does worse than it will.
        """
        return self._ask(policy, maxmemory)

    def _ask(self, policy: Policy, maxmemory: int) -> float:
        asked = (policy, maxmemory)
        if asked not in self._known:
            self._known[asked] = simulate(self.found, policy, self.facts.capacity(maxmemory), held=self.held).hit_ratio
        return self._known[asked]

    def _measured(self) -> float:
        """The server's hit ratio over the judged reads of the sample, or over all of its time."""
        found, trace = self.found, self.facts.trace
        if found.read_through and not self.blind:
            warm = found.judged_from(0.5)
            judged = [
                missed
                for missed, kind, at in zip(found.missed, found.kinds, found.positions)
                if kind == READ and at > warm
            ]
            reads = len(judged) + found.adjustment(warm, len(judged))
            return 1 - sum(judged) / reads if reads > 0 else math.nan
        hits, misses = int(trace.get("keyspace_hits", 0)), int(trace.get("keyspace_misses", 0))
        return hits / (hits + misses) if hits + misses else self.facts.hit_ratio

    @property
    def largest_capacity(self) -> float:
        """Bytes of the keys that were used before reads are judged: of larger caches the sample says nothing."""
        found = self.found
        warm = found.judged_from(0.5)
        seen = {key for key, at in zip(found.keys, found.positions) if at <= warm and key < len(found.sizes)}
        return sum(found.sizes[key] for key in seen if not found.absent[key]) / found.rate


@dataclasses.dataclass(frozen=True)
class Judged:
    """What is advised, and the hit ratio that the model expects of the server as it is set (None: not judged)."""

    recommendations: list[Recommendation]
    expected_hit_ratio: float | None = None


def judge(facts: Facts, found: Accesses | None, verdict: Verdict) -> Judged:
    """At most one recommendation about memory and eviction."""
    if facts.server.get("role") == "slave":
        why = "it is a replica: it keeps what its master keeps, so tune the master"
        return Judged([_refused(facts, verdict, why, "role")])
    if verdict.kind in ("store", "unknown"):
        return Judged(_store(facts, verdict))
    if found is None or found.sampled_reads < ENOUGH_READS:
        return Judged(_without_trace(facts, found, verdict))
    model = Model(facts, found)
    if model.blind:
        return Judged(_cache(facts, model, verdict))
    if math.isnan(model.error) or abs(model.error) > MODEL_ERROR:
        why = (
            f"the model gives {model.simulated:.3f} for what is set now, {model.measured:.3f} was measured: "
            "record accesses for longer (monitor_seconds), or over a time when load is steady"
        )
        return Judged([_refused(facts, verdict, why)])
    return Judged(_cache(facts, model, verdict), model.hit_ratio(current_policy(facts), model.present_size))


def _candidates(facts: Facts, verdict: Verdict) -> list[Policy]:
    kinds = ["lru", "lfu", "random"]
    if verdict.kind == "mixed" or facts.ttl_share > 0.95:
        kinds.append("ttl")
    prefix = "volatile" if verdict.kind == "mixed" else "allkeys"
    return [Policy(f"{'volatile' if kind == 'ttl' else prefix}-{kind}") for kind in kinds]


def _cache(facts: Facts, model: Model, verdict: Verdict) -> list[Recommendation]:
    limit, limit_told = facts.host_limit
    now = facts.maxmemory
    if not limit and not now:
        return [_refused(facts, verdict, f"{NO_HOST}, and there is no maxmemory: set memory_limit_mib", "host_memory")]
    if not limit:
        limit, limit_told = now, f"{NO_HOST}, so no more than now: set memory_limit_mib"
    largest = facts.limit_for(model.largest_capacity)
    start = now or min(limit or largest, largest)
    policy = _best_policy(facts, model, verdict, start)
    size, binding, reason = start, "eviction_policy", ""
    curve: list[tuple[int, float]] = []
    # While writes are refused, the sample does not show what they would have brought.
    if not model.blind:
        curve = _curve(model, policy, now, min(limit, largest) if limit else largest)
        size, binding, reason = _best_size(facts, model, policy, curve, start, limit, limit_told)
    policy = _refined(facts, model, policy, size)
    proposed = {name: value for name, value in policy.settings().items() if facts.config.get(name) not in (value, None)}
    if size != now:
        proposed["maxmemory"] = str(size)
    before = model.measured
    predicted = model.hit_ratio(policy, size)
    if not proposed:
        return []
    if size == now and policy.name == facts.policy and predicted - model.hit_ratio(current_policy(facts), size) < GAIN:
        return []
    choice = Choice(policy, size, predicted, binding, reason)
    return [_record(facts, model, verdict, choice, proposed, before, curve)]


def _best_policy(facts: Facts, model: Model, verdict: Verdict, size: int) -> Policy:
    """The policy that keeps most of what is read; the present one where it is as good."""
    candidates = _candidates(facts, verdict)
    best = max(candidates, key=lambda policy: model.hit_ratio(policy, size))
    now = current_policy(facts)
    allowed = now.name in {policy.name for policy in candidates}
    if allowed and model.hit_ratio(now, size) >= model.hit_ratio(best, size) - GAIN:
        return now
    return best


def _refined(facts: Facts, model: Model, policy: Policy, size: int) -> Policy:
    """More samples, other factors, each where it gains."""
    best = policy
    steps: list[dict[str, int]] = []
    if policy.name.endswith("lfu"):
        steps += [{"log_factor": 1}, {"log_factor": 100}, {"decay_time": 0}, {"decay_time": 5}]
    if not policy.name.endswith("random"):
        steps.append({"samples": 10})
    for step in steps:
        other = dataclasses.replace(best, **t.cast("t.Any", step))
        if model.hit_ratio(other, size) >= model.hit_ratio(best, size) + GAIN:
            best = other
    return best


def _curve(model: Model, policy: Policy, now: int, largest: int) -> list[tuple[int, float]]:
    """(maxmemory, hit ratio) from an eighth of the largest size that can be judged up to it, and the present one."""
    smallest = max(largest / 16.0, model.facts.fixed_bytes * 1.2)
    if smallest >= largest:
        sizes = {largest}
    else:
        ratio = (largest / smallest) ** (1 / (SIZES - 1))
        sizes = {math.ceil(smallest * ratio**step / MIB) * MIB for step in range(SIZES - 1)} | {largest}
    if now and now <= largest:
        sizes.add(now)
    return [(size, model.hit_ratio(policy, size)) for size in sorted(sizes)]


def _best_size(
    facts: Facts,
    model: Model,
    policy: Policy,
    curve: list[tuple[int, float]],
    now: int,
    limit: int,
    limit_told: str,
) -> tuple[int, str, str]:
    """maxmemory, what binds, and the sentence that says so."""
    options = facts.options
    most = curve[-1][1]
    if limit and now > limit:
        size = max((size for size, ratio in curve if size <= limit), default=limit)
        return size, "host_memory", f"the host carries {limit / MIB:.0f} MiB at most: {limit_told}"
    monthly = facts.reads_per_second * MONTH_SECONDS
    memory, miss = options.memory_price_gib_month, options.miss_price_million
    if memory > 0 and miss > 0:

        def cost(point: tuple[int, float]) -> float:
            return point[0] / GIB * memory + (1 - point[1]) * monthly / 1e6 * miss

        size, ratio = min(curve, key=cost)
        told = f"{size / MIB:.0f} MiB cost least: memory and {(1 - ratio) * monthly / 1e6:.1f} million misses a month"
    else:
        wanted = most - options.hit_ratio_tolerance
        size, ratio = next(point for point in curve if point[1] >= wanted)
        told = f"{size / MIB:.0f} MiB answer {ratio:.1%} of the reads"
        if size < curve[-1][0]:
            told += f", {curve[-1][0] / MIB:.0f} MiB would answer {most:.1%}"
        else:
            told += ": of more memory the sample says nothing" if not limit or size < limit else ""
    present = model.hit_ratio(policy, now)
    if size > now and ratio - present >= MEMORY_GAIN:
        binds = "host_memory" if limit and size >= limit - MIB else "miss_ratio_curve"
        return size, binds, told
    if size < now * (1 - LESS) and memory > 0:
        return size, "miss_ratio_curve", told
    return now, "eviction_policy", ""


def _record(
    facts: Facts,
    model: Model,
    verdict: Verdict,
    choice: Choice,
    proposed: dict[str, str],
    before: float,
    curve: list[tuple[int, float]],
) -> Recommendation:
    now = facts.maxmemory
    policies = _candidates(facts, verdict)
    reasons = [choice.reason] if choice.reason else []
    changed = choice.policy.name != facts.policy
    if facts.refused_writes:
        reasons.insert(
            0, f"{facts.refused_writes} writes were refused for want of memory: {facts.policy} evicts nothing"
        )
    if changed or not reasons:
        told = (
            f"{choice.policy.name} is expected to answer {choice.hit_ratio:.1%} of the reads, "
            f"{before:.1%} are answered now"
        )
        reasons.insert(0 if choice.binding == "eviction_policy" and not facts.refused_writes else 1, told)
    reasons.append(f"it is a {verdict.kind}: {verdict.reasons[0]}")
    warnings = []
    predicted: dict[str, t.Any] = {"hit_ratio": round(choice.hit_ratio, 4), "oom_errors": 0}
    if model.blind:
        predicted["hit_ratio"] = None
        warnings.append(
            "MONITOR does not show writes that are refused, so memory and hit ratio are not predicted: "
            "ask again when this is applied"
        )
        reasons = [reason for reason in reasons if "is expected to" not in reason]
    if now and choice.maxmemory < now:
        warnings.append(f"{(now - choice.maxmemory) / MIB:.0f} MiB of keys are evicted at once")
    if choice.maxmemory > now > 0 or not now:
        warnings.append(f"memory grows to {choice.maxmemory / MIB:.0f} MiB: {facts.host_limit[1]}")
    if not facts.host_limit[0]:
        warnings.append(f"{NO_HOST}, so more memory is not advised: set memory_limit_mib")
    finding: Finding = "misconfigured"
    if now and choice.maxmemory > now:
        finding = "under_provisioned"
    elif now and choice.maxmemory < now and facts.options.memory_price_gib_month > 0:
        finding = "over_provisioned"
    misses = 0.0 if model.blind else (choice.hit_ratio - before) * facts.reads_per_second * MONTH_SECONDS
    lru = redis_curve.lru_curve(model.found)
    return facts.record(
        ACTION,
        proposed,
        finding=finding,
        reasons=reasons,
        binding=choice.binding,
        risk={"performance": 2 if now and choice.maxmemory < now else 1, "memory": int(choice.maxmemory > now)},
        predicted=predicted,
        evidence={
            "usage": {"kind": verdict.kind, "reasons": list(verdict.reasons)},
            "model": {"now": round(model.simulated, 4), "measured": round(model.measured, 4)},
            "policies": {policy.name: round(model.hit_ratio(policy, choice.maxmemory), 4) for policy in policies},
            "curve": [[size, round(ratio, 4)] for size, ratio in curve],
            "lru_curve": [[size, round(lru.hit_ratio(facts.capacity(size)), 4)] for size, ratio in curve],
            "trace": {
                name: facts.trace.get(name)
                for name in ("source", "seconds", "reads", "rate", "sampled_keys", "stopped", "ping_during_us")
            },
        },
        # Without a limit before, nobody has set memory aside: it is not a cost that this causes.
        monthly=facts.memory_price(now or choice.maxmemory, choice.maxmemory, misses),
        warnings=warnings,
    )


def _refused(facts: Facts, verdict: Verdict, why: str, binding: str = "data") -> Recommendation:
    return facts.record(
        ACTION,
        {"maxmemory-policy": facts.policy},
        finding="unknown",
        reasons=(why, f"it is a {verdict.kind}: {verdict.reasons[0]}"),
        binding=binding,
        risk={},
        refused=why,
    )


def _without_trace(facts: Facts, found: Accesses | None, verdict: Verdict) -> list[Recommendation]:
    """Without accesses only what harms in any case is changed."""
    if found is not None:
        why = f"{found.sampled_reads} reads of sampled keys were recorded, {ENOUGH_READS} are needed"
    else:
        why = facts.missing.get("trace", "accesses were not recorded")
    limit, told = facts.host_limit
    proposed: dict[str, str] = {}
    if facts.policy == "noeviction":
        proposed["maxmemory-policy"] = "volatile-lru" if verdict.kind == "mixed" else "allkeys-lru"
    if not facts.maxmemory and limit:
        proposed["maxmemory"] = str(limit)
    if not proposed or (not facts.maxmemory and not limit):
        return [_refused(facts, verdict, f"memory and policy cannot be judged: {why}")]
    reasons = [
        f"it is a {verdict.kind} that evicts nothing: writes fail, or the host runs out of memory, when it is full"
    ]
    return [
        facts.record(
            ACTION,
            proposed,
            finding="misconfigured",
            reasons=[*reasons, f"it is a {verdict.kind}: {verdict.reasons[0]}"],
            binding="eviction_policy",
            risk={"performance": 1},
            predicted={"hit_ratio": None, "oom_errors": 0},
            evidence={"usage": {"kind": verdict.kind, "reasons": list(verdict.reasons)}, "host_limit": told},
            warnings=(f"no hit ratio is predicted and no size advised: {why}",),
        )
    ]


def _store(facts: Facts, verdict: Verdict) -> list[Recommendation]:
    """A store is never made to evict; it gets room, and a limit that keeps the host alive."""
    limit, told = facts.host_limit
    peak = max(facts.number("used_memory_peak"), facts.number("used_memory"))
    full = facts.maxmemory and peak > 0.9 * facts.maxmemory
    because = f"it {'is a store' if verdict.kind == 'store' else 'may be a store'}: {verdict.reasons[0]}"
    evicts = facts.policy.startswith("allkeys") and facts.number("evicted_keys") > 0
    if evicts and verdict.kind == "store":
        return [
            facts.record(
                ACTION,
                {"maxmemory-policy": "noeviction"},
                finding="misconfigured",
                reasons=(f"{facts.number('evicted_keys'):.0f} keys were evicted from what looks like a store", because),
                binding="store",
                risk={"availability": 4},
                refused="with noeviction, writes would fail once it is full: set usage to cache if its keys may go, "
                "else give it more memory first",
            )
        ]
    if facts.policy != "noeviction" and verdict.kind == "unknown":
        return [_refused(facts, verdict, f"{because}: set usage to cache, mixed or store", "usage")]
    wanted = math.ceil(peak * 1.25 / MIB) * MIB
    if full or facts.refused_writes:
        why = f"{peak / MIB:.0f} MiB of {facts.maxmemory / MIB:.0f} MiB were used and nothing may be evicted"
        if limit >= wanted:
            return [
                facts.record(
                    ACTION,
                    {"maxmemory": str(wanted)},
                    finding="under_provisioned",
                    reasons=(why, because),
                    binding="used_memory",
                    risk={"memory": 1},
                    predicted={"oom_errors": 0},
                    evidence={"host_limit": told},
                    monthly=facts.memory_price(facts.maxmemory, wanted),
                )
            ]
        refusal = f"{because}, so it is not made to evict, and the host carries {limit / MIB:.0f} MiB at most: {told}"
        return [_refused(facts, verdict, f"{why}; {refusal}", "host_memory")]
    if not facts.maxmemory and limit > wanted:
        return [
            facts.record(
                ACTION,
                {"maxmemory": str(limit)},
                finding="misconfigured",
                reasons=(
                    f"without a limit it grows until the host kills it; the host carries {limit / MIB:.0f} MiB",
                    because,
                ),
                binding="host_memory",
                risk={"availability": 1},
                predicted={"oom_errors": 0},
                evidence={"host_limit": told},
                warnings=("writes fail when the limit is reached: watch used_memory",),
            )
        ]
    return []
