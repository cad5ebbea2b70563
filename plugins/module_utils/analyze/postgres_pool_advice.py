# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recommendations for pgbouncer from what :mod:`postgres_pools` computes, and checks of what was applied."""

from __future__ import annotations

import math
import re
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze import postgres_pools
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.postgres_pools import Bounds, Demand, Size, Stats
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    Finding,
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
)

#: sizes of pools; how pools are shared; how many clients there may be
POOLS, MODE, CLIENTS = "pgbouncer_pools", "pgbouncer_mode", "pgbouncer_clients"
KINDS = (POOLS, MODE, CLIENTS)
#: pgbouncer that keeps prepared statements of clients apart (its changelog, 1.21.0)
PREPARED_SINCE = (1, 21)
#: Fewest transactions of a window that say something.
LEAST_TRANSACTIONS = 50
#: A verification fails when transactions take longer by this share, or wait this much longer (seconds).
SLOWER, WAITS_LONGER = 1.25, 0.005


def names_read(databases: Sequence[str]) -> list[str]:
    """The settings that recommendations compare."""
    return [
        *(f"databases.{name}.{what}" for name in databases for what in ("pool_size", "pool_mode")),
        *("default_pool_size", "pool_mode", "max_client_conn"),
    ]


def advise(
    stats: Stats, current: Mapping[str, t.Any], resource: Resource, scope: Scope, bounds: Bounds
) -> list[Recommendation]:
    """What should change of this pgbouncer; ``current`` are the settings of :func:`names_read` in its file."""
    found = [
        demand
        for demand in postgres_pools.demands(stats)
        if demand.throughput * seconds(stats) >= LEAST_TRANSACTIONS
        and f"databases.{demand.database}.pool_size" in current
    ]
    room = postgres_pools.capacity(stats, bounds)
    sized = postgres_pools.sizes(found, room, bounds.target)
    make = _Maker(stats, current, resource, scope, bounds)
    return [item for item in (make.pools(sized, room), make.mode(found), make.clients()) if item]


def seconds(stats: Stats) -> float:
    """Length of the window."""
    samples = stats["pgbouncer"]["samples"]
    return float(samples[-1]["now"] - samples[0]["now"])


class _Maker:
    """What all recommendations for one pgbouncer share."""

    def __init__(
        self, stats: Stats, current: Mapping[str, t.Any], resource: Resource, scope: Scope, bounds: Bounds
    ) -> None:
        self._stats, self._current, self._bounds = stats, current, bounds
        self._resource, self._scope = resource, scope

    def pools(self, sized: Sequence[Size], room: postgres_pools.Capacity) -> Recommendation | None:
        """Sizes of pools, all together: what one gives another may take."""
        changed = [size for size in sized if not size.near]
        if not changed or room.connections < 1:
            return None
        key = "databases.{}.pool_size"
        grows = any(size.size > size.demand.pool for size in changed)
        reasons = [_sentence(size, self._bounds.target) for size in changed]
        if any(size.size < size.wanted for size in changed):
            reasons.append(f"all pools together want more than there is: {room.why}")
        demands = {size.demand.database: size.demand.measured() for size in sized}
        shares = {size.demand.database: round(size.demand.concurrency / size.size, 2) for size in sized}
        predicted = {database: {"utilisation": share} for database, share in shares.items()}
        return self._make(
            POOLS,
            {key.format(size.demand.database): self._current[key.format(size.demand.database)] for size in changed},
            {key.format(size.demand.database): size.size for size in changed},
            "under_provisioned" if grows else "misconfigured",
            reasons,
            changed[0].binding,
            Risk.of({"load": 1 if grows else 2 if seconds(self._stats) < 60 else 1}),
            {
                "measured": demands,
                "predicted": predicted,
                "capacity": {"connections": room.connections, "why": room.why},
            },
        )

    def mode(self, found: Sequence[Demand]) -> Recommendation | None:
        """Share connections by transaction where sessions hold them and do nothing with them."""
        held = [demand for demand in found if demand.mode == "session"]
        rates = {demand.database: _busy(self._stats, demand.database) for demand in held}
        wasted = [one for one in held if one.held >= 1 and rates[one.database] < postgres_pools.IDLE_HOLDERS * one.held]
        if not wasted:
            return None
        needs = {one.database: postgres_pools.session_needs(self._stats["features"], one.database) for one in wasted}
        free = [one for one in wasted if not needs[one.database]]
        chosen = free or wasted
        key = "databases.{}.pool_mode"
        refused = ""
        if not free:
            told = "; ".join(f"{name}: {', '.join(found)}" for name, found in needs.items())
            refused = f"sessions keep what transactions would not find again: {told}"
        reasons = [
            f"{one.database}: clients hold {one.held:.1f} connections, transactions need {rates[one.database]:.1f}"
            for one in chosen
        ]
        version = tuple(int(part) for part in re.findall(r"\d+", self._stats["pgbouncer"]["version"])[:2])
        if version >= PREPARED_SINCE:
            todo = "set max_prepared_statements above 0"
        else:
            todo = (
                f"pgbouncer {'.'.join(map(str, version))} cannot pool them by transaction, so drivers must not use them"
            )
        warnings = [f"statements that drivers prepare by protocol are not seen from here: {todo}"]
        return self._make(
            MODE,
            {key.format(one.database): self._current[key.format(one.database)] for one in chosen},
            {key.format(one.database): "transaction" for one in chosen},
            "misconfigured",
            reasons,
            "sessions",
            Risk.of({"compatibility": 3}),
            {
                "measured": {one.database: one.measured() for one in chosen},
                "predicted": {one.database: {"busy": round(rates[one.database], 2)} for one in chosen},
            },
            warnings,
            refused,
        )

    def clients(self) -> Recommendation | None:
        """Room for more clients before they are refused."""
        used, most = postgres_pools.clients(self._stats["pgbouncer"])
        if used < postgres_pools.CLIENTS_FULL * most:
            return None
        proposed = math.ceil(used * 1.5 / 50) * 50
        return self._make(
            CLIENTS,
            {"max_client_conn": self._current["max_client_conn"]},
            {"max_client_conn": proposed},
            "under_provisioned",
            [f"{used} of {most} clients are connected, the next ones are refused soon"],
            "clients",
            Risk.of({"load": 0}),
            {"measured": {"clients": used}, "predicted": {"share": round(used / proposed, 2)}},
        )

    def _make(
        self,
        action: str,
        current: Mapping[str, t.Any],
        proposed: Mapping[str, t.Any],
        finding: Finding,
        reasons: Sequence[str],
        binding: str,
        risk: Risk,
        evidence: Mapping[str, t.Any],
        warnings: Sequence[str] = (),
        refused: str = "",
    ) -> Recommendation:
        return Recommendation(
            action=action,
            provider="host",
            scope=self._scope,
            resource=self._resource,
            current=current,
            proposed=proposed,
            monthly=Monthly(0.0, 0.0, 0.0),
            finding=finding,
            reasons=tuple(reasons),
            binding_constraint=binding,
            risk=risk,
            effort="online",
            evidence={
                **evidence,
                "window_seconds": round(seconds(self._stats), 1),
                "samples": len(self._stats["pgbouncer"]["samples"]),
                "cpu_share": round(postgres_pools.cpu_share(self._stats), 2),
            },
            warnings=tuple(warnings),
            refused=refused,
        )


