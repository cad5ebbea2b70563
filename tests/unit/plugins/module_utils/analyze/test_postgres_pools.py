# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes of pools on figures of a real pgbouncer 1.18 and PostgreSQL 15, and what limits them."""

from __future__ import annotations

import copy
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import postgres_pool_advice, postgres_pools
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.postgres_pools import Bounds, Demand
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation, Resource, Scope

SCOPE, RESOURCE = Scope.of_service("db1", "pgbouncer"), Resource("db1:6432", "pgbouncer", "db1")
CURRENT = {"databases.shop.pool_size": None, "databases.shop.pool_mode": None, "max_client_conn": 500}


def pool(**given: t.Any) -> dict[str, t.Any]:
    counts = "cl_active cl_waiting sv_active sv_idle sv_used sv_tested sv_login maxwait maxwait_us".split()
    return {"database": "shop", "user": "app", "pool_mode": "transaction", **dict.fromkeys(counts, 0), **given}


def stats(transactions: int = 866, busy_us: int = 4_384_000, wait_us: int = 0, **pools: t.Any) -> dict[str, t.Any]:
    """A window of 3.2 s; its figures are those of the molecule scenario: 270.7 transactions/s of 5.06 ms."""

    def sample(now: float, factor: int) -> dict[str, t.Any]:
        counters = {
            "database": "shop",
            "total_xact_count": 1000 + factor * transactions,
            "total_xact_time": 5_000_000 + factor * busy_us,
            "total_wait_time": 700 + factor * wait_us,
        }
        return {
            "now": now,
            "pools": [pool(**{"cl_active": 2, "sv_active": 1, "sv_idle": 2, **pools})],
            "stats": [counters],
        }

    database = {"database": "shop", "transactions": 0, "sessions": 10, "active_ms": 0.0, "idle_in_transaction_ms": 0.0}
    session = {"database": "shop", "user": "app", "sessions": 1}
    return {
        "settings": {
            "max_connections": 60,
            "superuser_reserved_connections": 3,
            "work_mem": 4 * 1024**2,
            "hash_mem_multiplier": 2,
            "shared_buffers": 128 * 1024**2,
        },
        "memory": 24 * 1024**3,
        "cores": 2,
        "features": [],
        "activity": [
            [
                {**session, "state": "active", "waits_for": ""},
                {**session, "state": "idle in transaction", "waits_for": "Client"},
                {**session, "state": "idle", "waits_for": "Client"},
            ]
        ]
        * 2,
        "databases": [
            [{**database, "now": 100.0}],
            [{**database, "now": 103.2, "transactions": 866, "sessions": 11, "active_ms": 1300.0}],
        ],
        "pgbouncer": {
            "version": "PgBouncer 1.18.0",
            "samples": [sample(100.0, 0), sample(103.2, 1)],
            "settings": {"pool_mode": "transaction", "max_client_conn": 500},
            "databases": [{"name": "shop", "pool_size": 10}],
        },
    }


def advised(window: dict[str, t.Any], **bounds: t.Any) -> dict[str, Recommendation]:
    found = postgres_pool_advice.advise(window, CURRENT, RESOURCE, SCOPE, Bounds(**bounds))
    for item in found:
        assert Recommendation.from_dict(item.to_dict()) == item
    return {item.action: item for item in found}


def test_littles_law_sizes_a_pool() -> None:
    (demand,) = postgres_pools.demands(stats())
    assert demand.throughput == pytest.approx(270.6, abs=0.1)
    assert demand.transaction_seconds == pytest.approx(0.00506, abs=0.00001)
    assert demand.busy == pytest.approx(1.37, abs=0.01)
    found = advised(stats())[postgres_pool_advice.POOLS]
    assert (found.current, found.proposed) == ({"databases.shop.pool_size": None}, {"databases.shop.pool_size": 2})
    assert found.reasons == (
        "shop: 270.6 transactions/s x 5.1 ms keep 1.4 connections busy: 2 at 70% utilisation, there are 10",
    )
    assert found.finding == "misconfigured"


def test_clients_that_wait_are_demand() -> None:
    window = stats(busy_us=31_000_000, wait_us=9_000_000, sv_active=10, cl_waiting=4, maxwait=1, maxwait_us=400_000)
    found = advised(window, cores=16)[postgres_pool_advice.POOLS]
    assert found.proposed == {"databases.shop.pool_size": 20}, "(9.7 busy + 4 waiting) / 0.7"
    assert found.finding == "under_provisioned"
    told = postgres_pools.alarms(window, postgres_pools.demands(window), Bounds())
    assert told == ["clients of shop wait for a connection: 4.0 on average, the longest 1.4 s"]


