# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements a cache of results may keep, and what that would save.

Safety is decided by what PostgreSQL's own parser and catalogue say about a statement, never by its text. The gain
follows from a renewal argument: a kept result lives until its time is over or a write drops it, whatever is first.
With writes as a Poisson process of rate w and a lifetime T it lives E = (1 - exp(-w T)) / w on average (T without
writes), a key that is asked for at rate r is answered r E times from the cache for each time it is computed, and its
hit ratio is r E / (1 + r E) (as in Fofack, Nain, Neglia, Towsley, Performance evaluation of hierarchical TTL-based
cache networks, Computer Networks 65, 2014, for Poisson requests).
"""

from __future__ import annotations

import dataclasses
import math
import typing as t
from collections.abc import Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils.analyze.verification import Check
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import (
    Monthly,
    Recommendation,
    Resource,
    Risk,
    Scope,
)

TABLES = "query_cache_tables"
KINDS = (TABLES,)
#: Exponent of the popularity of keys: .64 to .83 on the Web (Breslau et al., INFOCOM 1999); low is cautious.
POPULARITY = 0.64
#: Most keys whose popularity is summed one by one; more are summed in steps.
EXACT_KEYS = 2_000
#: Time that an answer from the cache takes (seconds): a connection's process, a hash, shared memory.
ANSWER_SECONDS = 0.0001
#: Lifetimes that are tried (seconds).
LIFETIMES = (1, 2, 3, 5, 10, 15, 30, 60, 120, 300)
#: A shorter lifetime that has this share of the best one's gain is preferred.
ENOUGH = 0.9
#: types whose text depends on the session's time zone: pgpool-II does not keep them
ZONED_TYPES = (1184, 1266)
#: bytes of one kept result beside its rows, and of a row: for an estimate of memory
RESULT_BYTES, ROW_BYTES = 200, 120

Stats: t.TypeAlias = "Mapping[str, t.Any]"


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What the operator says.

    ``staleness``: seconds for which a write elsewhere may stay unseen. ``least_gain``: busy connections (seconds a
    second) that a statement must save. ``least_ratio``: hits that it must have. ``keys``: how many different
    constants a statement is asked with, 0 for as many as its largest table has rows.
    """

    staleness: int = 10
    least_gain: float = 0.005
    least_ratio: float = 0.3
    keys: int = 0
    memory_mb: int = 64


