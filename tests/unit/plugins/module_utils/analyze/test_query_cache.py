# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which results are worth keeping: the hit ratio against a simulation, the choice on real figures."""

from __future__ import annotations

import itertools
import random
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze import query_cache
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.query_cache import Limits, Statement
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import Recommendation, Resource, Scope


def simulated(calls: float, keys: int, writes: float, ttl: float, seconds: float = 2_000.0) -> float:
    """Hit ratio of a cache that keeps results for ``ttl`` and drops all at a write, by events one after the other."""
    chance = random.Random(7)
    weights = list(itertools.accumulate(rank**-query_cache.POPULARITY for rank in range(1, keys + 1)))
    made: dict[int, float] = {}
    now, hits, asked = 0.0, 0, 0
    write = chance.expovariate(writes) if writes else float("inf")
    while now < seconds:
        now += chance.expovariate(calls)
        while write < now:
            made.clear()
            write += chance.expovariate(writes)
        key = chance.choices(range(keys), cum_weights=weights)[0]
        asked += 1
        if now - made.get(key, float("-inf")) < ttl:
            hits += 1
        else:
            made[key] = now
    return hits / asked


@pytest.mark.parametrize(
    ("calls", "keys", "writes", "ttl"),
    [(20.0, 1, 0.0, 5), (20.0, 1, 2.0, 5), (40.0, 50, 0.1, 10), (40.0, 500, 0.0, 30), (5.0, 20, 0.5, 1)],
)
def test_the_hit_ratio_is_that_of_a_simulated_cache(calls: float, keys: int, writes: float, ttl: float) -> None:
    assert query_cache.hit_ratio(calls, keys, writes, ttl) == pytest.approx(
        simulated(calls, keys, writes, ttl), abs=0.02
    )


def test_many_keys_are_summed_in_steps_as_well_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = query_cache.hit_ratio(500.0, 20_000, 0.01, 10)
    monkeypatch.setattr(query_cache, "EXACT_KEYS", 20_000)
    assert steps == pytest.approx(query_cache.hit_ratio(500.0, 20_000, 0.01, 10), abs=0.001)


def test_writes_and_short_lives_cost_hits() -> None:
    ratios = [query_cache.hit_ratio(10.0, 5, writes, 10) for writes in (0.0, 0.1, 1.0, 10.0)]
    assert ratios == sorted(ratios, reverse=True)
    lives = [query_cache.hit_ratio(10.0, 5, 0.1, ttl) for ttl in (1, 5, 30)]
    assert lives == sorted(lives)


def statement(**given: t.Any) -> Statement:
    values: dict[str, t.Any] = {
        "id": "1",
        "user": "app",
        "query": "SELECT count(*) FROM products",
        "calls_per_second": 31.27,
        "seconds": 0.01304,
        "rows": 1.0,
        "tables": ("public.products",),
        "writes_per_second": 0.0,
        "keys": 1.0,
    }
    return Statement(**{**values, **given})


# Figures of the molecule scenario pgbouncer on a machine with two cores.
BUSY = statement()
WRITTEN = statement(id="2", query="SELECT * FROM stock", tables=("public.stock",), writes_per_second=400.0)
CHEAP = statement(id="3", query="SELECT 1 FROM brands", tables=("public.brands",), seconds=0.00015)
LOCKED = statement(id="4", refused="it locks rows (FOR UPDATE or FOR SHARE)")


def test_what_is_worth_it_is_chosen_and_the_rest_is_told_why() -> None:
    choice = query_cache.choose([BUSY, WRITTEN, CHEAP, LOCKED], Limits(staleness=5))
    assert [one.statement.id for one in choice.gains] == ["1"]
    assert choice.tables == ("public.products",)
    assert choice.ttl == 1, "97 % of a statement without constants come from the cache after one second already"
    assert choice.saved == pytest.approx(31.27 * (0.969 * 0.01304 - 0.0001), rel=0.01)
    left = {one.id: why for one, why in choice.left}
    assert left["4"] == "it locks rows (FOR UPDATE or FOR SHARE)"
    assert "the cache would answer 7% of it: 31.3 calls/s over 1 constants, 400.00 rows/s written" in left["2"]
    assert left["3"].startswith("it would save")


def test_a_longer_life_is_taken_where_it_pays() -> None:
    rare = statement(calls_per_second=0.5, seconds=0.8)
    assert query_cache.choose([rare], Limits(staleness=60)).ttl == 15
    assert query_cache.choose([rare], Limits(staleness=10)).ttl == 10


SCOPE = Scope.of_service("db1", "query_cache")
RESOURCE = Resource("db1:9999", "query_cache", "db1")


def advised(current: dict[str, t.Any]) -> Recommendation | None:
    limits = Limits(staleness=5)
    return query_cache.advise(query_cache.choose([BUSY, LOCKED], limits), current, RESOURCE, SCOPE, limits, 30.0)


def test_the_recommendation_holds_what_changes_together() -> None:
    found = advised({"tables": ["public.brands"], "ttl": 30, "memory_mb": 64})
    assert found
    assert found.proposed == {"tables": ["public.brands", "public.products"], "ttl": 1}
    assert found.current == {"tables": ["public.brands"], "ttl": 30}
    assert found.effort == "restart"
    assert found.reasons[0].startswith("1 statements over public.products would keep 0.39 connections less busy")
    assert Recommendation.from_dict(found.to_dict()) == found
    assert advised({"tables": ["public.products"], "ttl": 4, "memory_mb": 64}) is None


def test_verification_compares_counters() -> None:
    found = advised({"tables": [], "ttl": 30, "memory_mb": 64})
    assert found

    def outcome(hits: int, selects: int) -> str:
        return query_cache.checks(found, {"hits": 10, "selects": 5}, {"hits": 10 + hits, "selects": 5 + selects})[
            0
        ].outcome

    assert (outcome(95, 5), outcome(10, 90), outcome(3, 2), outcome(-10, 3)) == (
        "passed",
        "failed",
        "no_data",
        "no_data",
    )


def test_a_window_becomes_statements() -> None:
    facts = {
        **dict.fromkeys(("locks_rows", "modifies", "samples", "session_values"), False),
        "relations": [7],
        "functions": [65],
        "types": [23, 25],
        "select": True,
        "error": "",
    }
    row = {
        "id": "9",
        "user": "app",
        "query": "SELECT name\n FROM t WHERE id = $1",
        "calls": 900,
        "total_ms": 90.0,
        "rows": 900,
    }
    relation = {
        "schema": "public",
        "name": "t",
        "rows": 200.0,
        "writes_per_second": 0.5,
        "cascades_from": "u",
        "refusal": "",
    }
    stats = {
        "catalogues": {
            "shop": {
                "seconds": 10.0,
                "relations": {"7": relation},
                "functions": {},
                "statements": [
                    {**row, "new_calls": 300, "new_ms": 30.0, "facts": facts},
                    {**row, "id": "10", "new_calls": 0, "new_ms": 0.0, "facts": facts},
                ],
            }
        }
    }
    (found,) = query_cache.statements(stats, "shop", Limits())
    assert (found.query, found.tables) == ("SELECT name FROM t WHERE id = $1", ("public.t",))
    assert (found.calls_per_second, found.seconds, found.keys) == (30.0, pytest.approx(0.0001), 200.0)
    assert found.writes_per_second == 0.5
    assert found.refused == ""
    assert "cascade from u" in found.warnings[0]
    assert query_cache.statements(stats, "shop", Limits(keys=3))[0].keys == 3
