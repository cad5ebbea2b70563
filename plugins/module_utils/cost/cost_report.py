# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The monthly cost report: bills, costs by any dimension, what changed, commitments, tag coverage, chargeback.

Runs the expressions of ``queries.py`` where the data is and makes plain data of the answers. Money is in the billing
currency; currencies are never added. A month counts as complete when its last day has usage; only complete months are
compared, because half a month is cheaper than a whole one.
"""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import typing as t
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ansible_collections.frugal.cloud.plugins.module_utils import deps
from ansible_collections.frugal.cloud.plugins.module_utils.cost import focus, queries
from ansible_collections.frugal.cloud.plugins.module_utils.cost.allocation import (
    UNALLOCATED,
    Allocation,
    Charge,
    Rules,
    allocate,
    digits,
    units,
)
from ansible_collections.frugal.cloud.plugins.module_utils.cost.dataset import following
from ansible_collections.frugal.cloud.plugins.module_utils.cost.engine import CostsError, fetch, fetch_batches
from ansible_collections.frugal.cloud.plugins.module_utils.cost.identities import masked, masked_value

if t.TYPE_CHECKING:
    import ibis.expr.types as ir

_Dict: t.TypeAlias = "dict[str, t.Any]"
#: A billing month and a currency.
_Bill: t.TypeAlias = "tuple[datetime.date, str]"
#: Usage is complete when it is known until less than this before the month's end.
_LAST_DAY = datetime.timedelta(days=1)
_COSTS = {"EffectiveCost": "effective", "BilledCost": "billed", "ContractedCost": "contracted", "ListCost": "list"}
CHARGEBACK_COLUMNS = ("month", "currency", "owner", "component", "pool", "cost")


@dataclasses.dataclass(frozen=True)
class Question:
    """What the report shows.

    :param by: columns as ``queries.column`` takes them.
    :param limit: rows of each list by month; ``movers``: rows of that list.
    :param first: the first month; months before it only serve for comparison.
    :param identities: show account ids and addresses.
    """

    by: tuple[str, ...] = ("ServiceName",)
    metric: str = "EffectiveCost"
    filters: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    limit: int = 20
    movers: int = 10
    first: datetime.date | None = None
    tags: tuple[str, ...] = ()
    rules: Rules | None = None
    identities: bool = False


class Report:
    """Asks the table once for each part; parts that nobody reads cost nothing.

    :raises CostsError: from every method, when the engine cannot answer.
    :raises QueryError: a column is not there.
    """

    def __init__(self, table: ir.Table, question: Question) -> None:
        self.question = question
        #: The columns' names by those that the question gives them: a tag is called as it was asked for.
        self.names = {queries.column(table, name): _called(name, queries.column(table, name)) for name in question.by}
        self.keys = list(self.names)
        self._all = queries.restricted(table, question.filters)
        self._shown = self._all
        if question.first is not None:
            self._shown = self._all.filter(self._all.BillingPeriodStart >= deps.ibis.timestamp(f"{question.first}"))
        self._bills = {(row["period"], row["currency"]): row for row in fetch(queries.bill(self._all))}
        if not any(self._in(period) for period, _currency in self._bills):
            raise CostsError("there is no cost data of these months, sources and filters")

    def _in(self, period: datetime.date) -> bool:
        return self.question.first is None or period >= self.question.first

    def _complete(self, bill: _Bill) -> bool:
        row = self._bills[bill]
        return row["used_until"] is None or bool(row["period_end"] - row["used_until"] < _LAST_DAY)

    def _before(self, bill: _Bill) -> _Bill | None:
        """The month before, where both can be compared."""
        previous = ((bill[0] - _LAST_DAY).replace(day=1), bill[1])
        comparable = previous in self._bills and self._complete(bill) and self._complete(previous)
        return previous if comparable else None

    def _name(self, column: str, value: str | None) -> str | None:
        return value if value is None or self.question.identities else masked_value(column, value)

    def _keys(self, row: Mapping[str, t.Any], keys: Iterable[str] | None = None) -> _Dict:
        return {self.names.get(key, key): self._name(key, row[key]) for key in (self.keys if keys is None else keys)}

    def months(self) -> list[_Dict]:
        """Each month's bill by currency, with the change from the month before and the parts by ChargeCategory."""
        metric = self.question.metric
        parts: dict[_Bill, dict[str, float]] = {}
        for row in fetch(queries.monthly(self._shown, ["ChargeCategory"], metric)):
            bill = (row["period"], row["currency"])
            parts.setdefault(bill, {})[row["ChargeCategory"] or ""] = _money(row["cost"], row["currency"])
        told = []
        for bill, row in sorted(self._bills.items()):
            if not self._in(bill[0]):
                continue
            before = self._before(bill)
            previous = _number(self._bills[before][metric]) if before else None
            told.append(
                {
                    **_bill(bill),
                    **_change(_number(row[metric]), previous, digits(bill[1])),
                    **{name: _money(row[column], bill[1]) for column, name in _COSTS.items()},
                    "categories": parts.get(bill, {}),
                    "rows": row["rows"],
                    "complete": self._complete(bill),
                    "used_until": row["used_until"].date().isoformat() if row["used_until"] else None,
                }
            )
        return told

    def _row(self, row: Mapping[str, t.Any]) -> _Dict:
        bill = (row["period"], row["currency"])
        previous = None
        if self._before(bill):
            # The month before had none of it: it cost nothing.
            previous = _number(row["previous"])
        total = _number(self._bills[bill][self.question.metric])
        cost = _number(row["cost"])
        share = round(cost / total, 6) if total > 0 else None
        return {**_bill(bill), **self._keys(row), **_change(cost, previous, 6), "share": share}

    def _compared(self) -> ir.Table:
        compared = queries.compared(self._all, self.keys, self.question.metric)
        if self.question.first is not None:
            compared = compared.filter(compared.period >= deps.ibis.date(f"{self.question.first}"))
        return compared

    def costs(self) -> list[_Dict]:
        """The dearest combinations of each month, newest month first."""
        compared = self._compared()
        first = compared.filter(compared.place <= self.question.limit)
        order = [deps.ibis.desc("period"), "currency", "place"]
        return [self._row(row) for row in fetch(first.order_by(order))]

    def omitted(self, costs: Sequence[Mapping[str, t.Any]]) -> list[_Dict]:
        """What :meth:`costs` left out, so that both add up to the bill."""
        shown: dict[tuple[str, str], float] = {}
        for row in costs:
            bill = (row["month"], row["currency"])
            shown[bill] = shown.get(bill, 0.0) + row["cost"]
        compared = self._compared()
        counts = compared.group_by(["period", "currency"]).aggregate(combinations=compared.count())
        told = []
        for row in fetch(counts.order_by([deps.ibis.desc("period"), "currency"])):
            bill = (row["period"], row["currency"])
            more = row["combinations"] - self.question.limit
            if more > 0:
                rest = _number(self._bills[bill][self.question.metric]) - shown[f"{bill[0]:%Y-%m}", bill[1]]
                told.append({**_bill(bill), "combinations": more, "cost": round(rest, 6)})
        return told

    def lines(self) -> Iterator[_Dict]:
        """Every combination of every month, oldest month first, dearest first; some at a time."""
        ordered = self._compared().order_by(["period", "currency", "place"])
        for row in itertools.chain.from_iterable(fetch_batches(ordered)):
            yield self._row(row)

    def movers(self) -> _Dict | None:
        """What changed most between the last two complete months; None where there are no two that follow."""
        months = sorted({bill[0] for bill in self._bills if self._in(bill[0]) and self._before(bill)})
        if not months:
            return None
        current, previous = months[-1], (months[-1] - _LAST_DAY).replace(day=1)
        comparable = [
            currency for period, currency in self._bills if period == current and self._before((period, currency))
        ]
        table = queries.restricted(self._all, {"BillingCurrency": comparable})
        rows = fetch(queries.movers(table, self.keys, current, previous, self.question.metric, self.question.movers))
        return {
            "month": f"{current:%Y-%m}",
            "previous_month": f"{previous:%Y-%m}",
            "rows": [
                {
                    "currency": row["currency"],
                    **self._keys(row),
                    **_change(_number(row["cost"]), _number(row["previous"]), 6),
                }
                for row in rows
            ],
        }

    def commitments(self) -> list[_Dict]:
        """What each commitment brought: used, wasted, saved against the list price."""
        told = []
        for row in fetch(queries.commitment_use(self._shown)):
            held = row["used"] + row["unused"]
            told.append(
                {
                    **_bill((row["period"], row["currency"])),
                    "id": self._name("CommitmentDiscountId", row["CommitmentDiscountId"]),
                    "name": self._name("CommitmentDiscountName", row["name"]),
                    "type": row["CommitmentDiscountType"],
                    "category": row["CommitmentDiscountCategory"],
                    "used": round(row["used"], 6),
                    "wasted": round(row["unused"], 6),
                    "utilization": round(row["used"] / held, 6) if held > 0 else None,
                    "purchased": round(row["purchased"], 6),
                    "saved": round(row["list_cost"] - held, 6),
                    "unit": row["unit"],
                    "used_quantity": round(row["used_quantity"], 6),
                    "wasted_quantity": round(row["unused_quantity"], 6),
                }
            )
        return sorted(told, key=lambda row: (row["month"], row["currency"], -row["wasted"], row["id"]))

    def coverage(self) -> list[_Dict]:
        """How much of the cost that can be tagged is tagged, for each tag that the question names."""
        if not self.question.tags:
            return []
        tags = queries.columns(self._shown, self.question.tags)
        return [
            {
                **_bill((row["period"], row["currency"])),
                "tag": tag.removeprefix(focus.TAG),
                "cost": _money(row["cost"], row["currency"]),
                "tagged": _money(row[tag], row["currency"]),
                "coverage": round(row[tag] / row["cost"], 6) if _number(row["cost"]) > 0 else None,
            }
            for row in sorted(
                fetch(queries.coverage_by_tag(self._shown, tags, self.question.metric)),
                key=lambda row: (row["period"], row["currency"]),
            )
            for tag in tags
        ]

    def allocations(self) -> dict[_Bill, Allocation]:
        """Each month's bill, allocated by the question's rules."""
        rules, metric = self.question.rules, self.question.metric
        if rules is None:
            return {}
        resources: dict[_Bill, dict[str, list[Charge]]] = {}
        for row in fetch(queries.resource_charges(self._shown, rules, metric)):
            charge = Charge({column: row[column] for column in rules.columns}, _number(row["cost"]))
            found = resources.setdefault((row["period"], row["currency"]), {})
            found.setdefault(row["resource"], []).append(charge)
        charges: dict[_Bill, list[Charge]] = {}
        for batch in fetch_batches(queries.charges(self._shown, rules, metric)):
            for row in batch:
                values = {column: row[column] for column in rules.columns}
                charge = Charge(values, _number(row["cost"]), row["resource"])
                charges.setdefault((row["period"], row["currency"]), []).append(charge)
        return {
            bill: allocate(rules, listed, bill[1], resources.get(bill, {}), self._total(bill))
            for bill, listed in sorted(charges.items())
        }

    def _total(self, bill: _Bill) -> int:
        return units(_number(self._bills[bill][self.question.metric]), digits(bill[1]))

    def chargeback(self, allocations: Mapping[_Bill, Allocation]) -> _Dict:
        """Owners and what they pay, what nobody owns and why, and what pools held."""
        told: _Dict = {"owners": [], "unallocated": [], "pools": [], "bills": []}
        for bill, allocation in allocations.items():
            places = digits(bill[1])
            owners: dict[str, _Dict] = {}
            for line in allocation.lines:
                owner = owners.setdefault(
                    line.owner, {"direct": 0, "inherited": 0, "following": 0, "unallocated": 0, "shared": {}}
                )
                if line.component == "shared":
                    owner["shared"][line.pool] = _amount(line.cost, places)
                else:
                    owner[line.component] += line.cost
                owner["cost"] = owner.get("cost", 0) + line.cost
            for name, owner in sorted(owners.items(), key=lambda item: (-item[1]["cost"], item[0])):
                parts = {key: _amount(value, places) for key, value in owner.items() if key != "shared"}
                unowned = parts.pop("unallocated")
                shown = {**_bill(bill), "cost": parts.pop("cost")}
                if name != UNALLOCATED:
                    told["owners"].append({**shown, "owner": self._owner(name), **parts, "shared": owner["shared"]})
                    continue
                causes = [
                    {**self._keys(values, values), "cost": round(cost, 6)}
                    for values, cost in allocation.causes[: self.question.limit]
                ]
                share = round(owner["cost"] / allocation.bill, 6) if allocation.bill > 0 else None
                told["unallocated"].append({**shown, "cost": unowned, "share": share, "causes": causes})
            for pool in allocation.pools:
                told["pools"].append(
                    {
                        **_bill(bill),
                        "pool": pool.name,
                        "own": round(pool.own, 6),
                        "received": round(pool.received, 6),
                        "split": {self._owner(name): round(cost, 6) for name, cost in pool.split.items()},
                    }
                )
            expected = self._total(bill)
            allocated = sum(line.cost for line in allocation.lines)
            told["bills"].append(
                {
                    **_bill(bill),
                    "bill": _amount(expected, places),
                    "allocated": _amount(allocated, places),
                    "adds_up": expected == allocated,
                }
            )
        return told

    def _owner(self, name: str) -> str:
        return name if self.question.identities else masked(name)

    def chargeback_lines(self, allocations: Mapping[_Bill, Allocation]) -> Iterator[_Dict]:
        """Every part that an owner pays, in :data:`CHARGEBACK_COLUMNS`; nobody's owner is an empty text."""
        for bill, allocation in allocations.items():
            for line in allocation.lines:
                cost = _amount(line.cost, digits(bill[1]))
                yield {
                    **_bill(bill),
                    "owner": self._owner(line.owner),
                    "component": line.component,
                    "pool": line.pool,
                    "cost": cost,
                }


