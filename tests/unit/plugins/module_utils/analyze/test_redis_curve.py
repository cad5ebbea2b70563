# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The curve against exact stack distances, the eviction against what it imitates, samples against the whole."""

from __future__ import annotations

import array
import dataclasses
import math
import random
import typing as t
from collections import OrderedDict

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_accesses import (
    DELETE,
    EXPIRE,
    READ,
    WRITE,
    Accesses,
    BadTrace,
    accesses,
    unpack,
)
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_curve import lru_curve
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_eviction import POLICIES, Policy, simulate
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_trace import Limits, Sample, packed
from hypothesis import given, settings
from hypothesis import strategies as st

KEYS = 12


def reads_of(keys: t.Sequence[int], sizes: t.Sequence[float], *, pace: int = 1000, **changes: t.Any) -> Accesses:
    """An application that reads ``keys`` through a cache, one each ``pace`` milliseconds."""
    count = len(sizes)
    found = Accesses(
        rate=1.0,
        reads=len(keys),
        seconds=len(keys) * pace / 1000,
        times=[number * pace for number in range(len(keys))],
        keys=list(keys),
        kinds=[READ] * len(keys),
        sets=[0] * len(keys),
        positions=list(range(1, len(keys) + 1)),
        sizes=list(sizes),
        lives=[0] * count,
        absent=[False] * count,
        resident=[False] * count,
        read_through=True,
        missed=[False] * len(keys),
    )
    return dataclasses.replace(found, **changes)


def exact_lru_hits(keys: t.Sequence[int], sizes: t.Sequence[float], capacity: float) -> int:
    """Reads whose key is in the top ``capacity`` bytes of the stack (Mattson 1970), by brute force."""
    stack: list[int] = []
    hits = 0
    for key in keys:
        if key in stack:
            above = stack[: stack.index(key) + 1]
            hits += sum(sizes[other] for other in above) <= capacity
            stack.remove(key)
        stack.insert(0, key)
    return hits


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, KEYS - 1), min_size=1, max_size=150),
    st.lists(st.integers(1, 50), min_size=KEYS, max_size=KEYS),
    st.integers(1, 400),
)
def test_the_curve_is_exact_on_all_keys(keys: list[int], sizes: list[int], capacity: int) -> None:
    curve = lru_curve(reads_of(keys, [float(size) for size in sizes]), warm_share=0.0)
    assert curve.hit_ratio(capacity) == pytest.approx(exact_lru_hits(keys, sizes, capacity) / len(keys))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, KEYS - 1), min_size=1, max_size=150), st.integers(1, 100), st.integers(1, 100))
def test_more_memory_never_answers_less(keys: list[int], one: int, more: int) -> None:
    curve = lru_curve(reads_of(keys, [7.0] * KEYS), warm_share=0.3)
    if curve.reads:
        assert 0.0 <= curve.hit_ratio(one) <= curve.hit_ratio(one + more) <= curve.best <= 1.0


def zipf(count: int, keys: int, seed: int, skew: float = 0.9) -> list[int]:
    chooser = random.Random(seed)
    return chooser.choices(range(keys), [rank**-skew for rank in range(1, keys + 1)], k=count)


def test_the_known_values_of_a_loop() -> None:
    # A loop over 10 keys: LRU answers nothing with 9 of them, everything with 10 (after the first round).
    curve = lru_curve(reads_of(list(range(10)) * 20, [1.0] * 10), warm_share=0.5)
    assert (curve.hit_ratio(9), curve.hit_ratio(10)) == (0.0, 1.0)


