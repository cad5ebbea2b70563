# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``redis_stats_info`` returned, as numbers that the analysis asks for, and what the operator said."""

from __future__ import annotations

import dataclasses
import math
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    Finding,
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
)

GIB = 2.0**30
MIB = 2**20
#: INFO memory: what is not keys and does not grow with them
FIXED = (
    "used_memory_startup",
    "mem_clients_normal",
    "mem_clients_slaves",
    "mem_replication_backlog",
    "mem_aof_buffer",
    "mem_cluster_links",
    "used_memory_scripts",
)
#: fewest keys from which the memory of a key is averaged
ENOUGH_KEYS = 100
#: share of the host's memory that stays free
SPARE = 0.05
#: memory that a fork copies, as a share of what is used, where it was never measured
COPIED = 0.5
MONTH_SECONDS = 730.0 * 3600.0
Usage: t.TypeAlias = 't.Literal["auto", "cache", "mixed", "store", "unknown"]'


@dataclasses.dataclass(frozen=True)
class Options:
    """What the operator said. Prices are in ``currency`` a month; 0: not priced."""

    host: str
    port: str = "6379"
    scope: Scope | None = None
    usage: str = "auto"
    memory_price_gib_month: float = 0.0
    #: price of a million misses
    miss_price_million: float = 0.0
    #: hit ratio that may be given up for less memory
    hit_ratio_tolerance: float = 0.01
    #: bytes that Redis may use at most, where the host's memory is not known or not all its own; 0: as the host has
    memory_limit: int = 0
    currency: str = "USD"


