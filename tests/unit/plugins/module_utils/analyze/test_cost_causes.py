# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a change of cost comes from, and whether by usage or by price."""

from __future__ import annotations

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.cost_causes import (
    Effects,
    Part,
    contributions,
    effects,
    sentence,
    way_down,
)
from hypothesis import example, given
from hypothesis import strategies as st

PARTS = [
    Part({"region": "a", "server": "1", "sku": "m5"}, "m5 h", 100, 105),
    Part({"region": "a", "server": "2", "sku": "m5"}, "m5 h", 100, 98),
    Part({"region": "b", "server": "3", "sku": "m5"}, "m5 h", 100, 300),
    Part({"region": "b", "server": "4", "sku": "m5"}, "m5 h", 0, 20),
]


def test_contributions_add_up_to_the_change() -> None:
    found = contributions(PARTS, "region", 223)
    assert [(one.value, one.change, round(one.share, 3)) for one in found] == [("b", 220, 0.987), ("a", 3, 0.013)]
    assert sum(one.share for one in contributions(PARTS, "server", 223)) == pytest.approx(1)


def test_the_way_down_ends_at_the_smallest_part_that_explains_it() -> None:
    down = way_down(PARTS, ["sku", "region", "server"], 223)
    # One server makes 90 %; that it is in region b, and of one SKU as all are, is told behind it.
    assert [(one.dimension, one.value) for one in down] == [("region", "b"), ("server", "3"), ("sku", "m5")]
    assert down[1].share == pytest.approx(200 / 223)


def test_what_is_spread_evenly_has_no_way_down() -> None:
    even = [Part({"region": name}, "m5", 10, 20) for name in "abcdef"]
    assert way_down(even, ["region"], 60) == []
    assert way_down([], ["region"], 60) == []


def test_usage_price_and_both() -> None:
    # 100 h at 2 become 150 h at 3: 100 more for hours, 100 for the price of the old hours, 50 for both.
    found = effects([Part({}, "m5 h", 200, 450, 100, 150)], 250)
    assert found == Effects(usage=100, price=100, both=50, unknown=0)
    assert sentence(found, 250, lambda amount: f"{amount:+.0f}") == "usage +100, price +100, both together +50"


def test_servers_of_one_price_are_looked_at_together() -> None:
    # A server was replaced by another one: neither more usage nor another price.
    moved = [Part({"server": "1"}, "m5 h", 200, 0, 100, 0), Part({"server": "2"}, "m5 h", 0, 200, 0, 100)]
    assert effects(moved, 0) == Effects()


def test_new_and_gone_are_usage_and_fees_are_unknown() -> None:
    assert effects([Part({}, "new h", 0, 80, 0, 40)], 80) == Effects(usage=80)
    assert effects([Part({}, "old h", 80, 0, 40, 0)], -80) == Effects(usage=-80)
    assert effects([Part({}, "fee", 10, 50, 0, 0)], 40) == Effects(unknown=40)
    assert effects([Part({}, "nobody knows", 10, 50)], 40) == Effects(unknown=40)
    assert sentence(Effects(unknown=40), 40, str) == ""


def test_rounding_of_the_bill_is_no_price() -> None:
    found = effects([Part({}, "m5 h", 200, 300.5, 100, 150)], 100.5)
    assert (found.usage, found.price, found.both) == (100.5, 0, 0)


amounts = st.floats(0, 1e6)


@given(st.lists(st.tuples(st.sampled_from("abc"), amounts, amounts, st.none() | amounts, amounts), max_size=8))
@example([("b", 0.0, 32769.0, 32768.0, 1.192092896e-07)])
def test_effects_always_add_up(drawn: list[tuple[str, float, float, float | None, float]]) -> None:
    parts = [Part({}, name, before, after, one, other) for name, before, after, one, other in drawn]
    change = sum(part.change for part in parts)
    found = effects(parts, change)
    assert found.usage + found.price + found.both + found.unknown == pytest.approx(change, abs=1e-3, rel=1e-6)
