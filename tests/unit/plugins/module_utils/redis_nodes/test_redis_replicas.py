# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of a Redis with replicas and Sentinels: no server loses what only it has, no failover is undone."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.frugal.cloud.plugins.module_utils.redis_plan import Refused
from ansible_collections.frugal.cloud.plugins.module_utils.redis_replicas import (
    Group,
    Server,
    Watch,
    after,
    next_step,
    plan,
)

NAMES = ("a:6379", "b:6379", "c:6379")


def group(*servers: Server, watched: tuple[str, ...] = ()) -> Group:
    return Group(
        {server.address: server for server in servers},
        {f"s{number}:26379": Watch(f"s{number}:26379", master) for number, master in enumerate(watched)},
    )


def replicated(master: str = "a:6379", watched: tuple[str, ...] = ()) -> Group:
    return group(*(Server(name, "" if name == master else master) for name in NAMES), watched=watched)


def actions(found: Group) -> list[tuple[str, str]]:
    return [(step.action, step.node) for step in plan(found)]


def test_replicas_of_the_first_and_sentinels_that_watch_it() -> None:
    fresh = group(*(Server(name) for name in NAMES), watched=("", "", ""))
    assert actions(fresh) == [
        ("replicate", "b:6379"),
        ("replicate", "c:6379"),
        ("watch", "s0:26379"),
        ("watch", "s1:26379"),
        ("watch", "s2:26379"),
    ]


def test_who_has_the_data_is_master() -> None:
    assert actions(group(Server("a:6379"), Server("b:6379", keys=3))) == [("replicate", "a:6379")]


def test_a_failover_is_not_undone() -> None:
    assert actions(replicated("c:6379", watched=("c:6379",) * 3)) == []
    # The old master came back and the Sentinels have not told it yet.
    back = group(Server("a:6379"), Server("b:6379", "c:6379"), Server("c:6379"), watched=("c:6379",) * 3)
    assert actions(back) == [("replicate", "a:6379")]


def test_the_master_is_restarted_last_and_as_a_replica() -> None:
    found = replicated(watched=("a:6379",) * 3)
    behind = {name: dataclasses.replace(one, restart="new build") for name, one in found.servers.items()}
    steps = plan(Group(behind, found.watches))
    assert [(step.action, step.node) for step in steps] == [
        ("restart", "b:6379"),
        ("restart", "c:6379"),
        ("failover", "b:6379"),
        ("restart", "a:6379"),
    ]


def test_sentinels_are_upgraded_one_by_one_before_the_master() -> None:
    found = replicated(watched=("a:6379",) * 3)
    watches = {name: dataclasses.replace(watch, restart="new build") for name, watch in found.watches.items()}
    servers = {**found.servers, "a:6379": dataclasses.replace(found.servers["a:6379"], restart="new build")}
    assert actions(Group(servers, watches)) == [
        ("restart", "s0:26379"),
        ("restart", "s1:26379"),
        ("restart", "s2:26379"),
        ("failover", "b:6379"),
        ("restart", "a:6379"),
    ]


def test_a_single_server_is_restarted_where_it_is() -> None:
    assert actions(group(Server("a:6379", restart="new build"))) == [("restart", "a:6379")]


@pytest.mark.parametrize("cut", range(9))
def test_a_run_that_was_killed_is_continued(cut: int) -> None:
    found = group(*(Server(name, restart="new", settings=("maxmemory",)) for name in NAMES), watched=("", "", ""))
    for step in plan(found)[:cut]:
        found = after(found, step)
    for step in plan(found):
        found = after(found, step)
    assert next_step(found) is None
    assert len({server.master for server in found.servers.values()}) == 2
    assert len({watch.master for watch in found.watches.values()}) == 1


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (group(Server("a:6379", keys=1), Server("b:6379", keys=2)), "b:6379 holds 2 keys and is no replica of a:6379"),
        (group(Server("a:6379", "x:6379")), "x:6379 has replicas among the servers and nobody names it"),
        (replicated(watched=("x:6379",) * 3), "the Sentinels watch x:6379, which is not among the servers"),
        (replicated(watched=("a:6379", "b:6379")), "the Sentinels watch a:6379 and b:6379: wait until they agree"),
    ],
)
def test_refusals(found: Group, message: str) -> None:
    with pytest.raises(Refused) as caught:
        plan(found)
    assert message in str(caught.value) and "\n" not in str(caught.value)
