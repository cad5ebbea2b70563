# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who pays what: rules in their order, splits, and cents that add up to the bill."""

from __future__ import annotations

import typing as t
from fractions import Fraction

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.cost.allocation import (
    UNALLOCATED,
    Allocation,
    Charge,
    Inherited,
    Pool,
    Rules,
    RulesError,
    allocate,
    apportioned,
    rounded,
)
from hypothesis import given, settings
from hypothesis import strategies as st

TAG = "x_tag_team"


def charge(amount: float, team: str | None = None, category: str = "Usage", **values: t.Any) -> Charge:
    named = {"SubAccountId": "1", "ServiceName": "EC2", "BillingAccountId": "0", **values}
    resource = named.pop("resource", None)
    return Charge({TAG: team, "ChargeCategory": category, **named}, amount, resource)


def paid(allocation: Allocation) -> dict[str, int]:
    sums: dict[str, int] = {}
    for line in allocation.lines:
        sums[line.owner] = sums.get(line.owner, 0) + line.cost
    return sums


def parts(allocation: Allocation, owner: str) -> dict[str, int]:
    return {
        line.component + (f":{line.pool}" if line.pool else ""): line.cost
        for line in allocation.lines
        if line.owner == owner
    }


def test_tag_then_inheritance_then_pool_then_unallocated() -> None:
    rules = Rules(
        (TAG, "x_tag_owner"),
        (Inherited("SubAccountId", {"1": "shop"}), Inherited("x_costcategory")),
        (Pool("support", match={"ServiceName": ("Support",)}),),
    )
    rows = [
        charge(10, "web"),
        charge(20, None, x_tag_owner="data"),
        charge(30, ""),
        charge(40, None, SubAccountId="2", x_costcategory="lab"),
        charge(60, None, SubAccountId="3", ServiceName="Support"),
        charge(7, None, SubAccountId="3"),
    ]
    allocation = allocate(rules, rows, "USD")
    assert allocation.bill == 16700
    assert parts(allocation, "web") == {"direct": 1000, "shared:support": 600}
    assert parts(allocation, "data") == {"direct": 2000, "shared:support": 1200}
    assert parts(allocation, "shop") == {"inherited": 3000, "shared:support": 1800}
    assert parts(allocation, "lab") == {"inherited": 4000, "shared:support": 2400}
    assert parts(allocation, UNALLOCATED) == {"unallocated": 700}
    assert allocation.causes == (({"BillingAccountId": "0", "SubAccountId": "3", "ServiceName": "EC2"}, 7.0),)


def test_unallocated_is_shown_where_everything_is_allocated() -> None:
    assert parts(allocate(Rules((TAG,)), [charge(1, "web")], "USD"), UNALLOCATED) == {"unallocated": 0}
    assert allocate(Rules((TAG,)), [], "USD").bill == 0


@pytest.mark.parametrize(
    ("pool", "expected"),
    [
        (Pool("p", ("platform",)), {"a": 3000, "b": 6000, UNALLOCATED: 0}),
        (Pool("p", ("platform",), method="even"), {"a": 1000 + 3000, "b": 2000 + 3000, UNALLOCATED: 0}),
        (Pool("p", ("platform",), targets=("b",)), {"a": 1000, "b": 8000, UNALLOCATED: 0}),
        (
            Pool("p", ("platform",), method="fixed", targets=("a", "new"), percentages={"a": 12.5, "new": 87.5}),
            {"a": 1000 + 750, "b": 2000, "new": 5250, UNALLOCATED: 0},
        ),
        (Pool("p", ("platform",), targets=("nobody",)), {"a": 1000, "b": 2000, UNALLOCATED: 6000}),
    ],
)
def test_methods_of_splitting(pool: Pool, expected: dict[str, int]) -> None:
    rows = [charge(10, "a"), charge(20, "b"), charge(60, "platform")]
    assert paid(allocate(Rules((TAG,), pools=(pool,)), rows, "USD")) == expected


