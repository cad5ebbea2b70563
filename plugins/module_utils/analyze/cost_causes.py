# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a cost changed: which parts of it did, and whether more was used or it became dearer.

A part's contribution is its own change, so that the contributions add up to the whole. The way down takes the
dimension in which fewest values explain most, again and again (the idea of Bhagwan et al., "Adtributor", NSDI 2014).
Price and usage: p1 q1 - p0 q0 = p0 (q1 - q0) + q0 (p1 - p0) + (p1 - p0)(q1 - q0), for each price by itself.
"""

from __future__ import annotations

import dataclasses
import math
import typing as t
from collections.abc import Iterable, Mapping, Sequence

#: A value explains a change where it makes at least this part of it.
EXPLAINS = 0.5
#: A unit price that differs by less is the same: cost and quantity are rounded.
SAME_PRICE = 0.005
#: A quantity per day that is none.
NOTHING = 1e-9


@dataclasses.dataclass(frozen=True)
class Part:
    """Money and quantity per day of one combination of ``values``, usually and now; quantity where it is known.

    ``price`` names what has one unit price: a SKU's price and its unit.
    """

    values: Mapping[str, str]
    price: str
    before: float
    after: float
    quantity_before: float | None = None
    quantity_after: float | None = None

    @property
    def change(self) -> float:
        """Money per day."""
        return self.after - self.before


@dataclasses.dataclass(frozen=True)
class Cause:
    """How much of a change one value of a dimension makes; money per day, ``share`` of the whole change."""

    dimension: str
    value: str
    before: float
    after: float
    share: float

    @property
    def change(self) -> float:
        """Money per day."""
        return self.after - self.before


@dataclasses.dataclass(frozen=True)
class Effects:
    """A change in money per day: by more or less usage, by another price, by both together, and what cannot be told.

    What is new, or gone, is usage: it had, or has, no other price.
    """

    usage: float = 0.0
    price: float = 0.0
    both: float = 0.0
    unknown: float = 0.0


def contributions(parts: Iterable[Part], dimension: str, change: float) -> list[Cause]:
    """All values of a dimension, those first that make most of the change."""
    sums: dict[str, list[float]] = {}
    for part in parts:
        found = sums.setdefault(part.values[dimension], [0.0, 0.0])
        found[0] += part.before
        found[1] += part.after
    causes = [
        Cause(dimension, value, before, after, (after - before) / change if change else 0.0)
        for value, (before, after) in sums.items()
    ]
    return sorted(causes, key=lambda one: (-one.share, one.value))


def way_down(parts: Sequence[Part], dimensions: Sequence[str], change: float) -> list[Cause]:
    """From the whole to the smallest part that still makes half of the change, or more.

    :param change: the whole, money per day; it may hold more than the parts do.
    """
    found: list[Cause] = []
    left = list(dimensions)
    inside = list(parts)
    while inside:
        # A dimension with one value explains nothing; of those that explain alike, the one with more values says more.
        options = []
        for dimension in left:
            values = contributions(inside, dimension, change)
            if len(values) > 1 and values[0].share >= EXPLAINS:
                options.append((round(values[0].share, 1), len(values), dimension, values[0]))
        if not options:
            break
        _share, _values, dimension, cause = max(options, key=lambda one: one[:3])
        left.remove(dimension)
        inside = [part for part in inside if part.values[dimension] == cause.value]
        found.append(cause)
    if not found:
        return found
    # What all of the part found has in common, for who looks for it.
    alike = [(dimension, contributions(inside, dimension, change)) for dimension in left]
    return found + [values[0] for _name, values in alike if len(values) == 1 and values[0].value]


def effects(parts: Iterable[Part], change: float) -> Effects:
    """Usage apart from price.

    :param change: the whole, money per day; what the parts do not hold is unknown.
    """
    by_price: dict[str, list[Part]] = {}
    for part in parts:
        by_price.setdefault(part.price, []).append(part)
    usage = price = both = 0.0
    for same in by_price.values():
        found = _effects(same)
        usage, price, both = usage + found.usage, price + found.price, both + found.both
    return Effects(usage, price, both, change - usage - price - both)


def _effects(parts: Sequence[Part]) -> Effects:
    """Of what has one unit price; nothing where the quantity is not known."""
    before, after = sum(part.before for part in parts), sum(part.after for part in parts)
    if any(part.quantity_before is None or part.quantity_after is None for part in parts):
        return Effects()
    quantity_before = math.fsum(part.quantity_before or 0.0 for part in parts)
    quantity_after = math.fsum(part.quantity_after or 0.0 for part in parts)
    # Beside a quantity that is a million times larger it is nothing, too: its price would be no price.
    least = max(NOTHING, 1e-6 * max(quantity_before, quantity_after))
    if min(quantity_before, quantity_after) <= least:
        nothing = (quantity_before <= least and before) or (quantity_after <= least and after)
        # Money without a quantity is a fee: neither more usage nor another price.
        return Effects() if nothing else Effects(usage=after - before)
    price_before, price_after = before / quantity_before, after / quantity_after
    rise = price_after - price_before
    if abs(rise) <= SAME_PRICE * abs(price_before):
        return Effects(usage=after - before)
    more = quantity_after - quantity_before
    return Effects(more * price_before, quantity_before * rise, more * rise)


def sentence(found: Effects, change: float, money: t.Callable[[float], str]) -> str:
    """The effects in words; empty where most of it is not known."""
    if not change or abs(found.unknown) > abs(change) / 2:
        return ""
    told = []
    for amount, words in ((found.usage, "usage"), (found.price, "price"), (found.both, "both together")):
        if abs(amount) >= abs(change) / 20:
            told.append(f"{words} {money(amount)}")
    return ", ".join(told)
