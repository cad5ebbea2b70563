# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How large pgbouncer's pools should be, by Little's law, and what their limits are.

The mean number of busy connections is the throughput times the mean time that a transaction holds one (J. D. C.
Little, A Proof for the Queuing Formula L = lambda W, Operations Research 9(3), 1961). A pool holds that number over
the utilisation it is meant to have; what the server and its cores can bear limits the sum of all pools.
"""

from __future__ import annotations

import dataclasses
import math
import typing as t
from collections.abc import Mapping, Sequence

#: Share of a pool's connections that are busy on average: above it, waiting grows faster than load.
TARGET_UTILISATION = 0.7
#: Sessions on a processor that a core bears before they only take turns (2 to 3 in short transactions).
SESSIONS_PER_CORE = 3.0
#: Fewest connections of a pool: one may be busy with a long transaction.
SMALLEST_POOL = 2
#: A pool is left alone when it is this near (share, connections): figures of a window are not that exact.
NEAR_SHARE, NEAR_CONNECTIONS = 0.2, 1
#: Share of processor time in a transaction is not taken for smaller than this.
LEAST_CPU_SHARE = 0.2
#: Share of ``max_client_conn`` in use from which on more are advised.
CLIENTS_FULL = 0.8
#: Connections opened a second from which on opening them is said to cost.
CHURN = 2.0
#: Share of connections' time in transactions below which session pooling wastes servers.
IDLE_HOLDERS = 0.5
#: Memory of a server process beside its sorts and hashes, in bytes: its caches of the catalogue.
PROCESS_MEMORY = 8 * 1024**2
MICROSECONDS = 1e6

Stats: t.TypeAlias = "Mapping[str, t.Any]"


@dataclasses.dataclass(frozen=True, slots=True)
class Bounds:
    """What the operator says about a server and its pools.

    ``others``: connections that must stay free for what does not go through pgbouncer.
    ``pgbouncers``: how many of them share the server. ``cores``: of the database server.
    """

    others: int = 10
    pgbouncers: int = 1
    cores: float = 2.0
    target: float = TARGET_UTILISATION


@dataclasses.dataclass(frozen=True, slots=True)
class Demand:
    """What one database asked of the server in a window, per second where it is a rate.

    ``busy``: mean connections held, ``waiting``: mean clients that wait for one, ``peak``: the
    most held and waited for in any sample. ``pool`` is the size now, 0 without a pool; ``users``
    counts the pools of the database. ``held`` are connections that clients hold, busy or not.
    """

    database: str
    throughput: float
    transaction_seconds: float
    busy: float
    waiting: float = 0.0
    longest_wait: float = 0.0
    wait_seconds: float = 0.0
    peak: float = 0.0
    held: float = 0.0
    pool: int = 0
    users: int = 1
    mode: str = ""
    #: share of the demand that the largest of the users has
    share: float = 1.0

    @property
    def concurrency(self) -> float:
        """Connections wanted on average, by the largest user: those held, and those waited for."""
        return (self.busy + self.waiting) * self.share

    def measured(self) -> dict[str, float]:
        """The figures that a verification compares."""
        return {
            "throughput": round(self.throughput, 2),
            "transaction_ms": round(self.transaction_seconds * 1000, 3),
            "wait_ms": round(self.wait_seconds * 1000, 3),
            "busy": round(self.busy, 2),
            "waiting": round(self.waiting, 2),
            "longest_wait_seconds": round(self.longest_wait, 2),
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Capacity:
    """How many connections all pools together may have, and what says so."""

    connections: int
    binding: str
    why: str


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """A pool as it should be. ``wanted`` is its size before the capacity was shared out."""

    demand: Demand
    size: int
    wanted: int
    binding: str

    @property
    def near(self) -> bool:
        """Whether the pool is as good as right already."""
        off = abs(self.size - self.demand.pool)
        return off <= max(NEAR_CONNECTIONS, NEAR_SHARE * self.demand.pool)


# --- What was measured


def demands(stats: Stats) -> list[Demand]:
    """The demand of each database: from pgbouncer where it was asked, else from PostgreSQL itself."""
    return _pooled(stats["pgbouncer"]) if stats["pgbouncer"] else _direct(stats)


def _pooled(pgbouncer: Stats) -> list[Demand]:
    samples = pgbouncer["samples"]
    first, last = samples[0], samples[-1]
    seconds = last["now"] - first["now"]
    sizes = {row["name"]: row for row in pgbouncer["databases"]}
    before = {row["database"]: row for row in first["stats"]}
    found = []
    for row in last["stats"]:
        name, old = row["database"], before.get(row["database"], {})
        if name not in sizes or seconds <= 0:
            continue

        def grown(counter: str, row: Stats = row, old: Stats = old) -> float:
            # A counter that went down was reset with pgbouncer.
            return max(0.0, float(row[counter]) - float(old.get(counter, 0)))

        transactions = grown("total_xact_count")
        pools = [[pool for pool in sample["pools"] if pool["database"] == name] for sample in samples]
        by_user: dict[str, float] = {}
        for pool in (pool for sample in pools for pool in sample):
            by_user[pool["user"]] = by_user.get(pool["user"], 0.0) + pool["sv_active"] + pool["cl_waiting"]
        total = sum(by_user.values())
        wanted = [sum(pool["sv_active"] + pool["cl_waiting"] for pool in sample) for sample in pools]
        mode = next((pool["pool_mode"] for sample in pools for pool in sample), pgbouncer["settings"]["pool_mode"])
        # Clients that hold a server outside transactions count where sessions are pooled: the server is theirs.
        held = _mean([sum(pool["sv_active"] for pool in sample) for sample in pools])
        busy = grown("total_xact_time") / MICROSECONDS / seconds
        found.append(
            Demand(
                database=name,
                throughput=transactions / seconds,
                transaction_seconds=grown("total_xact_time") / MICROSECONDS / transactions if transactions else 0.0,
                busy=held if mode == "session" else busy,
                waiting=_mean([sum(pool["cl_waiting"] for pool in sample) for sample in pools]),
                longest_wait=max(
                    (pool["maxwait"] + pool["maxwait_us"] / MICROSECONDS for sample in pools for pool in sample),
                    default=0.0,
                ),
                wait_seconds=grown("total_wait_time") / MICROSECONDS / transactions if transactions else 0.0,
                peak=float(max(wanted, default=0)),
                held=held,
                pool=int(sizes[name]["pool_size"]),
                users=max(1, sum(value > 0 for value in by_user.values())),
                mode=mode,
                share=max(by_user.values()) / total if total else 1.0,
            )
        )
    return found


def _direct(stats: Stats) -> list[Demand]:
    first, last = stats["databases"][0], stats["databases"][-1]
    before = {row["database"]: row for row in first}
    found = []
    for row in last:
        old = before.get(row["database"], row)
        seconds = row["now"] - old["now"]
        transactions = row["transactions"] - old["transactions"]
        if seconds <= 0 or transactions <= 0 or not row["database"]:
            continue
        held = [
            sum(one["sessions"] for one in sample if one["database"] == row["database"]) for sample in stats["activity"]
        ]
        in_transaction = [
            sum(
                one["sessions"]
                for one in sample
                if one["database"] == row["database"] and one["state"] not in ("idle", "disabled", "unknown")
            )
            for sample in stats["activity"]
        ]
        # The server counts busy time itself; samples see what it has not counted yet, such as one long transaction.
        counted = (
            row["active_ms"] - old["active_ms"] + row["idle_in_transaction_ms"] - old["idle_in_transaction_ms"]
        ) / 1000
        busy = max(counted / seconds, _mean(in_transaction))
        found.append(
            Demand(
                database=row["database"],
                throughput=transactions / seconds,
                transaction_seconds=busy * seconds / transactions,
                busy=busy,
                peak=float(max(in_transaction, default=0)),
                held=_mean(held),
            )
        )
    return found


def cpu_share(stats: Stats) -> float:
    """Share of a transaction's time that its session is on a processor, from samples of sessions; 1 without any.

    A session that is active and waits for nothing is on a processor or wants one.
    """
    running = busy = 0
    for sample in stats["activity"]:
        for row in sample:
            if row["state"] in ("active", "idle in transaction", "idle in transaction (aborted)"):
                busy += row["sessions"]
                if row["state"] == "active" and not row["waits_for"]:
                    running += row["sessions"]
    return running / busy if busy else 1.0


# --- What it should be


def capacity(stats: Stats, bounds: Bounds) -> Capacity:
    """How many connections the pools of one pgbouncer may have together."""
    settings = stats["settings"]
    reserved = settings["superuser_reserved_connections"] + settings.get("reserved_connections", 0)
    others = max(bounds.others, _other_sessions(stats))
    left = (settings["max_connections"] - reserved - others) // bounds.pgbouncers
    share = max(cpu_share(stats), LEAST_CPU_SHARE)
    by_cores = math.ceil(SESSIONS_PER_CORE * bounds.cores / share / bounds.pgbouncers)
    shared = f", shared by {bounds.pgbouncers} pgbouncers" if bounds.pgbouncers > 1 else ""
    if left <= by_cores:
        why = (
            f"max_connections {settings['max_connections']} less {reserved} reserved and {others} for others"
            f"{shared} leaves {max(0, left)}"
        )
        return Capacity(max(0, left), "max_connections", why)
    why = (
        f"{bounds.cores:g} cores bear {by_cores} connections{shared}: {SESSIONS_PER_CORE:g} sessions a core, "
        f"each on a processor for {share:.0%} of its transactions"
    )
    return Capacity(by_cores, "cores", why)


def _other_sessions(stats: Stats) -> int:
    """The most sessions in any sample that are not pgbouncer's."""
    most = 0
    consoles = stats["pgbouncer"]["samples"] if stats["pgbouncer"] else []
    for number, sample in enumerate(stats["activity"]):
        sessions = sum(row["sessions"] for row in sample)
        if number < len(consoles):
            kinds = ("sv_active", "sv_idle", "sv_used", "sv_tested", "sv_login")
            ours = sum(pool[kind] for pool in consoles[number]["pools"] for kind in kinds)
            most = max(most, sessions - ours)
    return most


