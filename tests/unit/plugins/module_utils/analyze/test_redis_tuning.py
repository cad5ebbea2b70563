# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is advised for which server, and what is refused, with the figures that decide."""

from __future__ import annotations

import array
import itertools
import random
import shutil
import socket
import subprocess
import time
import typing as t
from collections.abc import Mapping
from pathlib import Path

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import redis_findings, redis_tuning
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_facts import MIB, Facts, Options
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_tuning import advise, checks
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import Endpoint, RedisClient
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_stats import KeyLimits, keys
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_trace import READ, WRITE, Limits, Sample, packed
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation

SPANS = 24
VALUE = 4_000
#: memory that is not keys
FIXED = MIB


def stats(**changes: t.Any) -> dict[str, t.Any]:
    """A server of 8 MiB that answers 80 % of its reads; ``changes`` replace parts, by the first two levels."""
    found: dict[str, t.Any] = {
        "server": {
            "version": "7.0.15",
            "keys": 16_000,
            "keys_with_ttl": 0,
            "replicas": 0,
            "allocator": "jemalloc-5.2.1",
        },
        "info": {
            "used_memory": str(8 * MIB),
            "used_memory_peak": str(8 * MIB),
            "used_memory_startup": str(FIXED),
            "mem_fragmentation_ratio": "1.1",
            "evicted_keys": "0",
        },
        "config": {
            "maxmemory": str(8 * MIB),
            "maxmemory-policy": "allkeys-lru",
            "maxmemory-samples": "5",
            "lfu-log-factor": "10",
            "lfu-decay-time": "1",
            "appendonly": "no",
            "save": "",
            "latency-monitor-threshold": "100",
            "hash-max-listpack-entries": "128",
            "hash-max-listpack-value": "64",
            "zset-max-listpack-entries": "128",
            "zset-max-listpack-value": "64",
            "activedefrag": "no",
            "lazyfree-lazy-user-del": "no",
        },
        "observe": {
            "seconds": [0.25] * SPANS,
            "keyspace_hits": [800] * SPANS,
            "keyspace_misses": [200] * SPANS,
            "read_us": [1.5 + 0.01 * (number % 5) for number in range(SPANS)],
            "ping_us": [30.0] * SPANS,
            "oom_errors": [0] * SPANS,
            "evicted_keys": [100] * SPANS,
            "total_connections_received": [0] * SPANS,
            "total_commands_processed": [1200] * SPANS,
            "commands_ever": {"get": 10, "set": 10},
        },
        "host": {"total": 16 * 1024 * MIB, "available": 15 * 1024 * MIB, "resident": 10 * MIB, "local": True},
        "missing": {},
    }
    for name, value in changes.items():
        found[name] = {**found.get(name, {}), **value} if isinstance(value, Mapping) else value
    return found


def trace(
    *, capacity: int = 1_200, keys_used: int = 4_000, reads: int = 16_000, life: int = 0, scans: bool = True
) -> dict[str, t.Any]:
    """What MONITOR would have shown of an application on a cache that keeps the ``capacity`` keys used last."""
    from collections import OrderedDict

    chooser = random.Random(4)
    weights = [rank**-1.0 for rank in range(1, keys_used + 1)]
    cache: OrderedDict[bytes, None] = OrderedDict()
    sample, hits, at = Sample(Limits()), 0, 1_700_000_000_000

    def store(key: bytes) -> None:
        sample.add(at, WRITE, 0, key, VALUE, life)
        cache[key] = None
        cache.move_to_end(key)
        if len(cache) > capacity:
            cache.popitem(last=False)

    for number, rank in enumerate(chooser.choices(range(keys_used), weights, k=reads)):
        at = 1_700_000_000_000 + number
        key = b"item:%d" % rank
        sample.add(at, READ, 0, key)
        if key in cache:
            hits += 1
            cache.move_to_end(key)
        else:
            store(key)
        if scans and number % 5 == 0:
            store(b"import:%d" % number)
    columns = {
        "key_bytes": [VALUE + 80] * len(sample.names),
        "key_life": [0 if name[1] in cache else 0xFFFFFFFF for name in sample.names],
        "key_length": [len(name[1]) for name in sample.names],
    }
    table = {name: packed(array.array("I", values)) for name, values in columns.items()}
    counted = {"keyspace_hits": hits, "keyspace_misses": reads - hits, "oom_errors": 0, "source": "monitor"}
    return {**sample.to_dict(table), **counted, "stopped": ""}


