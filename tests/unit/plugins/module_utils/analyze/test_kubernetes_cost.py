# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocation by the OpenCost specification: who pays for what, and that the parts are the whole."""

from __future__ import annotations

import datetime
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.analyze.kubernetes_cost import (
    IDLE,
    UNALLOCATED,
    Allocation,
    Capacity,
    Claim,
    CostError,
    Interval,
    Node,
    Price,
    PriceRule,
    Resources,
    Workload,
    allocate,
    check_dimensions,
    daily,
    grouped,
    homeless,
    node_costs,
    priced,
    repriced,
)
from hypothesis import given
from hypothesis import strategies as st

START = datetime.datetime(2026, 9, 1, 12, tzinfo=datetime.timezone.utc)
HOUR = datetime.timedelta(hours=1)
#: A core costs four times what a GiB does: a node of 4 cores and 16 GiB at 0.2 an hour has 0.1 of each.
REFERENCE = Resources(cpu=4.0, ram=1.0, gpu=16.0)
NODE = Node("n1", "aws:///eu-west-1a/i-0abc", "m5.xlarge", "eu-west-1")
PRICE = {"n1": Price(0.2, 0.4, "test")}


def claim(namespace: str, requested: tuple[float, ...], used: tuple[float, ...] = (0, 0), node: str = "n1") -> Claim:
    who = Workload("blue", node, "", namespace, "Deployment", "main", f"{namespace}-1", "main", (("team", namespace),))
    return Claim(who, Resources(*requested), Resources(*used))


def hour(*claims: Claim, hours: float = 1.0, resources: tuple[float, ...] = (4, 16)) -> Interval:
    amounts = Resources(*(amount * hours for amount in resources))
    return Interval(START, START + HOUR, {"n1": Capacity(hours, amounts)}, claims)


def shares(interval: Interval, **more: t.Any) -> list[Allocation]:
    return list(allocate(interval, "blue", {"n1": NODE}, more.pop("prices", PRICE), REFERENCE))


def cost(allocations: list[Allocation], namespace: str, component: str) -> float:
    return sum(one.cost for one in allocations if (one.workload.namespace, one.component) == (namespace, component))


def test_a_container_pays_for_what_it_requested_or_used_whichever_is_more() -> None:
    found = shares(hour(claim("shop", (2, 2), (1, 4))))
    # 2 of 4 cores are requested, 4 of 16 GiB are used.
    assert cost(found, "shop", "cpu") == pytest.approx(0.05)
    assert cost(found, "shop", "ram") == pytest.approx(0.025)
    assert cost(found, IDLE, "cpu") == pytest.approx(0.05)
    assert cost(found, IDLE, "ram") == pytest.approx(0.075)
    mine = [one for one in found if one.workload.namespace == "shop"]
    assert [(one.component, one.quantity, one.used) for one in mine] == [("cpu", 2, 1), ("ram", 4, 4)]
    assert [one.list_cost / one.cost for one in found] == [pytest.approx(2)] * 4
    assert {one.workload.cluster for one in found} == {"blue"}


def test_containers_that_claim_more_than_the_node_has_share_it() -> None:
    found = shares(hour(claim("shop", (3, 8)), claim("batch", (1, 0), (5, 0))))
    # 3 and 5 cores of 4: 3/8 and 5/8 of 0.1; nothing is idle, and nothing is below zero.
    assert cost(found, "shop", "cpu") == pytest.approx(0.0375)
    assert cost(found, "batch", "cpu") == pytest.approx(0.0625)
    assert cost(found, IDLE, "cpu") == 0
    assert [one.quantity for one in found if one.component == "cpu"] == [pytest.approx(1.5), pytest.approx(2.5)]


def test_a_node_that_was_there_for_part_of_the_hour_costs_that_part() -> None:
    found = shares(hour(claim("shop", (1, 4)), hours=0.5))
    assert sum(one.cost for one in found) == pytest.approx(0.1)


def test_gpus_take_their_part_of_the_price() -> None:
    found = shares(hour(claim("train", (1, 4, 1)), resources=(4, 16, 1)))
    # 16 of 48 parts each.
    assert cost(found, "train", "gpu") == pytest.approx(0.2 / 3)
    assert cost(found, IDLE, "gpu") == 0


def test_what_is_on_no_known_node_is_told() -> None:
    interval = hour(claim("shop", (1, 4)), claim("lost", (2, 1), (0, 3), node=""))
    assert homeless(interval) == Resources(cpu=2, ram=3, gpu=0)
    assert sum(one.cost for one in shares(interval)) == pytest.approx(0.2)


def test_a_node_without_price_or_capacity_is_refused() -> None:
    with pytest.raises(CostError, match="node n1 has no price"):
        shares(hour(), prices={})
    with pytest.raises(CostError, match="node n1 has no capacity"):
        shares(hour(resources=(0, 0)))


amounts = st.floats(0, 50, allow_nan=False)
claims = st.lists(st.tuples(amounts, amounts, amounts, amounts, amounts, amounts), max_size=6)


