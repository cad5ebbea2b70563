# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of a Redis Cluster: wherever it begins and a run ends, no slot is ever without a copy that runs."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils import redis_plan
from ansible_collections.frugal.cloud.plugins.module_utils.redis_plan import (
    SLOTS,
    Goal,
    Member,
    Move,
    Node,
    Refused,
    State,
    Step,
    after,
    cheapest,
    next_step,
    plan,
    ranges,
)
from hypothesis import given, settings
from hypothesis import strategies as st

MIB = 2**20


def members(*hosts: int) -> tuple[Member, ...]:
    """``members(2, 2, 2)``: two nodes on each of three hosts."""
    return tuple(
        Member(f"h{host}:{7001 + port}", f"h{host}") for host, count in enumerate(hosts) for port in range(count)
    )


def fresh(nodes: t.Iterable[Member], **more: t.Any) -> dict[str, Node]:
    return {member.address: Node(member.address, cluster=member.address, **more) for member in nodes}


def steps_to(goal: Goal, state: State) -> t.Iterator[tuple[State, Step]]:
    """Each step with the state before it."""
    while True:
        step = next_step(goal, state)
        if step is None:
            return
        yield state, step
        state = after(state, step)


def run(goal: Goal, state: State) -> State:
    for step in plan(goal, state):
        state = after(state, step)
    return state


def created(*hosts: int, replicas: int = 1) -> tuple[Goal, State]:
    goal = Goal(members(*hosts), replicas)
    return goal, run(goal, State(fresh(goal.members)))


def well(goal: Goal, state: State) -> None:
    """What every finished cluster is like."""
    names = {member.address for member in goal.members}
    nodes = {address: node for address, node in state.nodes.items() if node.cluster == redis_plan.cluster_of(state)}
    assert set(nodes) == names
    masters = [node for node in nodes.values() if node.slots]
    assert len(masters) == goal.masters
    assert sorted(slot for node in masters for slot in node.slots) == list(range(SLOTS))
    for node in nodes.values():
        assert bool(node.slots) != bool(node.master)
        assert not node.restart and not node.settings
    for master in masters:
        assert sum(node.master == master.address for node in nodes.values()) >= goal.replicas
    assert not state.moves
    assert next_step(goal, state) is None


def never_down(state: State, step: Step, created_before: bool) -> None:
    """What no step may do."""
    node = state.nodes[step.node]
    if step.action in ("restart", "forget", "reset"):
        assert not node.slots, step.sentence()
    if step.action in ("restart", "reset") and node.master:
        assert state.nodes[node.master].slots
    if step.action == "failover":
        assert node.master == step.target and node.reachable
    if step.action == "replicate":
        assert not node.slots and not state.nodes[step.target].master
    if created_before:
        assert len(redis_plan.owners(after(state, step))) == SLOTS


def test_three_hosts() -> None:
    goal, state = created(2, 2, 2)
    well(goal, state)
    hosts = {address: address.split(":")[0] for address in state.nodes}
    for node in state.nodes.values():
        if node.master:
            assert hosts[node.address] != hosts[node.master]
    # one master on each host
    assert sorted(hosts[node.address] for node in state.nodes.values() if node.slots) == ["h0", "h1", "h2"]
    assert sorted(len(node.slots) for node in state.nodes.values() if node.slots) == [5461, 5461, 5462]


def test_a_zone_is_a_failure_domain_of_several_hosts() -> None:
    nodes = tuple(Member(f"h{host}:7001", f"zone{host % 3}") for host in range(9))
    goal = Goal(nodes, 2)
    state = run(goal, State(fresh(nodes)))
    well(goal, state)
    zone = {member.address: member.domain for member in nodes}
    for master in (node for node in state.nodes.values() if node.slots):
        copies = [zone[node.address] for node in state.nodes.values() if node.master == master.address]
        assert zone[master.address] not in copies


@settings(max_examples=40, deadline=None)
@given(
    before=st.lists(st.integers(1, 3), min_size=3, max_size=6),
    later=st.lists(st.integers(0, 3), min_size=3, max_size=6),
    replicas=st.integers(0, 2),
    restarts=st.sets(st.integers(0, 17)),
    data=st.data(),
)
def test_any_change_from_wherever_a_run_ended(
    before: list[int], later: list[int], replicas: int, restarts: set[int], data: st.DataObject
) -> None:
    first, second = Goal(members(*before), replicas), members(*later)
    if first.masters < 3 or len(second) // (replicas + 1) < 3:
        return
    state = run(first, State(fresh(first.members)))
    well(first, state)
    removed = {member.address for member in first.members} - {member.address for member in second}
    goal = Goal(second, replicas, frozenset(removed))
    nodes = {**fresh(goal.members), **state.nodes}
    if replicas:
        for number in restarts:
            address = list(nodes)[number % len(nodes)]
            nodes[address] = dataclasses.replace(nodes[address], restart="another build is installed")
    state = State(nodes)
    walked = []
    for position, step in steps_to(goal, state):
        never_down(position, step, True)
        walked.append(position)
        assert len(walked) < 200
    # the run is killed somewhere, a master may have failed over, and the next run goes on from there
    if walked:
        state = data.draw(st.sampled_from(walked))
    masters = [node for node in state.nodes.values() if node.slots and redis_plan.replicas_of(state, node.address)]
    if masters and data.draw(st.booleans()):
        dead = data.draw(st.sampled_from(masters))
        state = after(state, Step("failover", redis_plan.replicas_of(state, dead.address)[0].address, dead.address))
    well(goal, run(goal, state))