@pytest.fixture(scope="module")
def recorded() -> dict[str, t.Any]:
    """Of a cache of 1,200 keys of 4,080 bytes."""
    return trace()


@pytest.fixture(scope="module")
def change(recorded: dict[str, t.Any]) -> Recommendation:
    """What is advised for that cache."""
    return of(advise(stats(trace=recorded, config=CACHE_CONFIG), options()))


def of(found: redis_tuning.Advice, action: str = "redis_eviction") -> Recommendation:
    return next(item for item in found.recommendations if item.action == action)


CACHE_CONFIG = {"maxmemory": str(int(FIXED + 1_200 * (VALUE + 80) * 1.05))}


def options(**changes: t.Any) -> Options:
    return Options("cache1", **changes)


def test_a_cache_gets_policy_and_memory_from_its_accesses(change: Recommendation) -> None:
    best = change
    assert best.evidence["usage"]["kind"] == "cache"
    assert best.proposed["maxmemory-policy"] == "allkeys-lfu"
    assert int(best.proposed["maxmemory"]) > int(CACHE_CONFIG["maxmemory"])
    assert (best.binding_constraint, best.finding) == ("miss_ratio_curve", "under_provisioned")
    measured = best.evidence["model"]["measured"]
    assert abs(best.evidence["model"]["now"] - measured) < 0.03
    assert best.evidence["predicted"]["hit_ratio"] > measured + 0.02
    ratios = [ratio for _size, ratio in best.evidence["curve"]]
    assert all(one <= other + 0.005 for one, other in itertools.pairwise(ratios))
    assert best.evidence["policies"]["allkeys-lfu"] > best.evidence["policies"]["allkeys-random"]


def test_prices_weigh_memory_against_misses(recorded: dict[str, t.Any]) -> None:
    found = stats(trace=recorded, config=CACHE_CONFIG)
    dear = of(advise(found, options(memory_price_gib_month=10_000.0, miss_price_million=0.000_1)))
    assert int(dear.proposed["maxmemory"]) < int(CACHE_CONFIG["maxmemory"])
    assert dear.finding == "over_provisioned"
    assert dear.monthly.saving > 0
    assert dear.monthly.current == pytest.approx(int(CACHE_CONFIG["maxmemory"]) / 2**30 * 10_000, abs=0.01)
    cheap = of(advise(found, options(memory_price_gib_month=0.1, miss_price_million=1.0)))
    assert int(cheap.proposed["maxmemory"]) > int(CACHE_CONFIG["maxmemory"])
    # A host that has no more room binds.
    tight = advise(found, options(memory_limit=5 * MIB))
    bound = [item for item in tight.recommendations if item.action == "redis_eviction"]
    assert all(int(item.proposed.get("maxmemory", 0)) <= 5 * MIB for item in bound)


def test_more_memory_is_not_advised_where_nothing_says_that_the_host_has_it(recorded: dict[str, t.Any]) -> None:
    unknown = {"host": {"total": 0, "available": 0, "resident": 0}}
    found = of(advise(stats(trace=recorded, config=CACHE_CONFIG, **unknown), options()))
    assert "maxmemory" not in found.proposed
    assert "set memory_limit_mib" in found.warnings[0]
    open_ended = of(advise(stats(trace=recorded, config={"maxmemory": "0"}, **unknown), options()))
    assert open_ended.refused.startswith(("the host's memory is not known", "the model gives"))


def test_a_replica_is_left_to_its_master() -> None:
    assert "tune the master" in of(advise(stats(server={"role": "slave"}), options())).refused


def test_a_model_that_is_wrong_about_now_advises_nothing(recorded: dict[str, t.Any]) -> None:
    found = advise(stats(trace=recorded, config={"maxmemory": str(FIXED + 200 * (VALUE + 80))}), options())
    refused = of(found)
    assert refused.refused.startswith("the model gives 0.")
    assert "record accesses for longer" in refused.refused


