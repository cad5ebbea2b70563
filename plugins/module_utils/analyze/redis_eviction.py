# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Redis would keep: its eviction, step by step, over a sample of accesses in a cache of that sample's scale.

Any policy can be judged this way (Waldspurger et al., Cache Modeling and Optimization using Miniature Simulations,
USENIX ATC 2017). The steps are those of Redis 7 (evict.c, object.c): a clock of one second for LRU, counters that grow
with decreasing probability and decay by the minute for LFU, a pool of the 16 best candidates that few random keys
feed, and writes that fail where nothing may be evicted.
"""

from __future__ import annotations

import bisect
import dataclasses
import heapq
import math
import random

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_accesses import (
    CLEAR,
    DELETE,
    EXPIRE,
    FILL,
    READ,
    Accesses,
)

#: candidates that Redis keeps from one eviction to the next (EVPOOL_SIZE)
POOL = 16
#: counter of a new key (LFU_INIT_VAL)
NEW = 5

POLICIES = (
    "noeviction",
    "allkeys-lru",
    "allkeys-lfu",
    "allkeys-random",
    "volatile-lru",
    "volatile-lfu",
    "volatile-random",
    "volatile-ttl",
)


@dataclasses.dataclass(frozen=True, order=True)
class Policy:
    """maxmemory-policy, maxmemory-samples, lfu-log-factor and lfu-decay-time (minutes)."""

    name: str
    samples: int = 5
    log_factor: int = 10
    decay_time: int = 1

    def settings(self) -> dict[str, str]:
        """The settings that matter for it, as redis.conf has them."""
        found = {"maxmemory-policy": self.name}
        if self.name.endswith(("lru", "lfu", "ttl")):
            found["maxmemory-samples"] = str(self.samples)
        if self.name.endswith("lfu"):
            found |= {"lfu-log-factor": str(self.log_factor), "lfu-decay-time": str(self.decay_time)}
        return found


@dataclasses.dataclass(frozen=True)
class Simulated:
    """What came out: over the judged reads, and ``write_errors`` as a share of writes."""

    hit_ratio: float
    evictions: int
    write_errors: float
    keys: int


def simulate(
    found: Accesses, policy: Policy, size: float, *, held: float = 0.0, seed: int = 1, warm_share: float = 0.5
) -> Simulated:
    """Run ``found`` through a cache of ``size`` bytes for keys; reads in the first ``warm_share`` only warm it up.

    ``held``: bytes of keys that the server held when the sample began. What of it is not read in the sample takes
    room all the same; without it, the keys that are read would have had the cache to themselves.
    """
    dead = held * found.rate - sum(size for size, there in zip(found.sizes, found.resident) if there)
    mean = sum(found.sizes) / len(found.sizes) if found.sizes else 1.0
    count = max(0, round(dead / mean)) if held else 0
    if count:
        found = dataclasses.replace(
            found,
            sizes=[*found.sizes, *[mean] * count],
            # They expire as the others do.
            lives=[*found.lives, *(found.lives[number % len(found.lives)] for number in range(count))],
            absent=[*found.absent, *[False] * count],
            resident=[*found.resident, *[True] * count],
        )
    return _Cache(found, policy, size * found.rate, seed, dead=count).run(warm_share)


class _Cache:
    def __init__(self, found: Accesses, policy: Policy, capacity: float, seed: int, dead: int) -> None:
        self.found = found
        #: keys from here on are never read
        self.alive = len(found.sizes) - dead
        self.policy = policy
        self.capacity = capacity
        count = len(found.sizes)
        self.random = random.Random(seed).random
        self.resident = bytearray(count)
        #: keys that may be evicted, and where each is in that list
        self.candidates: list[int] = []
        self.place = [-1] * count
        self.volatile = policy.name.startswith("volatile")
        self.kind = policy.name.rsplit("-", 1)[-1]
        self.used = 0.0
        self.clock = [0] * count
        self.counter = bytearray(count)
        self.expires = [0] * count
        self.expiring: list[tuple[int, int]] = []
        self.pool: list[tuple[float, int]] = []
        self.evictions = 0

    def run(self, warm_share: float) -> Simulated:
        found = self.found
        warm = found.judged_from(warm_share)
        judged = hits = writes = errors = 0
        resident, absent, expiring = self.resident, found.absent, self.expiring
        if found.times:
            self._prefill(found.times[0])
        for at, key, kind, life, position in zip(found.times, found.keys, found.kinds, found.sets, found.positions):
            while expiring and expiring[0][0] <= at:
                when, gone = heapq.heappop(expiring)
                if resident[gone] and self.expires[gone] == when:
                    self._remove(gone)
            if kind == READ:
                hit = resident[key]
                if position > warm:
                    judged += 1
                    hits += hit
                if hit:
                    self._touch(key, at)
                elif found.read_through and not absent[key]:
                    writes += 1
                    errors += not self._insert(key, at, found.lives[key])
            elif kind == FILL:
                if resident[key]:
                    self._expire(key, at, life)
                elif not found.read_through:
                    writes += 1
                    errors += not self._insert(key, at, life)
            elif kind == DELETE:
                if resident[key]:
                    self._remove(key)
            elif kind == EXPIRE:
                if resident[key]:
                    self._expire(key, at, life)
            elif kind == CLEAR:
                for other in range(len(resident)):
                    if resident[other]:
                        self._remove(other)
            else:
                writes += 1
                if not self._room(at):
                    errors += 1
                elif resident[key]:
                    self._touch(key, at)
                    self._expire(key, at, life)
                else:
                    self._insert(key, at, life)
        more = found.adjustment(warm, judged)
        ratio = min(1.0, max(0.0, (hits + more) / (judged + more))) if judged + more > 0 else math.nan
        return Simulated(
            hit_ratio=ratio,
            evictions=round(self.evictions / found.rate),
            write_errors=errors / writes if writes else 0.0,
            keys=round(sum(resident) / found.rate),
        )

    def _prefill(self, at: int) -> None:
        """Keys that were there when the trace began, as far as there is room."""
        order = [key for key, there in enumerate(self.found.resident) if there]
        order.sort(key=lambda key: self.random())
        for key in order:
            if self.used + self.found.sizes[key] > self.capacity:
                break
            self._insert(key, at, self.found.lives[key])
            # Keys that are read now were read before, as a rule, and later than those that are not.
            if key < self.alive:
                self.counter[key] += 1
            else:
                self.clock[key] = 0 if self.kind != "lfu" else self.clock[key]

    def _insert(self, key: int, at: int, life: int) -> bool:
        if not self._room(at):
            return False
        self.resident[key] = 1
        self.used += self.found.sizes[key]
        if self.kind == "lfu":
            self.counter[key] = NEW
            self.clock[key] = at // 60_000
        else:
            self.clock[key] = at // 1000
        self.expires[key] = 0
        if not self.volatile:
            self._offer(key)
        if life:
            self._expire(key, at, life)
        return True

    def _offer(self, key: int) -> None:
        self.place[key] = len(self.candidates)
        self.candidates.append(key)

    def _withdraw(self, key: int) -> None:
        place, last = self.place[key], self.candidates[-1]
        self.candidates[place] = last
        self.place[last] = place
        self.candidates.pop()
        self.place[key] = -1

    def _remove(self, key: int) -> None:
        self.resident[key] = 0
        self.used -= self.found.sizes[key]
        if self.place[key] >= 0:
            self._withdraw(key)
        self.expires[key] = 0

    def _expire(self, key: int, at: int, life: int) -> None:
        self.expires[key] = when = at + life * 1000 if life else 0
        if when:
            heapq.heappush(self.expiring, (when, key))
        if self.volatile:
            if when and self.place[key] < 0:
                self._offer(key)
            elif not when and self.place[key] >= 0:
                self._withdraw(key)

    def _touch(self, key: int, at: int) -> None:
        if self.kind != "lfu":
            self.clock[key] = at // 1000
            return
        value = self._decayed(key, at // 60_000)
        if value < 255:
            base = value - NEW if value > NEW else 0
            if self.random() < 1.0 / (base * self.policy.log_factor + 1):
                value += 1
        self.counter[key] = value
        self.clock[key] = at // 60_000

    def _decayed(self, key: int, minute: int) -> int:
        """LFUDecrAndReturn: one less for each lfu-decay-time minutes without use."""
        decay = self.policy.decay_time
        periods = (minute - self.clock[key]) // decay if decay else 0
        return max(0, self.counter[key] - periods) if periods > 0 else self.counter[key]

    def _room(self, at: int) -> bool:
        """Evict until there is room for a write; False where nothing may be evicted."""
        while self.used > self.capacity:
            if not self.candidates or self.kind == "noeviction":
                return False
            if self.kind == "random":
                key = self.candidates[int(self.random() * len(self.candidates))]
            else:
                key = self._worst(at)
            self._remove(key)
            self.evictions += 1
        return True

    def _worst(self, at: int) -> int:
        """performEvictions: feed the pool with a few random keys, take its best candidate that is still there."""
        candidates, pool, kind = self.candidates, self.pool, self.kind
        minute, second = at // 60_000, at // 1000
        while True:
            count = len(candidates)
            for _sample in range(min(self.policy.samples, count)):
                key = candidates[int(self.random() * count)]
                if kind == "lru":
                    idle = float(second - self.clock[key])
                elif kind == "lfu":
                    idle = 255.0 - self._decayed(key, minute)
                else:
                    idle = -float(self.expires[key])
                where = bisect.bisect_left(pool, (idle, -1))
                if len(pool) < POOL:
                    pool.insert(where, (idle, key))
                elif where:
                    pool.insert(where, (idle, key))
                    del pool[0]
            while pool:
                key = pool.pop()[1]
                if self.place[key] >= 0:
                    return key
