# Copyright (c) 2026 frugal.cloud contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings a Redis Cluster to its goal: reads all nodes, has the next step chosen, does it, waits, and reads again.

Runs on managed hosts: standard library only, Python 3.9 or later.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ansible_collections.frugal.cloud.plugins.module_utils import redis_plan
from ansible_collections.frugal.cloud.plugins.module_utils.host_files import HostError
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis import Endpoint, RedisClient, RedisError
from ansible_collections.frugal.cloud.plugins.module_utils.host_redis_nodes import Nodes, NodeWish
from ansible_collections.frugal.cloud.plugins.module_utils.redis_plan import Goal, Move, Node, State, Step

#: how often the same step may be needed, since nodes fail and come back meanwhile
SAME_STEP = 5
#: between two looks at a cluster that is on its way (seconds)
INTERVAL = 0.1
#: slots without keys that are moved together
BATCH = 16
#: keys of one MIGRATE: Redis serves nobody else while it runs
MIGRATED_KEYS = 32
#: how long one MIGRATE may take (seconds)
MIGRATE_TIMEOUT = 30
#: how often a MIGRATE that lost its connection is tried again
MIGRATE_TRIES = 5
#: how long a replica is asked to take over, again and again (seconds)
FAILOVER_WAIT = 30.0


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of CLUSTER NODES."""

    id: str
    address: str
    flags: frozenset[str]
    master: str
    epoch: int
    slots: frozenset[int]
    #: slot -> id of the node that it comes from or goes to
    importing: t.Mapping[int, str]
    migrating: t.Mapping[int, str]


@dataclasses.dataclass(frozen=True)
class View:
    """What one node says about the cluster and itself."""

    address: str
    lines: tuple[Line, ...]
    info: t.Mapping[str, str]
    #: CLUSTER INFO
    health: t.Mapping[str, str]

    @property
    def own(self) -> Line:
        """Its line about itself."""
        return next(line for line in self.lines if "myself" in line.flags)


def parse_nodes(text: str) -> tuple[Line, ...]:
    """The lines of CLUSTER NODES: https://redis.io/docs/latest/commands/cluster-nodes/."""
    found = []
    for row in text.splitlines():
        words = row.split()
        if len(words) < 8:
            continue
        slots: set[int] = set()
        importing: dict[int, str] = {}
        migrating: dict[int, str] = {}
        for word in words[8:]:
            if word.startswith("["):
                arrow = "->-" if "->-" in word else "-<-"
                slot, other = word.strip("[]").split(arrow)
                (migrating if arrow == "->-" else importing)[int(slot)] = other
            else:
                first, dash, last = word.partition("-")
                slots.update(range(int(first), int(last if dash else first) + 1))
        address = words[1].partition("@")[0]
        if address.count(":") > 1:
            address = "[{}]:{}".format(*address.rsplit(":", 1)) if not address.startswith("[") else address
        master = "" if words[3] == "-" else words[3]
        found.append(
            Line(
                words[0],
                address,
                frozenset(words[2].split(",")),
                master,
                int(words[6]),
                frozenset(slots),
                importing,
                migrating,
            )
        )
    return tuple(found)