def test_refused_writes_are_not_seen_so_nothing_is_predicted(recorded: dict[str, t.Any]) -> None:
    blind = {**recorded, "oom_errors": 5_000}
    found = advise(stats(trace=blind, config={**CACHE_CONFIG, "maxmemory-policy": "noeviction"}), options())
    first = of(found)
    assert first.proposed["maxmemory-policy"].startswith("allkeys-")
    assert "maxmemory" not in first.proposed
    assert first.evidence["predicted"] == {"hit_ratio": None, "oom_errors": 0}
    assert "5000 writes were refused" in first.reasons[0]
    assert "ask again" in first.warnings[0]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"config": {"appendonly": "yes", "maxmemory-policy": "noeviction"}}, "store"),
        ({"config": {"maxmemory-policy": "noeviction"}, "observe": {"commands_ever": {"blpop": 3}}}, "unknown"),
        ({"config": {"save": "60 1"}, "observe": {"keyspace_misses": [0] * SPANS}}, "store"),
        ({"observe": {"keyspace_misses": [0] * SPANS}, "config": {"maxmemory-policy": "noeviction"}}, "store"),
        ({"server": {"keys_with_ttl": 15_900}, "config": {"save": "3600 1 300 100 60 10000"}}, "cache"),
        ({"server": {"keys_with_ttl": 15_900}, "config": {"appendonly": "yes"}}, "unknown"),
        ({"server": {"keys_with_ttl": 8_000}}, "mixed"),
        ({}, "cache"),
        ({"observe": {"keyspace_misses": [0] * SPANS}}, "unknown"),
    ],
)
def test_cache_or_store_is_decided_from_evidence(changes: dict[str, t.Any], kind: str) -> None:
    found = advise(stats(**changes), options())
    assert found.summary["usage"] == kind, found.summary["usage_reasons"]
    if kind in ("store", "unknown"):
        for item in found.recommendations:
            applied = "" if item.refused else str(item.proposed.get("maxmemory-policy", ""))
            assert not applied.startswith(("allkeys", "volatile")), item
    elif kind == "mixed":
        policies = [
            str(item.proposed.get("maxmemory-policy", "")) for item in found.recommendations if not item.refused
        ]
        assert not any(policy.startswith("allkeys") for policy in policies)


def test_a_full_store_grows_or_is_refused_but_never_evicts() -> None:
    full = {
        "config": {"appendonly": "yes", "maxmemory-policy": "noeviction"},
        "observe": {"oom_errors": [5] * SPANS},
    }
    more = of(advise(stats(**full), options(memory_price_gib_month=5.0)))
    assert more.proposed == {"maxmemory": str(10 * MIB)}
    assert (more.finding, more.binding_constraint) == ("under_provisioned", "used_memory")
    assert more.monthly.saving < 0
    none = of(advise(stats(**full), options(memory_limit=9 * MIB)))
    assert "it is a store: every write is kept in the append-only file, so it is not made to evict" in none.refused
    # What the operator says counts.
    assert advise(stats(**full), options(usage="cache")).summary["usage"] == "cache"


def test_a_store_that_evicts_is_told_of_and_left_alone() -> None:
    evicting = stats(config={"save": "60 1"}, info={"evicted_keys": "77"}, observe={"keyspace_misses": [0] * SPANS})
    found = of(advise(evicting, options()))
    assert "77 keys were evicted" in found.reasons[0]
    assert found.refused.startswith("with noeviction, writes would fail")


def test_without_accesses_only_what_harms_is_changed() -> None:
    missing = {"missing": {"trace": "user app may not run MONITOR"}}
    kept = of(advise(stats(**missing), options()))
    assert kept.refused == "memory and policy cannot be judged: user app may not run MONITOR"
    open_ended = of(advise(stats(**missing, config={"maxmemory": "0", "maxmemory-policy": "noeviction"}), options()))
    assert open_ended.proposed["maxmemory-policy"] == "allkeys-lru"
    assert 13 * 1024 * MIB < int(open_ended.proposed["maxmemory"]) < 15 * 1024 * MIB
    assert open_ended.evidence["predicted"]["hit_ratio"] is None


def test_what_the_host_carries() -> None:
    assert Facts(stats(host={"total": 0}), options()).host_limit[0] == 0
    free, _told = Facts(stats(), options()).host_limit
    saved, told = Facts(stats(config={"save": "60 1"}), options()).host_limit
    assert saved == pytest.approx(free / 1.5, rel=0.01)
    assert "no fork was measured: 50% are assumed" in told
    copied, told = Facts(stats(config={"save": "60 1"}, info={"rdb_last_cow_size": str(2 * MIB)}), options()).host_limit
    assert copied == pytest.approx(free / 1.25, rel=0.01)
    limits = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
    replicas = stats(server={"replicas": 2}, config={"client-output-buffer-limit": limits})
    assert "128 MiB of replicas' buffers" in Facts(replicas, options()).host_limit[1]
    group = Facts(stats(host={"limit": 1024 * MIB}), options()).host_limit
    assert 850 * MIB < group[0] < 1024 * MIB
    assert "of the control group" in group[1]


# --- Other findings


