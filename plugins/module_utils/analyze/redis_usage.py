# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a Redis server a cache, or does it hold what exists nowhere else? Only a cache may evict."""

from __future__ import annotations

import dataclasses
import math

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_accesses import FILL, Accesses
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_facts import Facts

#: commands of queues and locks: what they handle is nowhere else
QUEUES = "blpop brpop blmove lmove rpoplpush brpoplpush bzpopmin bzpopmax bzmpop xadd xreadgroup xack xclaim".split()
#: share of keys with a time to live from which all count as passing, and below which none does
MANY, FEW = 0.9, 0.05
#: share of reads that miss, from which an application knows where else to get what is missing
MISSES = 0.01
#: share of fills without a time to live from which keys without one belong to the cache too
WITHOUT_TTL = 0.2


@dataclasses.dataclass(frozen=True)
class Verdict:
    """``kind``: cache (all keys may go), mixed (those with a time to live may go), store or unknown; and why."""

    kind: str
    reasons: tuple[str, ...]


def judge(facts: Facts, found: Accesses | None) -> Verdict:
    """Decide from what is stated, else from evidence; where that contradicts itself, it is unknown."""
    if facts.options.usage != "auto":
        return Verdict(facts.options.usage, (f"it is a {facts.options.usage} because you say so",))
    for_cache, for_store = _cache_signs(facts, found), _store_signs(facts)
    if for_store and for_cache:
        return Verdict("unknown", (f"evidence contradicts itself: {for_cache[0]}, but {for_store[0]}",))
    if for_store:
        return Verdict("store", tuple(for_store))
    if not for_cache:
        if facts.policy != "noeviction":
            return Verdict(
                "unknown", (f"its policy is {facts.policy}, but nothing shows that what is evicted is read again",)
            )
        return Verdict("store", ("nothing shows that what is missing is fetched from elsewhere",))
    if FEW < facts.ttl_share < 1 - FEW and not _fills_without_ttl(found):
        share = f"{facts.ttl_share:.0%} of its keys have a time to live"
        return Verdict("mixed", (f"{share}, and nothing shows that the others can be fetched again", *for_cache))
    return Verdict("cache", tuple(for_cache))


def _cache_signs(facts: Facts, found: Accesses | None) -> list[str]:
    signs = []
    if found is not None and found.read_through:
        signs.append("the application writes a key right after it missed it")
    missed = facts.hit_ratio
    misses = not math.isnan(missed) and 1 - missed >= MISSES
    if misses and facts.ttl_share >= MANY:
        signs.append(f"{1 - missed:.1%} of the reads miss and {facts.ttl_share:.0%} of the keys have a time to live")
    if misses and not facts.persisted and not int(facts.server.get("replicas", 0)):
        signs.append(f"{1 - missed:.1%} of the reads miss, nothing is saved to disk and there is no replica")
    return signs


def _store_signs(facts: Facts) -> list[str]:
    used = facts.observe.get("commands_ever", {})
    signs = []
    queues = [name for name in QUEUES if used.get(name)]
    if queues:
        signs.append(f"it is used as a queue ({', '.join(queues[:3])})")
    elif "stream" in facts.column("type"):
        signs.append("it holds streams")
    if facts.persisted == "aof":
        signs.append("every write is kept in the append-only file")
    elif facts.persisted == "snapshots":
        signs.append(f"snapshots were set up (save {facts.config.get('save')})")
    return signs


def _fills_without_ttl(found: Accesses | None) -> bool:
    if found is None or not found.read_through:
        return False
    lives = [life for kind, life in zip(found.kinds, found.sets) if kind == FILL]
    return sum(not life for life in lives) >= WITHOUT_TTL * len(lives)