class Facts:
    """Figures of one server."""

    def __init__(self, stats: Mapping[str, t.Any], options: Options) -> None:
        self.stats = stats
        self.options = options
        self.info: Mapping[str, str] = stats.get("info", {})
        self.config: Mapping[str, str] = stats.get("config", {})
        self.server: Mapping[str, t.Any] = stats.get("server", {})
        self.keys: Mapping[str, t.Any] = stats.get("keys") or {}
        self.observe: Mapping[str, t.Any] = stats.get("observe") or {}
        self.trace: Mapping[str, t.Any] = stats.get("trace") or {}
        self.missing: Mapping[str, str] = stats.get("missing") or {}

    # --- Single figures

    def number(self, name: str) -> float:
        """A figure of INFO, 0 where it is not there."""
        try:
            return float(self.info.get(name, 0) or 0)
        except ValueError:
            return 0.0

    def setting(self, name: str) -> int:
        """A setting that is a number, 0 where it is not there."""
        value = self.config.get(name, "0")
        return int(value) if value.lstrip("-").isdigit() else 0

    @property
    def version(self) -> tuple[int, ...]:
        """7.0.15 as (7, 0, 15)."""
        return tuple(int(part) for part in str(self.server.get("version", "0")).split(".") if part.isdigit())

    @property
    def total_keys(self) -> int:
        """Keys in all databases."""
        return int(self.server.get("keys", 0))

    @property
    def ttl_share(self) -> float:
        """Share of the keys that have a time to live."""
        return int(self.server.get("keys_with_ttl", 0)) / self.total_keys if self.total_keys else 0.0

    @property
    def maxmemory(self) -> int:
        """Bytes, 0 for no limit."""
        return self.setting("maxmemory")

    @property
    def policy(self) -> str:
        """maxmemory-policy."""
        return self.config.get("maxmemory-policy", "noeviction")

    def column(self, name: str) -> list[t.Any]:
        """A column of the sample of keys."""
        return list(self.keys.get(name, []))

    def seen(self, name: str) -> int:
        """What a counter grew by while it was watched."""
        return int(sum(self.observe.get(name, [])))

    @property
    def seconds(self) -> float:
        """How long counters were watched."""
        return float(sum(self.observe.get("seconds", [])))

    @property
    def hit_ratio(self) -> float:
        """Over the time in which counters were watched, NaN without reads."""
        hits, misses = self.seen("keyspace_hits"), self.seen("keyspace_misses")
        return hits / (hits + misses) if hits + misses else math.nan

    @property
    def reads_per_second(self) -> float:
        """Reads of keys a second."""
        return (self.seen("keyspace_hits") + self.seen("keyspace_misses")) / self.seconds if self.seconds else 0.0

    @property
    def refused_writes(self) -> int:
        """Writes that failed for want of memory, while watched and while accesses were recorded."""
        return self.seen("oom_errors") + int(self.trace.get("oom_errors", 0))

    @property
    def persisted(self) -> str:
        """How data is kept on disk: ``aof``, ``snapshots`` (chosen), ``default snapshots`` or nothing."""
        if self.config.get("appendonly") == "yes":
            return "aof"
        save = self.config.get("save", "")
        if not save.strip():
            return ""
        return "default snapshots" if save in ("3600 1 300 100 60 10000", "900 1 300 10 60 10000") else "snapshots"

    # --- Memory

    @property
    def fixed_bytes(self) -> float:
        """Memory that is not keys."""
        return sum(self.number(name) for name in FIXED)

    @property
    def key_factor(self) -> float:
        """Memory of keys as Redis counts it, over the sum of MEMORY USAGE: tables and allocator come on top."""
        sizes = self.column("bytes")
        if len(sizes) < ENOUGH_KEYS or not self.total_keys:
            return 1.05
        mean: float = sum(sizes) / len(sizes)
        return min(1.6, max(1.0, (self.number("used_memory") - self.fixed_bytes) / (self.total_keys * mean)))

    def capacity(self, maxmemory: float) -> float:
        """Bytes that MEMORY USAGE would say of the keys that fit into ``maxmemory``."""
        return max(0.0, maxmemory - self.fixed_bytes) / self.key_factor

    def limit_for(self, capacity: float) -> int:
        """The maxmemory, in whole MiB, that ``capacity`` needs."""
        return math.ceil((capacity * self.key_factor + self.fixed_bytes) / MIB) * MIB

    @property
    def forks(self) -> bool:
        """Whether it makes copies of itself to save or to serve replicas."""
        return bool(self.persisted) or int(self.server.get("replicas", 0)) > 0

    @property
    def copied_share(self) -> tuple[float, str]:
        """Share of the used memory that a fork copies, and where that is known from."""
        if not self.forks:
            return 0.0, "it never forks: nothing is saved and there is no replica"
        used = max(1.0, self.number("used_memory"))
        worst = max(self.number(name) for name in ("rdb_last_cow_size", "aof_last_cow_size", "current_cow_peak"))
        if worst <= 0:
            return COPIED, f"no fork was measured: {COPIED:.0%} are assumed"
        return min(1.0, worst / used), f"the last fork copied {worst / MIB:.1f} MiB"

    @property
    def host_limit(self) -> tuple[int, str]:
        """The largest maxmemory that the host can carry (0: not known), and how it comes about."""
        host = self.stats.get("host") or {}
        total, group = int(host.get("total", 0)), int(host.get("limit", 0))
        if self.options.memory_limit:
            base, told = float(self.options.memory_limit), f"{self.options.memory_limit / GIB:.2f} GiB allowed"
        elif group and (not total or group < total):
            base, told = float(group), f"{group / GIB:.2f} GiB of the control group"
        elif total:
            others = max(0.0, total - float(host.get("available", 0)) - float(host.get("resident", 0)))
            base, told = total - others, f"{total / GIB:.2f} GiB less {others / GIB:.2f} GiB that others use"
        else:
            return 0, "the host's memory is not known"
        copied, why = self.copied_share
        ratio = self.number("mem_fragmentation_ratio") if self.number("used_memory") > 100 * MIB else 1.05
        spread = min(2.0, max(1.03, ratio))
        replicas = int(self.server.get("replicas", 0)) * self.replica_buffer
        size = (base * (1 - SPARE) - replicas) / (spread * (1 + copied))
        text = f"{told}, {SPARE:.0%} spare, {spread:.2f} resident a byte used, {copied:.0%} copied by forks ({why})"
        if replicas:
            text += f", {replicas / MIB:.0f} MiB of replicas' buffers"
        return max(0, int(size) // MIB * MIB), text

    @property
    def replica_buffer(self) -> float:
        """Soft limit of a replica's output buffer, in bytes."""
        words = self.config.get("client-output-buffer-limit", "").split()
        for at in range(0, len(words) - 3, 4):
            if words[at] in ("slave", "replica"):
                return float(words[at + 2])
        return 0.0

    # --- Records

    def measured(self) -> dict[str, t.Any]:
        """The figures before a change that its verification compares with."""
        return {
            "hit_ratio": _rounded(self.hit_ratio),
            "hits": list(self.observe.get("keyspace_hits", [])),
            "misses": list(self.observe.get("keyspace_misses", [])),
            "read_us": [value for value in self.observe.get("read_us", []) if value is not None],
            "ping_us": list(self.observe.get("ping_us", [])),
            "oom_errors": self.seen("oom_errors"),
            "evicted_keys": self.seen("evicted_keys"),
            "seconds": round(self.seconds, 2),
            "used_memory": int(self.number("used_memory")),
        }

    def memory_price(self, before: float, after: float, misses: float = 0.0) -> Monthly:
        """Money of a change of ``before`` to ``after`` bytes that also saves ``misses`` a month."""
        price = self.options.memory_price_gib_month
        now, then = before / GIB * price, after / GIB * price
        saving = now - then + misses / 1e6 * self.options.miss_price_million
        return Monthly(round(now, 2), round(then, 2), round(saving, 2), self.options.currency)

    def record(
        self,
        action: str,
        proposed: Mapping[str, t.Any],
        *,
        finding: Finding,
        reasons: Sequence[str],
        binding: str,
        risk: Mapping[str, int],
        predicted: Mapping[str, t.Any] | None = None,
        evidence: Mapping[str, t.Any] | None = None,
        monthly: Monthly | None = None,
        warnings: Sequence[str] = (),
        refused: str = "",
        current: Mapping[str, t.Any] | None = None,
    ) -> Recommendation:
        """A recommendation about this server; ``current`` is read from its settings where it is not given."""
        options = self.options
        return Recommendation(
            action=action,
            provider="host",
            scope=options.scope or Scope.of_service(options.host, "redis"),
            resource=Resource(f"{options.host}:{options.port}", "redis", options.host),
            current=current if current is not None else {name: self.config.get(name) for name in proposed},
            proposed=proposed,
            monthly=monthly or Monthly(0.0, 0.0, 0.0, options.currency),
            finding=finding,
            reasons=tuple(reasons),
            binding_constraint=binding,
            risk=Risk.of(risk),
            effort="online",
            evidence={"measured": self.measured(), "predicted": dict(predicted or {}), **(evidence or {})},
            warnings=tuple(warnings),
            refused=refused,
        )


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)