def sample_of(**row: t.Any) -> dict[str, t.Any]:
    """A sample of 200 equal keys."""
    base = {
        "key": "k", "pattern": "k", "type": "hash", "encoding": "hashtable", "bytes": 12_000, "ttl": -1, "idle": 1,
        "frequency": -1, "elements": 200, "largest": 20, "element_bytes": 10.0, "key_length": 6, "database": 0,
    }  # fmt: skip
    return {"total": 16_000, "sampled": 200, **{name: [value] * 200 for name, value in {**base, **row}.items()}}


def test_encodings() -> None:
    found = advise(stats(keys=sample_of(), info={"used_memory": str(200 * MIB)}), options())
    best = of(found, "redis_encoding")
    assert best.proposed == {"hash-max-listpack-entries": "256"}
    assert best.evidence["predicted"]["saved_bytes"] == pytest.approx(16_000 * (12_000 - 5_192))
    long = sample_of(largest=100, element_bytes=50.0, bytes=40_000)
    more = of(advise(stats(keys=long, info={"used_memory": str(700 * MIB)}), options()), "redis_encoding")
    assert more.proposed == {"hash-max-listpack-entries": "256", "hash-max-listpack-value": "128"}
    # A listpack of 600 entries would be searched for too long.
    for row in ({"elements": 600}, {"largest": 500}, {"encoding": "listpack"}):
        assert not [
            item
            for item in advise(stats(keys=sample_of(**row)), options()).recommendations
            if item.action == "redis_encoding"
        ]


@pytest.mark.parametrize(
    ("changes", "action", "proposed"),
    [
        (
            {"info": {"allocator_frag_ratio": "1.4", "allocator_frag_bytes": str(400 * MIB)}},
            "redis_defragmentation",
            {"activedefrag": "yes"},
        ),
        (
            {"slowlog": [{"command": "del", "key": "big", "microseconds": 90_000, "at": 1}]},
            "redis_lazyfree",
            {"lazyfree-lazy-user-del": "yes"},
        ),
        (
            {"config": {"appendonly": "yes", "appendfsync": "always"}},
            "redis_persistence",
            {"appendfsync": "everysec"},
        ),
        (
            {"config": {"save": "3600 1 300 100 60 10000"}, "info": {"latest_fork_usec": "250000"},
             "server": {"keys_with_ttl": 15_900}},
            "redis_persistence",
            {"save": ""},
        ),
        (
            {"server": {"replicas": 1}, "config": {"repl-backlog-size": "1048576"},
             "observe": {"total_net_input_bytes": [250_000] * SPANS}},
            "redis_replication",
            {"repl-backlog-size": str(64 * MIB)},
        ),
        (
            {"info": {"client_recent_max_output_buffer": str(200 * MIB)},
             "config": {"client-output-buffer-limit": "normal 0 0 0 slave 1 1 1 pubsub 1 1 1"}},
            "redis_clients",
            {"client-output-buffer-limit": f"normal {512 * MIB} {256 * MIB} 60 slave 1 1 1 pubsub 1 1 1"},
        ),
        ({"config": {"latency-monitor-threshold": "0"}}, "redis_latency_monitor", {"latency-monitor-threshold": "100"}),
    ],
)  # fmt: skip
def test_settings_that_are_advised(changes: dict[str, t.Any], action: str, proposed: dict[str, str]) -> None:
    assert action in redis_tuning.KINDS
    usage = "cache" if "appendfsync" in proposed else "auto"
    found = of(advise(stats(**changes), options(usage=usage)), action)
    assert dict(found.proposed) == proposed
    assert not found.refused
    quiet = advise(stats(), options())
    assert action not in {item.action for item in quiet.recommendations}


@pytest.mark.parametrize(
    ("changes", "action", "told"),
    [
        (
            {"observe": {"total_connections_received": [10] * SPANS}},
            "redis_connections",
            "40.0 connections a second are opened for 120.0 commands each",
        ),
        ({"keys": {**sample_of(elements=90_000, bytes=20 * MIB)}}, "redis_big_keys", "k (hash) has 90000 elements"),
        (
            {"keys": {**sample_of(), "ttl": [-1] * 60 + [600] * 140}, "server": {"keys_with_ttl": 11_200},
             "config": {"maxmemory-policy": "volatile-lru"}},
            "redis_ttl",
            "30% of the memory is in keys without a time to live, while others have one: k (30%)",
        ),
    ],
)  # fmt: skip
def test_what_applications_should_change_is_never_applied(changes: dict[str, t.Any], action: str, told: str) -> None:
    if action == "redis_connections":
        changes["observe"]["total_commands_processed"] = [900] * SPANS
        told = told.replace("120.0", "90.0")
    found = of(advise(stats(**changes), options()), action)
    assert any(told in reason for reason in found.reasons), found.reasons
    assert found.refused.startswith("this is changed in the application")
    assert action not in redis_tuning.KINDS


