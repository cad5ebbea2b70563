# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Chargeback: who pays for which part of a month's bill. Pure arithmetic on exact fractions.

A cost goes to the owner that its tag names, else to the one that it inherits (from its account, a cost category),
else to a shared pool, else it stays unallocated, which is always shown. Credits and tax go where the costs go that
they belong to. Pools are split as AWS Cost Categories split charges (API reference, CostCategorySplitChargeRule):
by fixed percentages, in proportion to the targets' own costs, or evenly. A pool may pass its costs to another pool:
what every pool holds then follows from linear equations (the reciprocal method of cost accounting), solved once.

Amounts are rounded to the currency's smallest unit by largest remainders, so that they add up to the bill.
"""

from __future__ import annotations

import dataclasses
import math
import typing as t
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

#: The owner of what no rule gives to anybody.
UNALLOCATED = ""
#: ChargeCategory of rows that belong to other rows.
FOLLOWING = ("Tax", "Credit", "Adjustment")
METHODS = ("proportional", "even", "fixed")
#: ISO 4217: currencies whose smallest unit is not a hundredth.
_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV"), 0),
    **dict.fromkeys(("XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
#: Sums of floating point numbers differ in their last digits from engine to engine: nine decimals are kept.
_SCALE = 10**9
_BASE_COLUMNS = ("BillingAccountId", "SubAccountId", "ServiceName")

Values: t.TypeAlias = "Mapping[str, str | None]"


class RulesError(ValueError):
    """One sentence: which rule cannot be, and what would be right."""


@dataclasses.dataclass(frozen=True)
class Inherited:
    """A column that names the owner of costs without a tag, itself or through ``owners``."""

    column: str
    owners: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def owner(self, values: Values) -> str:
        """The owner, or nothing where the column is empty or none of ``owners``."""
        value = values.get(self.column) or ""
        return self.owners.get(value, "") if self.owners else value


@dataclasses.dataclass(frozen=True)
class Pool:
    """Shared costs and how they are split.

    :param owners: what tags and inheritance give to these owners belongs to the pool.
    :param match: allowed values by column: what has no owner and matches all of them belongs to the pool.
    :param take_owned: what matches belongs to the pool although it has an owner.
    :param targets: owners, or other pools; empty: every owner that has costs of its own in the month.
    :param percentages: of each target, for method ``fixed``.
    """

    name: str
    owners: tuple[str, ...] = ()
    match: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    take_owned: bool = False
    method: str = "proportional"
    targets: tuple[str, ...] = ()
    percentages: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def takes(self, values: Values) -> bool:
        """Whether it takes a row of these values that has no owner."""
        return bool(self.match) and all(values.get(column) in allowed for column, allowed in self.match.items())


@dataclasses.dataclass(frozen=True)
class Rules:
    """``tags`` are the columns of the tags that name an owner; the first that is set counts."""

    tags: tuple[str, ...]
    inherited: tuple[Inherited, ...] = ()
    pools: tuple[Pool, ...] = ()

    def __post_init__(self) -> None:
        names = [pool.name for pool in self.pools]
        for name in names:
            if not name or names.count(name) > 1:
                raise RulesError(f"the shared pool {name!r} needs a name of its own")
        sources: dict[str, str] = {}
        for pool in self.pools:
            _check(pool, set(names))
            for owner in pool.owners:
                if owner in sources:
                    raise RulesError(f"the costs of {owner} belong to {sources[owner]} or to {pool.name}, not to both")
                sources[owner] = pool.name
        for pool in self.pools:
            for target in pool.targets:
                if target in sources and target not in names:
                    raise RulesError(
                        f"{pool.name} is split to {target}, whose costs are the pool {sources[target]}: "
                        f"name that pool as the target"
                    )

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the rules look at, and those that tell what a credit or tax belongs to."""
        found = [*self.tags, *(rule.column for rule in self.inherited), *_BASE_COLUMNS, "ChargeCategory"]
        found += [column for pool in self.pools for column in pool.match]
        return tuple(dict.fromkeys(found))