@given(claims, st.floats(0.01, 1), st.floats(0, 100), st.sampled_from([(4.0, 16.0), (2.0, 4.0, 8.0), (0.5, 0.0)]))
def test_parts_add_up_to_the_node(
    found: list[tuple[float, ...]], hours: float, price: float, resources: tuple[float, ...]
) -> None:
    interval = hour(
        *(claim(f"n{number}", one[:3], one[3:]) for number, one in enumerate(found)), hours=hours, resources=resources
    )
    parts = shares(interval, prices={"n1": Price(price, price * 2, "test")})
    assert sum(one.cost for one in parts) == pytest.approx(price * hours, abs=1e-9)
    assert sum(one.list_cost for one in parts) == pytest.approx(price * hours * 2, abs=1e-9)
    assert all(one.cost >= 0 and one.quantity > 0 and one.used <= one.quantity for one in parts)
    # However they are grouped, and whoever's cost is shared.
    for by, shared in ((["namespace"], ["n1"]), (["node"], []), (["label:team", "controller"], ["*"])):
        groups = grouped(parts, by, shared)
        assert sum(group.total for group in groups) == pytest.approx(price * hours, abs=1e-9)
        assert sum(group.list_cost for group in groups) == pytest.approx(price * hours * 2, abs=1e-9)
    assert sum(one.cost for one in daily(parts, ["namespace"])) == pytest.approx(price * hours, abs=1e-9)


def test_the_first_rule_that_fits_prices_a_node() -> None:
    rules = [
        PriceRule(0.07, capacity_type="spot", instance_type="m5.*"),
        PriceRule(0.192, 0.12, instance_type="m5.*", region="eu-*"),
        PriceRule(9.0),
    ]
    assert priced(NODE, rules) == Price(0.12, 0.192, "node_prices")
    assert priced(Node("n2", instance_type="m5.xlarge", capacity_type="spot"), rules) == Price(
        0.07, 0.07, "node_prices"
    )
    # What is not known fits no pattern.
    assert priced(Node("n3"), rules) == Price(9.0, 9.0, "node_prices")
    assert priced(Node("n3"), rules[:2]) is None


def test_shared_namespaces_are_split_and_idle_cost_takes_no_part() -> None:
    parts = shares(hour(claim("shop", (1.5, 6)), claim("batch", (0.5, 2)), claim("kube-system", (1, 4))))
    groups = {group.values[0]: group for group in grouped(parts, ["namespace"], ["kube-*"])}
    assert set(groups) == {"shop", "batch", IDLE}
    # 0.05 in proportion to 0.075 and 0.025.
    assert groups["shop"].shared == pytest.approx(0.0375)
    assert groups["batch"].shared == pytest.approx(0.0125)
    assert (groups[IDLE].shared, groups[IDLE].idle) == (0, pytest.approx(0.05))
    even = {group.values[0]: group for group in grouped(parts, ["namespace"], ["kube-*"], "even")}
    assert even["shop"].shared == even["batch"].shared == pytest.approx(0.025)


def test_idle_cost_is_told_where_no_dimension_tells_it_apart() -> None:
    [group] = grouped(shares(hour(claim("shop", (1, 4)))), ["node"])
    assert (group.values, group.own, group.idle) == (("n1",), pytest.approx(0.2), pytest.approx(0.15))


def test_efficiency_is_what_was_used_of_what_is_charged() -> None:
    groups = {g.values[0]: g for g in grouped(shares(hour(claim("shop", (2, 4), (1, 4)))), ["namespace"])}
    # Half of the cores' 0.05 and all of the memory's 0.025.
    assert groups["shop"].efficiency == pytest.approx(0.05 / 0.075)
    assert groups[IDLE].efficiency is None


def test_dimensions() -> None:
    who = Workload(cluster="blue", namespace="shop", labels=(("team", "a"),))
    assert [who.value(one) for one in ("cluster", "label:team", "label:app", "pod")] == [
        "blue",
        "a",
        UNALLOCATED,
        UNALLOCATED,
    ]
    check_dimensions(["cluster", "label:app"])
    for wrong in ("team", "label:", "Namespace"):
        with pytest.raises(CostError, match="aggregate has"):
            check_dimensions([wrong])


def test_costs_of_a_node_and_day_can_be_put_right() -> None:
    parts = shares(hour(claim("shop", (1, 4))))
    day = START.date()
    assert node_costs(parts) == {(day, "n1"): pytest.approx(0.2)}
    right = list(repriced(parts, {(day, "n1"): 0.6}))
    assert node_costs(right) == {(day, "n1"): pytest.approx(0.12)}
    assert sum(one.list_cost for one in right) == pytest.approx(0.4)
    assert list(repriced(parts, {(day, "n2"): 0.6})) == parts


def test_the_cloud_names_machines_by_the_last_part_of_the_provider_id() -> None:
    assert NODE.resource == "i-0abc"
    assert Node("n", "gce://project/zone-a/gke-blue-1").resource == "gke-blue-1"
    assert Node("n").resource == ""


def test_days_are_kept_apart() -> None:
    parts = shares(hour(claim("shop", (1, 4))))
    later = [
        Allocation(
            one.start + HOUR * 24,
            one.end + HOUR * 24,
            *(getattr(one, name) for name in ("workload", "component", "quantity", "used", "cost", "list_cost")),
        )
        for one in parts
    ]
    summed = daily([*parts, *parts, *later], ["namespace"])
    assert len(summed) == 8
    assert {one.workload.pod for one in summed} == {""}
    # Idle cost keeps its node.
    assert {one.workload.node for one in summed if one.workload.idle} == {"n1"}
    first = [one for one in summed if one.start == START and one.workload.namespace == "shop"]
    assert [one.quantity for one in first] == [2, 8]