def test_pools_that_pass_to_each_other_are_solved_at_once() -> None:
    # Reciprocal method: N = 100 + 0.2 P and P = 50 + 0.4 N, so N = 110 / 0.92 and P = 50 + 0.4 N.
    network = Pool(
        "network", ("net",), method="fixed", targets=("platform", "a"), percentages={"platform": 40, "a": 60}
    )
    platform = Pool(
        "platform", ("plat",), method="fixed", targets=("network", "b"), percentages={"network": 20, "b": 80}
    )
    rows = [charge(100, "net"), charge(50, "plat"), charge(1, "a"), charge(1, "b")]
    allocation = allocate(Rules((TAG,), pools=(network, platform)), rows, "USD")
    held = 110 / 0.92
    assert {pool.name: pool.own + pool.received for pool in allocation.pools} == pytest.approx(
        {"network": held, "platform": 50 + 0.4 * held}
    )
    assert paid(allocation) == {"a": round(100 + 60 * held), "b": round(100 + 80 * (50 + 0.4 * held)), UNALLOCATED: 0}
    assert allocation.bill == 15200


def test_shared_of_shared_reaches_the_owners() -> None:
    pools = (
        Pool("platform", ("platform",), targets=("a", "b")),
        Pool("network", ("network",), method="even", targets=("platform", "a")),
    )
    rows = [charge(30, "a"), charge(10, "b"), charge(20, "platform"), charge(8, "network")]
    allocation = allocate(Rules((TAG,), pools=pools), rows, "USD")
    assert parts(allocation, "a") == {"direct": 3000, "shared:platform": 1800, "shared:network": 400}
    assert parts(allocation, "b") == {"direct": 1000, "shared:platform": 600}


def test_credits_and_tax_follow_what_they_belong_to() -> None:
    rows = [
        charge(30, "a", resource=None),
        charge(10, "b"),
        charge(100, "c", SubAccountId="2"),
        charge(-4, None, "Credit"),
        charge(-2, "b", "Credit"),
        charge(-1, None, "Credit", resource="i-1"),
        charge(1.4, None, "Tax", SubAccountId=None, ServiceName="Tax"),
    ]
    allocation = allocate(Rules((TAG,)), rows, "USD", {"i-1": [charge(5, "b")]})
    assert parts(allocation, "a") == {"direct": 3000, "following": -300 + 30}
    assert parts(allocation, "b") == {"direct": 1000, "following": -100 - 200 - 100 + 10}
    assert parts(allocation, "c") == {"direct": 10000, "following": 100}
    assert allocation.bill == 13440


def test_credit_without_its_service_follows_the_account_and_else_inherits() -> None:
    rules = Rules((TAG,), (Inherited("SubAccountId", {"9": "lab"}),))
    rows = [
        charge(10, "a"),
        charge(-1, None, "Credit", ServiceName="S3"),
        charge(-2, None, "Credit", SubAccountId="9"),
        charge(-3, None, "Credit", SubAccountId="8"),
    ]
    assert paid(allocate(rules, rows, "USD")) == {"a": 900, "lab": -200, UNALLOCATED: -300}


def test_tax_follows_into_pools_and_to_what_is_unallocated() -> None:
    rules = Rules((TAG,), pools=(Pool("p", ("platform",)),))
    rows = [charge(50, "a"), charge(30, "platform"), charge(20, None), charge(10, None, "Tax")]
    allocation = allocate(rules, rows, "USD")
    assert parts(allocation, "a") == {"direct": 5000, "following": 500, "shared:p": 3300}
    assert parts(allocation, UNALLOCATED) == {"unallocated": 2200}


def test_pool_takes_owned_costs_only_when_told() -> None:
    match = {"ServiceName": ("Support",)}
    rows = [charge(10, "a"), charge(10, "b"), charge(4, "a", ServiceName="Support")]
    assert paid(allocate(Rules((TAG,), pools=(Pool("s", match=match),)), rows, "USD"))["b"] == 1000
    taken = Rules((TAG,), pools=(Pool("s", match=match, take_owned=True),))
    assert paid(allocate(taken, rows, "USD")) == {"a": 1200, "b": 1200, UNALLOCATED: 0}


def test_negative_targets_get_no_part_of_shared_costs() -> None:
    rows = [charge(10, "a"), charge(-5, "b"), charge(3, "platform")]
    assert paid(allocate(Rules((TAG,), pools=(Pool("p", ("platform",)),)), rows, "USD")) == {
        "a": 1300,
        "b": -500,
        UNALLOCATED: 0,
    }


@pytest.mark.parametrize(("currency", "expected"), [("USD", 1000), ("JPY", 10), ("KWD", 10000)])
def test_smallest_units_of_currencies(currency: str, expected: int) -> None:
    allocation = allocate(
        Rules((TAG,), pools=(Pool("p", ("p",), method="even"),)),
        [charge(1, "a"), charge(1, "b"), charge(1, "c"), charge(7, "p")],
        currency,
    )
    assert allocation.bill == sum(line.cost for line in allocation.lines) == expected
    assert max(paid(allocation).values()) - min(paid(allocation)[owner] for owner in "abc") <= 1