@pytest.mark.parametrize("cut", range(12))
def test_a_half_created_cluster_is_completed(cut: int) -> None:
    goal = Goal(members(2, 2, 2), 1)
    state = State(fresh(goal.members))
    for step in plan(goal, state)[:cut]:
        state = after(state, step)
    well(goal, run(goal, state))


def test_what_was_moved_half_way_comes_first() -> None:
    goal, state = created(2, 2, 2)
    masters = [node for node in state.nodes.values() if node.slots]
    slot = min(masters[0].slots)
    state = State(state.nodes, (Move(slot, masters[0].address, masters[1].address),))
    step = next_step(goal, state)
    assert step == Step("finish", masters[0].address, masters[1].address, (slot,))
    well(goal, run(goal, state))


def test_an_upgrade_restarts_replicas_first_and_masters_only_after_a_replica_took_over() -> None:
    goal, state = created(2, 2, 2)
    masters = {address for address, node in state.nodes.items() if node.slots}
    nodes = {address: dataclasses.replace(node, restart="new build") for address, node in state.nodes.items()}
    steps = plan(goal, State(nodes))
    restarts = [step.node for step in steps if step.action == "restart"]
    assert sorted(restarts) == sorted(nodes) and set(restarts[3:]) == masters
    assert [step.action for step in steps] == ["restart"] * 3 + ["failover", "restart"] * 3
    # masters do not gather on one host, whatever the order
    state = run(goal, State(nodes))
    assert len({address.split(":")[0] for address, node in state.nodes.items() if node.slots}) == 3


def test_masters_do_not_stay_together_in_one_domain() -> None:
    goal, state = created(2, 2, 2)
    for node in list(state.nodes.values()):
        if node.slots and not node.address.startswith("h0"):
            heir = next(one for one in redis_plan.replicas_of(state, node.address))
            if heir.address.startswith("h0"):
                state = after(state, Step("failover", heir.address, node.address))
    hosts = [address.split(":")[0] for address, node in state.nodes.items() if node.slots]
    assert hosts.count("h0") == 2
    assert [step.action for step in plan(goal, state)] == ["failover"]
    well(goal, run(goal, state))


def test_a_master_that_leaves_hands_over_and_copies_nothing() -> None:
    goal, state = created(2, 2, 2)
    leaver = next(node for node in state.nodes.values() if node.slots)
    extra = Member("h3:7001", "h3")
    rest = tuple(member for member in goal.members if member.address != leaver.address)
    steps = plan(Goal((*rest, extra), 1, frozenset({leaver.address})), State({**state.nodes, **fresh([extra])}))
    assert "move" not in {step.action for step in steps}
    assert steps[-1].action in ("forget", "failover")


def refusal(goal: Goal, state: State) -> str:
    with pytest.raises(Refused) as caught:
        plan(goal, state)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_too_few_masters() -> None:
    goal = Goal(members(2, 2), 1)
    assert "make 2 masters: Redis Cluster needs 3 or more, so give at least 6 nodes" in refusal(
        goal, State(fresh(goal.members))
    )


def test_a_node_with_keys_is_not_swallowed() -> None:
    goal = Goal(members(2, 2, 2), 1)
    nodes = fresh(goal.members)
    nodes["h1:7001"] = dataclasses.replace(nodes["h1:7001"], keys=12)
    assert "h1:7001 is not in the cluster and holds 12 keys, which it would lose" in refusal(goal, State(nodes))
    first = fresh(goal.members[:1], keys=12)
    found = refusal(goal, State({**first, **fresh(goal.members[1:])}))
    assert "h0:7001 holds 12 keys and the cluster is yet to be created" in found
    done, state = created(2, 2, 2)
    bigger = Goal((*done.members, Member("h3:7001", "h3"), Member("h4:7001", "h4")), 1)
    late = fresh([bigger.members[-1]], keys=3)
    found = refusal(bigger, State({**state.nodes, **fresh([bigger.members[-2]]), **late}))
    assert "h4:7001 is not in the cluster and holds 3 keys, which it would lose" in found