def test_deleted_and_expired_keys_are_misses() -> None:
    found = reads_of([0, 0, 0, 0], [1.0])
    gone = dataclasses.replace(found, kinds=[READ, DELETE, READ, READ], reads=3, positions=[1, 1, 2, 3])
    assert lru_curve(gone, warm_share=0.0).best == pytest.approx(1 / 3)
    expiring = dataclasses.replace(found, kinds=[READ, EXPIRE, READ, READ], sets=[0, 1, 0, 0], times=[0, 10, 500, 5000])
    expiring = dataclasses.replace(expiring, reads=3, positions=[1, 1, 2, 3])
    assert lru_curve(expiring, warm_share=0.0).best == pytest.approx(1 / 3)
    assert simulate(expiring, Policy("allkeys-lru"), 10.0, warm_share=0.0).hit_ratio == pytest.approx(1 / 3)


def sampled(keys: t.Sequence[int], limit: int, size: int = 100) -> Accesses:
    """The same accesses through the host's sampling."""
    sample = Sample(Limits(keys=limit, events=10**7))
    seen: set[int] = set()
    for number, key in enumerate(keys):
        sample.add(number, READ, 0, b"key:%d" % key)
        if key not in seen:
            sample.add(number, WRITE, 0, b"key:%d" % key, size)
            seen.add(key)
    table = {"key_bytes": [size], "key_life": [0], "key_length": [5]}
    columns = {name: packed(_column(value * len(sample.names))) for name, value in table.items()}
    return accesses(sample.to_dict(columns), misses=len(seen))


def _column(values: list[int]) -> t.Any:
    return array.array("I", values)


def test_a_sample_of_keys_gives_the_curve_of_all() -> None:
    keys = zipf(60_000, 8_000, seed=3)
    whole, part = sampled(keys, 10_000), sampled(keys, 3_000)
    assert whole.rate == 1.0
    assert part.rate <= 0.25
    assert len(part.sizes) <= 3_000
    one, other = lru_curve(whole), lru_curve(part)
    for share in (0.05, 0.1, 0.2, 0.4, 0.8):
        size = 8_000 * 100 * share
        assert one.hit_ratio(size) == pytest.approx(other.hit_ratio(size), abs=0.03)
        for name in ("allkeys-lru", "allkeys-lfu"):
            here, there = (simulate(found, Policy(name), size) for found in (whole, part))
            assert here.hit_ratio == pytest.approx(there.hit_ratio, abs=0.03)


# --- Eviction