def test_a_hot_key_and_a_defragmentation_that_cannot_be(recorded: dict[str, t.Any]) -> None:
    hot = {**recorded, "hottest": [{"key": "config", "database": 0, "share": 0.3}]}
    assert "config takes 30% of all accesses" in of(advise(stats(trace=hot), options()), "redis_hot_keys").reasons[0]
    libc = stats(
        server={"allocator": "libc"},
        info={"allocator_frag_ratio": "1.4", "allocator_frag_bytes": str(400 * MIB)},
    )
    assert of(advise(libc, options()), "redis_defragmentation").refused == (
        "its allocator is libc: only jemalloc can be defragmented"
    )


# --- Verification


def observed(hits: int, misses: int, read_us: float = 1.5, oom: int = 0) -> dict[str, t.Any]:
    return {
        "keyspace_hits": [hits] * SPANS,
        "keyspace_misses": [misses] * SPANS,
        "read_us": [read_us + 0.01 * (number % 7) for number in range(SPANS)],
        "oom_errors": [oom] * SPANS,
    }


@pytest.mark.parametrize(
    ("now", "failed"),
    [
        (observed(890, 110), set()),
        (observed(790, 210), set()),
        (observed(700, 300), {"hit_ratio"}),
        (observed(890, 110, read_us=9.0), {"latency"}),
        # A microsecond more is a multiple, and nobody's concern.
        (observed(890, 110, read_us=2.9), set()),
        (observed(890, 110, oom=3), {"write_errors"}),
    ],
)
def test_a_change_that_made_it_worse_fails(change: Recommendation, now: dict[str, t.Any], failed: set[str]) -> None:
    results = {check.name: check.outcome for check in checks(change, now)}
    assert {name for name, outcome in results.items() if outcome == "failed"} == failed
    assert set(results) == {"hit_ratio", "latency", "write_errors"}


def test_too_few_reads_prove_nothing(change: Recommendation) -> None:
    assert checks(change, observed(10, 5))[0].outcome == "no_data"


# --- Predicted bytes, on a real server


@pytest.mark.skipif(not shutil.which("redis-server"), reason="redis-server is not installed")
def test_the_bytes_that_an_encoding_saves_are_those_that_redis_saves(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 10
        while True:
            try:
                client = RedisClient.connect(Endpoint(port=port))
                break
            except Exception:
                assert time.monotonic() < end
                time.sleep(0.02)
        with client:
            names = [f"user:{number}" for number in range(150)]
            fields = [word for number in range(300) for word in (f"field{number}", "v" * 24)]
            scores = [word for number in range(300) for word in (number * 17, f"member:{number}")]

            def write() -> None:
                client.command("FLUSHALL")
                client.pipeline([("HSET", name, *fields) for name in names])
                client.pipeline([("ZADD", f"z{name}", *scores) for name in names])

            client.command("CONFIG", "SET", "hash-max-listpack-entries", 128)
            write()
            found = {**stats(), "keys": keys(client, KeyLimits(keys=400)), "config": client.config("*")}
            found["server"]["keys"] = 300
            before = int(client.info("memory")["used_memory"])
            found["info"]["used_memory"] = str(before)
            best = of(advise(found, options(usage="cache")), "redis_encoding")
            assert best.proposed["hash-max-listpack-entries"] == "512"
            client.pipeline([("CONFIG", "SET", name, value) for name, value in best.proposed.items()])
            write()
            saved = before - int(client.info("memory")["used_memory"])
        assert best.evidence["predicted"]["saved_bytes"] == pytest.approx(saved, rel=0.15)
    finally:
        process.kill()
        process.wait(10)


def test_every_finding_has_its_own_kind_of_action() -> None:
    everything = stats(
        config={"latency-monitor-threshold": "0", "appendonly": "yes", "appendfsync": "always"},
        keys=sample_of(elements=90_000, bytes=20 * MIB),
        info={"allocator_frag_ratio": "1.4", "allocator_frag_bytes": str(400 * MIB)},
    )
    found = advise(everything, options())
    ids = [item.id for item in found.recommendations]
    assert len(ids) == len(set(ids)) >= 4
    assert all(item.reasons for item in found.recommendations)
    assert redis_findings.MOST_ENTRIES == 512