amounts = st.dictionaries(st.text("abcdef", min_size=1, max_size=3), st.fractions(-1000, 1000), max_size=12)


@given(amounts, st.sampled_from([0, 2, 3]))
def test_rounded_amounts_add_up(exact: dict[str, Fraction], decimals: int) -> None:
    whole = rounded(exact, decimals)
    assert sum(whole.values()) == round(sum(exact.values(), Fraction(0)) * 10**decimals)
    assert all(abs(whole[key] - value * 10**decimals) < 1 for key, value in exact.items())
    assert all(whole[key] == 0 for key, value in exact.items() if value == 0)


@given(st.integers(-(10**12), 10**12), st.lists(st.integers(0, 10**9), min_size=1).filter(any))
def test_apportioned_parts_add_up(amount: int, weights: list[int]) -> None:
    split = apportioned(amount, dict(enumerate(weights)))
    assert sum(split.values()) == amount
    assert all(abs(split[key] - Fraction(amount * weight, sum(weights))) < 1 for key, weight in enumerate(weights))


rows_of = st.lists(
    st.builds(
        charge,
        st.floats(-500, 5000, allow_nan=False),
        st.sampled_from([None, "", "a", "b", "platform", "network"]),
        st.sampled_from(["Usage", "Usage", "Purchase", "Tax", "Credit", "Adjustment"]),
        SubAccountId=st.sampled_from([None, "1", "2"]),
        ServiceName=st.sampled_from(["EC2", "S3", "Support"]),
        resource=st.sampled_from([None, "i-1"]),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(rows_of, st.sampled_from(["even", "proportional"]))
def test_whatever_the_rows_no_cent_is_lost(rows: list[Charge], method: str) -> None:
    pools = (
        Pool("p", ("platform",), {"ServiceName": ("Support",)}, take_owned=True, method=method),
        Pool("n", ("network",), method=method, targets=("p", "a", "b")),
    )
    rules = Rules((TAG,), (Inherited("SubAccountId", {"2": "b"}),), pools)
    allocation = allocate(rules, rows, "EUR", {"i-1": [charge(2, "a"), charge(1, None)]})
    assert allocation.bill == sum(line.cost for line in allocation.lines)
    assert abs(allocation.bill / 100 - sum(row.amount for row in rows)) < 0.0051
    assert any(line.owner == UNALLOCATED for line in allocation.lines)


@pytest.mark.parametrize(
    ("pools", "message"),
    [
        ([Pool("", ("a",))], "needs a name"),
        ([Pool("p", ("a",)), Pool("p", ("b",))], "needs a name of its own"),
        ([Pool("p")], "holds nothing"),
        ([Pool("p", ("a",), method="half")], "use proportional, even, fixed"),
        ([Pool("p", ("a",), targets=("p",))], "is split to itself"),
        ([Pool("p", ("a",), targets=("a", "b"))], "is split to itself"),
        ([Pool("p", ("a",)), Pool("q", ("a",))], "not to both"),
        ([Pool("p", ("a",)), Pool("q", ("b",), targets=("a",))], "name that pool as the target"),
        ([Pool("p", ("a",), percentages={"b": 100})], "percentages need fixed"),
        ([Pool("p", ("a",), method="fixed", targets=("b",))], "give one for each"),
        ([Pool("p", ("a",), method="fixed", targets=("b", "c"), percentages={"b": 50, "c": 49})], "add up to 99"),
        ([Pool("p", ("a",), method="fixed", targets=("b", "c"), percentages={"b": 101, "c": -1})], "none below 0"),
    ],
)
def test_rules_that_cannot_be(pools: list[Pool], message: str) -> None:
    with pytest.raises(RulesError, match=message):
        Rules((TAG,), pools=tuple(pools))


def test_pools_that_keep_costs_among_themselves_are_refused() -> None:
    pools = (Pool("p", ("x",), method="even", targets=("q",)), Pool("q", ("y",), method="even", targets=("p",)))
    with pytest.raises(RulesError, match="only pass costs to each other"):
        allocate(Rules((TAG,), pools=pools), [charge(1, "x")], "USD")


def test_a_cost_that_is_no_number_is_refused() -> None:
    with pytest.raises(RulesError, match="no number"):
        allocate(Rules((TAG,)), [charge(float("nan"), "a")], "USD")