def sizes(found: Sequence[Demand], room: Capacity, target: float = TARGET_UTILISATION) -> list[Size]:
    """The size of each database's pools. Where all together do not fit, each gives way in proportion."""
    wants = [_wanted(demand, target) for demand in found]
    total = sum(want * demand.users for want, demand in zip(wants, found))
    scale = min(1.0, room.connections / total) if total else 1.0
    result = []
    for demand, want in zip(found, wants):
        size = want if scale >= 1 else max(1, math.floor(want * scale))
        binding = room.binding if size < want else ("load" if want > SMALLEST_POOL else "smallest pool")
        result.append(Size(demand, size, want, binding))
    return result


def _wanted(demand: Demand, target: float) -> int:
    return max(SMALLEST_POOL, math.ceil(demand.concurrency / target - 1e-9))


# --- Whether a declaration can hold


def worst_case(databases: Sequence[Mapping[str, t.Any]], settings: Mapping[str, t.Any]) -> dict[str, int]:
    """Connections that pools can open at most, by server (``host:port``): all databases, users and reserves.

    A database's ``users`` says how many users it has, or which; 1 where it has one ``user`` or says nothing.
    """
    most: dict[str, int] = {}
    for database in databases:
        server = f"{database.get('host') or 'socket'}:{database.get('port') or 5432}"
        users = database.get("users", 1)
        count = users if isinstance(users, int) else len(users)
        pool = int(_either(database, "pool_size", settings.get("default_pool_size", 20)))
        pool = max(pool, int(_either(database, "min_pool_size", settings.get("min_pool_size", 0))))
        reserve = int(_either(database, "reserve_pool", settings.get("reserve_pool_size", 0)))
        connections = (1 if database.get("user") else max(1, count)) * (pool + reserve)
        # Whoever looks up the other users has a pool of its own and needs one connection of it.
        connections += bool(settings.get("auth_user"))
        limit = int(_either(database, "max_db_connections", settings.get("max_db_connections", 0)))
        if limit:
            connections = min(connections, limit)
        most[server] = most.get(server, 0) + connections
    return most