def _busy(stats: Stats, database: str) -> float:
    """Connections that transactions keep busy on average, whoever holds them."""
    first, last = stats["pgbouncer"]["samples"][0], stats["pgbouncer"]["samples"][-1]
    times = [
        next((row["total_xact_time"] for row in sample["stats"] if row["database"] == database), 0)
        for sample in (first, last)
    ]
    return max(0.0, times[1] - times[0]) / postgres_pools.MICROSECONDS / seconds(stats)


def _sentence(size: Size, target: float) -> str:
    demand = size.demand
    if demand.mode == "session":
        law = f"clients hold {demand.busy:.1f} connections"
    else:
        law = (
            f"{demand.throughput:.1f} transactions/s x {demand.transaction_seconds * 1000:.1f} ms keep "
            f"{demand.busy:.1f} connections busy"
        )
    waits = f" and {demand.waiting:.1f} clients wait for one" if demand.waiting > 0 else ""
    share = f" ({demand.share:.0%} of it by one user)" if demand.users > 1 else ""
    limit = f", {size.size} fit ({size.binding})" if size.size < size.wanted else ""
    wanted = f"{size.wanted} at {target:.0%} utilisation{limit}, there are {demand.pool}"
    return f"{demand.database}: {law}{waits}{share}: {wanted}"


def checks(recommendation: Recommendation, stats: Stats) -> list[Check]:
    """What clients feel since the change, against what they felt before."""
    if recommendation.action == CLIENTS:
        used, most = postgres_pools.clients(stats["pgbouncer"])
        outcome: t.Literal["passed", "failed"] = "failed" if used >= most else "passed"
        return [Check("clients", outcome, f"{used} of {most} clients are connected")]
    now = {demand.database: demand for demand in postgres_pools.demands(stats)}
    result = []
    for database, before in recommendation.evidence["measured"].items():
        demand = now.get(database)
        if demand is None or demand.throughput * seconds(stats) < LEAST_TRANSACTIONS:
            few = f"fewer than {LEAST_TRANSACTIONS} transactions in {seconds(stats):.0f} s"
            result.append(Check(f"{database} transactions", "no_data", few))
            continue
        wait = demand.wait_seconds * 1000
        longer = wait > before["wait_ms"] + WAITS_LONGER * 1000
        result.append(
            Check(
                f"{database} wait",
                "failed" if longer else "passed",
                f"a transaction waits {wait:.1f} ms for a connection, {before['wait_ms']:.1f} ms before",
            )
        )
        took, allowed = demand.transaction_seconds * 1000, before["transaction_ms"] * SLOWER + 1
        # With fewer connections at a time each is done sooner; what counts is wait and work together.
        slower = took + wait > allowed + before["wait_ms"]
        result.append(
            Check(
                f"{database} transactions",
                "failed" if slower else "passed",
                f"a transaction takes {took:.1f} ms, {before['transaction_ms']:.1f} ms before; "
                f"{demand.throughput:.1f}/s, {before['throughput']:.1f}/s before",
            )
        )
    return result