def exact_lru_cache(keys: t.Sequence[int], capacity: int) -> float:
    cache: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for number, key in enumerate(keys):
        if key in cache:
            cache.move_to_end(key)
            hits += number >= len(keys) // 2
        else:
            # As Redis does: room is made before a write, so one more than the limit fits.
            while len(cache) > capacity:
                cache.popitem(last=False)
            cache[key] = None
    return hits / (len(keys) - len(keys) // 2)


def test_sampled_lru_comes_close_to_lru() -> None:
    keys = zipf(20_000, 2_000, seed=5)
    exact = exact_lru_cache(keys, 300)
    close = simulate(reads_of(keys, [1.0] * 2_000), Policy("allkeys-lru", samples=10), 300.0).hit_ratio
    blind = simulate(reads_of(keys, [1.0] * 2_000), Policy("allkeys-random"), 300.0).hit_ratio
    assert close == pytest.approx(exact, abs=0.01)
    assert blind < close - 0.02


def test_lfu_keeps_what_a_scan_would_wash_out_and_decay_follows_a_move() -> None:
    keys, scan = zipf(30_000, 2_000, seed=6, skew=1.0), 2_000
    mixed: list[int] = []
    for number, key in enumerate(keys):
        mixed.append(key)
        if number % 3 == 0:
            mixed.append(scan)
            scan += 1
    steady = reads_of(mixed, [1.0] * scan, pace=1)
    lru, lfu = (simulate(steady, Policy(name), 300.0).hit_ratio for name in ("allkeys-lru", "allkeys-lfu"))
    assert lfu > lru + 0.03
    # After an hour everybody reads the other half; without decay the old favourites stay.
    moved = [key % 1_000 for key in keys[:15_000]] + [1_000 + key % 1_000 for key in keys[15_000:]]
    day = reads_of(moved, [1.0] * 2_000, pace=240)
    kept, decayed = (simulate(day, Policy("allkeys-lfu", decay_time=decay), 300.0).hit_ratio for decay in (0, 1))
    assert decayed > kept + 0.02


def test_what_cannot_be_evicted_makes_writes_fail() -> None:
    keys = list(range(100)) * 4
    full = simulate(reads_of(keys, [1.0] * 100), Policy("noeviction"), 50.0)
    assert full.write_errors > 0.3
    assert full.evictions == 0
    # Nothing has a time to live, so a volatile policy evicts nothing either.
    assert simulate(reads_of(keys, [1.0] * 100), Policy("volatile-lru"), 50.0).write_errors > 0.3
    lives = [60 if key % 2 else 0 for key in range(100)]
    half = simulate(reads_of(keys, [1.0] * 100, lives=lives, pace=1), Policy("volatile-ttl"), 70.0)
    assert (half.write_errors, half.evictions > 0) == (0.0, True)


def test_what_was_there_and_is_not_read_takes_room() -> None:
    # 100 keys are read that were all there at first, of a cache that held 1,000 and evicts at random.
    keys = [number % 100 for number in range(400)]
    writes = list(range(100, 1_500))
    found = reads_of(keys, [1.0] * 1_500)
    mixed = dataclasses.replace(
        found,
        keys=[*keys[:50], *writes, *keys[50:100]],
        kinds=[READ] * 50 + [WRITE] * len(writes) + [READ] * 50,
        times=list(range(1_500)),
        sets=[0] * 1_500,
        positions=[*range(1, 51), *([50] * len(writes)), *range(51, 101)],
        reads=100,
        resident=[True] * 100 + [False] * 1_400,
        missed=[False] * 1_500,
    )
    alone = simulate(mixed, Policy("allkeys-random"), 1_000.0).hit_ratio
    full = simulate(mixed, Policy("allkeys-random"), 1_000.0, held=1_000.0).hit_ratio
    # 1,400 writes into 1,000 places: a key stays with probability (1 - 1/1000)^1400, about a quarter.
    assert full == pytest.approx(0.25, abs=0.12)
    assert alone > full + 0.2


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([READ, WRITE, DELETE, EXPIRE]), st.integers(0, KEYS - 1), st.integers(0, 3)),
        min_size=1,
        max_size=200,
    ),
    st.sampled_from(POLICIES),
    st.integers(1, 60),
)
def test_any_accesses_leave_a_cache_that_is_within_its_limit(
    steps: list[tuple[int, int, int]], policy: str, capacity: int
) -> None:
    reads = [kind == READ for kind, _key, _life in steps]
    found = reads_of([0], [5.0] * KEYS)
    found = dataclasses.replace(
        found,
        reads=sum(reads),
        times=[number * 700 for number in range(len(steps))],
        keys=[key for _kind, key, _life in steps],
        kinds=[kind for kind, _key, _life in steps],
        sets=[life for _kind, _key, life in steps],
        positions=[sum(reads[: number + 1]) for number in range(len(steps))],
    )
    result = simulate(found, Policy(policy), float(capacity), warm_share=0.0)
    # One write may end above the limit, as in Redis.
    assert result.keys * 5 <= capacity + 5
    assert math.isnan(result.hit_ratio) == (not any(reads))
    assert 0.0 <= result.write_errors <= 1.0


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadTrace, match="cannot be read"):
        unpack("Inonsense")
    trace = Sample(Limits()).to_dict({"key_bytes": packed(_column([])), "key_life": packed(_column([]))})
    trace["key_length"] = packed(_column([]))
    assert accesses(trace).sampled_reads == 0
    with pytest.raises(BadTrace, match="different lengths"):
        accesses({**trace, "key": packed(_column([1]))})