@dataclasses.dataclass(frozen=True, slots=True)
class Statement:
    """One statement with its rates, and why its result must not be kept, empty when it may."""

    id: str
    user: str
    query: str
    calls_per_second: float
    seconds: float
    rows: float
    tables: tuple[str, ...]
    writes_per_second: float
    keys: float
    refused: str = ""
    warnings: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Gain:
    """What keeping a statement's results for ``ttl`` seconds would do."""

    statement: Statement
    ttl: int
    #: share of calls that are answered from the cache
    ratio: float
    #: connections that would be busy no more (seconds a second)
    saved: float

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data for results and evidence."""
        one = self.statement
        return {
            "id": one.id,
            "user": one.user,
            "query": one.query[:200],
            "tables": list(one.tables),
            "calls_per_second": round(one.calls_per_second, 2),
            "mean_ms": round(one.seconds * 1000, 3),
            "writes_per_second": round(one.writes_per_second, 3),
            "keys": round(one.keys),
            "hit_ratio": round(self.ratio, 3),
            "saved_seconds_per_second": round(self.saved, 4),
        }


# --- Safety


def refusal(statement: Stats, relations: Mapping[str, Stats], functions: Mapping[str, Stats]) -> str:
    """Why the result of a statement must not be kept, as one sentence; empty when it may."""
    facts = statement["facts"]
    if facts["error"]:
        return f"it cannot be parsed here ({facts['error']})"
    if facts["modifies"] or not facts["select"]:
        return "it writes"
    if facts["locks_rows"]:
        return "it locks rows (FOR UPDATE or FOR SHARE)"
    if facts["samples"]:
        return "it takes a random sample (TABLESAMPLE)"
    if facts["session_values"]:
        return "it uses the time, the user or another value of the session"
    for oid in facts["functions"]:
        found = functions.get(str(oid))
        if found:
            kind = "volatile" if found["volatility"] == "v" else "stable, not immutable"
            return f"{found['name'].replace('pg_catalog.', '')}() is {kind}: the same text can have another result"
    if set(facts["types"]) & set(ZONED_TYPES):
        return "it has timestamps with time zone, whose text depends on the session"
    if not facts["relations"]:
        return "it reads no table: no write would drop its result"
    for oid in facts["relations"]:
        row = relations.get(str(oid))
        if row is None:
            return "it reads a table that is gone"
        if row["refusal"]:
            return f"{row['schema']}.{row['name']} {row['refusal']}"
    return ""


def statements(stats: Stats, database: str, limits: Limits) -> list[Statement]:
    """The statements of a database with their rates in the window."""
    catalogue = stats["catalogues"][database]
    span = catalogue["seconds"] or 1.0
    found = []
    for row in catalogue["statements"]:
        calls = row["new_calls"]
        if calls <= 0:
            continue
        facts = row["facts"]
        used = [catalogue["relations"][str(oid)] for oid in facts["relations"] if str(oid) in catalogue["relations"]]
        # A statement without constants has one text; with them, no more than its tables have rows.
        most = max((one["rows"] for one in used), default=1.0)
        keys = 1.0 if "$1" not in row["query"] else float(limits.keys or max(1.0, most))
        cascades = sorted({one["cascades_from"] for one in used if one["cascades_from"]})
        found.append(
            Statement(
                id=row["id"],
                user=row["user"],
                query=" ".join(row["query"].split()),
                calls_per_second=calls / span,
                seconds=row["new_ms"] / 1000 / calls,
                rows=row["rows"] / max(1, row["calls"]),
                tables=tuple(sorted({f"{one['schema']}.{one['name']}" for one in used})),
                writes_per_second=sum(one["writes_per_second"] for one in used),
                keys=min(keys, max(1.0, calls * 10.0)) if not limits.keys else keys,
                refused=refusal(row, catalogue["relations"], catalogue["functions"]),
                warnings=tuple(
                    f"rows may change by a cascade from {tables}, which is seen after the lifetime only"
                    for tables in cascades
                ),
            )
        )
    return found


# --- Gain


def lifetime(ttl: float, writes: float) -> float:
    """Mean seconds that a kept result lives, at ``writes`` a second."""
    return (1 - math.exp(-writes * ttl)) / writes if writes > 0 else ttl


def hit_ratio(calls: float, keys: float, writes: float, ttl: float, popularity: float = POPULARITY) -> float:
    """Share of ``calls`` a second over ``keys`` that a cache answers; the k-th key is asked for in proportion to
    1 / k ** popularity. Keys past :data:`EXACT_KEYS` are summed in steps of growing width."""
    lives = lifetime(ttl, writes)
    count = max(1, round(keys))
    groups = _groups(count)
    weights = [(size, middle**-popularity) for size, middle in groups]
    total = sum(size * weight for size, weight in weights)
    hits = 0.0
    for size, weight in weights:
        rate = calls * weight / total
        hits += size * rate * (rate * lives / (1 + rate * lives))
    return hits / calls if calls > 0 else 0.0


def _groups(count: int) -> list[tuple[float, float]]:
    """(how many keys, rank of their middle), exact to begin with, then in steps of 5 %."""
    groups = [(1.0, float(rank)) for rank in range(1, min(count, EXACT_KEYS) + 1)]
    low = float(len(groups))
    while low < count:
        high = min(float(count), low * 1.05 + 1)
        groups.append((high - low, (low + high) / 2 + 0.5))
        low = high
    return groups


def gain(statement: Statement, ttl: int) -> Gain:
    """What keeping its results for ``ttl`` seconds would save."""
    ratio = hit_ratio(statement.calls_per_second, statement.keys, statement.writes_per_second, ttl)
    # Hit or miss, each call passes through the cache and costs what that takes.
    saved = statement.calls_per_second * (ratio * statement.seconds - ANSWER_SECONDS)
    return Gain(statement, ttl, ratio, saved)


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """What to keep, for how long, and what speaks against the rest."""

    ttl: int
    gains: tuple[Gain, ...]
    left: tuple[tuple[Statement, str], ...]

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables to declare."""
        return tuple(sorted({table for one in self.gains for table in one.statement.tables}))

    @property
    def saved(self) -> float:
        """Connections that would be busy no more."""
        return sum(one.saved for one in self.gains)


def choose(found: Sequence[Statement], limits: Limits) -> Choice:
    """The statements worth keeping, with the shortest lifetime that has nearly all of the gain."""
    safe = [one for one in found if not one.refused]
    ttls = [ttl for ttl in LIFETIMES if ttl <= limits.staleness] or [limits.staleness]
    totals = {ttl: sum(one.saved for one in (gain(item, ttl) for item in safe) if _worth(one, limits)) for ttl in ttls}
    best = max(totals.values(), default=0.0)
    ttl = next((one for one in ttls if totals[one] >= ENOUGH * best), ttls[-1])
    gains = [gain(item, ttl) for item in safe]
    kept = tuple(sorted((one for one in gains if _worth(one, limits)), key=lambda one: -one.saved))
    left = [(one, one.refused) for one in found if one.refused]
    for one in gains:
        if not _worth(one, limits):
            left.append((one.statement, _not_worth(one, limits)))
    return Choice(ttl, kept, tuple(left))


def _worth(one: Gain, limits: Limits) -> bool:
    return one.saved >= limits.least_gain and one.ratio >= limits.least_ratio