def _check(pool: Pool, names: set[str]) -> None:
    if not pool.owners and not pool.match:
        raise RulesError(f"the shared pool {pool.name} holds nothing: give it owners or match")
    if pool.method not in METHODS:
        raise RulesError(f"the method of {pool.name} is {pool.method!r}: use {', '.join(METHODS)}")
    if pool.name in pool.targets or set(pool.owners) & (set(pool.targets) - names):
        raise RulesError(f"the shared pool {pool.name} is split to itself: leave it out of its targets")
    if pool.method != "fixed":
        if pool.percentages:
            raise RulesError(f"{pool.name} has percentages and the method {pool.method}: percentages need fixed")
        return
    if set(pool.percentages) != set(pool.targets) or not pool.targets:
        raise RulesError(f"{pool.name} is split by fixed percentages: give one for each of its targets")
    total = sum((Fraction(str(share)) for share in pool.percentages.values()), Fraction(0))
    if total != 100 or min(pool.percentages.values()) < 0:
        raise RulesError(f"the percentages of {pool.name} add up to {float(total):g}: give parts of 100, none below 0")


@dataclasses.dataclass(frozen=True)
class Charge:
    """Costs of one month and currency that share the values of :attr:`Rules.columns`.

    :param amount: in the billing currency.
    :param resource: of a credit or tax without an owner's tag.
    """

    values: Values
    amount: float
    resource: str | None = None


@dataclasses.dataclass(frozen=True)
class Line:
    """One part of what an owner pays; ``cost`` in the smallest units of the currency.

    :param component: ``direct`` by tag, ``inherited``, ``following`` (credits and tax), ``shared`` from ``pool``,
        ``unallocated``.
    """

    owner: str
    component: str
    pool: str
    cost: int


@dataclasses.dataclass(frozen=True)
class PoolCost:
    """What a pool held, with what other pools passed to it, and who got how much; before rounding."""

    name: str
    own: float
    received: float
    split: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Allocation:
    """A month's bill, allocated. ``bill`` and the lines' sum are equal, in the currency's smallest units.

    :param causes: what is unallocated, by the values of account and service, greatest first; not rounded.
    """

    bill: int
    lines: tuple[Line, ...]
    pools: tuple[PoolCost, ...]
    causes: tuple[tuple[Values, float], ...]


def digits(currency: str) -> int:
    """Decimals of the currency's smallest unit (ISO 4217)."""
    return _DIGITS.get(currency.upper(), 2)


def exact(amount: float) -> int:
    """The amount in :data:`_SCALE`-ths, without the noise of floating point sums."""
    if not math.isfinite(amount):
        raise RulesError(f"a cost is {amount}: the data holds a value that is no number")
    return round(amount * _SCALE)


def units(amount: float, decimals: int) -> int:
    """The amount in the currency's smallest units; a half goes to the even one."""
    return round(Fraction(exact(amount) * 10**decimals, _SCALE))


K = t.TypeVar("K")
N = t.TypeVar("N", int, Fraction)


def rounded(amounts: Mapping[K, Fraction], decimals: int, bill: int | None = None) -> dict[K, int]:
    """The amounts in smallest units by largest remainders: their sum is the rounded sum of the exact amounts.

    None differs by a whole unit from the exact amount, and zero stays zero.

    :param bill: the sum as another query gives it: it decides where the exact sum is half a unit, give or take noise.
    """
    scaled = {key: amount * 10**decimals for key, amount in amounts.items()}
    whole = {key: math.floor(amount) for key, amount in scaled.items()}
    total = sum(scaled.values(), Fraction(0))
    if bill is None or abs(total - bill) > Fraction(501, 1000):
        bill = round(total)
    missing = bill - sum(whole.values())
    for key in sorted(scaled, key=lambda key: (whole[key] - scaled[key], -abs(scaled[key]), str(key)))[:missing]:
        whole[key] += 1
    return whole