def test_cores_and_connections_limit_pools() -> None:
    window = stats(busy_us=31_000_000, sv_active=10, cl_waiting=30)
    room = postgres_pools.capacity(window, Bounds(cores=2))
    assert (room.connections, room.binding) == (12, "cores"), "2 cores x 3 sessions, on a processor half of the time"
    window["pgbouncer"]["databases"][0]["pool_size"] = 5
    found = advised(window, cores=2)[postgres_pool_advice.POOLS]
    assert found.proposed == {"databases.shop.pool_size": 12}
    assert found.binding_constraint == "cores"
    assert found.reasons[1].startswith("all pools together want more than there is: 2 cores bear 12 connections")
    shared = postgres_pools.capacity(window, Bounds(others=17, pgbouncers=4, cores=64))
    assert (shared.connections, shared.binding) == (10, "max_connections"), "(60 - 3 - 17) / 4"
    assert shared.why == "max_connections 60 less 3 reserved and 17 for others, shared by 4 pgbouncers leaves 10"


def test_a_pool_that_is_nearly_right_stays() -> None:
    window = stats()
    window["pgbouncer"]["databases"][0]["pool_size"] = 3
    assert advised(window) == {}


def test_too_few_transactions_say_nothing() -> None:
    assert advised(stats(transactions=12)) == {}


def test_pools_give_way_in_proportion() -> None:
    demands = [Demand("a", 100, 0.1, 10.0), Demand("b", 100, 0.3, 30.0, users=2)]
    room = postgres_pools.Capacity(40, "cores", "")
    assert [(one.wanted, one.size, one.binding) for one in postgres_pools.sizes(demands, room)] == [
        (15, 5, "cores"),
        (43, 17, "cores"),
    ]


def test_sessions_that_hold_connections_for_nothing() -> None:
    window = stats(pool_mode="session", sv_active=8, cl_active=8)
    window["pgbouncer"]["databases"][0]["pool_size"] = 12
    found = advised(window)[postgres_pool_advice.MODE]
    assert found.proposed == {"databases.shop.pool_mode": "transaction"}
    assert found.refused == ""
    assert found.reasons == ("shop: clients hold 8.0 connections, transactions need 1.4",)
    assert "pgbouncer 1.18 cannot pool them by transaction" in found.warnings[0]
    window["features"] = [
        {"database": "shop", "feature": "listen", "times": 3},
        {"database": "shop", "feature": "set search_path", "times": 9},
        {"database": "other", "feature": "prepare", "times": 1},
    ]
    refused = advised(window)[postgres_pool_advice.MODE].refused
    assert refused.startswith("sessions keep what transactions would not find again: shop: LISTEN")
    assert "SET search_path, which would hold for the next client, too (seen 9 times)" in refused
    assert "PREPARE" not in refused


def test_room_for_clients_before_they_are_refused() -> None:
    found = advised(stats(cl_active=410))[postgres_pool_advice.CLIENTS]
    assert (found.current, found.proposed) == ({"max_client_conn": 500}, {"max_client_conn": 650})


def test_without_pgbouncer_the_server_tells() -> None:
    window = stats()
    window["pgbouncer"] = None
    (demand,) = postgres_pools.demands(window)
    assert demand.busy == 2.0, "two sessions in transactions in each sample, more than the counters have yet"
    (size,) = postgres_pools.sizes([demand], postgres_pools.capacity(window, Bounds()))
    assert (size.size, demand.pool) == (3, 0)


def test_what_an_operator_should_know() -> None:
    window = stats()
    window["memory"] = 512 * 1024**2
    window["databases"][1][0]["sessions"] = 60
    told = " ".join(postgres_pools.alarms(window, [], Bounds(others=55)))
    assert "15.3 connections a second are opened" in told
    assert "max_connections 60 with work_mem 4 MiB can take 1,088 MiB of 512 MiB" in told
    assert "only 54 of max_connections 60 are free for others" in told


DATABASES = [
    {"name": "shop", "host": "db1", "users": 3},
    {"name": "stock", "host": "db1", "user": "stock", "pool_size": 5, "reserve_pool": 2},
    {"name": "log", "host": "db2", "port": 5433, "users": ["a", "b"], "max_db_connections": 15},
]


def test_the_most_that_pools_can_open() -> None:
    assert postgres_pools.worst_case(DATABASES, {"default_pool_size": 20}) == {"db1:5432": 67, "db2:5433": 15}
    with_lookup = postgres_pools.worst_case(DATABASES, {"default_pool_size": 20, "auth_user": "pgbouncer"})
    assert with_lookup == {"db1:5432": 69, "db2:5433": 15}
    assert postgres_pools.worst_case([{"name": "x"}], {"min_pool_size": 30}) == {"socket:5432": 30}


def test_verification_compares_what_clients_feel() -> None:
    found = advised(stats())[postgres_pool_advice.POOLS]

    def outcomes(window: dict[str, t.Any]) -> list[str]:
        return [check.outcome for check in postgres_pool_advice.checks(found, copy.deepcopy(window))]

    assert outcomes(stats()) == ["passed", "passed"]
    assert outcomes(stats(wait_us=866 * 9_000)) == ["failed", "failed"]
    assert outcomes(stats(busy_us=866 * 9_000)) == ["passed", "failed"]
    assert outcomes(stats(transactions=5)) == ["no_data"]