def test_a_node_of_another_cluster_is_left_alone() -> None:
    goal, state = created(2, 2, 2)
    foreign = created(2, 2, 2)[1]
    nodes = {
        f"x{address}": dataclasses.replace(
            node, address=f"x{address}", cluster="x", master=f"x{node.master}" if node.master else ""
        )
        for address, node in foreign.nodes.items()
    }
    wider = Goal((*goal.members, Member("xh0:7001", "x")), 1)
    found = refusal(wider, State({**state.nodes, **nodes}))
    assert found.startswith("xh0:7001 belongs to another cluster (with xh0:7002")


def test_a_node_that_nobody_names_is_not_thrown_out() -> None:
    goal, state = created(2, 2, 2, 2)
    fewer = dataclasses.replace(goal, members=goal.members[:6])
    assert "h3:7001 is in the cluster and nobody names it" in refusal(fewer, state)


def test_no_slot_is_lost_with_a_dead_master() -> None:
    goal, state = created(2, 2, 2)
    nodes = dict(state.nodes)
    dead = next(node for node in nodes.values() if node.slots)
    nodes[dead.address] = dataclasses.replace(dead, reachable=False)
    assert f"{dead.address} is a node of the cluster and does not answer" in refusal(goal, State(nodes))
    extra = members(0, 0, 0, 1)
    rest = tuple(member for member in goal.members if member.address != dead.address)
    gone = Goal((*rest, *extra), 1, frozenset({dead.address}))
    assert f"{dead.address} has slots 0-5461 and does not answer" in refusal(gone, State({**nodes, **fresh(extra)}))


def test_slots_without_owner_are_given_away_only_where_no_key_was() -> None:
    goal, state = created(2, 2, 2)
    nodes = dict(state.nodes)
    first, second = [node for node in nodes.values() if node.slots][:2]
    nodes[first.address] = dataclasses.replace(first, slots=first.slots - {5, 6})
    well(goal, run(goal, State(nodes)))
    nodes[second.address] = dataclasses.replace(second, keys=1)
    assert "slots 5-6 have no owner and the cluster holds keys" in refusal(goal, State(nodes))


def test_the_masters_that_stay_must_hold_the_data() -> None:
    goal, state = created(2, 2, 2, 2)
    nodes = {
        address: dataclasses.replace(node, limit=100 * MIB, used=80 * MIB if node.slots else 0)
        for address, node in state.nodes.items()
    }
    gone = frozenset({"h3:7001", "h3:7002"})
    fewer = Goal(goal.members[:6], 1, gone)
    assert "3 masters would hold 107 MiB each and h0:7001 may hold 100 MiB" in refusal(fewer, State(nodes))
    well(fewer, run(dataclasses.replace(fewer, allow_evictions=True), State(nodes)))


def test_the_only_copy_is_not_restarted() -> None:
    goal, state = created(1, 1, 1, replicas=0)
    nodes = dict(state.nodes)
    nodes["h1:7001"] = dataclasses.replace(nodes["h1:7001"], restart="new build")
    assert "h1:7001 has to be restarted (new build) and has no replica" in refusal(goal, State(nodes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"replicas": -1}, "replicas is -1"),
        ({"tolerance": 1.0}, "tolerance is 1"),
        ({"wait": 0}, "wait is 0"),
        ({"remove": ["10.0.0.1"]}, "'10.0.0.1' is no address of a node"),
        ({"nodes": [{"address": "a:99999", "failure_domain": None}]}, "'a:99999' is no address of a node"),
    ],
)
def test_options_that_cannot_be_used(change: dict[str, t.Any], message: str) -> None:
    options = {"nodes": [], "remove": [], "replicas": 1, "tolerance": 0.02, "wait": 1, "restart_wait": 1}
    with pytest.raises(Refused) as caught:
        redis_plan.goal({**options, "allow_evictions": False, **change})
    assert message in str(caught.value)


@given(st.data())
def test_the_cheapest_matching_is_the_cheapest(data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, 4))
    columns = data.draw(st.integers(rows, 5))
    row = st.lists(st.integers(0, 50), min_size=columns, max_size=columns)
    costs = data.draw(st.lists(row, min_size=rows, max_size=rows))
    chosen = cheapest(costs)
    assert len(set(chosen)) == rows
    least = min(
        sum(costs[one][place] for one, place in enumerate(order))
        for order in itertools.permutations(range(columns), rows)
    )
    assert sum(costs[one][place] for one, place in enumerate(chosen)) == least


def test_ranges() -> None:
    assert ranges([5, 1, 2, 3]) == "1-3 5"
    assert ranges([]) == ""