def _either(database: Mapping[str, t.Any], name: str, default: t.Any) -> t.Any:
    value = database.get(name)
    return default if value is None else value


# --- What cannot be pooled by transaction

_KEPT = {
    "listen": "LISTEN, whose notifications come to one session",
    "temporary table": "temporary tables, which one session sees",
    "advisory lock": "advisory locks of sessions, which another client would hold or miss",
    "prepare": "PREPARE, whose statement is known to one session",
    "cursor with hold": "cursors WITH HOLD, which one session reads",
    "load": "LOAD, which holds for one session",
}


def session_needs(features: Sequence[Stats], database: str) -> list[str]:
    """What sessions of ``database`` keep beyond a transaction: why servers cannot change hands between transactions."""
    counts: dict[str, int] = {}
    for row in features:
        if row["database"] == database:
            name = str(row["feature"])
            what = _KEPT.get(name) or f"{name.replace('set ', 'SET ', 1)}, which would hold for the next client, too"
            counts[what] = max(counts.get(what, 0), int(row["times"]))
    return [f"{what} (seen {count} times)" for what, count in sorted(counts.items())]


# --- What an operator should know


def alarms(stats: Stats, found: Sequence[Demand], bounds: Bounds) -> list[str]:
    """Sentences about what hurts now, or will."""
    told = []
    for demand in found:
        if demand.waiting > 0 and demand.longest_wait > 0:
            told.append(
                f"clients of {demand.database} wait for a connection: {demand.waiting:.1f} on average, "
                f"the longest {demand.longest_wait:.1f} s"
            )
    if stats["pgbouncer"]:
        used, most = clients(stats["pgbouncer"])
        if used >= CLIENTS_FULL * most:
            told.append(f"{used} of {most} clients (max_client_conn) are connected: the next ones are refused soon")
    opened = _opened(stats)
    if opened >= CHURN:
        told.append(
            f"{opened:.1f} connections a second are opened on the server: clients should keep them or be pooled"
        )
    settings = stats["settings"]
    worst = settings["shared_buffers"] + settings["max_connections"] * (
        PROCESS_MEMORY + settings["work_mem"] * float(settings.get("hash_mem_multiplier", 1))
    )
    if stats["memory"] and worst > stats["memory"]:
        told.append(
            f"max_connections {settings['max_connections']} with work_mem {_mib(settings['work_mem'])} can take "
            f"{_mib(worst)} of {_mib(stats['memory'])}: lower max_connections to what the pools and others need"
        )
    sessions = max((sum(row["sessions"] for row in sample) for sample in stats["activity"]), default=0)
    free = settings["max_connections"] - settings["superuser_reserved_connections"] - sessions
    if free < bounds.others:
        told.append(f"only {free} of max_connections {settings['max_connections']} are free for others")
    return told


def clients(pgbouncer: Stats) -> tuple[int, int]:
    """The most clients in any sample, and how many there may be."""
    used = max(
        (sum(pool["cl_active"] + pool["cl_waiting"] for pool in sample["pools"]) for sample in pgbouncer["samples"]),
        default=0,
    )
    return used, int(pgbouncer["settings"]["max_client_conn"])


def _opened(stats: Stats) -> float:
    """Sessions opened a second over all databases, without those that read these figures."""
    if len(stats["databases"]) < 2:
        return 0.0
    before = {row["database"]: row for row in stats["databases"][0]}
    opened = seconds = 0.0
    for row in stats["databases"][-1]:
        if row["database"] in before:
            opened += row["sessions"] - before[row["database"]]["sessions"]
            seconds = max(seconds, row["now"] - before[row["database"]]["now"])
    # Each sample but the first opened one session of its own.
    return max(0.0, opened - (len(stats["databases"]) - 1)) / seconds if seconds > 0 else 0.0


def _mib(amount: float) -> str:
    return f"{amount / 1024**2:,.0f} MiB"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
