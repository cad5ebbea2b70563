# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was promised against what came of it: realised savings at list price or from the bill."""

from __future__ import annotations

import dataclasses
import datetime
import tempfile
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus_read
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_import import expand
from ansible_collections.frugal.cloud.plugins.module_utils.cost.focus_write import FocusError, database
from ansible_collections.frugal.cloud.plugins.module_utils.ledger import Saving
from ansible_collections.frugal.cloud.plugins.module_utils.recommendation import HOURS_PER_MONTH

if t.TYPE_CHECKING:
    import duckdb

#: Days before a change whose mean daily cost is what it would have gone on costing.
DAYS_BEFORE = 14
#: Fewest whole days before and after a change for a comparison of bills.
MINIMUM_DAYS = 1
#: Bills of the last days are not complete yet.
DAYS_INCOMPLETE = 1

DailyCost = Mapping[tuple[str, datetime.date], float]


class CostDataError(ValueError):
    """Cost data cannot be used; one sentence."""


@dataclasses.dataclass(frozen=True, slots=True)
class Total:
    """Projected and realised money of one scope, in ``currency``; ``projected_monthly`` is of what still holds."""

    scope: str
    currency: str
    actions: int
    projected_monthly: float
    projected_to_date: float
    realised: float

    def to_dict(self) -> dict[str, t.Any]:
        """Plain data, money rounded to cents."""
        return {
            key: round(value, 2) if isinstance(value, float) else value
            for key, value in dataclasses.asdict(self).items()
        }


def months(start: datetime.datetime, end: datetime.datetime) -> Iterator[tuple[datetime.datetime, datetime.datetime]]:
    """The parts of [start, end) by calendar month (UTC)."""
    at = start
    while at < end:
        first = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        following = (first + datetime.timedelta(days=32)).replace(day=1)
        yield at, min(end, following)
        at = following


def at_list_price(projected: Iterable[Saving], now: datetime.datetime) -> list[Saving]:
    """Realised savings if every changed machine ran all the time since: whole hours x what an hour is cheaper.

    Only whole hours count, so that a second look within the hour finds nothing new.
    """
    now = now.replace(minute=0, second=0, microsecond=0)
    return [
        Saving(
            saving.action_id,
            "realised",
            start,
            end,
            round(saving.amount * (end - start).total_seconds() / 3600 / HOURS_PER_MONTH, 4),
            saving.currency,
            "list",
            "list price x hours since the change",
        )
        for saving in projected
        for start, end in months(saving.period_start, min(saving.period_end or now, now))
    ]


def from_bill(
    projected: Iterable[Saving], resources: Mapping[str, str], costs: DailyCost, now: datetime.datetime, source: str
) -> tuple[list[Saving], list[str]]:
    """Realised savings from what each resource really cost by day, and the ids of actions that the data is silent on.

    A day after the change saved the mean daily cost of the (up to 14) whole days before it,
    minus what the day cost. The day of the change and the last, incomplete day do not count.
    ``resources`` maps action ids to resource ids, ``costs`` (resource id, day) to currency.
    """
    realised: list[Saving] = []
    silent: list[str] = []
    last = (now - datetime.timedelta(days=DAYS_INCOMPLETE)).date()
    for saving in projected:
        resource = resources.get(saving.action_id, "")
        changed = saving.period_start.date()
        earlier = [changed - datetime.timedelta(days=back) for back in range(1, DAYS_BEFORE + 1)]
        before = [costs[resource, day] for day in earlier if (resource, day) in costs]
        until = min(last, saving.period_end.date() if saving.period_end else last)
        days = [changed + datetime.timedelta(days=ahead) for ahead in range(1, max(0, (until - changed).days) + 1)]
        after = [(day, costs[resource, day]) for day in days if (resource, day) in costs]
        if len(before) < MINIMUM_DAYS or len(after) < MINIMUM_DAYS:
            silent.append(saving.action_id)
            continue
        usual = sum(before) / len(before)
        by_month: dict[tuple[int, int], list[tuple[datetime.date, float]]] = {}
        for day, cost in after:
            by_month.setdefault((day.year, day.month), []).append((day, usual - cost))
        for part in by_month.values():
            realised.append(
                Saving(
                    saving.action_id,
                    "realised",
                    _midnight(part[0][0]),
                    _midnight(part[-1][0] + datetime.timedelta(days=1)),
                    round(sum(amount for _day, amount in part), 4),
                    saving.currency,
                    "bill",
                    source,
                )
            )
    return realised, silent