def _not_worth(one: Gain, limits: Limits) -> str:
    if one.ratio < limits.least_ratio:
        asked = one.statement
        return (
            f"the cache would answer {one.ratio:.0%} of it: {asked.calls_per_second:.1f} calls/s over "
            f"{asked.keys:.0f} constants, {asked.writes_per_second:.2f} rows/s written"
        )
    return f"it would save {one.saved:.4f} busy connections, less than {limits.least_gain:g}"


def memory_mb(choice: Choice) -> int:
    """MiB that the results need, all keys of all statements that can be alive at once."""
    total = 0.0
    for one in choice.gains:
        statement = one.statement
        alive = min(statement.keys, statement.calls_per_second * one.ttl)
        total += alive * (RESULT_BYTES + statement.rows * ROW_BYTES)
    return max(8, math.ceil(total * 1.5 / 1024**2))


# --- Recommendation and checks


def advise(
    choice: Choice, current: Mapping[str, t.Any], resource: Resource, scope: Scope, limits: Limits, span: float
) -> Recommendation | None:
    """One recommendation for the cache: tables, lifetime and memory belong together."""
    if not choice.gains:
        return None
    tables = sorted(set(current["tables"] or []) | set(choice.tables))
    need = memory_mb(choice)
    proposed: dict[str, t.Any] = {"tables": tables, "ttl": choice.ttl}
    if current["ttl"] and current["ttl"] <= limits.staleness and set(tables) == set(current["tables"]):
        proposed["ttl"] = current["ttl"]
    if current["memory_mb"] and need > current["memory_mb"]:
        proposed["memory_mb"] = min(need, limits.memory_mb)
    changed = {name: value for name, value in proposed.items() if value != current[name]}
    if not changed:
        return None
    written = any(one.statement.writes_per_second > 0 for one in choice.gains)
    warnings = {text for one in choice.gains for text in one.statement.warnings}
    return Recommendation(
        action=TABLES,
        provider="host",
        scope=scope,
        resource=resource,
        current={name: current[name] for name in changed},
        proposed=changed,
        monthly=Monthly(0.0, 0.0, 0.0),
        finding="misconfigured",
        reasons=_reasons(choice, limits),
        binding_constraint="writes" if written else "staleness",
        risk=Risk.of({"staleness": 2}),
        effort="online" if set(changed) == {"tables"} else "restart",
        evidence={
            "measured": {"hit_ratio": 0.0},
            "predicted": {"hit_ratio": round(_ratio(choice), 3), "saved_seconds_per_second": round(choice.saved, 4)},
            "statements": [one.to_dict() for one in choice.gains[:20]],
            "window_seconds": round(span, 1),
        },
        warnings=(
            f"a write that does not pass through the cache stays unseen for up to {choice.ttl} s",
            *sorted(warnings),
        ),
    )


def _reasons(choice: Choice, limits: Limits) -> tuple[str, ...]:
    first = choice.gains[0]
    answers = sum(one.ratio * one.statement.calls_per_second for one in choice.gains)
    what = f"{len(choice.gains)} statements over {', '.join(choice.tables)}"
    calls = f"{first.statement.calls_per_second:.1f} calls/s of {first.statement.seconds * 1000:.2f} ms"
    return (
        f"{what} would keep {choice.saved:.2f} connections less busy, with {answers:.1f} answers/s from the cache",
        f"the most by {first.statement.query[:120]!r}: {calls}, {first.ratio:.0%} from the cache",
        f"results live {choice.ttl} s at most: up to {limits.staleness} s would add less than {1 - ENOUGH:.0%}",
    )


def _ratio(choice: Choice) -> float:
    calls = sum(one.statement.calls_per_second for one in choice.gains)
    return sum(one.ratio * one.statement.calls_per_second for one in choice.gains) / calls if calls else 0.0


#: Answers from the cache below this share of what was predicted fail a verification.
SHARE_OF_PREDICTED = 0.5
LEAST_SELECTS = 50


def checks(recommendation: Recommendation, before: Stats, after: Stats) -> list[Check]:
    """Whether the cache answers as predicted, from its counters at two moments."""
    hits, selects = after["hits"] - before["hits"], after["selects"] - before["selects"]
    asked = hits + selects
    if hits < 0 or selects < 0 or asked < LEAST_SELECTS:
        few = f"{max(asked, 0)} statements passed the cache, {LEAST_SELECTS} are needed"
        return [Check("hit_ratio", "no_data", few)]
    ratio, predicted = hits / asked, recommendation.evidence["predicted"]["hit_ratio"]
    outcome: t.Literal["passed", "failed"] = "passed" if ratio >= SHARE_OF_PREDICTED * predicted else "failed"
    told = f"{ratio:.3f} of {asked} statements from the cache, {predicted:.3f} predicted for those kept"
    return [Check("hit_ratio", outcome, told)]