def _called(asked: str, column: str) -> str:
    return asked if asked.lower().startswith("tag:") else column


def month_after(month: datetime.date | None) -> datetime.date | None:
    """The first day after an inclusive last month."""
    return following(month) if month else None


def month_before(month: datetime.date | None) -> datetime.date | None:
    """The month that a first month is compared with."""
    return (month - _LAST_DAY).replace(day=1) if month else None


def _bill(bill: _Bill) -> _Dict:
    return {"month": f"{bill[0]:%Y-%m}", "currency": bill[1]}


def _number(value: t.Any) -> float:
    return float(value or 0.0)


def _money(value: t.Any, currency: str) -> float:
    return _amount(units(_number(value), digits(currency)), digits(currency))


def _amount(whole: int, places: int) -> float:
    return round(whole / float(10**places), places)


def _change(cost: float, previous: float | None, places: int) -> _Dict:
    """``change`` is a difference, ``change_percent`` of the month before; null where there is nothing to compare."""
    told: _Dict = {"cost": round(cost, places), "previous": None, "change": None, "change_percent": None}
    if previous is not None:
        told["previous"] = round(previous, places)
        told["change"] = round(cost - previous, places)
        if previous > 0:
            told["change_percent"] = round((cost - previous) / previous * 100, 2)
    return told