@dataclasses.dataclass(frozen=True)
class Options:
    """How a run goes about it. Times in seconds."""

    #: how long a cluster may take to be well after a step
    wait: float = 60.0
    #: how long a node may take to come back from a restart
    restart_wait: float = 120.0
    check: bool = False


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The steps that were done, or in check mode would be, and the cluster before and after."""

    steps: tuple[Step, ...]
    before: str
    after: str
    state: State


class Cluster:
    """The nodes of a cluster and what is done with them."""

    def __init__(
        self, goal: Goal, endpoint: Endpoint, wishes: t.Mapping[str, NodeWish], options: Options = Options()
    ) -> None:
        self.goal = goal
        self.options = options
        self.nodes = Nodes(endpoint, wishes, options.restart_wait)
        self._views: dict[str, View] = {}
        self._names: dict[str, str] = {}

    def converge(self) -> Outcome:
        """Bring the cluster to the goal.

        :raises HostError: when that cannot be, with why; steps that were done stay done.
        """
        try:
            state = self.read()
            steps = redis_plan.plan(self.goal, state)
            before = shown(self.goal, state)
            if self.options.check:
                for predicted in steps:
                    state = redis_plan.after(state, predicted)
                return Outcome(steps, before, shown(self.goal, state), state)
            done: list[Step] = []
            joined = True
            while True:
                redis_plan.check(self.goal, state)
                step = redis_plan.next_step(self.goal, state)
                if step is None:
                    return Outcome(tuple(done), before, shown(self.goal, state), state)
                if done.count(step) >= SAME_STEP:
                    raise HostError(f"the step to {step.sentence()} changes nothing: look into its journal")
                if joined and step.action != "meet":
                    state, joined = self._settled(state, done), False
                    continue
                self.do(step)
                done.append(step)
                # Nodes join one after the other, and are waited for together.
                joined = step.action == "meet"
                state = self.read() if joined else self._settled(self.read(), done)
        finally:
            self.nodes.close()

    # --- Reading

    def read(self) -> State:
        """All nodes as they are now.

        :raises HostError: when a node that shall be there cannot be asked.
        """
        asked = [member.address for member in self.goal.members]
        self._views = {address: self._view(address) for address in asked}
        self._names = {view.own.id: address for address, view in self._views.items()}
        # Nodes that shall leave are asked, too, where they answer: who has a slot is best known by its owner.
        for view in list(self._views.values()):
            for line in view.lines:
                if line.id not in self._names and "noaddr" not in line.flags and "handshake" not in line.flags:
                    self._names[line.id] = line.address
                    if line.address in self.goal.removed:
                        try:
                            self._views[line.address] = self._view(line.address)
                        except RedisError:
                            continue
        return self._state()

    def _view(self, address: str) -> View:
        nodes, health, info = self.nodes.ask(address, ("CLUSTER", "NODES"), ("CLUSTER", "INFO"), ("INFO",))
        return View(address, parse_nodes(nodes), _pairs(info), _pairs(health))

    def _state(self) -> State:
        lines: dict[str, Line] = {}
        clusters: dict[str, str] = {}
        for view in self._views.values():
            for line in view.lines:
                if line.flags & {"handshake", "noaddr"}:
                    continue
                # A node knows itself best; of what others say, the newest counts.
                mine = lines.get(line.id)
                if line.id == view.own.id or (
                    self._names.get(line.id) not in self._views and (mine is None or line.epoch > mine.epoch)
                ):
                    lines[line.id] = line
        for view in self._views.values():
            _unite(clusters, [line.id for line in view.lines if "handshake" not in line.flags])
        claims: dict[int, tuple[int, str]] = {}
        for line in lines.values():
            if not line.master:
                for slot in line.slots:
                    claims[slot] = max(claims.get(slot, (-1, "")), (line.epoch, line.id))
        found: dict[str, Node] = {}
        for identity, line in sorted(lines.items(), key=lambda item: self._place(item[0])):
            address = self._names.get(identity, line.address)
            slots = frozenset(slot for slot in line.slots if claims.get(slot, (0, ""))[1] == identity)
            found[address] = self._node(address, line, slots, _root(clusters, identity), self._views.get(address))
        return State(found, self._moves(lines, {slot: owner for slot, (epoch, owner) in claims.items()}))

    def _moves(self, lines: t.Mapping[str, Line], owners: t.Mapping[int, str]) -> tuple[Move, ...]:
        """Slots whose move was begun; one that leads nowhere has its own node as target, and is called off."""

        def master(identity: str) -> str:
            line = lines.get(identity)
            return line.master or identity if line else ""

        found: dict[int, Move] = {}
        # What a node that is no master any more had begun is over.
        begun = [(identity, line) for identity, line in lines.items() if not line.master]
        for identity, line in begun:
            here = self._names.get(identity, line.address)
            for slot, other in line.migrating.items():
                there = self._names.get(master(other), "") if owners.get(slot) == identity else ""
                found[slot] = Move(slot, here, there or here)
        for identity, line in begun:
            here = self._names.get(identity, line.address)
            for slot in line.importing:
                owner = owners.get(slot, identity)
                found.setdefault(slot, Move(slot, self._names.get(owner, here), here))
        return tuple(found[slot] for slot in sorted(found))

    def _place(self, identity: str) -> tuple[int, str]:
        order = {member.address: place for place, member in enumerate(self.goal.members)}
        address = self._names.get(identity, "")
        return order.get(address, len(order)), address

    def _node(self, address: str, line: Line, slots: frozenset[int], cluster: str, view: View | None) -> Node:
        master = self._names.get(line.master, line.master) if line.master else ""
        node = Node(address, frozenset() if master else slots, master, cluster, view is not None)
        if view is None:
            return node
        wish = self.nodes.compare(address, view.info)
        info = view.info
        return dataclasses.replace(
            node,
            keys=sum(int(part.split("=")[1].split(",")[0]) for name, part in info.items() if name.startswith("db")),
            used=int(info.get("used_memory_dataset", 0)),
            limit=int(info.get("maxmemory", 0)),
            restart=wish.restart,
            settings=wish.settings,
        )

    # --- Waiting

    def _settled(self, state: State, done: t.Sequence[Step]) -> State:
        """Wait until what was done has reached every node.

        :raises HostError: when it does not in time, with what is missing.
        """
        deadline = time.monotonic() + self.options.wait
        while True:
            why = self._unsettled(state)
            if not why:
                return state
            if time.monotonic() > deadline:
                last = f" after the step to {done[-1].sentence()}" if done else ""
                raise HostError(f"the cluster is not well within {self.options.wait:g} s{last}: {why}")
            time.sleep(INTERVAL)
            state = self.read()

    def _unsettled(self, state: State) -> str:
        """What is still on its way, ``""`` when all nodes agree and replicas have their master's data."""
        complete = len(redis_plan.owners(state)) == redis_plan.SLOTS
        main = redis_plan.cluster_of(state)
        inside = {address for address, node in state.nodes.items() if node.cluster == main and node.reachable}
        ids = {view.own.id for view in self._views.values()}
        for address, view in self._views.items():
            if address not in inside:
                continue
            for line in view.lines:
                if line.flags & {"fail", "fail?"} and line.id in ids:
                    return f"{address} does not reach {self._names[line.id]}"
                if "handshake" in line.flags:
                    return f"{address} is still getting to know {line.address}"
            missing = [other for other in inside if self._views[other].own.id not in {line.id for line in view.lines}]
            if missing:
                return f"{address} does not know {missing[0]} yet"
            if state.nodes[address].master and view.info.get("master_link_status") != "up":
                return f"replica {address} has no link to its master yet"
            if view.info.get("loading") == "1":
                return f"{address} is loading its data"
            if complete and view.health.get("cluster_state") != "ok":
                return f"{address} says that cluster_state is {view.health.get('cluster_state')}"
            seen = {slot: line.id for line in view.lines if not line.master for slot in line.slots}
            for slot, owner in redis_plan.owners(state).items():
                if seen.get(slot) != self._views[owner].own.id if owner in self._views else False:
                    return f"{address} does not know yet that {owner} has slot {slot}"
        return ""

    # --- Steps

    def do(self, step: Step) -> None:
        """Do one step.

        :raises HostError: when a node refuses.
        """
        getattr(self, f"_{step.action}")(step)

    def _id(self, address: str) -> str:
        return next(identity for identity, name in self._names.items() if name == address)

    def _configure(self, step: Step) -> None:
        self.nodes.configure(step.node)

    def _restart(self, step: Step) -> None:
        self.nodes.restart(step.node)

    def _meet(self, step: Step) -> None:
        client = self.nodes.client(step.node)
        if self._views[step.node].own.epoch == 0 and len(self._views[step.node].lines) == 1:
            # Different epochs from the start: with equal ones, masters would have to sort out who has a slot.
            epochs = [line.epoch for view in self._views.values() for line in view.lines]
            client.command("CLUSTER", "SET-CONFIG-EPOCH", max(epochs) + 1)
        self._join(step.node)

    def _join(self, address: str) -> None:
        state = self._state()
        main = redis_plan.cluster_of(state)
        contact = next(
            node.address
            for node in state.nodes.values()
            if node.cluster == main and node.reachable and node.address != address
        )
        host, port = contact.rsplit(":", 1)
        self.nodes.client(address).command("CLUSTER", "MEET", host.strip("[]"), port)
        # Until the handshake is over, the other node has a name that it does not keep.
        identity = self._id(contact)
        self._wait(
            lambda: identity in {line.id for line in self._view(address).lines if "handshake" not in line.flags},
            f"{address} does not get to know {contact}",
        )

    def _reset(self, step: Step) -> None:
        self.nodes.client(step.node).command("CLUSTER", "RESET", "SOFT")
        self._join(step.node)

    def _assign(self, step: Step) -> None:
        words: list[str] = []
        for part in redis_plan.ranges(step.slots).split():
            first, dash, last = part.partition("-")
            words += [first, last if dash else first]
        self.nodes.client(step.node).command("CLUSTER", "ADDSLOTSRANGE", *words)

    def _replicate(self, step: Step) -> None:
        client, master = self.nodes.client(step.node), self._id(step.target)
        self._until_done(lambda: client.command("CLUSTER", "REPLICATE", master), FAILOVER_WAIT)

    def _failover(self, step: Step) -> None:
        deadline = time.monotonic() + FAILOVER_WAIT
        client = self.nodes.client(step.node)
        while True:
            try:
                client.command("CLUSTER", "FAILOVER")
            except RedisError as error:
                if "master" not in str(error):
                    raise
            began = time.monotonic()
            # Redis gives up a manual failover after 5 s; then it is asked again.
            while time.monotonic() < began + 6.0:
                if not self._view(step.node).own.master:
                    return
                time.sleep(INTERVAL)
            if time.monotonic() > deadline:
                raise HostError(f"{step.node} does not take over from {step.target} within {FAILOVER_WAIT:g} s")

    def _forget(self, step: Step) -> None:
        identity = self._id(step.node)
        if step.node in self._views:
            # The node itself first, or it would tell the others about itself again.
            client = self.nodes.client(step.node)
            if not self._views[step.node].own.master:
                client.command("FLUSHALL")
            client.command("CLUSTER", "RESET", "HARD")
        for address, view in self._views.items():
            if address != step.node and any(line.id == identity for line in view.lines):
                self.nodes.client(address).command("CLUSTER", "FORGET", identity)

    def _finish(self, step: Step) -> None:
        if step.node == step.target:
            self._all(self.nodes.client(step.node), [("CLUSTER", "SETSLOT", slot, "STABLE") for slot in step.slots])
        else:
            self._move(step)

    def _move(self, step: Step) -> None:
        """Move slots as https://redis.io/docs/latest/commands/cluster-setslot/ says, so that clients are redirected."""
        ids = {"source": self._id(step.node), "target": self._id(step.target)}
        source, target = self.nodes.client(step.node), self.nodes.client(step.target)
        others = [
            address
            for address, node in self._state().nodes.items()
            if node.reachable and not node.master and address not in (step.node, step.target)
        ]
        counts = self._all(source, [("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in step.slots])
        empty = [slot for slot, count in zip(step.slots, counts) if not count]
        # One by one, where there are keys: while a slot is on its way, clients have to ask twice for what is not there.
        parts = [[slot] for slot, count in zip(step.slots, counts) if count]
        for slots in parts + [empty[start : start + BATCH] for start in range(0, len(empty), BATCH)]:
            owned = self._view(step.node).own.slots if step.action == "finish" else step.slots
            there = [slot for slot in slots if slot in owned]
            self._all(target, [("CLUSTER", "SETSLOT", slot, "IMPORTING", ids["source"]) for slot in there])
            self._all(source, [("CLUSTER", "SETSLOT", slot, "MIGRATING", ids["target"]) for slot in there])
            for slot in there:
                self._migrate(source, step.target, slot)
            # The target first: were the source first and the target died, nobody would have the slot.
            settle = [("CLUSTER", "SETSLOT", slot, "NODE", ids["target"]) for slot in slots]
            self._all(target, settle)
            for client in (source, *(self.nodes.client(address) for address in others)):
                for reply in client.pipeline(settle):
                    # A source that gave its last slot has become the target's replica by then, of its own accord.
                    if isinstance(reply, RedisError) and "only with masters" not in str(reply):
                        raise reply

    def _migrate(self, source: RedisClient, target: str, slot: int) -> None:
        """All keys of a slot. The source serves a key until it is gone: a copy that a killed run left is replaced."""
        host, port = target.rsplit(":", 1)
        where = source.where
        login: list[str] = []
        if where.password:
            login = ["AUTH2", where.username, where.password] if where.username else ["AUTH", where.password]
        tries = 0
        while True:
            keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, MIGRATED_KEYS)
            if not keys:
                return
            words = ("MIGRATE", host.strip("[]"), port, "", 0, MIGRATE_TIMEOUT * 1000, "REPLACE", *login, "KEYS", *keys)
            try:
                source.command(*words)
                tries = 0
            except RedisError as error:
                tries += 1
                if error.code != "IOERR" or tries >= MIGRATE_TRIES:
                    raise HostError(f"slot {slot} stays where it is, with what is left of its keys: {error}") from None
                time.sleep(INTERVAL)

    @staticmethod
    def _all(client: RedisClient, commands: t.Sequence[tuple[t.Any, ...]]) -> list[t.Any]:
        replies = client.pipeline(commands)
        for reply in replies:
            if isinstance(reply, RedisError):
                raise reply
        return replies

    def _wait(self, happened: t.Callable[[], bool], why: str) -> None:
        deadline = time.monotonic() + self.options.wait
        while not happened():
            if time.monotonic() > deadline:
                raise HostError(f"{why} within {self.options.wait:g} s")
            time.sleep(INTERVAL)

    @staticmethod
    def _until_done(call: t.Callable[[], t.Any], wait: float) -> None:
        deadline = time.monotonic() + wait
        while True:
            try:
                call()
                return
            except RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(INTERVAL)


def shown(goal: Goal, state: State) -> str:
    """The cluster as a diff shows it."""
    domains = {member.address: member.domain for member in goal.members}
    lines = []
    for address, node in sorted(state.nodes.items()):
        role = (
            f"replica of {node.master}" if node.master else f"master of {redis_plan.ranges(node.slots) or 'no slots'}"
        )
        lines.append(f"{address} ({domains.get(address, 'leaves')}): {role}\n")
    return "".join(lines)


def listed(state: State) -> list[dict[str, t.Any]]:
    """The nodes as a result has them."""
    return [
        {
            "address": address,
            "role": "replica" if node.master else "master",
            "master": node.master,
            "slots": redis_plan.ranges(node.slots),
        }
        for address, node in sorted(state.nodes.items())
    ]


def _pairs(text: str) -> dict[str, str]:
    return {name: value for name, colon, value in (row.strip().partition(":") for row in text.splitlines()) if colon}


def _root(clusters: dict[str, str], name: str) -> str:
    while clusters.get(name, name) != name:
        name = clusters[name]
    return name


def _unite(clusters: dict[str, str], names: t.Sequence[str]) -> None:
    """Union-find: nodes that one node knows are of one cluster."""
    roots = sorted({_root(clusters, name) for name in names})
    for root in roots:
        clusters[root] = roots[0]
