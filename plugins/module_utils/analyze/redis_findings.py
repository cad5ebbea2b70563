# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What else a Redis server could do better: encodings, fragmentation, lazy freeing, persistence, clients, keys.

Defaults and rules are those of redis.conf and the source of Redis 7.
"""

from __future__ import annotations

import collections
import math
import typing as t
from collections.abc import Callable, Iterator, Mapping

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_facts import ENOUGH_KEYS, MIB, Facts
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.redis_usage import FEW, Verdict
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation

#: a listpack is searched from its start: beyond this many entries reads get slower than they save
MOST_ENTRIES = 512
#: longest element of a listpack
LONGEST_ELEMENT = 128
#: bytes of a listpack beyond which it is copied too often
LARGEST_LISTPACK = 64 * 1024
#: least bytes that a change of encodings has to save, and least share of what is used
LEAST_SAVED = MIB
LEAST_SHARE = 0.02
#: fragmentation from which defragmentation pays, and least bytes that are lost to it (active-defrag-ignore-bytes)
FRAGMENTED = 1.15
LOST = 100 * MIB
#: a key from which freeing takes noticeable time: elements, or bytes
BIG_ELEMENTS = 10_000
BIG_BYTES = 10 * MIB
#: share of all accesses from which a key is hot
HOT = 0.05
#: new connections a second, and commands a connection, from which they are churn
CHURN = 5.0
COMMANDS = 100.0
#: seconds that a replica may be away without a full copy
AWAY = 60.0


def findings(facts: Facts, verdict: Verdict) -> list[Recommendation]:
    """Everything but memory and eviction, at most one recommendation for each kind of action."""
    rules: tuple[Callable[[Facts, Verdict], Iterator[Recommendation]], ...] = (
        _encodings,
        _fragmentation,
        _lazy_free,
        _persistence,
        _replication,
        _buffers,
        _latency_monitor,
        _connections,
        _times_to_live,
        _big_keys,
        _hot_keys,
    )
    return [found for rule in rules for found in rule(facts, verdict)]


# --- Encodings


def _limits(facts: Facts) -> dict[str, tuple[str, str]]:
    """type -> settings of entries and of element size; names changed with Redis 7."""
    word = "listpack" if "hash-max-listpack-entries" in facts.config else "ziplist"
    return {
        "hash": (f"hash-max-{word}-entries", f"hash-max-{word}-value"),
        "zset": (f"zset-max-{word}-entries", f"zset-max-{word}-value"),
    }


def listpack_bytes(kind: str, elements: float, mean: float, key_length: float) -> float:
    """Predicted bytes of a key in a listpack, as MEMORY USAGE counts them.

    ``mean`` is the length of a field or value of a hash, or of a member of a sorted set. An element below 64 bytes has
    one byte of encoding and one of length behind it, a longer one two each (listpack.c); a score that is a whole number
    takes five bytes at most, as most do. Header and end are 7 bytes; the entry, its object and the key's name are 56
    bytes and the name's.
    """
    each = mean + (2 if mean < 64 else 4)
    pair = 2 * each if kind == "hash" else each + 5
    return 56 + allocated(key_length + 2) + allocated(7 + elements * pair)


def allocated(size: float) -> float:
    """What jemalloc gives for ``size`` bytes: a multiple of 16, then four steps between powers of two."""
    if size <= 128:
        return math.ceil(size / 16) * 16
    step = 2 ** (math.floor(math.log2(size - 1)) - 2)
    return float(math.ceil(size / step) * step)


def _encodings(facts: Facts, verdict: Verdict) -> Iterator[Recommendation]:
    del verdict
    sampled = int(facts.keys.get("sampled", 0))
    if sampled < ENOUGH_KEYS:
        return
    scale = facts.total_keys / sampled
    proposed: dict[str, str] = {}
    saved, told = 0.0, []
    for kind, (entries_name, value_name) in _limits(facts).items():
        if entries_name not in facts.config:
            continue
        rows = _large(facts, kind)
        entries, value = facts.setting(entries_name), facts.setting(value_name)
        best = max(
            (
                (_gain(rows, most, longest, kind) * scale, -most, -longest)
                for most in (entries, 128, 256, MOST_ENTRIES)
                for longest in (value, 64, LONGEST_ELEMENT)
                if most >= entries and longest >= value
            ),
            default=(0.0, 0, 0),
        )
        if best[0] < max(LEAST_SAVED, LEAST_SHARE * facts.number("used_memory")):
            continue
        saved += best[0]
        for name, limit, old in ((entries_name, -best[1], entries), (value_name, -best[2], value)):
            if limit != old:
                proposed[name] = str(limit)
        told.append(f"{len(rows) * scale:.0f} {kind} keys of {_mean(row[0] for row in rows):.0f} elements on average")
    if not proposed:
        return
    used = facts.number("used_memory")
    yield facts.record(
        "redis_encoding",
        proposed,
        finding="over_provisioned" if facts.options.memory_price_gib_month else "misconfigured",
        reasons=(
            f"{saved / MIB:.1f} MiB ({saved / max(used, 1.0):.0%}) are saved with {' and '.join(told)} as listpacks",
            f"seen in {sampled} of {facts.total_keys} keys",
        ),
        binding="encoding",
        risk={"performance": 1},
        predicted={"saved_bytes": round(saved)},
        evidence={"sampled_keys": sampled},
        # Memory that maxmemory still reserves is not given back: it holds more keys.
        monthly=facts.memory_price(0.0, 0.0) if facts.maxmemory else facts.memory_price(used, used - saved),
        warnings=(
            "keys that are there keep their encoding until they are written anew, or loaded at the next start",
            "reads and writes of such a key look through all of it: latency is compared when this is verified",
        ),
    )


def _large(facts: Facts, kind: str) -> list[tuple[int, float, float, float, float]]:
    """(elements, longest, mean, bytes, key length) of sampled keys of a type that are not listpacks."""
    rows = zip(
        facts.column("type"),
        facts.column("encoding"),
        facts.column("elements"),
        facts.column("largest"),
        facts.column("element_bytes"),
        facts.column("bytes"),
        facts.column("key_length"),
    )
    return [
        (elements, longest, mean, size, name)
        for type_name, encoding, elements, longest, mean, size, name in rows
        if type_name == kind and encoding in ("hashtable", "skiplist") and longest > 0
    ]


def _gain(rows: list[tuple[int, float, float, float, float]], most: int, longest: int, kind: str) -> float:
    saved = 0.0
    for elements, largest, mean, size, name in rows:
        after = listpack_bytes(kind, elements, mean, name)
        if elements <= most and largest <= longest and after <= LARGEST_LISTPACK:
            saved += max(0.0, size - after)
    return saved


def _mean(values: t.Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found) if found else 0.0


# --- Memory that is lost, and freeing it


def _fragmentation(facts: Facts, verdict: Verdict) -> Iterator[Recommendation]:
    del verdict
    ratio, lost = facts.number("allocator_frag_ratio"), facts.number("allocator_frag_bytes")
    if ratio < FRAGMENTED or lost < LOST or facts.config.get("activedefrag") != "no":
        return
    refused = ""
    if not str(facts.server.get("allocator", "")).startswith("jemalloc"):
        refused = f"its allocator is {facts.server.get('allocator') or 'not known'}: only jemalloc can be defragmented"
    yield facts.record(
        "redis_defragmentation",
        {"activedefrag": "yes"},
        finding="misconfigured",
        reasons=(f"{lost / MIB:.0f} MiB are lost to fragmentation (allocator_frag_ratio {ratio:.2f})",),
        binding="fragmentation",
        risk={"performance": 1},
        predicted={"allocator_frag_ratio": 1.1, "saved_bytes": round(lost - 0.1 * lost / (ratio - 1))},
        warnings=("a Redis built with the system's jemalloc, as Debian's is, refuses this: nothing changes then",),
        refused=refused,
    )


def _lazy_free(facts: Facts, verdict: Verdict) -> Iterator[Recommendation]:
    del verdict
    big = [
        (elements, size)
        for kind, elements, size in zip(facts.column("type"), facts.column("elements"), facts.column("bytes"))
        if kind not in ("string", "none") and elements >= BIG_ELEMENTS
    ]
    events = facts.stats.get("latency") or {}
    slow = {name: worst[2] for name, worst in events.items() if name in ("eviction-del", "expire-del", "del")}
    deletes = [
        item for item in facts.stats.get("slowlog") or [] if item["command"] in ("del", "flushdb", "flushall", "unlink")
    ]
    proposed = {
        name: "yes"
        for name in (
            "lazyfree-lazy-eviction",
            "lazyfree-lazy-expire",
            "lazyfree-lazy-server-del",
            "lazyfree-lazy-user-del",
            "lazyfree-lazy-user-flush",
        )
        if facts.config.get(name) == "no"
    }
    if not proposed or not (big or slow or deletes):
        return
    reasons = []
    if big:
        reasons.append(f"{len(big)} of {facts.keys['sampled']} sampled keys have {BIG_ELEMENTS} elements or more")
    if slow:
        reasons.append(f"deleting took up to {max(slow.values())} ms ({', '.join(sorted(slow))})")
    if deletes:
        worst = max(item["microseconds"] for item in deletes)
        reasons.append(f"{len(deletes)} deletes are in the slow log, the longest of {worst / 1000:.1f} ms")
    yield facts.record(
        "redis_lazyfree",
        proposed,
        finding="misconfigured",
        reasons=[f"{reasons[0]}: freeing such a key keeps everybody waiting", *reasons[1:]],
        binding="latency",
        risk={"memory": 1},
        predicted={"delete_ms": "below 1"},
        evidence={"latency": dict(slow), "big_keys": len(big)},
        warnings=("memory is free a moment later than before",),
    )


# --- Disk, replicas, clients


def _persistence(facts: Facts, verdict: Verdict) -> Iterator[Recommendation]:
    kept = facts.persisted
    if verdict.kind == "store" and not kept and not int(facts.server.get("replicas", 0)) and facts.total_keys:
        yield facts.record(
            "redis_persistence",
            {"appendonly": "yes"},
            finding="misconfigured",
            reasons=("it holds data that exists nowhere else, saves nothing and has no replica: a restart loses it",),
            binding="durability",
            risk={"performance": 2},
            refused="whether this data may be lost is for you to say: set appendonly with module redis_config if not",
        )
    if kept == "aof" and facts.config.get("appendfsync") == "always" and verdict.kind in ("cache", "mixed"):
        yield facts.record(
            "redis_persistence",
            {"appendfsync": "everysec"},
            finding="misconfigured",
            reasons=(f"every write waits for the disk (appendfsync always), and it is a {verdict.kind}",),
            binding="latency",
            risk={"availability": 2},
            predicted={"lost_at_most_seconds": 1},
            warnings=("a crash loses up to a second of writes",),
        )
    fork = facts.number("latest_fork_usec") / 1000.0
    if verdict.kind == "cache" and kept == "default snapshots" and fork >= 100:
        yield facts.record(
            "redis_persistence",
            {"save": ""},
            finding="misconfigured",
            reasons=(f"each snapshot keeps clients waiting for {fork:.0f} ms, and a cache can be filled again",),
            binding="latency",
            risk={"availability": 2},
            predicted={"fork_ms": 0},
            warnings=("after a restart the cache is empty: what is behind it has to stand that",),
        )


def _replication(facts: Facts, verdict: Verdict) -> Iterator[Recommendation]:
    del verdict
    replicas, size = int(facts.server.get("replicas", 0)), facts.setting("repl-backlog-size")
    if not replicas or not size or not facts.seconds:
        return
    # What clients send is what is replicated, at most.
    rate = facts.seen("total_net_input_bytes") / facts.seconds
    wanted = 2 ** math.ceil(math.log2(max(rate * AWAY, 1.0)))
    full, partial = facts.number("sync_full"), facts.number("sync_partial_err")
    if wanted <= size or wanted > 2**30:
        return
    yield facts.record(
        "redis_replication",
        {"repl-backlog-size": str(wanted)},
        finding="under_provisioned",
        reasons=(
            f"{rate / 1e6:.2f} MB/s are written: {size / MIB:.0f} MiB of backlog last {size / rate:.0f} s",
            f"a replica that is away longer needs a full copy: {full:.0f} so far, {partial:.0f} partial ones failed",
        ),
        binding="replication",
        risk={"memory": 1},
        predicted={"seconds_away": round(wanted / rate)},
        monthly=facts.memory_price(size, wanted),
    )


def _buffers(facts: Facts, verdict: Verdict) -> Iterator[Recommendation]:
    del verdict
    waiting = facts.number("client_recent_max_output_buffer")
    limits = facts.config.get("client-output-buffer-limit", "")
    if waiting < 64 * MIB or not limits.startswith("normal 0 0 0"):
        return
    hard = max(256 * MIB, 2 ** math.ceil(math.log2(2 * waiting)))
    proposed = limits.replace("normal 0 0 0", f"normal {hard} {hard // 2} 60", 1)
    yield facts.record(
        "redis_clients",
        {"client-output-buffer-limit": proposed},
        finding="misconfigured",
        reasons=(f"{waiting / MIB:.0f} MiB of answers waited for one client, without any limit",),
        binding="memory",
        risk={"availability": 2},
        predicted={"buffer_bytes": hard},
        warnings=("clients that do not read their answers are disconnected",),
    )


def _latency_monitor(facts: Facts, verdict: Verdict) -> Iterator[Recommendation]:
    del verdict
    if facts.config.get("latency-monitor-threshold") != "0":
        return
    yield facts.record(
        "redis_latency_monitor",
        {"latency-monitor-threshold": "100"},
        finding="misconfigured",
        reasons=("the latency monitor is off: nobody sees what kept clients waiting",),
        binding="observability",
        risk={},
        predicted={"recorded_from_ms": 100},
    )


# --- What applications have to change


def _connections(facts: Facts, verdict: Verdict) -> Iterator[Recommendation]:
    del verdict
    opened, commands = facts.seen("total_connections_received"), facts.seen("total_commands_processed")
    if not facts.seconds or opened / facts.seconds < CHURN or commands / opened >= COMMANDS:
        return
    yield facts.record(
        "redis_connections",
        {"connections": "pooled"},
        current={"connections": "opened anew"},
        finding="misconfigured",
        reasons=(
            f"{opened / facts.seconds:.1f} connections a second are opened for {commands / opened:.1f} commands each",
        ),
        binding="connections",
        risk={},
        predicted={"connections_per_second": 0},
        refused="this is changed in the application: keep connections open in a pool, send commands in pipelines",
    )


def _times_to_live(facts: Facts, verdict: Verdict) -> Iterator[Recommendation]:
    if verdict.kind not in ("cache", "mixed") or int(facts.keys.get("sampled", 0)) < ENOUGH_KEYS:
        return
    without: dict[str, list[float]] = {}
    total = sum(facts.column("bytes"))
    for pattern, ttl, size in zip(*(facts.column(name) for name in ("pattern", "ttl", "bytes"))):
        if ttl < 0:
            row = without.setdefault(pattern, [0.0, 0.0])
            row[0] += 1
            row[1] += size
    share = sum(row[1] for row in without.values()) / total if total else 0.0
    if share < FEW or facts.ttl_share < FEW:
        return
    worst = sorted(without.items(), key=lambda item: -item[1][1])[:5]
    named = ", ".join(f"{name} ({row[1] / total:.0%})" for name, row in worst)
    yield facts.record(
        "redis_ttl",
        {"ttl": "set"},
        current={"ttl": "missing"},
        finding="misconfigured",
        reasons=(f"{share:.0%} of the memory is in keys without a time to live, while others have one: {named}",),
        binding="ttl",
        risk={},
        predicted={"bytes_that_expire": round(share * facts.number("used_memory"))},
        evidence={"patterns": {name: {"keys": int(row[0]), "bytes": int(row[1])} for name, row in worst}},
        refused="this is changed in the application: set a time to live when these keys are written",
    )


def _big_keys(facts: Facts, verdict: Verdict) -> Iterator[Recommendation]:
    del verdict
    rows = zip(*(facts.column(name) for name in ("key", "type", "bytes", "elements")))
    big = sorted(
        (
            {"key": key, "type": kind, "bytes": size, "elements": elements}
            for key, kind, size, elements in rows
            if size >= BIG_BYTES or (kind != "string" and elements >= BIG_ELEMENTS)
        ),
        key=lambda row: -t.cast("int", row["bytes"]),
    )
    if not big:
        return
    first: Mapping[str, t.Any] = big[0]
    yield facts.record(
        "redis_big_keys",
        {"big_keys": "split"},
        current={"big_keys": len(big)},
        finding="misconfigured",
        reasons=(
            f"{len(big)} of {facts.keys['sampled']} sampled keys are big: commands over all of one block everybody",
            f"{first['key']} ({first['type']}) has {first['elements']} elements and {first['bytes'] / MIB:.1f} MiB",
        ),
        binding="latency",
        risk={},
        evidence={"keys": big[:10]},
        refused="this is changed in the application: split them, or read them by parts",
    )


def _hot_keys(facts: Facts, verdict: Verdict) -> Iterator[Recommendation]:
    del verdict
    hot = [item for item in facts.trace.get("hottest", []) if item["share"] >= HOT]
    if not hot:
        return
    shares = collections.Counter({item["key"]: item["share"] for item in hot})
    yield facts.record(
        "redis_hot_keys",
        {"hot_keys": "cached by the client"},
        current={"hot_keys": "read from the server"},
        finding="misconfigured",
        reasons=(
            f"{hot[0]['key']} takes {hot[0]['share']:.0%} of all accesses: one core serves it, however many nodes",
        ),
        binding="throughput",
        risk={},
        predicted={"accesses_saved": round(sum(shares.values()), 4)},
        evidence={"keys": hot},
        refused="this is changed in the application: keep it in the client for a moment (client-side caching)",
    )