def apportioned(amount: int, weights: Mapping[K, int]) -> dict[K, int]:
    """A whole number in whole parts that are as the weights are, none of which is below zero."""
    total = sum(weights.values())
    parts = {key: amount * weight // total for key, weight in weights.items()}
    rest = amount - sum(parts.values())
    for key in sorted(weights, key=lambda key: (-(amount * weights[key] % total), str(key)))[:rest]:
        parts[key] += 1
    return parts


#: Where a cost goes: ("owner", name, component), ("pool", name, "") or :data:`_NOWHERE`.
_Place: t.TypeAlias = "tuple[str, str, str]"
_NOWHERE: _Place = ("owner", UNALLOCATED, "unallocated")
_Key: t.TypeAlias = "tuple[str | None, ...]"


def allocate(
    rules: Rules,
    charges: Iterable[Charge],
    currency: str,
    resources: Mapping[str, Sequence[Charge]] | None = None,
    bill: int | None = None,
) -> Allocation:
    """Allocate the charges of one month.

    :param resources: the charges of the resources that credits and tax name.
    :param bill: what they add up to, in smallest units, as :func:`rounded` takes it.
    """
    places: dict[_Place, int] = {}
    causes: dict[_Key, int] = {}
    bases: dict[_Key, dict[_Place, int]] = {}
    following = []
    for charge in charges:
        if charge.values.get("ChargeCategory") in FOLLOWING:
            following.append(charge)
            continue
        place, amount = _place(rules, charge.values), exact(charge.amount)
        _add(places, place, amount)
        for depth in (3, 2, 1):
            _add(bases.setdefault(_key(charge.values, depth), {}), place, amount)
        if place == _NOWHERE:
            _add(causes, _key(charge.values), amount)
    for charge in following:
        for place, amount in _follow(rules, charge, bases, resources or {}).items():
            _add(places, place, amount)
            if place == _NOWHERE:
                _add(causes, _key(charge.values), amount)
    parts, pools = _split(rules, places)
    decimals = digits(currency)
    lines = tuple(Line(*key, cost) for key, cost in sorted(rounded(parts, decimals, bill).items()))
    return Allocation(
        sum(line.cost for line in lines),
        lines,
        pools,
        tuple(
            (dict(zip(_BASE_COLUMNS, key)), amount / _SCALE)
            for key, amount in sorted(causes.items(), key=_greatest)
            if amount
        ),
    )


def _add(sums: dict[K, N], key: K, amount: N) -> None:
    sums[key] = sums[key] + amount if key in sums else amount


def _greatest(item: tuple[_Key, int]) -> tuple[int, str]:
    return (-abs(item[1]), str(item[0]))


def _key(values: Values, depth: int = len(_BASE_COLUMNS)) -> _Key:
    return tuple(values.get(column) for column in _BASE_COLUMNS[:depth])


def _tagged(rules: Rules, values: Values) -> str:
    for column in rules.tags:
        if values.get(column):
            return values[column] or ""
    return ""


def _place(rules: Rules, values: Values, component: str = "") -> _Place:
    """Tag, then inheritance, then a pool that matches, then nowhere; pools may hold what owners have."""
    for pool in rules.pools:
        if pool.take_owned and pool.takes(values):
            return ("pool", pool.name, "")
    owner, how = _tagged(rules, values), "direct"
    if not owner:
        how = "inherited"
        for rule in rules.inherited:
            owner = owner or rule.owner(values)
    if owner:
        for pool in rules.pools:
            if owner in pool.owners:
                return ("pool", pool.name, "")
        return ("owner", owner, component or how)
    for pool in rules.pools:
        if pool.takes(values):
            return ("pool", pool.name, "")
    return _NOWHERE


def _follow(
    rules: Rules,
    charge: Charge,
    bases: Mapping[_Key, Mapping[_Place, int]],
    resources: Mapping[str, Sequence[Charge]],
) -> dict[_Place, int]:
    """Where the parts of a credit or tax go: its own tag, else its resource's costs, its service's, its account's."""
    amount = exact(charge.amount)
    alone = {_place(rules, charge.values, "following"): amount}
    if _tagged(rules, charge.values) or any(pool.take_owned and pool.takes(charge.values) for pool in rules.pools):
        return alone
    candidates: list[Mapping[_Place, int]] = []
    if charge.resource:
        own: dict[_Place, int] = {}
        for base in resources.get(charge.resource, ()):
            _add(own, _place(rules, base.values), exact(base.amount))
        candidates.append(own)
    candidates += [bases.get(_key(charge.values, depth), {}) for depth in (3, 2)]
    if not charge.values.get("SubAccountId"):
        candidates.append(bases.get(_key(charge.values, 1), {}))
    for candidate in candidates:
        weights = {place: weight for place, weight in candidate.items() if weight > 0}
        if weights:
            parts: dict[_Place, int] = {}
            for (kind, name, component), part in apportioned(amount, weights).items():
                followed = kind == "owner" and name != UNALLOCATED
                _add(parts, (kind, name, "following" if followed else component), part)
            return parts
    return alone


def _split(
    rules: Rules, places: Mapping[_Place, int]
) -> tuple[dict[tuple[str, str, str], Fraction], tuple[PoolCost, ...]]:
    """Parts by owner, component and pool, in the currency; and what happened to each pool."""
    parts = {(UNALLOCATED, "unallocated", ""): Fraction(0)}
    costs: dict[str, int] = {}
    own = {pool.name: 0 for pool in rules.pools}
    for (kind, name, component), amount in places.items():
        if kind == "pool":
            own[name] += amount
            continue
        _add(parts, (name, component, ""), Fraction(amount, _SCALE))
        if name != UNALLOCATED:
            _add(costs, name, amount)
    shares = {pool.name: _shares(pool, costs, own) for pool in rules.pools}
    held = _solve(list(own), own, shares)
    pools = []
    for pool in rules.pools:
        amounts = {target: held[pool.name] * share / _SCALE for target, share in shares[pool.name].items()}
        for target, part in amounts.items():
            if target not in own:
                _add(parts, (target, "shared" if target != UNALLOCATED else "unallocated", pool.name), part)
        received = (held[pool.name] - own[pool.name]) / _SCALE
        named = {target: float(part) for target, part in amounts.items()}
        pools.append(PoolCost(pool.name, own[pool.name] / _SCALE, float(received), named))
    return parts, tuple(pools)


def _shares(pool: Pool, costs: Mapping[str, int], own: Mapping[str, int]) -> dict[str, Fraction]:
    """Which part of the pool each target pays; what nobody can pay stays unallocated."""
    if pool.method == "fixed":
        return {target: Fraction(str(pool.percentages[target])) / 100 for target in pool.targets}
    targets = pool.targets or tuple(sorted(owner for owner, cost in costs.items() if cost > 0))
    if pool.method == "even" and targets:
        return {target: Fraction(1, len(targets)) for target in targets}
    # Somebody whose costs are below zero, by credits, pays nothing of what is shared, and gets nothing of it.
    weights = {target: max(own[target] if target in own else costs.get(target, 0), 0) for target in targets}
    total = sum(weights.values())
    if not total:
        return {UNALLOCATED: Fraction(1)}
    return {target: Fraction(weight, total) for target, weight in weights.items() if weight}


def _solve(
    names: Sequence[str], own: Mapping[str, int], shares: Mapping[str, Mapping[str, Fraction]]
) -> dict[str, Fraction]:
    """What each pool holds: its own costs and its share of every pool that passes to it (Gauss-Jordan, exact)."""
    rows = [
        [Fraction(int(name == other)) - shares[other].get(name, Fraction(0)) for other in names] + [Fraction(own[name])]
        for name in names
    ]
    for place in range(len(names)):
        pivot = max(range(place, len(names)), key=lambda row: abs(rows[row][place]))
        if not rows[pivot][place]:
            raise RulesError(
                f"the shared pools {', '.join(sorted(names))} only pass costs to each other: give one of them an owner"
            )
        rows[place], rows[pivot] = rows[pivot], rows[place]
        rows[place] = [value / rows[place][place] for value in rows[place]]
        for row in range(len(names)):
            if row != place and rows[row][place]:
                factor = rows[row][place]
                rows[row] = [value - factor * base for value, base in zip(rows[row], rows[place])]
    return {name: rows[place][-1] for place, name in enumerate(names)}