def _midnight(day: datetime.date) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time(), datetime.timezone.utc)


def read_focus(
    paths: Sequence[str], resources: Iterable[str], column: str = "EffectiveCost"
) -> dict[tuple[str, datetime.date], float]:
    """Daily cost of ``resources`` from FOCUS files: CSV, Parquet such as the dataset's, or lines of JSON.

    Usage rows only: purchases, taxes and credits belong to no machine. A resource is named
    by its id or by an ARN that ends with it.

    :raises CostDataError: a file cannot be read, or is not FOCUS.
    """
    kinds: dict[str, focus_read.Type] = {column.lower(): "DOUBLE", "chargeperiodstart": "TIMESTAMP"}
    costs: dict[tuple[str, datetime.date], float] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="frugal-focus-") as folder, database(Path(folder)) as connection:
            files = expand(paths)
            for table in focus_read.tables(connection, files, lambda name: kinds.get(name, "VARCHAR"), False):
                for (resource, day), cost in _daily(connection, table, sorted(set(resources)), column).items():
                    costs[resource, day] = costs.get((resource, day), 0.0) + cost
    except FocusError as error:
        raise CostDataError(str(error)) from error
    return costs


def _daily(
    connection: duckdb.DuckDBPyConnection, table: focus_read.Table, resources: Sequence[str], column: str
) -> dict[tuple[str, datetime.date], float]:
    missing = [name for name in ("ResourceId", "ChargePeriodStart", "ChargeCategory", column) if not table.has(name)]
    if missing:
        raise CostDataError(f"{table.files[0]} has no column {', '.join(sorted(missing))}: it is not FOCUS data")
    start, cost = table.get("ChargePeriodStart", "TIMESTAMP"), table.get(column, "DOUBLE")
    try:
        rows = connection.execute(
            f"SELECT regexp_extract({table.get('ResourceId')}, '[^/]*$') AS resource, CAST({start} AS DATE) AS day, "
            f"sum({cost}) FROM {table.sql} WHERE lower({table.get('ChargeCategory')}) = 'usage' AND {cost} IS NOT NULL "
            f"AND {start} IS NOT NULL AND list_contains(CAST(? AS VARCHAR[]), resource) GROUP BY ALL",
            [list(resources)],
        ).fetchall()
    except deps.duckdb.Error as error:
        raise CostDataError(f"{table.files[0]} cannot be read: {focus_read.first_line(error)}") from error
    count, broken = focus_read.rejected(connection, table)
    if count:
        raise CostDataError(f"{broken[0].sentence()}: it cannot be read as FOCUS data")
    return {(resource, day): cost for resource, day, cost in rows}


def totals(
    projected: Iterable[tuple[Saving, str]], realised: Iterable[tuple[Saving, str]], now: datetime.datetime
) -> list[Total]:
    """Projected and realised money of each scope; where an action has both bases, the bill counts."""
    scopes: dict[str, dict[str, t.Any]] = {}
    for saving, scope in projected:
        entry = scopes.setdefault(
            scope, {"currency": saving.currency, "ids": set(), "monthly": 0.0, "date": 0.0, "got": 0.0}
        )
        entry["ids"].add(saving.action_id)
        if saving.period_end is None or saving.period_end > now:
            entry["monthly"] += saving.amount
        hours = (min(saving.period_end or now, now) - saving.period_start).total_seconds() / 3600
        entry["date"] += saving.amount * max(0.0, hours) / HOURS_PER_MONTH
    listed = list(realised)
    billed = {saving.action_id for saving, _scope in listed if saving.basis == "bill"}
    for saving, scope in listed:
        if scope in scopes and (saving.basis == "bill" or saving.action_id not in billed):
            scopes[scope]["got"] += saving.amount
    return [
        Total(scope, entry["currency"], len(entry["ids"]), entry["monthly"], entry["date"], entry["got"])
        for scope, entry in sorted(scopes.items())
    ]
