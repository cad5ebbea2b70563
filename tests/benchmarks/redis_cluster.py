# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redis Cluster under load: masters killed, slots moved, all nodes upgraded, and what clients lose meanwhile.

Real servers of this machine, redis-py's cluster client as the load, and the steps of module redis_cluster. Run it alone
with ``--kills N``; ``tests/e2e/test_redis_cluster.py`` runs a small version.

What is promised: a write whose WAIT returned all replicas is never lost when a master dies. Redis itself does not
promise it (https://redis.io/docs/latest/commands/wait/): a replica that restarts and has not copied yet can be elected
too. It holds here because a master that died stays away until a replica took over (the crash pause of the role), and
because kills are waited for until every replica has its master's data again: two failures at a time in one shard are
not covered by one replica.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import json
import logging
import pathlib
import sys
import tempfile
import threading
import time
import typing as t

import redis
from ansible_collections.frugal.cloud.plugins.module_utils import host_redis, host_redis_cluster
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_nodes import NodeWish
from ansible_collections.frugal.cloud.plugins.module_utils.redis_plan import Goal, Member
from redis.backoff import ConstantBackoff
from redis.cluster import ClusterNode
from redis.retry import Retry

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import redis_processes

KILLS = 20
WRITERS = 4
#: keys of one writer; each is written again and again with a higher number
KEYS = 500
#: how long a client tries one command: longer than a failover (seconds)
PATIENCE = 30.0
WAIT_MS = 1000

Entry = dict[str, t.Any]


class Client(redis.RedisCluster):
    """redis-py's cluster client, which follows a redirection to a node that it has not met.

    redis-py 8.1 looks such a node of an ASK up, gets None, and ends with AttributeError; with MOVED it does well.
    """

    def get_node(self, host: t.Any = None, port: t.Any = None, node_name: t.Any = None) -> t.Any:
        """The node; one of the address that was given where it is unknown."""
        node = super().get_node(host, port, node_name)
        if node is None and node_name:
            name, _colon, number = node_name.rpartition(":")
            node = ClusterNode(name, int(number))
            self.nodes_manager.create_redis_connections([node])
        return node


@dataclasses.dataclass
class Load:
    """Writers that note what was acknowledged, and how long each command took."""

    contact: int
    replicas: int = 1
    #: the number of the last write of a key that all replicas have
    safe: dict[str, int] = dataclasses.field(default_factory=dict)
    #: the number of the last write of a key that the master has
    written: dict[str, int] = dataclasses.field(default_factory=dict)
    errors: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    slowest: float = 0.0
    writes: int = 0
    _stop: threading.Event = dataclasses.field(default_factory=threading.Event)
    _threads: list[threading.Thread] = dataclasses.field(default_factory=list)

    def client(self, *, patient: bool) -> Client:
        """redis-py's cluster client; a patient one tries again while a failover goes on."""
        retry = Retry(ConstantBackoff(0.1), int(PATIENCE / 0.1)) if patient else Retry(ConstantBackoff(0.05), 3)
        return Client(host="127.0.0.1", port=self.contact, retry=retry, socket_timeout=5)

    def start(self, *, patient: bool) -> None:
        """Begin to write, with a client for each writer."""
        self._stop.clear()
        for writer in range(WRITERS):
            thread = threading.Thread(target=self._write, args=(writer, patient), daemon=True)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End, after the command under way."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=2 * PATIENCE)
        self._threads.clear()

    def _write(self, writer: int, patient: bool) -> None:
        client = self.client(patient=patient)
        number = 0
        while not self._stop.is_set():
            number += 1
            key = f"{writer}:{number % KEYS}"
            began = time.monotonic()
            try:
                client.set(key, number)
                self.written[key] = number
                # WAIT counts what this connection wrote, so it has to go to the node, and by the connection, of SET.
                node = client.get_node_from_key(key)
                if node is not None and self._confirmed(client, node, key, number):
                    self.safe[key] = number
            # AttributeError: redis-py has no node for a moment, and does not say so in an error of its own.
            except (redis.RedisError, AttributeError) as error:
                self.errors[type(error).__name__] += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.writes += 1
        client.close()

    def _confirmed(self, client: redis.RedisCluster, node: t.Any, key: str, number: int) -> bool:
        """Write once more and WAIT on one connection; whether all replicas have it."""
        connection = client.get_redis_connection(node)
        with connection.pipeline(transaction=False) as pipe:
            pipe.set(key, number)
            pipe.execute_command("WAIT", self.replicas, WAIT_MS)
            try:
                return bool(pipe.execute()[1] >= self.replicas)
            except redis.RedisError:
                # A master that died, or gave the slot away: not confirmed, and nobody was told that it was.
                return False

    def lost(self) -> dict[str, tuple[int, int]]:
        """Keys that have less than what was confirmed: key -> (found, confirmed)."""
        client = self.client(patient=True)
        found = {}
        for key, number in sorted(self.safe.items()):
            value = int(client.get(key) or 0)
            if value < number:
                found[key] = (value, number)
        client.close()
        return found


def converge(
    goal: Goal, wishes: t.Mapping[str, NodeWish] | None = None, wait: float = 90.0
) -> host_redis_cluster.Outcome:
    """What module redis_cluster does."""
    options = host_redis_cluster.Options(wait=wait, restart_wait=60.0)
    return host_redis_cluster.Cluster(goal, host_redis.Endpoint(timeout=40), wishes or {}, options).converge()


def goal_of(servers: t.Sequence[redis_processes.Server], removed: t.Collection[str] = ()) -> Goal:
    """Three domains in turn, as three hosts would be."""
    members = tuple(Member(server.address, f"host{place % 3}") for place, server in enumerate(servers))
    return Goal(members, 1, frozenset(removed))


def kill_masters(servers: list[redis_processes.Server], kills: int) -> Entry:
    """Kill a master under load, again and again; how many confirmed writes are gone."""
    goal = goal_of(servers)
    load = Load(servers[0].port)
    gone, outages, unconfirmed = {}, [], 0
    load.start(patient=True)
    time.sleep(1.0)
    for count in range(kills):
        state = converge(goal).state
        masters = [server for server in servers if state.nodes[server.address].slots]
        victim = masters[count % len(masters)]
        load.slowest = 0.0
        starts = victim.starts
        victim.kill()
        deadline = time.monotonic() + 60
        while victim.starts == starts and time.monotonic() < deadline:
            time.sleep(0.1)
        # Until it is a replica with all data again.
        settle(goal)
        outages.append(load.slowest)
        gone.update(load.lost())
    load.stop()
    gone.update(load.lost())
    unconfirmed = sum(load.written[key] > load.safe.get(key, 0) for key in load.written)
    return {
        "kills": kills,
        "writes": load.writes,
        "lost": gone,
        "unconfirmed": unconfirmed,
        "errors": dict(load.errors),
        "outage_median": sorted(outages)[len(outages) // 2],
        "outage_most": max(outages),
    }


def settle(goal: Goal, seconds: float = 60.0) -> None:
    """Wait until the module sees a well cluster; while a node is away, it says so."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            converge(goal, wait=30.0)
            return
        except host_redis_cluster.HostError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def reshard(servers: list[redis_processes.Server], more: list[redis_processes.Server], seconds: float = 2.0) -> Entry:
    """Two nodes join, take a quarter of the slots, and leave again, under load."""
    load = Load(servers[0].port)
    load.start(patient=False)
    time.sleep(seconds)
    before = load.slowest
    load.slowest = 0.0
    began = time.monotonic()
    grown = converge(goal_of([*servers, *more]))
    shrunk = converge(goal_of(servers, [server.address for server in more]))
    took = time.monotonic() - began
    time.sleep(seconds)
    load.stop()
    moved = sum(len(step.slots) for outcome in (grown, shrunk) for step in outcome.steps if step.action == "move")
    return {
        "slots": moved,
        "seconds": took,
        "writes": load.writes,
        "errors": dict(load.errors),
        "lost": load.lost(),
        "slowest_before": before,
        "slowest": load.slowest,
    }


def upgrade(servers: list[redis_processes.Server], seconds: float = 2.0) -> Entry:
    """Every node is restarted with another setting that is read at the start only, as an upgrade restarts it."""
    load = Load(servers[0].port)
    load.start(patient=False)
    time.sleep(seconds)
    before = load.slowest
    load.slowest = 0.0
    databases = "17" if servers[0].settings.get("databases") != "17" else "18"
    for server in servers:
        server.settings["databases"] = databases
    began = time.monotonic()
    outcome = converge(goal_of(servers), {server.address: NodeWish({"databases": databases}) for server in servers})
    took = time.monotonic() - began
    time.sleep(seconds)
    load.stop()
    return {
        "restarts": sum(step.action == "restart" for step in outcome.steps),
        "seconds": took,
        "writes": load.writes,
        "errors": dict(load.errors),
        "lost": load.lost(),
        "slowest_before": before,
        "slowest": load.slowest,
    }


@contextlib.contextmanager
def cluster(
    nodes: int = 6, spare: int = 2
) -> t.Iterator[tuple[list[redis_processes.Server], list[redis_processes.Server]]]:
    """A cluster of ``nodes`` and servers that may join it."""
    # redis-py tells on the console of every node that it cannot reach.
    logging.getLogger("redis").setLevel(logging.CRITICAL)
    with (
        tempfile.TemporaryDirectory(prefix="frugal-redis-") as folder,
        redis_processes.servers(nodes + spare, pathlib.Path(folder)) as servers,
    ):
        converge(goal_of(servers[:nodes]))
        yield servers[:nodes], servers[nodes:]


def run(kills: int = KILLS) -> list[Entry]:
    """What ``make bench`` collects. Nothing is compared: the other side of each is what is promised."""
    with cluster() as (servers, more):
        moved = reshard(servers, more)
        rolled = upgrade(servers)
        killed = kill_masters(servers, kills)
    print(json.dumps({"reshard": moved, "upgrade": rolled, "kills": killed}, default=str, indent=2))

    def entry(name: str, workload: str, ours: float, promised: float | None, unit: str, note: str) -> Entry:
        return {
            "name": name,
            "workload": workload,
            "ours": ours,
            "peer": promised,
            "peer_name": "promised",
            "unit": unit,
            "ratio": None,
            "note": note,
        }

    def took(found: Entry) -> str:
        return f"took {found['seconds']:.0f} s"

    kill_load = f"{kills} kills of a master, {killed['writes']} writes of {WRITERS} clients"
    reshard_load = f"{moved['slots']} slots moved, {moved['writes']} writes"
    roll_load = f"{rolled['restarts']} nodes restarted, {rolled['writes']} writes"
    return [
        entry("writes lost whose WAIT returned all replicas", kill_load, len(killed["lost"]), 0, "writes", ""),
        entry(
            "longest wait of a client for one write, median of the kills",
            kill_load,
            round(killed["outage_median"], 2),
            None,
            "s",
            f"longest {killed['outage_most']:.1f} s, node timeout {redis_processes.NODE_TIMEOUT / 1000:g} s",
        ),
        entry("errors to a cluster-aware client", reshard_load, sum(moved["errors"].values()), 0, "errors", ""),
        entry("writes lost", reshard_load, len(moved["lost"]), 0, "writes", ""),
        entry(
            "longest wait for one write",
            reshard_load,
            round(moved["slowest"], 3),
            None,
            "s",
            f"took {moved['seconds']:.0f} s",
        ),
        entry("errors to a cluster-aware client", roll_load, sum(rolled["errors"].values()), 0, "errors", ""),
        entry("writes lost", roll_load, len(rolled["lost"]), 0, "writes", ""),
        entry(
            "longest wait for one write",
            roll_load,
            round(rolled["slowest"], 3),
            None,
            "s",
            f"took {rolled['seconds']:.0f} s",
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill masters, move slots and upgrade under load.")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument(
        "--careless", action="store_true", help="without crash pause and append-only file, to see what is lost then"
    )
    options = parser.parse_args()
    if options.careless:
        redis_processes.CRASH_PAUSE = 0.0
        redis_processes.SETTINGS["appendonly"] = "no"
    for found in run(options.kills):
        print(f"{found['name']} [{found['workload']}]: {found['ours']} {found['unit']} {found['note']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
